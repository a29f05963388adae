//! Two browsers: neither has a tone of its own, so a mute shows whom the other one hears. And their cameras.

use anyhow::Result;
use causeway_tests::baresip::Transport;
use causeway_tests::browser::Page;
use causeway_tests::scene::{dial, hold_is};

use crate::place::Place;
use causeway_tests::sound::{self, SECONDS, beeps, page_and_phone_talk, talks};

/// How many pictures a page has decoded in its call.
const DECODED: &str = "window.causeway.session().connection.getStats().then((report) => \
     [...report.values()].filter((row) => row.type === 'inbound-rtp' && row.kind === 'video') \
     .reduce((sum, row) => sum + (row.framesDecoded ?? 0), 0))";
/// At ten pictures a second, which a busy machine manages.
const PICTURES: u64 = 10;

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

pub(crate) async fn two_browsers_show_each_other_their_cameras(place: &Place) -> Result<()> {
    let (alice, bob) = both(place).await?;
    connect(&alice, "bob", &bob).await?;
    both_talk(&alice, &bob, 1).await?;
    alice.click("call-video").await?;
    sees(&bob).await?;
    both_talk(&alice, &bob, 1).await?;
    bob.click("call-video").await?;
    tokio::try_join!(sees(&alice), sees(&bob))?;
    both_talk(&alice, &bob, 1).await?;
    holds(&bob, &alice).await?;
    tokio::try_join!(sees(&alice), sees(&bob))?;
    let fresh = "(() => { const before = window.causeway.session().connection; window.causeway.newPath(); \
         window.isFresh = () => before.signalingState === 'closed'; })()";
    alice.eval(fresh).await?;
    alice.wait_for("window.isFresh()").await?;
    tokio::try_join!(sees(&alice), sees(&bob))?;
    both_talk(&alice, &bob, 1).await?;

    alice.click("call-video").await?;
    sees_no_more(&bob).await?;
    sees(&alice).await?;
    both_talk(&alice, &bob, 1).await?;
    bob.click("call-video").await?;
    sees_no_more(&alice).await?;
    both_talk(&alice, &bob, 1).await?;
    alice.click("call-video").await?;
    sees(&bob).await?;
    both_talk(&alice, &bob, 1).await?;
    alice.click("call-hangup").await?;
    bob.state(&["ended"]).await?;
    place.engine_is_empty().await
}

/// RFC 3264 §6: port 0 for the line that it has nothing for.
pub(crate) async fn a_phone_without_video_keeps_its_audio(place: &Place) -> Result<()> {
    let phone = place.phone("desk1", Transport::Udp).await?;
    let page = place.page("alice").await?;
    dial(&page, "desk1").await?;
    page.state(&["up"]).await?;
    page_and_phone_talk(&page, &phone, beeps(&phone)).await?;
    page.click("call-video").await?;
    let told =
        "document.querySelector('[data-testid=banner]').innerText.includes('takes no pictures')";
    page.wait_for(told).await?;
    page.wait_for(&format!("{CALL}.camera === 'false'")).await?;
    page_and_phone_talk(&page, &phone, beeps(&phone)).await?;
    page.click("call-hangup").await?;
    page.state(&["ended"]).await?;
    place.engine_is_empty().await
}

/// What the card of a page's call says of it.
const CALL: &str = "document.querySelector('[data-testid=call]').dataset";

async fn sees(page: &Page) -> Result<()> {
    page.wait_for(&format!("{CALL}.picture === 'true'")).await?;
    let before = page.eval(DECODED).await?.as_u64().unwrap_or(0);
    let wanted = before + PICTURES;
    let more = format!("{DECODED}.then((now) => now >= {wanted})");
    page.wait_for(&more).await.map(drop)
}

async fn sees_no_more(page: &Page) -> Result<()> {
    let gone = format!("{CALL}.picture === 'false'");
    page.wait_for(&gone).await.map(drop)
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
