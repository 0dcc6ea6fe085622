//! What a manager may change: an instance's base priority and whether it preempts. Both hold until the next reload.

use agentx_wire::pdu::Pdu;
use agentx_wire::{Value, VarBind};
use vrrp_proto::InstanceId;

use crate::mib::keepalived;

/// Errors of RFC 2741 section 6.2.16, named as in RFC 3416.
mod error {
    pub(super) const NO_ACCESS: u16 = 6;
    pub(super) const WRONG_TYPE: u16 = 7;
    pub(super) const WRONG_VALUE: u16 = 10;
    pub(super) const NOT_WRITABLE: u16 = 17;
}

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

/// A set in progress: what is to be done, and what undoes it.
#[derive(Debug, Default)]
pub(in crate::vrrp) struct Pending(Vec<(Change, Change)>);

impl Pending {
    /// The step of a set that `pdu` is: what to do now, or error and number of the object.
    pub(in crate::vrrp) fn step(
        &mut self,
        pdu: &Pdu,
        instance: impl Fn(usize) -> Option<Present>,
    ) -> Result<Vec<Change>, (u16, u16)> {
        match pdu {
            Pdu::TestSet(objects) => {
                self.0.clear();
                for (number, object) in (1..).zip(objects) {
                    let change = test(object, &instance).map_err(|error| (error, number))?;
                    self.0.push(change);
                }
                Ok(Vec::new())
            }
            Pdu::CommitSet => Ok(self.0.iter().map(|(change, _)| *change).collect()),
            Pdu::UndoSet => Ok(self.0.drain(..).rev().map(|(_, undo)| undo).collect()),
            _ => {
                self.0.clear();
                Ok(Vec::new())
            }
        }
    }
}

fn test(
    object: &VarBind,
    instance: &impl Fn(usize) -> Option<Present>,
) -> Result<(Change, Change), u16> {
    let table = keepalived(&[2, 3, 1]);
    let rest = object.name.0.strip_prefix(&*table.0);
    let Some([column, row]) = rest else {
        return Err(error::NOT_WRITABLE);
    };
    let position = usize::try_from(*row).ok().and_then(|r| r.checked_sub(1));
    let id = position.and_then(|p| u16::try_from(p).ok()).map(InstanceId);
    let (Some(now), Some(id)) = (position.and_then(instance), id) else {
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
        pending.step(&Pdu::TestSet(vec![VarBind { name, value }]), instance)?;
        let done = pending.step(&Pdu::CommitSet, instance)?;
        let undone = pending.step(&Pdu::UndoSet, instance)?;
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
