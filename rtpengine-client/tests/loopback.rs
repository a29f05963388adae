//! The client against a responder on loopback that loses, delays, doubles and forges: real sockets, bad manners.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rtpengine_client::bencode::{self, Limits, Value};
use rtpengine_client::command::{Offer, Ping};
use rtpengine_client::{Client, ClientConfig, Error, Pool, PoolConfig};
use tokio::net::UdpSocket;

/// A request as it arrived.
struct Arrived {
    from: SocketAddr,
    cookie: Vec<u8>,
    call_id: Vec<u8>,
    datagram: Vec<u8>,
}

async fn responder() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

async fn arrive(socket: &UdpSocket) -> Arrived {
    let mut buffer = vec![0; 65_536];
    let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
    let datagram = buffer[..length].to_vec();
    let space = datagram.iter().position(|byte| *byte == b' ').unwrap();
    let value: Value = bencode::decode(&datagram[space + 1..], &Limits::default()).unwrap();
    let Value::Dict(keys) = value else {
        panic!("no dictionary")
    };
    let call_id = match keys.get(b"call-id".as_slice()) {
        Some(Value::Bytes(call_id)) => call_id.clone(),
        _ => Vec::new(),
    };
    Arrived {
        from,
        cookie: datagram[..space].to_vec(),
        call_id,
        datagram,
    }
}

/// An answer that says which request it is for: the SDP is the call-id.
fn answer_to(request: &Arrived) -> Vec<u8> {
    let mut answer = request.cookie.clone();
    answer.extend_from_slice(format!(" d6:result2:ok3:sdp{}:", request.call_id.len()).as_bytes());
    answer.extend_from_slice(&request.call_id);
    answer.push(b'e');
    answer
}

fn hasty(address: SocketAddr) -> ClientConfig {
    ClientConfig {
        first_wait: Duration::from_millis(15),
        longest_wait: Duration::from_millis(60),
        timeout: Duration::from_secs(3),
        ..ClientConfig::new(address)
    }
}

async fn client(socket: &UdpSocket) -> Client {
    Client::connect(hasty(socket.local_addr().unwrap()))
        .await
        .unwrap()
}

/// What is done to one request.
#[derive(Clone, Copy, Debug)]
enum Manners {
    Answer,
    Lose,
    Double,
    Late(u8),
    WrongCookieFirst,
    Garbage,
}

fn manners() -> impl Strategy<Value = Manners> {
    prop_oneof![
        3 => Just(Manners::Answer),
        3 => Just(Manners::Lose),
        2 => Just(Manners::Double),
        3 => (1..60u8).prop_map(Manners::Late),
        1 => Just(Manners::WrongCookieFirst),
        1 => Just(Manners::Garbage),
    ]
}

async fn misbehave(socket: std::sync::Arc<UdpSocket>, manners: Vec<Manners>) {
    // Not in turn: requests are sent again in the same order, and would meet the same manners for ever.
    let mut random = 1u32;
    let mut former: Option<Vec<u8>> = None;
    loop {
        let request = arrive(&socket).await;
        let answer = answer_to(&request);
        let from = request.from;
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match manners[(random >> 8) as usize % manners.len()] {
            Manners::Answer => _ = socket.send_to(&answer, from).await.unwrap(),
            Manners::Lose => {}
            Manners::Double => {
                socket.send_to(&answer, from).await.unwrap();
                socket.send_to(&answer, from).await.unwrap();
            }
            Manners::Late(milliseconds) => {
                let (socket, answer) = (socket.clone(), answer.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(milliseconds.into())).await;
                    let _ = socket.send_to(&answer, from).await;
                });
            }
            Manners::WrongCookieFirst => {
                // The answer of the request before, perhaps on another socket of the client; and one nobody asked for.
                if let Some(former) = &former {
                    socket.send_to(former, from).await.unwrap();
                }
                let mut wrong = answer.clone();
                wrong[0] = if wrong[0] == b'0' { b'1' } else { b'0' };
                socket.send_to(&wrong, from).await.unwrap();
                socket.send_to(&answer, from).await.unwrap();
            }
            Manners::Garbage => {
                for garbage in [
                    b"".as_slice(),
                    b" ",
                    &request.cookie,
                    &[0xff; 40],
                    &request.datagram[1..],
                ] {
                    socket.send_to(garbage, from).await.unwrap();
                }
            }
        }
        former = Some(answer);
    }
}

