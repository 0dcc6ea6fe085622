//! Bytes of the original daemon and of a real kernel, read and written back. They were taken on a little-endian machine; what a
//! big-endian one has is beside them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;
use net_types::Prefix;

use crate::address::{Address, F_NODAD, FOREVER, Lifetimes};
use crate::framing::{Batch, Message, Messages};
use crate::link::{Kind, Link};
use crate::route::{AddMode, Encap, Metric, Route};
use crate::rule::{ACTION_GOTO, ACTION_PROHIBIT, Rule};
use crate::{Event, route};

const REQUESTS: &str = recording!("keepalived-2.3.3-requests");
const LINK_REQUESTS: &str = recording!("keepalived-2.3.3-link-requests");
const NEWS: &str = recording!("linux-6.18-news");

fn lines(text: &'static str, word: &'static str) -> Vec<Vec<u8>> {
    let hex = |line: &str| {
        let digits = line.split(' ').nth(1).unwrap().as_bytes();
        let digit = |d: u8| (d as char).to_digit(16).unwrap() as u8;
        digits
            .chunks_exact(2)
            .map(|p| digit(p[0]) << 4 | digit(p[1]))
            .collect()
    };
    let wanted = |line: &&str| line.split(' ').next() == Some(word);
    text.lines().filter(wanted).map(hex).collect()
}

fn message(bytes: &[u8]) -> Message<'_> {
    let mut walk = Messages::new(bytes);
    let message = walk.next().unwrap();
    assert!(walk.rest().is_empty());
    message
}

/// The request that `push` makes of what `parse` found in the original's must be the original's.
fn same<T>(
    word: &'static str,
    parse: impl Fn(&[u8]) -> Option<T>,
    push: impl Fn(&T, &mut Batch, u16),
) -> usize {
    let found = lines(REQUESTS, word);
    for bytes in &found {
        let original = message(bytes);
        let mut batch = Batch::new();
        push(
            &parse(original.body).unwrap(),
            &mut batch,
            original.header.flags,
        );
        let ours = message(batch.bytes());
        assert_eq!(ours.body, original.body, "{word}");
        assert_eq!(batch.bytes(), bytes, "{word}");
    }
    found.len()
}

#[test]
fn our_requests_are_the_originals() {
    let mode = |flags| match flags & 0xf00 {
        0x400 => AddMode::Prepend,
        0x600 => AddMode::Exclusive,
        0xc00 => AddMode::Append,
        _ => AddMode::Replace,
    };
    let count = same("address", Address::parse, |a, b, _| a.push_add(b))
        + same("address-gone", Address::parse, |a, b, _| a.push_delete(b))
        + same("route", Route::parse, |r, b, flags| {
            r.push_add(b, mode(flags))
        })
        + same("route-gone", Route::parse, |r, b, _| r.push_delete(b))
        + same("rule", Rule::parse, |r, b, _| r.push_add(b))
        + same("rule-gone", Rule::parse, |r, b, _| r.push_delete(b));
    assert_eq!(count, 34);
}

