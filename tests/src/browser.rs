//! Chromium and Firefox, driven through `tests/browser/driver.mjs`: one JSON command a line, one JSON answer a line.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::ChildStdin;
use tokio::sync::oneshot;

use crate::data;
use crate::process::Process;

/// Longest that the driver may take for a command whose own limit is shorter.
const PATIENCE: Duration = Duration::from_secs(60);

type Waiting = Mutex<HashMap<u64, oneshot::Sender<Value>>>;

/// Which browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its fake microphone beeps twice a second.
    Chromium,
    /// Debian's ESR; its fake microphone sounds at [`FIREFOX_HERTZ`] without a pause.
    Firefox,
}

/// The tone of Firefox's fake microphone (`firefox.mjs` says so to it).
pub const FIREFOX_HERTZ: u32 = 1000;

/// A running browser; it ends when the last of its pages and handles is dropped.
#[derive(Clone, Debug)]
pub struct Browser {
    driver: Arc<Driver>,
}

#[derive(Debug)]
struct Driver {
    input: tokio::sync::Mutex<(u64, ChildStdin)>,
    waiting: Arc<Waiting>,
    /// Last, so that the input closes first and the driver ends its browser itself.
    process: Process,
}

/// A tab of the browser.
#[derive(Clone, Debug)]
pub struct Page {
    browser: Browser,
    name: String,
}

impl Browser {
    /// Starts node with the driver, and the driver a headless Chromium with a fake microphone.
    pub async fn start() -> Result<Self> {
        Self::start_kind(Kind::Chromium).await
    }

    /// The same with this browser.
    pub async fn start_kind(kind: Kind) -> Result<Self> {
        Self::start_under(&[], kind).await
    }

    /// The same in the network namespace of another process.
    pub async fn start_beside(process: u32) -> Result<Self> {
        let process = process.to_string();
        let under = ["nsenter", "--target", &process, "--net"];
        Self::start_under(&under, Kind::Chromium).await
    }

    async fn start_under(under: &[&str], kind: Kind) -> Result<Self> {
        let script = data::root().join("tests/browser/driver.mjs");
        let script = script
            .to_str()
            .context("the project lies in a folder with a strange name")?;
        let folder = Process::folder("browser")?;
        let which = match kind {
            Kind::Chromium => "chromium",
            Kind::Firefox => "firefox",
        };
        let line = [under, &["node", script, which]].concat();
        let (program, arguments) = line.split_first().context("no program")?;
        let mut process = Process::start_piped(which, folder, Path::new(program), arguments)?;
        let (input, output) = process.take_pipes().context("no pipes")?;
        let input = ChildStdin::from_std(input)?;
        let output = tokio::process::ChildStdout::from_std(output)?;
        let waiting = Arc::new(Waiting::default());
        let answers = waiting.clone();
        // Ends by itself when the driver closes its output, which it does when its input is closed.
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(answer) = serde_json::from_str::<Value>(&line) else {
                    continue;
                };
                let id = answer["id"].as_u64();
                let sender = id.and_then(|id| {
                    answers
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .remove(&id)
                });
                if let Some(sender) = sender {
                    let _ = sender.send(answer);
                }
            }
            answers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
        });
        let driver = Driver {
            input: tokio::sync::Mutex::new((0, input)),
            waiting,
            process,
        };
        Ok(Browser {
            driver: Arc::new(driver),
        })
    }

    /// Opens a page in a context of its own (own storage, own microphone permission).
    pub async fn open(&self, name: &str, url: &str) -> Result<Page> {
        self.open_with(name, url, json!({})).await
    }

    /// Opens a page with more of the driver's options: `context` shares one, `permissions: []` has no microphone, `viewport`.
    pub async fn open_with(&self, name: &str, url: &str, options: Value) -> Result<Page> {
        let page = Page {
            browser: self.clone(),
            name: name.to_owned(),
        };
        let mut fields = options;
        fields["url"] = url.into();
        page.command("open", fields).await?;
        Ok(page)
    }

    async fn command(&self, mut fields: Map<String, Value>) -> Result<Value> {
        let (sender, answer) = oneshot::channel();
        let what = Value::Object(fields.clone()).to_string();
        {
            let mut input = self.driver.input.lock().await;
            input.0 += 1;
            fields.insert("id".to_owned(), input.0.into());
            self.driver
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(input.0, sender);
            input
                .1
                .write_all(format!("{}\n", Value::Object(fields)).as_bytes())
                .await
                .context("the driver is gone")?;
        }
        let log = || self.driver.process.log_tail();
        let answer = tokio::time::timeout(PATIENCE, answer)
            .await
            .map_err(|_| anyhow!("the driver did not answer {what}:\n{}", log()))?
            .map_err(|_| anyhow!("the driver ended at {what}:\n{}", log()))?;
        if answer["ok"] != true {
            bail!("{what}: {}", answer["error"].as_str().unwrap_or("failed"));
        }
        Ok(answer["value"].clone())
    }
}

