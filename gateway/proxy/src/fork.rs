//! The response context of a stateful proxy (RFC 3261 §16.7, §16.10): which answer of several branches goes back,
//! and whom to cancel. Knows statuses only; the messages are the caller's.

use smallvec::SmallVec;

/// What the branches of one request have answered so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fork {
    branches: SmallVec<[State; 2]>,
    /// A final response went back; only further 2xx to an INVITE follow.
    answered: bool,
    /// No branch may begin to ring any more: CANCEL, 2xx or 6xx was seen.
    ending: bool,
    invite: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Nothing final yet; whether a provisional response came (before it, RFC 3261 §9.1 forbids CANCEL).
    Calling { provisional: bool, cancelled: bool },
    /// Silent: another one was asked in its place (SIGNALLING §6). It may still wake up.
    Replaced,
    /// Ended with this status.
    Final(u16),
}

/// What the caller has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Send this branch's newest response back.
    Forward(usize),
    /// Send the response that this branch ended with back: it is the best.
    ForwardBest(usize),
    /// Send CANCEL on this branch.
    Cancel(usize),
}

/// At most a few actions follow from one input.
pub type Actions = SmallVec<[Action; 4]>;

impl Fork {
    /// A context of `branches` branches that were all sent.
    pub fn new(branches: usize, invite: bool) -> Self {
        let calling = State::Calling {
            provisional: false,
            cancelled: false,
        };
        Self {
            branches: std::iter::repeat_n(calling, branches).collect(),
            answered: false,
            ending: false,
            invite,
        }
    }

    /// A further branch was sent, in place of one that failed (RFC 3261 §16.7 step 4); its index.
    pub fn add(&mut self) -> usize {
        self.branches.push(State::Calling {
            provisional: false,
            cancelled: false,
        });
        self.branches.len() - 1
    }

    /// A further branch was sent in place of one that is silent (SIGNALLING §6); its index. Nobody waits for the silent one
    /// any more, but its 2xx goes back if it comes, and of a request other than INVITE whatever comes first.
    pub fn replace(&mut self, branch: usize) -> usize {
        if let Some(state @ State::Calling { .. }) = self.branches.get_mut(branch) {
            *state = State::Replaced;
        }
        self.add()
    }

    /// True while a branch has not ended and is waited for.
    pub fn is_pending(&self, branch: usize) -> bool {
        matches!(self.branches.get(branch), Some(State::Calling { .. }))
    }

    /// True once a final response went back.
    pub fn is_answered(&self) -> bool {
        self.answered
    }

    /// True when every branch has ended.
    pub fn is_over(&self) -> bool {
        self.branches
            .iter()
            .all(|state| !matches!(state, State::Calling { .. }))
    }

    /// True when CANCEL, a 2xx or a 6xx ended the search: no branch may be added.
    pub fn is_ending(&self) -> bool {
        self.ending
    }

    /// A response (or, with 408, the silence) of a branch.
    pub fn response(&mut self, branch: usize, status: u16) -> Actions {
        let Some(state) = self.branches.get_mut(branch) else {
            return Actions::new();
        };
        match status {
            // §16.7 step 5: 100 is hop by hop.
            0..=100 => {
                let cancel = note_provisional(state, self.ending);
                cancel
                    .then_some(Action::Cancel(branch))
                    .into_iter()
                    .collect()
            }
            101..=199 => {
                let mut actions = Actions::new();
                if note_provisional(state, self.ending) {
                    actions.push(Action::Cancel(branch));
                }
                if !self.answered && matches!(state, State::Calling { .. }) {
                    actions.push(Action::Forward(branch));
                }
                actions
            }
            200..=299 => self.success(branch, status),
            _ => self.failure(branch, status),
        }
    }

    /// §16.7 step 5: a 2xx to an INVITE always goes back, and the others are told to stop (step 10).
    fn success(&mut self, branch: usize, status: u16) -> Actions {
        let mut actions = Actions::new();
        if self.invite || !self.answered {
            actions.push(Action::Forward(branch));
        }
        self.branches[branch] = State::Final(status);
        self.answered = true;
        self.ending = true;
        if self.invite {
            self.cancel_pending(&mut actions);
        }
        actions
    }

