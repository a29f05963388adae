//! The least of HTTP/1.1: one request, one answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

/// The node answers at once, or it is in trouble.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer at most.
const LONGEST: u64 = 64 << 20;

/// Gets what is at `path`.
pub(super) fn get(admin: SocketAddr, path: &str) -> anyhow::Result<String> {
    exchange(
        admin,
        &format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"),
    )
}

/// Sends JSON to `path`.
pub(super) fn post(admin: SocketAddr, path: &str, body: &str) -> anyhow::Result<String> {
    let length = body.len();
    exchange(
        admin,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ),
    )
}

fn exchange(admin: SocketAddr, request: &str) -> anyhow::Result<String> {
    let unreachable = || {
        format!(
            "no node answers at {admin}: is it running, and is that its `[admin] listen`? (--admin names another)"
        )
    };
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE).with_context(unreachable)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut answer = String::new();
    let exchanged = stream
        .write_all(request.as_bytes())
        .and_then(|()| stream.take(LONGEST).read_to_string(&mut answer));
    exchanged.with_context(unreachable)?;
    said(&answer)
}

/// The body of an answer; an error with what it says if it is a refusal.
fn said(answer: &str) -> anyhow::Result<String> {
    let (head, body) = answer.split_once("\r\n\r\n").context(
        "what answers there is no HTTP: `[admin] listen` is another port than those for SIP",
    )?;
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    match status {
        "200" => Ok(body.to_owned()),
        _ => bail!("{} ({status})", body.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_body_or_a_refusal() {
        let of = |answer: &str| said(answer).map_err(|error| error.to_string());
        assert_eq!(of("HTTP/1.1 200 OK\r\na: b\r\n\r\n{}"), Ok("{}".to_owned()));
        assert_eq!(
            of("HTTP/1.1 404 Not Found\r\n\r\nno member\n"),
            Err("no member (404)".to_owned())
        );
        assert!(of("SSH-2.0\r\n").is_err_and(|why| why.contains("no HTTP")));
    }
}
