//! The filter as a classic BPF program for the event socket (`Filter From Kernelspace`).
//!
//! ```text
//!  other subsystem? ─▶ accept
//!  protocol of the original tuple ─▶ source address ─▶ destination address ─▶ TCP state ─▶ accept
//!        each: attribute missing → next clause; not wanted → reject
//! ```
//! Addresses are the original source and destination, tested one after the other, as in the original: so Accept needs
//! both in the list and Ignore drops when one is. (The user-space filter looks at the two source addresses instead.)
//! The program is data: attaching it is the caller's.

use alloc::vec::Vec;

use crate::filter::{AddressFilter, Filter, Policy, ProtocolSet};

/// One instruction of a classic BPF program (linux/filter.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BpfInstruction {
    /// Operation.
    pub code: u16,
    /// Jump offset when true.
    pub jt: u8,
    /// Jump offset when false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// Most instructions that the kernel takes (`BPF_MAXINSNS`).
pub const BPF_MAX: usize = 4096;

const LD_IMM: u16 = 0x00;
const LDX_IMM: u16 = 0x01;
const LD_W_ABS: u16 = 0x20;
const LD_B_ABS: u16 = 0x30;
const LD_B_IND: u16 = 0x50;
const LD_W_IND: u16 = 0x40;
const JEQ: u16 = 0x15;
const JA: u16 = 0x05;
const AND: u16 = 0x54;
const TAX: u16 = 0x07;
const RET: u16 = 0x06;

/// `SKF_AD_OFF + SKF_AD_NLATTR`: A becomes the offset of attribute X in the attributes at A, or 0.
const NLATTR: u32 = 0xffff_f000 + 12;
/// `SKF_AD_OFF + SKF_AD_NLATTR_NEST`: the same inside the nest at A.
const NLATTR_NEST: u32 = 0xffff_f000 + 16;

/// Where the attributes of a ctnetlink message begin: after nlmsghdr and nfgenmsg.
const ATTRIBUTES: u32 = 20;
/// Where nlmsghdr has the port id of the socket whose request caused the event.
const PORT_ID: u32 = 12;
/// The byte of nlmsghdr's type that holds the subsystem.
const SUBSYSTEM: u32 = if cfg!(target_endian = "big") { 4 } else { 5 };

const CTA_TUPLE_ORIG: u32 = 1;
const CTA_PROTOINFO: u32 = 4;
const CTA_TUPLE_IP: u32 = 1;
const CTA_TUPLE_PROTO: u32 = 2;

/// Where a long jump goes: its distance is known only when the clause is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// The message is not wanted.
    Reject,
    /// The clause lets it pass.
    Pass,
}

#[derive(Default)]
struct Program {
    code: Vec<BpfInstruction>,
    /// Jumps of the clause being written.
    jumps: Vec<(usize, Target)>,
}

impl Program {
    fn push(&mut self, code: u16, k: u32) {
        self.branch(code, k, 0, 0);
    }

    fn branch(&mut self, code: u16, k: u32, jt: u8, jf: u8) {
        self.code.push(BpfInstruction { code, jt, jf, k });
    }

    fn jump(&mut self, target: Target) {
        self.jumps.push((self.code.len(), target));
        self.push(JA, 0);
    }

    /// Goes to `target` when A is `k`. A short jump over a long one, so that lists may have any length.
    fn jump_if(&mut self, k: u32, target: Target) {
        self.branch(JEQ, k, 0, 1);
        self.jump(target);
    }

    /// Leaves the offset of a nested attribute in X; passes when one of the path is missing.
    fn find(&mut self, path: [u32; 3]) {
        self.push(LD_IMM, ATTRIBUTES);
        for (level, attribute) in path.into_iter().enumerate() {
            self.push(LDX_IMM, attribute);
            self.push(LD_B_ABS, if level == 0 { NLATTR } else { NLATTR_NEST });
            self.jump_if(0, Target::Pass);
        }
        self.push(TAX, 0);
    }

    /// Ends a clause: what was not in its list gets here.
    fn end(&mut self, policy: Policy) {
        if policy == Policy::Ignore {
            // Not listed: over the rejection.
            self.branch(JA, 1, 0, 0);
        }
        let reject = self.code.len();
        self.push(RET, 0);
        let pass = self.code.len();
        for (at, target) in core::mem::take(&mut self.jumps) {
            let to = if target == Target::Reject {
                reject
            } else {
                pass
            };
            if let Some(jump) = self.code.get_mut(at) {
                jump.k = u32::try_from(to.saturating_sub(at).saturating_sub(1)).unwrap_or(0);
            }
        }
    }
}

