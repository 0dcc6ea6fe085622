//! Lines of `virtual_ipaddress`, `virtual_ipaddress_excluded` and `static_ipaddress`; addresses in routes and rules.

use std::net::{IpAddr, Ipv4Addr};

use net_types::{Family, Prefix};

use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Exit, Line};
use crate::keepalived::iproute_names::NameTable;
use crate::keepalived::model::address::{Address, AddressFlags, LIFETIME_FOREVER};
use crate::keepalived::sockaddr::parse_ip;
use crate::span::Spanned;

/// Longest label, the kernel's IFNAMSIZ less its zero.
const LABEL_MAX: usize = 15;

/// Reads an address with optional prefix length. A bad length is reported and the family's full length used; a bad address
/// is reported and gives none.
pub fn parse_prefix(ctx: &mut Ctx<'_>, word: &str) -> Option<Prefix> {
    let (ip, len) = word
        .split_once('/')
        .map_or((word, None), |(ip, len)| (ip, Some(len)));
    let full: u8 = if word.contains(':') { 128 } else { 32 };
    let mut prefix_len = full;
    if let Some(len) = len {
        match ctx.read_unsigned(len, 0, u32::from(full), true) {
            Some(n) => prefix_len = u8::try_from(n).unwrap_or(full),
            None => ctx.report(
                Class::GeneralError,
                format!("Invalid address prefix len {len} for address {word} - using {full}"),
            ),
        }
    }
    let prefix = parse_ip(ip).and_then(|ip| Prefix::new(ip, prefix_len));
    if prefix.is_none() {
        skipping(ctx, word);
    }
    prefix
}

/// Reads an address without a prefix length; a bad one is reported and gives none.
pub fn parse_address(ctx: &mut Ctx<'_>, word: &str) -> Option<IpAddr> {
    let ip = parse_ip(word);
    if ip.is_none() {
        skipping(ctx, word);
    }
    ip
}

fn skipping(ctx: &mut Ctx<'_>, word: &str) {
    ctx.report(
        Class::GeneralError,
        format!("VRRP parsed invalid IP {word}. skipping IP..."),
    );
}

/// `brd +` and `brd -`
#[derive(Clone, Copy, PartialEq, Eq)]
enum HostBits {
    Set,
    Clear,
}

/// Reads one line. `None`, after a report, if the address is to be left out.
pub fn parse(ctx: &mut Ctx<'_>, line: &Line, is_static: bool) -> Result<Option<Address>, Exit> {
    let first = line.word(ctx, 0)?;
    let Some(prefix) = parse_prefix(ctx, first) else {
        return Ok(None);
    };
    let mut reader = Reader {
        address: Address::new(prefix, line.span_of(0)),
        first,
        line,
        is_static,
        at: 1,
        host_bits: None,
        has_broadcast: false,
        has_lifetime: false,
    };
    if !reader.options(ctx) {
        return Ok(None);
    }
    Ok(reader.finish(ctx).then_some(reader.address))
}

/// A line being read.
struct Reader<'l> {
    address: Address,
    first: &'l str,
    line: &'l Line,
    is_static: bool,
    at: usize,
    host_bits: Option<HostBits>,
    has_broadcast: bool,
    has_lifetime: bool,
}

impl<'l> Reader<'l> {
    /// All words after the address; false if the address is to be left out.
    fn options(&mut self, ctx: &mut Ctx<'_>) -> bool {
        while let Some(word) = self.line.get(self.at) {
            let go_on = match word {
                "dev" | "scope" | "broadcast" | "brd" | "label" | "peer" | "preferred_lft" => {
                    self.with_value(ctx, word)
                }
                "track_group" if self.is_static => self.with_value(ctx, word),
                _ => {
                    self.flag(ctx, word);
                    Some(true)
                }
            };
            match go_on {
                None => return false,
                Some(false) => return true,
                Some(true) => self.at = self.at.saturating_add(1),
            }
        }
        true
    }

