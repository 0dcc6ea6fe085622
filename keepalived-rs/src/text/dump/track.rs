//! Static objects, sockets, sync groups, and everything tracked.

use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::print_address::{AddressState, print_address};
use conf_parsers::keepalived::model::print_route::{InstalledOn, print_route};
use conf_parsers::keepalived::model::print_rule::print_rule;
use conf_parsers::keepalived::model::vrrp::{ParamMatch, Tracked, Trackers};
use conf_parsers::keepalived::sockaddr::Shown;
use net_types::Family;

use super::instance::{notify_script, state_name};
use super::number::fixed;
use super::snapshot::{ScriptActivity, ScriptInit};
use super::{Snapshot, command, line, reverse, truth};

pub(super) fn static_objects(out: &mut String, model: &Model, now: &Snapshot) {
    let v = &model.vrrp;
    if !v.static_addresses.is_empty() {
        line!(out, "------< Static Addresses >------");
        for (index, address) in v.static_addresses.iter().enumerate() {
            let state = now.static_addresses.get(index);
            let configured = address.dev.as_ref().map(|d| &***d);
            let shown = AddressState {
                dev: state.and_then(|s| s.dev.as_deref()).or(configured),
                base_dev: state.and_then(|s| s.base_dev.as_deref()),
                set: state.is_some_and(|s| s.set),
                ..AddressState::default()
            };
            line!(out, "     {}", print_address(address, &shown));
        }
    }
    if !v.static_routes.is_empty() {
        line!(out, "------< Static Routes >------");
        for route in &v.static_routes {
            line!(out, "     {}", print_route(route, InstalledOn::Configured));
        }
    }
    if !v.static_rules.is_empty() {
        line!(out, "------< Static Rules >------");
        for rule in &v.static_rules {
            line!(out, "     {}", print_rule(rule));
        }
    }
    if !v.track_groups.is_empty() {
        line!(out, "------< Static Track groups >------");
        for group in &v.track_groups {
            line!(out, " Static Track Group = {}", &**group.name);
            let members = group.members.as_deref().unwrap_or(&[]);
            if !members.is_empty() {
                line!(out, "   VRRP member instances :");
                for member in members {
                    line!(out, "     {}", &***member);
                }
            }
        }
    }
}

pub(super) fn sockets(out: &mut String, now: &Snapshot) {
    if now.sockets.is_empty() {
        return;
    }
    line!(out, "------< VRRP Sockpool >------");
    for s in &now.sockets {
        line!(out, " fd_in {} fd_out = {}", s.fd_in, s.fd_out);
        line!(out, "   Interface = {}", s.interface);
        if let Some(vrf) = &s.vrf {
            line!(out, "   VRF = {vrf}");
        }
        line!(
            out,
            "   Family = {}",
            if s.family == Family::V6 {
                "IPv6"
            } else {
                "IPv4"
            }
        );
        line!(out, "   Protocol = {}", if s.ah { "AH" } else { "VRRP" });
        line!(
            out,
            "   Type = {}icast",
            if s.unicast_source.is_some() {
                "Un"
            } else {
                "Mult"
            }
        );
        if let Some(address) = s.unicast_source {
            line!(out, "   Address = {}", Shown(address));
        }
        line!(out, "   Rx buf size = {}", s.rx_buffer);
        line!(out, "   VRRP instances");
        for (name, vrid) in &s.instances {
            line!(out, "     {name} vrid {vrid}");
        }
    }
}

