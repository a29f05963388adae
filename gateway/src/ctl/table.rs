//! A table for people.

use serde_json::Value;

/// What is shown of a member: heading and key.
const COLUMNS: [(&str, &str); 8] = [
    ("GROUP", "group"),
    ("MEMBER", "member"),
    ("ADDRESS", "address"),
    ("STATE", "state"),
    ("STANDING", "standing"),
    ("CALLS", "calls"),
    ("DEATHS", "deaths"),
    ("PASSED OVER", "passed_over"),
];

/// What is shown of an RTPEngine.
const OF_MEDIA: [(&str, &str); 7] = [
    ("RTPENGINE", "node"),
    ("ADDRESS", "address"),
    ("STATE", "state"),
    ("STANDING", "standing"),
    ("RESTARTS", "restarts"),
    ("IN FLIGHT", "in_flight"),
    ("DELETES", "deletes_waiting"),
];

/// What is shown of a call.
const OF_CALL: [(&str, &str); 5] = [
    ("SECONDS", "seconds"),
    ("PEER", "peer"),
    ("GROUP", "group"),
    ("MEMBER", "member"),
    ("CALL-ID", "call_id"),
];

/// What is shown of a call that is over.
const OF_ENDED: [(&str, &str); 8] = [
    ("BEGAN", "began"),
    ("FROM", "from"),
    ("TO", "to"),
    ("RANG MS", "rang_ms"),
    ("TALKED MS", "talked_ms"),
    ("VERDICT", "verdict"),
    ("CALL-ID", "call_id"),
    ("WHAT HAPPENED", "words"),
];

/// The members of all groups, a line each.
pub(super) fn members(status: &Value) -> String {
    match list(&status["members"]) {
        [] => "no groups\n".to_owned(),
        known => table(&COLUMNS, known),
    }
}

/// The RTPEngines, a line each; nothing where there are none.
pub(super) fn media(status: &Value) -> String {
    match list(&status["media"]) {
        [] => String::new(),
        known => format!("\n{}", table(&OF_MEDIA, known)),
    }
}

/// The calls that are up, a line each.
pub(super) fn calls(answer: &Value) -> String {
    let listed = list(&answer["calls"]);
    let up = answer["up"].as_u64().unwrap_or_default();
    match listed {
        [] => "no calls\n".to_owned(),
        _ if up > listed.len() as u64 => {
            let table = table(&OF_CALL, listed);
            format!("{table}{} of {up} calls\n", listed.len())
        }
        _ => table(&OF_CALL, listed),
    }
}

/// The calls that are over, a line each.
pub(super) fn ended(answer: &Value) -> String {
    let flat = |record: &Value| {
        let mut record = record.clone();
        record["rang_ms"] = record["setup"]["rang_ms"].clone();
        record
    };
    let listed: Vec<Value> = list(&answer["calls"]).iter().map(flat).collect();
    match listed[..] {
        [] => "no calls have ended yet, or none are kept (`[calls] kept`)\n".to_owned(),
        _ => table(&OF_ENDED, &listed),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn table<const N: usize>(columns: &[(&str, &str); N], lines: &[Value]) -> String {
    let cell = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        // A Call-ID is a stranger's: nothing of it may move the cursor.
        Value::String(text) => text.escape_debug().to_string(),
        other => other.to_string(),
    };
    let mut rows = vec![columns.map(|(heading, _)| heading.to_owned())];
    rows.extend(
        lines
            .iter()
            .map(|line| columns.map(|(_, key)| cell(&line[key]))),
    );
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_member_has_a_line_under_its_headings() {
        let status = json!({ "members": [
            { "group": "core", "member": "a.example:5060", "address": "10.0.0.1:5060", "state": "alive",
              "standing": "drained", "calls": 3, "deaths": 0, "passed_over": 12 },
            { "group": "core", "member": "b:5060", "address": null, "state": "unresolved",
              "standing": "serves", "calls": 0, "deaths": 0, "passed_over": 0 },
        ]});
        assert_eq!(
            members(&status),
            "GROUP  MEMBER          ADDRESS        STATE       STANDING  CALLS  DEATHS  PASSED OVER\n\
             core   a.example:5060  10.0.0.1:5060  alive       drained   3      0       12\n\
             core   b:5060          -              unresolved  serves    0      0       0\n"
        );
        assert_eq!(members(&json!({ "members": [] })), "no groups\n");
    }

    #[test]
    fn each_rtpengine_has_a_line_and_a_node_without_any_no_heading() {
        let status = json!({ "media": [
            { "node": "media-1:2223", "address": "10.0.0.1:2223", "state": "dead", "standing": "drained",
              "restarts": 2, "in_flight": 0, "deletes_waiting": 31 },
        ]});
        assert_eq!(
            media(&status),
            "\nRTPENGINE     ADDRESS        STATE  STANDING  RESTARTS  IN FLIGHT  DELETES\n\
             media-1:2223  10.0.0.1:2223  dead   drained   2         0          31\n"
        );
        assert_eq!(media(&json!({ "media": [] })), "");
    }

    #[test]
    fn each_call_that_is_over_says_what_happened() {
        let answer = json!({ "calls": [{
            "began": "2026-08-01T12:00:00.000Z", "from": "sip:a@b", "to": "sip:c@b", "setup": { "rang_ms": 120 },
            "verdict": "busy", "words": "The called device is busy (486).", "call_id": "x\u{1b}[2J",
        }]});
        assert_eq!(
            ended(&answer),
            "BEGAN                     FROM     TO       RANG MS  TALKED MS  VERDICT  CALL-ID     WHAT HAPPENED\n\
             2026-08-01T12:00:00.000Z  sip:a@b  sip:c@b  120      -          busy     x\\u{1b}[2J  The called device is busy (486).\n"
        );
        assert!(ended(&json!({ "calls": [] })).starts_with("no calls have ended"));
    }

    #[test]
    fn each_call_has_a_line_and_no_call_id_moves_the_cursor() {
        let answer = json!({ "up": 3, "calls": [
            { "call_id": "a@b", "peer": "pbx", "group": "core", "member": "10.0.0.1:5060", "seconds": 61 },
            { "call_id": "x\u{1b}[2J", "peer": null, "group": null, "member": null, "seconds": 5 },
        ]});
        assert_eq!(
            calls(&answer),
            "SECONDS  PEER  GROUP  MEMBER         CALL-ID\n\
             61       pbx   core   10.0.0.1:5060  a@b\n\
             5        -     -      -              x\\u{1b}[2J\n\
             2 of 3 calls\n"
        );
        assert_eq!(calls(&json!({ "up": 0, "calls": [] })), "no calls\n");
    }
}
