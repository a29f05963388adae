//! What is collected of a call while it goes on: a box for each, written from what is parsed anyway.

use std::net::SocketAddr;
use std::time::Duration;

use proxy::Flow;
use proxy::token::{Media, Pass};
use proxy::verdict::Media as Seen;
use proxy::verdict::{Answer, By, Ending, Facts, Legs, Party, Refresh};
use rtpengine_client::answer::CallInfo;
use sip::{Edited, Header, Message};

use super::legs;

/// Of a Call-ID, URI, tag or name of a device, what is kept.
const KEPT: usize = 128;

/// A call that goes on, or is about to be judged.
pub(crate) struct Live {
    /// Its Call-ID, cut off where it is very long.
    pub(super) call_id: Box<str>,
    /// From and To of the INVITE, without display name and parameters.
    pub(super) from: Box<str>,
    pub(super) to: Box<str>,
    /// What the two call themselves.
    pub(super) caller_agent: Option<Box<str>>,
    pub(super) called_agent: Option<Box<str>>,
    /// By which flow the INVITE came.
    pub(super) source: Flow,
    /// When: since the node's start, and since 1970.
    pub(super) began: Duration,
    pub(super) began_unix: Duration,
    pub(super) stage: Stage,
    pub(super) steps: Steps,
    pub(super) to_core: bool,
    pub(super) has_credentials: bool,
    offered: bool,
    pub(super) answer: Answer,
    timer: Option<Refresh>,
    refused_change: Option<(Party, u16)>,
    pub(super) member: Option<(usize, usize)>,
    pub(super) media: Media,
    pub(super) pass: Pass,
    caller_tag: Box<[u8]>,
    called_tag: Box<[u8]>,
    /// Final status of the INVITE.
    pub(super) status: Option<u16>,
    /// Reason of the BYE or CANCEL (RFC 3326).
    pub(super) reason: Option<Box<str>>,
    /// 2xx with different To tags: each has to end.
    dialogs: u16,
    /// We end it: who was silent, or nobody where a device was gone.
    ended_by_us: Option<Option<Party>>,
    /// An RTPEngine said that it knows no such call.
    unknown: bool,
}

/// When what happened, since the INVITE.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Steps {
    pub(super) heard: Option<Duration>,
    pub(super) rang: Option<Duration>,
    pub(super) answered: Option<Duration>,
    pub(super) acknowledged: Option<Duration>,
    pub(super) cancelled: Option<Duration>,
    pub(super) ended: Option<Duration>,
}

/// How far it is.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Stage {
    /// It rings, or is up.
    Open,
    /// It was asked for a password, or for something else that the caller may give, and may come again until then.
    Asked { until: Duration, status: u16 },
    /// A BYE passed.
    HangingUp { by: Party },
    /// The BYE is over, and RTPEngine is being asked, until then.
    Ending {
        until: Duration,
        by: Party,
        confirmed: Option<u16>,
    },
}

/// What a call that begins is known by.
pub(crate) struct Opening<'a> {
    /// Its INVITE.
    pub(crate) request: &'a Message,
    /// By which flow it came.
    pub(crate) source: &'a Flow,
    /// The member that it goes to.
    pub(crate) member: Option<(usize, usize)>,
    /// It goes to the core.
    pub(crate) to_core: bool,
    /// Which way it passes us.
    pub(crate) pass: Pass,
}

