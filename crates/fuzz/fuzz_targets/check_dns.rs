//! What a checked server says: dialogue `dns`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    checker_proto::dialogue::fuzz::dns(data);
});
