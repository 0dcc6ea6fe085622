//! What SIGUSR1, SIGUSR2 and the JSON signal write, in the layout of keepalived 2.3.3 (keepalived-behaviour.md section 6).
//!
//! In: the model (what was configured) and a [`Snapshot`] (what is now). Out: the whole text of a file. No clock, no IO.

#[cfg(feature = "bfd")]
pub mod bfd;
#[cfg(feature = "lvs")]
pub mod check;
#[cfg(feature = "lvs")]
mod checkers;
pub mod global;
pub mod instance;
pub mod interface;
pub mod json;
pub mod number;
pub mod snapshot;
pub mod stats;
pub mod track;

pub use snapshot::Snapshot;

use conf_parsers::keepalived::model::{Global, Model, Script};

/// Appends a formatted line; writing to a String cannot fail.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {{
        use std::fmt::Write as _;
        let _ = writeln!($out, $($text)*);
    }};
}
pub(crate) use line;

/// The parent's data dump.
pub fn parent_data(global: &Global, process: &snapshot::ProcessNow) -> String {
    let mut out = String::with_capacity(4096);
    global::global(&mut out, global, process, None);
    out
}

/// The VRRP child's data dump.
pub fn vrrp_data(model: &Model, now: &Snapshot) -> String {
    let mut out = String::with_capacity(8192);
    let default = model.global.default_interface.as_deref().unwrap_or("eth0");
    global::global(&mut out, &model.global, &now.process, Some(default));
    track::static_objects(&mut out, model, now);
    instance::instances(&mut out, model, now);
    track::sockets(&mut out, now);
    track::groups(&mut out, model, now);
    track::scripts(&mut out, model, now);
    track::files(&mut out, model, now);
    track::processes(&mut out, model, now);
    track::bfds(&mut out, model, now);
    interface::interfaces(&mut out, model, now);
    out
}

/// A command as the original shows it: each word in single quotes, except a first word that only tests a file (`</path`).
pub fn command(script: &Script, more: &[&str]) -> String {
    let words = script
        .args
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied());
    let mut out = String::new();
    for (index, word) in words.enumerate() {
        if index == 0 && word.starts_with(['<', '>']) {
            out.push_str(word);
            continue;
        }
        if index > 0 {
            out.push(' ');
        }
        out.push('\'');
        out.push_str(word);
        out.push('\'');
    }
    out
}

/// `true`/`false`.
pub(crate) const fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// ` reverse` or nothing.
pub(crate) const fn reverse(value: bool) -> &'static str {
    if value { " reverse" } else { "" }
}

#[cfg(test)]
mod tests;
