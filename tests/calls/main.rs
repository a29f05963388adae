//! Calls between real peers, with audio proven at both ends: browsers over WSS, desk phones over UDP, TCP and TLS, SIPp.
//!
//! Each test has a gateway and an RTPEngine of its own ([`place`]) and so runs beside the others; all share one Chromium and one Firefox. When
//! all have ended, one check says that no gateway holds a transaction any more: 40 s once, not for each test.

mod browsers;
mod cluster;
mod demo;
mod desk;
mod echo;
mod firefox;
mod place;
mod relay;
mod transfer;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use causeway_tests::browser::Browser;
use causeway_tests::wait;
use libtest_mimic::{Arguments, Trial};
use place::{Place, SharedBrowser};
use tokio::runtime::{Handle, Runtime};

/// Tests at once unless `--test-threads` says otherwise: each has a browser's and a phone's audio to keep in time.
const AT_ONCE: usize = 2;
/// RFC 3261's longest timer that may be running is 64*T1, 32 s, plus what a sweep may take.
const TRANSACTIONS_END: Duration = Duration::from_secs(40);

/// What the tests share.
struct Stage {
    runtime: Handle,
    browser: Arc<SharedBrowser>,
    /// Every place where calls were made.
    places: Mutex<Vec<Arc<Place>>>,
}

impl Stage {
    /// A test in a place of its own on this address.
    fn trial<T>(self: &Arc<Self>, name: &str, host: IpAddr, test: T) -> Trial
    where
        T: AsyncFn(&Place) -> Result<()> + Send + 'static,
    {
        let stage = self.clone();
        let run = async move || {
            let place = Arc::new(Place::start(host, stage.browser.clone()).await?);
            stage.places().push(place.clone());
            test(&place).await.with_context(|| place.logs())
        };
        let runtime = self.runtime.clone();
        Trial::test(name, move || Ok(runtime.block_on(run()).map_err(said)?))
    }

    /// A test that brings its own gateway.
    fn alone<T>(&self, name: &str, test: T) -> Trial
    where
        T: AsyncFn(&Browser) -> Result<()> + Send + 'static,
    {
        let (runtime, browser) = (self.runtime.clone(), self.browser.clone());
        let run = async move || test(browser.get().await?).await;
        Trial::test(name, move || Ok(runtime.block_on(run()).map_err(said)?))
    }

    fn places(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The check after all tests.
    async fn nothing_is_left(&self) -> Result<()> {
        let places = self.places().clone();
        let left = async || {
            let mut left = 0;
            for place in &places {
                left += place.transactions().await?;
            }
            anyhow::Ok(left)
        };
        wait::until_async(TRANSACTIONS_END, async || {
            left().await.is_ok_and(|left| left == 0)
        })
        .await;
        match left().await? {
            0 => Ok(()),
            left => bail!("{left} transactions are left {TRANSACTIONS_END:?} after the last test"),
        }
    }
}

/// Every cause, without a backtrace: it would show the runner.
fn said(error: anyhow::Error) -> String {
    error.chain().map(|cause| format!("{cause}\n")).collect()
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let Ok(runtime) = Runtime::new() else {
        return ExitCode::FAILURE;
    };
    let stage = Arc::new(Stage {
        runtime: runtime.handle().clone(),
        browser: Arc::default(),
        places: Mutex::default(),
    });
    let conclusion = libtest_mimic::run(&arguments, trials(&stage));
    if conclusion.has_failed() || arguments.list || stage.places().is_empty() {
        return conclusion.exit_code();
    }
    let checked = stage.clone();
    let check = Trial::test(
        "no_transaction_is_left_40_s_after_the_last_test",
        move || {
            Ok(checked
                .runtime
                .block_on(checked.nothing_is_left())
                .map_err(said)?)
        },
    );
    // Whatever was filtered, this follows what ran.
    libtest_mimic::run(&Arguments::default(), vec![check]).exit_code()
}

/// Names each test by module and function, and says where it takes place.
macro_rules! trials {
    ($stage:expr, $host:expr, $($module:ident::$test:ident),+ $(,)?) => {
        [$($stage.trial(concat!(stringify!($module), "::", stringify!($test)), $host.into(), $module::$test)),+]
    };
}

fn trials(stage: &Arc<Stage>) -> Vec<Trial> {
    let v4 = trials![
        stage,
        Ipv4Addr::LOCALHOST,
        desk::a_browser_and_a_phone_call_each_other_over_udp,
        desk::a_browser_and_a_phone_call_each_other_over_tcp,
        desk::a_browser_and_a_phone_call_each_other_over_tls,
        desk::a_browser_and_a_phone_of_one_user_both_ring,
        desk::a_phone_with_encrypted_audio_calls_a_browser,
        desk::the_called_side_hangs_up,
        desk::keys_mute_and_hold_work_over_udp,
        desk::keys_mute_and_hold_work_over_tcp,
        desk::keys_mute_and_hold_work_over_tls,
        browsers::two_browsers_call_each_other,
        browsers::two_browsers_mute_and_hold_each_other,
        browsers::two_browsers_show_each_other_their_cameras,
        browsers::a_phone_without_video_keeps_its_audio,
        firefox::firefox_and_a_phone_call_each_other,
        firefox::firefox_and_chromium_call_each_other,
        echo::a_phone_calls_sipp_and_hears_itself,
        echo::a_browser_calls_sipp_and_hears_itself,
        transfer::a_browser_transfers_a_phone_to_another_phone,
        transfer::a_browser_transfers_a_phone_to_another_browser,
        transfer::a_phone_transfers_a_browser_to_another_phone,
        transfer::linphone_transfers_a_browser_to_another_phone,
        transfer::a_browser_transfers_linphone_to_another_phone,
    ];
    let v6 = trials![
        stage,
        Ipv6Addr::LOCALHOST,
        desk::a_browser_and_a_phone_call_each_other_over_udp,
        desk::a_browser_and_a_phone_call_each_other_over_tcp,
        desk::a_browser_and_a_phone_call_each_other_over_tls,
    ];
    let v6 = v6.map(|trial| trial.with_kind("IPv6"));
    let demo = stage.alone(
        "demo::a_click_in_the_demo_lets_one_hear_oneself",
        async |browser: &Browser| demo::a_click_in_the_demo_lets_one_hear_oneself(browser).await,
    );
    let cluster = stage.alone(
        "cluster::an_edge_and_a_registrar_are_killed_and_the_pages_go_on",
        async |browser: &Browser| {
            cluster::an_edge_and_a_registrar_are_killed_and_the_pages_go_on(browser).await
        },
    );
    let (runtime, browser) = (stage.runtime.clone(), stage.browser.clone());
    let relay = Trial::test(
        "relay::a_browser_that_may_only_relay_talks_through_a_turn_server",
        move || {
            let test = relay::a_browser_that_may_only_relay_talks_through_a_turn_server(browser);
            Ok(runtime.block_on(test).map_err(said)?)
        },
    );
    v4.into_iter()
        .chain(v6)
        .chain([demo, cluster, relay])
        .collect()
}
