//! A phone as a socket: it counts the bytes of what it is sent.

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::message::{call_id, response};
use super::stage::{PHONE, SOON, public};

/// The phone.
pub(super) struct Device {
    socket: UdpSocket,
}

impl Device {
    pub(super) async fn bind(port: u16) -> Self {
        let socket = UdpSocket::bind((PHONE, port)).await.unwrap();
        Device { socket }
    }

    /// A REGISTER with these lines of credentials; its final answer.
    pub(super) async fn register(&self, user: &str, domain: &str, credentials: &str) -> String {
        let number = 1 + credentials.len();
        let register = format!(
            "REGISTER sip:{domain} SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.0.90:2048;branch=z9hG4bKr{number};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:{user}@{domain}>;tag=r\r\nTo: <sip:{user}@{domain}>\r\nCall-ID: registers\r\nCSeq: {number} REGISTER\r\n\
             Contact: <sip:{user}@192.168.0.90:2048;line=jhshono4>\r\nExpires: 600\r\n{credentials}Content-Length: 0\r\n\r\n"
        );
        self.send(&register).await;
        self.hears("SIP/2.0 ", "registers").await
    }

    async fn send(&self, message: &str) {
        let sent = self.socket.send_to(message.as_bytes(), public()).await;
        sent.unwrap();
    }

    /// The next message of a call that begins so; what is sent again is passed over.
    pub(super) async fn hears(&self, begins: &str, call: &str) -> String {
        let mut buffer = vec![0; 65_535];
        let wanted = async {
            loop {
                let length = self.socket.recv(&mut buffer).await.unwrap();
                let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if message.starts_with(begins) && call_id(&message) == call {
                    return message;
                }
            }
        };
        timeout(SOON, wanted).await.expect(begins)
    }

    pub(super) async fn answers(&self, request: &str, status: &str) {
        self.send(&response(request, status, "")).await;
    }
}
