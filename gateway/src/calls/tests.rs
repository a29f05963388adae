//! The table against a naive model, and its times.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sip::{Edited, Limits, Message};

use super::*;

const UP: Media = Media::none(Pass::Up);

const AGE: Duration = Duration::from_secs(3600);
const LIMIT: u32 = 3;

fn calls() -> Calls {
    let quota = |name: &str, calls| Quota {
        name: name.to_owned(),
        calls,
        calls_per_second: 0,
    };
    let settings = Settings {
        on: true,
        age: AGE,
        quotas: vec![quota("limited", LIMIT), quota("free", 0)],
        watch: Watch::default(),
    };
    Calls::new(settings, (1, 2))
}

fn answer(call: usize, callee: usize, more: &str) -> Edited {
    let text = format!(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=a{call}\r\n\
         To: <sip:b@h>;tag=b{callee}\r\nCall-ID: c{call}\r\nCSeq: 1 INVITE\r\n{more}Content-Length: 0\r\n\r\n"
    );
    Edited::new(Message::parse(text.into_bytes().into(), &Limits::default()).unwrap())
}

/// What happens to a node's calls.
#[derive(Clone, Debug)]
enum Event {
    /// A peer's INVITE begins call `call`, towards a member.
    Invite {
        peer: usize,
        call: usize,
        member: usize,
    },
    /// The oldest pending INVITE of that call goes to another member.
    Moves { call: usize, member: usize },
    /// It fails.
    Fails { call: usize },
    /// A phone behind a fork answers it, or the same once more, or a re-INVITE.
    Answers { call: usize, callee: usize },
    /// One side hangs up.
    Bye {
        call: usize,
        callee: usize,
        by_caller: bool,
    },
    /// Time passes.
    Sweep { seconds: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    let (call, callee, member) = (0..6_usize, 0..3_usize, 0..3_usize);
    prop_oneof![
        3 => (0..2_usize, call.clone(), member.clone()).prop_map(|(peer, call, member)| Event::Invite { peer, call, member }),
        1 => (call.clone(), member).prop_map(|(call, member)| Event::Moves { call, member }),
        1 => call.clone().prop_map(|call| Event::Fails { call }),
        3 => (call.clone(), callee.clone()).prop_map(|(call, callee)| Event::Answers { call, callee }),
        2 => (call, callee, any::<bool>()).prop_map(|(call, callee, by_caller)| Event::Bye { call, callee, by_caller }),
        1 => (0..2000_u64).prop_map(|seconds| Event::Sweep { seconds }),
    ]
}

/// A call's peer and member.
type Charge = (usize, usize);

/// The same, as one would write it without a thought of cost.
#[derive(Default)]
struct Model {
    pending: BTreeMap<usize, Vec<Charge>>,
    up: BTreeMap<(usize, usize), (Vec<Charge>, u64)>,
    over: BTreeMap<(usize, usize), u64>,
}

impl Model {
    fn charges(&self) -> Vec<Charge> {
        let pending = self.pending.values().flatten();
        let up = self.up.values().flat_map(|(charges, _)| charges);
        pending.chain(up).copied().collect()
    }

    fn of_peer(&self, peer: usize) -> u32 {
        self.charges().iter().filter(|(of, _)| *of == peer).count() as u32
    }

    fn of_member(&self, member: usize) -> u32 {
        self.charges()
            .iter()
            .filter(|(_, of)| *of == member)
            .count() as u32
    }
}

fn dialog<'a>(call_id: &'a str, tags: (&'a str, &'a str)) -> Dialog<'a> {
    Dialog {
        media: UP,
        call_id: call_id.as_bytes(),
        tags: (tags.0.as_bytes(), tags.1.as_bytes()),
    }
}

