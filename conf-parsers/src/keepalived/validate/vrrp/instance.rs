//! One instance: contradictions are cleared, defaults filled in.

use net_types::Family;

use super::interfaces::{At, Interfaces};
use super::trackers::{self, Reason};
use super::{Check, Unusable, addresses, vmac};
use crate::diag::Class;
use crate::keepalived::engine::Ctx;
use crate::keepalived::model::VrrpModel;
use crate::keepalived::model::global::NftTable;
use crate::keepalived::model::vrrp::{InterfaceSettings, Linkbeat, SyncGroup};
use crate::keepalived::model::vrrp_instance::{
    AuthType, HmacMode, Version, VrrpInstance, WantState,
};

const IFF_MULTICAST: u32 = 0x1000;
const IFF_NOARP: u32 = 0x80;
const IFF_POINTOPOINT: u32 = 0x10;
const ARPHRD_ETHER: u16 = 1;
const DOWN_TIMER_ADVERTS: u8 = 3;
const SECOND: u32 = 1_000_000;
const CENTISECOND: u32 = 10_000;
/// Table for our rules when no firewall is configured.
const DEFAULT_TABLE: &str = "keepalived";

/// One instance on its way through the checks.
pub(super) struct Work<'c, 'a> {
    pub(super) ctx: &'c mut Ctx<'a>,
    pub(super) i: &'c mut VrrpInstance,
    /// Index of the instance.
    pub(super) index: usize,
    /// Its name.
    pub(super) name: Box<str>,
    pub(super) interfaces: &'c mut Interfaces,
    /// The configured interface.
    pub(super) configured: Option<At>,
    /// The interface the instance lives on: the VMAC, or the configured one.
    pub(super) own: Option<At>,
    /// VMAC names of all instances.
    pub(super) vmac_names: Vec<Box<str>>,
    /// Its sync group.
    pub(super) group: Option<&'c SyncGroup>,
}

/// What every instance must have.
pub(super) fn minimal(ctx: &mut Ctx<'_>, i: &VrrpInstance) -> Check {
    let name = &i.name.value;
    let text = if i.vrid.is_none() {
        format!("({name}) the virtual router id must be set")
    } else if i.interface.is_none() && !i.unicast_configured {
        format!("({name}) Unknown interface!")
    } else if i.interface.is_none() && i.vmac.is_some() {
        format!("({name}) cannot use VMAC if no interface specified")
    } else {
        return Ok(());
    };
    ctx.report(Class::GeneralError, text);
    Err(Unusable)
}

/// All checks of the instance at `index`.
pub(super) fn complete(
    ctx: &mut Ctx<'_>,
    vrrp: &mut VrrpModel,
    index: usize,
    interfaces: &mut Interfaces,
) -> Check {
    let names = vrrp.instances.iter().filter_map(|i| i.vmac_name());
    let vmac_names = names.map(Into::into).collect();
    let VrrpModel {
        instances,
        sync_groups,
        interfaces: settings,
        ..
    } = vrrp;
    let Some(i) = instances.get_mut(index) else {
        return Ok(());
    };
    let configured = i.interface.as_ref().map(|n| interfaces.named(ctx, n));
    let mut work = Work {
        name: i.name.value.clone(),
        group: i.sync_group.and_then(|g| sync_groups.get(g)),
        ctx,
        i,
        index,
        interfaces,
        configured,
        own: configured,
        vmac_names,
    };
    work.identity();
    work.authentication();
    work.hmac();
    work.unicast()?;
    work.interface_kind();
    work.first_vip();
    work.vrf();
    work.packet_room();
    work.preemption();
    work.accept();
    work.group_address();
    work.strict_garp();
    work.owner_ignores();
    work.notifications();
    work.interval();
    work.link_settings(settings);
    vmac::complete(&mut work, settings);
    work.track_interfaces();
    addresses::place(&mut work);
    work.vips_present()?;
    work.weights();
    work.needed_by_routes();
    Ok(())
}

impl Work<'_, '_> {
    /// Reports a sentence.
    pub(super) fn error(&mut self, text: impl Into<String>) {
        self.ctx.report(Class::GeneralError, text);
    }

    pub(super) fn strict(&self) -> bool {
        self.i.is_strict()
    }

