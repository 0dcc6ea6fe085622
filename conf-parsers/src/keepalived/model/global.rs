//! global_defs and the top-level words.

/// Global options.
#[derive(Clone, Debug, Default)]
pub struct Global {
    /// The parent met VRRP blocks: the VRRP child is needed.
    pub have_vrrp: bool,
    /// The parent met virtual servers: the checker child is needed.
    pub have_checker: bool,
    /// The parent met BFD sessions: the BFD child is needed.
    pub have_bfd: bool,
}
