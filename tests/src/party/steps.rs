//! What a phone of ours does in each step, as who begins it and as who follows.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::description::{Codec, Own, Profile};
use super::phone::{Leg, Phone, expect};
use super::{Step, cipher, webrtc};
use crate::agent::Message;
use crate::wait;

/// How long a condition of the other side may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// What is pressed.
pub(super) const DIGITS: &str = "123";

impl Phone {
    pub(super) async fn acts(&mut self, step: Step, whom: &str) -> Result<()> {
        match step {
            Step::Ring | Step::RingLate | Step::Early => return self.calls(step, whom).await,
            Step::Cancel => {
                let mut leg = self.leg.take().ok_or_else(|| anyhow::anyhow!("no call"))?;
                return leg.dialog.takes_back().await;
            }
            Step::Bye => {
                let mut leg = self.leg.take().ok_or_else(|| anyhow::anyhow!("no call"))?;
                return leg.dialog.hangs_up().await;
            }
            Step::Crossing => {
                let mut leg = self.leg.take().ok_or_else(|| anyhow::anyhow!("no call"))?;
                let invite = leg.dialog.expects("INVITE").await?;
                leg.dialog.hangs_up().await?;
                // RFC 3261 §15.1.2: what is pending ends with 487.
                leg.dialog.replies(&invite, "487 Request Terminated", "");
                leg.dialog.expects("ACK").await?;
                return Ok(());
            }
            _ => {}
        }
        let profile = self.profile;
        let leg = self.leg()?;
        match step {
            Step::Pickup => leg.is_answered().await,
            Step::Refused => expect(&leg.offers("INVITE", leg.moved(profile)?).await?, 488),
            Step::RefusedRestart => expect(&leg.offers("INVITE", leg.restarted()).await?, 488),
            Step::Glare => {
                let answer = leg.offers("INVITE", leg.next()).await?;
                expect(&answer, 491)?;
                leg.refuses("491 Request Pending").await
            }
            Step::Restart if profile == Profile::Webrtc => {
                expect(&leg.offers("INVITE", leg.restarted()).await?, 200)
            }
            Step::Restart => expect(&leg.offers("INVITE", leg.moved(profile)?).await?, 200),
            Step::Hold(spelling) => expect(
                &leg.offers("INVITE", leg.next().held(Some(spelling)))
                    .await?,
                200,
            ),
            Step::Resume => expect(&leg.offers("INVITE", leg.next().held(None)).await?, 200),
            Step::Codec => expect(&leg.offers("INVITE", leg.speaks_otherwise()).await?, 200),
            Step::Update => expect(&leg.offers("UPDATE", leg.next()).await?, 200),
            Step::Late => {
                let sent = leg.dialog.sends("INVITE", "")?;
                let answer = leg.dialog.answer_to(&sent).await?;
                expect(&answer, 200)?;
                leg.answers_in_ack(&answer)
            }
            Step::Dtmf => {
                ensure!(
                    leg.media.presses(DIGITS),
                    "no telephone-event was agreed on"
                );
                let out = wait::until(PATIENCE, || leg.media.is_done()).await;
                ensure!(out, "the digits did not go out");
                Ok(())
            }
            Step::Ring
            | Step::RingLate
            | Step::Early
            | Step::Cancel
            | Step::Bye
            | Step::Crossing => Ok(()),
        }
    }

    async fn calls(&mut self, step: Step, whom: &str) -> Result<()> {
        let (media, own) = self.opens(true).await?;
        let offer = if step == Step::RingLate {
            String::new()
        } else {
            own.offer()
        };
        let dialog = self.device.calls(whom, &offer).await?;
        let mut leg = Leg::new(dialog, media, own);
        if step == Step::Early {
            let early = leg.dialog.progress(183).await?;
            let own = leg.own.clone();
            leg.takes_answer(own, early.body())?;
        } else {
            leg.dialog.progress(180).await?;
        }
        self.leg = Some(leg);
        Ok(())
    }

