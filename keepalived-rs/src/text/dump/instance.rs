//! `VRRP Topology`.

use std::net::IpAddr;

use conf_parsers::keepalived::model::address::Address;
use conf_parsers::keepalived::model::print_address::{AddressState, print_address};
use conf_parsers::keepalived::model::print_route::{InstalledOn, print_route};
use conf_parsers::keepalived::model::print_rule::print_rule;
use conf_parsers::keepalived::model::vrrp_instance::{
    AuthHmac, AuthType, HmacMode, IpvlanKind, OldUnicastChecksum, Version, VrrpInstance, WantState,
};
use conf_parsers::keepalived::model::{Model, Script};
use conf_parsers::keepalived::sockaddr::Shown;
use net_types::Family;
use vrrp_proto::State;

use super::number::{date, fixed, seconds};
use super::snapshot::{AddressNow, InstanceNow};
use super::track::trackers;
use super::{Snapshot, command, line, truth};

/// The section.
pub(super) fn instances(out: &mut String, model: &Model, now: &Snapshot) {
    if model.vrrp.instances.is_empty() {
        return;
    }
    line!(out, "------< VRRP Topology >------");
    let nothing = InstanceNow::default();
    for (index, i) in model.vrrp.instances.iter().enumerate() {
        let state = now.instances.get(index).unwrap_or(&nothing);
        instance(out, model, i, state, !now.configuration_only);
    }
}

/// Name of a state.
pub(crate) const fn state_name(state: State) -> &'static str {
    match state {
        State::Init => "INIT",
        State::Backup => "BACKUP",
        State::Master => "MASTER",
        State::Fault => "FAULT",
        State::Stop => "STOP",
    }
}

const fn enabled(value: bool) -> &'static str {
    if value { "enabled" } else { "disabled" }
}

/// Instead of a password, whatever its length: dumps end up in support tickets (as in 2.4.0; 2.3.3 shows it).
pub(super) const MASKED: &str = "********";

/// `auth_hmac`, without its keys (2.4.3).
fn auth_hmac(out: &mut String, hmac: &AuthHmac) {
    let (keys, active) = (hmac.keys.len(), hmac.active_key);
    line!(out, "   Authentication extension = HMAC-SHA256-128");
    line!(out, "     Keys = {keys}, active key id = {active}");
    let mode = match hmac.mode {
        HmacMode::Enforce => "enforce",
        HmacMode::Permissive => "permissive",
        HmacMode::ReceiveOnly => "receive-only",
    };
    line!(out, "     Mode = {mode}");
    match hmac.time_window {
        Some(window) if !hmac.monotonic => {
            line!(out, "     Anti replay = time, window = {window} sec");
        }
        _ => line!(out, "     Anti replay = monotonic"),
    }
}

/// What the printer of addresses needs to know.
pub(super) fn address_state<'a>(
    i: &'a VrrpInstance,
    address: &'a Address,
    now: Option<&'a AddressNow>,
) -> AddressState<'a> {
    AddressState {
        dev: now
            .and_then(|n| n.dev.as_deref())
            .or_else(|| i.address_interface(address)),
        base_dev: now.and_then(|n| n.base_dev.as_deref()),
        scope: None,
        set: now.is_some_and(|n| n.set),
        iptables_set: false,
        nftables_set: now.is_some_and(|n| n.nftables_set),
    }
}