pub(super) fn groups(out: &mut String, model: &Model, now: &Snapshot) {
    if model.vrrp.sync_groups.is_empty() {
        return;
    }
    line!(out, "------< VRRP Sync groups >------");
    for (index, g) in model.vrrp.sync_groups.iter().enumerate() {
        let state = now.groups.get(index);
        let name = state.map_or("INIT", |s| state_name(s.state));
        line!(out, " VRRP Sync Group = {}, {name}", &**g.name);
        let (fault, init) = state.map_or((0, 0), |s| (s.members_fault, s.members_init));
        line!(out, "   Num member fault {fault}, num member init {init}");
        let members = g.members.as_deref().unwrap_or(&[]);
        if !members.is_empty() {
            line!(out, "   VRRP member instances :");
            for member in members {
                line!(out, "     {}", &***member);
            }
        }
        if g.tracking_weight {
            line!(out, "   sync group tracking weight set");
        }
        let yes = |v: Option<bool>| if v == Some(true) { "yes" } else { "no" };
        line!(out, "   Using smtp notification = {}", yes(g.smtp_alert));
        if g.notify_priority_changes.is_some() {
            line!(
                out,
                "   Notify priority changes = {}",
                yes(g.notify_priority_changes)
            );
        }
        trackers(out, &g.track.interfaces, &g.track, "process");
        for (kind, script) in [
            ("Backup", &g.notify.backup),
            ("Master", &g.notify.master),
            ("Fault", &g.notify.fault),
            ("Stop", &g.notify.stop),
            ("Generic", &g.notify.any),
        ] {
            notify_script(out, kind, script.as_ref());
        }
    }
}

/// What an instance or group tracks. Groups say "process", instances "processes". The interfaces are those of its own
/// `track_interface`, without those of the group and those that its addresses and routes need.
pub(super) fn trackers(out: &mut String, interfaces: &[Tracked], t: &Trackers, processes: &str) {
    for (what, list, mark) in [
        ("interfaces", interfaces, ""),
        ("scripts", &t.scripts, ""),
        ("files", &t.files, ","),
        (processes, &t.processes, ","),
        ("BFDs", &t.bfds, ":"),
    ] {
        if list.is_empty() {
            continue;
        }
        line!(out, "   Tracked {what} :");
        for tracked in list {
            line!(
                out,
                "     {}{mark} weight {}{}",
                &**tracked.name,
                tracked.weight,
                reverse(tracked.reverse)
            );
        }
    }
}

/// The instances that track something, in the original's order.
fn tracked_by(
    out: &mut String,
    model: &Model,
    name: &str,
    list: for<'t> fn(&'t Trackers) -> &'t [Tracked],
) {
    let found: Vec<_> = model
        .vrrp
        .instances
        .iter()
        .flat_map(|i| {
            list(&i.tracked)
                .iter()
                .filter(|t| &**t.name == name)
                .map(move |t| (i, t))
        })
        .collect();
    if found.is_empty() {
        return;
    }
    line!(out, "   Tracking instances :");
    for (i, t) in found {
        line!(
            out,
            "     {}, weight {}{}",
            &**i.name,
            t.weight,
            reverse(t.reverse)
        );
    }
}

fn script_time(micros: u64) -> String {
    if micros % 1_000_000 == 0 {
        format!("{}", micros / 1_000_000)
    } else {
        format!("{}.{:03}", micros / 1_000_000, micros % 1_000_000 / 1000)
    }
}

pub(super) fn scripts(out: &mut String, model: &Model, now: &Snapshot) {
    if model.vrrp.scripts.is_empty() {
        return;
    }
    line!(out, "------< VRRP Scripts >------");
    for (index, s) in model.vrrp.scripts.iter().enumerate() {
        let state = now.scripts.get(index).copied().unwrap_or_default();
        line!(out, " VRRP Script = {}", &**s.name);
        if let Some(script) = &s.script {
            line!(out, "   Command = {}", command(script, &[]));
            if let Some(path) = &script.path {
                line!(out, "   Path = {path}");
            }
        }
        line!(out, "   Interval = {} sec", script_time(s.interval));
        line!(out, "   Timeout = {} sec", script_time(s.timeout));
        line!(out, "   Weight = {}{}", s.weight, reverse(s.reverse));
        line!(out, "   Rise = {}", s.rise);
        line!(out, "   Fall = {}", s.fall);
        line!(out, "   Result = {}", state.result);
        line!(
            out,
            "   Insecure = {}",
            if state.insecure { "yes" } else { "no" }
        );
        let init = match state.init {
            ScriptInit::Init => "INIT",
            ScriptInit::Failed => "INIT/FAILED",
            ScriptInit::InitReload => "INIT/RELOAD",
            // The original has no word for a script that ran.
            ScriptInit::Done => "unknown",
        };
        line!(out, "   Init state = {init}");
        let good = u32::try_from(state.result).is_ok_and(|r| r >= s.rise);
        line!(out, "   Status = {}", if good { "GOOD" } else { "BAD" });
        let (uid, gid) = s.script.as_ref().map_or((0, 0), |s| (s.uid, s.gid));
        line!(out, "   Script uid:gid = {uid}:{gid}");
        line!(out, "   VRRP instances :");
        tracked_by(out, model, &s.name, |t| &t.scripts);
        let activity = match state.activity {
            ScriptActivity::Idle => "idle",
            ScriptActivity::Running => "running",
            ScriptActivity::Terminating => "requested termination",
            ScriptActivity::Killing => "forcing termination",
        };
        line!(out, "   State = {activity}");
    }
}

