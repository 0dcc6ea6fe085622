//! Routes as the original's dumps and JSON show them: `prepend 192.0.2.0/24 via inet 10.9.0.2 dev eth0 proto 18`.

use std::net::IpAddr;

use net_types::{Family, Prefix, Quotient};

use super::print_address::{push, short_prefix};
use super::route::{
    Encap, EncapIp, FEATURE_ECN, Metric, NextHop, Placement, RTAX_CC_ALGO, Route, RouteType,
    TABLE_MAIN, Target,
};
use crate::keepalived::sockaddr::Shown;
use crate::span::Spanned;

/// The interface that a tracked route was installed on, if it is not the configured one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InstalledOn<'a> {
    /// As configured, or not installed.
    #[default]
    Configured,
    /// Another one, by name.
    Device(&'a str),
    /// Another one that is gone.
    Index(u32),
}

/// A target as the original prints it: `0.0.0.0/0` for every address of the family.
pub fn show_target(target: &Target) -> String {
    match target {
        Target::Any(Family::V4) => "0.0.0.0/0".to_owned(),
        Target::Any(Family::V6) => "::/0".to_owned(),
        Target::Prefix(prefix) => short_prefix(*prefix),
    }
}

/// The whole line without indentation.
pub fn print_route(route: &Route, installed: InstalledOn<'_>) -> String {
    let mut out = String::with_capacity(96);
    out.push_str(match route.placement {
        Placement::Add => "add ",
        Placement::Append => "append ",
        Placement::Prepend => "prepend ",
    });
    if let Some(kind) = route.kind.filter(|kind| *kind != RouteType::UNICAST) {
        match kind.name() {
            Some(name) => push(&mut out, format_args!("{name} ")),
            None => push(&mut out, format_args!("{} ", kind.0)),
        }
    }
    out.push_str(&show_target(&route.dst));
    if let Some(src) = &route.src {
        push(&mut out, format_args!(" from {}", show_target(src)));
    }
    if let Some(src) = route.pref_src {
        push(&mut out, format_args!(" src {}", Shown(src)));
    }
    number(&mut out, " tos ", route.tos);
    if let Some(encap) = &route.encap {
        print_encap(&mut out, encap);
    }
    gateway(&mut out, route.via);
    device(&mut out, route.dev.as_ref());
    number(
        &mut out,
        " table ",
        Some(route.table).filter(|t| *t != TABLE_MAIN),
    );
    number(&mut out, " proto ", route.protocol);
    number(&mut out, " scope ", route.scope);
    number(&mut out, " metric ", route.metric);
    if route.onlink && route.family == Family::V4 {
        out.push_str(" onlink");
    }
    realms(&mut out, route.realms, route.realms);
    if let Some(expires) = route.expires {
        push(&mut out, format_args!(" expires {expires}sec"));
    }
    metrics(&mut out, route);
    for hop in &route.nexthops {
        print_nexthop(&mut out, hop, route.realms);
    }
    if route.no_track {
        out.push_str(" no_track");
    }
    if let Some(group) = &route.track_group {
        push(&mut out, format_args!(" track_group {}", **group));
    }
    match installed {
        InstalledOn::Configured => {}
        InstalledOn::Device(name) => push(&mut out, format_args!(" [dev {name}]")),
        InstalledOn::Index(index) => {
            push(&mut out, format_args!(" [installed ifindex {index}]"));
        }
    }
    out
}

fn number<T: std::fmt::Display>(out: &mut String, word: &str, value: Option<T>) {
    if let Some(value) = value {
        push(out, format_args!("{word}{value}"));
    }
}

fn gateway(out: &mut String, via: Option<IpAddr>) {
    match via {
        None => {}
        Some(ip) => {
            let six = if ip.is_ipv6() { "6" } else { "" };
            push(out, format_args!(" via inet{six} {}", Shown(ip)));
        }
    }
}

fn device(out: &mut String, dev: Option<&Spanned<Box<str>>>) {
    number(out, " dev ", dev.map(|dev| &**dev));
}

/// `whole` decides between `realms FROM/TO` and `realm TO`. For nexthops the original looks at the route's realms there.
fn realms(out: &mut String, realms: u32, whole: u32) {
    if realms == 0 {
        return;
    }
    if whole >> 16 != 0 {
        push(out, format_args!(" realms {}/", realms >> 16));
    } else {
        out.push_str(" realm ");
    }
    push(out, format_args!("{}", realms & 0xffff));
}

