//! The attributes that few flows have, kept apart so that a usual entry stays small.

use alloc::boxed::Box;

use crate::object::{Counters, SeqAdj, Synproxy};
use crate::tuple::Tuple;

/// Rare attributes of a conntrack entry. An absent block reads as zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extra {
    pub(crate) master: Tuple,
    pub(crate) helper: Option<Box<str>>,
    pub(crate) helper_info: Option<Box<[u8]>>,
    pub(crate) secctx: Option<Box<str>>,
    pub(crate) labels: Option<Box<[u32]>>,
    pub(crate) counters: [Counters; 2],
    pub(crate) seq_adj: [SeqAdj; 2],
    pub(crate) start: u64,
    pub(crate) stop: u64,
    pub(crate) dccp_seq: u64,
    pub(crate) synproxy: Synproxy,
    pub(crate) vtag: [u32; 2],
    pub(crate) secmark: u32,
    pub(crate) refs: u32,
}
