//! Additions and removals on their way to the kernel, and what it answers.

use daemon_rt::log;
use daemon_rt::log::Priority;
use netlink_wire::route::AddMode;
use nix::errno::Errno;
use vrrp_proto::Object;

use super::text::{kind_of, libc_eio, name_of, prefix_text, route_text, text_of};
use super::{Kernel, Pending};
use crate::vrrp::objects::{AddressObject, RouteObject};

/// So many requests may be carried out before the news that they make are read: the socket's usual buffer has room for some 150.
const UNREAD: usize = 32;

impl Kernel {
    /// Queues an addition; [`Kernel::flush`] carries it out. `false`: impossible, the log says why; tell the core
    /// ([`vrrp_proto::Input::Refused`]).
    pub fn add(&mut self, object: Object) -> bool {
        let done = self.push(object, true);
        if done {
            self.pending.push(Pending {
                object,
                add: true,
                leftover: false,
            });
        }
        done
    }

    /// Queues a removal. `leftover`: of an earlier run; it may not be there.
    pub fn remove(&mut self, object: Object, leftover: bool) {
        self.set.remove(&object);
        if self.push(object, false) {
            self.pending.push(Pending {
                object,
                add: false,
                leftover,
            });
        }
    }

    /// Puts the route `new` into the place of `old` at once; if the kernel will not have that now (its source address may not be
    /// there yet), `old` is removed and `new` is to be added later.
    pub fn replace(&mut self, old: Object, new: Object, refused: &mut Vec<Object>) {
        self.flush(refused);
        let Object::Route(number) = new else { return };
        let Some(mut route) = self.objects.route(number).cloned() else {
            return;
        };
        route.mode = AddMode::Replace;
        let replaced = self.push_route(route, true)
            && self
                .requests
                .execute(&mut self.batch, &mut self.answers)
                .is_ok_and(|_| self.answers.first() == Some(&0));
        self.batch.clear();
        if replaced {
            self.set.remove(&old);
            // Nothing later can undo it: news of the old one's end carry our own number.
            self.set.insert(new, 0);
        } else {
            self.remove(old, false);
        }
    }

    fn push(&mut self, object: Object, add: bool) -> bool {
        match object {
            Object::Address(n) => {
                let object = self.objects.address(n).cloned();
                object.is_some_and(|o| self.push_address(o, add))
            }
            Object::Route(n) => {
                let object = self.objects.route(n).cloned();
                object.is_some_and(|o| self.push_route(o, add))
            }
            Object::Rule(n) => {
                let Some(rule) = self.objects.rule(n) else {
                    return false;
                };
                if add {
                    rule.push_add(&mut self.batch);
                } else {
                    rule.push_delete(&mut self.batch);
                }
                true
            }
        }
    }

    /// Number of objects that are queued.
    pub fn queued(&self) -> usize {
        self.pending.len()
    }

    /// Carries out what is queued, in order, and appends to `refused` the objects that could not be added. Call it before
    /// anything that others may observe after it: an advert, an announcement, a script.
    pub fn flush(&mut self, refused: &mut Vec<Object>) {
        if self.batch.is_empty() {
            return;
        }
        let result = self.requests.execute(&mut self.batch, &mut self.answers);
        let (first, failure) = match result {
            Ok(first) => (first, 0),
            Err(e) => {
                let errno = e.raw_os_error().unwrap_or(libc_eio());
                let kind = self.pending.first().map_or(0, |p| kind_of(p.object, p.add));
                log!(
                    Priority::Info,
                    "Netlink: sendmsg(cmd) cmd {kind} error: {}",
                    text_of(errno)
                );
                (0, errno)
            }
        };
        let pending = std::mem::take(&mut self.pending);
        for (at, request) in pending.iter().enumerate() {
            let errno = self.answers.get(at).copied().unwrap_or(failure);
            let seq = first.wrapping_add(u32::try_from(at).unwrap_or(0));
            self.conclude(*request, errno, seq, refused);
        }
        self.unread = self.unread.saturating_add(pending.len());
        self.pending = pending;
        self.pending.clear();
        self.batch.clear();
        if self.unread >= UNREAD {
            self.catch_up();
        }
    }

