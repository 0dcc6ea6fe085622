//! Protocols whose first datagram says all: mDNS (RFC 6762, 5.1), SLP (RFC 2608, 6.1), DHCPv6 (RFC 8415), TFTP (RFC 1350).

use nfct::{proto, status};

use crate::flow::follow_master;
use crate::flow::{Direction, Expected, Flow, PERMANENT};
use crate::inspection::{Finding, How, Verdict};
use crate::packet::Packet;
use crate::rewrite::be16;

/// Where clients listen (RFC 8415, 7.2).
const DHCPV6_CLIENT: u16 = 546;
/// Seconds in which a message of this type is answered; 0: it does not say. Types from RFC 8415, section 7.3; times are the
/// longest of section 7.6.
const DHCPV6_TIMEOUTS: [u32; 14] = [0, 120, 0, 30, 4, 600, 600, 0, 1, 1, 0, 120, 0, 0];

const TFTP_READ: u16 = 1;
const TFTP_WRITE: u16 = 2;

/// Who asks a group is answered by anybody, from the port that was asked.
pub(crate) fn multicast(flow: Flow<'_>) -> Finding {
    let direction = flow.direction();
    let (own, other) = (flow.tuple(direction), flow.tuple(direction.opposite()));
    let expect = flow.expect(Expected {
        from: None,
        from_port: Some(other.sport),
        to: own.src,
        to_port: own.sport,
        protocol: proto::UDP,
        flags: PERMANENT,
    });
    let mut finding = Finding::default();
    finding.add(expect, How::WithVerdict);
    finding
}

pub(crate) fn dhcpv6(packet: &Packet<'_>, flow: Flow<'_>) -> Finding {
    let group = packet.destination_v6().is_some_and(|ip| ip[0] == 0xff);
    let (true, Some(message)) = (group, packet.payload().first()) else {
        return Finding::default();
    };
    let Some(timeout) = DHCPV6_TIMEOUTS.get(usize::from(*message)) else {
        return Finding::only(Verdict::Drop);
    };
    let expect = flow.expect(Expected {
        from: None,
        from_port: None,
        to: flow.tuple(flow.direction()).src,
        to_port: DHCPV6_CLIENT,
        protocol: proto::UDP,
        flags: PERMANENT,
    });
    let mut finding = Finding {
        timeout: Some(*timeout).filter(|seconds| *seconds > 0),
        ..Finding::default()
    };
    finding.add(expect, How::WithVerdict);
    finding
}

/// The server answers a request from a port of its choice.
pub(crate) fn tftp(packet: &Packet<'_>, flow: Flow<'_>) -> Finding {
    let mut finding = Finding::default();
    if !matches!(be16(packet.payload(), 0), Some(TFTP_READ | TFTP_WRITE)) {
        return finding;
    }
    let reply = flow.tuple(Direction::Reply);
    let mut expect = flow.expect(Expected {
        from: Some(reply.src),
        from_port: None,
        to: reply.dst,
        to_port: reply.dport,
        protocol: proto::UDP,
        flags: 0,
    });
    if flow.has_status(status::SRC_NAT | status::DST_NAT) {
        let port = flow.tuple(Direction::Original).sport;
        follow_master(&mut expect, Direction::Reply, port);
    }
    finding.add(expect, How::WithVerdict);
    finding
}
