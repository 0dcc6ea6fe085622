//! Bytes of the reference, both ways; and the fuzz corpus.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at what it did not expect"
)]

mod support;

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use net_types::{Duration, Family};
use support::*;
use vrrp_proto::config::{Auth, Destination, Peer, Version, VirtualAddress};
use vrrp_proto::wire::{self, Packet, Seal, View};

fn testdata(part: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata")
        .join(part)
}

fn unhex(line: &str) -> Vec<u8> {
    (0..line.len() / 2)
        .map(|i| u8::from_str_radix(&line[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

fn lines(file: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(testdata("wire/vrrp").join(file)).unwrap();
    text.lines()
        .filter(|l| !l.starts_with('#'))
        .map(unhex)
        .collect()
}

/// The IPv4 header checksum is the kernel's.
fn without_ip_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[10] = 0;
    bytes[11] = 0;
    bytes
}

#[test]
fn captured_adverts_decode_and_encode_back() {
    let mut count = 0;
    for entry in fs::read_dir(testdata("wire/vrrp")).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        for bytes in lines(&file) {
            count += 1;
            if bytes[0] >> 4 == 6 {
                let vrrp = &bytes[40..];
                let packet = Packet::decode(Family::V6, vrrp).unwrap();
                let mut again = vec![];
                packet.encode(Seal::Kernel, &mut again);
                let mut expected = vrrp.to_vec();
                expected[6] = 0;
                expected[7] = 0;
                assert_eq!(again, expected, "{file}");
                continue;
            }
            let view = View::decode(Family::V4, &bytes).unwrap();
            let ip = view.ip.unwrap();
            let packet = Packet::decode(Family::V4, view.vrrp).unwrap();
            let mut again = vec![];
            ip.encode(&mut again);
            if let Some(ah) = view.ah {
                ah.encode(&mut again);
            }
            let group = Ipv4Addr::new(224, 0, 0, 18);
            let seal = match packet.header.version {
                2 => Seal::Plain,
                _ => {
                    let new = Seal::Pseudo {
                        source: ip.source,
                        destination: ip.destination,
                    };
                    let old = Seal::Pseudo {
                        source: ip.source,
                        destination: group,
                    };
                    // 314 to 316 are about the old unicast form.
                    if wire::checksum(new, view.vrrp) != 0 && file.contains("old-checksum") {
                        old
                    } else {
                        new
                    }
                }
            };
            assert_eq!(
                wire::checksum(seal, view.packet(Family::V4).unwrap()),
                0,
                "{file}"
            );
            packet.encode(seal, &mut again);
            assert_eq!(again, without_ip_checksum(bytes), "{file}");
        }
    }
    assert!(count >= 130, "only {count} packets");
}

fn first_advert(change: impl FnOnce(&mut vrrp_proto::config::Instance)) -> Vec<u8> {
    let mut i = instance("VI_1", 51, 150);
    change(&mut i);
    let (mut host, _) = Host::new(config(1, vec![i]));
    let (_, out) = host.wait();
    transmits(&out).first().unwrap().bytes.clone()
}

fn vip(n: u8) -> VirtualAddress {
    VirtualAddress {
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, n)),
        object: u32::from(n),
        interface: vrrp_proto::IfId(0),
        no_track: false,
    }
}

#[test]
fn our_adverts_are_the_references_bytes() {
    let same = |file: &str, ours: Vec<u8>| {
        let theirs = lines(file).into_iter().map(without_ip_checksum);
        assert!(theirs.clone().any(|t| t == ours), "{file}: {ours:02x?}");
    };
    same("301-v2-noauth.hex", first_advert(|_| {}));
    let text = fs::read_to_string(testdata("wire/vrrp/302-v2-pass.hex")).unwrap();
    let sample = unhex(text.lines().find(|l| !l.starts_with('#')).unwrap());
    let password: [u8; 8] = sample[sample.len() - 8..].try_into().unwrap();
    same(
        "302-v2-pass.hex",
        first_advert(|i| i.auth = Auth::Pass(password)),
    );
    same("308-v3-ip4.hex", first_advert(|i| i.version = Version::V3));
    same(
        "326-v3-ip4-2-addresses.hex",
        first_advert(|i| {
            i.version = Version::V3;
            i.addresses = vec![vip(100), vip(101)];
        }),
    );
    same(
        "334-advert-int-40ms.hex",
        first_advert(|i| {
            i.version = Version::V3;
            i.advert_interval = Duration::from_millis(40);
        }),
    );
    let unicast = |i: &mut vrrp_proto::config::Instance| {
        i.destination = Destination::Unicast(vec![Peer {
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
            min_ttl: 0,
            max_ttl: 255,
        }]);
    };
    same("311-v2-unicast.hex", first_advert(unicast));
    same(
        "312-v3-ip4-unicast.hex",
        first_advert(|i| {
            unicast(i);
            i.version = Version::V3;
        }),
    );
    same(
        "314-v3-unicast-old-checksum-both.hex",
        first_advert(|i| {
            unicast(i);
            i.version = Version::V3;
            i.old_checksum = vrrp_proto::config::OldChecksum::Always;
        }),
    );
}

#[test]
fn fuzz_corpus_is_survived() {
    let mut count = 0;
    for entry in fs::read_dir(testdata("fuzz/vrrp")).unwrap() {
        wire::fuzz_decode(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 5);
}

/// Whatever comes in: no panic, no change of state but by an advert that passes.
#[test]
fn damaged_packets_never_panic_a_router() {
    let mut rng = Rng::new(7);
    let corpus: Vec<_> = ["301-v2-noauth.hex", "308-v3-ip4.hex", "303-v2-ah.hex"]
        .iter()
        .flat_map(|f| lines(f))
        .collect();
    for version in [Version::V2, Version::V3] {
        let mut i = instance("V", 51, 100);
        i.version = version;
        let (mut host, _) = Host::new(config(9, vec![i]));
        for round in 0..20_000u64 {
            let mut bytes = corpus[rng.below(corpus.len() as u64) as usize].clone();
            for _ in 0..rng.below(4) {
                let k = rng.below(bytes.len() as u64) as usize;
                bytes[k] ^= 1 << rng.below(8);
            }
            if rng.chance(20) {
                bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize);
            }
            host.now = at(1_000_000 + round * 1000);
            host.hear([192, 0, 2, 1], &bytes);
            host.router.handle_timeout(host.now);
            host.drain();
        }
        let stats = *host.router.status(vrrp_proto::InstanceId(0)).unwrap().stats;
        assert!(
            stats.advert_rcvd > 0 && stats.chk_err > 0 && stats.packet_len_err > 0,
            "{stats:?}"
        );
    }
}
