//! `Global definitions`.

use std::net::IpAddr;

use conf_parsers::keepalived::model::Global;
use conf_parsers::keepalived::model::global::{DefaultAccount, Fifo, FlushOnStop, ProcessOptions};
use conf_parsers::keepalived::sockaddr::Shown;

use super::number::{fixed, seconds};
use super::snapshot::ProcessNow;
use super::{command, line, truth};

/// Version of libnftnl in the line that Debian 13's build writes. We speak nftables ourselves; the line is kept for readers.
const LIBNFTNL: &str = "1.2.8";

/// `on`, `off` or `unset`.
const fn alert(value: Option<bool>) -> &'static str {
    match value {
        None => "unset",
        Some(true) => "on",
        Some(false) => "off",
    }
}

const fn enabled(value: bool) -> &'static str {
    if value { "enabled" } else { "disabled" }
}

const fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// The section: what the daemon is built without is not in it, as with the original. `default_interface` is shown by the VRRP
/// child only.
pub fn global(out: &mut String, g: &Global, now: &ProcessNow, default_interface: Option<&str>) {
    line!(out, "------< Global definitions >------");
    names(out, g);
    mail(out, g);
    reload(out, g, now);
    scripts(out, g);
    line!(out, " Dynamic interfaces = {}", truth(g.dynamic_interfaces));
    if g.dynamic_interfaces {
        line!(
            out,
            " Allow interface changes = {}",
            truth(g.allow_if_changes)
        );
    }
    if g.no_email_faults {
        line!(out, " Send emails for fault transitions = off");
    }
    lvs(out, g, default_interface);
    for (fifo, kind) in [
        (&g.notify_fifo, "Global"),
        (&g.vrrp_notify_fifo, "VRRP"),
        (&g.lvs_notify_fifo, "LVS"),
    ] {
        write_fifo(out, fifo, kind, now.fifos_open);
    }
    vrrp(out, g);
    firewall(out, g);
    processes(out, g);
    if cfg!(feature = "snmp") {
        snmp(out, g);
    }
    if cfg!(feature = "dbus") {
        dbus(out, g);
    }
    line!(out, " Script security {}", enabled(g.script_security));
    let account = match g.default_account {
        DefaultAccount::Known { uid, gid } => Some((uid, gid)),
        DefaultAccount::Unasked => Some(now.ids),
        DefaultAccount::Failed => None,
    };
    if let Some((uid, gid)) = account {
        line!(out, " Default script uid:gid {uid}:{gid}");
    }
    buffers(out, g);
    rest(out, g, now);
}

fn names(out: &mut String, g: &Global) {
    if let Some(dir) = &g.config_save_dir {
        line!(out, " Config save dir = {dir}");
    }
    line!(
        out,
        " Network namespace = {}",
        g.net_namespace.as_deref().unwrap_or("(default)")
    );
    let ipvs = match g.net_namespace_ipvs.as_deref() {
        None => "(main namespace)",
        Some("") => "(default)",
        Some(name) => name,
    };
    line!(out, " Network namespace ipvs = {ipvs}");
    for (what, name) in [
        ("Instance", &g.instance),
        ("Parent process", &g.process_name),
        ("VRRP process", &g.vrrp.name),
        ("LVS process", &g.checker.name),
        ("BFD process", &g.bfd.name),
    ] {
        if let Some(name) = name {
            line!(out, " {what} name = {name}");
        }
    }
    line!(
        out,
        " {} symlinks in script paths",
        if g.use_symlink_paths {
            "Keep"
        } else {
            "Replace"
        }
    );
    if let Some(id) = &g.router_id {
        line!(out, " Router ID = {id}");
    }
}

fn mail(out: &mut String, g: &Global) {
    if let Some(server) = g.smtp_server {
        line!(out, " Smtp server = {}", Shown(server.ip()));
        line!(out, " Smtp server port = {}", server.port());
    }
    if let Some(name) = &g.smtp_helo_name {
        line!(out, " Smtp HELO name = {name}");
    }
    if g.smtp_connect_timeout > 0 {
        line!(
            out,
            " Smtp server connection timeout = {}",
            g.smtp_connect_timeout / 1_000_000
        );
    }
    if let Some(from) = &g.notification_email_from {
        line!(out, " Email notification from = {from}");
        line!(out, " Email notification to:");
        for address in &g.notification_email {
            line!(out, "   {address}");
        }
    }
    line!(out, " Default smtp_alert = {}", alert(g.smtp_alert));
    line!(
        out,
        " Default smtp_alert_vrrp = {}",
        alert(g.smtp_alert_vrrp)
    );
    line!(
        out,
        " Default smtp_alert_checker = {}",
        alert(g.smtp_alert_checker)
    );
    line!(
        out,
        " Checkers log all failures = {}",
        truth(g.checker_log_all_failures)
    );
}

