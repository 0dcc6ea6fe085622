//! Packets that wait for user space (`linux/netfilter/nfnetlink_queue.h`), netfilter's subsystem 3.
//!
//! All numbers in attributes are in network order. What belongs to connection tracking within a message is passed through as
//! bytes: attributes of ctnetlink, which nfct reads and writes.

use crate::framing::{Batch, Message};
use crate::nla::Attrs;
use crate::read;

const SUBSYSTEM: u16 = 3 << 8;
/// `NFQNL_MSG_PACKET`
const PACKET: u16 = SUBSYSTEM;
/// `NFQNL_MSG_VERDICT`
const VERDICT: u16 = SUBSYSTEM | 1;
/// `NFQNL_MSG_CONFIG`
const CONFIG: u16 = SUBSYSTEM | 2;
const AF_INET: u8 = 2;
/// `NFQNL_COPY_PACKET`
const COPY_PACKET: u8 = 2;
/// `NFQA_CFG_F_CONNTRACK`
const WITH_CONNTRACK: u32 = 2;
/// `NLA_F_NESTED`
const NESTED: u16 = 0x8000;

/// `struct nfqnl_msg_config_cmd`'s command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The queue's packets come to this socket.
    Bind = 1,
    /// No queue of the family is served; old kernels wanted that first.
    FamilyUnbind = 4,
    /// Queues of the family are served.
    FamilyBind = 3,
}

/// Adds a command about a queue. The kernel answers only when it refuses.
pub fn push_command(batch: &mut Batch, queue: u16, command: Command) {
    batch.push(CONFIG, 0, |w| {
        w.raw(&generic(queue));
        w.bytes(1, &[command as u8, 0, 0, AF_INET]);
    });
}

/// Adds the settings of a queue: whole packets with their flows; `len` packets at most, 0: as many as the kernel likes.
pub fn push_settings(batch: &mut Batch, queue: u16, len: u32) {
    batch.push(CONFIG, 0, |w| {
        w.raw(&generic(queue));
        w.bytes(2, &[0, 0, 0xff, 0xff, COPY_PACKET]);
        w.bytes(5, &WITH_CONNTRACK.to_be_bytes());
        w.bytes(4, &u32::MAX.to_be_bytes());
        if len > 0 {
            w.bytes(3, &len.to_be_bytes());
        }
    });
}

/// What goes back for a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ruling<'a> {
    /// `NF_ACCEPT` rather than `NF_DROP`.
    pub accept: bool,
    /// The packet, when it is another one now.
    pub payload: Option<&'a [u8]>,
    /// Attributes of its flow.
    pub conntrack: Option<&'a [u8]>,
    /// Attributes of an expectation.
    pub expect: Option<&'a [u8]>,
}

/// Adds the verdict on packet `id` of `queue`.
pub fn push_verdict(batch: &mut Batch, queue: u16, id: u32, ruling: &Ruling<'_>) {
    batch.push(VERDICT, 0, |w| {
        w.raw(&generic(queue));
        let [a, b, c, d] = id.to_be_bytes();
        w.bytes(2, &[0, 0, 0, ruling.accept.into(), a, b, c, d]);
        for (kind, data) in [
            (10, ruling.payload),
            (11 | NESTED, ruling.conntrack),
            (15 | NESTED, ruling.expect),
        ] {
            if let Some(data) = data {
                w.bytes(kind, data);
            }
        }
    });
}

/// `struct nfgenmsg` of a queue.
const fn generic(queue: u16) -> [u8; 4] {
    let [high, low] = queue.to_be_bytes();
    [0, 0, high, low]
}

/// A packet that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued<'a> {
    /// `AF_INET` (2) or `AF_INET6` (10).
    pub family: u8,
    /// Its queue.
    pub queue: u16,
    /// Its number there.
    pub id: u32,
    /// The link layer's protocol number.
    pub hardware: u16,
    /// From the IP header on.
    pub payload: Option<&'a [u8]>,
    /// Attributes of its flow.
    pub conntrack: Option<&'a [u8]>,
    /// `enum ip_conntrack_info`
    pub info: Option<u32>,
}

/// The packet of a message; `None` when it is something else or has no number.
pub fn parse<'a>(message: &Message<'a>) -> Option<Queued<'a>> {
    if message.header.kind != PACKET {
        return None;
    }
    let body = message.body;
    let be = |data: &[u8]| data.first_chunk().map(|b| u32::from_be_bytes(*b));
    let mut queued = Queued {
        family: read::u8(body, 0)?,
        queue: read::array(body, 2).map(u16::from_be_bytes)?,
        id: 0,
        hardware: 0,
        payload: None,
        conntrack: None,
        info: None,
    };
    let mut numbered = false;
    for attr in Attrs::after(body, 4) {
        match attr.kind {
            1 => {
                queued.id = be(attr.data)?;
                queued.hardware = read::array(attr.data, 4).map(u16::from_be_bytes)?;
                numbered = true;
            }
            10 => queued.payload = Some(attr.data),
            11 => queued.conntrack = Some(attr.data),
            12 => queued.info = be(attr.data),
            _ => {}
        }
    }
    numbered.then_some(queued)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn requests_are_written_as_the_kernel_reads_them() {
        let mut batch = Batch::default();
        push_command(&mut batch, 0x0102, Command::Bind);
        push_settings(&mut batch, 0x0102, 5);
        let ruling = Ruling {
            accept: true,
            payload: Some(b"ip"),
            ..Ruling::default()
        };
        push_verdict(&mut batch, 0x0102, 9, &ruling);
        let bodies: Vec<_> = crate::Messages::new(batch.bytes())
            .map(|m| (m.header.kind, m.header.flags, m.body))
            .collect();
        let attrs = |i: usize| -> Vec<(u16, &[u8])> {
            let body: &[u8] = bodies[i].2;
            assert_eq!(body[..4], [0, 0, 1, 2]);
            Attrs::new(&body[4..]).map(|a| (a.kind, a.data)).collect()
        };
        assert_eq!((bodies[0].0, bodies[0].1), (0x302, 1));
        assert_eq!(attrs(0), [(1, &[1, 0, 0, 2][..])]);
        assert_eq!(
            attrs(1),
            [
                (2, &[0, 0, 0xff, 0xff, 2][..]),
                (5, &[0, 0, 0, 2]),
                (4, &[0xff; 4]),
                (3, &[0, 0, 0, 5])
            ]
        );
        assert_eq!(bodies[2].0, 0x301);
        assert_eq!(
            attrs(2),
            [(2, &[0, 0, 0, 1, 0, 0, 0, 9][..]), (10, &b"ip"[..])]
        );
    }

    #[test]
    fn a_packet_is_read() {
        let mut batch = Batch::default();
        batch.push(PACKET, 0, |w| {
            w.raw(&[2, 0, 0, 7]);
            w.bytes(1, &[0, 0, 0, 9, 8, 0, 3]);
            w.bytes(12, &[0, 0, 0, 3]);
            w.bytes(10, b"ip");
        });
        let message = crate::Messages::new(batch.bytes()).next().unwrap();
        let queued = parse(&message).unwrap();
        assert_eq!((queued.family, queued.queue, queued.id), (2, 7, 9));
        assert_eq!((queued.hardware, queued.info), (0x0800, Some(3)));
        assert_eq!((queued.payload, queued.conntrack), (Some(&b"ip"[..]), None));
        for cut in 0..message.body.len() {
            let body = message.body.get(..cut).unwrap();
            let _ = parse(&Message { body, ..message });
        }
    }
}
