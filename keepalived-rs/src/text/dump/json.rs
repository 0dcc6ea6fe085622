//! keepalived.json. Written without blanks in the original's order of keys; `/` is escaped as the original does.

use std::fmt::Write as _;

use conf_parsers::keepalived::model::print_address::print_address;
use conf_parsers::keepalived::model::print_route::{InstalledOn, print_route};
use conf_parsers::keepalived::model::print_rule::print_rule;
use conf_parsers::keepalived::model::vrrp::{ParamMatch, TrackProcess};
use conf_parsers::keepalived::model::vrrp_instance::{AuthType, VrrpInstance};
use conf_parsers::keepalived::model::{Model, Script};
use vrrp_proto::stats::Stats;

use super::instance::{MASKED, address_state};
use super::number::{fixed, seconds};
use super::snapshot::{InstanceNow, ProcessTrackNow};
use super::{Snapshot, command};

/// The whole file, or none when there is no instance (the original then writes no file).
pub fn json(model: &Model, now: &Snapshot) -> Option<String> {
    if model.vrrp.instances.is_empty() {
        return None;
    }
    let mut w = Writer {
        out: String::with_capacity(2048),
    };
    let version2 = model.global.json_version == 2;
    if version2 {
        w.open('{');
        w.name("vrrp");
    }
    w.open('[');
    for (instance, state) in model.vrrp.instances.iter().zip(&now.instances) {
        w.next();
        w.open('{');
        data(&mut w, model, instance, state);
        stats(&mut w, &state.stats, instance.auth_hmac.is_some());
        w.close('}');
    }
    w.close(']');
    if version2 {
        if !model.vrrp.track_processes.is_empty() {
            w.name("track_process");
            w.open('[');
            for (index, process) in model.vrrp.track_processes.iter().enumerate() {
                w.next();
                let state = now.track_processes.get(index).copied().unwrap_or_default();
                track_process(&mut w, process, state);
            }
            w.close(']');
        }
        w.close('}');
    }
    w.out.push('\n');
    Some(w.out)
}

struct Writer {
    out: String,
}

