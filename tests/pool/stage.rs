//! A gateway with two RTPEngines, each behind a relay that can lose it; and calls that go by them.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use causeway_tests::agent::{Account, Call, Device, Kind};
use causeway_tests::gateway::{self, FAST, Gateway, users};
use causeway_tests::relay::Relay;
use causeway_tests::rtpengine::RtpEngine;
use causeway_tests::{http, ports, wait};
use serde_json::Value;

use crate::voice::Voice;

const DOMAIN: &str = "kit.test";
const PASSWORD: &str = "secret";

/// All of it.
pub(crate) struct Stage {
    _gateway: Gateway,
    pub(crate) engines: [RtpEngine; 2],
    pub(crate) relays: [Relay; 2],
    pub(crate) sip: SocketAddr,
    admin: SocketAddr,
}

impl Stage {
    /// Starts all of it, with more arguments of each RTPEngine.
    pub(crate) async fn set(more: [&[&str]; 2]) -> Self {
        // Neither tidies anything up by itself meanwhile: what the gateway forgets stays to be seen.
        let engine = async |more: &[&str]| {
            let all = [&["--timeout=3600", "--silent-timeout=3600"], more].concat();
            RtpEngine::start_with(&all).await.unwrap()
        };
        let engines = [engine(more[0]).await, engine(more[1]).await];
        let relays = [
            Relay::before(engines[0].ng).await.unwrap(),
            Relay::before(engines[1].ng).await.unwrap(),
        ];
        let (sip, admin) = (ports::free_address(), ports::free_address());
        // The kit's prober registers at a domain of its own.
        let users = [
            users(DOMAIN, PASSWORD, ["alice", "bob"]),
            users("hostile.test", PASSWORD, ["prober"]),
        ];
        let gateway = Gateway::start(&format!(
            "[node]\ndata_dir = \"@FOLDER@/data\"\n[listen.public]\nudp = \"{sip}\"\n[admin]\nlisten = \"{admin}\"\n\
             [limits]\nmessages_per_second = 0\n\
             [media]\nrtpengine = [\"{}\", \"{}\"]\ndelete_delay = \"1s\"\n{FAST}{}",
            relays[0].address,
            relays[1].address,
            users.concat()
        ))
        .await
        .unwrap();
        Stage {
            _gateway: gateway,
            engines,
            relays,
            sip,
            admin,
        }
    }

    /// A phone that is registered.
    pub(crate) async fn phone(&self, user: &str) -> Device {
        let account = Account {
            user,
            domain: DOMAIN,
            password: PASSWORD,
            kind: Kind::Udp,
            server: self.sip,
        };
        Device::registered(&account, None).await.unwrap()
    }

    /// What the gateway says of its RTPEngines.
    pub(crate) async fn nodes(&self) -> [Value; 2] {
        let (_, body) = http::get(self.admin, "/status").await.unwrap();
        let status: Value = serde_json::from_str(&body).unwrap();
        [status["media"][0].clone(), status["media"][1].clone()]
    }

    /// Waits until it says this of one of them.
    pub(crate) async fn says(&self, node: usize, key: &str, want: impl Into<Value>) {
        let want = want.into();
        let says = wait::until_async(Duration::from_secs(30), || async {
            self.nodes().await[node][key] == want
        });
        assert!(says.await, "{key} is not {want}: {:?}", self.nodes().await);
    }

    /// Which RTPEngine has the session of a call, and only that one.
    pub(crate) async fn holder(&self, call: &Call) -> usize {
        let has = async |node: usize| {
            let calls = self.engines[node].calls().await.unwrap();
            calls.iter().any(|name| name.starts_with(&call.call_id))
        };
        match (has(0).await, has(1).await) {
            (true, false) => 0,
            (false, true) => 1,
            (first, second) => panic!(
                "{}: at the first {first}, at the second {second}",
                call.call_id
            ),
        }
    }

    /// Runs `causeway ctl`.
    pub(crate) async fn ctl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(gateway::binary().unwrap());
        command
            .args(["ctl", "--admin", &self.admin.to_string()])
            .args(arguments);
        let run = move || command.output().unwrap();
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Two sides of a call who speak to each other.
pub(crate) struct Talk {
    pub(crate) caller: Call,
    pub(crate) called: Call,
    pub(crate) voices: [Voice; 2],
    /// What RTPEngine said to each.
    there: [String; 2],
}

impl Talk {
    /// Calls, is answered, and waits until each hears the other.
    pub(crate) async fn between(caller: &Device, called: &Device) -> Self {
        let voices = [Voice::new().await, Voice::new().await];
        let bodies = voices.each_ref().map(|voice| voice.sdp("sendrecv"));
        let (outgoing, incoming, there) = call(caller, called, &bodies).await;
        let mut talk = Talk {
            there,
            caller: outgoing,
            called: incoming,
            voices,
        };
        talk.speaks();
        talk.flows().await;
        talk
    }

    /// Both speak.
    pub(crate) fn speaks(&mut self) {
        for (voice, there) in self.voices.iter_mut().zip(&self.there) {
            voice.speaks_to(there);
        }
    }

    /// Half a second of audio both ways.
    pub(crate) async fn flows(&self) {
        tokio::join!(self.voices[0].hears(25), self.voices[1].hears(25));
    }

    /// The caller's re-INVITE, taken by the called side; both know where the other is now.
    pub(crate) async fn changes(&mut self, offer: &str, answer: &str) {
        let (offer, answer) = (self.voices[0].sdp(offer), self.voices[1].sdp(answer));
        let (said, taken) = tokio::join!(
            self.caller.says("INVITE", "", &offer),
            self.called.takes("INVITE", &answer)
        );
        let said = said.unwrap();
        assert_eq!(said.status(), Some(200), "{}", said.text);
        self.there = [said.body().to_owned(), taken.unwrap().body().to_owned()];
    }

    /// The caller hangs up.
    pub(crate) async fn ends(&mut self) {
        let (hung_up, taken) = tokio::join!(self.caller.hangs_up(), self.called.takes("BYE", ""));
        hung_up.unwrap();
        taken.unwrap();
    }
}

/// A call that is up, and what RTPEngine said to each side.
pub(crate) async fn call(
    caller: &Device,
    called: &Device,
    bodies: &[String; 2],
) -> (Call, Call, [String; 2]) {
    let mut outgoing = caller.calls(&called.user, &bodies[0]).await.unwrap();
    let mut incoming = called.called().await.unwrap();
    let (accepted, answer) = tokio::join!(incoming.accepts(&bodies[1]), outgoing.is_answered(""));
    accepted.unwrap();
    let there = [
        answer.unwrap().body().to_owned(),
        incoming.invite.body().to_owned(),
    ];
    (outgoing, incoming, there)
}
