//! What a REGISTER does to the bindings of an address of record: RFC 3261 §10.3, RFC 3327 §5.3, RFC 5626 §6.

use sip::{CSeq, Header, NameAddr, View};

use super::binding::{Binding, Contact, Interval, same_uri};

/// What a registrar grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The shortest registration, in seconds; a shorter one is refused with 423.
    pub min_expires: u32,
    /// The longest, in seconds; a longer one is cut.
    pub max_expires: u32,
    /// Seconds for who does not ask.
    pub default_expires: u32,
    /// Bindings of one address of record.
    pub max_bindings: usize,
    /// Seconds within which a device should probe its flow (RFC 5626 §5.4), said where outbound applies.
    pub flow_timer: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            min_expires: 60,
            max_expires: 3600,
            default_expires: 600,
            max_bindings: 20,
            flow_timer: 120,
        }
    }
}

/// What a REGISTER leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    /// All bindings of the AOR from now on.
    pub(super) bindings: Vec<Binding>,
    /// False for a mere question.
    pub(super) changed: bool,
    /// RFC 5626 applies: the 200 says so.
    pub(super) outbound: bool,
    /// What the first Contact was granted, in seconds, 0 if it was removed; `None` without a Contact.
    pub(super) expires: Option<u32>,
}

/// Why a REGISTER is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// To, Call-ID or CSeq is missing or cannot be read.
    #[error("a header that REGISTER needs cannot be read")]
    Malformed,
    /// A Contact cannot be read.
    #[error("a Contact cannot be read")]
    Contact,
    /// `*` beside other Contacts, or without Expires: 0.
    #[error("Contact: * needs Expires: 0 and nothing beside it")]
    Wildcard,
    /// More than one Contact has a reg-id.
    #[error("more than one Contact has a reg-id")]
    SeveralFlows,
    /// Shorter than is granted.
    #[error("an interval shorter than {min} s")]
    TooBrief {
        /// The shortest that is granted, in seconds.
        min: u32,
    },
    /// A newer REGISTER of the same Call-ID was here already.
    #[error("the CSeq is not higher than that of a REGISTER before")]
    OutOfOrder,
    /// The device wants outbound, but the first hop does not do it.
    #[error("the first hop lacks outbound support")]
    FirstHop,
    /// There would be more bindings than allowed.
    #[error("more bindings than allowed")]
    TooMany,
    /// Require names what we do not know.
    #[error("an extension that is not supported")]
    Extension(Vec<u8>),
    /// To is no address of a domain of ours.
    #[error("not an address of ours")]
    Address,
    /// The bindings could not be kept.
    #[error("the bindings could not be stored")]
    Store,
    /// As many changes wait for the disk as may.
    #[error("too many bindings wait to be stored")]
    Behind,
}

impl Refusal {
    /// The status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            // RFC 3261 §10.3 step 6 and §21.4.1; RFC 5626 §6.
            Self::Malformed | Self::Contact | Self::Wildcard | Self::SeveralFlows => 400,
            // Not 503: that makes a device shun this edge for everything.
            Self::TooMany => 403,
            // RFC 3261 §10.3 step 5.
            Self::Address => 404,
            // RFC 3261 §8.2.2.3.
            Self::Extension(_) => 420,
            // RFC 3261 §10.2.8.
            Self::TooBrief { .. } => 423,
            // RFC 5626 §11.6.
            Self::FirstHop => 439,
            // RFC 3261 §10.3 step 7 says that it fails, not how; and for the store, its last paragraph.
            Self::OutOfOrder | Self::Store => 500,
            Self::Behind => 503,
        }
    }

    /// The reason phrase, where the usual one would not help who reads it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Contact => "Bad Contact",
            Self::Wildcard => "Bad Contact: *",
            Self::SeveralFlows => "Several reg-id",
            Self::TooMany => "Too Many Bindings",
            Self::OutOfOrder => "CSeq Out Of Order",
            Self::Store => "Location Store Failed",
            Self::Malformed
            | Self::Behind
            | Self::TooBrief { .. }
            | Self::FirstHop
            | Self::Extension(_)
            | Self::Address => "",
        }
    }

    /// The header that the status needs.
    pub fn header(&self) -> Option<(Header<'static>, Vec<u8>)> {
        match self {
            Self::TooBrief { min } => Some((Header::MinExpires, min.to_string().into_bytes())),
            Self::Extension(names) => Some((Header::Unsupported, names.clone())),
            // RFC 3261 §21.5.4: without it a phone may shun us for good.
            Self::Behind => Some((Header::RetryAfter, b"5".to_vec())),
            _ => None,
        }
    }
}

