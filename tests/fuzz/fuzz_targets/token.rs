//! See `pure::entry::token`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pure::entry::token(data));