impl Live {
    pub(super) fn new(opening: &Opening<'_>, now: Duration, unix: Duration) -> Self {
        let Opening {
            request,
            source,
            member,
            to_core,
            pass,
        } = opening;
        let uri = |address: Option<sip::NameAddr<'_>>| {
            let uri = address.map_or(&b""[..], |address| address.uri);
            text(uri.split(|byte| *byte == b';').next().unwrap_or_default())
        };
        Self {
            call_id: text(request.call_id()),
            from: uri(request.from()),
            to: uri(request.to()),
            caller_agent: request.header(Header::UserAgent).map(text),
            called_agent: None,
            source: **source,
            began: now,
            began_unix: unix,
            stage: Stage::Open,
            steps: Steps::default(),
            to_core: *to_core,
            has_credentials: has_credentials(request),
            offered: request.has_sdp(),
            answer: Answer::Nothing,
            timer: None,
            refused_change: None,
            member: *member,
            media: Media::none(*pass),
            pass: *pass,
            caller_tag: kept(request.from_tag().unwrap_or_default()).into(),
            called_tag: Box::default(),
            status: None,
            reason: None,
            dialogs: 0,
            ended_by_us: None,
            unknown: false,
        }
    }

    /// The INVITE comes again, with what was asked for.
    pub(super) fn begins_again(&mut self, opening: &Opening<'_>) {
        if self.steps.answered.is_some() {
            return;
        }
        self.stage = Stage::Open;
        self.steps = Steps::default();
        self.member = opening.member;
        self.to_core = opening.to_core;
        self.has_credentials |= has_credentials(opening.request);
        self.offered = opening.request.has_sdp();
        self.status = None;
    }

    fn since(&self, now: Duration) -> Duration {
        now.saturating_sub(self.began)
    }

    /// Somebody beyond has said something.
    pub(crate) fn heard(&mut self, now: Duration) {
        let since = self.since(now);
        self.steps.heard.get_or_insert(since);
    }

    /// A provisional response or a 2xx to the INVITE passes on to the caller.
    pub(crate) fn told(&mut self, response: &Edited, media: Media, now: Duration) {
        let (status, since) = (response.status(), self.since(now));
        let has_sdp = response.has_sdp();
        if (180..190).contains(&status) {
            self.steps.rang.get_or_insert(since);
        }
        if has_sdp && self.answer != Answer::Lost {
            self.answer = match takes_audio(response.body()) {
                false if status >= 200 => Answer::NoAudio,
                _ => Answer::Given,
            };
        }
        if status < 200 {
            return;
        }
        self.steps.answered.get_or_insert(since);
        self.status = Some(status);
        self.dialogs = self.dialogs.saturating_add(1);
        self.media = media;
        self.called_tag = kept(response.to_tag().unwrap_or_default()).into();
        let agent = response.header(Header::UserAgent);
        let agent = agent.or_else(|| response.header(Header::Server));
        self.called_agent = agent.map(text);
        if !has_sdp && self.offered && self.answer == Answer::Nothing {
            self.answer = Answer::Without;
        }
        self.refreshed(response, now);
    }

    /// RTPEngine did not take the answer.
    pub(crate) fn lost_its_answer(&mut self) {
        self.answer = Answer::Lost;
    }

    /// A 2xx inside the call: it may set the session timer (RFC 4028 §7.2).
    pub(crate) fn refreshed(&mut self, response: &Edited, now: Duration) {
        let value = response.values(Header::SessionExpires).next();
        let seconds = value
            .and_then(|value| std::str::from_utf8(value).ok())
            .and_then(|value| value.split([';', ' ', '\t']).next()?.parse().ok());
        self.timer = seconds.map(|seconds| Refresh {
            interval: Duration::from_secs(seconds),
            at: self.since(now),
        });
    }

    /// A final answer to a change of the session passes; `by` gave it.
    pub(crate) fn changed(&mut self, by: Party, response: &Edited, now: Duration) {
        match response.status() {
            200..=299 => {
                self.refused_change = None;
                self.refreshed(response, now);
            }
            // It comes again.
            401 | 407 | 422 => {}
            status => self.refused_change = Some((by, status)),
        }
    }

    /// The ACK to the 2xx passes.
    pub(crate) fn acknowledged(&mut self, now: Duration) {
        let since = self.since(now);
        if self.steps.answered.is_some() {
            self.steps.acknowledged.get_or_insert(since);
        }
    }

    /// The caller gave up.
    pub(crate) fn cancelled(&mut self, reason: Option<&[u8]>, now: Duration) {
        let since = self.since(now);
        self.steps.cancelled.get_or_insert(since);
        self.reason = reason.map(text);
    }

    /// A BYE passes.
    pub(crate) fn hangs_up(&mut self, by: Party, bye: &Message, now: Duration) {
        if matches!(self.stage, Stage::Open | Stage::Asked { .. }) && self.dialogs < 2 {
            self.stage = Stage::HangingUp { by };
            self.steps.ended = Some(self.since(now));
            self.reason = bye.header(Header::Reason).map(text);
        }
    }

    /// The BYE has come to its end, by `by` if nothing else is known; false if the call goes on.
    pub(super) fn ends(
        &mut self,
        by: Party,
        confirmed: Option<u16>,
        until: Duration,
        now: Duration,
    ) -> bool {
        if self.dialogs > 1 {
            // A fork that was answered twice: one of them is hung up.
            self.dialogs -= 1;
            return false;
        }
        let by = match self.stage {
            Stage::HangingUp { by } => by,
            Stage::Ending { .. } => return false,
            Stage::Open | Stage::Asked { .. } => by,
        };
        let since = self.since(now);
        self.steps.ended.get_or_insert(since);
        self.stage = Stage::Ending {
            until,
            by,
            confirmed,
        };
        true
    }

    /// We end it, since this side is silent, or a device is gone.
    pub(crate) fn ended_by_us(&mut self, silent: Option<Party>) {
        self.ended_by_us = Some(silent);
    }

    /// An RTPEngine does not know the call. Another one may, and has this long to say so.
    pub(super) fn is_unknown(&mut self, at_most: Duration) {
        self.unknown = true;
        if let Stage::Ending { until, .. } = &mut self.stage {
            *until = at_most.min(*until);
        }
    }

    /// What is said where no RTPEngine has said what it saw.
    pub(super) fn told_nothing(&self) -> Told {
        match self.unknown {
            true => Told::Gone,
            false => Told::Silent,
        }
    }

    /// When a call is given up of which no BYE was seen.
    pub(super) fn lasts_until(&self, age: Duration) -> Duration {
        let at = self.timer.map_or(age, |timer| {
            let end = timer.at.saturating_add(timer.interval);
            end.saturating_add(Duration::from_secs(32)).min(age)
        });
        self.began.saturating_add(at)
    }

    /// What is known when it is over.
    pub(super) fn facts(&self, end: End, now: Duration) -> Facts {
        let since = self.steps.ended.unwrap_or_else(|| self.since(now));
        let (ending, media) = match end {
            End::Refused { status, by } => (Ending::Refused { status, by }, Seen::NotAsked),
            End::Unseen => (Ending::Unseen, Seen::NotAsked),
            End::HungUp(media) => {
                let (by, confirmed) = match &self.stage {
                    Stage::Ending { by, confirmed, .. } => (*by, *confirmed),
                    Stage::HangingUp { by } => (*by, None),
                    Stage::Open | Stage::Asked { .. } => (Party::Caller, None),
                };
                let ending = match self.ended_by_us {
                    Some(silent) => Ending::EndedByUs { silent },
                    None => Ending::HungUp { by, confirmed },
                };
                (ending, self.seen(media))
            }
        };
        Facts {
            ending,
            to_core: self.to_core,
            heard: self.steps.heard,
            rang: self.steps.rang,
            answered: self.steps.answered,
            acknowledged: self.steps.acknowledged,
            cancelled: self.steps.cancelled,
            ended: since,
            has_credentials: self.has_credentials,
            answer: self.answer,
            timer: self.timer,
            refused_change: self.refused_change,
            media,
        }
    }

    fn seen(&self, media: Told) -> Seen {
        match media {
            Told::NotAsked => Seen::NotAsked,
            Told::Silent => Seen::Silent,
            Told::Gone => Seen::Gone,
            Told::Seen(info) => {
                let legs: Legs = legs::of(&info, &self.caller_tag, &self.called_tag);
                Seen::Seen(Box::new(legs))
            }
        }
    }

    /// Where its INVITE came from.
    pub(super) fn peer(&self) -> SocketAddr {
        self.source.peer
    }
}

