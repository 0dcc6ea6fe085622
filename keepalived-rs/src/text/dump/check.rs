//! The checker process's data dump.

use checker_proto::Engine;
use checker_proto::config::{RsId, VsId};
use checker_proto::service::{Real, real_weight};
use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::check::{CheckKind, Checker};
use conf_parsers::keepalived::model::lvs::{
    CheckTimes, Forwarding, ForwardingMethod, Granularity, GroupEntry, LvsModel, Protocol,
    RealServer, Service, ServiceFlags, TunnelChecksum, TunnelKind, VirtualServer,
    VirtualServerGroup,
};
use conf_parsers::keepalived::model::script::Script;
use net_types::{Family, Instant};

use super::checkers::checkers;
use super::number::fixed;
use super::snapshot::ProcessNow;
use super::{command, global, line, reverse};

/// The present of the process.
#[derive(Debug)]
pub struct Now<'a> {
    /// The process.
    pub process: ProcessNow,
    /// Servers and checkers.
    pub engine: &'a Engine,
    /// Numbers in the tracked files.
    pub files: &'a [i64],
    /// Now, on the clock of the core.
    pub monotonic: Instant,
    /// Now, in microseconds since 1970.
    pub wall: u64,
}

/// The dump.
pub fn data(model: &Model, now: &Now<'_>) -> String {
    let lvs = &model.lvs;
    let mut out = String::with_capacity(4096);
    global::global(&mut out, &model.global, &now.process, None);
    if let Some(ssl) = &lvs.ssl {
        line!(out, "------< SSL definitions >------");
        let all = [
            ("Password", &ssl.password),
            ("CA-file", &ssl.ca),
            ("Certificate file", &ssl.certificate),
            ("Key file", &ssl.key),
        ];
        if all.iter().all(|(_, value)| value.is_none()) {
            line!(out, " Using autogen SSL context");
        }
        for (name, value) in all {
            if let Some(value) = value {
                line!(out, " {name} : {value}");
            }
        }
    }
    if !lvs.virtual_servers.is_empty() {
        line!(out, "------< LVS Topology >------");
        line!(out, " System is compiled with LVS v1.2.1");
        for group in &lvs.groups {
            virtual_server_group(&mut out, group, lvs, now.engine);
        }
        let mut next = 0;
        for (n, vs) in lvs.virtual_servers.iter().enumerate() {
            let id = VsId(u32::try_from(n).unwrap_or(u32::MAX));
            virtual_server(&mut out, id, vs, lvs, now.engine);
            for rs in &vs.real_servers {
                if let Some(state) = now.engine.real(RsId(next)) {
                    real_server(&mut out, rs, state);
                }
                next = next.saturating_add(1);
            }
        }
    }
    checkers(&mut out, model, now);
    files(&mut out, model, now);
    if !lvs.bfd_sessions.is_empty() {
        line!(out, "------< Checker track BFDs >------");
        for session in &lvs.bfd_sessions {
            line!(out, " Checker Track BFD = {}", &**session);
            line!(out, "   Tracking RS :");
            for (vs, rs) in all_reals(lvs) {
                let follows =
                    |c: &Checker| matches!(&c.kind, CheckKind::Bfd { session: s } if s == session);
                if rs.checkers.iter().any(follows) {
                    line!(out, "   {}", trio(vs, rs));
                }
            }
        }
    }
    out
}

pub(super) fn trio(vs: &VirtualServer, rs: &RealServer) -> String {
    conf_parsers::keepalived::model::lvs::Trio(rs.addr, vs.protocol).to_string()
}

pub(super) fn all_reals(lvs: &LvsModel) -> impl Iterator<Item = (&VirtualServer, &RealServer)> {
    let servers = lvs.virtual_servers.iter();
    servers.flat_map(|vs| vs.real_servers.iter().map(move |rs| (vs, rs)))
}

