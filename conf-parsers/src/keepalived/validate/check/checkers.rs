//! Defaults of the checkers, from the real server (which has the virtual server's by now) or from the kind of checker.

use crate::keepalived::model::check::Checker;
use crate::keepalived::model::lvs::{RealServer, VirtualServer};

/// Fills the times of every checker.
pub(super) fn fill(servers: &mut [VirtualServer]) {
    for rs in servers.iter_mut().flat_map(|vs| &mut vs.real_servers) {
        let mut checkers = std::mem::take(&mut rs.checkers);
        for checker in &mut checkers {
            fill_one(checker, rs);
        }
        rs.checkers = checkers;
    }
}

fn fill_one(checker: &mut Checker, rs: &RealServer) {
    checker.alpha = checker.alpha.or(rs.alpha);
    if !checker.kind.is_active() {
        return;
    }
    if let Some(connection) = &mut checker.connection {
        connection.timeout = connection.timeout.or(rs.connect_timeout);
    }
    let times = &mut checker.times;
    times.retry = times
        .retry
        .or(rs.times.retry)
        .or(Some(checker.kind.default_retry()));
    times.delay_loop = times.delay_loop.or(rs.times.delay_loop);
    times.warmup = times.warmup.or(rs.times.warmup).or(times.delay_loop);
    times.delay_before_retry = times
        .delay_before_retry
        .or(rs.times.delay_before_retry)
        .or(checker.kind.default_delay_before_retry())
        .or(times.delay_loop);
}
