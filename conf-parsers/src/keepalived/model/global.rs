//! global_defs and the top-level words: keepalived-keywords.tsv, blocks `(top)` and `global_defs`.

use net_types::SortedSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Script;

/// Gratuitous ARP repeats after becoming master.
pub const GARP_REPEAT: u32 = 5;
/// Seconds between periodic gratuitous ARPs; 0 = none.
pub const GARP_REFRESH: u32 = 0;
/// Gratuitous ARPs per refresh.
pub const GARP_REFRESH_REPEAT: u32 = 1;
/// Seconds until the second set of gratuitous ARPs.
pub const GARP_DELAY: u32 = 5;
/// Default RLIMIT_RTTIME, µs.
pub const RT_LIMIT: u32 = 10_000;
/// Real-time priorities of SCHED_RR on Linux.
pub const RT_PRIORITY: std::ops::RangeInclusive<i32> = 1..=99;

/// The account that scripts without a user of their own run as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DefaultAccount {
    /// Not needed so far.
    #[default]
    Unasked,
    /// It does not exist; scripts that need it are dropped.
    Failed,
    /// User and group number.
    Known {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

/// A notify FIFO.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fifo {
    /// Path.
    pub name: Option<String>,
    /// Owner if it is created.
    pub uid: u32,
    /// Group if it is created.
    pub gid: u32,
    /// Program started to read it; gets the path as last argument.
    pub script: Option<Script>,
}

/// Scheduling of a child process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessOptions {
    /// Name shown by the kernel (at most 15 bytes).
    pub name: Option<String>,
    /// Nice value.
    pub nice: i8,
    /// Memory is locked.
    pub no_swap: bool,
    /// SCHED_RR priority; 0 = none.
    pub realtime_priority: u32,
    /// Processors; empty = all.
    pub cpus: SortedSet<u32>,
    /// RLIMIT_RTTIME, µs.
    pub realtime_limit: u32,
}

impl Default for ProcessOptions {
    fn default() -> Self {
        Self {
            name: None,
            nice: 0,
            no_swap: false,
            realtime_priority: 0,
            cpus: SortedSet::new(),
            realtime_limit: RT_LIMIT,
        }
    }
}

/// lvs_timeouts, seconds; 0 = kernel's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LvsTimeouts {
    /// TCP.
    pub tcp: u32,
    /// TCP after FIN.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}

/// lvs_sync_daemon.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LvsSyncDaemon {
    /// Interface; none = no daemon.
    pub interface: Option<String>,
    /// VRRP instance that decides about master and backup.
    pub instance: Option<String>,
    /// VRRP instance with `lvs_sync_daemon_interface`, which decides then. Its VRID does not become the sync id.
    pub by_instance: Option<String>,
    /// Sync id; none = the instance's VRID.
    pub sync_id: Option<u32>,
    /// Largest message.
    pub max_length: Option<u16>,
    /// UDP port.
    pub port: Option<u16>,
    /// Multicast TTL.
    pub ttl: Option<u8>,
    /// Multicast group.
    pub group: Option<std::net::IpAddr>,
}

impl LvsSyncDaemon {
    /// The VRRP instance that decides about master and backup. `None`: there is no daemon, or both roles run.
    pub fn leader(&self) -> Option<&str> {
        self.interface.as_ref()?;
        self.instance.as_deref().or(self.by_instance.as_deref())
    }
}

/// What remains in IPVS at stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FlushOnStop {
    /// As configured for each virtual server.
    #[default]
    No,
    /// The whole table is flushed.
    Full,
    /// Our virtual servers are removed without their real servers first.
    VirtualServers,
}

/// Receive buffer of VRRP sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RxBuffers {
    /// By MTU.
    pub mtu: bool,
    /// By advert size.
    pub advert: bool,
    /// Bytes.
    pub size: Option<u32>,
}

/// A netlink receive buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReceiveBuffer {
    /// Bytes; 0 = default.
    pub size: u32,
    /// Use SO_RCVBUFFORCE.
    pub force: bool,
}