fn virtual_server_group(
    out: &mut String,
    group: &VirtualServerGroup,
    lvs: &LvsModel,
    engine: &Engine,
) {
    line!(out, " ------< Virtual server group >------");
    let four = yes(group.has_family(Family::V4));
    let six = yes(group.has_family(Family::V6));
    line!(
        out,
        " Virtual Server Group = {}, IPv4 = {four}, IPv6 = {six}",
        &**group.name
    );
    // How many real servers of whom are in the table for each entry.
    let alive = |wanted: &dyn Fn(&VirtualServer) -> bool| {
        let servers = lvs.virtual_servers.iter().enumerate();
        let mine = servers.filter(|(_, vs)| vs.group_name() == Some(&group.name) && wanted(vs));
        let reals =
            mine.flat_map(|(n, _)| engine.reals_of(VsId(u32::try_from(n).unwrap_or(u32::MAX))));
        reals
            .filter(|rs| engine.real(*rs).is_some_and(|r| r.set))
            .count()
    };
    let mut users = lvs.virtual_servers.iter().zip(0..);
    let reloaded = users.any(|(vs, n)| {
        let mine = vs.group_name() == Some(&group.name);
        mine && engine.service(VsId(n)).is_some_and(|s| s.reloaded)
    });
    let reloaded = if reloaded { "True" } else { "False" };
    let by = |protocol| alive(&|vs| vs.protocol == Some(protocol));
    for entry in &group.entries {
        if let GroupEntry::Addresses { first, last } = entry {
            let port = first.port();
            if first.ip() == last.ip() {
                line!(out, "   VIP = {}, VPORT = {port}", first.ip());
            } else {
                line!(
                    out,
                    "   VIP Range = {}-{}, VPORT = {port}",
                    first.ip(),
                    last.ip()
                );
            }
            line!(
                out,
                "     Alive: {} tcp, {} udp, {} sctp",
                by(Protocol::Tcp),
                by(Protocol::Udp),
                by(Protocol::Sctp)
            );
            line!(out, "     reloaded = {reloaded}");
        }
    }
    for entry in &group.entries {
        if let GroupEntry::Fwmark { mark, family } = entry {
            let word = match family {
                None => "",
                Some(Family::V4) => " IPv4",
                Some(Family::V6) => " IPv6",
            };
            line!(out, "   FWMARK = {mark}{word}");
            let four = alive(&|vs| vs.family == Some(Family::V4));
            let all = alive(&|_| true);
            line!(
                out,
                "     Alive: {four} IPv4, {} IPv6",
                all.saturating_sub(four)
            );
            line!(out, "     reloaded = {reloaded}");
        }
    }
}

pub(super) const fn on(value: bool) -> &'static str {
    if value { "ON" } else { "OFF" }
}

pub(super) const fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

const fn able(value: bool) -> &'static str {
    if value { "en" } else { "dis" }
}

pub(super) const fn set(value: bool) -> &'static str {
    if value { "" } else { "un" }
}

fn forwarding(out: &mut String, prefix: &str, f: &Forwarding) {
    let what = "forwarding method = ";
    match (f.method, f.tunnel) {
        (Some(ForwardingMethod::Nat), _) => line!(out, "   {prefix}{what}NAT"),
        (Some(ForwardingMethod::DirectRouting), _) => line!(out, "   {prefix}{what}DR"),
        (Some(ForwardingMethod::Tunnel), TunnelKind::Ipip) => {
            line!(out, "   {prefix}{what}TUN, type = IPIP");
        }
        (Some(ForwardingMethod::Tunnel), kind) => {
            let checksum = match f.checksum {
                TunnelChecksum::None => ", no checksum",
                TunnelChecksum::Checksum => ", checksum",
                TunnelChecksum::Remote => ", remote checksum",
            };
            if kind == TunnelKind::Gue {
                let port = f.port;
                line!(out, "   {what}TUN, type = GUE, port = {port}{checksum}");
            } else {
                line!(out, "   {what}TUN, type = GRE{checksum}");
            }
        }
        // Nobody has said it.
        (None, _) => line!(out, "   {what} 0x7"),
    }
}

fn script(out: &mut String, script: Option<&Script>, what: &str, state: &str) {
    let Some(script) = script else { return };
    let words = command(script, &[]);
    let (uid, gid) = (script.uid, script.gid);
    match &script.path {
        Some(path) => line!(
            out,
            "   {what} {state} notify script = {path}, params = {words}, uid:gid {uid}:{gid}"
        ),
        None => line!(
            out,
            "   {what} {state} notify script = {words}, uid:gid {uid}:{gid}"
        ),
    }
}

fn times(out: &mut String, times: &CheckTimes) {
    if let Some(retry) = times.retry {
        line!(out, "   Retry count = {retry}");
    }
    if let Some(delay) = times.delay_before_retry {
        line!(out, "   Retry delay = {}", fixed(delay));
    }
    if let Some(warmup) = times.warmup {
        line!(out, "   Warmup = {}", fixed(warmup));
    }
}

