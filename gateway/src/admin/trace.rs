//! `GET /trace`: what passed and what passes, a line of JSON each, as long as somebody reads. `from=now` begins with what comes next,
//! `follow=no` ends with what is there; `user`, `number`, `call-id`, `source` and `method` choose.
//!
//! A reader has no queue: he reads the ring at his own pace, and what was overwritten before he came to it is counted to him.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::{Body, Frame};
use proxy::Flow;
use proxy::site::Side;
use sip::uri;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::engine::Engine;
use crate::ladder::filter::{Filter, Naming, Reader};
use crate::ladder::line::{self, Said};
use crate::ladder::{Cursor, Record, Ring};

/// How often is looked for something new while there is nothing.
const EVERY: Duration = Duration::from_millis(50);
/// A line without anything, so that a reader who vanished is found.
const STILL_HERE: Duration = Duration::from_secs(15);

/// What a request asks for.
struct Asked {
    filter: Filter,
    from_now: bool,
    follow: bool,
}

/// An answer that goes on: what passed, read from the ring as the reader takes it.
pub(super) struct Trace {
    engine: Arc<Engine>,
    ring: Arc<Ring>,
    listeners: Arc<[String]>,
    secrets: bool,
    reader: Reader,
    cursor: Cursor,
    /// What passed later is not asked for.
    end: Option<Duration>,
    timer: Pin<Box<Sleep>>,
    spoke: Instant,
    _slot: OwnedSemaphorePermit,
}

/// How a node shows what passed.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The sections of the listeners, in their order.
    pub listeners: Arc<[String]>,
    /// Secrets as they were.
    pub secrets: bool,
}

impl Trace {
    /// Begins to read.
    ///
    /// # Errors
    /// In words, when nothing is kept, the question is none, or too many read.
    pub(super) fn begin(
        query: &str,
        engine: &Arc<Engine>,
        shown: &Shown,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Result<Self, (StatusCode, String)> {
        let ring = engine.ring().cloned().ok_or_else(|| {
            let why = "this node keeps nothing of what passes: [trace] memory is 0";
            (StatusCode::NOT_FOUND, why.to_owned())
        })?;
        let asked = Asked::read(query).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
        let slot = slot.ok_or_else(|| {
            let why = "others are reading already, as many as may";
            (StatusCode::SERVICE_UNAVAILABLE, why.to_owned())
        })?;
        let cursor = if asked.from_now {
            ring.newest()
        } else {
            ring.oldest()
        };
        let end = (!asked.follow).then(|| ring.now());
        Ok(Self {
            engine: engine.clone(),
            listeners: shown.listeners.clone(),
            secrets: shown.secrets,
            reader: Reader::new(asked.filter),
            cursor,
            end,
            timer: Box::pin(sleep_until(Instant::now())),
            spoke: Instant::now(),
            ring,
            _slot: slot,
        })
    }

    /// Some lines, and whether there is no more for now.
    fn lines(&mut self) -> (String, bool) {
        let until = self.end.unwrap_or(Duration::MAX);
        let read = self.ring.read(&mut self.cursor, until);
        let mut text = String::new();
        if read.lost > 0 {
            text.push_str(&Said::lost(read.lost));
        }
        let engine = &self.engine;
        let naming = Naming {
            listeners: &self.listeners,
            side: &|record| side(engine, record),
            secrets: self.secrets,
        };
        for record in read.records {
            let wall = self.ring.wall(&record.head);
            if let Some(line) = self.reader.take(record, wall, &naming) {
                text.push_str(&line.to_json());
            }
        }
        (text, read.is_all)
    }
}

fn side(engine: &Engine, record: &Record) -> line::Side {
    let head = &record.head;
    if head.kind.is_ng() {
        return line::Side::RtpEngine;
    }
    let flow = Flow {
        listener: head.listener,
        transport: head.transport,
        local: head.local,
        peer: head.peer,
        connection: None,
    };
    match engine.side_of(&flow) {
        Side::Core => line::Side::Core,
        Side::Device => line::Side::Device,
    }
}

impl Body for Trace {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let (mut text, is_all) = self.lines();
            let now = Instant::now();
            if text.is_empty() && is_all {
                if self.end.is_some() {
                    return Poll::Ready(None);
                }
                self.timer.as_mut().reset(now + EVERY);
                if now - self.spoke < STILL_HERE {
                    continue;
                }
                text.push('\n');
            }
            if text.is_empty() {
                // Nothing of this piece is wanted: others get their turn before the next.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.spoke = now;
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from(text)))));
        }
    }
}

impl Asked {
    fn read(query: &str) -> Result<Self, String> {
        let mut asked = Self {
            filter: Filter::default(),
            from_now: false,
            follow: true,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = String::from_utf8_lossy(&uri::decode(value.as_bytes())).into_owned();
            match (key, value.as_str()) {
                ("user", _) => asked.filter.user = Some(value),
                ("number", _) => asked.filter.number = Some(value),
                ("call-id", _) => asked.filter.call_id = Some(value),
                ("source", text) => asked.filter.source = Some(text.parse()?),
                ("method", _) => asked.filter.method = Some(value),
                ("from", "now") => asked.from_now = true,
                ("from", "oldest") => asked.from_now = false,
                ("follow", "no") => asked.follow = false,
                ("follow", "yes") => asked.follow = true,
                _ => {
                    return Err(format!(
                        "`{key}={value}` means nothing here: user, number, call-id, source, method, from=now, follow=no"
                    ));
                }
            }
        }
        Ok(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_or_refused_in_words() {
        let asked = Asked::read("user=al%20ice&source=192.0.2.1&from=now&follow=no").unwrap();
        assert_eq!(asked.filter.user.as_deref(), Some("al ice"));
        assert!(asked.filter.source.is_some() && asked.from_now && !asked.follow);
        for (query, want) in [
            ("usr=x", "means nothing here"),
            ("from=then", "means nothing here"),
            ("source=alice", "is no address"),
        ] {
            let why = Asked::read(query).err().unwrap_or_default();
            assert!(why.contains(want), "{query}: {why}");
        }
    }
}
