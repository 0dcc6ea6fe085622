//! Packets of the flows that helpers read.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    cthelper_proto::fuzz(data);
});