fn play(calls: &Calls, events: &[Event]) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    let mut places: BTreeMap<usize, Vec<Place>> = BTreeMap::new();
    let mut now = 0;
    for event in events {
        let at = Duration::from_secs(now);
        match *event {
            Event::Invite { peer, call, member } => {
                let may = peer == 1 || model.of_peer(0) < LIMIT;
                let asked = calls.ask(peer, at);
                prop_assert_eq!(asked.is_ok(), may);
                if let Ok(mut place) = asked {
                    place.moves_to(Some((0, member)));
                    places.entry(call).or_default().push(place);
                    model.pending.entry(call).or_default().push((peer, member));
                }
            }
            Event::Moves { call, member } => {
                if let Some(place) = places.get_mut(&call).and_then(|all| all.first_mut()) {
                    place.moves_to(Some((0, member)));
                    model.pending.get_mut(&call).unwrap()[0].1 = member;
                }
            }
            Event::Fails { call } => {
                if places.get(&call).is_some_and(|all| !all.is_empty()) {
                    drop(places.get_mut(&call).unwrap().remove(0));
                    model.pending.get_mut(&call).unwrap().remove(0);
                }
            }
            Event::Answers { call, callee } => {
                let has_place = places.get(&call).is_some_and(|all| !all.is_empty());
                let place = has_place.then(|| places.get_mut(&call).unwrap().remove(0));
                let charge = has_place.then(|| model.pending.get_mut(&call).unwrap().remove(0));
                let response = answer(call, callee, "");
                let dialog = Dialog::of(&response, UP).unwrap();
                let make = || Some(calls.counts().place(Some(1), Some((0, 2))));
                calls.answered(&dialog, &response, place, make, at);
                if model.over.contains_key(&(call, callee)) {
                    continue;
                }
                let until = now + AGE.as_secs();
                match model.up.get_mut(&(call, callee)) {
                    Some((charges, lasts)) => {
                        charges.extend(charge);
                        *lasts = until;
                    }
                    None => {
                        let charges = vec![charge.unwrap_or((1, 2))];
                        model.up.insert((call, callee), (charges, until));
                    }
                }
            }
            Event::Bye {
                call,
                callee,
                by_caller,
            } => {
                let (id, a, b) = (format!("c{call}"), format!("a{call}"), format!("b{callee}"));
                let tags = if by_caller { (&*a, &*b) } else { (&*b, &*a) };
                calls.ended(&dialog(&id, tags), at);
                let known = model.up.remove(&(call, callee)).is_some();
                let over = known || model.over.contains_key(&(call, callee));
                if over {
                    model.over.insert((call, callee), now + OVER.as_secs());
                }
            }
            Event::Sweep { seconds } => {
                now += seconds;
                calls.sweep(Duration::from_secs(now));
                model.up.retain(|_, (_, until)| *until > now);
                model.over.retain(|_, until| *until > now);
            }
        }
        prop_assert_eq!(calls.len(), model.up.len());
        let states = calls.counts().peers();
        for (peer, state) in states.iter().enumerate() {
            prop_assert_eq!(state.calls, model.of_peer(peer), "peer {}", peer);
        }
        for member in 0..3 {
            let count = calls.counts().of_member(0, member);
            prop_assert_eq!(count, model.of_member(member), "member {}", member);
        }
    }
    drop(places);
    calls.sweep(Duration::from_secs(now) + 2 * AGE);
    prop_assert!(calls.counts().peers().iter().all(|state| state.calls == 0));
    prop_assert_eq!(calls.counts().of_member(0, 0), 0);
    prop_assert_eq!(calls.calls.len(), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn counts_are_those_of_a_naive_model(events in prop::collection::vec(event(), 1..60)) {
        play(&calls(), &events)?;
    }
}

#[test]
fn a_call_lasts_as_long_as_it_says() {
    // RFC 4028 §10, and limits.call_age for who says nothing.
    let age = AGE.as_secs();
    for (why, header, lasts) in [
        ("nothing", "", age),
        (
            "a session timer",
            "Session-Expires: 1800;refresher=uac\r\n",
            1832,
        ),
        ("its compact form", "x: 90\r\n", 122),
        (
            "longer than anybody is counted",
            "Session-Expires: 99999999\r\n",
            age,
        ),
        (
            "longer than a clock goes",
            "Session-Expires: 18446744073709551615\r\n",
            age,
        ),
        ("nonsense", "Session-Expires: soon\r\n", age),
    ] {
        let calls = calls();
        let response = answer(1, 1, header);
        let dialog = Dialog::of(&response, UP).unwrap();
        let place = || Some(calls.counts().place(Some(0), None));
        calls.answered(&dialog, &response, None, place, Duration::ZERO);
        calls.sweep(Duration::from_secs(lasts - 1));
        assert_eq!(calls.len(), 1, "{why}");
        // A refresh counts from then on.
        let later = Duration::from_secs(lasts - 1);
        calls.refreshed(&dialog, &response, later);
        calls.sweep(Duration::from_secs(lasts + 1));
        assert_eq!(calls.len(), 1, "{why}");
        calls.sweep(later + Duration::from_secs(lasts));
        assert_eq!(
            (calls.len(), calls.counts().peers()[0].calls),
            (0, 0),
            "{why}"
        );
    }
}

