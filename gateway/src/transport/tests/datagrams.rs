//! UDP.

use std::collections::HashSet;

use tokio::net::UdpSocket;

use super::super::{DropReason, SendError, StartError};
use super::*;

async fn ask(socket: &UdpSocket, to: SocketAddr, datagram: &[u8]) -> (Vec<u8>, SocketAddr) {
    socket.send_to(datagram, to).await.unwrap();
    let mut buffer = vec![0; 65_536];
    let (length, from) = soon(socket.recv_from(&mut buffer)).await.unwrap();
    (buffer[..length].to_vec(), from)
}

#[tokio::test]
async fn a_datagram_is_received_and_answered_over_both_families() {
    for bind in [V4, V6] {
        let mut node = Node::one(Transport::Udp, bind);
        let socket = UdpSocket::bind(bind).await.unwrap();
        for size in [0, 700, 3000, 60_000] {
            let sent = message("OPTIONS", size);
            let (got, from) = ask(&socket, node.address(0), &sent).await;
            assert_eq!((got, from), (sent.clone(), node.address(0)));
            let (flow, bytes) = node.message().await;
            assert_eq!(bytes, sent);
            assert_eq!(
                (flow.local, flow.peer),
                (from, socket.local_addr().unwrap())
            );
            assert_eq!(
                node.transports.local_flow(ListenerId(0), flow.peer),
                Some(flow)
            );
        }
        assert_eq!(node.transports.counters().received(Transport::Udp), 4);
        assert_eq!(node.transports.counters().sent(Transport::Udp), 4);
        node.transports.shutdown().await;
    }
}

#[tokio::test]
async fn a_wildcard_listener_answers_from_the_address_that_was_asked() {
    for (bind, asked) in [
        ("0.0.0.0:0", "127.0.0.9"),
        ("0.0.0.0:0", "127.0.0.1"),
        ("[::]:0", "::1"),
    ] {
        let mut node = Node::one(Transport::Udp, bind);
        let asked = SocketAddr::new(asked.parse().unwrap(), node.address(0).port());
        let socket = UdpSocket::bind(if asked.is_ipv4() { V4 } else { V6 })
            .await
            .unwrap();
        // Only what comes from there is received, as behind a NAT.
        socket.connect(asked).await.unwrap();
        let sent = message("OPTIONS", 10);
        socket.send(&sent).await.unwrap();
        let mut buffer = [0; 1000];
        let length = soon(socket.recv(&mut buffer)).await.unwrap();
        assert_eq!(buffer[..length], sent);
        assert_eq!(node.message().await.0.local, asked);
        node.transports.shutdown().await;
    }
}

#[tokio::test]
async fn stun_and_crlf_on_the_sip_port_are_answered_and_never_reach_the_handler_as_messages() {
    let mut node = Node::one(Transport::Udp, V4);
    let socket = UdpSocket::bind(V4).await.unwrap();
    let stun = hex::decode("000100002112a442b7e7a701bc34d686fa87dfae").unwrap();
    let (answer, _) = ask(&socket, node.address(0), &stun).await;
    assert_eq!((&answer[..2], answer.len()), (&[1, 1][..], 32));
    assert!(matches!(node.event().await, Event::Keepalive(_)));
    assert_eq!(ask(&socket, node.address(0), b"\r\n\r\n").await.0, b"\r\n");
    assert!(matches!(node.event().await, Event::Keepalive(_)));
    for silent in [&b""[..], b"\0", b"\0\0\0\0", b"\r\n"] {
        socket.send_to(silent, node.address(0)).await.unwrap();
        assert!(
            matches!(node.event().await, Event::Keepalive(_)),
            "{silent:?}"
        );
    }
    for garbage in [&b"ab"[..], b"\x01garbage"] {
        socket.send_to(garbage, node.address(0)).await.unwrap();
    }
    // Datagrams of one flow stay in order, so the counter is right when this comes back.
    ask(&socket, node.address(0), &message("OPTIONS", 0)).await;
    assert_eq!(node.transports.counters().dropped(DropReason::NoMessage), 2);
    assert_eq!(node.transports.counters().keepalives(), 6);
    node.transports.shutdown().await;
}

