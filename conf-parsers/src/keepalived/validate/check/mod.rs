//! Virtual servers, real servers and checkers after the last line: conflicts between keywords, and defaults that come from
//! the virtual server, the group or the globals.

mod checkers;
mod groups;
mod ports;
mod scripts;

use net_types::{SortedMap, sort_by};

use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Flow};
use crate::keepalived::model::lvs::{
    Forwarding, ForwardingMethod, PERSISTENCE_TIMEOUT_DEFAULT, Protocol, RealServer, Service,
    ServiceFlags, Trio, VirtualServer, VirtualServerGroup,
};

/// Scheduler of a virtual server that names none.
const DEFAULT_SCHEDULER: &str = "wlc";

/// All checks, in the original's order.
pub fn after(ctx: &mut Ctx<'_>) -> Flow {
    let mut lvs = std::mem::take(&mut ctx.model.lvs);
    let groups = by_name(&lvs.groups);
    groups::link(ctx, &groups, &mut lvs.virtual_servers);
    for vs in &mut lvs.virtual_servers {
        let group = vs.group_name().and_then(|name| groups.get(name)).copied();
        service(ctx, vs, group);
        lvs.uses_ha_suspend |= vs.ha_suspend;
        servers(ctx, vs);
        ports::check(ctx, vs, group);
    }
    checkers::fill(&mut lvs.virtual_servers);
    if !lvs.virtual_servers.is_empty() {
        scripts::check(ctx, &mut lvs.virtual_servers);
    }
    ctx.model.lvs = lvs;
    Ok(())
}

/// The groups by name; the first counts.
fn by_name(groups: &[VirtualServerGroup]) -> SortedMap<&str, &VirtualServerGroup> {
    let backwards = groups.iter().rev();
    backwards.map(|group| (&*group.name.value, group)).collect()
}

/// For each real server, whether one before it has its address.
fn repeated(servers: &[RealServer]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..servers.len()).collect();
    let address = |at: &usize| servers.get(*at).map(|rs| rs.addr);
    sort_by(&mut order, |a, b| address(a).cmp(&address(b)));
    let mut out = vec![false; servers.len()];
    for (before, at) in order.iter().zip(order.iter().skip(1)) {
        if let Some(out) = out.get_mut(*at) {
            *out = address(before) == address(at);
        }
    }
    out
}

fn complain(ctx: &mut Ctx<'_>, text: String) {
    ctx.report(Class::GeneralError, text);
}

/// Whether the server stands for a firewall mark. Mark 0 is none for the original.
fn is_mark(vs: &VirtualServer) -> bool {
    matches!(vs.service, Service::Fwmark(mark) if mark != 0)
}

/// Options of the virtual service itself.
fn service(ctx: &mut Ctx<'_>, vs: &mut VirtualServer, group: Option<&VirtualServerGroup>) {
    let mark = is_mark(vs);
    if vs.ha_suspend && (mark || group.is_some_and(VirtualServerGroup::has_marks)) {
        complain(
            ctx,
            format!(
                "Virtual server {vs}: cannot use ha_suspend with fwmarks - clearing ha_suspend"
            ),
        );
        vs.ha_suspend = false;
    }
    let has_addresses = match group {
        Some(group) => group.addresses().next().is_some(),
        None => !mark,
    };
    if has_addresses {
        by_address(ctx, vs, group.is_some());
    }
    if vs.persistence_timeout == 0
        && group.is_some_and(|g| g.addresses().any(|(first, _)| first.port() == 0))
    {
        zero_port(ctx, vs);
    }
    let only_marks = match group {
        Some(group) => !has_addresses && group.has_marks(),
        None => mark,
    };
    if only_marks && vs.protocol.is_some() {
        complain(
            ctx,
            format!(
                "Warning: Virtual server {vs}: protocol specified for fwmark - protocol will be ignored"
            ),
        );
        vs.protocol = None;
    }
    if vs.scheduler.is_none() {
        complain(
            ctx,
            format!("Virtual server {vs}: no scheduler set, setting default '{DEFAULT_SCHEDULER}'"),
        );
        vs.scheduler = Some(DEFAULT_SCHEDULER);
    }
    let global = &ctx.model.global;
    let alert = vs
        .smtp_alert
        .or(global.smtp_alert_checker)
        .or(global.smtp_alert);
    vs.smtp_alert = Some(alert.unwrap_or(false));
}

fn by_address(ctx: &mut Ctx<'_>, vs: &mut VirtualServer, grouped: bool) {
    if vs.protocol.is_none() {
        complain(
            ctx,
            format!("Virtual server {vs}: no protocol set - defaulting to UDP"),
        );
        vs.protocol = Some(Protocol::Udp);
    }
    if vs.flags.contains(ServiceFlags::ONE_PACKET) && vs.protocol != Some(Protocol::Udp) {
        complain(
            ctx,
            format!("Virtual server {vs}: one packet scheduling requires UDP - resetting"),
        );
        vs.flags.remove(ServiceFlags::ONE_PACKET);
    }
    let port = vs.address().map_or(0, |addr| addr.port());
    if vs.persistence_timeout == 0 && !grouped && port == 0 {
        zero_port(ctx, vs);
    }
}

