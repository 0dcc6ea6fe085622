//! Every digest that was recorded, computed again.

use net_types::Family;
use vrrp_proto::auth::{ah, trailer};
use vrrp_proto::config::Version;
use vrrp_proto::wire::View;

use crate::capture::{self, Payload};

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|n| u8::from_str_radix(&text[n * 2..n * 2 + 2], 16).unwrap())
        .collect()
}

/// The trailer in a packet, with all that its digest is made of.
fn signed(payload: &Payload) -> Option<(trailer::Trailer, trailer::Scope, Vec<u8>)> {
    let (family, bytes, source) = match payload {
        Payload::V4(bytes) if bytes[9] == 112 => (
            Family::V4,
            bytes,
            std::net::Ipv4Addr::new(bytes[12], bytes[13], bytes[14], bytes[15]).into(),
        ),
        Payload::V6(bytes, source, ..) => (Family::V6, bytes, (*source).into()),
        _ => return None,
    };
    let view = View::decode(family, bytes).unwrap();
    let packet = view.packet(family)?.to_vec();
    let rest: &[u8; trailer::LEN] = view.vrrp[packet.len()..].try_into().ok()?;
    let scope = trailer::Scope {
        version: if view.header.version == 2 {
            Version::V2
        } else {
            Version::V3
        },
        vrid: view.header.vrid,
        source,
    };
    Some((trailer::Trailer::decode(rest), scope, packet))
}

#[test]
fn all_trailers() {
    let (mut right, mut wrong) = (0, Vec::new());
    for name in capture::names() {
        let Some(keys) = capture::file(&name, "keys") else {
            continue;
        };
        let keys: Vec<(u8, Vec<u8>)> = keys
            .lines()
            .filter(|l| !l.starts_with('#') && !l.is_empty())
            .map(|line| {
                let mut words = line.split(' ').skip(1);
                let id = words.next().unwrap().parse().unwrap();
                (id, unhex(words.next().unwrap()))
            })
            .collect();
        for frame in capture::frames(&name) {
            let Some((theirs, scope, packet)) = signed(&frame.payload) else {
                continue;
            };
            let mut written = Vec::new();
            theirs.encode(&mut written);
            assert_eq!(
                trailer::Trailer::decode(written[..].try_into().unwrap()),
                theirs
            );
            let made = keys.iter().any(|(id, secret)| {
                let mut ours = theirs;
                ours.sign(secret, &scope, &packet);
                assert_eq!(ours == theirs, theirs.verify(secret, &scope, &packet));
                *id == theirs.key && ours == theirs
            });
            if made {
                right += 1;
            } else {
                wrong.push(name.clone());
            }
        }
    }
    assert_eq!(right, 482);
    // One had a bit flipped, one names another key.
    assert_eq!(wrong, ["135-hmac-crafted", "135-hmac-crafted"]);
}

#[test]
fn all_authentication_headers() {
    let mut count = 0;
    for name in capture::names().iter().filter(|n| n.contains("-ah")) {
        for frame in capture::frames(name) {
            let Payload::V4(bytes) = &frame.payload else {
                continue;
            };
            let unicast = bytes[16] < 224;
            let key = match (name.as_str(), frame.sender) {
                ("305-v2-ah-mismatch", 0x0b) => b"wrongs12",
                _ => b"secret12",
            };
            assert!(ah::verify(key, bytes, 20, unicast), "{name} {bytes:02x?}");
            assert!(!ah::verify(b"secret13", bytes, 20, unicast));
            let mut ours = bytes.clone();
            ours[10..12].fill(0);
            ours[32..44].fill(0);
            ah::seal(key, &mut ours, unicast);
            assert_eq!(ours[32..44], bytes[32..44], "{name}");
            // Whatever is cut off or changed is noticed, except what may change on the way.
            for at in 0..bytes.len() {
                assert!(!ah::verify(key, &bytes[..at], 20, unicast));
                let mut changed = bytes.clone();
                changed[at] ^= 0x10;
                let free = matches!(at, 1 | 6 | 7 | 10 | 11) || unicast && at == 8;
                assert_eq!(ah::verify(key, &changed, 20, unicast), free, "octet {at}");
            }
            count += 1;
        }
    }
    assert!(count >= 30, "{count}");
}
