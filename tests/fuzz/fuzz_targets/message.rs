//! See `pure::entry::message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pure::entry::message(data));
