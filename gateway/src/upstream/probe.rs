//! The probe: an OPTIONS of our own (RFC 3261 §11), from the listener that faces the core. Any final response but 503 is a
//! sign of life: whoever says 404 or 483 is there.

use std::time::Duration;

use bytes::Bytes;
use proxy::Flow;
use proxy::site::{Listener, Member};
use sip::{Header, Message, Transport};

use super::health::Sign;
use crate::options::{self, Asked};
use crate::transport::Transports;

/// What tells a probe's branch from all others.
const BRANCH: &str = "z9hG4bKprobe-";
/// RFC 3261 §17.1.2.2: Timer E.
const T1: Duration = Duration::from_millis(500);

/// The probes that are under way.
pub(crate) struct Probes {
    asked: Asked<u16>,
}

impl Default for Probes {
    fn default() -> Self {
        Self {
            asked: Asked::new(BRANCH),
        }
    }
}

impl Probes {
    /// Asks a member; `timeout` includes all repetitions.
    pub(crate) async fn ask(
        &self,
        transports: &Transports,
        flow: &Flow,
        (listener, member): (&Listener, &Member),
        timeout: Duration,
    ) -> Sign {
        let Ok(random) = getrandom::u64() else {
            return Sign::NoAnswer;
        };
        let request = question(listener, member, &self.asked.branch(random), random);
        let asking = self.asked.ask(transports, flow, (random, request), T1);
        match tokio::time::timeout(timeout, asking).await {
            Ok(Ok(status)) => sign_of(status),
            Ok(Err(_)) => Sign::Refused,
            Err(_) => Sign::NoAnswer,
        }
    }

    /// Takes the answer to a probe; false if it is one to something else.
    pub(crate) fn take(&self, response: &Message) -> bool {
        match (self.asked.number_of(response), response.status()) {
            (None, _) => false,
            // Provisional: it goes on waiting.
            (Some(random), ..200) => self.asked.waits(random),
            (Some(random), status) => self.asked.answer(random, status),
        }
    }
}

fn sign_of(status: u16) -> Sign {
    match status {
        503 => Sign::NoAnswer,
        _ => Sign::Answer,
    }
}

fn question(listener: &Listener, member: &Member, branch: &str, random: u64) -> Bytes {
    let host = if member.host.contains(':') {
        format!("[{}]", member.host)
    } else {
        member.host.clone()
    };
    let mut uri = format!("sip:{host}");
    if member.port != member.transport.default_port() {
        uri.push_str(&format!(":{}", member.port));
    }
    if member.transport != Transport::Udp {
        uri.push_str(";transport=");
        uri.push_str(member.transport.uri_param());
    }
    let contact = format!("<sip:{}>", listener.sent_by());
    let of = (listener, member.transport);
    options::request(of, uri.as_bytes(), branch, ("probe", random))
        .header(Header::MaxForwards, b"70")
        .header(Header::Contact, contact.as_bytes())
        .to_bytes()
}

#[cfg(test)]
mod tests {
    use proxy::ListenerId;
    use proxy::site::Side;

    use super::*;

    fn core() -> Listener {
        Listener::new(
            ListenerId(1),
            Side::Core,
            Transport::Udp,
            ([10, 0, 0, 10], 5070).into(),
        )
    }

    #[test]
    fn a_probe_is_a_whole_options_for_the_member_itself() {
        for (host, port, transport, uri) in [
            ("10.0.0.21", 5060, Transport::Udp, "sip:10.0.0.21"),
            (
                "reg-a.example.net",
                5070,
                Transport::Tcp,
                "sip:reg-a.example.net:5070;transport=tcp",
            ),
            ("2001:db8::5", 5060, Transport::Udp, "sip:[2001:db8::5]"),
        ] {
            let member = Member::new(host, port, transport, None);
            let bytes = question(&core(), &member, "z9hG4bKprobe-1", 1);
            let message = Message::parse(bytes, &sip::Limits::default()).unwrap();
            assert!(message.check().is_ok(), "{host}");
            assert_eq!(message.uri(), uri.as_bytes());
            let via = message.top_via().unwrap();
            assert_eq!((via.host, via.port), (&b"10.0.0.10"[..], Some(5070)));
        }
    }

    #[test]
    fn a_probe_goes_on_waiting_after_a_provisional_answer() {
        let probes = Probes::default();
        let branch = probes.asked.branch(1);
        let member = Member::new("10.0.0.21", 5060, Transport::Udp, None);
        let bytes = question(&core(), &member, &branch, 1);
        let probe = sip::Edited::new(Message::parse(bytes, &sip::Limits::default()).unwrap());
        let answer = |status| {
            let bytes = sip::build::response(&probe, status, "", Some(b"t")).to_bytes();
            Message::parse(bytes, &sip::Limits::default()).unwrap()
        };
        assert!(!probes.take(&answer(200)), "nobody waits");
        let mut waiting = probes.asked.expect(1);
        assert!(probes.take(&answer(100)));
        assert!(waiting.try_recv().is_err());
        assert!(probes.take(&answer(404)));
        assert_eq!(waiting.try_recv(), Ok(404));
    }

    #[test]
    fn whoever_answers_lives_except_with_503() {
        for (status, want) in [
            (200, Sign::Answer),
            (404, Sign::Answer),
            (483, Sign::Answer),
            (500, Sign::Answer),
            (503, Sign::NoAnswer),
        ] {
            assert_eq!(sign_of(status), want, "{status}");
        }
    }
}
