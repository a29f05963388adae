//! Two phones in a call, with audio.

use anyhow::{Result, ensure};
use causeway_tests::agent::{Call, Device, Kind, Message, Sent};
use causeway_tests::scene::Scene;

use crate::leg::{Leg, talk};

/// One end.
pub(crate) struct End {
    /// Its side of the dialog.
    pub(crate) call: Call,
    /// Its media.
    pub(crate) leg: Leg,
}

impl End {
    /// The call that comes in at a phone, which has not said anything yet.
    pub(crate) async fn called(device: &Device) -> Result<Self> {
        let (call, mut leg) = (device.called().await?, Leg::open().await?);
        leg.follows(call.invite.body())?;
        Ok(Self { call, leg })
    }
}

/// Who called, and who was called.
pub(crate) struct Pair {
    pub(crate) caller: End,
    pub(crate) called: End,
    pub(crate) devices: [Device; 2],
}

/// One calls, the other answers, and they hear each other: the ends of both.
pub(crate) async fn connect(alice: &Device, bob: &Device, more: &str) -> Result<[End; 2]> {
    let mut caller = Leg::open().await?;
    let offer = caller.sdp("sendrecv");
    let mut outgoing = alice.calls_with(&bob.user, more, &offer).await?;
    let mut called = End::called(bob).await?;
    called.call.rings();
    let answer = called.leg.sdp("sendrecv");
    let (accepted, answered) =
        tokio::try_join!(called.call.accepts(&answer), outgoing.is_answered(""))?;
    ensure!(accepted.body().is_empty(), "an ACK with a body");
    caller.follows(answered.body())?;
    talk(&caller, &called.leg).await?;
    let caller = End {
        call: outgoing,
        leg: caller,
    };
    Ok([caller, called])
}

/// One hangs up.
pub(crate) async fn hang_up(one: &mut End, other: &mut End) -> Result<()> {
    tokio::try_join!(one.call.hangs_up(), other.call.takes("BYE", "")).map(drop)
}

impl Pair {
    /// alice calls bob, and they hear each other.
    pub(crate) async fn talking(scene: &Scene, kinds: [Kind; 2]) -> Result<Self> {
        let alice = scene.device("alice", kinds[0]).await?;
        let bob = scene.device("bob", kinds[1]).await?;
        let [caller, called] = connect(&alice, &bob, "").await?;
        Ok(Pair {
            caller,
            called,
            devices: [alice, bob],
        })
    }

    /// The one who does something, and the other one.
    pub(crate) fn both(&mut self, by_caller: bool) -> (&mut End, &mut End) {
        if by_caller {
            (&mut self.caller, &mut self.called)
        } else {
            (&mut self.called, &mut self.caller)
        }
    }

    /// One of them ends the call.
    pub(crate) async fn hang_up(&mut self, by_caller: bool) -> Result<()> {
        let (one, other) = self.both(by_caller);
        hang_up(one, other).await
    }

    /// They hear each other.
    pub(crate) async fn talk(&self) -> Result<()> {
        talk(&self.caller.leg, &self.called.leg).await
    }
}

/// One offers, the other refuses; what the other one got.
pub(crate) async fn is_refused(
    (one, other): (&mut End, &mut End),
    method: &str,
    offer: &str,
    status: &str,
) -> Result<Message> {
    let refusal = async {
        let request = other.call.expects(method).await?;
        other.call.answers(&request, status, PLAIN, "", "");
        if method == "INVITE" {
            other.call.expects("ACK").await?;
        }
        anyhow::Ok(request)
    };
    let (answer, request) = tokio::try_join!(one.call.says(method, "", offer), refusal)?;
    ensure!(
        answer.start().contains(status),
        "{status} was said, and {} heard",
        answer.start()
    );
    Ok(request)
}

/// The final answer to an INVITE that was sent; a 2xx is acknowledged.
pub(crate) async fn ends(call: &mut Call, sent: &Sent) -> Result<Message> {
    let answer = call.answer_to(sent).await?;
    if answer.status() < Some(300) {
        call.confirms_it(&answer, "")?;
    }
    Ok(answer)
}

/// A response without a body.
pub(crate) const PLAIN: &str = "X\r\nVia: x\r\nFrom: x\r\nTo: x\r\nCall-ID: x\r\nCSeq: x\r\nContact: x\r\nContent-Length: 0\r\n\r\n";
/// A response with one.
pub(crate) const WITH_BODY: &str = "X\r\nVia: x\r\nFrom: x\r\nTo: x\r\nCall-ID: x\r\nCSeq: x\r\nContact: x\r\n\
    Content-Type: application/sdp\r\nContent-Length: 0\r\n\r\n";
