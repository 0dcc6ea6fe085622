//! Model of rule entries.
