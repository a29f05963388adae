//! Where the calls of one pair take place: a gateway that is edge and registrar at once, beside an RTPEngine in user space and a
//! core behind it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use causeway_tests::agent::{Account, Kind as Transport};
use causeway_tests::baresip;
use causeway_tests::browser::{Browser, Kind as BrowserKind};
use causeway_tests::core::Core;
use causeway_tests::gateway::{Gateway, certificates, users};
use causeway_tests::linphone;
use causeway_tests::party::{CoreParty, DeskPhone, Linphone, PagePhone, Party, Phone, Profile};
use causeway_tests::ports;
use causeway_tests::raw;
use causeway_tests::rtpengine::RtpEngine;
use causeway_tests::scene::{DOMAIN, PASSWORD, registered, sign_in};
use tokio::net::UdpSocket;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use crate::kind::Kind;

/// Its users: who calls, who is called, and who can be called on two devices.
pub(crate) const USERS: [&str; 3] = ["caller", "called", "both"];
/// Under this the core is called.
const NUMBER: &str = "9000";
/// Where the core and its twin are.
const CORE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// One of each browser for all pairs, started when the first pair needs it.
#[derive(Debug, Default)]
pub(crate) struct Browsers {
    chromium: OnceCell<Browser>,
    firefox: OnceCell<Browser>,
}

impl Browsers {
    async fn get(&self, kind: BrowserKind) -> Result<&Browser> {
        let cell = match kind {
            BrowserKind::Chromium => &self.chromium,
            BrowserKind::Firefox => &self.firefox,
        };
        cell.get_or_try_init(|| Browser::start_kind(kind)).await
    }
}

/// A gateway with what it needs.
pub(crate) struct Stage {
    gateway: Gateway,
    engine: RtpEngine,
    sip: SocketAddr,
    tls: SocketAddr,
    wss: SocketAddr,
    inside: SocketAddr,
    core: SocketAddr,
    browsers: Arc<Browsers>,
    _twins: Option<Twins>,
}

/// What is asked first and is of no use: an RTPEngine that never answers, a member that refuses.
struct Twins {
    _engine: UdpSocket,
    member: JoinHandle<()>,
}

impl Drop for Twins {
    fn drop(&mut self) {
        self.member.abort();
    }
}

impl Stage {
    /// Starts both.
    pub(crate) async fn set(browsers: &Arc<Browsers>) -> Result<Self> {
        Self::set_with(browsers, false).await
    }

    /// The same where the first RTPEngine and the first member of the core are of no use.
    pub(crate) async fn set_failing(browsers: &Arc<Browsers>) -> Result<Self> {
        Self::set_with(browsers, true).await
    }

    async fn set_with(browsers: &Arc<Browsers>, fails: bool) -> Result<Self> {
        let engine = RtpEngine::start_with(&["--timeout=3600", "--silent-timeout=3600"]).await?;
        let [sip, tls, wss, inside] = [(); 4].map(|()| ports::free_address());
        let core = SocketAddr::new(CORE, ports::free());
        let mut engines = format!("\"{}\"", engine.ng);
        let mut members = format!("{{ uri = \"sip:{core}\", priority = 2 }}");
        let mut twins = None;
        if fails {
            let dead = UdpSocket::bind("127.0.0.1:0").await?;
            let member = Arc::new(UdpSocket::bind(SocketAddr::new(CORE, 0)).await?);
            // It has the greater weight, so that nearly every call asks it first.
            let at = dead.local_addr()?;
            engines = format!(
                "{{ address = \"{at}\", weight = 1000 }}, {{ address = \"{}\" }}",
                engine.ng
            );
            let at = member.local_addr()?;
            members = format!("{{ uri = \"sip:{at}\", priority = 1 }}, {members}");
            twins = Some(Twins {
                _engine: dead,
                member: tokio::spawn(refuse(member)),
            });
        }
        let mut config = format!(
            "[node]\ndata_dir = \"@FOLDER@/data\"\nworkers = 1\n\
             [media]\nrtpengine = [{engines}]\ndelete_delay = \"1s\"\nping_interval = \"1m\"\n\
             [listen.phones]\nudp = \"{sip}\"\ntcp = \"{sip}\"\n\
             [listen.secure]\ntls = \"{tls}\"\nmedia = \"srtp\"\n\
             [listen.browsers]\nwss = \"{wss}\"\npage = true\n\
             [listen.core]\nudp = \"{inside}\"\ntrust = [\"{CORE}\"]\n\
             [group.core]\nmembers = [{members}]\nprobe = {{ interval = \"10m\", fall = 100 }}\n\
             [[route]]\nfrom = \"devices\"\nprefix = \"9\"\nto = \"group:core\"\n\
             [domain.\"{DOMAIN}\"]\naliases = [\"localhost\"]\n"
        );
        config += &certificates(&["secure", "browsers"]);
        config += &users(DOMAIN, PASSWORD, USERS);
        let gateway = Gateway::start(&config).await?;
        Ok(Stage {
            gateway,
            engine,
            sip,
            tls,
            wss,
            inside,
            core,
            browsers: browsers.clone(),
            _twins: twins,
        })
    }

