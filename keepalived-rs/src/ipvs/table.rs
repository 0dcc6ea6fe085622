//! What we have in the kernel's tables, and what has to change.
//!
//! Several virtual servers can stand for the same service (groups): it goes with its last user, and so do its real servers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use net_types::{SortedMap, SortedSet, sort_by};
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
    /// By address, in order: there may be tens of thousands, and a tree has twice their size. One that went alone stays, without
    /// users, until several go: it is likely to come back, and nothing has to be moved.
    destinations: Vec<HeldDestination>,
}

/// The virtual server had the real server before the change.
const HAD: u8 = 1;
/// It has it after it.
const HAS: u8 = 2;

impl Held {
    /// Where a real server is, or would be.
    fn place(&self, address: SocketAddr) -> Result<usize, usize> {
        self.destinations
            .binary_search_by_key(&address, |held| held.destination.address)
    }

    /// Makes places for those that have none; all at once, so that many cost no more than a sort.
    fn make_places(&mut self, destinations: &[Destination]) {
        let new = destinations
            .iter()
            .filter(|to| self.place(to.address).is_err());
        let mut new: Vec<HeldDestination> = new
            .map(|to| HeldDestination {
                destination: *to,
                users: 0,
            })
            .collect();
        if new.is_empty() {
            return;
        }
        let by_address = |a: &HeldDestination, b: &HeldDestination| {
            a.destination.address.cmp(&b.destination.address)
        };
        sort_by(&mut new, by_address);
        new.dedup_by_key(|held| held.destination.address);
        self.destinations.append(&mut new);
        // Two ordered runs: it merges them.
        sort_by(&mut self.destinations, by_address);
    }

    /// A real server as it is to be; `new`: for a virtual server that did not have it.
    fn put(&mut self, place: usize, to: &Destination, new: bool, changes: &mut Vec<Change>) {
        let Some(known) = self.destinations.get_mut(place) else {
            return;
        };
        if new {
            if known.users == 0 {
                known.destination = *to;
                changes.push(Change::AddDestination(Rc::clone(&self.service), *to));
            }
            known.users = known.users.saturating_add(1);
        }
        if known.destination != *to {
            known.destination = *to;
            changes.push(Change::SetDestination(Rc::clone(&self.service), *to));
        }
    }

    /// A virtual server has that real server no more. Its place stays.
    fn drop(&mut self, place: usize, changes: &mut Vec<Change>) {
        let Some(known) = self.destinations.get_mut(place).filter(|k| k.users > 0) else {
            return;
        };
        known.users = known.users.saturating_sub(1);
        if known.users == 0 {
            let gone = known.destination;
            changes.push(Change::DeleteDestination(Rc::clone(&self.service), gone));
        }
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
        if before == after {
            return changes;
        }
        let old: SortedMap<ServiceKey, &Entry> =
            before.iter().map(|e| (e.service.key, e)).collect();
        let kept: SortedSet<ServiceKey> = after.iter().map(|e| e.service.key).collect();
        for entry in after {
            let was = old.get(&entry.service.key).copied();
            self.enter(entry, was, &mut changes);
        }
        for entry in before {
            if !kept.contains(&entry.service.key) {
                self.leave(entry, &mut changes);
            }
        }
        changes
    }

    /// Some real servers of a service change for one virtual server, the others not: each from before (`None`: it was not there)
    /// to after. The virtual server must have no two with the same address. What it costs does not depend on the others.
    pub fn change_some(
        &mut self,
        key: &ServiceKey,
        some: &[(Option<Destination>, Option<Destination>)],
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        let Some(held) = self.services.get_mut(key) else {
            return changes;
        };
        let same = |a: Option<Destination>, b: Option<Destination>| {
            a.is_some_and(|a| b.is_some_and(|b| a.address == b.address))
        };
        for (before, after) in some {
            let Some(to) = after else { continue };
            let place = held.place(to.address).unwrap_or_else(|place| {
                let new = HeldDestination {
                    destination: *to,
                    users: 0,
                };
                held.destinations.insert(place, new);
                place
            });
            held.put(place, to, !same(*before, *after), &mut changes);
        }
        for (before, after) in some {
            let gone = before.filter(|_| !same(*before, *after));
            if let Some(Ok(place)) = gone.map(|gone| held.place(gone.address)) {
                held.drop(place, &mut changes);
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
        held.make_places(&entry.destinations);
        let had = was.map_or(&[][..], |e| &e.destinations);
        let mut marks = vec![0_u8; held.destinations.len()];
        for from in had {
            if let Some(mark) = held.place(from.address).ok().and_then(|p| marks.get_mut(p)) {
                *mark = HAD;
            }
        }
        for to in &entry.destinations {
            let Ok(place) = held.place(to.address) else {
                continue;
            };
            let Some(mark) = marks.get_mut(place) else {
                continue;
            };
            let new = *mark == 0;
            *mark |= HAS;
            held.put(place, to, new, changes);
        }
        Self::drop_marked(held, had, &mut marks, changes);
    }

    /// Those that are marked as [`HAD`] and no more go, in the order of the configuration.
    fn drop_marked(
        held: &mut Held,
        had: &[Destination],
        marks: &mut [u8],
        changes: &mut Vec<Change>,
    ) {
        let from = changes.len();
        for gone in had {
            let Ok(place) = held.place(gone.address) else {
                continue;
            };
            if let Some(mark) = marks.get_mut(place).filter(|mark| **mark == HAD) {
                *mark = 0;
                held.drop(place, changes);
            }
        }
        if changes.len() > from {
            held.destinations.retain(|known| known.users > 0);
        }
    }

    fn leave(&mut self, entry: &Entry, changes: &mut Vec<Change>) {
        let Some(held) = self.services.get_mut(&entry.service.key) else {
            return;
        };
        let mut marks = vec![HAD; held.destinations.len()];
        Self::drop_marked(held, &entry.destinations, &mut marks, changes);
        held.users = held.users.saturating_sub(1);
        if held.users == 0 {
            let gone = Rc::clone(&held.service);
            self.services.remove(&entry.service.key);
            changes.push(Change::DeleteService(gone));
        }
    }
}
