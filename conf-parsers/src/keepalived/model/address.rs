//! Model of address entries.
