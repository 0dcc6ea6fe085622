//! What the kernel is asked for, and what it tells.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use net_types::{Family, Prefix};
use netlink_wire::route::{AddMode, PROTOCOL_KEEPALIVED, RTM_GETROUTE};
use netlink_wire::{Address, Event, Link, Route, Rule, address, link, rule};

use super::{Lab, v4};
use crate::ifname;
use crate::route_sock::{DATAGRAM_LEN, Group, Monitor, News, ReceiveBuffer};

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
