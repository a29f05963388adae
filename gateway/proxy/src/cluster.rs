//! Several nodes in front of one core: the names that they share, and a request for a connection that another living node
//! holds, handed to it once (SIGNALLING §2, §3, §5).
//!
//! The node that takes a request for another one only relays it, with a Via and no Record-Route; whoever holds the flow does
//! transaction and media. That it was handed over stands in the token, which nobody outside the cluster can write.

use std::net::{IpAddr, SocketAddr};

use sip::{Edited, Header, Message, NameAddr, Transport, Uri};

use crate::decision::{Context, Decision, Device, Facts, Holder, Hop};
use crate::flow::{Flow, ListenerId};
use crate::forward;
use crate::listener::{Listener, Name, write_number};
use crate::moved;
use crate::request::{Step, current_flow};
use crate::site::{Side, Site};
use crate::state::decide_state;
use crate::status::Reason;
use crate::token::{
    FlowAddress, Media, Pass, PathToken, Purpose, Sealer, Token, Towards, ViaToken,
};

/// In a response that one node hands to another: by which flow it came.
const CAME_BY: Header<'static> = Header::Other(b"X-Causeway-Flow");

/// The other nodes of the cluster, as far as they are known now.
pub trait Nodes {
    /// True when another one lives.
    fn others(&self) -> bool;
    /// Where a living one other than this is handed a request.
    fn living(&self, node: u16) -> Option<Hop>;
    /// True for an address of another one, living or not.
    fn is_node(&self, ip: IpAddr) -> bool;
}

/// A node without others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Nodes for Alone {
    fn others(&self) -> bool {
        false
    }
    fn living(&self, _: u16) -> Option<Hop> {
        None
    }
    fn is_node(&self, _: IpAddr) -> bool {
        false
    }
}

/// A host that moves from node to node, as others name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SharedName {
    /// An address (IPv6 without brackets) or a name.
    pub host: String,
    /// Its port; `None` for that of the listener.
    pub port: Option<u16>,
}

/// The names that the nodes of a cluster share.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shared {
    /// How the core reaches whichever node serves it now.
    pub core: Option<SharedName>,
    /// How devices do.
    pub public: Vec<SharedName>,
}

impl Shared {
    /// True when a URI's host (without brackets) and port mean one of these; `is_ours` says which ports we listen on.
    pub(crate) fn is_named_by(
        &self,
        host: &[u8],
        address: Option<IpAddr>,
        port: Option<u16>,
        is_ours: impl Fn(u16) -> bool,
    ) -> bool {
        self.core.iter().chain(&self.public).any(|name| {
            name.is_host(host, address)
                && port.is_none_or(|port| name.port == Some(port) || is_ours(port))
        })
    }

    /// True for a listener that every node has under the same address: a device's datagrams find whichever serves now.
    fn has(&self, listener: &Listener) -> bool {
        self.public.iter().any(|name| {
            name.is_host(listener.host.as_bytes(), listener.host.parse().ok())
                || name.host.parse() == Ok(listener.bind.ip())
        })
    }
}

impl SharedName {
    fn is_host(&self, host: &[u8], address: Option<IpAddr>) -> bool {
        self.host.as_bytes().eq_ignore_ascii_case(host)
            || address.is_some_and(|address| self.host.parse() == Ok(address))
    }
}

impl Site {
    /// The Record-Route value that a side sees, by its `listener`: towards the core the cluster's shared address, so that the
    /// dialog outlives this node.
    pub(crate) fn record_route(
        &self,
        listener: &Listener,
        side: Side,
        write_token: impl FnOnce(&mut String),
        more: &str,
    ) -> String {
        match &self.shared.core {
            Some(shared) if side == Side::Core && listener.faces_core() => {
                named(listener, shared).route(write_token, more)
            }
            _ => listener.route(write_token, more),
        }
    }

