//! The gateway itself dies (`kill -9`) and is started again: what was answered is still known, calls go on, and the next
//! request of a call finds its way by its tokens, without any memory.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use causeway_tests::baresip::Phone;
use causeway_tests::browser::{Browser, Page};
use causeway_tests::process::Process;
use causeway_tests::scene::{self, Scene};
use causeway_tests::sipp::{Run, Sipp};
use causeway_tests::{ports, wait};

use crate::{FAST, ended};

/// What the page has received of its call, and what was lost on the way.
async fn packets(page: &Page) -> (u64, u64) {
    let figures = page.stats().await.unwrap();
    let count = |name: &str| figures[name].as_u64().unwrap_or(0);
    (count("received"), count("lost"))
}

/// A call between the page of alice and desk1, with audio.
async fn in_call(scene: &Scene, browser: &Browser) -> (Page, Phone) {
    let page = scene.page(browser, "alice").await.unwrap();
    let mut phone = Phone::start_registered(&scene.account("desk1"))
        .await
        .unwrap();
    scene::dial(&page, "desk1").await.unwrap();
    phone.event("CALL_ESTABLISHED").await.unwrap();
    page.state(&["up"]).await.unwrap();
    scene::audio_flows(&page, 25).await.unwrap();
    (page, phone)
}

#[tokio::test]
async fn a_call_goes_on_and_its_bye_is_routed_right() {
    let mut scene = Scene::start_with(&[], FAST).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let (page, mut phone) = in_call(&scene, &browser).await;
    let mut callee = Phone::start_registered(&scene.account("desk2"))
        .await
        .unwrap();
    let mut caller = Phone::start_registered(&scene.account("carol"))
        .await
        .unwrap();
    let before = packets(&page).await;

    scene.gateway.kill();
    scene::line(&page, "retrying").await.unwrap();
    assert!(
        page.text("banner")
            .await
            .unwrap()
            .contains("A call that is up goes on")
    );
    // Without the gateway, a second and more of audio both ways.
    scene::audio_flows(&page, 75).await.unwrap();
    phone.receives_more(75).await.unwrap();
    scene.gateway.restart().await.unwrap();

    // Nobody has registered anew, and a phone calls a phone.
    assert!(scene.figure("bindings").await >= 4);
    caller.dial("sip:desk2@kit.test").await.unwrap();
    callee.event("CALL_ESTABLISHED").await.unwrap();
    caller.receives_more(25).await.unwrap();
    caller.hang_up().await.unwrap();
    callee.event("CALL_CLOSED").await.unwrap();

    // The browser's connection is another one now; the phone knows nothing of that, and hangs up.
    scene::registered(&page).await.unwrap();
    let (received, lost) = packets(&page).await;
    let (received, lost) = (received - before.0, lost - before.1);
    assert!(
        received > 150 && lost * 50 < received,
        "{lost} packets were lost, {received} came"
    );
    phone.hang_up().await.unwrap();
    let (_, reason, words) = ended(&page).await;
    assert_eq!(reason, "far-hung-up");
    assert!(words.contains("desk1 hung up"), "{words}");
    scene.nothing_stays(Duration::from_secs(15)).await.unwrap();
}

#[tokio::test]
async fn the_browser_comes_back_by_itself_and_its_bye_ends_the_call() {
    let mut scene = Scene::start_with(&[], FAST).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let (page, mut phone) = in_call(&scene, &browser).await;
    scene.gateway.kill();
    scene::line(&page, "retrying").await.unwrap();
    scene.gateway.restart().await.unwrap();
    scene::registered(&page).await.unwrap();
    scene::audio_flows(&page, 25).await.unwrap();
    page.click("call-hangup").await.unwrap();
    phone.event("CALL_CLOSED").await.unwrap();
    let (_, reason, _) = ended(&page).await;
    assert_eq!(reason, "hung-up");
    scene.nothing_stays(Duration::from_secs(15)).await.unwrap();
    // It can be called as before.
    phone.dial("sip:alice@kit.test").await.unwrap();
    page.state(&["ringing"]).await.unwrap();
    page.click("call-answer").await.unwrap();
    scene::audio_flows(&page, 25).await.unwrap();
}

