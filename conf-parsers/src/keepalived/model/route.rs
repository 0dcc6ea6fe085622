//! Model of route entries.
