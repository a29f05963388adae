//! The machines with their timers on a made-up clock.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[test]
fn an_unanswered_invite_over_datagrams_is_sent_seven_times_in_32_seconds() {
    let (state, actions) = InviteClient::new(bytes("INVITE"), &udp());
    let mut run = Run::new(state, actions);
    run.exhaust(|state, timer| state.handle(InviteClientInput::Timer(timer), &udp()));
    assert_eq!(run.sent, 7);
    assert_eq!(run.clock, LONG);
    assert!(run.did(&Timeout) && run.did(&Over));
}

#[test]
fn an_unanswered_bye_over_datagrams_is_sent_eleven_times_in_32_seconds() {
    let (state, actions) = NonInviteClient::new(bytes("BYE"), &udp());
    let mut run = Run::new(state, actions);
    run.exhaust(|state, timer| state.handle(NonInviteClientInput::Timer(timer), &udp()));
    assert_eq!(run.sent, 11);
    assert_eq!(run.clock, LONG);
}

#[test]
fn a_call_that_rings_for_ever_is_cancelled_and_then_forgotten() {
    let timers = tcp();
    let (state, actions) = InviteClient::new(bytes("INVITE"), &timers);
    let mut run = Run::new(state, actions);
    run.step(|state| state.handle(InviteClientInput::Response(180), &timers));
    run.exhaust(|state, timer| state.handle(InviteClientInput::Timer(timer), &timers));
    assert!(run.did(&Cancel) && run.did(&Timeout));
    assert_eq!(run.clock, RING + LONG);
}

/// A machine with its timers on a made-up clock.
struct Run<S> {
    state: Option<S>,
    timers: BTreeMap<Timer, Duration>,
    clock: Duration,
    sent: usize,
    done: Vec<Action>,
}

impl<S> Run<S> {
    fn new(state: S, actions: Actions) -> Self {
        let mut run = Self {
            state: Some(state),
            timers: BTreeMap::new(),
            clock: Duration::ZERO,
            sent: 0,
            done: Vec::new(),
        };
        run.carry_out(actions);
        run
    }

    fn did(&self, action: &Action) -> bool {
        self.done.contains(action)
    }

    fn step(&mut self, handle: impl FnOnce(S) -> (S, Actions)) {
        let (state, actions) = handle(self.state.take().unwrap());
        self.state = Some(state);
        self.carry_out(actions);
    }

    fn carry_out(&mut self, actions: Actions) {
        for action in actions {
            assert!(!self.did(&Over), "{action:?} after the end");
            match &action {
                SetTimer(timer, after) => {
                    assert!(!after.is_zero());
                    self.timers.insert(*timer, self.clock + *after);
                }
                StopTimers | Over => self.timers.clear(),
                Action::Send(_) => self.sent += 1,
                _ => {}
            }
            self.done.push(action);
        }
    }

    /// Lets time pass until no timer runs.
    fn exhaust(&mut self, handle: impl Fn(S, Timer) -> (S, Actions)) {
        for _ in 0..1000 {
            let Some((timer, at)) = self
                .timers
                .iter()
                .map(|(timer, at)| (*timer, *at))
                .min_by_key(|(_, at)| *at)
            else {
                return;
            };
            self.clock = at;
            self.timers.remove(&timer);
            self.step(|state| handle(state, timer));
        }
        panic!("it never ends");
    }
}

fn any_timer() -> impl Strategy<Value = Timer> {
    (0..ALL.len()).prop_map(|at| ALL[at])
}

fn any_status() -> impl Strategy<Value = u16> {
    prop_oneof![Just(100), 101..200u16, 200..300u16, 300..700u16]
}

fn any_client() -> impl Strategy<Value = InviteClientInput> {
    prop_oneof![
        any_status().prop_map(InviteClientInput::Response),
        Just(InviteClientInput::Cancel),
        any_timer().prop_map(InviteClientInput::Timer),
        Just(InviteClientInput::TransportError),
    ]
}

