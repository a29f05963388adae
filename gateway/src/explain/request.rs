//! What becomes of a request.

use bytes::Bytes;
use proxy::trace::{Said, Trace, nearest, trace};
use proxy::{Decision, Facts, Forward, Hop, Reason, decide, forward, mtu, reply, state};
use sip::{Edited, Message, Method, Uri};

use super::input::Input;
use super::node::Imagined;
use super::options::Options;
use super::questions::Answers;
use super::report::{Came, Leaving, Miss, Report, Rule, What};
use super::{diff, media, words};
use crate::registrar::Kind;

/// What is said of every message: what came, and whether it is let in at all.
pub(super) fn begin(node: &Imagined, input: &Input) -> Report {
    let (message, flow) = (&input.message, &input.flow);
    let first = message.bytes().split(|byte| *byte == b'\r').next();
    let side = node.site.side_of(flow);
    let mut report = Report {
        message: Came {
            start: words::text(first.unwrap_or_default()),
            call_id: words::text(message.call_id()),
            from: words::flow(flow),
            listener: node.section(flow.listener).to_owned(),
            to: flow.local.to_string(),
            side: words::side(side),
            bytes: message.bytes().len(),
        },
        assumed: node.assumed.clone(),
        steps: Vec::new(),
        rules: Vec::new(),
        decision: "",
        verdict: String::new(),
        status: None,
        reason: None,
        leaves: Vec::new(),
        rtpengine: Vec::new(),
        later: Vec::new(),
    };
    if input.had_bare_lines {
        let text = "lines ended with LF alone: taken for CRLF that a copy had lost (the node would answer 400)";
        report.assumed.push(text.to_owned());
    }
    let peer = flow.peer.ip();
    match node.is_trusted(flow) {
        None => report.step(
            "admission",
            "it comes from a device: nothing that it says is believed",
        ),
        Some(true) => report.step(
            "admission",
            format!("{peer} is of the core, as `trust` or `core` of the listener says"),
        ),
        Some(false) => {
            let text = format!(
                "{peer} is not on the `trust` of [listen.{}]",
                node.section(flow.listener)
            );
            report.step("admission", text);
            report.decision = "drop";
            report.reason = Some("untrusted");
            report.verdict =
                "nothing: who is not trusted is not answered on a core listener".to_owned();
        }
    }
    report
}

/// Explains a request.
pub(super) async fn explain(node: &Imagined, input: &Input, options: &Options) -> Report {
    let mut report = begin(node, input);
    if report.decision == "drop" {
        return report;
    }
    let (request, flow) = (&input.message, &input.flow);
    if let Err(fault) = request.check() {
        report.step("form", format!("{}: {}", fault.reason, fault.detail));
    }
    if matches!(request.method(), Method::Ack | Method::Cancel) {
        let text = "the node knows no transaction that it belongs to; with one it would end there";
        report.assumed.push(text.to_owned());
    }
    let mut answers = Answers::new(node, input, options);
    let mut facts = Facts::default();
    let decision = loop {
        match decide(request, flow, &node.context(), &facts) {
            Decision::Ask(question) => answers.answer(&question, &mut facts).await,
            decision => break decision,
        }
    };
    let traced = trace(request, flow, &node.context(), &decision);
    tell_routes(&mut report, node, &traced);
    report.steps.append(&mut answers.steps);
    tell_rules(&mut report, node, input, &traced);
    let done = Done {
        node,
        input,
        options,
        waited: answers.waited,
    };
    done.carry_out(&mut report, decision).await;
    report
}

