//! `[trace]`: what passed lately, and who may see it.
use super::check::Checks;
use super::schema::section;
use super::unit::ByteSize;
use super::value::words;

/// Less holds hardly a call.
const LEAST: usize = 1 << 20;

section! {
    /// Every SIP message and every command to RTPEngine is kept for a while in a memory of a fixed size, the newest over the oldest: `causeway ctl call` draws a call from it, `causeway ctl trace` shows what passes. Whoever reaches the admin API can ask for it.
    pub struct Trace {
        /// How much of it is kept; three quarters are for calls, one quarter is for REGISTER, OPTIONS, SUBSCRIBE, NOTIFY and PUBLISH. A call of a browser takes some 40 KiB, so the default holds 300. Too little, and a call is gone before somebody asks; 0 keeps nothing, and then there is no trace.
        pub memory: ByteSize = ByteSize(16 << 20), within(ByteSize(0), ByteSize(4 << 30));
        /// Digest responses, SDES keys and ICE passwords in what is shown, in capture files and in what is sent to Homer: each byte of them an `x`, or as they were. With the keys, recorded media can be decrypted.
        pub secrets: Secrets = Secrets::Hide;
    }
}

words! {
    /// What becomes of secrets.
    pub enum Secrets {
        /// Crossed out, byte by byte.
        Hide = "hide",
        /// Shown.
        Show = "show",
    }
}

impl Trace {
    pub(crate) fn check(&self, checks: &mut Checks<'_>) {
        if (1..LEAST).contains(&self.memory.0) {
            let message = "`memory` holds hardly one call";
            let found = checks.source.error("trace.memory", message);
            checks.push(found.help("\"1MiB\" at least, or 0 for no trace at all"));
        }
    }
}