async fn every_request_gets_its_own_answer(manners: Vec<Manners>, requests: usize) {
    let socket = std::sync::Arc::new(responder().await);
    let client = std::sync::Arc::new(client(&socket).await);
    let peer = tokio::spawn(misbehave(socket, manners.clone()));
    let mut asked = Vec::new();
    for number in 0..requests {
        let client = client.clone();
        asked.push(tokio::spawn(async move {
            let call_id = format!("call-{number}-{}", "x".repeat(number % 50));
            let answer = client
                .request(&Offer::new(call_id.as_str(), "a", "v=0\r\n"))
                .await;
            (call_id, answer)
        }));
    }
    let mut answered = 0;
    for asked in asked {
        let (call_id, answer) = asked.await.unwrap();
        match answer {
            Ok(answer) => {
                assert_eq!(
                    answer.sdp.unwrap().to_text(),
                    call_id,
                    "somebody else's answer"
                );
                answered += 1;
            }
            Err(Error::Timeout { .. }) => {}
            Err(why) => panic!("{call_id}: {why}"),
        }
    }
    // A request is sent some fifty times before it is given up.
    let good = manners
        .iter()
        .filter(|one| !matches!(one, Manners::Lose | Manners::Garbage))
        .count();
    if good * 5 >= manners.len() {
        assert!(
            answered * 10 >= requests * 9,
            "only {answered} of {requests} under {manners:?}"
        );
    }
    assert_eq!(client.in_flight(), 0);
    assert_eq!(client.counts().answered as usize, answered);
    peer.abort();
}

fn on_one_thread(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn no_answer_reaches_the_wrong_request(manners in proptest::collection::vec(manners(), 5..40), many_threads: bool) {
        let test = every_request_gets_its_own_answer(manners, 150);
        if many_threads {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
            runtime.block_on(test);
        } else {
            on_one_thread(test);
        }
    }
}

/// What becomes of one datagram of a request, whether it is the first or sent again.
#[derive(Clone, Debug)]
enum Fate {
    Lost,
    /// Its answer comes so often, after so many milliseconds each: early, late, out of turn, when nobody waits any more.
    Answered(Vec<u8>),
    /// Somebody else answers in the node's place, with the right cookie.
    Forged,
    /// Somebody else's answer comes again first.
    AfterAnother(u8),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        2 => Just(Fate::Lost),
        6 => proptest::collection::vec(0..60u8, 1..4).prop_map(Fate::Answered),
        1 => Just(Fate::Forged),
        2 => (0..20u8).prop_map(Fate::AfterAnother),
    ]
}

/// A node that does to the datagrams what is written, one after the other; how many answers it has sent, and how many forged ones
/// a stranger.
async fn play(
    socket: std::sync::Arc<UdpSocket>,
    fates: Vec<Fate>,
    sent: std::sync::Arc<AtomicUsize>,
) {
    let stranger = responder().await;
    let mut answers: Vec<Vec<u8>> = Vec::new();
    let mut sending = tokio::task::JoinSet::new();
    for fate in fates.iter().cycle() {
        let request = arrive(&socket).await;
        let (from, answer) = (request.from, answer_to(&request));
        let mut send = |bytes: Vec<u8>, after: u8| {
            let (socket, sent) = (socket.clone(), sent.clone());
            sending.spawn(async move {
                tokio::time::sleep(Duration::from_millis(after.into())).await;
                sent.fetch_add(1, Relaxed);
                let _ = socket.send_to(&bytes, from).await;
            });
        };
        match fate {
            Fate::Lost => {}
            Fate::Answered(delays) => delays.iter().for_each(|after| send(answer.clone(), *after)),
            Fate::Forged => {
                let forged = answer_to(&Arrived {
                    call_id: b"forged".to_vec(),
                    ..arrive_like(&request)
                });
                let _ = stranger.send_to(&forged, from).await;
            }
            Fate::AfterAnother(after) => {
                // To this request's socket, with that one's cookie.
                if let Some(another) = answers.get(answers.len() / 2) {
                    send(another.clone(), 0);
                }
                send(answer.clone(), *after);
            }
        }
        answers.push(answer);
    }
}