fn tell_routes(report: &mut Report, node: &Imagined, traced: &Trace) {
    for value in &traced.taken {
        let text = format!(
            "Route {} names this node and is taken off",
            words::text(value)
        );
        report.step("routes", text);
    }
    match &traced.said {
        Said::Nothing if traced.taken.is_empty() => {}
        Said::Nothing => report.step(
            "token",
            "no token of ours is in it: the request begins something",
        ),
        Said::Refused => report.step(
            "routes",
            "it is refused for its Routes, or before anybody looks at them",
        ),
        Said::Path(path) => report.step(
            "token",
            format!(
                "a Path token: a registrar sends it to the device at {} behind [listen.{}]",
                words::address(path.flow),
                node.section(proxy::ListenerId(path.listener))
            ),
        ),
        Said::Dialog {
            media,
            device,
            anonymous,
        } => {
            let target = match device {
                Some((listener, address, _)) => format!(
                    "for the device at {} behind [listen.{}]",
                    words::address(*address),
                    node.section(*listener)
                ),
                None => "towards the core".to_owned(),
            };
            let private = if *anonymous {
                "; the caller asked for privacy"
            } else {
                ""
            };
            let pass = words::pass(media.pass);
            report.step(
                "token",
                format!(
                    "a Record-Route token: inside a dialog that began {pass}, {target}{private}"
                ),
            );
        }
    }
    for value in &traced.left {
        let text = format!("Route {} is left", words::text(value));
        report.step("routes", text);
    }
}

fn tell_rules(report: &mut Report, node: &Imagined, input: &Input, traced: &Trace) {
    if traced.verdicts.is_empty() {
        return;
    }
    let rule = |verdict: &proxy::trace::Verdict| Rule {
        number: verdict.rule + 1,
        line: node.line_of_rule(verdict.rule),
        matches: verdict.is_match(),
        misses: verdict
            .misses
            .iter()
            .map(|condition| miss(node, input, verdict.rule, *condition))
            .collect(),
    };
    report.rules = traced.verdicts.iter().map(rule).collect();
    let Some(found) = nearest(&traced.verdicts) else {
        return;
    };
    let number = found.rule + 1;
    let place = node
        .line_of_rule(found.rule)
        .map_or_else(String::new, |line| format!(", line {line},"));
    let text = if found.is_match() {
        format!(
            "[[route]] {number}{place} matches: to {}",
            node.written(&format!("route[{}].to", found.rule))
        )
    } else {
        let misses: Vec<String> = report.rules[found.rule]
            .misses
            .iter()
            .map(|miss| format!("{} = {} (it has {})", miss.key, miss.wants, miss.has))
            .collect();
        format!(
            "no [[route]] matches; the nearest is {number}{place} which asks for {}",
            misses.join(", ")
        )
    };
    report.step("rule", text);
}

fn miss(node: &Imagined, input: &Input, rule: usize, condition: proxy::site::Condition) -> Miss {
    use proxy::site::Condition;
    let uri = Uri::parse(input.message.uri());
    let has = match condition {
        Condition::Side | Condition::Peer => match node.site.peer(&input.flow) {
            Some(peer) => format!("peer:{}", peer.name),
            None => words::side(node.site.side_of(&input.flow)).to_owned(),
        },
        Condition::Listener => node.section(input.flow.listener).to_owned(),
        Condition::Group => input.flow.peer.to_string(),
        Condition::Method => words::text(input.message.method().as_bytes()),
        Condition::Domain => uri.map_or_else(String::new, |uri| words::text(uri.host)),
        Condition::User | Condition::Prefix | Condition::Regex => {
            uri.map_or_else(String::new, |uri| words::text(&proxy::site::dialled(&uri)))
        }
    };
    let key = words::key(condition);
    Miss {
        key,
        wants: node.written(&format!("route[{rule}].{key}")),
        has,
    }
}

/// What is needed to carry a decision out, but for sending.
struct Done<'a> {
    node: &'a Imagined,
    input: &'a Input,
    options: &'a Options,
    /// A question had to be waited for: there is a transaction already.
    waited: bool,
}

