//! SANE, the network protocol of scanners: the answer to NET_START names the port of the data connection.
//!
//! Private data (4 bytes): `u32`, 1 when the client asked for a start, else 0.

use nfct::proto;

use crate::flow::{Direction, Expected, Flow};
use crate::inspection::{Finding, How};
use crate::packet::Packet;
use crate::rewrite::{be16, be32};

const NET_START: u32 = 7;
const REQUEST_LEN: usize = 8;

pub(crate) fn inspect(packet: &Packet<'_>, flow: Flow<'_>, data: &mut [u8]) -> Finding {
    let mut finding = Finding::default();
    let payload = packet.payload();
    let Some(asked) = data.first_chunk_mut::<4>() else {
        return finding;
    };
    if !flow.established() || payload.is_empty() {
        return finding;
    }
    if flow.direction() == Direction::Original {
        if payload.len() == REQUEST_LEN {
            let start = be32(payload, 0) == Some(NET_START);
            *asked = u32::from(start).to_ne_bytes();
        }
        return finding;
    }
    if u32::from_ne_bytes(*asked) != 1 {
        return finding;
    }
    *asked = [0; 4];
    // status, 0, port
    let (Some(0), Some(0), Some(port)) = (be32(payload, 0), be16(payload, 4), be16(payload, 6))
    else {
        return finding;
    };
    let original = flow.tuple(Direction::Original);
    let expect = flow.expect(Expected {
        from: Some(original.src),
        from_port: None,
        to: original.dst,
        to_port: port,
        protocol: proto::TCP,
        flags: 0,
    });
    finding.add(expect, How::WithVerdict);
    finding
}
