//! D-Bus messages and the connection's first steps.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    dbus_wire::fuzz_message(data);
});