impl Done<'_> {
    async fn carry_out(&self, report: &mut Report, decision: Decision) {
        match decision {
            Decision::Drop(reason) => {
                report.decision = "drop";
                report.reason = Some(reason.label());
                report.verdict = format!("nothing: {}", reason.phrase());
            }
            Decision::Reply(reason) => {
                report.decision = "reply";
                self.reply(report, &reason);
            }
            Decision::Challenge { as_proxy, stale } => {
                report.decision = "challenge";
                self.challenge(
                    report,
                    if as_proxy { Kind::Proxy } else { Kind::Www },
                    stale,
                );
            }
            Decision::Register(edited) => {
                report.decision = "register";
                self.register(report, *edited).await;
            }
            Decision::Relay(forward) => self.pass_on(report, vec![*forward]),
            Decision::Start(forwards) => self.pass_on(report, forwards),
            Decision::Await { device, .. } => {
                report.decision = "await";
                report.step(
                    "device",
                    format!(
                        "device {} has no living flow: it may be on its way back",
                        hex::encode(device.0)
                    ),
                );
                let seconds = self.node.config.timers.device_wait;
                self.trying(report);
                self.reply(report, &Reason::DeviceGone);
                report.verdict = format!(
                    "it waits {seconds:?} for the device, then: {}",
                    report.verdict
                );
            }
            Decision::Press(key) => {
                report.decision = "press";
                report.status = Some(200);
                report.verdict = format!(
                    "its key {} is played by RTPEngine, and it is answered 200",
                    key.key
                );
                report
                    .rtpengine
                    .extend(media::press(self.node, &self.input.message, key));
            }
            // All questions were answered.
            Decision::Ask(_) => {}
        }
    }

    fn reply(&self, report: &mut Report, reason: &Reason) {
        if let Reason::ForeignToken = reason {
            let text = "a Route, Via or Contact names this node and holds a token that its keys did not make, or not for this \
                        message: another node's, one of before the key changed, or another gateway's. What registered so has \
                        to register again";
            report.step("token", text);
        }
        report.status = Some(reason.status());
        report.reason = Some(reason.label());
        report.verdict = format!("it is answered {} {}", reason.status(), reason.phrase());
        let bytes = reply::answer(&self.input.message, self.input.flow.peer, reason);
        self.back(report, What::Answer, bytes);
    }

    /// A message of the node's own, to where the request came from.
    fn back(&self, report: &mut Report, what: What, bytes: Bytes) {
        if !bytes.is_empty() {
            let hop = Hop::Flow(self.input.flow);
            report
                .leaves
                .push(leaving(self.node, what, &hop, bytes, &[]));
        }
    }

    fn trying(&self, report: &mut Report) {
        if self.input.message.method() == Method::Invite {
            let bytes = reply::trying(&self.input.message, self.input.flow.peer);
            self.back(report, What::Trying, bytes);
        }
    }

    fn challenge(&self, report: &mut Report, kind: Kind, stale: bool) {
        let Some(registrar) = &self.node.registrar else {
            return;
        };
        let (request, peer) = (&self.input.message, self.input.flow.peer);
        let stamped = reply::stamped(request, peer);
        let tag = reply::own_tag(request);
        let now = crate::engine::now();
        let response = registrar.challenge(&stamped, kind, stale, tag.as_bytes(), peer.ip(), now);
        let status = if kind == Kind::Proxy { 407 } else { 401 };
        report.status = Some(status);
        report.verdict =
            format!("it is answered {status}: credentials are asked for (each nonce is new)");
        self.back(report, What::Answer, response.to_bytes());
    }

    /// Our own registrar's answer, with its bindings in a copy.
    async fn register(&self, report: &mut Report, mut edited: Edited) {
        let Some(registrar) = &self.node.registrar else {
            return;
        };
        let (request, flow) = (&self.input.message, &self.input.flow);
        reply::stamp(&mut edited, flow.peer);
        let found = super::questions::sender(self.node, self.input, self.options, Kind::Www);
        report.step("sender", found.1);
        match found.0 {
            proxy::Sender::Authenticated => {}
            proxy::Sender::Unknown { stale } => return self.challenge(report, Kind::Www, stale),
            proxy::Sender::Refused => return self.reply(report, &Reason::Refused),
        }
        let Ok(with_path) = Message::parse(edited.to_bytes(), &self.node.limits) else {
            return self.reply(report, &Reason::TooLarge);
        };
        let tag = reply::own_tag(request);
        let now = crate::engine::now();
        let registered = registrar.register(&with_path, tag.as_bytes(), now).await;
        report.status = Some(registered.status);
        report.verdict = format!("our registrar answers {}", registered.status);
        if let Some(expires) = registered.expires {
            report.step(
                "registrar",
                format!("the first Contact is bound for {expires:?}"),
            );
        }
        self.back(report, What::Answer, registered.response.to_bytes());
    }

    fn pass_on(&self, report: &mut Report, forwards: Vec<Forward>) {
        let context = self.node.context();
        let Some(keeping) = state::keeping(&forwards, &context) else {
            return;
        };
        let is_stateless = keeping.is_stateless() && !self.waited;
        report.decision = if is_stateless { "relay" } else { "start" };
        if self.waited && keeping.is_stateless() {
            report.step(
                "transaction",
                "in a transaction: a name had to be looked up",
            );
        } else {
            report.step("transaction", words::keeping(keeping));
        }
        if !is_stateless {
            self.trying(report);
        }
        let to: Vec<String> = forwards
            .iter()
            .map(|forward| words::hop(&forward.hop))
            .collect();
        report.verdict = format!("it goes on to {}", to.join(" and "));
        for forward in &forwards {
            self.copy(report, forward);
        }
    }

    fn copy(&self, report: &mut Report, forward: &Forward) {
        let (node, context) = (self.node, self.node.context());
        if let Some(chosen) = &forward.member {
            let group = &node.site.groups[chosen.group];
            let next: Vec<String> = chosen
                .next
                .iter()
                .map(|member| node.member(chosen.group, *member))
                .collect();
            let mut text = format!(
                "{} of [group.{}], by {} among the living",
                node.member(chosen.group, chosen.member),
                group.name,
                words::algorithm(group.algorithm)
            );
            if !next.is_empty() {
                text = format!("{text}; then {}", next.join(", "));
            }
            report.step("member", text);
            if let Some(patience) = proxy::failover::patience(forward) {
                report.later.push(format!("after {patience:?} of silence, a refused connection or an answer of `fail_over` the next member is asked"));
            }
        }
        if forward.anonymous {
            report.step(
                "privacy",
                "the caller asked for privacy: From says no more who it is",
            );
        }
        media::policies(report, node, forward);
        let at = media::of(node, forward);
        let said = media::for_request(node, forward, at);
        if !said.told.is_empty() && forward.media.is_none() {
            report.assumed.push(
                "RTPEngine lives and gives back the SDP as it was: its own would come in its place; how often it was started anew \
                 is a number in the tokens, taken as 0"
                    .to_owned(),
            );
        }
        if let Some(remark) = said.remark {
            report.step("media", remark);
        }
        report.rtpengine.extend(said.told);
        let Some(sealed) = forward::seal(forward, at, &context) else {
            return;
        };
        let bytes = sealed.request.to_bytes();
        let mut leaves = leaving(
            node,
            What::Request,
            &forward.hop,
            bytes,
            self.input.message.bytes(),
        );
        if let Hop::Flow(flow) = &forward.hop {
            leaves.budget = mtu::budget(true, flow, &node.site);
        }
        leaves.shortened = sealed.shortened.as_deref().map(words::lost);
        report.leaves.push(leaves);
    }
}

/// A message that leaves for `hop`; `before` is what came, for what is passed on.
pub(super) fn leaving(
    node: &Imagined,
    what: What,
    hop: &Hop,
    bytes: Bytes,
    before: &[u8],
) -> Leaving {
    let listener = node.site.leaving_by(hop);
    Leaving {
        what,
        to: words::hop(hop),
        listener: listener
            .map_or("?", |listener| node.section(listener.id))
            .to_owned(),
        from: listener.map_or_else(String::new, |listener| listener.bind.to_string()),
        length: bytes.len(),
        budget: None,
        shortened: None,
        diff: if before.is_empty() {
            Vec::new()
        } else {
            diff::diff(before, &bytes)
        },
        message: words::text(&bytes),
        hex: std::str::from_utf8(&bytes)
            .is_err()
            .then(|| hex::encode(&bytes)),
        bytes,
    }
}
