//! Words for the log.

use net_types::{Family, Prefix};
use netlink_wire::Route;
use netlink_wire::address::{RTM_DELADDR, RTM_NEWADDR};
use netlink_wire::link::{RTM_DELLINK, RTM_NEWLINK};
use netlink_wire::route::{RTM_DELROUTE, RTM_NEWROUTE};
use netlink_wire::rule::{RTM_DELRULE, RTM_NEWRULE};
use nix::errno::Errno;
use vrrp_proto::Object;

use super::Kernel;

pub(super) const fn libc_eio() -> i32 {
    Errno::EIO as i32
}

/// The text of `strerror`.
pub(super) fn text_of(errno: i32) -> &'static str {
    Errno::from_raw(errno).desc()
}

pub(super) const fn kind_of(object: Object, add: bool) -> u16 {
    match (object, add) {
        (Object::Address(_), true) => RTM_NEWADDR,
        (Object::Address(_), false) => RTM_DELADDR,
        (Object::Route(_), true) => RTM_NEWROUTE,
        (Object::Route(_), false) => RTM_DELROUTE,
        (Object::Rule(_), true) => RTM_NEWRULE,
        (Object::Rule(_), false) => RTM_DELRULE,
    }
}

pub(super) const fn name_of(kind: u16) -> &'static str {
    match kind {
        RTM_NEWLINK => "RTM_NEWLINK",
        RTM_DELLINK => "RTM_DELLINK",
        RTM_NEWADDR => "RTM_NEWADDR",
        RTM_DELADDR => "RTM_DELADDR",
        RTM_NEWROUTE => "RTM_NEWROUTE",
        RTM_DELROUTE => "RTM_DELROUTE",
        RTM_NEWRULE => "RTM_NEWRULE",
        RTM_DELRULE => "RTM_DELRULE",
        _ => "",
    }
}

/// The original leaves out the prefix length of a host.
pub(super) fn prefix_text(address: std::net::IpAddr, len: u8) -> String {
    if len == Family::of(&address).bits() {
        address.to_string()
    } else {
        format!("{address}/{len}")
    }
}

pub(super) fn route_text(route: &Route) -> String {
    let to = network(route.destination).map_or_else(|| "default".to_owned(), |p| p.to_string());
    let via = route
        .gateway
        .map_or_else(String::new, |g| format!(" via {g}"));
    format!("{to}{via} table {}", route.table)
}

pub(super) fn network(prefix: Option<Prefix>) -> Option<Prefix> {
    prefix.filter(|p| p.len > 0)
}

impl Kernel {
    /// What a reload says of an object of `owner` that it takes away; empty for an unknown object.
    pub fn gone_line(&self, owner: &str, object: Object) -> String {
        match object {
            Object::Address(n) => self.objects.address(n).map_or_else(String::new, |o| {
                let (address, len, dev) = (o.address.local, o.address.prefix_len, &o.interface);
                format!("({owner}) ip address {address}/{len} dev {dev}, no longer exist")
            }),
            Object::Route(n) => self.objects.route(n).map_or_else(String::new, |o| {
                let to = o.route.destination;
                let to = to.map_or_else(|| "default".to_owned(), |p| prefix_text(p.addr, p.len));
                format!("Removing route {to}")
            }),
            Object::Rule(n) => self.objects.rule(n).map_or_else(String::new, |r| {
                let text = |p: Prefix| prefix_text(p.addr, p.len);
                let from = r.from.map_or_else(|| "all".to_owned(), text);
                let to =
                    r.to.map_or_else(String::new, |p| format!(" to {}", text(p)));
                format!("ip rule from {from}{to} removed")
            }),
        }
    }

    pub(super) fn describe(&self, object: Object) -> String {
        match object {
            Object::Address(n) => self.objects.address(n).map_or_else(String::new, |o| {
                let text = prefix_text(o.address.local, o.address.prefix_len);
                format!("address {text} dev {}", o.interface)
            }),
            Object::Route(n) => {
                let route = self.objects.route(n);
                route.map_or_else(String::new, |o| format!("route {}", route_text(&o.route)))
            }
            Object::Rule(n) => self.objects.rule(n).map_or_else(String::new, |r| {
                let any = || "all".to_owned();
                let from = r.from.map_or_else(any, |p| p.to_string());
                let to = r.to.map_or_else(any, |p| p.to_string());
                format!(
                    "rule from {from} to {to} priority {}",
                    r.priority.unwrap_or(0)
                )
            }),
        }
    }
}
