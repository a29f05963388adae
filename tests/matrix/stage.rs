//! Where the calls of the matrix take place: one gateway that is edge and registrar at once, beside an RTPEngine in user space.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::{Result, bail};
use causeway_tests::agent::{Account, Kind};
use causeway_tests::gateway::Gateway;
use causeway_tests::party::{Phone, Profile};
use causeway_tests::ports;
use causeway_tests::raw;
use causeway_tests::rtpengine::RtpEngine;
use causeway_tests::scene::{DOMAIN, PASSWORD};

/// A gateway with its RTPEngine.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    pub(crate) engine: RtpEngine,
    sip: SocketAddr,
    tls: SocketAddr,
    wss: SocketAddr,
}

impl Stage {
    /// Starts both, with these users.
    pub(crate) async fn set(users: &[String]) -> Result<Self> {
        let engine = RtpEngine::start_with(&["--timeout=3600", "--silent-timeout=3600"]).await?;
        let [sip, tls, wss] = [(); 3].map(|()| ports::free_address());
        let mut config = format!(
            "[node]\ndata_dir = \"@FOLDER@/data\"\nworkers = 1\n\
             [media]\nrtpengine = \"{}\"\ndelete_delay = \"1s\"\n\
             [listen.phones]\nudp = \"{sip}\"\ntcp = \"{sip}\"\ntls = \"{tls}\"\n\
             [listen.browsers]\nwss = \"{wss}\"\npage = true\n",
            engine.ng
        );
        for listener in ["phones", "browsers"] {
            write!(
                config,
                "[listen.{listener}.certificate]\nchain = \"@FOLDER@/certificate.pem\"\nkey = \"@FOLDER@/key.pem\"\n"
            )?;
        }
        for user in users {
            write!(
                config,
                "[[domain.\"{DOMAIN}\".users]]\nname = \"{user}\"\npassword = \"{PASSWORD}\"\n"
            )?;
        }
        let gateway = Gateway::start(&config).await?;
        Ok(Stage {
            gateway,
            engine,
            sip,
            tls,
            wss,
        })
    }

    /// A phone of ours, registered.
    pub(crate) async fn phone(&self, profile: Profile, user: &str, number: u32) -> Result<Phone> {
        let kind = profile.transport();
        let server = match kind {
            Kind::Udp => self.sip,
            Kind::Tls => self.tls,
            Kind::Wss => self.wss,
            kind => bail!("no phone registers over {kind:?} here"),
        };
        let account = Account {
            user,
            domain: DOMAIN,
            password: PASSWORD,
            kind,
            server,
        };
        let trust = raw::trusting(&self.gateway.certificate())?;
        Phone::registered(profile, &account, Some(&trust), number).await
    }

    /// The ends of both logs.
    pub(crate) fn logs(&self) -> String {
        let tails = [&self.gateway.process, &self.engine.process];
        tails.map(|process| process.log_tail()).join("\n")
    }
}
