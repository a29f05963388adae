//! What a call-out may answer:
//!
//! ```json
//! {"to": "group:carriers", "user": "+49301234"}
//! {"to": "lookup", "request_uri": "sip:bob@example.com"}
//! {"to": "reject 603"}
//! ```

use proxy::Site;
use proxy::call_out::Choice;
use proxy::site::To;
use serde::Deserialize;
use sip::Uri;

/// Bytes of a request-URI: it is in every message of the call.
const URI: usize = 512;

/// Why an answer is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// No JSON, or not such an object.
    #[error("{0}")]
    Json(String),
    /// There is no such target.
    #[error(
        "`to` is {0:?}, and not \"lookup\", \"group:NAME\" of this configuration or \"reject STATUS\""
    )]
    Target(String),
    /// Both say what the request-URI is.
    #[error("`user` and `request_uri` both say what the request-URI is")]
    Both,
    /// It cannot be a request-URI.
    #[error("{0:?} cannot be a request-URI")]
    Uri(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    to: String,
    request_uri: Option<String>,
    user: Option<String>,
}

/// The choice that an answer makes for a request with this request-URI.
///
/// # Errors
/// See [`AnswerError`].
pub fn choice(body: &[u8], request_uri: &[u8], site: &Site) -> Result<Choice, AnswerError> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| AnswerError::Json(error.to_string()))?;
    let to = target(&answer.to, site).ok_or_else(|| AnswerError::Target(answer.to.clone()))?;
    let uri = match (answer.request_uri, answer.user) {
        (None, None) => None,
        (Some(_), Some(_)) => return Err(AnswerError::Both),
        (Some(uri), None) => Some(uri.into_bytes()),
        (None, Some(user)) => {
            let rewritten = with_user(request_uri, user.as_bytes());
            Some(rewritten.ok_or(AnswerError::Uri(user))?)
        }
    };
    if let Some(uri) = uri.as_ref().filter(|uri| !is_request_uri(uri)) {
        return Err(AnswerError::Uri(String::from_utf8_lossy(uri).into_owned()));
    }
    Ok(Choice { to, uri })
}

fn target(text: &str, site: &Site) -> Option<To> {
    if text == "lookup" {
        return Some(To::Lookup);
    }
    if let Some(name) = text.strip_prefix("group:") {
        let index = site.groups.iter().position(|group| group.name == name)?;
        return Some(To::Group(index));
    }
    let status = text.strip_prefix("reject ")?.trim().parse().ok()?;
    (300..=699).contains(&status).then_some(To::Reject(status))
}

/// RFC 3261 §25.1: no blanks, no control characters, nothing that would end a start line early; and no headers (§19.1.1).
fn is_request_uri(uri: &[u8]) -> bool {
    let is_visible = |byte: &u8| byte.is_ascii_graphic() && !b"<>\"?".contains(byte);
    uri.len() <= URI
        && uri.iter().all(is_visible)
        && sip::uri::escapes_are_whole(uri)
        && Uri::parse(uri).is_some_and(|uri| uri.is_sip())
}

/// The same URI for another user (RFC 3261 §19.1.2): what may not stand there is escaped.
fn with_user(uri: &[u8], user: &[u8]) -> Option<Vec<u8>> {
    let parsed = Uri::parse(sip::uri::without_headers(uri)).filter(Uri::is_sip)?;
    if user.is_empty() {
        return None;
    }
    let scheme = if parsed.is_sips() { "sips:" } else { "sip:" };
    let start = parsed
        .host
        .as_ptr()
        .addr()
        .checked_sub(uri.as_ptr().addr())?;
    let rest = sip::uri::without_headers(uri).get(start..)?;
    let mut text = scheme.as_bytes().to_vec();
    for byte in user {
        // RFC 3261 §25.1: unreserved and user-unreserved.
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;/".contains(byte) {
            text.push(*byte);
        } else {
            text.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    text.push(b'@');
    text.extend_from_slice(rest);
    Some(text)
}

#[cfg(test)]
mod tests {
    use proxy::group::Group;

    use super::*;

    fn site() -> Site {
        let carriers = Group {
            name: "carriers".to_owned(),
            ..Group::default()
        };
        Site {
            groups: vec![carriers],
            ..Site::default()
        }
    }

    fn said(body: &str) -> String {
        match choice(
            body.as_bytes(),
            b"sip:bob@example.com:5070;user=phone",
            &site(),
        ) {
            Ok(Choice { to, uri }) => format!(
                "{to:?} {}",
                String::from_utf8(uri.unwrap_or_default()).unwrap()
            ),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_answer_chooses_among_what_is_configured_and_nothing_else() {
        let long = format!(
            r#"{{"to": "lookup", "request_uri": "sip:{}@a"}}"#,
            "x".repeat(600)
        );
        for (body, want) in [
            (r#"{"to": "lookup"}"#, "Lookup "),
            (r#"{"to": "group:carriers"}"#, "Group(0) "),
            (r#"{"to": "reject 603"}"#, "Reject(603) "),
            (
                r#"{"to": "lookup", "request_uri": "sip:carol@example.com"}"#,
                "Lookup sip:carol@example.com",
            ),
            (
                r#"{"to": "lookup", "user": "+4930"}"#,
                "Lookup sip:+4930@example.com:5070;user=phone",
            ),
            // RFC 3261 §19.1.2: what has a meaning in a URI is escaped.
            (
                r#"{"to": "lookup", "user": "a@b c:d"}"#,
                "Lookup sip:a%40b%20c%3Ad@example.com:5070;user=phone",
            ),
            (
                r#"{"to": "group:others"}"#,
                "not \"lookup\", \"group:NAME\"",
            ),
            (r#"{"to": "sip:192.0.2.66"}"#, "not \"lookup\""),
            (r#"{"to": "call-out:desk"}"#, "not \"lookup\""),
            (r#"{"to": "reject 200"}"#, "not \"lookup\""),
            (r#"{"to": "lookup", "user": ""}"#, "cannot be a request-URI"),
            (
                r#"{"to": "lookup", "request_uri": "sip:a@b SIP/2.0\r\nX: y"}"#,
                "cannot be a request-URI",
            ),
            (
                r#"{"to": "lookup", "request_uri": "sip:a@b?Route=x"}"#,
                "cannot be a request-URI",
            ),
            (
                r#"{"to": "lookup", "request_uri": "http://a"}"#,
                "cannot be a request-URI",
            ),
            (&long, "cannot be a request-URI"),
            (
                r#"{"to": "lookup", "user": "a", "request_uri": "sip:b@c"}"#,
                "both say",
            ),
            (r#"{"too": "lookup"}"#, "unknown field `too`"),
            (r#"{}"#, "missing field `to`"),
            ("no", "expected"),
            ("", "EOF"),
        ] {
            assert!(said(body).contains(want), "{body}: {}", said(body));
        }
    }
}
