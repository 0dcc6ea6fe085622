//! What we have in the kernel's tables, and what has to change.
//!
//! Several virtual servers can stand for the same service (groups): it goes with its last user, and so do its real servers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;

use netlink_wire::Batch;
use netlink_wire::ipvs::{Destination, Ipvs as Requests, Service, ServiceKey};

/// A service with its real servers, in the configuration's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The service.
    pub service: Rc<Service>,
    /// Its real servers, each with another address.
    pub destinations: Vec<Destination>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Add a service.
    AddService(Rc<Service>),
    /// Change a service; real servers and connections stay.
    SetService(Rc<Service>),
    /// Remove a service, and its real servers with it.
    DeleteService(Rc<Service>),
    /// Add a real server.
    AddDestination(Rc<Service>, Destination),
    /// Change a real server; its connections stay.
    SetDestination(Rc<Service>, Destination),
    /// Remove a real server.
    DeleteDestination(Rc<Service>, Destination),
}

impl Change {
    /// The request for it.
    pub(super) fn push(&self, requests: Requests, batch: &mut Batch) {
        match self {
            Self::AddService(s) => requests.push_new_service(batch, s),
            Self::SetService(s) => requests.push_set_service(batch, s),
            Self::DeleteService(s) => requests.push_delete_service(batch, s),
            Self::AddDestination(s, d) => requests.push_new_destination(batch, s, d),
            Self::SetDestination(s, d) => requests.push_set_destination(batch, s, d),
            Self::DeleteDestination(s, d) => requests.push_delete_destination(batch, s, d),
        }
    }
}

/// A real server as we have set it.
#[derive(Clone, Debug)]
struct HeldDestination {
    destination: Destination,
    users: u32,
}

/// A service as we have set it.
#[derive(Clone, Debug)]
struct Held {
    service: Rc<Service>,
    users: u32,
    /// By address, in order: there may be tens of thousands, and a tree has twice their size.
    destinations: Vec<HeldDestination>,
}

impl Held {
    /// Where a real server is, or would be.
    fn place(&self, address: SocketAddr) -> Result<usize, usize> {
        self.destinations
            .binary_search_by_key(&address, |held| held.destination.address)
    }
}

/// What we have set, and for how many virtual servers.
#[derive(Clone, Debug, Default)]
pub struct Table {
    services: BTreeMap<ServiceKey, Held>,
}

impl Table {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many services there are.
    pub fn len(&self) -> usize {
        self.services.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// One virtual server goes from `before` (nothing at its start) to `after` (nothing at its end). What is in both and equal
    /// makes no change. New services and their real servers come first, so that a changed address is never without.
    pub fn change(&mut self, before: &[Entry], after: &[Entry]) -> Vec<Change> {
        let mut changes = Vec::new();
        let old: BTreeMap<ServiceKey, &Entry> = before.iter().map(|e| (e.service.key, e)).collect();
        let mut kept = BTreeSet::new();
        for entry in after {
            let was = old.get(&entry.service.key).copied();
            kept.insert(entry.service.key);
            self.enter(entry, was, &mut changes);
        }
        for entry in before {
            if !kept.contains(&entry.service.key) {
                self.leave(entry, &mut changes);
            }
        }
        changes
    }

    /// Everything is gone, such as after a flush: what is wanted has to be added again.
    pub fn forget(&mut self) {
        self.services.clear();
    }

    fn enter(&mut self, entry: &Entry, was: Option<&Entry>, changes: &mut Vec<Change>) {
        let held = self
            .services
            .entry(entry.service.key)
            .or_insert_with(|| Held {
                service: Rc::clone(&entry.service),
                users: 0,
                destinations: Vec::with_capacity(entry.destinations.len()),
            });
        if was.is_none() {
            if held.users == 0 {
                changes.push(Change::AddService(Rc::clone(&entry.service)));
            }
            held.users = held.users.saturating_add(1);
        }
        if held.service != entry.service {
            held.service = Rc::clone(&entry.service);
            changes.push(Change::SetService(Rc::clone(&entry.service)));
        }
        let had: BTreeSet<SocketAddr> = was
            .iter()
            .flat_map(|e| e.destinations.iter().map(|d| d.address))
            .collect();
        let mut now = BTreeSet::new();
        for to in &entry.destinations {
            now.insert(to.address);
            let place = held.place(to.address).unwrap_or_else(|place| {
                let new = HeldDestination {
                    destination: *to,
                    users: 0,
                };
                held.destinations.insert(place, new);
                place
            });
            let Some(known) = held.destinations.get_mut(place) else {
                continue;
            };
            if !had.contains(&to.address) {
                if known.users == 0 {
                    changes.push(Change::AddDestination(Rc::clone(&held.service), *to));
                }
                known.users = known.users.saturating_add(1);
            }
            if known.destination != *to {
                known.destination = *to;
                changes.push(Change::SetDestination(Rc::clone(&held.service), *to));
            }
        }
        for to in was.map_or(&[][..], |e| &e.destinations) {
            if !now.contains(&to.address) {
                Self::drop_destination(held, to.address, changes);
            }
        }
    }

    fn drop_destination(held: &mut Held, address: SocketAddr, changes: &mut Vec<Change>) {
        let Ok(place) = held.place(address) else {
            return;
        };
        let Some(known) = held.destinations.get_mut(place) else {
            return;
        };
        known.users = known.users.saturating_sub(1);
        if known.users == 0 {
            let gone = known.destination;
            held.destinations.remove(place);
            changes.push(Change::DeleteDestination(Rc::clone(&held.service), gone));
        }
    }

    fn leave(&mut self, entry: &Entry, changes: &mut Vec<Change>) {
        let Some(held) = self.services.get_mut(&entry.service.key) else {
            return;
        };
        for to in &entry.destinations {
            Self::drop_destination(held, to.address, changes);
        }
        held.users = held.users.saturating_sub(1);
        if held.users == 0 {
            let gone = Rc::clone(&held.service);
            self.services.remove(&entry.service.key);
            changes.push(Change::DeleteService(gone));
        }
    }
}
