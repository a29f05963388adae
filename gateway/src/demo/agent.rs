//! A user agent that registers over UDP and answers every call: the demo's echo and tone. Built with rsip's typed
//! requests, apart from the gateway's own wire layer, so that it is a peer and not a mirror.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rsip::headers::{ToTypedHeader, UntypedHeader};
use rsip::message::HeadersExt;
use rsip::services::DigestGenerator;
use rsip::{Header, Method, Request, Response, SipMessage, StatusCode, Uri};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::accounts::Account;
use super::answer::{Answer, Calls, random_word};

/// How long a registration is asked for, and after which part of it it is renewed.
const EXPIRES: Duration = Duration::from_secs(600);
/// Retransmission of a REGISTER that nobody answers.
const RETRY: Duration = Duration::from_millis(500);

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
            calls: Calls::at(local),
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
    calls: Calls,
    said: watch::Sender<bool>,
    register: Register,
}

struct Register {
    call_id: String,
    tag: String,
    cseq: u32,
    credentials: Option<rsip::typed::Authorization>,
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
                    let user = &self.account.user;
                    // What cannot be sent is repeated by whoever waits for it.
                    match self.calls.respond(&request, user, Some(self.answer)).await {
                        Ok(Some(answer)) => drop(self.socket.send(&answer).await),
                        Ok(None) => {}
                        Err(error) => {
                            tracing::debug!(?error, "a demo user could not take a request");
                        }
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
}
