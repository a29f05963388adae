//! SIP over TCP and TLS: framing by Content-Length (RFC 3261 §18.3), keepalives (RFC 5626 §3.5.1), one task a connection
//! that reads and writes at once, so that a peer that does not read can still be heard and closed.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use sip::{Frame, Framer, FramingError};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::connection::Session;
use super::deadlines::{Deadlines, Due};
use super::error::CloseReason;
use super::link::Link;
use super::outbox::Next;

/// One read; on the stack, so that an idle connection holds none of it.
const READ_BYTES: usize = 16 * 1024;
/// Reads before others get their turn.
const READS_A_TURN: usize = 8;
/// Messages that one system call sends at most.
const BATCH: usize = 16;

pub(super) async fn serve(session: &Session, link: Link) -> CloseReason {
    let deadlines = Deadlines::new(Instant::now(), false, session.accepted);
    let timeouts = &session.shared.settings.timeouts;
    let mut timer = pin!(sleep_until(deadlines.next(timeouts).0));
    let framer = Framer::new(&session.shared.settings.limits);
    let mut peer = Peer {
        session,
        link,
        framer,
        waiting: VecDeque::new(),
        deadlines,
    };
    let reason = poll_fn(|cx| peer.poll(cx, timer.as_mut())).await;
    if reason.is_abrupt() {
        peer.link.reset();
    } else {
        // Whether the farewell arrives makes no difference to us.
        let _ = timeout(timeouts.farewell, peer.farewell()).await;
    }
    reason
}

struct Peer<'a> {
    session: &'a Session,
    link: Link,
    framer: Framer,
    waiting: VecDeque<Bytes>,
    deadlines: Deadlines,
}

impl Peer<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, timer: Pin<&mut Sleep>) -> Poll<CloseReason> {
        self.session.entry.outbox.attend();
        if let Poll::Ready(reason) = self.poll_read(cx) {
            return Poll::Ready(reason);
        }
        loop {
            let blocked = match self.poll_write(cx) {
                Poll::Pending => true,
                Poll::Ready(Ok(())) => false,
                Poll::Ready(Err(error)) => return Poll::Ready(CloseReason::Io(error.kind())),
            };
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
            // Only WebSockets are pinged.
            Due::Ping => Poll::Pending,
        }
    }

    /// Reads what is there; ready with the reason when the connection is to end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        for _ in 0..READS_A_TURN {
            let mut buffer = ReadBuf::uninit(&mut space);
            match ready!(Pin::new(&mut self.link).poll_read(cx, &mut buffer)) {
                Ok(()) if buffer.filled().is_empty() => return Poll::Ready(CloseReason::ByPeer),
                Ok(()) => {}
                Err(error) => return Poll::Ready(closed_by(&error)),
            }
            self.framer.push(buffer.filled());
            match self.frames() {
                Ok(spoke) => {
                    let half = !self.framer.is_idle();
                    self.deadlines.heard(Instant::now(), half, spoke);
                }
                Err(error) => return Poll::Ready(refused(&error)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Hands on each whole frame; true if there was one.
    fn frames(&mut self) -> Result<bool, FramingError> {
        let mut spoke = false;
        while let Some(frame) = self.framer.next()? {
            spoke = true;
            match frame {
                Frame::Message(message) => self.session.deliver(message),
                Frame::Ping => {
                    // An outbox without room for two bytes is being closed anyway.
                    let _ = self.session.entry.outbox.push(Bytes::from_static(b"\r\n"));
                    self.session.keepalive();
                }
                Frame::Pong => self.session.keepalive(),
            }
        }
        Ok(spoke)
    }

    /// Writes what waits; ready when nothing does.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.waiting.is_empty() {
                self.session.entry.outbox.take(&mut self.waiting, BATCH);
            }
            if self.waiting.is_empty() {
                return Pin::new(&mut self.link).poll_flush(cx);
            }
            let mut slices = [IoSlice::new(&[]); BATCH];
            let mut count = 0;
            for (slice, message) in slices.iter_mut().zip(&self.waiting) {
                *slice = IoSlice::new(message);
                count += 1;
            }
            let link = Pin::new(&mut self.link);
            let written = ready!(link.poll_write_vectored(cx, &slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            written_off(&mut self.waiting, written);
        }
    }

    async fn farewell(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_write(cx)).await?;
        self.link.shutdown().await
    }
}

/// Takes the written bytes off the messages that wait.
fn written_off(waiting: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(front) = waiting.front_mut() {
        if written < front.len() {
            front.advance(written);
            return;
        }
        written -= front.len();
        waiting.pop_front();
    }
}

/// TLS peers that close without a close_notify are met every day; that is no error.
pub(super) fn closed_by(error: &io::Error) -> CloseReason {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => CloseReason::ByPeer,
        kind => CloseReason::Io(kind),
    }
}

fn refused(error: &FramingError) -> CloseReason {
    match error {
        FramingError::TooLong { .. } => CloseReason::TooLarge,
        other => CloseReason::Malformed(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_ends_inside_a_message_leaves_its_rest() {
        for (written, want) in [
            (0, vec!["abc", "de"]),
            (2, vec!["c", "de"]),
            (3, vec!["de"]),
            (5, vec![]),
        ] {
            let mut waiting = VecDeque::from([Bytes::from("abc"), Bytes::from("de")]);
            written_off(&mut waiting, written);
            assert_eq!(waiting, want, "{written}");
        }
    }
}
