//! Tries to break `cardlab_fuzz::psam`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(cardlab_fuzz::psam(bytes)));