fn any_server() -> impl Strategy<Value = InviteServerInput> {
    prop_oneof![
        Just(InviteServerInput::Retransmission),
        Just(InviteServerInput::Ack),
        any_status().prop_map(|status| InviteServerInput::Respond {
            status,
            bytes: bytes("response")
        }),
        any_timer().prop_map(InviteServerInput::Timer),
        Just(InviteServerInput::TransportError),
    ]
}

/// What a non-INVITE server may see of the same list.
fn non_invite_server(input: InviteServerInput) -> Option<NonInviteServerInput> {
    Some(match input {
        InviteServerInput::Retransmission => NonInviteServerInput::Retransmission,
        InviteServerInput::Ack => return None,
        InviteServerInput::Respond { status, bytes } => {
            NonInviteServerInput::Respond { status, bytes }
        }
        InviteServerInput::Timer(timer) => NonInviteServerInput::Timer(timer),
        InviteServerInput::TransportError => NonInviteServerInput::TransportError,
    })
}

fn non_invite_client(input: InviteClientInput) -> Option<NonInviteClientInput> {
    Some(match input {
        InviteClientInput::Response(status) => NonInviteClientInput::Response(status),
        InviteClientInput::Cancel => return None,
        InviteClientInput::Timer(timer) => NonInviteClientInput::Timer(timer),
        InviteClientInput::TransportError => NonInviteClientInput::TransportError,
    })
}

// A stray timer of the random list does not take its entry out of `Run`, as a driver that is late would not.
proptest! {
    #[test]
    fn an_invite_client_always_ends(inputs in prop::collection::vec(any_client(), 0..30), reliable: bool) {
        let timers = Timers::default().reliable(reliable);
        let (state, actions) = InviteClient::new(bytes("INVITE"), &timers);
        let mut run = Run::new(state, actions);
        for input in inputs {
            run.step(|state| state.handle(input, &timers));
        }
        run.exhaust(|state, timer| state.handle(InviteClientInput::Timer(timer), &timers));
        prop_assert!(run.state.as_ref().unwrap().is_terminated() && run.did(&Over));
    }

    #[test]
    fn a_non_invite_client_always_ends(inputs in prop::collection::vec(any_client(), 0..30), reliable: bool) {
        let timers = Timers::default().reliable(reliable);
        let (state, actions) = NonInviteClient::new(bytes("BYE"), &timers);
        let mut run = Run::new(state, actions);
        for input in inputs.into_iter().filter_map(non_invite_client) {
            run.step(|state| state.handle(input, &timers));
        }
        run.exhaust(|state, timer| state.handle(NonInviteClientInput::Timer(timer), &timers));
        prop_assert!(run.state.as_ref().unwrap().is_terminated() && run.did(&Over));
    }

    #[test]
    fn an_invite_server_ends_once_the_core_has_answered(inputs in prop::collection::vec(any_server(), 0..30), status in 200..700u16, reliable: bool) {
        let timers = Timers::default().reliable(reliable);
        let (state, actions) = InviteServer::new();
        let mut run = Run::new(state, actions);
        for input in inputs {
            run.step(|state| state.handle(input, &timers));
        }
        run.step(|state| state.handle(InviteServerInput::Respond { status, bytes: bytes("final") }, &timers));
        run.exhaust(|state, timer| state.handle(InviteServerInput::Timer(timer), &timers));
        prop_assert!(run.state.as_ref().unwrap().is_terminated() && run.did(&Over));
    }

    #[test]
    fn a_non_invite_server_ends_once_the_core_has_answered(inputs in prop::collection::vec(any_server(), 0..30), status in 200..700u16, reliable: bool) {
        let timers = Timers::default().reliable(reliable);
        let (state, actions) = NonInviteServer::new();
        let mut run = Run::new(state, actions);
        for input in inputs.into_iter().filter_map(non_invite_server) {
            run.step(|state| state.handle(input, &timers));
        }
        run.step(|state| state.handle(NonInviteServerInput::Respond { status, bytes: bytes("final") }, &timers));
        run.exhaust(|state, timer| state.handle(NonInviteServerInput::Timer(timer), &timers));
        prop_assert!(run.state.as_ref().unwrap().is_terminated() && run.did(&Over));
    }
}