/// What is the same for all Contacts of a REGISTER.
struct Common<'a> {
    call_id: &'a [u8],
    cseq: u32,
    path: Vec<Box<[u8]>>,
    user_agent: Option<Box<[u8]>>,
    expires: Option<Interval>,
    now_ms: u64,
}

/// Decides a REGISTER for an AOR with the bindings `held`. All of it is done or nothing (RFC 3261 §10.3, last part).
pub(super) fn decide(
    request: &impl View,
    held: &[Binding],
    rules: &Rules,
    now_ms: u64,
) -> Result<Granted, Refusal> {
    refuse_extensions(request)?;
    let common = common(request, now_ms)?;
    let mut bindings: Vec<Binding> = held
        .iter()
        .filter(|binding| binding.expires > now_ms)
        .cloned()
        .collect();
    let expired = bindings.len() < held.len();
    let values: Vec<&[u8]> = request.values(Header::Contact).collect();
    if values.contains(&&b"*"[..]) {
        remove_all(&values, &bindings, &common)?;
        return Ok(Granted {
            changed: !held.is_empty(),
            bindings: Vec::new(),
            outbound: false,
            expires: Some(0),
        });
    }
    let mut contacts = Vec::with_capacity(values.len());
    for value in &values {
        contacts.push(Contact::read(value).ok_or(Refusal::Contact)?);
    }
    let outbound = outbound(request, &mut contacts)?;
    let mut expires = None;
    for contact in &contacts {
        let seconds = apply(contact, &mut bindings, &common, rules)?;
        expires.get_or_insert(seconds);
    }
    if bindings.len() > rules.max_bindings && bindings.len() > held.len() {
        return Err(Refusal::TooMany);
    }
    Ok(Granted {
        bindings,
        changed: expired || !contacts.is_empty(),
        outbound,
        expires,
    })
}

/// RFC 3261 §8.2.2.3. Proxies have done theirs already.
fn refuse_extensions(request: &impl View) -> Result<(), Refusal> {
    let known = |name: &[u8]| {
        [&b"path"[..], b"outbound"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
    };
    let unknown: Vec<&[u8]> = request
        .values(Header::Require)
        .filter(|name| !known(name))
        .collect();
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(Refusal::Extension(unknown.join(&b", "[..]))),
    }
}

fn common(request: &impl View, now_ms: u64) -> Result<Common<'_>, Refusal> {
    let call_id = request.header(Header::CallId).ok_or(Refusal::Malformed)?;
    let cseq = request
        .header(Header::CSeq)
        .and_then(CSeq::parse)
        .ok_or(Refusal::Malformed)?;
    Ok(Common {
        call_id,
        cseq: cseq.number,
        path: request.values(Header::Path).map(Into::into).collect(),
        user_agent: request.header(Header::UserAgent).map(Into::into),
        expires: request.header(Header::Expires).map(Interval::read),
        now_ms,
    })
}

/// RFC 3261 §10.3 step 6.
fn remove_all(values: &[&[u8]], bindings: &[Binding], common: &Common<'_>) -> Result<(), Refusal> {
    if values.len() != 1 || common.expires != Some(Interval::Seconds(0)) {
        return Err(Refusal::Wildcard);
    }
    bindings
        .iter()
        .try_for_each(|binding| in_order(binding, common))
}