/// An nftables table of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NftTable {
    /// Name.
    pub name: String,
    /// Priority of its base chains.
    pub priority: i32,
}

/// Names of ipsets (builds with iptables).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IpsetNames {
    /// IPv4 addresses.
    pub address: String,
    /// IPv6 addresses.
    pub address6: String,
    /// IPv6 link-local addresses with interface.
    pub address_iface6: String,
    /// IGMP.
    pub igmp: String,
    /// MLD.
    pub mld: String,
    /// Neighbour discovery on VMACs.
    pub vmac_nd: String,
}

/// All global options. Times are microseconds where the name does not say otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    missing_docs,
    reason = "a field is the keyword of the same name; meanings are in keepalived-keywords.tsv"
)]
pub struct Global {
    // What the parent noted about blocks that it skips.
    /// The parent met VRRP blocks: the VRRP child is needed.
    pub have_vrrp: bool,
    /// The parent met virtual servers: the checker child is needed.
    pub have_checker: bool,
    /// The parent met BFD sessions: the BFD child is needed.
    pub have_bfd: bool,

    // Top level.
    pub linkbeat_use_polling: bool,
    pub net_namespace: Option<String>,
    /// `Some("")` is the namespace the daemon was started in.
    pub net_namespace_ipvs: Option<String>,
    pub namespace_with_ipsets: bool,
    pub use_pid_dir: bool,
    pub instance: Option<String>,
    /// Seconds.
    pub child_wait_time: u32,

    // Processes.
    pub process_name: Option<String>,
    pub vrrp: ProcessOptions,
    pub checker: ProcessOptions,
    pub bfd: ProcessOptions,
    pub max_auto_priority: i32,
    pub min_auto_priority_delay: u32,
    pub umask: Option<u32>,

    // Names and mail.
    pub router_id: Option<String>,
    /// Fully qualified local name, asked for only when something needs it.
    pub local_name: Option<String>,
    pub notification_email_from: Option<String>,
    pub notification_email: Vec<String>,
    pub smtp_server: Option<SocketAddr>,
    pub smtp_helo_name: Option<String>,
    /// 0 = not set.
    pub smtp_connect_timeout: u64,
    pub smtp_alert: Option<bool>,
    pub smtp_alert_vrrp: Option<bool>,
    pub smtp_alert_checker: Option<bool>,
    pub no_email_faults: bool,
    pub no_checker_emails: bool,
    pub checker_log_all_failures: bool,

    // Scripts.
    pub use_symlink_paths: bool,
    pub script_security: bool,
    pub default_account: DefaultAccount,
    pub startup_script: Option<Script>,
    /// Seconds; 0 = no script.
    pub startup_script_timeout: u32,
    pub shutdown_script: Option<Script>,
    /// Seconds; 0 = no script.
    pub shutdown_script_timeout: u32,
    pub notify_fifo: Fifo,
    pub vrrp_notify_fifo: Fifo,
    pub lvs_notify_fifo: Fifo,
    pub vrrp_notify_priority_changes: bool,
    pub fifo_write_vrrp_states_on_reload: bool,

