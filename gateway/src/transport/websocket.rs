//! SIP over WebSocket (RFC 7118): one SIP message a WebSocket message, text or binary, fragments put together by the
//! library. One task a connection; the HTTP part is over (see `http`).

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::{FutureExt, Sink, Stream};
use sip::Limits;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::connection::Session;
use super::deadlines::{Deadlines, Due};
use super::error::CloseReason;
use super::frames::Frames;
use super::link::Link;
use super::outbox::Next;
use super::stream::closed_by;

/// The library zeroes its buffer at every read: 2 KiB costs 0.27 µs a message, its default of 128 KiB 1.83.
const READ_BYTES: usize = 2 * 1024;
/// A message above this makes the library's buffers grow, which are then given back. A browser's INVITE does.
const LONG_MESSAGE: usize = READ_BYTES;
/// Messages before others get their turn.
const MESSAGES_A_TURN: usize = 32;

pub(super) async fn serve(session: &Session, link: Link, first: Bytes) -> CloseReason {
    let deadlines = Deadlines::new(Instant::now(), true, session.accepted);
    let timeouts = &session.shared.settings.timeouts;
    let mut timer = pin!(sleep_until(deadlines.next(timeouts).0));
    let config = config(&session.shared.settings.limits);
    let Some(stream) = wrap(Tap::new(link, first), config) else {
        return CloseReason::Io(io::ErrorKind::Other);
    };
    let mut page = Page {
        session,
        stream: Some(stream),
        config,
        deadlines,
        grown: false,
    };
    let reason = poll_fn(|cx| page.poll(cx, timer.as_mut())).await;
    if reason.is_abrupt() {
        page.link().inspect(|link| link.reset());
    } else {
        // Whether the farewell arrives makes no difference to us.
        let _ = timeout(timeouts.farewell, page.farewell(&reason)).await;
    }
    reason
}

fn config(limits: &Limits) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.message_bytes))
}

/// Makes a WebSocket of a stream whose upgrade is done. That needs no waiting, although the library's function is async.
fn wrap(tap: Tap, config: WebSocketConfig) -> Option<WebSocketStream<Tap>> {
    WebSocketStream::from_raw_socket(tap, Role::Server, Some(config)).now_or_never()
}

struct Page<'a> {
    session: &'a Session,
    /// `None` only while it is wrapped anew.
    stream: Option<WebSocketStream<Tap>>,
    config: WebSocketConfig,
    deadlines: Deadlines,
    /// A long message has passed since the stream was wrapped.
    grown: bool,
}

