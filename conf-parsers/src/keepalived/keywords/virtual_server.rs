//! `virtual_server` blocks.

mod persistence;

use net_types::Family;

use super::lvs::{optional_bool, port_word};
use super::server_values::{set, set_value};
use super::{real_server, server_values};
use crate::diag::Class;
use crate::keepalived::engine::{
    Block, Ctx, Exit, Feature, Flow, Guard, Line, kw, kw_block, kw_quoted,
};
use crate::keepalived::model::lvs::{
    Forwarding, ForwardingMethod, Protocol, Service, ServiceFlags, SorryServer, TunnelChecksum,
    TunnelKind, VirtualServer, WEIGHT_MAX,
};
use crate::keepalived::sockaddr::Shown;
use crate::span::Spanned;

/// Schedulers of the kernel that may be named.
const SCHEDULERS: &[&str] = &[
    "rr", "wrr", "lc", "wlc", "lblc", "sh", "mh", "dh", "fo", "ovf", "lblcr", "sed", "nq", "twos",
];

/// Inside of the block.
pub(super) static BLOCK: Block = Block {
    keywords: &[
        kw("ip_family", ip_family),
        kw("retry", server_values::retry::<VirtualServer>),
        kw(
            "delay_before_retry",
            server_values::delay_before_retry::<VirtualServer>,
        ),
        kw("warmup", server_values::warmup::<VirtualServer>),
        kw("connect_timeout", |ctx, line| {
            server_values::connect_timeout(ctx, line, |vs: &mut VirtualServer, t| {
                vs.connect_timeout = t
            })
        }),
        kw("delay_loop", server_values::delay_loop::<VirtualServer>),
        kw("inhibit_on_failure", |ctx, _| {
            set(ctx, |vs: &mut VirtualServer| vs.inhibit = true)
        }),
        kw("lb_algo", scheduler),
        kw("lvs_sched", scheduler),
        kw("hashed", flag),
        kw("ops", flag),
        kw("flag-1", flag),
        kw("flag-2", flag),
        kw("flag-3", flag),
        kw("sh-port", flag),
        kw("sh-fallback", flag),
        kw("mh-port", flag),
        kw("mh-fallback", flag),
        kw("lb_kind", forwarding_method),
        kw("lvs_method", forwarding_method),
        kw("persistence_engine", persistence::engine),
        kw("persistence_timeout", persistence::timeout),
        kw("persistence_granularity", persistence::granularity),
        kw("protocol", protocol),
        kw("ha_suspend", |ctx, _| {
            set(ctx, |vs: &mut VirtualServer| vs.ha_suspend = true)
        }),
        kw("smtp_alert", smtp_alert),
        kw("virtualhost", server_values::virtualhost::<VirtualServer>),
        kw("snmp_name", server_values::snmp_name::<VirtualServer>).only_with(Feature::SnmpChecker),
        kw("alpha", |ctx, _| {
            set(ctx, |vs: &mut VirtualServer| vs.alpha = true)
        }),
        kw("omega", |ctx, _| {
            set(ctx, |vs: &mut VirtualServer| vs.omega = true)
        }),
        kw_quoted("quorum_up", |ctx, line| {
            server_values::script(ctx, line, |vs: &mut VirtualServer| &mut vs.quorum_up)
        }),
        kw_quoted("quorum_down", |ctx, line| {
            server_values::script(ctx, line, |vs: &mut VirtualServer| &mut vs.quorum_down)
        }),
        kw("quorum", quorum),
        kw("hysteresis", hysteresis),
        kw("weight", weight),
        kw("sorry_server", sorry_server),
        kw("sorry_server_inhibit", sorry_server_inhibit),
        kw("sorry_server_lvs_method", sorry_server_method),
        kw_block("real_server", Some(real_server::begin), &real_server::BLOCK),
    ],
    end: Some(end),
    guard: Some(Guard {
        is_open: |ctx| ctx.scratch.lvs.virtual_server.is_some(),
        clear: |ctx| ctx.scratch.lvs.virtual_server = None,
    }),
};

