//! Keywords of global_defs.

mod files;
mod firewall;
mod lvs;
mod mail;
mod process;
mod scripts;
mod snmp;
mod vrrp;

use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Feature, Flow, Handler, Keyword, Line, kw, kw_quoted};
use crate::keepalived::model::Global;
use crate::keepalived::number::check_true_false;

/// The inside of global_defs.
pub static BLOCK: Block = Block {
    keywords: KEYWORDS,
    end: None,
    guard: None,
};

/// A switch without argument.
macro_rules! flag {
    ($name:literal, $field:ident) => {
        kw($name, |ctx, _| {
            ctx.model.global.$field = true;
            Ok(())
        })
    };
}

/// A switch with an optional boolean; the second text is what the original calls it in its message.
macro_rules! switch {
    ($name:literal, $($field:ident).+, $shown:literal) => {
        kw($name, |ctx, line| {
            optional_bool(ctx, line, $shown, |g, v| g.$($field).+ = v.into());
            Ok(())
        })
    };
}

static KEYWORDS: &[Keyword] = &[
    kw("process_names", process::names),
    kw("process_name", |c, l| {
        process::name(c, l, |g| &mut g.process_name)
    }),
    kw("vrrp_process_name", |c, l| {
        process::name(c, l, |g| &mut g.vrrp.name)
    }),
    kw("checker_process_name", |c, l| {
        process::name(c, l, |g| &mut g.checker.name)
    })
    .only_with(Feature::Lvs),
    kw("lvs_process_name", |c, l| {
        c.log("'lvs_process_name' is deprecated - please use 'checker_process_name'");
        process::name(c, l, |g| &mut g.checker.name)
    })
    .only_with(Feature::Lvs),
    kw("bfd_process_name", |c, l| {
        process::name(c, l, |g| &mut g.bfd.name)
    })
    .only_with(Feature::Bfd),
    switch!("use_symlink_paths", use_symlink_paths, "use_symlink_path"),
    kw("router_id", mail::router_id),
    kw("notification_email_from", mail::email_from),
    kw("smtp_server", mail::server),
    kw("smtp_helo_name", mail::helo_name),
    kw("smtp_connect_timeout", mail::connect_timeout),
    kw("notification_email", mail::email),
    switch!("smtp_alert", smtp_alert, "smtp_alert"),
    kw_quoted("startup_script", |c, l| scripts::life(c, l, true)),
    kw("startup_script_timeout", |c, l| {
        scripts::life_timeout(c, l, true)
    }),
    kw_quoted("shutdown_script", |c, l| scripts::life(c, l, false)),
    kw("shutdown_script_timeout", |c, l| {
        scripts::life_timeout(c, l, false)
    }),
    kw("max_auto_priority", process::max_auto_priority),
    kw("min_auto_priority_delay", process::min_auto_priority_delay),
    switch!("smtp_alert_vrrp", smtp_alert_vrrp, "smtp_alert_vrrp"),
    switch!(
        "smtp_alert_checker",
        smtp_alert_checker,
        "smtp_alert_checker"
    )
    .only_with(Feature::Lvs),
    kw("checker_log_all_failures", |c, l| {
        plain_bool(c, l, "checker_log_all_failures", |g, v| {
            g.checker_log_all_failures = v
        });
        Ok(())
    })
    .only_with(Feature::Lvs),
    kw("dynamic_interfaces", vrrp::dynamic_interfaces),
    flag!("no_email_faults", no_email_faults),
    kw("default_interface", vrrp::default_interface),
    kw("disable_local_igmp", vrrp::disable_local_igmp),
    flag!("v3_checksum_as_v2", v3_checksum_as_v2),
    kw("lvs_timeouts", lvs::timeouts).only_with(Feature::Lvs),
    flag!("lvs_flush", lvs_flush).only_with(Feature::Lvs),
    kw("lvs_flush_on_stop", lvs::flush_on_stop).only_with(Feature::Lvs),
    kw("lvs_flush_onstop", lvs::flush_on_stop).only_with(Feature::Lvs),
    kw("lvs_sync_daemon", lvs::sync_daemon).only_with(Feature::Lvs),
    kw("vrrp_mcast_group4", vrrp::mcast_group4),
    kw("vrrp_mcast_group6", vrrp::mcast_group6),
    kw("vrrp_garp_master_delay", vrrp::garp_master_delay),
    kw("vrrp_garp_master_repeat", |c, l| {
        vrrp::garp_repeat(c, l, |g| &mut g.vrrp_garp_master_repeat)
    }),
    kw("vrrp_garp_master_refresh", vrrp::garp_refresh),
    kw("vrrp_garp_master_refresh_repeat", |c, l| {
        vrrp::garp_repeat(c, l, |g| &mut g.vrrp_garp_master_refresh_repeat)
    }),
    kw("vrrp_garp_lower_prio_delay", vrrp::garp_lower_prio_delay),
    kw("vrrp_garp_lower_prio_repeat", vrrp::garp_lower_prio_repeat),
    kw("vrrp_down_timer_adverts", vrrp::down_timer_adverts),
    kw("vrrp_garp_interval", |c, l| {
        vrrp::send_interval(c, l, |g| &mut g.vrrp_garp_interval)
    }),
    kw("vrrp_gna_interval", |c, l| {
        vrrp::send_interval(c, l, |g| &mut g.vrrp_gna_interval)
    }),
    kw("vrrp_min_garp", vrrp::min_garp),
    kw("vrrp_garp_extra_if", vrrp::garp_extra_if),
    kw("vrrp_vmac_garp_intvl", vrrp::garp_extra_if),
    kw("vrrp_lower_prio_no_advert", |c, l| {
        plain_bool(c, l, "vrrp_lower_prio_no_advert", |g, v| {
            g.vrrp_lower_prio_no_advert = v
        });
        Ok(())
    }),
    kw("vrrp_higher_prio_send_advert", |c, l| {
        plain_bool(c, l, "vrrp_higher_prio_send_advert", |g, v| {
            g.vrrp_higher_prio_send_advert = v
        });
        Ok(())
    }),
    kw("vrrp_version", vrrp::version),
    kw("vrrp_iptables", firewall::iptables),
    kw("vrrp_ipsets", firewall::ipsets).only_with(Feature::Iptables),
    kw("nftables", firewall::nftables),
    kw("nftables_priority", firewall::nftables_priority),
    flag!("nftables_ifindex", nftables_ifindex),
    flag!("vrrp_check_unicast_src", vrrp_check_unicast_src),
    switch!(
        "vrrp_skip_check_adv_addr",
        vrrp_skip_check_adv_addr,
        "vrrp_check_adv_addr"
    ),
    switch!("vrrp_strict", vrrp_strict, "vrrp_strict"),
    kw("vrrp_priority", |c, l| {
        process::nice(c, l, "vrrp", |g| &mut g.vrrp)
    }),
    kw("vrrp_no_swap", |c, _| process::no_swap(c, |g| &mut g.vrrp)),
    kw("vrrp_rt_priority", |c, l| {
        process::realtime_priority(c, l, "vrrp", |g| &mut g.vrrp)
    }),
    kw("vrrp_cpu_affinity", |c, l| {
        process::cpus(c, l, "vrrp", |g| &mut g.vrrp)
    }),
    kw("vrrp_rlimit_rttime", |c, l| {
        process::realtime_limit(c, l, "vrrp", |g| &mut g.vrrp)
    }),
    kw("vrrp_rlimit_rtime", |c, l| {
        process::realtime_limit(c, l, "vrrp", |g| &mut g.vrrp)
    }),
    kw("nftables_ipvs", firewall::nftables_ipvs).only_with(Feature::Lvs),
    kw("nftables_ipvs_priority", firewall::nftables_ipvs_priority).only_with(Feature::Lvs),
    kw(
        "nftables_ipvs_start_fwmark",
        firewall::nftables_ipvs_start_fwmark,
    )
    .only_with(Feature::Lvs),
    flag!("nftables_counters", nftables_counters),
    kw("notify_fifo", |c, l| {
        scripts::fifo(c, l, "", |g| &mut g.notify_fifo)
    }),
    kw_quoted("notify_fifo_script", |c, l| {
        scripts::fifo_script(c, l, "", |g| &mut g.notify_fifo)
    }),
    kw("vrrp_notify_fifo", |c, l| {
        scripts::fifo(c, l, "vrrp_", |g| &mut g.vrrp_notify_fifo)
    }),
    kw_quoted("vrrp_notify_fifo_script", |c, l| {
        scripts::fifo_script(c, l, "vrrp_", |g| &mut g.vrrp_notify_fifo)
    }),
    switch!(
        "vrrp_notify_priority_changes",
        vrrp_notify_priority_changes,
        "vrrp_notify_priority_changes"
    ),
    flag!(
        "fifo_write_vrrp_states_on_reload",
        fifo_write_vrrp_states_on_reload
    ),
    kw("lvs_notify_fifo", |c, l| {
        scripts::fifo(c, l, "lvs_", |g| &mut g.lvs_notify_fifo)
    })
    .only_with(Feature::Lvs),
    kw_quoted("lvs_notify_fifo_script", |c, l| {
        scripts::fifo_script(c, l, "lvs_", |g| &mut g.lvs_notify_fifo)
    })
    .only_with(Feature::Lvs),
    kw("checker_priority", |c, l| {
        process::nice(c, l, "checker", |g| &mut g.checker)
    })
    .only_with(Feature::Lvs),
    kw("checker_no_swap", |c, _| {
        process::no_swap(c, |g| &mut g.checker)
    })
    .only_with(Feature::Lvs),
    kw("checker_rt_priority", |c, l| {
        process::realtime_priority(c, l, "checker", |g| &mut g.checker)
    })
    .only_with(Feature::Lvs),
    kw("checker_cpu_affinity", |c, l| {
        process::cpus(c, l, "checker", |g| &mut g.checker)
    })
    .only_with(Feature::Lvs),
    kw("checker_rlimit_rttime", |c, l| {
        process::realtime_limit(c, l, "checker", |g| &mut g.checker)
    })
    .only_with(Feature::Lvs),
    kw("checker_rlimit_rtime", |c, l| {
        process::realtime_limit(c, l, "checker", |g| &mut g.checker)
    })
    .only_with(Feature::Lvs),
    kw("bfd_priority", |c, l| {
        process::nice(c, l, "bfd", |g| &mut g.bfd)
    })
    .only_with(Feature::Bfd),
    kw("bfd_no_swap", |c, _| process::no_swap(c, |g| &mut g.bfd)).only_with(Feature::Bfd),
    kw("bfd_rt_priority", |c, l| {
        process::realtime_priority(c, l, "bfd", |g| &mut g.bfd)
    })
    .only_with(Feature::Bfd),
    kw("bfd_cpu_affinity", |c, l| {
        process::cpus(c, l, "bfd", |g| &mut g.bfd)
    })
    .only_with(Feature::Bfd),
    kw("bfd_rlimit_rttime", |c, l| {
        process::realtime_limit(c, l, "bfd", |g| &mut g.bfd)
    })
    .only_with(Feature::Bfd),
    kw("bfd_rlimit_rtime", |c, l| {
        process::realtime_limit(c, l, "bfd", |g| &mut g.bfd)
    })
    .only_with(Feature::Bfd),
    kw("snmp_socket", snmp::socket).only_with(Feature::Snmp),
    flag!("enable_traps", enable_traps).only_with(Feature::Snmp),
    flag!("enable_snmp_vrrp", enable_snmp_vrrp).only_with(Feature::Snmp),
    flag!("enable_snmp_keepalived", enable_snmp_vrrp).only_with(Feature::Snmp),
    kw("enable_snmp_rfc", |ctx, _| {
        ctx.model.global.enable_snmp_rfcv2 = true;
        ctx.model.global.enable_snmp_rfcv3 = true;
        Ok(())
    })
    .only_with(Feature::Snmp),
    flag!("enable_snmp_rfcv2", enable_snmp_rfcv2).only_with(Feature::Snmp),
    flag!("enable_snmp_rfcv3", enable_snmp_rfcv3).only_with(Feature::Snmp),
    flag!("enable_snmp_checker", enable_snmp_checker).only_with(Feature::SnmpChecker),
    kw("snmp_vs_stats_update_interval", |c, l| {
        snmp::interval(c, l, |g| &mut g.snmp_vs_stats_update_interval)
    })
    .only_with(Feature::SnmpChecker),
    kw("snmp_rs_stats_update_interval", |c, l| {
        snmp::interval(c, l, |g| &mut g.snmp_rs_stats_update_interval)
    })
    .only_with(Feature::SnmpChecker),
    flag!("enable_dbus", enable_dbus).only_with(Feature::Dbus),
    kw("dbus_service_name", |c, l| {
        snmp::dbus_name(c, l, |g| &mut g.dbus_service_name)
    })
    .only_with(Feature::Dbus),
    kw("dbus_no_interface_name", |c, l| {
        snmp::dbus_name(c, l, |g| &mut g.dbus_no_interface_name)
    })
    .only_with(Feature::Dbus),
    kw("script_user", scripts::user),
    flag!("enable_script_security", script_security),
    kw("vrrp_netlink_cmd_rcv_bufs", |c, l| {
        receive_buffer(c, l, "vrrp_netlink_cmd", |g, v| g.vrrp_netlink_cmd.size = v)
    }),
    switch!(
        "vrrp_netlink_cmd_rcv_bufs_force",
        vrrp_netlink_cmd.force,
        "vrrp_netlink_cmd_rcv_bufs_force"
    ),
    kw("vrrp_netlink_monitor_rcv_bufs", |c, l| {
        receive_buffer(c, l, "vrrp_netlink_monitor", |g, v| {
            g.vrrp_netlink_monitor.size = v
        })
    }),
    switch!(
        "vrrp_netlink_monitor_rcv_bufs_force",
        vrrp_netlink_monitor.force,
        "vrrp_netlink_monitor_rcv_bufs_force"
    ),
    kw("process_monitor_rcv_bufs", |c, l| {
        receive_buffer(c, l, "process_monitor", |g, v| g.process_monitor.size = v)
    })
    .only_with(Feature::TrackProcess),
    switch!(
        "process_monitor_rcv_bufs_force",
        process_monitor.force,
        "process_monitor_rcv_bufs_force"
    )
    .only_with(Feature::TrackProcess),
    kw("lvs_netlink_cmd_rcv_bufs", |c, l| {
        receive_buffer(c, l, "lvs_netlink_cmd", |g, v| g.lvs_netlink_cmd.size = v)
    })
    .only_with(Feature::Lvs),
    switch!(
        "lvs_netlink_cmd_rcv_bufs_force",
        lvs_netlink_cmd.force,
        "lvs_netlink_cmd_rcv_bufs_force"
    )
    .only_with(Feature::Lvs),
    kw("lvs_netlink_monitor_rcv_bufs", |c, l| {
        receive_buffer(c, l, "lvs_netlink_monitor", |g, v| {
            g.lvs_netlink_monitor.size = v
        })
    })
    .only_with(Feature::Lvs),
    switch!(
        "lvs_netlink_monitor_rcv_bufs_force",
        lvs_netlink_monitor.force,
        "lvs_netlink_monitor_rcv_bufs_force"
    )
    .only_with(Feature::Lvs),
    switch!("rs_init_notifies", rs_init_notifies, "rs_init_notifies").only_with(Feature::Lvs),
    switch!("no_checker_emails", no_checker_emails, "no_checker_emails").only_with(Feature::Lvs),
    kw("vrrp_rx_bufs_policy", vrrp::rx_bufs_policy),
    kw("vrrp_rx_bufs_multiplier", vrrp::rx_bufs_multiplier),
    kw("vrrp_startup_delay", vrrp::startup_delay),
    kw("vrrp_delay_after_boot", vrrp::delay_after_boot),
    flag!("log_unknown_vrids", log_unknown_vrids),
    kw("vrrp_owner_ignore_adverts", vrrp::owner_ignore_adverts),
    kw("vmac_prefix", |c, l| {
        vrrp::vmac_prefix(c, l, "vmac", |g| &mut g.vmac_prefix)
    }),
    kw("vmac_addr_prefix", |c, l| {
        vrrp::vmac_prefix(c, l, "vmac_addr", |g| &mut g.vmac_addr_prefix)
    }),
    kw("umask", process::umask),
    kw("random_seed", files::random_seed),
    kw("reload_check_config", files::reload_check_config),
    kw("reload_time_file", files::reload_time_file),
    flag!("reload_repeat", reload_repeat),
    kw("reload_file", files::reload_file),
    kw("include_check", files::include_check),
    kw("config_save_dir", files::config_save_dir),
    kw("tmp_config_directory", files::tmp_config_directory),
    switch!("data_use_instance", data_use_instance, "date_use_instance"),
    kw("json_version", files::json_version),
    kw("iproute_usr_dir", |c, l| {
        files::iproute_dir(c, l, |g| &mut g.iproute_usr_dir)
    }),
    kw("iproute_etc_dir", |c, l| {
        files::iproute_dir(c, l, |g| &mut g.iproute_etc_dir)
    }),
    kw("state_dump_file", |c, l| {
        files::dump_file(c, l, |g| &mut g.state_dump_file)
    }),
    kw("stats_dump_file", |c, l| {
        files::dump_file(c, l, |g| &mut g.stats_dump_file)
    }),
    kw("json_dump_file", |c, l| {
        files::dump_file(c, l, |g| &mut g.json_dump_file)
    }),
];

