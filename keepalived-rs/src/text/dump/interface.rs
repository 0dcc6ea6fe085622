//! `Interfaces`.

use std::net::IpAddr;

use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::vrrp::Linkbeat;
use conf_parsers::keepalived::sockaddr::Shown;

use super::number::{date_before_fraction, fixed};
use super::snapshot::InterfaceNow;
use super::{Snapshot, line, reverse, truth};

/// Flags of the kernel's `if.h`.
const IFF_UP: u32 = 0x1;
const IFF_BROADCAST: u32 = 0x2;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_POINTOPOINT: u32 = 0x10;
const IFF_RUNNING: u32 = 0x40;
const IFF_NOARP: u32 = 0x80;
const IFF_MULTICAST: u32 = 0x1000;
/// Hardware types of the kernel's `if_arp.h`.
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;

/// The section.
pub(super) fn interfaces(out: &mut String, model: &Model, now: &Snapshot) {
    if now.interfaces.is_empty() {
        return;
    }
    line!(out, "------< Interfaces >------");
    for i in &now.interfaces {
        interface(out, model, i);
    }
}

fn mac(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect::<Vec<_>>()
        .join(":")
}

const fn not(flags: u32, flag: u32) -> &'static str {
    if flags & flag != 0 { "" } else { "not " }
}

fn interface(out: &mut String, model: &Model, i: &InterfaceNow) {
    line!(out, " Name = {}", i.name);
    line!(
        out,
        "   index = {}{}",
        i.index,
        if i.index == 0 { " (deleted)" } else { "" }
    );
    if i.index == 0 {
        if i.ours {
            line!(out, "   I/f created by keepalived");
        }
        tracking(out, model, i);
        return;
    }
    addresses(out, i);
    let f = i.flags;
    let mut state = format!("{}UP, {}RUNNING", not(f, IFF_UP), not(f, IFF_RUNNING));
    let base_down = i
        .above
        .as_ref()
        .is_some_and(|a| a.base.is_some() && a.base_flags & IFF_UP == 0);
    for (shown, text) in [
        (f & IFF_BROADCAST == 0, ", no broadcast"),
        (f & IFF_LOOPBACK != 0, ", loopback"),
        (f & IFF_POINTOPOINT != 0, ", point to point"),
        (f & IFF_NOARP != 0, ", no arp"),
        (f & IFF_MULTICAST == 0, ", no multicast"),
        (base_down, ", master down"),
    ] {
        if shown {
            state.push_str(text);
        }
    }
    line!(out, "   State = {state}");
    line!(out, "   Seen up = {}", u8::from(i.seen_up));
    line!(
        out,
        "   Delayed state change running = {}",
        truth(i.debouncing)
    );
    let settings = model.vrrp.interfaces.get(i.name.as_str());
    line!(
        out,
        "   Up debounce timer = {}us",
        settings.map_or(0, |s| s.up_delay)
    );
    line!(
        out,
        "   Down debounce timer = {}us",
        settings.map_or(0, |s| s.down_delay)
    );
    line!(out, "   Group = {}", i.group);
    if let Some(a) = &i.above {
        let (up, running) = (not(a.base_flags, IFF_UP), not(a.base_flags, IFF_RUNNING));
        let (kind, mode) = (a.kind, &a.mode);
        // Without the interface below, the original leaves the ipvlan's layer out.
        let port = mode.rsplit(' ').next().unwrap_or(mode);
        match (&a.base, a.elsewhere) {
            (Some(base), _) => line!(
                out,
                "   {kind} type {mode}, underlying interface = {base}, state = {up}UP, {running}RUNNING"
            ),
            (None, Some((index, netns))) => line!(
                out,
                "   {kind} type {port}, underlying ifindex = {index}, netns id = {netns}"
            ),
            (None, None) => line!(
                out,
                "   {kind} type {port}, underlying interface in different namespace"
            ),
        }
    }
    if i.ours {
        line!(out, "   I/f created by keepalived");
    } else if model.global.allow_if_changes && i.changeable {
        line!(out, "   Interface type/base can be changed");
    }
    if i.seen_interface {
        line!(out, "   Done VRID check");
    }
    line!(out, "   MTU = {}", i.mtu);
    match i.hardware_type {
        ARPHRD_LOOPBACK => line!(out, "   HW Type = LOOPBACK"),
        ARPHRD_ETHER => line!(out, "   HW Type = ETHERNET"),
        other => line!(out, "   HW Type = UNKNOWN ({other})"),
    }
    let link = match i.polling {
        None => "NIC netlink status update",
        Some(Linkbeat::Mii) => "NIC support MII regs",
        Some(Linkbeat::Ethtool) => "NIC support ETHTOOL GLINK interface",
        Some(Linkbeat::Ioctl | Linkbeat::Automatic) => "NIC ioctl refresh polling",
    };
    line!(out, "   {link}");
    if let Some(table) = i.vrf_table {
        line!(out, "   VRF master table {table}");
    } else if let Some(vrf) = &i.vrf {
        line!(out, "   VRF slave of {vrf}");
    }
    let group = settings
        .and_then(|s| s.garp_group)
        .and_then(|g| model.vrrp.garp_groups.get(g));
    if let Some(interval) = group.and_then(|g| g.garp_interval) {
        line!(out, "   Gratuitous ARP interval {}ms", interval / 1000);
    }
    if let Some(interval) = group.and_then(|g| g.gna_interval) {
        line!(out, "   Gratuitous NA interval {}ms", interval / 1000);
    }
    kernel_settings(out, i);
    tracking(out, model, i);
}