/// `virtual_server ADDR [PORT]`, `virtual_server fwmark N`, `virtual_server group NAME`
pub(super) fn begin(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let first = line.word(ctx, 1)?;
    let service = match first {
        // The original dies without the second word.
        "group" => {
            let name = line.word(ctx, 2)?;
            Some(Service::Group {
                name: Spanned::new(name.into(), line.span_of(2)),
                member: 0,
            })
        }
        "fwmark" => {
            let word = line.word(ctx, 2)?;
            let mark = ctx.read_unsigned(word, 0, u32::MAX, true);
            if mark.is_none() {
                ctx.report(
                    Class::GeneralError,
                    format!(
                        "virtual server fwmark '{word}' must be in [0, {}] - ignoring",
                        u32::MAX
                    ),
                );
            }
            mark.map(Service::Fwmark)
        }
        _ => {
            let port = port_word(line.get(2));
            let addr = ctx.read_sockaddr(first, port);
            if addr.is_none() {
                let (what, slash) = if port.is_some() {
                    ("/port", "/")
                } else {
                    ("", "")
                };
                ctx.report(
                    Class::GeneralError,
                    format!(
                        "Invalid virtual server IP address{what} {first}{slash}{} - skipping",
                        port.unwrap_or("")
                    ),
                );
            }
            addr.map(Service::Address)
        }
    };
    if service.is_none() {
        ctx.skip_block(true);
    }
    ctx.scratch.lvs.virtual_server = service.map(|s| VirtualServer::new(s, line.span));
    Ok(())
}

fn ip_family(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let family = match word {
        "inet" => Family::V4,
        "inet6" => Family::V6,
        _ => {
            ctx.report(
                Class::GeneralError,
                format!("unknown address family {word}"),
            );
            return Ok(());
        }
    };
    let own = ctx
        .scratch
        .lvs
        .virtual_server
        .as_ref()
        .and_then(|vs| vs.family);
    if own.is_some_and(|own| own != family) {
        ctx.report(
            Class::GeneralError,
            format!("Virtual server specified family {word} conflicts with server family"),
        );
        return Ok(());
    }
    set(ctx, |vs: &mut VirtualServer| vs.family = Some(family))
}

fn scheduler(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set_value(
        ctx,
        line,
        |_, w| SCHEDULERS.iter().find(|s| **s == w).copied(),
        |w| format!("Invalid lvs_scheduler '{w}' - ignoring"),
        |vs: &mut VirtualServer, s| vs.scheduler = Some(s),
    )
}

fn flag(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.keyword();
    let own = ctx.scratch.lvs.virtual_server.as_ref();
    let scheduler = own.and_then(|vs| vs.scheduler).unwrap_or("");
    let flag = match word {
        "ops" => Some(ServiceFlags::ONE_PACKET),
        "flag-1" => Some(ServiceFlags::SCHED_1),
        "flag-2" => Some(ServiceFlags::SCHED_2),
        "flag-3" => Some(ServiceFlags::SCHED_3),
        "sh-fallback" if scheduler == "sh" => Some(ServiceFlags::SCHED_1),
        "sh-port" if scheduler == "sh" => Some(ServiceFlags::SCHED_2),
        "mh-fallback" if scheduler == "mh" => Some(ServiceFlags::SCHED_1),
        "mh-port" if scheduler == "mh" => Some(ServiceFlags::SCHED_2),
        // With these schedulers the original takes the other words without a remark.
        _ if matches!(scheduler, "sh" | "mh") => None,
        // It speaks of sh for mh's flags and for `hashed`, too.
        _ => {
            ctx.report(
                Class::GeneralError,
                format!("{word} only applies to sh scheduler - ignoring"),
            );
            None
        }
    };
    match flag {
        Some(flag) => set(ctx, |vs: &mut VirtualServer| vs.flags.insert(flag)),
        None => Ok(()),
    }
}

/// `NAT|DR|TUN [type …] [port N] [csum|nocsum|remcsum]`. An unknown method changes nothing; a bad tunnel option keeps the
/// method and the tunnel options of before.
pub(super) fn read_forwarding(
    ctx: &mut Ctx<'_>,
    line: &Line,
    before: Forwarding,
    server: &str,
) -> Result<Forwarding, Exit> {
    let word = line.word(ctx, 1)?;
    let method = match word {
        "NAT" => ForwardingMethod::Nat,
        "DR" => ForwardingMethod::DirectRouting,
        "TUN" => ForwardingMethod::Tunnel,
        _ => {
            ctx.report(
                Class::GeneralError,
                format!("PARSER : unknown [{word}] routing method for {server} server."),
            );
            return Ok(before);
        }
    };
    let tunnel = read_tunnel(ctx, line, server).unwrap_or_else(|complaint| {
        ctx.report(Class::GeneralError, complaint);
        before
    });
    Ok(Forwarding {
        method: Some(method),
        ..tunnel
    })
}