    fn owner(&self) -> bool {
        self.i.is_owner()
    }

    pub(super) fn family(&self) -> Family {
        self.i.family.unwrap_or(Family::V4)
    }

    fn v3(&self) -> bool {
        self.i.version == Some(Version::V3)
    }

    /// Flags of the configured interface, if it exists.
    fn flags(&self) -> Option<u32> {
        let at = self.configured?;
        Some(self.interfaces.get(at)?.facts.as_ref()?.flags)
    }

    /// Strictness, family, version, TTL, priority, wanted state.
    fn identity(&mut self) {
        let n = self.name.clone();
        let strict = *self
            .i
            .strict
            .get_or_insert(self.ctx.model.global.vrrp_strict);
        if self.i.family == Some(Family::V6) {
            if self.i.version == Some(Version::V2) && strict {
                self.error(format!(
                    "({n}) cannot use IPv6 with VRRP version 2; setting version 3"
                ));
                self.i.version = Some(Version::V3);
            }
            self.i.version.get_or_insert(Version::V3);
        }
        // No address at all: IPv4.
        let family = *self.i.family.get_or_insert(Family::V4);
        let version = match self.ctx.model.global.vrrp_version {
            3 => Version::V3,
            _ => Version::V2,
        };
        self.i.version.get_or_insert(version);
        if family == Family::V4 {
            self.i.ttl.get_or_insert(255);
        }
        let wants_master = self.i.state == Some(WantState::Master);
        let priority = *self
            .i
            .priority
            .get_or_insert(if wants_master { 255 } else { 100 });
        let owner_state = if priority == 255 {
            WantState::Master
        } else {
            WantState::Backup
        };
        if self.i.state.is_some() && strict && wants_master != (priority == 255) {
            self.error(format!("({n}) State MASTER must match being address owner"));
            self.i.state = None;
        }
        self.i.state.get_or_insert(owner_state);
    }

    fn authentication(&mut self) {
        if self.i.auth_type == AuthType::None {
            return;
        }
        let n = &self.name;
        let text = if self.strict() {
            format!("({n}) Strict mode does not support authentication. Ignoring.")
        } else if self.v3() {
            format!("({n}) VRRP version 3 does not support authentication. Ignoring.")
        } else if self.i.auth_pass.first() == Some(&0) {
            format!("({n}) Authentication specified but no password given. Ignoring")
        } else if self.family() == Family::V6 && self.i.auth_type == AuthType::Ah {
            format!("({n}) Cannot use AH authentication with IPv6. ignoring")
        } else {
            let master = self.i.state == Some(WantState::Master) && !self.owner();
            if self.i.auth_type == AuthType::Ah && master {
                // The sequence number must be learnt from the master first.
                let text = format!(
                    "({n}) Initial state master is incompatible with AH authentication - clearing"
                );
                self.error(text);
                self.i.state = Some(WantState::Backup);
            }
            return;
        };
        self.error(text);
        self.i.auth_type = AuthType::None;
    }

    /// keepalived 2.4: `auth_hmac`.
    fn hmac(&mut self) {
        let Some(mut hmac) = self.i.auth_hmac.take() else {
            return;
        };
        let n = self.name.clone();
        if self.i.auth_type != AuthType::None {
            self.error(format!(
                "({n}) auth_hmac cannot be combined with authentication, dropping legacy auth"
            ));
            self.i.auth_type = AuthType::None;
        }
        if !hmac.keys.iter().any(|k| k.id == hmac.active_key) {
            let key = hmac.active_key;
            self.error(format!(
                "({n}) auth_hmac active_key {key} is not defined, disabling extension"
            ));
            return;
        }
        if self.strict() && hmac.mode != HmacMode::Enforce {
            self.error(format!("({n}) strict mode requires auth_hmac mode enforce"));
            hmac.mode = HmacMode::Enforce;
        }
        if !hmac.monotonic && hmac.time_window.is_none() {
            let seconds = self.i.advert_int.unwrap_or(0) / SECOND;
            let window = seconds.saturating_mul(3).clamp(5, 300);
            hmac.time_window = u16::try_from(window).ok();
        }
        self.i.auth_hmac = Some(hmac);
    }

