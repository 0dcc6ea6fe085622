//! Keywords of global_defs.