fn reload(out: &mut String, g: &Global, now: &ProcessNow) {
    match &g.reload_check_config {
        Some(log) => line!(out, " Test config before reload, log to {log}"),
        None => line!(out, " No test config before reload"),
    }
    if let Some(file) = &g.reload_time_file {
        line!(
            out,
            " Reload time file = {file}{}",
            if g.reload_repeat { " (repeat)" } else { "" }
        );
        match &now.reload_at {
            // The original's bracket stays open.
            Some((at, true)) => line!(out, " Reload scheduled for {at} (date specified"),
            Some((at, false)) => line!(out, " Reload scheduled for {at}"),
            None => line!(out, " No reload scheduled"),
        }
    }
    if let Some(file) = &now.reload_file {
        line!(out, " Reload_file = {file}");
    }
    line!(
        out,
        " keep script symlinks = {}",
        truth(g.use_symlink_paths)
    );
    if let Some(dir) = &g.tmp_config_directory {
        line!(out, " config save directory = {dir}");
    }
    if g.data_use_instance {
        line!(out, " Use instance name in data dumps");
    }
}

fn scripts(out: &mut String, g: &Global) {
    if let Some(s) = &g.startup_script {
        let (shown, timeout) = (command(s, &[]), g.startup_script_timeout);
        line!(
            out,
            " Startup script = {shown}, uid:gid {}:{}, timeout {timeout}",
            s.uid,
            s.gid
        );
    }
    if let Some(s) = &g.shutdown_script {
        let (shown, timeout) = (command(s, &[]), g.shutdown_script_timeout);
        line!(
            out,
            " Shutdown script = {shown}, uid:gid {}:{} timeout {timeout}",
            s.uid,
            s.gid
        );
    }
}

fn lvs(out: &mut String, g: &Global, default_interface: Option<&str>) {
    let t = &g.lvs_timeouts;
    // The third line has the name of the first in the original too.
    for (what, seconds) in [("TCP", t.tcp), ("TCP FIN", t.tcp_fin), ("TCP", t.udp)] {
        if seconds > 0 {
            line!(out, " LVS {what} timeout = {seconds}");
        }
    }
    if let Some(name) = default_interface {
        line!(out, " Default interface = {name}");
    }
    line!(out, " Disable local IGMP = {}", yes(g.disable_local_igmp));
    line!(
        out,
        " Use VRRPv2 checksum for VRRPv3 IPv4 = {}",
        yes(g.v3_checksum_as_v2)
    );
    let d = &g.lvs_sync_daemon;
    if let Some(interface) = &d.interface {
        if let Some(name) = d.leader() {
            line!(out, " LVS syncd vrrp name = {name}");
        }
        line!(out, " LVS syncd interface = {interface}");
        line!(out, " LVS syncd syncid = {}", d.sync_id.unwrap_or(u32::MAX));
        if let Some(length) = d.max_length {
            line!(out, " LVS syncd maxlen = {length}");
        }
        if let Some(group) = d.group {
            line!(out, " LVS mcast group {}", Shown(group));
        }
        if let Some(port) = d.port {
            line!(out, " LVS syncd mcast port = {port}");
        }
        if let Some(ttl) = d.ttl {
            line!(out, " LVS syncd mcast ttl = {ttl}");
        }
    }
    if !cfg!(feature = "lvs") {
        return;
    }
    line!(out, " LVS flush = {}", truth(g.lvs_flush));
    let flush = match g.lvs_flush_on_stop {
        FlushOnStop::Full => "full",
        FlushOnStop::VirtualServers => "VS",
        FlushOnStop::No => "disabled",
    };
    line!(out, " LVS flush on stop = {flush}");
}

fn write_fifo(out: &mut String, fifo: &Fifo, kind: &str, open: bool) {
    let Some(name) = &fifo.name else { return };
    line!(
        out,
        " {kind} notify fifo = {name}, uid:gid {}:{}",
        fifo.uid,
        fifo.gid
    );
    let Some(script) = &fifo.script else { return };
    let path = [name.as_str()];
    let shown = command(script, if open { &path } else { &[] });
    let account = format!("uid:gid {}:{}", script.uid, script.gid);
    match &script.path {
        Some(path) => line!(
            out,
            " {kind} notify fifo path = {path}, script = {shown}, {account}"
        ),
        None => line!(out, " {kind} notify fifo script = {shown}, {account}"),
    }
}

