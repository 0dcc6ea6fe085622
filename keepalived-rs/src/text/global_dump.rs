//! The global definitions as data dumps show them (`------< Global definitions >------`).
//!
//! Answers to: keepalived-behaviour.md section 6, keepalived 2.3.3 core/global_data.c. Left out is the line `libnftnl version …`: there
//! is no such library here.

use std::fmt::Write as _;

use conf_parsers::keepalived::model::global::{
    DefaultAccount, Fifo, FlushOnStop, ProcessOptions, ReceiveBuffer,
};
use conf_parsers::keepalived::model::{Global, Script};

use crate::parent::command;

/// Value of a counter that was not set, as the C program prints it.
const UNSET: u32 = u32::MAX;
/// The interface that instances use which name none.
const DEFAULT_INTERFACE: &str = "eth0";

/// Lines of a dump.
#[derive(Default)]
struct Dump(String);

impl Dump {
    /// ` key = value`
    fn set(&mut self, key: &str, value: impl std::fmt::Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, " {key} = {value}");
    }

    /// ` key = value`, if there is a value.
    fn maybe(&mut self, key: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// ` text`
    fn line(&mut self, text: impl std::fmt::Display) {
        let _ = writeln!(self.0, " {text}");
    }
}

const fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

const fn enabled(value: bool) -> &'static str {
    if value { "enabled" } else { "disabled" }
}

const fn on_off(value: Option<bool>) -> &'static str {
    match value {
        None => "unset",
        Some(true) => "on",
        Some(false) => "off",
    }
}

