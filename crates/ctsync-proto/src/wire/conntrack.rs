//! Attributes of conntrack messages (conntrackd-behaviour.md 4.4).

use alloc::vec::Vec;

use nfct::{Attr, Conntrack, Known, SeqAdj, Synproxy, Tuple, proto};

use super::attr::{
    Size, bytes_at, put, put_addresses, put_ports, put_text, put_u32, read, text, u8_of, u16_at,
    u32_at,
};
use super::{Codec, PayloadError, WordOrder};

const IPV4: u16 = 0;
const IPV6: u16 = 1;
const L4PROTO: u16 = 2;
const PORT: u16 = 3;
const TCP_STATE: u16 = 4;
const STATUS: u16 = 5;
const TIMEOUT: u16 = 6;
const MARK: u16 = 7;
const MASTER_IPV4: u16 = 8;
const MASTER_IPV6: u16 = 9;
const MASTER_L4PROTO: u16 = 10;
const MASTER_PORT: u16 = 11;
const SNAT_IPV4: u16 = 12;
const DNAT_IPV4: u16 = 13;
const SPAT_PORT: u16 = 14;
const DPAT_PORT: u16 = 15;
const NAT_SEQ_ADJ: u16 = 16;
const SCTP_STATE: u16 = 17;
const SCTP_VTAG_ORIG: u16 = 18;
const SCTP_VTAG_REPL: u16 = 19;
const DCCP_STATE: u16 = 20;
const DCCP_ROLE: u16 = 21;
const ICMP_TYPE: u16 = 22;
const ICMP_CODE: u16 = 23;
const ICMP_ID: u16 = 24;
const TCP_WSCALE_ORIG: u16 = 25;
const TCP_WSCALE_REPL: u16 = 26;
const HELPER_NAME: u16 = 27;
const LABELS: u16 = 28;
const SNAT_IPV6: u16 = 29;
const DNAT_IPV6: u16 = 30;
const SYNPROXY: u16 = 31;
const ZONE: u16 = 32;

const SIZES: [Size; 33] = [
    Size::Is(12),
    Size::Is(36),
    Size::Is(5),
    Size::Is(8),
    Size::Is(5),
    Size::Is(8),
    Size::Is(8),
    Size::Is(8),
    Size::Is(12),
    Size::Is(36),
    Size::Is(5),
    Size::Is(8),
    Size::Is(8),
    Size::Is(8),
    Size::Is(6),
    Size::Is(6),
    Size::Is(28),
    Size::Is(5),
    Size::Is(8),
    Size::Is(8),
    Size::Is(5),
    Size::Is(5),
    Size::Is(5),
    Size::Is(5),
    Size::Is(6),
    Size::Is(5),
    Size::Is(5),
    Size::AtMost(16),
    Size::AtMost(1028),
    Size::Is(20),
    Size::Is(20),
    Size::Is(16),
    Size::Is(6),
];

