//! An expectation: a flow that a helper has announced.

use alloc::boxed::Box;

use crate::tuple::Tuple;

/// A set of an expectation's attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpAttr(u16);

impl ExpAttr {
    /// Master tuple.
    pub const MASTER: Self = Self(1);
    /// Expected tuple.
    pub const EXPECTED: Self = Self(1 << 1);
    /// Mask.
    pub const MASK: Self = Self(1 << 2);
    /// Timeout.
    pub const TIMEOUT: Self = Self(1 << 3);
    /// Zone.
    pub const ZONE: Self = Self(1 << 4);
    /// Flags.
    pub const FLAGS: Self = Self(1 << 5);
    /// Class.
    pub const CLASS: Self = Self(1 << 6);
    /// Direction of the translation.
    pub const NAT_DIR: Self = Self(1 << 7);

    /// Whether all of `other` are in the set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without those of `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Translation of an expected flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatTuple {
    /// The tuple to translate to.
    pub tuple: Tuple,
    /// Direction, 0 original or 1 reply; valid with [`ExpAttr::NAT_DIR`].
    pub dir: u32,
}

/// An expectation. Numbers are zero while their bit in `set` is off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// Which attributes carry a value (strings and translation say so themselves).
    pub set: ExpAttr,
    /// The flow whose helper announced it.
    pub master: Tuple,
    /// The announced flow.
    pub expected: Tuple,
    /// Which bits of `expected` count.
    pub mask: Tuple,
    /// Translation, when the kernel has one.
    pub nat: Option<Box<NatTuple>>,
    /// Remaining seconds.
    pub timeout: u32,
    /// 1 permanent, 2 inactive, 4 user space.
    pub flags: u32,
    /// The helper's class of expectation.
    pub class: u32,
    /// Zone.
    pub zone: u16,
    /// Helper's name.
    pub helper: Option<Box<str>>,
    /// Name of the kernel function that runs when the flow arrives.
    pub function: Option<Box<str>>,
}

impl Expect {
    /// Whether both describe the same expectation: everything that both know is equal, the timeout aside.
    pub fn same(&self, other: &Self) -> bool {
        let both = |a| self.set.has(a) && other.set.has(a);
        fn strings(a: Option<&str>, b: Option<&str>) -> bool {
            match (a, b) {
                (Some(a), Some(b)) => a == b,
                _ => true,
            }
        }
        (!both(ExpAttr::MASTER) || self.master.same_flow(&other.master))
            && (!both(ExpAttr::EXPECTED) || self.expected.same_flow(&other.expected))
            && (!both(ExpAttr::MASK) || self.mask.same_flow(&other.mask))
            && (!both(ExpAttr::ZONE) || self.zone == other.zone)
            && (!both(ExpAttr::FLAGS) || self.flags == other.flags)
            && (!both(ExpAttr::CLASS) || self.class == other.class)
            && match (&self.nat, &other.nat) {
                (Some(a), Some(b)) => a.dir == b.dir && a.tuple.same_flow(&b.tuple),
                _ => true,
            }
            && strings(self.helper.as_deref(), other.helper.as_deref())
            && strings(self.function.as_deref(), other.function.as_deref())
    }
}
