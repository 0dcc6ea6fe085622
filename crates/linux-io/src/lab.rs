//! Tests in network namespaces of their own: each moves its thread into a new one, which vanishes with the thread. They need
//! root and say so when they are skipped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use net_types::{Family, IfIndex, Prefix};
use netlink_wire::route::{AddMode, PROTOCOL_KEEPALIVED, RTM_GETROUTE};
use netlink_wire::{Address, Batch, Event, Link, LinkAddr, Route, Rule, address, link, rule};

use crate::announce::{self, gratuitous_arp, unsolicited_na};
use crate::packet_sock::{ETHERTYPE_ARP, ETHERTYPE_IPV6, Frame, PacketSocket};
use crate::route_sock::{DATAGRAM_LEN, Group, Monitor, News, ReceiveBuffer, Requests};
use crate::vrrp_sock::{BURST, Burst, Channel, Device, Receiver, Route as Way, Sender, Spec};
use crate::{ifname, netns};

/// A namespace with a veth pair `a`, `b`, both up.
struct Lab {
    requests: Requests,
    a: IfIndex,
    b: IfIndex,
}

impl Lab {
    /// `None`: not root; the test is skipped.
    fn new(test: &str) -> Option<Self> {
        if crate::users::euid() != 0 {
            assert!(
                std::env::var_os("CI").is_none(),
                "{test} can not run: it needs root"
            );
            eprintln!("SKIPPED {test}: it needs root");
            return None;
        }
        netns::unshare().unwrap();
        let mut requests = Requests::open(None).unwrap();
        let mut batch = Batch::new();
        link::push_new_veth(&mut batch, "a", "b");
        let mut answers = Vec::new();
        requests.execute(&mut batch, &mut answers).unwrap();
        // 95 is EOPNOTSUPP where the emulator of another machine runs: it translates neither nested attributes nor the
        // error numbers in answers.
        if matches!(answers[..], [95]) {
            eprintln!("SKIPPED {test}: no veth pairs here");
            return None;
        }
        assert_eq!(answers, [0]);
        batch.clear();
        link::push_set_up(&mut batch, 1, true);
        run(&mut requests, &mut batch);
        let (a, b) = (
            ifname::index_of("a").unwrap(),
            ifname::index_of("b").unwrap(),
        );
        for index in [a, b] {
            // No duplicate address detection, so that link-local addresses work at once.
            let name = ifname::name_of(index).unwrap().unwrap();
            crate::sysctl::write(&crate::sysctl::conf(Family::V6, &name, "accept_dad"), 0).unwrap();
            batch.clear();
            link::push_set_up(&mut batch, index.get(), true);
            run(&mut requests, &mut batch);
        }
        let mut lab = Self { requests, a, b };
        // The kernel activates fresh links a little later; until then it drops what is sent, without an error.
        let deadline = Instant::now() + Duration::from_secs(20);
        while lab.up_links() < 2 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        Some(lab)
    }

    fn up_links(&mut self) -> usize {
        const OPERSTATE_UP: u8 = 6;
        let up = |e: &Event| matches!(e, Event::Link(l) if l.operstate == OPERSTATE_UP);
        self.dump(link::RTM_GETLINK)
            .iter()
            .filter(|e| up(e))
            .count()
    }

    fn run(&mut self, push: impl FnOnce(&mut Batch)) -> Vec<i32> {
        let mut batch = Batch::new();
        push(&mut batch);
        let mut answers = Vec::new();
        self.requests.execute(&mut batch, &mut answers).unwrap();
        answers
    }

    fn dump(&mut self, kind: u16) -> Vec<Event> {
        let mut found = Vec::new();
        self.requests.dump(kind, 0, |e| found.push(e)).unwrap();
        found
    }

    fn addresses_of(&mut self, index: IfIndex) -> Vec<Address> {
        let events = self.dump(address::RTM_GETADDR);
        let address = |e| match e {
            Event::Address(a) => Some(a),
            _ => None,
        };
        events
            .into_iter()
            .filter_map(address)
            .filter(|a| a.index == index.get())
            .collect()
    }
}

fn run(requests: &mut Requests, batch: &mut Batch) {
    let mut answers = Vec::new();
    requests.execute(batch, &mut answers).unwrap();
    assert!(answers.iter().all(|e| *e == 0), "{answers:?}");
}

fn v4(d: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, d).into()
}

/// Everything that the monitor has, with the port that caused it.
fn news(monitor: &Monitor) -> Vec<(u32, Event)> {
    let mut buffer = vec![0; DATAGRAM_LEN];
    let mut found = Vec::new();
    loop {
        match monitor.receive(&mut buffer).unwrap() {
            News::None => return found,
            News::Messages(messages) => {
                found.extend(messages.filter_map(|m| Some((m.header.port, Event::parse(&m)?))));
            }
            News::Overrun => panic!("overrun"),
        }
    }
}

