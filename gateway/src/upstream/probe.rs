//! The probe: an OPTIONS of our own (RFC 3261 §11), from the listener that faces the core. Any final response but 503 is a
//! sign of life: whoever says 404 or 483 is there.

use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use proxy::Flow;
use proxy::site::{Listener, Member};
use sip::build::Request;
use sip::{Header, Message, Method, Transport};
use tokio::sync::oneshot;

use super::health::Sign;
use crate::transport::Transports;

/// What tells a probe's branch from all others, before anything is looked up.
const BRANCH: &str = "z9hG4bKprobe-";
/// RFC 3261 §17.1.2.2: Timer E.
const T1: Duration = Duration::from_millis(500);

/// The probes that are under way, by branch.
#[derive(Default)]
pub(crate) struct Probes {
    pending: DashMap<String, oneshot::Sender<u16>>,
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
        let branch = format!("{BRANCH}{random:016x}");
        let request = options(listener, member, &branch, random);
        let (answered, answer) = oneshot::channel();
        self.pending.insert(branch.clone(), answered);
        let sign =
            tokio::time::timeout(timeout, send_and_wait(transports, flow, &request, answer)).await;
        self.pending.remove(&branch);
        sign.unwrap_or(Sign::NoAnswer)
    }

    /// Takes the answer to a probe; false if it is one to something else.
    pub(crate) fn take(&self, response: &Message) -> bool {
        let via = response.top_via();
        let Some(branch) = via
            .as_ref()
            .and_then(|via| via.branch)
            .filter(|branch| branch.starts_with(BRANCH.as_bytes()))
        else {
            return false;
        };
        let Ok(branch) = std::str::from_utf8(branch) else {
            return false;
        };
        if response.status() < 200 {
            return self.pending.contains_key(branch);
        }
        let Some((_, waiting)) = self.pending.remove(branch) else {
            return false;
        };
        // Who waits may have given up this moment.
        let _ = waiting.send(response.status());
        true
    }
}

async fn send_and_wait(
    transports: &Transports,
    flow: &Flow,
    request: &Bytes,
    mut answer: oneshot::Receiver<u16>,
) -> Sign {
    let mut pause = T1;
    loop {
        if transports.send(flow, request.clone()).is_err() {
            return Sign::Refused;
        }
        if flow.transport.is_stream() {
            return sign_of(answer.await.ok());
        }
        match tokio::time::timeout(pause, &mut answer).await {
            Ok(status) => return sign_of(status.ok()),
            Err(_) => pause *= 2,
        }
    }
}

fn sign_of(status: Option<u16>) -> Sign {
    match status {
        None | Some(503) => Sign::NoAnswer,
        Some(_) => Sign::Answer,
    }
}

fn options(listener: &Listener, member: &Member, branch: &str, random: u64) -> Bytes {
    let host = if member.host.contains(':') {
        format!("[{}]", member.host)
    } else {
        member.host.clone()
    };
    let us = listener.sent_by();
    let mut uri = format!("sip:{host}");
    if member.port != member.transport.default_port() {
        uri.push_str(&format!(":{}", member.port));
    }
    if member.transport != Transport::Udp {
        uri.push_str(";transport=");
        uri.push_str(member.transport.uri_param());
    }
    let header = |header, value: String| (header, value);
    let headers = [
        header(
            Header::Via,
            format!(
                "SIP/2.0/{} {us};rport;branch={branch}",
                member.transport.via_name()
            ),
        ),
        header(Header::MaxForwards, "70".to_owned()),
        header(Header::From, format!("<sip:probe@{us}>;tag={random:x}")),
        header(Header::To, format!("<{uri}>")),
        header(Header::CallId, format!("probe-{random:016x}")),
        header(Header::CSeq, "1 OPTIONS".to_owned()),
        header(Header::Contact, format!("<sip:{us}>")),
    ];
    let start = Request::new(Method::Options, uri.as_bytes());
    headers
        .iter()
        .fold(start, |request, (header, value)| {
            request.header(*header, value.as_bytes())
        })
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
            let bytes = options(&core(), &member, "z9hG4bKprobe-1", 1);
            let message = Message::parse(bytes, &sip::Limits::default()).unwrap();
            assert!(message.check().is_ok(), "{host}");
            assert_eq!(message.uri(), uri.as_bytes());
            let via = message.top_via().unwrap();
            assert_eq!((via.host, via.port), (&b"10.0.0.10"[..], Some(5070)));
        }
    }

    fn answer(branch: &str, status: u16) -> Message {
        let text = format!(
            "SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP 10.0.0.10;branch={branch}\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        Message::parse(Bytes::from(text), &sip::Limits::default()).unwrap()
    }

    #[test]
    fn only_the_answer_to_a_probe_that_waits_is_taken() {
        let probes = Probes::default();
        let (sender, mut receiver) = oneshot::channel();
        probes.pending.insert("z9hG4bKprobe-a".to_owned(), sender);
        assert!(
            !probes.take(&answer("z9hG4bKother", 200)),
            "somebody else's"
        );
        assert!(!probes.take(&answer("z9hG4bKprobe-b", 200)), "a guess");
        assert!(
            probes.take(&answer("z9hG4bKprobe-a", 100)),
            "provisional: it goes on waiting"
        );
        assert!(receiver.try_recv().is_err());
        assert!(probes.take(&answer("z9hG4bKprobe-a", 404)));
        assert_eq!(receiver.try_recv(), Ok(404));
        assert!(
            !probes.take(&answer("z9hG4bKprobe-a", 404)),
            "a retransmission"
        );
    }

    #[test]
    fn whoever_answers_lives_except_with_503() {
        for (status, want) in [
            (Some(200), Sign::Answer),
            (Some(404), Sign::Answer),
            (Some(483), Sign::Answer),
            (Some(500), Sign::Answer),
            (Some(503), Sign::NoAnswer),
            (None, Sign::NoAnswer),
        ] {
            assert_eq!(sign_of(status), want, "{status:?}");
        }
    }
}
