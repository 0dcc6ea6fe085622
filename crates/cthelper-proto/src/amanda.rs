//! Amanda: a backup client answers `CONNECT DATA 50516 MESG 50517 INDEX 50518` with the ports where it waits for its server.

use nfct::{proto, status};

use crate::flow::{Direction, Expected, Flow};
use crate::inspection::{Finding, How};
use crate::packet::Packet;
use crate::rewrite::{Rewrite, Style};
use crate::scan;

/// Answers may take minutes.
const TIMEOUT: u32 = 300;
const CHANNELS: [&[u8]; 3] = [b"DATA ", b"MESG ", b"INDEX "];

pub(crate) fn inspect(packet: &Packet<'_>, flow: Flow<'_>) -> Finding {
    if flow.direction() == Direction::Original {
        return Finding::default();
    }
    let mut finding = Finding {
        timeout: Some(TIMEOUT),
        ..Finding::default()
    };
    let text = packet.payload();
    let Some(start) = scan::find(text, b"CONNECT ").map(|at| at.saturating_add(8)) else {
        return finding;
    };
    let rest = text.get(start..).unwrap_or_default();
    let line = rest.split(|b| *b == b'\n' || *b == 0).next();
    let line = line.unwrap_or_default();
    let mut at = 0_usize;
    for channel in CHANNELS {
        let left = line.get(at..).unwrap_or_default();
        let Some(found) = scan::find(left, channel) else {
            continue;
        };
        at = at.saturating_add(found).saturating_add(channel.len());
        let Some((port, len)) = scan::port(line.get(at..).unwrap_or_default()) else {
            break;
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
        if flow.has_status(status::SRC_NAT | status::DST_NAT) {
            let rewrite = Rewrite {
                at: start.saturating_add(at),
                len,
                style: Style::Decimal,
            };
            finding.add_translated(flow, expect, Direction::Original, Some(rewrite));
        } else {
            finding.add(expect, How::Before);
        }
        at = at.saturating_add(len);
    }
    finding
}
