//! Members and next hops by name, with a real name server: RFC 3263 on the wire, times to live, and DNS that is gone.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use causeway_tests::gateway::Gateway;
use causeway_tests::nameserver::NameServer;
use causeway_tests::{http, ports, wait};
use tokio::net::{TcpListener, UdpSocket};

use crate::members::{NO_PROBE, arrived, receive, response};

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(20);

/// An edge whose only group has one member: a name.
struct Stage {
    gateway: Gateway,
    phone: UdpSocket,
    public: SocketAddr,
    core: SocketAddr,
    admin: SocketAddr,
}

impl Stage {
    async fn set(server: SocketAddr, group: &str) -> Self {
        let [public, core, admin] = [(); 3].map(|()| ports::free_address());
        let config = format!(
            "[node]\ndata_dir = \"@FOLDER@/data\"\n[admin]\nlisten = \"{admin}\"\n[log]\nlevel = \"debug\"\n\
             [listen.public]\nudp = \"{public}\"\n\
             [listen.core]\nudp = \"{core}\"\ntcp = \"{core}\"\ntrust = [\"127.0.0.0/29\"]\n\
             [dns]\nservers = \"{server}\"\nmin_ttl = \"1s\"\ntimeout = \"200ms\"\nattempts = 1\n\
             [group.core]\n{group}\nprobe = {NO_PROBE}\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n"
        );
        let gateway = Gateway::start(&config).await.unwrap();
        let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Stage {
            gateway,
            phone,
            public,
            core,
            admin,
        }
    }

    async fn send(&self, call: &str) {
        let own = self.phone.local_addr().unwrap();
        let message = message(own, call, "");
        self.phone
            .send_to(message.as_bytes(), self.public)
            .await
            .unwrap();
    }

    /// The members as `/status` has them: address, and whether they get anything new.
    async fn members(&self) -> BTreeMap<String, String> {
        let (_, body) = http::get(self.admin, "/status").await.unwrap();
        let status: serde_json::Value = serde_json::from_str(&body).unwrap();
        let members = status["members"].as_array().unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let each = members
            .iter()
            .map(|member| (text(&member["address"]), text(&member["standing"])));
        each.collect()
    }

    async fn becomes(&self, wanted: &[(SocketAddr, &str)]) {
        let wanted: BTreeMap<String, String> = wanted
            .iter()
            .map(|(at, how)| (at.to_string(), (*how).to_owned()))
            .collect();
        let is_it = || async { self.members().await == wanted };
        let came = wait::until_async(LONG, is_it).await;
        assert!(came, "{wanted:?}, not {:?}", self.members().await);
    }
}

fn message(own: SocketAddr, call: &str, more: &str) -> String {
    format!(
        "MESSAGE sip:bob@kit.test SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK{call}\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@kit.test>;tag=a\r\nTo: <sip:bob@kit.test>\r\nCall-ID: {call}\r\nCSeq: 1 MESSAGE\r\n\
         {more}Content-Length: 0\r\n\r\n"
    )
}

async fn socket(ip: &str) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((ip, 0)).await.unwrap();
    let at = socket.local_addr().unwrap();
    (socket, at)
}

fn srv(protocol: &str, target: &str, at: SocketAddr, priority: u16, weight: u16) -> [String; 2] {
    [
        format!(
            "srv-host=_sip._{protocol}.core.example,{target}.example,{},{priority},{weight}",
            at.port()
        ),
        format!("host-record={target}.example,{}", at.ip()),
    ]
}

async fn serve(ttl: Duration, records: &[String]) -> NameServer {
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    NameServer::start(ttl, &records).await.unwrap()
}

#[tokio::test]
async fn srv_records_share_requests_out_by_weight_and_keep_the_spare_for_need() {
    let [(one, a), (other, b), (spare, c)] = [
        socket("127.0.0.3").await,
        socket("127.0.0.4").await,
        socket("127.0.0.5").await,
    ];
    let records = [
        srv("udp", "a", a, 10, 3),
        srv("udp", "b", b, 10, 1),
        srv("udp", "c", c, 20, 65_535),
    ];
    let server = serve(60 * SECOND, &records.concat()).await;
    let group = "members = \"sip:core.example\"\nalgorithm = \"weighted\"";
    let stage = Stage::set(server.address, group).await;
    stage
        .becomes(&[(a, "serves"), (b, "serves"), (c, "serves")])
        .await;
    let mut got = [0; 2];
    for number in 0..200 {
        stage.send(&format!("call{number}")).await;
        let (at, socket, (request, edge)) = tokio::select! {
            got = receive(&one, "MESSAGE ") => (0, &one, got),
            got = receive(&other, "MESSAGE ") => (1, &other, got),
        };
        got[at] += 1;
        let answer = response(&request, "200 OK", "");
        socket.send_to(answer.as_bytes(), edge).await.unwrap();
        receive(&stage.phone, "SIP/2.0 200 ").await;
    }
    println!("SRV weights 3 and 1: {got:?} of 200");
    // Within four standard deviations.
    assert!((126..=174).contains(&got[0]), "{got:?}");
    assert_eq!(arrived(&spare, "MESSAGE "), 0, "priority 20");
    drop(server);
}

