//! What RTPEngine's figures say: which side was not heard, and how far it came (ICE, then DTLS, then packets).

use std::time::Duration;

use super::{Code, Dtls, Ending, Facts, Leg, Legs, Media, Party, Verdict, seconds};

/// A call that was up for less is not judged by its packets: a browser needs a second for ICE and DTLS.
pub(super) const JUDGED: Duration = Duration::from_secs(2);
/// RTPEngine counts in whole seconds, and phones pause: silence shorter than this at the end means nothing.
const PAUSE: Duration = Duration::from_secs(5);
/// Loss that is heard, in percent.
const LOSS: u32 = 5;
/// A mean opinion score below this, times ten, is poor ("many users dissatisfied", ITU-T G.107).
const POOR: u32 = 36;
/// Loss of nearly everything, in percent.
const DEAF: u32 = 90;

/// We have ended the call.
fn ended_by_us(facts: &Facts) -> Option<Verdict> {
    let Ending::EndedByUs { silent } = facts.ending else {
        return None;
    };
    let verdict = match silent {
        Some(party) => {
            let words = format!(
                "No more packets came from {}, so the call was ended.",
                party.words()
            );
            Verdict::new(Code::AudioStopped, words).with("side", party.label())
        }
        None => Verdict::new(
            Code::Vanished,
            "The connection of a device was gone and did not come back, so the call was ended.",
        ),
    };
    Some(match &facts.media {
        Media::Seen(legs) => figures(verdict, legs),
        Media::NotAsked | Media::Silent | Media::Gone => verdict,
    })
}

/// What was wrong with the media, if anything.
pub(super) fn judge(facts: &Facts, talked: Duration) -> Option<Verdict> {
    let legs = match &facts.media {
        Media::NotAsked => return ended_by_us(facts),
        Media::Silent => {
            let words =
                "RTPEngine did not answer when the call ended: it is gone, and with it the audio.";
            return Some(Verdict::new(Code::RtpengineGone, words));
        }
        Media::Gone => {
            let words = "RTPEngine did not know the call any more when it ended: it was started anew, or had given it up.";
            return Some(Verdict::new(Code::RtpengineGone, words));
        }
        Media::Seen(legs) => legs,
    };
    if talked < JUDGED {
        return ended_by_us(facts);
    }
    let path = [Party::Caller, Party::Called]
        .into_iter()
        .find_map(|party| path_of(party, legs.of(party)));
    path.or_else(|| nothing_came(legs))
        .or_else(|| ended_by_us(facts))
        .or_else(|| stopped(facts, legs))
        .or_else(|| deaf(legs))
}

/// The way for packets of one side was never open: ICE, and over it DTLS.
fn path_of(party: Party, leg: &Leg) -> Option<Verdict> {
    let who = party.words();
    let said = |code, words: String| {
        let verdict = Verdict::new(code, words).with("side", party.label());
        Some(evidence(verdict, party, leg))
    };
    match (leg.ice, leg.dtls) {
        _ if leg.packets > 0 => None,
        (Some(false), _) => said(
            Code::IceFailed,
            format!(
                "ICE never completed with {who}: no network path between it and RTPEngine worked."
            ),
        ),
        (None, Some(Dtls::NotDone)) => said(
            Code::IceOrDtlsFailed,
            format!(
                "No protected audio path to {who} came about: ICE found none, or DTLS was dropped on it, or its certificate is not the one in its SDP."
            ),
        ),
        (_, Some(Dtls::NotDone)) => said(
            Code::DtlsFailed,
            format!("The network path to {who} worked, and no DTLS handshake was completed on it."),
        ),
        (_, Some(Dtls::WrongFingerprint)) => said(
            Code::WrongFingerprint,
            format!("The certificate of {who} in DTLS is not the one that its SDP names."),
        ),
        _ => None,
    }
}

