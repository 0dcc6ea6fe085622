//! The statistics as JSON: the same numbers as report.rs, by name. The original has nothing like it.

use alloc::format;
use alloc::string::String;
use core::fmt::Write as _;

use net_types::Instant;

use super::{Engine, Link};
use crate::cache::{Cache, Object};
use crate::config::{LinkConfig, LinkKind, Mode};
use crate::queue::{Element, List};
use crate::request::Section;
use crate::stats::CacheCounters;

/// Builds nested objects.
struct Json {
    out: String,
    first: bool,
}

impl Json {
    fn key(&mut self, key: &str) {
        if !self.first {
            self.out.push(',');
        }
        self.first = false;
        if !key.is_empty() {
            self.string(key);
            self.out.push(':');
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => {
                    self.out.push('\\');
                    self.out.push(c);
                }
                c if u32::from(c) < 0x20 => {
                    // Writing to a String can not fail.
                    let _ = write!(self.out, "\\u{:04x}", u32::from(c));
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        self.string(text);
    }

    fn number(&mut self, key: &str, n: impl Into<u64>) {
        self.key(key);
        let _ = write!(self.out, "{}", n.into());
    }

    fn flag(&mut self, key: &str, on: bool) {
        self.key(key);
        self.out.push_str(if on { "true" } else { "false" });
    }

    fn nest(&mut self, key: &str, brackets: [char; 2], fill: impl FnOnce(&mut Self)) {
        self.key(key);
        let [open, close] = brackets;
        self.out.push(open);
        self.first = true;
        fill(self);
        self.out.push(close);
        self.first = false;
    }

    fn object(&mut self, key: &str, fill: impl FnOnce(&mut Self)) {
        self.nest(key, ['{', '}'], fill);
    }

    fn array(&mut self, key: &str, fill: impl FnOnce(&mut Self)) {
        self.nest(key, ['[', ']'], fill);
    }

    fn values<const N: usize>(&mut self, key: &str, values: [(&'static str, u32); N]) {
        self.object(key, |j| {
            for (name, value) in values {
                j.number(name, value);
            }
        });
    }
}

fn cache_values(c: &CacheCounters) -> [(&'static str, u32); 5] {
    [
        ("active", c.active),
        ("created", c.add_ok),
        ("created_failed", c.add_fail),
        ("updated", c.upd_ok),
        ("destroyed", c.del_ok),
    ]
}

fn cache_long<T: Object>(j: &mut Json, key: &str, cache: &Cache<T>) {
    let c = &cache.counters;
    j.object(key, |j| {
        for (name, value) in cache_values(c) {
            j.number(name, value);
        }
        j.number("created_failed_full", c.add_fail_full);
        j.number("total", cache.total());
        j.number("limit", cache.limit());
    });
}

const fn kind_word(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Multicast => "multicast",
        LinkKind::Udp => "udp",
        LinkKind::Tcp => "tcp",
    }
}

impl Engine {
    /// The object that answers a statistics request: one line.
    pub(super) fn report_json(&self, section: Section, now: Instant) -> String {
        let mut json = Json {
            out: String::new(),
            first: true,
        };
        json.object("", |j| {
            let flow_log = self.mode.counts_flows();
            match section {
                Section::Main => self.json_main(j, false),
                Section::Expect if self.config.expectation_sync => self.json_main(j, true),
                Section::Cache => self.json_caches(j),
                Section::Runtime => self.json_runtime(j, now),
                Section::Network if !flow_log => self.json_network(j),
                Section::Link if !flow_log => self.json_links(j),
                Section::ResendQueue if self.mode.resends() => self.json_resend(j),
                Section::Queue if !flow_log => self.json_queues(j),
                _ => {}
            }
        });
        json.out.push('\n');
        json.out
    }

    fn json_main(&self, j: &mut Json, expect: bool) {
        let mode = match self.config.mode {
            Mode::Ftfw { .. } => "ftfw",
            Mode::Notrack => "notrack",
            Mode::Alarm { .. } => "alarm",
            Mode::Stats => "stats",
        };
        j.text("mode", mode);
        if self.mode.counts_flows() {
            j.values("stats", cache_values(&self.internal.counters));
            self.json_traffic(j);
            return;
        }
        match (self.config.disable_internal_cache, expect) {
            (false, false) => j.values("internal", cache_values(&self.internal.counters)),
            (false, true) => j.values("internal", cache_values(&self.internal_exp.counters)),
            (true, false) => j.values("bypass", self.bypass.conntracks.values()),
            (true, true) => j.values("bypass", self.bypass.expectations.values()),
        }
        match (self.config.disable_external_cache, expect) {
            (false, false) => j.values("external", cache_values(&self.external.counters)),
            (false, true) => j.values("external", cache_values(&self.external_exp.counters)),
            (true, false) => j.values("inject", self.injector.conntracks.values()),
            (true, true) => j.values("inject", self.injector.expectations.values()),
        }
        self.json_traffic(j);
        self.json_active_link(j);
        j.number("malformed", self.network.malformed);
        j.number("lost", self.network.lost);
    }

    fn json_traffic(&self, j: &mut Json) {
        j.object("traffic", |j| {
            j.number("bytes", self.kernel.bytes);
            j.number("packets", self.kernel.packets);
        });
    }

    fn json_caches(&self, j: &mut Json) {
        if self.mode.counts_flows() {
            cache_long(j, "stats", &self.internal);
            return;
        }
        if self.config.disable_internal_cache {
            j.values("bypass", self.bypass.conntracks.values());
        } else {
            cache_long(j, "internal", &self.internal);
        }
        if self.config.disable_external_cache {
            j.values("inject", self.injector.conntracks.values());
        } else {
            cache_long(j, "external", &self.external);
        }
    }

    fn json_link(&self, j: &mut Json, index: usize, config: &LinkConfig, link: &Link) {
        j.text("kind", kind_word(config.kind));
        j.text("device", &config.device);
        j.flag("up", link.up);
        j.flag("running", link.running);
        j.flag("active", index == self.active_link);
        if config.kind == LinkKind::Tcp {
            j.flag("server_connected", link.accepted);
            j.flag("client_connected", link.connected);
        }
        let c = &link.counters;
        for (name, value) in [
            ("bytes_sent", c.sent_bytes),
            ("bytes_received", c.received_bytes),
            ("packets_sent", c.sent),
            ("packets_received", c.received),
            ("errors_sent", c.send_errors),
            ("errors_received", c.receive_errors),
        ] {
            j.number(name, value);
        }
    }

    fn json_active_link(&self, j: &mut Json) {
        let index = self.active_link;
        if let Some((config, link)) = self.config.links.get(index).zip(self.links.get(index)) {
            j.object("link", |j| self.json_link(j, index, config, link));
        }
    }

    fn json_links(&self, j: &mut Json) {
        j.array("links", |j| {
            for (index, (config, link)) in self.config.links.iter().zip(&self.links).enumerate() {
                j.object("", |j| self.json_link(j, index, config, link));
            }
        });
    }

    fn json_network(&self, j: &mut Json) {
        let n = &self.network;
        for (name, value) in [
            ("malformed", n.malformed),
            ("bad_version", n.bad_version.into()),
            ("bad_header", n.bad_header.into()),
            ("bad_payload", n.bad_payload.into()),
            ("bad_type", n.bad_type.into()),
            ("truncated", n.truncated.into()),
            ("bad_size", n.bad_size.into()),
            ("send_malformed", n.send_malformed.into()),
            ("lost", n.lost),
            ("before", n.before),
        ] {
            j.number(name, value);
        }
        self.json_active_link(j);
    }

    fn json_runtime(&self, j: &mut Json, now: Instant) {
        let (k, s) = (&self.kernel, &self.shell);
        for (name, value) in [
            ("uptime", now.since(self.started).as_secs()),
            ("events", k.events),
            ("events_filtered", k.filtered),
            ("events_unknown", k.unknown_type.into()),
            ("events_failed", k.catch_failed.into()),
            ("dump_unknown", k.dump_unknown_type.into()),
            ("overruns", k.overrun.into()),
            ("flushes", k.flushes.into()),
            ("resyncs", k.resyncs.into()),
            ("netlink_buffer", s.netlink_buffer.into()),
            ("select_failed", s.select_failed.into()),
            ("local_read_failed", s.local_read_failed.into()),
            ("local_unknown", s.local_unknown.into()),
        ] {
            j.number(name, value);
        }
    }

    fn json_resend(&self, j: &mut Json) {
        j.array("resend_queue", |j| {
            let mut at = self.queues.first(List::Resend);
            while let Some(id) = at {
                let Some((element, sequence)) = self.queues.get(id) else {
                    break;
                };
                j.object("", |j| {
                    j.number("sequence", sequence);
                    if let Element::Control { flags, .. } = element {
                        j.text("flags", &format!("{flags:#04x}"));
                    }
                });
                at = self.queues.after(id);
            }
        });
    }

    fn json_queues(&self, j: &mut Json) {
        j.number("transmit", self.queues.len(List::Transmit));
        if let Mode::Ftfw {
            resend_queue_size, ..
        } = self.config.mode
        {
            j.number("resend", self.queues.len(List::Resend));
            j.number("resend_limit", resend_queue_size);
            j.number("resend_full", self.queues.resend_full);
        }
    }
}
