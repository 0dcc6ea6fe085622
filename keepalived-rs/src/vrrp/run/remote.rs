//! Who looks at the process from outside, SNMP and D-Bus, as the loop knows it. Without the parts that are not built this is nothing.

use net_types::Instant;
use vrrp_proto::InstanceId;
use vrrp_proto::output::Notify;
use vrrp_proto::reasons::Refusal;

use super::Child;

impl Child<'_> {
    /// Whether one of them may have something.
    #[cfg_attr(
        not(any(feature = "snmp", feature = "dbus")),
        expect(clippy::unused_self, reason = "nobody is built")
    )]
    pub(super) fn remote_ready(&self) -> bool {
        #[cfg(feature = "snmp")]
        if self.snmp.is_ready() {
            return true;
        }
        #[cfg(feature = "dbus")]
        if self.dbus.is_ready() {
            return true;
        }
        false
    }

    /// What they ask.
    pub(super) fn remote_requests(&mut self) {
        #[cfg(feature = "snmp")]
        self.snmp_requests();
        #[cfg(feature = "dbus")]
        self.dbus_requests();
    }

    /// When one of them has something to do.
    #[cfg_attr(
        not(any(feature = "snmp", feature = "dbus")),
        expect(clippy::unused_self, reason = "nobody is built")
    )]
    pub(super) fn remote_timeout(&self) -> Option<Instant> {
        #[cfg(feature = "snmp")]
        let snmp = self.snmp.next_timeout();
        #[cfg(not(feature = "snmp"))]
        let snmp: Option<Instant> = None;
        #[cfg(feature = "dbus")]
        let dbus = self.dbus.next_timeout();
        #[cfg(not(feature = "dbus"))]
        let dbus: Option<Instant> = None;
        match (snmp, dbus) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// It is `now`.
    #[cfg_attr(
        not(any(feature = "snmp", feature = "dbus")),
        expect(unused_variables, reason = "nobody is built")
    )]
    pub(super) fn remote_handle_timeout(&mut self, now: Instant) {
        #[cfg(feature = "snmp")]
        self.snmp.handle_timeout(now);
        #[cfg(feature = "dbus")]
        self.dbus.handle_timeout(now);
    }

    /// A configuration is in force: start, go on or end. D-Bus does so when its objects are known.
    #[cfg_attr(
        not(feature = "snmp"),
        expect(unused_variables, reason = "nobody is built")
    )]
    pub(super) fn remote_configure(&mut self, now: Instant) {
        #[cfg(feature = "snmp")]
        self.snmp
            .configure(&mut self.model, &self.context.options, now);
    }

    /// From now on ids mean the present configuration.
    pub(super) fn remote_learn(&mut self) {
        #[cfg(feature = "snmp")]
        self.snmp.learn(&self.model);
        #[cfg(feature = "dbus")]
        self.dbus_learn();
    }

    /// Tells them what scripts are told.
    #[cfg_attr(
        not(feature = "snmp"),
        expect(unused_variables, reason = "only SNMP looks at the time")
    )]
    pub(super) fn remote_notify(&mut self, now: Instant, event: &Notify) {
        #[cfg(feature = "dbus")]
        self.dbus_notify(event);
        #[cfg(feature = "snmp")]
        self.snmp_notify(now, event);
    }

    /// Tells them of a packet that was refused.
    #[cfg_attr(
        not(feature = "snmp"),
        expect(unused_variables, reason = "nobody is built")
    )]
    pub(super) fn remote_refused(
        &mut self,
        now: Instant,
        id: InstanceId,
        from: std::net::IpAddr,
        why: Refusal,
    ) {
        #[cfg(feature = "snmp")]
        self.snmp_refused(now, id, from, why);
    }

    /// The process ends.
    pub(super) fn remote_close(&mut self) {
        #[cfg(feature = "snmp")]
        self.snmp.close();
        #[cfg(feature = "dbus")]
        self.dbus.close();
    }
}
