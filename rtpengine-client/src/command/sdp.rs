//! Commands that carry an SDP: `offer`, `answer`, `publish` and the subscriptions.

use super::{Command, Request, optioned, setters};
use crate::answer::{self, Done, Subscription};
use crate::bencode::{ByteString, Dictionary};
use crate::options::Options;

/// `offer`: an SDP offer. The answer has the SDP for the other side.
///
/// ```
/// use rtpengine_client::{Options, command::Offer, words::Ice};
///
/// let offer = Offer::new("call@example", "from-tag", "v=0\r\n...")
///     .via_branch("z9hG4bK1")
///     .options(Options { ice: Some(Ice::Force), ..Options::default() });
/// # let _ = offer;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// The call, whatever identifies it; with SIP mostly the Call-ID.
    pub call_id: ByteString,
    /// The tag of who makes the offer.
    pub from_tag: ByteString,
    /// The tag of who receives it, if known.
    pub to_tag: Option<ByteString>,
    /// Which of several branches this offer is for.
    pub via_branch: Option<ByteString>,
    /// The SDP.
    pub sdp: ByteString,
    /// How it is to be rewritten.
    pub options: Options,
}

impl Offer {
    /// What every offer needs.
    pub fn new(
        call_id: impl Into<ByteString>,
        from_tag: impl Into<ByteString>,
        sdp: impl Into<ByteString>,
    ) -> Self {
        Offer {
            call_id: call_id.into(),
            from_tag: from_tag.into(),
            to_tag: None,
            via_branch: None,
            sdp: sdp.into(),
            options: Options::default(),
        }
    }
}

setters!(Offer {
    /// Sets the tag of who receives the offer.
    to_tag: ByteString,
    /// Sets the branch.
    via_branch: ByteString,
});

impl Request for Offer {
    type Answer = answer::Sdp;

    fn command(&self) -> &str {
        Command::Offer.as_str()
    }

    fn write(&self, to: &mut Dictionary) {
        to.text("call-id", &self.call_id);
        to.text("from-tag", &self.from_tag);
        to.text_if("to-tag", self.to_tag.as_ref());
        to.text_if("via-branch", self.via_branch.as_ref());
        to.text("sdp", &self.sdp);
        // Without it, every limit is "Parallel session limit reached", and an error like any other.
        to.list("supports", ["load limit"]);
        self.options.write(to);
    }
}

/// `answer`: an SDP answer. The tags are those of the offer: from-tag is who made the offer, to-tag who answers it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The call, as in the offer.
    pub call_id: ByteString,
    /// The tag of who made the offer.
    pub from_tag: ByteString,
    /// The tag of who answers.
    pub to_tag: ByteString,
    /// The branch, as in the offer.
    pub via_branch: Option<ByteString>,
    /// The SDP.
    pub sdp: ByteString,
    /// How it is to be rewritten. Protocol, ICE, DTLS and SDES are best left alone: RTPEngine answers in the offerer's
    /// kind.
    pub options: Options,
}

impl Answer {
    /// What every answer needs.
    pub fn new(
        call_id: impl Into<ByteString>,
        from_tag: impl Into<ByteString>,
        to_tag: impl Into<ByteString>,
        sdp: impl Into<ByteString>,
    ) -> Self {
        Answer {
            call_id: call_id.into(),
            from_tag: from_tag.into(),
            to_tag: to_tag.into(),
            via_branch: None,
            sdp: sdp.into(),
            options: Options::default(),
        }
    }
}

setters!(Answer {
    /// Sets the branch.
    via_branch: ByteString,
});

impl Request for Answer {
    type Answer = answer::Sdp;

    fn command(&self) -> &str {
        Command::Answer.as_str()
    }

    fn write(&self, to: &mut Dictionary) {
        to.text("call-id", &self.call_id);
        to.text("from-tag", &self.from_tag);
        to.text("to-tag", &self.to_tag);
        to.text_if("via-branch", self.via_branch.as_ref());
        to.text("sdp", &self.sdp);
        self.options.write(to);
    }
}

/// `publish`: media from somebody to whom others may subscribe. The answer has the SDP answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// The call.
    pub call_id: ByteString,
    /// The tag of who publishes.
    pub from_tag: ByteString,
    /// Its SDP offer.
    pub sdp: ByteString,
    /// How the SDP answer is to be made.
    pub options: Options,
}

