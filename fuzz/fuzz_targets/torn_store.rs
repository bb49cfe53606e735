//! Tries to break `cardlab_fuzz::torn_store`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cardlab_fuzz::torn_store(bytes));
