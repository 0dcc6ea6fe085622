//! Tests in network namespaces of their own: each moves its thread into a new one, which vanishes with the thread. They need
//! root and say so when they are skipped.

mod netlink;
mod packets;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use net_types::{Family, IfIndex};
use netlink_wire::{Address, Batch, Event, address, link};

use crate::route_sock::Requests;
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
