//! Members' names, looked up in the background: what was found last stays while DNS does not answer.

use std::net::{IpAddr, SocketAddr};

use proxy::site::Member;

/// The addresses of a host, or itself if it is one; empty if there are none.
pub(crate) async fn look_up(host: &str, port: u16) -> Vec<SocketAddr> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return vec![SocketAddr::new(address, port)];
    }
    match tokio::net::lookup_host((host, port)).await {
        Ok(found) => found.collect(),
        Err(error) => {
            tracing::warn!(host, %error, "no answer from DNS for a member");
            Vec::new()
        }
    }
}

/// True if a member's address may change.
pub(crate) fn is_name(member: &Member) -> bool {
    member.host.parse::<IpAddr>().is_err()
}

/// What a new answer makes of the addresses that are known; `None` if nothing. The one in use stays in use while it is
/// among them: answers come in any order, and a registrar that challenged has to get the answer.
pub(crate) fn merged(known: &[SocketAddr], answer: Vec<SocketAddr>) -> Option<Vec<SocketAddr>> {
    let same = known.len() == answer.len() && known.iter().all(|address| answer.contains(address));
    if answer.is_empty() || same {
        return None;
    }
    let mut answer = answer;
    answer.sort_by_key(|address| known.first() != Some(address));
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_members_addresses_follow_dns_without_flapping() {
        let of = |last: &[u8]| {
            last.iter()
                .map(|n| SocketAddr::from(([10, 0, 0, *n], 5060)))
                .collect::<Vec<_>>()
        };
        for (why, known, answer, want) in [
            ("the first answer", &[][..], &[1, 2][..], Some(&[1, 2][..])),
            ("DNS is down: the last answer is kept", &[1, 2], &[], None),
            ("the same in another order", &[1, 2], &[2, 1], None),
            (
                "the one in use stays in use",
                &[1, 2],
                &[3, 2, 1],
                Some(&[1, 3, 2]),
            ),
            ("it moved", &[1], &[4], Some(&[4])),
        ] {
            assert_eq!(merged(&of(known), of(answer)), want.map(of), "{why}");
        }
    }

    #[tokio::test]
    async fn an_address_is_its_own_answer_and_a_bad_name_has_none() {
        assert_eq!(
            look_up("10.0.0.1", 5060).await,
            [([10, 0, 0, 1], 5060).into()]
        );
        assert_eq!(look_up("::1", 5060).await, ["[::1]:5060".parse().unwrap()]);
        assert!(look_up("no.such.name.invalid", 5060).await.is_empty());
    }
}