#[test]
fn a_call_that_passes_twice_is_two() {
    // Phone to phone through a registrar: up and down again, with one Call-ID and one pair of tags.
    let calls = calls();
    let response = answer(1, 1, "");
    for pass in [Pass::Up, Pass::Down] {
        let dialog = Dialog::of(&response, Media::none(pass)).unwrap();
        let place = || Some(calls.counts().place(None, None));
        calls.answered(&dialog, &response, None, place, Duration::ZERO);
    }
    assert_eq!(calls.len(), 2);
    calls.ended(&Dialog::of(&response, UP).unwrap(), Duration::ZERO);
    assert_eq!(calls.len(), 1);
}

#[test]
fn a_bye_without_an_answer_ends_a_call_after_a_while() {
    let calls = calls();
    let response = answer(1, 1, "");
    let dialog = Dialog::of(&response, UP).unwrap();
    let place = || Some(calls.counts().place(Some(1), None));
    calls.answered(&dialog, &response, None, place, Duration::ZERO);
    calls.ending(&dialog, Duration::ZERO);
    assert_eq!(calls.len(), 1, "it may be challenged");
    calls.sweep(OVER);
    assert_eq!((calls.len(), calls.counts().peers()[1].calls), (0, 0));
}

#[test]
fn calls_a_second_are_what_they_are_and_a_refused_one_takes_no_place() {
    let quota = Quota {
        name: "trunk".to_owned(),
        calls: 100,
        calls_per_second: 5,
    };
    let settings = Settings {
        quotas: vec![quota],
        ..Settings::default()
    };
    let calls = Calls::new(settings, (1, 2));
    let ask = |now: u64| {
        let asked = (0..20).map(|_| calls.ask(0, Duration::from_millis(now)));
        let (granted, refused): (Vec<_>, Vec<_>) = asked.partition(Result::is_ok);
        assert!(refused.iter().all(|why| matches!(why, Err(Room::TooFast))));
        granted
    };
    let first = ask(0);
    assert_eq!(first.len(), 5);
    let second = ask(1000);
    assert_eq!(second.len(), 5);
    let state = &calls.counts().peers()[0];
    assert_eq!((state.calls, state.too_fast, state.too_many), (10, 30, 0));
    drop((first, second));
    assert_eq!(calls.counts().peers()[0].calls, 0);
}

#[test]
fn rtpengine_is_asked_about_a_call_that_has_said_nothing_for_long() {
    let calls = calls();
    let anchored = Media {
        node: 1,
        generation: 2,
        pass: Pass::Up,
        ends: proxy::media::Ends::NONE,
    };
    let place = || Some(calls.counts().place(Some(1), None));
    let at = |seconds| Duration::from_secs(seconds);
    for (call, media) in [(1, anchored), (2, UP), (3, anchored)] {
        let response = answer(call, 1, "");
        let dialog = Dialog::of(&response, media).unwrap();
        calls.answered(&dialog, &response, None, place, at(0));
    }
    let refreshed = answer(3, 1, "");
    let dialog = Dialog::of(&refreshed, anchored).unwrap();
    calls.refreshed(&dialog, &refreshed, at(200));
    assert!(calls.doubtful(10, at(299)).is_empty());
    let asked = calls.doubtful(10, at(300));
    let names: Vec<&[u8]> = asked.iter().map(|call| &*call.call_id).collect();
    assert_eq!(
        names,
        [b"c1"],
        "not one without media, nor one that was heard of"
    );
    assert!(calls.doubtful(10, at(301)).is_empty(), "not again at once");
    calls.is_gone(&asked[0], at(301));
    assert_eq!((calls.len(), calls.counts().peers()[1].calls), (2, 2));
    assert_eq!(
        calls.doubtful(10, at(1000)).len(),
        1,
        "nor one that is over"
    );
}

#[test]
fn calls_that_devices_never_end_leave_the_peers_their_room() {
    let mut calls = calls();
    calls.most = (4, 6);
    let up = |calls: &Calls, call, peer| {
        let response = answer(call, 1, "");
        let dialog = Dialog::of(&response, UP).unwrap();
        let place = Some(calls.counts().place(peer, None));
        calls.answered(&dialog, &response, place, || None, Duration::ZERO);
    };
    (0..10).for_each(|call| up(&calls, call, None));
    assert_eq!(calls.len(), 4);
    let place = calls.ask(0, Duration::ZERO);
    assert!(place.is_ok(), "a peer with a limit still calls");
    drop(place);
    (10..20).for_each(|call| up(&calls, call, Some(1)));
    assert_eq!(calls.len(), 6);
    assert_eq!(calls.counts().peers()[1].calls, 2);
    assert!(matches!(calls.ask(0, Duration::ZERO), Err(Room::Full)));
}
