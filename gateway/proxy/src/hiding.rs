//! Topology hiding without memory (SIGNALLING §9): what names the core's addresses towards devices is folded into tokens that
//! the messages themselves carry, and put back, byte for byte, when they return.
//!
//! | header | towards the device | comes back in |
//! |---|---|---|
//! | Via | one, ours, with `;hv=` | every response |
//! | Record-Route | one, ours, with `;hr=` | Route of the device's requests, Record-Route of its responses |
//! | Contact | a URI of ours with the token as its user | request-URI, Refer-To, Contact of a 3xx |
//!
//! The other way, for a group that routes by Contact and not by Route, a device's Contact becomes such a URI too, with the flow in
//! it: whatever comes to it from the core goes to that device.
//!
//! The Call-ID is never changed: Replaces, Target-Dialog, In-Reply-To and dialog-info quote it. What From, identity headers and
//! bodies say is the core's own choice.

use sip::{Edited, Header, Method, NameAddr, Uri};

use crate::decision::Context;
use crate::flow::Flow;
use crate::site::Listener;
use crate::token::{ContactToken, Lines, PathToken, Purpose, Token};

/// The Via parameter that holds the Vias of the core.
const VIAS: &str = "hv";
/// The Record-Route parameter that holds the other values.
const ROUTES: &str = "hr";
/// Contacts of a message that are folded and put back: each costs a MAC and a walk through those before it, and a message has
/// room for thousands. What is more does not pass to a device.
const MOST: usize = 32;

/// Takes the Vias of the core off a request; the parameter for ours that puts them back.
pub(crate) fn fold_vias(request: &mut Edited, context: &Context<'_>) -> String {
    let vias = request.lines(Header::Via).map(<[u8]>::to_vec).collect();
    let folded = parameter(VIAS, Token::Vias(Lines(vias)), request.call_id(), context);
    request.remove(Header::Via);
    folded
}

/// Puts the Vias of the core back into a response, of which ours was taken off.
pub(crate) fn unfold_vias(response: &mut Edited, ours: &sip::Via<'_>, context: &Context<'_>) {
    let token = ours.params.get(VIAS.as_bytes()).flatten();
    let Some(Token::Vias(Lines(vias))) =
        token.and_then(|token| open(Purpose::Vias, token, response.call_id(), context))
    else {
        return;
    };
    for via in vias.iter().rev() {
        response.prepend(Header::Via, via);
    }
}

/// Takes the core's Record-Route off a request; the parameter for ours that puts it back.
pub(crate) fn fold_record_route(request: &mut Edited, context: &Context<'_>) -> String {
    let routes: Vec<_> = record_routes(request).collect();
    request.remove(Header::RecordRoute);
    routes_parameter(routes, request.call_id(), context)
}

/// The same in a response to a device, where the core's values stand before ours at `index`: in the order in which the device's
/// Route has them, which is the other way round (RFC 3261 §12.1.2).
pub(crate) fn fold_record_route_before(
    response: &mut Edited,
    index: usize,
    context: &Context<'_>,
) -> String {
    let mut routes: Vec<_> = record_routes(response).take(index).collect();
    routes.reverse();
    for _ in 0..index {
        response.remove_value(Header::RecordRoute, 0);
    }
    routes_parameter(routes, response.call_id(), context)
}

fn record_routes(message: &Edited) -> impl Iterator<Item = Vec<u8>> {
    message.values(Header::RecordRoute).map(<[u8]>::to_vec)
}

fn routes_parameter(routes: Vec<Vec<u8>>, call_id: &[u8], context: &Context<'_>) -> String {
    if routes.is_empty() {
        return String::new();
    }
    parameter(ROUTES, Token::Routes(Lines(routes)), call_id, context)
}

fn parameter(name: &str, token: Token, call_id: &[u8], context: &Context<'_>) -> String {
    let mut text = format!(";{name}=");
    context
        .sealer
        .seal_into(&mut text, &token, Some(call_id), context.now_unix);
    text
}

/// The values that our Route or Record-Route holds in its parameter.
pub(crate) fn routes_in(ours: &Uri<'_>, call_id: &[u8], context: &Context<'_>) -> Vec<Vec<u8>> {
    let token = ours.param(ROUTES.as_bytes()).flatten();
    match token.and_then(|token| open(Purpose::Routes, token, call_id, context)) {
        Some(Token::Routes(Lines(routes))) => routes,
        _ => Vec::new(),
    }
}

fn open(purpose: Purpose, text: &[u8], call_id: &[u8], context: &Context<'_>) -> Option<Token> {
    context
        .sealer
        .open(purpose, text, Some(call_id), context.now_unix)
        .ok()
}

/// What a Contact's token says of a device's flow.
pub(crate) fn place_of(flow: &Flow, context: &Context<'_>) -> PathToken {
    PathToken {
        listener: flow.listener.0,
        node: context.site.node,
        flow: flow.address(),
    }
}

