//! Call-outs: asks over HTTP where a request goes, for rules that say so. What is done with the answer is
//! [`proxy::call_out`]'s decision.
//!
//! Whoever sends requests makes us ask, so all of it is bounded: questions at once, the time and the bytes of an answer, and the
//! answers that are remembered. A redirect is not followed, and no proxy of the environment is used.
//!
//! - [`query`]: what is said of a request; [`answer`]: what may come back;
//! - [`cache`]: answers that are still good.

mod answer;
mod cache;
mod query;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use proxy::call_out::Choice;
use proxy::{Flow, Site};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, StatusCode, redirect};
use rustls_platform_verifier::BuilderVerifierExt as _;
use sip::Message;
use tokio::sync::Semaphore;

use crate::guard::Complaint;

pub use answer::{AnswerError, choice};
pub use query::Query;

use cache::Cache;

/// Bytes of an answer.
const ANSWER: usize = 16 * 1024;

/// How one is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// As the configuration names it.
    pub name: String,
    /// Where.
    pub url: String,
    /// How long it may take.
    pub timeout: Duration,
    /// How long an answer is good; zero for this once.
    pub cache: Duration,
    /// Questions at once.
    pub at_once: usize,
}

/// Why the client for them cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// TLS cannot be had.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// Nor the client.
    #[error("{0}")]
    Client(#[from] reqwest::Error),
}

/// Why there is no answer that is good for anything.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("as many questions as `at_once` allows are under way")]
    Busy,
    #[error("no answer within {0:?}")]
    Slow(Duration),
    #[error("it cannot be asked: {0}")]
    Down(#[from] reqwest::Error),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("its answer is longer than {ANSWER} bytes")]
    TooLong,
    #[error("its answer is wrong: {0}")]
    Wrong(#[from] AnswerError),
}

/// All that the configuration names.
pub struct CallOuts {
    client: Option<Client>,
    each: Vec<Asked>,
    /// The section of each listener.
    listeners: Vec<String>,
}

struct Asked {
    settings: Settings,
    places: Semaphore,
    cache: Mutex<Cache>,
    complaint: Complaint,
    answered: AtomicU64,
    remembered: AtomicU64,
    failed: AtomicU64,
}

/// What is counted of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallOutState {
    /// As the configuration names it.
    pub name: String,
    /// Good answers that came.
    pub answered: u64,
    /// Answers that were still good.
    pub remembered: u64,
    /// Requests without a good answer in time.
    pub failed: u64,
}

impl CallOuts {
    /// Those that are configured, in the order of the site's; `listeners` are the names of its listeners.
    ///
    /// # Errors
    /// When there are some, and no client for them can be made.
    pub fn new(all: Vec<Settings>, listeners: Vec<String>) -> Result<Self, StartError> {
        let client = if all.is_empty() {
            None
        } else {
            Some(client()?)
        };
        let asked = |settings: Settings| Asked {
            places: Semaphore::new(settings.at_once),
            cache: Mutex::new(Cache::new(settings.cache)),
            settings,
            complaint: Complaint::default(),
            answered: AtomicU64::new(0),
            remembered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        Ok(Self {
            client,
            listeners,
            each: all.into_iter().map(asked).collect(),
        })
    }

    /// Asks where a request goes; `None` if there is no good answer in time.
    pub async fn ask(
        &self,
        index: usize,
        request: &Message,
        flow: &Flow,
        site: &Site,
    ) -> Option<Choice> {
        let (asked, client) = (self.each.get(index)?, self.client.as_ref()?);
        let listener = self.listeners.get(usize::from(flow.listener.0));
        let listener = listener.map_or("", String::as_str);
        let query = Query::of(request, flow, site, listener);
        let key = query.key();
        if let Some(known) = asked.cache().get(&key, Instant::now()) {
            asked.remembered.fetch_add(1, Relaxed);
            return Some(known);
        }
        match asked.ask(client, request, &query, site).await {
            Ok(choice) => {
                asked.answered.fetch_add(1, Relaxed);
                asked.cache().put(key, choice.clone(), Instant::now());
                Some(choice)
            }
            Err(failure) => {
                asked.failed.fetch_add(1, Relaxed);
                if let Some(since) = asked.complaint.due(crate::engine::now()) {
                    let name = &asked.settings.name;
                    tracing::warn!(?name, ?failure, since_last_line = since, "call-out failed");
                }
                None
            }
        }
    }

    /// What is counted.
    pub fn states(&self) -> Vec<CallOutState> {
        let state = |asked: &Asked| CallOutState {
            name: asked.settings.name.clone(),
            answered: asked.answered.load(Relaxed),
            remembered: asked.remembered.load(Relaxed),
            failed: asked.failed.load(Relaxed),
        };
        self.each.iter().map(state).collect()
    }
}

impl Asked {
    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(
        &self,
        client: &Client,
        request: &Message,
        query: &Query,
        site: &Site,
    ) -> Result<Choice, Failure> {
        let Ok(_place) = self.places.try_acquire() else {
            return Err(Failure::Busy);
        };
        let timeout = self.settings.timeout;
        let exchange = exchange(client, &self.settings.url, query);
        let body = tokio::time::timeout(timeout, exchange)
            .await
            .map_err(|_| Failure::Slow(timeout))??;
        Ok(choice(&body, request.uri(), site)?)
    }
}

async fn exchange(client: &Client, url: &str, query: &Query) -> Result<Vec<u8>, Failure> {
    let mut response = client
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .body(query.to_json())
        .send()
        .await?;
    if response.status() != StatusCode::OK {
        return Err(Failure::Status(response.status()));
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        if body.len() + piece.len() > ANSWER {
            return Err(Failure::TooLong);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn client() -> Result<Client, StartError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .build()?)
}