fn virtual_server(out: &mut String, id: VsId, vs: &VirtualServer, lvs: &LvsModel, engine: &Engine) {
    line!(out, " ------< Virtual server >------");
    match &vs.service {
        Service::Group { .. } => line!(out, " VS GROUP = {vs}"),
        Service::Fwmark(mark) if *mark > 0 => line!(out, " VS FWMARK = {mark}"),
        Service::Fwmark(_) => line!(out, " VS VIP = (none), VPORT = 0"),
        Service::Address(a) => line!(out, " VS VIP = {}, VPORT = {}", a.ip(), a.port()),
    }
    if let Some(host) = &vs.virtualhost {
        line!(out, "   VirtualHost = {}", host.value);
    }
    if let Some(name) = &vs.snmp_name {
        line!(out, "   SNMP name = '{name}'");
    }
    let group = lvs.groups.iter().find(|g| vs.group_name() == Some(&g.name));
    let both = group.is_some_and(|g| g.has_family(Family::V4) && g.has_family(Family::V6));
    match vs.family {
        Some(Family::V4) => line!(out, "   Address family = inet"),
        Some(Family::V6) => line!(out, "   Address family = inet6"),
        None if both => line!(out, "   Address family = IPv4 & IPv6"),
        None => line!(out, "   Address family = unknown"),
    }
    line!(out, "   connection timeout = {}", fixed(vs.connect_timeout));
    let delay_loop = vs.times.delay_loop.unwrap_or(0);
    line!(out, "   delay_loop = {}", fixed(delay_loop));
    let scheduler = vs.scheduler.unwrap_or("");
    line!(out, "   lvs_sched = {scheduler}");
    line!(out, "   Hashed = disabled");
    let flag = |f| able(vs.flags.contains(f));
    if matches!(scheduler, "sh" | "mh") {
        let (port, fallback) = (flag(ServiceFlags::SCHED_2), flag(ServiceFlags::SCHED_1));
        line!(out, "   {scheduler}-port = {port}abled");
        line!(out, "   {scheduler}-fallback = {fallback}abled");
    } else {
        line!(out, "   flag-1 = {}abled", flag(ServiceFlags::SCHED_1));
        line!(out, "   flag-2 = {}abled", flag(ServiceFlags::SCHED_2));
        line!(out, "   flag-3 = {}abled", flag(ServiceFlags::SCHED_3));
    }
    let one = vs.flags.contains(ServiceFlags::ONE_PACKET);
    let inactive = if one && vs.protocol != Some(Protocol::Udp) {
        " (inactive due to not UDP)"
    } else {
        ""
    };
    line!(
        out,
        "   One packet scheduling = {}abled{inactive}",
        able(one)
    );
    if vs.persistence_timeout > 0 {
        line!(out, "   persistence timeout = {}", vs.persistence_timeout);
    }
    match vs.persistence_granularity {
        Some(Granularity::V4(mask)) => line!(out, "   persistence granularity = {mask}"),
        Some(Granularity::V6(len)) => line!(out, "   persistence granularity = {len}"),
        None => {}
    }
    let protocol = match vs.protocol {
        Some(Protocol::Tcp) => "TCP",
        Some(Protocol::Udp) => "UDP",
        Some(Protocol::Sctp) => "SCTP",
        None => "none",
    };
    line!(out, "   protocol = {protocol}");
    line!(out, "   alpha is {}", on(vs.alpha));
    line!(out, "   omega is {}", on(vs.omega));
    times(out, &vs.times);
    line!(out, "   Inhibit on failure is {}", on(vs.inhibit));
    line!(
        out,
        "   quorum = {}, hysteresis = {}",
        vs.quorum,
        vs.hysteresis
    );
    script(out, vs.quorum_up.as_deref(), "Quorum", "up");
    script(out, vs.quorum_down.as_deref(), "Quorum", "down");
    if vs.ha_suspend {
        line!(out, "   Using HA suspend");
    }
    let alert = yes(vs.smtp_alert.unwrap_or(false));
    line!(out, "   Using smtp notification = {alert}");
    forwarding(out, "default ", &vs.forwarding);
    let Some(state) = engine.service(id) else {
        return;
    };
    if let (Some(sorry), Some(now)) = (&vs.sorry_server, state.sorry) {
        let duplicates = if sorry.duplicates_real_server {
            "(duplicates rs) "
        } else {
            ""
        };
        let name = conf_parsers::keepalived::model::lvs::Trio(sorry.addr, vs.protocol);
        line!(out, "   sorry server {duplicates}= {name}");
        forwarding(out, "  ", &sorry.forwarding);
        line!(out, "     Inhibit on failure is {}", on(sorry.inhibit));
        line!(out, "     set = {}", u8::from(now.set));
        line!(out, "     alive = {}", u8::from(now.alive));
    }
    line!(out, "   VS alive = {}", u8::from(state.alive));
    line!(out, "   quorum_state_up = {}", u8::from(state.quorum_up));
    line!(out, "   reloaded = {}", u8::from(state.reloaded));
}