    // VRRP.
    pub dynamic_interfaces: bool,
    pub allow_if_changes: bool,
    pub default_interface: Option<String>,
    pub disable_local_igmp: bool,
    pub v3_checksum_as_v2: bool,
    pub vrrp_mcast_group4: Ipv4Addr,
    pub vrrp_mcast_group6: Ipv6Addr,
    /// Seconds.
    pub vrrp_garp_master_delay: u32,
    pub vrrp_garp_master_repeat: u32,
    /// Seconds.
    pub vrrp_garp_master_refresh: u32,
    pub vrrp_garp_master_refresh_repeat: u32,
    /// Seconds; none = as the master delay.
    pub vrrp_garp_lower_prio_delay: Option<u32>,
    /// None = as the master repeat.
    pub vrrp_garp_lower_prio_repeat: Option<u32>,
    pub vrrp_down_timer_adverts: u32,
    pub vrrp_garp_interval: u32,
    pub vrrp_gna_interval: u32,
    /// Seconds; 0 = off.
    pub vrrp_garp_extra_if: u32,
    pub vrrp_garp_extra_if_all: bool,
    pub vrrp_lower_prio_no_advert: bool,
    pub vrrp_higher_prio_send_advert: bool,
    pub vrrp_version: u8,
    pub iptables_in_chain: Option<String>,
    pub iptables_out_chain: Option<String>,
    /// None = not said; `Some(false)` = off.
    pub using_ipsets: Option<bool>,
    pub ipsets: Option<IpsetNames>,
    pub nftables: Option<NftTable>,
    /// As given by nftables_priority without a table.
    pub nftables_priority: i32,
    pub nftables_ifindex: bool,
    pub nftables_counters: bool,
    pub vrrp_check_unicast_src: bool,
    pub vrrp_skip_check_adv_addr: bool,
    pub vrrp_strict: bool,
    /// Microseconds; what was left of `vrrp_delay_after_boot`, if that is longer.
    pub vrrp_startup_delay: u32,
    /// It is what was left of `vrrp_delay_after_boot` when the configuration was read: at a reload it counts from then.
    pub vrrp_startup_delay_after_boot: bool,
    pub log_unknown_vrids: bool,
    pub vrrp_owner_ignore_adverts: bool,
    pub vmac_prefix: Option<String>,
    pub vmac_addr_prefix: Option<String>,
    pub vrrp_rx_bufs_policy: RxBuffers,
    pub vrrp_rx_bufs_multiplier: u32,
    pub vrrp_netlink_cmd: ReceiveBuffer,
    pub vrrp_netlink_monitor: ReceiveBuffer,
    pub process_monitor: ReceiveBuffer,

    // LVS.
    pub lvs_timeouts: LvsTimeouts,
    pub lvs_flush: bool,
    pub lvs_flush_on_stop: FlushOnStop,
    pub lvs_sync_daemon: LvsSyncDaemon,
    pub nftables_ipvs: Option<NftTable>,
    pub nftables_ipvs_priority: i32,
    pub nftables_ipvs_start_fwmark: u32,
    pub lvs_netlink_cmd: ReceiveBuffer,
    pub lvs_netlink_monitor: ReceiveBuffer,
    pub rs_init_notifies: bool,

    // SNMP and D-Bus.
    pub snmp_socket: Option<String>,
    pub enable_traps: bool,
    pub enable_snmp_vrrp: bool,
    pub enable_snmp_checker: bool,
    pub enable_snmp_rfcv2: bool,
    pub enable_snmp_rfcv3: bool,
    pub snmp_vs_stats_update_interval: u64,
    /// 0 = as for virtual servers.
    pub snmp_rs_stats_update_interval: u64,
    pub enable_dbus: bool,
    pub dbus_service_name: Option<String>,
    pub dbus_no_interface_name: Option<String>,

