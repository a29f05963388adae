//! See `pure::entry::stream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pure::entry::stream(data));
