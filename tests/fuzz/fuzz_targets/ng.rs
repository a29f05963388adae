//! See `pure::entry::ng`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pure::entry::ng(data));
