//! `[media.policy]`, and `media` of a listener, group, domain or user: what is wanted of a leg's media.
use proxy::media::codec::Codec;

use super::Config;
use super::check::Checks;
use super::reader::{Item, Reader};
use super::schema::{Inside, Setting, section};
use super::value::{text, unknown_word, words};

section! {
    /// What is wanted of the media of a leg: here for all of them. `[listen.NAME.media]`, `[group.NAME.media]` (the legs to and from its members), `[domain."NAME".media]` and `media = { … }` of a user have the same keys. For each key the most specific section that has it counts: the user's, else his domain's, else the group's, else the listener's, else this one's; `causeway explain` says which it was. What a leg says itself about its kind is always believed: the policy decides what it is offered. `media = "srtp"` is short for `media = { profile = "srtp" }`.
    pub struct MediaPolicy shorthand profile {
        /// Which kind of media the leg is offered. `"webrtc"`: DTLS-SRTP with ICE. `"rtp"`: plain RTP. `"srtp"`: RTP/SAVP with keys in the SDP (SDES) and two suites, for phones over TLS. `"auto"`: by its flow, WebRTC over WebSocket and plain RTP otherwise. The wrong one, and the phone refuses the call.
        pub profile: Option<Profile> = None;
        /// Which calls RTPEngine carries. `"always"`, which holds where nobody says anything. `"bridging"`: those whose ends are of different kinds, with one behind NAT or in another network, with `hide_topology`, or for which something else here is to be done; the SDP of others passes as it is, and nothing of them is ever told to RTPEngine. `"never"`: none, even if its ends then hear nothing. Of the two ends of a call the stricter one counts. What was decided when a call began holds to its end.
        pub anchor: Option<AnchorWord> = None;
        /// Which codecs, and in which order.
        pub codecs: Codecs = Codecs::default();
        /// Codecs that the leg is offered although the other end does not have them: RTPEngine makes one of the other, if the leg takes one of them and nothing that both have. Each such call costs a few percent of a core.
        pub transcode: Vec<CodecName> = Vec::new();
        /// How the leg takes keys. `"auto"`: as they come. `"rfc4733"`: as telephone events in its RTP; an INFO with a key that the other end sends is answered here and made into one, and all audio of the call passes through RTPEngine's transcoder for that. `"info"`: an INFO goes on as it is, whatever a less specific section says. Telephone events are never made into INFO.
        pub dtmf: Option<DtmfWord> = None;
        /// RTPEngine records the call: where, its own `recording-dir` says, and whether as pcap, its `recording-method`; without them nothing is written. The recording's metadata is the Call-ID. One end that says so is enough.
        pub record: Option<bool> = None;
        /// The name of RTPEngine's interface that faces the leg (`interface = pub/203.0.113.7` in rtpengine.conf). If one is named, each listener needs one. A name that RTPEngine does not know is its default one.
        pub interface: Option<String> = None;
        /// Which addresses the leg is shown. `"inet"`: IPv4. `"inet6"`: IPv6. `"auto"`: those of its signalling. An RTPEngine without an address of that family shows the one that it has.
        pub address_family: Option<FamilyWord> = None;
        /// The packet time that the leg is asked for, in milliseconds. RTPEngine packs anew only where it transcodes.
        pub ptime: Option<u16> = None, within(Some(10), Some(120));
    }
}

section! {
    /// Codecs by name, such as `"opus"`, `"G722"`, `"PCMA"`, `"VP8"`. `"telephone-event"`, `"CN"`, `"red"`, `"rtx"`, `"ulpfec"` pass unless they are denied.
    pub struct Codecs {
        /// The only ones that the leg may use. Audio codecs here say nothing of video, and the other way round. An offer of which nothing is left is answered 488; a line of which nothing is left is rejected.
        pub allow: Vec<CodecName> = Vec::new();
        /// Those that it may not use.
        pub deny: Vec<CodecName> = Vec::new();
        /// Those that it is offered first, in this order; the others follow in the order of who offers them.
        pub order: Vec<CodecName> = Vec::new();
    }
}

words! {
    /// Which kind of media a leg is offered.
    pub enum Profile {
        /// DTLS-SRTP with ICE.
        WebRtc = "webrtc",
        /// Plain RTP.
        Rtp = "rtp",
        /// SDES.
        Srtp = "srtp",
        /// By its flow.
        Auto = "auto",
    }
}