    /// The Path value of a flow, which the core sends to by `towards_core`: the node's own name for what only this node
    /// can serve; the shared one for a device's datagrams, which any node with the shared public address can.
    pub(crate) fn path(
        &self,
        towards_core: &Listener,
        flow: &Flow,
        write_token: impl FnOnce(&mut String),
        more: &str,
    ) -> String {
        match &self.shared.core {
            Some(shared) if towards_core.faces_core() && self.any_node_serves(flow) => {
                named(towards_core, shared).route(write_token, more)
            }
            _ => towards_core.route(write_token, more),
        }
    }

    fn any_node_serves(&self, flow: &Flow) -> bool {
        flow.connection.is_none()
            && self
                .listener(flow.listener)
                .is_some_and(|listener| self.shared.has(listener))
    }
}

/// The listener under the shared name.
fn named<'a>(listener: &Listener, shared: &'a SharedName) -> Name<'a> {
    Name {
        host: &shared.host,
        port: shared.port.unwrap_or(listener.port),
        transport: listener.transport,
    }
}

/// The flow that a token means, if this node can serve it: a connection of its own, or datagrams by an address that is its
/// own or shared.
pub(crate) fn flow_here(
    (listener, node, address): (u8, u16, FlowAddress),
    context: &Context<'_>,
) -> Option<Flow> {
    let site = context.site;
    let listener = ListenerId(listener);
    let is_shared = || {
        matches!(address, FlowAddress::Udp(_))
            && site
                .listener(listener)
                .is_some_and(|listener| site.shared.has(listener))
    };
    let is_elsewhere = || node != site.node && context.nodes.others() && !is_shared();
    if is_elsewhere() {
        return None;
    }
    context.flows.flow(listener, address)
}

/// The flow by which the device of a dialog is served here: that of the token, or a newer one.
pub(crate) fn device_here(held: &Towards, context: &Context<'_>) -> Option<Flow> {
    let in_token = flow_here((held.listener, held.node, held.flow), context);
    current_flow(in_token, Device(held.device), context)
}

/// The living node to which a request goes whose flow is not here: the one that says that it has the device, or the one in
/// the token if it was not handed over yet.
pub(crate) fn holder(
    node: u16,
    handed_over: bool,
    facts: &Facts,
    context: &Context<'_>,
) -> Option<Hop> {
    match facts.holder {
        Some(Holder::Node(node)) => context.nodes.living(node),
        _ if handed_over || node == context.site.node => None,
        _ => context.nodes.living(node),
    }
}

/// Hands a request to the node that holds its flow: our own Route goes back on top, with the bit that says so.
pub(crate) fn hand_over(
    mut request: Edited,
    token: &Token,
    hop: Hop,
    source: &Flow,
    context: &Context<'_>,
) -> Step<Decision> {
    let call_id = Some(request.original().call_id().to_vec());
    let text = context
        .sealer
        .seal_handed_over(token, call_id.as_deref(), context.now_unix);
    if let Hop::Server { transport, address } = &hop {
        let route = route_to(&text, *transport, *address);
        request.prepend(Header::Route, route.as_bytes());
    }
    let pass = match context.site.side_of(source) {
        Side::Device => Pass::Up,
        Side::Core => Pass::Through,
    };
    let mut forward = forward::prepare(request, hop, pass, source, context)?;
    forward.record_route = false;
    forward.media = Some(Media::none(pass));
    forward.moved = moved::moved(token, source, context);
    Ok(decide_state(vec![forward], context))
}

fn route_to(token: &str, transport: Transport, address: SocketAddr) -> String {
    let mut route = format!("<sip:{token}@");
    match address.ip() {
        IpAddr::V4(ip) => route.push_str(&ip.to_string()),
        IpAddr::V6(ip) => route.push_str(&format!("[{ip}]")),
    }
    route.push(':');
    write_number(&mut route, address.port().into());
    if transport != Transport::Udp {
        route.push_str(";transport=");
        route.push_str(transport.uri_param());
    }
    route.push_str(";lr>");
    route
}

