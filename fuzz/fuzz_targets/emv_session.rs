//! Tries to break `cardlab_fuzz::emv_session`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cardlab_fuzz::emv_session(bytes));
