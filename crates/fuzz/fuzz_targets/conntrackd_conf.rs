//! conntrackd.conf.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    drop(conf_parsers::conntrackd::parse(data, &|_| true));
});
