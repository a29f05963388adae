//! A phone of ours: an agent's signalling, and audio that flows.

use anyhow::{Context, Result, ensure};
use tokio_rustls::TlsConnector;

use super::description::{Credentials, Description, Own, Profile, Setup};
use super::media::Media;
use super::webrtc::{self, Identity, Webrtc};
use super::{Doing, Flaw, Heard, Part, Party, Spelling, Step, cipher, tone};
use crate::agent::{Account, Call, Device, Kind, Message};

/// A phone; it has one call at a time.
pub struct Phone {
    pub(super) device: Device,
    pub(super) profile: Profile,
    identity: Identity,
    tone: u32,
    pub(super) leg: Option<Leg>,
    setup: Setup,
    /// What is wrong with it.
    pub(super) flaw: Option<Flaw>,
}

/// The call that it has.
pub(super) struct Leg {
    pub(super) dialog: Call,
    pub(super) media: Media,
    /// What it last said of itself that the other side took.
    pub(super) own: Own,
    /// The offer that waits for its answer: the INVITE's that came in.
    pub(super) offer: Option<String>,
    /// The answer that went before the call was up.
    pub(super) answered: String,
    /// It was answered with 200.
    pub(super) is_up: bool,
    /// Their ICE credentials.
    ice: Option<Credentials>,
}

impl std::fmt::Debug for Phone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}, {:?}", self.device, self.profile)
    }
}

impl Profile {
    /// The transport that a phone of this kind registers over.
    pub fn transport(self) -> Kind {
        match self {
            Profile::Avp => Kind::Udp,
            Profile::Sdes => Kind::Tls,
            Profile::Webrtc => Kind::Wss,
        }
    }
}

impl Phone {
    /// Opens and registers one; `number` chooses its tone, so that parties of one test tell each other apart.
    pub async fn registered(
        profile: Profile,
        account: &Account<'_>,
        trust: Option<&TlsConnector>,
        number: u32,
    ) -> Result<Self> {
        Ok(Phone {
            device: Device::registered(account, trust).await?,
            profile,
            identity: Identity::new()?,
            tone: tone::of(number),
            leg: None,
            setup: Setup::Actpass,
            flaw: None,
        })
    }

    /// Its part in DTLS from its next call on.
    pub fn sets_up(&mut self, setup: Setup) {
        self.setup = setup;
    }

    /// Everything that it was sent.
    pub fn received(&self) -> Vec<Message> {
        self.device.endpoint().received()
    }

    pub(super) fn leg(&mut self) -> Result<&mut Leg> {
        let user = &self.device.user;
        self.leg
            .as_mut()
            .with_context(|| format!("{user} has no call"))
    }

    /// The audio of a call that begins, and what it would say of it.
    pub(super) async fn opens(&self, controls: bool) -> Result<(Media, Own)> {
        let host = self.device.endpoint().own().ip();
        let media = Media::open(host, self.tone).await?;
        let (at, _) = media.addresses()?;
        let mut own = Own {
            profile: self.profile,
            at,
            version: 1,
            codecs: self.profile.codecs(),
            direction: super::description::Direction::BOTH,
            zero: false,
            key: cipher::fresh()?,
            ice: webrtc::credentials(),
            fingerprint: self.identity.fingerprint.clone(),
            setup: self.setup,
        };
        if self.profile == Profile::Webrtc {
            media.protects(Webrtc::new(self.identity.clone(), at, &own.ice, controls)?);
        }
        if let Some(flaw) = self.flaw {
            media.fails(flaw);
        }
        if self.flaw == Some(Flaw::WrongFingerprint) {
            own.fingerprint = Identity::new()?.fingerprint;
        }
        Ok((media, own))
    }
}

impl Leg {
    pub(super) fn new(dialog: Call, media: Media, own: Own) -> Self {
        Leg {
            dialog,
            media,
            own,
            offer: None,
            answered: String::new(),
            is_up: false,
            ice: None,
        }
    }

    /// Whether an offer restarts ICE: RFC 8839 §4.4.1.1.1.
    pub(super) fn restarts_ice(&self, offer: &str) -> bool {
        let read = Description::read(offer);
        let line = read
            .as_ref()
            .ok()
            .and_then(|read| read.audio(self.own.profile).ok());
        line.is_some_and(|(_, line)| line.ice != self.ice)
    }

    /// What it would say next, one version further.
    pub(super) fn next(&self) -> Own {
        let mut own = self.own.clone();
        own.version += 1;
        own.codecs = own.profile.codecs();
        own
    }

    /// An answer to what it offered.
    pub(super) fn takes_answer(&mut self, own: Own, body: &str) -> Result<()> {
        let answer = Description::read(body).with_context(|| body.to_owned())?;
        let (_, line) = answer.audio(own.profile)?;
        self.media.agrees(&own, line, &own.formats(), true)?;
        self.own = own;
        self.ice.clone_from(&line.ice);
        body.clone_into(&mut self.answered);
        Ok(())
    }

    /// An offer of the other side; returns the answer.
    pub(super) fn takes_offer(&mut self, mut own: Own, body: &str) -> Result<String> {
        let offer = Description::read(body).with_context(|| body.to_owned())?;
        let (index, line) = offer.audio(own.profile)?;
        own.direction = line.direction.answered();
        if line.is_held() {
            own.direction.sends = false;
        }
        self.media.agrees(&own, line, &own.common(line), false)?;
        let text = own.answer(&offer, index);
        self.ice.clone_from(&line.ice);
        self.own = own;
        Ok(text)
    }

    /// Sends an offer in the dialog; whether it was taken.
    pub(super) async fn offers(&mut self, method: &str, own: Own) -> Result<Message> {
        let answer = self.dialog.says(method, "", &own.offer()).await?;
        if answer.status() == Some(200) {
            self.takes_answer(own, answer.body())?;
        }
        Ok(answer)
    }
}

/// An answer has this status, or it is an error.
pub(super) fn expect(answer: &Message, status: u16) -> Result<()> {
    ensure!(
        answer.status() == Some(status),
        "not {status}: {}",
        answer.text
    );
    Ok(())
}

impl Party for Phone {
    fn kind(&self) -> &str {
        match self.profile {
            Profile::Avp => "AVP phone",
            Profile::Sdes => "SDES phone",
            Profile::Webrtc => "WebRTC client",
        }
    }

    fn user(&self) -> &str {
        &self.device.user
    }

    fn can(&self, step: Step, part: Part) -> Result<(), &'static str> {
        match (self.profile, step, part) {
            (Profile::Avp | Profile::Sdes, Step::RefusedRestart, Part::Begins) => Err("no ICE"),
            (Profile::Webrtc, Step::Hold(Spelling::Zero), Part::Begins) => {
                Err("no browser says so")
            }
            _ => Ok(()),
        }
    }

    fn begins<'a>(&'a mut self, step: Step, whom: &'a str) -> Doing<'a> {
        Box::pin(self.acts(step, whom))
    }

    fn follows(&mut self, step: Step) -> Doing<'_> {
        Box::pin(self.reacts(step))
    }

    fn heard(&mut self) -> Doing<'_, Heard> {
        Box::pin(async { self.leg()?.media.heard() })
    }

    fn tone(&self) -> Option<u32> {
        self.leg.as_ref()?.media.tone()
    }
}
