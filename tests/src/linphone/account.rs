//! A phone's account, and the files that tell linphone of it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::ports;
use crate::wav::Sound;

/// A phone's account and habits.
#[derive(Clone, Debug)]
pub struct Account<'a> {
    /// User part of its address.
    pub user: &'a str,
    /// Domain of its address.
    pub domain: &'a str,
    /// Password for digest.
    pub password: &'a str,
    /// Where its requests go (the outbound proxy).
    pub server: SocketAddr,
    /// The certificate that it trusts: with one it speaks TLS, and SDES is all that it takes; without, TCP and RTP/AVP.
    pub trust: Option<PathBuf>,
    /// The tone that it speaks, in Hz.
    pub tone: u32,
}

/// Where its files are.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) home: PathBuf,
    pub(super) config: PathBuf,
    pub(super) speaks: PathBuf,
    pub(super) heard: PathBuf,
}

/// Codecs in order, and whether it offers them. One clock rate for all of them: its recording has only one.
const CODECS: [(&str, u32, u32, bool); 6] = [
    ("PCMU", 8_000, 1, true),
    ("PCMA", 8_000, 1, true),
    ("opus", 48_000, 2, false),
    ("speex", 16_000, 1, false),
    ("speex", 8_000, 1, false),
    ("G729", 8_000, 1, false),
];

pub(super) fn write_files(account: &Account<'_>, folder: &Path) -> Result<Files> {
    let files = Files {
        home: folder.join("home"),
        config: folder.join("linphonerc"),
        speaks: folder.join("speaks.wav"),
        heard: folder.join("heard.wav"),
    };
    // It makes its database there, but not the folder.
    fs::create_dir_all(files.home.join(".local/share/linphone"))?;
    Sound::tone(account.tone, 300, 8_000).write(&files.speaks)?;
    fs::write(&files.config, config(account))?;
    Ok(files)
}

fn config(account: &Account<'_>) -> String {
    let Account {
        user,
        domain,
        password,
        server,
        ..
    } = account;
    let (transport, encryption) = match account.trust {
        Some(_) => ("tls", "srtp"),
        None => ("tcp", "none"),
    };
    let port = ports::free();
    let listens = |name: &str| if name == transport { port } else { 0 };
    let mandatory = u8::from(account.trust.is_some());
    // Of a certificate linphone compares names alone, no addresses.
    let host = match account.trust {
        Some(_) => format!("localhost:{}", server.port()),
        None => server.to_string(),
    };
    let rtp = ports::block(8);
    let mut text = format!(
        "[sip]\nbind_address=127.0.0.1\nsip_port=0\nsip_tcp_port={}\nsip_tls_port={}\nuse_ipv6=0\nguess_hostname=0\n\
         register_only_when_network_is_up=0\ncontact=sip:{user}@{domain}\nuse_info=0\nuse_rfc2833=1\n\
         media_encryption={encryption}\nmedia_encryption_mandatory={mandatory}\ndefault_proxy=0\n",
        listens("tcp"),
        listens("tls"),
    );
    if let Some(trust) = &account.trust {
        text += &format!("root_ca={}\n", trust.display());
    }
    text += &format!(
        "[rtp]\nbind_address=127.0.0.1\naudio_rtp_port={rtp}-{}\n\
         [proxy_0]\nreg_proxy=<sip:{host};transport={transport}>\nreg_route=<sip:{host};transport={transport};lr>\n\
         reg_identity=sip:{user}@{domain}\nreg_expires=600\nreg_sendregister=1\npublish=0\n\
         [auth_info_0]\nusername={user}\npasswd={password}\n",
        rtp + 7,
    );
    for (index, (name, rate, channels, offers)) in CODECS.iter().enumerate() {
        text += &format!(
            "[audio_codec_{index}]\nmime={name}\nrate={rate}\nchannels={channels}\nenabled={}\n",
            u8::from(*offers)
        );
    }
    text
}
