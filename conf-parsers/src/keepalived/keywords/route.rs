//! Lines of `virtual_routes` and `static_routes`.

use std::net::IpAddr;

use net_types::{Family, Prefix};

use super::address::{parse_address, parse_prefix};
use super::{encap, nexthop, route_metric};
use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Exit, Line};
use crate::keepalived::iproute_names::NameTable;
use crate::keepalived::model::route::{
    Metrics, NextHop, PROTO_KEEPALIVED, Placement, Route, RouteType, TABLE_MAIN, Target,
};
use crate::keepalived::number::scan;
use crate::source::LinkKind;
use crate::span::Spanned;

/// Why reading a line ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The line is left out; the reason has been reported.
    Drop,
    /// The process ends.
    Exit(Exit),
}

impl From<Exit> for Stop {
    fn from(exit: Exit) -> Self {
        Self::Exit(exit)
    }
}

impl Stop {
    /// Reports why the line is left out.
    pub(super) fn report(ctx: &mut Ctx<'_>, text: impl Into<String>) -> Self {
        ctx.report(Class::GeneralError, text);
        Self::Drop
    }
}

/// A destination or source: no family is `default`, `any` or `all`.
pub(super) fn parse_target(
    ctx: &mut Ctx<'_>,
    word: &str,
) -> Option<(Option<Family>, Option<Prefix>)> {
    match word {
        "default" | "any" | "all" => Some((None, None)),
        "default6" => {
            ctx.log("'default6' is deprecated - please replace with 'inet6 default'");
            Some((Some(Family::V6), None))
        }
        _ => parse_prefix(ctx, word).map(|prefix| (Some(prefix.family()), Some(prefix))),
    }
}

/// The target of a route or rule of `family`.
pub(super) fn target_of(open: (Option<Family>, Option<Prefix>), family: Family) -> Target {
    match open {
        (_, Some(prefix)) => Target::Prefix(prefix),
        (own, None) => Target::Any(own.unwrap_or(family)),
    }
}

/// A route type by name or number.
pub(super) fn route_type(word: &str) -> Option<RouteType> {
    RouteType::by_name(word).or_else(|| {
        let number = scan(word, 0);
        if number.has_rest() || number.overflow || word.starts_with('-') {
            return None;
        }
        u8::try_from(number.magnitude).ok().map(RouteType)
    })
}

/// Reads one line. `None`, after a report, if the route is to be left out.
pub fn parse(ctx: &mut Ctx<'_>, line: &Line, is_static: bool) -> Result<Option<Route>, Exit> {
    let mut reader = Reader {
        line,
        at: 0,
        is_static,
        family: None,
        dst: None,
        src: None,
        route: Route {
            span: line.span_of(0),
            family: Family::V4,
            dst: Target::Any(Family::V4),
            src: None,
            pref_src: None,
            kind: None,
            tos: None,
            table: TABLE_MAIN,
            protocol: None,
            scope: None,
            metric: None,
            via: None,
            dev: None,
            onlink: false,
            encap: None,
            expires: None,
            realms: 0,
            metrics: Metrics::default(),
            pref: None,
            ttl_propagate: None,
            nexthops: Vec::new(),
            placement: Placement::Prepend,
            no_track: false,
            track_group: None,
        },
    };
    match reader.words(ctx).and_then(|()| reader.finish(ctx)) {
        Ok(()) => Ok(Some(reader.route)),
        Err(Stop::Drop) => Ok(None),
        Err(Stop::Exit(exit)) => Err(exit),
    }
}

const MIXED: &str = "Cannot mix IPv4 and IPv6 addresses for route";

/// A line being read.
pub(super) struct Reader<'l> {
    pub(super) line: &'l Line,
    /// Index of the word being read.
    pub(super) at: usize,
    is_static: bool,
    /// Family, as soon as a word decides it.
    pub(super) family: Option<Family>,
    dst: Option<(Option<Family>, Option<Prefix>)>,
    src: Option<(Option<Family>, Option<Prefix>)>,
    pub(super) route: Route,
}

