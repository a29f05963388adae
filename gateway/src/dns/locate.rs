//! RFC 3263 §4: which servers a name leads to. Each step is asked only if the URI leaves it open: a transport that is given
//! needs no NAPTR (§4.1), a port takes the SRV records out of it (§4.2).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::rdata::{NAPTR, SRV};
use hickory_resolver::proto::rr::{RData, RecordType};
use proxy::NextHop;
use sip::Transport;

use super::Target;

/// What the targets of one priority share among them.
pub const SHARES: u32 = 1 << 16;
/// Records of a kind that are followed: a domain of somebody hostile may have thousands, each worth two questions more.
const FOLLOWED: usize = 32;
/// Servers of a name that are kept.
const KEPT: usize = 64;
/// What is not there is not there for this long, unless the answer says less.
const NOTHING: Duration = Duration::from_secs(60);

/// What DNS says now.
pub(super) struct Found {
    pub(super) targets: Vec<Target>,
    pub(super) until: Instant,
}

/// A service as an SRV record names it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Service {
    host: String,
    port: u16,
    transport: Transport,
    priority: u16,
    weight: u16,
}

/// Asks for what the URI leaves open.
pub(super) async fn locate(servers: &TokioResolver, what: &NextHop) -> Result<Found, NetError> {
    let mut search = Search {
        servers,
        until: Instant::now() + Duration::from_secs(86_400),
    };
    let services = search.services(what).await?;
    let targets = search.targets(services).await?;
    let until = if targets.is_empty() {
        search.until.min(Instant::now() + NOTHING)
    } else {
        search.until
    };
    Ok(Found { targets, until })
}

struct Search<'s> {
    servers: &'s TokioResolver,
    /// When the first of the answers ends.
    until: Instant,
}

