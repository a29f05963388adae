//! The one table of metrics: name, unit, labels, help. What is counted elsewhere is read here when somebody asks.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use crate::call_out::CallOutState;
use crate::calls::{CallState, PeerState, WatchState};
use crate::cluster::NodeState;
use crate::engine::Engine;
use crate::guard::Refusal;
use crate::media;
use crate::record::Record;
use crate::transport::{DropReason, Transports};
use crate::upstream::MemberState;

/// All figures of a node at one moment.
#[derive(Debug)]
struct Figures {
    transactions: i64,
    devices: i64,
    unreadable: u64,
    shortened: Vec<(&'static str, u64)>,
    too_long: u64,
    refused: Vec<(&'static str, u64)>,
    reasons: Vec<(&'static str, u64)>,
    received: Vec<(&'static str, u64)>,
    sent: Vec<(&'static str, u64)>,
    connections: Vec<(&'static str, i64)>,
    dropped: Vec<(&'static str, u64)>,
    kernel_dropped: u64,
    keepalives: u64,
    pings: u64,
    dead_flows: u64,
    handshakes: u64,
    handshake_failures: u64,
    members: Vec<MemberState>,
    nodes: Vec<NodeState>,
    calls: i64,
    verdicts: Vec<(&'static str, u64)>,
    records_lost: u64,
    setup: Histogram,
    peers: Vec<PeerState>,
    call_outs: Vec<CallOutState>,
    media: Vec<media::NodeState>,
    watch: WatchState,
}

impl Figures {
    fn of(engine: &Engine, transports: &Transports) -> Self {
        let counters = transports.counters();
        let each = |read: &dyn Fn(sip::Transport) -> u64| {
            sip::Transport::ALL
                .iter()
                .map(|transport| (transport.via_name(), read(*transport)))
                .collect()
        };
        Self {
            transactions: engine.transactions() as i64,
            devices: engine.devices() as i64,
            unreadable: engine.counters.unreadable_messages(),
            shortened: engine.counters.shortened_messages(),
            too_long: engine.counters.too_long_messages(),
            refused: Refusal::ALL
                .iter()
                .map(|why| (why.label(), engine.guard().refused(*why)))
                .collect(),
            reasons: engine.counters.reasons().into_iter().collect(),
            received: each(&|transport| counters.received(transport)),
            sent: each(&|transport| counters.sent(transport)),
            connections: sip::Transport::ALL
                .iter()
                .map(|t| (t.via_name(), counters.open(*t) as i64))
                .collect(),
            dropped: DropReason::ALL
                .iter()
                .map(|reason| (reason.label(), counters.dropped(*reason)))
                .collect(),
            kernel_dropped: transports.stats().kernel_dropped,
            keepalives: counters.keepalives(),
            pings: engine.counters.pings(),
            dead_flows: engine.counters.dead_flows(),
            handshakes: counters.handshakes(),
            handshake_failures: counters.handshake_failures(),
            members: engine.members(),
            nodes: engine.nodes(),
            calls: engine.calls() as i64,
            verdicts: engine.records().verdicts(),
            records_lost: engine.records().lost(),
            setup: engine.records().setup().clone(),
            peers: engine.peers(),
            call_outs: engine.call_outs(),
            media: engine.media_nodes(),
            watch: engine.watch_state(),
        }
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        gauge(
            &mut encoder,
            "transactions",
            "Requests that are pending",
            self.transactions,
        )?;
        gauge(&mut encoder, "calls", "Calls that are up", self.calls)?;
        gauge(
            &mut encoder,
            "devices",
            "Devices whose flow is known",
            self.devices,
        )?;
        counter(
            &mut encoder,
            "unreadable_messages",
            "Messages that are no SIP",
            self.unreadable,
        )?;
        counter(
            &mut encoder,
            "kernel_dropped_datagrams",
            "Datagrams that were not read in time",
            self.kernel_dropped,
        )?;
        counter(
            &mut encoder,
            "keepalives",
            "CRLF, pongs and STUN Binding requests",
            self.keepalives,
        )?;
        counter(
            &mut encoder,
            "pings",
            "Keepalives sent to devices on UDP",
            self.pings,
        )?;
        counter(
            &mut encoder,
            "dead_flows",
            "Devices on UDP that answered no OPTIONS any more",
            self.dead_flows,
        )?;
        counter(
            &mut encoder,
            "tls_handshakes",
            "TLS handshakes that succeeded",
            self.handshakes,
        )?;
        counter(
            &mut encoder,
            "tls_handshake_failures",
            "TLS handshakes and upgrades that failed",
            self.handshake_failures,
        )?;
        counter(
            &mut encoder,
            "too_long_datagrams",
            "Datagrams to devices that did not fit the MTU",
            self.too_long,
        )?;
        counter(
            &mut encoder,
            "silent_calls",
            "Calls in which no packet came from a side for `media.silent_after`",
            self.watch.silent,
        )?;
        let ended = [
            ("silent", self.watch.ended_silent),
            ("gone", self.watch.ended_gone),
        ];
        counters(
            &mut encoder,
            "ended_calls",
            "Calls ended with a BYE of our own",
            "cause",
            &ended,
        )?;
        counters(
            &mut encoder,
            "shortened",
            "Datagrams to devices that lost something to fit the MTU",
            "step",
            &self.shortened,
        )?;
        counters(
            &mut encoder,
            "answered",
            "Messages answered or dropped by ourselves",
            "reason",
            &self.reasons,
        )?;
        counters(
            &mut encoder,
            "refused",
            "Messages and connections that the guard refused",
            "reason",
            &self.refused,
        )?;
        counters(
            &mut encoder,
            "received_messages",
            "Messages received",
            "transport",
            &self.received,
        )?;
        counters(
            &mut encoder,
            "sent_messages",
            "Messages sent",
            "transport",
            &self.sent,
        )?;
        counters(
            &mut encoder,
            "dropped",
            "Messages and connections dropped",
            "reason",
            &self.dropped,
        )?;
        counters(
            &mut encoder,
            "ended_calls",
            "Calls that are over, by what became of them",
            "verdict",
            &self.verdicts,
        )?;
        counter(
            &mut encoder,
            "lost_records",
            "Calls without a record, and records that were not written: a table or queue was full",
            self.records_lost,
        )?;
        let kind = self.setup.metric_type();
        self.setup.encode(encoder.encode_descriptor(
            "call_setup_seconds",
            "How long calls took until they rang, from the INVITE",
            None,
            kind,
        )?)?;
        let mut family = encoder.encode_descriptor(
            "connections",
            "Connections that are open",
            None,
            ConstGauge::new(0i64).metric_type(),
        )?;
        for (label, value) in &self.connections {
            ConstGauge::new(*value).encode(family.encode_family(&[("transport", *label)])?)?;
        }
        self.nodes(&mut encoder)?;
        self.members(&mut encoder)?;
        self.peers(&mut encoder)?;
        self.call_outs(&mut encoder)?;
        self.media(&mut encoder)
    }
}

impl Figures {
    fn nodes(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut family = encoder.encode_descriptor(
            "node_alive",
            "Other nodes of the cluster: 1 if requests for their connections are handed to them",
            None,
            ConstGauge::new(0i64).metric_type(),
        )?;
        for node in &self.nodes {
            let number = node.node.map_or_else(String::new, |node| node.to_string());
            let labels = [("node", number), ("address", node.address.to_string())];
            ConstGauge::new(i64::from(node.state == "alive"))
                .encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn members(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let labels = |member: &MemberState| {
            [
                ("group", member.group.clone()),
                ("member", member.member.clone()),
                // A name may have several.
                (
                    "address",
                    member.address.map(|at| at.to_string()).unwrap_or_default(),
                ),
            ]
        };
        let help = "Members of groups: 1 if requests may go there";
        let mut family = encoder.encode_descriptor(
            "member_alive",
            help,
            None,
            ConstGauge::new(0i64).metric_type(),
        )?;
        for member in &self.members {
            ConstGauge::new(i64::from(member.state == "alive"))
                .encode(family.encode_family(&labels(member))?)?;
        }
        let help = "Calls of members of groups that ring or are up";
        let mut family = encoder.encode_descriptor(
            "member_calls",
            help,
            None,
            ConstGauge::new(0i64).metric_type(),
        )?;
        for member in &self.members {
            ConstGauge::new(i64::from(member.calls))
                .encode(family.encode_family(&labels(member))?)?;
        }
        type Count = fn(&MemberState) -> u64;
        let counts: [(&str, &str, Count); 2] = [
            (
                "member_deaths",
                "How often a member of a group died",
                |member| member.deaths,
            ),
            (
                "member_passed_over",
                "Requests that the next member was asked to answer",
                |member| member.passed_over,
            ),
        ];
        for (name, help, count) in counts {
            let mut family = encoder.encode_descriptor(
                name,
                help,
                None,
                ConstCounter::new(0u64).metric_type(),
            )?;
            for member in &self.members {
                ConstCounter::new(count(member)).encode(family.encode_family(&labels(member))?)?;
            }
        }
        Ok(())
    }
}

impl Figures {
    fn media(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        type Gauge = fn(&media::NodeState) -> i64;
        let gauges: [(&str, &str, Gauge); 4] = [
            (
                "media_alive",
                "RTPEngines: 1 if calls may go there",
                |node| i64::from(node.state != "dead" && !node.drained),
            ),
            (
                "media_in_flight",
                "Requests that wait for an RTPEngine",
                |node| node.in_flight as i64,
            ),
            (
                "media_deletes_waiting",
                "Ends of sessions that an RTPEngine has yet to answer",
                |node| node.deletes.waiting as i64,
            ),
            (
                "media_drained",
                "RTPEngines: 1 if somebody said that they get no new calls",
                |node| i64::from(node.drained),
            ),
        ];
        for (name, help, read) in gauges {
            let kind = ConstGauge::new(0i64).metric_type();
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for node in &self.media {
                ConstGauge::new(read(node))
                    .encode(family.encode_family(&[("node", node.node.as_str())])?)?;
            }
        }
        type Count = fn(&media::NodeState) -> u64;
        let counts: [(&str, &str, Count); 8] = [
            ("media_requests", "Requests to an RTPEngine", |node| {
                node.counts.sent
            }),
            (
                "media_retransmitted",
                "Requests to an RTPEngine, sent again",
                |node| node.counts.retransmitted,
            ),
            (
                "media_timed_out",
                "Requests that an RTPEngine did not answer",
                |node| node.counts.timed_out,
            ),
            (
                "media_busy",
                "Requests not sent, for too many waited for an RTPEngine",
                |node| node.counts.busy,
            ),
            (
                "media_stray",
                "Answers of an RTPEngine that came late, twice or to nothing",
                |node| node.counts.stray,
            ),
            (
                "media_restarts",
                "How often an RTPEngine was started anew",
                |node| node.restarts,
            ),
            (
                "media_deletes_dropped",
                "Ends of sessions not told, for too many waited",
                |node| node.deletes.dropped,
            ),
            (
                "media_deletes_given_up",
                "Ends of sessions that an RTPEngine never answered",
                |node| node.deletes.given_up,
            ),
        ];
        for (name, help, read) in counts {
            let kind = ConstCounter::new(0u64).metric_type();
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for node in &self.media {
                ConstCounter::new(read(node))
                    .encode(family.encode_family(&[("node", node.node.as_str())])?)?;
            }
        }
        Ok(())
    }
}

impl Figures {
    fn call_outs(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut family = encoder.encode_descriptor(
            "call_outs",
            "Requests whose way a call-out was asked for",
            None,
            ConstCounter::new(0u64).metric_type(),
        )?;
        for state in &self.call_outs {
            for (result, count) in [
                ("answered", state.answered),
                ("remembered", state.remembered),
                ("failed", state.failed),
            ] {
                let labels = [
                    ("call_out", state.name.clone()),
                    ("result", result.to_owned()),
                ];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl Figures {
    fn peers(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let help = "Calls that peers began and that ring or are up";
        let mut family = encoder.encode_descriptor(
            "peer_calls",
            help,
            None,
            ConstGauge::new(0i64).metric_type(),
        )?;
        for peer in &self.peers {
            let labels = [("peer", peer.peer.clone())];
            ConstGauge::new(i64::from(peer.calls)).encode(family.encode_family(&labels)?)?;
        }
        let help = "Calls that peers began beyond their limits";
        let mut family = encoder.encode_descriptor(
            "peer_refused",
            help,
            None,
            ConstCounter::new(0u64).metric_type(),
        )?;
        for peer in &self.peers {
            for (limit, count) in [
                ("calls", peer.too_many),
                ("calls_per_second", peer.too_fast),
            ] {
                let labels = [("peer", peer.peer.clone()), ("limit", limit.to_owned())];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: i64,
) -> std::fmt::Result {
    let metric = ConstGauge::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> std::fmt::Result {
    let metric = ConstCounter::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: &[(&'static str, u64)],
) -> std::fmt::Result {
    let mut family =
        encoder.encode_descriptor(name, help, None, ConstCounter::new(0u64).metric_type())?;
    for (value_of, value) in values {
        ConstCounter::new(*value).encode(family.encode_family(&[(label, *value_of)])?)?;
    }
    Ok(())
}

/// What Prometheus reads (OpenMetrics text).
pub fn scrape(engine: &Engine, transports: &Transports) -> String {
    let mut registry = Registry::with_prefix("causeway");
    registry.register_collector(Box::new(Figures::of(engine, transports)));
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}

/// The same for people and tests, as JSON.
pub fn status(engine: &Engine, transports: &Transports) -> Value {
    let figures = Figures::of(engine, transports);
    let map = |pairs: &[(&'static str, u64)]| -> Value {
        pairs
            .iter()
            .filter(|(_, value)| *value > 0)
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let member = |member: &MemberState| {
        let MemberState {
            group,
            member,
            address,
            state,
            standing,
            calls,
            deaths,
            passed_over,
        } = member;
        let address = address.map(|at| at.to_string());
        json!({ "group": group, "member": member, "address": address, "state": state, "standing": standing, "calls": calls, "deaths": deaths, "passed_over": passed_over })
    };
    let peer = |peer: &PeerState| {
        let PeerState {
            peer,
            calls,
            limit,
            too_many,
            too_fast,
        } = peer;
        json!({ "peer": peer, "calls": calls, "limit": limit, "too_many": too_many, "too_fast": too_fast })
    };
    let node = |node: &NodeState| {
        let NodeState {
            node,
            address,
            state,
        } = node;
        json!({ "node": node, "address": address.to_string(), "state": state })
    };
    let media = |node: &media::NodeState| {
        let counts = &node.counts;
        json!({
            "node": node.node,
            "address": node.address.to_string(),
            "state": node.state,
            "standing": if node.drained { "drained" } else { "serves" },
            "restarts": node.restarts,
            "in_flight": node.in_flight,
            "sent": counts.sent,
            "retransmitted": counts.retransmitted,
            "timed_out": counts.timed_out,
            "busy": counts.busy,
            "stray": counts.stray,
            "deletes_waiting": node.deletes.waiting,
            "deletes_dropped": node.deletes.dropped,
            "deletes_given_up": node.deletes.given_up,
        })
    };
    json!({
        "calls": figures.calls,
        "silent_calls": figures.watch.silent,
        "ended_silent": figures.watch.ended_silent,
        "ended_gone": figures.watch.ended_gone,
        "media": figures.media.iter().map(media).collect::<Vec<_>>(),
        "ended": map(&figures.verdicts),
        "peers": figures.peers.iter().map(peer).collect::<Vec<_>>(),
        "members": figures.members.iter().map(member).collect::<Vec<_>>(),
        "nodes": figures.nodes.iter().map(node).collect::<Vec<_>>(),
        "transactions": figures.transactions,
        "devices": figures.devices,
        "bindings": engine.bindings(),
        "connections": figures.connections.iter().map(|(_, open)| open).sum::<i64>(),
        "received": map(&figures.received),
        "sent": map(&figures.sent),
        "answered": map(&figures.reasons),
        "dropped": map(&figures.dropped),
        "unreadable": figures.unreadable,
        "shortened": map(&figures.shortened),
        "too_long": figures.too_long,
        "refused": map(&figures.refused),
        "kernel_dropped": figures.kernel_dropped,
    })
}

/// Calls that are listed at once.
const LISTED: usize = 1000;

/// The calls that are up, as JSON: how many there are, and some of them.
pub fn calls(engine: &Engine) -> Value {
    let call = |call: CallState| {
        let CallState {
            call_id,
            peer,
            member,
            age,
        } = call;
        let (group, member) = match member.and_then(|place| engine.member_name(place)) {
            Some((group, member)) => (Some(group), Some(member)),
            None => (None, None),
        };
        json!({ "call_id": call_id, "peer": peer, "group": group, "member": member, "seconds": age.as_secs() })
    };
    let listed: Vec<Value> = engine.list_calls(LISTED).into_iter().map(call).collect();
    json!({ "up": engine.calls(), "calls": listed })
}

/// What became of a call, as JSON: a record for each time that it passed.
pub fn calls_of(engine: &Engine, call_id: &str) -> Value {
    let records = engine.record_of(call_id);
    let listed: Vec<&Record> = records.iter().map(|record| &**record).collect();
    json!({ "calls": listed })
}

/// The newest calls that are over, the newest first, as JSON.
pub fn ended_calls(engine: &Engine, limit: usize) -> Value {
    let records = engine.ended_calls(limit);
    let listed: Vec<&Record> = records.iter().map(|record| &**record).collect();
    json!({ "calls": listed })
}
