//! Vectors, lengths and what must not pass.

use super::*;
use crate::media::ends::{End, POLICY_BITS};
use proptest::prelude::*;
use sdp::Profile;

const NOW: u64 = 1_785_542_400;
const CALL: Option<&[u8]> = Some(b"a84b4c76e66710@pc33.example.com");
const MEDIA: Media = Media {
    node: 3,
    generation: 1,
    pass: Pass::Up,
    ends: Ends::NONE,
};

/// The key 00 01 … 1f, as anyone can type it again.
fn sealer() -> Sealer {
    let mut secret = [0; 32];
    (0..).zip(&mut secret).for_each(|(i, byte)| *byte = i);
    Sealer::new(Keys::single(secret))
}

fn udp(text: &str) -> FlowAddress {
    FlowAddress::Udp(text.parse().unwrap())
}

fn path(flow: FlowAddress) -> Token {
    Token::Path(PathToken {
        listener: 2,
        node: 0x0107,
        flow,
    })
}

fn core(flow: FlowAddress) -> Token {
    Token::RecordRouteCore(RecordRouteCore {
        listener: 2,
        node: 0x0107,
        flow,
        device: *b"dev1",
        media: MEDIA,
        anonymous: false,
    })
}

fn device(flow: Option<FlowAddress>) -> Token {
    device_of(None, flow)
}

fn device_of(holder: Option<[u8; 4]>, flow: Option<FlowAddress>) -> Token {
    Token::RecordRouteDevice(RecordRouteDevice {
        media: MEDIA,
        called: false,
        anonymous: false,
        holder,
        towards: flow.map(|flow| Towards {
            listener: 2,
            node: 0x0107,
            flow,
            device: *b"dev1",
        }),
    })
}

fn via() -> Token {
    Token::Via(ViaToken {
        node: 0x0107,
        media: MEDIA,
        offer: true,
        transaction: *b"branched",
        listener: 2,
        source: udp("203.0.113.9:40000"),
        device: None,
    })
}

fn contact() -> Token {
    Token::Contact(ContactToken {
        uri: b"sip:alice@[2001:db8::9]:5060;transport=tcp".to_vec(),
        at: None,
    })
}

/// Every shape of token with its text under the key above, computed apart from this code (`vectors.py` beside it).
fn vectors() -> Vec<(&'static str, Token, &'static str)> {
    let v4 = udp("203.0.113.9:40000");
    let v6 = udp("[2001:db8::7]:5060");
    let connection = FlowAddress::Connection(0x1234_5678_9abc);
    vec![
        ("path, UDP over IPv4", path(v4), "AAxv17XX-dSzriSL_tuKgjtg"),
        (
            "path, UDP over IPv6",
            path(v6),
            "Am15wqyH_OT9WqcoAgOs47_zMSongyNt1nnUgl5U",
        ),
        (
            "path, connection",
            path(connection),
            "AsKw3J7ofrdhxtOfSXT08Yd1",
        ),
        (
            "rr-core, UDP over IPv4",
            core(v4),
            "BBRV4pDBvaE7QfYGmmIlbC-oxXW9fyyU",
        ),
        (
            "rr-core, UDP over IPv6",
            core(v6),
            "BgI0Ly9bGvq0pltQUtFO_28KvkOc8afVHAZwPtmbiHAPk02_",
        ),
        ("rr-device, core beyond", device(None), "CMBgB60qRAYfdsM"),
        (
            "rr-device, device beyond",
            device(Some(connection)),
            "CkWY4y1J6UWIptKokOZBHFBdPLeY3kBB",
        ),
        (
            "rr-device, core beyond, holder known",
            device_of(Some(*b"dev2"), None),
            "CKByjdrBuJs3gPQQr_iR",
        ),
        (
            "rr-device, device beyond, holder known",
            device_of(Some(*b"dev2"), Some(v6)),
            "CqFvMpLlhIJn4Da06AXW3VZoRfKgEyJn1lq2fPXFsC7KwvbTL1u1pg",
        ),
        ("via", via(), "DNNNmB5bR8BfaR_4Tyq78LQyp45xmGItdBsoVw"),
        (
            "contact",
            contact(),
            "ELvrnCUEDGsqNLpgCh1tBNW9GglWTAZ4QGNH-coSRYn8wsKsoSq7raYKqkZ-JFFl5ZwN8g",
        ),
    ]
}

