//! A recording: its frames, and what a node wrote.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/replay/keepalived")
}

/// Names of all recordings with frames, sorted.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory())
        .unwrap()
        .filter_map(|e| {
            let name = e.unwrap().file_name().into_string().unwrap();
            let name = name.strip_suffix(".pcap")?;
            (!name.ends_with(".eth1")).then(|| name.to_owned())
        })
        .collect();
    names.sort();
    names
}

/// A file of a recording, if it is there.
pub(crate) fn file(name: &str, suffix: &str) -> Option<String> {
    fs::read_to_string(directory().join(format!("{name}.{suffix}"))).ok()
}

/// All statistics that a node wrote, in no order.
pub(crate) fn statistics(name: &str, node: char) -> Vec<String> {
    ending(name, &format!(".{node}.stats.txt"))
}

/// All dumps of its sessions that a node's BFD process wrote, in no order.
pub(crate) fn sessions(name: &str, node: char) -> Vec<String> {
    ending(name, &format!(".{node}.bfd.data.txt"))
}

/// The content of a recording's files that end so.
fn ending(name: &str, end: &str) -> Vec<String> {
    fs::read_dir(directory())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|f| f.starts_with(name) && f.ends_with(end))
        .map(|f| fs::read_to_string(directory().join(f)).unwrap())
        .collect()
}

/// What a frame carries, as far as it is of interest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// VRRP or AH over IPv4, from the IP header on.
    V4(Vec<u8>),
    /// VRRP over IPv6, with source, destination and hop limit.
    V6(Vec<u8>, Ipv6Addr, Ipv6Addr, u8),
    /// A gratuitous ARP or unsolicited NA.
    Announce(IpAddr),
    /// BFD over UDP.
    Bfd {
        bytes: Vec<u8>,
        source: SocketAddr,
        destination: SocketAddr,
        hop_limit: u8,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Microseconds since 1970.
    pub(crate) at: u64,
    /// Last octet of the sender's hardware address: 0x0a for node a. A virtual one tells nothing: then the address that the
    /// advert comes from, for an announcement that of the last advert.
    pub(crate) sender: u8,
    /// The link: 0 for eth0, 1 for eth1.
    pub(crate) link: u8,
    pub(crate) payload: Payload,
}

/// Adverts, announcements and BFD packets of a recording, in order.
pub(crate) fn frames(name: &str) -> Vec<Frame> {
    let mut all = on_link(
        name,
        0,
        &fs::read(directory().join(format!("{name}.pcap"))).unwrap(),
    );
    if let Ok(second) = fs::read(directory().join(format!("{name}.eth1.pcap"))) {
        all.extend(on_link(name, 1, &second));
        all.sort_by_key(|f| f.at);
    }
    all
}

fn on_link(name: &str, link: u8, bytes: &[u8]) -> Vec<Frame> {
    assert_eq!(bytes[..4], [0xd4, 0xc3, 0xb2, 0xa1], "{name}");
    let mut frames = Vec::new();
    let mut sender = 0;
    let mut rest = &bytes[24..];
    while rest.len() >= 16 {
        let word = |n: usize| u32::from_le_bytes(rest[n * 4..n * 4 + 4].try_into().unwrap());
        let at = u64::from(word(0)) * 1_000_000 + u64::from(word(1));
        let length = word(2) as usize;
        let frame = &rest[16..16 + length];
        if let Some(payload) = payload(frame) {
            if frame[6..11] != [0, 0, 0x5e, 0, 1] && frame[6..11] != [0, 0, 0x5e, 0, 2] {
                sender = frame[11];
            } else {
                sender = match &payload {
                    Payload::V4(bytes) => bytes[15] + 9,
                    Payload::V6(_, source, ..) => source.octets()[15],
                    Payload::Announce(_) | Payload::Bfd { .. } => sender,
                };
            }
            frames.push(Frame {
                at,
                sender,
                link,
                payload,
            });
        }
        rest = &rest[16 + length..];
    }
    frames
}

fn payload(frame: &[u8]) -> Option<Payload> {
    let body = &frame[14..];
    match u16::from_be_bytes([frame[12], frame[13]]) {
        0x0800 if matches!(body[9], 112 | 51) => {
            let total = usize::from(u16::from_be_bytes([body[2], body[3]]));
            Some(Payload::V4(body[..total].to_vec()))
        }
        0x0800 if body[9] == 17 => {
            let at = |n: usize| -> [u8; 4] { body[n..n + 4].try_into().unwrap() };
            bfd(&body[20..], at(12).into(), at(16).into(), body[8])
        }
        // Gratuitous: sender and target are the same.
        0x0806 if body[14..18] == body[24..28] => {
            let address: [u8; 4] = body[14..18].try_into().unwrap();
            Some(Payload::Announce(Ipv4Addr::from(address).into()))
        }
        0x86dd => {
            let length = usize::from(u16::from_be_bytes([body[4], body[5]]));
            let [source, destination] = [8, 24].map(|at| {
                let octets: [u8; 16] = body[at..at + 16].try_into().unwrap();
                Ipv6Addr::from(octets)
            });
            let inner = &body[40..40 + length];
            match body[6] {
                17 => bfd(inner, source.into(), destination.into(), body[7]),
                112 => Some(Payload::V6(inner.to_vec(), source, destination, body[7])),
                58 if inner[0] == 136 && destination.is_multicast() => {
                    let target: [u8; 16] = inner[8..24].try_into().unwrap();
                    Some(Payload::Announce(Ipv6Addr::from(target).into()))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// A datagram to one of the ports of BFD.
fn bfd(udp: &[u8], source: IpAddr, destination: IpAddr, hop_limit: u8) -> Option<Payload> {
    let word = |n: usize| u16::from_be_bytes([udp[n], udp[n + 1]]);
    matches!(word(2), 3784 | 4784).then(|| Payload::Bfd {
        bytes: udp[8..usize::from(word(4))].to_vec(),
        source: (source, word(0)).into(),
        destination: (destination, word(2)).into(),
        hop_limit,
    })
}
