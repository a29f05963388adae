//! `causeway demo --cluster` as a person meets it: a page at each edge, calls, an edge and a registrar killed and started again.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use causeway_tests::browser::{Browser, Page};
use causeway_tests::process::Process;
use causeway_tests::scene::{dial, hold_is, line, registered};
use causeway_tests::sound::{SECONDS, hears, talks};
use causeway_tests::{gateway, ports, wait};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// How long any step may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The parts that are processes of their own.
const PARTS: [&str; 5] = [
    "rtpengine",
    "registrar 1",
    "registrar 2",
    "edge 1",
    "edge 2",
];

pub(crate) async fn an_edge_and_a_registrar_are_killed_and_the_pages_go_on(
    browser: &Browser,
) -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let result = story(&mut cluster, browser).await;
    result.with_context(|| format!("the cluster said:\n{}", cluster.said()))
}

async fn story(cluster: &mut Cluster, browser: &Browser) -> Result<()> {
    let alive = || {
        let said = cluster.command(" ctl ");
        said.is_ok_and(|said| said.matches("  alive  serves  ").count() == PARTS.len() - 2)
    };
    ensure!(
        wait::until(PATIENCE, alive).await,
        "not alive: {:?}",
        cluster.command(" ctl ")
    );
    let explained = cluster.command(" explain ")?;
    ensure!(explained.contains("group:registrars"), "{explained}");
    let [alice, bob] = cluster.pages(browser).await?;

    for number in ["echo", "9198"] {
        dial(&alice, number).await?;
        alice.state(&["up"]).await?;
        talks(&alice, SECONDS).await?;
        hang_up(&alice).await?;
    }
    both_talk(&bob, "alice", &alice).await?;
    hang_up(&bob).await?;
    alice.state(&["ended"]).await?;
    cluster.core_calls("bob", &bob).await?;

    // As it is told on the screen: in a call, kill the edge of Alice's page, and go on.
    both_talk(&alice, "bob", &bob).await?;
    kill(cluster.id("edge 1")?, Signal::SIGKILL)?;
    cluster.says("edge 1 has ended (killed)").await?;
    let began = Instant::now();
    line(&alice, "retrying").await?;
    hears(&alice, 1).await?;
    registered(&alice).await?;
    println!(
        "causeway demo --cluster: the page was registered through the other edge {:.1} s after its own was killed",
        began.elapsed().as_secs_f64()
    );
    alice.click("call-hold").await?;
    hold_is(&alice, "local").await?;
    hold_is(&bob, "remote").await?;
    alice.click("call-hold").await?;
    hold_is(&alice, "none").await?;
    talks(&alice, SECONDS).await?;
    hang_up(&alice).await?;
    bob.state(&["ended"]).await?;

    // What is left serves whoever calls, also without one of the registrars.
    killpg(cluster.id("registrar 1")?, Signal::SIGKILL)?;
    cluster.says("registrar 1 has ended (killed)").await?;
    both_talk(&bob, "alice", &alice).await?;
    hang_up(&alice).await?;
    bob.state(&["ended"]).await?;
    cluster.core_calls("alice", &alice).await?;

    cluster.enter().await?;
    both_talk(&alice, "bob", &bob).await?;
    hang_up(&bob).await?;
    alice.state(&["ended"]).await?;
    alice.close().await?;
    bob.close().await?;
    cluster.ends().await
}

/// The one calls the other; both speak and hear.
async fn both_talk(caller: &Page, user: &str, called: &Page) -> Result<()> {
    dial(caller, user).await?;
    called.state(&["ringing"]).await?;
    called.click("call-answer").await?;
    caller.state(&["up"]).await?;
    called.state(&["up"]).await?;
    talks(caller, SECONDS).await?;
    talks(called, SECONDS).await
}

async fn hang_up(page: &Page) -> Result<()> {
    page.click("call-hangup").await?;
    page.state(&["ended"]).await.map(drop)
}

/// The running demo, with a hand on its keyboard.
struct Cluster {
    process: Process,
    keyboard: ChildStdin,
    screen: Arc<Mutex<String>>,
}

