//! Every state with every input, over both kinds of transport, and that each machine ends whatever happens to it.
//!
//! A table holds the rows in which something happens; every pair of state and input that it does not list must change
//! nothing and do nothing.

use std::collections::BTreeMap;
use std::fmt::Debug;

use proptest::prelude::*;

use super::Action::{
    Ack, Cancel, Deliver, SetTimer, StopTimers, Terminated as Over, Timeout, TransportError,
};
use super::*;

const ALL: [Timer; 13] = [
    Timer::A,
    Timer::B,
    Timer::C,
    Timer::D,
    Timer::E,
    Timer::F,
    Timer::G,
    Timer::H,
    Timer::I,
    Timer::J,
    Timer::K,
    Timer::L,
    Timer::M,
];
const T1: Duration = Duration::from_millis(500);
const T4: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(32);
const RING: Duration = Duration::from_secs(185);

fn udp() -> Timers {
    Timers::default()
}

fn tcp() -> Timers {
    Timers::default().reliable(true)
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn send(text: &'static str) -> Action {
    Action::Send(bytes(text))
}

type Row<S, I> = (S, I, S, Vec<Action>);

fn check<S, I>(
    states: &[S],
    inputs: &[I],
    rows: &[Row<S, I>],
    handle: impl Fn(S, I) -> (S, Actions),
) where
    S: Clone + PartialEq + Debug,
    I: Clone + PartialEq + Debug,
{
    for (state, input, _, _) in rows {
        assert!(
            states.contains(state) && inputs.contains(input),
            "{state:?} {input:?}"
        );
    }
    for state in states {
        for input in inputs {
            let row = rows.iter().find(|row| row.0 == *state && row.1 == *input);
            let want = match row {
                Some((_, _, next, actions)) => (next.clone(), actions.clone()),
                None => (state.clone(), Vec::new()),
            };
            let (next, actions) = handle(state.clone(), input.clone());
            assert_eq!((next, actions.to_vec()), want, "{state:?} on {input:?}");
        }
    }
}

#[test]
fn an_invite_server_follows_figure_7_and_rfc_6026() {
    use InviteServer::*;
    use InviteServerInput as In;
    let respond = |status, text| In::Respond {
        status,
        bytes: bytes(text),
    };
    let quiet = Proceeding { last: None };
    let rings = Proceeding {
        last: Some(bytes("180")),
    };
    let refused = |interval| Completed {
        response: bytes("486"),
        interval,
    };
    let done = InviteServer::Terminated;
    let states = [
        quiet.clone(),
        rings.clone(),
        refused(T1),
        refused(T1 * 5),
        Confirmed,
        Accepted,
        done.clone(),
    ];
    let mut inputs = vec![
        In::Retransmission,
        In::Ack,
        respond(180, "180"),
        respond(200, "200"),
        respond(486, "486"),
        In::TransportError,
    ];
    inputs.extend(ALL.map(In::Timer));
    let rows = |timers: Timers| {
        let mut on_final = vec![
            send("486"),
            SetTimer(Timer::G, T1),
            SetTimer(Timer::H, LONG),
        ];
        let mut on_ack = (Confirmed, vec![StopTimers, SetTimer(Timer::I, T4)]);
        if timers.is_reliable {
            on_final.remove(1);
            on_ack = (done.clone(), vec![Over]);
        }
        let mut rows = vec![
            (
                rings.clone(),
                In::Retransmission,
                rings.clone(),
                vec![send("180")],
            ),
            (Confirmed, respond(200, "200"), Confirmed, vec![send("200")]),
            (Confirmed, In::Timer(Timer::I), done.clone(), vec![Over]),
            (Accepted, respond(200, "200"), Accepted, vec![send("200")]),
            (Accepted, In::Ack, Accepted, vec![Deliver]),
            (Accepted, In::Timer(Timer::L), done.clone(), vec![Over]),
        ];
        for state in [quiet.clone(), rings.clone()] {
            rows.extend([
                (
                    state.clone(),
                    respond(180, "180"),
                    rings.clone(),
                    vec![send("180")],
                ),
                (
                    state.clone(),
                    respond(200, "200"),
                    Accepted,
                    vec![send("200"), SetTimer(Timer::L, LONG)],
                ),
                (state, respond(486, "486"), refused(T1), on_final.clone()),
            ]);
        }
        // Timer G doubles, and stops doubling at T2.
        for (now, next) in [(T1, T1 * 2), (T1 * 5, udp().t2)] {
            rows.extend([
                (
                    refused(now),
                    In::Retransmission,
                    refused(now),
                    vec![send("486")],
                ),
                (
                    refused(now),
                    In::Timer(Timer::G),
                    refused(next),
                    vec![send("486"), SetTimer(Timer::G, next)],
                ),
                (
                    refused(now),
                    In::Timer(Timer::H),
                    done.clone(),
                    vec![Timeout, Over],
                ),
                (refused(now), In::Ack, on_ack.0.clone(), on_ack.1.clone()),
                (
                    refused(now),
                    respond(200, "200"),
                    refused(now),
                    vec![send("200")],
                ),
            ]);
        }
        for state in states.iter().filter(|state| !state.is_terminated()) {
            rows.push((
                state.clone(),
                In::TransportError,
                state.clone(),
                vec![TransportError],
            ));
        }
        rows
    };
    assert_eq!(
        InviteServer::new(),
        (quiet.clone(), smallvec::smallvec![Deliver])
    );
    for timers in [udp(), tcp()] {
        check(&states, &inputs, &rows(timers), |state, input| {
            state.handle(input, &timers)
        });
    }
}

#[test]
fn a_non_invite_server_follows_figure_8() {
    use NonInviteServer::*;
    use NonInviteServerInput as In;
    let respond = |status, text| In::Respond {
        status,
        bytes: bytes(text),
    };
    let waits = Proceeding { last: bytes("100") };
    let answered = |text| Completed {
        response: bytes(text),
    };
    let done = NonInviteServer::Terminated;
    let states = [
        Trying,
        waits.clone(),
        answered("200"),
        answered("404"),
        done.clone(),
    ];
    let mut inputs = vec![
        In::Retransmission,
        respond(100, "100"),
        respond(200, "200"),
        respond(404, "404"),
        In::TransportError,
    ];
    inputs.extend(ALL.map(In::Timer));
    for timers in [udp(), tcp()] {
        let again = match timers.is_reliable {
            true => vec![],
            false => vec![SetTimer(Timer::J, T4)],
        };
        let with_again = |first| [vec![first], again.clone()].concat();
        let lost = vec![TransportError, Over];
        let mut rows = vec![
            (
                waits.clone(),
                In::Retransmission,
                waits.clone(),
                vec![send("100")],
            ),
            (
                waits.clone(),
                In::TransportError,
                done.clone(),
                lost.clone(),
            ),
        ];
        for state in [Trying, waits.clone()] {
            rows.push((
                state.clone(),
                respond(100, "100"),
                waits.clone(),
                vec![send("100")],
            ));
            for (status, text) in [(200, "200"), (404, "404")] {
                rows.push(match timers.is_reliable {
                    false => (
                        state.clone(),
                        respond(status, text),
                        answered(text),
                        with_again(send(text)),
                    ),
                    true => (
                        state.clone(),
                        respond(status, text),
                        done.clone(),
                        vec![send(text), Over],
                    ),
                });
            }
        }
        for text in ["200", "404"] {
            rows.extend([
                (
                    answered(text),
                    In::Retransmission,
                    answered(text),
                    with_again(send(text)),
                ),
                (
                    answered(text),
                    In::TransportError,
                    done.clone(),
                    lost.clone(),
                ),
                (
                    answered(text),
                    In::Timer(Timer::J),
                    done.clone(),
                    vec![Over],
                ),
            ]);
        }
        check(&states, &inputs, &rows, |state, input| {
            state.handle(input, &timers)
        });
    }
    assert_eq!(
        NonInviteServer::new(),
        (Trying, smallvec::smallvec![Deliver])
    );
}

#[test]
fn a_non_invite_client_follows_figure_6() {
    use NonInviteClient::*;
    use NonInviteClientInput as In;
    let trying = |interval| Trying {
        request: bytes("BYE"),
        interval,
    };
    let waits = Proceeding {
        request: bytes("BYE"),
    };
    let done = NonInviteClient::Terminated;
    let states = [
        trying(T1),
        trying(T1 * 5),
        waits.clone(),
        Completed,
        done.clone(),
    ];
    let mut inputs = vec![
        In::Response(100),
        In::Response(200),
        In::Response(481),
        In::TransportError,
    ];
    inputs.extend(ALL.map(In::Timer));
    for timers in [udp(), tcp()] {
        let on_final = match timers.is_reliable {
            true => (done.clone(), vec![Deliver, Over]),
            false => (Completed, vec![Deliver, StopTimers, SetTimer(Timer::K, T4)]),
        };
        let mut rows = vec![(Completed, In::Timer(Timer::K), done.clone(), vec![Over])];
        for (state, again, next) in [
            (trying(T1), trying(T1 * 2), T1 * 2),
            (trying(T1 * 5), trying(udp().t2), udp().t2),
            (waits.clone(), waits.clone(), udp().t2),
        ] {
            let sent = vec![send("BYE"), SetTimer(Timer::E, next)];
            rows.extend([
                (state.clone(), In::Timer(Timer::E), again, sent),
                (
                    state.clone(),
                    In::Timer(Timer::F),
                    done.clone(),
                    vec![Timeout, Over],
                ),
                (
                    state.clone(),
                    In::TransportError,
                    done.clone(),
                    vec![TransportError, Over],
                ),
                (
                    state.clone(),
                    In::Response(100),
                    waits.clone(),
                    vec![Deliver],
                ),
                (
                    state.clone(),
                    In::Response(200),
                    on_final.0.clone(),
                    on_final.1.clone(),
                ),
                (
                    state,
                    In::Response(481),
                    on_final.0.clone(),
                    on_final.1.clone(),
                ),
            ]);
        }
        check(&states, &inputs, &rows, |state, input| {
            state.handle(input, &timers)
        });
    }
    let start = |timers| NonInviteClient::new(bytes("BYE"), &timers).1.to_vec();
    assert_eq!(
        start(udp()),
        [
            send("BYE"),
            SetTimer(Timer::E, T1),
            SetTimer(Timer::F, LONG)
        ]
    );
    assert_eq!(start(tcp()), [send("BYE"), SetTimer(Timer::F, LONG)]);
}

#[test]
fn an_invite_client_follows_figure_5_rfc_6026_and_timer_c() {
    use InviteClient::*;
    use InviteClientInput as In;
    let calling = |interval, cancel| Calling {
        request: bytes("INVITE"),
        interval,
        cancel,
    };
    let rings = |cancelled| Proceeding { cancelled };
    let done = InviteClient::Terminated;
    let states = [
        calling(T1, false),
        calling(T1 * 8, true),
        rings(false),
        rings(true),
        Completed,
        Accepted,
        done.clone(),
    ];
    let mut inputs = vec![
        In::Response(100),
        In::Response(183),
        In::Response(200),
        In::Response(486),
        In::Cancel,
        In::TransportError,
    ];
    inputs.extend(ALL.map(In::Timer));
    let cancelling = [Cancel, SetTimer(Timer::B, LONG)];
    for timers in [udp(), tcp()] {
        let accepted = vec![Deliver, StopTimers, SetTimer(Timer::M, LONG)];
        let refused = match timers.is_reliable {
            true => (done.clone(), vec![Ack, Deliver, Over]),
            false => (
                Completed,
                vec![Ack, Deliver, StopTimers, SetTimer(Timer::D, LONG)],
            ),
        };
        let heard = vec![Deliver, StopTimers];
        let heard_rings = [heard.clone(), vec![SetTimer(Timer::C, RING)]].concat();
        let heard_cancel = [heard.clone(), cancelling.to_vec()].concat();
        let cancel_now = [vec![StopTimers], cancelling.to_vec()].concat();
        let gave_up = vec![Timeout, Over];
        let mut rows = vec![
            // §9.1: the wish to cancel is kept until somebody has been heard of.
            (calling(T1, false), In::Cancel, calling(T1, true), vec![]),
            (
                calling(T1, false),
                In::Response(100),
                rings(false),
                heard_rings.clone(),
            ),
            (
                calling(T1, false),
                In::Response(183),
                rings(false),
                heard_rings,
            ),
            (
                calling(T1 * 8, true),
                In::Response(100),
                rings(true),
                heard_cancel.clone(),
            ),
            (
                calling(T1 * 8, true),
                In::Response(183),
                rings(true),
                heard_cancel,
            ),
            // §16.7 step 2: 100 is no sign of life, 183 is, and after a CANCEL none is.
            (rings(false), In::Response(100), rings(false), vec![Deliver]),
            (
                rings(false),
                In::Response(183),
                rings(false),
                vec![Deliver, SetTimer(Timer::C, RING)],
            ),
            (rings(true), In::Response(100), rings(true), vec![Deliver]),
            (rings(true), In::Response(183), rings(true), vec![Deliver]),
            (rings(false), In::Cancel, rings(true), cancel_now.clone()),
            (rings(false), In::Timer(Timer::C), rings(true), cancel_now),
            (
                rings(true),
                In::Timer(Timer::B),
                done.clone(),
                gave_up.clone(),
            ),
            (Completed, In::Response(486), Completed, vec![Ack]),
            (Completed, In::Response(200), Completed, vec![Deliver]),
            (Completed, In::Timer(Timer::D), done.clone(), vec![Over]),
            (
                Completed,
                In::TransportError,
                done.clone(),
                vec![TransportError, Over],
            ),
            (Accepted, In::Response(200), Accepted, vec![Deliver]),
            (Accepted, In::Timer(Timer::M), done.clone(), vec![Over]),
        ];
        for (now, cancel) in [(T1, false), (T1 * 8, true)] {
            // Timer A doubles without bound.
            rows.extend([
                (
                    calling(now, cancel),
                    In::Timer(Timer::A),
                    calling(now * 2, cancel),
                    vec![send("INVITE"), SetTimer(Timer::A, now * 2)],
                ),
                (
                    calling(now, cancel),
                    In::Timer(Timer::B),
                    done.clone(),
                    gave_up.clone(),
                ),
            ]);
        }
        for state in &states[..4] {
            rows.extend([
                (state.clone(), In::Response(200), Accepted, accepted.clone()),
                (
                    state.clone(),
                    In::Response(486),
                    refused.0.clone(),
                    refused.1.clone(),
                ),
                (
                    state.clone(),
                    In::TransportError,
                    done.clone(),
                    vec![TransportError, Over],
                ),
            ]);
        }
        check(&states, &inputs, &rows, |state, input| {
            state.handle(input, &timers)
        });
    }
    let start = |timers| InviteClient::new(bytes("INVITE"), &timers).1.to_vec();
    assert_eq!(
        start(udp()),
        [
            send("INVITE"),
            SetTimer(Timer::A, T1),
            SetTimer(Timer::B, LONG)
        ]
    );
    assert_eq!(start(tcp()), [send("INVITE"), SetTimer(Timer::B, LONG)]);
}

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
