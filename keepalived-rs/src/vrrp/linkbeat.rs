//! Interfaces whose link is polled (`linkbeat_use_polling`, `linkbeat_interfaces`): for devices whose drivers do not tell the
//! kernel when the cable goes.
//!
//! In: the configuration, time. Out: up or down of these interfaces, in the interface table; what netlink says of them does not
//! count. Answers to: keepalived 2.3.3 vrrp/vrrp_if.c.

use conf_parsers::keepalived::model::VrrpModel;
use conf_parsers::keepalived::model::vrrp::Linkbeat;
use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::linkbeat::LinkBeat;
use net_types::{Duration, Instant, SortedMap};
use vrrp_proto::config::{Config, TrackSource};

use super::interfaces::Interfaces;
use crate::text;

/// How often each interface is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Polled {
    name: Box<str>,
    /// The method that works; unknown until the interface exists.
    method: Option<Linkbeat>,
    due: Instant,
}

/// The interfaces that are polled.
#[derive(Debug, Default)]
pub struct Polling {
    socket: Option<LinkBeat>,
    polled: Vec<Polled>,
}

impl Polling {
    /// Takes over what a configuration wants, looks at each interface once and marks them in `config`.
    pub fn configure(
        &mut self,
        now: Instant,
        vrrp: &VrrpModel,
        config: &mut Config,
        interfaces: &mut Interfaces,
    ) {
        self.polled.clear();
        let mut states = SortedMap::new();
        let order = |name: &str| interfaces.by_name(name).map_or(u32::MAX, |l| l.index);
        let wanted: SortedMap<_, _> = vrrp
            .interfaces
            .iter()
            .filter_map(|(name, s)| Some(((order(name), name.clone()), s.linkbeat?)))
            .collect();
        for ((_, name), method) in wanted {
            if !is_used(config, &name) {
                log!(
                    Priority::Info,
                    "Turning off linkbeat for {name} since not used for tracking"
                );
                continue;
            }
            let link = interfaces.by_name(&name);
            if link.is_some_and(|l| l.kind.is_mac_or_ip_vlan()) {
                log!(
                    Priority::Info,
                    "Turning off linkbeat for {name} since netlink works for vmacs/ipvlans"
                );
                continue;
            }
            if self.socket.is_none() {
                match LinkBeat::open() {
                    Ok(socket) => self.socket = Some(socket),
                    Err(e) => {
                        let errno = e.raw_os_error().unwrap_or(0);
                        let text = text::errno::sentence(&e);
                        log!(
                            Priority::Info,
                            "open linkbeat init socket failed - errno {errno} - {text}"
                        );
                        return;
                    }
                }
            }
            let found = match (&self.socket, link) {
                (Some(socket), Some(_)) => Some(probe(socket, &name, method)),
                _ => None,
            };
            states.insert(name.clone(), found.is_some_and(|(_, up)| up));
            for interface in &mut config.interfaces {
                interface.polled |= interface.name == name;
            }
            self.polled.push(Polled {
                name,
                method: found.map(|(method, _)| method),
                due: now + INTERVAL,
            });
        }
        interfaces.set_polled(states);
        if self.polled.is_empty() {
            self.socket = None;
        } else {
            log!(
                Priority::Info,
                "Using MII-BMSR/ETHTOOL NIC polling thread(s)..."
            );
        }
    }

    /// When [`Polling::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.polled.iter().map(|p| p.due).min()
    }

    /// Looks at the interfaces that are due. Whether any was.
    pub fn handle_timeout(&mut self, now: Instant, interfaces: &mut Interfaces) -> bool {
        let Some(socket) = &self.socket else {
            return false;
        };
        let mut any = false;
        for polled in self.polled.iter_mut().filter(|p| p.due <= now) {
            any = true;
            polled.due = now + INTERVAL;
            let name = &polled.name;
            let up = if interfaces.by_name(name).is_none() {
                false
            } else if let Some(method) = polled.method {
                let link = match method {
                    Linkbeat::Mii => socket.mii(name).is_ok_and(|up| up == Some(true)),
                    Linkbeat::Ethtool => socket.ethtool(name).unwrap_or(false),
                    Linkbeat::Ioctl | Linkbeat::Automatic => true,
                };
                link && socket.flags(name)
            } else {
                let (method, up) = probe(socket, name, Linkbeat::Automatic);
                polled.method = Some(method);
                up
            };
            interfaces.polled(name, up);
        }
        any
    }

    /// How an interface is polled, if it is.
    pub fn method(&self, name: &str) -> Option<Linkbeat> {
        let polled = self.polled.iter().find(|p| *p.name == *name)?;
        Some(polled.method.unwrap_or(Linkbeat::Ioctl))
    }
}

