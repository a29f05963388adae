//! What the proxy makes of a message: from bytes to bytes.

use bytes::Bytes;
use proxy::decision::{Binding, Bindings, Device};
use proxy::redirect::Redirects;
use proxy::token::{Media, Pass};
use proxy::{
    Decision, Facts, Hop, NextHop, Reason, Room, Sender, cluster, decide, forward, reply, response,
};
use sip::{Edited, Header, Limits, Message, Transport, build};

use crate::scene::Scene;

/// Decides about a message from a device and from the core, with and without our registrar. What is passed on or
/// answered passes the check itself.
pub fn decision(data: &[u8]) {
    let Ok(message) = Message::parse(Bytes::copy_from_slice(data), &Limits::default()) else {
        return;
    };
    for scene in [
        Scene::edge(),
        Scene::with_registrar(),
        Scene::with_all_tokens(),
    ] {
        for flow in [scene.phone, scene.browser, scene.core] {
            if !message.is_request() {
                let Ok(onward) = response::pass_on(&message, &flow, &scene.context()) else {
                    continue;
                };
                if message.check().is_ok() {
                    leaves_well(&onward.response);
                }
                continue;
            }
            for facts in [Facts::default(), all_known()] {
                let decision = decide(&message, &flow, &scene.context(), &facts);
                carried_out(&decision, &message, &scene);
            }
        }
    }
}

fn all_known() -> Facts {
    Facts {
        sender: Some(Sender::Authenticated),
        bindings: Some(Bindings::Devices(vec![Binding {
            contact: b"sip:bob@192.0.2.9:5062;transport=udp".to_vec(),
            path: vec![b"<sip:other-edge.test;lr>".to_vec()],
            device: Device(*b"bob1"),
            ..Binding::default()
        }])),
        addresses: ["example.test", "other-edge.test"]
            .map(|host| {
                let asked = NextHop {
                    host: host.to_owned(),
                    port: None,
                    transport: None,
                };
                let at = ([192, 0, 2, 77], 5060).into();
                (asked, vec![(Transport::Udp, at)])
            })
            .into(),
        call_out: None,
        holder: None,
        place: Some(Room::Granted),
    }
}

fn carried_out(decision: &Decision, message: &Message, scene: &Scene) {
    let checked = message.check();
    match decision {
        Decision::Relay(relayed) => passed_on(relayed, scene),
        Decision::Start(forwards) => {
            assert!(!forwards.is_empty());
            forwards
                .iter()
                .for_each(|relayed| passed_on(relayed, scene));
        }
        Decision::Reply(reason) => {
            let answer = reply::answer(message, scene.phone.peer, reason);
            let answer = Message::parse(answer, &Limits::default());
            if checked.is_ok() {
                let answer = answer.expect("what we answer is a message");
                assert_eq!(answer.check(), Ok(()), "{answer:?}");
            }
        }
        Decision::Register(request) => leaves_well(request),
        Decision::Ask(_)
        | Decision::Challenge { .. }
        | Decision::Await { .. }
        | Decision::Press(_) => {
            assert_eq!(checked, Ok(()), "only what may be worked on gets that far");
        }
        Decision::Drop(Reason::Ack) => {}
        Decision::Drop(reason) => panic!("{reason:?}"),
    }
}

fn passed_on(relayed: &proxy::Forward, scene: &Scene) {
    let context = scene.context();
    let media = Media::none(Pass::Up);
    let Some(sealed) = forward::seal(relayed, media, &context) else {
        return;
    };
    leaves_well(&sealed.request);
    answered(relayed, &sealed.request, scene);
    let again = forward::seal(relayed, media, &context);
    assert_eq!(
        again.map(|again| again.branch),
        Some(sealed.branch),
        "RFC 3261 §16.11: a retransmission gets the same branch"
    );
}

/// Who got it answers, and quotes what is in it: tokens come back.
fn answered(relayed: &proxy::Forward, request: &Edited, scene: &Scene) {
    let by = match &relayed.hop {
        Hop::Flow(flow) => *flow,
        Hop::Server { .. } => scene.core,
    };
    let whole = Limits {
        message_bytes: 1 << 20,
        headers: 1024,
    };
    for status in [180, 200, 302] {
        let mut answer = build::response(request, status, "", Some(b"answered"));
        for header in [Header::RecordRoute, Header::Contact] {
            for value in request.values(header) {
                answer = answer.header(header, value);
            }
        }
        let Ok(answer) = Message::parse(answer.to_bytes(), &whole) else {
            continue;
        };
        let Ok(onward) = response::pass_on(&answer, &by, &scene.context()) else {
            continue;
        };
        leaves_well(&onward.response);
        let mut redirects = Redirects::default();
        if redirects.take(relayed, &onward.response, &scene.context()) {
            let next = redirects.take_next().expect("it was taken");
            assert!(matches!(next.hop, Hop::Server { .. }));
        }
        let handed = cluster::hand_back(&answer, &by, &scene.context());
        leaves_well(&handed);
    }
}

fn leaves_well(message: &Edited) {
    let limits = Limits {
        message_bytes: 1 << 20,
        headers: 1024,
    };
    let bytes = message.to_bytes();
    let again = Message::parse(bytes.clone(), &limits).expect("what leaves is a message");
    assert_eq!(again.bytes(), &bytes, "no octet behind its body");
    assert_eq!(
        again.check(),
        Ok(()),
        "{}",
        String::from_utf8_lossy(again.bytes())
    );
}
