//! What attributes hold: the kernel's headers if_link.h, if_addr.h, rtnetlink.h, fib_rules.h, lwtunnel.h, genetlink.h, ip_vs.h.

/// Attributes by their numbers.
pub(super) type Table = &'static [(u16, Kind)];

/// What is in an attribute.
#[derive(Debug)]
pub(super) enum Kind {
    /// Text, addresses, single bytes, numbers in network order.
    Bytes,
    /// A number of the machine, of as many bytes as there are.
    Number,
    /// Numbers of the machine, of that many bytes each.
    Numbers(usize),
    /// Numbers of the machine, one of each of these lengths.
    Row(&'static [usize]),
    /// The same if another attribute beside it has that number, else bytes.
    NumberIf(u16, u16),
    /// Attributes.
    Nest(Table),
    /// Attributes of which another attribute's number beside it says what they are.
    ByNumber(u16, &'static [(u16, Table)]),
    /// Attributes of which another attribute's text beside it says what they are.
    ByText(u16, &'static [(&'static str, Table)]),
    /// The number of an address family, and an address (`rtvia`).
    Via,
    /// Next hops of a route (`rtnexthop`).
    NextHops,
}

use Kind::{ByNumber, ByText, Bytes, Nest, NextHops, Number, NumberIf, Numbers, Row, Via};

const U16: Kind = Numbers(2);
const U32: Kind = Numbers(4);
const U64: Kind = Numbers(8);

/// `IFA_…`
#[rustfmt::skip]
pub(super) const ADDRESS: Table = &[
    (1, Bytes), (2, Bytes), (3, Bytes), (4, Bytes), (6, U32), (8, U32), (9, U32), (11, Bytes),
];

/// `RTA_…`, also of a next hop.
#[rustfmt::skip]
pub(super) const ROUTE: Table = &[
    (1, Bytes), (2, Bytes), (4, U32), (5, Bytes), (6, U32), (7, Bytes), (8, Nest(METRICS)), (9, NextHops), (11, U32),
    (12, U32), (15, U32), (16, U32), (18, Via), (20, Bytes), (21, U16), (22, ByNumber(21, ENCAPS)), (23, U32), (25, U32),
    (30, U32),
];

/// `RTAX_…`; 16 is a name.
#[rustfmt::skip]
const METRICS: Table = &[
    (1, U32), (2, U32), (3, U32), (4, U32), (5, U32), (6, U32), (7, U32), (8, U32), (9, U32), (10, U32), (11, U32), (12, U32),
    (13, U32), (14, U32), (15, U32), (16, Bytes), (17, U32),
];

/// By `LWTUNNEL_ENCAP_…`: MPLS, IP, ILA, IP6. All that they say is in network order.
const ENCAPS: &[(u16, Table)] = &[
    (1, IN_NETWORK_ORDER),
    (2, IN_NETWORK_ORDER),
    (3, ILA),
    (4, IN_NETWORK_ORDER),
];
/// `ILA_ATTR_…` of a route.
const ILA: Table = &[(1, Bytes), (7, Bytes), (8, Bytes), (9, Bytes)];
#[rustfmt::skip]
const IN_NETWORK_ORDER: Table = &[(1, Bytes), (2, Bytes), (3, Bytes), (4, Bytes), (5, Bytes), (6, Bytes)];

/// `FRA_…`
#[rustfmt::skip]
pub(super) const RULE: Table = &[
    (1, Bytes), (2, Bytes), (3, Bytes), (4, U32), (6, U32), (10, U32), (11, U32), (12, Bytes), (13, U32), (14, U32), (15, U32),
    (16, U32), (17, Bytes), (19, Bytes), (20, U32), (21, Bytes), (22, Bytes), (23, U16), (24, U16),
];

