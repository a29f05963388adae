//! `[group.NAME]`: servers that can stand in for each other: registrars, FreeSWITCHes, carriers.
use std::time::Duration;

use sip::Transport;
use toml::de::DeValue;

use super::Config;
use super::check::Checks;
use super::listen::Listen;
use super::member::Member;
use super::policy::LegMedia;
use super::reader::{Item, Reader};
use super::route::{RouteFrom, RouteTo, known};
use super::schema::{Setting, section};
use super::value::words;

section! {
    /// Servers that can stand in for each other.
    pub struct Group {
        /// Their SIP URIs, or tables with a weight and a priority. A name without a port is all servers that its SRV records name (RFC 3263), each watched by itself.
        pub members: Vec<Member> = Vec::new(), required();
        /// How requests travel to members whose URI does not say it: `"udp"` or `"tcp"`. Left out: what the NAPTR records of a name say, else UDP. A browser's INVITE is larger than most networks' datagrams, so say `"tcp"` where the members speak it.
        pub transport: Option<Transport> = None;
        /// Which member gets a request, of those with the lowest priority that live. `"rendezvous"`: always the same one for the same user (the address in From), so that a registrar that challenged gets the answer; a member that dies takes only its own users along. `"rendezvous call-id"` and `"weighted"`, which is the same: lots are drawn for each call by weight. `"rendezvous source"`: the same one for the same source address; all behind one NAT share it. `"round robin"`: one after the other, whatever their weights. `"least calls"`: the one with the fewest calls for its weight, as far as this node knows. The last two do not find again who challenged: REGISTER cannot go to such a group, and members that challenge INVITE are asked for ever.
        pub algorithm: Algorithm = Algorithm::Rendezvous;
        /// Answers after which the next member is asked in place of the one that gave them: statuses from 400 to 599, or `"4xx"` and `"5xx"` for a class. Never for a request inside a dialog. `[408, "5xx"]` also passes over a member that is there but whose database is not; but where a status is about the user who was called and not about the member, as 500 is from many phones, he rings a second time by the next one.
        pub fail_over: Vec<Answers> = vec![Answers(503, 503)];
        /// The `[listen.NAME]` by which requests leave for them; left out, one that faces the core. With one that faces devices the members are outside, as carriers are: calls between them and devices keep this node in the way, and what comes from them is a device's, unless a `[peer.NAME]` has their addresses.
        pub listener: Option<String> = None;
        /// What the members see as a device's Contact. `"keep"`: what it says of itself, which leads nowhere behind NAT; Route and Path say where it is. `"token"`: a URI of ours that leads to it, for members that send requests to the Contact and leave Route out. A request that comes so is in no dialog of ours: RTPEngine learns of a BYE only by its timeout.
        pub contact: Contact = Contact::Keep;
        /// What becomes of a 3xx to an INVITE. `"pass"`: the caller gets it. `"follow"`: its Contacts are tried in the caller's place, the best first, five at most; only members of groups and addresses in the networks of the core, since a redirection chooses where this node sends. Without one that is, the caller gets the 3xx all the same, and so he does from members that a `listener` makes outside.
        pub redirects: Redirects = Redirects::Pass;
        /// What is wanted of the media of legs to and from the members.
        pub media: LegMedia = LegMedia::default();
        /// How it is found out who of them lives.
        pub probe: Probe = Probe::default();
    }
}

words! {
    /// What the members see as a device's Contact.
    pub enum Contact {
        /// What the device says.
        Keep = "keep",
        /// A URI of ours.
        Token = "token",
    }
}

words! {
    /// Which member gets a request.
    pub enum Algorithm {
        /// By the address-of-record in From.
        Rendezvous = "rendezvous",
        /// By the Call-ID.
        RendezvousCallId = "rendezvous call-id",
        /// By the address that it comes from.
        RendezvousSource = "rendezvous source",
        /// One after the other.
        RoundRobin = "round robin",
        /// Lots drawn for each call: by the Call-ID.
        Weighted = "weighted",
        /// The one that has the fewest.
        LeastCalls = "least calls",
    }
}

words! {
    /// What becomes of a 3xx.
    pub enum Redirects {
        /// The caller gets it.
        Pass = "pass",
        /// Its Contacts are tried.
        Follow = "follow",
    }
}

/// A status, or all from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answers(
    /// The least of them.
    pub u16,
    /// The greatest of them.
    pub u16,
);

