//! The flow that a packet belongs to, and expectations that follow from it.

use core::net::IpAddr;

use nfct::{Conntrack, ExpAttr, Expect, NatTuple, Tuple};

/// The expectation stays after a connection used it.
pub(crate) const PERMANENT: u32 = 1;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// As the first packet of the flow.
    Original,
    /// The other way.
    Reply,
}

impl Direction {
    /// The other one.
    pub const fn opposite(self) -> Self {
        match self {
            Self::Original => Self::Reply,
            Self::Reply => Self::Original,
        }
    }

    /// Its place in arrays, and in the kernel's numbering.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Original => 0,
            Self::Reply => 1,
        }
    }
}

/// A flow as the tracker saw the packet in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow<'a> {
    pub(crate) ct: &'a Conntrack,
    /// `enum ip_conntrack_info`: 0 established, 1 related, 2 new, 3 and 4 the first two in the reply direction.
    pub(crate) info: u32,
}

/// A connection to be announced: who may connect to where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// `None`: anybody
    pub(crate) from: Option<[u8; 16]>,
    /// `None`: any port
    pub(crate) from_port: Option<u16>,
    pub(crate) to: [u8; 16],
    pub(crate) to_port: u16,
    pub(crate) protocol: u8,
    pub(crate) flags: u32,
}

impl<'a> Flow<'a> {
    pub(crate) const fn direction(&self) -> Direction {
        if self.info >= 3 {
            Direction::Reply
        } else {
            Direction::Original
        }
    }

    /// Whether there was traffic both ways, in a flow that nobody announced.
    pub(crate) const fn established(&self) -> bool {
        matches!(self.info, 0 | 3)
    }

    /// Whether this is the first packet: the kernel does not have the flow in its table yet.
    pub(crate) const fn is_new(&self) -> bool {
        self.info == 2
    }

    pub(crate) fn tuple(&self, direction: Direction) -> &'a Tuple {
        match direction {
            Direction::Original => &self.ct.orig,
            Direction::Reply => self.ct.reply(),
        }
    }

    /// Whether one of the status bits is set.
    pub(crate) fn has_status(&self, bits: u32) -> bool {
        self.ct.status().unwrap_or(0) & bits != 0
    }

    /// The expectation. Which bits count is said by a mask of the same shape.
    pub(crate) fn expect(&self, wanted: Expected) -> Expect {
        let mut expected = Tuple::default();
        let mut mask = Tuple::default();
        let from = wanted.from.unwrap_or_default();
        let any = if wanted.from.is_some() {
            [0xff; 16]
        } else {
            [0; 16]
        };
        if is_v6(&self.ct.orig) {
            expected.set_v6(from, wanted.to);
            mask.set_v6(any, [0xff; 16]);
        } else {
            expected.set_v4(v4(from), v4(wanted.to));
            mask.set_v4(v4(any), [0xff; 4]);
        }
        for (tuple, ports) in [
            (
                &mut expected,
                (wanted.from_port.unwrap_or(0), wanted.to_port),
            ),
            (
                &mut mask,
                (wanted.from_port.map_or(0, |_| u16::MAX), u16::MAX),
            ),
        ] {
            tuple.set_l4(wanted.protocol);
            tuple.set_ports(ports.0, ports.1);
        }
        Expect {
            set: ExpAttr::MASTER
                .with(ExpAttr::EXPECTED)
                .with(ExpAttr::MASK)
                .with(ExpAttr::FLAGS),
            master: self.ct.orig,
            expected,
            mask,
            flags: wanted.flags,
            ..Expect::default()
        }
    }
}

/// Lets the kernel translate the announced connection as its master is: it goes on to `port` of the end that the master's
/// packets of `direction` come from.
pub(crate) fn follow_master(expect: &mut Expect, direction: Direction, port: u16) {
    let mut tuple = Tuple::default();
    if is_v6(&expect.expected) {
        tuple.set_v6([0; 16], [0; 16]);
    } else {
        tuple.set_v4([0; 4], [0; 4]);
    }
    tuple.set_l4(expect.expected.l4);
    tuple.set_ports(port, 0);
    let dir = u32::from(direction == Direction::Reply);
    expect.nat = Some(NatTuple { tuple, dir }.into());
    expect.set = expect.set.with(ExpAttr::NAT_DIR);
    expect.function = Some("nat-follow-master".into());
}

fn is_v6(tuple: &Tuple) -> bool {
    matches!(tuple.src_ip(), Some(IpAddr::V6(_)))
}

fn v4(bytes: [u8; 16]) -> [u8; 4] {
    let [a, b, c, d, ..] = bytes;
    [a, b, c, d]
}
