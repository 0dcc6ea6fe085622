//! Builds without the feature `snmp`: nobody asks, nobody is told.

use checker_proto::{Quorum, RsId};
use conf_parsers::keepalived::model::Model;
use net_types::Instant;

use super::Child;
use crate::cli::Options;

/// Nothing.
#[derive(Debug, Default)]
pub(super) struct Snmp(());

#[expect(clippy::unused_self, reason = "nobody is built")]
impl Snmp {
    pub(super) const fn apply(_: &mut Model, _: &Options) {}

    pub(super) const fn configure(&mut self, _: &Model, _: Instant) {}

    pub(super) const fn is_ready(&self) -> bool {
        false
    }

    pub(super) const fn busy(&self) -> bool {
        false
    }

    pub(super) const fn next_timeout(&self) -> Option<Instant> {
        None
    }

    pub(super) const fn handle_timeout(&mut self, _: Instant) {}

    pub(super) const fn close(&mut self) {}
}

#[expect(clippy::unused_self, reason = "nobody is built")]
impl Child<'_> {
    pub(super) const fn snmp_requests(&mut self) {}

    pub(super) const fn snmp_real(&mut self, _: Instant, _: RsId, _: bool, _: u32) {}

    pub(super) const fn snmp_quorum(&mut self, _: Instant, _: &Quorum) {}
}
