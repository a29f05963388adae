//! What the messages of a call say: RFC 3261's final responses, and who was silent.

use std::time::Duration;

use super::{Answer, By, Code, Ending, Facts, Media, Party, Refresh, Verdict, seconds};
use crate::status::Reason;

/// How long somebody may be silent before a caller who gives up is not to blame: RFC 3261 §17.1.1.1 has sent the INVITE again twice.
const SILENT: Duration = Duration::from_secs(2);

/// A call that nobody answered.
pub(super) fn unanswered(facts: &Facts) -> Verdict {
    let verdict = match &facts.ending {
        Ending::Refused { status, by } => match by {
            By::Us(reason) => by_us(reason, facts),
            By::Beyond => by_beyond(*status, facts),
        }
        .with("status", status),
        Ending::HungUp { .. } | Ending::EndedByUs { .. } | Ending::Unseen => Verdict::new(
            Code::Unknown,
            "unknown: neither an answer to the INVITE was seen nor a refusal",
        ),
    };
    let verdict = verdict.with("after", seconds(facts.ended));
    match facts.rang {
        Some(rang) => verdict.with("rang_for", seconds(facts.ended.saturating_sub(rang))),
        None => verdict,
    }
}

/// Who is silent when nothing comes back.
fn silent(facts: &Facts) -> Verdict {
    let (code, who) = match facts.to_core {
        true => (Code::RegistrarSilent, "The registrar"),
        false => (Code::DeviceUnreachable, "The called device"),
    };
    match facts.heard {
        None => Verdict::new(code, format!("{who} never answered the INVITE.")),
        Some(heard) => Verdict::new(
            code,
            format!("{who} took the INVITE, and then said no more."),
        )
        .with("heard_after", seconds(heard)),
    }
}

fn rang_in_vain(facts: &Facts) -> Verdict {
    let rang = facts.rang.unwrap_or_default();
    let rang = seconds(facts.ended.saturating_sub(rang));
    Verdict::new(
        Code::NoAnswer,
        format!("It rang for {rang} s, and nobody answered."),
    )
}

/// We refused: one row a reason, as in [`Reason::status`].
fn by_us(reason: &Reason, facts: &Facts) -> Verdict {
    let said = |code, words: &str| Verdict::new(code, words);
    let verdict = match reason {
        Reason::Timeout if facts.rang.is_some() => rang_in_vain(facts),
        Reason::Timeout => silent(facts),
        Reason::Terminated => gave_up(facts),
        Reason::NotRegistered if facts.heard.is_some() || facts.rang.is_some() => said(
            Code::DeviceUnreachable,
            "The connection of the called device broke while it was being called.",
        ),
        Reason::NotRegistered => said(Code::NotRegistered, "The called user has no device now."),
        Reason::NoUser => said(Code::NoSuchUser, "There is no such user."),
        Reason::FlowFailed | Reason::DeviceGone => said(
            Code::DeviceUnreachable,
            "The connection of the called device is gone, and it did not come back.",
        ),
        Reason::Refused => said(
            Code::WrongPassword,
            "The caller's password is wrong, or the user may not call by this name.",
        ),
        Reason::NobodyAlive => said(
            Code::RegistrarSilent,
            "No member of the group that the call should go to is alive.",
        ),
        Reason::Unreachable => said(
            Code::RegistrarSilent,
            "No connection to the server that the call should go to could be made.",
        ),
        Reason::Unresolvable => said(
            Code::RegistrarSilent,
            "The name of the server that the call should go to has no address.",
        ),
        Reason::NoMedia => said(
            Code::RtpengineGone,
            "No RTPEngine took the offer of the call.",
        ),
        Reason::NotAcceptable => said(
            Code::NoCommonCodec,
            "RTPEngine could not make an offer for the called side out of the caller's.",
        ),
        Reason::NoCodec => said(
            Code::NoCommonCodec,
            "The media policies leave no codec that both sides may use.",
        ),
        Reason::Overloaded
        | Reason::TooManyCalls
        | Reason::CallsTooFast
        | Reason::TooBroad
        | Reason::StoreFailed => said(
            Code::Overloaded,
            "A limit was reached, so the call was refused.",
        ),
        Reason::Configured(status) => Verdict::new(
            Code::Forbidden,
            format!("A route of the configuration refuses the call with {status}."),
        ),
        Reason::Fault { .. }
        | Reason::TooManyHops
        | Reason::Loop
        | Reason::BadExtension(_)
        | Reason::ForeignToken
        | Reason::ForeignRoute
        | Reason::NotServed
        | Reason::Options
        | Reason::TooLarge
        | Reason::NoTransaction
        | Reason::Ack
        | Reason::StrayResponse => Verdict::new(
            Code::NotServed,
            format!("The INVITE was refused: {}.", reason.phrase()),
        ),
    };
    verdict.with("reason", reason.label())
}