#[test]
fn the_vectors_seal_and_open() {
    for (what, token, text) in vectors() {
        assert_eq!(sealer().seal(&token, CALL, NOW), text, "{what}");
        let opened = sealer().open(token.purpose(), text.as_bytes(), CALL, NOW);
        assert_eq!(opened, Ok(token), "{what}");
    }
}

#[test]
fn lengths_are_those_of_the_design() {
    let v4 = udp("203.0.113.9:40000");
    for (what, token, want) in [
        ("path", path(v4), 24),
        (
            "path, connection",
            path(FlowAddress::Connection(u64::MAX)),
            24,
        ),
        ("rr-core", core(v4), 32),
        ("rr-device, core beyond", device(None), 15),
        ("rr-device, device beyond", device(Some(v4)), 32),
        (
            "rr-device, core beyond, holder known",
            device_of(Some(*b"dev2"), None),
            20,
        ),
        (
            "rr-device, device beyond, holder known",
            device_of(Some(*b"dev2"), Some(v4)),
            38,
        ),
        ("via", via(), 38),
        ("contact", contact(), 70),
    ] {
        let text = sealer().seal(&token, CALL, NOW);
        println!("{what}: {} characters, {text}", text.len());
        assert_eq!(text.len(), want, "{what}");
    }
}

#[test]
fn no_bit_can_be_changed() {
    for (what, token, text) in vectors() {
        let bytes = base64url::decode(text.as_bytes()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 0x80 >> (bit % 8);
            let changed = base64url::encode(&changed);
            let opened = sealer().open(token.purpose(), changed.as_bytes(), CALL, NOW);
            assert!(opened.is_err(), "{what}: bit {bit}");
        }
    }
}

#[test]
fn a_token_is_good_for_its_purpose_and_its_call_only() {
    let purposes = [
        Purpose::Path,
        Purpose::RecordRouteCore,
        Purpose::RecordRouteDevice,
        Purpose::Via,
        Purpose::Contact,
        Purpose::Vias,
        Purpose::Routes,
    ];
    for (what, token, text) in vectors() {
        let open = |purpose, call| sealer().open(purpose, text.as_bytes(), call, NOW);
        for purpose in purposes
            .into_iter()
            .filter(|purpose| *purpose != token.purpose())
        {
            assert_eq!(
                open(purpose, CALL),
                Err(TokenError::Purpose),
                "{what} as {purpose:?}"
            );
        }
        let elsewhere = match token.purpose() {
            Purpose::Path | Purpose::Contact => Ok(token.clone()),
            _ => Err(TokenError::Forged),
        };
        assert_eq!(open(token.purpose(), Some(b"another")), elsewhere, "{what}");
        assert_eq!(open(token.purpose(), None), elsewhere, "{what}");
    }
}

#[test]
fn what_does_not_verify_says_why() {
    let good = sealer().seal(&path(udp("203.0.113.9:40000")), None, NOW);
    let foreign =
        Sealer::new(Keys::single([9; 32])).seal(&path(udp("203.0.113.9:40000")), None, NOW);
    let with_header = |header: u8| {
        let mut bytes = base64url::decode(good.as_bytes()).unwrap();
        bytes[0] = header;
        base64url::encode(&bytes)
    };
    for (text, want) in [
        (String::new(), TokenError::Unreadable),
        ("user".into(), TokenError::Unreadable),
        ("AAAAAAAAAAA".into(), TokenError::Unreadable),
        (format!("{good}="), TokenError::Unreadable),
        (format!("{good}A"), TokenError::Unreadable),
        (foreign, TokenError::Forged),
        (good[..20].into(), TokenError::Forged),
        (with_header(0x80), TokenError::Version),
        (with_header(0x40), TokenError::Key(2)),
        (with_header(0x04), TokenError::Purpose),
        (with_header(0x02), TokenError::Forged),
    ] {
        let opened = sealer().open(Purpose::Path, text.as_bytes(), None, NOW);
        assert_eq!(opened, Err(want), "{text}");
    }
}