impl Page<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, timer: Pin<&mut Sleep>) -> Poll<CloseReason> {
        self.session.entry.outbox.attend();
        if let Poll::Ready(reason) = self.poll_read(cx) {
            return Poll::Ready(reason);
        }
        loop {
            let blocked = match self.poll_write(cx) {
                Poll::Pending => true,
                Poll::Ready(Ok(())) => false,
                Poll::Ready(Err(error)) => return Poll::Ready(reason_of(&error)),
            };
            if !blocked && self.give_back() {
                // So that the socket wakes the new wrap, and not what is left of the old one.
                if let Poll::Ready(reason) = self.poll_read(cx) {
                    return Poll::Ready(reason);
                }
                continue;
            }
            match self.session.entry.outbox.park(cx.waker(), blocked) {
                Next::Sleep => break,
                Next::More => {}
                Next::Close(reason) => return Poll::Ready(reason),
            }
        }
        match ready!(
            self.deadlines
                .poll_due(timer, &self.session.shared.settings.timeouts, cx)
        ) {
            Due::Close(reason) => Poll::Ready(reason),
            Due::Ping => {
                self.deadlines.pinged();
                if let Err(error) = self.send(Message::Ping(Bytes::new())) {
                    return Poll::Ready(reason_of(&error));
                }
                // Flushes the ping, and sets the timer to the pong's end.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    /// Hands on what is there; ready with the reason when the connection is to end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        for _ in 0..MESSAGES_A_TURN {
            let Some(stream) = &mut self.stream else {
                return Poll::Ready(CloseReason::Io(io::ErrorKind::Other));
            };
            let next = Pin::new(&mut *stream).poll_next(cx);
            if std::mem::take(&mut stream.get_mut().heard) {
                let half = !stream.get_ref().frames.between_messages();
                self.deadlines.heard(Instant::now(), half, next.is_ready());
            }
            match ready!(next) {
                Some(Ok(message)) => self.received(message),
                Some(Err(error)) => return Poll::Ready(reason_of(&error)),
                None => return Poll::Ready(CloseReason::ByPeer),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn received(&mut self, message: Message) {
        let bytes = match message {
            Message::Text(text) => Bytes::from(text),
            Message::Binary(bytes) => bytes,
            Message::Pong(_) => return self.session.keepalive(),
            // The library answers both; the stream ends by itself after a close.
            Message::Ping(_) | Message::Close(_) | Message::Frame(_) => return,
        };
        self.grown |= bytes.len() > LONG_MESSAGE;
        match &bytes[..] {
            // SIP.js sends RFC 5626's ping inside a WebSocket message, and hears the pong.
            b"\r\n\r\n" => {
                let _ = self.session.entry.outbox.push(Bytes::from_static(b"\r\n"));
                self.session.keepalive();
            }
            b"\r\n" => self.session.keepalive(),
            b"" => {}
            _ => self.session.deliver(bytes),
        }
    }

    /// Writes what waits; ready when nothing does.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut one = std::collections::VecDeque::new();
        loop {
            let Some(stream) = &mut self.stream else {
                return Poll::Ready(Err(Error::AlreadyClosed));
            };
            ready!(Pin::new(&mut *stream).poll_ready(cx))?;
            self.session.entry.outbox.take(&mut one, 1);
            let Some(bytes) = one.pop_front() else {
                return Pin::new(stream).poll_flush(cx);
            };
            self.grown |= bytes.len() > LONG_MESSAGE;
            // RFC 7118 §4.2: text unless it is not UTF-8.
            let message = match Utf8Bytes::try_from(bytes.clone()) {
                Ok(text) => Message::Text(text),
                Err(_) => Message::Binary(bytes),
            };
            self.send(message)?;
        }
    }

    fn send(&mut self, message: Message) -> Result<(), Error> {
        match &mut self.stream {
            Some(stream) => Pin::new(stream).start_send(message),
            None => Err(Error::AlreadyClosed),
        }
    }

    /// Gives back what long messages made the library's buffers grow, if nothing is in them. True if it did.
    fn give_back(&mut self) -> bool {
        let idle = |stream: &WebSocketStream<Tap>| stream.get_ref().is_between_messages();
        if !self.grown || !self.stream.as_ref().is_some_and(idle) {
            return false;
        }
        self.grown = false;
        self.stream = self
            .stream
            .take()
            .and_then(|stream| wrap(stream.into_inner(), self.config));
        true
    }

    fn link(&self) -> Option<&Link> {
        self.stream.as_ref().map(|stream| &stream.get_ref().link)
    }

    async fn farewell(&mut self, reason: &CloseReason) -> Result<(), Error> {
        poll_fn(|cx| self.poll_write(cx)).await?;
        self.send(Message::Close(Some(close_frame(reason))))?;
        poll_fn(|cx| self.poll_write(cx)).await?;
        if let Some(stream) = &mut self.stream {
            stream.get_mut().link.shutdown().await?;
        }
        Ok(())
    }
}

/// RFC 6455 §7.4.1. JsSIP and SIP.js connect again after any of them.
fn close_frame(reason: &CloseReason) -> CloseFrame {
    let code = match reason {
        CloseReason::Stopping | CloseReason::Idle | CloseReason::Silent => CloseCode::Away,
        CloseReason::TooLarge => CloseCode::Size,
        CloseReason::Malformed(_) => CloseCode::Protocol,
        CloseReason::HalfMessage | CloseReason::OutboxFull => CloseCode::Policy,
        CloseReason::ByPeer | CloseReason::Asked => CloseCode::Normal,
        CloseReason::NoPong | CloseReason::Io(_) => CloseCode::Error,
    };
    CloseFrame {
        code,
        reason: Utf8Bytes::from_static(reason.label()),
    }
}

fn reason_of(error: &Error) -> CloseReason {
    use tokio_tungstenite::tungstenite::error::ProtocolError;
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => CloseReason::ByPeer,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => CloseReason::ByPeer,
        Error::Io(error) => closed_by(error),
        Error::Capacity(_) => CloseReason::TooLarge,
        other => CloseReason::Malformed(other.to_string()),
    }
}

/// The stream under the library: gives what was read behind the upgrade first, and knows where messages end.
struct Tap {
    link: Link,
    first: Bytes,
    frames: Frames,
    heard: bool,
}

impl Tap {
    fn new(link: Link, first: Bytes) -> Self {
        Self {
            link,
            first,
            frames: Frames::default(),
            heard: false,
        }
    }

    fn is_between_messages(&self) -> bool {
        self.first.is_empty() && self.frames.between_messages()
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.first.is_empty() {
            ready!(Pin::new(&mut self.link).poll_read(cx, buf))?;
        } else {
            let count = self.first.len().min(buf.remaining());
            buf.put_slice(&self.first[..count]);
            self.first.advance(count);
        }
        self.heard |= buf.filled().len() > before;
        self.frames.pass(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.link).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_shutdown(cx)
    }
}
