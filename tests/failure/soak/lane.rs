//! Three phones: one calls another, which may be sent to the third.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use causeway_tests::agent::{self, Account, Device, Kind, Message};
use causeway_tests::draw::Draw;

pub(super) const DOMAIN: &str = "soak.test";
pub(super) const PASSWORD: &str = "secret";
/// Who calls, who is called, to whom one is sent.
pub(super) const ROLES: [&str; 3] = ["a", "b", "c"];
/// What is done in a call that is up, at most.
const ACTS: f64 = 4.0;
const PLAIN: &str = "X\r\nVia: x\r\nMax-Forwards: 70\r\nFrom: x\r\nTo: x\r\nCall-ID: x\r\nCSeq: x\r\nContent-Length: 0\r\n\r\n";
/// How a key is told.
const KEYS: &str = "X\r\nVia: x\r\nMax-Forwards: 70\r\nFrom: x\r\nTo: x\r\nCall-ID: x\r\nCSeq: x\r\nContact: x\r\n\
                    Content-Type: application/dtmf-relay\r\nContent-Length: 0\r\n\r\n";

/// Three users' phones.
pub(super) struct Lane {
    number: usize,
    phones: [Device; 3],
    draw: Draw,
}

/// What became of a call.
pub(super) struct Call {
    pub(super) id: String,
    what: String,
    pub(super) failed: Option<String>,
}

impl fmt::Display for Call {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = self.failed.as_deref().unwrap_or("nothing");
        write!(out, "{} ({}) failed: {why}", self.id, self.what)
    }
}

pub(super) fn user(role: &str, lane: usize) -> String {
    format!("{role}{lane}")
}

/// How many calls did what.
pub(super) fn counted(calls: &[Call]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for what in calls.iter().flat_map(|call| call.what.split(", ")) {
        *counts.entry(what).or_default() += 1;
    }
    counts
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Hold,
    HeldByTheOther,
    Key,
    Update,
    Talk,
}

impl Lane {
    /// Registers its phones.
    pub(super) async fn register(
        number: usize,
        kinds: [Kind; 3],
        (sip, ws): (SocketAddr, SocketAddr),
        draw: Draw,
    ) -> Result<Self> {
        let mut phones = Vec::new();
        for (role, kind) in ROLES.iter().zip(kinds) {
            let account = Account {
                user: &user(role, number),
                domain: DOMAIN,
                password: PASSWORD,
                kind,
                server: if kind == Kind::Ws { ws } else { sip },
            };
            phones.push(Device::registered(&account, None).await?);
        }
        let phones = phones.try_into().ok().context("not three phones")?;
        Ok(Lane {
            number,
            phones,
            draw,
        })
    }

    /// One call, and the one that it was sent to.
    pub(super) async fn call(&mut self) -> Vec<Call> {
        let [caller, called, third] = &self.phones;
        let whom = user(ROLES[1], self.number);
        let mut begun = match caller.calls(&whom, &caller.offer()).await {
            Ok(call) => call,
            Err(error) => {
                return vec![Call {
                    id: "no call".to_owned(),
                    what: "begins".to_owned(),
                    failed: Some(format!("{error:#}")),
                }];
            }
        };
        let (mut what, draw) = (Vec::new(), &mut self.draw);
        let mut sent_on = None;
        let fate = draw.share();
        let done = async {
            let mut answering = called.called().await?;
            answering.rings();
            begun.progress(180).await?;
            if fate < 0.1 {
                what.push("cancelled");
                return cancelled(&mut begun, &mut answering).await;
            }
            if fate < 0.2 {
                what.push("refused");
                let (refused, outcome) =
                    tokio::join!(answering.refuses("486 Busy Here"), begun.outcome());
                refused?;
                return has(&outcome?, 486);
            }
            what.push("answered");
            let answer = called.answer();
            let (accepted, heard) = tokio::join!(answering.accepts(&answer), begun.is_answered(""));
            accepted?;
            ensure!(heard?.body().contains("m=audio"), "answered without SDP");
            for _ in 0..(draw.share() * ACTS) as usize {
                let act = draw.one_of(&[
                    Act::Hold,
                    Act::HeldByTheOther,
                    Act::Key,
                    Act::Update,
                    Act::Talk,
                ]);
                match act {
                    Act::Hold => {
                        what.push("held");
                        holds((&mut begun, caller), (&mut answering, called)).await?;
                    }
                    Act::HeldByTheOther => {
                        what.push("held");
                        holds((&mut answering, called), (&mut begun, caller)).await?;
                    }
                    Act::Key => {
                        what.push("DTMF");
                        let key = "Signal=5\r\nDuration=160\r\n";
                        let (said, heard) = tokio::join!(
                            begun.asks(KEYS, "INFO", "", key),
                            answering.takes("INFO", "")
                        );
                        heard?;
                        has(&said?, 200)?;
                    }
                    Act::Update => {
                        what.push("UPDATE");
                        renews(
                            "UPDATE",
                            "sendrecv",
                            (&mut answering, called),
                            (&mut begun, caller),
                        )
                        .await?;
                    }
                    Act::Talk => {
                        let some = Duration::from_secs(1).mul_f64(draw.share());
                        tokio::time::sleep(some).await;
                    }
                }
            }
            if fate > 0.85 {
                what.push("sent on");
                let (second, done) = transferred(&mut begun, &mut answering, called, third).await?;
                sent_on = Some(second);
                done?;
            }
            let (one, other) = if draw.share() < 0.5 {
                (&mut begun, &mut answering)
            } else {
                (&mut answering, &mut begun)
            };
            let (hung_up, taken) = tokio::join!(one.hangs_up(), other.takes("BYE", ""));
            taken?;
            hung_up
        }
        .await;
        if done.is_err() && what.contains(&"answered") {
            // Somebody gives up, and the other one may not be there to hear it.
            let _ = begun.hangs_up().await;
        }
        let failed = done.err().map(|error: anyhow::Error| format!("{error:#}"));
        let mut calls = vec![Call {
            id: begun.call_id.clone(),
            what: what.join(", "),
            failed,
        }];
        calls.extend(sent_on);
        calls
    }
}