    /// An option with a value. `None` to drop the address, `Some(false)` to end the line here.
    fn with_value(&mut self, ctx: &mut Ctx<'_>, word: &str) -> Option<bool> {
        let Some(value) = self.line.get(self.at.saturating_add(1)) else {
            ctx.report(
                Class::GeneralError,
                format!("No {word} parameter specified for {}", self.first),
            );
            return None;
        };
        if matches!(word, "broadcast" | "brd") {
            return self.broadcast(ctx, word, value).then_some(true);
        }
        if word == "dev" && self.address.dev.is_some() {
            ctx.report(
                Class::GeneralError,
                format!(
                    "Cannot specify ipaddress device more than once for {}",
                    self.first
                ),
            );
            return None;
        }
        self.at = self.at.saturating_add(1);
        let span = self.line.span_of(self.at);
        match word {
            "dev" => {
                if !ctx.accept_interface(value) {
                    ctx.report(
                        Class::GeneralError,
                        format!(
                            "WARNING - interface {value} for ip address {} doesn't exist",
                            self.first
                        ),
                    );
                    return None;
                }
                self.address.dev = Some(Spanned::new(value.into(), span));
            }
            "scope" => match ctx.iproute_number_u8(NameTable::Scopes, value) {
                Some(scope) => self.address.scope = scope,
                None => ctx.report(
                    Class::GeneralError,
                    format!(
                        "Invalid scope '{value}' specified for {} - ignoring",
                        self.first
                    ),
                ),
            },
            "label" => {
                if value.len() > LABEL_MAX {
                    ctx.report(
                        Class::GeneralError,
                        format!("Address label {value} is longer than maximum length {LABEL_MAX} - removing address"),
                    );
                    return None;
                }
                self.address.label = Some(Spanned::new(value.into(), span));
            }
            "peer" => {
                if self.address.peer.is_some() {
                    // The original stays at the value, which is then taken for an option of its own.
                    ctx.report(
                        Class::GeneralError,
                        format!("Peer {value} - another peer has already been specified"),
                    );
                    self.flag(ctx, value);
                } else {
                    self.peer(ctx, value);
                }
            }
            "preferred_lft" => self.lifetime(ctx, value),
            _ => {
                if self.address.track_group.is_some() {
                    ctx.report(
                        Class::GeneralError,
                        format!("track_group {value} is a duplicate"),
                    );
                    return Some(false);
                }
                if ctx.scratch.static_track_groups.contains(value) {
                    self.address.track_group = Some(Spanned::new(value.into(), span));
                } else {
                    ctx.report(
                        Class::GeneralError,
                        format!("track_group {value} not found"),
                    );
                }
            }
        }
        Some(true)
    }

    /// An option without a value.
    fn flag(&mut self, ctx: &mut Ctx<'_>, word: &str) {
        let flags = &mut self.address.flags;
        match word {
            "home" => flags.insert(AddressFlags::HOME_ADDRESS),
            "-nodad" => self.address.dad = true,
            "mngtmpaddr" => flags.insert(AddressFlags::MANAGE_TEMP_ADDR),
            "noprefixroute" => flags.insert(AddressFlags::NO_PREFIX_ROUTE),
            "autojoin" => flags.insert(AddressFlags::MC_AUTO_JOIN),
            "no_track" => self.address.no_track = true,
            "use_vmac" if !self.is_static => self.address.use_vmac = true,
            _ => ctx.report(
                Class::GeneralError,
                format!("Unknown configuration entry '{word}' for ip address - ignoring"),
            ),
        }
    }

    fn broadcast(&mut self, ctx: &mut Ctx<'_>, word: &str, value: &str) -> bool {
        if self.address.family() == Family::V6 {
            ctx.report(
                Class::GeneralError,
                format!(
                    "VRRP is trying to assign a broadcast {word} to the IPv6 address {} !!?? WTF... skipping VIP...",
                    self.first
                ),
            );
            return false;
        }
        self.has_broadcast = true;
        self.at = self.at.saturating_add(1);
        match value {
            "-" => self.host_bits = Some(HostBits::Clear),
            "+" => self.host_bits = Some(HostBits::Set),
            _ => {
                match value.parse() {
                    Ok(ip) => self.address.broadcast = Some(ip),
                    Err(_) => {
                        ctx.report(
                        Class::GeneralError,
                        format!("VRRP is trying to assign invalid broadcast {value}. skipping VIP..."),
                    );
                        return false;
                    }
                }
            }
        }
        true
    }

