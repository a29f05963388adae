//! The core behind the registrars: it answers numbers and names with real audio, for whoever the registrars let through.

use std::net::SocketAddr;

use rsip::{Request, SipMessage};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use crate::demo::answer::{Answer, Calls};

/// Who answers here, and how.
pub(super) const NUMBERS: [(&str, Answer); 4] = [
    ("9196", Answer::Echo),
    ("echo", Answer::Echo),
    ("9198", Answer::Tone),
    ("tone", Answer::Tone),
];

/// The running core; it ends with this value.
pub(super) struct Core {
    task: JoinHandle<()>,
}

impl Drop for Core {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Core {
    /// Starts it for these registrars; nobody else is heard.
    pub(super) async fn start(
        address: SocketAddr,
        registrars: [SocketAddr; 2],
    ) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind(address).await?;
        let task = tokio::spawn(async move {
            let mut calls = Calls::at(address);
            let mut buffer = vec![0; 65_535];
            loop {
                let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
                    continue;
                };
                let Ok(SipMessage::Request(request)) = SipMessage::try_from(&buffer[..length])
                else {
                    continue;
                };
                if !registrars.contains(&from) {
                    continue;
                }
                match answer(&mut calls, &request).await {
                    // What cannot be sent is repeated by whoever waits for it.
                    Ok(Some(answer)) => drop(socket.send_to(&answer, from).await),
                    Ok(None) => {}
                    Err(error) => tracing::debug!(?error, "the core could not take a request"),
                }
            }
        });
        Ok(Self { task })
    }
}

async fn answer(calls: &mut Calls, request: &Request) -> anyhow::Result<Option<Vec<u8>>> {
    let called = request.uri.user().unwrap_or_default().to_owned();
    let known = NUMBERS.iter().find(|(user, _)| *user == called);
    calls
        .respond(request, &called, known.map(|(_, answer)| *answer))
        .await
}
