//! The two ends that run as processes of their own: a stub of a registrar, and the bare reflector.

use std::net::{SocketAddr, UdpSocket};

use anyhow::{Context, Result};
use tokio::net::UdpSocket as AsyncSocket;

use crate::message::header;

/// Datagrams taken from a socket before the other one has its turn.
const TURN: usize = 64;

/// Answers every request with 200 at once, but an ACK; an INVITE with `session`.
pub(crate) fn stub(address: SocketAddr, session: &str) -> Result<()> {
    let socket =
        UdpSocket::bind(address).with_context(|| format!("the stub cannot have {address}"))?;
    println!("stub listens");
    let mut buffer = vec![0; 65536];
    let mut answer = String::with_capacity(2048);
    loop {
        let (length, peer) = socket.recv_from(&mut buffer)?;
        let Ok(text) = std::str::from_utf8(&buffer[..length]) else {
            continue;
        };
        if write_answer(text, address, session, &mut answer) {
            // A peer that is gone is the benchmark's own doing.
            let _ = socket.send_to(answer.as_bytes(), peer);
        }
    }
}

/// The 200 to a request; false for what is not answered.
pub(crate) fn write_answer(
    request: &str,
    own: SocketAddr,
    session: &str,
    answer: &mut String,
) -> bool {
    if request.starts_with("ACK ") || request.starts_with("SIP/2.0 ") || request.len() < 20 {
        return false;
    }
    answer.clear();
    answer.push_str("SIP/2.0 200 OK\r\n");
    for line in request
        .split("\r\n")
        .skip(1)
        .take_while(|line| !line.is_empty())
    {
        let name = line.split(':').next().unwrap_or_default().trim();
        let kept = [
            "Via",
            "From",
            "Call-ID",
            "CSeq",
            "Record-Route",
            "v",
            "f",
            "i",
        ];
        let to = name.eq_ignore_ascii_case("To") || name == "t";
        if to || kept.iter().any(|kept| kept.eq_ignore_ascii_case(name)) {
            answer.push_str(line);
            answer.push_str(if to && !line.contains(";tag=") {
                ";tag=stub\r\n"
            } else {
                "\r\n"
            });
        }
    }
    if request.starts_with("REGISTER ") {
        if let Some(contact) = header(request, "Contact").next() {
            answer.push_str("Contact: ");
            answer.push_str(contact);
            answer.push_str("\r\n");
        }
    } else {
        answer.push_str(&format!("Contact: <sip:stub@{own}>\r\n"));
    }
    let session = if request.starts_with("INVITE ") {
        session
    } else {
        ""
    };
    if !session.is_empty() {
        answer.push_str("Content-Type: application/sdp\r\n");
    }
    answer.push_str(&format!(
        "Content-Length: {}\r\n\r\n{session}",
        session.len()
    ));
    true
}

/// Passes every datagram of its public socket to `target` and every answer back to who sent last: the floor of any proxy, with the
/// same runtime as ours and without a look into the datagram.
pub(crate) async fn reflect(public: SocketAddr, target: SocketAddr) -> Result<()> {
    let outside = AsyncSocket::bind(public)
        .await
        .with_context(|| format!("the reflector cannot have {public}"))?;
    let inside = AsyncSocket::bind(("127.0.0.1", 0)).await?;
    println!("reflector listens");
    let mut buffer = vec![0; 65536];
    let mut client = None;
    loop {
        tokio::select! {
            ready = outside.readable() => ready?,
            ready = inside.readable() => ready?,
        }
        for _ in 0..TURN {
            let Ok((length, peer)) = outside.try_recv_from(&mut buffer) else {
                break;
            };
            client = Some(peer);
            let _ = inside.try_send_to(&buffer[..length], target);
        }
        for _ in 0..TURN {
            let Ok((length, _)) = inside.try_recv_from(&mut buffer) else {
                break;
            };
            if let Some(client) = client {
                let _ = outside.try_send_to(&buffer[..length], client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stub_answers_what_a_registrar_would() {
        let own = SocketAddr::from(([127, 0, 0, 1], 5060));
        let mut answer = String::new();
        let request = "REGISTER sip:x SIP/2.0\r\nVia: a\r\nTo: <sip:u@x>\r\nCall-ID: 1\r\nContact: c\r\nSubject: no\r\n\r\n";
        assert!(write_answer(request, own, "s", &mut answer));
        assert_eq!(
            answer,
            "SIP/2.0 200 OK\r\nVia: a\r\nTo: <sip:u@x>;tag=stub\r\nCall-ID: 1\r\nContact: c\r\nContent-Length: 0\r\n\r\n"
        );
        assert!(write_answer(
            "INVITE sip:x SIP/2.0\r\nVia: a\r\n\r\n",
            own,
            "s",
            &mut answer
        ));
        assert!(
            answer.ends_with("Content-Type: application/sdp\r\nContent-Length: 1\r\n\r\ns"),
            "{answer}"
        );
        assert!(!write_answer(
            "ACK sip:x SIP/2.0\r\nVia: a\r\n\r\n",
            own,
            "s",
            &mut answer
        ));
    }
}
