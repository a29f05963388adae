//! A phone that does nothing but register, and counts what that takes: RFC 3261 §10.2 and §22, with Timer E.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rsip::services::DigestGenerator;
use tokio::net::UdpSocket;

/// The domain of all users.
pub(crate) const DOMAIN: &str = "kit.test";
/// The password of all users.
pub(crate) const PASSWORD: &str = "secret";
/// A phone that is challenged more often than this gives up: baresip does at the second challenge.
const ATTEMPTS: u32 = 6;
const T1: Duration = Duration::from_millis(500);

/// A phone.
pub(crate) struct Device {
    socket: UdpSocket,
    user: String,
    number: u32,
}

/// How a registration went.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    /// The last status.
    pub(crate) status: u16,
    /// REGISTERs, without those that were only sent again.
    pub(crate) requests: u32,
    /// What the servers that answered call themselves.
    pub(crate) servers: Vec<String>,
    /// From the first REGISTER to the last answer.
    pub(crate) took: Duration,
}

impl Device {
    pub(crate) async fn new(user: &str) -> Result<Self> {
        Ok(Self {
            socket: UdpSocket::bind("127.0.0.1:0").await?,
            user: user.to_owned(),
            number: 0,
        })
    }

    /// Registers; the first request goes to the first server, the next to the next, and so on.
    pub(crate) async fn register(&mut self, servers: &[SocketAddr]) -> Result<Registered> {
        let began = Instant::now();
        let mut registered = Registered {
            status: 0,
            requests: 0,
            servers: Vec::new(),
            took: Duration::ZERO,
        };
        let mut credentials = String::new();
        for server in servers.iter().cycle().take(ATTEMPTS as usize) {
            let answer = self.ask(*server, &credentials).await?;
            registered.requests += 1;
            registered.status = status(&answer).context("no status")?;
            registered
                .servers
                .push(header(&answer, "Server").unwrap_or_default().to_owned());
            if registered.status != 401 {
                break;
            }
            credentials =
                self.credentials(header(&answer, "WWW-Authenticate").context("no challenge")?)?;
        }
        registered.took = began.elapsed();
        Ok(registered)
    }

    /// One request and its final answer.
    async fn ask(&mut self, server: SocketAddr, credentials: &str) -> Result<String> {
        self.number += 1;
        let (user, number, own) = (&self.user, self.number, self.socket.local_addr()?);
        let request = format!(
            "REGISTER sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK{user}x{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:{user}@{DOMAIN}>;tag={user}\r\nTo: <sip:{user}@{DOMAIN}>\r\nCall-ID: {user}-{own}\r\n\
             CSeq: {number} REGISTER\r\nContact: <sip:{user}@{own}>\r\nExpires: 600\r\n{credentials}Content-Length: 0\r\n\r\n"
        );
        let numbered = format!("CSeq: {number} REGISTER");
        let began = Instant::now();
        let mut pause = T1;
        let mut buffer = vec![0; 65_535];
        while began.elapsed() < T1 * 64 {
            self.socket.send_to(request.as_bytes(), server).await?;
            let again = Instant::now() + pause;
            while let Ok(received) =
                tokio::time::timeout_at(again.into(), self.socket.recv_from(&mut buffer)).await
            {
                let (length, _) = received?;
                let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if answer.contains(&numbered) && status(&answer).is_some_and(|status| status >= 200)
                {
                    return Ok(answer);
                }
            }
            pause = (pause * 2).min(T1 * 8);
        }
        bail!("{user}: nobody answered in {:?}", began.elapsed())
    }

    fn credentials(&self, challenge: &str) -> Result<String> {
        let of = |name: &str| {
            challenge
                .split_once(&format!("{name}=\""))
                .and_then(|(_, rest)| rest.split('"').next())
        };
        let (realm, nonce) = (
            of("realm").context("no realm")?,
            of("nonce").context("no nonce")?,
        );
        let text = format!("sip:{DOMAIN}");
        let uri = rsip::Uri::try_from(text.as_str())?;
        let digest = DigestGenerator {
            username: &self.user,
            password: PASSWORD,
            nonce,
            uri: &uri,
            realm,
            method: &rsip::Method::Register,
            qop: None,
            algorithm: rsip::headers::auth::Algorithm::Md5,
        };
        Ok(format!(
            "Authorization: Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{text}\", response=\"{}\", algorithm=MD5\r\n",
            self.user,
            digest.compute()
        ))
    }
}

/// The status of a response.
pub(crate) fn status(message: &str) -> Option<u16> {
    message
        .strip_prefix("SIP/2.0 ")?
        .split(' ')
        .next()?
        .parse()
        .ok()
}

/// The first value of a header, by its long name.
pub(crate) fn header<'m>(message: &'m str, name: &str) -> Option<&'m str> {
    message.lines().find_map(|line| {
        let (own, value) = line.split_once(':')?;
        own.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}
