//! Helpers of connection tracking in user space (`linux/netfilter/nfnetlink_cthelper.h`), netfilter's subsystem 9.
//!
//! All numbers in attributes are in network order.

use crate::framing::{Batch, F_ACK, F_CREATE};
use crate::nla::Writer;

/// `NFNL_SUBSYS_CTHELPER`, `NFNL_MSG_CTHELPER_NEW`
const NEW: u16 = 9 << 8;
/// `NLA_F_NESTED`
const NESTED: u16 = 0x8000;
const ENABLED: u32 = 1;

/// A policy of a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy<'a> {
    /// At most 15 bytes for the kernel.
    pub name: &'a str,
    /// Most expectations of a flow.
    pub expect_max: u32,
    /// Their life in seconds.
    pub expect_timeout: u32,
}

/// A helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Helper<'a> {
    /// At most 15 bytes for the kernel.
    pub name: &'a str,
    /// `AF_INET` (2) or `AF_INET6` (10).
    pub family: u8,
    /// TCP (6) or UDP (17).
    pub protocol: u8,
    /// The packet queue that it reads.
    pub queue: u32,
    /// Bytes of private data per flow, at most 32; `None` leaves them as they are, and the kernel makes no new helper.
    pub data_len: Option<u32>,
    /// At most four.
    pub policies: &'a [Policy<'a>],
}

/// Adds a request that makes the helper, or changes it when the kernel has it.
pub fn push_new(batch: &mut Batch, helper: &Helper<'_>) {
    batch.push(NEW, F_CREATE | F_ACK, |w| {
        // struct nfgenmsg
        w.raw(&[0; 4]);
        w.text(1, helper.name);
        w.nest(2 | NESTED, |w| {
            w.bytes(1, &u16::from(helper.family).to_be_bytes());
            w.u8(2, helper.protocol);
        });
        be32(w, 3, helper.queue);
        w.nest(4 | NESTED, |w| {
            let policies = helper.policies.iter().take(4);
            be32(w, 1, u32::try_from(policies.len()).unwrap_or(0));
            for (policy, kind) in policies.zip(2_u16..) {
                w.nest(kind | NESTED, |w| {
                    w.text(1, policy.name);
                    be32(w, 2, policy.expect_max);
                    be32(w, 3, policy.expect_timeout);
                });
            }
        });
        if let Some(len) = helper.data_len {
            be32(w, 5, len);
        }
        be32(w, 6, ENABLED);
    });
}

fn be32(w: &mut Writer<'_>, kind: u16, value: u32) {
    w.bytes(kind, &value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nla::Attrs;
    use alloc::vec::Vec;

    #[test]
    fn a_helper_is_written_as_the_kernel_reads_it() {
        let mut batch = Batch::default();
        let policy = Policy {
            name: "ftp",
            expect_max: 1,
            expect_timeout: 300,
        };
        let helper = Helper {
            name: "ftp",
            family: 2,
            protocol: 6,
            queue: 7,
            data_len: Some(24),
            policies: &[policy],
        };
        push_new(&mut batch, &helper);
        let message = crate::Messages::new(batch.bytes()).next().unwrap();
        assert_eq!((message.header.kind, message.header.flags), (0x900, 0x405));
        let attrs: Vec<_> = Attrs::new(message.body.get(4..).unwrap()).collect();
        let kinds: Vec<u16> = attrs.iter().map(|a| a.kind).collect();
        assert_eq!(kinds, [1, 2, 3, 4, 5, 6]);
        assert_eq!(attrs[0].data, b"ftp\0");
        let tuple: Vec<_> = attrs[1].nested().map(|a| a.data).collect();
        assert_eq!(tuple, [&[0, 2][..], &[6]]);
        assert_eq!(attrs[2].data, [0, 0, 0, 7]);
        let set: Vec<_> = attrs[3].nested().collect();
        assert_eq!((set[0].kind, set[0].data), (1, &[0, 0, 0, 1][..]));
        let policy: Vec<_> = set[1].nested().map(|a| a.data).collect();
        assert_eq!(policy, [&b"ftp\0"[..], &[0, 0, 0, 1], &[0, 0, 1, 44]]);
        assert_eq!(attrs[4].data, [0, 0, 0, 24]);
    }
}
