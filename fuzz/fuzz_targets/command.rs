//! Tries to break `cardlab_fuzz::command`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cardlab_fuzz::command(bytes));