    fn unicast(&mut self) -> Check {
        let n = self.name.clone();
        if self.i.interface.is_none() {
            if !self.i.source_configured {
                self.error(format!(
                    "({n}): Unicast instances must have unicast_src_ip or interface"
                ));
                return Err(Unusable);
            }
            let link_local = self.i.source.is_some_and(|s| is_link_local(s.value));
            if self.family() == Family::V6 && link_local {
                self.error(format!(
                    "({n}) Non link-local address required if interface omitted"
                ));
                return Err(Unusable);
            }
        }
        if self.i.unicast_configured {
            if !self.i.unicast_peers.is_empty() {
                self.i.unicast = true;
            } else if self.i.unicast_fault_no_peer {
                self.ctx.log(format!(
                    "({n}) Cannot use unicast without any peers - going to fault state"
                ));
                self.fault();
            } else {
                self.ctx.report(
                    Class::Deprecated,
                    format!("({n}) A unicast keyword has been specified without any unicast peers. Defaulting to multicast. This usage is deprecated - please update your configuration."),
                );
            }
        }
        Ok(())
    }

    /// The instance never leaves FAULT.
    pub(super) fn fault(&mut self) {
        self.i.config_faults = self.i.config_faults.saturating_add(1);
    }

    fn interface_kind(&mut self) {
        let n = self.name.clone();
        if self.strict() {
            if let Some(vmac) = self.i.vmac.as_mut().filter(|v| v.mac.is_some()) {
                vmac.mac = None;
                vmac.mac_ends_with_vrid = false;
                self.error(format!(
                    "({n}): cannot specify MAC address with strict mode - clearing"
                ));
            }
        }
        let vrid = self.i.vrid.unwrap_or(0);
        if let Some(vmac) = self.i.vmac.as_mut().filter(|v| v.mac_ends_with_vrid) {
            if let Some(last) = vmac.mac.as_mut().and_then(|m| m.0.last_mut()) {
                *last = vrid;
            }
        }
        let hardware = self.configured.and_then(|at| {
            let facts = self.interfaces.get(at)?.facts.as_ref()?;
            Some(facts.hardware_type)
        });
        let wants_vmac = self.i.vmac.is_some() || self.i.ipvlan.is_some();
        if wants_vmac && hardware.is_some_and(|h| h != ARPHRD_ETHER) {
            self.i.vmac = None;
            self.i.ipvlan = None;
            self.i.vmac_addr = false;
            self.i.vmac_xmit_base = false;
            self.error(format!(
                "({n}): vmacs are only supported on Ethernet type interfaces"
            ));
            self.fault();
        }
        let Some(flags) = self.flags() else { return };
        let shown = self.i.interface.as_ref().map(|n| n.value.clone());
        if flags & IFF_MULTICAST == 0 && !self.i.unicast {
            let shown = shown.unwrap_or_default();
            self.error(format!(
                "({n}) interface {shown} does not support multicast, specify unicast peers - disabling"
            ));
            self.fault();
        }
        if self.ctx.options.log_detail && flags & IFF_NOARP != 0 && flags & IFF_POINTOPOINT == 0 {
            self.error(format!(
                "({n}) disabling ARP since interface does not support it"
            ));
        }
    }

    fn first_vip(&mut self) {
        if self.family() != Family::V6 || self.i.unicast {
            return;
        }
        let first = self.i.vips.first();
        if first.is_some_and(|a| !is_link_local(a.prefix.addr)) {
            let n = &self.name;
            if self.strict() {
                self.error(format!(
                    "({n}) the first IPv6 VIP address must be link local"
                ));
            } else {
                self.ctx.log(format!(
                    "({n}) the first IPv6 VIP address should be link local"
                ));
            }
        }
    }

    fn vrf(&mut self) {
        if self.i.vrf.is_some() && (self.i.interface.is_some() || !self.i.unicast) {
            let n = &self.name;
            // The original's wording.
            let end = if self.i.interface.is_some() {
                "out interface"
            } else {
                " unicast"
            };
            self.error(format!(
                "({n}) vrf can only be specified with{end} - clearing"
            ));
            self.i.vrf = None;
        }
    }