fn vrrp(out: &mut String, g: &Global) {
    line!(
        out,
        " FIFO write vrrp states on reload = {}",
        truth(g.fifo_write_vrrp_states_on_reload)
    );
    line!(
        out,
        " VRRP notify priority changes = {}",
        truth(g.vrrp_notify_priority_changes)
    );
    line!(out, " VRRP IPv4 mcast group = {}", g.vrrp_mcast_group4);
    line!(
        out,
        " VRRP IPv6 mcast group = {}",
        Shown(IpAddr::V6(g.vrrp_mcast_group6))
    );
    line!(out, " Gratuitous ARP delay = {}", g.vrrp_garp_master_delay);
    line!(
        out,
        " Gratuitous ARP repeat = {}",
        g.vrrp_garp_master_repeat
    );
    line!(
        out,
        " Gratuitous ARP refresh timer = {}",
        g.vrrp_garp_master_refresh
    );
    line!(
        out,
        " Gratuitous ARP refresh repeat = {}",
        g.vrrp_garp_master_refresh_repeat
    );
    let lower = |v: Option<u32>| v.unwrap_or(u32::MAX);
    line!(
        out,
        " Gratuitous ARP lower priority delay = {}",
        lower(g.vrrp_garp_lower_prio_delay)
    );
    line!(
        out,
        " Gratuitous ARP lower priority repeat = {}",
        lower(g.vrrp_garp_lower_prio_repeat)
    );
    line!(
        out,
        " Num adverts before down = {}",
        g.vrrp_down_timer_adverts
    );
    let on = if g.vrrp_garp_extra_if_all {
        "i/f"
    } else {
        "VMAC"
    };
    line!(
        out,
        " Gratuitous ARP for each secondary {on} = {}s",
        g.vrrp_garp_extra_if
    );
    line!(
        out,
        " Send advert after receive lower priority advert = {}",
        truth(!g.vrrp_lower_prio_no_advert)
    );
    line!(
        out,
        " Send advert after receive higher priority advert = {}",
        truth(g.vrrp_higher_prio_send_advert)
    );
    line!(
        out,
        " Gratuitous ARP interval = {}",
        fixed(u64::from(g.vrrp_garp_interval))
    );
    line!(
        out,
        " Gratuitous NA interval = {}",
        fixed(u64::from(g.vrrp_gna_interval))
    );
    line!(out, " VRRP default protocol version = {}", g.vrrp_version);
}

fn firewall(out: &mut String, g: &Global) {
    if let Some(chain) = &g.iptables_in_chain {
        line!(out, " Iptables input chain = {chain}");
        if let Some(chain) = &g.iptables_out_chain {
            line!(out, " Iptables output chain = {chain}");
        }
        line!(out, " Using ipsets = {}", truth(g.ipsets.is_some()));
        if let Some(sets) = &g.ipsets {
            line!(out, " ipset IPv4 address set = {}", sets.address);
            line!(out, " ipset IPv6 address set = {}", sets.address6);
            line!(
                out,
                " ipset IPv6 address,iface set = {}",
                sets.address_iface6
            );
            line!(out, " ipset IGMP set = {}", sets.igmp);
            line!(out, " ipset MLD set = {}", sets.mld);
            line!(out, " ipset ND set = {}", sets.vmac_nd);
        }
    }
    if let Some(table) = &g.nftables {
        line!(out, " nftables table name = {}", table.name);
        line!(out, " nftables base chain priority = {}", table.priority);
        let force = if g.nftables_ifindex { "" } else { "don't " };
        line!(
            out,
            " nftables {force}force use ifindex for link local IPv6"
        );
    }
    if let Some(table) = &g.nftables_ipvs {
        line!(out, " ipvs nftables table name = {}", table.name);
        line!(
            out,
            " ipvs nftables base chain priority = {}",
            table.priority
        );
        line!(
            out,
            " ipvs nftables start fwmark = {}",
            g.nftables_ipvs_start_fwmark
        );
    }
    line!(
        out,
        " nftables with{} counters",
        if g.nftables_counters { "" } else { "out" }
    );
    line!(out, " libnftnl version {LIBNFTNL}");
    line!(
        out,
        " VRRP check unicast_src = {}",
        truth(g.vrrp_check_unicast_src)
    );
    line!(
        out,
        " VRRP skip check advert addresses = {}",
        truth(g.vrrp_skip_check_adv_addr)
    );
    line!(out, " VRRP strict mode = {}", truth(g.vrrp_strict));
}

fn processes(out: &mut String, g: &Global) {
    if g.max_auto_priority == -1 {
        line!(out, " Max auto priority = Disabled");
    } else {
        line!(out, " Max auto priority = {}", g.max_auto_priority);
    }
    line!(
        out,
        " Min auto priority delay = {} usecs",
        g.min_auto_priority_delay
    );
    process(out, "VRRP", &g.vrrp);
    if cfg!(feature = "lvs") {
        process(out, "Checker", &g.checker);
    }
    if cfg!(feature = "bfd") {
        process(out, "BFD", &g.bfd);
    }
}