#[test]
fn our_requests_about_links_are_the_originals() {
    use crate::link;
    use crate::nla::Attrs;
    const ALL: [link::Setting; 5] = [
        link::Setting::RpFilter,
        link::Setting::ArpFilter,
        link::Setting::ArpIgnore,
        link::Setting::PromoteSecondaries,
        link::Setting::AcceptLocal,
    ];
    let index = |body: &[u8]| u32::from_ne_bytes(body[4..8].try_into().unwrap());
    let settings = |body: &[u8]| -> Vec<(link::Setting, u32)> {
        let mut inner = Attrs::after(body, 16).next().unwrap();
        for _ in 0..2 {
            inner = inner.nested().next().unwrap();
        }
        let known = |kind: u16| *ALL.iter().find(|s| **s as u16 == kind).unwrap();
        inner
            .nested()
            .map(|a| (known(a.kind), a.u32().unwrap()))
            .collect()
    };
    let same = |word: &'static str, push: &dyn Fn(&[u8], &mut Batch)| {
        let found = lines(LINK_REQUESTS, word);
        for bytes in &found {
            let mut batch = Batch::new();
            push(message(bytes).body, &mut batch);
            assert_eq!(batch.bytes(), bytes, "{word}");
        }
        found.len()
    };
    let count = same("new-macvlan", &|body, batch| {
        let made = Link::parse(body).unwrap();
        assert_eq!(made.kind, Kind::Macvlan { mode: 1 });
        let new = link::NewMacvlan {
            mac: made.address.mac().unwrap(),
            group: made.group,
            master: made.master,
        };
        link::push_new_macvlan(batch, &made.name, made.lower.unwrap(), &new);
    }) + same("settings", &|body, batch| {
        link::push_settings(batch, index(body), &settings(body));
    }) + same("no-link-local", &|body, batch| {
        link::push_no_link_local(batch, index(body));
    }) + same("link-up", &|body, batch| {
        link::push_set_up(batch, index(body), true);
    }) + same("link-gone", &|body, batch| {
        link::push_delete(batch, index(body));
    }) + same("address", &|body, batch| {
        let address = Address::parse(body).unwrap();
        let times = address.lifetimes.unwrap();
        assert_eq!((times.preferred, times.valid), (0, FOREVER));
        address.push_add(batch);
    });
    assert_eq!(count, 24);
    let vmac = lines(LINK_REQUESTS, "settings").swap_remove(2);
    let wanted = [
        (link::Setting::ArpIgnore, 1),
        (link::Setting::AcceptLocal, 1),
        (link::Setting::RpFilter, 0),
        (link::Setting::PromoteSecondaries, 1),
    ];
    assert_eq!(settings(message(&vmac).body), wanted);
}

#[test]
fn every_request_means_what_was_configured() {
    let addresses: Vec<_> = lines(REQUESTS, "address")
        .iter()
        .map(|b| Address::parse(&b[16..]).unwrap())
        .collect();
    let first = &addresses[0];
    assert_eq!(
        (first.local, first.prefix_len),
        ("10.7.0.100".parse().unwrap(), 24)
    );
    assert_eq!(first.label.as_deref(), Some("l0:v"));
    assert_eq!(first.broadcast, Some("10.7.0.255".parse().unwrap()));
    assert_eq!(first.protocol, Some(route::PROTOCOL_KEEPALIVED));
    let home = &addresses[4];
    assert_eq!(home.flags, F_NODAD | crate::address::F_HOMEADDRESS);
    assert_eq!(
        home.lifetimes,
        Some(Lifetimes {
            preferred: 100,
            valid: FOREVER
        })
    );

    let routes: Vec<_> = lines(REQUESTS, "route")
        .iter()
        .map(|b| Route::parse(&b[16..]).unwrap())
        .collect();
    let rich = &routes[1];
    assert_eq!(
        (rich.table, rich.metric, rich.tos, rich.realms),
        (1000, Some(5), 4, 0x0001_0002)
    );
    assert_eq!(rich.congestion_control.as_deref(), Some("cubic"));
    let mtu = 1 << Metric::Mtu as u32;
    assert!(rich.metrics.contains(&(Metric::Mtu, 1400)) && rich.locked == mtu);
    let hops: Vec<_> = routes[2]
        .nexthops
        .iter()
        .map(|n| (n.gateway.unwrap(), n.hops))
        .collect();
    let gateway = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(hops, [(gateway("10.7.0.2"), 2), (gateway("10.7.0.3"), 0)]);
    assert!(
        matches!(&routes[5].encap, Some(Encap::Ip(t)) if t.id == Some(7) && t.ttl == Some(64) && t.tos == Some(4))
    );

    let rules: Vec<_> = lines(REQUESTS, "rule")
        .iter()
        .map(|b| Rule::parse(&b[16..]).unwrap())
        .collect();
    let rich = &rules[0];
    assert_eq!(rich.from, Prefix::new(gateway("10.7.0.0"), 16));
    assert_eq!(
        (rich.mark, rich.mask, rich.users),
        (Some(7), Some(0xff), Some((0, 1000)))
    );
    assert_eq!(
        (rich.incoming.as_deref(), rich.ip_protocol),
        (Some("l0"), Some(6))
    );
    assert_eq!(rich.source_ports, Some((1, 1024)));
    assert_eq!(rules[1].action, ACTION_PROHIBIT);
    assert!(rules[2].invert && rules[2].action == ACTION_GOTO && rules[2].goto == Some(32766));
}

