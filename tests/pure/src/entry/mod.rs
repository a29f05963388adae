//! The places where bytes of strangers come in. Each function takes any bytes, and panics only when a promise is broken.

mod decision;
mod message;
mod ng;
mod session;
mod stream;
mod token;

pub use decision::decision;
pub use message::message;
pub use ng::ng;
pub use session::session;
pub use stream::stream;
pub use token::token;

/// An entry point by its name, which is also that of its fuzz target and of its folder of seeds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Entry {
    /// [`message()`]
    Message,
    /// [`stream()`]
    Stream,
    /// [`token()`]
    Token,
    /// [`session()`]
    Session,
    /// [`ng()`]
    Ng,
    /// [`decision()`]
    Decision,
}

impl Entry {
    /// All of them.
    pub const ALL: [Entry; 6] = [
        Entry::Message,
        Entry::Stream,
        Entry::Token,
        Entry::Session,
        Entry::Ng,
        Entry::Decision,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Entry::Message => "message",
            Entry::Stream => "stream",
            Entry::Token => "token",
            Entry::Session => "session",
            Entry::Ng => "ng",
            Entry::Decision => "decision",
        }
    }

    /// Gives it bytes.
    pub fn run(self, data: &[u8]) {
        match self {
            Entry::Message => message(data),
            Entry::Stream => stream(data),
            Entry::Token => token(data),
            Entry::Session => session(data),
            Entry::Ng => ng(data),
            Entry::Decision => decision(data),
        }
    }
}
