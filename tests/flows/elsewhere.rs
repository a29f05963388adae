//! A call that goes to somebody else: 3xx that the caller follows, an INVITE that has to be said otherwise, REFER blind and
//! attended (RFC 3515, RFC 3891).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use causeway_tests::agent::{Call, Kind, Message};
use causeway_tests::scene::{DOMAIN, Scene};

use crate::leg::{Leg, talk};
use crate::pair::{End, PLAIN, Pair, connect, hang_up};
use causeway_tests::gateway::FAST;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invite_that_is_said_again_in_the_same_call_has_audio_and_leaves_nothing() -> Result<()>
{
    let scene = Scene::start_with(&[], FAST).await?;
    let alice = scene.device("alice", Kind::Udp).await?;
    let first = scene.device("bob", Kind::Tcp).await?;
    let other = scene.device("carol", Kind::Udp).await?;
    for (status, more, user) in [
        (
            "302 Moved Temporarily",
            format!("Contact: <sip:carol@{DOMAIN}>\r\n"),
            "carol",
        ),
        (
            "422 Session Interval Too Small",
            "Min-SE: 1800\r\n".to_owned(),
            "bob",
        ),
        ("415 Unsupported Media Type", String::new(), "bob"),
    ] {
        let why = || status.to_owned();
        let mut leg = Leg::open().await?;
        let mut outgoing = alice.calls("bob", &leg.sdp("sendrecv")).await?;
        let mut refuses = first.called().await?;
        refuses.rings();
        outgoing.progress(180).await?;
        let pattern = PLAIN.replace("Contact: x\r\n", "");
        refuses.answers(&refuses.invite, status, &pattern, &more, "");
        let refused = outgoing.outcome().await?;
        ensure!(refused.start().ends_with(status), "{}", refused.text);
        refuses.expects("ACK").await?;

        let offer = leg.sdp("sendrecv");
        alice
            .calls_instead(&mut outgoing, user, "", &offer)
            .await
            .with_context(why)?;
        let mut own = Leg::open().await?;
        // A phone knows the call already by its Call-ID: what is new to it comes in that.
        let mut incoming = match user {
            "carol" => other.called().await?,
            _ => {
                refuses.invite = refuses.expects("INVITE").await?;
                refuses
            }
        };
        own.follows(incoming.invite.body())?;
        let sdp = own.sdp("sendrecv");
        let (_, answered) =
            tokio::try_join!(incoming.accepts(&sdp), outgoing.is_answered("")).with_context(why)?;
        leg.follows(answered.body())?;
        // The deletion of what was refused would be due meanwhile: the scene's delay is a second.
        for _ in 0..2 {
            talk(&leg, &own).await.with_context(why)?;
            tokio::time::sleep(Duration::from_millis(750)).await;
        }
        talk(&leg, &own).await.with_context(why)?;
        let end = |call, leg| End { call, leg };
        hang_up(&mut end(outgoing, leg), &mut end(incoming, own)).await?;
        scene.engine.empty_within(SOON).await.with_context(why)?;
    }
    scene.nothing_stays(SOON).await
}

/// One tells the other whom to call; the request as it came.
async fn refers(one: &mut Call, other: &mut Call, whom: &str) -> Result<Message> {
    let more = format!("Refer-To: <{whom}>\r\nReferred-By: <sip:bob@{DOMAIN}>\r\n");
    let (answered, refer) =
        tokio::try_join!(one.says("REFER", &more, ""), other.takes("REFER", ""))?;
    ensure!(answered.status() == Some(202), "{}", answered.text);
    Ok(refer)
}

/// The one that was told says how far it is.
async fn notifies(one: &mut Call, other: &mut Call, state: &str) -> Result<()> {
    let more = format!("Event: refer\r\nSubscription-State: {state}\r\n");
    let (answered, _) = tokio::try_join!(one.says("NOTIFY", &more, ""), other.takes("NOTIFY", ""))?;
    ensure!(answered.status() == Some(200), "{}", answered.text);
    Ok(())
}