#[test]
fn the_kernels_news_are_understood() {
    let links: Vec<_> = lines(NEWS, "link")
        .iter()
        .map(|b| Link::parse(&b[16..]).unwrap())
        .collect();
    let names: Vec<&str> = links.iter().map(|l| &*l.name).collect();
    assert_eq!(names, ["lo", "l1", "l0"]);
    assert!(links[2].is_up() && links[2].carrier == Some(true) && links[2].operstate == 6);
    assert_eq!((links[2].mtu, links[2].lower), (1500, Some(links[1].index)));
    assert_eq!(links[2].kind, Kind::Other(Box::from("veth")));
    assert_eq!(links[2].broadcast.as_bytes(), [0xff; 6]);

    let mut seen = [0; 4];
    for word in ["address", "route", "rule"] {
        for bytes in lines(NEWS, word) {
            match Event::parse(&message(&bytes)).unwrap() {
                Event::Address(a) => {
                    seen[0] += 1;
                    assert!(a.peer.is_none() && a.index > 0);
                }
                Event::Route(r) => seen[1] += usize::from(r.protocol == route::PROTOCOL_KEEPALIVED),
                Event::Rule(r) => seen[2] += usize::from(r.protocol == Some(18)),
                _ => seen[3] += 1,
            }
        }
    }
    assert_eq!(seen, [13, 7, 3, 0]);
}

#[test]
fn the_kernels_routes_are_those_that_were_asked_for() {
    let asked: Vec<_> = lines(REQUESTS, "route")
        .iter()
        .map(|b| Route::parse(&b[16..]).unwrap())
        .collect();
    let made: Vec<_> = lines(NEWS, "route")
        .iter()
        .map(|b| Route::parse(&b[16..]).unwrap())
        .collect();
    for route in &asked {
        let destination = route.destination.filter(|p| p.len > 0);
        let same = made
            .iter()
            .find(|m| m.destination == destination && m.table == route.table && m.protocol == 18);
        let same = same.unwrap_or_else(|| panic!("{route:?}"));
        assert_eq!(same.gateway, route.gateway);
        assert_eq!(same.kind, route.kind);
        assert_eq!(same.encap.is_some(), route.encap.is_some());
        assert_eq!(same.nexthops.len(), route.nexthops.len());
        assert_eq!(same.congestion_control, route.congestion_control);
    }
}

/// Every message with bytes changed at seeded random: whatever comes out, nothing panics and nothing loops.
#[test]
fn noise_is_survived() {
    let mut state = 0x2545_f491_u32;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % below.max(1)
    };
    let words = [
        "link",
        "address",
        "address-gone",
        "route",
        "route-gone",
        "rule",
        "rule-gone",
    ];
    let all = words
        .iter()
        .flat_map(|w| [lines(REQUESTS, w), lines(NEWS, w)].concat());
    for bytes in all {
        for _ in 0..300 {
            let mut noisy = bytes.clone();
            for _ in 0..=random(4) {
                let at = random(noisy.len());
                // Small numbers are lengths and types; they do more harm than large ones.
                noisy[at] = [random(256), random(8), 0, 255][random(4)] as u8;
            }
            noisy.truncate(bytes.len() - random(9).min(bytes.len()));
            for message in Messages::new(&noisy) {
                let _ = (message.reply(), Event::parse(&message));
            }
        }
    }
}
