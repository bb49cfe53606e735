//! Tries to break `cardlab_fuzz::script`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cardlab_fuzz::script(bytes));
