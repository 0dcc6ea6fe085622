//! Who tracks which interface, and with which weight.

use super::interfaces::{At, Interfaces};
use crate::diag::Class;
use crate::keepalived::engine::Ctx;
use crate::keepalived::model::vrrp::Tracked;

/// Why an instance looks at an interface. A set of flags, since several reasons may come together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reason(u16);

impl Reason {
    /// The instance lives on it.
    pub(super) const OWN: Self = Self(1);
    /// `track_interface` of the instance.
    pub(super) const TRACK: Self = Self(2);
    /// `track_interface` of the sync group.
    pub(super) const GROUP: Self = Self(4);
    /// An address, a route or a rule needs it.
    pub(super) const NEEDED: Self = Self(8);
    /// It lies below the instance's interface.
    pub(super) const BELOW: Self = Self(16);

    const CONFIGURED: u16 = Self::OWN.0 | Self::TRACK.0 | Self::GROUP.0;

    /// Whether it is more than the instance's own interface or the one below it.
    fn listed(self) -> bool {
        let asked = self.0 & (Self::TRACK.0 | Self::GROUP.0) != 0;
        asked || (self.0 & Self::NEEDED.0 != 0 && self.0 & Self::OWN.0 == 0)
    }

    fn configured(self) -> bool {
        self.0 & Self::CONFIGURED != 0
    }
}

/// An instance that tracks an interface.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tracking {
    /// Index of the instance.
    pub(super) instance: usize,
    reason: Reason,
    /// None: known, but not tracked (`dont_track_primary`).
    weight: Option<i16>,
    reverse: bool,
}

/// Notes that the instance called `name` looks at an interface.
pub(super) fn add(
    ctx: &mut Ctx<'_>,
    interfaces: &mut Interfaces,
    at: At,
    (instance, name): (usize, &str),
    (weight, reverse): (Option<i16>, bool),
    reason: Reason,
) {
    let Some(interface) = interfaces.get_mut(at) else {
        return;
    };
    let mut known = interface.tracking.iter_mut();
    let Some(known) = known.find(|t| t.instance == instance) else {
        interface.tracking.push(Tracking {
            instance,
            reason,
            weight,
            reverse,
        });
        return;
    };
    let twice = known.reason.configured()
        && reason.configured()
        && known.weight.is_some()
        && weight.is_some();
    // The group's weight wins unless the instance tracks without one.
    if reason != Reason::BELOW && known.weight != Some(0) && weight.is_some() {
        known.weight = weight;
        known.reverse = reverse;
    }
    known.reason.0 |= reason.0;
    if twice {
        let shown = &interface.name;
        ctx.report(
            Class::GeneralError,
            format!(
                "({name}) track_interface {shown} is configured on VRRP instance and sync group. Remove vrrp instance or sync group config"
            ),
        );
    }
}

/// The interfaces that an instance tracks in the end: those of its own `track_interface`, of its group, and those it needs.
/// The interface it lives on is not among them.
pub(super) fn of_instance(interfaces: &Interfaces, instance: usize) -> Vec<Tracked> {
    let mut all = Vec::new();
    for interface in &interfaces.list {
        let mut tracking = interface.tracking.iter();
        let Some(t) = tracking.find(|t| t.instance == instance) else {
            continue;
        };
        let Some(weight) = t.weight else { continue };
        if !t.reason.listed() {
            continue;
        }
        all.push(Tracked {
            name: crate::span::Spanned::new(interface.name.clone(), crate::span::Span::default()),
            weight,
            reverse: t.reverse,
        });
    }
    all
}
