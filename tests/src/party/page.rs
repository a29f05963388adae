//! A browser with the demo page as a party: what a user clicks is clicked, what only JsSIP can do is asked of its session.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{Doing, Heard, Part, Party, Spelling, Step};
use crate::browser::{Kind, Page};
use crate::scene;

/// Counts what comes, by codec: getStats names only the codec of now. Packets count while they sound; our WebRTC client's Opus is
/// silence, so there it is enough that it came.
const COUNT: &str = "window.count = { packets: {}, codec: '', seen: 0, energy: 0, sounded: 0 }; \
    window.heard = async () => { \
      const all = window.count, rows = []; \
      const connection = window.causeway.session()?.connection; \
      if (!connection || connection.connectionState === 'closed') return all; \
      (await connection.getStats()).forEach((row) => rows.push(row)); \
      const inbound = rows.filter((row) => row.type === 'inbound-rtp' && row.kind === 'audio'); \
      const sum = (key) => inbound.reduce((total, row) => total + (row[key] ?? 0), 0); \
      const newest = inbound.sort((a, b) => (b.lastPacketReceivedTimestamp ?? 0) - (a.lastPacketReceivedTimestamp ?? 0))[0]; \
      const codec = rows.find((row) => row.id === newest?.codecId)?.mimeType?.replace(/^audio./i, '').toUpperCase(); \
      const packets = sum('packetsReceived'), energy = sum('totalAudioEnergy'), now = Date.now(); \
      if (energy > all.energy) all.sounded = now; \
      if (codec) all.codec = codec; \
      const more = packets - Math.min(all.seen, packets); \
      if (now - all.sounded < 1000 || all.codec === 'OPUS') all.packets[all.codec] = (all.packets[all.codec] ?? 0) + more; \
      all.seen = packets; all.energy = energy; \
      return all; }";

/// An offer in the call; answers how it went. JsSIP ends a call whose offer was refused, and the page keeps it from that.
fn offers(options: &str) -> String {
    format!(
        "new Promise((done) => {{ const session = window.causeway.session(); const end = session.terminate; \
           const told = (how) => {{ session.terminate = end; done(how); }}; \
           session.terminate = (options) => {{ told('refused'); end.call(session, options); }}; \
           if (!session.renegotiate({options}, () => told('taken'))) told('not now'); }})"
    )
}

/// Asks for a new media path as the page itself does when it hears nothing; answers how it went.
const NEW_PATH: &str = "new Promise((done) => { const session = window.causeway.session(); const before = session.connection; \
    if (!window.causeway.newPath()) return done('not now'); \
    const look = setInterval(() => { \
      const how = before.signalingState === 'closed' ? 'taken' : session.connection === before ? 'refused' : ''; \
      if (how) { clearInterval(look); done(how); } }, 20); })";

/// No offer is under way any more.
const SETTLED: &str = "window.causeway.session().isReadyToReOffer() && \
    window.causeway.session().connection.signalingState === 'stable'";

/// Only the other one of the two G.711 from now on.
const OTHER_CODEC: &str = "(() => { const { connection } = window.causeway.session(); \
    const audio = connection.getTransceivers().find((one) => one.sender.track?.kind === 'audio'); \
    const name = window.count.codec === 'PCMA' ? 'audio/PCMU' : 'audio/PCMA'; \
    const all = RTCRtpReceiver.getCapabilities('audio').codecs; \
    audio.setCodecPreferences(all.filter((one) => one.mimeType === name || /telephone-event/.test(one.mimeType))); })()";

/// Every codec again in what is offered and answered after that.
const ANY_CODEC: &str = "(() => { const { connection } = window.causeway.session(); \
    const audio = connection.getTransceivers().find((one) => one.sender.track?.kind === 'audio'); \
    audio.setCodecPreferences([]); })()";

const CALL: &str = "document.querySelector('[data-testid=call]')";

/// A user at a browser.
#[derive(Debug)]
pub struct PagePhone {
    page: Page,
    kind: Kind,
    user: String,
}

impl PagePhone {
    /// A page whose user is registered.
    pub async fn new(page: Page, kind: Kind, user: &str) -> Result<Self> {
        page.eval(COUNT).await?;
        Ok(PagePhone {
            page,
            kind,
            user: user.to_owned(),
        })
    }

    /// The page itself.
    pub fn page(&self) -> &Page {
        &self.page
    }

    async fn acts(&self, step: Step, whom: &str) -> Result<()> {
        let page = &self.page;
        match step {
            Step::Ring => {
                scene::dial(page, whom).await?;
                let rings = format!("['ringing', 'early'].includes({CALL}.dataset.progress)");
                page.wait_for(&rings).await.map(drop)
            }
            Step::Early => {
                scene::dial(page, whom).await?;
                page.wait_for(&format!("{CALL}.dataset.progress === 'early'"))
                    .await
                    .map(drop)
            }
            Step::Pickup => self.talks().await,
            Step::Cancel | Step::Bye => {
                page.click("call-hangup").await?;
                page.state(&["ended"]).await.map(drop)
            }
            Step::Refused => self.offers("{}", "refused").await,
            Step::RefusedRestart => self.renews("refused").await,
            Step::Restart => self.renews("taken").await,
            Step::Update => self.offers("{ useUpdate: true }", "taken").await,
            Step::Codec => {
                page.eval(OTHER_CODEC).await?;
                self.offers("{}", "taken").await?;
                page.eval(ANY_CODEC).await.map(drop)
            }
            Step::Hold(_) => {
                page.click("call-hold").await?;
                scene::hold_is(page, "local").await?;
                page.wait_for(SETTLED).await.map(drop)
            }
            Step::Resume => {
                page.click("call-hold").await?;
                scene::hold_is(page, "none").await?;
                page.wait_for(SETTLED).await.map(drop)
            }
            Step::Dtmf => {
                page.click("call-keypad").await?;
                for digit in ["dtmf-1", "dtmf-2", "dtmf-3"] {
                    page.click(digit).await?;
                }
                page.click("call-keypad").await
            }
            Step::RingLate | Step::Glare | Step::Late | Step::Crossing => {
                anyhow::bail!("{step:?} was said not to be possible")
            }
        }
    }