/// Both ends of a call can be told to call somebody else; he is called while the first call still stands, which then ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blind_transfer_from_either_side_has_audio_with_whom_it_names() -> Result<()> {
    let scene = Scene::start_with(&[], FAST).await?;
    let carol = scene.device("carol", Kind::Udp).await?;
    for by_caller in [false, true] {
        let why = || format!("by the caller: {by_caller}");
        let mut pair = Pair::talking(&scene, [Kind::Udp, Kind::Udp]).await?;
        let (one, other) = pair.both(by_caller);
        let whom = format!("sip:carol@{DOMAIN}");
        let refer = refers(&mut one.call, &mut other.call, &whom)
            .await
            .with_context(why)?;
        ensure!(
            refer.uri_of("Refer-To") == Some(whom.as_str()),
            "{}",
            refer.text
        );
        notifies(&mut other.call, &mut one.call, "active;expires=60").await?;
        let told = &pair.devices[usize::from(by_caller)];
        let more = format!("Referred-By: <sip:bob@{DOMAIN}>\r\n");
        let [mut new, mut third] = connect(told, &carol, &more).await.with_context(why)?;
        pair.talk().await.context("the first call goes on")?;
        let (one, other) = pair.both(by_caller);
        notifies(
            &mut other.call,
            &mut one.call,
            "terminated;reason=noresource",
        )
        .await?;
        pair.hang_up(by_caller).await?;
        talk(&new.leg, &third.leg).await.with_context(why)?;
        hang_up(&mut third, &mut new).await?;
        scene.engine.empty_within(SOON).await.with_context(why)?;
        // The next round's phones are other ones: these would ring as well.
        for device in &mut pair.devices {
            device.registers_for(0).await?;
        }
    }
    scene.nothing_stays(SOON).await
}

/// bob speaks with carol first, then tells alice to take his place there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attended_transfer_joins_both_others_and_leaves_nothing_of_the_first_calls() -> Result<()>
{
    let scene = Scene::start_with(&[], FAST).await?;
    let alice = scene.device("alice", Kind::Udp).await?;
    let bob = scene.device("bob", Kind::Udp).await?;
    let carol = scene.device("carol", Kind::Udp).await?;
    let [mut first, mut of_bob] = connect(&alice, &bob, "").await?;
    let [mut asks, mut asked] = connect(&bob, &carol, "").await?;
    talk(&first.leg, &of_bob.leg).await?;

    let tag = |value: &str| {
        let tag = value.split(";tag=").nth(1).unwrap_or_default();
        tag.to_owned()
    };
    let (to, from) = (tag(&asks.call.remote), tag(&asks.call.local));
    let replaces = format!("{};to-tag={to};from-tag={from}", asks.call.call_id);
    let escaped = replaces.replace(';', "%3B").replace('=', "%3D");
    let whom = format!("sip:carol@{DOMAIN}?Replaces={escaped}");
    let refer = refers(&mut of_bob.call, &mut first.call, &whom).await?;
    ensure!(
        refer.uri_of("Refer-To") == Some(whom.as_str()),
        "{}",
        refer.text
    );

    let more = format!("Replaces: {replaces}\r\n");
    let [mut new, mut third] = connect(&alice, &carol, &more).await?;
    let said = third.call.invite.header("Replaces").unwrap_or_default();
    // RFC 3891 §3: the tags are carol's own and bob's, as she knows them.
    let (own, his) = (tag(&asked.call.local), tag(&asked.call.remote));
    let known = format!("{};to-tag={own};from-tag={his}", asked.call.call_id);
    ensure!(said == known, "{said} is not {known}");
    hang_up(&mut asked, &mut asks).await?;
    notifies(
        &mut first.call,
        &mut of_bob.call,
        "terminated;reason=noresource",
    )
    .await?;
    hang_up(&mut of_bob, &mut first).await?;
    talk(&new.leg, &third.leg).await?;
    hang_up(&mut new, &mut third).await?;
    scene.nothing_stays(SOON).await
}
