//! See `pure::entry::session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pure::entry::session(data));
