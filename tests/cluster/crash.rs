//! `kill -9` of one registrar of two, in the middle of registrations and calls. Without audio: what counts is who is told what.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use causeway_tests::agent::{Call, Device, Kind, Registered};
use causeway_tests::core::{Call as CoreCall, Offer, Script};
use futures_util::{StreamExt, future, stream};

use crate::rig::{Calls, Rig};

const REGISTRATIONS: usize = 200;
/// That are under way at once.
const AT_ONCE: usize = 20;
/// After so many the registrar dies.
const IN_THE_MIDDLE: usize = 80;
/// Calls that are up, half of them begun by the core.
const CALLS: usize = 50;
/// Calls that the core has not answered yet.
const PENDING: usize = 12;

#[tokio::test]
async fn a_killed_registrar_takes_no_registration_and_no_request_of_a_device_along() -> Result<()> {
    kill_one("udp").await
}

#[tokio::test]
async fn a_killed_registrar_behind_connections_takes_nothing_along() -> Result<()> {
    kill_one("tcp").await
}

/// A call that is up: both ends of it, and which registrar it passes.
struct Up {
    phone: Call,
    core: CoreCall,
    by_device: bool,
    passes: SocketAddr,
}

async fn kill_one(transport: &str) -> Result<()> {
    let mut rig = Rig::start_over(transport, Calls::ToTheCore, false).await?;
    let dying = rig.registrars[0].address;
    let devices = devices(&rig).await?;
    let mut up = calls(&mut rig, &devices).await?;
    let mut pending = pending(&rig, &devices).await?;
    let passing = up.iter().filter(|call| call.passes == dying).count();
    let ringing = pending.iter().filter(|call| call.passes == dying).count();
    ensure!(
        (1..CALLS).contains(&passing) && ringing > 0,
        "{passing} and {ringing} pass it"
    );
    println!(
        "{transport}: {passing} of {CALLS} calls and {ringing} of {PENDING} pending ones pass the registrar that dies"
    );

    let mut registered = Vec::new();
    let mut killed = None;
    let mut registrations = stream::iter(0..REGISTRATIONS)
        .map(async |number| registers(&rig, number).await)
        .buffer_unordered(AT_ONCE);
    let kill = rig.registrars[0].process.id();
    // All in one: who registers, who is in a call, and who waits for an answer.
    let registering = async {
        while let Some(one) = registrations.next().await {
            registered.push(one?);
            if registered.len() == IN_THE_MIDDLE {
                kill_group(kill)?;
                killed = Some(Instant::now());
                break;
            }
        }
        anyhow::Ok(())
    };
    registering.await?;
    let killed = killed.context("not killed")?;
    let rest = async {
        let rest: Vec<Result<Registered>> = registrations.collect().await;
        rest.into_iter().collect::<Result<Vec<_>>>()
    };
    let word = async {
        rig.registrar_is(dying, "dead").await?;
        anyhow::Ok(killed.elapsed())
    };
    let (rest, word, updated, ended) = rig.tells(
        async {
            tokio::try_join!(
                rest,
                word,
                update_all(&mut up),
                end_all(&mut pending, dying, killed)
            )
        }
        .await,
    )?;
    registered.extend(rest);
    report(transport, &registered, word, &updated, &ended)?;
    let all_are = |one: &Registered| one.status == 200;
    ensure!(
        ended.len() == ringing,
        "{} of {ringing} were told",
        ended.len()
    );
    ensure!(
        registered.len() == REGISTRATIONS && registered.iter().all(all_are),
        "{registered:?}"
    );
    rig.tells(everybody_hangs_up(up, dying).await)
}

/// Ends a process by its id, at once.
fn kill_group(id: u32) -> Result<()> {
    let id = nix::unistd::Pid::from_raw(i32::try_from(id)?);
    Ok(nix::sys::signal::killpg(
        id,
        nix::sys::signal::Signal::SIGKILL,
    )?)
}

async fn registers(rig: &Rig, number: usize) -> Result<Registered> {
    let mut device = rig.unregistered(&format!("new{number}"), Kind::Udp).await?;
    device.registers().await
}

/// A device for each call, over datagrams and connections.
async fn devices(rig: &Rig) -> Result<Vec<Device>> {
    let kinds = [Kind::Udp, Kind::Tcp, Kind::Wss].into_iter().cycle();
    let each = kinds.take(CALLS + PENDING).enumerate();
    let opened: Vec<Result<Device>> = stream::iter(each)
        .map(async |(number, kind)| rig.device(&format!("user{number}"), kind).await)
        .buffered(AT_ONCE)
        .collect()
        .await;
    opened.into_iter().collect()
}

