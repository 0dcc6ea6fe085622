//! Rules as the original's dumps and JSON show them: `from 10.9.0.100 priority 5000 tos 0x0 protocol 18 lookup 10`.

use net_types::Family;

use super::print_address::push;
use super::print_route::show_target;
use super::rule::{Range, Rule, RuleAction};

/// The whole line without indentation.
pub fn print_rule(rule: &Rule) -> String {
    let mut out = String::with_capacity(96);
    if rule.from.is_none() && rule.to.is_none() && rule.family == Family::V6 {
        out.push_str("inet6 ");
    }
    if rule.invert {
        out.push_str("not ");
    }
    match &rule.from {
        Some(from) => push(&mut out, format_args!("from {}", show_target(from))),
        None => out.push_str("from all"),
    }
    if let Some(to) = &rule.to {
        push(&mut out, format_args!(" to {}", show_target(to)));
    }
    push(
        &mut out,
        format_args!(" priority {} tos 0x{:x}", rule.priority, rule.tos),
    );
    if let Some((mark, mask)) = rule.fwmark {
        push(&mut out, format_args!(" fwmark 0x{mark:x}"));
        if let Some(mask) = mask.filter(|m| *m != u32::MAX) {
            push(&mut out, format_args!("/0x{mask:x}"));
        }
    }
    if let Some(iif) = &rule.iif {
        push(&mut out, format_args!(" iif {}", **iif));
    }
    if let Some(oif) = &rule.oif {
        push(&mut out, format_args!(" oif {}", **oif));
    }
    if let Some(len) = rule.suppress_prefix_len {
        push(&mut out, format_args!(" suppress_prefixlen {len}"));
    }
    if let Some(group) = rule.suppress_ifgroup {
        push(&mut out, format_args!(" suppress_ifgroup {group}"));
    }
    if rule.tunnel_id != 0 {
        push(&mut out, format_args!(" tunnel-id {}", rule.tunnel_id));
    }
    range(&mut out, "uidrange", rule.uid_range);
    if rule.action == RuleAction::L3mdev {
        out.push_str(" l3mdev");
    }
    if let Some(protocol) = rule.protocol {
        push(&mut out, format_args!(" protocol {protocol}"));
    }
    if let Some(protocol) = rule.ip_proto {
        push(&mut out, format_args!(" ipproto {protocol}"));
    }
    range(&mut out, "sport", rule.sport);
    range(&mut out, "dport", rule.dport);
    if rule.realms != 0 {
        push(
            &mut out,
            format_args!(" realms {}/{}", rule.realms >> 16, rule.realms & 0xffff),
        );
    }
    match rule.action {
        RuleAction::Lookup(table) => push(&mut out, format_args!(" lookup {table}")),
        // The original has no table for it and says so with 0.
        RuleAction::L3mdev => out.push_str(" lookup 0"),
        RuleAction::Goto(target) => push(&mut out, format_args!(" goto {target}")),
        RuleAction::Nop => out.push_str(" nop"),
        RuleAction::Blackhole => out.push_str(" type blackhole"),
        RuleAction::Unreachable => out.push_str(" type unreachable"),
        RuleAction::Prohibit => out.push_str(" type prohibit"),
    }
    if rule.no_track {
        out.push_str(" no_track");
    }
    if let Some(group) = &rule.track_group {
        push(&mut out, format_args!(" track_group {}", **group));
    }
    out
}

fn range<T: std::fmt::Display>(out: &mut String, word: &str, range: Option<Range<T>>) {
    if let Some(Range { start, end }) = range {
        push(out, format_args!(" {word} {start}-{end}"));
    }
}