#[tokio::test]
async fn a_member_that_moves_is_found_by_its_time_to_live_and_the_old_one_keeps_what_it_has() {
    let [(old, a), (new, b)] = [socket("127.0.0.3").await, socket("127.0.0.4").await];
    let mut server = serve(SECOND, &srv("udp", "a", a, 1, 1)).await;
    let stage = Stage::set(server.address, "members = \"sip:core.example\"").await;
    stage.send("first").await;
    let (request, edge) = receive(&old, "MESSAGE ").await;

    let records = srv("udp", "b", b, 1, 1);
    server
        .change(SECOND, &[&records[0], &records[1]])
        .await
        .unwrap();
    stage.becomes(&[(a, "gone"), (b, "serves")]).await;
    stage.send("second").await;
    receive(&new, "MESSAGE ").await;
    // What was pending is answered by whom it was sent to.
    old.send_to(response(&request, "202 Accepted", "").as_bytes(), edge)
        .await
        .unwrap();
    receive(&stage.phone, "SIP/2.0 202 ").await;

    // It comes back, and is the same member as before.
    let records = srv("udp", "a", a, 1, 1);
    server
        .change(SECOND, &[&records[0], &records[1]])
        .await
        .unwrap();
    stage.becomes(&[(a, "serves"), (b, "gone")]).await;
    assert!(server.asked_for("_sip._udp.core.example") >= 1);
}

#[tokio::test]
async fn while_the_name_server_is_gone_the_last_answer_is_served() {
    let (member, at) = socket("127.0.0.3").await;
    let mut server = serve(SECOND, &srv("udp", "a", at, 1, 1)).await;
    let stage = Stage::set(server.address, "members = \"sip:core.example\"").await;
    server.kill();
    // Its time to live is over, and nobody answers.
    let stale = || {
        stage
            .gateway
            .process
            .log()
            .contains("the last answer is served")
    };
    assert!(wait::until(LONG, stale).await, "DNS was never missed");
    stage.becomes(&[(at, "serves")]).await;
    stage.send("stale").await;
    receive(&member, "MESSAGE ").await;
}

#[tokio::test]
async fn a_node_that_starts_without_dns_finds_its_members_later() {
    let (member, at) = socket("127.0.0.3").await;
    let records = srv("udp", "a", at, 1, 1);
    let mut server = serve(SECOND, &[]).await;
    server.kill();
    let stage = Stage::set(server.address, "members = \"sip:core.example\"").await;
    stage.send("early").await;
    receive(&stage.phone, "SIP/2.0 500 ").await;
    server
        .change(SECOND, &[&records[0], &records[1]])
        .await
        .unwrap();
    stage.becomes(&[(at, "serves")]).await;
    stage.send("late").await;
    receive(&member, "MESSAGE ").await;
}

#[tokio::test]
async fn naptr_says_over_what_and_a_transport_in_the_uri_says_more() {
    let (udp, u) = socket("127.0.0.3").await;
    let tcp = TcpListener::bind("127.0.0.4:0").await.unwrap();
    let records = [
        vec!["naptr-record=core.example,10,10,s,SIPS+D2T,,_sips._tcp.core.example".to_owned()],
        vec!["naptr-record=core.example,10,20,s,SIP+D2T,,_sip._tcp.core.example".to_owned()],
        vec!["naptr-record=core.example,10,30,s,SIP+D2U,,_sip._udp.core.example".to_owned()],
        srv("udp", "u", u, 1, 1).into(),
        srv("tcp", "t", tcp.local_addr().unwrap(), 1, 1).into(),
    ];
    let server = serve(60 * SECOND, &records.concat()).await;
    let stage = Stage::set(server.address, "members = \"sip:core.example\"").await;
    stage
        .becomes(&[(tcp.local_addr().unwrap(), "serves")])
        .await;
    stage.send("call").await;
    let (stream, _) = tokio::time::timeout(LONG, tcp.accept())
        .await
        .unwrap()
        .unwrap();
    drop((stream, stage));

    let stage = Stage::set(
        server.address,
        "members = \"sip:core.example;transport=udp\"",
    )
    .await;
    stage.becomes(&[(u, "serves")]).await;
    stage.send("call").await;
    receive(&udp, "MESSAGE ").await;
    assert_eq!(
        server.asked_for("query[NAPTR]"),
        1,
        "the transport was given"
    );
}

#[tokio::test]
async fn the_next_hop_that_a_route_names_is_looked_up_the_same_way() {
    let [(core, own), (hop, at)] = [socket("127.0.0.3").await, socket("127.0.0.4").await];
    let server = serve(60 * SECOND, &srv("udp", "a", at, 1, 1)).await;
    let stage = Stage::set(server.address, &format!("members = \"sip:{own}\"")).await;
    let request = message(own, "routed", "Route: <sip:core.example;lr>\r\n");
    core.send_to(request.as_bytes(), stage.core).await.unwrap();
    receive(&hop, "MESSAGE ").await;
}
