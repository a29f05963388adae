//! What a person tells a node to do: `POST`, with a JSON object as its body.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Body;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, ORIGIN};
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::upstream::MemberState;

/// Bytes of an order at most.
const LONGEST: usize = 4096;

/// An answer: what is to be said, or why nothing was done.
pub(super) type Done = Result<Value, (StatusCode, String)>;

/// A member of a group.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Meant {
    group: String,
    member: String,
}

/// Whom an order is about.
#[derive(Deserialize)]
#[serde(untagged)]
enum Whom {
    Member(Meant),
    Media(MeantMedia),
}

/// An RTPEngine.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MeantMedia {
    media: String,
}

/// Carries an order out.
pub(super) async fn carry_out<B>(request: Request<B>, engine: &Engine) -> Done
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let drain = match request.uri().path() {
        "/drain" => true,
        "/undrain" => false,
        _ => {
            let known = "orders are POST /drain and POST /undrain";
            return Err((StatusCode::NOT_FOUND, known.to_owned()));
        }
    };
    is_meant(request.method(), request.headers())?;
    let body = Limited::new(request.into_body(), LONGEST).collect().await;
    let body = body.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    let whom: Whom = serde_json::from_slice(&body.to_bytes()).map_err(|error| {
        let wanted = "an object: {\"group\": \"core\", \"member\": \"10.0.0.1:5060\"} or {\"media\": \"10.0.0.2:2223\"}";
        (StatusCode::BAD_REQUEST, format!("{wanted} ({error})"))
    })?;
    let meant = match whom {
        Whom::Member(meant) => meant,
        Whom::Media(meant) => return drain_media(&meant.media, drain, engine),
    };
    let concerned = engine.drain(&meant.group, &meant.member, drain);
    if concerned.is_empty() {
        return Err((StatusCode::NOT_FOUND, nobody(&meant, &engine.members())));
    }
    let (group, members) = (&meant.group, &concerned);
    tracing::info!(
        ?group,
        ?members,
        drain,
        "members of a group are being drained, or serve again"
    );
    Ok(json!({ "group": meant.group, "members": concerned, "drained": drain }))
}

fn drain_media(node: &str, drain: bool, engine: &Engine) -> Done {
    if !engine.drain_media(node, drain) {
        let known: Vec<String> = engine
            .media_nodes()
            .into_iter()
            .map(|one| one.node)
            .collect();
        let known = known.join(", ");
        let why = format!("there is no RTPEngine {node:?}; known: {known}");
        return Err((StatusCode::NOT_FOUND, why));
    }
    tracing::info!(
        ?node,
        drain,
        "an RTPEngine is being drained, or serves again"
    );
    Ok(json!({ "group": "media", "members": [node], "drained": drain }))
}

/// Why an order concerns nobody, and whom it could.
fn nobody(meant: &Meant, members: &[MemberState]) -> String {
    let of = |member: &&MemberState| member.group == meant.group;
    let there: Vec<&str> = members
        .iter()
        .filter(of)
        .map(|one| &one.member[..])
        .collect();
    if there.is_empty() {
        let mut groups: Vec<&str> = members.iter().map(|one| &one.group[..]).collect();
        groups.dedup();
        return format!(
            "there is no group {:?}; known: {}",
            meant.group,
            groups.join(", ")
        );
    }
    format!(
        "group {:?} has no member {:?}; known: {}",
        meant.group,
        meant.member,
        there.join(", ")
    )
}

/// A page in a browser of this machine could POST here, too: but not JSON without asking first (CORS), nor without saying
/// where it comes from.
fn is_meant(method: &Method, headers: &HeaderMap) -> Result<(), (StatusCode, String)> {
    let refuse = |status, why: &str| Err((status, why.to_owned()));
    if method != Method::POST {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "an order is a POST");
    }
    if headers.contains_key(ORIGIN) {
        return refuse(
            StatusCode::FORBIDDEN,
            "no page of a browser gives orders here",
        );
    }
    let is_json = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().eq_ignore_ascii_case(b"application/json"));
    if is_json {
        Ok(())
    } else {
        refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Content-Type: application/json",
        )
    }
}