    fn peer(&mut self, ctx: &mut Ctx<'_>, value: &str) {
        let Some(peer) = parse_address(ctx, value) else {
            ctx.report(Class::GeneralError, format!("Invalid peer address {value}"));
            return;
        };
        let family = self.address.family();
        if Family::of(&peer) != family {
            ctx.report(
                Class::GeneralError,
                format!("Peer address {value} does not match address family"),
            );
            return;
        }
        if self.address.prefix.len != family.bits() {
            ctx.report(
                Class::GeneralError,
                "Cannot specify address prefix when specifying peer address - ignoring",
            );
        }
        self.address.peer = Some(peer);
        self.address.prefix.len = family.bits();
    }

    fn lifetime(&mut self, ctx: &mut Ctx<'_>, value: &str) {
        let lifetime = match value {
            "forever" => Some(LIFETIME_FOREVER),
            _ => ctx.read_unsigned(value, 0, u32::MAX, true),
        };
        match lifetime {
            Some(lifetime) => {
                self.address.preferred_lft = lifetime;
                self.has_lifetime = true;
            }
            None => ctx.report(
                Class::GeneralError,
                format!("preferred_lft {value} is invalid"),
            ),
        }
    }

    /// Checks between options, and defaults; false if the address is to be left out.
    fn finish(&mut self, ctx: &mut Ctx<'_>) -> bool {
        if self.has_broadcast && self.address.peer.is_some() {
            ctx.report(
                Class::GeneralError,
                "Cannot specify broadcast and peer addresses - ignoring broadcast address",
            );
            self.address.broadcast = None;
        } else if let Some(host_bits) = self.host_bits {
            self.fill_broadcast(ctx, host_bits);
        }
        // 0.0.0.0 is "no broadcast address" for the original.
        self.address.broadcast = self.address.broadcast.filter(|b| !b.is_unspecified());

        if self.is_static && self.address.dev.is_none() {
            let name = ctx.default_interface();
            if !ctx.accept_interface(&name) {
                ctx.report(
                    Class::Fatal,
                    format!(
                        "Static address {} requires either an interface or default interface must exist",
                        self.first
                    ),
                );
                return false;
            }
            self.address.dev = Some(Spanned::new(name.into(), self.address.span));
        }
        if self.address.family() == Family::V6 {
            self.ipv6_limits(ctx);
        }
        true
    }

    fn fill_broadcast(&mut self, ctx: &mut Ctx<'_>, host_bits: HostBits) {
        let Prefix { addr, len } = self.address.prefix;
        let IpAddr::V4(addr) = addr else { return };
        if len > 30 {
            ctx.report(
                Class::GeneralError,
                format!("Address prefix length {len} too long for broadcast"),
            );
            return;
        }
        let mask = u32::MAX >> len;
        let bits = match host_bits {
            HostBits::Set => addr.to_bits() | mask,
            HostBits::Clear => addr.to_bits() & !mask,
        };
        self.address.broadcast = Some(Ipv4Addr::from_bits(bits));
    }

    fn ipv6_limits(&mut self, ctx: &mut Ctx<'_>) {
        if self.address.scope != 0 {
            ctx.report(
                Class::GeneralError,
                format!(
                    "Cannot specify scope for IPv6 addresses ({}) - ignoring scope",
                    self.first
                ),
            );
            self.address.scope = 0;
        }
        if self.address.label.take().is_some() {
            ctx.report(
                Class::GeneralError,
                format!(
                    "Cannot specify label for IPv6 addresses ({}) - ignoring label",
                    self.first
                ),
            );
        }
        if !self.has_lifetime {
            self.address.preferred_lft = match self.address.prefix.len {
                128 => 0,
                _ => LIFETIME_FOREVER,
            };
        }
    }
}
