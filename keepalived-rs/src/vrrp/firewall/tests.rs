//! Transactions are the original's, byte for byte. They were taken on a little-endian machine; what a big-endian one has is beside
//! them.

use conf_parsers::keepalived::model::Global;
use conf_parsers::keepalived::model::global::NftTable;
use net_types::Family;
use netlink_wire::{Batch, Messages, nft};

use super::nft::{Key, Tables};
use super::{Blocked, Vmac};

#[cfg(target_endian = "little")]
const GOLDEN: &str = include_str!("../../../testdata/nftables/keepalived-2.3.3.hex");
#[cfg(target_endian = "big")]
const GOLDEN: &str = include_str!("../../../testdata/nftables/keepalived-2.3.3.be.hex");

fn golden(word: &str) -> Vec<Vec<u8>> {
    let hex = |line: &str| {
        let digits = line.split(' ').nth(1).unwrap();
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect()
    };
    GOLDEN
        .lines()
        .filter(|l| l.split(' ').next() == Some(word))
        .map(hex)
        .collect()
}

struct Scene {
    tables: Tables,
    expected: std::vec::IntoIter<Vec<u8>>,
}

impl Scene {
    fn new(word: &str, name: &str, priority: i32, by_index: bool, counters: bool) -> Self {
        let table = NftTable {
            name: name.to_owned(),
            priority,
        };
        let global = Global {
            nftables_ifindex: by_index,
            nftables_counters: counters,
            ..Global::default()
        };
        Self {
            tables: Tables::new(&table, &global),
            expected: golden(word).into_iter(),
        }
    }

    /// The next transaction of ours must be the original's next.
    fn step(&mut self, fill: impl FnOnce(&mut Tables, &mut Batch)) {
        let mut batch = Batch::new();
        nft::begin(&mut batch);
        fill(&mut self.tables, &mut batch);
        nft::end(&mut batch);
        let expected = self.expected.next().unwrap();
        let ours: Vec<_> = Messages::new(batch.bytes()).collect();
        let originals: Vec<_> = Messages::new(&expected).collect();
        for (ours, original) in ours.iter().zip(&originals) {
            assert_eq!(
                (ours.header.kind, ours.header.flags),
                (original.header.kind, original.header.flags)
            );
            assert_eq!(ours.body, original.body, "kind {:#x}", ours.header.kind);
        }
        assert_eq!(ours.len(), originals.len());
    }

    fn keys(&self, blocked: &[Blocked]) -> Vec<Key> {
        blocked.iter().map(|b| self.tables.key(b)).collect()
    }

    fn all_seen(mut self) {
        self.step(|t, b| t.push_delete(b));
        assert_eq!(self.expected.next(), None);
    }
}

fn blocked(address: &str, interface: &str, index: u32, by_name: bool) -> Blocked {
    Blocked {
        address: address.parse().unwrap(),
        interface: interface.into(),
        index,
        by_name,
    }
}

#[test]
fn addresses_of_both_families() {
    let mut scene = Scene::new("plain", "keepalived", -1, false, false);
    let on = |a| blocked(a, "eth0", 3, false);
    let keys = scene.keys(&[
        on("192.0.2.100"),
        on("192.0.2.101"),
        on("2001:db8::201"),
        on("fe80::201"),
    ]);
    scene.step(|t, b| t.push_new(b, &keys));
    scene.step(|t, b| t.push_gone(b, &keys));
    scene.all_seen();
}

fn vmac(index: u32) -> Vmac {
    let base = "fe80::ff:fe00:a".parse().ok();
    Vmac::new(index, "vrrp.51", 3, base)
}

#[test]
fn a_vmac_of_both_families_and_names_of_interfaces() {
    let mut scene = Scene::new("named", "fw", -5, false, true);
    scene.step(|t, b| {
        t.push_vmac(b, Family::V6, &vmac(4), true);
        t.push_vmac(b, Family::V4, &vmac(4), true);
    });
    let on = |a| blocked(a, "vrrp.51", 4, true);
    let keys = scene.keys(&[
        on("fe80::100"),
        on("2001:db8::100"),
        on("fe80::101"),
        blocked("192.0.2.200", "eth0", 3, false),
    ]);
    scene.step(|t, b| t.push_new(b, &keys));
    scene.step(|t, b| t.push_gone(b, &keys));
    scene.step(|t, b| {
        t.push_vmac(b, Family::V6, &vmac(4), false);
        t.push_vmac(b, Family::V4, &vmac(4), false);
    });
    scene.all_seen();
}

#[test]
fn numbers_of_interfaces() {
    let mut scene = Scene::new("indexed", "keepalived", -1, true, true);
    scene.step(|t, b| t.push_vmac(b, Family::V6, &vmac(4), true));
    let on = |a| blocked(a, "vrrp.51", 4, true);
    let keys = scene.keys(&[on("fe80::100"), on("2001:db8::100")]);
    scene.step(|t, b| t.push_new(b, &keys));
    scene.step(|t, b| t.push_gone(b, &keys));
    scene.step(|t, b| t.push_vmac(b, Family::V6, &vmac(4), false));
    scene.all_seen();
}
