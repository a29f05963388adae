//! The way of a message through the pure parts, in pieces that can be repeated: what `instructions` counts.

use std::hint::black_box;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use proxy::token::{Media, Pass, Purpose, Token, ViaToken};
use proxy::{Decision, Facts, decide, forward, response};
use sip::{Header, Limits, Message, build};

use crate::scene::{NOW, Scene};

/// A desk phone's REGISTER with credentials, and its INVITE, as captured.
const REGISTER: &[u8] = include_bytes!(
    "../../data/captured/browser/baresip/register-udp/03-desk1-to-edge-REGISTER.sip"
);
const INVITE: &[u8] =
    include_bytes!("../../data/captured/browser/baresip/invite-avp/01-desk1-to-edge-INVITE.sip");

/// The operations that are counted, with what they are in words.
pub const OPERATIONS: [(&str, &str); 8] = [
    ("parse", "REGISTER: parse and check"),
    ("register", "REGISTER: parse, decide, seal, write"),
    ("register-ok", "its 200: parse, pass on, write"),
    ("invite", "INVITE: parse, decide, seal, write"),
    ("invite-ok", "its 200: parse, pass on, write"),
    ("bye", "BYE in the dialog: parse, decide, seal, write"),
    ("seal", "a Via token sealed"),
    ("open", "a Via token opened"),
];

/// An operation ready to be repeated. Without RTPEngine and from UDP to UDP, so that all is stateless relay.
pub struct Operation {
    scene: Scene,
    work: Work,
}

enum Work {
    Parse(Bytes),
    /// From the phone.
    Request(Bytes),
    /// From the registrar.
    Response(Bytes),
    Seal(Token),
    Open(String),
}

const CALL_ID: Option<&[u8]> = Some(b"f3d5134d82eeea85");

impl Operation {
    /// Prepares the operation of that name.
    ///
    /// # Errors
    /// If there is none, or if the message does not go the way that its name says.
    pub fn new(name: &str) -> Result<Self> {
        let scene = Scene::edge();
        let (register, invite) = (Bytes::from_static(REGISTER), Bytes::from_static(INVITE));
        let token = Token::Via(ViaToken {
            node: 1,
            media: Media::none(Pass::Up),
            offer: true,
            transaction: *b"branched",
            listener: 0,
            source: scene.phone.address(),
            device: None,
        });
        let work = match name {
            "parse" => Work::Parse(register),
            "register" => Work::Request(register),
            "register-ok" => Work::Response(answer(&relayed(&scene, &register)?)?),
            "invite" => Work::Request(invite),
            "invite-ok" => Work::Response(answer(&relayed(&scene, &invite)?)?),
            "bye" => Work::Request(bye(&scene, &invite)?),
            "seal" => Work::Seal(token),
            "open" => Work::Open(scene.context().sealer.seal(&token, CALL_ID, NOW)),
            other => bail!("no operation {other:?}"),
        };
        let operation = Self { scene, work };
        operation.once().context("it does not pass")?;
        Ok(operation)
    }

    /// Does it so many times.
    pub fn repeat(&self, times: u64) {
        for _ in 0..times {
            black_box(self.once());
        }
    }

    /// Does it once, and gives how long its result is.
    fn once(&self) -> Option<usize> {
        let context = self.scene.context();
        match &self.work {
            Work::Parse(bytes) => {
                let message = Message::parse(bytes.clone(), &Limits::default()).ok()?;
                message.check().ok().map(|()| message.body().len())
            }
            Work::Request(bytes) => relayed(&self.scene, bytes).ok().map(|bytes| bytes.len()),
            Work::Response(bytes) => {
                let message = Message::parse(bytes.clone(), &Limits::default()).ok()?;
                let onward = response::pass_on(&message, &self.scene.core, &context).ok()?;
                Some(onward.response.to_bytes().len())
            }
            Work::Seal(token) => Some(context.sealer.seal(token, CALL_ID, NOW).len()),
            Work::Open(text) => context
                .sealer
                .open(Purpose::Via, text.as_bytes(), CALL_ID, NOW)
                .ok()
                .map(|token| usize::from(token.purpose() == Purpose::Via)),
        }
    }
}

/// A request of the phone as it leaves towards the registrar.
fn relayed(scene: &Scene, bytes: &Bytes) -> Result<Bytes> {
    let context = scene.context();
    let message = Message::parse(bytes.clone(), &Limits::default())?;
    let relayed = match decide(&message, &scene.phone, &context, &Facts::default()) {
        Decision::Relay(relayed) => relayed,
        other => bail!("not relayed without a transaction: {other:?}"),
    };
    let sealed = forward::seal(&relayed, Media::none(relayed.pass), &context)
        .context("no listener towards it")?;
    Ok(sealed.request.to_bytes())
}

/// The 200 that the other side gives to what we have sent it.
fn answer(request: &Bytes) -> Result<Bytes> {
    let request = Message::parse(request.clone(), &Limits::default())?;
    let mut answer = build::response(&request, 200, "OK", Some(b"other-tag"))
        .header(Header::Contact, b"<sip:called@198.51.100.20:5060>");
    if request.has_sdp() {
        answer = answer.body(b"application/sdp", request.body());
    }
    Ok(answer.to_bytes())
}

/// The BYE of the phone that follows its INVITE, along the Record-Route that it has seen.
fn bye(scene: &Scene, invite: &Bytes) -> Result<Bytes> {
    let answer = Message::parse(answer(&relayed(scene, invite)?)?, &Limits::default())?;
    let onward = response::pass_on(&answer, &scene.core, &scene.context())
        .map_err(|reason| anyhow::anyhow!("{reason:?}"))?;
    let seen = onward.response;
    let mut request = build::Request::new(sip::Method::Bye, b"sip:called@198.51.100.20:5060")
        .header(
            Header::Via,
            b"SIP/2.0/UDP 192.168.178.20:5160;branch=z9hG4bK0123456789abcdef;rport",
        )
        .header(Header::MaxForwards, b"70");
    for route in seen.values(Header::RecordRoute) {
        request = request.header(Header::Route, route);
    }
    for header in [Header::From, Header::To, Header::CallId] {
        request = request.header(header, seen.header(header).context("a dialog's header")?);
    }
    Ok(request.header(Header::CSeq, b"2 BYE").to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_goes_the_way_that_its_name_says() {
        for (name, _) in OPERATIONS {
            let operation = Operation::new(name).expect(name);
            assert_eq!(operation.once(), operation.once(), "{name}");
        }
        assert!(Operation::new("nothing").is_err());
    }

    #[test]
    fn an_answer_finds_its_way_and_loses_our_via() {
        let scene = Scene::edge();
        let sent = relayed(&scene, &Bytes::from_static(INVITE)).unwrap();
        let answer = Message::parse(answer(&sent).unwrap(), &Limits::default()).unwrap();
        let onward = response::pass_on(&answer, &scene.core, &scene.context()).unwrap();
        assert_eq!(onward.source, scene.phone.address());
        assert_eq!(onward.response.values(Header::Via).count(), 1);
        assert_eq!(onward.response.values(Header::RecordRoute).count(), 1);
        assert_eq!(answer.values(Header::Via).count(), 2);
    }
}
