//! Tries to break `cardlab_fuzz::t1_block`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cardlab_fuzz::t1_block(bytes));
