//! TNS, Oracle's SQL*Net: a listener redirects the client to another address and port,
//! `(ADDRESS=(PROTOCOL=tcp)(DEV=6)(HOST=10.0.0.1)(PORT=1526))`, in a REDIRECT packet or in the DATA packet behind an empty one.
//!
//! ```text
//!  0        2          4      5          6                 8
//! +--------+----------+------+----------+-----------------+---------------------------------------+------
//! | length | checksum | type | reserved | header checksum | REDIRECT: length of text, DATA: flags | text
//! +--------+----------+------+----------+-----------------+---------------------------------------+------
//! ```
//! Private data (1 byte): 1 when the next packet is to be read.

use core::net::IpAddr;

use nfct::{proto, status};

use crate::flow::{Direction, Expected, Flow};
use crate::inspection::{Finding, How, Verdict};
use crate::packet::Packet;
use crate::rewrite::{Rewrite, Style, be16};
use crate::scan;

const HEADER: usize = 8;
const TYPE: usize = 4;
const REDIRECT: u8 = 5;
const DATA: u8 = 6;
const TEXT: usize = 10;

pub(crate) fn inspect(packet: &Packet<'_>, flow: Flow<'_>, data: &mut [u8]) -> Finding {
    let mut finding = Finding::default();
    let payload = packet.payload();
    let Some(next) = data.first_mut() else {
        return finding;
    };
    if !flow.established() || flow.direction() == Direction::Original || payload.len() < HEADER {
        return finding;
    }
    let read = match payload.get(TYPE) {
        Some(&REDIRECT) => {
            let empty = be16(payload, HEADER) == Some(0);
            *next = empty.into();
            !empty
        }
        Some(&DATA) => core::mem::take(next) == 1,
        _ => {
            *next = 0;
            false
        }
    };
    if read {
        if let Some(place) = find(payload) {
            announce(flow, place, &mut finding);
        }
    }
    finding
}

struct Place {
    at: usize,
    len: usize,
    address: IpAddr,
    port: u16,
}

/// `a.b.c.d)(PORT=n)` behind `HOST=`, with blanks here and there.
fn find(payload: &[u8]) -> Option<Place> {
    let text = payload.get(TEXT..)?;
    let open = scan::find(text, b"(")?;
    let host = scan::find(text.get(open..)?, b"HOST=")?;
    let start = open.checked_add(host)?.checked_add(5)?;
    let rest = text.get(start..)?;
    let blanks = blank(rest);
    let (address, len) = scan::ipv4_until(rest.get(blanks..)?, b')')?;
    let after = blanks.checked_add(len)?;
    let open = scan::find(rest.get(after..)?, b"(")?.checked_add(after)?;
    let at = scan::find(rest.get(open..)?, b"PORT=")?
        .checked_add(open)?
        .checked_add(5)?;
    let at = at.checked_add(blank(rest.get(at..)?))?;
    let (port, digits) = scan::port(rest.get(at..)?)?;
    let end = at.checked_add(digits)?;
    (rest.get(end) == Some(&b')')).then_some(())?;
    Some(Place {
        at: start.checked_add(TEXT)?,
        len: end.checked_add(1)?,
        address,
        port,
    })
}

/// How many blanks `text` begins with.
fn blank(text: &[u8]) -> usize {
    text.iter().take_while(|b| **b == b' ').count()
}

fn announce(flow: Flow<'_>, place: Place, finding: &mut Finding) {
    let original = flow.tuple(Direction::Original);
    if !matches!(original.src_ip(), Some(IpAddr::V4(_))) {
        return;
    }
    // Another server is not behind this flow's translation.
    let translated = flow.has_status(status::SRC_NAT | status::DST_NAT)
        && flow.tuple(Direction::Reply).src_ip() == Some(place.address);
    let mut expect = flow.expect(Expected {
        from: Some(original.src),
        from_port: None,
        to: scan::sixteen(place.address),
        to_port: place.port,
        protocol: proto::TCP,
        flags: 0,
    });
    if !translated {
        finding.add(expect, How::Before);
        return;
    }
    // The client connects to where the rewritten packet sends it.
    expect.expected.dst = original.dst;
    match original.dst_ip() {
        Some(ip) => {
            let rewrite = Rewrite {
                at: place.at,
                len: place.len,
                style: Style::Tns(ip),
            };
            finding.add_translated(flow, expect, Direction::Original, Some(rewrite));
        }
        None => finding.verdict = Verdict::Drop,
    }
}

/// Corrects the lengths of a packet whose text grew from `old` to `new` bytes. Checksums are not in use.
pub(crate) fn lengths(payload: &mut [u8], old: usize, new: usize) {
    let grow = |payload: &mut [u8], at: usize| {
        let place = payload.get_mut(at..).and_then(|b| b.first_chunk_mut::<2>());
        if let Some(place) = place {
            let len = usize::from(u16::from_be_bytes(*place));
            let len = len.saturating_add(new).saturating_sub(old);
            *place = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
        }
    };
    grow(payload, 0);
    if payload.get(TYPE) == Some(&REDIRECT) {
        grow(payload, HEADER);
    }
    for at in [2, 3, 6, 7] {
        if let Some(byte) = payload.get_mut(at) {
            *byte = 0;
        }
    }
}
