//! keepalived.conf: the language and the vocabulary.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    conf_parsers::keepalived::fuzz::fuzz_read(data);
});