fn zero_port(ctx: &mut Ctx<'_>, vs: &mut VirtualServer) {
    complain(
        ctx,
        format!("Virtual server {vs}: zero port only valid for persistent services - setting"),
    );
    vs.persistence_timeout = PERSISTENCE_TIMEOUT_DEFAULT;
}

/// Real servers, sorry server, quorum.
fn servers(ctx: &mut Ctx<'_>, vs: &mut VirtualServer) {
    let mut kept: Vec<RealServer> = Vec::with_capacity(vs.real_servers.len());
    let repeated = repeated(&vs.real_servers);
    let mut weight_sum: u32 = 0;
    for (mut rs, repeated) in std::mem::take(&mut vs.real_servers)
        .into_iter()
        .zip(repeated)
    {
        if repeated {
            complain(
                ctx,
                format!(
                    "VS {vs}: real server {} is duplicated - removing second rs",
                    Trio(rs.addr, vs.protocol)
                ),
            );
            continue;
        }
        if rs.forwarding.method.is_none() {
            rs.forwarding = default_forwarding(ctx, vs);
        }
        inherit(ctx, vs, &mut rs);
        // The original's sum is an unsigned int, too.
        weight_sum = weight_sum.wrapping_add(rs.weight.unwrap_or(0));
        same_as_sorry(ctx, vs, &rs);
        kept.push(rs);
    }
    vs.real_servers = kept;
    let sorry = vs.sorry_server.as_ref();
    if sorry.is_some_and(|s| s.forwarding.method.is_none()) {
        let forwarding = default_forwarding(ctx, vs);
        if let Some(sorry) = &mut vs.sorry_server {
            sorry.forwarding = forwarding;
        }
    }
    quorum(ctx, vs, weight_sum);
}

/// The virtual server's forwarding method, NAT if it has none either.
fn default_forwarding(ctx: &mut Ctx<'_>, vs: &mut VirtualServer) -> Forwarding {
    if vs.forwarding.method.is_none() {
        complain(
            ctx,
            format!("Virtual server {vs}: no forwarding method set, setting default NAT"),
        );
        vs.forwarding.method = Some(ForwardingMethod::Nat);
    }
    vs.forwarding
}

fn inherit(ctx: &Ctx<'_>, vs: &VirtualServer, rs: &mut RealServer) {
    rs.alpha.get_or_insert(vs.alpha);
    rs.inhibit.get_or_insert(vs.inhibit);
    rs.weight.get_or_insert(vs.weight);
    rs.connect_timeout.get_or_insert(vs.connect_timeout);
    let times = &mut rs.times;
    times.retry = times.retry.or(vs.times.retry);
    times.delay_loop = times.delay_loop.or(vs.times.delay_loop);
    times.warmup = times.warmup.or(vs.times.warmup);
    times.delay_before_retry = times.delay_before_retry.or(vs.times.delay_before_retry);
    let global = &ctx.model.global;
    let alert = rs
        .smtp_alert
        .or(global.smtp_alert_checker)
        .or(global.smtp_alert);
    // Unlike everywhere else the default is to send mail; the original keeps it for old configurations.
    rs.smtp_alert = Some(alert.unwrap_or(true));
}

fn same_as_sorry(ctx: &mut Ctx<'_>, vs: &mut VirtualServer, rs: &RealServer) {
    let inhibit = rs.inhibit.unwrap_or(false);
    let sorry = vs.sorry_server.as_ref().filter(|s| s.addr == rs.addr);
    let Some(differs) = sorry.map(|s| s.inhibit != inhibit) else {
        return;
    };
    if differs {
        let word = if inhibit { "setting" } else { "clearing" };
        complain(
            ctx,
            format!(
                "Virtual server {vs}: real server {} matches sorry server, but inhibit setting differs, {word} on sorry server",
                Trio(rs.addr, vs.protocol)
            ),
        );
    }
    if let Some(sorry) = &mut vs.sorry_server {
        sorry.inhibit = inhibit;
        sorry.duplicates_real_server = true;
    }
}

fn quorum(ctx: &mut Ctx<'_>, vs: &mut VirtualServer, weight_sum: u32) {
    if vs.quorum > weight_sum {
        complain(
            ctx,
            format!(
                "Warning - quorum {} for {vs} exceeds total weight of real servers {weight_sum}, reducing quorum to {weight_sum}",
                vs.quorum
            ),
        );
        vs.quorum = weight_sum;
    }
    if vs.hysteresis >= vs.quorum {
        complain(
            ctx,
            format!(
                "Virtual server {vs}: hysteresis {} >= quorum {}; setting hysteresis to {}",
                vs.hysteresis,
                vs.quorum,
                vs.quorum.wrapping_sub(1)
            ),
        );
        // With quorum 0 the original's hysteresis wraps around to 4294967295; it must not.
        vs.hysteresis = vs.quorum.saturating_sub(1);
    }
}
