//! A transport, by its name in lower case; `wss` is not `ws` here, as it is in URIs.
use sip::Transport;

use super::reader::{Item, Reader};
use super::schema::Setting;
use super::value::{text, unknown_word};

impl Setting for Transport {
    fn kind() -> String {
        Transport::ALL
            .map(|transport| format!("`\"{}\"`", transport.name()))
            .join(", ")
    }
    fn example() -> String {
        "\"tcp\"".to_owned()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let written = text::<Self>(item, reader)?;
        let found = Transport::ALL
            .into_iter()
            .find(|transport| transport.name() == written);
        if found.is_none() {
            unknown_word(written, &Transport::ALL.map(Transport::name), item, reader);
        }
        found
    }
    fn show(&self) -> String {
        format!("\"{}\"", self.name())
    }
}
