//! Log lines about every address of the machine (`-a`).
//!
//! An address that becomes the source of an instance, or ceases to be, has a line of its own; those that this process adds and
//! removes itself have none.
//! Answers to: keepalived 2.3.3 core/keepalived_netlink.c (`LOG_ADDRESS_CHANGES`).

use std::io;

use daemon_rt::log;
use daemon_rt::log::Priority;
use netlink_wire::address::RTM_GETADDR;
use netlink_wire::{Address, Event};
use vrrp_proto::Object;

use super::Kernel;

impl Kernel {
    /// Every address that is there: at the start and after a reload.
    pub fn say_all_addresses(&mut self) -> io::Result<()> {
        let mut found = Vec::new();
        self.requests.dump(RTM_GETADDR, 0, |event| {
            if let Event::Address(address) = event {
                found.push(address);
            }
        })?;
        for address in &found {
            self.say_address(address, true);
        }
        Ok(())
    }

    /// One that came or went. With `detail`, the core has a line for the virtual addresses that others remove.
    pub(super) fn say_address_news(&self, event: &Event, detail: bool) {
        match event {
            Event::Address(address) => self.say_address(address, true),
            Event::AddressGone(address) => {
                let ours = self.set.keys().any(|object| match object {
                    Object::Address(number) => self
                        .objects
                        .address(*number)
                        .is_some_and(|o| o.address.local == address.local),
                    Object::Route(_) | Object::Rule(_) => false,
                });
                if !(detail && ours) {
                    self.say_address(address, false);
                }
            }
            _ => {}
        }
    }

    fn say_address(&self, address: &Address, added: bool) {
        let link = self.interfaces.by_index(address.index);
        let name = link.map_or("", |l| &*l.name);
        let what = if added { "added to" } else { "removed from" };
        log!(
            Priority::Info,
            "Netlink reflector reports IP {} {what} {name}",
            address.local
        );
    }
}
