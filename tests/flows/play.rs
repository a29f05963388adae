//! Offers and answers, word for word, through a gateway and its RTPEngine: two agents say them, and what each gets of the other
//! is held against what it said itself.

use anyhow::{Context, Result, ensure};
use causeway_tests::agent::{Call, Device, Kind, Message, Sent};
use causeway_tests::scene::Scene;
use sdp::{Session, legal};

use crate::pair::{PLAIN, WITH_BODY};

/// Phones and pages of two users, of either transport.
pub(crate) struct Stage {
    callers: [Device; 2],
    called: [Device; 2],
}

/// One exchange: RFC 3264.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// `INVITE` or `UPDATE`.
    pub(crate) method: String,
    /// Whoever made the call offers.
    pub(crate) by_caller: bool,
    /// The offer comes with the 200 and its answer with the ACK; `by_caller` is then who asked for it.
    pub(crate) late: bool,
    pub(crate) offer: String,
    /// All that came in answers, provisional ones first; none if it was refused.
    pub(crate) answers: Vec<String>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// What the answerer got as the offer.
    pub(crate) offered: String,
    /// What the offerer got as the answers.
    pub(crate) answered: Vec<String>,
}

/// Kind of a leg by what it says of itself.
pub(crate) fn kind_of(sdp: &str) -> usize {
    usize::from(sdp.contains("a=fingerprint:") && sdp.contains("a=ice-ufrag:"))
}

impl Stage {
    pub(crate) async fn open(scene: &Scene) -> Result<Self> {
        Ok(Stage {
            callers: [
                scene.device("alice", Kind::Udp).await?,
                scene.device("desk1", Kind::Ws).await?,
            ],
            called: [
                scene.device("bob", Kind::Udp).await?,
                scene.device("carol", Kind::Ws).await?,
            ],
        })
    }

    /// Plays the exchanges of one call, the first one its beginning. `kinds`: 0 for a phone, 1 for a page.
    pub(crate) async fn plays(&self, kinds: [usize; 2], all: &[Exchange]) -> Result<Vec<Seen>> {
        let (first, rest) = all.split_first().context("nothing to play")?;
        let user = ["bob", "carol"][kinds[1]];
        let body = if first.late { "" } else { &first.offer };
        let mut caller = self.callers[kinds[0]].calls(user, body).await?;
        let mut called = self.called[kinds[1]].called().await?;
        let mut seen = Vec::new();
        let request = called.invite.clone();
        if first.answers.is_empty() && !first.late {
            let refused = async {
                called.answers(&request, "486 Busy Here", PLAIN, "", "");
                called.expects("ACK").await
            };
            let (_, outcome) = tokio::try_join!(refused, caller.outcome())?;
            ensure!(outcome.status() == Some(486), "{}", outcome.text);
            seen.push(Seen {
                offered: request.body().to_owned(),
                ..Seen::default()
            });
            return Ok(seen);
        }
        seen.push(answered(first, &mut called, &request, &mut caller, None).await?);
        for exchange in rest {
            let (one, other) = if exchange.by_caller {
                (&mut caller, &mut called)
            } else {
                (&mut called, &mut caller)
            };
            let body = if exchange.late { "" } else { &exchange.offer };
            let sent = one.sends(&exchange.method, body)?;
            let request = other.expects(&exchange.method).await?;
            if exchange.answers.is_empty() && !exchange.late {
                other.answers(&request, "488 Not Acceptable Here", PLAIN, "", "");
                let refused = one.answer_to(&sent).await?;
                ensure!(refused.status() == Some(488), "{}", refused.text);
                if exchange.method == "INVITE" {
                    other.expects("ACK").await?;
                }
                seen.push(Seen {
                    offered: request.body().to_owned(),
                    ..Seen::default()
                });
                continue;
            }
            seen.push(answered(exchange, other, &request, one, Some(sent)).await?);
        }
        tokio::try_join!(caller.hangs_up(), called.takes("BYE", ""))?;
        Ok(seen)
    }
}

