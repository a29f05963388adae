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

/// The members of all groups, a line each.
pub(super) fn members(status: &Value) -> String {
    let cell = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut rows = vec![COLUMNS.map(|(heading, _)| heading.to_owned())];
    let known = status["members"].as_array().map_or(&[][..], Vec::as_slice);
    rows.extend(
        known
            .iter()
            .map(|member| COLUMNS.map(|(_, key)| cell(&member[key]))),
    );
    if known.is_empty() {
        return "no groups\n".to_owned();
    }
    let mut widths = [0; COLUMNS.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; COLUMNS.len()]| {
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
}
