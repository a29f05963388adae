//! `shorten`: what a datagram that is too long may lose.
use proxy::mtu::Saving;

use super::reader::{Item, Reader};
use super::schema::Setting;
use super::value::{text, unknown_word};

impl Setting for Saving {
    fn kind() -> String {
        Saving::ALL
            .map(|saving| format!("`{}`", saving.show()))
            .join(", ")
    }
    fn example() -> String {
        Saving::Agent.show()
    }
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let written = text::<Self>(item, reader)?;
        let found = Saving::ALL
            .into_iter()
            .find(|saving| saving.label() == written);
        if found.is_none() {
            unknown_word(written, &Saving::ALL.map(Saving::label), item, reader);
        }
        found
    }
    fn show(&self) -> String {
        format!("\"{}\"", self.label())
    }
}