/// No packet at all from one side or both.
fn nothing_came(legs: &Legs) -> Option<Verdict> {
    let silent = |leg: &Leg| leg.packets == 0 && leg.sends;
    let (code, words) = match (silent(&legs.caller), silent(&legs.called)) {
        (true, true) => (
            Code::NoAudio,
            "No audio packet came from either side: something between them and RTPEngine blocks UDP.",
        ),
        (true, false) => (
            Code::NoAudioFromCaller,
            "No audio packet came from the caller: a firewall is in its way, or its microphone sends nothing.",
        ),
        (false, true) => (
            Code::NoAudioFromCalled,
            "No audio packet came from the called side: a firewall is in its way, or its microphone sends nothing.",
        ),
        (false, false) => return None,
    };
    Some(figures(Verdict::new(code, words), legs))
}

/// One side sent, and then no more.
fn stopped(facts: &Facts, legs: &Legs) -> Option<Verdict> {
    let silence = |party: Party| {
        let leg = legs.of(party);
        let last = leg.last_packet.filter(|_| leg.sends && leg.packets > 0)?;
        Some(facts.ended.saturating_sub(last)).filter(|silence| *silence >= PAUSE)
    };
    let (party, silence) = [Party::Caller, Party::Called]
        .into_iter()
        .filter_map(|party| Some((party, silence(party)?)))
        .max_by_key(|(_, silence)| *silence)?;
    let who = party.words();
    let is_gone = match facts.ending {
        Ending::HungUp { by, confirmed } => {
            by != party && confirmed.is_none_or(|status| status >= 300)
        }
        Ending::Unseen => true,
        Ending::EndedByUs { .. } | Ending::Refused { .. } => false,
    };
    let (code, words) = match is_gone {
        true => (
            Code::Vanished,
            format!(
                "The last packet of {who} came {} s before the end, and it did not answer any more.",
                seconds(silence)
            ),
        ),
        false => (
            Code::AudioStopped,
            format!(
                "{} stopped sending audio {} s before the end.",
                capital(who),
                seconds(silence)
            ),
        ),
    };
    let verdict = Verdict::new(code, words).with("side", party.label());
    Some(figures(verdict.with("silence", seconds(silence)), legs))
}

/// Both send, and one reports that it gets nothing (RFC 3550 §6.4.1).
fn deaf(legs: &Legs) -> Option<Verdict> {
    let party = [Party::Caller, Party::Called].into_iter().find(|party| {
        let quality = legs.of(*party).quality;
        quality.is_some_and(|quality| quality.loss_percent >= DEAF)
    })?;
    let words = format!(
        "{} sends, and {} reports that next to nothing of it arrives: a firewall between RTPEngine and {}.",
        capital(party.words()),
        party.other().words(),
        party.other().words()
    );
    Some(figures(Verdict::new(Code::OneWay, words), legs))
}

/// Audio both ways, and not good.
pub(super) fn quality(facts: &Facts) -> Option<Verdict> {
    let Media::Seen(legs) = &facts.media else {
        return None;
    };
    let is_poor = |party: &Party| {
        legs.of(*party)
            .quality
            .is_some_and(|quality| quality.loss_percent >= LOSS || (1..POOR).contains(&quality.mos))
    };
    let party = [Party::Caller, Party::Called].into_iter().find(is_poor)?;
    let words = format!("The audio of {} arrived in a poor state.", party.words());
    Some(figures(Verdict::new(Code::PoorAudio, words), legs))
}

fn figures(verdict: Verdict, legs: &Legs) -> Verdict {
    let verdict = evidence(verdict, Party::Caller, &legs.caller);
    evidence(verdict, Party::Called, &legs.called)
}

/// The figures of one side.
fn evidence(verdict: Verdict, party: Party, leg: &Leg) -> Verdict {
    let [packets, errors, loss, mos] = match party {
        Party::Caller => [
            "caller_packets",
            "caller_errors",
            "caller_loss_percent",
            "caller_mos",
        ],
        Party::Called => [
            "called_packets",
            "called_errors",
            "called_loss_percent",
            "called_mos",
        ],
    };
    let mut verdict = verdict.with(packets, leg.packets);
    if leg.errors > 0 {
        verdict = verdict.with(errors, leg.errors);
    }
    match leg.quality {
        Some(quality) => verdict
            .with(loss, quality.loss_percent)
            .with(mos, format!("{}.{}", quality.mos / 10, quality.mos % 10)),
        None => verdict,
    }
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
