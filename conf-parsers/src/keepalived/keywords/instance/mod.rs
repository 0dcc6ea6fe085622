//! `vrrp_instance NAME { … }`: the table, begin and end. The handlers are grouped by topic in the files beside this one.

mod auth;
mod basic;
mod garp;
mod network;
mod notify;
mod vmac;

use super::trackers::{self, Kind, Owner};
use super::vrrp::needs_vrrp;
use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Feature, Flow, Guard, Line, kw, kw_block, kw_quoted};
use crate::keepalived::model::global::Global;
use crate::keepalived::model::vrrp_instance::{InstanceDefaults, VrrpInstance};
use crate::keepalived::number::check_true_false;
use crate::span::Spanned;

/// Inside of the block.
pub(super) static BLOCK: Block = Block {
    keywords: &[
        kw("use_vmac", vmac::use_vmac),
        kw("use_vmac_addr", |c, _| set(c, |i| i.vmac_addr = true)),
        kw("vmac_xmit_base", |c, _| set(c, |i| i.vmac_xmit_base = true)),
        kw("use_ipvlan", vmac::use_ipvlan),
        kw("unicast_peer", network::unicast_peer),
        kw("unicast_fault_no_peer", network::unicast_fault_no_peer),
        kw("check_unicast_src", network::check_unicast_src),
        kw("old_unicast_checksum", network::old_unicast_checksum),
        kw("native_ipv6", basic::native_ipv6),
        kw("state", basic::state),
        kw("interface", network::interface),
        kw("vrf", network::vrf),
        kw("dont_track_primary", |c, _| {
            set(c, |i| i.dont_track_primary = true)
        }),
        kw("track_interface", |c, l| {
            trackers::block(c, l, Owner::Instance, Kind::Interface)
        }),
        kw("track_script", |c, l| {
            trackers::block(c, l, Owner::Instance, Kind::Script)
        }),
        kw("track_file", |c, l| {
            trackers::block(c, l, Owner::Instance, Kind::File)
        }),
        kw("track_process", |c, l| {
            trackers::block(c, l, Owner::Instance, Kind::Process)
        })
        .only_with(Feature::TrackProcess),
        kw("track_bfd", |c, l| {
            trackers::block(c, l, Owner::Instance, Kind::Bfd)
        })
        .only_with(Feature::Bfd),
        kw("mcast_src_ip", network::source),
        kw("unicast_src_ip", network::unicast_source),
        kw("mcast_dst_ip", network::group_address),
        kw("track_src_ip", |c, _| set(c, |i| i.track_source = true)),
        kw("virtual_router_id", basic::vrid),
        kw("unicast_ttl", network::ttl),
        kw("version", basic::version),
        kw("priority", basic::priority),
        kw("advert_int", basic::advert_int),
        kw("virtual_ipaddress", network::vips),
        kw("virtual_ipaddress_excluded", network::evips),
        kw("no_virtual_ipaddress", |c, _| {
            set(c, |i| i.allow_no_vips = true)
        }),
        kw("promote_secondaries", |c, _| {
            set(c, |i| i.promote_secondaries = true)
        }),
        kw("linkbeat_use_polling", network::linkbeat),
        kw("v3_checksum_as_v2", |c, l| {
            flag(c, l, |i, v| i.v3_checksum_as_v2 = v)
        }),
        kw("virtual_routes", network::routes),
        kw("virtual_rules", network::rules),
        kw("accept", |c, _| set(c, |i| i.accept = Some(true))),
        kw("no_accept", |c, _| set(c, |i| i.accept = Some(false))),
        // An explicit "no" sets it as well, as in the original.
        kw("skip_check_adv_addr", |c, l| {
            flag(c, l, |i, _| i.skip_check_adv_addr = true)
        }),
        kw("strict_mode", |c, l| flag(c, l, |i, v| i.strict = Some(v))),
        kw("preempt", |c, _| set(c, |i| i.nopreempt = false)),
        kw("nopreempt", |c, _| set(c, |i| i.nopreempt = true)),
        kw("preempt_delay", basic::preempt_delay),
        kw("debug", basic::debug),
        kw_quoted("notify_backup", notify::backup),
        kw_quoted("notify_master", notify::master),
        kw_quoted("notify_fault", notify::fault),
        kw_quoted("notify_stop", notify::stop),
        kw_quoted("notify_deleted", notify::deleted),
        kw_quoted("notify", notify::any),
        kw_quoted("notify_master_rx_lower_pri", notify::master_rx_lower_pri),
        kw("smtp_alert", notify::smtp_alert),
        kw("notify_priority_changes", notify::priority_changes),
        kw("lvs_sync_daemon_interface", network::lvs_sync).only_with(Feature::Lvs),
        kw("garp_master_delay", garp::delay),
        kw("garp_master_refresh", garp::refresh),
        kw("garp_master_repeat", garp::repeat),
        kw("garp_master_refresh_repeat", garp::refresh_repeat),
        kw("garp_lower_prio_delay", garp::lower_prio_delay),
        kw("garp_lower_prio_repeat", garp::lower_prio_repeat),
        kw("down_timer_adverts", basic::down_timer_adverts),
        kw("timer_expired_backup", basic::timer_expired_backup),
        kw("thread_timer_expired", basic::thread_timer_expired),
        kw("garp_extra_if", garp::extra_if),
        kw("vmac_garp_intvl", garp::vmac_garp_intvl),
        kw("lower_prio_no_advert", |c, l| {
            flag(c, l, |i, v| i.lower_prio_no_advert = Some(v))
        }),
        kw("higher_prio_send_advert", |c, l| {
            flag(c, l, |i, v| i.higher_prio_send_advert = Some(v))
        }),
        kw("owner_ignore_adverts", |c, l| {
            flag(c, l, |i, v| i.owner_ignore_adverts = Some(v))
        }),
        kw("kernel_rx_buf_size", network::kernel_rx_buf_size),
        kw_block("authentication", None, &auth::BLOCK),
        kw_block("auth_hmac", Some(auth::hmac), &auth::HMAC_BLOCK),
    ],
    end: Some(end),
    guard: Some(Guard {
        is_open: |ctx| ctx.scratch.vrrp.instance.is_some(),
        clear: |ctx| ctx.scratch.vrrp.instance = None,
    }),
};