words! {
    /// Which calls RTPEngine carries.
    pub enum AnchorWord {
        /// All.
        Always = "always",
        /// Those that need it.
        Bridging = "bridging",
        /// None.
        Never = "never",
    }
}

words! {
    /// How a leg takes keys.
    pub enum DtmfWord {
        /// As they come.
        Auto = "auto",
        /// As telephone events.
        Rfc4733 = "rfc4733",
        /// As INFO.
        Info = "info",
    }
}

words! {
    /// Which addresses a leg is shown.
    pub enum FamilyWord {
        /// Those of its signalling.
        Auto = "auto",
        /// IPv4.
        Inet = "inet",
        /// IPv6.
        Inet6 = "inet6",
    }
}

/// A codec's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodecName(
    /// The codec.
    pub Codec,
);

impl Setting for CodecName {
    fn kind() -> String {
        "a codec's name".to_owned()
    }
    fn example() -> String {
        "\"PCMA\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let written = text::<Self>(item, reader)?;
        let codec = Codec::named(written).map(Self);
        if codec.is_none() {
            let names: Vec<&str> = Codec::names().collect();
            unknown_word(written, &names, item, reader);
        }
        codec
    }
    fn show(&self) -> String {
        format!("\"{}\"", self.0.name())
    }
}

/// The same section in another one: its keys are described once, at `[media.policy]`.
#[derive(Debug, Clone, Default)]
pub struct LegMedia(
    /// What it says.
    pub MediaPolicy,
);

impl Setting for LegMedia {
    fn kind() -> String {
        "a table as `[media.policy]`, or a profile".to_owned()
    }
    fn example() -> String {
        "{ profile = \"srtp\" }".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        MediaPolicy::read(item, reader).map(Self)
    }
    fn show(&self) -> String {
        String::new()
    }
    fn inside() -> Option<Inside> {
        None
    }
}

impl MediaPolicy {
    /// True if it says nothing.
    fn is_empty(&self) -> bool {
        self.profile.is_none()
            && self.anchor.is_none()
            && self.codecs.allow.is_empty()
            && self.codecs.deny.is_empty()
            && self.codecs.order.is_empty()
            && self.transcode.is_empty()
            && self.dtmf.is_none()
            && self.record.is_none()
            && self.interface.is_none()
            && self.address_family.is_none()
            && self.ptime.is_none()
    }

    /// What contradicts itself in one section.
    pub(crate) fn check(&self, at: &str, checks: &mut Checks<'_>) {
        let codecs = &self.codecs;
        for (index, denied) in codecs.deny.iter().enumerate() {
            if codecs.allow.contains(denied) {
                let message = format!("{} is both allowed and denied", denied.show());
                let found = checks
                    .source
                    .error(&format!("{at}.codecs.deny[{index}]"), message);
                checks
                    .push(found.help("`allow` names the only ones; take it out of one of the two"));
            }
        }
        for (index, first) in codecs.order.iter().enumerate() {
            let is_lost = codecs.deny.contains(first)
                || !codecs.allow.is_empty() && !codecs.allow.contains(first);
            if is_lost {
                let message = format!("{} is offered to nobody: it is not allowed", first.show());
                let found = checks
                    .source
                    .error(&format!("{at}.codecs.order[{index}]"), message);
                checks.push(found.help("take it out, or allow it"));
            }
        }
        for (index, added) in self.transcode.iter().enumerate() {
            let place = format!("{at}.transcode[{index}]");
            if !added.0.is_encoded() {
                let message = format!("RTPEngine cannot make {}", added.show());
                let found = checks.source.error(&place, message);
                checks.push(found.help(
                    "one of \"PCMA\", \"PCMU\", \"G722\", \"opus\", \"G729\", \"GSM\", \"speex\", \"G723\"",
                ));
            } else if codecs.deny.contains(added)
                || !codecs.allow.is_empty() && !codecs.allow.contains(added)
            {
                let message = format!("{} is transcoded into, but not allowed", added.show());
                let found = checks.source.error(&place, message);
                checks.push(found.help("take it out, or allow it"));
            }
        }
        if let Some(name) = &self.interface
            && (name.is_empty() || name.contains(|c: char| c.is_whitespace() || "/;,".contains(c)))
        {
            let found = checks.source.error(
                &format!("{at}.interface"),
                format!("`{name}` cannot be the name of an interface"),
            );
            checks.push(found.help(
                "what stands before the `/` of `interface` in rtpengine.conf, such as \"pub\"",
            ));
        }
        if self.anchor == Some(AnchorWord::Never) {
            let lost = [
                ("record", self.record == Some(true)),
                ("transcode", !self.transcode.is_empty()),
                ("dtmf", self.dtmf == Some(DtmfWord::Rfc4733)),
                ("interface", self.interface.is_some()),
            ];
            if let Some((key, _)) = lost.iter().find(|(_, is_said)| *is_said) {
                let found = checks.source.warning_at_key(
                    &format!("{at}.{key}"),
                    format!("with `anchor = \"never\"` RTPEngine never hears of `{key}`"),
                );
                checks.push(found.help("`anchor = \"bridging\"` takes it for a reason to anchor"));
            }
        }
    }
}

