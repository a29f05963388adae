//! What the configuration says arrives where it counts.

use super::*;

#[test]
fn every_limit_of_a_connection_reaches_the_transports() {
    let seconds = Duration::from_secs;
    let mut config = Config::default();
    config.node.workers = 3;
    config.node.open_files = 4000;
    let limits = &mut config.limits;
    limits.connections = 77;
    limits.handshakes = 5;
    limits.receive_buffer = config::ByteSize(100_000);
    limits.message_size = config::ByteSize(5000);
    limits.headers = 50;
    limits.handshake_timeout = seconds(1);
    limits.connect_timeout = seconds(2);
    limits.first_timeout = seconds(3);
    limits.message_timeout = seconds(4);
    limits.idle_timeout = seconds(50);
    limits.ping_interval = seconds(6);
    limits.ping_timeout = seconds(7);
    let got = transport_settings(&config);
    assert_eq!(
        (got.workers, got.open_files, got.connections, got.handshakes),
        (3, 4000, 77, 5)
    );
    assert_eq!(
        (
            got.receive_buffer,
            got.limits.message_bytes,
            got.limits.headers
        ),
        (100_000, 5000, 50)
    );
    let want = Timeouts {
        handshake: seconds(1),
        http: seconds(1),
        connect: seconds(2),
        first: seconds(3),
        message: seconds(4),
        idle: seconds(50),
        ping: seconds(6),
        pong: seconds(7),
        ..Timeouts::default()
    };
    assert_eq!(got.timeouts, want);
    config.node.workers = 0;
    assert_eq!(
        transport_settings(&config).workers,
        std::thread::available_parallelism().unwrap().get()
    );
}

#[test]
fn the_outbox_of_a_listener_is_as_large_as_configured() {
    let mut config = Config::default();
    config.limits.outbox = config::ByteSize(20_000);
    config.limits.outbox_messages = 17;
    let listen = config::Listen {
        udp: vec!["127.0.0.1:0".parse().unwrap()],
        ..config::Listen::default()
    };
    config.listen.insert("one".to_owned(), listen);
    let outbox = listeners(&config, None).unwrap()[0].1.outbox;
    assert_eq!((outbox.bytes, outbox.messages), (20_000, 17));
}