/// What a new instance takes over from global_defs.
pub(super) fn defaults(global: &Global) -> InstanceDefaults {
    InstanceDefaults {
        garp_delay: global.vrrp_garp_master_delay.saturating_mul(1_000_000),
        garp_refresh: global.vrrp_garp_master_refresh,
        garp_repeat: global.vrrp_garp_master_repeat,
        garp_refresh_repeat: global.vrrp_garp_master_refresh_repeat,
        down_timer_adverts: u8::try_from(global.vrrp_down_timer_adverts).unwrap_or(3),
        v3_checksum_as_v2: global.v3_checksum_as_v2,
        skip_check_adv_addr: global.vrrp_skip_check_adv_addr,
    }
}

/// `vrrp_instance NAME`
pub(super) fn begin(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    needs_vrrp(ctx);
    if line.len() != 2 {
        ctx.report(Class::GeneralError, "vrrp_instance must have a name");
        ctx.skip_block(true);
        return Ok(());
    }
    let name = line.word(ctx, 1)?;
    if ctx.model.vrrp.instance(name).is_some() {
        ctx.report(
            Class::GeneralError,
            format!("vrrp instance {name} already defined"),
        );
        ctx.skip_block(true);
        return Ok(());
    }
    let name = Spanned::new(name.into(), line.span_of(1));
    let instance = VrrpInstance::new(name, &defaults(&ctx.model.global));
    ctx.scratch.vrrp.instance = Some(instance);
    Ok(())
}

/// Changes the instance under construction.
fn set(ctx: &mut Ctx<'_>, change: impl FnOnce(&mut VrrpInstance)) -> Flow {
    if let Some(instance) = &mut ctx.scratch.vrrp.instance {
        change(instance);
    }
    Ok(())
}

/// Reports a sentence made with the instance's name.
fn complain(ctx: &mut Ctx<'_>, text: impl FnOnce(&str) -> String) {
    if let Some(instance) = &ctx.scratch.vrrp.instance {
        let text = text(&instance.name);
        ctx.report(Class::GeneralError, text);
    }
}

/// Something about the instance under construction.
fn get<T>(ctx: &Ctx<'_>, get: impl FnOnce(&VrrpInstance) -> T) -> Option<T> {
    ctx.scratch.vrrp.instance.as_ref().map(get)
}

/// A keyword with an optional truth value; without one it is true.
fn flag(ctx: &mut Ctx<'_>, line: &Line, change: fn(&mut VrrpInstance, bool)) -> Flow {
    let word = line.get(1);
    match word.map_or(Some(true), check_true_false) {
        Some(value) => set(ctx, |i| change(i, value))?,
        None => {
            let (keyword, word) = (line.keyword(), word.unwrap_or(""));
            complain(ctx, |name| {
                format!("({name}) invalid {keyword} {word} specified")
            });
        }
    }
    Ok(())
}

fn end(ctx: &mut Ctx<'_>) -> Flow {
    let Some(mut i) = ctx.scratch.vrrp.instance.take() else {
        return Ok(());
    };
    let name = i.name.value.clone();
    if i.unicast_configured && (i.vmac.is_some() || i.ipvlan.is_some()) {
        if i.interface.is_none() {
            let text = format!(
                "({name}): Cannot use VMAC/ipvlan with unicast and no interface - clearing use_vmac"
            );
            ctx.report(Class::GeneralError, text);
            i.vmac = None;
            i.ipvlan = None;
        } else if !i.vmac_xmit_base {
            let text = format!("({name}) unicast with use_vmac requires vmac_xmit_base - setting");
            ctx.report(Class::GeneralError, text);
            i.vmac_xmit_base = true;
        }
    }
    if i.unicast_peers.is_empty() && i.ttl.is_some() {
        let text = format!("({name}): Cannot use unicast_ttl without unicast peers - resetting");
        ctx.report(Class::GeneralError, text);
        // The original resets to 0, which no kernel takes as a TTL; the default is meant.
        i.ttl = None;
    }
    if i.interface.is_none() {
        i.linkbeat = false;
    }
    ctx.model.vrrp.instances.push(i);
    Ok(())
}
