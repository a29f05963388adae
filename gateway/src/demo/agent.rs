//! A user agent that registers over UDP and answers every call: the demo's echo and tone. Built with rsip's typed
//! requests, apart from the gateway's own wire layer, so that it is a peer and not a mirror.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rsip::headers::{ToTypedHeader, UntypedHeader};
use rsip::message::{HasHeaders, HeadersExt};
use rsip::services::DigestGenerator;
use rsip::{Header, Method, Request, Response, SipMessage, StatusCode, Uri};
use sdp::Session;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::accounts::Account;
use super::rtp;

/// How long a registration is asked for, and after which part of it it is renewed.
const EXPIRES: Duration = Duration::from_secs(600);
/// Retransmission of a REGISTER that nobody answers.
const RETRY: Duration = Duration::from_millis(500);
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

/// A running agent; it ends with this value.
pub(super) struct Agent {
    task: JoinHandle<()>,
    registered: watch::Receiver<bool>,
    user: String,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Agent {
    /// Starts an agent that registers at `registrar`.
    pub(super) async fn start(
        registrar: SocketAddr,
        account: &Account,
        answer: Answer,
    ) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((registrar.ip(), 0)).await?;
        socket.connect(registrar).await?;
        let local = socket.local_addr()?;
        let (said, registered) = watch::channel(false);
        let worker = Worker {
            socket: Arc::new(socket),
            local,
            registrar,
            account: account.clone(),
            answer,
            calls: HashMap::new(),
            said,
            register: Register {
                call_id: random_word()?,
                tag: random_word()?,
                cseq: 0,
                credentials: None,
            },
        };
        let task = tokio::spawn(async move {
            if let Err(error) = worker.run().await {
                tracing::error!(?error, "a demo user ended");
            }
        });
        Ok(Self {
            task,
            registered,
            user: account.user.clone(),
        })
    }

    /// Waits until it is registered.
    pub(super) async fn registered(&mut self) -> anyhow::Result<()> {
        let wait = self.registered.wait_for(|is| *is);
        match tokio::time::timeout(Duration::from_secs(10), wait).await {
            Ok(Ok(_)) => Ok(()),
            _ => bail!("the demo user {} could not register", self.user),
        }
    }
}

struct Worker {
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    registrar: SocketAddr,
    account: Account,
    answer: Answer,
    calls: HashMap<String, Call>,
    said: watch::Sender<bool>,
    register: Register,
}

struct Register {
    call_id: String,
    tag: String,
    cseq: u32,
    credentials: Option<rsip::typed::Authorization>,
}

/// A call with its audio.
struct Call {
    audio: Option<JoinHandle<()>>,
    port: u16,
    version: u32,
    tag: String,
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(audio) = &self.audio {
            audio.abort();
        }
    }
}

