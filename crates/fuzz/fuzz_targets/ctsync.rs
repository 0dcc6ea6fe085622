//! Datagrams of conntrackd's peers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    ctsync_proto::wire::fuzz(data);
});
