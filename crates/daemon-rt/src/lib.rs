//! Process life of a daemon: logging, pid files, signals, scripts, FIFOs, command line (layer L3).
//!
//! In: what a daemon decided (a line to log, a script to run, a file to hold). Out: system calls,
//! and events as plain data (a signal arrived, a script ended).
//! Who may use it: the daemons (L4). It knows no protocol, no configuration language and no core.
//! Answers to: keepalived's lib/logger.c, core/pidfile.c, lib/signals.c, lib/notify.c, core/main.c,
//! conntrack-tools' src/log.c, and getopt_long(3) as glibc implements it.
#![deny(missing_docs)]

pub mod cli;
pub mod dump_file;
pub mod fifo;
pub mod log;
pub mod pidfile;
pub mod script;
pub mod signals;
pub mod systemd;
