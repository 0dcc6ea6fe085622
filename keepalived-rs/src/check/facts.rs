//! What the way to the kernel's tables has to know of each virtual server of the model, found once and not at each change.

use std::net::IpAddr;

use conf_parsers::keepalived::model::lvs::{
    ForwardingMethod, LvsModel, VirtualServer, VirtualServerGroup,
};

use net_types::{SortedMap, sort_by};

use super::lower::{First, firsts};

/// Facts of one virtual server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Where it begins in the core's numbering.
    pub(super) first: First,
    /// The position of its group.
    group: Option<usize>,
    /// No two of its real servers, the sorry server among them, have one place in the kernel's table.
    pub(super) distinct: bool,
}

impl Facts {
    /// The group, in the model that the facts are of.
    pub(super) fn group_in(self, lvs: &LvsModel) -> Option<&VirtualServerGroup> {
        lvs.groups.get(self.group?)
    }
}

/// Facts of all virtual servers, in their order.
pub(super) fn facts(lvs: &LvsModel) -> Vec<Facts> {
    // Of equal names the first counts.
    let groups = lvs.groups.iter().enumerate().rev();
    let groups: SortedMap<&str, usize> = groups.map(|(n, g)| (&*g.name.value, n)).collect();
    let servers = lvs.virtual_servers.iter().zip(firsts(lvs));
    let each = servers.map(|(vs, first)| Facts {
        first,
        group: vs.group_name().and_then(|name| groups.get(name)).copied(),
        distinct: is_distinct(vs),
    });
    each.collect()
}

/// Addresses and ports are distinct by validation; but only NAT keeps the ports.
fn is_distinct(vs: &VirtualServer) -> bool {
    let sorry = vs.sorry_server.iter();
    if sorry.clone().any(|s| s.duplicates_real_server) {
        return false;
    }
    let keeps_port = |own: Option<ForwardingMethod>| {
        own.or(vs.forwarding.method)
            .is_none_or(|method| method == ForwardingMethod::Nat)
    };
    let reals = vs.real_servers.iter().map(|r| (r.addr, &r.forwarding));
    let all = reals.chain(sorry.map(|s| (s.addr, &s.forwarding)));
    if all.clone().all(|(_, way)| keeps_port(way.method)) {
        return true;
    }
    let mut addresses: Vec<IpAddr> = all.map(|(address, _)| address.ip()).collect();
    sort_by(&mut addresses, IpAddr::cmp);
    addresses.is_sorted_by(|a, b| a < b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::wanted::tests::model;

    #[test]
    fn ports_that_are_not_kept_make_one_of_two() {
        let distinct = |kind: &str, sorry: &str| {
            let text = format!(
                "virtual_server 10.0.0.1 80 {{\n protocol TCP\n lb_algo rr\n lb_kind {kind}\n {sorry}\n \
                real_server 10.1.0.1 80 {{\n }}\n real_server 10.1.0.1 81 {{\n }}\n}}\n"
            );
            facts(&model(&text).lvs)[0].distinct
        };
        assert!(distinct("NAT", ""));
        assert!(!distinct("NAT", "sorry_server 10.1.0.1 81"));
        assert!(distinct("NAT", "sorry_server 10.1.0.1 82"));
        assert!(!distinct("DR", ""));
    }
}