/// Gives every Contact a URI of ours that holds it; `at` is the flow of a device that it leads to. A REGISTER's Contacts are what
/// is registered: they stay.
pub(crate) fn fold_contacts(
    message: &mut Edited,
    named: &Listener,
    at: Option<PathToken>,
    context: &Context<'_>,
) {
    if message.method() == Method::Register {
        return;
    }
    if message.values(Header::Contact).nth(MOST).is_some() {
        let first: Vec<&[u8]> = message.values(Header::Contact).take(MOST).collect();
        let first = first.join(&b", "[..]);
        message.set(Header::Contact, &first);
    }
    for index in 0..message.values(Header::Contact).take(MOST).count() {
        let folded = message
            .values(Header::Contact)
            .nth(index)
            .and_then(|value| folded_contact(value, named, at, context));
        if let Some(folded) = folded {
            message.replace_value(Header::Contact, index, &folded);
        }
    }
}

fn folded_contact(
    value: &[u8],
    named: &Listener,
    at: Option<PathToken>,
    context: &Context<'_>,
) -> Option<Vec<u8>> {
    let contact = NameAddr::parse(value)?;
    Uri::parse(contact.uri).filter(Uri::is_sip)?;
    let token = Token::Contact(ContactToken {
        uri: contact.uri.to_vec(),
        at,
    });
    let uri = named.name().uri(|text| {
        context
            .sealer
            .seal_into(text, &token, None, context.now_unix)
    });
    Some(with_uri(&contact, uri.as_bytes()))
}

fn with_uri(value: &NameAddr<'_>, uri: &[u8]) -> Vec<u8> {
    let gap: &[u8] = if value.display.is_empty() { b"" } else { b" " };
    [value.display, gap, b"<", uri, b">", value.params].concat()
}

/// What a URI of ours holds in place of a Contact.
pub(crate) fn contact_in(uri: &[u8], context: &Context<'_>) -> Option<ContactToken> {
    let uri = Uri::parse(uri).filter(|uri| context.site.names_us(uri))?;
    // Nobody else's users cost a MAC: base64url of header, MAC, kind and a URI.
    let user = uri.user.filter(|user| user.len() >= 20)?;
    match context
        .sealer
        .open(Purpose::Contact, user, None, context.now_unix)
        .ok()?
    {
        Token::Contact(contact) => Some(contact),
        _ => None,
    }
}

/// Puts the Contact of a device back where the core calls it by a URI of ours; the flow that it leads to.
pub(crate) fn unfold_target(request: &mut Edited, context: &Context<'_>) -> Option<PathToken> {
    let contact = contact_in(sip::uri::without_headers(request.uri()), context)?;
    let at = contact.at?;
    request.set_uri(&contact.uri);
    Some(at)
}

/// What a device quotes of a Contact of the core: a token of a device's Contact is none, or whoever once saw it could call that
/// device past the registrar.
fn core_contact_in(uri: &[u8], context: &Context<'_>) -> Option<Vec<u8>> {
    let contact = contact_in(uri, context)?;
    contact.at.is_none().then_some(contact.uri)
}

/// Puts the Contacts of the core back where a device's message quotes them.
pub(crate) fn unfold_contacts(message: &mut Edited, context: &Context<'_>) {
    if let Some(uri) = core_contact_in(sip::uri::without_headers(message.uri()), context) {
        message.set_uri(&uri);
    }
    let headers: &[Header<'_>] = match message.start() {
        sip::Start::Request { .. } => &[Header::ReferTo],
        sip::Start::Response {
            status: 300..=399, ..
        } => &[Header::Contact],
        sip::Start::Response { .. } => &[],
    };
    for header in headers {
        for index in 0..message.values(*header).take(MOST).count() {
            let value = message.values(*header).nth(index);
            if let Some(unfolded) = value.and_then(|value| unfolded(value, context)) {
                message.replace_value(*header, index, &unfolded);
            }
        }
    }
}

/// A value with the URI of the core in it, its headers (`?Replaces=…`) kept.
fn unfolded(value: &[u8], context: &Context<'_>) -> Option<Vec<u8>> {
    let quoted = NameAddr::parse(value)?;
    let bare = sip::uri::without_headers(quoted.uri);
    let uri = core_contact_in(bare, context)?;
    Some(with_uri(
        &quoted,
        &[&uri, &quoted.uri[bare.len()..]].concat(),
    ))
}

/// What else in a response to a device says where the core is, and helps no device: who warned (RFC 3261 §20.43), the Path of its
/// own REGISTER, and a Service-Route, which goes the configured way in any case.
pub(crate) fn remove_addresses(response: &mut Edited) {
    for header in [Header::Warning, Header::Path, Header::ServiceRoute] {
        response.remove(header);
    }
}
