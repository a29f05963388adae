//! See `pure::entry::decision`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pure::entry::decision(data));
