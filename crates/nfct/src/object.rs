//! A connection tracking entry.

use alloc::boxed::Box;

use crate::attr::Attr;
use crate::extra::Extra;
use crate::tuple::{Known, Tuple, status};

/// What the protocol trackers keep per flow (`CTA_PROTOINFO`), except SCTP's tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protoinfo {
    /// TCP, SCTP or DCCP state.
    pub state: u8,
    /// DCCP role.
    pub role: u8,
    /// TCP flags: value and mask, original direction.
    pub flags_orig: [u8; 2],
    /// TCP flags: value and mask, reply direction.
    pub flags_repl: [u8; 2],
    /// TCP window scale of the original and of the reply direction.
    pub wscale: [u8; 2],
}

/// Packets and bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// NAT sequence adjustment of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeqAdj {
    /// Position of the last correction.
    pub correction_pos: u32,
    /// Offset before that position.
    pub offset_before: u32,
    /// Offset after that position.
    pub offset_after: u32,
}

/// Numbers the SYN proxy keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Synproxy {
    /// Initial sequence number.
    pub isn: u32,
    /// Initial timestamp.
    pub its: u32,
    /// Timestamp offset.
    pub tsoff: u32,
}

/// A connection tracking entry, from the kernel or from the peer.
///
/// An entry has either a reply tuple (the kernel's view) or translation attributes (the peer's view of the same
/// fact), never both; they share one room so that 100 000 cached flows stay small.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conntrack {
    /// Original direction.
    pub orig: Tuple,
    /// Reply tuple, or the translated addresses and ports: source in `dst`/`dport`, destination in `src`/`sport`.
    other: Tuple,
    set: Attr,
    extra: Option<Box<Extra>>,
    status: u32,
    timeout: u32,
    mark: u32,
    id: u32,
    zone: u16,
    protoinfo: Protoinfo,
}

static NO_EXTRA: Extra = Extra {
    master: Tuple {
        src: [0; 16],
        dst: [0; 16],
        sport: 0,
        dport: 0,
        zone: 0,
        l3: 0,
        l4: 0,
        known: Known::NONE,
    },
    helper: None,
    helper_info: None,
    secctx: None,
    labels: None,
    counters: [Counters {
        packets: 0,
        bytes: 0,
    }; 2],
    seq_adj: [SeqAdj {
        correction_pos: 0,
        offset_before: 0,
        offset_after: 0,
    }; 2],
    start: 0,
    stop: 0,
    dccp_seq: 0,
    synproxy: Synproxy {
        isn: 0,
        its: 0,
        tsoff: 0,
    },
    vtag: [0; 2],
    secmark: 0,
    refs: 0,
};