/// `rtt`, `rttvar`, `rto_min` in s or ms; `unit` parts of a millisecond.
fn time(out: &mut String, route: &Route, metric: Metric, word: &str, unit: u32) {
    let Some(value) = route.metrics.get(metric) else {
        return;
    };
    let lock = if route.metrics.is_locked(metric) {
        " lock"
    } else {
        ""
    };
    let second = unit.saturating_mul(1000);
    let quotient = |per: u32| Quotient::new(value.into(), per.into()).general();
    if value >= second {
        let seconds = quotient(second);
        push(out, format_args!(" {word}{lock} {seconds}s"));
    } else {
        let millis = quotient(unit);
        push(out, format_args!(" {word}{lock} {millis}ms"));
    }
}

fn metrics(out: &mut String, route: &Route) {
    let all = &route.metrics;
    if let Some(algorithm) = &all.congctl {
        // The word is run together with the name, as the original does it.
        let lock = if all.lock & (1 << RTAX_CC_ALGO) != 0 {
            "lock "
        } else {
            ""
        };
        push(out, format_args!(" congctl {algorithm}{lock}"));
    }
    time(out, route, Metric::Rtt, "rtt", 8);
    time(out, route, Metric::RttVar, "rttvar", 4);
    time(out, route, Metric::RtoMin, "rto_min", 1);
    if all.get(Metric::Features).unwrap_or(0) & FEATURE_ECN != 0 {
        out.push_str(" features ecn");
    }
    for (metric, word) in [
        (Metric::Mtu, "mtu"),
        (Metric::Window, "window"),
        (Metric::SsThresh, "ssthresh"),
        (Metric::Cwnd, "cwnd"),
        (Metric::AdvMss, "advmss"),
        (Metric::Reordering, "reordering"),
        (Metric::HopLimit, "hoplimit"),
        (Metric::InitCwnd, "initcwnd"),
        (Metric::InitRwnd, "initrwnd"),
        (Metric::QuickAck, "quickack"),
    ] {
        if let Some(value) = all.get(metric) {
            let lock = if all.is_locked(metric) { "lock " } else { "" };
            push(out, format_args!(" {word} {lock}{value}"));
        }
    }
    if let Some(pref) = route.pref {
        let name = match pref {
            3 => "low",
            0 => "medium",
            1 => "high",
            _ => "unknown",
        };
        push(out, format_args!(" pref {name}"));
    }
    number(
        out,
        " fastopen_no_cookie ",
        all.get(Metric::FastOpenNoCookie),
    );
    if let Some(on) = route.ttl_propagate {
        let word = if on { "enabled" } else { "disabled" };
        push(out, format_args!(" ttl-propagate {word}"));
    }
}

fn print_nexthop(out: &mut String, hop: &NextHop, route_realms: u32) {
    out.push_str(" nexthop");
    gateway(out, hop.via);
    device(out, hop.dev.as_ref());
    number(out, " weight ", hop.weight);
    if hop.onlink {
        out.push_str(" onlink");
    }
    realms(out, hop.realms, route_realms);
    if let Some(encap) = &hop.encap {
        print_encap(out, encap);
    }
}

fn print_encap(out: &mut String, encap: &Encap) {
    match encap {
        Encap::Mpls(labels) => {
            out.push_str(" encap mpls");
            for (at, label) in labels.iter().enumerate() {
                let before = if at == 0 { ' ' } else { '/' };
                push(out, format_args!("{before}{label:x}"));
            }
        }
        // The original prints the eight octets in memory order as one number.
        Encap::Ila(locator) => push(
            out,
            format_args!(" encap ila {}", u64::from_ne_bytes(*locator)),
        ),
        Encap::Ip(ip) => print_encap_ip(out, ip, "ip", "tos", "ttl"),
        Encap::Ip6(ip) => print_encap_ip(out, ip, "ip6", "tc", "hoplimit"),
    }
}

fn print_encap_ip(out: &mut String, encap: &EncapIp, name: &str, tos: &str, ttl: &str) {
    push(out, format_args!(" encap {name}"));
    number(out, " id ", encap.id);
    for (word, ip) in [("dst", encap.dst), ("src", encap.src)] {
        if let Some(ip) = ip {
            push(
                out,
                format_args!(" {word} {}", short_prefix(Prefix::host(ip))),
            );
        }
    }
    if let Some(value) = encap.tos {
        push(out, format_args!(" {tos} {value}"));
    }
    if let Some(value) = encap.ttl {
        push(out, format_args!(" {ttl} {value}"));
    }
    if let Some(flags) = encap.flags {
        push(out, format_args!(" flags 0x{flags:x}"));
    }
}
