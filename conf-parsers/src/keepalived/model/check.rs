//! Model of check entries.
