//! What ends a session at RTPEngine, and how it is said (MEDIA.md §4). A `delete` too many ends a call that is up, and one too few
//! holds ports: so each event has its row.

use super::role::Tags;

/// A request that has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// An INVITE, or one branch of its fork.
    Invite {
        /// It had a To tag: a re-INVITE.
        in_dialog: bool,
        /// Its final response; `None` when it was cancelled, or nobody answered.
        status: Option<u16>,
        /// Another branch of its fork has the call.
        lost: bool,
    },
    /// An UPDATE, or a PRACK.
    Update {
        /// Its final response.
        status: Option<u16>,
    },
    /// A BYE.
    Bye {
        /// Its final response as it passes; `None` when there was none.
        status: Option<u16>,
        /// The side that was called sent it.
        from_called: bool,
    },
}

/// What RTPEngine is told. The ng call-id is that of the pass ([`ng_call_id`](super::ng_call_id)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing.
    Nothing,
    /// No `delete`: with any of them the call, which goes on, would be gone (measured). But RTPEngine has taken the refused offer
    /// for the last word, and has no rollback: what the two sides agreed on before is said to it again.
    Again,
    /// `delete` with from-tag and, where the pass has one, via-branch, and **no to-tag**.
    Branch {
        /// `delete-delay` 0. Else the session is kept for a while: a later offer of the same call takes it back (measured), so
        /// 401, 407, 422, 3xx and failover need no exception; and a flood without credentials holds ports no longer than that.
        /// But *any* later offer of the call takes it back, for good: where a registrar forks, the one who rang in vain and was told
        /// to stop is ended at once, or the hold of the one who answered would keep its ports for ever (measured). One who says no
        /// is not: while nobody has answered, RTPEngine takes the whole call along, and with it those who still ring (measured).
        at_once: bool,
    },
    /// `delete` with from-tag of the caller, to-tag of the called and the flag `to-tag`, `delete-delay` 0, whoever hung up: after
    /// a fork that was answered twice, a delete by the caller's tag alone takes the survivor along (measured).
    Dialog {
        /// Which tag of the BYE is the caller's: `FromTo` if its From is.
        tags: Tags,
    },
}

/// What an ending means for the session.
pub fn end_of_session(ending: Ending) -> End {
    match ending {
        Ending::Invite {
            in_dialog: false,
            status: status @ (None | Some(300..)),
            lost,
        } => End::Branch {
            at_once: lost || status == Some(487),
        },
        Ending::Invite {
            in_dialog: true,
            status: None | Some(300..),
            ..
        }
        | Ending::Update {
            status: None | Some(300..),
        } => End::Again,
        Ending::Invite { .. } | Ending::Update { .. } => End::Nothing,
        // Challenged, it comes again, and media flows until then.
        Ending::Bye {
            status: Some(..=199 | 401 | 407),
            ..
        } => End::Nothing,
        // RFC 3261 §15.1.1: whoever sent it has hung up, whatever the answer is. A page that was reloaded says 404
        // (JsSIP: the request-URI has the user of its old Contact).
        Ending::Bye { from_called, .. } => End::Dialog {
            tags: if from_called {
                Tags::ToFrom
            } else {
                Tags::FromTo
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_with_its_call_and_not_before() {
        let invite = |in_dialog, status| Ending::Invite {
            in_dialog,
            status,
            lost: false,
        };
        let lost = |status| Ending::Invite {
            in_dialog: false,
            status,
            lost: true,
        };
        let bye = |from_called, status| Ending::Bye {
            status,
            from_called,
        };
        let branch = End::Branch { at_once: false };
        let at_once = End::Branch { at_once: true };
        let caller_first = End::Dialog { tags: Tags::FromTo };
        for (why, ending, want) in [
            ("answered", invite(false, Some(200)), End::Nothing),
            ("ringing is no end", invite(false, Some(180)), End::Nothing),
            (
                "busy, and another device still rings",
                invite(false, Some(486)),
                branch,
            ),
            (
                "challenged: the retry takes it back",
                invite(false, Some(407)),
                branch,
            ),
            ("redirected", invite(false, Some(302)), branch),
            ("the core is busy", invite(false, Some(503)), branch),
            ("declined", invite(false, Some(603)), branch),
            (
                "a registrar's fork was answered elsewhere",
                invite(false, Some(487)),
                at_once,
            ),
            (
                "nobody answered, and another device still rings",
                invite(false, None),
                branch,
            ),
            (
                "another device took the call: no retry comes",
                lost(Some(487)),
                at_once,
            ),
            ("and this one never answered", lost(None), at_once),
            ("hold refused", invite(true, Some(488)), End::Again),
            ("hold glared", invite(true, Some(491)), End::Again),
            ("hold cancelled", invite(true, None), End::Again),
            (
                "even 481 to a re-INVITE: its BYE follows",
                invite(true, Some(481)),
                End::Again,
            ),
            (
                "update refused",
                Ending::Update { status: Some(405) },
                End::Again,
            ),
            ("hold taken", invite(true, Some(200)), End::Nothing),
            (
                "update taken",
                Ending::Update { status: Some(200) },
                End::Nothing,
            ),
            ("the caller hangs up", bye(false, Some(200)), caller_first),
            (
                "the called hangs up",
                bye(true, Some(200)),
                End::Dialog { tags: Tags::ToFrom },
            ),
            (
                "the other side knows nothing of it",
                bye(false, Some(481)),
                caller_first,
            ),
            (
                "the other side is silent",
                bye(false, Some(408)),
                caller_first,
            ),
            ("and nothing came at all", bye(false, None), caller_first),
            (
                "the other side was started anew",
                bye(false, Some(404)),
                caller_first,
            ),
            (
                "whoever hung up has gone",
                bye(false, Some(500)),
                caller_first,
            ),
            ("BYE challenged", bye(false, Some(401)), End::Nothing),
            (
                "BYE challenged by a proxy",
                bye(true, Some(407)),
                End::Nothing,
            ),
            ("not yet", bye(false, Some(100)), End::Nothing),
        ] {
            assert_eq!(end_of_session(ending), want, "{why}");
        }
    }
}
