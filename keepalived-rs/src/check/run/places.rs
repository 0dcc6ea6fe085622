//! What the core's numbers stand for in the model.

use checker_proto::RsId;
use checker_proto::config::VsId;
use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::lvs::{RealServer, VirtualServer};

use crate::check::lower::First;
use crate::text::check::About;

/// What is written at the positions of a virtual server, a real server in it and a checker in that.
pub(super) fn about(model: &Model, place: Option<(usize, usize, usize)>) -> About<'_> {
    let Some((vs, rs, at)) = place else {
        return About::default();
    };
    let vs = model.lvs.virtual_servers.get(vs);
    let rs = vs.and_then(|vs| vs.real_servers.get(rs));
    let file = rs.and_then(|rs| {
        let place = at.checked_sub(rs.checkers.len())?;
        rs.track_files.get(place).map(|f| &*f.file.value)
    });
    About {
        vs,
        rs,
        checker: rs.and_then(|rs| rs.checkers.get(at)),
        file,
    }
}

/// A virtual server by the core's number.
pub(super) fn virtual_of(model: &Model, vs: VsId) -> Option<&VirtualServer> {
    let servers = &model.lvs.virtual_servers;
    servers.get(usize::try_from(vs.0).ok()?)
}

/// A real server by the core's number, with its virtual server.
pub(super) fn real_of<'m>(
    model: &'m Model,
    firsts: &[First],
    rs: RsId,
) -> Option<(&'m VirtualServer, &'m RealServer)> {
    let after = firsts.partition_point(|f| f.real <= rs.0);
    let vs = after.checked_sub(1)?;
    let place = rs.0.checked_sub(firsts.get(vs)?.real)?;
    let server = model.lvs.virtual_servers.get(vs)?;
    Some((
        server,
        server.real_servers.get(usize::try_from(place).ok()?)?,
    ))
}