impl Publish {
    /// What every publication needs.
    pub fn new(
        call_id: impl Into<ByteString>,
        from_tag: impl Into<ByteString>,
        sdp: impl Into<ByteString>,
    ) -> Self {
        let (call_id, from_tag, sdp) = (call_id.into(), from_tag.into(), sdp.into());
        Publish {
            call_id,
            from_tag,
            sdp,
            options: Options::default(),
        }
    }
}

impl Request for Publish {
    type Answer = answer::Sdp;

    fn command(&self) -> &str {
        Command::Publish.as_str()
    }

    fn write(&self, to: &mut Dictionary) {
        to.text("call-id", &self.call_id);
        to.text("from-tag", &self.from_tag);
        to.text("sdp", &self.sdp);
        self.options.write(to);
    }
}

/// `subscribe request`: a copy of the media of one or more parties of a call. The answer has an SDP offer for the new
/// receiver and its tag.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SubscribeRequest {
    /// The call.
    pub call_id: ByteString,
    /// Whose media. None of them with [`crate::words::Flag::All`]: everybody's.
    pub from_tags: Vec<ByteString>,
    /// The tag of the new receiver; RTPEngine makes one if it is missing.
    pub to_tag: Option<ByteString>,
    /// How the SDP is to be made.
    pub options: Options,
}

impl SubscribeRequest {
    /// A subscription to `from_tags`.
    pub fn new<T: Into<ByteString>>(
        call_id: impl Into<ByteString>,
        from_tags: impl IntoIterator<Item = T>,
    ) -> Self {
        SubscribeRequest {
            call_id: call_id.into(),
            from_tags: from_tags.into_iter().map(Into::into).collect(),
            ..SubscribeRequest::default()
        }
    }
}

setters!(SubscribeRequest {
    /// Sets the tag of the new receiver.
    to_tag: ByteString,
});

impl Request for SubscribeRequest {
    type Answer = Subscription;

    fn command(&self) -> &str {
        Command::SubscribeRequest.as_str()
    }

    fn write(&self, to: &mut Dictionary) {
        to.text("call-id", &self.call_id);
        match self.from_tags.as_slice() {
            [one] => to.text("from-tag", one),
            // RTPEngine reads `--` in a list as an escaped `=`; tags are sent as they are.
            many => to.list("from-tags", many),
        }
        to.text_if("to-tag", self.to_tag.as_ref());
        self.options.write(to);
    }
}

/// `subscribe answer`: the SDP answer of the new receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct SubscribeAnswer {
    /// The call.
    pub call_id: ByteString,
    /// The tag of the new receiver.
    pub to_tag: ByteString,
    /// Its SDP answer.
    pub sdp: ByteString,
    /// How the SDP is to be read.
    pub options: Options,
}

impl SubscribeAnswer {
    /// What every answer to a subscription needs.
    pub fn new(
        call_id: impl Into<ByteString>,
        to_tag: impl Into<ByteString>,
        sdp: impl Into<ByteString>,
    ) -> Self {
        let (call_id, to_tag, sdp) = (call_id.into(), to_tag.into(), sdp.into());
        SubscribeAnswer {
            call_id,
            to_tag,
            sdp,
            options: Options::default(),
        }
    }
}

impl Request for SubscribeAnswer {
    type Answer = Done;

    fn command(&self) -> &str {
        Command::SubscribeAnswer.as_str()
    }

    fn write(&self, to: &mut Dictionary) {
        to.text("call-id", &self.call_id);
        to.text("to-tag", &self.to_tag);
        to.text("sdp", &self.sdp);
        self.options.write(to);
    }
}

/// `unsubscribe`: the end of a subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsubscribe {
    /// The call.
    pub call_id: ByteString,
    /// The tag of the receiver that leaves.
    pub to_tag: ByteString,
    /// Seldom needed.
    pub options: Options,
}

impl Unsubscribe {
    /// What every end of a subscription needs.
    pub fn new(call_id: impl Into<ByteString>, to_tag: impl Into<ByteString>) -> Self {
        Unsubscribe {
            call_id: call_id.into(),
            to_tag: to_tag.into(),
            options: Options::default(),
        }
    }
}

impl Request for Unsubscribe {
    type Answer = Done;

    fn command(&self) -> &str {
        Command::Unsubscribe.as_str()
    }

    fn write(&self, to: &mut Dictionary) {
        to.text("call-id", &self.call_id);
        to.text("to-tag", &self.to_tag);
        self.options.write(to);
    }
}

optioned!(
    Offer,
    Answer,
    Publish,
    SubscribeRequest,
    SubscribeAnswer,
    Unsubscribe
);
