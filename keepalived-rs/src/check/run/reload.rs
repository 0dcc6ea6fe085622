//! A new configuration at SIGHUP: what is unchanged keeps its state and its place in the kernel's tables.

use checker_proto::{Config, Input};

use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::lvs::{GroupEntry, LvsModel, VirtualServer};
use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::signal::Signal;
use linux_io::timer::monotonic_now;

use super::snmp::Snmp;
use super::{
    Child, STOP_PATIENCE, configure_files, descriptors, probe_context, say_no_library, values,
};
use crate::check::lower::lower;
use crate::child::Kind;
use crate::child::life::{self, EXIT_FATAL};
use crate::process;
use crate::text;

impl Child<'_> {
    /// SIGHUP: the parent has put a new configuration where we read it.
    pub(super) fn reload(&mut self) {
        if self.done.is_some() {
            return;
        }
        let begin = monotonic_now();
        log!(Priority::Info, "Reloading");
        self.scheduling.reset();
        let Some(lines) = life::new_lines(self.context) else {
            return;
        };
        self.save(false);
        let mut model = match life::parse(Kind::Checker, lines, self.context, &self.host, true) {
            Ok(model) => model,
            Err(status) => {
                self.done = Some(status);
                return;
            }
        };
        Snmp::apply(&mut model, &self.context.options);
        process::adopt(
            self.context,
            Kind::Checker,
            &self.model.global,
            &model.global,
        );
        if self.tables.open(&model.global, &model.lvs, true).is_err() {
            self.done = Some(EXIT_FATAL);
            return;
        }
        self.tables
            .start_daemons(&model.global, Some(&self.model.global));
        process::raise_open_files(descriptors(&model), self.detail);
        self.probes.cancel_all();
        self.probes.end_scripts(Signal::TERM, begin + STOP_PATIENCE);
        // Always: the files of the SSL block may be others under the same names.
        let wrong = self.probes.renew(&probe_context(&model));
        for line in &wrong {
            log!(Priority::Info, "{line}");
        }
        if !wrong.is_empty() {
            let then = match self.probes.has_tls() {
                true => "the key and the certificates of before stay",
                false => "SSL_GET is not run",
            };
            log!(Priority::Err, "The SSL block can not be used; {then}");
        }
        say_no_library(&self.probes);
        self.notifier.reconfigure(&model.global);
        self.notifier.open_fifos(&model.global, begin);
        configure_files(&mut self.files, &model, true, self.context.umask);
        self.addresses.reconfigure(&model);
        let before = Some(&self.model.lvs);
        let config = lower(&model, values(&self.files), before, |vs| {
            self.addresses.count(vs)
        });
        let (gone, new) = group_changes(&self.model.lvs, &model, &config);
        for line in gone {
            log!(Priority::Info, "{line}");
        }
        let now = monotonic_now();
        self.engine
            .handle(now, Input::Reconfigure(Box::new(config.clone())));
        self.next = Some(Box::new((model, config)));
        self.drain(now);
        for line in new {
            log!(Priority::Info, "{line}");
        }
        self.context.config_read();
        self.say_bfd();
        self.dump_configuration();
        self.scheduling.apply(&self.model.global, Kind::Checker);
        self.save(true);
        linux_io::process::trim_memory();
    }
}

/// What is said of entries that have left the groups of virtual servers that stay, and of those that have come.
fn group_changes(before: &LvsModel, model: &Model, config: &Config) -> (Vec<String>, Vec<String>) {
    let (mut gone, mut new) = (Vec::new(), Vec::new());
    for (vs, core) in model
        .lvs
        .virtual_servers
        .iter()
        .zip(&config.virtual_servers)
    {
        let old = core.before.and_then(|id| usize::try_from(id.0).ok());
        let Some(was) = old.and_then(|n| before.virtual_servers.get(n)) else {
            continue;
        };
        let (then, now) = (entries(before, was), entries(&model.lvs, vs));
        let left = then.iter().filter(|e| !contains(&now, e));
        gone.extend(left.map(|e| text::check::group_entry(e, was, false)));
        // One mark stands for them all, with `nftables_ipvs`.
        if model.global.nftables_ipvs.is_none() {
            let came = now.iter().filter(|e| !contains(&then, e));
            new.extend(came.map(|e| text::check::group_entry(e, vs, true)));
        }
    }
    (gone, new)
}

/// The entries of the group of a virtual server, addresses first.
fn entries(lvs: &LvsModel, vs: &VirtualServer) -> Vec<GroupEntry> {
    let Some(name) = vs.group_name() else {
        return Vec::new();
    };
    let group = lvs.groups.iter().find(|g| **g.name == *name);
    let mut entries = group.map_or_else(Vec::new, |g| g.entries.clone());
    entries.sort_by_key(|e| matches!(e, GroupEntry::Fwmark { .. }));
    entries
}

/// Whether it is among them; marks of other families are the same.
fn contains(entries: &[GroupEntry], entry: &GroupEntry) -> bool {
    entries.iter().any(|other| match (other, entry) {
        (GroupEntry::Fwmark { mark: a, .. }, GroupEntry::Fwmark { mark: b, .. }) => a == b,
        _ => other == entry,
    })
}