fn process(out: &mut String, who: &str, p: &ProcessOptions) {
    line!(out, " {who} process priority = {}", p.nice);
    line!(out, " {who} don't swap = {}", truth(p.no_swap));
    line!(out, " {who} realtime priority = {}", p.realtime_priority);
    if !p.cpus.is_empty() {
        let list: String = p.cpus.iter().map(|cpu| format!("{cpu} ")).collect();
        line!(out, " {who} CPU Affinity = {list}");
    }
    line!(out, " {who} realtime limit = {}", p.realtime_limit);
}

fn snmp(out: &mut String, g: &Global) {
    line!(out, " SNMP vrrp {}", enabled(g.enable_snmp_vrrp));
    let checker = cfg!(feature = "lvs");
    if checker {
        line!(out, " SNMP checker {}", enabled(g.enable_snmp_checker));
    }
    line!(out, " SNMP RFCv2 {}", enabled(g.enable_snmp_rfcv2));
    line!(out, " SNMP RFCv3 {}", enabled(g.enable_snmp_rfcv3));
    line!(out, " SNMP traps {}", enabled(g.enable_traps));
    let socket = g
        .snmp_socket
        .as_deref()
        .unwrap_or("default (unix:/var/agentx/master)");
    line!(out, " SNMP socket = {socket}");
    for (kind, interval) in [
        ("VS", g.snmp_vs_stats_update_interval),
        ("RS", g.snmp_rs_stats_update_interval),
    ] {
        if checker {
            let interval = fixed(interval);
            line!(out, " SNMP {kind} stats update interval = {interval}");
        }
    }
}

fn dbus(out: &mut String, g: &Global) {
    line!(out, " DBus {}", enabled(g.enable_dbus));
    line!(
        out,
        " DBus service name = {}",
        g.dbus_service_name.as_deref().unwrap_or("")
    );
    line!(
        out,
        " DBus no interface name = {}",
        g.dbus_no_interface_name.as_deref().unwrap_or("none")
    );
}

fn buffers(out: &mut String, g: &Global) {
    for (what, buffer) in [
        ("vrrp_netlink_cmd", g.vrrp_netlink_cmd),
        ("vrrp_netlink_monitor", g.vrrp_netlink_monitor),
        ("process_monitor", g.process_monitor),
        ("lvs_netlink_cmd", g.lvs_netlink_cmd),
        ("lvs_netlink_monitor", g.lvs_netlink_monitor),
    ] {
        line!(out, " {what}_rcv_bufs = {}", buffer.size);
        line!(out, " {what}_rcv_bufs_force = {}", u8::from(buffer.force));
    }
    line!(out, " rs_init_notifies = {}", u8::from(g.rs_init_notifies));
    line!(
        out,
        " no_checker_emails = {}",
        u8::from(g.no_checker_emails)
    );
    let policy = &g.vrrp_rx_bufs_policy;
    if policy.mtu {
        line!(out, " rx_bufs_policy = MTU");
    } else if policy.advert {
        line!(out, " rx_bufs_policy = ADVERT");
    } else if let Some(size) = policy.size {
        line!(out, " rx_bufs_size = {size}");
    }
    line!(out, " rx_bufs_multiples = {}", g.vrrp_rx_bufs_multiplier);
}

fn rest(out: &mut String, g: &Global, now: &ProcessNow) {
    line!(out, " umask = 0{:o}", now.umask);
    if g.vrrp_startup_delay > 0 {
        line!(
            out,
            " vrrp_startup_delay = {}",
            seconds(u64::from(g.vrrp_startup_delay))
        );
    }
    if g.log_unknown_vrids {
        line!(out, " log_unknown_vrids");
    }
    if g.vrrp_owner_ignore_adverts {
        line!(out, " vrrp_owner_ignore_adverts");
    }
    if let Some(prefix) = &g.vmac_prefix {
        line!(out, " VMAC prefix = {prefix}");
    }
    if let Some(prefix) = &g.vmac_addr_prefix {
        line!(out, " VMAC address prefix = {prefix}");
    }
    if now.realtime_priority > 0 {
        line!(
            out,
            " current realtime priority = {}",
            now.realtime_priority
        );
    }
    if now.realtime_limit > 0 {
        line!(out, " current realtime time limit = {}", now.realtime_limit);
    }
    line!(out, " json_version {}", g.json_version);
    line!(
        out,
        " iproute usr directory {}",
        g.iproute_usr_dir
            .as_deref()
            .unwrap_or("/usr/share/iproute2")
    );
    line!(
        out,
        " iproute etc directory {}",
        g.iproute_etc_dir.as_deref().unwrap_or("/etc/iproute2")
    );
    for (what, file) in [
        ("state", &g.state_dump_file),
        ("stats", &g.stats_dump_file),
        ("json", &g.json_dump_file),
    ] {
        if let Some(file) = file {
            line!(out, " {what} dump file {file}");
        }
    }
}
