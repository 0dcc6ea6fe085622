//! Routes and rules.