#[test]
fn content_that_no_version_writes_is_refused_even_when_it_verifies() {
    for (purpose, payload, family) in [
        (Purpose::Path, &b"\x02\x01\x07"[..], false),
        (Purpose::Path, b"\x02\x01\x07\0\0\0\0\0", true),
        (Purpose::RecordRouteDevice, b"\x03\x07", false),
        (
            Purpose::RecordRouteCore,
            b"\x03\x03devi\x02\0\x01abcdef",
            false,
        ),
        (Purpose::RecordRouteDevice, b"\x03\x0b", false),
        (Purpose::RecordRouteDevice, b"\x03\x00", true),
        (Purpose::RecordRouteDevice, b"\x03\x00dev2", true),
        (Purpose::RecordRouteDevice, b"\x03\x00dev", false),
        (Purpose::RecordRouteDevice, b"\x03\x00dev22", false),
        (Purpose::RecordRouteDevice, b"\x03\x03dev2", false),
        (Purpose::Via, b"\x03\x08branched\x02\0\x01abcdef", false),
        (Purpose::Via, b"\x03\x00branched\x02\0\x01abcdefghij", false),
        (Purpose::Via, b"\x03\x00branched\x02\0\x01abcdefg", true),
        (Purpose::Via, b"\x03\x00branched\x02\0\x01abcdefg", false),
        (Purpose::Contact, b"\0sip:x", true),
        (Purpose::Contact, b"", false),
        (Purpose::Contact, b"\x80sip:x", false),
        (Purpose::Contact, b"\x09sip:x", false),
        (Purpose::Contact, b"\x03abcsip:x", false),
        (Purpose::Vias, b"\0\x02a", false),
        (Purpose::Routes, b"\0\x01a\0", false),
        (Purpose::Routes, b"\0\x01a", true),
    ] {
        assert_eq!(
            payload::read(purpose, payload, family),
            None,
            "{purpose:?} {payload:?}"
        );
    }
}

#[test]
fn a_token_survives_the_change_of_keys_for_its_lifetime() {
    let line = |id, from: u64| format!("{id} {}{id} 0 {from}\n", "0".repeat(63));
    let before = Sealer::new(Keys::parse(&line(0, 0)).unwrap());
    let after = Sealer::new(Keys::parse(&(line(0, 0) + &line(1, NOW))).unwrap());
    let token = path(udp("203.0.113.9:40000"));
    let old = before.seal(&token, None, NOW);
    assert_eq!(after.seal(&token, None, NOW - 1), old);
    let new = after.seal(&token, None, NOW);
    assert_ne!(new, old);
    let open = |text: &str, now| after.open(Purpose::Path, text.as_bytes(), None, now);
    assert_eq!(open(&old, NOW + 25 * 3600), Ok(token.clone()));
    assert_eq!(open(&old, NOW + 25 * 3600 + 1), Err(TokenError::Key(0)));
    assert_eq!(open(&new, NOW), Ok(token));
}

#[test]
fn the_handed_over_bit_is_signed_and_seen() {
    let token = path(FlowAddress::Connection(7));
    let plain = sealer().seal(&token, None, NOW);
    let handed = sealer().seal_handed_over(&token, None, NOW);
    assert_eq!(plain.len(), handed.len());
    assert!(!Sealer::is_handed_over(plain.as_bytes()));
    assert!(Sealer::is_handed_over(handed.as_bytes()));
    assert_eq!(
        sealer().open(Purpose::Path, handed.as_bytes(), None, NOW),
        Ok(token)
    );
}

#[test]
fn a_transaction_is_a_function_of_its_parts_and_the_key() {
    let parts: [&[u8]; 3] = [
        b"z9hG4bK776asdhds",
        b"sip:bob@example.com",
        b"192.0.2.4:5060",
    ];
    let same = sealer().transaction(&parts, NOW);
    assert_eq!(sealer().transaction(&parts, NOW), same);
    assert_ne!(sealer().transaction(&parts[..2], NOW), same);
    assert_ne!(
        Sealer::new(Keys::single([9; 32])).transaction(&parts, NOW),
        same
    );
}

fn any_flow() -> impl Strategy<Value = FlowAddress> {
    prop_oneof![
        any::<([u8; 4], u16)>().prop_map(|address| FlowAddress::Udp(address.into())),
        any::<([u16; 8], u16)>().prop_map(|address| FlowAddress::Udp(address.into())),
        (0..1u64 << 48).prop_map(FlowAddress::Connection),
    ]
}

fn any_media() -> impl Strategy<Value = Media> {
    let pass = prop_oneof![Just(Pass::Up), Just(Pass::Down), Just(Pass::Local)];
    (any::<u8>(), 0..16u8, pass).prop_map(|(node, generation, pass)| Media {
        node,
        generation,
        pass,
        ends: Ends::NONE,
    })
}

