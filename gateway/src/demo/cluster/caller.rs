//! A call that the core makes to a user, through a registrar: RFC 3261 §17.1.1 and §13.2.2 as far as loopback needs them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use rsip::headers::UntypedHeader;
use rsip::message::{HasHeaders, HeadersExt};
use rsip::{Header, Response};
use tokio::net::UdpSocket;

use super::plan::DOMAIN;
use crate::demo::answer::{Calls, random_word};

/// After this without any answer the other registrar is asked.
const PATIENCE: Duration = Duration::from_secs(1);
/// The number that calls; calls to it get a tone as well.
const NUMBER: &str = "9198";

/// A call on its way, or up.
pub(super) struct Outgoing {
    /// Whom it is for.
    pub(super) user: String,
    pub(super) call_id: String,
    /// Who is asked: the registrar of this index.
    pub(super) registrar: usize,
    core: SocketAddr,
    tag: String,
    branch: String,
    audio: Option<UdpSocket>,
    port: u16,
    began: Instant,
    stage: Stage,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Stage {
    /// Nobody has said anything.
    Asked,
    /// The registrar has.
    Proceeding,
    /// It is up: To, request-URI and Routes of what is said in it.
    Up(String, String, Vec<String>),
}

/// What follows from an answer.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Step {
    /// What is sent to the registrar.
    pub(super) send: Option<String>,
    /// What the reader is told.
    pub(super) tell: Option<String>,
    /// The call is over.
    pub(super) is_over: bool,
}

impl Outgoing {
    /// A call to a user, not asked for yet.
    pub(super) async fn new(
        user: &str,
        core: SocketAddr,
        registrar: usize,
    ) -> anyhow::Result<Self> {
        let audio = UdpSocket::bind((core.ip(), 0)).await?;
        Ok(Self {
            user: user.to_owned(),
            call_id: random_word()?,
            registrar,
            core,
            tag: random_word()?,
            branch: random_word()?,
            port: audio.local_addr()?.port(),
            audio: Some(audio),
            began: Instant::now(),
            stage: Stage::Asked,
        })
    }

    /// True when its registrar is silent.
    pub(super) fn is_in_vain(&self, now: Instant) -> bool {
        self.stage == Stage::Asked && now.duration_since(self.began) > PATIENCE
    }

    /// The INVITE; the same again while nobody has said anything.
    pub(super) fn invite(&self) -> Option<String> {
        (self.stage == Stage::Asked).then(|| {
            let ip = self.core.ip();
            let body = format!(
                "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {} RTP/AVP 0 8\r\na=ptime:20\r\n",
                self.port
            );
            let uri = format!("sip:{}@{DOMAIN}", self.user);
            let to = format!("<{uri}>");
            self.request("INVITE", 1, &self.branch, (&uri, &to, &[]), &body)
        })
    }

    /// What an answer to the INVITE leads to (RFC 3261 §13.2.2).
    pub(super) fn answered(
        &mut self,
        response: &Response,
        calls: &mut Calls,
    ) -> anyhow::Result<Step> {
        let code = response.status_code.code();
        let to = response.to_header()?.value().to_owned();
        match code {
            100..200 => {
                self.stage = Stage::Proceeding;
                Ok(Step::default())
            }
            200..300 => {
                let contact = response.contact_header()?.value();
                let target = bare(contact).context("a Contact without <>")?;
                let routes = routes(response);
                let (branch, within) =
                    (random_word()?, (target.as_str(), to.as_str(), &routes[..]));
                let ack = self.request("ACK", 1, &branch, within, "");
                self.stage = Stage::Up(to, target, routes);
                let mut step = Step {
                    send: Some(ack),
                    ..Step::default()
                };
                // A repeated 200 gets the ACK alone.
                if let Some(audio) = self.audio.take() {
                    let talks = calls.answered(&self.call_id, audio, &response.body);
                    let what = if talks {
                        "hears a tone"
                    } else {
                        "has no audio"
                    };
                    step.tell = Some(format!("{} has answered the core and {what}", self.user));
                }
                Ok(step)
            }
            _ => {
                let uri = format!("sip:{}@{DOMAIN}", self.user);
                let within = (uri.as_str(), to.as_str(), &[][..]);
                Ok(Step {
                    send: Some(self.request("ACK", 1, &self.branch, within, "")),
                    tell: Some(format!("{} did not answer the core: {code}", self.user)),
                    is_over: true,
                })
            }
        }
    }