#[tokio::test]
async fn whoever_hangs_up_meanwhile_is_heard_afterwards() {
    let mut scene = Scene::start_with(&[], FAST).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let (page, mut phone) = in_call(&scene, &browser).await;

    // The phone: its BYE is sent again until the gateway is there, and waits there until the browser is.
    scene.gateway.kill();
    phone.hang_up().await.unwrap();
    scene.gateway.restart().await.unwrap();
    let (_, reason, _) = ended(&page).await;
    assert_eq!(reason, "far-hung-up");
    scene::registered(&page).await.unwrap();

    // The page: it keeps its BYE until it is connected again.
    scene::dial(&page, "desk1").await.unwrap();
    phone.event("CALL_ESTABLISHED").await.unwrap();
    page.state(&["up"]).await.unwrap();
    scene.gateway.kill();
    scene::line(&page, "retrying").await.unwrap();
    page.click("call-hangup").await.unwrap();
    scene.gateway.restart().await.unwrap();
    phone.event("CALL_CLOSED").await.unwrap();
    let (_, reason, _) = ended(&page).await;
    assert_eq!(reason, "hung-up");
    scene.nothing_stays(Duration::from_secs(15)).await.unwrap();
}

/// REGISTERs that SIPp has seen answered 200, counted as its log grows.
struct Answers {
    log: PathBuf,
    read: u64,
    /// What may be the beginning of the next one.
    rest: Vec<u8>,
    count: usize,
}

impl Answers {
    const LINE: &[u8] = b"SIP/2.0 200 OK";

    fn of(sipp: &Sipp) -> Self {
        Answers {
            log: sipp.process.path().join("messages"),
            read: 0,
            rest: Vec::new(),
            count: 0,
        }
    }

    fn count(&mut self) -> usize {
        let mut grown = std::mem::take(&mut self.rest);
        if let Ok(mut log) = fs::File::open(&self.log)
            && log.seek(SeekFrom::Start(self.read)).is_ok()
        {
            self.read += log.read_to_end(&mut grown).unwrap_or(0) as u64;
        }
        self.count += grown
            .windows(Self::LINE.len())
            .filter(|window| *window == Self::LINE)
            .count();
        self.rest = grown.split_off(grown.len().saturating_sub(Self::LINE.len() - 1));
        self.count
    }

    /// Waits for `count` of them without a pause between two looks: what was answered last is to be hardly a moment old.
    async fn reach(&mut self, count: usize) {
        let began = Instant::now();
        while self.count() < count && began.elapsed() < Duration::from_secs(20) {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn every_register_that_was_answered_survives() {
    const USERS: usize = 200;
    let users: Vec<String> = (0..USERS).map(|n| format!("user-{n}")).collect();
    let mut scene = Scene::start_with(&users, FAST).await.unwrap();
    let folder = Process::folder("users").unwrap();
    let file = folder.path().join("users.csv");
    let mut rows = "SEQUENTIAL\n".to_owned();
    for user in &users {
        writeln!(
            rows,
            "{user};[authentication username={user} password={}]",
            scene::PASSWORD
        )
        .unwrap();
    }
    fs::write(&file, rows).unwrap();
    let local = ports::free_address();
    let mut sipp = Run {
        local: Some(local),
        keys: vec![("domain", scene::DOMAIN)],
        calls: USERS as u32,
        more: vec!["-inf", file.to_str().unwrap(), "-r", "4000"],
        ..Run::client("register-many", scene.sip)
    }
    .start()
    .unwrap();

    let mut answers = Answers::of(&sipp);

    // In the midst of them; SIPp then takes what was answered up to that moment from its socket.
    answers.reach(1).await;
    scene.gateway.kill();
    let mut known = 0;
    assert!(
        wait::until(Duration::from_secs(5), || {
            let before = std::mem::replace(&mut known, answers.count());
            before == known
        })
        .await
    );
    assert!((1..USERS).contains(&known));
    scene.gateway.restart().await.unwrap();
    let bindings = scene.figure("bindings").await;
    assert!(
        bindings >= known as u64,
        "{known} were answered, {bindings} are known"
    );

    // Those that were not answered are sent again. At once after the last answer:
    answers.reach(USERS).await;
    scene.gateway.kill();
    scene.gateway.restart().await.unwrap();
    assert_eq!(scene.figure("bindings").await, USERS as u64);
    // An answer that SIPp's own socket dropped is asked for again.
    let counts = sipp.succeeds(Duration::from_secs(60)).await.unwrap();
    assert_eq!(counts.successful, USERS as u64);

    // And they are where they said.
    let mut callee = Run {
        local: Some(local),
        ..Run::server("answer")
    }
    .start()
    .unwrap();
    let mut phone = Phone::start_registered(&scene.account("desk1"))
        .await
        .unwrap();
    phone.dial("sip:user-137@kit.test").await.unwrap();
    phone.event("CALL_ESTABLISHED").await.unwrap();
    phone.hang_up().await.unwrap();
    callee.succeeds(Duration::from_secs(10)).await.unwrap();
}
