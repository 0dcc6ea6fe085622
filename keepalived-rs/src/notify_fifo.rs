//! Named pipes for notifications, with the scripts that read them.
//!
//! In: `notify_fifo` and its relatives of global_defs. Out: open pipes, log lines.
//! Who may use it: the VRRP process and the checker process. Answers to: keepalived 2.3.3 lib/notify.c.

use std::path::Path;

use conf_parsers::keepalived::model::global::Fifo as Written;
use daemon_rt::fifo::{Fifo, Unusable};
use daemon_rt::log;
use daemon_rt::log::Priority;
use daemon_rt::script::Command;

use crate::parent::command;
use crate::text::errno::sentence;

/// Opens one. `kind`: `vrrp_`, `lvs_` or nothing, for the log. `start` starts its reader, which waits in open(2) until the pipe has a
/// writer.
pub fn open(written: &Written, kind: &str, start: impl FnOnce(&Command, &str)) -> Option<Fifo> {
    let name = written.name.as_deref()?;
    let prepared = match Fifo::prepare(Path::new(name), written.uid, written.gid) {
        Ok(prepared) => prepared,
        Err(_) => {
            log!(Priority::Info, "Unable to create {kind}notify fifo {name}");
            return None;
        }
    };
    if prepared.owner_refused {
        log!(Priority::Info, "Failed to set uid:gid for fifo {name}");
    }
    if let Some(script) = &written.script {
        start(&command(script), name);
    }
    let mut fifo = prepared.fifo;
    match fifo.open() {
        Ok(()) => Some(fifo),
        Err(Unusable::NotOurs) => {
            log!(
                Priority::Info,
                "{kind}notify fifo {name} is not a fifo we own - not using"
            );
            None
        }
        Err(Unusable::Io(e)) => {
            log!(
                Priority::Info,
                "Unable to open {kind}notify fifo {name} - errno {}",
                e.raw_os_error().unwrap_or(0)
            );
            None
        }
    }
}

/// A line to every pipe. One that does not fit is lost, and `kind` told.
pub fn write(fifos: &[(&'static str, Fifo)], line: &str) {
    for (kind, fifo) in fifos {
        if let Err(e) = fifo.write_line(line) {
            let kind = kind.replace('_', " ");
            log!(
                Priority::Info,
                "{kind}notify fifo write error: {}",
                sentence(&e)
            );
        }
    }
}