    /// Addresses beyond what a packet holds are not advertised.
    fn packet_room(&mut self) {
        const ETHERNET: u32 = 14;
        const VRRP: u32 = 8;
        let (ip, address) = match self.family() {
            Family::V4 => (20, 4),
            Family::V6 => (40, 16),
        };
        let mut used = ETHERNET + VRRP + ip;
        if self.family() == Family::V4 && !self.v3() {
            used += 8;
            if self.i.auth_type == AuthType::Ah {
                used += 24;
            }
        }
        if self.i.auth_hmac.is_some() {
            used += 28;
        }
        let mtu = match self.configured.and_then(|at| self.interfaces.get(at)) {
            Some(interface) => interface.facts.as_ref().map_or(0, |f| f.mtu),
            None => 1500,
        };
        // An interface that does not exist yet has no MTU; then only the 8-bit count limits.
        let max = match mtu.checked_sub(used) {
            Some(room) => usize::try_from(room / address).unwrap_or(255).min(255),
            None => 255,
        };
        let count = self.i.vips.len();
        if count > max {
            let n = &self.name;
            self.error(format!(
                "({n}) Number of VIPs ({count}) exceeds maximum/space available in packet (max {max} addresses) - excess moved to eVIPs"
            ));
            let excess = self.i.vips.split_off(max);
            self.i.evips.extend(excess);
        }
    }

    fn preemption(&mut self) {
        let n = self.name.clone();
        if self.owner() && self.i.nopreempt {
            self.error(format!(
                "({n}) nopreempt is incompatible with priority 255. resetting nopreempt"
            ));
            self.i.nopreempt = false;
        }
        if self.i.state == Some(WantState::Master) {
            if self.i.nopreempt {
                self.error(format!(
                    "({n}) Warning - nopreempt will not work with initial state MASTER - clearing"
                ));
                self.i.nopreempt = false;
            }
            if self.i.preempt_delay != 0 {
                self.error(format!(
                    "({n}) Warning - preempt delay will not work with initial state MASTER - clearing"
                ));
                self.i.preempt_delay = 0;
            }
        }
        if self.i.preempt_delay != 0 {
            if self.strict() {
                self.error(format!(
                    "({n}) preempt_delay is incompatible with strict mode - resetting"
                ));
                self.i.preempt_delay = 0;
            }
            if self.i.nopreempt {
                self.error(format!(
                    "({n}) preempt_delay is incompatible with nopreempt mode - resetting"
                ));
                self.i.preempt_delay = 0;
            }
        }
        if self.i.down_timer_adverts != DOWN_TIMER_ADVERTS && self.strict() {
            self.error(format!(
                "({n}) down_timer_adverts is incompatible with strict mode - resetting"
            ));
            self.i.down_timer_adverts = DOWN_TIMER_ADVERTS;
        }
        if !self.i.nopreempt && self.i.highest_other_priority.is_some() {
            // The original's name of the keyword.
            self.error(format!(
                "({n}) expired_timer_backup requires nopreempt - resetting"
            ));
            self.i.highest_other_priority = None;
        }
    }

    fn accept(&mut self) {
        let default = self.owner() || !self.strict();
        let accept = *self.i.accept.get_or_insert(default);
        if accept && !self.owner() && self.strict() && !self.v3() {
            let n = &self.name;
            self.error(format!(
                "({n}) warning - accept mode for VRRP version 2 does not comply with RFC3768 - resetting"
            ));
            self.i.accept = Some(false);
        }
        let needs_firewall = self.i.accept == Some(false) || self.i.vmac.is_some();
        let global = &mut self.ctx.model.global;
        if needs_firewall && global.iptables_in_chain.is_none() && global.nftables.is_none() {
            global.nftables = Some(NftTable {
                name: DEFAULT_TABLE.to_owned(),
                priority: global.nftables_priority,
            });
            self.ctx.log(
                "use_vmac or no_accept/strict specified, but no firewall configured - using nftables",
            );
        }
    }

    fn group_address(&mut self) {
        if self.i.unicast {
            if self.i.group_address.take().is_some() {
                let n = &self.name;
                self.error(format!(
                    "({n}) multicast destination specified with unicast - ignoring"
                ));
            }
            return;
        }
        let global = &self.ctx.model.global;
        let default = match self.family() {
            Family::V4 => global.vrrp_mcast_group4.into(),
            Family::V6 => global.vrrp_mcast_group6.into(),
        };
        self.i.group_address.get_or_insert(default);
    }