/// `IFLA_…` as the kernel tells of a link.
#[rustfmt::skip]
pub(super) const LINK_NEWS: Table = &[
    (1, Bytes), (2, Bytes), (3, Bytes), (4, U32), (5, U32), (6, Bytes), (7, U32), (10, U32), (13, U32), (14, Row(MAP)), (16, Bytes),
    (17, Bytes), (18, Nest(LINK_INFO)), (20, Bytes), (21, U32), (23, U64), (26, Nest(FAMILIES_NEWS)), (27, U32), (30, U32), (31, U32),
    (32, U32), (33, Bytes), (35, U32), (37, U32), (39, Bytes), (40, U32), (41, U32), (43, Nest(XDP)), (47, U32), (48, U32), (50, U32),
    (51, U32), (54, Bytes), (58, U32), (59, U32), (60, U32), (61, U32), (62, Nest(&[])), (63, U32), (64, U32), (65, Nest(&[])), (66, Number),
    (67, Bytes), (68, U16), (69, U16),
];

/// `rtnl_link_ifmap`, with its padding.
const MAP: &[usize] = &[8, 8, 8, 2, 1, 1, 4];

/// And as it is asked for one.
#[rustfmt::skip]
pub(super) const LINK_REQUEST: Table = &[
    (1, Bytes), (3, Bytes), (4, U32), (5, U32), (10, U32), (18, Nest(LINK_INFO)), (26, Nest(FAMILIES_REQUEST)), (27, U32), (29, U32),
];

/// `IFLA_XDP_ATTACHED`
const XDP: Table = &[(2, Bytes)];

/// `IFLA_INFO_…`
#[rustfmt::skip]
const LINK_INFO: Table = &[
    (1, Bytes), (2, ByText(1, LINK_KINDS)), (4, Bytes), (5, ByText(4, &[])),
];
#[rustfmt::skip]
const LINK_KINDS: &[(&str, Table)] = &[
    ("macvlan", &[(1, U32), (2, U16), (7, U32), (8, U32)]),
    ("ipvlan", &[(1, U16), (2, U16)]),
    ("vrf", &[(1, U32)]),
    ("veth", &[]),
];

/// `IFLA_AF_SPEC` by family: settings in rows.
#[rustfmt::skip]
const FAMILIES_NEWS: Table = &[
    (2, Nest(&[(1, U32)])),
    (10, Nest(&[(1, U32), (2, U32), (3, U64), (5, U32), (6, U64), (7, Bytes), (8, Bytes)])),
];
/// And one by one.
#[rustfmt::skip]
const FAMILIES_REQUEST: Table = &[
    (2, Nest(&[(1, Nest(SETTINGS))])),
    (10, Nest(&[(8, Bytes)])),
];
#[rustfmt::skip]
const SETTINGS: Table = &[
    (1, U32), (2, U32), (3, U32), (4, U32), (5, U32), (6, U32), (7, U32), (8, U32), (9, U32), (10, U32), (11, U32), (12, U32),
    (13, U32), (14, U32), (15, U32), (16, U32), (17, U32), (18, U32), (19, U32), (20, U32), (21, U32), (22, U32), (23, U32),
    (24, U32), (25, U32), (26, U32), (27, U32), (28, U32), (29, U32), (30, U32), (31, U32), (32, U32),
];

/// `CTRL_ATTR_…` of a question.
pub(super) const CONTROLLER: Table = &[(1, U16), (2, Bytes)];

/// `IPVS_CMD_ATTR_…`
#[rustfmt::skip]
pub(super) const IPVS: Table = &[
    (1, Nest(SERVICE)), (2, Nest(DESTINATION)), (3, Nest(DAEMON)), (4, U32), (5, U32), (6, U32),
];
/// `IPVS_SVC_ATTR_…`: the port is in network order, and so is what IPv4 (2) has as netmask; IPv6 (10) has a length there.
#[rustfmt::skip]
const SERVICE: Table = &[
    (1, U16), (2, U16), (3, Bytes), (4, Bytes), (5, U32), (6, Bytes), (7, U32), (8, U32), (9, NumberIf(1, 10)), (11, Bytes),
];
/// `IPVS_DEST_ATTR_…`: both ports are in network order.
#[rustfmt::skip]
const DESTINATION: Table = &[
    (1, Bytes), (2, Bytes), (3, U32), (4, U32), (5, U32), (6, U32), (11, U16), (13, Bytes), (14, Bytes), (15, U16),
];
/// `IPVS_DAEMON_ATTR_…`
#[rustfmt::skip]
const DAEMON: Table = &[
    (1, U32), (2, Bytes), (3, U32), (4, U16), (5, Bytes), (6, Bytes), (7, U16), (8, Bytes),
];