pub(super) fn files(out: &mut String, model: &Model, now: &Snapshot) {
    if model.vrrp.track_files.is_empty() {
        return;
    }
    line!(out, "------< VRRP Track files >------");
    for (index, f) in model.vrrp.track_files.iter().enumerate() {
        line!(out, " Track file = {}", &**f.name);
        line!(out, "   File = {}", f.path.as_ref().map_or("", |p| &**p));
        line!(
            out,
            "   Status = {}",
            now.track_files.get(index).copied().unwrap_or(0)
        );
        line!(out, "   Weight = {}{}", f.weight, reverse(f.reverse));
        tracked_by(out, model, &f.name, |t| &t.files);
    }
}

pub(super) fn processes(out: &mut String, model: &Model, now: &Snapshot) {
    if model.vrrp.track_processes.is_empty() {
        return;
    }
    line!(out, "------< VRRP Track processes >------");
    for (index, p) in model.vrrp.track_processes.iter().enumerate() {
        let state = now.track_processes.get(index).copied().unwrap_or_default();
        line!(out, " VRRP Track process = {}", &**p.name);
        line!(out, "   Process = {}", p.path.as_ref().map_or("", |p| &**p));
        if !p.params.is_empty() {
            line!(out, "   Parameters = {}", p.params.join(" "));
        }
        match p.param_match {
            ParamMatch::None => {}
            ParamMatch::Exact => line!(out, "   Param match"),
            ParamMatch::Partial => line!(out, "   Param match = partial"),
            ParamMatch::Initial => line!(out, "   Param match = initial"),
        }
        line!(out, "   Min processes = {}", p.quorum);
        if p.quorum_max < u32::MAX {
            line!(out, "   Max processes = {}", p.quorum_max);
        }
        line!(out, "   Current processes = {}", state.current);
        line!(out, "   Have quorum = {}", truth(state.have_quorum));
        line!(out, "   Weight = {}{}", p.weight, reverse(p.reverse));
        line!(
            out,
            "   Terminate delay = {}s",
            fixed(u64::from(p.terminate_delay))
        );
        line!(out, "   Fork delay = {}s", fixed(u64::from(p.fork_delay)));
        if !now.configuration_only {
            let running = |v: bool| if v { "" } else { "not " };
            line!(
                out,
                "   Fork delay timer {}running",
                running(state.fork_timer)
            );
            line!(
                out,
                "   Terminate delay timer {}running",
                running(state.terminate_timer)
            );
        }
        line!(out, "   Full command = {}", truth(p.full_command));
        tracked_by(out, model, &p.name, |t| &t.processes);
    }
}

pub(super) fn bfds(out: &mut String, model: &Model, now: &Snapshot) {
    if model.bfd.tracked.is_empty() || now.bfds.is_empty() {
        return;
    }
    line!(out, "------< VRRP Track BFDs >------");
    for (index, b) in model.bfd.tracked.iter().enumerate() {
        line!(out, " VRRP Track BFD = {}", &**b.name);
        let up = now.bfds.get(index).copied().unwrap_or(false);
        line!(out, "   Weight = {}{}", b.weight, reverse(b.reverse));
        line!(out, "   Bfd is {}", if up { "up" } else { "down" });
        line!(out, "   Tracking VRRP instances :");
        tracked_by(out, model, &b.name, |t| &t.bfds);
    }
}