/// Somebody beyond refused (RFC 3261 §21).
fn by_beyond(status: u16, facts: &Facts) -> Verdict {
    let who = if facts.to_core {
        "The core"
    } else {
        "The called device"
    };
    if facts.cancelled.is_some() && matches!(status, 487 | 408) {
        return gave_up(facts);
    }
    let said = |code, words: &str| Verdict::new(code, format!("{who} {words} ({status})."));
    match status {
        ..=399 => said(Code::Redirected, "named another address"),
        401 | 407 if facts.has_credentials => said(
            Code::WrongPassword,
            "asks again for a password: the caller's is wrong",
        ),
        401 | 407 => said(
            Code::NotAuthenticated,
            "asked for a password, and the caller never came back with one",
        ),
        403 if facts.has_credentials => said(
            Code::WrongPassword,
            "does not take the caller's password, or does not let him call",
        ),
        403 => said(Code::Forbidden, "does not allow the call"),
        404 | 410 | 484 | 604 => said(Code::NoSuchUser, "knows no such user or number"),
        408 | 480 | 487 if facts.rang.is_some() => rang_in_vain(facts),
        408 if facts.to_core => said(Code::DeviceUnreachable, "did not reach the called device"),
        408 => said(Code::DeviceUnreachable, "did not answer in time"),
        430 => said(
            Code::DeviceUnreachable,
            "has lost the connection of the called device",
        ),
        480 if facts.to_core => said(Code::NotRegistered, "says that the user has no device now"),
        480 | 603 => said(Code::Declined, "declined"),
        486 | 600 => said(Code::Busy, "is busy"),
        415 | 488 | 606 => said(
            Code::NoCommonCodec,
            "takes none of the codecs or kinds of media that were offered",
        ),
        500..=599 if facts.to_core => said(Code::RegistrarRefused, "cannot serve the call"),
        _ => said(Code::Refused, "refused the call"),
    }
}

/// The caller gave up. Before anybody had said anything, that was not the caller's fault.
fn gave_up(facts: &Facts) -> Verdict {
    let after = facts.cancelled.unwrap_or(facts.ended);
    if facts.heard.is_none() && after >= SILENT {
        let verdict = silent(facts);
        let words = format!("{} The caller gave up.", verdict.words);
        return Verdict { words, ..verdict }.with("gave_up_after", seconds(after));
    }
    let words = match facts.rang {
        Some(rang) => format!(
            "The caller gave up when it had rung for {} s.",
            seconds(after.saturating_sub(rang))
        ),
        None => format!(
            "The caller gave up after {} s, before it rang.",
            seconds(after)
        ),
    };
    Verdict::new(Code::CallerGaveUp, words)
}

/// What went wrong with the answer itself, if anything.
pub(super) fn answered_badly(facts: &Facts) -> Option<Verdict> {
    // Who cancels what was answered already hangs up by a BYE then.
    if let (Some(cancelled), Some(answered)) = (facts.cancelled, facts.answered)
        && let Some(late) = answered.checked_sub(cancelled)
    {
        let words = "The called side answered when the caller had given up already.";
        let verdict = Verdict::new(Code::AnsweredTooLate, words);
        return Some(verdict.with("late_ms", late.as_millis()));
    }
    let said = |code, words: &str| Some(Verdict::new(code, words));
    match facts.answer {
        Answer::Without => said(
            Code::AnsweredWithoutSdp,
            "The called side answered the offer without SDP, so neither side knows where to send its audio.",
        ),
        Answer::NoAudio => said(
            Code::NoCommonCodec,
            "The called side answered, and took none of the audio that was offered (port 0).",
        ),
        Answer::Lost => said(
            Code::RtpengineGone,
            "RTPEngine did not take the answer, so the call had no media.",
        ),
        Answer::Nothing | Answer::Given => not_acknowledged(facts),
    }
}

/// RFC 3261 §13.3.1.4: who gets no ACK hangs up, after 64·T1.
fn not_acknowledged(facts: &Facts) -> Option<Verdict> {
    let hung_up = matches!(
        facts.ending,
        Ending::HungUp {
            by: Party::Called,
            ..
        }
    );
    let answered = facts.answered?;
    let waited = facts.ended.saturating_sub(answered);
    (facts.acknowledged.is_none() && hung_up && waited >= SILENT).then(|| {
        let words = "The caller never acknowledged the answer, so the called side hung up.";
        Verdict::new(Code::NotAcknowledged, words).with("waited", seconds(waited))
    })
}

/// What went wrong with the signalling of a call whose audio was good, if anything.
pub(super) fn ended_badly(facts: &Facts) -> Option<Verdict> {
    gone_at_the_end(facts)
        .or_else(|| expired(facts))
        .or_else(|| {
            let (who, status) = facts.refused_change?;
            let words = format!(
                "A change of the call (hold, codec, or a new network path) was refused by {} ({status}).",
                who.words()
            );
            Some(Verdict::new(Code::ChangeRefused, words).with("refused_with", status))
        })
}

/// Nobody answered the BYE: without media, that is all that tells.
fn gone_at_the_end(facts: &Facts) -> Option<Verdict> {
    let Ending::HungUp { by, confirmed } = &facts.ending else {
        return None;
    };
    // A side whose packets came to the end lives: its BYE or answer was lost.
    let flowed = matches!(facts.media, Media::Seen(_));
    let is_gone = matches!(confirmed, None | Some(408 | 480 | 430 | 500 | 502));
    (is_gone && !flowed).then(|| {
        let gone = by.other().words();
        let words = format!(
            "When {} hung up, {gone} did not answer any more.",
            by.words()
        );
        let status = confirmed.map_or("none".to_owned(), |status| status.to_string());
        Verdict::new(Code::Vanished, words).with("bye_answered", status)
    })
}

/// RFC 4028 §10: who gets no refresh hangs up a third of the interval before its end, or 32 s, whichever is less.
fn expired(facts: &Facts) -> Option<Verdict> {
    let Refresh { interval, at } = facts.timer?;
    let grace = Duration::from_secs(32).min(interval / 3);
    let quiet = facts.ended.saturating_sub(at);
    (quiet >= interval.saturating_sub(grace)).then(|| {
        let words = "The session timer ran out: nobody refreshed the call in time.";
        Verdict::new(Code::SessionExpired, words)
            .with("interval", seconds(interval))
            .with("since_refresh", seconds(quiet))
    })
}
