//! keepalived.conf and conntrackd.conf: text to model.
//!
//! In: configuration files through a [`source::Source`], the system's facts through a [`source::Host`].
//! Out: a typed model of what the operator wrote, diagnostics with the originals' sentences, exit status of a configuration test.
//! Users: the daemons (their `lower` modules turn the model into the cores' configuration). No IO of its own.
//! Answers to: keepalived-behaviour.md section 3, keepalived-keywords.tsv, conntrackd-behaviour.md, conntrackd-keywords.tsv.

pub mod conntrackd;
pub mod diag;
pub mod keepalived;
pub mod source;
pub mod span;
