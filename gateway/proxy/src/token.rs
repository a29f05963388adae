//! Tokens: what the edge remembers of a call, carried by the messages themselves (SIGNALLING §1).
//!
//! A token is a short text of ours in a SIP URI or a Via branch. Nobody else can read it, it is good only for the
//! purpose it was made for, and the same input always gives the same bytes (RFC 3261 §16.11).
//!
//! ```text
//! header 1 | MAC 8 | payload, encrypted           then base64url without padding
//! header = version 1 bit, key id 2, purpose 3, address family 1, handed over 1
//! MAC    = HMAC-SHA256(header, payload, Call-ID in Record-Route and Via), cut to 8 bytes
//! stream = AES-128-CTR that starts from the MAC (SIV): no nonce to store, and equal only for equal input
//! ```
//! The address family bit is 0 where the flow is UDP over IPv4 (6 bytes). Where it is 1, the length tells the rest:
//! 18 bytes are UDP over IPv6, 6 are a connection.

pub mod base64url;
mod ends;
mod payload;

use std::net::SocketAddr;

use ctr::cipher::{InnerIvInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::{CtrCore, flavors};
use hmac::Mac;
use smallvec::SmallVec;
use subtle::ConstantTimeEq;

use crate::key::{Key, Keys};
use crate::media::Ends;

const MAC_BYTES: usize = 8;
const VERSION_BIT: u8 = 0x80;
const FAMILY_BIT: u8 = 0x02;
const HANDED_OVER_BIT: u8 = 0x01;

/// Where a token stands, and so what it is good for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Purpose {
    /// In a Path of a REGISTER: names the device's flow to the edge.
    Path,
    /// In the copy of our Record-Route that the core sees.
    RecordRouteCore,
    /// In the copy of our Record-Route that a device sees.
    RecordRouteDevice,
    /// In our Via branch.
    Via,
    /// In place of a Contact, where topology hiding or a group's settings ask for it.
    Contact,
    /// In our Via towards a device: the Vias of the core.
    Vias,
    /// In our Record-Route towards a device: the values of the core.
    Routes,
}

/// The content of a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Token {
    /// See [`Purpose::Path`].
    Path(PathToken),
    /// See [`Purpose::RecordRouteCore`].
    RecordRouteCore(RecordRouteCore),
    /// See [`Purpose::RecordRouteDevice`].
    RecordRouteDevice(RecordRouteDevice),
    /// See [`Purpose::Via`].
    Via(ViaToken),
    /// See [`Purpose::Contact`].
    Contact(ContactToken),
    /// See [`Purpose::Vias`].
    Vias(Lines),
    /// See [`Purpose::Routes`].
    Routes(Lines),
}

/// A flow of a device: the far address and our listener, or a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FlowAddress {
    /// The device's address as we see it. Flow label and scope of IPv6 are not kept.
    Udp(SocketAddr),
    /// A connection's number, 48 random bits drawn at accept; higher bits are cut off.
    Connection(u64),
}

/// Which way a pass through RTPEngine went when the dialog was made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Pass {
    /// Device to core.
    Up,
    /// Core to device.
    Down,
    /// Device to device.
    Local,
    /// Between two servers: a registrar stays in the way of a call from or to an edge, without media.
    Through,
}

impl Media {
    /// A pass without RTPEngine.
    pub const fn none(pass: Pass) -> Self {
        Self {
            node: u8::MAX,
            generation: 0,
            pass,
            ends: Ends::NONE,
        }
    }

    /// True when an RTPEngine is named.
    pub fn is_some(&self) -> bool {
        self.node != u8::MAX
    }
}

/// The RTPEngine of a call and the pass that used it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Media {
    /// The RTPEngine's number in the configuration.
    pub node: u8,
    /// How often the media was moved to another RTPEngine, 0 to 15; higher bits are cut off.
    pub generation: u8,
    /// The pass.
    pub pass: Pass,
    /// What the two copies of the Record-Route say of the ends; a Via says nothing of it.
    pub ends: Ends,
}

/// What a Path of ours holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PathToken {
    /// Our listener's number.
    pub listener: u8,
    /// The node that holds the flow.
    pub node: u16,
    /// The device's flow.
    pub flow: FlowAddress,
}

/// What the core's copy of our Record-Route holds: all that an in-dialog request towards the device needs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RecordRouteCore {
    /// Our listener's number.
    pub listener: u8,
    /// The node that holds the flow.
    pub node: u16,
    /// The device's flow when the dialog was made; the index of devices may know a newer one.
    pub flow: FlowAddress,
    /// Hash of AOR and instance.
    pub device: [u8; 4],
    /// The media of this pass.
    pub media: Media,
    /// The caller asked for privacy: the device never learns who holds this copy.
    pub anonymous: bool,
}