/// How a call came to its end.
pub(crate) enum End {
    /// It was refused.
    Refused {
        /// With this status.
        status: u16,
        /// By somebody.
        by: By,
    },
    /// It was hung up.
    HungUp(Told),
    /// Nobody said so.
    Unseen,
}

/// What RTPEngine said to `delete`.
pub(crate) enum Told {
    /// It was not asked.
    NotAsked,
    /// Nothing.
    Silent,
    /// That it knows no such call.
    Gone,
    /// What it had seen.
    Seen(Box<CallInfo>),
}

fn has_credentials(request: &Message) -> bool {
    [Header::Authorization, Header::ProxyAuthorization]
        .into_iter()
        .any(|header| request.header(header).is_some())
}

/// False for SDP that has audio lines and takes none of them (RFC 3264 §6).
fn takes_audio(sdp: &[u8]) -> bool {
    let mut lines = sdp
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_prefix(b"m=audio "))
        .map(|rest| rest.split(|byte| matches!(byte, b' ' | b'/')).next() != Some(b"0"))
        .peekable();
    lines.peek().is_none() || lines.any(|taken| taken)
}

fn kept(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(KEPT)]
}

fn text(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(kept(bytes)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_is_refused_where_every_audio_line_has_port_0() {
        for (sdp, want) in [
            (&b"v=0\r\nm=audio 0 RTP/AVP 0\r\n"[..], false),
            (b"v=0\r\nm=audio 4000 RTP/AVP 0\r\n", true),
            (
                b"v=0\r\nm=audio 0 RTP/AVP 0\r\nm=audio 4002/2 RTP/AVP 8\r\n",
                true,
            ),
            (b"v=0\r\nm=video 0 RTP/AVP 99\r\n", true),
            (b"", true),
        ] {
            assert_eq!(takes_audio(sdp), want, "{}", String::from_utf8_lossy(sdp));
        }
    }
}
