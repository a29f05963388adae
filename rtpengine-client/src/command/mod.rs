//! The commands of the ng protocol: [`Command`] lists them, a [`Request`] is one of them with its arguments.

mod call;
mod dtmf;
mod media;
mod sdp;

use serde::de::DeserializeOwned;

pub use call::{Delete, List, Ping, Query, Raw, Statistics};
pub use dtmf::{BlockDtmf, Digit, PlayDtmf, UnblockDtmf};
pub use media::{BlockMedia, Forwarding, Party, PlayMedia, Recording, Source, StopMedia};
pub use sdp::{Answer, Offer, Publish, SubscribeAnswer, SubscribeRequest, Unsubscribe};

use crate::bencode::Dictionary;
use crate::words::words;

words! {
    /// Every command that RTPEngine 10.5 knows, and `pause recording`, which came with RTPEngine 11.
    Command {
        /// Is the node there? [`Ping`].
        Ping = "ping",
        /// An SDP offer. [`Offer`].
        Offer = "offer",
        /// An SDP answer. [`Answer`].
        Answer = "answer",
        /// A call, or a branch of it, is over. [`Delete`].
        Delete = "delete",
        /// What is known of a call. [`Query`].
        Query = "query",
        /// Which calls there are. [`List`].
        List = "list",
        /// [`Recording::start`].
        StartRecording = "start recording",
        /// [`Recording::stop`].
        StopRecording = "stop recording",
        /// [`Recording::pause`]; RTPEngine 10.5 answers [`crate::Reason::UnknownCommand`].
        PauseRecording = "pause recording",
        /// [`Forwarding::start`].
        StartForwarding = "start forwarding",
        /// [`Forwarding::stop`].
        StopForwarding = "stop forwarding",
        /// [`BlockDtmf`].
        BlockDtmf = "block DTMF",
        /// [`UnblockDtmf`].
        UnblockDtmf = "unblock DTMF",
        /// [`BlockMedia::block`].
        BlockMedia = "block media",
        /// [`BlockMedia::unblock`].
        UnblockMedia = "unblock media",
        /// [`BlockMedia::silence`].
        SilenceMedia = "silence media",
        /// [`BlockMedia::unsilence`].
        UnsilenceMedia = "unsilence media",
        /// [`PlayMedia`].
        PlayMedia = "play media",
        /// [`StopMedia`].
        StopMedia = "stop media",
        /// [`PlayDtmf`].
        PlayDtmf = "play DTMF",
        /// What the node has done since it started. [`Statistics`].
        Statistics = "statistics",
        /// Media from somebody who is in no dialogue. [`Publish`].
        Publish = "publish",
        /// A copy of somebody's media, step one. [`SubscribeRequest`].
        SubscribeRequest = "subscribe request",
        /// Step two. [`SubscribeAnswer`].
        SubscribeAnswer = "subscribe answer",
        /// The end of it. [`Unsubscribe`].
        Unsubscribe = "unsubscribe",
    }
}

/// A command with its arguments, and the type of its answer.
pub trait Request: Send + Sync {
    /// What RTPEngine answers when it did what was asked.
    type Answer: DeserializeOwned + Send;

    /// The value of the key `command`.
    fn command(&self) -> &str;

    /// Writes all keys but `command`.
    fn write(&self, to: &mut Dictionary);

    /// The request as bencode, without the cookie.
    fn encode(&self) -> Vec<u8> {
        let mut dictionary = Dictionary::new();
        self.write(&mut dictionary);
        dictionary.text("command", self.command());
        dictionary.encode()
    }
}

/// Methods that set a field and hand the request on, so that requests are built in one expression.
macro_rules! setters {
    ($name:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)+ }) => {
        impl $name {
            $($(#[$doc])*
            #[must_use]
            pub fn $field(mut self, value: impl Into<$type>) -> Self {
                self.$field = Some(value.into());
                self
            })+
        }
    };
}
/// Methods that take any other keys, which win over the typed ones.
macro_rules! extras {
    ($($name:ident),+) => {
        $(impl $name {
            /// Any other key. It wins over a typed one.
            #[must_use]
            pub fn extra(mut self, key: impl Into<String>, value: impl Into<crate::bencode::Value>) -> Self {
                self.extra.push((key.into(), value.into()));
                self
            }
        })+
    };
}
/// Methods of requests that carry [`Options`](crate::Options).
macro_rules! optioned {
    ($($name:ident),+) => {
        $(impl $name {
            /// How the SDP is to be rewritten. Keys without a field go into [`crate::Options::extra`].
            #[must_use]
            pub fn options(mut self, options: crate::Options) -> Self {
                self.options = options;
                self
            }
        })+
    };
}
pub(crate) use {extras, optioned, setters};