/// True for the user part of a Route that another node put there when it handed a request over.
pub(crate) fn is_handed_over(user: &[u8], flow: &Flow, context: &Context<'_>) -> bool {
    context.site.side_of(flow) == Side::Core
        && Sealer::is_handed_over(user)
        && context.nodes.is_node(flow.peer.ip())
}

/// True for a Route with a token of ours that came although its host is not ours: another node names us as it was told to,
/// which may be by an address that we do not know; and the core may name a node whose address has moved here.
pub(crate) fn names_a_node(
    uri: &Uri<'_>,
    request: &Edited,
    flow: &Flow,
    context: &Context<'_>,
) -> bool {
    let Some(user) = uri.user else { return false };
    let call_id = Some(request.original().call_id());
    let opens = |purpose| {
        let opened = context
            .sealer
            .open(purpose, user, call_id, context.now_unix);
        opened.is_ok()
    };
    is_handed_over(user, flow, context)
        || context.site.side_of(flow) == Side::Core
            && uri.ip().is_some_and(|ip| context.nodes.is_node(ip))
            && (opens(Purpose::RecordRouteCore) || opens(Purpose::Path))
}

/// True for a next hop that a device must not choose: another node would take its request for the core's. A Route of ours
/// that the core's side of this very dialog has is no choice of the device.
pub(crate) fn is_forbidden_node(
    request: &Edited,
    address: SocketAddr,
    context: &Context<'_>,
) -> bool {
    if !is_only_a_node(address, context) {
        return false;
    }
    let of_this_dialog = || {
        let route = request.values(Header::Route).next()?;
        let user = Uri::parse(NameAddr::parse(route)?.uri)?.user?;
        let call_id = Some(request.original().call_id());
        context
            .sealer
            .open(Purpose::RecordRouteCore, user, call_id, context.now_unix)
            .ok()
    };
    of_this_dialog().is_none()
}

/// True for the machine of another node, unless a server of the core is at just this port of it.
pub(crate) fn is_only_a_node(address: SocketAddr, context: &Context<'_>) -> bool {
    context.nodes.is_node(address.ip()) && !context.site.is_member(address)
}

/// The living node that made the branch of a response, if it is another one: it has the transaction (SIGNALLING §3).
pub fn node_of(via: &ViaToken, context: &Context<'_>) -> Option<Hop> {
    if via.node == context.site.node {
        return None;
    }
    context.nodes.living(via.node)
}

/// A response as it is handed to the node that made its branch: unchanged, but for the flow by which it came.
pub fn hand_back(response: &Message, flow: &Flow, context: &Context<'_>) -> Edited {
    let token = Token::Path(PathToken {
        listener: flow.listener.0,
        node: context.site.node,
        flow: flow.address(),
    });
    let text = context
        .sealer
        .seal_handed_over(&token, None, context.now_unix);
    let mut edited = Edited::new(response.clone());
    edited.remove(CAME_BY);
    edited.append(CAME_BY, text.as_bytes());
    edited
}

/// The flow by which a response came to the node that handed it to us; `None` for one that nobody handed.
///
/// # Errors
/// When that flow is a connection of the other node, which answers what that node sent and nothing of ours: a device has
/// taken a Via off, and would be believed as the node is.
pub fn came_by(
    response: &Message,
    flow: &Flow,
    context: &Context<'_>,
) -> Result<Option<Flow>, Reason> {
    let text = response.header(CAME_BY).filter(|text| {
        context.nodes.is_node(flow.peer.ip()) && is_handed_over(text, flow, context)
    });
    let opened = text.map(|text| {
        context
            .sealer
            .open(Purpose::Path, text, None, context.now_unix)
    });
    match opened {
        Some(Ok(Token::Path(path))) => context
            .flows
            .flow(ListenerId(path.listener), path.flow)
            .map(Some)
            .ok_or(Reason::StrayResponse),
        _ => Ok(None),
    }
}

/// Takes off what only nodes say to each other.
pub(crate) fn forget_came_by(response: &mut Edited, context: &Context<'_>) {
    if context.nodes.others() {
        response.remove(CAME_BY);
    }
}
