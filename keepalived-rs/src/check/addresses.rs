//! Addresses of this machine, for `ha_suspend`: whether a virtual server's own address is here.
//!
//! In: the kernel's table and its news. Out: addresses that came and went; the same one on several interfaces counts each time.
//! Answers to: keepalived 2.3.3 check/check_api.c (`update_checker_activity`), core/keepalived_netlink.c.

use std::io;
use std::net::IpAddr;

use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::lvs::VirtualServer;
use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::route_sock::{DATAGRAM_LEN, Group, Monitor, News, ReceiveBuffer, Requests};
use linux_io::watch::Watch;
use net_types::SortedSet;
use netlink_wire::Event;
use netlink_wire::address::RTM_GETADDR;

use crate::text::errno::sentence;

/// What is known of the machine's addresses. Nothing is watched unless a virtual server asks for it.
#[derive(Default)]
pub(super) struct Addresses {
    watched: Option<(Monitor, Watch)>,
    /// Each with its interface: the same one may be on several.
    here: SortedSet<(IpAddr, u32)>,
}

impl Addresses {
    pub(super) fn new(model: &Model) -> Self {
        let mut this = Self::default();
        this.reconfigure(model);
        this
    }

    /// Begins or ends to watch.
    pub(super) fn reconfigure(&mut self, model: &Model) {
        if !model.lvs.uses_ha_suspend {
            *self = Self::default();
            return;
        }
        if self.watched.is_some() {
            return;
        }
        let written = model.global.lvs_netlink_monitor;
        let buffer = (written.size > 0).then_some(ReceiveBuffer {
            bytes: written.size,
            force: written.force,
        });
        let open = || -> io::Result<_> {
            let monitor = Monitor::open(&[Group::V4Address, Group::V6Address], buffer)?;
            let watch = Watch::reading(&monitor)?;
            Ok((monitor, watch))
        };
        match open() {
            Ok(watched) => {
                self.watched = Some(watched);
                self.here = read().unwrap_or_default();
            }
            Err(e) => log!(
                Priority::Err,
                "Cannot watch addresses, ha_suspend suspends nothing - {}",
                sentence(&e)
            ),
        }
    }

    /// How often the address of a virtual server is here; where nothing can be known, it is.
    pub(super) fn count(&self, vs: &VirtualServer) -> u32 {
        if self.watched.is_none() {
            return 1;
        }
        let mine = self.here.iter().filter(|(a, _)| Self::is_of(vs, *a));
        super::lower::number(mine.count())
    }

    /// Whether it is the virtual server's own. Groups have none.
    pub(super) fn is_of(vs: &VirtualServer, address: IpAddr) -> bool {
        vs.address().is_some_and(|own| own.ip() == address)
    }

    /// Whether there may be news.
    pub(super) fn is_ready(&self) -> bool {
        let watched = self.watched.as_ref();
        watched.is_some_and(|(_, watch)| watch.readable())
    }

    /// Addresses that came (true) and went.
    pub(super) fn news(&mut self) -> Vec<(IpAddr, bool)> {
        let mut changes = Vec::new();
        let Some((monitor, watch)) = &self.watched else {
            return changes;
        };
        let mut buffer = vec![0; DATAGRAM_LEN];
        let mut events = Vec::new();
        let mut lost = false;
        loop {
            let got = watch.read(|| match monitor.receive(&mut buffer)? {
                News::None => Err(io::ErrorKind::WouldBlock.into()),
                News::Overrun => {
                    lost = true;
                    Ok(())
                }
                News::Messages(messages) => {
                    events.extend(messages.filter_map(|m| Event::parse(&m)));
                    Ok(())
                }
            });
            if got.is_err() {
                break;
            }
        }
        for event in events {
            match event {
                Event::Address(a) if self.here.insert((a.local, a.index)) => {
                    changes.push((a.local, true));
                }
                Event::AddressGone(a) if self.here.remove(&(a.local, a.index)) => {
                    changes.push((a.local, false));
                }
                _ => {}
            }
        }
        if let Some(now) = lost.then(read).flatten() {
            changes.extend(self.here.difference(&now).map(|(a, _)| (*a, false)));
            changes.extend(now.difference(&self.here).map(|(a, _)| (*a, true)));
            self.here = now;
        }
        changes
    }
}

/// All addresses of this machine.
fn read() -> Option<SortedSet<(IpAddr, u32)>> {
    let mut found = SortedSet::new();
    let mut requests = Requests::open(None).ok()?;
    let asked = requests.dump(RTM_GETADDR, 0, |event| {
        if let Event::Address(a) = event {
            found.insert((a.local, a.index));
        }
    });
    asked.ok().map(|()| found)
}
