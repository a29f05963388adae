//! ICE (RFC 8445) and DTLS (RFC 6347) on one socket, by libraries that have neither socket nor clock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow};
use dimpl::{Dtls, DtlsCertificate, Output, SrtpProfile};
use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgent, IceAgentEvent, IceCreds, Protocol};
use rcgen::{CertificateParams, KeyPair};
use rtc_srtp::protection_profile::ProtectionProfile;
use sha2::{Digest, Sha256};

use super::cipher::Ciphers;
use super::description::{Credentials, Line};

/// A self-signed certificate, and how SDP names it.
#[derive(Clone)]
pub(super) struct Identity {
    certificate: DtlsCertificate,
    pub(super) fingerprint: String,
}

impl Identity {
    /// A fresh one.
    pub(super) fn new() -> Result<Self> {
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new(vec!["phone.invalid".to_owned()])?.self_signed(&key)?;
        let certificate = certificate.der().to_vec();
        Ok(Identity {
            fingerprint: fingerprint(&certificate),
            certificate: DtlsCertificate {
                certificate,
                private_key: key.serialize_der(),
            },
        })
    }
}

/// RFC 8122 §5.
fn fingerprint(certificate: &[u8]) -> String {
    let digest = Sha256::digest(certificate);
    let bytes: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

/// Fresh ICE credentials.
pub(super) fn credentials() -> Credentials {
    let IceCreds { ufrag, pass } = IceCreds::new();
    Credentials {
        fragment: ufrag,
        password: pass,
    }
}

/// The path of one call's media.
pub(super) struct Webrtc {
    identity: Identity,
    own: SocketAddr,
    ice: IceAgent,
    /// Where the nominated pair leads.
    pub(super) way: Option<SocketAddr>,
    dtls: Option<Dtls>,
    theirs: Option<(Credentials, String)>,
    is_client: bool,
    pub(super) ciphers: Option<Ciphers>,
    /// What went wrong for good.
    pub(super) broken: Option<String>,
}

impl Webrtc {
    /// Ready to be checked from now on; who makes the first offer controls.
    pub(super) fn new(
        identity: Identity,
        own: SocketAddr,
        ice: &Credentials,
        controls: bool,
    ) -> Result<Self> {
        let mut agent = IceAgent::new(creds(ice));
        agent.set_controlling(controls);
        agent.add_local_candidate(Candidate::host(own, "udp").map_err(|error| anyhow!("{error}"))?);
        Ok(Webrtc {
            identity,
            own,
            ice: agent,
            way: None,
            dtls: None,
            theirs: None,
            is_client: false,
            ciphers: None,
            broken: None,
        })
    }

    /// What offer and answer have agreed on. Other credentials of either side restart ICE, another certificate restarts DTLS.
    pub(super) fn agrees(
        &mut self,
        own: &Credentials,
        line: &Line,
        begins: bool,
        now: Instant,
    ) -> Result<()> {
        let ice = line.ice.clone().ok_or_else(|| anyhow!("no ICE"))?;
        let print = line
            .fingerprint
            .clone()
            .ok_or_else(|| anyhow!("no fingerprint"))?;
        let restarts = self.theirs.as_ref().is_some_and(|(old, _)| *old != ice)
            || *self.ice.local_credentials() != creds(own);
        if restarts {
            self.ice.ice_restart(creds(own), true);
        }
        self.ice.set_remote_credentials(creds(&ice));
        for candidate in &line.candidates {
            let candidate =
                Candidate::host(*candidate, "udp").map_err(|error| anyhow!("{error}"))?;
            self.ice.add_remote_candidate(candidate);
        }
        if self.theirs.as_ref().is_none_or(|(_, old)| *old != print) {
            self.is_client = begins;
            let config = Arc::new(dimpl::Config::default());
            let mut dtls = Dtls::new_12(config, self.identity.certificate.clone(), now);
            dtls.set_active(self.is_client);
            self.dtls = Some(dtls);
            self.ciphers = None;
        }
        self.theirs = Some((ice, print));
        Ok(())
    }

    /// Something came that is neither RTP nor RTCP (RFC 7983 §7).
    pub(super) fn takes(&mut self, bytes: &[u8], from: SocketAddr, now: Instant) {
        if bytes.first().is_some_and(|first| *first < 4) {
            if let Ok(message) = StunMessage::parse(bytes) {
                let packet = StunPacket {
                    proto: Protocol::Udp,
                    source: from,
                    destination: self.own,
                    message,
                };
                self.ice.handle_packet(now, packet);
            }
        } else if let Some(dtls) = &mut self.dtls
            && let Err(error) = dtls.handle_packet(bytes)
        {
            self.broken = Some(format!("DTLS: {error}"));
        }
    }

    /// Lets time pass; returns what is to be sent.
    pub(super) fn sends(&mut self, now: Instant) -> Vec<(SocketAddr, Vec<u8>)> {
        self.ice.handle_timeout(now);
        while let Some(event) = self.ice.poll_event() {
            if let IceAgentEvent::NominatedSend { destination, .. } = event {
                self.way = Some(destination);
            }
        }
        let mut out = Vec::new();
        while let Some(transmit) = self.ice.poll_transmit() {
            out.push((transmit.destination, transmit.contents.to_vec()));
        }
        if let Some(way) = self.way
            && let Err(error) = self.handshakes(way, now, &mut out)
        {
            self.broken = Some(error.to_string());
            self.dtls = None;
        }
        out
    }

    fn handshakes(
        &mut self,
        way: SocketAddr,
        now: Instant,
        out: &mut Vec<(SocketAddr, Vec<u8>)>,
    ) -> Result<()> {
        let Some(dtls) = &mut self.dtls else {
            return Ok(());
        };
        dtls.handle_timeout(now)
            .map_err(|error| anyhow!("DTLS: {error}"))?;
        let mut buffer = vec![0; 4096];
        loop {
            match dtls.poll_output(&mut buffer) {
                Output::Packet(bytes) => out.push((way, bytes.to_vec())),
                Output::PeerCert(certificate) => {
                    let print = fingerprint(certificate);
                    // RFC 5763 §5: without this anybody could be at the other end.
                    if self.theirs.as_ref().is_none_or(|(_, said)| *said != print) {
                        return Err(anyhow!("the certificate is not the one of the SDP"));
                    }
                }
                Output::KeyingMaterial(material, profile) => {
                    let profile = match profile {
                        SrtpProfile::AEAD_AES_128_GCM => ProtectionProfile::AeadAes128Gcm,
                        SrtpProfile::AEAD_AES_256_GCM => ProtectionProfile::AeadAes256Gcm,
                        _ => ProtectionProfile::Aes128CmHmacSha1_80,
                    };
                    self.ciphers = Some(Ciphers::from_dtls(&material, profile, self.is_client)?);
                }
                Output::Timeout(_) => return Ok(()),
                _ => {}
            }
        }
    }
}

fn creds(ice: &Credentials) -> IceCreds {
    IceCreds {
        ufrag: ice.fragment.clone(),
        pass: ice.password.clone(),
    }
}