    /// A party, registered if it has to be; `number` chooses its tone.
    pub(crate) async fn party(
        &self,
        kind: Kind,
        user: &str,
        number: u32,
    ) -> Result<Box<dyn Party>> {
        let profile = match kind {
            Kind::Avp => Profile::Avp,
            Kind::Sdes => Profile::Sdes,
            Kind::Webrtc => Profile::Webrtc,
            Kind::Baresip | Kind::BaresipSdes => {
                let phone = self.desk_phone(kind, user, number).await;
                return Ok(Box::new(phone.with_context(|| self.logs())?));
            }
            Kind::Linphone | Kind::LinphoneSdes => {
                let phone = self.linphone(kind, user, number).await;
                return Ok(Box::new(phone.with_context(|| self.logs())?));
            }
            Kind::Chromium => return self.page(BrowserKind::Chromium, user).await,
            Kind::Firefox => return self.page(BrowserKind::Firefox, user).await,
            Kind::Core => {
                let core = Core::start(self.core, self.inside, DOMAIN).await?;
                return Ok(Box::new(CoreParty::new(core, NUMBER)));
            }
        };
        Ok(Box::new(self.phone(profile, user, number).await?))
    }

    async fn desk_phone(&self, kind: Kind, user: &str, number: u32) -> Result<DeskPhone> {
        let mut account = baresip::Account::new(user, DOMAIN, PASSWORD, self.sip);
        if kind == Kind::BaresipSdes {
            account.server = self.tls;
            account.transport = baresip::Transport::Tls;
            account.encryption = baresip::Encryption::Sdes;
            account.trust = Some(self.gateway.certificate());
        }
        DeskPhone::registered(&account, number).await
    }

    async fn linphone(&self, kind: Kind, user: &str, number: u32) -> Result<Linphone> {
        let trust = (kind == Kind::LinphoneSdes).then(|| self.gateway.certificate());
        let account = linphone::Account {
            user,
            domain: DOMAIN,
            password: PASSWORD,
            server: if trust.is_some() { self.tls } else { self.sip },
            trust,
            tone: 0,
        };
        Linphone::registered(&account, number).await
    }

    /// The page over HTTPS, its user registered over WSS. The port tells it from another pair's.
    async fn page(&self, kind: BrowserKind, user: &str) -> Result<Box<dyn Party>> {
        let name = format!("{user}-{}", self.wss.port());
        let browser = self.browsers.get(kind).await?;
        let page = browser
            .open(&name, &format!("https://{}/", self.wss))
            .await?;
        sign_in(&page, user, PASSWORD).await?;
        registered(&page).await.with_context(|| self.logs())?;
        Ok(Box::new(PagePhone::new(page, kind, user).await?))
    }

    async fn phone(&self, profile: Profile, user: &str, number: u32) -> Result<Phone> {
        let kind = profile.transport();
        let server = match kind {
            Transport::Udp => self.sip,
            Transport::Tls => self.tls,
            Transport::Wss => self.wss,
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
        let phone = Phone::registered(profile, &account, Some(&trust), number).await;
        phone.with_context(|| self.logs())
    }

    /// Nothing of the calls is left where media is.
    pub(crate) async fn is_empty(&self) -> Result<()> {
        self.engine
            .empty_within(std::time::Duration::from_secs(5))
            .await
    }

    /// The ends of both logs.
    pub(crate) fn logs(&self) -> String {
        let tails = [&self.gateway.process, &self.engine.process];
        tails.map(|process| process.log_tail()).join("\n")
    }
}

/// A member that has no room for anybody.
async fn refuse(socket: Arc<UdpSocket>) {
    let mut buffer = vec![0; 65_535];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let text = String::from_utf8_lossy(&buffer[..length]);
        if text.starts_with("ACK ") || text.starts_with("SIP/2.0 ") {
            continue;
        }
        let kept = [
            "Via:", "From:", "To:", "Call-ID:", "CSeq:", "v:", "f:", "t:", "i:",
        ];
        let kept = text
            .lines()
            .filter(|line| kept.iter().any(|name| line.starts_with(name)));
        let head: String = kept.map(|line| format!("{line}\r\n")).collect();
        let answer = format!("SIP/2.0 503 Service Unavailable\r\n{head}Content-Length: 0\r\n\r\n");
        let _ = socket.send_to(answer.as_bytes(), from).await;
    }
}