/// Requests of different patience, a few of them at a time: an answer is the request's own, or there is none.
async fn each_gets_its_own_answer_or_none(fates: Vec<Fate>, patience: Vec<u8>, sockets: usize) {
    let socket = std::sync::Arc::new(responder().await);
    let client = Client::connect(ClientConfig {
        sockets,
        first_wait: Duration::from_millis(4),
        longest_wait: Duration::from_millis(16),
        ..hasty(socket.local_addr().unwrap())
    });
    let client = std::sync::Arc::new(client.await.unwrap());
    let sent = std::sync::Arc::new(AtomicUsize::new(0));
    let node = tokio::spawn(play(socket, fates, sent.clone()));
    let mut asking = tokio::task::JoinSet::new();
    for (number, patience) in patience.iter().copied().enumerate() {
        let client = client.clone();
        asking.spawn(async move {
            // Not all at once: the late answer to one comes while the next one waits.
            tokio::time::sleep(Duration::from_millis(number as u64 % 40)).await;
            let call_id = format!("call-{number}");
            let request = Offer::new(call_id.as_str(), "a", "v=0\r\n");
            let within = Duration::from_millis(patience.into());
            match client.request_within(&request, within).await {
                Ok(answer) => {
                    assert_eq!(
                        answer.sdp.unwrap().to_text(),
                        call_id,
                        "somebody else's answer"
                    );
                    true
                }
                Err(Error::Timeout { .. }) => false,
                Err(why) => panic!("{call_id}: {why}"),
            }
        });
    }
    let outcomes = asking.join_all().await;
    node.abort();
    let answered = outcomes.iter().filter(|answered| **answered).count();
    let counts = client.counts();
    assert_eq!(
        (counts.answered as usize, counts.timed_out as usize),
        (answered, outcomes.len() - answered)
    );
    assert_eq!(client.in_flight(), 0);
    // No answer was counted twice, and none that a stranger sent was counted at all.
    assert!(answered + counts.stray as usize <= sent.load(Relaxed));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_reaches_its_own_request_or_nobody(
        fates in proptest::collection::vec(fate(), 1..40),
        patience in proptest::collection::vec(1..70u8, 20..120),
        sockets in 1..5usize,
    ) {
        on_one_thread(each_gets_its_own_answer_or_none(fates, patience, sockets));
    }
}

#[tokio::test]
async fn a_request_is_sent_again_with_the_same_cookie_at_growing_intervals() {
    let socket = responder().await;
    let client = client(&socket).await;
    let request = Offer::new("again", "a", "v=0\r\n");
    let (answer, arrivals) = tokio::join!(client.request(&request), async {
        let mut arrivals = Vec::new();
        for _ in 0..4 {
            let request = arrive(&socket).await;
            arrivals.push((Instant::now(), request));
        }
        let (_, last) = arrivals.last().unwrap();
        socket.send_to(&answer_to(last), last.from).await.unwrap();
        arrivals
    });
    assert!(answer.is_ok());
    for (before, after) in arrivals.iter().zip(&arrivals[1..]) {
        assert_eq!(before.1.datagram, after.1.datagram);
        assert_eq!(
            before.1.from, after.1.from,
            "the cookie belongs to its socket"
        );
    }
    // 15, 30, 60 ms: a timer may be late, never early.
    for (number, least) in [15, 30, 60].into_iter().enumerate() {
        let gap = arrivals[number + 1].0 - arrivals[number].0;
        assert!(
            gap >= Duration::from_millis(least - 2),
            "wait {number} was {gap:?}"
        );
    }
    let counts = client.counts();
    assert_eq!(
        (counts.sent, counts.retransmitted, counts.answered),
        (1, 3, 1)
    );
}

#[tokio::test]
async fn a_silent_node_costs_the_timeout_and_no_more() {
    let socket = responder().await;
    let client = client(&socket).await;
    let begun = Instant::now();
    let answer = client
        .request_within(&Ping, Duration::from_millis(100))
        .await;
    assert!(
        matches!(answer, Err(Error::Timeout { sent: 3.., .. })),
        "{answer:?}"
    );
    assert!(begun.elapsed() >= Duration::from_millis(100));
    assert_eq!((client.counts().timed_out, client.in_flight()), (1, 0));
}

