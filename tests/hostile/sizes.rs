//! What a message weighs when it arrives (SIGNALLING §8): the captured INVITEs of FreeSWITCH and of browsers through a running
//! edge with its RTPEngine, to a phone that counts bytes; and over a cable that loses fragments, to a phone that rings.
//!
//! All of it runs in a network namespace with the addresses of the capture, so that every byte is the case study's.

mod browser;
mod device;
mod fragments;
mod meaning;
mod message;
mod stage;

use std::time::Duration;

use causeway_tests::{data, namespace};
use device::Device;
use message::{call_id, with_route};
use stage::Stage;

/// How long the whole may take.
const LIMIT: Duration = Duration::from_secs(120);

/// The addresses of the capture (`tests/data/captured/chain/README.md`), all on loopback.
fn addresses() -> String {
    let own = [
        stage::EDGE,
        stage::EDGE_INSIDE,
        stage::REGISTRAR,
        stage::FREESWITCH,
        stage::PHONE,
    ];
    own.map(stage::local).concat()
}

/// Whose INVITE it is, as it came to the edge of the capture, and as that one sent it on.
const INVITES: &[(&str, &str, &str)] = &[
    (
        "the case study's",
        "b1_invite_unstripped/003_reg1_to_edge",
        "b1_invite_unstripped/005_edge_to_device",
    ),
    (
        "stripped",
        "b2_invite_stripped/002_reg1_to_edge",
        "b2_invite_stripped/003_edge_to_device",
    ),
    (
        "by a token",
        "b3_invite_token/002_reg1_to_edge",
        "b3_invite_token/003_edge_to_device",
    ),
    (
        "lean FreeSWITCH",
        "b5_invite_lean_fs/002_reg1_to_edge",
        "b5_invite_lean_fs/003_edge_to_device",
    ),
    (
        "PCMU only",
        "b6_invite_pcmu_only/002_reg1_to_edge",
        "b6_invite_pcmu_only/003_edge_to_device",
    ),
    (
        "dual-homed",
        "b8_invite_dual_homed/002_reg1_to_edge-priv",
        "b8_invite_dual_homed/003_edge_to_device",
    ),
    (
        "two alternatives",
        "f1_offer_two_m_lines/002_reg1_to_edge",
        "f1_offer_two_m_lines/003_edge_to_device",
    ),
    (
        "without an SDP",
        "f4_offerless_invite_of_fs/005_reg1_to_edge",
        "f4_offerless_invite_of_fs/006_edge_to_device",
    ),
    (
        "P-Asserted-Identity",
        "k3_identity_pai_no_privacy/002_reg1_to_edge",
        "k3_identity_pai_no_privacy/003_edge_to_device",
    ),
    (
        "FreeSWITCH's WebRTC",
        "n1_fs_webrtc_offer_unstripped/002_reg1_to_edge",
        "n1_fs_webrtc_offer_unstripped/003_edge_to_device",
    ),
];

fn heading() {
    println!("sizes: INVITE                 came  capture's edge  ours  spent");
}

/// Of an INVITE: what came, what the capture's edge made of it, and what arrived.
fn weigh(who: &str, [came, theirs, arrived]: [&str; 3], spent: &str) {
    let ours = arrived.len();
    println!(
        "sizes: {who:20} {:6} {:15} {ours:5}  {spent}",
        came.len(),
        theirs.len()
    );
    assert!(ours <= 1300, "{who}: {ours} bytes\n{arrived}");
    meaning::is_the_same(who, came, arrived);
}

#[tokio::test]
async fn every_captured_invite_reaches_a_phone_in_1300_bytes_and_means_the_same() {
    namespace::play("sizes::inside", &addresses(), "sizes: ", LIMIT)
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "runs in a network namespace, started by the test above"]
async fn inside() {
    namespace::must_be_inside();
    let mut stage = Stage::start("").await;
    let phone = Device::bind(stage::PHONE_PORT).await;
    phone.register("221222", "sbc.rig.test", "").await;
    let path = stage.path_of("221222").await;
    heading();
    for (who, came, theirs) in INVITES {
        let [came, theirs] = [came, theirs]
            .map(|name| data::read_text(&format!("captured/chain/{name}_INVITE.sip")).unwrap());
        let before = stage.figures.spent().await;
        stage.send(&with_route(&came, &path)).await;
        let arrived = phone.hears("INVITE ", call_id(&came)).await;
        let spent = stage.figures.spent_since(&before).await;
        weigh(who, [&came, &theirs, &arrived], &spent);

        phone.answers(&arrived, "486 Busy Here").await;
        let refused = stage.hears("SIP/2.0 486 ", call_id(&came)).await;
        meaning::answers(who, &came, &refused);
        stage.acknowledge(&came, &refused).await;
    }
    assert_eq!(stage.figures.too_long().await, 0);
    drop(stage);
    browser::its_invite_reaches_a_phone().await;
}
