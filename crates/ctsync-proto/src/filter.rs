//! Which flows are replicated (conntrackd-behaviour.md section 8, user-space filter).

use alloc::vec::Vec;
use core::net::IpAddr;

use net_types::Prefix;
use nfct::{Conntrack, Known, proto};

/// Whether the listed flows are the ones to replicate or the ones to leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Only the listed ones.
    Accept,
    /// All but the listed ones.
    Ignore,
}

impl Policy {
    fn passes(self, listed: bool) -> bool {
        listed == (self == Self::Accept)
    }
}

/// A set of IP protocol numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProtocolSet([u32; 8]);

impl ProtocolSet {
    /// Adds a protocol.
    pub fn insert(&mut self, protocol: u8) {
        if let Some(word) = self.0.get_mut(usize::from(protocol >> 5)) {
            *word |= 1 << (protocol & 31);
        }
    }

    /// Whether `protocol` is in the set.
    pub fn has(&self, protocol: u8) -> bool {
        self.0
            .get(usize::from(protocol >> 5))
            .is_some_and(|word| word & (1 << (protocol & 31)) != 0)
    }
}

/// Hosts and networks, one list per family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressFilter {
    hosts: Vec<IpAddr>,
    networks: Vec<(u128, u128, bool)>,
}

fn bits(addr: IpAddr) -> (u128, bool) {
    match addr {
        IpAddr::V4(a) => (u128::from(u32::from(a)) << 96, false),
        IpAddr::V6(a) => (u128::from(a), true),
    }
}

impl AddressFilter {
    /// Adds a host or a network; adding one twice changes nothing.
    pub fn insert(&mut self, prefix: Prefix) {
        if prefix.len == prefix.family().bits() {
            if let Err(at) = self.hosts.binary_search(&prefix.addr) {
                self.hosts.insert(at, prefix.addr);
            }
            return;
        }
        let mask = u128::MAX
            .checked_shl(128u32.saturating_sub(u32::from(prefix.len)))
            .unwrap_or(0);
        let (addr, v6) = bits(prefix.addr);
        let network = (addr & mask, mask, v6);
        if !self.networks.contains(&network) {
            self.networks.push(network);
        }
    }

    /// Address and mask of every entry of one family; IPv4 in the upper 32 bits.
    pub(crate) fn entries(&self, v6: bool) -> impl Iterator<Item = (u128, u128)> + '_ {
        let host_mask = if v6 { u128::MAX } else { 0xffff_ffff << 96 };
        let hosts = self.hosts.iter().map(move |a| (bits(*a), host_mask));
        hosts
            .filter(move |((_, family), _)| *family == v6)
            .map(|((addr, _), mask)| (addr, mask))
            .chain(
                self.networks
                    .iter()
                    .filter(move |(_, _, family)| *family == v6)
                    .map(|(addr, mask, _)| (*addr, *mask)),
            )
    }

    /// Whether `addr` is a listed host or in a listed network.
    pub fn has(&self, addr: IpAddr) -> bool {
        let (value, v6) = bits(addr);
        self.networks
            .iter()
            .any(|(net, mask, net_v6)| *net_v6 == v6 && value & mask == *net)
            || self.hosts.binary_search(&addr).is_ok()
    }
}

/// The user-space filter. A clause that is `None` lets everything pass; all clauses must pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// By IP protocol.
    pub protocols: Option<(Policy, ProtocolSet)>,
    /// By original or reply source address.
    pub addresses: Option<(Policy, AddressFilter)>,
    /// By TCP state: bit n stands for state n. Flows of other protocols, or without a known state, pass.
    pub tcp_states: Option<(Policy, u16)>,
}

impl Filter {
    /// Whether the flow is to be replicated.
    pub fn passes(&self, ct: &Conntrack) -> bool {
        if let Some((policy, set)) = &self.protocols {
            if !policy.passes(set.has(ct.orig.l4)) {
                return false;
            }
        }
        if let Some((policy, set)) = &self.addresses {
            let sources = [ct.orig.src_ip(), ct.reply().src_ip()];
            if sources[0].is_some()
                && !policy.passes(sources.into_iter().flatten().any(|a| set.has(a)))
            {
                return false;
            }
        }
        if let (Some((policy, states)), proto::TCP, Some(state)) =
            (&self.tcp_states, ct.orig.l4, ct.tcp_state())
        {
            let listed = 1u16
                .checked_shl(u32::from(state))
                .is_some_and(|bit| states & bit != 0);
            if !policy.passes(listed) {
                return false;
            }
        }
        true
    }

