//! `[log]`: what is said, and how.
use super::schema::section;
use super::value::words;

section! {
    /// What is said on standard error, and how.
    pub struct Log {
        /// The least important that is still said. `debug` has hostile packets and each request, which costs time.
        pub level: Level = Level::Info;
        /// Text for people, JSON for machines.
        pub format: Format = Format::Text;
    }
}

words! {
    /// How important a line is.
    pub enum Level {
        /// What needs somebody now.
        Error = "error",
        /// What will.
        Warn = "warn",
        /// What a person may act on.
        Info = "info",
        /// Each request and what became of it.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

words! {
    /// How a line looks.
    pub enum Format {
        /// A line for people.
        Text = "text",
        /// A JSON object a line.
        Json = "json",
    }
}