fn read_tunnel(ctx: &mut Ctx<'_>, line: &Line, server: &str) -> Result<Forwarding, String> {
    let mut tunnel = Forwarding::default();
    let mut words = line.words.iter().skip(2).map(|w| &*w.text);
    while let Some(word) = words.next() {
        match word {
            "type" => {
                let kind = words
                    .next()
                    .ok_or_else(|| format!("Missing tunnel type for {server} server."))?;
                tunnel.tunnel = match kind {
                    "ipip" => TunnelKind::Ipip,
                    "gue" => TunnelKind::Gue,
                    "gre" => TunnelKind::Gre,
                    _ => return Err(format!("Unknown tunnel type {kind} for {server} server.")),
                };
            }
            "port" => {
                let port = words
                    .next()
                    .ok_or_else(|| format!("Missing port for {server} server gue tunnel."))?;
                let number = ctx.read_unsigned(port, 1, 65_535, false);
                tunnel.port = number.and_then(|n| u16::try_from(n).ok()).ok_or_else(|| {
                    format!("Invalid gue tunnel port {port} for {server} server.")
                })?;
            }
            "nocsum" => tunnel.checksum = TunnelChecksum::None,
            "csum" => tunnel.checksum = TunnelChecksum::Checksum,
            "remcsum" => tunnel.checksum = TunnelChecksum::Remote,
            _ => return Err(format!("Invalid tunnel option {word} for {server} server.")),
        }
    }
    if (tunnel.tunnel == TunnelKind::Gue) != (tunnel.port != 0) {
        return Err("gue tunnels require port, otherwise cannot have port.".to_owned());
    }
    match (tunnel.tunnel, tunnel.checksum) {
        (TunnelKind::Ipip, TunnelChecksum::Checksum | TunnelChecksum::Remote) => {
            Err("ipip tunnels do not support checksum option.".to_owned())
        }
        (TunnelKind::Gre, TunnelChecksum::Remote) => {
            Err("gre tunnels do not support remote checksum option.".to_owned())
        }
        _ => Ok(tunnel),
    }
}

fn forwarding_method(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let own = ctx.scratch.lvs.virtual_server.as_ref();
    let before = own.map(|vs| vs.forwarding).unwrap_or_default();
    let forwarding = read_forwarding(ctx, line, before, "virtual")?;
    set(ctx, |vs: &mut VirtualServer| vs.forwarding = forwarding)
}

fn protocol(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set_value(
        ctx,
        line,
        |_, w| match w.to_ascii_lowercase().as_str() {
            "tcp" => Some(Protocol::Tcp),
            "sctp" => Some(Protocol::Sctp),
            "udp" => Some(Protocol::Udp),
            _ => None,
        },
        |w| format!("Unknown protocol {w} - ignoring"),
        |vs: &mut VirtualServer, protocol| vs.protocol = Some(protocol),
    )
}

fn smtp_alert(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match optional_bool(ctx, line, "Invalid virtual_server smtp_alert parameter") {
        Some(on) => {
            let lines = &mut ctx.model.lvs.smtp_alert_lines;
            *lines = lines.saturating_add(1);
            set(ctx, |vs: &mut VirtualServer| vs.smtp_alert = Some(on))
        }
        None => Ok(()),
    }
}

/// The original names the group here, which most virtual servers do not have.
pub(super) fn script_again(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let kind = line.keyword();
    let word = line.word(ctx, 1)?;
    let own = ctx.scratch.lvs.virtual_server.as_ref();
    let group = own.and_then(|vs| vs.group_name()).unwrap_or("(null)");
    let text = format!("({group}) {kind} script already specified - ignoring {word}");
    ctx.report(Class::GeneralError, text);
    Ok(())
}

