//! VRRP packets.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    vrrp_proto::wire::fuzz_decode(data);
});
