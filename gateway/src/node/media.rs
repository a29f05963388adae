//! From the configuration to what it wants of media, section by section.

use std::sync::Arc;

use proxy::media::codec::Codec;
use proxy::media::policy::{Anchor, Dtmf, Family, Policies, Policy, Sections, Wanted};

use crate::config::{self, AnchorWord, CodecName, Config, DtmfWord, FamilyWord, Profile};

/// What every section says of media.
pub(super) fn policies(config: &Config) -> Policies {
    let lower = |name: &String| name.to_ascii_lowercase();
    let mut listeners = Vec::new();
    for (name, section) in &config.listen {
        let policy = policy(&section.media.0);
        let each = section.sockets();
        listeners.extend(each.map(|_| (name.clone(), policy.clone())));
    }
    let mut users = Vec::new();
    for (name, domain) in &config.domain {
        let each = domain
            .users
            .iter()
            .map(|user| (user, policy(&user.media.0)));
        users.extend(
            each.filter(|(_, policy)| !policy.is_empty())
                .map(|(user, policy)| (user.name.clone(), lower(name), policy)),
        );
    }
    Policies::new(Sections {
        everywhere: policy(&config.media.policy),
        listeners,
        groups: config
            .group
            .iter()
            .map(|(name, group)| (name.clone(), policy(&group.media.0)))
            .collect(),
        domains: config
            .domain
            .iter()
            .map(|(name, domain)| (lower(name), policy(&domain.media.0)))
            .collect(),
        users,
    })
}

/// The same in the proxy's words.
fn policy(said: &config::MediaPolicy) -> Policy {
    let codecs = |names: &[CodecName]| -> Option<Arc<[Codec]>> {
        (!names.is_empty()).then(|| names.iter().map(|name| name.0).collect())
    };
    Policy {
        profile: said.profile.map(|word| match word {
            Profile::WebRtc => Wanted::WebRtc,
            Profile::Rtp => Wanted::Rtp,
            Profile::Srtp => Wanted::Srtp,
            Profile::Auto => Wanted::Auto,
        }),
        anchor: said.anchor.map(|word| match word {
            AnchorWord::Always => Anchor::Always,
            AnchorWord::Bridging => Anchor::Bridging,
            AnchorWord::Never => Anchor::Never,
        }),
        codecs_allow: codecs(&said.codecs.allow),
        codecs_deny: codecs(&said.codecs.deny),
        codecs_order: codecs(&said.codecs.order),
        transcode: codecs(&said.transcode),
        dtmf: said.dtmf.map(|word| match word {
            DtmfWord::Auto => Dtmf::Auto,
            DtmfWord::Rfc4733 => Dtmf::Rfc4733,
            DtmfWord::Info => Dtmf::Info,
        }),
        record: said.record,
        interface: said.interface.as_deref().map(Arc::from),
        address_family: said.address_family.map(|word| match word {
            FamilyWord::Auto => Family::Auto,
            FamilyWord::Inet => Family::Inet,
            FamilyWord::Inet6 => Family::Inet6,
        }),
        ptime: said.ptime,
    }
}