impl Cluster {
    async fn start() -> Result<Self> {
        let began = Instant::now();
        let folder = Process::folder("demo-cluster")?;
        let page = ports::free().to_string();
        let arguments = [
            "demo",
            "--cluster",
            "--data-dir",
            "data",
            "--http-port",
            &page,
        ];
        let program = gateway::binary()?;
        let mut process = Process::start_piped("cluster", folder, &program, &arguments)?;
        let (keyboard, output) = process.take_pipes().context("no pipes")?;
        let cluster = Self {
            process,
            keyboard,
            screen: read(output),
        };
        cluster.says("\nready\n").await?;
        println!(
            "causeway demo --cluster: ready after {:.1} s",
            began.elapsed().as_secs_f64()
        );
        Ok(cluster)
    }

    /// What it has printed.
    fn said(&self) -> String {
        let screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{screen}{}", self.process.log_tail())
    }

    async fn says(&self, words: &str) -> Result<()> {
        let said = wait::until(PATIENCE, || self.said().contains(words)).await;
        ensure!(said, "it never said {words:?}");
        Ok(())
    }

    /// The words of the table's row of a part, after its name.
    fn row(&self, name: &str) -> Result<Vec<String>> {
        let said = self.said();
        let row = said.lines().find_map(|line| line.trim().strip_prefix(name));
        let row = row.with_context(|| format!("no row of {name}"))?;
        Ok(row.split_whitespace().map(str::to_owned).collect())
    }

    fn id(&self, name: &str) -> Result<Pid> {
        let row = self.row(name)?;
        Ok(Pid::from_raw(row.first().context("an empty row")?.parse()?))
    }

    /// A page at each edge, each the user that the edge proposes first.
    async fn pages(&self, browser: &Browser) -> Result<[Page; 2]> {
        let mut pages = Vec::new();
        for (edge, user) in [("edge 1", "alice"), ("edge 2", "bob")] {
            let row = self.row(edge)?;
            let url = row.get(1).context("no URL")?;
            let page = browser.open(&format!("cluster-{user}"), url).await?;
            registered(&page).await?;
            pages.push(page);
        }
        pages.try_into().ok().context("two pages")
    }

    /// Runs the first of the printed commands with this word, as it stands there; what it says.
    fn command(&self, word: &str) -> Result<String> {
        let said = self.said();
        let line = said.lines().find(|line| line.contains(word));
        let done = Command::new("sh")
            .args(["-c", line.context("no such command")?])
            .current_dir(self.process.path())
            .output()?;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        ensure!(
            done.status.success(),
            "{line:?}: {said}{}",
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(said)
    }

    fn types(&mut self, line: &str) -> Result<()> {
        self.keyboard.write_all(format!("{line}\n").as_bytes())?;
        self.keyboard.flush()?;
        Ok(())
    }

    /// The core calls a user, who hears it; it hangs up.
    async fn core_calls(&mut self, user: &str, page: &Page) -> Result<()> {
        self.types(&format!("call {user}"))?;
        page.state(&["ringing"]).await?;
        page.click("call-answer").await?;
        page.state(&["up"]).await?;
        talks(page, SECONDS).await?;
        self.types("hangup")?;
        self.says(&format!("the core has hung up on {user}"))
            .await?;
        page.state(&["ended"]).await.map(drop)
    }

    /// Enter is pressed: what was killed runs again.
    async fn enter(&mut self) -> Result<()> {
        self.types("")?;
        self.says("registrar 1 runs again").await?;
        self.says("edge 1 runs again").await
    }

    /// Ctrl-C: all of it ends, and nothing stays.
    async fn ends(&mut self) -> Result<()> {
        let mut ids = Vec::new();
        for name in PARTS {
            ids.push(self.id(name)?);
        }
        for line in self.said().lines() {
            if let Some((_, id)) = line.split_once(" runs again, pid ") {
                ids.push(Pid::from_raw(id.parse()?));
            }
        }
        self.process.signal(Signal::SIGINT);
        let status = self.process.wait_for_end(PATIENCE).await?;
        ensure!(status.success(), "it ended with {status}");
        for id in ids {
            let gone = wait::until(PATIENCE, || killpg(id, None).is_err()).await;
            ensure!(gone, "processes of the group {id} are left");
        }
        Ok(())
    }
}

/// Reads what is printed, as it comes, until the other end is closed.
fn read(output: ChildStdout) -> Arc<Mutex<String>> {
    let screen = Arc::new(Mutex::new(String::new()));
    let shown = screen.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let mut screen = shown.lock().unwrap_or_else(PoisonError::into_inner);
            screen.push_str(&line);
            screen.push('\n');
        }
    });
    screen
}