    /// The BYE of a call that is up.
    pub(super) fn bye(&self) -> anyhow::Result<Option<String>> {
        let Stage::Up(to, target, routes) = &self.stage else {
            return Ok(None);
        };
        let branch = random_word()?;
        Ok(Some(self.request(
            "BYE",
            2,
            &branch,
            (target, to, routes),
            "",
        )))
    }

    fn request(
        &self,
        method: &str,
        cseq: u32,
        branch: &str,
        (uri, to, routes): (&str, &str, &[String]),
        body: &str,
    ) -> String {
        let core = self.core;
        let routes: String = routes
            .iter()
            .map(|route| format!("Route: {route}\r\n"))
            .collect();
        let kind = match body {
            "" => "",
            _ => "Content-Type: application/sdp\r\n",
        };
        format!(
            "{method} {uri} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {core};branch=z9hG4bK{branch};rport\r\n\
             {routes}Max-Forwards: 70\r\n\
             From: \"The core\" <sip:{NUMBER}@{DOMAIN}>;tag={}\r\n\
             To: {to}\r\n\
             Call-ID: {}\r\n\
             CSeq: {cseq} {method}\r\n\
             Contact: <sip:{NUMBER}@{core}>\r\n\
             {kind}Content-Length: {}\r\n\r\n{body}",
            self.tag,
            self.call_id,
            body.len()
        )
    }
}

/// The caller's route set: the Record-Routes backwards (RFC 3261 §12.1.2).
fn routes(response: &Response) -> Vec<String> {
    let lines = response.headers().iter().filter_map(|header| match header {
        Header::RecordRoute(line) => Some(line.value().to_owned()),
        _ => None,
    });
    let mut routes: Vec<String> = lines
        .flat_map(|line| {
            let values = line.split('<').skip(1);
            let whole = |value: &str| format!("<{}", value.trim_end_matches([' ', ',']));
            values.map(whole).collect::<Vec<_>>()
        })
        .collect();
    routes.reverse();
    routes
}

/// What stands between `<` and `>`.
fn bare(value: &str) -> Option<String> {
    let (_, rest) = value.split_once('<')?;
    Some(rest.split_once('>')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = "SIP/2.0 200 OK\r\n\
        Via: SIP/2.0/UDP 127.0.0.30:5060;branch=z9hG4bKx\r\n\
        Record-Route: <sip:token@127.0.0.11:5080;lr>, <sip:127.0.0.21;lr=on>\r\n\
        Record-Route: <sip:127.0.0.40;lr>\r\n\
        From: <sip:9198@cluster.test>;tag=a\r\n\
        To: <sip:alice@cluster.test>;tag=b\r\n\
        Call-ID: c\r\nCSeq: 1 INVITE\r\n\
        Contact: \"Alice\" <sip:x@y.invalid;transport=ws>;q=1\r\n\
        Content-Length: 0\r\n\r\n";

    #[tokio::test]
    async fn what_is_said_in_a_call_goes_by_its_record_routes_backwards() {
        let core: SocketAddr = "127.0.0.1:5060".parse().unwrap();
        let mut call = Outgoing::new("alice", core, 0).await.unwrap();
        assert_eq!(
            call.bye().unwrap(),
            None,
            "RFC 3261 §15: nothing to end yet"
        );
        let mut calls = Calls::at(core);
        let response = Response::try_from(OK.as_bytes()).unwrap();
        let ack = call.answered(&response, &mut calls).unwrap().send.unwrap();
        let routes: Vec<&str> = ack
            .lines()
            .filter(|line| line.starts_with("Route"))
            .collect();
        assert!(
            ack.starts_with("ACK sip:x@y.invalid;transport=ws SIP/2.0"),
            "{ack}"
        );
        assert_eq!(
            routes,
            [
                "Route: <sip:127.0.0.40;lr>",
                "Route: <sip:127.0.0.21;lr=on>",
                "Route: <sip:token@127.0.0.11:5080;lr>"
            ]
        );
        assert!(call.bye().unwrap().unwrap().contains("CSeq: 2 BYE"));
    }
}
