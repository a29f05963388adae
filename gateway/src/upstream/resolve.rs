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

/// Where a member is now, if the answer says something new. The address in use stays in use while it is among them: answers
/// come in any order, and a registrar that challenged has to get the answer.
pub(crate) fn moved(known: Option<SocketAddr>, answer: &[SocketAddr]) -> Option<SocketAddr> {
    let first = answer.first().copied()?;
    let stays = known.is_some_and(|known| answer.contains(&known));
    (!stays).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

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
