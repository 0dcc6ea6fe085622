//! Checks of the VRRP part after the last line, in the original's order; they complete the model.
//!
//! Scripts' safety → minimal configuration → sync groups → each instance → duplicate VRIDs → shared VMACs → static track groups →
//! trackers of sync groups. A configuration test ends there; a daemon also learns which scripts nobody uses.

mod addresses;
mod conflicts;
mod groups;
mod instance;
mod interfaces;
mod policy;
mod scripts;
#[cfg(test)]
mod tests;
mod timers;
mod trackers;
mod vmac;
mod weights;

use crate::diag::{Class, EXIT_CONFIG};
use crate::keepalived::engine::{Ctx, Exit, Flow};
use crate::keepalived::model::VrrpModel;
use crate::keepalived::model::vrrp_instance::VrrpInstance;
use interfaces::Interfaces;

/// The configuration cannot run; the messages have been given.
struct Unusable;

type Check = Result<(), Unusable>;

/// All checks. Err with the exit status if a daemon (not a configuration test) must end.
pub fn after(ctx: &mut Ctx<'_>) -> Flow {
    if ctx.scratch.interfaces.rejected {
        ctx.report(
            Class::BadInterface,
            "Non-existent interface specified in configuration",
        );
        return stop(ctx);
    }
    let mut vrrp = std::mem::take(&mut ctx.model.vrrp);
    let result = complete(ctx, &mut vrrp);
    ctx.model.vrrp = vrrp;
    let refused = ctx.model.global.reload_check_config.is_some() && ctx.worst() != Class::Ok;
    if result.is_err() || refused {
        return stop(ctx);
    }
    Ok(())
}

/// A configuration test goes on with the next part; a daemon ends.
fn stop(ctx: &Ctx<'_>) -> Flow {
    if ctx.options.config_test {
        Ok(())
    } else {
        Err(Exit(EXIT_CONFIG))
    }
}

fn complete(ctx: &mut Ctx<'_>, vrrp: &mut VrrpModel) -> Check {
    let global = &mut ctx.model.global;
    global.vrrp_garp_lower_prio_repeat = global
        .vrrp_garp_lower_prio_repeat
        .or(Some(global.vrrp_garp_master_repeat));
    global.vrrp_garp_lower_prio_delay = global
        .vrrp_garp_lower_prio_delay
        .or(Some(global.vrrp_garp_master_delay));
    firewall(ctx);
    scripts::check(ctx, vrrp);
    for instance in &vrrp.instances {
        instance::minimal(ctx, instance)?;
    }
    groups::resolve(ctx, vrrp);
    let mut interfaces = Interfaces::read(ctx, vrrp);
    for at in 0..vrrp.instances.len() {
        instance::complete(ctx, vrrp, at, &mut interfaces)?;
    }
    conflicts::vrids(ctx, vrrp, &interfaces)?;
    conflicts::vmacs(ctx, vrrp);
    groups::static_tracks(ctx, vrrp);
    groups::trackers(ctx, vrrp, &mut interfaces);
    if !ctx.options.config_test {
        lvs_sync(ctx, vrrp);
        scripts::unused(ctx, vrrp);
    }
    vrrp.instances.iter_mut().for_each(VrrpInstance::compact);
    vrrp.instances.shrink_to_fit();
    Ok(())
}

/// iptables and nftables exclude each other; ipsets need iptables.
fn firewall(ctx: &mut Ctx<'_>) {
    let global = &mut ctx.model.global;
    if global.iptables_in_chain.is_some() && global.nftables.is_some() {
        global.iptables_in_chain = None;
        global.iptables_out_chain = None;
        if global.using_ipsets == Some(true) {
            global.using_ipsets = Some(false);
        }
        ctx.log("Both iptables and nftables have been specified - ignoring iptables");
    }
    let global = &mut ctx.model.global;
    let iptables = global.iptables_in_chain.is_some();
    if !iptables && global.using_ipsets == Some(true) {
        global.using_ipsets = Some(false);
        ctx.log(
            "vrrp_ipsets has been specified but not vrrp_iptables - vrrp_ipsets will be ignored",
        );
    }
    ctx.model.global.using_ipsets.get_or_insert(iptables);
}

/// The instance that decides about the IPVS synchronisation daemon.
fn lvs_sync(ctx: &mut Ctx<'_>, vrrp: &VrrpModel) {
    let daemon = &mut ctx.model.global.lvs_sync_daemon;
    let Some(name) = daemon.instance.clone() else {
        daemon.sync_id.get_or_insert(0);
        return;
    };
    match vrrp.instance(&name) {
        Some(instance) => {
            let vrid = u32::from(instance.vrid.unwrap_or(0));
            daemon.sync_id.get_or_insert(vrid);
        }
        None => {
            daemon.interface = None;
            daemon.instance = None;
            daemon.sync_id = None;
            ctx.report(
                Class::GeneralError,
                format!(
                    "Unable to find vrrp instance {name} for lvs_syncd - clearing lvs_syncd config"
                ),
            );
        }
    }
}