fn real_server(out: &mut String, rs: &RealServer, now: &Real) {
    line!(out, "   ------< Real server >------");
    line!(
        out,
        "   RIP = {}, RPORT = {}, WEIGHT = {} EFF WEIGHT = {}",
        rs.addr.ip(),
        rs.addr.port(),
        real_weight(now.effective),
        now.effective
    );
    forwarding(out, "", &rs.forwarding);
    line!(out, "   Alpha is {}", on(rs.alpha.unwrap_or(false)));
    let timeout = rs.connect_timeout.unwrap_or(0);
    line!(out, "   connection timeout = {}", fixed(timeout));
    line!(
        out,
        "   connection limit range = {} -> {}",
        rs.lower_threshold,
        rs.upper_threshold
    );
    line!(
        out,
        "   Delay loop = {}",
        fixed(rs.times.delay_loop.unwrap_or(0))
    );
    times(out, &rs.times);
    let inhibit = on(rs.inhibit.unwrap_or(false));
    line!(out, "   Inhibit on failure is {inhibit}");
    script(out, rs.notify_up.as_deref(), "RS", "up");
    script(out, rs.notify_down.as_deref(), "RS", "down");
    if let Some(host) = &rs.virtualhost {
        line!(out, "    VirtualHost = '{}'", host.value);
    }
    if let Some(name) = &rs.snmp_name {
        line!(out, "   SNMP name = {name}");
    }
    let alert = yes(rs.smtp_alert.unwrap_or(false));
    line!(out, "   Using smtp notification = {alert}");
    line!(out, "   initial weight = {}", now.base);
    line!(out, "   effective weight = {}", now.effective);
    let previous = if now.reloaded { now.previous } else { 0 };
    line!(out, "   previous effective_weight = {previous}");
    line!(out, "   alive = {}", u8::from(now.alive));
    line!(out, "   num failed checkers = {}", now.failed);
    line!(out, "   RS set = {}", u8::from(now.set));
    line!(out, "   reloaded = {}", u8::from(now.reloaded));
    if !rs.track_files.is_empty() {
        line!(out, "   Tracked Files");
        for file in &rs.track_files {
            let weight = file.weight;
            let name = &**file.file;
            line!(out, "     {name}, weight {weight}{}", reverse(file.reverse));
        }
    }
    let bfds = || {
        rs.checkers.iter().filter_map(|c| match &c.kind {
            CheckKind::Bfd { session } => Some(session),
            _ => None,
        })
    };
    if bfds().next().is_some() {
        line!(out, "   Tracked BFDs");
        for session in bfds() {
            line!(out, "     {}", &**session);
        }
    }
}

fn files(out: &mut String, model: &Model, now: &Now<'_>) {
    if model.vrrp.track_files.is_empty() {
        return;
    }
    line!(out, "------< Checker track files >------");
    for (n, file) in model.vrrp.track_files.iter().enumerate() {
        let users = || {
            all_reals(&model.lvs).flat_map(|(vs, rs)| {
                let mine = rs.track_files.iter().filter(|f| f.file == file.name);
                mine.map(move |f| (vs, rs, f))
            })
        };
        if users().next().is_none() {
            continue;
        }
        line!(out, " Track file = {}", &**file.name);
        line!(out, "   File = {}", file.path.as_ref().map_or("", |p| &**p));
        line!(
            out,
            "   Status = {}",
            now.files.get(n).copied().unwrap_or(0)
        );
        line!(out, "   Weight = {}{}", file.weight, reverse(file.reverse));
        line!(out, "   Tracking instances :");
        for (vs, rs, f) in users() {
            let weight = f.weight;
            line!(
                out,
                "     {vs} -> {}, weight {weight}{}",
                trio(vs, rs),
                reverse(f.reverse)
            );
        }
    }
}