    /// Keywords that strict mode fixes: gratuitous ARP and adverts about lower and higher priorities.
    fn strict_garp(&mut self) {
        let n = self.name.clone();
        let strict = self.strict();
        let global = &self.ctx.model.global;
        let repeat = global.vrrp_garp_lower_prio_repeat.unwrap_or(0);
        let delay = global.vrrp_garp_lower_prio_delay.unwrap_or(0);
        let no_advert = global.vrrp_lower_prio_no_advert;
        let send_advert = global.vrrp_higher_prio_send_advert;
        match self.i.garp_lower_prio_repeat {
            None => self.i.garp_lower_prio_repeat = Some(if strict { 0 } else { repeat }),
            Some(count) if strict && count != 0 => {
                self.error(format!(
                    "({n}) Strict mode requires no repeat garps. resetting"
                ));
                self.i.garp_lower_prio_repeat = Some(0);
            }
            Some(_) => {}
        }
        match self.i.garp_lower_prio_delay {
            None => {
                let delay = if strict { 0 } else { delay };
                self.i.garp_lower_prio_delay = Some(delay.saturating_mul(SECOND));
            }
            Some(delay) if strict && delay != 0 => {
                self.error(format!(
                    "({n}) Strict mode requires no repeat garp delay. resetting"
                ));
                self.i.garp_lower_prio_delay = Some(0);
            }
            Some(_) => {}
        }
        match self.i.lower_prio_no_advert {
            None => self.i.lower_prio_no_advert = Some(strict || no_advert),
            Some(false) if strict => {
                self.error(format!(
                    "({n}) Strict mode requires no lower priority advert. resetting"
                ));
                self.i.lower_prio_no_advert = Some(true);
            }
            Some(_) => {}
        }
        match self.i.higher_prio_send_advert {
            None => self.i.higher_prio_send_advert = Some(!strict && send_advert),
            Some(true) if strict => {
                self.error(format!(
                    "({n}) strict mode requires higher_prio_send_advert to be clear. resetting"
                ));
                self.i.higher_prio_send_advert = Some(false);
            }
            Some(_) => {}
        }
    }

    fn owner_ignores(&mut self) {
        let n = &self.name;
        match (self.i.owner_ignore_adverts, self.owner()) {
            (Some(true), false) => {
                self.error(format!(
                    "({n}) ignoring owner_ignore_adverts since priority is not 255"
                ));
                self.i.owner_ignore_adverts = Some(false);
            }
            (Some(false), true) => {
                // Also without strict mode, as in the original.
                self.error(format!(
                    "({n}) strict_mode with priority 255 requires owner_ignore_adverts"
                ));
                self.i.owner_ignore_adverts = Some(true);
            }
            (None, true) => {
                let global = self.ctx.model.global.vrrp_owner_ignore_adverts;
                self.i.owner_ignore_adverts = Some(self.strict() || global);
            }
            (None, false) => self.i.owner_ignore_adverts = Some(false),
            (Some(_), _) => {}
        }
    }

    fn notifications(&mut self) {
        let global = &self.ctx.model.global;
        let mail = global.smtp_alert_vrrp.or(global.smtp_alert);
        self.i.smtp_alert.get_or_insert(mail.unwrap_or(false));
        let group = self.group.and_then(|g| g.notify_priority_changes);
        let changes = group.unwrap_or(global.vrrp_notify_priority_changes);
        self.i.notify_priority_changes.get_or_insert(changes);
    }