/// A page may let its own name lead here (DNS rebinding), and then read and send what it likes: so orders, and all that comes by
/// loopback, call us by an address or as `localhost`. On a private address who only asks may have a name for us: Prometheus.
pub(super) fn is_called_so(
    headers: &HeaderMap,
    asks: bool,
    loopback: bool,
) -> Result<(), (StatusCode, String)> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    // HTTP/1.0 has none, and no browser speaks it.
    let Some(host) = host.filter(|_| loopback || !asks) else {
        return Ok(());
    };
    let bare = match host.rsplit_once(':') {
        // Of an IPv6 address in brackets.
        Some((bare, port)) if !port.ends_with(']') => bare,
        _ => host,
    };
    let is_address = bare.starts_with('[') || bare.parse::<Ipv4Addr>().is_ok();
    if is_address || bare.eq_ignore_ascii_case("localhost") {
        Ok(())
    } else {
        let why = "call this node by its address or as `localhost`";
        Err((StatusCode::MISDIRECTED_REQUEST, why.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_whose_name_leads_here_is_told_nothing() {
        for (host, asks, loopback, want) in [
            (Some("127.0.0.1:9090"), true, true, true),
            (Some("localhost:9090"), true, true, true),
            (Some("LOCALHOST"), false, true, true),
            (Some("[::1]:9090"), false, true, true),
            (Some("[::1]"), false, true, true),
            (Some("127.0.0.1"), false, true, true),
            (None, true, true, true),
            (Some("rebound.example:9090"), true, true, false),
            (Some("rebound.example"), false, true, false),
            (Some("127.0.0.1.rebound.example:9090"), true, true, false),
            (Some("localhost.rebound.example"), true, true, false),
            (Some(""), true, true, false),
            (Some("edge-1.internal:9090"), true, false, true),
            (Some("edge-1.internal:9090"), false, false, false),
            (Some("10.0.0.10:9090"), false, false, true),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(host) = host {
                headers.insert(HOST, host.parse().unwrap());
            }
            let got = is_called_so(&headers, asks, loopback).is_ok();
            assert_eq!(got, want, "{host:?}, asks {asks}, loopback {loopback}");
        }
    }

    #[test]
    fn who_is_not_there_is_told_who_is() {
        let member = |group: &str, member: &str| MemberState {
            group: group.to_owned(),
            member: member.to_owned(),
            address: None,
            state: "alive",
            standing: "serves",
            calls: 0,
            deaths: 0,
            passed_over: 0,
        };
        let known = [
            member("core", "10.0.0.1:5060"),
            member("core", "10.0.0.2:5060"),
            member("pstn", "10.0.0.3:5060"),
        ];
        for (group, asked, want) in [
            ("cor", "10.0.0.1", "no group \"cor\"; known: core, pstn"),
            ("core", "10.0.0.3", "known: 10.0.0.1:5060, 10.0.0.2:5060"),
        ] {
            let meant = Meant {
                group: group.to_owned(),
                member: asked.to_owned(),
            };
            let said = nobody(&meant, &known);
            assert!(said.contains(want), "{said}");
        }
    }

    #[test]
    fn an_order_is_meant_by_whoever_gives_it() {
        let headers = |pairs: &[(&str, &str)]| -> HeaderMap {
            let each = pairs.iter().map(|(name, value)| {
                let name: hyper::header::HeaderName = name.parse().unwrap();
                (name, value.parse().unwrap())
            });
            each.collect()
        };
        let json = ("content-type", "application/json");
        for (why, method, given, want) in [
            ("a person's", Method::POST, &[json][..], None),
            ("a link", Method::GET, &[json], Some(405)),
            (
                "a page's form",
                Method::POST,
                &[("content-type", "text/plain")],
                Some(415),
            ),
            (
                "a page's script",
                Method::POST,
                &[json, ("origin", "https://a.example")],
                Some(403),
            ),
            (
                "a page that hides itself",
                Method::POST,
                &[json, ("origin", "null")],
                Some(403),
            ),
        ] {
            let refused = is_meant(&method, &headers(given)).err();
            assert_eq!(refused.map(|(status, _)| status.as_u16()), want, "{why}");
        }
    }
}