#[tokio::test]
async fn late_doubled_and_unknown_answers_are_dropped_and_counted() {
    let socket = responder().await;
    let client = Client::connect(ClientConfig {
        sockets: 1,
        ..hasty(socket.local_addr().unwrap())
    })
    .await
    .unwrap();
    let timeout = Duration::from_millis(5);
    let (answer, request) = tokio::join!(client.request_within(&Ping, timeout), arrive(&socket));
    assert!(matches!(answer, Err(Error::Timeout { .. })));
    let late = answer_to(&request);
    let unknown = [b"0".repeat(32).as_slice(), b" d6:result2:oke"].concat();
    for datagram in [&late, &late, &unknown] {
        socket.send_to(datagram, request.from).await.unwrap();
    }
    // The next request proves that they were read: one socket keeps the order.
    let (answer, ()) = tokio::join!(client.request(&Ping), async {
        let request = arrive(&socket).await;
        socket
            .send_to(&answer_to(&request), request.from)
            .await
            .unwrap();
        socket
            .send_to(&answer_to(&request), request.from)
            .await
            .unwrap();
    });
    answer.unwrap();
    let strays = async {
        while client.counts().stray < 4 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), strays)
        .await
        .expect("four strays");
    assert_eq!(client.counts().answered, 1);
}

#[tokio::test]
async fn each_runtime_has_sockets_of_its_own_that_end_with_it() {
    let socket = responder().await;
    let client = Client::connect(ClientConfig {
        sockets: 1,
        ..hasty(socket.local_addr().unwrap())
    });
    let client = std::sync::Arc::new(client.await.unwrap());
    let answer_one = async || {
        let request = arrive(&socket).await;
        let answer = answer_to(&request);
        socket.send_to(&answer, request.from).await.unwrap();
        request.from
    };
    let (answer, here) = tokio::join!(client.request(&Ping), answer_one());
    answer.unwrap();
    for _ in 0..3 {
        let client = client.clone();
        let elsewhere = tokio::task::spawn_blocking(|| {
            on_one_thread(async move { drop(client.request(&Ping).await.unwrap()) });
        });
        let there = answer_one().await;
        elsewhere.await.unwrap();
        assert_ne!(here, there);
    }
    let (answer, again) = tokio::join!(client.request(&Ping), answer_one());
    answer.unwrap();
    assert_eq!(here, again);
}

#[tokio::test]
async fn an_answer_from_another_address_is_not_the_node_s() {
    let (socket, stranger) = (responder().await, responder().await);
    let client = client(&socket).await;
    let request = Offer::new("mine", "a", "v=0\r\n");
    let (answer, ()) = tokio::join!(client.request(&request), async {
        let request = arrive(&socket).await;
        let forged = Arrived {
            call_id: b"forged".to_vec(),
            ..arrive_like(&request)
        };
        stranger
            .send_to(&answer_to(&forged), request.from)
            .await
            .unwrap();
        // It is sent again, for the forged one has not counted.
        let request = arrive(&socket).await;
        socket
            .send_to(&answer_to(&request), request.from)
            .await
            .unwrap();
    });
    assert_eq!(answer.unwrap().sdp.unwrap().as_bytes(), b"mine");
}

fn arrive_like(request: &Arrived) -> Arrived {
    Arrived {
        from: request.from,
        cookie: request.cookie.clone(),
        call_id: request.call_id.clone(),
        datagram: request.datagram.clone(),
    }
}

#[tokio::test]
async fn one_request_too_many_is_an_error_at_once_and_a_dropped_one_makes_room() {
    let socket = responder().await;
    let client = Client::connect(ClientConfig {
        in_flight: 2,
        ..hasty(socket.local_addr().unwrap())
    })
    .await
    .unwrap();
    let mut first = Box::pin(client.request(&Ping));
    let mut second = Box::pin(client.request(&Ping));
    for waiting in [&mut first, &mut second] {
        assert!(futures_poll_once(waiting).await.is_none());
    }
    assert!(matches!(
        client.request(&Ping).await,
        Err(Error::Busy { limit: 2 })
    ));
    drop(first);
    assert!(matches!(
        client
            .request_within(&Ping, Duration::from_millis(20))
            .await,
        Err(Error::Timeout { .. })
    ));
    drop(second);
    assert_eq!((client.in_flight(), client.counts().busy), (0, 1));
}