/// The answering side says its part; what both got.
async fn answered(
    exchange: &Exchange,
    by: &mut Call,
    request: &Message,
    to: &mut Call,
    sent: Option<Sent>,
) -> Result<Seen> {
    let invites = exchange.method == "INVITE";
    let last = if exchange.late {
        exchange.offer.as_str()
    } else {
        exchange.answers.last().map_or("", String::as_str)
    };
    let early = exchange.answers.len().saturating_sub(1);
    let mut answered = Vec::new();
    // Inside a dialog nobody waits for what comes before the answer.
    if sent.is_none() && !exchange.late {
        for answer in &exchange.answers[..early] {
            by.answers(request, "183 Session Progress", WITH_BODY, "", answer);
            answered.push(to.progress(183).await?.body().to_owned());
        }
    }
    by.answers(request, "200 OK", WITH_BODY, "", last);
    let answer = match sent {
        None => to.outcome().await?,
        Some(sent) => to.answer_to(&sent).await?,
    };
    ensure!(answer.status() == Some(200), "{}", answer.text);
    if !exchange.late {
        answered.push(answer.body().to_owned());
        if invites {
            to.confirms_it(&answer, "")?;
            by.expects("ACK").await?;
        }
        return Ok(Seen {
            offered: request.body().to_owned(),
            answered,
        });
    }
    let said = exchange.answers.last().map_or("", String::as_str);
    to.confirms_it(&answer, said)?;
    let ack = by.expects("ACK").await?;
    Ok(Seen {
        offered: answer.body().to_owned(),
        answered: vec![ack.body().to_owned()],
    })
}

/// Holds what came of an exchange against what was said: what is wrong with it, in words. `ours` is the only address that may be
/// in it. True: the answer was one to what its sender was offered, and so had to be one to the offer.
pub(crate) fn judge(exchange: &Exchange, seen: &Seen, ours: &str) -> Result<(bool, Vec<String>)> {
    let mut wrong = Vec::new();
    let (offer, offered) = (read(&exchange.offer)?, read(&seen.offered)?);
    leaks("the offer", &seen.offered, ours, &mut wrong);
    in_order("the offer", &offer, &offered, &mut wrong);
    let mut fits = true;
    for (said, got) in exchange.answers.iter().zip(&seen.answered) {
        if got.is_empty() {
            wrong.push("an answer without its body".to_owned());
            continue;
        }
        let (said, answer) = (read(said)?, read(got)?);
        leaks("the answer", got, ours, &mut wrong);
        in_order("the answer", &offer, &answer, &mut wrong);
        let was_legal = legal::violations(&offered, &said).is_empty();
        fits &= was_legal;
        if was_legal {
            let found = legal::violations(&offer, &answer);
            wrong.extend(found.iter().map(ToString::to_string));
        }
    }
    Ok((fits, wrong))
}

fn read(sdp: &str) -> Result<Session<'_>> {
    Session::parse(sdp.as_bytes()).with_context(|| format!("no description: {sdp:?}"))
}

/// Every address that a description names is RTPEngine's, or none at all.
fn leaks(what: &str, sdp: &str, ours: &str, wrong: &mut Vec<String>) {
    for line in sdp.lines() {
        let words = line.split([' ', '=', ':']);
        let foreign = words.filter(|word| word.parse::<std::net::Ipv4Addr>().is_ok());
        for address in foreign.filter(|address| ![ours, "0.0.0.0"].contains(address)) {
            wrong.push(format!("{what} says {address}: {line}"));
        }
        if line.contains(".local ") {
            wrong.push(format!("{what} has a name of its sender's network: {line}"));
        }
    }
}

fn in_order(what: &str, said: &Session<'_>, got: &Session<'_>, wrong: &mut Vec<String>) {
    let kinds = |session: &Session<'_>| -> Vec<Vec<u8>> {
        session
            .media()
            .iter()
            .map(|line| line.kind().to_vec())
            .collect()
    };
    if kinds(said) != kinds(got) {
        let kinds = [said, got].map(|session| {
            let names = kinds(session);
            names
                .iter()
                .map(|kind| String::from_utf8_lossy(kind).into_owned())
                .collect::<Vec<_>>()
        });
        wrong.push(format!(
            "{what}: m= lines were {:?} and are {:?}",
            kinds[0], kinds[1]
        ));
    }
}