/// Seconds with six decimals.
fn decimal(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// Seconds with as few decimals as possible.
fn short_decimal(micros: u64) -> String {
    let text = decimal(micros);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The definitions. `vrrp_process` is true in the dump of the VRRP child, which knows its interfaces; `umask` is the mask in force.
pub fn global_dump(global: &Global, vrrp_process: bool, umask: u32) -> String {
    let mut out = Dump("------< Global definitions >------\n".to_owned());
    names_and_mail(&mut out, global);
    life(&mut out, global);
    lvs(&mut out, global, vrrp_process);
    for (fifo, kind) in [
        (&global.notify_fifo, "Global"),
        (&global.vrrp_notify_fifo, "VRRP"),
        (&global.lvs_notify_fifo, "LVS"),
    ] {
        dump_fifo(&mut out, fifo, kind);
    }
    vrrp(&mut out, global);
    firewall(&mut out, global);
    out.set("VRRP check unicast_src", global.vrrp_check_unicast_src);
    out.set(
        "VRRP skip check advert addresses",
        global.vrrp_skip_check_adv_addr,
    );
    out.set("VRRP strict mode", global.vrrp_strict);
    processes(&mut out, global);
    snmp_and_dbus(&mut out, global);
    scripts(&mut out, global);
    buffers(&mut out, global);
    out.set("umask", format_args!("0{umask:o}"));
    rest(&mut out, global);
    out.0
}

fn names_and_mail(out: &mut Dump, g: &Global) {
    out.maybe("Config save dir", g.config_save_dir.as_ref());
    out.set(
        "Network namespace",
        g.net_namespace.as_deref().unwrap_or("(default)"),
    );
    out.set(
        "Network namespace ipvs",
        match g.net_namespace_ipvs.as_deref() {
            None => "(main namespace)",
            Some("") => "(default)",
            Some(name) => name,
        },
    );
    out.maybe("Instance name", g.instance.as_ref());
    out.maybe("Parent process name", g.process_name.as_ref());
    out.maybe("VRRP process name", g.vrrp.name.as_ref());
    out.maybe("LVS process name", g.checker.name.as_ref());
    out.maybe("BFD process name", g.bfd.name.as_ref());
    let symlinks = if g.use_symlink_paths {
        "Keep"
    } else {
        "Replace"
    };
    out.line(format_args!("{symlinks} symlinks in script paths"));
    out.maybe("Router ID", g.router_id.as_ref());
    if let Some(server) = g.smtp_server {
        out.set("Smtp server", server.ip());
        out.set("Smtp server port", server.port());
    }
    out.maybe("Smtp HELO name", g.smtp_helo_name.as_ref());
    if g.smtp_connect_timeout > 0 {
        out.set(
            "Smtp server connection timeout",
            g.smtp_connect_timeout / 1_000_000,
        );
    }
    if let Some(from) = &g.notification_email_from {
        out.set("Email notification from", from);
        out.line("Email notification to:");
        for to in &g.notification_email {
            out.line(format_args!("  {to}"));
        }
    }
    out.set("Default smtp_alert", on_off(g.smtp_alert));
    out.set("Default smtp_alert_vrrp", on_off(g.smtp_alert_vrrp));
    out.set("Default smtp_alert_checker", on_off(g.smtp_alert_checker));
    out.set("Checkers log all failures", g.checker_log_all_failures);
}

fn life(out: &mut Dump, g: &Global) {
    match &g.reload_check_config {
        Some(log) => out.line(format_args!("Test config before reload, log to {log}")),
        None => out.line("No test config before reload"),
    }
    if let Some(file) = &g.reload_time_file {
        let repeat = if g.reload_repeat { " (repeat)" } else { "" };
        out.set("Reload time file", format_args!("{file}{repeat}"));
        out.line("No reload scheduled");
    }
    if let Some(Some(file)) = &g.reload_file {
        out.set("Reload_file", file);
    }
    out.set("keep script symlinks", g.use_symlink_paths);
    out.maybe("config save directory", g.tmp_config_directory.as_ref());
    if g.data_use_instance {
        out.line("Use instance name in data dumps");
    }
    let quoted = |script: &Script| command(script).quoted();
    if let Some(script) = &g.startup_script {
        out.set(
            "Startup script",
            format_args!(
                "{}, uid:gid {}:{}, timeout {}",
                quoted(script),
                script.uid,
                script.gid,
                g.startup_script_timeout
            ),
        );
    }
    if let Some(script) = &g.shutdown_script {
        out.set(
            "Shutdown script",
            format_args!(
                "{}, uid:gid {}:{} timeout {}",
                quoted(script),
                script.uid,
                script.gid,
                g.shutdown_script_timeout
            ),
        );
    }
    out.set("Dynamic interfaces", g.dynamic_interfaces);
    if g.dynamic_interfaces {
        out.set("Allow interface changes", g.allow_if_changes);
    }
    if g.no_email_faults {
        out.line("Send emails for fault transitions = off");
    }
}

fn lvs(out: &mut Dump, g: &Global, vrrp_process: bool) {
    let timeouts = &g.lvs_timeouts;
    for (name, value) in [
        ("LVS TCP timeout", timeouts.tcp),
        ("LVS TCP FIN timeout", timeouts.tcp_fin),
        // The C program calls the UDP one TCP, too.
        ("LVS TCP timeout", timeouts.udp),
    ] {
        if value != 0 {
            out.set(name, value);
        }
    }
    if vrrp_process {
        out.set(
            "Default interface",
            g.default_interface.as_deref().unwrap_or(DEFAULT_INTERFACE),
        );
    }
    out.set("Disable local IGMP", yes_no(g.disable_local_igmp));
    out.set(
        "Use VRRPv2 checksum for VRRPv3 IPv4",
        yes_no(g.v3_checksum_as_v2),
    );
    let sync = &g.lvs_sync_daemon;
    if let Some(interface) = &sync.interface {
        out.maybe("LVS syncd vrrp name", sync.instance.as_ref());
        out.set("LVS syncd interface", interface);
        out.set("LVS syncd syncid", sync.sync_id.unwrap_or(UNSET));
        out.maybe("LVS syncd maxlen", sync.max_length);
        if let Some(group) = sync.group {
            out.line(format_args!("LVS mcast group {group}"));
        }
        out.maybe("LVS syncd mcast port", sync.port);
        out.maybe("LVS syncd mcast ttl", sync.ttl);
    }
    out.set("LVS flush", g.lvs_flush);
    out.set(
        "LVS flush on stop",
        match g.lvs_flush_on_stop {
            FlushOnStop::Full => "full",
            FlushOnStop::VirtualServers => "VS",
            FlushOnStop::No => "disabled",
        },
    );
}

fn dump_fifo(out: &mut Dump, fifo: &Fifo, kind: &str) {
    let Some(name) = &fifo.name else {
        return;
    };
    out.line(format_args!(
        "{kind} notify fifo = {name}, uid:gid {}:{}",
        fifo.uid, fifo.gid
    ));
    let Some(script) = &fifo.script else {
        return;
    };
    let words = command(script).quoted();
    let (uid, gid) = (script.uid, script.gid);
    match &script.path {
        Some(path) => out.line(format_args!(
            "{kind} notify fifo path = {path}, script = {words}, uid:gid {uid}:{gid}"
        )),
        None => out.line(format_args!(
            "{kind} notify fifo script = {words}, uid:gid {uid}:{gid}"
        )),
    }
}

fn vrrp(out: &mut Dump, g: &Global) {
    out.set(
        "FIFO write vrrp states on reload",
        g.fifo_write_vrrp_states_on_reload,
    );
    out.set(
        "VRRP notify priority changes",
        g.vrrp_notify_priority_changes,
    );
    out.set("VRRP IPv4 mcast group", g.vrrp_mcast_group4);
    out.set("VRRP IPv6 mcast group", g.vrrp_mcast_group6);
    out.set("Gratuitous ARP delay", g.vrrp_garp_master_delay);
    out.set("Gratuitous ARP repeat", g.vrrp_garp_master_repeat);
    out.set("Gratuitous ARP refresh timer", g.vrrp_garp_master_refresh);
    out.set(
        "Gratuitous ARP refresh repeat",
        g.vrrp_garp_master_refresh_repeat,
    );
    out.set(
        "Gratuitous ARP lower priority delay",
        g.vrrp_garp_lower_prio_delay.unwrap_or(UNSET),
    );
    out.set(
        "Gratuitous ARP lower priority repeat",
        g.vrrp_garp_lower_prio_repeat.unwrap_or(UNSET),
    );
    out.set("Num adverts before down", g.vrrp_down_timer_adverts);
    let each = if g.vrrp_garp_extra_if_all {
        "i/f"
    } else {
        "VMAC"
    };
    out.line(format_args!(
        "Gratuitous ARP for each secondary {each} = {}s",
        g.vrrp_garp_extra_if
    ));
    out.set(
        "Send advert after receive lower priority advert",
        !g.vrrp_lower_prio_no_advert,
    );
    out.set(
        "Send advert after receive higher priority advert",
        g.vrrp_higher_prio_send_advert,
    );
    out.set(
        "Gratuitous ARP interval",
        decimal(u64::from(g.vrrp_garp_interval)),
    );
    out.set(
        "Gratuitous NA interval",
        decimal(u64::from(g.vrrp_gna_interval)),
    );
    out.set("VRRP default protocol version", g.vrrp_version);
}

fn firewall(out: &mut Dump, g: &Global) {
    if let Some(chain) = &g.iptables_in_chain {
        out.set("Iptables input chain", chain);
        out.maybe("Iptables output chain", g.iptables_out_chain.as_ref());
        out.set("Using ipsets", g.using_ipsets.unwrap_or(false));
        if let (Some(true), Some(sets)) = (g.using_ipsets, &g.ipsets) {
            out.set("ipset IPv4 address set", &sets.address);
            out.set("ipset IPv6 address set", &sets.address6);
            out.set("ipset IPv6 address,iface set", &sets.address_iface6);
            out.set("ipset IGMP set", &sets.igmp);
            out.set("ipset MLD set", &sets.mld);
            out.set("ipset ND set", &sets.vmac_nd);
        }
    }
    if let Some(table) = &g.nftables {
        out.set("nftables table name", &table.name);
        out.set("nftables base chain priority", table.priority);
        let force = if g.nftables_ifindex { "" } else { "don't " };
        out.line(format_args!(
            "nftables {force}force use ifindex for link local IPv6"
        ));
    }
    if let Some(table) = &g.nftables_ipvs {
        out.set("ipvs nftables table name", &table.name);
        out.set("ipvs nftables base chain priority", table.priority);
        out.set("ipvs nftables start fwmark", g.nftables_ipvs_start_fwmark);
    }
    let without = if g.nftables_counters { "" } else { "out" };
    out.line(format_args!("nftables with{without} counters"));
}

fn processes(out: &mut Dump, g: &Global) {
    match g.max_auto_priority {
        -1 => out.set("Max auto priority", "Disabled"),
        priority => out.set("Max auto priority", priority),
    }
    out.set(
        "Min auto priority delay",
        format_args!("{} usecs", g.min_auto_priority_delay),
    );
    process(out, "VRRP", &g.vrrp);
    process(out, "Checker", &g.checker);
    process(out, "BFD", &g.bfd);
}

fn process(out: &mut Dump, name: &str, options: &ProcessOptions) {
    out.line(format_args!("{name} process priority = {}", options.nice));
    out.line(format_args!("{name} don't swap = {}", options.no_swap));
    out.line(format_args!(
        "{name} realtime priority = {}",
        options.realtime_priority
    ));
    if !options.cpus.is_empty() {
        let mut list = String::new();
        for cpu in &options.cpus {
            let _ = write!(list, "{cpu} ");
        }
        out.line(format_args!("{name} CPU Affinity = {list}"));
    }
    out.line(format_args!(
        "{name} realtime limit = {}",
        options.realtime_limit
    ));
}

fn snmp_and_dbus(out: &mut Dump, g: &Global) {
    for (part, value) in [
        ("vrrp", g.enable_snmp_vrrp),
        ("checker", g.enable_snmp_checker),
        ("RFCv2", g.enable_snmp_rfcv2),
        ("RFCv3", g.enable_snmp_rfcv3),
        ("traps", g.enable_traps),
    ] {
        out.line(format_args!("SNMP {part} {}", enabled(value)));
    }
    out.set(
        "SNMP socket",
        g.snmp_socket
            .as_deref()
            .unwrap_or("default (unix:/var/agentx/master)"),
    );
    let vs = g.snmp_vs_stats_update_interval;
    let rs = g.snmp_rs_stats_update_interval;
    out.set("SNMP VS stats update interval", decimal(vs));
    out.set(
        "SNMP RS stats update interval",
        decimal(if rs == 0 { vs } else { rs }),
    );
    out.line(format_args!("DBus {}", enabled(g.enable_dbus)));
    out.set(
        "DBus service name",
        g.dbus_service_name.as_deref().unwrap_or(""),
    );
    out.set(
        "DBus no interface name",
        g.dbus_no_interface_name.as_deref().unwrap_or("none"),
    );
}

fn scripts(out: &mut Dump, g: &Global) {
    out.line(format_args!(
        "Script security {}",
        enabled(g.script_security)
    ));
    let account = match g.default_account {
        DefaultAccount::Known { uid, gid } => Some((uid, gid)),
        DefaultAccount::Unasked if !g.script_security => {
            Some((linux_io::users::euid(), linux_io::users::egid()))
        }
        DefaultAccount::Unasked | DefaultAccount::Failed => None,
    };
    if let Some((uid, gid)) = account {
        out.line(format_args!("Default script uid:gid {uid}:{gid}"));
    }
}

fn buffers(out: &mut Dump, g: &Global) {
    let mut both = |name: &str, buffer: &ReceiveBuffer| {
        out.set(&format!("{name}_rcv_bufs"), buffer.size);
        out.set(&format!("{name}_rcv_bufs_force"), u8::from(buffer.force));
    };
    both("vrrp_netlink_cmd", &g.vrrp_netlink_cmd);
    both("vrrp_netlink_monitor", &g.vrrp_netlink_monitor);
    both("process_monitor", &g.process_monitor);
    both("lvs_netlink_cmd", &g.lvs_netlink_cmd);
    both("lvs_netlink_monitor", &g.lvs_netlink_monitor);
    out.set("rs_init_notifies", u8::from(g.rs_init_notifies));
    out.set("no_checker_emails", u8::from(g.no_checker_emails));
    let policy = &g.vrrp_rx_bufs_policy;
    if policy.mtu {
        out.set("rx_bufs_policy", "MTU");
    } else if policy.advert {
        out.set("rx_bufs_policy", "ADVERT");
    } else {
        out.maybe("rx_bufs_size", policy.size);
    }
    out.set("rx_bufs_multiples", g.vrrp_rx_bufs_multiplier);
}

fn rest(out: &mut Dump, g: &Global) {
    if g.vrrp_startup_delay > 0 {
        out.set(
            "vrrp_startup_delay",
            short_decimal(u64::from(g.vrrp_startup_delay)),
        );
    }
    if g.log_unknown_vrids {
        out.line("log_unknown_vrids");
    }
    if g.vrrp_owner_ignore_adverts {
        out.line("vrrp_owner_ignore_adverts");
    }
    out.maybe("VMAC prefix", g.vmac_prefix.as_ref());
    out.maybe("VMAC address prefix", g.vmac_addr_prefix.as_ref());
    out.line(format_args!("json_version {}", g.json_version));
    out.line(format_args!(
        "iproute usr directory {}",
        g.iproute_usr_dir
            .as_deref()
            .unwrap_or("/usr/share/iproute2")
    ));
    out.line(format_args!(
        "iproute etc directory {}",
        g.iproute_etc_dir.as_deref().unwrap_or("/etc/iproute2")
    ));
    for (name, file) in [
        ("state", &g.state_dump_file),
        ("stats", &g.stats_dump_file),
        ("json", &g.json_dump_file),
    ] {
        if let Some(file) = file {
            out.line(format_args!("{name} dump file {file}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conf_parsers::keepalived::{ParseOptions, Part, ReadOptions, parse, read};
    use conf_parsers::source::{FakeHost, MemorySource};

    fn dump(conf: &str) -> (String, u32) {
        let mut host = FakeHost::with_interfaces(&["lo"]);
        host.source = MemorySource::one("/k.conf", conf);
        let lines = read(&host, "/k.conf", &ReadOptions::default());
        let global = parse(&lines, Part::Parent, &host, &ParseOptions::default(), None)
            .model
            .global;
        let umask = global.umask.unwrap_or(0o177);
        (global_dump(&global, false, umask), umask)
    }

    #[test]
    fn the_original_s_parent_dumps() {
        if linux_io::users::euid() != 0 {
            eprintln!("SKIPPED the_original_s_parent_dumps: the recorded account is root");
            return;
        }
        for (conf, golden) in [
            (
                include_str!("../../../testdata/golden/keepalived/parent-dump/minimal.conf"),
                include_str!("../../../testdata/golden/keepalived/parent-dump/minimal.data"),
            ),
            (
                include_str!("../../../testdata/golden/keepalived/parent-dump/full.conf"),
                include_str!("../../../testdata/golden/keepalived/parent-dump/full.data"),
            ),
        ] {
            let (ours, _) = dump(conf);
            for (n, (ours, golden)) in ours.lines().zip(golden.lines()).enumerate() {
                assert_eq!(ours, golden, "line {n}");
            }
            assert_eq!(ours.lines().count(), golden.lines().count());
        }
    }
}
