//! Files that are right, and what they come to.
use std::time::Duration;

use sip::Transport;

use super::*;

#[test]
fn the_case_study_fits_on_a_screen_and_has_nothing_wrong() {
    let text = r#"
[node]
key_file = "cluster.key"

[listen.public]
udp = "0.0.0.0:5060"
tls = "0.0.0.0:5061"
wss = "0.0.0.0:443"
advertise = "sbc.example.com"
certificate = { chain = "good.pem", key = "good.key" }

[listen.core]
udp = "10.33.69.151:5060"
trust = ["10.33.69.0/24"]

[group.registrars]
members = ["sip:10.33.69.152", "sip:10.33.69.153"]

[media]
rtpengine = ["10.33.69.160:2223"]

[[route]]
from = "devices"
to = "group:registrars"
"#;
    let Loaded {
        config, warnings, ..
    } = Site::new().load(text).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    let public = &config.listen["public"];
    assert!(!public.is_core() && config.listen["core"].is_core());
    let transports: Vec<Transport> = public.sockets().map(|(transport, _)| transport).collect();
    assert_eq!(transports, [Transport::Udp, Transport::Tls, Transport::Wss]);
    assert_eq!(
        public.advertise,
        Some(Advertise {
            host: "sbc.example.com".to_owned(),
            port: None
        })
    );
    let provider = rustls::crypto::ring::default_provider();
    assert!(config.listen["core"].certificate.is_none());
    // The directory is gone by now, so the files cannot be read: an error, not a panic.
    assert!(
        public
            .certificate
            .as_ref()
            .unwrap()
            .load(&provider)
            .is_err()
    );
    let members: Vec<&str> = config.group["registrars"]
        .members
        .iter()
        .map(|m| m.uri.host.as_str())
        .collect();
    assert_eq!(members, ["10.33.69.152", "10.33.69.153"]);
    assert_eq!(
        config.media.rtpengine[0].address.to_string(),
        "10.33.69.160:2223"
    );
    assert_eq!(config.route[0].to, RouteTo::Group("registrars".to_owned()));
}

#[test]
fn each_way_to_give_a_password_ends_in_the_same_credential() {
    let text = r#"
[domain."a.example"]
users_file = "users.toml"
users = [
  { name = "plain", password = "correct horse" },
  { name = "env", password_env = "ALICE_PASSWORD" },
  { name = "file", password_file = "password" },
  { name = "hash", ha1 = "00112233445566778899AABBCCDDEEFF" },
]
"#;
    let config = Site::new().load(&completed(text)).unwrap().config;
    let users = &config.domain["a.example"].users;
    let horse = Credential::Password(Secret::new("correct horse".to_owned()));
    for name in ["plain", "env", "file", "carol"] {
        let user = users.iter().find(|user| user.name == name).unwrap();
        assert_eq!(user.credential(), Some(horse.clone()), "{name}");
    }
    let hash = users
        .iter()
        .find(|user| user.name == "hash")
        .unwrap()
        .credential();
    let lower = "00112233445566778899aabbccddeeff".to_owned();
    assert_eq!(
        hash,
        Some(Credential::Ha1(Algorithm::Md5, Secret::new(lower)))
    );
}

#[test]
fn a_secret_is_never_printed() {
    let config = Site::new().load(&completed("")).unwrap();
    let printed = format!("{config:?} {}", Secret::new("correct horse".to_owned()));
    assert!(printed.contains("[redacted]") && !printed.contains("correct horse"));
}

#[test]
fn values_are_read_in_every_way_they_may_be_written() {
    let text = r#"
[listen.a]
udp = ["127.0.0.1:5060", "[::1]:5060"]
advertise = "env:PUBLIC_NAME"
trust = ["10.0.0.5", "2001:db8::/32"]
[registrar]
min_expires = "90s"
max_expires = "45m"
[limits]
message_size = 16384
outbox = "1MiB"
[group.core]
members = ["sip:core.example.com:5080;transport=tcp", "sip:[2001:db8::5]"]
[[route]]
from = "group:core"
method = ["INVITE"]
regex = '^\+?49'
to = "reject 404"
"#;
    let config = Site::new().load(&completed(text)).unwrap().config;
    let listen = &config.listen["a"];
    assert_eq!(listen.udp.len(), 2);
    assert_eq!(
        listen.advertise,
        Some(Advertise {
            host: "sbc.example.com".to_owned(),
            port: Some(15060)
        })
    );
    assert_eq!(listen.trust[0].to_string(), "10.0.0.5/32");
    assert_eq!(config.registrar.min_expires, Duration::from_secs(90));
    assert_eq!(config.registrar.max_expires, Duration::from_secs(2700));
    assert_eq!(
        (config.limits.message_size, config.limits.outbox),
        (ByteSize(16384), ByteSize(1 << 20))
    );
    let [first, second] = &config.group["core"].members[..] else {
        panic!("two members")
    };
    assert_eq!(
        (first.uri.port, first.uri.transport),
        (Some(5080), Some(Transport::Tcp))
    );
    assert_eq!(
        (
            second.uri.host.as_str(),
            second.uri.port,
            second.uri.transport
        ),
        ("2001:db8::5", None, None)
    );
    let route = &config.route[0];
    assert!(route.regex.as_ref().unwrap().0.is_match("4930") && route.to == RouteTo::Reject(404));
}

#[test]
fn a_certificate_loads_with_its_key_and_not_with_another() {
    let site = Site::new();
    let provider = rustls::crypto::ring::default_provider();
    let pair = |chain: &str, key: &str| Certificate {
        chain: site.path(chain),
        key: site.path(key),
    };
    assert!(pair("good.pem", "good.key").load(&provider).is_ok());
    assert!(matches!(
        pair("good.pem", "other.key").load(&provider),
        Err(CertificateError::Mismatch { .. })
    ));
    assert!(matches!(
        pair("nothing.pem", "good.key").load(&provider),
        Err(CertificateError::Chain { .. })
    ));
    assert!(matches!(
        pair("good.pem", "nothing.pem").load(&provider),
        Err(CertificateError::Key { .. })
    ));
}

#[test]
fn the_default_of_every_key_lies_within_its_extremes() {
    fn visit(keys: &[crate::config::schema::KeyDoc], path: &str, seen: &mut usize) {
        for key in keys {
            if let Some(inside) = &key.inside {
                visit(&inside.keys, &format!("{path}{}.", key.name), seen);
            } else if key.range.is_some() {
                *seen += 1;
                let text = match path {
                    "node." | "registrar." | "media." | "limits." | "timers." => {
                        format!(
                            "[{}]\n{} = {}\n",
                            path.trim_end_matches('.'),
                            key.name,
                            key.default
                        )
                    }
                    _ => continue,
                };
                let found = Site::new().found(&text);
                assert!(
                    !found.to_string().contains("is too "),
                    "{path}{}: {found}",
                    key.name
                );
            }
        }
    }
    let mut seen = 0;
    visit(
        &<Config as crate::config::schema::Section>::keys(),
        "",
        &mut seen,
    );
    assert!(seen > 20, "{seen}");
}