impl Page {
    /// Any command of the driver on this page.
    pub async fn command(&self, name: &str, fields: Value) -> Result<Value> {
        let mut map = match fields {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        map.insert("do".to_owned(), name.into());
        map.insert("page".to_owned(), self.name.as_str().into());
        let failed = self.browser.command(map).await;
        match failed {
            Ok(value) => Ok(value),
            // What the page itself wrote says more than a selector that was not found.
            Err(error) if name != "log" => {
                let log = Box::pin(self.command("log", json!({})))
                    .await
                    .unwrap_or_default();
                Err(error.context(format!("page {}; its console: {log}", self.name)))
            }
            Err(error) => Err(error),
        }
    }

    /// Clicks a test id, or what a CSS selector finds.
    pub async fn click(&self, target: &str) -> Result<()> {
        self.command("click", json!({ "target": target }))
            .await
            .map(drop)
    }

    /// Fills a field.
    pub async fn fill(&self, target: &str, value: &str) -> Result<()> {
        self.command("fill", json!({ "target": target, "value": value }))
            .await
            .map(drop)
    }

    /// The text of an element.
    pub async fn text(&self, target: &str) -> Result<String> {
        let value = self.command("text", json!({ "target": target })).await?;
        Ok(value.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until `data-state` of the body is one of `states`; answers all data attributes of the body.
    pub async fn state(&self, states: &[&str]) -> Result<Value> {
        self.command("waitState", json!({ "state": states })).await
    }

    /// Waits until an expression of JavaScript is true in the page; answers its value.
    pub async fn wait_for(&self, expression: &str) -> Result<Value> {
        self.command("waitFor", json!({ "expression": expression }))
            .await
    }

    /// As [`wait_for`](Self::wait_for), for what takes longer than the usual 15 s.
    pub async fn wait_for_longer(&self, expression: &str, limit: Duration) -> Result<Value> {
        let limit = limit.as_millis() as u64;
        self.command(
            "waitFor",
            json!({ "expression": expression, "timeout": limit }),
        )
        .await
    }

    /// Loads the page again, as its user would.
    pub async fn reload(&self) -> Result<()> {
        self.command("reload", json!({})).await.map(drop)
    }

    /// The value of an expression.
    pub async fn eval(&self, expression: &str) -> Result<Value> {
        self.command("eval", json!({ "expression": expression }))
            .await
    }

    /// `window.causeway.stats`: what getStats counts of a call (of the only one if none is named).
    pub async fn stats(&self) -> Result<Value> {
        self.command("stats", json!({})).await
    }

    /// What the page and its errors wrote to the console.
    pub async fn log(&self) -> Result<Value> {
        self.command("log", json!({})).await
    }

    /// Writes a picture of the page.
    pub async fn screenshot(&self, path: &Path) -> Result<()> {
        self.command("screenshot", json!({ "path": path }))
            .await
            .map(drop)
    }

    /// Closes the tab as its user would.
    pub async fn close(self) -> Result<()> {
        self.command("close", json!({})).await.map(drop)
    }

    /// Its process dies: no event runs in it, nothing is sent.
    pub async fn crash(self) -> Result<()> {
        self.command("crash", json!({})).await.map(drop)
    }
}
