//! The statistics' layouts (conntrackd-behaviour.md section 2), to the blank.

use alloc::string::String;
use core::fmt::{self, Write};

use net_types::Instant;

use super::{Engine, Link};
use crate::cache::{Cache, Object};
use crate::config::{LinkConfig, LinkKind, Mode};
use crate::queue::{Element, List};
use crate::request::Request;

/// Object counts that fit the original's layout: how many are allocated, live, and in the hash.
fn cache_short(out: &mut String, name: &str, c: &crate::stats::CacheCounters) -> fmt::Result {
    write!(
        out,
        "cache {name}:\n\
         current active connections:\t{:12}\n\
         connections created:\t\t{:12}\tfailed:\t{:12}\n\
         connections updated:\t\t{:12}\tfailed:\t{:12}\n\
         connections destroyed:\t\t{:12}\tfailed:\t{:12}\n\n",
        c.active, c.add_ok, c.add_fail, c.upd_ok, 0, c.del_ok, 0
    )
}

fn cache_long<T: Object>(out: &mut String, name: &str, cache: &Cache<T>) -> fmt::Result {
    let c = &cache.counters;
    let total = cache.total();
    write!(
        out,
        "cache:{name}\tactive objects:\t\t{total:12}\n\
         \tactive/total entries:\t\t{:12}/{total:12}\n\
         \tcreation OK/failed:\t\t{:12}/{:12}\n\
         \t\tno memory available:\t{:12}\n\
         \t\tno space left in cache:\t{:12}\n\
         \tupdate OK/failed:\t\t{:12}/{:12}\n\
         \t\tentry not found:\t{:12}\n\
         \tdeletion created/failed:\t{:12}/{:12}\n\
         \t\tentry not found:\t{:12}\n\n",
        c.active, c.add_ok, c.add_fail, 0, c.add_fail_full, c.upd_ok, 0, 0, c.del_ok, 0, 0
    )
}

fn link_counters(out: &mut String, link: &Link) -> fmt::Result {
    let c = &link.counters;
    write!(
        out,
        "{:20} Bytes sent {:20} Bytes recv\n\
         {:20} Pckts sent {:20} Pckts recv\n\
         {:20} Error send {:20} Error recv\n\n",
        c.sent_bytes, c.received_bytes, c.sent, c.received, c.send_errors, c.receive_errors
    )
}

fn kind_word(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Multicast => "multicast",
        LinkKind::Udp => "UDP",
        LinkKind::Tcp => "TCP",
    }
}

impl Engine {
    /// The text that answers a statistics request.
    pub(super) fn report(&self, request: Request, now: Instant) -> String {
        let mut out = String::new();
        // Writing to a String can not fail.
        let _ = match request {
            Request::Stats => self.report_main(&mut out, false),
            Request::ExpectStats => self.report_main(&mut out, true),
            Request::StatsNetwork => self.report_network(&mut out),
            Request::StatsCache => self.report_caches(&mut out),
            Request::StatsRuntime => self.report_runtime(&mut out, now),
            Request::StatsLink => self.report_links(&mut out),
            Request::StatsResendQueue => self.report_resend(&mut out),
            Request::StatsQueue => self.report_queues(&mut out),
            _ => Ok(()),
        };
        out
    }

    fn report_main(&self, out: &mut String, expect: bool) -> fmt::Result {
        if self.mode.counts_flows() {
            cache_short(out, "stats", &self.internal.counters)?;
            return self.report_traffic(out);
        }
        let (internal, external) = if expect {
            (&self.internal_exp.counters, &self.external_exp.counters)
        } else {
            (&self.internal.counters, &self.external.counters)
        };
        match (self.config.disable_internal_cache, expect) {
            (false, _) => cache_short(out, "internal", internal)?,
            (true, false) => self.bypass.conntracks.report(out)?,
            (true, true) => self.bypass.expectations.report(out)?,
        }
        match (self.config.disable_external_cache, expect) {
            (false, _) => cache_short(out, "external", external)?,
            (true, false) => self.injector.conntracks.report(out)?,
            (true, true) => self.injector.expectations.report(out)?,
        }
        self.report_traffic(out)?;
        self.report_active_link(out)?;
        write!(
            out,
            "message tracking:\n{:20} Malformed msgs {:20} Lost msgs\n\n",
            self.network.malformed, self.network.lost
        )
    }

    fn report_traffic(&self, out: &mut String) -> fmt::Result {
        write!(
            out,
            "traffic processed:\n{:20} Bytes      {:20} Pckts\n\n",
            self.kernel.bytes, self.kernel.packets
        )
    }

    fn report_caches(&self, out: &mut String) -> fmt::Result {
        if self.mode.counts_flows() {
            return cache_long(out, "stats", &self.internal);
        }
        if self.config.disable_internal_cache {
            self.bypass.conntracks.report(out)?;
        } else {
            cache_long(out, "internal", &self.internal)?;
        }
        if self.config.disable_external_cache {
            self.injector.conntracks.report(out)
        } else {
            cache_long(out, "external", &self.external)
        }
    }

    fn link_pair(&self, index: usize) -> Option<(&LinkConfig, &Link)> {
        self.config.links.get(index).zip(self.links.get(index))
    }

    fn report_active_link(&self, out: &mut String) -> fmt::Result {
        let Some((config, link)) = self.link_pair(self.active_link) else {
            return Ok(());
        };
        write!(
            out,
            "{} traffic (active device={})",
            kind_word(config.kind),
            config.device
        )?;
        if config.kind == LinkKind::Tcp {
            let word = |on: bool| if on { "connected" } else { "disconnected" };
            write!(
                out,
                " server={} client={}",
                word(link.accepted),
                word(link.connected)
            )?;
        }
        out.push_str(":\n");
        link_counters(out, link)
    }

