//! In network namespaces of their own; root only.

use linux_io::netns;
use net_types::{Family, Prefix};
use netlink_wire::route::AddMode;
use netlink_wire::{Address, Route, Rule, link};

use super::news::is_later;
use super::*;
use crate::vrrp::objects::{AddressObject, RouteObject};

/// Runs `ip`, as "someone else" would.
fn ip(words: &str) {
    let status = std::process::Command::new("ip")
        .args(words.split(' '))
        .status()
        .unwrap();
    assert!(status.success(), "ip {words}");
}

fn vip(interface: &str, text: &str, len: u8) -> AddressObject {
    let mut address = Address::new(0, text.parse().unwrap(), len);
    if address.local.is_ipv6() {
        address.flags = netlink_wire::address::F_NODAD;
    }
    AddressObject {
        interface: interface.into(),
        address,
    }
}

/// A kernel in a new namespace with a veth pair `va`, `vb` that is up; `va` and `vb` are watched, in this order.
fn lab(test: &str, objects: Objects) -> Option<Kernel> {
    if !testkit::need::root(test) {
        return None;
    }
    netns::unshare().unwrap();
    let mut requests = Requests::open(None).unwrap();
    let mut batch = Batch::new();
    link::push_new_veth(&mut batch, "vb", "va");
    requests.execute(&mut batch, &mut Vec::new()).unwrap();
    ip("link set va up");
    ip("link set vb up");
    ip("addr add 10.0.0.1/24 dev va");
    let mut kernel = Kernel::open(objects, Buffers::default()).unwrap();
    kernel.interfaces.watch(["va", "vb"]);
    Some(kernel)
}

fn news(kernel: &mut Kernel) -> Vec<KernelEvent> {
    let mut events = Vec::new();
    while kernel.receive(&mut events).unwrap() {}
    events
}

/// Collects news until all of `wanted` have come: the kernel tells the loss of a carrier when it gets round to it.
fn news_until(kernel: &mut Kernel, wanted: &[&dyn Fn(&KernelEvent) -> bool]) -> Vec<KernelEvent> {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let mut events = news(kernel);
    while !wanted.iter().all(|w| events.iter().any(w)) {
        assert!(std::time::Instant::now() < end, "{events:?}");
        std::thread::sleep(std::time::Duration::from_millis(10));
        events.extend(news(kernel));
    }
    events
}

fn removed(kernel: &mut Kernel) -> Vec<Object> {
    let object = |e| match e {
        KernelEvent::Removed(o) => Some(o),
        KernelEvent::Link(..) | KernelEvent::CameUp(_) => None,
    };
    news(kernel).into_iter().filter_map(object).collect()
}

#[test]
fn lab_only_removals_by_others_are_told() {
    let mut objects = Objects::new();
    let v4 = objects.intern_address(vip("va", "10.0.0.100", 24));
    let v6 = objects.intern_address(vip("va", "2001:db8::100", 64));
    let Some(mut kernel) = lab("lab_only_removals_by_others_are_told", objects) else {
        return;
    };
    let mut refused = Vec::new();
    for _ in 0..2 {
        // Added, removed and added again before the news are read.
        kernel.add(v4);
        kernel.add(v6);
        kernel.remove(v6, false);
        kernel.remove(v4, false);
        kernel.add(v4);
        kernel.add(v6);
        kernel.flush(&mut refused);
        assert_eq!(removed(&mut kernel), []);
        ip("addr del 10.0.0.100/24 dev va");
        ip("addr del 2001:db8::100/64 dev va");
        assert_eq!(removed(&mut kernel), [v4, v6]);
        assert!(!kernel.is_set(v4) && !kernel.is_set(v6));
        kernel.remove(v4, false);
        kernel.flush(&mut refused);
    }
    assert_eq!(refused, []);
}

#[test]
fn lab_routes_and_rules_of_ours_are_missed() {
    let mut objects = Objects::new();
    let route = |dst: &str, family| {
        let mut route = Route::new(family);
        let (addr, len) = dst.split_once('/').unwrap();
        route.destination = Prefix::new(addr.parse().unwrap(), len.parse().unwrap());
        RouteObject {
            route,
            mode: AddMode::Prepend,
            interface: Some("va".into()),
            hop_interfaces: Vec::new(),
        }
    };
    let r4 = objects.intern_route(route("192.168.1.0/24", Family::V4));
    let r6 = objects.intern_route(route("2001:db8:1::/48", Family::V6));
    let mut lookup = Rule::new(Family::V4);
    lookup.from = Prefix::new("10.0.0.0".parse().unwrap(), 24);
    lookup.to = Prefix::new("0.0.0.0".parse().unwrap(), 0);
    lookup.priority = Some(100);
    lookup.protocol = Some(18);
    let rule = objects.intern_rule(lookup);
    let Some(mut kernel) = lab("lab_routes_and_rules_of_ours_are_missed", objects) else {
        return;
    };
    let mut refused = Vec::new();
    for object in [r4, r6, rule] {
        assert!(kernel.add(object));
    }
    kernel.flush(&mut refused);
    assert_eq!(refused, []);
    assert_eq!(removed(&mut kernel), []);
    ip("route del 192.168.1.0/24");
    ip("-6 route del 2001:db8:1::/48 dev va");
    ip("rule del priority 100");
    assert_eq!(removed(&mut kernel), [r4, r6, rule]);
    // Our own removals are not told, and an object that is not there is refused without harm.
    kernel.add(r4);
    kernel.flush(&mut refused);
    kernel.remove(r4, false);
    kernel.remove(r4, true);
    kernel.remove(rule, true);
    kernel.flush(&mut refused);
    assert_eq!((removed(&mut kernel), refused), (vec![], vec![]));
}