    async fn reacts(&self, step: Step) -> Result<()> {
        let page = &self.page;
        match step {
            Step::Ring | Step::RingLate => page.state(&["ringing"]).await.map(drop),
            Step::Pickup => {
                page.click("call-answer").await?;
                self.talks().await
            }
            Step::Cancel | Step::Bye => page.state(&["ended"]).await.map(drop),
            Step::Refused | Step::RefusedRestart => {
                page.wait_for("window.refused === true").await.map(drop)
            }
            Step::Crossing => {
                // Its own re-INVITE is under way when the BYE comes.
                page.eval("window.causeway.session().renegotiate({}), true")
                    .await?;
                page.state(&["ended"]).await.map(drop)
            }
            // RFC 2543's hold says sendrecv: the page takes it for a call that is up.
            Step::Hold(Spelling::Zero) => Ok(()),
            Step::Hold(_) => scene::hold_is(page, "remote").await,
            Step::Resume => scene::hold_is(page, "none").await,
            Step::Restart | Step::Codec | Step::Update | Step::Late => Ok(()),
            Step::Early | Step::Glare | Step::Dtmf => {
                anyhow::bail!("{step:?} was said not to be possible")
            }
        }
    }

    async fn talks(&self) -> Result<()> {
        self.page.state(&["up"]).await.map(drop)
    }

    async fn offers(&self, options: &str, wanted: &str) -> Result<()> {
        self.asks(&offers(options), wanted).await
    }

    async fn renews(&self, wanted: &str) -> Result<()> {
        self.asks(NEW_PATH, wanted).await
    }

    async fn asks(&self, expression: &str, wanted: &str) -> Result<()> {
        let how = self.page.eval(expression).await?;
        ensure!(how == wanted, "the offer was {how}, not {wanted}");
        self.page.wait_for(SETTLED).await.map(drop)
    }

    /// The next re-INVITE is refused.
    async fn arms(&self) -> Result<()> {
        let refuse = "window.refused = false; window.causeway.session().once('reinvite', (offer) => \
             { offer.reject({ status_code: 488, reason_phrase: 'Not Acceptable Here' }); window.refused = true; }), true";
        self.page.eval(refuse).await.map(drop)
    }
}

/// Its tab is closed behind it: one that is left open would look for its gateway for ever.
impl Drop for PagePhone {
    fn drop(&mut self) {
        let page = self.page.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(page.close());
        }
    }
}

impl Party for PagePhone {
    fn kind(&self) -> &str {
        match self.kind {
            Kind::Chromium => "Chromium",
            Kind::Firefox => "Firefox",
        }
    }

    fn user(&self) -> &str {
        &self.user
    }

    fn can(&self, step: Step, part: Part) -> Result<(), &'static str> {
        match (step, part) {
            (Step::RingLate | Step::Late, Part::Begins) => Err("JsSIP always offers"),
            (Step::Early, Part::Follows) => Err("JsSIP sends no SDP in a 183"),
            (Step::Glare, _) => Err("JsSIP sends its offer again by itself after a 491"),
            (Step::Hold(Spelling::Inactive | Spelling::Zero), Part::Begins) => {
                Err("JsSIP holds with sendonly")
            }
            (Step::Crossing, Part::Begins) => Err("JsSIP has answered before anybody can hang up"),
            (Step::Dtmf, Part::Follows) => Err("a page is not told of telephone events"),
            _ => Ok(()),
        }
    }

    fn prepares(&mut self, step: Step) -> Doing<'_> {
        Box::pin(async move {
            match step {
                Step::Refused | Step::RefusedRestart => self.arms().await,
                _ => Ok(()),
            }
        })
    }

    fn begins<'a>(&'a mut self, step: Step, whom: &'a str) -> Doing<'a> {
        Box::pin(async move { self.acts(step, whom).await.context("the page") })
    }

    fn follows(&mut self, step: Step) -> Doing<'_> {
        Box::pin(async move { self.reacts(step).await.context("the page") })
    }

    fn heard(&mut self) -> Doing<'_, Heard> {
        Box::pin(async move {
            let count = self
                .page
                .command("eval", json!({ "expression": "window.heard()" }))
                .await?;
            let packets = count["packets"].as_object().context("no packets")?;
            let packets: BTreeMap<String, u64> = packets
                .iter()
                .map(|(codec, count)| (codec.clone(), count.as_u64().unwrap_or(0)))
                .collect();
            Ok(Heard {
                codec: count["codec"].as_str().unwrap_or_default().to_owned(),
                packets,
                tones: None,
                digits: String::new(),
            })
        })
    }

    fn tone(&self) -> Option<u32> {
        None
    }
}