    fn report_links(&self, out: &mut String) -> fmt::Result {
        for index in 0..self.links.len() {
            let Some((config, link)) = self.link_pair(index) else {
                continue;
            };
            let status = match (link.up, link.running) {
                (true, true) => "RUNNING",
                (true, false) => "NO-CARRIER",
                (false, _) => "DOWN",
            };
            let role = if index == self.active_link {
                "ACTIVE"
            } else {
                "BACKUP"
            };
            writeln!(
                out,
                "{} traffic device={} status={status} role={role}:",
                kind_word(config.kind),
                config.device
            )?;
            link_counters(out, link)?;
        }
        Ok(())
    }

    fn report_network(&self, out: &mut String) -> fmt::Result {
        let n = &self.network;
        write!(
            out,
            "network statistics:\n\
             \trecv:\n\
             \t\tMalformed messages:\t{:20}\n\
             \t\tWrong protocol version:\t{:20}\n\
             \t\tMalformed header:\t{:20}\n\
             \t\tMalformed payload:\t{:20}\n\
             \t\tBad message type:\t{:20}\n\
             \t\tTruncated message:\t{:20}\n\
             \t\tBad message size:\t{:20}\n\
             \tsend:\n\
             \t\tMalformed messages:\t{:20}\n\n\
             sequence tracking statistics:\n\
             \trecv:\n\
             \t\tPackets lost:\t\t{:20}\n\
             \t\tPackets before:\t\t{:20}\n\n",
            n.malformed,
            n.bad_version,
            n.bad_header,
            n.bad_payload,
            n.bad_type,
            n.truncated,
            n.bad_size,
            n.send_malformed,
            n.lost,
            n.before
        )?;
        self.report_active_link(out)
    }

    fn report_runtime(&self, out: &mut String, now: Instant) -> fmt::Result {
        let (k, s) = (&self.kernel, &self.shell);
        out.push_str("daemon uptime: ");
        let minutes = now.since(self.started).as_secs() / 60;
        let (days, hours) = (minutes / (24 * 60), minutes / 60 % 24);
        if days > 0 {
            write!(out, "{days} day{} ", if days == 1 { "" } else { "s" })?;
        }
        if hours > 0 {
            write!(out, "{hours} h ")?;
        }
        write!(
            out,
            "{} min\n\n\
             netlink stats:\n\
             \tevents received:\t{:20}\n\
             \tevents filtered:\t{:20}\n\
             \tevents unknown type:\t\t{:12}\n\
             \tcatch event failed:\t\t{:12}\n\
             \tdump unknown type:\t\t{:12}\n\
             \tnetlink overrun:\t\t{:12}\n\
             \tflush kernel table:\t\t{:12}\n\
             \tresync with kernel table:\t{:12}\n\
             \tcurrent buffer size (in bytes):\t{:12}\n\n",
            minutes % 60,
            k.events,
            k.filtered,
            k.unknown_type,
            k.catch_failed,
            k.dump_unknown_type,
            k.overrun,
            k.flushes,
            k.resyncs,
            s.netlink_buffer
        )?;
        write!(
            out,
            "runtime stats:\n\
             \tchild process failed:\t\t{:12}\n\
             \t\tchild process segfault:\t{:12}\n\
             \t\tchild process termsig:\t{:12}\n\
             \tselect failed:\t\t\t{:12}\n\
             \twait failed:\t\t\t{:12}\n\
             \tlocal read failed:\t\t{:12}\n\
             \tlocal unknown request:\t\t{:12}\n\n",
            s.child_failed,
            s.child_segfault,
            s.child_term,
            s.select_failed,
            s.wait_failed,
            s.local_read_failed,
            s.local_unknown
        )
    }

    fn report_resend(&self, out: &mut String) -> fmt::Result {
        if !self.mode.resends() {
            return Ok(());
        }
        writeln!(out, "resent queue (len={})", self.queues.len(List::Resend))?;
        let mut at = self.queues.first(List::Resend);
        while let Some(id) = at {
            match self.queues.get(id) {
                Some((Element::Control { flags, .. }, sequence)) => {
                    writeln!(out, "control -> seq:{sequence} flags:{flags}")?;
                }
                Some((_, sequence)) => writeln!(out, "object -> seq:{sequence}")?,
                None => break,
            }
            at = self.queues.after(id);
        }
        Ok(())
    }

    fn report_queues(&self, out: &mut String) -> fmt::Result {
        let resend = match self.config.mode {
            Mode::Ftfw {
                resend_queue_size, ..
            } => Some((
                "rsqueue",
                self.queues.len(List::Resend),
                resend_queue_size,
                self.queues.resend_full,
            )),
            _ => None,
        };
        write!(
            out,
            "allocated queue nodes:\t\t{:12}\n\n",
            self.queues.controls.saturating_add(self.shell.error_queue)
        )?;
        let waiting = self.queues.len(List::Transmit);
        for (name, len, max, full) in [
            Some(("txqueue", waiting, 0x7fff_ffff, 0)),
            Some((
                "errorq",
                self.shell.error_queue,
                self.config.error_queue_length,
                self.shell.error_queue_full,
            )),
            resend,
        ]
        .into_iter()
        .flatten()
        {
            write!(
                out,
                "queue {name}:\n\
                 current elements:\t\t{len:12}\n\
                 maximum elements:\t\t{max:12}\n\
                 not enough space errors:\t{full:12}\n\n"
            )?;
        }
        Ok(())
    }
}
