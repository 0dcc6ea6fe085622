//! What a manager may change: an instance's base priority and whether it preempts. Both hold until the next reload.

use agentx_wire::{Value, VarBind};
use vrrp_proto::InstanceId;

use crate::mib::{error, keepalived};

/// A change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vrrp) enum Change {
    /// vrrpInstanceBasePriority
    Priority(InstanceId, u8),
    /// vrrpInstancePreempt
    Preempt(InstanceId, bool),
}

/// An instance as far as it can be changed.
#[derive(Clone, Copy, Debug)]
pub(in crate::vrrp) struct Present {
    /// Its base priority.
    pub(in crate::vrrp) priority: u8,
    /// It preempts.
    pub(in crate::vrrp) preempt: bool,
    /// It is of version 3, which has vrrpInstanceAccept.
    pub(in crate::vrrp) version_3: bool,
}

/// The change that a request is about, and what undoes it; or the error.
pub(in crate::vrrp) fn test(
    object: &VarBind,
    instance: impl Fn(usize) -> Option<Present>,
) -> Result<(Change, Change), u16> {
    let table = keepalived(&[2, 3, 1]);
    let rest = object.name.0.strip_prefix(&*table.0);
    let Some([column, row]) = rest else {
        return Err(error::NOT_WRITABLE);
    };
    let position = usize::try_from(*row).ok().and_then(|r| r.checked_sub(1));
    let id = position.and_then(|p| u16::try_from(p).ok()).map(InstanceId);
    let (Some(now), Some(id)) = (position.and_then(&instance), id) else {
        return Err(error::NOT_WRITABLE);
    };
    let value = match (column, &object.value) {
        (7 | 13, Value::Integer(value)) => *value,
        (7 | 13, _) => return Err(error::WRONG_TYPE),
        (27, _) if now.version_3 => return Err(error::NO_ACCESS),
        _ => return Err(error::NOT_WRITABLE),
    };
    match (column, value) {
        (7, value) => {
            // 255 is for the owner of the addresses, who is made by the configuration.
            let priority = u8::try_from(value).ok().filter(|p| *p != 0);
            let priority = priority.ok_or(error::WRONG_VALUE)?;
            Ok((
                Change::Priority(id, priority),
                Change::Priority(id, now.priority),
            ))
        }
        (_, 1 | 2) => Ok((
            Change::Preempt(id, value == 1),
            Change::Preempt(id, now.preempt),
        )),
        _ => Err(error::WRONG_VALUE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mib::Pending;
    use agentx_wire::pdu::Pdu;

    fn set(column: u32, row: u32, value: Value) -> Result<Vec<Change>, (u16, u16)> {
        let instance = |n| {
            (n < 2).then_some(Present {
                priority: 100,
                preempt: true,
                version_3: n == 1,
            })
        };
        let mut pending = Pending::default();
        let name = keepalived(&[2, 3, 1, column, row]);
        pending.step(&Pdu::TestSet(vec![VarBind { name, value }]), |o| {
            test(o, instance)
        })?;
        let done = pending.step(&Pdu::CommitSet, |o| test(o, instance))?;
        let undone = pending.step(&Pdu::UndoSet, |o| test(o, instance))?;
        assert_ne!(done, undone);
        Ok(done)
    }

    #[test]
    fn what_may_be_changed() {
        let id = InstanceId(0);
        assert_eq!(
            set(7, 1, Value::Integer(120)),
            Ok(vec![Change::Priority(id, 120)])
        );
        assert_eq!(
            set(13, 1, Value::Integer(2)),
            Ok(vec![Change::Preempt(id, false)])
        );
        assert_eq!(set(7, 1, Value::Integer(0)), Err((10, 1)));
        assert_eq!(set(7, 1, Value::Integer(256)), Err((10, 1)));
        assert_eq!(set(7, 1, Value::Unsigned(5)), Err((7, 1)));
        assert_eq!(set(13, 1, Value::Integer(3)), Err((10, 1)));
        assert_eq!(set(27, 2, Value::Integer(1)), Err((6, 1)));
        assert_eq!(set(27, 1, Value::Integer(1)), Err((17, 1)));
        assert_eq!(set(28, 1, Value::Integer(1)), Err((17, 1)));
        assert_eq!(set(7, 3, Value::Integer(1)), Err((17, 1)));
    }
}
