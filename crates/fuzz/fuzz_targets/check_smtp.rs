//! What a checked server says: dialogue `smtp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    checker_proto::dialogue::fuzz::smtp(data);
});