/// Where a listed value leads.
const fn listed(policy: Policy) -> Target {
    match policy {
        Policy::Accept => Target::Pass,
        Policy::Ignore => Target::Reject,
    }
}

/// The program for `filter`. `None` when the lists need more instructions than the kernel takes, or nothing is to be
/// filtered.
pub fn compile(filter: &Filter) -> Option<Vec<BpfInstruction>> {
    let mut p = Program::default();
    p.push(LD_B_ABS, SUBSYSTEM);
    p.branch(JEQ, u32::from(nfct::codec::SUBSYS_CONNTRACK), 1, 0);
    p.push(RET, u32::MAX);
    let prologue = p.code.len();
    if let Some((policy, set)) = &filter.protocols {
        protocols(&mut p, *policy, set);
    }
    if let Some((policy, list)) = &filter.addresses {
        for destination in [0, 1] {
            for v6 in [false, true] {
                addresses(&mut p, *policy, list, destination, v6);
            }
        }
        let has = |v6| list.entries(v6).next().is_some();
        if *policy == Policy::Accept && has(false) && !has(true) {
            // IPv6 is not among what is accepted. (The other way round the original lets IPv4 pass; with addresses of both
            // families it lets no IPv6 pass, because it looks for IPv4 addresses beyond the addresses' nest.)
            p.find([CTA_TUPLE_ORIG, CTA_TUPLE_IP, 3]);
            p.end(Policy::Accept);
        }
    }
    if let Some((policy, states)) = filter.tcp_states {
        tcp_states(&mut p, policy, states);
    }
    if p.code.len() == prologue {
        return None;
    }
    p.push(RET, u32::MAX);
    (p.code.len() <= BPF_MAX).then_some(p.code)
}

/// The program that takes the place of one that is attached and not wanted any more: everything passes.
pub fn pass_all() -> Vec<BpfInstruction> {
    let mut p = Program::default();
    p.push(RET, u32::MAX);
    p.code
}

/// `program`, behind instructions that reject what was caused by requests of the socket with port id `port`.
pub fn leave_out(port: u32, program: &[BpfInstruction]) -> Vec<BpfInstruction> {
    let mut p = Program::default();
    p.push(LD_W_ABS, PORT_ID);
    // The machine reads a word of the message as one of the network.
    p.branch(JEQ, u32::from_be_bytes(port.to_ne_bytes()), 0, 1);
    p.push(RET, 0);
    p.code.extend_from_slice(program);
    p.code
}

fn protocols(p: &mut Program, policy: Policy, set: &ProtocolSet) {
    if !(0..=255).any(|n| set.has(n)) {
        return;
    }
    p.find([CTA_TUPLE_ORIG, CTA_TUPLE_PROTO, 1]);
    p.push(LD_B_IND, 4);
    for n in (0..=255).filter(|n| set.has(*n)) {
        p.jump_if(u32::from(n), listed(policy));
    }
    p.end(policy);
}

/// `destination` is 0 for the source address, 1 for the destination.
fn addresses(p: &mut Program, policy: Policy, list: &AddressFilter, destination: u32, v6: bool) {
    let mut entries = list.entries(v6).peekable();
    if entries.peek().is_none() {
        return;
    }
    let attribute = if v6 { 3 } else { 1 };
    p.find([CTA_TUPLE_ORIG, CTA_TUPLE_IP, attribute + destination]);
    for (addr, mask) in entries {
        let words: u32 = if v6 { 4 } else { 1 };
        let start = p.code.len();
        // Words that the mask leaves out need no test; a mask of nothing matches at once.
        let tested: Vec<(u32, u32, u32)> = (0..words)
            .map(|i| {
                let shift = 96u32.saturating_sub(32u32.saturating_mul(i));
                let word = |n: u128| u32::try_from((n >> shift) & 0xffff_ffff).unwrap_or(0);
                (i, word(addr), word(mask))
            })
            .filter(|(_, _, mask)| *mask != 0)
            .collect();
        let mut misses = Vec::new();
        for (i, addr, mask) in tested {
            p.push(LD_W_IND, i.saturating_mul(4).saturating_add(4));
            if mask != u32::MAX {
                p.push(AND, mask);
            }
            misses.push(p.code.len());
            p.branch(JEQ, addr, 0, 0);
        }
        p.jump(listed(policy));
        // At most 4 words of 3 instructions and a jump: distances fit a byte.
        let end = p.code.len();
        debug_assert!(end.saturating_sub(start) < 16);
        for at in misses {
            let distance = end.saturating_sub(at).saturating_sub(1);
            if let Some(test) = p.code.get_mut(at) {
                test.jf = u8::try_from(distance).unwrap_or(0);
            }
        }
    }
    p.end(policy);
}

