//! Transactions are the original's. They were taken on a little-endian machine; what a big-endian one has is beside
//! them.

use super::*;
use netlink_wire::Messages;

#[cfg(target_endian = "little")]
const GOLDEN: &str = include_str!("../../../testdata/nftables/keepalived-2.3.3.hex");
#[cfg(target_endian = "big")]
const GOLDEN: &str = include_str!("../../../testdata/nftables/keepalived-2.3.3.be.hex");

fn marked(first: &str, last: &str, protocol: Protocol, mark: u32) -> Marked {
    Marked {
        range: (first.parse().unwrap(), last.parse().unwrap()),
        protocol,
        mark,
    }
}

#[test]
fn transactions_are_the_originals() {
    let mut tables = Tables::new(
        &NftTable {
            name: "lbs".to_owned(),
            priority: -10,
        },
        true,
    );
    let three = |p, m| marked("10.81.0.110:8080", "10.81.0.112:8080", p, m);
    let one = |p, m| marked("10.81.0.120:8081", "10.81.0.120:8081", p, m);
    let six = marked("[fd81::110]:443", "[fd81::110]:443", Protocol::Sctp, 2002);
    let four = marked("10.81.0.130:443", "10.81.0.130:443", Protocol::Sctp, 2002);
    let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
    let steps = [
        (true, three(tcp, 2000)),
        (true, one(tcp, 2000)),
        (true, three(udp, 2001)),
        (true, one(udp, 2001)),
        (true, six),
        (true, four),
        (false, one(tcp, 2000)),
        (false, one(udp, 2001)),
        (false, three(tcp, 2000)),
        (false, three(udp, 2001)),
        (false, six),
        (false, four),
    ];
    let mut golden = GOLDEN.lines().filter_map(|l| l.strip_prefix("ipvs "));
    let mut check = |fill: &mut dyn FnMut(&mut Batch)| {
        let mut batch = Batch::new();
        nft::begin(&mut batch);
        fill(&mut batch);
        nft::end(&mut batch);
        let hex = golden.next().unwrap();
        let expected: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        let ours: Vec<_> = Messages::new(batch.bytes()).collect();
        let theirs: Vec<_> = Messages::new(&expected).collect();
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours.body, theirs.body, "{:#x}", ours.header.kind);
        }
    };
    for (add, marked) in steps {
        check(&mut |b| {
            if add {
                tables.push_new(b, marked);
            } else {
                tables.push_gone(b, marked);
            }
        });
    }
    check(&mut |b| tables.push_delete(b));
}
