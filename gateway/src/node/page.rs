//! The HTTP side of WebSocket ports: the demo page, built into the binary, and `/healthz`.

use bytes::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Request, Response, StatusCode};
use rust_embed::RustEmbed;
use serde_json::{Map, Value};

use super::turn::Turn;
use crate::config::{Config, IceUrl};
use crate::transport::Http;

/// The page as `npm run build` made it; empty where it was not built.
#[derive(RustEmbed)]
#[folder = "../web-demo/dist"]
#[allow_missing = true]
struct Files;

/// The page may load from where it came, and open WebSockets there and elsewhere (a gateway on another port).
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; media-src 'self' blob:; img-src 'self' data:; frame-ancestors 'none'";

/// What is served over plain HTTP.
#[derive(Clone, Default)]
pub struct Page {
    /// `/demo.json`: what the page has to know of this node, but for the servers that help its media through.
    demo: Map<String, Value>,
    /// Which those are.
    turn: Turn,
    /// Nothing but `/healthz`.
    health_only: bool,
}

impl Page {
    /// The page with this `/demo.json`, an object.
    pub fn with_demo(json: Value) -> Self {
        let demo = match json {
            Value::Object(demo) => demo,
            _ => Map::new(),
        };
        Self {
            demo,
            ..Self::default()
        }
    }

    /// Only `/healthz`.
    pub(super) fn health() -> Self {
        Self {
            health_only: true,
            ..Self::default()
        }
    }

    /// What of it the configuration says.
    ///
    /// # Errors
    /// The secret of the TURN servers cannot be read.
    pub(super) fn of(self, config: &Config) -> std::io::Result<Self> {
        let (turn, stun) = config.turn.urls.iter().cloned().partition(IceUrl::is_turn);
        let texts = |urls: Vec<IceUrl>| urls.into_iter().map(|url| url.0).collect();
        let turn = Turn {
            stun: texts(stun),
            turn: texts(turn),
            secret: config.turn.secret()?.expose().clone().into_bytes(),
            lifetime: config.turn.lifetime,
        };
        let mut demo = self.demo;
        if let (None, [domain]) = (
            demo.get("domain"),
            &config.domain.keys().collect::<Vec<_>>()[..],
        ) {
            demo.insert("domain".to_owned(), domain.as_str().into());
        }
        Ok(Self { demo, turn, ..self })
    }

    /// Made anew each time: it holds credentials that expire.
    fn demo_json(&self) -> Bytes {
        let mut demo = self.demo.clone();
        let servers = self.turn.ice_servers(crate::engine::now());
        demo.insert("iceServers".to_owned(), servers.into());
        demo.insert("renewAfter".to_owned(), self.turn.renew_after().into());
        Value::Object(demo).to_string().into()
    }
}

impl Http for Page {
    fn answer(&self, request: &Request<()>) -> Response<Bytes> {
        let path = request.uri().path();
        if path == "/healthz" {
            return response(
                StatusCode::OK,
                "text/plain; charset=utf-8",
                "no-store",
                Bytes::from_static(b"ok\n"),
            );
        }
        if self.health_only {
            return not_found();
        }
        if path == "/demo.json" {
            return response(
                StatusCode::OK,
                "application/json",
                "no-store",
                self.demo_json(),
            );
        }
        let name = if path == "/" {
            "index.html"
        } else {
            path.trim_start_matches('/')
        };
        let Some(file) = Files::get(name) else {
            return not_found();
        };
        // Vite names what is under assets/ by its content.
        let cache = if name.starts_with("assets/") {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        let content = match file.data {
            std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
        };
        response(StatusCode::OK, kind_of(name), cache, content)
    }
}

fn kind_of(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("json" | "webmanifest") => "application/json",
        _ => "application/octet-stream",
    }
}

fn not_found() -> Response<Bytes> {
    response(
        StatusCode::NOT_FOUND,
        "text/plain; charset=utf-8",
        "no-store",
        Bytes::from_static(b"not found\n"),
    )
}

fn response(
    status: StatusCode,
    kind: &'static str,
    cache: &'static str,
    body: Bytes,
) -> Response<Bytes> {
    let built = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, kind)
        .header(CACHE_CONTROL, cache)
        .header(CONTENT_SECURITY_POLICY, POLICY)
        .header(REFERRER_POLICY, "no-referrer")
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .body(body);
    built.unwrap_or_default()
}
