//! Tries to break `cardlab_fuzz::tlv`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cardlab_fuzz::tlv(bytes));
