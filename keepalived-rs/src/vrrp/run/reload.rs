//! A configuration in force: how the model becomes the core's, at the start and at SIGHUP.

use std::io;

use conf_parsers::keepalived::model::Model;
use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::timer::monotonic_now;
use net_types::SortedSet;
use vrrp_proto::config::Config;
use vrrp_proto::{Input, Object};

use super::Child;
use super::outputs::say_addresses;
use crate::child::life::{self, EXIT_FATAL};
use crate::child::{Context, Kind};
use crate::process;
use crate::text;
use crate::vrrp::kernel::Kernel;
use crate::vrrp::linkbeat::Polling;
use crate::vrrp::lower::{Lowered, Static, Switches, lower};
use crate::vrrp::track::Tracking;
use crate::vrrp::vmac::Vmacs;

/// Lowers the model and fills in what the kernel says.
pub(super) fn prepare(
    model: &Model,
    kernel: &mut Kernel,
    context: &mut Context,
    tracking: &mut Tracking,
    (vmacs, polling): (&mut Vmacs, &mut Polling),
    reload: bool,
) -> io::Result<(Config, Vec<Static>)> {
    let switches = Switches {
        release_vips: context.options.release_vips,
        dont_release: context.options.dont_release_vrrp,
    };
    let Lowered {
        mut config,
        statics,
        warnings,
    } = lower(model, &mut kernel.objects, switches);
    for line in warnings {
        log!(Priority::Warning, "{line}");
    }
    kernel.watch_tables()?;
    // What is told from here on is in the tables already.
    kernel.catch_up();
    kernel.interfaces.set_detail(context.options.log_detail > 0);
    kernel.read_interfaces()?;
    if context.options.address_monitoring {
        kernel.address_news = Some(context.options.log_detail > 0);
        kernel.say_all_addresses()?;
    }
    let delay = config.global.startup_delay;
    if !reload && !delay.is_zero() {
        log!(Priority::Info, "{}", text::log::StartupDelay(delay));
    }
    if context.options.log_detail > 0 {
        say_addresses(&config, &kernel.interfaces);
    }
    vmacs.apply(&model.vrrp, kernel);
    if context.options.log_detail > 0 {
        for (name, address) in vmacs.addresses(kernel) {
            log!(
                Priority::Info,
                "Assigned address {address} for interface {name}"
            );
        }
    }
    polling.configure(
        monotonic_now(),
        &model.vrrp,
        &mut config,
        &mut kernel.interfaces,
    );
    kernel
        .interfaces
        .watch(config.interfaces.iter().map(|i| &*i.name));
    for interface in &mut config.interfaces {
        interface.link = kernel.interfaces.facts_by_name(&interface.name);
        interface.fresh = vmacs.is_fresh(&interface.name);
    }
    tracking.configure(monotonic_now(), model, &mut config, reload, context);
    Ok((config, statics))
}

impl Child<'_> {
    /// `config_save_dir`: a data dump from before and one from after each reload.
    fn save_configuration(&mut self, after: bool) {
        let Some(dir) = &self.model.global.config_save_dir else {
            return;
        };
        if !after {
            self.saved = self.saved.saturating_add(1);
        }
        let pid = std::process::id();
        let when = if after { "post" } else { "pre" };
        let path = format!("{dir}/keepalived_vrrp.{pid}.{}.{when}", self.saved);
        self.dumps(|d| d.save(&path));
    }

    /// SIGHUP: the parent has put a new configuration where we read it.
    pub(super) fn reload(&mut self) {
        log!(Priority::Info, "Reloading");
        self.scheduling.reset();
        self.save_configuration(false);
        self.feed(monotonic_now(), Input::PrepareReload);
        let Some(lines) = life::new_lines(self.context) else {
            return;
        };
        self.host.set_ours(self.vmacs.names());
        let model = match life::parse(Kind::Vrrp, lines, self.context, &self.host, true) {
            Ok(model) => model,
            Err(status) => {
                self.done = Some(status);
                self.shut_down();
                return;
            }
        };
        #[cfg(feature = "lvs")]
        if self.sync_daemon.configure(&model.global, true).is_err() {
            self.done = Some(EXIT_FATAL);
            self.shut_down();
            return;
        }
        self.freeze_lanes();
        let (config, statics) = match prepare(
            &model,
            &mut self.kernel,
            self.context,
            &mut self.tracking,
            (&mut self.vmacs, &mut self.polling),
            true,
        ) {
            Ok(prepared) => prepared,
            Err(e) => {
                let text = text::errno::sentence(&e);
                log!(Priority::Err, "Cannot read the kernel's tables - {text}");
                self.done = Some(EXIT_FATAL);
                self.shut_down();
                return;
            }
        };
        let before = std::mem::replace(&mut self.model, model);
        self.remote_configure(monotonic_now());
        self.firewall.reconfigure(&self.model.global);
        process::adopt(self.context, Kind::Vrrp, &before.global, &self.model.global);
        let old = std::mem::replace(&mut self.statics, statics);
        self.remove_old_statics(&old);
        self.promote_secondaries();
        self.tell_parent = true;
        self.notifier
            .open_fifos(&self.model.global, monotonic_now());
        self.feed(monotonic_now(), Input::Reconfigure(Box::new(config)));
        self.vmacs.drop_retired(&mut self.kernel);
        self.attend_links(monotonic_now());
        self.tracking.start(monotonic_now());
        self.add_statics();
        self.forget_unused();
        self.dump_configuration();
        self.say_sockets();
        self.scheduling.apply(&self.model.global, Kind::Vrrp);
        self.save_configuration(true);
        linux_io::process::trim_memory();
    }

    /// The numbers of objects that are gone for good may be used again.
    fn forget_unused(&mut self) {
        let mut used: SortedSet<Object> = self.statics.iter().map(|s| s.object).collect();
        for instance in &self.router.config().instances {
            let addresses = instance.addresses.iter().chain(&instance.excluded);
            used.extend(addresses.map(|a| Object::Address(a.object)));
            used.extend(instance.routes.iter().map(|r| Object::Route(r.object)));
            used.extend(instance.rules.iter().map(|r| Object::Rule(r.object)));
        }
        self.kernel.forget_unused(&used);
    }
}