fn tcp_states(p: &mut Program, policy: Policy, states: u16) {
    if states == 0 {
        return;
    }
    p.find([CTA_PROTOINFO, 1, 1]);
    p.push(LD_B_IND, 4);
    for n in (0..16u32).filter(|n| states & (1 << n) != 0) {
        p.jump_if(n, listed(policy));
    }
    p.end(policy);
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use net_types::Prefix;
    use nfct::codec::{ConntrackOp, Message, Messages, request};
    use nfct::{Attr, Conntrack, Tuple, proto};

    /// What the kernel does with the instructions used here.
    fn run(program: &[BpfInstruction], data: &[u8]) -> u32 {
        let find = |at: u32, end: usize, kind: u32| -> u32 {
            let mut at = usize::try_from(at).unwrap();
            while at + 4 <= end {
                let len = usize::from(u16::from_ne_bytes([data[at], data[at + 1]]));
                let this = u16::from_ne_bytes([data[at + 2], data[at + 3]]) & 0x3fff;
                if u32::from(this) == kind {
                    return u32::try_from(at).unwrap();
                }
                at += len.next_multiple_of(4);
            }
            0
        };
        let (mut a, mut x, mut pc) = (0u32, 0u32, 0usize);
        loop {
            let i = program[pc];
            pc += 1;
            let word = |at: u32, n: usize| {
                let at = usize::try_from(at).unwrap();
                data[at..at + n]
                    .iter()
                    .fold(0u32, |v, b| (v << 8) | u32::from(*b))
            };
            match i.code {
                LD_IMM => a = i.k,
                LDX_IMM => x = i.k,
                LD_B_ABS if i.k == NLATTR => a = find(a, data.len(), x),
                LD_B_ABS if i.k == NLATTR_NEST => {
                    let at = usize::try_from(a).unwrap();
                    let len = usize::from(u16::from_ne_bytes([data[at], data[at + 1]]));
                    a = find(a + 4, at + len, x);
                }
                LD_B_ABS => a = word(i.k, 1),
                LD_W_ABS => a = word(i.k, 4),
                LD_B_IND => a = word(x + i.k, 1),
                LD_W_IND => a = word(x + i.k, 4),
                AND => a &= i.k,
                TAX => x = a,
                JEQ => pc += usize::from(if a == i.k { i.jt } else { i.jf }),
                JA => pc += usize::try_from(i.k).unwrap(),
                RET => return i.k,
                code => panic!("{code:#x}"),
            }
        }
    }

    fn event(src: &str, dst: &str, l4: u8, state: Option<u8>) -> Vec<u8> {
        let mut t = Tuple::new(src.parse().unwrap(), dst.parse().unwrap(), l4).unwrap();
        t.set_ports(1, 2);
        let mut ct = Conntrack::with_orig(t);
        ct.set_reply(t.mirrored());
        if let Some(state) = state {
            ct.set_protoinfo(Attr::TCP_STATE, |p| p.state = state);
        }
        request(ConntrackOp::Create, &ct, 0).unwrap()
    }

    fn passes(filter: &Filter, data: &[u8]) -> bool {
        let passes = run(&compile(filter).unwrap(), data) != 0;
        if let Some((_, Message::Conntrack(_, ct))) = Messages::new(data).next() {
            assert_eq!(filter.passes_in_kernel(&ct), passes, "{ct:?}");
        }
        passes
    }

    fn hosts(list: &[(&str, u8)]) -> AddressFilter {
        let mut filter = AddressFilter::default();
        for (addr, len) in list {
            filter.insert(Prefix::new(addr.parse().unwrap(), *len).unwrap());
        }
        filter
    }

    #[test]
    fn protocols() {
        let mut set = ProtocolSet::default();
        set.insert(proto::TCP);
        set.insert(proto::ICMP);
        let tcp = event("1.2.3.4", "5.6.7.8", proto::TCP, None);
        let udp = event("1.2.3.4", "5.6.7.8", proto::UDP, None);
        for (policy, wanted) in [(Policy::Accept, true), (Policy::Ignore, false)] {
            let filter = Filter {
                protocols: Some((policy, set)),
                ..Filter::default()
            };
            assert_eq!(passes(&filter, &tcp), wanted);
            assert_eq!(passes(&filter, &udp), !wanted);
        }
    }

    #[test]
    fn addresses_of_both_ends() {
        let list = hosts(&[
            ("127.0.0.1", 32),
            ("10.0.0.0", 8),
            ("fd00::", 12),
            ("2001:db8::1", 128),
        ]);
        let filter = |policy| Filter {
            addresses: Some((policy, list.clone())),
            ..Filter::default()
        };
        // (source, destination, Accept passes, Ignore passes)
        for (src, dst, accept, ignore) in [
            ("10.1.1.1", "10.2.2.2", true, false),
            ("10.1.1.1", "8.8.8.8", false, false),
            ("8.8.4.4", "127.0.0.1", false, false),
            ("8.8.4.4", "8.8.8.8", false, true),
            ("fd08::1", "2001:db8::1", true, false),
            ("fd08::1", "2001:db8::2", false, false),
            ("fe80::1", "2001:db8::2", false, true),
        ] {
            let data = event(src, dst, proto::UDP, None);
            assert_eq!(
                passes(&filter(Policy::Accept), &data),
                accept,
                "{src} {dst}"
            );
            assert_eq!(
                passes(&filter(Policy::Ignore), &data),
                ignore,
                "{src} {dst}"
            );
        }
    }

    #[test]
    fn accepted_addresses_of_one_family() {
        let filter = |list| Filter {
            addresses: Some((Policy::Accept, hosts(list))),
            ..Filter::default()
        };
        let v4 = event("10.1.1.1", "10.2.2.2", proto::UDP, None);
        let v6 = event("fd08::1", "fd08::2", proto::UDP, None);
        let only_v4 = filter(&[("10.0.0.0", 8)]);
        assert!(passes(&only_v4, &v4) && !passes(&only_v4, &v6));
        let only_v6 = filter(&[("fd00::", 8)]);
        assert!(passes(&only_v6, &v4) && passes(&only_v6, &v6));
        assert_eq!(run(&pass_all(), &v4), u32::MAX);
    }

    #[test]
    fn states_and_other_subsystems() {
        let filter = Filter {
            tcp_states: Some((Policy::Accept, (1 << 3) | (1 << 8))),
            ..Filter::default()
        };
        let tcp = |state| event("1.2.3.4", "5.6.7.8", proto::TCP, state);
        assert!(passes(&filter, &tcp(Some(3))));
        assert!(passes(&filter, &tcp(Some(8))));
        assert!(!passes(&filter, &tcp(Some(1))));
        assert!(passes(&filter, &tcp(None)), "a missing state passes");
        let mut other = tcp(Some(1));
        other[4..6].copy_from_slice(&0x200u16.to_ne_bytes());
        assert!(passes(&filter, &other));
    }

    #[test]
    fn the_events_of_one_port_are_left_out() {
        let filter = Filter {
            tcp_states: Some((Policy::Accept, 1 << 3)),
            ..Filter::default()
        };
        let mut data = event("1.2.3.4", "5.6.7.8", proto::TCP, Some(3));
        for program in [pass_all(), compile(&filter).unwrap()] {
            let program = leave_out(0x0102_0304, &program);
            for (port, kept) in [(0x0102_0304_u32, 0), (0x0403_0201, u32::MAX), (0, u32::MAX)] {
                data[12..16].copy_from_slice(&port.to_ne_bytes());
                assert_eq!(run(&program, &data), kept, "{port:#x}");
            }
        }
        let other = event("1.2.3.4", "5.6.7.8", proto::TCP, Some(1));
        let program = leave_out(0x0102_0304, &compile(&filter).unwrap());
        assert_eq!(run(&program, &other), 0);
    }

    #[test]
    fn long_lists_compile_and_endless_ones_do_not() {
        let many = |n: u32| {
            let mut list = AddressFilter::default();
            for i in 0..n {
                let addr = std::net::Ipv4Addr::from(0x0a00_0000 + i);
                list.insert(Prefix::host(addr.into()));
            }
            Filter {
                addresses: Some((Policy::Ignore, list)),
                ..Filter::default()
            }
        };
        let filter = many(500);
        assert!(!passes(&filter, &event("1.1.1.1", "10.0.1.243", 6, None)));
        assert!(passes(&filter, &event("1.1.1.1", "10.0.1.244", 6, None)));
        assert_eq!(compile(&many(3000)), None);
        assert_eq!(compile(&Filter::default()), None);
    }
}