impl<'l> Reader<'l> {
    /// Moves on to the next word, which must be there.
    pub(super) fn next(&mut self, ctx: &mut Ctx<'_>) -> Result<&'l str, Stop> {
        self.at = self.at.saturating_add(1);
        Ok(self.line.word(ctx, self.at)?)
    }

    /// The next word, reported as `complaint` says if `read` refuses it.
    pub(super) fn value<T>(
        &mut self,
        ctx: &mut Ctx<'_>,
        read: impl FnOnce(&mut Ctx<'_>, &str) -> Option<T>,
        complaint: impl FnOnce(&str) -> String,
    ) -> Result<T, Stop> {
        let word = self.next(ctx)?;
        read(ctx, word).ok_or_else(|| Stop::report(ctx, complaint(word)))
    }

    /// The next word as the name of an interface.
    pub(super) fn device(&mut self, ctx: &mut Ctx<'_>) -> Result<Spanned<Box<str>>, Stop> {
        let name = self.next(ctx)?;
        if !ctx.accept_interface(name) {
            return Err(Stop::report(
                ctx,
                format!("WARNING - interface {name} for VROUTE nexthop doesn't exist"),
            ));
        }
        Ok(Spanned::new(name.into(), self.line.span_of(self.at)))
    }

    /// Decides the family or checks it against the decision.
    fn join(&mut self, ctx: &mut Ctx<'_>, family: Option<Family>) -> Result<(), Stop> {
        match self.family {
            None => self.family = family,
            Some(_) if self.family == family => {}
            Some(_) => return Err(Stop::report(ctx, MIXED)),
        }
        Ok(())
    }

    fn words(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Stop> {
        while let Some(word) = self.line.get(self.at) {
            match word {
                "nexthop" if self.route.nexthops.is_empty() => return nexthop::parse(ctx, self),
                "nexthop" => {
                    ctx.report(
                        Class::GeneralError,
                        "Cannot specify nexthops with \"or\" route",
                    );
                    break;
                }
                "track_group" if self.is_static => {
                    if !self.track_group(ctx)? {
                        break;
                    }
                }
                _ => {
                    let known = self.address(ctx, word)?
                        || self.header(ctx, word)?
                        || self.option(ctx, word)?
                        || route_metric::parse(ctx, self, word)?;
                    if !known {
                        self.destination(ctx, word)?;
                    }
                }
            }
            self.at = self.at.saturating_add(1);
        }
        match self.line.get(self.at) {
            None => Ok(()),
            Some(word) => Err(Stop::report(
                ctx,
                format!("Route has trailing nonsense - {word}"),
            )),
        }
    }

    /// Words with addresses; false if the word is something else.
    fn address(&mut self, ctx: &mut Ctx<'_>, word: &str) -> Result<bool, Stop> {
        match word {
            "inet" | "inet6" => {
                let (family, other) = match word {
                    "inet" => (Family::V4, "IPv6"),
                    _ => (Family::V6, "IPv4"),
                };
                if *self.family.get_or_insert(family) != family {
                    return Err(Stop::report(
                        ctx,
                        format!("{word} specified for {other} route"),
                    ));
                }
                // The original then skips the next word; so do we.
                self.at = self.at.saturating_add(1);
            }
            "src" => {
                let ip = self.value(ctx, parse_address, |w| {
                    format!("invalid route src address {w}")
                })?;
                self.route.pref_src = Some(ip);
                self.join(ctx, Some(Family::of(&ip)))?;
            }
            "via" | "gw" => self.gateway(ctx, word)?,
            "from" => {
                let value = self.next(ctx)?;
                let target = parse_target(ctx, value).ok_or_else(|| {
                    Stop::report(ctx, format!("invalid route from address {value}"))
                })?;
                if target.0 != Some(Family::V6) {
                    return Err(Stop::report(
                        ctx,
                        format!("route from address only supported with IPv6 ({value})"),
                    ));
                }
                self.src = Some(target);
                self.join(ctx, target.0)?;
            }
            "or" => self.second_gateway(ctx)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn gateway(&mut self, ctx: &mut Ctx<'_>, word: &str) -> Result<(), Stop> {
        if word == "gw" {
            ctx.report(
                Class::GeneralError,
                "\"gw\" for routes is deprecated. Please use \"via\"",
            );
        }
        let mut value = self.next(ctx)?;
        let family = match value {
            "inet" => Some(Family::V4),
            "inet6" => Some(Family::V6),
            _ => None,
        };
        if family.is_some() {
            value = self.next(ctx)?;
            self.join(ctx, family)?;
        }
        let ip = parse_address(ctx, value)
            .ok_or_else(|| Stop::report(ctx, format!("invalid route via address {value}")))?;
        self.route.via = Some(ip);
        self.join(ctx, Some(Family::of(&ip)))
    }

    /// The deprecated `or ADDR`: the gateway so far and this one become two nexthops.
    fn second_gateway(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Stop> {
        ctx.report(
            Class::GeneralError,
            "\"or\" for routes is deprecated. Please use \"nexthop\"",
        );
        if !self.route.nexthops.is_empty() {
            ctx.report(
                Class::GeneralError,
                "\"or\" route already specified - ignoring subsequent",
            );
            self.at = self.at.saturating_add(1);
            return Ok(());
        }
        let hop = |via: Option<IpAddr>| NextHop {
            via,
            ..NextHop::default()
        };
        self.route.nexthops.push(hop(self.route.via.take()));
        let second = self.value(ctx, parse_address, |w| {
            format!("Invalid \"or\" address {w}")
        })?;
        self.route.nexthops.push(hop(Some(second)));
        Ok(())
    }

    /// Fields of the route message's header; false if the word is something else.
    fn header(&mut self, ctx: &mut Ctx<'_>, word: &str) -> Result<bool, Stop> {
        match word {
            "tos" | "dsfield" => {
                let tos = self.value(
                    ctx,
                    |ctx, w| ctx.iproute_number_u8(NameTable::DsField, w),
                    |w| format!("TOS value {w} is invalid"),
                )?;
                self.route.tos = Some(tos);
            }
            "table" => {
                self.route.table = self.value(
                    ctx,
                    |ctx, w| ctx.iproute_number(NameTable::Tables, w),
                    |w| format!("Routing table {w} not found for route"),
                )?;
            }
            "protocol" => {
                let protocol = self.value(
                    ctx,
                    |ctx, w| ctx.iproute_number_u8(NameTable::Protocols, w),
                    |w| format!("Protocol {w} not found or invalid for route"),
                )?;
                self.route.protocol = Some(protocol);
            }
            "scope" => {
                let scope = self.value(
                    ctx,
                    |ctx, w| ctx.iproute_number_u8(NameTable::Scopes, w),
                    |w| format!("Scope {w} not found or invalid for route"),
                )?;
                self.route.scope = Some(scope);
            }
            "metric" | "priority" | "preference" => {
                let metric = self.value(
                    ctx,
                    |ctx, w| ctx.read_unsigned(w, 0, u32::MAX, false),
                    |w| format!("Invalid metric {w} specified for route"),
                )?;
                self.route.metric = Some(metric);
            }
            "vrf" => self.vrf(ctx)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn vrf(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Stop> {
        let name = self.next(ctx)?;
        let Some(facts) = ctx.host.interface(name) else {
            return Err(Stop::report(ctx, format!("VRF {name} not found for route")));
        };
        match facts.vrf_table {
            Some(table) if facts.kind == LinkKind::Vrf => self.route.table = table,
            _ => {
                return Err(Stop::report(
                    ctx,
                    format!("Route specified VRF {name} is not a VRF"),
                ));
            }
        }
        Ok(())
    }

    /// Everything else but the metrics; false if the word is something else.
    fn option(&mut self, ctx: &mut Ctx<'_>, word: &str) -> Result<bool, Stop> {
        match word {
            "as" => {
                if self.next(ctx)? == "to" {
                    self.at = self.at.saturating_add(1);
                }
                ctx.report(Class::GeneralError, "\"as to\" for MPLS only - ignoring");
            }
            "dev" | "oif" => self.route.dev = Some(self.device(ctx)?),
            "onlink" => self.route.onlink = true,
            "encap" => {
                if let Some(encap) = encap::parse(ctx, self.line, &mut self.at) {
                    self.route.encap = Some(encap);
                }
            }
            "expires" => {
                self.ipv6_only(ctx, word)?;
                let seconds = self.value(
                    ctx,
                    |ctx, w| ctx.read_unsigned(w, 0, u32::MAX, false),
                    |w| format!("Invalid expires time {w} specified for route"),
                )?;
                self.route.expires = Some(seconds);
            }
            "pref" => {
                self.ipv6_only(ctx, word)?;
                let pref = self.value(
                    ctx,
                    |ctx, w| match w {
                        "low" => Some(3),
                        "medium" => Some(0),
                        "high" => Some(1),
                        _ => ctx.read_unsigned(w, 0, 255, false),
                    },
                    |w| format!("Invalid pref value {w} specified for route"),
                )?;
                self.route.pref = u8::try_from(pref).ok();
            }
            "realms" => {
                self.route.realms = self.value(
                    ctx,
                    |ctx, w| ctx.read_realms(w),
                    |w| format!("Invalid realms {w} for route"),
                )?;
                if self.family == Some(Family::V6) {
                    return Err(Stop::report(ctx, "realms are only valid for IPv4"));
                }
                self.family = Some(Family::V4);
            }
            "ttl-propagate" => {
                let value = self.next(ctx)?;
                if !matches!(value, "enabled" | "disabled") {
                    ctx.report(
                        Class::GeneralError,
                        format!("ttl-propagate value {value} not recognised"),
                    );
                }
                let before = self.route.ttl_propagate.unwrap_or(false);
                self.route.ttl_propagate =
                    Some(value == "enabled" || (value != "disabled" && before));
            }
            "add" => self.route.placement = Placement::Add,
            "prepend" => self.route.placement = Placement::Prepend,
            "append" => self.route.placement = Placement::Append,
            "no_track" => self.route.no_track = true,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// `expires` and `pref` make the route an IPv6 one.
    fn ipv6_only(&mut self, ctx: &mut Ctx<'_>, word: &str) -> Result<(), Stop> {
        if self.family == Some(Family::V4) {
            return Err(Stop::report(ctx, format!("{word} is only valid for IPv6")));
        }
        self.family = Some(Family::V6);
        Ok(())
    }

    /// `track_group NAME`; false if the line ends here.
    fn track_group(&mut self, ctx: &mut Ctx<'_>) -> Result<bool, Stop> {
        let name = self.next(ctx)?;
        if self.route.track_group.is_some() {
            ctx.report(
                Class::GeneralError,
                format!("track_group {name} is a duplicate"),
            );
            return Ok(false);
        }
        if ctx.scratch.static_track_groups.contains(name) {
            self.route.track_group = Some(Spanned::new(name.into(), self.line.span_of(self.at)));
        } else {
            ctx.report(Class::GeneralError, format!("track_group {name} not found"));
        }
        Ok(true)
    }

    /// `[to] [TYPE] PREFIX`
    fn destination(&mut self, ctx: &mut Ctx<'_>, word: &str) -> Result<(), Stop> {
        if word == "to" {
            self.at = self.at.saturating_add(1);
        } else if let Some(kind) = route_type(word) {
            // After `to` the original looks for a type in the word `to` itself: a type must come before it.
            self.route.kind = Some(kind);
            self.at = self.at.saturating_add(1);
        }
        let word = self.line.word(ctx, self.at)?;
        let dst = parse_target(ctx, word)
            .ok_or_else(|| Stop::report(ctx, format!("unknown route keyword {word}")))?;
        self.dst = Some(dst);
        match self.family {
            None => self.family = dst.0,
            Some(_) if self.family == dst.0 => {}
            Some(_) => return Err(Stop::report(ctx, format!("{MIXED} ({word})"))),
        }
        Ok(())
    }

    /// Checks between words, and defaults.
    fn finish(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Stop> {
        let Some(dst) = self.dst else {
            return Err(Stop::report(ctx, "Route must have a destination"));
        };
        let route = &mut self.route;
        if !route.no_track {
            if route.protocol.is_some_and(|p| p != PROTO_KEEPALIVED) {
                ctx.report(
                    Class::GeneralError,
                    format!("Route cannot be tracked if protocol is not RTPROT_KEEPALIVED({PROTO_KEEPALIVED}), resetting protocol"),
                );
            }
            route.protocol = Some(PROTO_KEEPALIVED);
        }
        if route.track_group.is_some() && route.dev.is_none() {
            ctx.report(
                Class::GeneralError,
                "Static route cannot have track group if no oif specified",
            );
            route.track_group = None;
        }
        let family = self.family.unwrap_or(Family::V4);
        route.family = family;
        route.dst = target_of(dst, family);
        route.src = self.src.map(|src| target_of(src, family));
        Ok(())
    }
}
