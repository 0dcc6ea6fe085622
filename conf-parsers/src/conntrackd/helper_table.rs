//! The helpers that conntrack-tools 1.4.8 ships: for which layer-4 protocols, with which policies.

const TCP: u8 = 6;
const UDP: u8 = 17;

/// (name, layer-4 protocols, policies)
const HELPERS: [(&str, &[u8], &[&str]); 10] = [
    ("amanda", &[UDP], &["amanda"]),
    ("dhcpv6", &[UDP], &["dhcpv6"]),
    ("ftp", &[TCP], &["ftp"]),
    ("mdns", &[UDP], &["mdns"]),
    ("rpc", &[TCP, UDP], &["rpc"]),
    ("sane", &[TCP], &["sane"]),
    ("slp", &[UDP], &["slp"]),
    ("ssdp", &[UDP, TCP], &["ssdp"]),
    ("tftp", &[UDP], &["tftp"]),
    ("tns", &[TCP], &["tns"]),
];

/// The policies of the helper `name` for `protocol`; `None` when there is no such helper.
pub(super) fn policies(name: &str, protocol: u8) -> Option<&'static [&'static str]> {
    HELPERS
        .iter()
        .find(|(helper, protocols, _)| *helper == name && protocols.contains(&protocol))
        .map(|(_, _, policies)| *policies)
}
