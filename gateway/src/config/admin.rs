//! `[admin]`: where metrics and the admin API listen.
use std::net::{IpAddr, SocketAddr};

use super::check::Checks;
use super::schema::section;

section! {
    /// Metrics and the admin API. They ask nobody who he is, so they bind to a private address only. By loopback, and for orders, they answer to an address and to `localhost`, and to no other name: a page could let its own lead here.
    pub struct Admin {
        /// Address and port. Left out: there is none.
        pub listen: Option<SocketAddr> = None;
    }
}

impl Admin {
    pub(crate) fn check(&self, checks: &mut Checks<'_>) {
        let Some(address) = self.listen else { return };
        if !is_private(address.ip()) {
            let message = format!(
                "the admin API would be open to everybody who reaches {}",
                address.ip()
            );
            let found = checks.source.error("admin.listen", message);
            checks.push(found.help(format!(
                "\"127.0.0.1:{}\", or a private address",
                address.port()
            )));
        }
    }
}

/// RFC 1918, RFC 4193 and loopback; link-local too.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}
