//! One instance: contradictions are cleared, defaults filled in.

use net_types::Family;

use super::interfaces::{At, Interfaces};
use super::trackers::{self, Reason};
use super::{Check, Unusable, addresses, vmac};
use crate::diag::Class;
use crate::keepalived::engine::Ctx;
use crate::keepalived::model::VrrpModel;
use crate::keepalived::model::vrrp::SyncGroup;
use crate::keepalived::model::vrrp_instance::{
    AuthType, HmacMode, Version, VrrpInstance, WantState,
};

const IFF_MULTICAST: u32 = 0x1000;
const IFF_NOARP: u32 = 0x80;
const IFF_POINTOPOINT: u32 = 0x10;
const ARPHRD_ETHER: u16 = 1;
/// Microseconds.
pub(super) const SECOND: u32 = 1_000_000;

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

    pub(super) fn owner(&self) -> bool {
        self.i.is_owner()
    }

    pub(super) fn family(&self) -> Family {
        self.i.family.unwrap_or(Family::V4)
    }

    pub(super) fn v3(&self) -> bool {
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
}

/// Whether an address is IPv6 link-local.
fn is_link_local(address: std::net::IpAddr) -> bool {
    match address {
        std::net::IpAddr::V6(v6) => v6.is_unicast_link_local(),
        std::net::IpAddr::V4(_) => false,
    }
}