    // Configuration and dumps.
    pub random_seed: Option<u32>,
    pub reload_check_config: Option<String>,
    pub reload_time_file: Option<String>,
    pub reload_repeat: bool,
    /// `Some(None)` is the default path, which depends on the pid directory.
    pub reload_file: Option<Option<String>>,
    pub config_save_dir: Option<String>,
    pub tmp_config_directory: Option<String>,
    pub data_use_instance: bool,
    pub json_version: u32,
    pub iproute_usr_dir: Option<String>,
    pub iproute_etc_dir: Option<String>,
    pub state_dump_file: Option<String>,
    pub stats_dump_file: Option<String>,
    pub json_dump_file: Option<String>,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            have_vrrp: false,
            have_checker: false,
            have_bfd: false,
            linkbeat_use_polling: false,
            net_namespace: None,
            net_namespace_ipvs: None,
            namespace_with_ipsets: false,
            use_pid_dir: false,
            instance: None,
            child_wait_time: 5,
            process_name: None,
            vrrp: ProcessOptions::default(),
            checker: ProcessOptions::default(),
            bfd: ProcessOptions::default(),
            max_auto_priority: 0,
            min_auto_priority_delay: 1_000_000,
            umask: None,
            router_id: None,
            local_name: None,
            notification_email_from: None,
            notification_email: Vec::new(),
            smtp_server: None,
            smtp_helo_name: None,
            smtp_connect_timeout: 0,
            smtp_alert: None,
            smtp_alert_vrrp: None,
            smtp_alert_checker: None,
            no_email_faults: false,
            no_checker_emails: false,
            checker_log_all_failures: false,
            use_symlink_paths: false,
            script_security: false,
            default_account: DefaultAccount::Unasked,
            startup_script: None,
            startup_script_timeout: 0,
            shutdown_script: None,
            shutdown_script_timeout: 0,
            notify_fifo: Fifo::default(),
            vrrp_notify_fifo: Fifo::default(),
            lvs_notify_fifo: Fifo::default(),
            vrrp_notify_priority_changes: false,
            fifo_write_vrrp_states_on_reload: false,
            dynamic_interfaces: false,
            allow_if_changes: false,
            default_interface: None,
            disable_local_igmp: false,
            v3_checksum_as_v2: false,
            vrrp_mcast_group4: Ipv4Addr::new(224, 0, 0, 18),
            vrrp_mcast_group6: Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12),
            vrrp_garp_master_delay: GARP_DELAY,
            vrrp_garp_master_repeat: GARP_REPEAT,
            vrrp_garp_master_refresh: GARP_REFRESH,
            vrrp_garp_master_refresh_repeat: GARP_REFRESH_REPEAT,
            vrrp_garp_lower_prio_delay: None,
            vrrp_garp_lower_prio_repeat: None,
            vrrp_down_timer_adverts: 3,
            vrrp_garp_interval: 0,
            vrrp_gna_interval: 0,
            vrrp_garp_extra_if: 0,
            vrrp_garp_extra_if_all: false,
            vrrp_lower_prio_no_advert: false,
            vrrp_higher_prio_send_advert: false,
            vrrp_version: 2,
            iptables_in_chain: None,
            iptables_out_chain: None,
            using_ipsets: None,
            ipsets: None,
            nftables: None,
            nftables_priority: -1,
            nftables_ifindex: false,
            nftables_counters: false,
            vrrp_check_unicast_src: false,
            vrrp_skip_check_adv_addr: false,
            vrrp_strict: false,
            vrrp_startup_delay: 0,
            vrrp_startup_delay_after_boot: false,
            log_unknown_vrids: false,
            vrrp_owner_ignore_adverts: false,
            vmac_prefix: None,
            vmac_addr_prefix: None,
            vrrp_rx_bufs_policy: RxBuffers::default(),
            vrrp_rx_bufs_multiplier: 3,
            vrrp_netlink_cmd: ReceiveBuffer::default(),
            vrrp_netlink_monitor: ReceiveBuffer::default(),
            process_monitor: ReceiveBuffer::default(),
            lvs_timeouts: LvsTimeouts::default(),
            lvs_flush: false,
            lvs_flush_on_stop: FlushOnStop::No,
            lvs_sync_daemon: LvsSyncDaemon::default(),
            nftables_ipvs: None,
            nftables_ipvs_priority: 0,
            nftables_ipvs_start_fwmark: 0,
            lvs_netlink_cmd: ReceiveBuffer::default(),
            lvs_netlink_monitor: ReceiveBuffer::default(),
            rs_init_notifies: false,
            snmp_socket: None,
            enable_traps: false,
            enable_snmp_vrrp: false,
            enable_snmp_checker: false,
            enable_snmp_rfcv2: false,
            enable_snmp_rfcv3: false,
            snmp_vs_stats_update_interval: 5_000_000,
            snmp_rs_stats_update_interval: 0,
            enable_dbus: false,
            dbus_service_name: None,
            dbus_no_interface_name: None,
            random_seed: None,
            reload_check_config: None,
            reload_time_file: None,
            reload_repeat: false,
            reload_file: None,
            config_save_dir: None,
            tmp_config_directory: None,
            data_use_instance: false,
            json_version: 1,
            iproute_usr_dir: None,
            iproute_etc_dir: None,
            state_dump_file: None,
            stats_dump_file: None,
            json_dump_file: None,
        }
    }
}
