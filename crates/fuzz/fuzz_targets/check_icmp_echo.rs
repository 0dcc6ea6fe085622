//! What a checked server says: dialogue `icmp_echo`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    checker_proto::dialogue::fuzz::icmp_echo(data);
});