impl Worker {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut due = Instant::now();
        let mut buffer = vec![0; 65_535];
        loop {
            if Instant::now() >= due {
                self.send_register().await?;
                due = Instant::now()
                    + if *self.said.borrow() {
                        EXPIRES / 2
                    } else {
                        RETRY
                    };
            }
            let Ok(received) = timeout_at(due, self.socket.recv(&mut buffer)).await else {
                continue;
            };
            let Ok(length) = received else { continue };
            let Ok(message) = SipMessage::try_from(&buffer[..length]) else {
                continue;
            };
            match message {
                SipMessage::Request(request) => {
                    if let Err(error) = self.request(&request).await {
                        tracing::debug!(?error, "a demo user could not take a request");
                    }
                }
                SipMessage::Response(response) => {
                    if self.registered_by(&response)? {
                        self.send_register().await?;
                    }
                }
            }
        }
    }

    fn uri(&self) -> anyhow::Result<Uri> {
        let host = super::bracketed(self.registrar.ip());
        Ok(Uri::try_from(format!("sip:{}@{host}", self.account.user))?)
    }

    fn contact(&self) -> String {
        format!("<sip:{}@{}>", self.account.user, self.local)
    }

    async fn send_register(&mut self) -> anyhow::Result<()> {
        self.register.cseq += 1;
        let aor = self.uri()?;
        let server = Uri::try_from(format!("sip:{}", super::bracketed(self.registrar.ip())))?;
        let mut headers: Vec<Header> = vec![
            rsip::headers::Via::new(format!(
                "SIP/2.0/UDP {};branch=z9hG4bK{};rport",
                self.local,
                random_word()?
            ))
            .into(),
            rsip::headers::MaxForwards::new("70").into(),
            rsip::headers::From::new(format!("<{aor}>;tag={}", self.register.tag)).into(),
            rsip::headers::To::new(format!("<{aor}>")).into(),
            rsip::headers::CallId::new(self.register.call_id.clone()).into(),
            rsip::headers::CSeq::new(format!("{} REGISTER", self.register.cseq)).into(),
            rsip::headers::Contact::new(self.contact()).into(),
            rsip::headers::Expires::new(EXPIRES.as_secs().to_string()).into(),
        ];
        if let Some(credentials) = &self.register.credentials {
            headers.push(rsip::headers::Authorization::from(credentials.clone()).into());
        }
        headers.push(rsip::headers::ContentLength::new("0").into());
        let request = Request {
            method: Method::Register,
            uri: server,
            version: rsip::Version::V2,
            headers: headers.into(),
            body: Vec::new(),
        };
        self.socket.send(&Vec::from(request)).await?;
        Ok(())
    }

    /// Takes an answer to a REGISTER; true if it has to be sent again with credentials.
    fn registered_by(&mut self, response: &Response) -> anyhow::Result<bool> {
        if !matches!(response.cseq_header()?.typed()?.method, Method::Register) {
            return Ok(false);
        }
        match response.status_code {
            StatusCode::OK => {
                self.said.send_replace(true);
                Ok(false)
            }
            StatusCode::Unauthorized => {
                let challenge = response
                    .www_authenticate_header()
                    .context("a 401 without a challenge")?
                    .typed()?;
                self.register.credentials = Some(self.credentials(challenge)?);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn credentials(
        &self,
        challenge: rsip::typed::WwwAuthenticate,
    ) -> anyhow::Result<rsip::typed::Authorization> {
        let uri = Uri::try_from(format!("sip:{}", super::bracketed(self.registrar.ip())))?;
        let qop = rsip::headers::auth::AuthQop::Auth {
            cnonce: random_word()?,
            nc: 1,
        };
        let qop = challenge.qop.is_some().then_some(qop);
        let algorithm = challenge.algorithm.unwrap_or_default();
        let response = DigestGenerator {
            username: &self.account.user,
            password: &self.account.password,
            algorithm,
            nonce: &challenge.nonce,
            method: &Method::Register,
            qop: qop.as_ref(),
            uri: &uri,
            realm: &challenge.realm,
        }
        .compute();
        Ok(rsip::typed::Authorization {
            scheme: challenge.scheme,
            username: self.account.user.clone(),
            realm: challenge.realm,
            nonce: challenge.nonce,
            uri,
            response,
            algorithm: Some(algorithm),
            opaque: challenge.opaque,
            qop,
        })
    }

    async fn request(&mut self, request: &Request) -> anyhow::Result<()> {
        let call_id = request.call_id_header()?.value().to_owned();
        match request.method {
            Method::Ack => Ok(()),
            Method::Invite | Method::Update if !request.body.is_empty() => {
                self.answer(request, call_id).await
            }
            Method::Invite => {
                self.reply(request, StatusCode::NotAcceptableHere, "", &[])
                    .await
            }
            Method::Bye | Method::Cancel => {
                let tag = self.calls.remove(&call_id).map(|call| call.tag.clone());
                self.reply(request, StatusCode::OK, tag.as_deref().unwrap_or(""), &[])
                    .await
            }
            Method::Options | Method::Info | Method::Update => {
                self.reply(request, StatusCode::OK, "", &[]).await
            }
            _ => {
                self.reply(request, StatusCode::MethodNotAllowed, "", &[])
                    .await
            }
        }
    }

    /// Answers an offer, of a new call or of one that is up.
    async fn answer(&mut self, request: &Request, call_id: String) -> anyhow::Result<()> {
        let Some(offer) = Offer::read(&request.body) else {
            return self
                .reply(request, StatusCode::NotAcceptableHere, "", &[])
                .await;
        };
        if !self.calls.contains_key(&call_id) {
            if self.calls.len() >= CALLS {
                return self.reply(request, StatusCode::BusyHere, "", &[]).await;
            }
            let socket = UdpSocket::bind((self.local.ip(), 0)).await?;
            let port = socket.local_addr()?.port();
            let audio = match self.answer {
                Answer::Echo => tokio::spawn(rtp::echo(socket)),
                Answer::Tone => tokio::spawn(rtp::tone(socket, offer.address, offer.payload_type)),
            };
            let call = Call {
                audio: Some(audio),
                port,
                version: 0,
                tag: random_word()?,
            };
            self.calls.insert(call_id.clone(), call);
        }
        let Some(call) = self.calls.get_mut(&call_id) else {
            return Ok(());
        };
        call.version += 1;
        let body = offer.answer(self.local.ip(), call.port, call.version);
        let tag = call.tag.clone();
        self.reply(request, StatusCode::OK, &tag, body.as_bytes())
            .await
    }

    async fn reply(
        &self,
        request: &Request,
        status: StatusCode,
        tag: &str,
        body: &[u8],
    ) -> anyhow::Result<()> {
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
        headers.push(rsip::headers::Contact::new(self.contact()).into());
        if !body.is_empty() {
            headers.push(rsip::headers::ContentType::new("application/sdp").into());
        }
        headers.push(rsip::headers::ContentLength::new(body.len().to_string()).into());
        let response = Response {
            status_code: status,
            version: rsip::Version::V2,
            headers: headers.into(),
            body: body.to_vec(),
        };
        self.socket.send(&Vec::from(response)).await?;
        Ok(())
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

fn random_word() -> anyhow::Result<String> {
    Ok(format!(
        "{:016x}",
        getrandom::u64().context("the system gives no random bytes")?
    ))
}