    /// The advertisement interval must fit the version's field.
    fn interval(&mut self) {
        let n = self.name.clone();
        let us = *self.i.advert_int.get_or_insert(SECOND);
        let seconds = f64::from(us) / f64::from(SECOND);
        let rounded = |unit: u32| {
            let us = us.saturating_add(unit / 2);
            (us - us % unit).max(unit)
        };
        let fitting = if self.v3() {
            if us >= 4096 * CENTISECOND {
                self.error(format!(
                    "({n}) VRRPv3 advertisement interval {seconds:.2}s is out of range. Must be less than 40.96s. Setting to 40.95s"
                ));
                4095 * CENTISECOND
            } else if us % CENTISECOND != 0 {
                self.error(format!(
                    "({n}) VRRPv3 advertisement interval {seconds:.6}s must be in units of 10ms - rounding"
                ));
                rounded(CENTISECOND).min(4095 * CENTISECOND)
            } else {
                us
            }
        } else if us >= 256 * SECOND {
            self.error(format!(
                "({n}) VRRPv2 advertisement interval {seconds:.2}s is out of range. Must be less than 256s. Setting to 255s"
            ));
            255 * SECOND
        } else if us % SECOND != 0 {
            self.error(format!(
                "({n}) VRRPv2 advertisement interval {seconds:.6}s must be an integer. rounding"
            ));
            rounded(SECOND)
        } else {
            us
        };
        self.i.advert_int = Some(fitting);
    }

    /// Link polling; delays of link changes must be shorter than the time after which others take over.
    fn link_settings(
        &mut self,
        settings: &mut std::collections::BTreeMap<Box<str>, InterfaceSettings>,
    ) {
        let Some(configured) = self.configured else {
            self.i.track_source &= self.i.source_configured;
            return;
        };
        let shown = self.interfaces.name(configured).to_owned();
        if self.i.linkbeat || self.ctx.model.global.linkbeat_use_polling {
            let own = settings.entry(shown.as_str().into()).or_default();
            own.linkbeat.get_or_insert(Linkbeat::Automatic);
        }
        let n = &self.name;
        let adverts = u32::from(self.i.down_timer_adverts).saturating_sub(1);
        let interval = self.i.advert_int.unwrap_or(SECOND);
        let base = self.interfaces.base(configured);
        let below = self.interfaces.name(base).to_owned();
        if adverts == 0 {
            let used = |s: &InterfaceSettings| s.up_delay != 0 || s.down_delay != 0;
            if settings.get(&*below).is_some_and(used) {
                self.ctx.log(format!(
                    "{n}: cannot use debounce timers with down_timer_adverts = 1 - resetting"
                ));
                for name in [&below, &shown] {
                    if let Some(s) = settings.get_mut(&**name) {
                        s.up_delay = 0;
                        s.down_delay = 0;
                    }
                }
            }
        } else {
            let max = interval.saturating_mul(adverts) - interval / 256;
            let mut changed = false;
            for name in [&below, &shown] {
                if let Some(s) = settings.get_mut(&**name).filter(|s| s.down_delay > max) {
                    if s.up_delay == s.down_delay {
                        s.up_delay = max;
                    }
                    s.down_delay = max;
                    changed = true;
                }
            }
            if changed {
                self.ctx.log(format!(
                    "{n}: interface {shown} debounce timer(s) not less that {adverts} * advert_int - resetting"
                ));
            }
        }
        self.i.track_source &= self.i.source_configured;
    }

    /// Notes that the instance looks at an interface.
    pub(super) fn looks_at(&mut self, at: At, weight: Option<i16>, reverse: bool, reason: Reason) {
        let who = (self.index, &*self.name);
        trackers::add(
            self.ctx,
            self.interfaces,
            at,
            who,
            (weight, reverse),
            reason,
        );
    }

    /// Weight with which the instance tracks its own interface.
    pub(super) fn own_weight(&self) -> Option<i16> {
        (!self.i.dont_track_primary).then_some(0)
    }

    fn track_interfaces(&mut self) {
        if let (Some(own), Some(configured)) = (self.own, self.configured) {
            let base = self.interfaces.base(own);
            let mut kept = Vec::new();
            for t in std::mem::take(&mut self.i.track.interfaces) {
                let at = self.interfaces.named(self.ctx, &t.name);
                if at == base {
                    let n = &self.name;
                    let shown = self.interfaces.name(base);
                    let text =
                        format!("({n}) Ignoring track_interface {shown} since own interface");
                    self.error(text);
                    continue;
                }
                self.looks_at(at, Some(t.weight), t.reverse, Reason::TRACK);
                kept.push(t);
            }
            self.i.track.interfaces = kept;
            let weight = self.own_weight();
            self.looks_at(configured, weight, false, Reason::OWN);
            let below = self.interfaces.base(configured);
            if below != configured {
                self.looks_at(below, weight, false, Reason::BELOW);
            }
        }
        vmac::transmit(self);
    }

