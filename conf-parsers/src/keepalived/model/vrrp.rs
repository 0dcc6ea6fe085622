//! Model of the vrrp blocks.

/// All vrrp blocks of the configuration.
#[derive(Clone, Debug, Default)]
pub struct VrrpModel {}
