//! SSDP and UPnP's eventing (UPnP Device Architecture 1.1): a search by multicast, answers from anybody, which name a device's
//! description; then the client's SUBSCRIBE, which names where the device is to call back, and the NOTIFY of that call.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nfct::{Expect, proto, status};

use crate::flow::{Direction, Expected, Flow, PERMANENT};
use crate::inspection::{Finding, How};
use crate::packet::Packet;
use crate::rewrite::{Rewrite, Style};
use crate::scan;

const NAME: &str = "ssdp";
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
/// Link-local and site-local.
const GROUPS_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xc),
    Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0xc),
];
/// Longest value of a header that is read.
const LONGEST_VALUE: usize = 255;
const HTTP: u16 = 80;

pub(crate) fn inspect(packet: &Packet<'_>, flow: Flow<'_>) -> Finding {
    let mut finding = Finding::default();
    if flow.is_new() {
        search(packet, flow, &mut finding);
    } else if packet.protocol() == proto::UDP {
        answer(packet, flow, &mut finding);
    } else if flow.info == 0 {
        request(packet, flow, &mut finding);
    }
    finding
}

fn search(packet: &Packet<'_>, flow: Flow<'_>, finding: &mut Finding) {
    let original = flow.tuple(Direction::Original);
    let group = match original.dst_ip() {
        Some(IpAddr::V4(ip)) => ip == GROUP,
        Some(IpAddr::V6(ip)) => GROUPS_V6.contains(&ip),
        None => false,
    };
    if !group || !packet.payload().starts_with(b"M-SEARCH") {
        return;
    }
    let expect = flow.expect(Expected {
        from: None,
        from_port: None,
        to: original.src,
        to_port: original.sport,
        protocol: proto::UDP,
        flags: PERMANENT,
    });
    add(
        flow,
        expect,
        status::SRC_NAT,
        Direction::Reply,
        None,
        finding,
    );
}

fn answer(packet: &Packet<'_>, flow: Flow<'_>, finding: &mut Finding) {
    let Some(url) = header(packet.payload(), b"LOCATION: ").and_then(|(at, value)| url(at, value))
    else {
        return;
    };
    if !same_family(flow, url.address) {
        return;
    }
    let expect = flow.expect(Expected {
        from: None,
        from_port: None,
        to: scan::sixteen(url.address),
        to_port: url.port,
        protocol: proto::TCP,
        flags: PERMANENT,
    });
    let direction = flow.direction().opposite();
    add(flow, expect, status::SRC_NAT, direction, None, finding);
}

fn request(packet: &Packet<'_>, flow: Flow<'_>, finding: &mut Finding) {
    let payload = packet.payload();
    let original = flow.tuple(Direction::Original);
    if payload.starts_with(b"NOTIFY ") {
        // The next call may come, too.
        let expect = flow.expect(Expected {
            from: Some(original.src),
            from_port: None,
            to: original.dst,
            to_port: original.dport,
            protocol: proto::TCP,
            flags: 0,
        });
        let bits = status::DST_NAT;
        add(flow, expect, bits, Direction::Original, None, finding);
        return;
    }
    if !payload.starts_with(b"SUBSCRIBE ") {
        return;
    }
    let Some(url) = header(payload, b"CALLBACK: <").and_then(|(at, value)| url(at, value)) else {
        return;
    };
    // Nobody may have others called.
    if Some(url.address) != original.src_ip() {
        return;
    }
    let reply = flow.tuple(Direction::Reply);
    let expect = flow.expect(Expected {
        from: Some(reply.src),
        from_port: None,
        to: reply.dst,
        to_port: url.port,
        protocol: proto::TCP,
        flags: 0,
    });
    let rewrite = reply.dst_ip().map(|ip| Rewrite {
        at: url.at,
        len: url.len,
        style: Style::Url(ip),
    });
    let bits = status::SRC_NAT;
    add(flow, expect, bits, Direction::Reply, rewrite, finding);
}

fn add(
    flow: Flow<'_>,
    mut expect: Expect,
    translated: u32,
    direction: Direction,
    rewrite: Option<Rewrite>,
    finding: &mut Finding,
) {
    expect.helper = Some(NAME.into());
    if flow.has_status(translated) {
        finding.add_translated(flow, expect, direction, rewrite);
    } else {
        finding.add(expect, How::WithVerdict);
    }
}

fn same_family(flow: Flow<'_>, address: IpAddr) -> bool {
    let own = flow.tuple(Direction::Original).src_ip();
    own.is_some_and(|own| own.is_ipv4() == address.is_ipv4())
}

/// The value behind `name` at the start of a line, in any case of letters; with its offset.
fn header<'a>(payload: &'a [u8], name: &[u8]) -> Option<(usize, &'a [u8])> {
    let mut at = 0_usize;
    loop {
        let rest = payload.get(at..)?;
        let begins = rest.get(..name.len())?.eq_ignore_ascii_case(name);
        if begins {
            let at = at.checked_add(name.len())?;
            let value = payload.get(at..)?;
            let len = value.iter().position(|b| *b == b'\r')?;
            return (len <= LONGEST_VALUE).then_some((at, value.get(..len)?));
        }
        at = scan::find(rest, b"\r\n")?.checked_add(at)?.checked_add(2)?;
    }
}

struct Url {
    /// Where the address begins in the payload.
    at: usize,
    /// Length of address and port; for IPv6 without the first bracket.
    len: usize,
    address: IpAddr,
    port: u16,
}

/// `http://10.0.0.1:80/…` or `http://[fd00::1]:80/…`; `at` is where it begins in the payload.
fn url(at: usize, text: &[u8]) -> Option<Url> {
    const SCHEME: &[u8] = b"http://";
    let scheme = text.get(..SCHEME.len())?.eq_ignore_ascii_case(SCHEME);
    let text = text.get(SCHEME.len()..).filter(|_| scheme)?;
    let at = at.checked_add(SCHEME.len())?;
    let (at, host, end) = match text.strip_prefix(b"[") {
        Some(inner) => {
            let len = inner.iter().position(|b| *b == b']')?;
            (at.checked_add(1)?, inner, len)
        }
        None => {
            let host = |b: &u8| *b == b'.' || b.is_ascii_digit();
            (at, text, text.iter().take_while(|b| host(b)).count())
        }
    };
    let address = scan::address(host.get(..end)?)?;
    let end = end.checked_add(usize::from(address.is_ipv6()))?;
    let rest = host.get(end..)?;
    let (port, digits) = match rest.strip_prefix(b":") {
        Some(rest) => scan::port(rest).map(|(port, len)| (port, len.saturating_add(1)))?,
        None => (HTTP, 0),
    };
    Some(Url {
        at,
        len: end.checked_add(digits)?,
        address,
        port,
    })
}