#[test]
fn lab_addresses_are_added_once_seen_and_removed() {
    let Some(mut lab) = Lab::new("lab_addresses_are_added_once_seen_and_removed") else {
        return;
    };
    let monitor = Monitor::open(&[Group::V4Address, Group::V6Address], None).unwrap();
    let mut vip = Address::new(lab.a.get(), v4(100), 24);
    vip.label = Some("a:v".into());
    vip.broadcast = Some(Ipv4Addr::new(10, 0, 0, 255));
    vip.protocol = Some(PROTOCOL_KEEPALIVED);
    let mut peer = Address::new(lab.a.get(), v4(110), 32);
    peer.peer = Some(v4(111));
    let mut vip6 = Address::new(lab.a.get(), "2001:db8::100".parse().unwrap(), 64);
    vip6.flags = address::F_NODAD;
    vip6.lifetimes = Some(address::Lifetimes {
        preferred: 0,
        valid: address::FOREVER,
    });
    let missing = Address::new(0x7fff_0000, v4(1), 24);

    let answers = lab.run(|b| {
        [&vip, &missing, &peer, &vip6, &vip]
            .into_iter()
            .for_each(|a| a.push_add(b))
    });
    assert_eq!(answers, [0, libc::ENODEV, 0, 0, libc::EEXIST]);

    let port = lab.requests.port();
    // The kernel's own link-local addresses come when they come.
    let ours = |(_, e): &(u32, Event)| match e {
        Event::Address(a) | Event::AddressGone(a) => a.scope == 0,
        _ => false,
    };
    // News of IPv6 addresses come a little later, after duplicate address detection has been passed over.
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut seen = Vec::new();
    while seen.len() < 3 && Instant::now() < deadline {
        seen.extend(news(&monitor).into_iter().filter(ours));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(seen.len(), 3);
    // They name no cause either.
    let cause = |e: &Event| match e {
        Event::Address(a) if a.local.is_ipv6() => 0,
        _ => port,
    };
    assert!(seen.iter().all(|(p, e)| *p == cause(e)));
    let found = lab.addresses_of(lab.a);
    let same = |wanted: &Address| {
        let found = found.iter().find(|f| f.local == wanted.local).unwrap();
        assert_eq!(
            (found.prefix_len, found.peer, found.broadcast),
            (wanted.prefix_len, wanted.peer, wanted.broadcast)
        );
        assert_eq!(found.protocol, wanted.protocol);
    };
    [&vip, &peer].into_iter().for_each(same);
    let deprecated = found.iter().find(|f| f.local == vip6.local).unwrap();
    assert_eq!(deprecated.lifetimes.map(|l| l.preferred), Some(0));

    let answers = lab.run(|b| {
        [&vip, &peer, &vip6, &vip]
            .into_iter()
            .for_each(|a| a.push_delete(b))
    });
    assert_eq!(answers, [0, 0, 0, libc::EADDRNOTAVAIL]);
    let gone = news(&monitor).into_iter().filter(ours);
    let gone: Vec<_> = gone.map(|(_, e)| e).collect();
    assert!(
        matches!(&gone[..], [Event::AddressGone(a), Event::AddressGone(b), Event::AddressGone(c)]
        if a.local == vip.local && b.local == peer.local && c.local == vip6.local)
    );
}

#[test]
fn lab_refusals_are_told_by_their_place_among_many() {
    let Some(mut lab) = Lab::new("lab_refusals_are_told_by_their_place_among_many") else {
        return;
    };
    // More than one part, and refusals at the ends of parts, where the kernel also says that it is done.
    let is_refused = |n: u8| matches!(n, 0 | 63 | 64 | 100 | 127 | 149);
    let index = lab.a.get();
    let answers = lab.run(|batch| {
        for n in 0..150 {
            let index = if is_refused(n) { 0x7fff_fff0 } else { index };
            Address::new(index, Ipv4Addr::new(10, 9, 0, n).into(), 32).push_add(batch);
        }
    });
    let expected = (0..150).map(|n| if is_refused(n) { libc::ENODEV } else { 0 });
    assert_eq!(answers, expected.collect::<Vec<i32>>());
    assert_eq!(
        lab.addresses_of(lab.a)
            .iter()
            .filter(|a| a.prefix_len == 32)
            .count(),
        144
    );
}

#[test]
fn lab_routes_and_rules_come_and_go() {
    let Some(mut lab) = Lab::new("lab_routes_and_rules_come_and_go") else {
        return;
    };
    let own = Address::new(lab.a.get(), v4(1), 24);
    let mut route = Route::new(Family::V4);
    route.destination = Prefix::new("192.168.7.0".parse().unwrap(), 24);
    route.gateway = Some(v4(2));
    route.interface = Some(lab.a.get());
    route.metric = Some(5);
    route.table = 1000;
    let mut unreachable = route.clone();
    unreachable.gateway = Some("172.16.9.9".parse().unwrap());
    let mut look = Rule::new(Family::V4);
    look.from = Prefix::new(v4(0), 24);
    look.table = 1000;
    look.priority = Some(77);
    look.protocol = Some(PROTOCOL_KEEPALIVED);
    let answers = lab.run(|b| {
        own.push_add(b);
        route.push_add(b, AddMode::Prepend);
        unreachable.push_add(b, AddMode::Exclusive);
        route.push_add(b, AddMode::Exclusive);
        look.push_add(b);
        look.push_add(b);
    });
    assert_eq!(
        answers,
        [0, 0, libc::ENETUNREACH, libc::EEXIST, 0, libc::EEXIST]
    );

    let routes = lab.dump(RTM_GETROUTE);
    let is_ours = |r: &Route| {
        r.table == 1000 && r.destination == route.destination && r.gateway == route.gateway
    };
    assert!(
        routes
            .iter()
            .any(|e| matches!(e, Event::Route(r) if is_ours(r) && r.metric == Some(5)))
    );
    let rules = lab.dump(rule::RTM_GETRULE);
    assert!(
        rules
            .iter()
            .any(|e| matches!(e, Event::Rule(r) if r.priority == Some(77) && r.from == look.from))
    );

    let monitor = Monitor::open(&[Group::V4Route, Group::V4Rule], None).unwrap();
    let answers = lab.run(|b| {
        route.push_delete(b);
        look.push_delete(b);
        route.push_delete(b);
    });
    assert_eq!(answers, [0, 0, libc::ESRCH]);
    let gone: Vec<_> = news(&monitor).into_iter().map(|(_, e)| e).collect();
    assert!(
        matches!(&gone[..], [Event::RouteGone(r), Event::RuleGone(u)] if is_ours(r) && u.table == 1000)
    );
}

#[test]
fn lab_lost_news_are_told() {
    let Some(mut lab) = Lab::new("lab_lost_news_are_told") else {
        return;
    };
    let small = ReceiveBuffer {
        bytes: 4096,
        force: false,
    };
    let monitor = Monitor::open(&[Group::V4Address], Some(small)).unwrap();
    let a = lab.a.get();
    let vips: Vec<_> = (1..=200).map(|d| Address::new(a, v4(d), 32)).collect();
    let answers = lab.run(|b| vips.iter().for_each(|v| v.push_add(b)));
    assert_eq!(answers, [0; 200]);
    let mut buffer = vec![0; DATAGRAM_LEN];
    let mut overruns = 0;
    loop {
        match monitor.receive(&mut buffer).unwrap() {
            News::None => break,
            News::Messages(_) => {}
            News::Overrun => overruns += 1,
        }
    }
    assert!(overruns > 0);
    let v4s = lab
        .addresses_of(lab.a)
        .iter()
        .filter(|x| x.local.is_ipv4())
        .count();
    assert_eq!(v4s, 200);
}

#[test]
fn lab_links_come_change_and_go() {
    let Some(mut lab) = Lab::new("lab_links_come_change_and_go") else {
        return;
    };
    let monitor = Monitor::open(&[Group::Link], None).unwrap();
    let (a, b) = (lab.a.get(), lab.b.get());
    let mac = net_types::MacAddr([0, 0, 0x5e, 0, 1, 51]);
    let answers = lab.run(|batch| {
        let new = link::NewMacvlan {
            mac,
            group: 0,
            master: None,
        };
        link::push_new_macvlan(batch, "vrrp.51", a, &new);
        link::push_new_simple(batch, "br0", "bridge");
        link::push_set_up(batch, b, false);
    });
    assert_eq!(answers, [0; 3]);
    let vmac = ifname::index_of("vrrp.51").unwrap().get();
    let bridge = ifname::index_of("br0").unwrap().get();
    let answers = lab.run(|batch| {
        link::push_no_link_local(batch, vmac);
        link::push_set_up(batch, vmac, true);
        link::push_set_master(batch, b, bridge);
        link::push_delete(batch, vmac);
    });
    assert_eq!(answers, [0; 4]);
    let seen = news(&monitor);
    let links: Vec<&Link> = seen
        .iter()
        .filter_map(|(_, e)| match e {
            Event::Link(l) => Some(l),
            _ => None,
        })
        .collect();
    let made = links.iter().find(|l| l.index == vmac).unwrap();
    assert_eq!(
        (made.kind.clone(), made.lower),
        (link::Kind::Macvlan { mode: 1 }, Some(a))
    );
    assert_eq!(made.address.mac(), Some(mac));
    assert!(
        links.iter().any(|l| l.index == a && !l.is_up()),
        "its other end went down"
    );
    assert!(
        links
            .iter()
            .any(|l| l.index == b && l.master == Some(bridge))
    );
    assert!(
        seen.iter()
            .any(|(_, e)| matches!(e, Event::LinkGone(l) if l.index == vmac))
    );
}

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