/// Chooses a field of the globals.
type Field<T> = fn(&mut Global) -> &mut T;

/// Names of all keywords of global_defs.
pub fn names() -> impl Iterator<Item = &'static str> {
    KEYWORDS.iter().map(|k| k.name)
}

/// Optional boolean with the message that cites the value.
fn optional_bool(ctx: &mut Ctx<'_>, line: &Line, shown: &str, set: fn(&mut Global, bool)) {
    match line.get(1).map(|w| (w, check_true_false(w))) {
        None => set(&mut ctx.model.global, true),
        Some((_, Some(value))) => set(&mut ctx.model.global, value),
        Some((word, None)) => {
            ctx.report(
                Class::GeneralError,
                format!("Invalid value '{word}' for global {shown} specified"),
            );
        }
    }
}

/// Optional boolean with the short message.
fn plain_bool(ctx: &mut Ctx<'_>, line: &Line, shown: &str, set: fn(&mut Global, bool)) {
    match line.get(1).map(check_true_false) {
        None => set(&mut ctx.model.global, true),
        Some(Some(value)) => set(&mut ctx.model.global, value),
        Some(None) => ctx.report(
            Class::GeneralError,
            format!("Invalid value for {shown} specified"),
        ),
    }
}

/// Size of a netlink receive buffer; 0 leaves it as it is.
fn receive_buffer(ctx: &mut Ctx<'_>, line: &Line, shown: &str, set: fn(&mut Global, u32)) -> Flow {
    let Some(word) = line.get(1) else {
        ctx.report(
            Class::GeneralError,
            format!("{shown}_rcv_bufs size missing"),
        );
        return Ok(());
    };
    match ctx.read_unsigned(word, 0, u32::MAX, false) {
        None => ctx.report(
            Class::GeneralError,
            format!("{shown}_rcv_bufs size ({word}) invalid"),
        ),
        Some(0) => {}
        Some(size) => set(&mut ctx.model.global, size),
    }
    Ok(())
}

const _: Handler = mail::router_id;

#[cfg(test)]
mod tests;
