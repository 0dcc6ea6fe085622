//! What a manager may change: the weight of a real server. It holds until something else changes it, or the next reload.

use agentx_wire::{Value, VarBind};
use checker_proto::service::real_weight;
use checker_proto::{Engine, RsId};
use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::lvs::WEIGHT_MAX;

use super::{id, reals};
use crate::mib::{at, error, keepalived};

/// A real server and its weight.
pub(in crate::check) type Change = (RsId, u32);

/// The change that a request is about, and what undoes it; or the error.
pub(in crate::check) fn test(
    object: &VarBind,
    model: &Model,
    engine: &Engine,
) -> Result<(Change, Change), u16> {
    let column = keepalived(&[3, 4, 1, 7]);
    let Some(&[n, row]) = object.name.0.strip_prefix(&*column.0) else {
        return Err(error::NOT_WRITABLE);
    };
    let vs = at(&model.lvs.virtual_servers, n).ok_or(error::NOT_WRITABLE)?;
    let place = reals::place(vs, row).filter(|_| row > 0);
    let place = place.and_then(|p| usize::try_from(p).ok());
    let rs = place.and_then(|p| engine.reals_of(id(n)).nth(p));
    let rs = rs.ok_or(error::NOT_WRITABLE)?;
    let now = engine.real(rs).ok_or(error::NOT_WRITABLE)?;
    let Value::Integer(value) = object.value else {
        return Err(error::WRONG_TYPE);
    };
    let weight = u32::try_from(value).ok().filter(|w| *w <= WEIGHT_MAX);
    let weight = weight.ok_or(error::WRONG_VALUE)?;
    Ok(((rs, weight), (rs, real_weight(now.effective))))
}