fn instance(out: &mut String, model: &Model, i: &VrrpInstance, now: &InstanceNow, passing: bool) {
    let version3 = i.version == Some(Version::V3);
    line!(out, " VRRP Instance = {}", &**i.name);
    line!(
        out,
        "   VRRP Version = {}",
        i.version.map_or(2, Version::number)
    );
    if let Some(group) = i.sync_group.and_then(|g| model.vrrp.sync_groups.get(g)) {
        line!(out, "   Sync group = {}", &**group.name);
    }
    if i.family == Some(Family::V6) {
        line!(out, "   Using Native IPv6");
    }
    if passing {
        state(out, i, now, version3);
    }
    let wanted = i.state.map_or("BACKUP", |s| {
        if s == WantState::Master {
            "MASTER"
        } else {
            "BACKUP"
        }
    });
    flags(out, i);
    line!(
        out,
        "   Wantstate = {}",
        if now.wanted == State::Init {
            wanted
        } else {
            state_name(now.wanted)
        }
    );
    line!(out, "   Number of config faults = {}", i.config_faults);
    if passing {
        progress(out, i, now);
    }
    interface(out, i, now);
    timing(out, i, now, version3, passing);
    security(out, i, version3);
    if !i.vips.is_empty() {
        line!(out, "   Virtual IP ({}):", i.vips.len());
        addresses(out, i, &i.vips, &now.vips);
    }
    if !i.evips.is_empty() {
        line!(out, "   Virtual IP Excluded :");
        addresses(out, i, &i.evips, &now.evips);
    }
    if i.unicast {
        unicast(out, i, now);
    }
    match now.sockets {
        Some((fd_in, fd_out)) => line!(out, "   fd_in {fd_in}, fd_out {fd_out}"),
        None => line!(out, "   No sockets allocated"),
    }
    if !i.routes.is_empty() {
        line!(out, "   Virtual Routes :");
        for route in &i.routes {
            line!(out, "     {}", print_route(route, InstalledOn::Configured));
        }
    }
    if !i.rules.is_empty() {
        line!(out, "   Virtual Rules :");
        for rule in &i.rules {
            line!(out, "     {}", print_rule(rule));
        }
    }
    trackers(out, &i.track.interfaces, &i.tracked, "processes");
    line!(
        out,
        "   Using smtp notification = {}",
        if i.smtp_alert == Some(true) {
            "yes"
        } else {
            "no"
        }
    );
    line!(
        out,
        "   Notify deleted = {}",
        if i.notify_deleted { "Deleted" } else { "Fault" }
    );
    for (kind, script) in [
        ("Backup", &i.notify.backup),
        ("Master", &i.notify.master),
        ("Fault", &i.notify.fault),
        ("Stop", &i.notify.stop),
        ("Deleted", &i.notify_deleted_script),
        ("Generic", &i.notify.any),
        ("Master rx lower pri", &i.notify_master_rx_lower_pri),
    ] {
        notify_script(out, kind, script.as_ref());
    }
    line!(
        out,
        "   Notify priority changes = {}",
        truth(i.notify_priority_changes == Some(true))
    );
}

/// A notify script's line, if there is one.
pub(super) fn notify_script(out: &mut String, kind: &str, script: Option<&Script>) {
    let Some(s) = script else { return };
    let shown = command(s, &[]);
    let account = format!("uid:gid {}:{}", s.uid, s.gid);
    match &s.path {
        Some(path) => line!(
            out,
            "   {kind} state transition script = {path}, params = {shown}, {account}"
        ),
        None => line!(
            out,
            "   {kind} state transition script = {shown}, {account}"
        ),
    }
}

fn state(out: &mut String, i: &VrrpInstance, now: &InstanceNow, version3: bool) {
    line!(out, "   State = {}", state_name(now.state));
    if now.state == State::Backup {
        line!(
            out,
            "   Master router = {}",
            now.master
                .map_or_else(|| "(none)".to_owned(), |a| Shown(a).to_string())
        );
        line!(out, "   Master priority = {}", now.master_priority);
        if version3 {
            line!(
                out,
                "   Master advert interval = {} milli-sec",
                now.master_interval / 1000
            );
        }
    } else if now.state == State::Master && i.is_owner() {
        line!(out, "   Rogue master counter = 0");
        line!(out, "   Roger timer thread = (nil)");
    }
}

fn flags(out: &mut String, i: &VrrpInstance) {
    let mut words = Vec::new();
    if i.unicast {
        let more = if i.unicast_duplicate_vrid {
            " with VRID duplication"
        } else {
            ""
        };
        words.push(format!("Using unicast{more}"));
    } else if i.unicast_configured {
        words.push("Unicast config option specified but using multicast".to_owned());
    }
    if i.unicast_fault_no_peer {
        words.push("If unicast go to fault state if no peers".to_owned());
    }
    // Any of these sets the word without a line of its own.
    let silent = i.vmac.is_some()
        || i.ipvlan.is_some()
        || i.vmac_addr
        || i.vmac_xmit_base
        || i.nopreempt
        || i.dont_track_primary
        || i.skip_check_adv_addr
        || i.allow_no_vips
        || i.source_configured
        || i.track_source
        || i.promote_secondaries
        || i.v3_checksum_as_v2
        || i.check_unicast_src;
    if words.is_empty() && !silent {
        line!(out, "   Flags: none");
        return;
    }
    line!(out, "   Flags:");
    for word in words {
        line!(out, "     {word}");
    }
}

/// What holds it down, when it changed and what it waits for.
fn progress(out: &mut String, i: &VrrpInstance, now: &InstanceNow) {
    faults(out, i, now);
    line!(
        out,
        "   Number of track scripts init = {}",
        now.scripts_init
    );
    let at = now.last_transition;
    line!(out, "   Last transition = {} ({})", fixed(at.0), date(at));
    match now.deadline {
        None => line!(out, "   Read timeout = DISABLED"),
        Some(at) => line!(out, "   Read timeout = {} ({})", fixed(at.0), date(at)),
    }
    line!(out, "   Master down timer = {} usecs", now.master_down);
}

