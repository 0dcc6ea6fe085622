//! Adverts and announcements on a link.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use net_types::{Family, IfIndex};
use netlink_wire::{Address, Event, LinkAddr, address, link};

use super::{Lab, v4};
use crate::announce::{self, gratuitous_arp, unsolicited_na};
use crate::packet_sock::{ETHERTYPE_ARP, ETHERTYPE_IPV6, Frame, PacketSocket};
use crate::vrrp_sock::{BURST, Burst, Channel, Device, Receiver, Route as Way, Sender, Spec};

/// Sends until something arrives: a link that has just come up may lose the first packets.
fn exchange(
    sender: &Sender,
    packet: &[u8],
    way: &Way,
    receiver: &Receiver,
    buffer: &mut [u8],
) -> crate::vrrp_sock::Packet {
    let mut burst = Burst::new(buffer.len(), 1);
    // The deadline only ends a test that has gone wrong.
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        sender.send(packet, way).unwrap();
        for _ in 0..50 {
            if receiver.receive(&mut burst).unwrap() > 0 {
                let (packet, bytes) = burst.packets().next().unwrap();
                buffer[..bytes.len()].copy_from_slice(bytes);
                return *packet;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    panic!("no packet");
}

fn spec(channel: Channel, name: &str, index: IfIndex) -> Spec<'_> {
    Spec {
        protocol: 112,
        channel,
        device: Some(Device { name, index }),
        vrf: None,
        receive_buffer: 0,
    }
}

fn strict(warning: crate::vrrp_sock::OpenError) {
    panic!("{warning}");
}

#[test]
fn lab_adverts_travel_over_ipv4() {
    let Some(mut lab) = Lab::new("lab_adverts_travel_over_ipv4") else {
        return;
    };
    let (a, b) = (
        Address::new(lab.a.get(), v4(1), 24),
        Address::new(lab.b.get(), v4(2), 24),
    );
    assert_eq!(
        lab.run(|batch| [&a, &b].into_iter().for_each(|x| x.push_add(batch))),
        [0, 0]
    );
    // Both ends are this machine: its own address as a source is strange to it.
    for (key, value) in [("accept_local", 1), ("rp_filter", 0)] {
        for name in ["all", "b"] {
            crate::sysctl::write(&crate::sysctl::conf(Family::V4, name, key), value).unwrap();
        }
    }
    let group: IpAddr = Ipv4Addr::new(224, 0, 0, 18).into();
    let receiver = Receiver::open(&spec(Channel::Multicast(group), "b", lab.b), strict).unwrap();
    let own = Receiver::open(&spec(Channel::Multicast(group), "a", lab.a), strict).unwrap();
    let sender = Sender::open(&spec(Channel::Multicast(group), "a", lab.a), strict).unwrap();
    // Header of 20 bytes, checksum left to the kernel, then six bytes of content.
    let mut packet = vec![
        0x45, 0xc0, 0, 26, 0, 1, 0, 0, 255, 112, 0, 0, 10, 0, 0, 1, 224, 0, 0, 18,
    ];
    packet.extend([1, 2, 3, 4, 5, 6]);
    let way = Way {
        destination: group,
        source: None,
        interface: None,
        hop_limit: None,
        direct: true,
    };
    let mut buffer = [0; 64];
    let got = exchange(&sender, &packet, &way, &receiver, &mut buffer);
    assert_eq!(
        (got.len, got.source, got.destination),
        (26, v4(1), Some(group))
    );
    assert_eq!(
        (got.interface, got.cut, got.is_multicast()),
        (Some(lab.b), false, true)
    );
    assert_eq!((buffer[1], buffer[8]), (0xc0, 255));
    assert_eq!(buffer[20..26], [1, 2, 3, 4, 5, 6]);
    let nothing = own.receive(&mut Burst::new(64, BURST)).unwrap();
    assert_eq!(nothing, 0, "own adverts are not heard");
    let mut many = Burst::new(64, BURST);
    while receiver.receive(&mut many).unwrap() > 0 {}
    let packets = [(&packet[..], way); BURST + 3];
    sender.send_burst(&packets, |n, e| panic!("{n}: {e}"));
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut seen = 0;
    while seen < packets.len() && Instant::now() < deadline {
        seen += receiver.receive(&mut many).unwrap();
        assert!(many.packets().all(|(_, bytes)| bytes[20..] == packet[20..]));
    }
    assert_eq!(seen, packets.len());
    let lost = Way {
        destination: v4(77),
        ..way
    };
    let mut failed = vec![];
    let long = vec![0; 70_000];
    let mixed = [(&long[..], way), (&packet[..], way), (&long[..], lost)];
    sender.send_burst(&mixed, |n, _| failed.push(n));
    assert_eq!(failed, [0, 2]);
    assert!(exchange(&sender, &packet, &way, &receiver, &mut [0; 20]).cut);
}

#[test]
fn lab_adverts_travel_over_ipv6() {
    let Some(mut lab) = Lab::new("lab_adverts_travel_over_ipv6") else {
        return;
    };
    let local: Ipv6Addr = "fe80::77".parse().unwrap();
    let mut source = Address::new(lab.a.get(), local.into(), 64);
    source.flags = address::F_NODAD;
    assert_eq!(lab.run(|batch| source.push_add(batch)), [0]);
    let group: IpAddr = "ff02::12".parse().unwrap();
    let receiver = Receiver::open(&spec(Channel::Multicast(group), "b", lab.b), strict).unwrap();
    let sender = Sender::open(&spec(Channel::Multicast(group), "a", lab.a), strict).unwrap();
    let packet = [
        0x31, 51, 200, 1, 0, 100, 0, 0, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
    ];
    let mut way = Way {
        destination: group,
        source: Some(local),
        interface: Some(lab.a),
        hop_limit: None,
        direct: true,
    };
    let mut buffer = [0; 64];
    let got = exchange(&sender, &packet, &way, &receiver, &mut buffer);
    assert_eq!(
        (got.len, got.source, got.destination),
        (24, local.into(), Some(group))
    );
    assert_eq!((got.interface, got.hop_limit), (Some(lab.b), Some(255)));
    assert!(buffer[6..8] != [0, 0], "the kernel fills the checksum in");

    // To a peer, with a hop limit of its own.
    let other: Ipv6Addr = "fe80::78".parse().unwrap();
    let mut there = Address::new(lab.b.get(), other.into(), 64);
    there.flags = address::F_NODAD;
    assert_eq!(lab.run(|batch| there.push_add(batch)), [0]);
    let unicast = |address: Ipv6Addr| Channel::Unicast(address.into());
    let receiver = Receiver::open(&spec(unicast(other), "b", lab.b), strict).unwrap();
    let sender = Sender::open(&spec(unicast(local), "a", lab.a), strict).unwrap();
    way.destination = other.into();
    way.hop_limit = Some(9);
    way.direct = false;
    let got = exchange(&sender, &packet, &way, &receiver, &mut buffer);
    assert_eq!(
        (got.source, got.hop_limit, got.is_multicast()),
        (local.into(), Some(9), false)
    );
}

#[test]
fn lab_an_absent_source_is_told() {
    let Some(lab) = Lab::new("lab_an_absent_source_is_told") else {
        return;
    };
    // FREEBIND: IPv4 may come later.
    assert!(Receiver::open(&spec(Channel::Unicast(v4(99)), "a", lab.a), strict).is_ok());
    let gone = IfIndex::new(0x7fff_0000).unwrap();
    let channel = Channel::Multicast(Ipv4Addr::new(224, 0, 0, 18).into());
    let error = Receiver::open(&spec(channel, "gone", gone), strict).unwrap_err();
    assert_eq!(error.step, crate::vrrp_sock::Step::Join);
}

#[test]
fn lab_frames_reach_the_other_end() {
    use socket2::{Domain, Protocol, Socket, Type};
    use std::io::Read;

    let Some(mut lab) = Lab::new("lab_frames_reach_the_other_end") else {
        return;
    };
    let Some(Event::Link(own)) = lab
        .dump(link::RTM_GETLINK)
        .into_iter()
        .find(|e| matches!(e, Event::Link(l) if l.index == lab.a.get()))
    else {
        panic!("no link");
    };
    let all = Protocol::from(i32::from(3_u16.to_be()));
    let mut listener = Socket::new(Domain::PACKET, Type::RAW, Some(all)).unwrap();
    // It hears each frame twice, when it leaves and when it arrives.
    crate::sockopt::set_receive_buffer_force(&listener, 4 << 20).unwrap();
    listener
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let sender = announce::Sender {
        hw_type: own.hw_type,
        own: &own.address,
        broadcast: &own.broadcast,
    };
    let (mut arp, mut na) = (Vec::new(), Vec::new());
    gratuitous_arp(&mut arp, sender, Ipv4Addr::new(10, 0, 0, 100));
    unsolicited_na(&mut na, sender, "2001:db8::100".parse().unwrap(), true);
    let frames: Vec<Frame<'_>> = (0..100)
        .map(|i| match i % 2 {
            0 => Frame {
                interface: lab.a,
                ethertype: ETHERTYPE_ARP,
                bytes: &arp,
            },
            _ => Frame {
                interface: lab.a,
                ethertype: ETHERTYPE_IPV6,
                bytes: &na,
            },
        })
        .chain([Frame {
            interface: IfIndex::new(0x7fff_0000).unwrap(),
            ethertype: ETHERTYPE_ARP,
            bytes: &arp,
        }])
        .chain([Frame {
            interface: lab.a,
            ethertype: ETHERTYPE_ARP,
            bytes: &arp,
        }])
        .collect();
    let socket = PacketSocket::open().unwrap();
    let mut failed = Vec::new();
    socket.send_burst(&frames, |at, e| failed.push((at, e.raw_os_error())));
    assert_eq!(failed, [(100, Some(libc::ENXIO))]);
    let (mut arps, mut nas) = (0, 0);
    let mut buffer = [0; 2048];
    while arps < 51 || nas < 50 {
        let got = listener.read(&mut buffer).unwrap();
        arps += u32::from(buffer[..got] == arp[..]);
        nas += u32::from(buffer[..got] == na[..]);
    }
    assert_eq!(LinkAddr::new(&arp[6..12]), Some(own.address));
}
