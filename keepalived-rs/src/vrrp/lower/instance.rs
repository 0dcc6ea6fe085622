//! One instance.

use std::net::IpAddr;

use conf_parsers::keepalived::model::vrrp_instance::{
    AuthHmac, AuthType, HmacMode as WrittenMode, OldUnicastChecksum, UnicastPeer,
    Version as WrittenVersion, VrrpInstance, WantState,
};
use net_types::{Duration, Family, Vrid};
use vrrp_proto::config::{
    AntiReplay, Auth, Destination, Garp, GroupId, Hmac, HmacKey, HmacMode, Instance, Object,
    OldChecksum, Peer, Version, VirtualRoute, VirtualRule, Wanted,
};

use super::{Lowering, micros};
use crate::vrrp::objects::{RouteObject, rule};

impl Lowering<'_> {
    /// `None` for an instance without VRID, which validation does not let pass.
    pub(super) fn instance(&mut self, i: &VrrpInstance) -> Option<Instance> {
        let global = &self.model.global;
        let family = i.family.unwrap_or(Family::V4);
        let version = match i.version {
            Some(WrittenVersion::V3) => Version::V3,
            Some(WrittenVersion::V2) | None => Version::V2,
        };
        let configured = i.interface.as_ref().and_then(|name| self.interface(name));
        let made = i.vmac_name().and_then(|name| self.interface(name));
        let interface = made.or(configured);
        let vrf = i.vrf.as_ref().and_then(|name| self.interface(name));
        let destination = if i.unicast {
            let peer = |p: &UnicastPeer| Peer {
                address: p.address.value,
                min_ttl: p.min_ttl,
                max_ttl: p.max_ttl,
            };
            Destination::Unicast(i.unicast_peers.iter().map(peer).collect())
        } else {
            Destination::Multicast(i.group_address.unwrap_or(match family {
                Family::V4 => IpAddr::V4(global.vrrp_mcast_group4),
                Family::V6 => IpAddr::V6(global.vrrp_mcast_group6),
            }))
        };
        let auth = match i.auth_type {
            AuthType::None => Auth::None,
            AuthType::Pass => Auth::Pass(i.auth_pass),
            AuthType::Ah => Auth::Ah(i.auth_pass),
        };
        let owner = i.priority == Some(255);
        let routes = i.routes.iter().filter_map(|line| {
            let object = RouteObject::new(line);
            let device = object.interface.clone();
            let interface = device.and_then(|name| self.interface(&name));
            match self.objects.intern_route(object) {
                Object::Route(object) => Some(VirtualRoute {
                    object,
                    key: self.objects.route_key(object).unwrap_or(object),
                    interface,
                    no_track: line.no_track,
                }),
                Object::Address(_) | Object::Rule(_) => None,
            }
        });
        let routes = routes.collect();
        let rules = i
            .rules
            .iter()
            .filter_map(|line| match self.objects.intern_rule(rule(line)) {
                Object::Rule(object) => Some(VirtualRule {
                    object,
                    no_track: line.no_track,
                }),
                Object::Address(_) | Object::Route(_) => None,
            });
        let rules = rules.collect();
        let addresses = self.addresses(i, &i.vips);
        let excluded = self.addresses(i, &i.evips);
        let tracks = self.tracks(&i.tracked);
        Some(Instance {
            name: i.name.value.clone(),
            vrid: Vrid::new(i.vrid?)?,
            family,
            version,
            interface,
            configured_interface: configured,
            transmit_interface: if i.vmac_xmit_base {
                configured
            } else {
                interface
            },
            vrf,
            dont_track_primary: i.dont_track_primary,
            wanted: match i.state {
                Some(WantState::Master) => Wanted::Master,
                Some(WantState::Backup) | None => Wanted::Backup,
            },
            priority: i.priority.unwrap_or(100),
            advert_interval: micros(i.advert_int.unwrap_or(1_000_000)),
            down_timer_adverts: u32::from(i.down_timer_adverts),
            nopreempt: i.nopreempt,
            preempt_delay: micros(i.preempt_delay),
            timer_expired_backup: i.highest_other_priority,
            lower_prio_no_advert: i.lower_prio_no_advert == Some(true),
            higher_prio_send_advert: i.higher_prio_send_advert == Some(true),
            owner_ignore_adverts: owner && i.owner_ignore_adverts == Some(true),
            accept: i.accept != Some(false),
            auth,
            hmac: i.auth_hmac.as_ref().map(|h| Box::new(hmac(h))),
            destination,
            source: i.source.as_ref().map(|s| s.value),
            // Linux sends unicast IPv6 with hop limit 64 when nobody says otherwise.
            ttl: i.ttl.unwrap_or(if i.unicast && family == Family::V6 {
                64
            } else {
                255
            }),
            check_unicast_source: i.check_unicast_src || global.vrrp_check_unicast_src,
            skip_check_adv_addr: i.skip_check_adv_addr,
            checksum_v3_as_v2: i.v3_checksum_as_v2,
            old_checksum: match i.old_unicast_checksum {
                OldUnicastChecksum::Automatic => OldChecksum::Detect,
                OldUnicastChecksum::Never => OldChecksum::Never,
                OldUnicastChecksum::Always => OldChecksum::Always,
            },
            addresses,
            excluded,
            routes,
            rules,
            garp: Garp {
                repeat: i.garp_repeat,
                delay: micros(i.garp_delay),
                refresh: Duration::from_secs(u64::from(i.garp_refresh)),
                refresh_repeat: i.garp_refresh_repeat,
                lower_prio_repeat: i.garp_lower_prio_repeat.unwrap_or(i.garp_repeat),
                lower_prio_delay: micros(i.garp_lower_prio_delay.unwrap_or(i.garp_delay)),
                extra_interval: Duration::from_secs(u64::from(i.garp_extra_if.unwrap_or(0))),
                extra_all: i.garp_extra_all,
            },
            group: i
                .sync_group
                .and_then(|g| u16::try_from(g).ok())
                .map(GroupId),
            tracks,
            notify_deleted: i.notify_deleted,
            notify_priority_changes: i.notify_priority_changes == Some(true),
            leads_connection_sync: global.lvs_sync_daemon.leader() == Some(&*i.name.value),
            config_error: i.config_faults > 0,
            duplicate_vrid: false,
        })
    }
}

fn hmac(written: &AuthHmac) -> Hmac {
    let keys = written.keys.iter().map(|k| HmacKey {
        id: k.id,
        secret: k.secret.clone(),
    });
    Hmac {
        keys: keys.collect(),
        active_key: written.active_key,
        mode: match written.mode {
            WrittenMode::Enforce => HmacMode::Enforce,
            WrittenMode::Permissive => HmacMode::Permissive,
            WrittenMode::ReceiveOnly => HmacMode::ReceiveOnly,
        },
        anti_replay: if written.monotonic {
            AntiReplay::Monotonic
        } else {
            // Validation has set it; this is its least.
            AntiReplay::Time {
                window: written.time_window.unwrap_or(5),
            }
        },
    }
}
