//! Model of the bfd blocks.

/// All bfd blocks of the configuration.
#[derive(Clone, Debug, Default)]
pub struct BfdModel {}