    fn failure(&mut self, branch: usize, status: u16) -> Actions {
        match self.branches[branch] {
            State::Final(_) => return Actions::new(),
            State::Replaced => return self.late_failure(branch, status),
            State::Calling { .. } => {}
        }
        self.branches[branch] = State::Final(status);
        let mut actions = Actions::new();
        if status >= 600 && self.invite {
            // §16.7 step 5: the callee wants no device to ring; the answer waits for the branches to end.
            self.ending = true;
            self.cancel_pending(&mut actions);
        }
        if let (true, false, Some(best)) = (self.is_over(), self.answered, self.best()) {
            self.answered = true;
            actions.push(Action::ForwardBest(best));
        }
        actions
    }

    /// Of an INVITE it is the answer to our CANCEL; of another request, as good an answer as any but "I cannot".
    fn late_failure(&mut self, branch: usize, status: u16) -> Actions {
        let mut actions = Actions::new();
        if !self.invite && !self.answered && !(500..600).contains(&status) {
            self.branches[branch] = State::Final(status);
            self.answered = true;
            actions.push(Action::ForwardBest(branch));
        }
        actions
    }

    /// CANCEL from the caller (§16.10), or Timer C: every branch that rings is told.
    pub fn cancel(&mut self) -> Actions {
        let mut actions = Actions::new();
        self.ending = true;
        self.cancel_pending(&mut actions);
        actions
    }

    fn cancel_pending(&mut self, actions: &mut Actions) {
        for (index, state) in self.branches.iter_mut().enumerate() {
            if let State::Calling {
                provisional: true,
                cancelled: cancelled @ false,
            } = state
            {
                *cancelled = true;
                actions.push(Action::Cancel(index));
            }
        }
    }

    /// §16.7 step 6: a 6xx; else of the lowest class the one that helps the caller most.
    fn best(&self) -> Option<usize> {
        let finals = self
            .branches
            .iter()
            .enumerate()
            .filter_map(|(index, state)| match state {
                State::Final(status) => Some((index, *status)),
                State::Calling { .. } | State::Replaced => None,
            });
        finals
            .min_by_key(|(_, status)| rank(*status))
            .map(|(index, _)| index)
    }
}

/// Lower is better.
fn rank(status: u16) -> (u16, u16) {
    let class = if status >= 600 { 0 } else { status / 100 };
    let within = match status {
        // §16.7 step 6 names these: they tell the caller how to go on.
        401 | 407 | 415 | 420 | 484 => 0,
        // A device that says something of the user is worth more than one that could not be reached.
        486 | 488 => 1,
        408 | 480 | 481 | 430 => 3,
        _ => 2,
    };
    (class, within)
}