    fn conclude(&mut self, request: Pending, errno: i32, seq: u32, refused: &mut Vec<Object>) {
        let Pending { object, add, .. } = request;
        if errno == 0 && !add {
            if let Object::Address(n) = object {
                if self
                    .objects
                    .address(n)
                    .is_some_and(|o| o.address.local.is_ipv6())
                {
                    let echoes = self.echoes.or_default(n);
                    *echoes = echoes.saturating_add(1);
                }
            }
        }
        if errno == 0 || self.is_no_failure(request, errno) {
            if add {
                self.set.insert(object, seq);
            }
            return;
        }
        if !self.is_silent_failure(request, errno) {
            let kind = kind_of(object, add);
            log!(
                Priority::Info,
                "Netlink: error: {}({errno}), type={}({kind}), seq={seq}, pid=0",
                text_of(errno),
                name_of(kind)
            );
            // The original does not say which object it was.
            if !request.leftover {
                log!(
                    Priority::Info,
                    "  - {} {}",
                    if add { "adding" } else { "removing" },
                    self.describe(object)
                );
            }
        }
        if add {
            refused.push(object);
        }
    }

    /// Refusals that leave the kernel as it was wanted.
    fn is_no_failure(&self, request: Pending, errno: i32) -> bool {
        match (request.object, Errno::from_raw(errno)) {
            (Object::Address(_) | Object::Route(_), Errno::EEXIST) => request.add,
            // Secondary addresses go with their primary.
            (Object::Address(_), Errno::EADDRNOTAVAIL) => !request.add,
            _ => false,
        }
    }

    /// Refusals that are not worth a line.
    fn is_silent_failure(&self, request: Pending, errno: i32) -> bool {
        if request.add {
            return false;
        }
        match (request.object, Errno::from_raw(errno)) {
            (Object::Address(n), Errno::ENODEV) => {
                // A link that is down may be about to vanish.
                let name = self.objects.address(n).map(|o| &*o.interface);
                request.leftover || !name.is_some_and(|n| self.interfaces.carries(n))
            }
            (Object::Rule(_), Errno::ENOENT) => request.leftover,
            _ => false,
        }
    }

    fn push_address(&mut self, object: AddressObject, add: bool) -> bool {
        let mut address = object.address;
        match self.interfaces.by_name(&object.interface) {
            Some(link) => address.index = link.index,
            None => {
                if add {
                    let text = prefix_text(address.local, address.prefix_len);
                    let name = &object.interface;
                    log!(
                        Priority::Info,
                        "Not adding address {text} to {name} since interface doesn't exist"
                    );
                }
                return false;
            }
        }
        if add {
            address.push_add(&mut self.batch);
        } else {
            address.push_delete(&mut self.batch);
        }
        true
    }

    fn push_route(&mut self, object: RouteObject, add: bool) -> bool {
        let RouteObject {
            mut route,
            mode,
            interface,
            hop_interfaces,
        } = object;
        let index = |name: &Option<Box<str>>| match name {
            None => Ok(None),
            Some(name) => self
                .interfaces
                .by_name(name)
                .map(|l| Some(l.index))
                .ok_or_else(|| name.clone()),
        };
        let missing = |name: Box<str>| {
            if add {
                let text = route_text(&route);
                log!(
                    Priority::Info,
                    "Not adding route {text} since interface {name} doesn't exist"
                );
            }
            false
        };
        let mut hops = Vec::with_capacity(hop_interfaces.len());
        for name in &hop_interfaces {
            match index(name) {
                Ok(found) => hops.push(found.unwrap_or(0)),
                Err(name) => return missing(name),
            }
        }
        let own = match index(&interface) {
            Ok(found) => found,
            Err(name) => return missing(name),
        };
        route.interface = own;
        for (hop, index) in route.nexthops.iter_mut().zip(hops) {
            hop.interface = index;
        }
        if add {
            route.push_add(&mut self.batch, mode);
        } else {
            route.push_delete(&mut self.batch);
        }
        true
    }
}