fn quorum(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let quorum = ctx
        .read_unsigned(word, 1, u32::MAX, true)
        .unwrap_or_else(|| {
            ctx.report(
                Class::GeneralError,
                format!("Quorum {word} must be in [1, {}]. Setting to 1.", u32::MAX),
            );
            1
        });
    set(ctx, |vs: &mut VirtualServer| vs.quorum = quorum)
}

fn hysteresis(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set_value(
        ctx,
        line,
        |ctx, w| ctx.read_unsigned(w, 0, u32::MAX, true),
        |w| format!("Hysteresis {w} must be in [0, {}] - ignoring", u32::MAX),
        |vs: &mut VirtualServer, n| vs.hysteresis = n,
    )
}

fn weight(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set_value(
        ctx,
        line,
        |ctx, w| ctx.read_unsigned(w, 1, WEIGHT_MAX, true),
        |w| format!("Virtual server weight {w} is outside range 1-{WEIGHT_MAX}"),
        |vs: &mut VirtualServer, n| vs.weight = n,
    )
}

fn sorry_server(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let Some(addr) = ctx.read_sockaddr(word, port_word(line.get(2))) else {
        ctx.report(
            Class::GeneralError,
            format!("Invalid sorry server IP address {word} - skipping"),
        );
        return Ok(());
    };
    set(ctx, |vs: &mut VirtualServer| {
        vs.sorry_server = Some(SorryServer {
            span: line.span,
            addr,
            forwarding: vs.forwarding,
            inhibit: false,
            duplicates_real_server: false,
        });
    })
}

fn sorry<'c>(ctx: &'c mut Ctx<'_>) -> Option<&'c mut SorryServer> {
    ctx.scratch
        .lvs
        .virtual_server
        .as_mut()?
        .sorry_server
        .as_mut()
}

fn sorry_server_inhibit(ctx: &mut Ctx<'_>, _line: &Line) -> Flow {
    match sorry(ctx) {
        Some(server) => server.inhibit = true,
        None => ctx.report(
            Class::GeneralError,
            "Ignoring sorry_server inhibit used before or without sorry_server",
        ),
    }
    Ok(())
}

fn sorry_server_method(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(before) = sorry(ctx).map(|s| s.forwarding) else {
        ctx.report(
            Class::GeneralError,
            "sorry_server forwarding used without sorry_server",
        );
        return Ok(());
    };
    let forwarding = read_forwarding(ctx, line, before, "sorry")?;
    if let Some(server) = sorry(ctx) {
        server.forwarding = forwarding;
    }
    Ok(())
}

/// `}`: families must fit; without a real server there is no virtual one.
fn end(ctx: &mut Ctx<'_>) -> Flow {
    let Some(mut vs) = ctx.scratch.lvs.virtual_server.take() else {
        return Ok(());
    };
    if vs.real_servers.is_empty() {
        ctx.report(
            Class::GeneralError,
            format!("Virtual server {vs} has no real servers - ignoring"),
        );
        return Ok(());
    }
    if let Some(server) = &vs.sorry_server {
        // Tunnelled servers may be of the other family.
        let own = Family::of(&server.addr.ip());
        if server.forwarding.method != Some(ForwardingMethod::Tunnel)
            && *vs.family.get_or_insert(own) != own
        {
            ctx.report(
                Class::GeneralError,
                format!(
                    "Address family of virtual server and sorry server {} don't match - skipping sorry server.",
                    Shown(server.addr.ip())
                ),
            );
            vs.sorry_server = None;
        }
    }
    if vs.family.is_none() && vs.group_name().is_none() {
        vs.family = Some(family_of_servers(&vs));
    }
    ctx.model.lvs.virtual_servers.push(vs);
    Ok(())
}

/// Family of a firewall mark whose servers are all tunnelled: theirs if they agree, else IPv4.
fn family_of_servers(vs: &VirtualServer) -> Family {
    let mut families = vs
        .sorry_server
        .iter()
        .map(|s| s.addr)
        .chain(vs.real_servers.iter().map(|r| r.addr))
        .map(|addr| Family::of(&addr.ip()));
    let first = families.next().unwrap_or(Family::V4);
    if families.all(|f| f == first) {
        first
    } else {
        Family::V4
    }
}
