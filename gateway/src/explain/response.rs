//! What becomes of a response: RFC 3261 §16.7.

use proxy::{mtu, response::pass_on};
use sip::Method;

use super::input::Input;
use super::node::Imagined;
use super::report::{Report, What};
use super::request::{begin, leaving};
use super::{media, words};

pub(super) fn explain(node: &Imagined, input: &Input) -> Report {
    let mut report = begin(node, input);
    if report.decision == "drop" {
        return report;
    }
    let (response, flow, context) = (&input.message, &input.flow, node.context());
    let onward = match pass_on(response, flow, &context) {
        Ok(onward) => onward,
        Err(reason) => {
            let why = match response.check() {
                Err(fault) => format!("its form: {}", fault.detail),
                Ok(()) => {
                    "its top Via has no branch that this node signed for this Call-ID".to_owned()
                }
            };
            report.step("branch", why);
            report.decision = "drop";
            report.reason = Some(reason.label());
            report.verdict = format!("nothing: {}", reason.phrase());
            return report;
        }
    };
    let via = &onward.via;
    report.step(
        "branch",
        format!(
            "our branch verifies: its request came from {} to [listen.{}]{}",
            words::address(onward.source),
            node.section(onward.listener),
            if via.media.is_some() {
                ", with RTPEngine"
            } else {
                ""
            }
        ),
    );
    if response.status() == 100 && via.media.is_some() {
        report.decision = "drop";
        report.verdict = "nothing: 100 is hop by hop (RFC 3261 §16.7 step 4)".to_owned();
        return report;
    }
    let Some(back) = node.context().flows.flow(onward.listener, onward.source) else {
        report.decision = "drop";
        report.verdict = "nothing: its request came by a listener that is not there".to_owned();
        return report;
    };
    report.decision = "pass_on";
    report.verdict = format!("it goes back to {}", words::flow(&back));
    report.step(
        "transaction",
        "as for a request that was relayed without a transaction. With one, 100 stays here, of several final answers the best goes \
         back, and a caller who asked for privacy gets his own From again",
    );
    if response.status() == 503 && onward.response.status() != 503 {
        report.step(
            "status",
            "a member's 503 would make a device shun this node: 500 goes back",
        );
    }
    if response.method() == Method::Register && (200..300).contains(&response.status()) {
        report.step(
            "index",
            "the node learns from it which device is behind that flow",
        );
    }
    let said = media::for_response(node, response, &onward, (flow, &back));
    if let Some(remark) = said.remark {
        report.step("media", remark);
    }
    report.rtpengine = said.told;
    let (bytes, shortened) = mtu::fit(&onward.response, &back, &node.site);
    let hop = proxy::Hop::Flow(back);
    let mut leaves = leaving(node, What::Response, &hop, bytes, response.bytes());
    leaves.budget = mtu::budget(false, &back, &node.site);
    leaves.shortened = shortened.as_ref().map(words::lost);
    report.leaves.push(leaves);
    report
}
