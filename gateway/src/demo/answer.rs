//! How a user of the demo answers: offers of G.711 audio with an answer, and what a call says meanwhile. Without transactions, as
//! nothing is lost on loopback; whoever repeats a request is answered again.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use anyhow::Context;
use rsip::headers::UntypedHeader;
use rsip::message::{HasHeaders, HeadersExt};
use rsip::{Header, Method, Request, Response, StatusCode};
use sdp::Session;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::rtp;

/// Calls at once.
const CALLS: usize = 50;

/// What is said to a caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// What it says.
    Echo,
    /// A tone.
    Tone,
}

/// The calls of one who answers.
pub(super) struct Calls {
    local: SocketAddr,
    calls: HashMap<String, Call>,
}

/// A call with its audio.
struct Call {
    audio: JoinHandle<()>,
    port: u16,
    version: u32,
    tag: String,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.audio.abort();
    }
}

impl Calls {
    /// None yet, for whoever is reached here.
    pub(super) fn at(local: SocketAddr) -> Self {
        Self {
            local,
            calls: HashMap::new(),
        }
    }

    /// What is sent back to a request for this user, as bytes; nothing to an ACK. Without an `answer` there is nobody of that
    /// name.
    pub(super) async fn respond(
        &mut self,
        request: &Request,
        user: &str,
        answer: Option<Answer>,
    ) -> anyhow::Result<Option<Vec<u8>>> {
        let call_id = request.call_id_header()?.value().to_owned();
        let plain = |status, tag: &str| self.reply(request, user, (status, tag, &[]));
        let said = match request.method {
            Method::Ack => return Ok(None),
            Method::Invite | Method::Update if !request.body.is_empty() => match answer {
                Some(answer) => self.answer(request, (user, answer), call_id).await?,
                None => plain(StatusCode::NotFound, "")?,
            },
            Method::Invite => plain(StatusCode::NotAcceptableHere, "")?,
            Method::Bye | Method::Cancel => {
                let ended = self.calls.remove(&call_id);
                let tag = ended.as_ref().map_or("", |call| &call.tag);
                self.reply(request, user, (StatusCode::OK, tag, &[]))?
            }
            Method::Options | Method::Info | Method::Update => plain(StatusCode::OK, "")?,
            _ => plain(StatusCode::MethodNotAllowed, "")?,
        };
        Ok(Some(said.into()))
    }

    /// A call that was made from here is up: a tone is said by the socket that its offer named. False when the answer is none.
    pub(super) fn answered(&mut self, call_id: &str, audio: UdpSocket, body: &[u8]) -> bool {
        let (Some(answer), Ok(local)) = (Offer::read(body), audio.local_addr()) else {
            return false;
        };
        let call = Call {
            audio: tokio::spawn(rtp::tone(audio, answer.address, answer.payload_type)),
            port: local.port(),
            version: 1,
            tag: String::new(),
        };
        self.calls.insert(call_id.to_owned(), call);
        true
    }

    /// Forgets a call; true if there was one.
    pub(super) fn end(&mut self, call_id: &str) -> bool {
        self.calls.remove(call_id).is_some()
    }

    /// Answers an offer, of a new call or of one that is up.
    async fn answer(
        &mut self,
        request: &Request,
        (user, answer): (&str, Answer),
        call_id: String,
    ) -> anyhow::Result<Response> {
        let Some(offer) = Offer::read(&request.body) else {
            return self.reply(request, user, (StatusCode::NotAcceptableHere, "", &[]));
        };
        if !self.calls.contains_key(&call_id) {
            if self.calls.len() >= CALLS {
                return self.reply(request, user, (StatusCode::BusyHere, "", &[]));
            }
            let socket = UdpSocket::bind((self.local.ip(), 0)).await?;
            let port = socket.local_addr()?.port();
            let audio = match answer {
                Answer::Echo => tokio::spawn(rtp::echo(socket)),
                Answer::Tone => tokio::spawn(rtp::tone(socket, offer.address, offer.payload_type)),
            };
            let call = Call {
                audio,
                port,
                version: 0,
                tag: random_word()?,
            };
            self.calls.insert(call_id.clone(), call);
        }
        let Some(call) = self.calls.get_mut(&call_id) else {
            return self.reply(request, user, (StatusCode::BusyHere, "", &[]));
        };
        call.version += 1;
        let body = offer.answer(self.local.ip(), call.port, call.version);
        let tag = call.tag.clone();
        self.reply(request, user, (StatusCode::OK, &tag, body.as_bytes()))
    }