    fn vips_present(&mut self) -> Check {
        let n = self.name.clone();
        if self.i.allow_no_vips && self.strict() {
            self.ctx.report(
                Class::Warning,
                format!("({n}) no_virtual_ipaddress and strict mode incompatible, clearing no_virtual_ipaddress"),
            );
            self.i.allow_no_vips = false;
        }
        if !self.i.allow_no_vips && self.i.vips.is_empty() {
            if self.v3() || self.strict() {
                self.error(format!("({n}) No VIP specified; at least one is required"));
                return Err(Unusable);
            }
            self.ctx.report(
                Class::Warning,
                format!("({n}) No VIP specified; at least one is sensible"),
            );
        }
        Ok(())
    }

    /// Weights are not possible for an address owner, and in a sync group only on demand.
    fn weights(&mut self) {
        let grouped = self.group.is_some_and(|g| !g.tracking_weight);
        if grouped || self.owner() {
            self.drop_weights(grouped);
        }
        let track = &self.i.track;
        let tracked = &mut self.i.tracked;
        tracked.scripts.clone_from(&track.scripts);
        tracked.files.clone_from(&track.files);
        tracked.processes.clone_from(&track.processes);
        tracked.bfds.clone_from(&track.bfds);
    }

    fn drop_weights(&mut self, grouped: bool) {
        let n = self.name.clone();
        let why = if grouped {
            "SYNC group"
        } else {
            "address_owner"
        };
        let mut track = std::mem::take(&mut self.i.track);
        // What was noted for the interface itself stays: in spite of its message the original goes on applying the weight there
        // (seen: "Changing effective priority from 100 to 80" in a sync group).
        track.interfaces.retain_mut(|t| {
            if t.weight == 0 {
                return true;
            }
            let (weight, why) = if grouped {
                ("weight ", "SYNC group")
            } else {
                ("", "address owner")
            };
            self.error(format!(
                "({n}) ignoring {} tracked interface {weight}due to {why}",
                *t.name
            ));
            t.weight = 0;
            grouped
        });
        track.scripts.retain(|t| {
            if t.weight != 0 {
                self.error(format!(
                    "({n}) ignoring tracked script {} with weights due to {why}",
                    *t.name
                ));
            }
            t.weight == 0
        });
        track.files.retain_mut(|t| {
            // 1 is the weight of a file whose weight nobody gave.
            if t.weight == 1 {
                self.error(format!(
                    "({n}) ignoring weight from tracked file {} due to {why}. specify weight 0",
                    *t.name
                ));
                t.weight = 0;
            } else if t.weight != 0 {
                self.error(format!(
                    "({n}) ignoring tracked file {} with weight {} due to {why}",
                    *t.name, t.weight
                ));
            }
            t.weight == 0
        });
        track.bfds.retain(|t| {
            if t.weight != 0 {
                self.error(format!(
                    "({n}) ignoring tracked bfd {} with weight {} due to {why}",
                    *t.name, t.weight
                ));
            }
            t.weight == 0
        });
        self.i.track = track;
    }

    /// Interfaces that tracked routes and rules need.
    fn needed_by_routes(&mut self) {
        let routes = self.i.routes.iter().filter(|r| !r.no_track);
        let rules = self.i.rules.iter().filter(|r| !r.no_track);
        let names = routes.filter_map(|r| r.dev.as_ref());
        let names = names.chain(rules.flat_map(|r| r.iif.iter().chain(r.oif.iter())));
        let names: Vec<Box<str>> = names.map(|n| n.value.clone()).collect();
        for name in names {
            let at = self.interfaces.named(self.ctx, &name);
            self.looks_at(at, Some(0), false, Reason::NEEDED);
        }
    }
}

/// Whether an address is IPv6 link-local.
fn is_link_local(address: std::net::IpAddr) -> bool {
    match address {
        std::net::IpAddr::V6(v6) => v6.is_unicast_link_local(),
        std::net::IpAddr::V4(_) => false,
    }
}
