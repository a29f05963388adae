//! Says how [`crate::decide`] came to its decision, for a person to read. Nothing is decided here: the same functions are asked
//! again, one by one. Start reading at [`trace`].

use sip::{Message, Uri};

use crate::decision::{Context, Decision, Device};
use crate::flow::{Flow, ListenerId};
use crate::preprocess::{Dialog, preprocess};
use crate::site::{Asked, Condition};
use crate::token::{Media, PathToken, Token};

/// How a request was understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// The values of Route that named us and were taken off, the first one on top.
    pub taken: Vec<Vec<u8>>,
    /// The values of Route that are left.
    pub left: Vec<Vec<u8>>,
    /// What our token in them said.
    pub said: Said,
    /// What each rule says, in their order; empty for a request that no rule is asked about.
    pub verdicts: Vec<Verdict>,
}

/// What our own token made of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// There was none: it begins something.
    Nothing,
    /// The request was refused before its Routes were of any interest, or for them.
    Refused,
    /// It came from a registrar for this flow.
    Path(PathToken),
    /// It is inside a dialog that passed us.
    Dialog {
        /// The pass that made the dialog, and its RTPEngine.
        media: Media,
        /// The device that it is for, by the token; `None` towards the core.
        device: Option<(ListenerId, crate::token::FlowAddress, Device)>,
        /// The caller asked for privacy.
        anonymous: bool,
    },
}

/// What a rule says to a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The rule's index in the site.
    pub rule: usize,
    /// What it asks for in vain; empty for a rule that matches.
    pub misses: Vec<Condition>,
}

impl Verdict {
    /// True if the rule matches.
    pub fn is_match(&self) -> bool {
        self.misses.is_empty()
    }
}

/// The verdict that counts: the first match, or of those that do not match the first that misses least.
pub fn nearest(verdicts: &[Verdict]) -> Option<&Verdict> {
    let first = verdicts.iter().find(|verdict| verdict.is_match());
    first.or_else(|| verdicts.iter().min_by_key(|verdict| verdict.misses.len()))
}

/// Says how a request that was decided like this was understood.
pub fn trace(request: &Message, flow: &Flow, context: &Context<'_>, decision: &Decision) -> Trace {
    let routes = |values: &mut dyn Iterator<Item = &[u8]>| values.map(<[u8]>::to_vec).collect();
    let all: Vec<Vec<u8>> = routes(&mut request.values(sip::Header::Route));
    let Ok(routed) = preprocess(request, flow, context) else {
        return Trace {
            taken: Vec::new(),
            left: all,
            said: Said::Refused,
            verdicts: Vec::new(),
        };
    };
    let left: Vec<Vec<u8>> = routes(&mut routed.request.values(sip::Header::Route));
    let taken = all.len().saturating_sub(left.len());
    let outside = matches!(routed.dialog, Dialog::Outside);
    let asks_rules = outside && left.is_empty() && leaves_it_to_rules(decision);
    Trace {
        taken: all.into_iter().take(taken).collect(),
        left,
        said: said(routed.dialog),
        verdicts: if asks_rules {
            verdicts(request, flow, context)
        } else {
            Vec::new()
        },
    }
}

/// False for what our registrar serves, what is for us, and what was refused before.
fn leaves_it_to_rules(decision: &Decision) -> bool {
    use crate::status::Reason;
    !matches!(
        decision,
        Decision::Register(_)
            | Decision::Reply(
                Reason::Options
                    | Reason::Fault { .. }
                    | Reason::TooManyHops
                    | Reason::Loop
                    | Reason::BadExtension(_)
            )
    )
}

/// What each rule says to a request, in their order.
pub fn verdicts(request: &Message, flow: &Flow, context: &Context<'_>) -> Vec<Verdict> {
    let Some(uri) = Uri::parse(sip::uri::without_headers(request.uri())) else {
        return Vec::new();
    };
    let asked = Asked {
        flow,
        method: request.method().as_bytes(),
        uri: &uri,
    };
    let verdict = |(rule, route): (usize, &crate::site::Route)| Verdict {
        rule,
        misses: route.when.misses(&asked, context.site),
    };
    let routes = context.site.routes.iter().enumerate();
    routes.map(verdict).collect()
}

fn said(dialog: Dialog) -> Said {
    match dialog {
        Dialog::Outside => Said::Nothing,
        Dialog::Path(path) => Said::Path(path),
        Dialog::Inside(Token::RecordRouteCore(copy)) => Said::Dialog {
            media: copy.media,
            device: Some((ListenerId(copy.listener), copy.flow, Device(copy.device))),
            anonymous: copy.anonymous,
        },
        Dialog::Inside(Token::RecordRouteDevice(copy)) => Said::Dialog {
            media: copy.media,
            device: copy
                .towards
                .map(|to| (ListenerId(to.listener), to.flow, Device(to.device))),
            anonymous: copy.anonymous,
        },
        Dialog::Inside(_) => Said::Refused,
    }
}
