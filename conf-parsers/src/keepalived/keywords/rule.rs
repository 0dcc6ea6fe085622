//! Lines of `virtual_rules` and `static_rules`.

use net_types::{Family, Prefix};

use super::route::{Stop, parse_target, target_of};
use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Exit, Line};
use crate::keepalived::iproute_names::NameTable;
use crate::keepalived::model::route::{PROTO_KEEPALIVED, RouteType};
use crate::keepalived::model::rule::{Range, Rule, RuleAction};
use crate::keepalived::number::{WHITE_SPACE, scan};
use crate::span::Spanned;

/// Preference of the first rule without one.
const FIRST_PREFERENCE: u32 = 16_384;

/// The next preferences to give away, per family.
#[derive(Clone, Copy, Debug)]
pub struct NextPreference {
    v4: u32,
    v6: u32,
}

impl Default for NextPreference {
    fn default() -> Self {
        Self {
            v4: FIRST_PREFERENCE,
            v6: FIRST_PREFERENCE,
        }
    }
}

impl NextPreference {
    fn take(&mut self, family: Family) -> u32 {
        let slot = match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        };
        let preference = *slot;
        *slot = slot.wrapping_sub(1);
        preference
    }
}

/// Reads one line. `None`, after a report, if the rule is to be left out.
pub fn parse(ctx: &mut Ctx<'_>, line: &Line, is_static: bool) -> Result<Option<Rule>, Exit> {
    let mut reader = Reader {
        line,
        at: 0,
        is_static,
        family: None,
        from: None,
        to: None,
        priority: None,
        action: None,
        table_option: false,
        rule: Rule {
            span: line.span_of(0),
            family: Family::V4,
            invert: false,
            from: None,
            to: None,
            priority: 0,
            tos: 0,
            fwmark: None,
            iif: None,
            oif: None,
            realms: 0,
            suppress_prefix_len: None,
            suppress_ifgroup: None,
            tunnel_id: 0,
            uid_range: None,
            protocol: None,
            ip_proto: None,
            sport: None,
            dport: None,
            action: RuleAction::Nop,
            no_track: false,
            track_group: None,
        },
    };
    match reader.words(ctx).and_then(|()| reader.finish(ctx)) {
        Ok(()) => Ok(Some(reader.rule)),
        Err(Stop::Drop) => Ok(None),
        Err(Stop::Exit(exit)) => Err(exit),
    }
}

/// A target whose family may be open (`all`).
type OpenTarget = (Option<Family>, Option<Prefix>);

/// A line being read.
struct Reader<'l> {
    line: &'l Line,
    at: usize,
    is_static: bool,
    family: Option<Family>,
    from: Option<OpenTarget>,
    to: Option<OpenTarget>,
    priority: Option<u32>,
    action: Option<RuleAction>,
    table_option: bool,
    rule: Rule,
}

