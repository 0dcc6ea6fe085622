//! From what the operator wrote to what the core needs.

use bfd_proto::SessionConfig;
use conf_parsers::keepalived::model::BfdModel;

/// The sessions, in file order.
pub fn lower(model: &BfdModel) -> Vec<SessionConfig> {
    let sessions = model.instances.iter();
    let session = |b: &conf_parsers::keepalived::model::bfd::BfdInstance| {
        Some(SessionConfig {
            name: b.name.value.clone(),
            // Set after the block.
            neighbor: b.neighbor?,
            source: b.source,
            min_rx: b.min_rx,
            min_tx: b.min_tx,
            idle_tx: b.idle_tx,
            multiplier: b.multiplier,
            passive: b.passive,
            ttl: b.ttl,
            max_hops: b.max_hops,
            multihop: b.multihop,
        })
    };
    sessions.filter_map(session).collect()
}
