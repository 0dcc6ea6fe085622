//! Requests about links, which are carried out at once, and their news, which are taken before anything else is done.

use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::route_sock::News;
use netlink_wire::{Address, Batch, Event, Messages};
use nix::errno::Errno;

use super::news::say_overrun;
use super::text::{libc_eio, name_of, text_of};
use super::{Kernel, KernelEvent};

impl Kernel {
    /// Carries out requests about links or addresses now; nothing may be queued. Whether all of them succeeded; a failure is
    /// in the log, unless it is `ignored`.
    pub fn request(&mut self, ignored: Option<Errno>, build: impl FnOnce(&mut Batch)) -> bool {
        let mut batch = Batch::new();
        build(&mut batch);
        self.carry_out(ignored, &mut batch)
    }

    fn carry_out(&mut self, ignored: Option<Errno>, batch: &mut Batch) -> bool {
        let kinds: Vec<u16> = Messages::new(batch.bytes())
            .map(|m| m.header.kind)
            .collect();
        let mut answers = Vec::new();
        let (first, failure) = match self.requests.execute(batch, &mut answers) {
            Ok(first) => (first, 0),
            Err(e) => (0, e.raw_os_error().unwrap_or(libc_eio())),
        };
        let mut fine = true;
        for (at, kind) in kinds.iter().enumerate() {
            let errno = answers.get(at).copied().unwrap_or(failure);
            if errno == 0 {
                continue;
            }
            fine = false;
            let seq = first.wrapping_add(u32::try_from(at).unwrap_or(0));
            if ignored.is_none_or(|i| i as i32 != errno) {
                log!(
                    Priority::Info,
                    "Netlink: error: {}({errno}), type={}({kind}), seq={seq}, pid=0",
                    text_of(errno),
                    name_of(*kind)
                );
            }
        }
        fine
    }

    /// Adds an address that belongs to no virtual router's list. Whether it is there now.
    pub fn set_address(&mut self, address: &Address) -> bool {
        self.request(Some(Errno::EEXIST), |b| address.push_add(b))
    }

    /// Removes such an address. Whether it was there.
    pub fn drop_address(&mut self, address: &Address) -> bool {
        self.request(Some(Errno::EADDRNOTAVAIL), |b| address.push_delete(b))
    }

    /// Takes in all news that wait, without telling in between: what a link went through while it was made is of no interest.
    /// [`Kernel::told`] gives what has changed in the end.
    pub fn catch_up(&mut self) {
        self.untold = true;
        self.unread = 0;
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut lost = false;
        loop {
            match self.monitor.receive(&mut buffer) {
                Ok(News::Messages(messages)) => {
                    for message in messages {
                        if let Some(event) = Event::parse(&message) {
                            let header = message.header;
                            let cause = (header.port == self.requests.port()).then_some(header.seq);
                            let mut held = std::mem::take(&mut self.held);
                            self.interfaces.apply(&event, &self.objects);
                            self.take_objects(&event, cause, &mut held);
                            self.held = held;
                        }
                    }
                }
                Ok(News::Overrun) => lost = true,
                Ok(News::None) | Err(_) => break,
            }
        }
        self.buffer = buffer;
        if lost {
            say_overrun();
            let mut held = std::mem::take(&mut self.held);
            // What cannot be read now is read at the next overrun.
            let _ = self.compare(&mut held);
            self.held = held;
        }
    }

    /// Whether [`Kernel::told`] may have something.
    pub const fn is_untold(&self) -> bool {
        self.untold
    }

    /// What [`Kernel::catch_up`] found for the core.
    pub fn told(&mut self) -> Vec<KernelEvent> {
        self.untold = false;
        let mut events = std::mem::take(&mut self.held);
        // Facts of a configuration that is gone would have other numbers.
        events.retain(|e| !matches!(e, KernelEvent::Link(..)));
        self.interfaces
            .take_changes(|id, facts| events.push(KernelEvent::Link(id, facts)));
        events
    }
}