async fn calls(rig: &mut Rig, devices: &[Device]) -> Result<Vec<Up>> {
    let mut up = Vec::new();
    for (number, device) in devices[..CALLS].iter().enumerate() {
        let by_device = number % 2 == 0;
        let call = if by_device {
            let (phone, core) = tokio::try_join!(
                calls_the_core(device),
                rig.core.answers_with(Script::AtOnce)
            )?;
            let passes = core.dialog.invite.from;
            Up {
                phone,
                core,
                by_device,
                passes,
            }
        } else {
            let passes = rig.registrars[number / 2 % 2].address;
            rig.core.goes_through(passes);
            let mut core = rig.core.calls_with(&device.user, Offer::Pcmu).await?;
            let mut phone = device.called().await?;
            let answer = device.answer();
            tokio::try_join!(phone.accepts(&answer), core.is_answered())?;
            Up {
                phone,
                core,
                by_device,
                passes,
            }
        };
        up.push(call);
    }
    Ok(up)
}

async fn calls_the_core(device: &Device) -> Result<Call> {
    let mut phone = device.calls("9196", &device.offer()).await?;
    phone.is_answered("").await?;
    Ok(phone)
}

/// Calls that the registrars have answered 100, and the core not at all.
async fn pending(rig: &Rig, devices: &[Device]) -> Result<Vec<Up>> {
    let mut pending = Vec::new();
    for device in &devices[CALLS..] {
        let offer = device.offer();
        let (phone, core) = tokio::try_join!(
            device.calls("9196", &offer),
            rig.core.answers_with(Script::Trying)
        )?;
        let passes = core.dialog.invite.from;
        pending.push(Up {
            phone,
            core,
            by_device: true,
            passes,
        });
    }
    Ok(pending)
}

/// Each device says something in its call, at once; how long until it was answered.
async fn update_all(up: &mut [Up]) -> Result<Vec<Duration>> {
    let each = up.iter_mut().map(async |call| {
        let began = Instant::now();
        let said = async {
            tokio::try_join!(call.phone.says("UPDATE", "", ""), call.core.takes("UPDATE"))
        };
        let (answer, _) = said
            .await
            .with_context(|| format!("by device: {}, passes {}", call.by_device, call.passes))?;
        ensure!(answer.status() == Some(200), "UPDATE: {}", answer.text);
        Ok(began.elapsed())
    });
    future::try_join_all(each).await
}

/// Calls that the dead one had answered 100 end; the others are answered. When the ones were told.
async fn end_all(
    pending: &mut [Up],
    dying: SocketAddr,
    killed: Instant,
) -> Result<Vec<(Duration, u16)>> {
    let each = pending.iter_mut().map(async |call| {
        if call.passes == dying {
            let answer = call.phone.outcome().await?;
            let status = answer.status().unwrap_or(0);
            ensure!(status >= 500, "no clear failure: {}", answer.text);
            return Ok(Some((killed.elapsed(), status)));
        }
        tokio::try_join!(
            call.phone.is_answered(""),
            call.core.answers(Script::AtOnce)
        )?;
        tokio::try_join!(call.phone.hangs_up(), call.core.takes("BYE"))?;
        Ok(None)
    });
    Ok(future::try_join_all(each)
        .await?
        .into_iter()
        .flatten()
        .collect())
}

fn report(
    transport: &str,
    registered: &[Registered],
    word: Duration,
    updated: &[Duration],
    ended: &[(Duration, u16)],
) -> Result<()> {
    let mut took: Vec<Duration> = registered.iter().map(|one| one.took).collect();
    took.sort();
    let more = registered.iter().filter(|one| one.requests > 2).count();
    println!(
        "{transport}: {} registrations, the median took {:?}, the slowest {:?}; {more} were challenged twice",
        took.len(),
        took[took.len() / 2],
        took[took.len() - 1]
    );
    println!("{transport}: the edge knew it {word:?} after the kill");
    println!(
        "{transport}: the slowest request of a device in a call was answered after {:?}",
        updated.iter().max()
    );
    println!("{transport}: pending calls ended, after the kill, {ended:?}");
    Ok(())
}

/// The device, or the core where its way does not pass the dead one.
async fn everybody_hangs_up(up: Vec<Up>, dying: SocketAddr) -> Result<()> {
    let each = up.into_iter().enumerate().map(async |(number, mut call)| {
        if call.passes != dying && number % 4 < 2 {
            tokio::try_join!(call.phone.takes("BYE", ""), call.core.hangs_up())?;
        } else {
            tokio::try_join!(call.phone.hangs_up(), call.core.takes("BYE"))?;
        }
        Ok(())
    });
    future::try_join_all(each).await.map(drop)
}