impl Writer {
    fn next(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with(['{', '[', ':']) {
            self.out.push(',');
        }
    }
    fn open(&mut self, bracket: char) {
        self.out.push(bracket);
    }
    fn close(&mut self, bracket: char) {
        self.out.push(bracket);
    }
    fn name(&mut self, name: &str) {
        self.next();
        self.quoted(name);
        self.out.push(':');
    }
    fn number(&mut self, name: &str, value: impl std::fmt::Display) {
        self.name(name);
        let _ = write!(self.out, "{value}");
    }
    fn string(&mut self, name: &str, value: &str) {
        self.name(name);
        self.quoted(value);
    }
    fn flag(&mut self, name: &str, value: bool) {
        self.number(name, u8::from(value));
    }
    fn strings(&mut self, name: &str, values: impl Iterator<Item = String>) {
        let mut values = values.peekable();
        if values.peek().is_none() {
            return;
        }
        self.name(name);
        self.open('[');
        for value in values {
            self.next();
            self.quoted(&value);
        }
        self.close(']');
    }
    /// The original writes a backslash as `\n`; readers then see a line end in its place. Ours is a backslash.
    fn quoted(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '\t' => self.out.push_str("\\t"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\x0c' => self.out.push_str("\\f"),
                '\x08' => self.out.push_str("\\b"),
                '\\' => self.out.push_str("\\\\"),
                '"' => self.out.push_str("\\\""),
                '/' => self.out.push_str("\\/"),
                c if c < ' ' => {
                    let _ = write!(self.out, "\\u{:04x}", u32::from(c));
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

fn data(w: &mut Writer, model: &Model, i: &VrrpInstance, now: &InstanceNow) {
    w.name("data");
    w.open('{');
    w.string("iname", &i.name);
    w.flag("dont_track_primary", i.dont_track_primary);
    w.flag("skip_check_adv_addr", i.skip_check_adv_addr);
    w.flag("strict_mode", i.is_strict());
    w.string("vmac_ifname", i.vmac_name().unwrap_or(""));
    if let Some(name) = i.vmac_name().or(i.interface.as_ref().map(|n| &***n)) {
        w.string("ifp_ifname", name);
    }
    w.number("master_priority", now.master_priority);
    w.number("last_transition", fixed(now.last_transition.0));
    w.number("garp_delay", seconds(u64::from(i.garp_delay)));
    w.number("garp_refresh", i.garp_refresh);
    w.number("garp_rep", i.garp_repeat);
    w.number("garp_refresh_rep", i.garp_refresh_repeat);
    w.number(
        "garp_lower_prio_delay",
        i.garp_lower_prio_delay.unwrap_or(0) / 1_000_000,
    );
    w.number("garp_lower_prio_rep", i.garp_lower_prio_repeat.unwrap_or(0));
    w.flag(
        "lower_prio_no_advert",
        i.lower_prio_no_advert.unwrap_or(false),
    );
    w.flag(
        "higher_prio_send_advert",
        i.higher_prio_send_advert.unwrap_or(false),
    );
    w.number("vrid", i.vrid.unwrap_or(0));
    w.number("base_priority", i.priority.unwrap_or(0));
    w.number("effective_priority", now.effective_priority);
    w.number("vipset", now.vip_set);
    w.number("promote_secondaries", i.promote_secondaries);
    w.number("adver_int", seconds(u64::from(i.advert_int.unwrap_or(0))));
    w.number("master_adver_int", seconds(now.master_interval));
    w.flag("accept", i.accept.unwrap_or(true));
    w.number("nopreempt", i.nopreempt);
    w.number("preempt_delay", i.preempt_delay / 1_000_000);
    w.number("state", now.state.number());
    w.number("wantstate", now.wanted.number());
    w.number("version", i.version.map_or(2, |v| v.number()));
    w.number("smtp_alert", i.smtp_alert.unwrap_or(false));
    w.number("notify_deleted", i.notify_deleted);
    for (name, script) in [
        ("script_backup", &i.notify.backup),
        ("script_master", &i.notify.master),
        ("script_fault", &i.notify.fault),
        ("script_stop", &i.notify.stop),
        ("script_deleted", &i.notify_deleted_script),
        ("script", &i.notify.any),
        ("script_master_rx_lower_pri", &i.notify_master_rx_lower_pri),
    ] {
        if let Some(script) = script {
            w.string(name, &command(script, &[]));
        }
    }
    for (name, addresses, states) in [
        ("vips", &i.vips, &now.vips),
        ("evips", &i.evips, &now.evips),
    ] {
        let lines = addresses
            .iter()
            .enumerate()
            .map(|(n, a)| print_address(a, &address_state(i, a, states.get(n))));
        w.strings(name, lines);
    }
    w.strings(
        "vroutes",
        i.routes
            .iter()
            .map(|r| print_route(r, InstalledOn::Configured)),
    );
    w.strings("vrules", i.rules.iter().map(print_rule));
    w.strings(
        "track_ifp",
        i.track.interfaces.iter().map(|t| t.name.to_string()),
    );
    let scripts = i.tracked.scripts.iter().map(|t| {
        let script: Option<&Script> = model.vrrp.script(&t.name).and_then(|s| s.script.as_ref());
        script.map_or_else(|| t.name.to_string(), |s| command(s, &[]))
    });
    w.strings("track_script", scripts);
    w.strings(
        "track_process",
        i.tracked.processes.iter().map(|t| t.name.to_string()),
    );
    w.number("auth_type", auth_number(i.auth_type));
    if i.auth_type != AuthType::None {
        w.string("auth_data", MASKED);
    }
    w.close('}');
}

/// Authentication type as on the wire.
const fn auth_number(kind: AuthType) -> u8 {
    match kind {
        AuthType::None => 0,
        AuthType::Pass => 1,
        AuthType::Ah => 2,
    }
}

fn stats(w: &mut Writer, s: &Stats, signed: bool) {
    w.name("stats");
    w.open('{');
    w.number("advert_rcvd", s.advert_rcvd);
    w.number("advert_sent", s.advert_sent);
    w.number("become_master", s.become_master);
    w.number("release_master", s.release_master);
    w.number("packet_len_err", s.packet_len_err);
    w.number("advert_interval_err", s.advert_interval_err);
    w.number("ip_ttl_err", s.ip_ttl_err);
    w.number("invalid_type_rcvd", s.invalid_type_rcvd);
    w.number("addr_list_err", s.addr_list_err);
    w.number("invalid_authtype", s.invalid_authtype);
    w.number("authtype_mismatch", s.authtype_mismatch);
    w.number("auth_failure", s.auth_failure);
    if signed {
        w.number("auth_ext_missing", s.auth_ext_missing);
        w.number("auth_ext_malformed", s.auth_ext_malformed);
        w.number("auth_ext_unknown_key", s.auth_ext_unknown_key);
        w.number("auth_ext_invalid_hmac", s.auth_ext_invalid_hmac);
        w.number("auth_ext_stale", s.auth_ext_stale);
        w.number("auth_ext_replay", s.auth_ext_replay);
    }
    w.number("pri_zero_rcvd", s.pri_zero_rcvd);
    w.number("pri_zero_sent", s.pri_zero_sent);
    w.close('}');
}

fn track_process(w: &mut Writer, p: &TrackProcess, now: ProcessTrackNow) {
    w.open('{');
    w.string("process", &p.name);
    if !p.params.is_empty() {
        w.string("parameters", &p.params.join(" "));
    }
    let kind = match p.param_match {
        ParamMatch::None => "none",
        ParamMatch::Exact => "exact",
        ParamMatch::Partial => "partial",
        ParamMatch::Initial => "initial",
    };
    w.string("param_match", kind);
    w.number("min_processes", p.quorum);
    if p.quorum_max != u32::MAX {
        w.number("max_processes", p.quorum_max);
    }
    w.number("current_processes", now.current);
    w.number("have_quorum", now.have_quorum);
    w.number(
        "weight",
        if p.reverse {
            -i32::from(p.weight)
        } else {
            i32::from(p.weight)
        },
    );
    w.number("terminate_delay", seconds(u64::from(p.terminate_delay)));
    w.number("fork_delay", seconds(u64::from(p.fork_delay)));
    w.number("fork_delay_timer_running", now.fork_timer);
    w.number("terminate_delay_timer_running", now.terminate_timer);
    w.number("full_command", p.full_command);
    w.close('}');
}
