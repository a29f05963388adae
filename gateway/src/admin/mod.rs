//! The admin API: metrics for Prometheus, figures for people and tests, and orders. It asks nobody who he is, so it binds to a
//! private address only.

mod order;
mod trace;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::engine::Engine;
use crate::telemetry;
use crate::transport::Transports;

pub use trace::Shown;

use trace::Trace;

/// Scrapers at once.
const CONNECTIONS: usize = 64;
/// Readers of a trace at once, so that those who do not read leave connections for others.
const READERS: usize = 16;

/// What an answer is: whole, or one that goes on.
type Answer = Response<Either<Full<Bytes>, Trace>>;

/// Binds the admin API; the future serves it.
///
/// # Errors
/// When the address cannot be bound.
pub fn serve(
    address: SocketAddr,
    engine: Arc<Engine>,
    transports: Transports,
    shown: Shown,
) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let readers = Arc::new(Semaphore::new(READERS));
    let loopback = address.ip().is_loopback();
    Ok(async move {
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else {
                return;
            };
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let (engine, transports) = (engine.clone(), transports.clone());
            let (readers, shown) = (readers.clone(), shown.clone());
            tokio::spawn(async move {
                let _slot = slot;
                let answer = |request: Request<hyper::body::Incoming>| {
                    let (engine, transports) = (engine.clone(), transports.clone());
                    let (readers, shown) = (readers.clone(), shown.clone());
                    async move {
                        Ok::<_, Infallible>(
                            respond(
                                request,
                                (&engine, &transports),
                                (&readers, &shown),
                                loopback,
                            )
                            .await,
                        )
                    }
                };
                let served = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(std::time::Duration::from_secs(10))
                    .serve_connection(TokioIo::new(stream), service_fn(answer))
                    .await;
                if let Err(error) = served {
                    tracing::debug!(?error, "admin connection ended");
                }
            });
        }
    })
}

async fn respond(
    request: Request<hyper::body::Incoming>,
    (engine, transports): (&Arc<Engine>, &Transports),
    (readers, shown): (&Arc<Semaphore>, &Shown),
    loopback: bool,
) -> Answer {
    let asks = request.method() == Method::GET || request.method() == Method::HEAD;
    if let Err((status, why)) = order::is_called_so(request.headers(), asks, loopback) {
        return whole(status, "text/plain", why + "\n");
    }
    if asks && request.uri().path() == "/trace" {
        let query = request.uri().query().unwrap_or_default();
        let slot = readers.clone().try_acquire_owned().ok();
        return match Trace::begin(query, engine, shown, slot) {
            Ok(trace) => Response::new(Either::Right(trace)),
            Err((status, why)) => whole(status, "text/plain", why + "\n"),
        };
    }
    if asks {
        return answer(request.uri(), engine, transports);
    }
    match order::carry_out(request, engine).await {
        Ok(said) => whole(StatusCode::OK, "application/json", said.to_string()),
        Err((status, why)) => whole(status, "text/plain", why + "\n"),
    }
}

/// Records that are listed at once, and without a wish.
const RECORDS: (usize, usize) = (10_000, 50);

/// The value of a parameter of the query, as it stands.
fn parameter<'u>(uri: &'u Uri, name: &str) -> Option<&'u str> {
    let pairs = uri.query().unwrap_or_default().split('&');
    let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn answer(uri: &Uri, engine: &Engine, transports: &Transports) -> Answer {
    let (status, kind, body) = match uri.path() {
        "/healthz" => (StatusCode::OK, "text/plain", "ok\n".to_owned()),
        "/metrics" => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            (StatusCode::OK, kind, telemetry::scrape(engine, transports))
        }
        "/status" => (
            StatusCode::OK,
            "application/json",
            telemetry::status(engine, transports).to_string(),
        ),
        "/calls" => (
            StatusCode::OK,
            "application/json",
            telemetry::calls(engine).to_string(),
        ),
        "/calls/ended" if parameter(uri, "call-id").is_some() => {
            let asked = parameter(uri, "call-id").unwrap_or_default();
            let call_id = sip::uri::decode(asked.as_bytes());
            let said = telemetry::calls_of(engine, &String::from_utf8_lossy(&call_id));
            (StatusCode::OK, "application/json", said.to_string())
        }
        "/calls/ended" => match parameter(uri, "limit").map(str::parse).transpose() {
            Ok(limit) => {
                let limit = limit.unwrap_or(RECORDS.1).min(RECORDS.0);
                let said = telemetry::ended_calls(engine, limit).to_string();
                (StatusCode::OK, "application/json", said)
            }
            Err(_) => (
                StatusCode::BAD_REQUEST,
                "text/plain",
                "limit is a number: /calls/ended?limit=50\n".to_owned(),
            ),
        },
        _ => (
            StatusCode::NOT_FOUND,
            "text/plain",
            "here are /healthz, /metrics, /status, /calls, /calls/ended and /trace, and orders: POST /drain, POST /undrain\n"
                .to_owned(),
        ),
    };
    whole(status, kind, body)
}

fn whole(status: StatusCode, kind: &str, body: String) -> Answer {
    let built = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, kind)
        .body(Either::Left(Full::new(Bytes::from(body))));
    built.unwrap_or_else(|_| Response::new(Either::Left(Full::default())))
}