/// RFC 5626 §6: whether outbound applies. Where it does not, reg-id counts for nothing.
fn outbound(request: &impl View, contacts: &mut [Contact<'_>]) -> Result<bool, Refusal> {
    let with_reg_id = contacts
        .iter()
        .filter(|contact| contact.reg_id.is_some())
        .count();
    if with_reg_id > 1 {
        return Err(Refusal::SeveralFlows);
    }
    let supports = request
        .values(Header::Supported)
        .chain(request.values(Header::Require));
    let asked = with_reg_id == 1
        && supports
            .into_iter()
            .any(|name| name.eq_ignore_ascii_case(b"outbound"));
    if !asked {
        contacts
            .iter_mut()
            .for_each(|contact| contact.reg_id = None);
        return Ok(false);
    }
    // The hop next to the device wrote the last Path. A device that came to us without one is our own flow.
    let direct = request.values(Header::Via).count() <= 1;
    let first_hop_does = request.values(Header::Path).last().is_some_and(|path| {
        NameAddr::parse(path)
            .and_then(|path| path.parsed_uri().map(|uri| uri.param(b"ob").is_some()))
            .unwrap_or(false)
    });
    if direct || first_hop_does {
        Ok(true)
    } else {
        Err(Refusal::FirstHop)
    }
}

/// RFC 3261 §10.3 step 7, for one Contact. Returns the seconds that are granted.
fn apply(
    contact: &Contact<'_>,
    bindings: &mut Vec<Binding>,
    common: &Common<'_>,
    rules: &Rules,
) -> Result<u32, Refusal> {
    let seconds = granted(contact.expires.or(common.expires), rules)?;
    // More than one where a device that was bound by its Contact comes with a flow, or the other way.
    let replaced: Vec<Binding> = bindings
        .extract_if(.., |binding| contact.is_about(binding))
        .collect();
    // The very same REGISTER may name one Contact twice, in two spellings.
    let own = |held: &Binding| held.updated == common.now_ms && held.cseq == common.cseq;
    // A REGISTER that a node stored, and died before it could answer, comes once more: it is no newer, but it is the same.
    let again = |held: &Binding| {
        *held.call_id == *common.call_id
            && held.cseq == common.cseq
            && same_uri(&held.contact, contact.uri)
            && held.expires.saturating_sub(held.updated) == u64::from(seconds) * 1000
    };
    for held in replaced.iter().filter(|held| !own(held) && !again(held)) {
        in_order(held, common)?;
    }
    if seconds == 0 {
        return Ok(0);
    }
    let before = replaced
        .iter()
        .filter(|held| same_uri(&held.contact, contact.uri))
        .map(|held| held.created)
        .min();
    bindings.push(Binding {
        contact: contact.uri.into(),
        q: contact.q,
        instance: contact.instance.map(Into::into),
        reg_id: contact.reg_id,
        call_id: common.call_id.into(),
        cseq: common.cseq,
        path: common.path.clone(),
        user_agent: common.user_agent.clone(),
        created: before.unwrap_or(common.now_ms),
        updated: common.now_ms,
        expires: common.now_ms + u64::from(seconds) * 1000,
    });
    Ok(seconds)
}

/// A REGISTER that a later one of its Call-ID overtook changes nothing.
fn in_order(binding: &Binding, common: &Common<'_>) -> Result<(), Refusal> {
    match *binding.call_id == *common.call_id && common.cseq <= binding.cseq {
        true => Err(Refusal::OutOfOrder),
        false => Ok(()),
    }
}

/// The seconds that are granted; 0 removes.
fn granted(asked: Option<Interval>, rules: &Rules) -> Result<u32, Refusal> {
    match asked {
        None | Some(Interval::Malformed) => Ok(rules.default_expires),
        Some(Interval::Seconds(0)) => Ok(0),
        // RFC 3261 §10.2.8 lets nobody be told so who asks for an hour or more.
        Some(Interval::Seconds(seconds)) if seconds < rules.min_expires && seconds < 3600 => {
            Err(Refusal::TooBrief {
                min: rules.min_expires,
            })
        }
        Some(Interval::Seconds(seconds)) => Ok(seconds.min(rules.max_expires)),
    }
}

/// The value of a Contact of the 200, with what is left of its time in whole seconds.
pub(super) fn contact_value(binding: &Binding, now_ms: u64) -> Vec<u8> {
    let mut value = Vec::with_capacity(binding.contact.len() + 96);
    value.push(b'<');
    value.extend_from_slice(&binding.contact);
    let left = binding.expires.saturating_sub(now_ms).div_ceil(1000);
    value.extend_from_slice(format!(">;expires={left}").as_bytes());
    if binding.q != 1000 {
        value.extend_from_slice(format!(";q=0.{:03}", binding.q).as_bytes());
    }
    if let Some(instance) = &binding.instance {
        value.extend_from_slice(b";+sip.instance=");
        value.extend_from_slice(instance);
    }
    if let Some(reg_id) = binding.reg_id {
        value.extend_from_slice(format!(";reg-id={reg_id}").as_bytes());
    }
    value
}