#[tokio::test]
async fn what_must_not_pass_is_dropped_and_counted_and_the_port_goes_on() {
    let mut settings = settings();
    settings.limits.message_bytes = 1000;
    let node = Node::start(vec![listener(0, Transport::Udp, "0.0.0.0:0")], settings);
    let to = SocketAddr::new([127, 0, 0, 1].into(), node.address(0).port());
    let stranger = UdpSocket::bind("127.0.0.66:0").await.unwrap();
    stranger.send_to(&message("OPTIONS", 0), to).await.unwrap();
    let socket = UdpSocket::bind(V4).await.unwrap();
    socket.send_to(&message("OPTIONS", 1000), to).await.unwrap();
    socket.send_to(&message("PANIC", 0), to).await.unwrap();
    let sent = message("OPTIONS", 10);
    assert_eq!(ask(&socket, to, &sent).await.0, sent);
    let counters = node.transports.counters();
    assert_eq!(counters.dropped(DropReason::TooLarge), 1);
    assert_eq!(counters.dropped(DropReason::HandlerPanicked), 1);
    // The stranger may be another worker's.
    soon(async {
        while counters.dropped(DropReason::NotAdmitted) != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    node.transports.shutdown().await;
}

#[tokio::test]
async fn peers_are_spread_over_the_workers_and_each_keeps_its_order() {
    struct Threads(
        std::sync::Mutex<HashSet<String>>,
        UnboundedSender<(SocketAddr, Bytes)>,
    );
    impl Handler for Threads {
        fn message(&self, flow: &Flow, bytes: Bytes) {
            let name = std::thread::current().name().unwrap().to_owned();
            self.0.lock().unwrap().insert(name);
            self.1.send((flow.peer, bytes)).unwrap();
        }
        fn closed(&self, _: &Flow, _: &CloseReason) {}
    }
    let (sender, mut got) = unbounded_channel();
    let handler = Arc::new(Threads(Default::default(), sender));
    let listeners = vec![listener(0, Transport::Udp, V4)];
    let transports = Transports::start(listeners, settings(), handler.clone()).unwrap();
    let to = transports.bound(ListenerId(0)).unwrap();
    let mut expected = std::collections::HashMap::new();
    let mut open = Vec::new();
    for _ in 0..32 {
        let socket = std::net::UdpSocket::bind(V4).unwrap();
        for n in 0..20u8 {
            socket.send_to(&[b'A', b'B', b'C', b'D', n], to).unwrap();
        }
        expected.insert(socket.local_addr().unwrap(), 0);
        // Kept, or the next one may get the same port.
        open.push(socket);
    }
    for _ in 0..32 * 20 {
        let (peer, bytes) = soon(got.recv()).await.unwrap();
        let next = expected.get_mut(&peer).unwrap();
        assert_eq!(bytes[4], *next);
        *next += 1;
    }
    let names = handler.0.lock().unwrap().clone();
    assert_eq!(
        names,
        HashSet::from(["worker-0".to_owned(), "worker-1".to_owned()])
    );
    assert_eq!(transports.stats().kernel_dropped, 0);
    transports.shutdown().await;
}

#[tokio::test]
async fn an_address_that_cannot_be_bound_is_named_with_the_reason() {
    let echo = || {
        let (events, _) = unbounded_channel();
        Arc::new(Echo {
            transports: OnceLock::new(),
            events,
            tickets: Arc::default(),
        })
    };
    for transport in Transport::ALL
        .into_iter()
        .filter(|transport| !transport.is_secure())
    {
        let node = Node::one(transport, V4);
        let taken = node.address(0);
        let other = std::net::SocketAddr::from(([192, 0, 2, 1], 5060));
        for (address, want) in [
            (taken, "another program uses this port"),
            (other, "does not have that address"),
        ] {
            let listeners = vec![listener(0, transport, &address.to_string())];
            let error = Transports::start(listeners, settings(), echo())
                .err()
                .unwrap();
            let words = error.to_string();
            assert!(words.contains(want), "{words}");
            assert!(words.contains(&address.to_string()), "{words}");
        }
        node.transports.shutdown().await;
    }
    let twice = vec![
        listener(7, Transport::Udp, V4),
        listener(7, Transport::Tcp, V4),
    ];
    let error = Transports::start(twice, settings(), echo()).err().unwrap();
    assert!(matches!(error, StartError::SameNumber(7)));
    let bare = vec![listener(0, Transport::Wss, V4)];
    let error = Transports::start(bare, settings(), echo()).err().unwrap();
    assert!(error.to_string().contains("needs a certificate"), "{error}");
}

/// Listeners 0 on all addresses and 1 on 127.0.0.7, in this order, of one port.
fn sharing(port: u16, order: [u8; 2]) -> Vec<Listener> {
    let binds = [format!("0.0.0.0:{port}"), format!("127.0.0.7:{port}")];
    let one = |id: u8| listener(id, Transport::Udp, &binds[usize::from(id)]);
    order.map(one).into()
}

fn free_port() -> u16 {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_listener_on_all_addresses_and_one_on_a_single_address_share_a_port() {
    for order in [[0, 1], [1, 0]] {
        let port = free_port();
        let mut node = Node::start(sharing(port, order), settings());
        for (asked, want) in [("127.0.0.1", 0), ("127.0.0.7", 1), ("127.0.0.8", 0)] {
            let to = SocketAddr::new(asked.parse().unwrap(), port);
            // Many sources: whichever of the listener's sockets the kernel takes.
            for _ in 0..8 {
                let socket = UdpSocket::bind(V4).await.unwrap();
                let sent = message("OPTIONS", 10);
                assert_eq!(ask(&socket, to, &sent).await, (sent, to));
                let (flow, _) = node.message().await;
                assert_eq!((flow.listener, flow.local), (ListenerId(want), to));
            }
        }
        node.transports.shutdown().await;
    }
}

#[tokio::test]
async fn sharing_a_port_among_ourselves_does_not_hide_who_else_has_it() {
    let refused = |port, order| {
        let (events, _) = unbounded_channel();
        let echo = Arc::new(Echo {
            transports: OnceLock::new(),
            events,
            tickets: Arc::default(),
        });
        let error = Transports::start(sharing(port, order), settings(), echo).err();
        error.is_some_and(|error| error.to_string().contains("another program"))
    };
    for order in [[0, 1], [1, 0]] {
        // On an address that only the wildcard takes in, on the single one, and by listeners like ours.
        for taken in ["127.0.0.9", "127.0.0.7"] {
            let port = free_port();
            let _other = std::net::UdpSocket::bind((taken, port)).unwrap();
            assert!(refused(port, order), "{taken} {order:?}");
        }
        let port = free_port();
        let node = Node::start(sharing(port, order), settings());
        assert!(refused(port, order), "{order:?}");
        node.transports.shutdown().await;
    }
}

#[tokio::test]
async fn a_flow_that_cannot_be_is_gone_and_an_unreachable_peer_is_an_error() {
    let node = Node::one(Transport::Udp, V4);
    let flow = node
        .transports
        .local_flow(ListenerId(0), "127.0.0.1:9".parse().unwrap())
        .unwrap();
    let unknown = Flow {
        listener: ListenerId(9),
        ..flow
    };
    let gone = Flow {
        connection: Some(proxy::flow::ConnectionId::from_bits(1)),
        ..flow
    };
    let broadcast = Flow {
        peer: "255.255.255.255:9".parse().unwrap(),
        ..flow
    };
    let bytes = Bytes::from_static(b"x");
    assert_eq!(
        node.transports.send(&unknown, bytes.clone()),
        Err(SendError::Gone)
    );
    assert_eq!(
        node.transports.send(&gone, bytes.clone()),
        Err(SendError::Gone)
    );
    assert!(matches!(
        node.transports.send(&broadcast, bytes),
        Err(SendError::Io(_))
    ));
    assert_eq!(node.transports.counters().dropped(DropReason::Gone), 2);
    assert_eq!(
        node.transports.counters().dropped(DropReason::SendFailed),
        1
    );
    assert_eq!(node.transports.local_flow(ListenerId(9), flow.peer), None);
    assert_eq!(
        node.transports
            .local_flow(ListenerId(0), "[::1]:9".parse().unwrap()),
        None
    );
    node.transports.shutdown().await;
}
