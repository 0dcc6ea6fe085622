//! What the operator wrote, typed, with defaults filled.

pub mod address;
pub mod bfd;
pub mod check;
pub mod global;
pub mod lvs;
pub mod print_address;
pub mod print_route;
pub mod print_rule;
pub mod rare;
pub mod route;
pub mod rule;
pub mod script;
pub mod vrrp;
pub mod vrrp_instance;

pub use bfd::BfdModel;
pub use global::Global;
pub use lvs::LvsModel;
pub use script::Script;
pub use vrrp::VrrpModel;

/// The whole configuration, as far as one process reads it.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// global_defs and the top-level words.
    pub global: Global,
    /// VRRP blocks.
    pub vrrp: VrrpModel,
    /// Virtual servers and checkers.
    pub lvs: LvsModel,
    /// BFD sessions.
    pub bfd: BfdModel,
}