impl Setting for Answers {
    fn kind() -> String {
        "a status or a class".to_owned()
    }
    fn example() -> String {
        "[503]".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let help = "400 to 599, or \"4xx\", \"5xx\": for example [408, \"5xx\"]";
        match item.value {
            DeValue::String(class) => match &**class {
                "4xx" => return Some(Self(400, 499)),
                "5xx" => return Some(Self(500, 599)),
                other => {
                    let message = format!("`{other}` is no class that another member could mend");
                    reader.error(item, message, help);
                }
            },
            DeValue::Integer(_) => match u16::read(item, reader)? {
                status @ (401 | 407 | 487) => {
                    let message =
                        format!("{status} is the caller's to answer, not another member's");
                    reader.error(item, message, "leave it out");
                }
                status @ 400..=599 => return Some(Self(status, status)),
                other => {
                    let message = format!("{other} is no answer that another member could mend");
                    reader.error(item, message, help);
                }
            },
            _ => reader.wrong_type::<Self>(item),
        }
        None
    }
    fn show(&self) -> String {
        match self {
            Self(least, most) if least == most => least.to_string(),
            Self(least, _) => format!("\"{}xx\"", least / 100),
        }
    }
}

section! {
    /// Each member is sent OPTIONS; any final response but 503 is a sign of life.
    pub struct Probe {
        /// How often each member is asked. Long, and it is the requests of users that find out that one is dead, a second and a half each; what fails on the way to a member brings the next question forward.
        pub interval: Duration = Duration::from_secs(2), within(Duration::from_millis(100), Duration::from_secs(600));
        /// How long it may take to answer. Too short, and a busy member counts as dead; too long, and a dead one as alive.
        pub timeout: Duration = Duration::from_secs(1), within(Duration::from_millis(50), Duration::from_secs(30));
        /// Answers in a row after which a dead member gets requests again.
        pub rise: u16 = 2, within(1, 100);
        /// Questions without an answer, in a row, after which a member gets no requests. A refused connection counts as one.
        pub fall: u16 = 2, within(1, 100);
    }
}

impl Group {
    pub(crate) fn check(&self, name: &str, config: &Config, checks: &mut Checks<'_>) {
        let at = format!("group.{name}");
        if name == "media" {
            let found = checks.source.error_at_key(
                &at,
                "`causeway ctl drain media …` is about the RTPEngines, so no group has that name",
            );
            checks.push(found.help("any other name, for example `[group.media-servers]`"));
        }
        let members = format!("{at}.members");
        if self.members.is_empty() && checks.source.wrote(&members) {
            let found = checks
                .source
                .error(&members, format!("`{at}` has no members"));
            checks.push(found.help("for example `members = [\"sip:10.33.69.152\"]`"));
        }
        for (index, member) in self.members.iter().enumerate() {
            let at = format!("{members}[{index}]");
            let uri = &member.uri;
            if self.members[..index].iter().any(|other| other.uri == *uri) {
                let found = checks
                    .source
                    .error(&at, format!("`{}` is given twice", uri.uri));
                checks.push(found.help("remove one"));
            }
            uri.check(&at, self.transport, checks);
        }
        if !self.members.is_empty() && self.members.iter().all(|member| member.drain) {
            let found = checks
                .source
                .warning(&members, format!("every member of `{at}` is being drained"));
            checks.push(found.help("requests that a route sends there are answered 500"));
        }
        self.media.0.check(&format!("{at}.media"), checks);
        self.check_algorithm(name, config, checks);
    }

    /// SIGNALLING §6: who was challenged by one has to answer that one.
    fn check_algorithm(&self, name: &str, config: &Config, checks: &mut Checks<'_>) {
        if !matches!(
            self.algorithm,
            Algorithm::RoundRobin | Algorithm::LeastCalls
        ) {
            return;
        }
        let register = config.route.iter().position(|route| {
            route.takes_register() && matches!(&route.to, RouteTo::Group(to) if to == name)
        });
        let Some(index) = register.filter(|index| {
            let before = &config.route[..*index];
            !before.iter().any(|other| {
                other.from == config.route[*index].from && other.takes_every_register()
            })
        }) else {
            return;
        };
        let word = self.algorithm.word();
        let found = checks.source.error(
            &format!("group.{name}.algorithm"),
            format!(
                "\"{word}\" sends the answer to a challenge to another registrar than the one that asked"
            ),
        );
        let line = checks
            .source
            .value(&format!("route[{index}].to"))
            .map_or(0, |span| checks.source.file.position(span.start).0);
        checks.push(found.help(format!(
            "the route at line {line} sends REGISTER here: take \"rendezvous\", or give REGISTER a route of its own before that one"
        )));
    }

    pub(crate) fn check_listener(&self, name: &str, config: &Config, checks: &mut Checks<'_>) {
        let Some(listener) = &self.listener else {
            return;
        };
        let at = format!("group.{name}.listener");
        known(&at, "listen", listener, &config.listen, checks);
        if config.listen.get(listener).is_none_or(Listen::is_core) {
            return;
        }
        let from = config
            .route
            .iter()
            .position(|route| matches!(&route.from, RouteFrom::Group(from) if from == name));
        if let Some(index) = from {
            let message = format!(
                "the members of `{name}` are outside: what comes from them is a device's or a peer's"
            );
            let found = checks
                .source
                .error(&format!("route[{index}].from"), message);
            checks.push(
                found.help("add [peer.NAME] with their addresses, and write \"peer:NAME\" here"),
            );
        }
    }
}
