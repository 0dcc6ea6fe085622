//! IPv4 settings of an interface (`linux/ip.h`, `/proc/sys/net/ipv4/conf`).

use crate::nla::{Attrs, Writer};
use crate::read;

const AF_INET: u16 = 2;
const IFLA_INET_CONF: u16 = 1;

/// A setting by its number (`IPV4_DEVCONF_…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `rp_filter`: 0 off, 1 strict, 2 loose.
    RpFilter = 8,
    /// `arp_filter`
    ArpFilter = 13,
    /// `arp_ignore`
    ArpIgnore = 19,
    /// `promote_secondaries`
    PromoteSecondaries = 20,
    /// `accept_local`
    AcceptLocal = 23,
}

/// The settings that VMACs change on themselves and on the interface below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DevConf {
    /// `arp_ignore`
    pub arp_ignore: u32,
    /// `arp_filter`
    pub arp_filter: u32,
    /// `rp_filter`
    pub rp_filter: u32,
    /// `promote_secondaries`
    pub promote_secondaries: u32,
}

impl DevConf {
    /// From `IFLA_AF_SPEC`; `None` if IPv4 is not there.
    pub(super) fn parse(spec: Attrs<'_>) -> Option<Self> {
        let inet = { spec }.find(|a| a.kind == AF_INET)?;
        let conf = inet.nested().find(|a| a.kind == IFLA_INET_CONF)?;
        // A row of numbers; that of the first setting (1) comes first.
        let value = |setting: Setting| {
            let place = (setting as usize).checked_sub(1)?.checked_mul(4)?;
            read::u32(conf.data, place)
        };
        Some(Self {
            arp_ignore: value(Setting::ArpIgnore)?,
            arp_filter: value(Setting::ArpFilter)?,
            rp_filter: value(Setting::RpFilter)?,
            promote_secondaries: value(Setting::PromoteSecondaries)?,
        })
    }
}

/// In a request each setting is an attribute of its own.
pub(super) fn write(w: &mut Writer<'_>, settings: &[(Setting, u32)]) {
    w.nest(AF_INET, |w| {
        w.nest(IFLA_INET_CONF, |w| {
            for (setting, value) in settings {
                w.u32(*setting as u16, *value);
            }
        });
    });
}
