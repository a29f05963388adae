//! SRTP (RFC 3711), by a library: the keys of one direction each.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rtc_srtp::context::Context;
use rtc_srtp::crypto;
use rtc_srtp::protection_profile::ProtectionProfile;

/// Key and salt of AES_CM_128, in bytes.
const KEY: usize = 16;
const SALT: usize = 14;

/// What is sent is encrypted with the first, what comes is decrypted with the second.
pub(super) struct Ciphers {
    outward: Context,
    inward: Context,
}

impl Ciphers {
    /// From what `a=crypto` of both says: base64 of key and salt.
    pub(super) fn from_sdp(own: &str, theirs: &str) -> Result<Self> {
        let profile = ProtectionProfile::Aes128CmHmacSha1_80;
        let context = |text: &str| {
            let bytes = STANDARD.decode(text).context("a key that is no base64")?;
            ensure!(bytes.len() == KEY + SALT, "a key of {} bytes", bytes.len());
            context(&bytes[..KEY], &bytes[KEY..], profile)
        };
        Ok(Ciphers {
            outward: context(own)?,
            inward: context(theirs)?,
        })
    }

    /// From what a DTLS handshake left (RFC 5764 §4.2).
    pub(super) fn from_dtls(
        material: &[u8],
        profile: ProtectionProfile,
        is_client: bool,
    ) -> Result<Self> {
        let (key, salt) = (profile.key_len(), profile.salt_len());
        ensure!(
            material.len() == 2 * (key + salt),
            "{} bytes of keys",
            material.len()
        );
        let (keys, salts) = material.split_at(2 * key);
        let client = context(&keys[..key], &salts[..salt], profile)?;
        let server = context(&keys[key..], &salts[salt..], profile)?;
        Ok(if is_client {
            Ciphers {
                outward: client,
                inward: server,
            }
        } else {
            Ciphers {
                outward: server,
                inward: client,
            }
        })
    }

    /// A packet as it goes out.
    pub(super) fn encrypt(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        self.outward.encrypt_rtp(packet).ok().map(Into::into)
    }

    /// A packet as it was meant; `None` if it is not authentic.
    pub(super) fn decrypt(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        self.inward.decrypt_rtp(packet).ok().map(Into::into)
    }
}

fn context(key: &[u8], salt: &[u8], profile: ProtectionProfile) -> Result<Context> {
    let provider = crypto::default_provider().map_err(|error| anyhow::anyhow!("{error:?}"))?;
    Context::new(key, salt, profile, None, None, provider.crypto()).context("no SRTP context")
}

/// Fresh key and salt for `a=crypto`.
pub(super) fn fresh() -> Result<String> {
    let mut bytes = [0; KEY + SALT];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    Ok(STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_decrypts_what_the_other_encrypted_and_nobody_elses() {
        let (one, two) = (fresh().unwrap(), fresh().unwrap());
        let packet = [&[0x80, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3][..], b"audio"].concat();
        let sealed = Ciphers::from_sdp(&one, &two)
            .unwrap()
            .encrypt(&packet)
            .unwrap();
        assert_eq!(sealed.len(), packet.len() + 10);
        let mut other = Ciphers::from_sdp(&two, &one).unwrap();
        assert_eq!(other.decrypt(&sealed).unwrap(), packet);
        let mut third = Ciphers::from_sdp(&two, &fresh().unwrap()).unwrap();
        assert!(third.decrypt(&sealed).is_none());
    }
}
