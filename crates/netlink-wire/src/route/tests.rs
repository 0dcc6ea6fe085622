use super::*;
use crate::framing::Messages;
use alloc::vec;

fn added(route: &Route) -> Route {
    let mut batch = Batch::new();
    route.push_add(&mut batch, AddMode::Prepend);
    Route::parse(Messages::new(batch.bytes()).next().unwrap().body).unwrap()
}

fn full() -> Route {
    let mut route = Route::new(Family::V4);
    route.destination = Some(Prefix::new("192.168.10.0".parse().unwrap(), 24).unwrap());
    route.source = Some(Prefix::host("10.0.0.7".parse().unwrap()));
    route.tos = 8;
    route.table = 1000;
    route.scope = Some(253);
    route.kind = Some(TYPE_UNICAST);
    route.preferred_source = Some("10.0.0.1".parse().unwrap());
    route.gateway = Some("2001:db8::1".parse().unwrap());
    route.interface = Some(3);
    route.metric = Some(5);
    route.realms = 0x0001_0002;
    route.expires = Some(60);
    route.preference = Some(1);
    route.congestion_control = Some("cubic".into());
    route.metrics = vec![
        (Metric::Rtt, 8),
        (Metric::Mtu, 1400),
        (Metric::FastOpenNoCookie, 1),
    ];
    route.locked = 1 << Metric::Mtu as u32;
    route.encap = Some(Encap::Ip(IpTunnel {
        id: Some(7),
        destination: Some("10.1.1.1".parse().unwrap()),
        ttl: Some(64),
        ..IpTunnel::default()
    }));
    route.nexthops = vec![
        NextHop {
            gateway: Some("10.0.0.2".parse().unwrap()),
            interface: 3,
            hops: 4,
            flags: 4,
            realms: 9,
            encap: Some(Encap::Mpls(vec![0x0006_4140])),
        },
        NextHop {
            gateway: Some("2001:db8::2".parse().unwrap()),
            interface: 0,
            hops: 0,
            flags: 0,
            realms: 0,
            encap: Some(Encap::Ila(0x1122_3344_5566_7788)),
        },
    ];
    route
}

#[test]
fn everything_reads_back() {
    assert_eq!(added(&full()), full());
}

#[test]
fn a_small_table_stands_in_the_header() {
    let mut route = Route::new(Family::V6);
    route.table = 255;
    let mut batch = Batch::new();
    route.push_add(&mut batch, AddMode::Append);
    let message = Messages::new(batch.bytes()).next().unwrap();
    assert_eq!(message.body, [10, 0, 0, 0, 255, 18, 0, 1, 0, 0, 0, 0]);
    assert_eq!(message.header.flags, 0x0c05);
}

#[test]
fn deleting_leaves_scope_and_type_open() {
    let mut batch = Batch::new();
    Route::new(Family::V4).push_delete(&mut batch);
    let message = Messages::new(batch.bytes()).next().unwrap();
    assert_eq!(
        (message.header.kind, message.header.flags),
        (RTM_DELROUTE, 5)
    );
    assert_eq!(message.body, [2, 0, 0, 0, 254, 18, 255, 0, 0, 0, 0, 0]);
}

#[test]
fn cuts_and_noise_are_survived() {
    let mut batch = Batch::new();
    full().push_add(&mut batch, AddMode::Prepend);
    let body = Messages::new(batch.bytes()).next().unwrap().body;
    for cut in 0..body.len() {
        assert_eq!(Route::parse(&body[..cut]).is_some(), cut >= HEADER_LEN);
    }
    for at in 0..body.len() {
        for value in [0, 1, 3, 0x80, 0xff] {
            let mut noisy = body.to_vec();
            noisy[at] = value;
            let _ = Route::parse(&noisy);
        }
    }
    // A prefix longer than the family's addresses is no prefix.
    let mut long = body.to_vec();
    long[1] = 33;
    assert_eq!(Route::parse(&long).unwrap().destination, None);
}