fn faults(out: &mut String, i: &VrrpInstance, now: &InstanceNow) {
    let f = &now.faults;
    line!(out, "   Number of tracker faults = {}", f.trackers);
    let reasons = [
        (f.tracker, "unspecified"),
        (f.interface_down, "i/f down"),
        (f.base_interface_down, "base i/f down"),
        (f.duplicate_vrid, "duplicate VRID"),
        (f.no_source, "no source IP address"),
        (f.config, "config error"),
    ];
    if reasons.iter().all(|r| !r.0) {
        line!(out, "   Flags of interface faults - (none)");
    } else {
        line!(out, "   Flags of interface faults:");
        for (_, text) in reasons.iter().filter(|r| r.0) {
            line!(out, "     {text}");
        }
    }
    if f.duplicate_vrid || i.duplicate_vrid {
        line!(out, "   Duplicate VRID");
    }
}

fn interface(out: &mut String, i: &VrrpInstance, now: &InstanceNow) {
    let own = i.interface.as_ref().map_or("not configured", |n| &**n);
    let mut above = None;
    if let Some(vmac) = &i.vmac {
        let name = i.vmac_name().unwrap_or("");
        let (up, base) = (truth(now.vmac_up), truth(i.vmac_xmit_base));
        line!(
            out,
            "   Use VMAC, i/f name {name}, is_up = {up}, xmit_base = {base}"
        );
        if let Some(mac) = vmac.mac {
            let end = if vmac.mac_ends_with_vrid {
                " (using VRID)"
            } else {
                ""
            };
            line!(out, "     MAC = {mac}{end}");
        }
        above = Some("vmac");
    } else if let Some(ipvlan) = &i.ipvlan {
        let name = i.vmac_name().unwrap_or("");
        let address = ipvlan.address.map_or(String::new(), |a| {
            format!(", i/f address = {}/{}", Shown(a.addr), a.len)
        });
        let kind = match ipvlan.kind {
            IpvlanKind::Bridge => "bridge",
            IpvlanKind::Private => "private",
            IpvlanKind::Vepa => "vepa",
        };
        line!(
            out,
            "   Use IPVLAN, i/f {name}, is_up = {}{address}, type {kind}",
            truth(now.vmac_up)
        );
        above = Some("ipvlan");
    }
    if i.vmac.as_ref().is_some_and(|v| v.netlink_notify) {
        line!(out, "     Force netlink update for base interface");
    }
    if i.vmac_addr {
        line!(out, "     Use VMAC for VIPs on other interfaces");
    }
    let group = i
        .vmac
        .as_ref()
        .and_then(|v| v.group)
        .or_else(|| i.ipvlan.as_ref().and_then(|v| v.group));
    if let Some(group) = group {
        line!(out, "     Interface group {group}");
    }
    match (above, i.vmac_name()) {
        // One that was never made is an interface like any other.
        (Some(_), Some(name)) if !now.vmac_up => line!(out, "   Interface = {name}"),
        (Some(kind), Some(name)) => {
            let base = if i.vmac_xmit_base {
                ", xmit base i/f"
            } else {
                ""
            };
            line!(out, "   Interface = {name}, {kind} on {own}{base}");
        }
        _ => line!(out, "   Interface = {own}"),
    }
    if let Some(vrf) = &i.vrf {
        line!(out, "   VRF = {}", &***vrf);
    }
    for (set, text) in [
        (i.dont_track_primary, "VRRP interface tracking disabled"),
        (i.skip_check_adv_addr, "Skip checking advert IP addresses"),
        (i.allow_no_vips, "Suppress no VIPs warning"),
        (i.is_strict(), "Enforcing strict VRRP compliance"),
    ] {
        if set {
            line!(out, "   {text}");
        }
    }
    let source = now.source.or(i.source.map(|s| s.value));
    let shown = source.map_or("(none)".to_owned(), |a| Shown(a).to_string());
    let from = if i.source_configured {
        " (from configuration)"
    } else {
        ""
    };
    line!(out, "   Using src_ip = {shown}{from}");
    if !i.unicast {
        match i.group_address {
            Some(a @ IpAddr::V6(_)) => line!(
                out,
                "   Multicast address {}, ifindex {}",
                Shown(a),
                now.ifindex
            ),
            Some(a) => line!(out, "   Multicast address {}", Shown(a)),
            None => {}
        }
    }
}

