use std::rc::Rc;

use netlink_wire::ipvs::{Destination, Forwarding, Service, ServiceKey};

use super::table::{Change, Entry, Table};
use super::text::{Call, command, refusal};

fn service(number: u8) -> Rc<Service> {
    Rc::new(Service {
        key: ServiceKey::Address {
            protocol: 6,
            address: ([10, 0, 0, number], 80).into(),
        },
        scheduler: "rr".into(),
        flags: 0,
        timeout: 0,
        netmask: u32::MAX,
        engine: None,
    })
}

fn server(number: u8, weight: u32) -> Destination {
    Destination {
        address: ([10, 1, 0, number], 80).into(),
        forwarding: Forwarding::Masquerading,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

fn entry(number: u8, servers: &[(u8, u32)]) -> Entry {
    Entry {
        service: service(number),
        destinations: servers.iter().map(|(n, w)| server(*n, *w)).collect(),
    }
}

#[test]
fn only_what_differs_is_changed() {
    let mut table = Table::new();
    let before = [entry(1, &[(1, 1), (2, 1), (3, 1)])];
    table.change(&[], &before);
    let after = [entry(1, &[(1, 1), (2, 5), (4, 1)])];
    let s = service(1);
    assert_eq!(
        table.change(&before, &after),
        [
            Change::SetDestination(s.clone(), server(2, 5)),
            Change::AddDestination(s.clone(), server(4, 1)),
            Change::DeleteDestination(s.clone(), server(3, 1)),
        ]
    );
    let mut other = Service::clone(&s);
    other.scheduler = "wrr".into();
    let other = Rc::new(other);
    let changed = [Entry {
        service: other.clone(),
        ..after[0].clone()
    }];
    assert_eq!(
        table.change(&after, &changed),
        [Change::SetService(other.clone())]
    );
    let gone = table.change(&changed, &[]);
    assert_eq!(gone.last(), Some(&Change::DeleteService(other)));
    assert!(gone.len() == 4 && table.is_empty());
}

#[test]
fn a_shared_service_goes_with_its_last_user() {
    let mut table = Table::new();
    let (one, two) = ([entry(1, &[(1, 1), (2, 1)])], [entry(1, &[(2, 1), (3, 1)])]);
    assert_eq!(table.change(&[], &one).len(), 3);
    assert_eq!(
        table.change(&[], &two),
        [Change::AddDestination(service(1), server(3, 1))]
    );
    assert_eq!(
        table.change(&one, &[]),
        [Change::DeleteDestination(service(1), server(1, 1))]
    );
    assert_eq!(table.change(&two, &[]).len(), 3);
}

#[test]
fn some_change_as_all_would() {
    let mut table = Table::new();
    let (one, two) = (
        [entry(1, &[(1, 1), (2, 1), (3, 1)])],
        [entry(1, &[(3, 1), (4, 1)])],
    );
    table.change(&[], &one);
    table.change(&[], &two);
    let key = service(1).key;
    let s = service(1);
    let down = [
        (Some(server(1, 1)), None),
        (Some(server(2, 1)), Some(server(2, 9))),
        (Some(server(3, 1)), None),
    ];
    // The third is still the other's.
    assert_eq!(
        table.change_some(&key, &down),
        [
            Change::SetDestination(s.clone(), server(2, 9)),
            Change::DeleteDestination(s.clone(), server(1, 1)),
        ]
    );
    let now = [entry(1, &[(2, 9)])];
    // It comes back with another weight than it went with.
    assert_eq!(
        table.change_some(&key, &[(None, Some(server(1, 7)))]),
        [Change::AddDestination(s.clone(), server(1, 7))]
    );
    let now_again = [entry(1, &[(1, 7), (2, 9)])];
    assert_eq!(table.change(&now_again, &now_again), []);
    assert_eq!(
        table.change(&now_again, &now),
        [Change::DeleteDestination(s.clone(), server(1, 7))]
    );
    assert_eq!(
        table.change(&now, &[]),
        [Change::DeleteDestination(s, server(2, 9))]
    );
    assert_eq!(table.change(&two, &[]).len(), 3);
    assert!(table.is_empty());
}

#[test]
fn real_servers_that_share_a_place_count_once() {
    let mut table = Table::new();
    let twice = [entry(1, &[(1, 1), (1, 1), (2, 1)])];
    assert_eq!(table.change(&[], &twice).len(), 3);
    let once = [entry(1, &[(1, 1), (2, 1)])];
    assert_eq!(table.change(&twice, &once), []);
    let s = service(1);
    assert_eq!(
        table.change(&once, &[]),
        [
            Change::DeleteDestination(s.clone(), server(1, 1)),
            Change::DeleteDestination(s.clone(), server(2, 1)),
            Change::DeleteService(s),
        ]
    );
}

#[test]
fn a_new_address_comes_before_the_old_one_goes() {
    let mut table = Table::new();
    let (old, new) = ([entry(1, &[(1, 1)])], [entry(2, &[(1, 1)])]);
    table.change(&[], &old);
    let changes = table.change(&old, &new);
    assert!(matches!(changes.first(), Some(Change::AddService(s)) if *s == service(2)));
    assert!(matches!(changes.last(), Some(Change::DeleteService(s)) if *s == service(1)));
}

/// Lines of the original's log.
#[test]
fn refusals_have_the_originals_words() {
    let mut udp = Service::clone(&service(1));
    udp.key = ServiceKey::Address {
        protocol: 17,
        address: ([10, 81, 0, 101], 53).into(),
    };
    let mut to = server(1, 1);
    to.address = "[fd82::11]:53".parse().unwrap();
    let udp = Rc::new(udp);
    assert_eq!(
        refusal(&Change::AddDestination(udp.clone(), to), 22),
        "IPVS cmd IP_VS_SO_SET_ADDDEST(1159) error: Invalid operation.  Possibly wrong module version, address not unicast, ...(22) (10.81.0.101:udp:53 -> fd82::11:53)"
    );
    assert_eq!(
        refusal(&Change::DeleteDestination(udp, to), 2),
        "IPVS cmd IP_VS_SO_SET_DELDEST(1160) error: No such destination(2) (10.81.0.101:udp:53 -> fd82::11:53)"
    );
    assert_eq!(
        command(Call::StartDaemon, 17),
        "IPVS cmd IP_VS_SO_SET_STARTDAEMON(1163) error: Daemon has already run(17)"
    );
}