    pub(super) async fn reacts(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Ring | Step::RingLate | Step::Early => return self.is_called(step).await,
            Step::Cancel => {
                let mut leg = self.leg.take().ok_or_else(|| anyhow::anyhow!("no call"))?;
                return leg.dialog.is_cancelled().await.map(drop);
            }
            Step::Bye => {
                let mut leg = self.leg.take().ok_or_else(|| anyhow::anyhow!("no call"))?;
                leg.dialog.takes("BYE", "").await?;
                return Ok(());
            }
            Step::Crossing => {
                let mut leg = self.leg.take().ok_or_else(|| anyhow::anyhow!("no call"))?;
                let sent = leg.dialog.sends("INVITE", &leg.next().offer())?;
                leg.dialog.takes("BYE", "").await?;
                let answer = leg.dialog.answer_to(&sent).await?;
                ensure!(
                    matches!(answer.status(), Some(481 | 487)),
                    "after BYE: {}",
                    answer.text
                );
                return Ok(());
            }
            _ => {}
        }
        let leg = self.leg()?;
        match step {
            Step::Pickup => leg.answers().await,
            Step::Refused | Step::RefusedRestart => leg.refuses("488 Not Acceptable Here").await,
            Step::Glare => {
                let sent = leg.dialog.sends("INVITE", &leg.next().offer())?;
                leg.refuses("491 Request Pending").await?;
                expect(&leg.dialog.answer_to(&sent).await?, 491)
            }
            Step::Restart | Step::Hold(_) | Step::Resume | Step::Codec | Step::Late => {
                leg.accepts("INVITE").await
            }
            Step::Update => leg.accepts("UPDATE").await,
            Step::Dtmf => {
                let heard = || {
                    leg.media
                        .heard()
                        .is_ok_and(|heard| heard.digits.ends_with(DIGITS))
                };
                let came = wait::until(PATIENCE, heard).await;
                ensure!(came, "the digits did not come: {:?}", leg.media.heard()?);
                Ok(())
            }
            Step::Ring
            | Step::RingLate
            | Step::Early
            | Step::Cancel
            | Step::Bye
            | Step::Crossing => Ok(()),
        }
    }

    async fn is_called(&mut self, step: Step) -> Result<()> {
        let dialog = self.device.called().await?;
        let (media, own) = self.opens(false).await?;
        let body = dialog.invite.body().to_owned();
        let offer = (!body.is_empty()).then_some(body);
        ensure!(
            offer.is_some() != (step == Step::RingLate),
            "offer: {offer:?}"
        );
        let mut leg = Leg::new(dialog, media, own);
        leg.offer = offer;
        if step == Step::Early
            && let Some(offer) = leg.offer.take()
        {
            let own = leg.own.clone();
            leg.answered = leg.takes_offer(own, &offer)?;
            let invite = leg.dialog.invite.clone();
            leg.dialog
                .replies(&invite, "183 Session Progress", &leg.answered);
        } else {
            leg.dialog.rings();
        }
        self.leg = Some(leg);
        Ok(())
    }
}

impl Leg {
    /// The 200 of the call that it began; an offer that only this brought is answered.
    async fn is_answered(&mut self) -> Result<()> {
        let answer = self.dialog.outcome().await?;
        expect(&answer, 200)?;
        self.is_up = true;
        if self.dialog.invite.body().is_empty() {
            return self.answers_in_ack(&answer);
        }
        self.dialog.confirms_it(&answer, "")?;
        // What a 183 brought already need not come again: RFC 3261 §13.2.1.
        if answer.body().is_empty() || answer.body() == self.answered {
            return Ok(());
        }
        let own = self.own.clone();
        self.takes_answer(own, answer.body())
    }

    /// The 200 has the offer, the ACK the answer.
    fn answers_in_ack(&mut self, answer: &Message) -> Result<()> {
        let own = self.next();
        let body = self.takes_offer(own, answer.body())?;
        self.dialog.confirms_it(answer, &body)
    }

    /// Answers the call that came in.
    async fn answers(&mut self) -> Result<()> {
        self.is_up = true;
        let invite = self.dialog.invite.clone();
        let own = self.own.clone();
        if let Some(offer) = self.offer.take() {
            self.answered = self.takes_offer(own.clone(), &offer)?;
        }
        if self.answered.is_empty() {
            return self.offers_in_answer(&invite, own).await;
        }
        self.dialog.accepts(&self.answered).await?;
        Ok(())
    }

    /// RFC 3261 §13.2.1: the 200 has the offer, the ACK the answer.
    async fn offers_in_answer(&mut self, invite: &Message, own: Own) -> Result<()> {
        self.dialog.replies(invite, "200 OK", &own.offer());
        let ack = self.dialog.expects("ACK").await?;
        self.takes_answer(own, ack.body())
    }

    /// Takes what the other side offers in the dialog.
    async fn accepts(&mut self, method: &str) -> Result<()> {
        let request = self.dialog.expects(method).await?;
        if request.body().is_empty() {
            return self.offers_in_answer(&request, self.next()).await;
        }
        let mut own = self.next();
        // Who restarts ICE is answered with other credentials, too: RFC 8445 §9.
        if self.restarts_ice(request.body()) {
            own.ice = webrtc::credentials();
        }
        let answer = self.takes_offer(own, request.body())?;
        self.dialog.replies(&request, "200 OK", &answer);
        if method == "INVITE" {
            self.dialog.expects("ACK").await?;
        }
        Ok(())
    }

    /// Refuses the next INVITE, in the dialog or the one that opened it.
    async fn refuses(&mut self, status: &str) -> Result<()> {
        if !self.is_up {
            self.dialog.refuses(status).await?;
        } else {
            let request = self.dialog.expects("INVITE").await?;
            self.dialog.replies(&request, status, "");
            self.dialog.expects("ACK").await?;
        }
        Ok(())
    }

    fn speaks_otherwise(&self) -> Own {
        let mut own = self.next();
        own.codecs = match self.media.codec() {
            Some(Codec::Pcma) => vec![Codec::Pcmu],
            _ => vec![Codec::Pcma],
        };
        own
    }

    fn restarted(&self) -> Own {
        let mut own = self.next();
        own.ice = webrtc::credentials();
        own
    }

    /// Another port, and where there are keys in SDP, others. What is bound to an ICE path only says another codec first.
    fn moved(&self, profile: Profile) -> Result<Own> {
        let mut own = self.next();
        match profile {
            Profile::Avp => own.at = self.media.addresses()?.1,
            Profile::Sdes => {
                own.at = self.media.addresses()?.1;
                own.key = cipher::fresh()?;
            }
            Profile::Webrtc => own.codecs.reverse(),
        }
        Ok(own)
    }
}