#[test]
fn lab_links_come_and_go_in_order_with_their_addresses() {
    let mut objects = Objects::new();
    let v4 = objects.intern_address(vip("va", "10.0.0.100", 24));
    let gone = objects.intern_address(vip("nowhere", "10.0.0.101", 24));
    let Some(mut kernel) = lab(
        "lab_links_come_and_go_in_order_with_their_addresses",
        objects,
    ) else {
        return;
    };
    let facts = kernel.interfaces.facts(IfId(0)).unwrap();
    assert_eq!(facts.v4, Some(std::net::Ipv4Addr::new(10, 0, 0, 1)));
    assert!(!kernel.add(gone));
    kernel.add(v4);
    kernel.flush(&mut Vec::new());
    news(&mut kernel);
    ip("link set vb down");
    let down =
        |id| move |e: &KernelEvent| matches!(e, KernelEvent::Link(i, f) if *i == IfId(id) && !f.up);
    news_until(&mut kernel, &[&down(0), &down(1)]);
    ip("link del vb");
    let vanished =
        |e: &KernelEvent| matches!(e, KernelEvent::Link(IfId(0), f) if f.index.is_none());
    let events = news_until(&mut kernel, &[&vanished]);
    let lost = events
        .iter()
        .position(|e| *e == KernelEvent::Removed(v4))
        .unwrap();
    assert!(events.iter().position(vanished).unwrap() > lost);
    // Removing what went with its interface is nothing to complain about.
    kernel.remove(v4, false);
    ip("link add va type veth peer name vb");
    ip("link set vb up");
    ip("link set va up");
    let back = |e: &KernelEvent| matches!(e, KernelEvent::Link(IfId(0), f) if f.index.is_some());
    news_until(&mut kernel, &[&back]);
    assert!(kernel.add(v4));
    let mut refused = Vec::new();
    kernel.flush(&mut refused);
    assert_eq!(refused, []);
}

#[test]
fn lab_lost_news_are_made_up_for() {
    let mut objects = Objects::new();
    let kept = objects.intern_address(vip("va", "10.0.0.100", 24));
    let lost = objects.intern_address(vip("va", "10.0.0.101", 24));
    let Some(mut kernel) = lab("lab_lost_news_are_made_up_for", objects) else {
        return;
    };
    kernel
        .monitor
        .set_buffer(ReceiveBuffer {
            bytes: 2048,
            force: false,
        })
        .unwrap();
    kernel.add(kept);
    kernel.add(lost);
    kernel.flush(&mut Vec::new());
    news(&mut kernel);
    ip("link set vb down");
    for _ in 0..20 {
        ip("addr add 10.9.9.9/24 dev va");
        ip("addr del 10.9.9.9/24 dev va");
    }
    ip("addr del 10.0.0.101/24 dev va");
    let events = news(&mut kernel);
    assert!(events.contains(&KernelEvent::Removed(lost)), "{events:?}");
    assert!(!events.contains(&KernelEvent::Removed(kept)));
    assert!(
        events
            .iter()
            .any(|e| matches!(e, KernelEvent::Link(IfId(1), f) if !f.up))
    );
}

#[test]
fn lab_static_objects_are_put_back() {
    let mut objects = Objects::new();
    let address = objects.intern_address(vip("va", "10.0.0.100", 24));
    let Some(mut kernel) = lab("lab_static_objects_are_put_back", objects) else {
        return;
    };
    kernel.watch_static(address, "10.0.0.100/24 dev va scope global".into());
    kernel.add(address);
    kernel.flush(&mut Vec::new());
    ip("addr del 10.0.0.100/24 dev va");
    assert_eq!(removed(&mut kernel), []);
    assert!(kernel.is_set(address));
    // If it had not been put back, there would be nothing to remove.
    ip("addr del 10.0.0.100/24 dev va");
    kernel.remove_static(address);
    kernel.flush(&mut Vec::new());
    assert_eq!(removed(&mut kernel), []);
}

#[test]
fn lab_an_address_that_goes_with_another_is_missed() {
    let mut objects = Objects::new();
    let first = objects.intern_address(vip("va", "10.5.0.100", 24));
    let second = objects.intern_address(vip("va", "10.5.0.101", 24));
    let Some(mut kernel) = lab("lab_an_address_that_goes_with_another_is_missed", objects) else {
        return;
    };
    let mut refused = Vec::new();
    kernel.add(first);
    kernel.add(second);
    kernel.flush(&mut refused);
    // The first of a network is its primary address; the kernel removes the others with it.
    kernel.remove(first, false);
    kernel.flush(&mut refused);
    assert_eq!(removed(&mut kernel), [second]);
    // All of them, and all of them again, before the news are read: nothing is missing.
    kernel.add(first);
    kernel.add(second);
    kernel.flush(&mut refused);
    for object in [first, second] {
        kernel.remove(object, false);
    }
    kernel.flush(&mut refused);
    for object in [first, second] {
        kernel.add(object);
    }
    kernel.flush(&mut refused);
    assert_eq!((removed(&mut kernel), refused), (vec![], vec![]));
    assert!(kernel.is_set(first) && kernel.is_set(second));
}

#[test]
fn sequence_numbers_are_compared_around_the_end() {
    assert!(is_later(5, 4) && !is_later(4, 5) && !is_later(4, 4));
    assert!(is_later(1, u32::MAX) && !is_later(u32::MAX, 1));
}