/// What a device's copy of our Record-Route holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RecordRouteDevice {
    /// The media of this pass.
    pub media: Media,
    /// True in the copy of the device that was called: RTPEngine's `delete` names the caller first, whoever hangs up.
    pub called: bool,
    /// The caller asked for privacy, which the copy of the other side has to say too.
    pub anonymous: bool,
    /// The device whose copy it is, where that is known: hash of AOR and instance.
    pub holder: Option<[u8; 4]>,
    /// The other side, if that is a device too; `None` for the core, which the next Route names.
    pub towards: Option<Towards>,
}

/// The device at the other side of a [`RecordRouteDevice`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Towards {
    /// Our listener's number.
    pub listener: u8,
    /// The node that holds the flow.
    pub node: u16,
    /// The device's flow.
    pub flow: FlowAddress,
    /// Hash of AOR and instance.
    pub device: [u8; 4],
}

/// What our Via branch holds, so that any node can treat a response or repeat the branch (SIGNALLING §3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ViaToken {
    /// The node that made the branch.
    pub node: u16,
    /// The media of this pass.
    pub media: Media,
    /// The INVITE had an offer, so its 2xx has the answer.
    pub offer: bool,
    /// See [`Sealer::transaction`].
    pub transaction: [u8; 8],
    /// The listener by which the request came: its response leaves there, wherever the next Via points.
    pub listener: u8,
    /// Where the request came from.
    pub source: FlowAddress,
    /// Of a REGISTER: the device that it registers, so that its answer tells where that device now is.
    pub device: Option<[u8; 4]>,
}

/// What a rewritten Contact holds.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ContactToken {
    /// The whole URI as it came.
    pub uri: Vec<u8>,
    /// The flow of the device whose Contact it is; `None` for one of the core.
    pub at: Option<PathToken>,
}

/// Header lines or values that were hidden, in their order; none is longer than 65,535 bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lines(pub Vec<Vec<u8>>);

/// Why a text is no token of ours, or not here.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenError {
    /// Not base64url, or too short.
    #[error("not a token")]
    Unreadable,
    /// Made by a version that we do not know.
    #[error("a token of an unknown version")]
    Version,
    /// A token of ours perhaps, but for another place.
    #[error("a token made for another purpose")]
    Purpose,
    /// Its key does not exist, does not verify yet, or no longer.
    #[error("a token of key {0}, which does not verify now")]
    Key(u8),
    /// It was not made by our cluster, was changed, or belongs to another Call-ID.
    #[error("a token that does not verify")]
    Forged,
    /// Its MAC is right, yet its content is none that this version writes.
    #[error("a token whose content is unknown")]
    Content,
}

/// Makes and reads the cluster's tokens. `call_id` counts in Record-Route and Via tokens and nowhere else: a Path or
/// a Contact outlives the call it came with.
#[derive(Clone, Debug)]
pub struct Sealer {
    keys: Keys,
}

impl Sealer {
    /// A sealer with these keys.
    pub fn new(keys: Keys) -> Self {
        Self { keys }
    }

    /// The keys, for what else the cluster signs.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The text of `token`. The same arguments give the same text for as long as the same key signs.
    pub fn seal(&self, token: &Token, call_id: Option<&[u8]>, now_unix: u64) -> String {
        self.seal_with(token, call_id, now_unix, 0)
    }

    /// The same with the handed-over bit set: on a request that goes to the node that holds the flow, so that it is
    /// handed on once and never in a circle (SIGNALLING §5).
    pub fn seal_handed_over(&self, token: &Token, call_id: Option<&[u8]>, now_unix: u64) -> String {
        self.seal_with(token, call_id, now_unix, HANDED_OVER_BIT)
    }

    fn seal_with(
        &self,
        token: &Token,
        call_id: Option<&[u8]>,
        now_unix: u64,
        handed_over: u8,
    ) -> String {
        let mut text = String::with_capacity(64);
        self.write(&mut text, token, call_id, now_unix, handed_over);
        text
    }

    /// [`seal`](Self::seal), behind what is there.
    pub(crate) fn seal_into(
        &self,
        text: &mut String,
        token: &Token,
        call_id: Option<&[u8]>,
        now_unix: u64,
    ) {
        self.write(text, token, call_id, now_unix, 0);
    }

    fn write(
        &self,
        text: &mut String,
        token: &Token,
        call_id: Option<&[u8]>,
        now_unix: u64,
        handed_over: u8,
    ) {
        let key = self.keys.signing(now_unix);
        let purpose = token.purpose();
        let (mut payload, family) = payload::write(token);
        let header =
            key.id() << 5 | purpose.code() << 2 | if family { FAMILY_BIT } else { 0 } | handed_over;
        let mac = mac(key, header, &payload, purpose.bound(call_id));
        crypt(key, &mac, &mut payload);
        let mut bytes: SmallVec<[u8; 64]> = SmallVec::new();
        bytes.push(header);
        bytes.extend_from_slice(&mac);
        bytes.extend_from_slice(&payload);
        base64url::encode_into(text, &bytes);
    }

