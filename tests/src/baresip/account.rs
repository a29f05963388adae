//! A phone's account and habits, and the files that tell baresip of them.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::certificate::Certificate;
use crate::ports;
use crate::wav::Sound;

/// How a phone reaches its server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// SIP over UDP.
    #[default]
    Udp,
    /// SIP over TCP.
    Tcp,
    /// SIP over TLS.
    Tls,
}

impl Transport {
    fn parameter(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }
}

/// What a phone does with a call that comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// Takes it at once.
    #[default]
    Auto,
    /// Rings until the test says `Phone::accept` or `Phone::hang_up`.
    Manual,
}

/// How a phone protects its audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// RTP/AVP.
    #[default]
    None,
    /// SDES keys in RTP/SAVP.
    Sdes,
    /// DTLS-SRTP in UDP/TLS/RTP/SAVPF, with ICE.
    Dtls,
}

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
    /// How they get there.
    pub transport: Transport,
    /// What it does with calls.
    pub answer: Answer,
    /// How it protects audio.
    pub encryption: Encryption,
    /// The certificate that it trusts, for TLS.
    pub trust: Option<PathBuf>,
    /// The tone that it speaks, in Hz; 0 is silence.
    pub tone: u32,
    /// Whether it registers.
    pub registers: bool,
    /// Codecs in order, in baresip's words: `PCMU/8000/1`, `opus/48000/2`.
    pub codecs: &'a str,
    /// More parameters of the account line (`;outbound=…`, `;regq=…`).
    pub more: &'a str,
    /// The phone's own address; loopback of the server's family if `None`.
    pub host: Option<IpAddr>,
    /// Another program that runs it, with its arguments: `nsenter --target PID --net`.
    pub under: Vec<&'a str>,
}

impl<'a> Account<'a> {
    /// A phone over UDP that registers, answers at once, and speaks 440 Hz in G.711.
    pub fn new(user: &'a str, domain: &'a str, password: &'a str, server: SocketAddr) -> Self {
        Account {
            user,
            domain,
            password,
            server,
            transport: Transport::Udp,
            answer: Answer::Auto,
            encryption: Encryption::None,
            trust: None,
            tone: 440,
            registers: true,
            codecs: "PCMU/8000/1,PCMA/8000/1",
            more: "",
            host: None,
            under: Vec::new(),
        }
    }

    /// Its address-of-record.
    pub fn aor(&self) -> String {
        format!("sip:{}@{}", self.user, self.domain)
    }
}

const MODULES: &[&str] = &[
    "opus.so",
    "g711.so",
    "sndfile.so",
    "aufile.so",
    "aubridge.so",
    "stun.so",
    "turn.so",
    "ice.so",
    "srtp.so",
    "dtls_srtp.so",
];

pub(super) fn write_files(
    account: &Account<'_>,
    folder: &Path,
    address: SocketAddr,
    control: SocketAddr,
) -> Result<()> {
    let certificate = Certificate::write(folder, &["localhost", &address.ip().to_string()])?;
    let tone = folder.join("speaks.wav");
    if account.tone == 0 {
        Sound {
            rate: 8000,
            samples: vec![0.0; 8000 * 300],
        }
        .write(&tone)?;
    } else {
        Sound::tone(account.tone, 300, 8000).write(&tone)?;
    }
    let rtp = ports::block(20);
    let mut config = format!(
        "poll_method epoll\nsip_listen {address}\nsip_certificate {}\ncall_local_timeout 120\ncall_max_calls 8\n\
         audio_source aufile,{}\naudio_player aubridge,nobody\naudio_alert aubridge,nobody\n\
         ausrc_srate 8000\nausrc_channels 1\nauplay_srate 8000\nauplay_channels 1\n\
         ausrc_format s16\nauplay_format s16\nauenc_format s16\naudec_format s16\naudio_buffer 20-160\n\
         net_interface {}\nstatmode_default off\n\
         rtp_ports {rtp}-{}\nrtcp_mux no\njitter_buffer_delay 1-5\nrtp_stats yes\nctrl_tcp_listen {control}\nsnd_path {}\n\
         menu_bell no\nringback_disabled yes\nopus_bitrate 28000\nmodule_path /usr/lib/baresip/modules\n",
        certificate.both.display(),
        tone.display(),
        address.ip(),
        rtp + 19,
        folder.display(),
    );
    if let Some(trust) = &account.trust {
        let _ = writeln!(config, "sip_cafile {}", trust.display());
    }
    MODULES
        .iter()
        .for_each(|module| _ = writeln!(config, "module {module}"));
    config.push_str(
        "module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n",
    );
    fs::write(folder.join("config"), config)?;
    // A file without accounts: they are added over the control port.
    fs::write(folder.join("accounts"), "\n")?;
    Ok(())
}

/// The account in baresip's words.
pub(super) fn account_line(account: &Account<'_>) -> String {
    let encryption = match account.encryption {
        Encryption::None => "",
        Encryption::Sdes => ";mediaenc=srtp-mand",
        Encryption::Dtls => ";mediaenc=dtls_srtp;medianat=ice",
    };
    format!(
        "<sip:{user}@{domain};transport={transport}>;auth_user={user};auth_pass={password};outbound=\"sip:{server};transport={transport}\"\
         ;answermode={answer};regint={interval};audio_codecs={codecs}{encryption}{more}",
        user = account.user,
        domain = account.domain,
        password = account.password,
        server = account.server,
        transport = account.transport.parameter(),
        answer = if account.answer == Answer::Auto {
            "auto"
        } else {
            "manual"
        },
        interval = if account.registers { 120 } else { 0 },
        codecs = account.codecs,
        more = account.more,
    )
}