    fn reply(
        &self,
        request: &Request,
        user: &str,
        (status, tag, body): (StatusCode, &str, &[u8]),
    ) -> anyhow::Result<Response> {
        let copied = |header: &&Header| {
            matches!(
                header,
                Header::Via(_)
                    | Header::RecordRoute(_)
                    | Header::From(_)
                    | Header::CallId(_)
                    | Header::CSeq(_)
            )
        };
        let mut headers: Vec<Header> = request.headers().iter().filter(copied).cloned().collect();
        let to = request.to_header()?.value().to_owned();
        let tagged = if to.contains(";tag=") || tag.is_empty() {
            to
        } else {
            format!("{to};tag={tag}")
        };
        headers.push(rsip::headers::To::new(tagged).into());
        headers.push(rsip::headers::Contact::new(format!("<sip:{user}@{}>", self.local)).into());
        if !body.is_empty() {
            headers.push(rsip::headers::ContentType::new("application/sdp").into());
        }
        headers.push(rsip::headers::ContentLength::new(body.len().to_string()).into());
        Ok(Response {
            status_code: status,
            version: rsip::Version::V2,
            headers: headers.into(),
            body: body.to_vec(),
        })
    }
}

/// What of an offer counts for an answer in G.711.
struct Offer {
    address: SocketAddr,
    payload_type: u8,
    telephone_event: Option<String>,
    direction: &'static str,
    lines: Vec<String>,
    audio: usize,
}

impl Offer {
    fn read(body: &[u8]) -> Option<Self> {
        let session = Session::parse(body).ok()?;
        let audio = session
            .media()
            .iter()
            .position(|media| media.kind() == b"audio" && media.port() != 0)?;
        let media = &session.media()[audio];
        let formats: Vec<String> = media
            .formats()
            .map(|format| String::from_utf8_lossy(format).into_owned())
            .collect();
        let payload_type = formats
            .iter()
            .find_map(|format| format.parse().ok().filter(|pt| matches!(pt, 0u8 | 8)))?;
        let telephone_event = media.section().attributes("rtpmap").find_map(|map| {
            let map = std::str::from_utf8(map).ok()?;
            map.ends_with("telephone-event/8000")
                .then(|| map.split(' ').next().map(str::to_owned))?
        });
        let connection = std::str::from_utf8(session.connection_of(audio)?).ok()?;
        let ip: IpAddr = connection.split_ascii_whitespace().nth(2)?.parse().ok()?;
        let direction = match session.direction(audio)? {
            sdp::Direction::SendRecv => "sendrecv",
            sdp::Direction::SendOnly => "recvonly",
            sdp::Direction::RecvOnly => "sendonly",
            sdp::Direction::Inactive => "inactive",
        };
        let refused = |media: &sdp::Media<'_>| {
            let format = media.formats().next().unwrap_or(b"0");
            let [kind, protocol, format] = [media.kind(), media.protocol(), format]
                .map(|text| String::from_utf8_lossy(text).into_owned());
            format!("m={kind} 0 {protocol} {format}\r\n")
        };
        Some(Self {
            address: SocketAddr::new(ip, media.port()),
            payload_type,
            telephone_event,
            direction,
            lines: session.media().iter().map(refused).collect(),
            audio,
        })
    }

    /// RFC 3264 §6: as many m= lines as the offer has, in its order; only the audio is taken.
    fn answer(&self, local: IpAddr, port: u16, version: u32) -> String {
        let family = if local.is_ipv4() { "IP4" } else { "IP6" };
        let mut text = format!(
            "v=0\r\no=- 1 {version} IN {family} {local}\r\ns=-\r\nc=IN {family} {local}\r\nt=0 0\r\n"
        );
        for (index, refused) in self.lines.iter().enumerate() {
            if index != self.audio {
                text.push_str(refused);
                continue;
            }
            let event = self.telephone_event.as_deref();
            let formats = event.map_or(String::new(), |event| format!(" {event}"));
            text.push_str(&format!(
                "m=audio {port} RTP/AVP {}{formats}\r\n",
                self.payload_type
            ));
            if let Some(event) = event {
                text.push_str(&format!(
                    "a=rtpmap:{event} telephone-event/8000\r\na=fmtp:{event} 0-15\r\n"
                ));
            }
            text.push_str(&format!("a=ptime:20\r\na={}\r\n", self.direction));
        }
        text
    }
}

/// A word that nobody guesses, for tags and branches.
pub(super) fn random_word() -> anyhow::Result<String> {
    Ok(format!(
        "{:016x}",
        getrandom::u64().context("the system gives no random bytes")?
    ))
}