    /// The content of `text`, if our cluster made it for `purpose` and this Call-ID.
    pub fn open(
        &self,
        purpose: Purpose,
        text: &[u8],
        call_id: Option<&[u8]>,
        now_unix: u64,
    ) -> Result<Token, TokenError> {
        let mut bytes = base64url::decode(text).ok_or(TokenError::Unreadable)?;
        let Some((&mut [header, ref mac_given @ ..], payload)) =
            bytes.split_first_chunk_mut::<{ 1 + MAC_BYTES }>()
        else {
            return Err(TokenError::Unreadable);
        };
        if header & VERSION_BIT != 0 {
            return Err(TokenError::Version);
        }
        if header >> 2 & 0x07 != purpose.code() {
            return Err(TokenError::Purpose);
        }
        let id = header >> 5 & 0x03;
        let key = self
            .keys
            .verifying(id, now_unix)
            .ok_or(TokenError::Key(id))?;
        crypt(key, mac_given, payload);
        let mac = mac(key, header, payload, purpose.bound(call_id));
        // In constant time: else the answer's delay tells how many bytes of a guess are right.
        if !bool::from(mac.ct_eq(mac_given)) {
            return Err(TokenError::Forged);
        }
        payload::read(purpose, payload, header & FAMILY_BIT != 0).ok_or(TokenError::Content)
    }

    /// True when the token was handed to the node that holds its flow. Says something only of a text that
    /// [`open`](Self::open) accepted.
    pub fn is_handed_over(text: &[u8]) -> bool {
        text.get(..4)
            .and_then(base64url::decode)
            .is_some_and(|bytes| bytes[0] & HANDED_OVER_BIT != 0)
    }

    /// The transaction part of a branch: a function of the received top branch, the request-URI and the chosen target,
    /// never of the method, so that CANCEL and ACK get the INVITE's (SIGNALLING §3, RFC 5393 §4.2.1).
    pub fn transaction(&self, parts: &[&[u8]], now_unix: u64) -> [u8; 8] {
        let mac = self.keys.signing(now_unix).mac("causeway branch", parts);
        let mut transaction = [0; 8];
        transaction.copy_from_slice(&mac[..8]);
        transaction
    }
}

impl Token {
    /// What this token is good for.
    pub fn purpose(&self) -> Purpose {
        match self {
            Token::Path(_) => Purpose::Path,
            Token::RecordRouteCore(_) => Purpose::RecordRouteCore,
            Token::RecordRouteDevice(_) => Purpose::RecordRouteDevice,
            Token::Via(_) => Purpose::Via,
            Token::Contact(_) => Purpose::Contact,
            Token::Vias(_) => Purpose::Vias,
            Token::Routes(_) => Purpose::Routes,
        }
    }
}

impl Purpose {
    fn code(self) -> u8 {
        match self {
            Purpose::Path => 0,
            Purpose::RecordRouteCore => 1,
            Purpose::RecordRouteDevice => 2,
            Purpose::Via => 3,
            Purpose::Contact => 4,
            Purpose::Vias => 5,
            Purpose::Routes => 6,
        }
    }

    fn bound(self, call_id: Option<&[u8]>) -> &[u8] {
        match self {
            Purpose::RecordRouteCore
            | Purpose::RecordRouteDevice
            | Purpose::Via
            | Purpose::Vias
            | Purpose::Routes => call_id.unwrap_or_default(),
            Purpose::Path | Purpose::Contact => &[],
        }
    }
}

fn mac(key: &Key, header: u8, payload: &[u8], call_id: &[u8]) -> [u8; MAC_BYTES] {
    let mut mac = key.token_mac();
    mac.update(&[header]);
    // The length keeps payload and Call-ID apart. A message is 64 KiB at most, so it fits.
    mac.update(&(payload.len() as u32).to_be_bytes());
    mac.update(payload);
    mac.update(call_id);
    let whole: [u8; 32] = mac.finalize().into_bytes().into();
    let mut short = [0; MAC_BYTES];
    short.copy_from_slice(&whole[..MAC_BYTES]);
    short
}

/// Encrypts and decrypts alike.
fn crypt(key: &Key, mac: &[u8; MAC_BYTES], payload: &mut [u8]) {
    let mut start = [0; 16];
    start[..MAC_BYTES].copy_from_slice(mac);
    let core = CtrCore::<_, flavors::Ctr128BE>::inner_iv_init(key.token_stream(), &start.into());
    StreamCipherCoreWrapper::from_core(core).apply_keystream(payload);
}

#[cfg(test)]
mod tests;