fn addresses(out: &mut String, i: &InterfaceNow) {
    line!(
        out,
        "   IPv4 address = {}",
        i.ipv4.map_or("(none)".to_owned(), |a| a.to_string())
    );
    if !i.more_ipv4.is_empty() {
        line!(out, "   Additional IPv4 addresses :");
        for a in &i.more_ipv4 {
            line!(out, "     {a}");
        }
    }
    let shown = |a: std::net::Ipv6Addr| Shown(IpAddr::V6(a)).to_string();
    line!(
        out,
        "   IPv6 address = {}",
        i.ipv6.map_or("(none)".to_owned(), shown)
    );
    if !i.more_ipv6.is_empty() {
        line!(out, "   Additional IPv6 addresses :");
        for a in &i.more_ipv6 {
            line!(out, "     {}", shown(*a));
        }
    }
    // The loopback's address is all zeros and is not shown.
    if !i.mac.is_empty() {
        line!(out, "   MAC = {}", mac(&i.mac));
        line!(out, "   MAC broadcast = {}", mac(&i.mac_broadcast));
    }
}

fn kernel_settings(out: &mut String, i: &InterfaceNow) {
    line!(out, "   Reset ARP config counter {}", i.arp.users);
    line!(out, "   Original arp_ignore {}", i.arp.ignore);
    line!(out, "   Original arp_filter {}", i.arp.filter);
    if let Some(filter) = i.arp.rp_filter {
        line!(out, "   rp_filter {filter}");
    }
    line!(
        out,
        "   Original promote_secondaries {}",
        i.promote_secondaries.0
    );
    line!(
        out,
        "   Reset promote_secondaries counter {}",
        i.promote_secondaries.1
    );
    if let Some((router, at)) = i.forwarding {
        let not = if router { "" } else { "Not " };
        line!(
            out,
            "   {not}IPv6 forwarding. Last checked {} ({})",
            fixed(at.0),
            date_before_fraction(at)
        );
    }
}

/// Instances that the interface matters to: those that run on it (weight 255: it is not tracked) and those that track it.
fn tracking(out: &mut String, model: &Model, i: &InterfaceNow) {
    let mut lines = Vec::new();
    for instance in &model.vrrp.instances {
        let own = instance.interface.as_ref().is_some_and(|n| ***n == *i.name);
        let vmac = instance.vmac_name() == Some(i.name.as_str());
        let tracked = instance
            .tracked
            .interfaces
            .iter()
            .find(|t| **t.name == *i.name);
        if let Some(t) = tracked {
            lines.push(format!(
                "     {}, weight {}{}",
                &**instance.name,
                t.weight,
                reverse(t.reverse)
            ));
        } else if own || vmac {
            let weight = if instance.dont_track_primary { 255 } else { 0 };
            lines.push(format!("     {}, weight {weight}", &**instance.name));
        }
    }
    if !lines.is_empty() {
        line!(out, "   Tracking VRRP instances :");
        for text in lines {
            line!(out, "{text}");
        }
    }
}