/// Whether any virtual router looks at the interface.
fn is_used(config: &Config, name: &str) -> bool {
    let is = |id: vrrp_proto::IfId| {
        let interface = config.interfaces.get(id.index());
        interface.is_some_and(|i| *i.name == *name)
    };
    config.instances.iter().any(|i| {
        let own = [i.interface, i.configured_interface].into_iter().flatten();
        let tracked = i.tracks.iter().filter_map(|t| match t.source {
            TrackSource::Interface(id) => Some(id),
            TrackSource::Tracker(_) => None,
        });
        own.chain(tracked).any(is)
    })
}

/// The method that works, and what it says: the wanted one, else the first of MII, ethtool and flags.
fn probe(socket: &LinkBeat, name: &str, wanted: Linkbeat) -> (Linkbeat, bool) {
    let automatic = wanted == Linkbeat::Automatic;
    let mii = || {
        let found = socket.mii(name).ok();
        if found == Some(None) {
            log!(Priority::Err, "No MII transceiver present for {name} !!!");
        }
        found.flatten().map(|up| (Linkbeat::Mii, up))
    };
    let ethtool = || {
        let found = socket.ethtool(name).ok();
        found.map(|up| (Linkbeat::Ethtool, up))
    };
    let found = match wanted {
        Linkbeat::Automatic | Linkbeat::Mii => mii().or_else(ethtool),
        Linkbeat::Ethtool => ethtool().or_else(mii),
        Linkbeat::Ioctl => None,
    };
    let (method, link) = found.unwrap_or((Linkbeat::Ioctl, true));
    if !automatic && method != wanted {
        log!(
            Priority::Info,
            "({name}): Configured linkbeat type {} not supported, using {}",
            word(wanted),
            word(method)
        );
    }
    (method, link && socket.flags(name))
}

const fn word(method: Linkbeat) -> &'static str {
    match method {
        Linkbeat::Mii => "MII",
        Linkbeat::Ethtool => "ETHTOOL",
        Linkbeat::Ioctl | Linkbeat::Automatic => "IOCTL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vrrp_proto::config::{Global, Interface, LinkFacts};

    #[test]
    fn an_interface_that_nobody_uses_is_not_polled() {
        let mut vrrp = VrrpModel::default();
        vrrp.interfaces.or_default("lo".into()).linkbeat = Some(Linkbeat::Ioctl);
        let mut config = Config {
            global: Global::default(),
            interfaces: vec![Interface {
                name: "lo".into(),
                link: LinkFacts::default(),
                up_delay: Duration::ZERO,
                down_delay: Duration::ZERO,
                pacing: None,
                ours: false,
                fresh: false,
                polled: false,
            }],
            instances: Vec::new().into(),
            groups: Vec::new(),
            trackers: Vec::new(),
            pacing: Vec::new(),
        };
        let mut polling = Polling::default();
        let mut interfaces = Interfaces::new();
        polling.configure(Instant::ZERO, &vrrp, &mut config, &mut interfaces);
        assert_eq!(polling.next_timeout(), None);
        assert_eq!(polling.method("lo"), None);
        assert!(!config.interfaces[0].polled);
    }

    #[test]
    fn the_method_that_works_is_taken() {
        let socket = LinkBeat::open().unwrap();
        // The loopback interface has no registers.
        let (method, _) = probe(&socket, "lo", Linkbeat::Mii);
        assert_ne!(method, Linkbeat::Mii);
        assert_eq!(probe(&socket, "lo", Linkbeat::Ioctl).0, Linkbeat::Ioctl);
        assert!(!probe(&socket, "nosuch0", Linkbeat::Automatic).1);
    }
}