/// The entry that the attributes of a CT message describe. A later duplicate wins.
pub fn decode(body: &[u8], order: WordOrder) -> Result<Conntrack, PayloadError> {
    let mut ct = Conntrack::default();
    let mut master = Tuple::default();
    read(body, &SIZES, |kind, v| {
        let word = || order.get(bytes_at(v, 0));
        match kind {
            IPV4 => ct.orig.set_v4(bytes_at(v, 0), bytes_at(v, 4)),
            IPV6 => ct.orig.set_v6(bytes_at(v, 0), bytes_at(v, 16)),
            L4PROTO => ct.orig.set_l4(u8_of(v)),
            PORT => ct.orig.set_ports(u16_at(v, 0), u16_at(v, 2)),
            TCP_STATE => ct.set_protoinfo(Attr::TCP_STATE, |p| p.state = u8_of(v)),
            STATUS => ct.set_status(u32_at(v, 0)),
            TIMEOUT => ct.set_timeout(u32_at(v, 0)),
            MARK => ct.set_mark(u32_at(v, 0)),
            MASTER_IPV4 => master.set_v4(bytes_at(v, 0), bytes_at(v, 4)),
            MASTER_IPV6 => master.set_v6(bytes_at(v, 0), bytes_at(v, 16)),
            MASTER_L4PROTO => master.set_l4(u8_of(v)),
            MASTER_PORT => master.set_ports(u16_at(v, 0), u16_at(v, 2)),
            SNAT_IPV4 => ct.set_snat_addr(2, bytes_at(v, 0)),
            DNAT_IPV4 => ct.set_dnat_addr(2, bytes_at(v, 0)),
            SNAT_IPV6 => ct.set_snat_addr(10, bytes_at(v, 0)),
            DNAT_IPV6 => ct.set_dnat_addr(10, bytes_at(v, 0)),
            SPAT_PORT => ct.set_snat_port(word()),
            DPAT_PORT => ct.set_dnat_port(word()),
            NAT_SEQ_ADJ => {
                ct.set_seq_adj_orig(seq_adj(v, 0));
                ct.set_seq_adj_repl(seq_adj(v, 12));
            }
            SCTP_STATE => ct.set_protoinfo(Attr::SCTP_STATE, |p| p.state = u8_of(v)),
            SCTP_VTAG_ORIG => ct.set_vtag_orig(u32_at(v, 0)),
            SCTP_VTAG_REPL => ct.set_vtag_repl(u32_at(v, 0)),
            DCCP_STATE => ct.set_protoinfo(Attr::DCCP_STATE, |p| p.state = u8_of(v)),
            DCCP_ROLE => ct.set_protoinfo(Attr::DCCP_ROLE, |p| p.role = u8_of(v)),
            ICMP_TYPE => ct
                .orig
                .set_icmp(u8_of(v), ct.orig.icmp_code(), ct.orig.sport),
            ICMP_CODE => ct
                .orig
                .set_icmp(ct.orig.icmp_type(), u8_of(v), ct.orig.sport),
            ICMP_ID => ct
                .orig
                .set_icmp(ct.orig.icmp_type(), ct.orig.icmp_code(), word()),
            TCP_WSCALE_ORIG => {
                ct.set_protoinfo(Attr::TCP_WSCALE_ORIG, |p| p.wscale[0] = u8_of(v));
            }
            TCP_WSCALE_REPL => {
                ct.set_protoinfo(Attr::TCP_WSCALE_REPL, |p| p.wscale[1] = u8_of(v));
            }
            HELPER_NAME => ct.set_helper(text(v)),
            LABELS if !v.is_empty() && v.len() % 4 == 0 => {
                let words: Vec<u32> = v.chunks(4).map(|w| u32_at(w, 0)).collect();
                ct.set_labels(words.into_boxed_slice());
            }
            SYNPROXY => ct.set_synproxy(Synproxy {
                its: u32_at(v, 0),
                isn: u32_at(v, 4),
                tsoff: u32_at(v, 8),
            }),
            ZONE => ct.set_zone(u16_at(v, 0)),
            _ => {}
        }
    })?;
    ct.set_master(master);
    Ok(ct)
}

fn seq_adj(v: &[u8], at: usize) -> SeqAdj {
    SeqAdj {
        correction_pos: u32_at(v, at),
        offset_before: u32_at(v, at.saturating_add(4)),
        offset_after: u32_at(v, at.saturating_add(8)),
    }
}

pub(super) fn encode(codec: &Codec, out: &mut Vec<u8>, ct: &Conntrack) {
    put_addresses(out, IPV4, &ct.orig);
    put_u32(out, STATUS, ct.status().unwrap_or_default());
    put(out, L4PROTO, &[ct.orig.l4]);
    protocol(codec, out, ct);
    if let (true, Some(n)) = (codec.timeouts, ct.timeout()) {
        put_u32(out, TIMEOUT, n);
    }
    if let Some(n) = ct.mark() {
        put_u32(out, MARK, n);
    }
    let master = ct.master();
    if master.known.has(Known::ADDRS) {
        put_addresses(out, MASTER_IPV4, master);
        put(out, MASTER_L4PROTO, &[master.l4]);
        if master.known.has(Known::PORTS) {
            put_ports(out, MASTER_PORT, master);
        }
    }
    translation(codec, out, ct);
    if let (Some(o), Some(r)) = (ct.seq_adj_orig(), ct.seq_adj_repl()) {
        let mut value = [0; 24];
        let words = [
            o.correction_pos,
            o.offset_before,
            o.offset_after,
            r.correction_pos,
            r.offset_before,
            r.offset_after,
        ];
        for (to, n) in value.chunks_mut(4).zip(words) {
            to.copy_from_slice(&n.to_be_bytes());
        }
        put(out, NAT_SEQ_ADJ, &value);
    }
    if let Some(name) = ct.helper() {
        put_text(out, HELPER_NAME, name, 16);
    }
    // A receiver refuses labels beyond 1024 bytes together with the whole message.
    if let Some(words) = ct
        .labels()
        .filter(|w| w.len() <= 256 && w.iter().any(|n| *n != 0))
    {
        let bytes: Vec<u8> = words.iter().flat_map(|n| n.to_be_bytes()).collect();
        put(out, LABELS, &bytes);
    }
    if let Some(s) = ct.synproxy() {
        let mut value = [0; 12];
        for (to, n) in value.chunks_mut(4).zip([s.its, s.isn, s.tsoff]) {
            to.copy_from_slice(&n.to_be_bytes());
        }
        put(out, SYNPROXY, &value);
    }
    if let Some(zone) = ct.zone() {
        put(out, ZONE, &zone.to_be_bytes());
    }
}