/// Getter and setter of a number in the small part.
macro_rules! small {
    ($(#[$doc:meta])* $get:ident, $set:ident, $field:ident, $ty:ty, $attr:ident) => {
        $(#[$doc])*
        pub fn $get(&self) -> Option<$ty> {
            self.set.has(Attr::$attr).then_some(self.$field)
        }
        /// Sets it.
        pub fn $set(&mut self, value: $ty) {
            self.$field = value;
            self.set = self.set.with(Attr::$attr);
        }
    };
}

/// Getter and setter of a value in the rare part; a zero needs no room.
macro_rules! rare {
    ($(#[$doc:meta])* $get:ident, $set:ident, $($field:ident)|+ $([$idx:literal])?, $ty:ty, $attr:ident) => {
        $(#[$doc])*
        pub fn $get(&self) -> Option<$ty> {
            self.set.has(Attr::$attr).then(|| self.extra()$(.$field)+$([$idx])?)
        }
        /// Sets it.
        pub fn $set(&mut self, value: $ty) {
            if self.extra.is_some() || value != <$ty>::default() {
                self.extra_mut()$(.$field)+$([$idx])? = value;
            }
            self.set = self.set.with(Attr::$attr);
        }
    };
}

impl Conntrack {
    /// An entry that is nothing but its original tuple.
    pub fn with_orig(orig: Tuple) -> Self {
        Self {
            orig,
            ..Self::default()
        }
    }

    /// The attributes that carry a value.
    pub const fn attrs(&self) -> Attr {
        self.set
    }

    /// Whether all of `attr` carry a value.
    pub const fn has(&self, attr: Attr) -> bool {
        self.set.has(attr)
    }

    /// Forgets attributes. Strings and labels are released, numbers stay in their room but are not known any more.
    pub fn unset(&mut self, attr: Attr) {
        self.set = self.set.without(attr);
        if let Some(extra) = &mut self.extra {
            if attr.has(Attr::HELPER) {
                extra.helper = None;
            }
            if attr.has(Attr::LABELS) {
                extra.labels = None;
            }
            if attr.has(Attr::SECCTX) {
                extra.secctx = None;
            }
        }
    }

    fn extra(&self) -> &Extra {
        self.extra.as_deref().unwrap_or(&NO_EXTRA)
    }

    fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// The reply tuple; all its parts are unknown when the peer's message described the flow.
    pub fn reply(&self) -> &Tuple {
        if self.set.any(Attr::NAT) {
            &NO_EXTRA.master
        } else {
            &self.other
        }
    }

    /// Sets the reply tuple. Translation attributes are forgotten: the reply tuple says the same.
    pub fn set_reply(&mut self, reply: Tuple) {
        self.other = reply;
        self.set = self.set.without(Attr::NAT);
    }

    fn nat_room(&mut self) -> &mut Tuple {
        if !self.set.any(Attr::NAT) {
            self.other = Tuple::default();
        }
        &mut self.other
    }

    /// Translated source address, when the peer said so.
    pub fn snat_addr(&self) -> Option<[u8; 16]> {
        self.set.has(Attr::SNAT_ADDR).then_some(self.other.dst)
    }

    /// Translated destination address, when the peer said so.
    pub fn dnat_addr(&self) -> Option<[u8; 16]> {
        self.set.has(Attr::DNAT_ADDR).then_some(self.other.src)
    }

    /// Translated source port, when the peer said so.
    pub fn snat_port(&self) -> Option<u16> {
        self.set.has(Attr::SNAT_PORT).then_some(self.other.dport)
    }

    /// Translated destination port, when the peer said so.
    pub fn dnat_port(&self) -> Option<u16> {
        self.set.has(Attr::DNAT_PORT).then_some(self.other.sport)
    }

    /// Family of the translated addresses (2 or 10).
    pub fn nat_l3(&self) -> u8 {
        self.other.l3
    }

    /// Sets the translated source address; replaces a reply tuple.
    pub fn set_snat_addr(&mut self, l3: u8, addr: [u8; 16]) {
        let room = self.nat_room();
        room.dst = addr;
        room.l3 = l3;
        self.set = self.set.with(Attr::SNAT_ADDR);
    }

    /// Sets the translated destination address; replaces a reply tuple.
    pub fn set_dnat_addr(&mut self, l3: u8, addr: [u8; 16]) {
        let room = self.nat_room();
        room.src = addr;
        room.l3 = l3;
        self.set = self.set.with(Attr::DNAT_ADDR);
    }

    /// Sets the translated source port; replaces a reply tuple.
    pub fn set_snat_port(&mut self, port: u16) {
        self.nat_room().dport = port;
        self.set = self.set.with(Attr::SNAT_PORT);
    }

    /// Sets the translated destination port; replaces a reply tuple.
    pub fn set_dnat_port(&mut self, port: u16) {
        self.nat_room().sport = port;
        self.set = self.set.with(Attr::DNAT_PORT);
    }

    /// Whether the reply tuple shows a translated source address (status bit SRC_NAT_DONE, or status unknown).
    pub fn is_snat(&self) -> bool {
        self.nat_done(status::SRC_NAT_DONE)
            && self.orig.known.has(Known::L3)
            && self.reply().dst != self.orig.src
    }

    /// Whether the reply tuple shows a translated destination address.
    pub fn is_dnat(&self) -> bool {
        self.nat_done(status::DST_NAT_DONE)
            && self.orig.known.has(Known::L3)
            && self.reply().src != self.orig.dst
    }

    /// Whether the reply's destination word differs from the original source word. For ICMP these are type/code and
    /// id, so the answer is nearly always yes there: the peer's protocol has it so (conntrackd-behaviour.md 4.4).
    pub fn is_spat(&self) -> bool {
        self.nat_done(status::SRC_NAT_DONE) && self.reply().dport != self.orig.sport
    }

    /// The mirror of [`Conntrack::is_spat`] for the destination port.
    pub fn is_dpat(&self) -> bool {
        self.nat_done(status::DST_NAT_DONE) && self.reply().sport != self.orig.dport
    }

    fn nat_done(&self, bit: u32) -> bool {
        !self.set.has(Attr::STATUS) || self.status & bit != 0
    }

    small!(
        /// Status word, see [`status`].
        status, set_status, status, u32, STATUS);
    small!(
        /// Seconds until the kernel drops the entry.
        timeout, set_timeout, timeout, u32, TIMEOUT);
    small!(
        /// Mark.
        mark, set_mark, mark, u32, MARK);
    small!(
        /// The kernel's id of the entry.
        id, set_id, id, u32, ID);
    small!(
        /// Zone of both directions.
        zone, set_zone, zone, u16, ZONE);

    /// What the protocol tracker keeps; the attribute bits say which fields count.
    pub const fn protoinfo(&self) -> &Protoinfo {
        &self.protoinfo
    }

    /// Changes protocol tracker fields; `attrs` are the ones that become known.
    pub fn set_protoinfo(&mut self, attrs: Attr, change: impl FnOnce(&mut Protoinfo)) {
        change(&mut self.protoinfo);
        self.set = self.set.with(attrs);
    }

    /// TCP state.
    pub fn tcp_state(&self) -> Option<u8> {
        self.set
            .has(Attr::TCP_STATE)
            .then_some(self.protoinfo.state)
    }

    /// SCTP state.
    pub fn sctp_state(&self) -> Option<u8> {
        self.set
            .has(Attr::SCTP_STATE)
            .then_some(self.protoinfo.state)
    }

    /// DCCP state.
    pub fn dccp_state(&self) -> Option<u8> {
        self.set
            .has(Attr::DCCP_STATE)
            .then_some(self.protoinfo.state)
    }

    rare!(
        /// Security mark.
        secmark, set_secmark, secmark, u32, SECMARK);
    rare!(
        /// Reference count in the kernel.
        refs, set_refs, refs, u32, USE);
    rare!(
        /// SCTP verification tag, original direction.
        vtag_orig, set_vtag_orig, vtag[0], u32, SCTP_VTAG_ORIG);
    rare!(
        /// SCTP verification tag, reply direction.
        vtag_repl, set_vtag_repl, vtag[1], u32, SCTP_VTAG_REPL);
    rare!(
        /// DCCP handshake sequence.
        dccp_seq, set_dccp_seq, dccp_seq, u64, DCCP_SEQ);
    rare!(
        /// Packets and bytes, original direction.
        counters_orig, set_counters_orig, counters[0], Counters, COUNTERS_ORIG);
    rare!(
        /// Packets and bytes, reply direction.
        counters_repl, set_counters_repl, counters[1], Counters, COUNTERS_REPL);
    rare!(
        /// Sequence adjustment, original direction.
        seq_adj_orig, set_seq_adj_orig, seq_adj[0], SeqAdj, SEQ_ADJ_ORIG);
    rare!(
        /// Sequence adjustment, reply direction.
        seq_adj_repl, set_seq_adj_repl, seq_adj[1], SeqAdj, SEQ_ADJ_REPL);
    rare!(
        /// SYN proxy numbers.
        synproxy, set_synproxy, synproxy, Synproxy, SYNPROXY);
    rare!(
        /// Start, nanoseconds since 1970.
        start, set_start, start, u64, START);
    rare!(
        /// Stop, nanoseconds since 1970.
        stop, set_stop, stop, u64, STOP);

    /// Tuple of the flow that this one is related to; no part known when there is none.
    pub fn master(&self) -> &Tuple {
        &self.extra().master
    }

    /// Sets the tuple of the flow that this one is related to.
    pub fn set_master(&mut self, master: Tuple) {
        if self.extra.is_some() || !master.known.is_empty() {
            self.extra_mut().master = master;
        }
    }

    /// Whether the flow was expected by a helper on another flow.
    pub fn is_related(&self) -> bool {
        self.master().known.has(Known::L3)
    }

    /// Name of the helper attached to the flow.
    pub fn helper(&self) -> Option<&str> {
        self.extra().helper.as_deref()
    }

    /// Sets the helper's name.
    pub fn set_helper(&mut self, name: Box<str>) {
        self.extra_mut().helper = Some(name);
        self.set = self.set.with(Attr::HELPER);
    }

    /// The helper's private data.
    pub fn helper_info(&self) -> Option<&[u8]> {
        self.extra().helper_info.as_deref()
    }

    /// Sets the helper's private data.
    pub fn set_helper_info(&mut self, data: Box<[u8]>) {
        self.extra_mut().helper_info = Some(data);
        self.set = self.set.with(Attr::HELPER_INFO);
    }

    /// Security context.
    pub fn secctx(&self) -> Option<&str> {
        self.extra().secctx.as_deref()
    }

    /// Sets the security context.
    pub fn set_secctx(&mut self, context: Box<str>) {
        self.extra_mut().secctx = Some(context);
        self.set = self.set.with(Attr::SECCTX);
    }

    /// Labels: bit b of word i is label 32·i + b.
    pub fn labels(&self) -> Option<&[u32]> {
        self.extra().labels.as_deref()
    }

    /// Sets the labels.
    pub fn set_labels(&mut self, words: Box<[u32]>) {
        self.extra_mut().labels = Some(words);
        self.set = self.set.with(Attr::LABELS);
    }

    /// Takes over every attribute of `newer` except the two tuples: what an update says about a known flow.
    /// An attribute that `newer` lacks stays as it was.
    pub fn merge(&mut self, newer: Self) {
        let set = newer.set;
        macro_rules! take {
            ($($attr:ident: $field:ident),*) => {
                $(if set.has(Attr::$attr) { self.$field = newer.$field; })*
            };
        }
        take!(STATUS: status, TIMEOUT: timeout, MARK: mark, ID: id, ZONE: zone);
        if set.any(
            Attr::TCP_STATE
                .with(Attr::SCTP_STATE)
                .with(Attr::DCCP_STATE),
        ) {
            self.protoinfo.state = newer.protoinfo.state;
        }
        if set.has(Attr::DCCP_ROLE) {
            self.protoinfo.role = newer.protoinfo.role;
        }
        if set.has(Attr::TCP_FLAGS_ORIG) {
            self.protoinfo.flags_orig = newer.protoinfo.flags_orig;
        }
        if set.has(Attr::TCP_FLAGS_REPL) {
            self.protoinfo.flags_repl = newer.protoinfo.flags_repl;
        }
        if set.has(Attr::TCP_WSCALE_ORIG) {
            self.protoinfo.wscale[0] = newer.protoinfo.wscale[0];
        }
        if set.has(Attr::TCP_WSCALE_REPL) {
            self.protoinfo.wscale[1] = newer.protoinfo.wscale[1];
        }
        if newer.orig.known.has(Known::ZONE) {
            self.orig.zone = newer.orig.zone;
            self.orig.known = self.orig.known.with(Known::ZONE);
        }
        // The reply tuple of the first message stays; translation attributes follow the newest.
        if set.any(Attr::NAT) {
            let l3 = newer.nat_l3();
            let other = newer.other;
            if set.has(Attr::SNAT_ADDR) {
                self.set_snat_addr(l3, other.dst);
            }
            if set.has(Attr::DNAT_ADDR) {
                self.set_dnat_addr(l3, other.src);
            }
            if set.has(Attr::SNAT_PORT) {
                self.set_snat_port(other.dport);
            }
            if set.has(Attr::DNAT_PORT) {
                self.set_dnat_port(other.sport);
            }
        }
        self.merge_rare(set, newer.extra);
        self.set = self.set.with(set);
    }

    fn merge_rare(&mut self, set: Attr, newer: Option<Box<Extra>>) {
        const RARE: Attr = Attr::SECMARK
            .with(Attr::USE)
            .with(Attr::SCTP_VTAG_ORIG)
            .with(Attr::SCTP_VTAG_REPL)
            .with(Attr::DCCP_SEQ)
            .with(Attr::COUNTERS)
            .with(Attr::SEQ_ADJ_ORIG)
            .with(Attr::SEQ_ADJ_REPL)
            .with(Attr::SYNPROXY)
            .with(Attr::START)
            .with(Attr::STOP)
            .with(Attr::HELPER)
            .with(Attr::HELPER_INFO)
            .with(Attr::SECCTX)
            .with(Attr::LABELS);
        match (&mut self.extra, newer) {
            (None, newer) => self.extra = newer,
            (Some(old), newer) => {
                // No block in the newer entry means that its rare attributes, if any, are zero.
                let new = newer.map(|b| *b).unwrap_or_default();
                if !new.master.known.is_empty() {
                    old.master = new.master;
                }
                if !set.any(RARE) {
                    return;
                }
                macro_rules! take {
                    ($($attr:ident: $($field:ident)|+ $([$i:literal])?),* $(,)?) => {
                        $(if set.has(Attr::$attr) { old$(.$field)+$([$i])? = new$(.$field)+$([$i])?; })*
                    };
                }
                take!(
                    SECMARK: secmark,
                    USE: refs,
                    SCTP_VTAG_ORIG: vtag[0],
                    SCTP_VTAG_REPL: vtag[1],
                    DCCP_SEQ: dccp_seq,
                    COUNTERS_ORIG: counters[0],
                    COUNTERS_REPL: counters[1],
                    SEQ_ADJ_ORIG: seq_adj[0],
                    SEQ_ADJ_REPL: seq_adj[1],
                    SYNPROXY: synproxy,
                    START: start,
                    STOP: stop,
                    HELPER: helper,
                    HELPER_INFO: helper_info,
                    SECCTX: secctx,
                    LABELS: labels,
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Conntrack>() <= 128, "{}", size_of::<Conntrack>());
    }

    #[test]
    fn zero_numbers_need_no_room_but_are_known() {
        let mut ct = Conntrack::default();
        ct.set_synproxy(Synproxy::default());
        assert!(ct.extra.is_none());
        assert_eq!(ct.synproxy(), Some(Synproxy::default()));
        assert_eq!(ct.secmark(), None);
    }

    #[test]
    fn merge_keeps_what_the_newer_does_not_say() {
        let mut old = Conntrack::default();
        old.set_mark(7);
        old.set_status(8);
        old.set_helper("ftp".into());
        let mut new = Conntrack::default();
        new.set_status(0xe);
        new.set_secmark(0);
        old.merge(new);
        assert_eq!((old.mark(), old.status()), (Some(7), Some(0xe)));
        assert_eq!((old.helper(), old.secmark()), (Some("ftp"), Some(0)));
    }

    #[test]
    fn translation_replaces_the_reply_tuple() {
        let mut ct = Conntrack::default();
        let mut reply = Tuple::default();
        reply.set_v4([1, 2, 3, 4], [5, 6, 7, 8]);
        ct.set_reply(reply);
        ct.set_snat_port(99);
        assert_eq!(ct.snat_port(), Some(99));
        assert_eq!(ct.snat_addr(), None);
        assert!(ct.reply().known.is_empty());
    }
}
