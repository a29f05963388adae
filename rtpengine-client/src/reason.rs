//! The reasons that RTPEngine gives in an error answer, in one table.

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $($text:literal)|+;)+) => {
        /// Why RTPEngine did not do what was asked, read from `error-reason` (of `result` "error") or `message` (of
        /// `result` "load limit"). The texts are those of RTPEngine 10.5.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$doc])* $name,)+
            /// A text that is not in the table.
            Other,
        }

        impl Reason {
            /// Reads RTPEngine's words.
            pub fn from_text(text: &str) -> Reason {
                match text {
                    $($($text)|+ => Reason::$name,)+
                    _ => Reason::Other,
                }
            }

            /// All rows: the reason and the texts that mean it.
            pub const TABLE: &'static [(Reason, &'static [&'static str])] =
                &[$((Reason::$name, &[$($text),+]),)+];
        }
    };
}

reasons! {
    /// The call is not known here: over, never begun, or the node was restarted.
    UnknownCall = "Unknown call-id" | "Unknown call-ID";
    /// `delete` with the flag `fatal`: no such call, or none with these tags.
    NothingToDelete = "Call-ID not found or tags didn't match";
    /// The tags do not belong to one dialogue of the call.
    InvalidDialogue = "Invalid dialogue association";
    /// The from-tag (or label, or address) selects nobody in the call.
    UnknownParty = "From-tag given, but no such tag exists"
        | "No monologue matching the given label"
        | "Failed to match address to any tag"
        | "No monologues matched";
    /// The to-tag selects nobody in the call.
    UnknownToTag = "To-tag not found";
    /// The command needs to know for whom of the call it is.
    PartyMissing = "No participant party specified" | "No call participant specified";
    /// A key that the command cannot do without is missing.
    KeyMissing = "No call-id in message"
        | "No from-tag in message"
        | "No to-tag in message"
        | "No SDP body in message"
        | "No media file specified";
    /// The SDP cannot be parsed.
    SdpUnreadable = "Failed to parse SDP";
    /// The SDP lacks an address, a port or the like.
    SdpIncomplete = "Incomplete SDP specification";
    /// The SDP was understood but the new one could not be made.
    SdpNotRewritten = "Error rewriting SDP" | "Failed to rewrite SDP" | "Failed to create SDP";
    /// All media ports are in use. The call has been destroyed.
    OutOfPorts = "Ran out of ports";
    /// `max-sessions` is reached.
    SessionLimit = "Parallel session limit reached";
    /// `max-cpu` is reached.
    CpuLimit = "CPU usage limit exceeded";
    /// `max-load` is reached.
    LoadLimit = "Load limit exceeded";
    /// `max-bandwidth` is reached.
    BandwidthLimit = "Bandwidth limit exceeded";
    /// A file, blob or database entry cannot be played.
    NotPlayable = "Failed to start media playback from file"
        | "Failed to start media playback from blob"
        | "Failed to start media playback from database";
    /// `stop media` where nothing plays.
    NotPlaying = "Not currently playing media";
    /// The DTMF code is none.
    BadDigit = "Out of range 'code' specified";
    /// There is no stream into which DTMF could be put (yet).
    NoDtmfStream = "Monologue has no media capable of DTMF injection"
        | "Sink monologue has no media capable of DTMF playback"
        | "No output SSRC context present"
        | "Media doesn't have an RTP stream"
        | "No SSRC context present for DTMF injection"
        | "No RTP payload type found to be in use"
        | "No matching codec handler"
        | "No suitable codec handler present"
        | "No matching codec SSRC handler";
    /// A subscription could not be made, answered or ended.
    SubscriptionFailed = "Failed to request subscription"
        | "Failed to process subscription answer"
        | "Failed to unsubscribe";
    /// An address in the request cannot be read.
    BadAddress = "Failed to parse network address";
    /// `list` with a negative limit.
    BadLimit = "invalid limit, must be >= 0";
    /// This RTPEngine does not know the command.
    UnknownCommand = "Unrecognized command";
    /// This RTPEngine was built without what the command needs (transcoding).
    Unsupported = "unsupported";
    /// RTPEngine could not read the datagram.
    BadRequest = "Could not decode bencode dictionary"
        | "Invalid data (no payload)"
        | "Invalid NG data format"
        | "Dictionary contains no key \"command\"";
}

impl Reason {
    /// Whether the node is at fault rather than the request, so that another node may do it. An unknown text counts as
    /// the request's fault: asking everybody would only repeat it.
    pub fn try_another_node(self) -> bool {
        matches!(
            self,
            Reason::OutOfPorts
                | Reason::SessionLimit
                | Reason::CpuLimit
                | Reason::LoadLimit
                | Reason::BandwidthLimit
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_of_the_table_reads_as_its_reason() {
        for (reason, texts) in Reason::TABLE {
            for text in *texts {
                assert_eq!(Reason::from_text(text), *reason, "{text}");
            }
        }
        assert_eq!(Reason::from_text("something new"), Reason::Other);
    }

    #[test]
    fn only_a_full_node_sends_the_request_to_another_one() {
        assert!(Reason::OutOfPorts.try_another_node());
        assert!(Reason::SessionLimit.try_another_node());
        assert!(!Reason::SdpUnreadable.try_another_node());
        assert!(!Reason::UnknownCall.try_another_node());
        assert!(!Reason::Other.try_another_node());
    }
}