/// Every section that speaks of media, with its path.
fn all(config: &Config) -> Vec<(String, &MediaPolicy)> {
    let mut all = vec![("media.policy".to_owned(), &config.media.policy)];
    for (name, listen) in &config.listen {
        all.push((format!("listen.{name}.media"), &listen.media.0));
    }
    for (name, group) in &config.group {
        all.push((format!("group.{name}.media"), &group.media.0));
    }
    for (name, domain) in &config.domain {
        all.push((format!("domain.{name}.media"), &domain.media.0));
        for (index, user) in domain.users.iter().enumerate() {
            all.push((format!("domain.{name}.users[{index}].media"), &user.media.0));
        }
    }
    all
}

/// What the policies and the rest of the file say of each other. Each section has been checked by itself.
pub(super) fn check(config: &Config, checks: &mut Checks<'_>) {
    let all = all(config);
    let hides = config
        .listen
        .iter()
        .find(|(_, listen)| listen.hide_topology)
        .map(|(name, _)| name);
    for (at, policy) in &all {
        if let (Some(AnchorWord::Never), Some(name)) = (policy.anchor, hides) {
            let found = checks.source.warning(
                &format!("{at}.anchor"),
                format!(
                    "[listen.{name}] hides the topology, but an SDP that passes as it is shows it"
                ),
            );
            checks.push(found.help("\"bridging\" anchors the calls of a side that hides"));
        }
    }
    for (name, listen) in &config.listen {
        let only_browsers = listen
            .sockets()
            .all(|(transport, _)| transport.is_websocket())
            && listen.sockets().next().is_some();
        if let Some(word @ (Profile::Rtp | Profile::Srtp)) = listen.media.0.profile
            && only_browsers
        {
            let found = checks.source.error(
                &format!("listen.{name}.media"),
                format!("browsers come in here, and none speaks \"{}\"", word.word()),
            );
            checks.push(found.help("\"webrtc\", or \"auto\""));
        }
    }
    interfaces(config, &all, checks);
    let said = all.iter().find(|(_, policy)| !policy.is_empty());
    if let Some((at, _)) = said
        .filter(|_| config.media.rtpengine.is_empty() && !checks.source.wrote("media.rtpengine"))
    {
        let found = checks
            .source
            .warning_at_key(at, "a media policy, but no RTPEngine that could follow it");
        checks.push(found.help("add [media] with `rtpengine = \"127.0.0.1:2223\"`"));
    }
}

/// RTPEngine is told both interfaces of a call or none.
fn interfaces(config: &Config, all: &[(String, &MediaPolicy)], checks: &mut Checks<'_>) {
    let named = all.iter().find(|(_, policy)| policy.interface.is_some());
    let (Some((at, _)), None) = (named, &config.media.policy.interface) else {
        return;
    };
    let lacking = config
        .listen
        .iter()
        .find(|(_, listen)| listen.media.0.interface.is_none());
    if let Some((name, _)) = lacking {
        let found = checks.source.error(
            &format!("{at}.interface"),
            format!(
                "the legs of [listen.{name}] have no interface: RTPEngine needs that of both ends"
            ),
        );
        checks.push(found.help(format!(
            "add `interface` to [listen.{name}.media], or one for all to [media.policy]"
        )));
    }
}