/// Notes a provisional response; true when the branch has to be cancelled now, because that was not allowed before.
fn note_provisional(state: &mut State, ending: bool) -> bool {
    let State::Calling {
        provisional,
        cancelled,
    } = state
    else {
        return false;
    };
    *provisional = true;
    let now = ending && !*cancelled;
    *cancelled |= now;
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(branches: usize, inputs: &[(usize, u16)]) -> Vec<Action> {
        let mut fork = Fork::new(branches, true);
        let step = |(branch, status): &(usize, u16)| {
            if *status == 0 {
                fork.cancel()
            } else {
                fork.response(*branch, *status)
            }
        };
        inputs.iter().flat_map(step).collect()
    }

    #[test]
    fn the_response_that_goes_back_is_the_one_that_rfc_3261_chooses() {
        use Action::{Cancel, Forward, ForwardBest};
        for (why, branches, inputs, want) in [
            (
                "§16.7 step 5: 100 is hop by hop",
                1,
                &[(0, 100)][..],
                &[][..],
            ),
            (
                "180 and 200 go back at once",
                1,
                &[(0, 180), (0, 200)],
                &[Forward(0), Forward(0)],
            ),
            ("a failure waits for the others", 2, &[(0, 486)], &[]),
            (
                "the best of two failures",
                2,
                &[(0, 480), (1, 486)],
                &[ForwardBest(1)],
            ),
            (
                "a challenge is better than busy",
                2,
                &[(0, 486), (1, 407)],
                &[ForwardBest(1)],
            ),
            (
                "a lower class is better",
                2,
                &[(0, 404), (1, 302)],
                &[ForwardBest(1)],
            ),
            (
                "6xx wins and ends the others",
                2,
                &[(1, 180), (0, 603), (1, 487)],
                &[Forward(1), Cancel(1), ForwardBest(0)],
            ),
            (
                "2xx cancels who rings",
                2,
                &[(1, 180), (0, 200)],
                &[Forward(1), Forward(0), Cancel(1)],
            ),
            (
                "RFC 3261 §9.1: no CANCEL before a 1xx",
                2,
                &[(0, 200), (1, 100)],
                &[Forward(0), Cancel(1)],
            ),
            (
                "a second 2xx goes back too",
                2,
                &[(0, 200), (1, 200)],
                &[Forward(0), Forward(1)],
            ),
            (
                "nothing provisional after the answer",
                2,
                &[(0, 200), (1, 180)],
                &[Forward(0), Cancel(1)],
            ),
            (
                "a failure after the answer is silent",
                2,
                &[(0, 200), (1, 487)],
                &[Forward(0)],
            ),
            (
                "§16.10: CANCEL reaches who rings",
                2,
                &[(0, 180), (9, 0), (0, 487), (1, 408)],
                &[Forward(0), Cancel(0), ForwardBest(0)],
            ),
            (
                "a CANCEL is sent once",
                1,
                &[(0, 180), (9, 0), (9, 0), (0, 183)],
                &[Forward(0), Cancel(0), Forward(0)],
            ),
            ("silence is 408", 1, &[(0, 408)], &[ForwardBest(0)]),
        ] {
            assert_eq!(play(branches, inputs), want, "{why}");
        }
    }

    #[test]
    fn a_non_invite_has_one_answer() {
        let mut fork = Fork::new(2, false);
        assert_eq!(fork.response(0, 200).as_slice(), [Action::Forward(0)]);
        assert_eq!(fork.response(1, 200).as_slice(), []);
        assert!(fork.is_over() && fork.is_answered());
    }

    #[test]
    fn a_silent_member_is_replaced_and_may_still_win() {
        use Action::{Cancel, Forward, ForwardBest};
        for (why, invite, inputs, want) in [
            (
                "the second one's answer",
                true,
                &[(1, 180), (1, 200)][..],
                &[Forward(1), Forward(1)][..],
            ),
            (
                "nobody waits for the silent one",
                true,
                &[(1, 486)],
                &[ForwardBest(1)],
            ),
            (
                "its ringing is not told",
                true,
                &[(0, 180), (1, 183)],
                &[Forward(1)],
            ),
            (
                "its 2xx is, and ends the other",
                true,
                &[(1, 180), (0, 200)],
                &[Forward(1), Forward(0), Cancel(1)],
            ),
            (
                "the 487 to our CANCEL is not",
                true,
                &[(0, 487), (1, 200)],
                &[Forward(1)],
            ),
            (
                "REGISTER: the first final response wins",
                false,
                &[(0, 401), (1, 401)],
                &[ForwardBest(0)],
            ),
            (
                "and later ones are absorbed",
                false,
                &[(1, 401), (0, 401), (0, 200)],
                &[ForwardBest(1)],
            ),
            (
                "late and unable is no answer",
                false,
                &[(0, 500), (1, 401)],
                &[ForwardBest(1)],
            ),
        ] {
            let mut fork = Fork::new(1, invite);
            assert_eq!(fork.replace(0), 1);
            let got: Vec<Action> = inputs
                .iter()
                .flat_map(|(branch, status)| fork.response(*branch, *status))
                .collect();
            assert_eq!(got, want, "{why}");
        }
    }

    #[test]
    fn a_branch_added_after_a_failure_is_waited_for() {
        let mut fork = Fork::new(1, true);
        let next = fork.add();
        assert_eq!(fork.response(0, 430).as_slice(), []);
        assert_eq!(
            fork.response(next, 486).as_slice(),
            [Action::ForwardBest(1)]
        );
    }
}