impl Search<'_> {
    async fn services(&mut self, what: &NextHop) -> Result<Vec<Service>, NetError> {
        let plain = |transport: Transport| Service {
            host: what.host.clone(),
            port: what.port.unwrap_or(transport.default_port()),
            transport,
            priority: 0,
            weight: 0,
        };
        if what.port.is_some() || what.host.parse::<IpAddr>().is_ok() {
            return Ok(vec![plain(what.transport.unwrap_or(Transport::Udp))]);
        }
        let names = match what.transport {
            Some(transport) => srv_name(transport, &what.host).into_iter().collect(),
            // Some name servers answer NAPTR with an error; the rest says whether they are down.
            None => match self.naptr(&what.host).await {
                Ok(names) if !names.is_empty() => names,
                _ => [Transport::Udp, Transport::Tcp]
                    .into_iter()
                    .filter_map(|transport| srv_name(transport, &what.host))
                    .collect(),
            },
        };
        for (transport, name) in names {
            let records = self.srv(&name).await?;
            if !records.is_empty() {
                return Ok(services_of(&records, transport));
            }
        }
        Ok(vec![plain(what.transport.unwrap_or(Transport::Udp))])
    }

    /// §4.1: the SRV name of each transport that we speak, the preferred one first.
    async fn naptr(&mut self, host: &str) -> Result<Vec<(Transport, String)>, NetError> {
        let records = self.ask(host, RecordType::NAPTR).await?;
        let of = |data: RData| match data {
            RData::NAPTR(naptr) => Some(naptr),
            _ => None,
        };
        Ok(by_preference(records.into_iter().filter_map(of).collect()))
    }

    async fn srv(&mut self, name: &str) -> Result<Vec<SRV>, NetError> {
        let records = self.ask(name, RecordType::SRV).await?;
        let of = |data: RData| match data {
            RData::SRV(srv) => Some(srv),
            _ => None,
        };
        Ok(records.into_iter().filter_map(of).collect())
    }

    async fn targets(&mut self, services: Vec<Service>) -> Result<Vec<Target>, NetError> {
        let servers = self.servers;
        let asked = join_all(
            services
                .iter()
                .map(|service| addresses(servers, &service.host)),
        )
        .await;
        let mut found = Vec::with_capacity(services.len());
        let mut failed = None;
        for (service, answer) in services.into_iter().zip(asked) {
            match answer {
                Ok((addresses, until)) => {
                    self.until = self.until.min(until);
                    found.push((service, addresses));
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(shared_out(found)),
        }
    }

    /// The records of a name; none if there are none.
    async fn ask(&mut self, name: &str, kind: RecordType) -> Result<Vec<RData>, NetError> {
        match self.servers.lookup(name, kind).await {
            Ok(found) => {
                self.until = self.until.min(found.valid_until());
                let answers = found.answers().iter();
                Ok(answers.map(|record| record.data.clone()).collect())
            }
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

async fn addresses(
    servers: &TokioResolver,
    host: &str,
) -> Result<(Vec<IpAddr>, Instant), NetError> {
    match servers.lookup_ip(host).await {
        Ok(found) => Ok((found.iter().collect(), found.valid_until())),
        Err(error) if error.is_no_records_found() => Ok((Vec::new(), Instant::now() + NOTHING)),
        Err(error) => Err(error),
    }
}

/// `_sip._udp.example.net` (§4.2); none for what is not spoken to servers.
fn srv_name(transport: Transport, host: &str) -> Option<(Transport, String)> {
    let protocol = match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        _ => return None,
    };
    Some((transport, format!("_sip._{protocol}.{host}")))
}

/// §4.1: of the services that we speak; the order decides, then the preference (RFC 3403 §4.1).
fn by_preference(mut records: Vec<NAPTR>) -> Vec<(Transport, String)> {
    records.sort_by_key(|naptr| (naptr.order, naptr.preference));
    let usable = records
        .iter()
        .filter(|naptr| naptr.flags.eq_ignore_ascii_case(b"s"));
    usable
        .filter_map(|naptr| {
            let transport = match naptr.services.to_ascii_uppercase().as_slice() {
                b"SIP+D2U" => Transport::Udp,
                b"SIP+D2T" => Transport::Tcp,
                _ => return None,
            };
            Some((transport, naptr.replacement.to_utf8()))
        })
        .take(FOLLOWED)
        .collect()
}

/// RFC 2782: a target of "." says that there is no such service.
fn services_of(records: &[SRV], transport: Transport) -> Vec<Service> {
    let mut services: Vec<Service> = records
        .iter()
        .filter(|srv| !srv.target.is_root() && srv.port != 0)
        .map(|srv| Service {
            host: bare(&srv.target.to_utf8()),
            port: srv.port,
            transport,
            priority: srv.priority,
            weight: srv.weight,
        })
        .collect();
    services.sort_by(|one, other| (&one.host, one.port).cmp(&(&other.host, other.port)));
    services.dedup_by(|one, other| (&one.host, one.port) == (&other.host, other.port));
    // The same on every node.
    services.sort_by_key(|service| (service.priority, std::cmp::Reverse(service.weight)));
    services.truncate(FOLLOWED);
    services
}

fn bare(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// The weights of a priority as shares of [`SHARES`], who is tried first in front. Weights that are all 0 say nothing, a 0
/// beside others "a very small chance" (RFC 2782); addresses of one name share what it has.
fn shared_out(found: Vec<(Service, Vec<IpAddr>)>) -> Vec<Target> {
    let mut targets = Vec::new();
    for (service, addresses) in &found {
        let of_priority = || {
            let has_some = |(other, at): &&(Service, Vec<IpAddr>)| {
                other.priority == service.priority && !at.is_empty()
            };
            found.iter().filter(has_some)
        };
        let total: u32 = of_priority()
            .map(|(other, _)| u32::from(other.weight))
            .sum();
        let whole = match total {
            0 => SHARES / (of_priority().count().max(1) as u32),
            // At most 2^32 - 1: both are of 16 bits, and it is the greater that divides.
            _ => (u64::from(service.weight) * u64::from(SHARES) / u64::from(total)) as u32,
        };
        let share = (whole / addresses.len().max(1) as u32).max(1);
        let mut addresses = addresses.clone();
        addresses.sort_unstable();
        targets.extend(addresses.iter().map(|address| Target {
            host: service.host.clone(),
            port: service.port,
            transport: service.transport,
            address: SocketAddr::new(*address, service.port),
            priority: service.priority,
            share,
            is_one_of_many: addresses.len() > 1,
        }));
    }
    targets.sort_by_key(|target| (target.priority, std::cmp::Reverse(target.share)));
    targets.truncate(KEPT);
    targets
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use hickory_resolver::proto::rr::Name;

    use super::*;

    fn naptr(order: u16, preference: u16, flags: &str, services: &str, name: &str) -> NAPTR {
        let text = |text: &str| text.as_bytes().to_vec().into_boxed_slice();
        let name = Name::from_str(name).unwrap();
        NAPTR::new(
            order,
            preference,
            text(flags),
            text(services),
            text(""),
            name,
        )
    }

    #[test]
    fn naptr_records_say_which_transport_is_preferred() {
        for (why, records, want) in [
            (
                "RFC 3263 §4.1: the lowest order, then the lowest preference",
                vec![
                    naptr(50, 50, "s", "SIP+D2T", "_sip._tcp.a."),
                    naptr(50, 10, "S", "sip+d2u", "_sip._udp.a."),
                    naptr(10, 90, "s", "SIP+D2T", "_sip._tcp.b."),
                ],
                &["tcp _sip._tcp.b.", "udp _sip._udp.a.", "tcp _sip._tcp.a."][..],
            ),
            (
                "what we do not speak to servers is passed over",
                vec![
                    naptr(1, 1, "s", "SIPS+D2T", "_sips._tcp.a."),
                    naptr(1, 2, "s", "SIP+D2W", "_sip._ws.a."),
                    naptr(1, 3, "s", "SIP+D2U", "_sip._udp.a."),
                ],
                &["udp _sip._udp.a."],
            ),
            (
                "and so is what leads on to no SRV record",
                vec![
                    naptr(1, 1, "u", "SIP+D2U", "a."),
                    naptr(1, 1, "", "SIP+D2T", "b."),
                ],
                &[],
            ),
        ] {
            let got: Vec<String> = by_preference(records)
                .into_iter()
                .map(|(transport, name)| format!("{} {name}", transport.uri_param()))
                .collect();
            assert_eq!(got, want, "{why}");
        }
    }

    #[test]
    fn weights_become_shares_of_their_priority() {
        let half = SHARES / 2;
        for (why, services, want) in [
            ("alone", &[(1, 0, 1)][..], &[SHARES][..]),
            ("all 0 say nothing", &[(1, 0, 1), (1, 0, 1)], &[half, half]),
            (
                "by weight",
                &[(1, 30, 1), (1, 10, 1)],
                &[SHARES / 4 * 3, SHARES / 4],
            ),
            (
                "RFC 2782: 0 beside others",
                &[(1, 65_535, 1), (1, 0, 1)],
                &[SHARES, 1],
            ),
            (
                "each priority by itself",
                &[(1, 5, 1), (2, 7, 1)],
                &[SHARES, SHARES],
            ),
            (
                "addresses of one name share",
                &[(1, 1, 2), (1, 1, 1)],
                &[half, half / 2, half / 2],
            ),
            (
                "who has no address has no share",
                &[(1, 9, 0), (1, 1, 1)],
                &[SHARES],
            ),
        ] {
            let found = (0_u8..)
                .zip(services)
                .map(|(number, (priority, weight, addresses))| {
                    let service = Service {
                        host: format!("h{number}"),
                        port: 5060,
                        transport: Transport::Udp,
                        priority: *priority,
                        weight: *weight,
                    };
                    let at = (0..*addresses).map(|last| IpAddr::from([10, 0, number, last]));
                    (service, at.collect())
                });
            let got: Vec<u32> = shared_out(found.collect())
                .iter()
                .map(|t| t.share)
                .collect();
            assert_eq!(got, want, "{why}");
        }
    }

    #[test]
    fn of_thousands_of_records_a_few_are_followed() {
        let target = |n: u16| Name::from_str(&format!("h{n}.example.")).unwrap();
        let records: Vec<SRV> = (0..2000)
            .map(|n| SRV::new(2000 - n, 1, 5060, target(n)))
            .collect();
        let services = services_of(&records, Transport::Udp);
        assert_eq!(services.len(), FOLLOWED);
        assert_eq!(services[0].host, "h1999.example", "the best of them");
        let records = (0..2000).map(|n| naptr(n, 1, "s", "SIP+D2U", "_sip._udp.a."));
        assert_eq!(by_preference(records.collect()).len(), FOLLOWED);
        let all = (0..4000_u16).map(|n| {
            let [high, low] = n.to_be_bytes();
            IpAddr::from([10, 0, high, low])
        });
        let one = services[0].clone();
        assert_eq!(shared_out(vec![(one, all.collect())]).len(), KEPT);
    }

    #[test]
    fn a_target_that_is_the_root_is_no_service() {
        let srv = |target: &str, port| SRV::new(1, 1, port, Name::from_str(target).unwrap());
        let records = [
            srv(".", 5060),
            srv("A.Example.", 5070),
            srv("a.example.", 5070),
            srv("b.example.", 0),
        ];
        let services = services_of(&records, Transport::Tcp);
        assert_eq!(services.len(), 1);
        assert_eq!(
            (services[0].host.as_str(), services[0].port),
            ("a.example", 5070)
        );
    }
}