fn protocol(codec: &Codec, out: &mut Vec<u8>, ct: &Conntrack) {
    let info = ct.protoinfo();
    match ct.orig.l4 {
        proto::TCP => {
            put_ports(out, PORT, &ct.orig);
            if let Some(state) = ct.tcp_state() {
                put(out, TCP_STATE, &[state]);
                if codec.window_scales {
                    put(out, TCP_WSCALE_ORIG, &[info.wscale[0]]);
                    put(out, TCP_WSCALE_REPL, &[info.wscale[1]]);
                }
            }
        }
        proto::UDP => put_ports(out, PORT, &ct.orig),
        proto::SCTP => {
            put_ports(out, PORT, &ct.orig);
            if let Some(state) = ct.sctp_state() {
                put(out, SCTP_STATE, &[state]);
                put_u32(out, SCTP_VTAG_ORIG, ct.vtag_orig().unwrap_or_default());
                put_u32(out, SCTP_VTAG_REPL, ct.vtag_repl().unwrap_or_default());
            }
        }
        proto::DCCP => {
            put_ports(out, PORT, &ct.orig);
            if let Some(state) = ct.dccp_state() {
                put(out, DCCP_STATE, &[state]);
                put(out, DCCP_ROLE, &[info.role]);
            }
        }
        proto::ICMP | proto::ICMPV6 if ct.orig.known.has(Known::ICMP) => {
            put(out, ICMP_TYPE, &[ct.orig.icmp_type()]);
            put(out, ICMP_CODE, &[ct.orig.icmp_code()]);
            put(out, ICMP_ID, &codec.order.put(ct.orig.sport));
        }
        // udplite, gre and the rest: their ports and keys have no attribute (behaviour 15, row 3).
        _ => {}
    }
}

/// Translated addresses and ports: as received, or as the reply tuple shows them.
fn translation(codec: &Codec, out: &mut Vec<u8>, ct: &Conntrack) {
    let reply = ct.reply();
    let seen = !reply.known.is_empty();
    let from_reply = |yes: bool, value| (seen && yes).then_some(value);
    let snat = ct
        .snat_addr()
        .or_else(|| from_reply(ct.is_snat(), reply.dst));
    let dnat = ct
        .dnat_addr()
        .or_else(|| from_reply(ct.is_dnat(), reply.src));
    let v6 = if seen { reply.l3 } else { ct.nat_l3() } == 10;
    for (addr, four, six) in [(snat, SNAT_IPV4, SNAT_IPV6), (dnat, DNAT_IPV4, DNAT_IPV6)] {
        let Some(addr) = addr else { continue };
        if v6 {
            put(out, six, &addr);
        } else {
            put(out, four, addr.get(..4).unwrap_or_default());
        }
    }
    // A tuple without ports (ICMP) says 0 here; see Conntrack::is_spat.
    let port = |known, value| if reply.known.has(known) { value } else { 0 };
    let spat = ct
        .snat_port()
        .or_else(|| from_reply16(seen && ct.is_spat(), port(Known::DPORT, reply.dport)));
    let dpat = ct
        .dnat_port()
        .or_else(|| from_reply16(seen && ct.is_dpat(), port(Known::SPORT, reply.sport)));
    if let Some(port) = spat {
        put(out, SPAT_PORT, &codec.order.put(port));
    }
    if let Some(port) = dpat {
        put(out, DPAT_PORT, &codec.order.put(port));
    }
}

fn from_reply16(yes: bool, value: u16) -> Option<u16> {
    yes.then_some(value)
}