impl<'l> Reader<'l> {
    fn next(&mut self, ctx: &mut Ctx<'_>) -> Result<&'l str, Stop> {
        self.at = self.at.saturating_add(1);
        Ok(self.line.word(ctx, self.at)?)
    }

    fn words(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Stop> {
        while let Some(word) = self.line.get(self.at) {
            if word == "track_group" && self.is_static {
                let name = self.next(ctx)?;
                if self.rule.track_group.is_some() {
                    ctx.report(
                        Class::GeneralError,
                        format!("track_group {name} is a duplicate"),
                    );
                    break;
                }
                if ctx.scratch.static_track_groups.contains(name) {
                    self.rule.track_group =
                        Some(Spanned::new(name.into(), self.line.span_of(self.at)));
                } else {
                    ctx.report(Class::GeneralError, format!("track_group {name} not found"));
                }
            } else if !self.selector(ctx, word)? && !self.table_word(ctx, word)? {
                self.action(ctx, word)?;
            }
            self.at = self.at.saturating_add(1);
        }
        Ok(())
    }

    /// What the rule matches; false if the word is something else.
    fn selector(&mut self, ctx: &mut Ctx<'_>, word: &str) -> Result<bool, Stop> {
        match word {
            "inet" | "inet6" => self.set_family(ctx, word)?,
            "from" | "to" => self.target(ctx, word)?,
            "not" => self.rule.invert = true,
            "preference" | "order" | "priority" => {
                let value = self.next(ctx)?;
                let number = ctx.read_unsigned_base(value, 0, 0, u32::MAX, false);
                self.priority = Some(number.ok_or_else(|| {
                    Stop::report(ctx, format!("Invalid rule preference {word} specified"))
                })?);
            }
            "tos" | "dsfield" => {
                let value = self.next(ctx)?;
                self.rule.tos = ctx
                    .iproute_number_u8(NameTable::DsField, value)
                    .ok_or_else(|| Stop::report(ctx, format!("TOS value {value} is invalid")))?;
            }
            "fwmark" => {
                let value = self.next(ctx)?.trim_start_matches(WHITE_SPACE);
                self.rule.fwmark = Some(parse_mark(value).ok_or_else(|| {
                    Stop::report(ctx, format!("Invalid rule fwmark {value} specified"))
                })?);
            }
            "dev" | "iif" | "oif" => {
                let name = self.next(ctx)?;
                if !ctx.accept_interface(name) {
                    return Err(Stop::report(
                        ctx,
                        format!("WARNING - interface {name} for rule doesn't exist"),
                    ));
                }
                let name = Some(Spanned::new(name.into(), self.line.span_of(self.at)));
                if word == "oif" {
                    self.rule.oif = name;
                } else {
                    self.rule.iif = name;
                }
            }
            "tunnel-id" => {
                let value = self.next(ctx)?;
                self.rule.tunnel_id = ctx
                    .read_unsigned64(value, 0, u64::MAX, false)
                    .ok_or_else(|| Stop::report(ctx, "Invalid tunnel-id tunnel-id specified"))?;
            }
            "uidrange" => {
                let value = self.next(ctx)?;
                let (start, end) = parse_range(value)
                    .ok_or_else(|| Stop::report(ctx, "Invalid uidrange uidrange specified"))?;
                self.rule.uid_range = Some(Range { start, end });
            }
            "ipproto" => {
                let value = self.next(ctx)?;
                match protocol_number(ctx, value) {
                    Some(n) => self.rule.ip_proto = Some(n),
                    None => ctx.report(Class::GeneralError, format!("Invalid ipproto {value}")),
                }
            }
            "sport" | "dport" => {
                let value = self.next(ctx)?;
                // As C's %hu, larger numbers lose their upper bits.
                let port = |n: u32| u16::try_from(n & 0xffff).unwrap_or(0);
                match parse_range(value) {
                    Some((start, end)) => {
                        let range = Some(Range {
                            start: port(start),
                            end: port(end),
                        });
                        if word == "sport" {
                            self.rule.sport = range;
                        } else {
                            self.rule.dport = range;
                        }
                    }
                    None => {
                        ctx.report(Class::GeneralError, format!("invalid {word} range {value}"))
                    }
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Table, its suppressors, and how the rule is kept; false if the word is something else.
    fn table_word(&mut self, ctx: &mut Ctx<'_>, word: &str) -> Result<bool, Stop> {
        match word {
            "table" | "lookup" => {
                let value = self.next(ctx)?;
                let table = ctx
                    .iproute_number(NameTable::Tables, value)
                    .ok_or_else(|| {
                        Stop::report(ctx, format!("Routing table {value} not found for rule"))
                    })?;
                if table == 0 {
                    return Err(Stop::report(ctx, "Table 0 is not valid"));
                }
                if self.action.replace(RuleAction::Lookup(table)).is_some() {
                    return Err(Stop::report(
                        ctx,
                        "Cannot specify more than one of table/nop/goto/blackhole/prohibit/unreachable for rule",
                    ));
                }
            }
            "realms" => {
                let value = self.next(ctx)?;
                self.rule.realms = ctx
                    .read_realms(value)
                    .ok_or_else(|| Stop::report(ctx, format!("invalid realms {value} for rule")))?;
                self.table_option = true;
                if *self.family.get_or_insert(Family::V4) != Family::V4 {
                    return Err(Stop::report(ctx, "realms is only valid for IPv4"));
                }
            }
            "suppress_prefixlength" | "sup_pl" => {
                let value = self.next(ctx)?;
                let len = ctx
                    .read_unsigned(value, 0, 0x7fff_ffff, false)
                    .ok_or_else(|| {
                        Stop::report(
                            ctx,
                            format!("Invalid suppress_prefixlength {word} specified"),
                        )
                    })?;
                self.rule.suppress_prefix_len = i32::try_from(len).ok();
                self.table_option = true;
            }
            "suppress_ifgroup" | "sup_group" => {
                let value = self.next(ctx)?;
                self.rule.suppress_ifgroup = Some(
                    ctx.iproute_number(NameTable::Groups, value)
                        .ok_or_else(|| {
                            Stop::report(ctx, format!("suppress_group {value} is invalid"))
                        })?,
                );
                self.table_option = true;
            }
            "l3mdev" => {
                if self.action.replace(RuleAction::L3mdev).is_some() {
                    return Err(Stop::report(ctx, "Cannot specify l3mdev with other action"));
                }
            }
            "protocol" => {
                let value = self.next(ctx)?;
                match ctx.read_unsigned(value, 0, 255, false) {
                    Some(n) => self.rule.protocol = u8::try_from(n).ok(),
                    None => ctx.report(Class::GeneralError, format!("Invalid protocol {value}")),
                }
            }
            "no_track" => self.rule.no_track = true,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn action(&mut self, ctx: &mut Ctx<'_>, word: &str) -> Result<(), Stop> {
        let word = if word == "type" {
            self.next(ctx)?
        } else {
            word
        };
        let action = match word {
            "goto" => {
                let value = self.next(ctx)?;
                let target = ctx.read_unsigned(value, 0, u32::MAX, false);
                RuleAction::Goto(
                    target.ok_or_else(|| Stop::report(ctx, "Invalid target goto specified"))?,
                )
            }
            "nop" => RuleAction::Nop,
            _ => match super::route::route_type(word) {
                Some(RouteType::BLACKHOLE) => RuleAction::Blackhole,
                Some(RouteType::UNREACHABLE) => RuleAction::Unreachable,
                Some(RouteType::PROHIBIT) => RuleAction::Prohibit,
                Some(_) => {
                    return Err(Stop::report(ctx, format!("Invalid rule action {word}")));
                }
                None => return Err(Stop::report(ctx, format!("Unknown rule option {word}"))),
            },
        };
        if self.action.replace(action).is_some() {
            return Err(Stop::report(
                ctx,
                "Cannot specify more than one of table/nop/goto/blackhole/prohibit/unreachable/l3mdev for rule",
            ));
        }
        Ok(())
    }

    /// `inet`, `inet6`. The original then skips the next word; so do we.
    fn set_family(&mut self, ctx: &mut Ctx<'_>, word: &str) -> Result<(), Stop> {
        let (family, other) = match word {
            "inet" => (Family::V4, "IPv6"),
            _ => (Family::V6, "IPv4"),
        };
        if *self.family.get_or_insert(family) != family {
            return Err(Stop::report(
                ctx,
                format!("{word} specified for {other} rule"),
            ));
        }
        self.at = self.at.saturating_add(1);
        Ok(())
    }

    fn target(&mut self, ctx: &mut Ctx<'_>, word: &str) -> Result<(), Stop> {
        let value = self.next(ctx)?;
        let target = parse_target(ctx, value)
            .ok_or_else(|| Stop::report(ctx, format!("Invalid rule {word} address {value}")))?;
        match self.family {
            None => self.family = target.0,
            Some(_) if target.0 == self.family => {}
            Some(_) => {
                return Err(Stop::report(
                    ctx,
                    "rule specification has mixed IPv4 and IPv6",
                ));
            }
        }
        if word == "from" {
            self.from = Some(target);
        } else {
            self.to = Some(target);
        }
        Ok(())
    }

    /// Checks between words, and defaults.
    fn finish(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Stop> {
        if let Some(RuleAction::Goto(target)) = self.action {
            match self.priority {
                Some(priority) if priority >= target => {
                    return Err(Stop::report(
                        ctx,
                        format!("Invalid rule - preference {priority} >= goto target {target}"),
                    ));
                }
                Some(_) => {}
                None => {
                    return Err(Stop::report(
                        ctx,
                        format!("Invalid rule - goto target {target} specified without preference"),
                    ));
                }
            }
        }
        let Some(action) = self.action else {
            return Err(Stop::report(ctx, "No action specified for rule - ignoring"));
        };
        let has_table = matches!(action, RuleAction::Lookup(_) | RuleAction::L3mdev);
        if !has_table && self.table_option {
            return Err(Stop::report(
                ctx,
                "suppressor/realm specified for non table action - skipping",
            ));
        }
        self.rule.action = action;
        if !self.rule.no_track {
            if self.rule.protocol.is_some_and(|p| p != PROTO_KEEPALIVED) {
                ctx.report(
                    Class::GeneralError,
                    format!("Rule cannot be tracked if protocol is not RTPROT_KEEPALIVED({PROTO_KEEPALIVED}), resetting protocol"),
                );
            }
            self.rule.protocol = Some(PROTO_KEEPALIVED);
        }
        if self.rule.track_group.is_some() && self.rule.iif.is_none() {
            ctx.report(
                Class::GeneralError,
                "Static rule cannot have track_group if dev/iif not specified",
            );
            self.rule.track_group = None;
        }
        let family = self.family.unwrap_or(Family::V4);
        self.rule.family = family;
        self.rule.from = self.from.map(|t| target_of(t, family));
        self.rule.to = self.to.map(|t| target_of(t, family));
        self.rule.priority = match self.priority {
            Some(priority) => priority,
            None => {
                let preference = ctx.scratch.rule_preferences.take(family);
                ctx.report(
                    Class::GeneralError,
                    format!("Rule has no preference specified - setting to {preference}. This is probably not what you want."),
                );
                preference
            }
        };
        Ok(())
    }
}

/// `MARK[/MASK]`
fn parse_mark(word: &str) -> Option<(u32, Option<u32>)> {
    if word.starts_with('-') {
        return None;
    }
    let (mark, mask) = word
        .split_once('/')
        .map_or((word, None), |(mark, mask)| (mark, Some(mask)));
    let mark = mark_number(mark)?;
    match mask {
        None => Some((mark, None)),
        Some(mask) if mask.starts_with(|c: char| c == '-' || c.is_ascii_whitespace()) => None,
        Some(mask) => Some((mark, Some(mark_number(mask)?))),
    }
}

/// A number of up to 32 bits; no text at all is 0.
fn mark_number(text: &str) -> Option<u32> {
    let n = scan(text, 0);
    if n.has_rest() || n.overflow {
        return None;
    }
    u32::try_from(n.magnitude).ok()
}

/// Two decimal numbers with `-` between; text after the second is ignored, as by C's sscanf.
fn parse_range(word: &str) -> Option<(u32, u32)> {
    let low = |text: &str| -> Option<(u32, usize)> {
        let n = scan(text, 10);
        if n.rest.len() == text.len() {
            return None;
        }
        let wide = match (n.overflow, n.negative) {
            (true, _) => u64::MAX,
            (false, true) => n.magnitude.wrapping_neg(),
            (false, false) => n.magnitude,
        };
        Some((
            u32::try_from(wide & u64::from(u32::MAX)).unwrap_or(0),
            text.len().saturating_sub(n.rest.len()),
        ))
    };
    let (start, used) = low(word)?;
    let rest = word.get(used..)?.strip_prefix('-')?;
    let (end, _) = low(rest)?;
    Some((start, end))
}

/// IP protocol by number (up to 127, the original's limit) or name.
fn protocol_number(ctx: &Ctx<'_>, word: &str) -> Option<u8> {
    let word = word.trim_start_matches(WHITE_SPACE);
    if word.is_empty() || word.starts_with('-') {
        return None;
    }
    let n = scan(word, 10);
    // Text without digits counts as 0 here and goes on to the name.
    let digits = n.rest.len() < word.len();
    if digits && (n.overflow || n.magnitude > 127) {
        return None;
    }
    if !n.has_rest() {
        return u8::try_from(n.magnitude).ok();
    }
    ctx.host.protocol(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks() {
        assert_eq!(parse_mark("0x10"), Some((16, None)));
        assert_eq!(parse_mark("1/0xff"), Some((1, Some(255))));
        for bad in [
            "-1",
            "1/-1",
            "1/ 1",
            "x",
            "1x",
            "4294967296",
            "1/4294967296",
            "1/2/3",
        ] {
            assert_eq!(parse_mark(bad), None, "{bad}");
        }
    }

    #[test]
    fn ranges() {
        assert_eq!(parse_range("1-2"), Some((1, 2)));
        assert_eq!(parse_range("1-2x"), Some((1, 2)));
        assert_eq!(parse_range("1"), None);
        assert_eq!(parse_range("-"), None);
        assert_eq!(parse_range("1-"), None);
    }
}
