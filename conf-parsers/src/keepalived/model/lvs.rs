//! Model of the lvs blocks.

/// All lvs blocks of the configuration.
#[derive(Clone, Debug, Default)]
pub struct LvsModel {}
