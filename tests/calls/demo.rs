//! `causeway demo` as a person meets it: started, opened, one click.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use causeway_tests::browser::Browser;
use causeway_tests::gateway;
use causeway_tests::process::Process;
use causeway_tests::scene::{dial, registered};
use causeway_tests::{http, ports};

use causeway_tests::sound::{SECONDS, talks};

/// How long it may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn a_click_in_the_demo_lets_one_hear_oneself(browser: &Browser) -> Result<()> {
    let began = Instant::now();
    let (web, sip) = (ports::free_address(), ports::free_address());
    let [web_port, sip_port] = [web, sip].map(|address| address.port().to_string());
    let folder = Process::folder("demo")?;
    let arguments = [
        "demo",
        "--data-dir",
        "data",
        "--http-port",
        &web_port,
        "--sip-port",
        &sip_port,
    ];
    let mut demo = Process::start("demo", folder, &gateway::binary()?, &arguments)?;
    demo.wait_for_log("ready", PATIENCE).await?;
    let ready = began.elapsed();
    let page = browser
        .open("demo", &format!("http://localhost:{web_port}/"))
        .await?;
    registered(&page).await?;
    page.click("target-echo").await?;
    page.state(&["up"]).await?;
    page.wait_for("window.causeway.stats().then((now) => now.energyIn > 0.01)")
        .await?;
    println!(
        "causeway demo: ready after {:.1} s, oneself heard after {:.1} s (the browser was open already)",
        ready.as_secs_f64(),
        began.elapsed().as_secs_f64()
    );
    talks(&page, SECONDS).await?;
    page.click("call-hangup").await?;
    page.state(&["ended"]).await?;

    dial(&page, "tone").await?;
    page.state(&["up"]).await?;
    talks(&page, SECONDS).await?;
    page.click("call-hangup").await?;
    page.state(&["ended"]).await?;
    page.close().await?;

    let status = demo.terminate(PATIENCE).await?;
    ensure!(status.success(), "the demo ended with {status}");
    let gone = http::get(web, "/healthz").await.is_err();
    ensure!(gone, "somebody still serves the demo's port");
    Ok(())
}
