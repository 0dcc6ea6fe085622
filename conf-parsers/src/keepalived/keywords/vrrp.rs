//! Roots of the VRRP blocks: vrrp_instance, vrrp_sync_group, vrrp_script, track groups, static addresses, routes and rules.

use super::{
    garp_group, instance, interface_blocks, static_objects, sync_group, track_file, track_group,
    track_process, vrrp_script,
};
use crate::keepalived::engine::{Ctx, Feature, Keyword, Part, Root, kw, kw_block};
use crate::keepalived::model::vrrp::{SyncGroup, TrackFile, TrackGroup, TrackProcess, VrrpScript};
use crate::keepalived::model::vrrp_instance::VrrpInstance;

/// VRRP blocks, in the original's order.
pub static ROOTS: &[Root] = &[
    vrrp(kw_block(
        "track_group",
        Some(track_group::begin),
        &track_group::BLOCK,
    )),
    noted(kw("static_ipaddress", static_objects::addresses)),
    noted(kw("static_routes", static_objects::routes)),
    noted(kw("static_rules", static_objects::rules)),
    vrrp(kw_block(
        "vrrp_sync_group",
        Some(sync_group::begin),
        &sync_group::BLOCK,
    )),
    vrrp(kw_block(
        "garp_group",
        Some(garp_group::begin),
        &garp_group::BLOCK,
    )),
    vrrp(kw("linkbeat_interfaces", interface_blocks::linkbeat)),
    noted(kw_block(
        "vrrp_instance",
        Some(instance::begin),
        &instance::BLOCK,
    )),
    vrrp(kw_block(
        "vrrp_script",
        Some(vrrp_script::begin),
        &vrrp_script::BLOCK,
    )),
    vrrp(
        kw_block(
            "vrrp_track_process",
            Some(track_process::begin),
            &track_process::BLOCK,
        )
        .only_with(Feature::TrackProcess),
    ),
    vrrp(kw("interface_up_down_delays", interface_blocks::delays)),
    track(kw_block(
        "track_file",
        Some(track_file::begin),
        &track_file::BLOCK,
    )),
    track(kw_block(
        "vrrp_track_file",
        Some(track_file::begin_old),
        &track_file::BLOCK,
    )),
];

/// Read by the VRRP process.
const fn vrrp(keyword: Keyword) -> Root {
    Root {
        keyword,
        active: |part, _| matches!(part, Part::Vrrp),
        noted: None,
    }
}

/// Read by the VRRP process; the parent learns from it that this process is needed.
const fn noted(keyword: Keyword) -> Root {
    Root {
        keyword,
        active: |part, _| matches!(part, Part::Vrrp),
        noted: Some(needs_vrrp),
    }
}

/// Read by the VRRP and the checker process.
const fn track(keyword: Keyword) -> Root {
    Root {
        keyword,
        active: |part, _| matches!(part, Part::Vrrp | Part::Checker),
        noted: None,
    }
}

/// The configuration has something for the VRRP process to do.
pub(super) fn needs_vrrp(ctx: &mut Ctx<'_>) {
    ctx.model.global.have_vrrp = true;
}

/// VRRP objects under construction.
#[derive(Debug, Default)]
pub struct VrrpScratch {
    /// `vrrp_instance`
    pub instance: Option<VrrpInstance>,
    /// `vrrp_sync_group`
    pub sync_group: Option<SyncGroup>,
    /// `vrrp_script`
    pub script: Option<ScriptDraft>,
    /// `track_file`
    pub track_file: Option<TrackFile>,
    /// `vrrp_track_process`
    pub process: Option<TrackProcess>,
    /// `track_group`
    pub track_group: Option<TrackGroup>,
    /// `garp_group`: index in the model.
    pub garp_group: Option<usize>,
    /// Number of `interfaces` blocks in garp groups, which the original shows as the group's number.
    pub garp_aggregations: u32,
    /// An instance has `lvs_sync_daemon_interface` (interface, instance).
    pub lvs_sync: Option<(Box<str>, Box<str>)>,
}

/// A `vrrp_script` under construction.
#[derive(Debug)]
pub struct ScriptDraft {
    /// What was read so far.
    pub script: VrrpScript,
    /// Account of a `user` line that could be resolved.
    pub account: Option<(u32, u32)>,
    /// The last `user` line failed.
    pub remove: bool,
}
