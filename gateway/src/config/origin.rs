//! Whose pages may open a WebSocket.
use super::address::split_host_port;
use super::reader::{Item, Reader};
use super::schema::Setting;
use super::value::text;

/// An origin as a browser sends it (RFC 6454 §6.2): scheme, host, and port if it is not the scheme's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(
    /// In lower case, as it is compared.
    pub String,
);

impl Setting for Origin {
    fn kind() -> String {
        "an origin".to_owned()
    }
    fn example() -> String {
        "\"https://phone.example.com\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let written = text::<Self>(item, reader)?;
        let rest = written
            .strip_prefix("https://")
            .or_else(|| written.strip_prefix("http://"));
        let host = rest
            .unwrap_or(written)
            .split('/')
            .next()
            .unwrap_or_default();
        let right = rest.is_some_and(|rest| rest == host && split_host_port(rest).is_ok());
        if !right {
            let message =
                format!("`{written}` is not an origin: browsers send scheme and host, no path");
            reader.error(item, message, format!("\"https://{host}\""));
            return None;
        }
        Some(Self(written.to_lowercase()))
    }
    fn show(&self) -> String {
        format!("\"{}\"", self.0)
    }
}
