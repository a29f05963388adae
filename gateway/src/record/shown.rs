//! A record as it is shown: JSON for machines, a line for the log.

use std::collections::BTreeMap;
use std::time::Duration;

use proxy::token::Pass;
use proxy::verdict::{Ending, Facts, Leg, Media, Verdict, Weight};
use serde::Serialize;

use super::live::Live;

/// A call that is over. Times are milliseconds; what is not known is left out.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Record {
    /// Its Call-ID, cut off where it is very long.
    pub call_id: String,
    /// What became of it, in a stable word ([`proxy::verdict::Code`]).
    pub verdict: &'static str,
    /// The same in a sentence.
    pub words: String,
    /// The figures that it rests on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub evidence: BTreeMap<&'static str, String>,
    /// When the INVITE came, in UTC: `2026-08-01T12:00:00.123Z`.
    pub began: String,
    /// Which way it passed: `up` (device to core), `down`, `local` (device to device), `through`.
    pub pass: &'static str,
    /// From of the INVITE.
    pub from: String,
    /// To of the INVITE.
    pub to: String,
    /// Where the INVITE came from.
    pub source: String,
    /// By what.
    pub transport: &'static str,
    /// The listener's section.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// What the caller's device calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller_agent: Option<String>,
    /// What the device that answered calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub called_agent: Option<String>,
    /// How long each step took, from the INVITE.
    pub setup: Setup,
    /// From the INVITE to the end.
    pub total_ms: u64,
    /// From the answer to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub talked_ms: Option<u64>,
    /// Final status of the INVITE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `caller`, `called`, or `gateway`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hung_up_by: Option<&'static str>,
    /// Reason of the BYE or CANCEL (RFC 3326).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The group that it went to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The group's member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// The RTPEngine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtpengine: Option<String>,
    /// What RTPEngine saw of the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<RecordedLeg>,
    /// What it saw of the called side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub called: Option<RecordedLeg>,
}

/// How long each step took, in milliseconds from the INVITE.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Setup {
    /// Until somebody beyond said anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard_ms: Option<u64>,
    /// Until it rang (18x).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rang_ms: Option<u64>,
    /// Until it was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_ms: Option<u64>,
    /// Until the ACK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_ms: Option<u64>,
}

/// The audio of one side, as it came to RTPEngine.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RecordedLeg {
    /// `RTP/AVP` and its kin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// `opus/48000/2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// Packets that came.
    pub packets: u64,
    /// Packets that could not be used.
    pub errors: u64,
    /// Lost on their way to the other side, by its RTCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<i64>,
    /// Of a hundred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_percent: Option<u32>,
    /// Jitter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<u64>,
    /// Mean opinion score, 1 to 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mos: Option<f32>,
    /// Round trip from end to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<u64>,
}

/// Names for where a call went.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The group and its member.
    pub member: Option<(String, String)>,
    /// The listener's section.
    pub listener: Option<String>,
    /// The RTPEngine.
    pub engine: Option<String>,
}

impl Record {
    pub(super) fn of(live: &Live, facts: &Facts, verdict: Verdict, place: Place) -> Self {
        let steps = &live.steps;
        let (group, member) = place.member.unzip();
        let leg = |which: fn(&proxy::verdict::Legs) -> &Leg| match &facts.media {
            Media::Seen(legs) => Some(RecordedLeg::of(which(legs))),
            Media::NotAsked | Media::Silent | Media::Gone => None,
        };
        Self {
            call_id: live.call_id.to_string(),
            verdict: verdict.code.label(),
            words: verdict.words,
            evidence: verdict.evidence.into_iter().collect(),
            began: utc(live.began_unix),
            pass: match live.pass {
                Pass::Up => "up",
                Pass::Down => "down",
                Pass::Local => "local",
                Pass::Through => "through",
            },
            from: live.from.to_string(),
            to: live.to.to_string(),
            source: live.peer().to_string(),
            transport: live.source.transport.via_name(),
            listener: place.listener,
            caller_agent: live.caller_agent.as_deref().map(str::to_owned),
            called_agent: live.called_agent.as_deref().map(str::to_owned),
            setup: Setup {
                heard_ms: steps.heard.map(millis),
                rang_ms: steps.rang.map(millis),
                answered_ms: steps.answered.map(millis),
                acknowledged_ms: steps.acknowledged.map(millis),
            },
            total_ms: millis(facts.ended),
            talked_ms: facts
                .answered
                .map(|answered| millis(facts.ended.saturating_sub(answered))),
            status: live.status,
            hung_up_by: match &facts.ending {
                Ending::HungUp { by, .. } => Some(by.label()),
                Ending::EndedByUs { .. } => Some("gateway"),
                Ending::Refused { .. } | Ending::Unseen => None,
            },
            reason: live.reason.as_deref().map(str::to_owned),
            group,
            member,
            rtpengine: place.engine,
            caller: leg(|legs| &legs.caller),
            called: leg(|legs| &legs.called),
        }
    }

    /// Says it in the log. What strangers wrote is escaped.
    pub(super) fn say(&self, weight: Weight) {
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "causeway::call",
                    call_id = ?self.call_id,
                    verdict = self.verdict,
                    words = ?self.words,
                    evidence = ?self.evidence,
                    from = ?self.from,
                    to = ?self.to,
                    source = ?self.source,
                    pass = self.pass,
                    status = self.status,
                    rang_ms = self.setup.rang_ms,
                    answered_ms = self.setup.answered_ms,
                    total_ms = self.total_ms,
                    talked_ms = self.talked_ms,
                    hung_up_by = self.hung_up_by,
                    member = self.member,
                    rtpengine = self.rtpengine,
                    "call ended"
                )
            };
        }
        match weight {
            Weight::Trouble => line!(warn),
            Weight::Fine => line!(info),
            Weight::Noise => line!(debug),
        }
    }
}

impl RecordedLeg {
    fn of(leg: &Leg) -> Self {
        let quality = leg.quality;
        Self {
            profile: leg.profile.clone(),
            codec: leg.codec.clone(),
            packets: leg.packets,
            errors: leg.errors,
            lost: quality.map(|quality| quality.lost),
            loss_percent: quality.map(|quality| quality.loss_percent),
            jitter_ms: quality.map(|quality| quality.jitter),
            mos: quality.map(|quality| quality.mos as f32 / 10.0),
            round_trip_ms: quality.map(|quality| quality.round_trip / 1000),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// RFC 3339, in UTC, with milliseconds.
fn utc(unix: Duration) -> String {
    let (seconds, millis) = (unix.as_secs(), unix.subsec_millis());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // The civil calendar from a count of days, eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_rfc_3339() {
        for (millis, want) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_709_164_799_999, "2024-02-28T23:59:59.999Z"),
            (1_709_251_199_000, "2024-02-29T23:59:59.000Z"),
            (1_709_251_200_000, "2024-03-01T00:00:00.000Z"),
            (1_795_443_838_908, "2026-11-23T14:23:58.908Z"),
        ] {
            assert_eq!(utc(Duration::from_millis(millis)), want);
        }
    }
}