fn timing(out: &mut String, i: &VrrpInstance, now: &InstanceNow, version3: bool, passing: bool) {
    line!(
        out,
        "   Gratuitous ARP delay = {}",
        i.garp_delay / 1_000_000
    );
    line!(out, "   Gratuitous ARP repeat = {}", i.garp_repeat);
    line!(out, "   Gratuitous ARP refresh = {}", i.garp_refresh);
    line!(
        out,
        "   Gratuitous ARP refresh repeat = {}",
        i.garp_refresh_repeat
    );
    line!(
        out,
        "   Gratuitous ARP lower priority delay = {}",
        i.garp_lower_prio_delay.unwrap_or(0) / 1_000_000
    );
    line!(
        out,
        "   Gratuitous ARP lower priority repeat = {}",
        i.garp_lower_prio_repeat.unwrap_or(0)
    );
    line!(out, "   Down timer adverts = {}", i.down_timer_adverts);
    if let Some(interval) = i.garp_extra_if.filter(|s| *s > 0) {
        let on = if i.garp_extra_all { "i/f" } else { "VMAC" };
        line!(
            out,
            "   Gratuitous ARP for each secondary {on} = {interval}"
        );
    }
    line!(
        out,
        "   Send advert after receive lower priority advert = {}",
        truth(i.lower_prio_no_advert != Some(true))
    );
    line!(
        out,
        "   Send advert after receive higher priority advert = {}",
        truth(i.higher_prio_send_advert == Some(true))
    );
    if i.is_owner() {
        line!(
            out,
            "   Address owner ignores received adverts = {}",
            truth(i.owner_ignore_adverts == Some(true))
        );
    }
    line!(out, "   Virtual Router ID = {}", i.vrid.unwrap_or(0));
    line!(out, "   Priority = {}", i.priority.unwrap_or(0));
    if passing {
        line!(out, "   Effective priority = {}", now.effective_priority);
        line!(out, "   Total priority = {}", now.total_priority);
    }
    if i.nopreempt {
        line!(
            out,
            "   Highest other priority = {}",
            now.highest_other_priority
        );
    }
    let interval = i.advert_int.unwrap_or(0);
    if version3 {
        line!(out, "   Advert interval = {} milli-sec", interval / 1000);
    } else {
        line!(out, "   Advert interval = {} sec", interval / 1_000_000);
    }
    line!(out, "   Last advert sent = {}", fixed(now.last_advert.0));
}

fn security(out: &mut String, i: &VrrpInstance, version3: bool) {
    line!(out, "   Accept = {}", enabled(i.accept != Some(false)));
    line!(out, "   Preempt = {}", enabled(!i.nopreempt));
    if i.preempt_delay > 0 {
        line!(
            out,
            "   Preempt delay = {} secs",
            seconds(u64::from(i.preempt_delay))
        );
    }
    line!(
        out,
        "   Promote_secondaries = {}",
        enabled(i.promote_secondaries)
    );
    match i.auth_type {
        AuthType::Ah => line!(out, "   Authentication type = IPSEC_AH"),
        AuthType::Pass => {
            line!(out, "   Authentication type = SIMPLE_PASSWORD");
            line!(out, "   Password = {MASKED}");
        }
        AuthType::None if !version3 => line!(out, "   Authentication type = none"),
        AuthType::None => {}
    }
    if let Some(hmac) = &i.auth_hmac {
        auth_hmac(out, hmac);
    }
    if version3 && i.family != Some(Family::V6) {
        line!(
            out,
            "   VRRPv3 uses VRRPv2 checksum = {}",
            enabled(i.v3_checksum_as_v2)
        );
    }
    if i.kernel_rx_buf_size > 0 {
        line!(out, "   Kernel rx buffer size = {}", i.kernel_rx_buf_size);
    }
    if i.debug > 0 {
        line!(out, "   Debug level = {}", i.debug);
    }
}

fn addresses(out: &mut String, i: &VrrpInstance, list: &[Address], now: &[AddressNow]) {
    for (index, address) in list.iter().enumerate() {
        line!(
            out,
            "     {}",
            print_address(address, &address_state(i, address, now.get(index)))
        );
    }
}

fn unicast(out: &mut String, i: &VrrpInstance, now: &InstanceNow) {
    if let Some(ttl) = i.ttl {
        line!(out, "   Unicast TTL = {ttl}");
    }
    line!(
        out,
        "   Check unicast src : {}",
        if i.check_unicast_src { "yes" } else { "no" }
    );
    line!(out, "   Unicast Peer :");
    for peer in &i.unicast_peers {
        line!(
            out,
            "     {} min_ttl {} max_ttl {}",
            Shown(peer.address.value),
            peer.min_ttl,
            peer.max_ttl
        );
    }
    let compatibility = match i.old_unicast_checksum {
        OldUnicastChecksum::Never => "never",
        OldUnicastChecksum::Always => "config",
        OldUnicastChecksum::Automatic if now.old_checksum_detected => "auto",
        OldUnicastChecksum::Automatic => "no",
    };
    line!(out, "   Unicast checksum compatibility = {compatibility}");
}
