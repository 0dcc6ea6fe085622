//! The original's requests, read and written back. They were taken on a little-endian machine; what a big-endian one has is beside
//! them.

use alloc::vec::Vec;

use super::*;
use crate::framing::Messages;
use crate::read;

const GOLDEN: &str = recording!("keepalived-2.3.3-ipvs");
/// The family's number on that day.
const FAMILY: Ipvs = Ipvs(0x1c);

fn golden() -> Vec<(&'static str, Vec<u8>)> {
    let digit = |d: u8| (d as char).to_digit(16).unwrap() as u8;
    GOLDEN
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|line| {
            let (word, hex) = line.split_once(' ').unwrap();
            let pairs = hex.as_bytes().chunks_exact(2);
            (
                word,
                pairs.map(|p| digit(p[0]) << 4 | digit(p[1])).collect(),
            )
        })
        .collect()
}

#[test]
fn our_requests_are_the_originals() {
    let mut seen = 0;
    for (word, bytes) in golden() {
        let message = Messages::new(&bytes).next().unwrap();
        let service = ServiceNow::parse(&message).map(|s| s.service);
        let service = || service.clone().unwrap();
        let to = DestinationNow::parse(&message, Family::V4).map(|d| d.destination);
        let mut batch = Batch::new();
        let b = &mut batch;
        match word {
            "get-family" => genl::push_get_family(b, FAMILY_NAME),
            "get-info" => FAMILY.push_get_info(b),
            "get-config" => FAMILY.push_get_timeouts(b),
            "set-config" => FAMILY.push_set_timeouts(b, &Timeouts::parse(&message).unwrap()),
            "flush" => FAMILY.push_flush(b),
            "new-daemon" => FAMILY.push_start_daemon(b, &Daemon::parse(&message).unwrap()),
            "delete-daemon" => {
                // IPVS_DAEMON_ATTR_STATE
                let backup = read::u32(&bytes, 28) == Some(2);
                let state = if backup {
                    SyncState::Backup
                } else {
                    SyncState::Master
                };
                FAMILY.push_stop_daemon(b, state, 0);
            }
            "new-service" => FAMILY.push_new_service(b, &service()),
            "set-service" => FAMILY.push_set_service(b, &service()),
            "delete-service" => FAMILY.push_delete_service(b, &service()),
            "new-destination" => FAMILY.push_new_destination(b, &service(), &to.unwrap()),
            "set-destination" => FAMILY.push_set_destination(b, &service(), &to.unwrap()),
            "delete-destination" => FAMILY.push_delete_destination(b, &service(), &to.unwrap()),
            _ => panic!("{word}"),
        }
        assert_eq!(batch.bytes(), bytes, "{word}");
        seen += 1;
    }
    assert_eq!(seen, 50);
}

#[test]
fn requests_mean_what_was_configured() {
    let all = golden();
    let services: Vec<Service> = all
        .iter()
        .filter(|(w, _)| *w == "new-service")
        .map(|(_, b)| {
            ServiceNow::parse(&Messages::new(b).next().unwrap())
                .unwrap()
                .service
        })
        .collect();
    let persistent = &services[0];
    assert_eq!(&*persistent.scheduler, "wlc");
    assert_eq!((persistent.flags, persistent.timeout), (F_PERSISTENT, 300));
    assert_eq!(persistent.netmask.to_ne_bytes(), [255, 255, 255, 0]);
    let mark = ServiceKey::Mark {
        family: Family::V4,
        mark: 5,
    };
    assert_eq!((services[1].key, services[1].flags), (mark, 0x18));
    assert_eq!((services[2].timeout, services[2].netmask), (60, 64));
    assert_eq!(services[3].flags, 4);

    let servers: Vec<Destination> = all
        .iter()
        .filter(|(w, _)| *w == "new-destination")
        .map(|(_, b)| {
            let message = Messages::new(b).next().unwrap();
            DestinationNow::parse(&message, Family::V4)
                .unwrap()
                .destination
        })
        .collect();
    assert_eq!(servers[0].address, "10.82.0.11:8080".parse().unwrap());
    assert_eq!(
        (
            servers[0].weight,
            servers[0].upper_threshold,
            servers[0].lower_threshold
        ),
        (3, 100, 50)
    );
    let checksum = Checksum::Checksum;
    let tunnels: Vec<_> = servers[3..7].iter().map(|s| s.forwarding).collect();
    let gue = Tunnel::Gue {
        port: 6080,
        checksum,
    };
    assert_eq!(
        tunnels,
        [gue, Tunnel::Gre { checksum }, Tunnel::Ipip, Tunnel::Ipip].map(Forwarding::Tunnel)
    );
    // An IPv6 server of an IPv4 service.
    assert_eq!(servers[5].address, "[fd82::11]:53".parse().unwrap());

    let (_, daemon) = all.iter().find(|(w, _)| *w == "new-daemon").unwrap();
    let daemon = Daemon::parse(&Messages::new(daemon).next().unwrap()).unwrap();
    assert_eq!(
        (daemon.id, daemon.max_len, daemon.port, daemon.ttl),
        (7, 1400, 8850, 3)
    );
    assert_eq!(daemon.group, Some("224.0.0.99".parse().unwrap()));
}

#[test]
fn every_cut_is_survived() {
    for (_, bytes) in golden() {
        for cut in 0..bytes.len() {
            let mut short = bytes[..cut].to_vec();
            if let Some(len) = short.get_mut(..4) {
                len.copy_from_slice(&(cut as u32).to_ne_bytes());
            }
            for message in Messages::new(&short) {
                let _ = (
                    ServiceNow::parse(&message),
                    DestinationNow::parse(&message, Family::V6),
                    Daemon::parse(&message),
                    Timeouts::parse(&message),
                    genl::family_id(&message),
                );
            }
        }
    }
}
