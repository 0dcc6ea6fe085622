//! FTP (RFC 959, RFC 2428): PORT and EPRT of the client, the answers 227 and 229 of the server.
//!
//! Private data (24 bytes): for each direction the two last sequence numbers behind a line end, `u32`; then for each direction
//! how many of them are set, `i32`. A command counts only where a line begins, so that data that looks like one does nothing.

use core::net::IpAddr;

use nfct::{proto, status};

use crate::flow::{Direction, Expected, Flow};
use crate::inspection::{Finding, How, Verdict};
use crate::packet::Packet;
use crate::rewrite::{Rewrite, Style};
use crate::scan;

/// Sequence numbers remembered per direction.
const REMEMBERED: usize = 2;

/// Where lines of a direction began last.
struct Lines<'a> {
    data: &'a mut [u8],
    direction: Direction,
}

impl Lines<'_> {
    fn word(&self, at: usize) -> u32 {
        let word = self.data.get(at..).and_then(|b| b.first_chunk());
        word.map_or(0, |b| u32::from_ne_bytes(*b))
    }

    fn set(&mut self, at: usize, value: u32) {
        if let Some(place) = self.data.get_mut(at..).and_then(|b| b.first_chunk_mut()) {
            *place = value.to_ne_bytes();
        }
    }

    const fn place(&self, i: usize) -> usize {
        (self.direction.index() * REMEMBERED + i) * 4
    }

    const fn count_place(&self) -> usize {
        (2 * REMEMBERED + self.direction.index()) * 4
    }

    fn count(&self) -> usize {
        usize::try_from(self.word(self.count_place())).map_or(REMEMBERED, |n| n.min(REMEMBERED))
    }

    fn begins_at(&self, sequence: u32) -> bool {
        (0..self.count()).any(|i| self.word(self.place(i)) == sequence)
    }

    /// Keeps the two newest.
    fn add(&mut self, sequence: u32) {
        let count = self.count();
        if self.begins_at(sequence) {
            return;
        }
        if count < REMEMBERED {
            self.set(self.place(count), sequence);
            self.set(
                self.count_place(),
                u32::try_from(count).unwrap_or(0).saturating_add(1),
            );
            return;
        }
        let (first, second) = (self.word(self.place(0)), self.word(self.place(1)));
        let oldest = usize::from(!before(first, second));
        if before(self.word(self.place(oldest)), sequence) {
            self.set(self.place(oldest), sequence);
        }
    }
}

/// Order of sequence numbers, modulo 2^32.
const fn before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) > i32::MAX as u32
}

/// A place that names an address and a port.
struct Named {
    at: usize,
    len: usize,
    /// `None`: the sender's.
    address: Option<IpAddr>,
    port: u16,
    form: Form,
}

#[derive(Clone, Copy)]
enum Form {
    Commas,
    Eprt,
    Epsv,
}

pub(crate) fn inspect(packet: &Packet<'_>, flow: Flow<'_>, data: &mut [u8]) -> Finding {
    let mut finding = Finding::default();
    let payload = packet.payload();
    if !flow.established() || payload.is_empty() {
        return finding;
    }
    let direction = flow.direction();
    let mut lines = Lines { data, direction };
    let sequence = packet.sequence();
    if lines.begins_at(sequence) {
        if let Some(named) = read(payload, direction) {
            announce(flow, named, &mut finding);
        }
    }
    if payload.ends_with(b"\n") {
        // As its sender counts, whatever it is rewritten to.
        let len = u32::try_from(payload.len()).unwrap_or(0);
        lines.add(sequence.wrapping_add(len));
    }
    finding
}

fn read(payload: &[u8], direction: Direction) -> Option<Named> {
    let (word, rest) = payload.split_first_chunk::<4>()?;
    let skip = match direction {
        Direction::Original => b' ',
        Direction::Reply => b'(',
    };
    let at = rest.iter().position(|b| *b == skip)?.checked_add(1)?;
    let text = rest.get(at..)?;
    let at = at.checked_add(word.len())?;
    match (direction, word) {
        (Direction::Original, b"PORT") => commas(text, at, b'\r'),
        (Direction::Reply, b"227 ") => commas(text, at, b')'),
        (Direction::Original, b"EPRT") => eprt(text, at),
        (Direction::Reply, b"229 ") => epsv(text, at),
        _ => None,
    }
}

fn commas(text: &[u8], at: usize, end: u8) -> Option<Named> {
    let ([a, b, c, d, high, low], len) = scan::bytes::<6>(text, b',', end)?;
    Some(Named {
        at,
        len,
        address: Some(IpAddr::from([a, b, c, d])),
        port: u16::from_be_bytes([high, low]),
        form: Form::Commas,
    })
}

/// What stands between the parts of an extended command: any printable character but a digit.
fn delimiter(text: &[u8]) -> Option<u8> {
    let first = *text.first()?;
    (first.is_ascii_graphic() && !first.is_ascii_digit()).then_some(first)
}

/// |1|132.235.1.2|6275| or |2|3ffe::1|6275|
fn eprt(text: &[u8], at: usize) -> Option<Named> {
    let delimiter = delimiter(text)?;
    let mut parts = text.get(1..)?.splitn(4, |b| *b == delimiter);
    let (family, address, port) = (parts.next()?, parts.next()?, parts.next()?);
    // The last delimiter must be there.
    parts.next()?;
    let address_ip = scan::address(address)?;
    match (family, address_ip) {
        (b"1", IpAddr::V4(_)) | (b"2", IpAddr::V6(_)) => {}
        _ => return None,
    }
    let (number, digits) = scan::port(port)?;
    (digits == port.len()).then_some(())?;
    let len = [family, address, port]
        .iter()
        .fold(1_usize, |sum, part| sum.saturating_add(part.len() + 1));
    Some(Named {
        at,
        len,
        address: Some(address_ip),
        port: number,
        form: Form::Eprt,
    })
}

/// |||6275|
fn epsv(text: &[u8], at: usize) -> Option<Named> {
    let delimiter = delimiter(text)?;
    let number = text.strip_prefix(&[delimiter; 3])?;
    let (port, digits) = scan::port(number)?;
    (number.get(digits) == Some(&delimiter)).then_some(())?;
    Some(Named {
        at,
        len: digits.saturating_add(4),
        address: None,
        port,
        form: Form::Epsv,
    })
}

fn announce(flow: Flow<'_>, named: Named, finding: &mut Finding) {
    let direction = flow.direction();
    let (own, other) = (flow.tuple(direction), flow.tuple(direction.opposite()));
    // Somebody else's address would open the firewall to a third host.
    if named.address.is_some_and(|ip| Some(ip) != own.src_ip()) || named.port == 0 {
        return;
    }
    let expect = flow.expect(Expected {
        from: Some(other.src),
        from_port: None,
        to: other.dst,
        to_port: named.port,
        protocol: proto::TCP,
        flags: 0,
    });
    if !flow.has_status(status::SRC_NAT | status::DST_NAT) {
        finding.add(expect, How::Before);
        return;
    }
    let style = match (named.form, other.dst_ip()) {
        (Form::Epsv, _) => Style::Epsv,
        (Form::Commas, Some(ip @ IpAddr::V4(_))) => Style::Commas(ip),
        (Form::Eprt, Some(ip)) => Style::Eprt(ip),
        _ => {
            finding.verdict = Verdict::Drop;
            return;
        }
    };
    let rewrite = Rewrite {
        at: named.at,
        len: named.len,
        style,
    };
    finding.add_translated(flow, expect, direction.opposite(), Some(rewrite));
}