    /// Whether the program of [`crate::bpf::compile`] lets an event of the flow pass: it looks at the original source and
    /// destination, one after the other.
    pub(crate) fn passes_in_kernel(&self, ct: &Conntrack) -> bool {
        if let Some((policy, set)) = &self.protocols {
            let lists_any = (0..=255).any(|n| set.has(n));
            if lists_any && !policy.passes(set.has(ct.orig.l4)) {
                return false;
            }
        }
        if let Some((policy, list)) = &self.addresses {
            let lists = |v6| list.entries(v6).next().is_some();
            for addr in [ct.orig.src_ip(), ct.orig.dst_ip()].into_iter().flatten() {
                let tested = lists(addr.is_ipv6())
                    || *policy == Policy::Accept && addr.is_ipv6() && lists(false);
                if tested && !policy.passes(list.has(addr)) {
                    return false;
                }
            }
        }
        if let (Some((policy, states)), Some(state)) = (&self.tcp_states, ct.tcp_state()) {
            let listed = states & 1_u16.checked_shl(u32::from(state)).unwrap_or(0) != 0;
            if *states != 0 && !policy.passes(listed) {
                return false;
            }
        }
        true
    }
}

/// What a kernel message must have to be cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Layer3,
    Ipv4,
    Ipv6,
}

pub(crate) fn missing(ct: &Conntrack) -> Option<Missing> {
    if !ct.orig.known.has(Known::L3) {
        return Some(Missing::Layer3);
    }
    if ct.orig.known.has(Known::SRC) && ct.reply().known.has(Known::SRC) {
        return None;
    }
    match ct.orig.l3 {
        2 => Some(Missing::Ipv4),
        10 => Some(Missing::Ipv6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nfct::Tuple;

    fn flow(src: &str, dst: &str) -> Conntrack {
        let mut t = Tuple::new(src.parse().unwrap(), dst.parse().unwrap(), proto::TCP).unwrap();
        t.set_ports(1, 2);
        let mut ct = Conntrack::with_orig(t);
        ct.set_reply(t.mirrored());
        ct
    }

    fn prefix(s: &str, len: u8) -> Prefix {
        Prefix::new(s.parse().unwrap(), len).unwrap()
    }

    #[test]
    fn an_empty_filter_passes_everything() {
        assert!(Filter::default().passes(&flow("1.2.3.4", "5.6.7.8")));
    }

    #[test]
    fn addresses_are_original_and_reply_source() {
        let mut list = AddressFilter::default();
        list.insert(prefix("127.0.0.1", 32));
        list.insert(prefix("10.9.0.0", 16));
        list.insert(prefix("fd00::", 8));
        let ignore = Filter {
            addresses: Some((Policy::Ignore, list.clone())),
            ..Filter::default()
        };
        assert!(!ignore.passes(&flow("127.0.0.1", "1.1.1.1")));
        assert!(!ignore.passes(&flow("1.1.1.1", "10.9.200.1")));
        assert!(ignore.passes(&flow("1.1.1.1", "10.10.0.1")));
        assert!(!ignore.passes(&flow("2001::1", "fd12::1")));
        let accept = Filter {
            addresses: Some((Policy::Accept, list)),
            ..Filter::default()
        };
        assert!(accept.passes(&flow("1.1.1.1", "10.9.200.1")));
        assert!(!accept.passes(&flow("1.1.1.1", "1.1.1.2")));
    }

    #[test]
    fn protocols_and_states() {
        let mut set = ProtocolSet::default();
        set.insert(proto::UDP);
        let only_udp = Filter {
            protocols: Some((Policy::Accept, set)),
            ..Filter::default()
        };
        assert!(!only_udp.passes(&flow("1.1.1.1", "2.2.2.2")));

        let established = Filter {
            tcp_states: Some((Policy::Accept, 1 << 3)),
            ..Filter::default()
        };
        let mut ct = flow("1.1.1.1", "2.2.2.2");
        assert!(established.passes(&ct), "unknown state passes");
        ct.set_protoinfo(nfct::Attr::TCP_STATE, |p| p.state = 1);
        assert!(!established.passes(&ct));
        ct.set_protoinfo(nfct::Attr::TCP_STATE, |p| p.state = 3);
        assert!(established.passes(&ct));
    }
}
