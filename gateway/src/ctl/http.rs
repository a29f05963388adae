//! The least of HTTP/1.1: one request, one answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

/// The node answers at once, or it is in trouble.
const PATIENCE: Duration = Duration::from_secs(5);
/// Who follows a trace hears something every 15 s.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer's head at most, and of a refusal.
const LONGEST_HEAD: u64 = 64 << 10;
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

/// Gets what is at `path` line by line, for as long as the node goes on. It says something every 15 s at least.
pub(super) fn lines(
    admin: SocketAddr,
    path: &str,
    mut each: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut stream =
        TcpStream::connect_timeout(&admin, PATIENCE).with_context(|| unreachable(admin))?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // Of HTTP/1.0 an answer ends with its connection, and is not cut into chunks.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {admin}\r\n\r\n").as_bytes())?;
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let read = stream.by_ref().take(LONGEST_HEAD).read_line(&mut head);
        if read.with_context(|| unreachable(admin))? == 0 || head.len() as u64 > LONGEST_HEAD {
            break;
        }
    }
    if head.split_whitespace().nth(1) != Some("200") {
        let mut body = String::new();
        stream
            .by_ref()
            .take(LONGEST_HEAD)
            .read_to_string(&mut body)?;
        said(&(head + &body))?;
    }
    let mut line = String::new();
    loop {
        line.clear();
        let read = stream.by_ref().take(LONGEST).read_line(&mut line);
        match read.context("the node fell silent")? {
            0 => return Ok(()),
            _ => each(&line)?,
        }
    }
}

fn unreachable(admin: SocketAddr) -> String {
    format!(
        "no node answers at {admin}: is it running, and is that its `[admin] listen`? (--admin names another)"
    )
}

fn exchange(admin: SocketAddr, request: &str) -> anyhow::Result<String> {
    let unreachable = || unreachable(admin);
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
