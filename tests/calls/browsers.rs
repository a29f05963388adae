//! Two browsers: neither has a tone of its own, so a mute shows whom the other one hears.

use anyhow::Result;
use causeway_tests::browser::Page;
use causeway_tests::scene::{dial, hold_is};

use crate::place::Place;
use causeway_tests::sound::{self, SECONDS, talks};

pub(crate) async fn two_browsers_call_each_other(place: &Place) -> Result<()> {
    let (alice, bob) = both(place).await?;
    connect(&alice, "bob", &bob).await?;
    both_talk(&alice, &bob, SECONDS).await?;
    bob.click("call-hangup").await?;
    alice.state(&["ended"]).await?;
    place.engine_is_empty().await?;

    connect(&bob, "alice", &alice).await?;
    both_talk(&alice, &bob, SECONDS).await?;
    bob.click("call-hangup").await?;
    alice.state(&["ended"]).await?;
    place.engine_is_empty().await
}

pub(crate) async fn two_browsers_mute_and_hold_each_other(place: &Place) -> Result<()> {
    let (alice, bob) = both(place).await?;
    connect(&alice, "bob", &bob).await?;
    both_talk(&alice, &bob, 1).await?;
    for (one, other) in [(&alice, &bob), (&bob, &alice)] {
        one.click("call-mute").await?;
        sound::hears_no_more(other).await?;
        sound::hears(one, 1).await?;
        one.click("call-mute").await?;
        both_talk(&alice, &bob, 1).await?;

        holds(one, other).await?;
        both_talk(&alice, &bob, 1).await?;
    }
    alice.click("call-hangup").await?;
    bob.state(&["ended"]).await?;
    place.engine_is_empty().await
}

/// One holds the other and takes it back; in between neither hears anything.
pub(crate) async fn holds(one: &Page, other: &Page) -> Result<()> {
    one.click("call-hold").await?;
    hold_is(other, "remote").await?;
    sound::hears_no_more(other).await?;
    sound::hears_no_more(one).await?;
    one.click("call-hold").await?;
    hold_is(other, "none").await
}

async fn both(place: &Place) -> Result<(Page, Page)> {
    let (alice, bob) = tokio::join!(place.page("alice"), place.page("bob"));
    Ok((alice?, bob?))
}

pub(crate) async fn connect(caller: &Page, name: &str, called: &Page) -> Result<()> {
    dial(caller, name).await?;
    called.state(&["ringing"]).await?;
    called.click("call-answer").await?;
    caller.state(&["up"]).await?;
    called.state(&["up"]).await.map(drop)
}

pub(crate) async fn both_talk(alice: &Page, bob: &Page, seconds: u32) -> Result<()> {
    let (alice, bob) = tokio::join!(talks(alice, seconds), talks(bob, seconds));
    alice?;
    bob
}
