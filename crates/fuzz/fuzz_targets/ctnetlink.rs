//! Messages of the kernel's connection tracking.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    nfct::codec::fuzz(data);
});