/// Polls once: enough to send.
async fn futures_poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}

#[tokio::test]
async fn where_nobody_listens_the_request_is_refused_at_once() {
    let address = responder().await.local_addr().unwrap();
    let client = Client::connect(hasty(address)).await.unwrap();
    for _ in 0..8 {
        assert!(matches!(client.request(&Ping).await, Err(Error::Refused)));
    }
    assert_eq!(client.counts().refused, 8);
}

#[tokio::test]
async fn a_node_that_comes_back_is_not_refused_for_the_past() {
    let address = responder().await.local_addr().unwrap();
    let client = Client::connect(ClientConfig {
        sockets: 1,
        ..hasty(address)
    })
    .await
    .unwrap();
    assert!(matches!(client.request(&Ping).await, Err(Error::Refused)));
    let socket = UdpSocket::bind(address).await.unwrap();
    let (answer, ()) = tokio::join!(client.request(&Ping), async {
        let request = arrive(&socket).await;
        socket
            .send_to(&answer_to(&request), request.from)
            .await
            .unwrap();
    });
    answer.unwrap();
}

#[tokio::test]
async fn hostile_answers_are_typed_errors_and_the_client_lives_on() {
    let socket = responder().await;
    let client = client(&socket).await;
    let deep = [b"d1:a".as_slice(), &[b'l'; 10_000]].concat();
    let wants: HashMap<&[u8], fn(&Error) -> bool> = HashMap::from([
        (
            deep.as_slice(),
            (|why| matches!(why, Error::TooDeep { .. })) as fn(&Error) -> bool,
        ),
        (&[b'l'; 10_000], |why| matches!(why, Error::Undecodable(_))),
        (b"d6:result2:ok3:sdpi1ee", |why| {
            matches!(why, Error::Undecodable(_))
        }),
        (b"d6:result2:ok", |why| matches!(why, Error::Undecodable(_))),
        (b"", |why| matches!(why, Error::Undecodable(_))),
    ]);
    for (answer, is_right) in wants {
        let request = Offer::new("x", "a", "v=0\r\n");
        let (result, ()) = tokio::join!(client.request(&request), async {
            let request = arrive(&socket).await;
            socket
                .send_to(
                    &[&request.cookie, b" ".as_slice(), answer].concat(),
                    request.from,
                )
                .await
                .unwrap();
        });
        let why = result.unwrap_err();
        assert!(
            is_right(&why),
            "{why:?} for {}",
            String::from_utf8_lossy(&answer[..answer.len().min(30)])
        );
    }
}

#[tokio::test]
async fn a_request_larger_than_a_datagram_is_not_sent() {
    let socket = responder().await;
    let client = client(&socket).await;
    let answer = client
        .request(&Offer::new("x", "a", vec![b'a'; 70_000]))
        .await;
    assert!(matches!(answer, Err(Error::TooLarge { limit: 65_507, .. })));
    assert_eq!(client.counts().sent, 0);
}

#[test]
fn futures_may_move_between_threads() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    on_one_thread(async {
        let socket = responder().await;
        let client = is_send(client(&socket).await);
        drop(is_send(client.request(&Offer::new("x", "a", "v=0\r\n"))));
    });
}

#[tokio::test]
async fn a_configuration_tells_what_its_pool_chooses_while_all_live() {
    let addresses: [SocketAddr; 3] = [1, 2, 3].map(|last| ([127, 0, 0, last], 9).into());
    let mut config = PoolConfig::new(addresses);
    config.nodes[1].weight = 3;
    config.nodes[2].weight = 0;
    let pool = Pool::start(config.clone()).await.unwrap();
    let mut seen = [0; 3];
    for call in 0..200 {
        let call_id = format!("call-{call}");
        let chosen = config.choose(call_id.as_bytes()).unwrap().id;
        assert_eq!(Some(chosen), pool.choose(call_id.as_bytes()));
        seen[usize::from(chosen.0)] += 1;
    }
    assert!(seen[0] > 0 && seen[1] > seen[0] && seen[2] == 0, "{seen:?}");
}
