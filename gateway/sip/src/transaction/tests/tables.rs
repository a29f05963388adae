//! A table holds the rows in which something happens; every pair of state and input that it does not list must change
//! nothing and do nothing.

use std::fmt::Debug;

use super::*;

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
