//! Tries to break `cardlab_fuzz::medical`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cardlab_fuzz::medical(bytes));