fn has(answer: &Message, status: u16) -> Result<()> {
    ensure!(answer.status() == Some(status), "{}", answer.text);
    Ok(())
}

async fn cancelled(begun: &mut agent::Call, answering: &mut agent::Call) -> Result<()> {
    let give_up = async {
        has(&begun.cancels(PLAIN).await?, 200)?;
        has(&begun.outcome().await?, 487)
    };
    let (gave_up, ended) = tokio::join!(give_up, answering.is_cancelled());
    ended?;
    gave_up
}

/// A new offer in this direction, and its answer.
async fn renews(
    method: &str,
    direction: &str,
    (one, own): (&mut agent::Call, &Device),
    (other, answerer): (&mut agent::Call, &Device),
) -> Result<()> {
    let back = if direction == "sendonly" {
        "recvonly"
    } else {
        direction
    };
    let (offer, answer) = (own.sdp(direction, "actpass"), answerer.sdp(back, "active"));
    let (said, heard) = tokio::join!(one.says(method, "", &offer), other.takes(method, &answer));
    heard?;
    let said = said?;
    has(&said, 200)?;
    ensure!(said.body().contains("m=audio"), "no SDP: {}", said.text);
    Ok(())
}

async fn holds(one: (&mut agent::Call, &Device), other: (&mut agent::Call, &Device)) -> Result<()> {
    let ((begun, own), (answering, answerer)) = (one, other);
    renews(
        "INVITE",
        "sendonly",
        (&mut *begun, own),
        (&mut *answering, answerer),
    )
    .await?;
    renews("INVITE", "sendrecv", (begun, own), (answering, answerer)).await
}

/// The caller sends the called one to a third phone (RFC 3515), which that one calls.
async fn transferred(
    begun: &mut agent::Call,
    answering: &mut agent::Call,
    called: &Device,
    third: &Device,
) -> Result<(Call, Result<()>)> {
    let whom = format!("Refer-To: <sip:{}@{DOMAIN}>\r\n", third.user);
    let (said, heard) = tokio::join!(begun.says("REFER", &whom, ""), answering.takes("REFER", ""));
    heard?;
    has(&said?, 202)?;
    let mut second = called.calls(&third.user, &called.offer()).await?;
    let done = async {
        let mut ringing = third.called().await?;
        let answer = third.answer();
        let (accepted, heard) = tokio::join!(ringing.accepts(&answer), second.is_answered(""));
        accepted?;
        ensure!(heard?.body().contains("m=audio"), "answered without SDP");
        let news = "Event: refer\r\nSubscription-State: terminated;reason=noresource\r\n";
        let (told, heard) = tokio::join!(
            answering.says("NOTIFY", news, ""),
            begun.takes("NOTIFY", "")
        );
        heard?;
        has(&told?, 200)?;
        let (hung_up, taken) = tokio::join!(ringing.hangs_up(), second.takes("BYE", ""));
        taken?;
        hung_up
    }
    .await;
    if done.is_err() {
        let _ = second.hangs_up().await;
    }
    let call = Call {
        id: second.call_id.clone(),
        what: "of one who was sent".to_owned(),
        failed: done.as_ref().err().map(|error| format!("{error:#}")),
    };
    Ok((call, done))
}
