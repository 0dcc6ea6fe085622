//! In a network namespace; root only.

use std::time::{Duration, Instant};

use super::*;
use crate::vrrp::garp::Announcer;
use crate::vrrp::kernel::{Buffers, Kernel};
use crate::vrrp::objects::Objects;
use linux_io::netns;
use linux_io::vrrp_sock::BURST;
use vrrp_proto::config::{IfId, InstanceId};

fn ip(words: &str) {
    let status = std::process::Command::new("ip")
        .args(words.split(' '))
        .status()
        .unwrap();
    assert!(status.success(), "ip {words}");
}

fn lab(test: &str) -> Option<Kernel> {
    if !testkit::need::root(test) {
        return None;
    }
    netns::unshare().unwrap();
    pair_of_links();
    let mut kernel = Kernel::open(Objects::new(), Buffers::default()).unwrap();
    kernel.interfaces.watch(["va", "vb"]);
    Some(kernel)
}

fn pair_of_links() {
    ip("link add va type veth peer name vb");
    ip("link set va up");
    ip("link set vb up");
    ip("addr add fe80::a/64 dev va nodad");
}

fn socket(interface: u16) -> Socket {
    Socket {
        vrf: None,
        family: Family::V6,
        interface: Some(IfId(interface)),
        group: Some("ff02::12".parse().unwrap()),
        ah: false,
        unicast_source: None,
    }
}

fn refresh(sockets: &mut Sockets, kernel: &mut Kernel, wanted: &[Socket]) {
    let mut events = Vec::new();
    while kernel.receive(&mut events).unwrap() {}
    sockets.refresh(wanted, &kernel.interfaces, |_| 0, |t| panic!("{t:?}"));
}

#[test]
fn lab_sockets_follow_their_interfaces() {
    let Some(mut kernel) = lab("lab_sockets_follow_their_interfaces") else {
        return;
    };
    let mut sockets = Sockets::new().unwrap();
    let wanted = [socket(0), socket(1)];
    refresh(&mut sockets, &mut kernel, &wanted);
    let before = [SocketId(0), SocketId(1)].map(|id| sockets.descriptors(id));
    assert!(before.iter().all(|(r, s)| *r >= 0 && *s >= 0));
    let index = sockets.interface_index(SocketId(0));
    let (r, s) = before[0];
    assert_eq!(
        sockets.describe(SocketId(0)).unwrap(),
        format!(
            "VRRP sockpool: [ifindex({index:3}), family(IPv6), proto(112), fd({r},{s}) multicast, address(ff02::12)]"
        )
    );

    // In another order they stay what they are; their numbers follow.
    let swapped = [socket(1), socket(0)];
    refresh(&mut sockets, &mut kernel, &swapped);
    assert_eq!(sockets.descriptors(SocketId(0)), before[1]);
    advert_arrives(&mut sockets, &kernel, SocketId(1), SocketId(0));

    ip("link del va");
    refresh(&mut sockets, &mut kernel, &swapped);
    assert_eq!(sockets.descriptors(SocketId(0)), (-1, -1));
    let mut burst = Burst::new(64, BURST);
    assert!(!sockets.receive(SocketId(0), &mut burst));
    assert_eq!(burst.packets().count(), 0);
    pair_of_links();
    refresh(&mut sockets, &mut kernel, &swapped);
    advert_arrives(&mut sockets, &kernel, SocketId(1), SocketId(0));
}

/// Sends on `from` until `to` has it: a link that has just come up may lose the first packets.
fn advert_arrives(sockets: &mut Sockets, kernel: &Kernel, from: SocketId, to: SocketId) {
    let bytes = vec![
        0x31, 51, 100, 1, 0, 100, 0, 0, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x64,
    ];
    let advert = Transmit {
        instance: InstanceId(0),
        bytes: bytes.clone(),
        source: Some("fe80::a".parse().unwrap()),
        destination: "ff02::12".parse().unwrap(),
        hop_limit: 255,
        multicast: true,
        priority: 100,
    };
    let leaving = kernel.interfaces.facts_by_name("va").index;
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        sockets.queue(from, advert.clone(), leaving, true);
        sockets.flush(|_| "V");
        for _ in 0..50 {
            let (ready, more) = sockets.ready().unwrap();
            assert!(!more);
            if !ready.is_empty() {
                assert_eq!(ready, [to]);
                let mut burst = Burst::new(64, BURST);
                sockets.receive(to, &mut burst);
                let (packet, buffer) = burst.packets().next().unwrap();
                assert_eq!((packet.len, packet.hop_limit), (24, Some(255)));
                assert_eq!(
                    packet.source,
                    "fe80::a".parse::<std::net::IpAddr>().unwrap()
                );
                assert_eq!(buffer[..6], bytes[..6]);
                // What the loop above has sent too often.
                while sockets.receive(to, &mut burst) {}
                assert_eq!(sockets.ready().unwrap().0, []);
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    panic!("no advert");
}

#[test]
fn lab_announcements_teach_the_neighbour() {
    let Some(mut kernel) = lab("lab_announcements_teach_the_neighbour") else {
        return;
    };
    let mut events = Vec::new();
    while kernel.receive(&mut events).unwrap() {}
    // The neighbour believes an ARP request that it did not ask for.
    linux_io::sysctl::write(&linux_io::sysctl::conf(Family::V4, "vb", "arp_accept"), 1).unwrap();
    ip("addr add 10.0.0.2/24 dev vb");
    let mut announcer = Announcer::open(false).unwrap();
    let link = kernel.interfaces.by_name("va").unwrap().clone();
    let now = net_types::Instant::ZERO;
    let mac = link.address.to_string();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        announcer.queue(now, &link, "10.0.0.100".parse().unwrap());
        announcer.queue(now, &link, "2001:db8::100".parse().unwrap());
        announcer.flush();
        std::thread::sleep(Duration::from_millis(20));
        let shown = std::process::Command::new("ip")
            .args(["neigh", "show", "dev", "vb"])
            .output()
            .unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        if shown
            .lines()
            .any(|l| l.starts_with("10.0.0.100 ") && l.contains(&mac))
        {
            return;
        }
        assert!(Instant::now() < deadline, "{shown}");
    }
}
