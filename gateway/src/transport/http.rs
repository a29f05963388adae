//! The HTTP side of a WS or WSS port: the upgrade (RFC 6455 §4.2, RFC 7118 §4.1), and whatever the [`Http`] of the
//! listener answers to plain requests (the demo page, `/healthz`).

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use proxy::flow::{ConnectionId, Flow};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::connection::{self, Session};
use super::link::Link;
use super::shared::{Listening, Shared, Slot};

/// A request line and headers above this are refused with 431.
const HEAD_BYTES: usize = 16 * 1024;
/// A whole page with all its files over a slow link.
const PAGE_TIME: Duration = Duration::from_secs(120);

/// Answers plain HTTP requests on a WS or WSS port.
pub trait Http: Send + Sync + 'static {
    /// The answer to a GET or HEAD (the transport leaves the body of a HEAD's answer out). Runs on a worker: it must not
    /// wait.
    fn answer(&self, request: &Request<()>) -> Response<Bytes>;
}

/// Serves HTTP on one connection until it ends or becomes a WebSocket, which goes on in a task of its own: this one's
/// state is ten times as large.
pub(super) async fn serve(
    shared: Arc<Shared>,
    listening: Arc<Listening>,
    link: Link,
    flow: Flow,
    id: ConnectionId,
    slot: Slot,
) {
    let upgraded = Arc::new(AtomicBool::new(false));
    let service = service_fn({
        let (upgraded, listening) = (upgraded.clone(), listening.clone());
        move |request: Request<Incoming>| {
            let response = answer(&request.map(|_| ()), &listening);
            let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
            upgraded.store(is_upgrade, Ordering::Relaxed);
            ready(Ok::<_, Infallible>(response.map(Full::new)))
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.settings.timeouts.http)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(link), service)
        .without_shutdown();
    match timeout(PAGE_TIME, serving).await {
        Ok(Ok(parts)) if upgraded.load(Ordering::Relaxed) => {
            let limit = listening.outbox;
            let session = Session::open(shared, flow, id, limit, true, slot);
            // Copied, although nearly always empty: hyper's 8 KiB would live as long as the connection.
            let first = Bytes::copy_from_slice(&parts.read_buf);
            tokio::spawn(connection::serve(session, parts.io.into_inner(), first));
        }
        Ok(Ok(parts)) => {
            let mut link = parts.io.into_inner();
            let _ = timeout(shared.settings.timeouts.farewell, link.shutdown()).await;
        }
        Ok(Err(error)) => {
            shared.counters.count_handshake(false);
            tracing::debug!(?flow, ?error, "HTTP connection ended");
        }
        Err(_) => tracing::debug!(?flow, "HTTP connection took too long"),
    }
}

fn answer(request: &Request<()>, listening: &Listening) -> Response<Bytes> {
    if has_token(request.headers(), &UPGRADE, "websocket") {
        return upgrade(request, &listening.origins);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD are answered here",
        );
    }
    // hyper leaves out a HEAD's body by itself and keeps its length.
    match &listening.http {
        Some(http) => http.answer(request),
        None => text(
            StatusCode::UPGRADE_REQUIRED,
            "this port speaks SIP over WebSocket",
        ),
    }
}

/// RFC 6455 §4.2.1 and §4.2.2. The path does not matter: pages use `/`, `/ws` and others.
fn upgrade(request: &Request<()>, origins: &[String]) -> Response<Bytes> {
    let headers = request.headers();
    let is_get = request.method() == Method::GET && has_token(headers, &CONNECTION, "upgrade");
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
    let Some(key) = key.filter(|_| is_get) else {
        return text(StatusCode::BAD_REQUEST, "not a WebSocket handshake");
    };
    if headers
        .get(SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version != "13")
    {
        let mut response = text(
            StatusCode::UPGRADE_REQUIRED,
            "WebSocket version 13 is needed",
        );
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return response;
    }
    if !has_token(headers, &SEC_WEBSOCKET_PROTOCOL, "sip") {
        return text(
            StatusCode::BAD_REQUEST,
            "the subprotocol \"sip\" is needed (RFC 7118)",
        );
    }
    if !is_allowed(headers.get(ORIGIN), origins) {
        return text(
            StatusCode::FORBIDDEN,
            "pages of this origin may not connect",
        );
    }
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("sip"));
    // Base64, so always a header's value.
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// An empty list allows all. Who sends no Origin is no page, and could forge one: the list guards the users of browsers.
fn is_allowed(origin: Option<&HeaderValue>, origins: &[String]) -> bool {
    let Some(origin) = origin else { return true };
    origins.is_empty()
        || origins
            .iter()
            .any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
}

/// True if a comma-joined header has this token, in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case(token))
}

fn text(status: StatusCode, words: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(words.as_bytes()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chromium's handshake (`ws-handshake.txt` of the captures), changed by `change`.
    fn handshake(change: impl Fn(&mut Request<()>)) -> Request<()> {
        let mut request = Request::get("/ws?token=abc")
            .header("Connection", "keep-alive, Upgrade")
            .header("Upgrade", "WebSocket")
            .header("Origin", "http://127.0.0.1:8088")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "/HBgxG4QKNjrA+sXGh+y+A==")
            .header(
                "Sec-WebSocket-Extensions",
                "permessage-deflate; client_max_window_bits",
            )
            .header("Sec-WebSocket-Protocol", "chat, sip")
            .body(())
            .unwrap();
        change(&mut request);
        request
    }

    #[test]
    fn chromiums_upgrade_is_answered_as_it_wants_it() {
        let response = upgrade(&handshake(|_| {}), &[]);
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(
            response.headers()[SEC_WEBSOCKET_ACCEPT],
            "x7KdOcUUCcg9lD6sxBeORNE5ZA0="
        );
        assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], "sip");
    }

    #[test]
    fn an_upgrade_is_refused_with_the_status_its_rfc_names() {
        let remove = |name: &'static str| {
            move |request: &mut Request<()>| {
                request.headers_mut().remove(name);
            }
        };
        let set = |name: &'static str, value: &'static str| {
            move |request: &mut Request<()>| {
                request
                    .headers_mut()
                    .insert(name, HeaderValue::from_static(value));
            }
        };
        let none: &[String] = &[];
        let ours = &[
            "https://phone.example.com".to_string(),
            "HTTP://127.0.0.1:8088".into(),
        ][..];
        let other = &["https://phone.example.com".to_string()][..];
        for (why, request, origins, want) in [
            (
                "no subprotocol",
                handshake(remove("sec-websocket-protocol")),
                none,
                400,
            ),
            (
                "another one",
                handshake(set("sec-websocket-protocol", "xmpp, sips")),
                none,
                400,
            ),
            ("no key", handshake(remove("sec-websocket-key")), none, 400),
            (
                "a short key",
                handshake(set("sec-websocket-key", "AAAA")),
                none,
                400,
            ),
            ("no Connection", handshake(remove("connection")), none, 400),
            (
                "POST",
                handshake(|request| *request.method_mut() = Method::POST),
                none,
                400,
            ),
            (
                "version 8",
                handshake(set("sec-websocket-version", "8")),
                none,
                426,
            ),
            ("an origin in the list", handshake(|_| {}), ours, 101),
            (
                "an origin that is not in the list",
                handshake(|_| {}),
                other,
                403,
            ),
            ("no page", handshake(remove("origin")), other, 101),
        ] {
            assert_eq!(upgrade(&request, origins).status().as_u16(), want, "{why}");
        }
    }
}