/// What a Record-Route says, which knows the ends.
fn any_call() -> impl Strategy<Value = Media> {
    let profile = || {
        proptest::option::of(prop_oneof![
            Just(Profile::WebRtc),
            Just(Profile::DtlsSrtp),
            Just(Profile::SrtpSdes),
            Just(Profile::SrtpOptional),
            Just(Profile::Rtp),
        ])
    };
    let policy = || prop_oneof![Just(0), 0..=POLICY_BITS];
    let end = move || (profile(), policy()).prop_map(|(profile, policy)| End { profile, policy });
    (any_media(), end(), end()).prop_map(|(media, caller, called)| Media {
        ends: Ends { caller, called },
        ..media
    })
}

fn any_towards() -> impl Strategy<Value = Towards> {
    (any::<u8>(), any::<u16>(), any_flow(), any::<[u8; 4]>()).prop_map(
        |(listener, node, flow, device)| Towards {
            listener,
            node,
            flow,
            device,
        },
    )
}

fn any_token() -> impl Strategy<Value = Token> {
    let path = any_towards().prop_map(|other| {
        Token::Path(PathToken {
            listener: other.listener,
            node: other.node,
            flow: other.flow,
        })
    });
    let core = (any_towards(), any_call(), any::<bool>()).prop_map(|(other, media, anonymous)| {
        Token::RecordRouteCore(RecordRouteCore {
            listener: other.listener,
            node: other.node,
            flow: other.flow,
            device: other.device,
            media,
            anonymous,
        })
    });
    let device = (
        any_call(),
        any::<(bool, bool)>(),
        proptest::option::of(any::<[u8; 4]>()),
        proptest::option::of(any_towards()),
    )
        .prop_map(|(media, (called, anonymous), holder, towards)| {
            Token::RecordRouteDevice(RecordRouteDevice {
                media,
                called,
                anonymous,
                holder,
                towards,
            })
        });
    let device_of_register = proptest::option::of(any::<[u8; 4]>());
    let through = any_media().prop_map(|media| {
        let media = Media {
            pass: Pass::Through,
            ..media
        };
        Token::RecordRouteDevice(RecordRouteDevice {
            media,
            called: false,
            anonymous: false,
            holder: None,
            towards: None,
        })
    });
    let via = (
        any_towards(),
        any_media(),
        any::<bool>(),
        any::<[u8; 8]>(),
        device_of_register,
    )
        .prop_map(|(other, media, offer, transaction, device)| {
            Token::Via(ViaToken {
                node: other.node,
                media,
                offer,
                transaction,
                listener: other.listener,
                source: other.flow,
                device,
            })
        });
    let at = proptest::option::of(any_towards().prop_map(|at| PathToken {
        listener: at.listener,
        node: at.node,
        flow: at.flow,
    }));
    let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
    let contact = (bytes(), at).prop_map(|(uri, at)| Token::Contact(ContactToken { uri, at }));
    let lines =
        (any::<bool>(), proptest::collection::vec(bytes(), 0..9)).prop_map(|(vias, lines)| {
            match vias {
                true => Token::Vias(Lines(lines)),
                false => Token::Routes(Lines(lines)),
            }
        });
    prop_oneof![path, core, device, through, via, contact, lines]
}

proptest! {
    #[test]
    fn every_token_comes_back(token in any_token(), call in any::<Vec<u8>>(), key in any::<[u8; 32]>()) {
        let sealer = Sealer::new(Keys::single(key));
        let text = sealer.seal(&token, Some(&call), NOW);
        prop_assert_eq!(&sealer.seal(&token, Some(&call), NOW), &text);
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
        prop_assert_eq!(sealer.open(token.purpose(), text.as_bytes(), Some(&call), NOW), Ok(token));
    }

    #[test]
    fn no_text_panics_and_none_is_taken_for_a_token(text in any::<Vec<u8>>(), purpose in 0..7usize) {
        let purpose = [Purpose::Path, Purpose::RecordRouteCore, Purpose::RecordRouteDevice, Purpose::Via, Purpose::Contact, Purpose::Vias, Purpose::Routes][purpose];
        prop_assert!(sealer().open(purpose, &text, None, NOW).is_err());
        prop_assert!(sealer().open(purpose, base64url::encode(&text).as_bytes(), None, NOW).is_err());
    }
}
