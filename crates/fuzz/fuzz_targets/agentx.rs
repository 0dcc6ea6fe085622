//! AgentX messages.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    agentx_wire::fuzz_pdu(data);
});
