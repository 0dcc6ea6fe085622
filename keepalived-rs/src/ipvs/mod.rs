//! The Linux virtual server's tables in the kernel, and its daemons that tell other directors of connections (layer L4).
//!
//! In: [`Change`]s that [`Table`] found between what is and what is wanted. Out: requests, many in one datagram; log lines in the
//! original's words for what the kernel refuses. It keeps no time and knows no checker.
//! Who may use it: the checker process (tables, daemons), the VRRP process (daemons that follow an instance).
//! Answers to: keepalived 2.3.3 check/ipvswrapper.c, check/libipvs.c.
//!
//! ```text
//! let entries = check::wanted::entries(&server, group, &live, None);
//! let changes = table.change(&before, &entries);   // nothing when nothing has changed
//! ipvs.apply(&changes);
//! ```

mod sync;
mod table;
mod text;

#[cfg(test)]
mod tests;

use std::io;
use std::slice;

use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::genl_sock::Genl;
use linux_io::netns;
use linux_io::process::Exit;
use linux_io::route_sock::ReceiveBuffer;
use linux_io::spawn::Program;
use netlink_wire::Batch;
use netlink_wire::ipvs::{
    DestinationNow, FAMILY_NAME, Ipvs as Requests, ServiceKey, ServiceNow, Timeouts,
};

pub use self::sync::{sync_daemon, sync_id};
pub use self::table::{Change, Entry, Table};
use self::text::Call;

/// The kernel module of the tables.
const MODULE: &str = "ip_vs";
/// Changes in one go, so that the memory for their requests stays small.
const CHANGES_AT_ONCE: usize = 1024;

const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EEXIST: i32 = 17;

/// The way to the kernel's tables.
#[derive(Debug)]
pub struct Ipvs {
    genl: Genl,
    requests: Requests,
    /// What the timeouts were before we changed them.
    timeouts: Option<Timeouts>,
}

impl Ipvs {
    /// Opens the way, in the network namespace `net_namespace_ipvs` if there is one, and has the module loaded if need be.
    /// What failed is logged.
    ///
    /// # Errors
    /// Without the module there is no load balancing: the original ends the process then.
    pub fn open(namespace: Option<&str>, buffer: Option<ReceiveBuffer>) -> io::Result<Self> {
        let open = || within(namespace, || Genl::open(FAMILY_NAME, buffer));
        let opened = open().or_else(|first| if load(MODULE) { open() } else { Err(first) });
        let genl = opened.inspect_err(|e| {
            let errno = e.raw_os_error().unwrap_or(ENOENT);
            let sentence = text::sentence(Call::Info, text::through_libnl(errno));
            log!(Priority::Info, "IPVS: Can't initialize ipvs: {sentence}");
            log!(
                Priority::Info,
                "IPVS: is the kernel module {MODULE} there, and may it be loaded?"
            );
        })?;
        let requests = Requests(genl.family());
        Ok(Self {
            genl,
            requests,
            timeouts: None,
        })
    }

    /// Says that the way is being opened, at the start or after a reload.
    pub fn say_opening(again: bool) {
        let begin = if again { "Rei" } else { "I" };
        log!(Priority::Debug, "{begin}nitializing ipvs");
    }

    /// Carries changes out, in order. What is refused is logged, and put right where others have meddled: what is already there
    /// is changed to what it should be, what is gone is made again. The places of the changes that failed for good.
    pub fn apply(&mut self, changes: &[Change]) -> Vec<usize> {
        let mut failed = Vec::new();
        for (chunk, start) in changes
            .chunks(CHANGES_AT_ONCE)
            .zip((0..).step_by(CHANGES_AT_ONCE))
        {
            for (place, errno) in self.send(chunk) {
                let Some(change) = chunk.get(place) else {
                    continue;
                };
                if !self.put_right(change, errno) {
                    failed.push(start + place);
                }
            }
        }
        failed
    }

    /// Sends changes, and sends them once more, one by one, when the socket fails on the way: nobody knows then how many were
    /// carried out, and what is there already is only said to be so. Places and error numbers of the refused ones.
    fn send(&mut self, changes: &[Change]) -> Vec<(usize, i32)> {
        let mut refused = Vec::new();
        let Err(e) = self.send_once(changes, &mut refused) else {
            let place = |(place, errno)| Some((usize::try_from(place).ok()?, errno));
            return refused.into_iter().filter_map(place).collect();
        };
        let say = |e: &io::Error, count: usize, what: &str| {
            let text = crate::text::errno::sentence(e);
            log!(
                Priority::Info,
                "IPVS: netlink error: {text} - {count} changes: {what}"
            );
        };
        say(&e, changes.len(), "sent again");
        let mut places = Vec::new();
        let (mut lost, mut last) = (0, e);
        for (place, change) in changes.iter().enumerate() {
            match self.send_once(slice::from_ref(change), &mut refused) {
                Ok(()) => places.extend(refused.first().map(|(_, errno)| (place, *errno))),
                Err(e) => (lost, last) = (lost + 1, e),
            }
        }
        if lost > 0 {
            say(&last, lost, "the tables may lack some until a restart");
        }
        places
    }

    fn send_once(&mut self, changes: &[Change], refused: &mut Vec<(u32, i32)>) -> io::Result<()> {
        let mut batch = Batch::new();
        for change in changes {
            change.push(self.requests, &mut batch);
        }
        self.genl.execute(&mut batch, refused)
    }

    /// After a refusal: whether things are as they should be now.
    fn put_right(&mut self, change: &Change, errno: i32) -> bool {
        let again = match (change, errno) {
            // As the original: a real server that should be changed and is not there is added, without a word.
            (Change::SetDestination(s, d), ENOENT) => {
                vec![Change::AddDestination(s.clone(), *d)]
            }
            (Change::AddService(s), EEXIST) => vec![Change::SetService(s.clone())],
            (Change::AddDestination(s, d), EEXIST) => vec![Change::SetDestination(s.clone(), *d)],
            (Change::AddDestination(s, d) | Change::SetDestination(s, d), ESRCH) => vec![
                Change::AddService(s.clone()),
                Change::AddDestination(s.clone(), *d),
            ],
            _ => Vec::new(),
        };
        if !matches!((change, errno), (Change::SetDestination(..), ENOENT)) {
            log!(Priority::Info, "{}", text::refusal(change, errno));
        }
        if let (Change::AddService(s) | Change::SetService(s), ENOENT) = (change, errno) {
            let engine = s.engine.as_deref();
            let engine = engine.map_or_else(String::new, |e| format!(" or {MODULE}_pe_{e}"));
            log!(
                Priority::Info,
                "IPVS: is the kernel module {MODULE}_{}{engine} there?",
                s.scheduler
            );
        }
        let gone = matches!(
            (change, errno),
            (Change::DeleteService(_), ESRCH | ENOENT)
                | (Change::DeleteDestination(..), ESRCH | ENOENT)
        );
        if again.is_empty() {
            return gone;
        }
        let refused = self.send(&again);
        let mut right = true;
        for (place, errno) in refused {
            let Some(change) = again.get(place) else {
                continue;
            };
            // Several real servers find their service missing; the first one has made it.
            if !matches!((change, errno), (Change::AddService(_), EEXIST)) {
                log!(Priority::Info, "{}", text::refusal(change, errno));
                right = false;
            }
        }
        right
    }

    /// Removes all services, whoever made them.
    pub fn flush(&mut self) {
        let mut batch = Batch::new();
        self.requests.push_flush(&mut batch);
        self.command(&mut batch, Call::Flush);
    }

    /// Sends requests that belong to one call; a refusal is logged unless `quiet`.
    fn command(&mut self, batch: &mut Batch, call: Call) {
        if let Some(errno) = self.try_command(batch) {
            log!(Priority::Info, "{}", text::command(call, errno));
        }
    }

    fn try_command(&mut self, batch: &mut Batch) -> Option<i32> {
        let mut refused = Vec::new();
        match self.genl.execute(batch, &mut refused) {
            Ok(()) => refused.first().map(|(_, errno)| *errno),
            Err(e) => e.raw_os_error().or(Some(0)),
        }
    }

    /// Sets timeouts; those that are 0 stay as they are.
    pub fn set_timeouts(&mut self, wanted: Timeouts) {
        if wanted == Timeouts::default() {
            return;
        }
        let before = match self.timeouts {
            Some(before) => before,
            None => match self.read_timeouts() {
                Some(before) => *self.timeouts.insert(before),
                None => {
                    log!(Priority::Info, "Failed to get IPVS timeouts");
                    return;
                }
            },
        };
        let or = |wanted: u32, before: u32| if wanted > 0 { wanted } else { before };
        self.write_timeouts(&Timeouts {
            tcp: or(wanted.tcp, before.tcp),
            tcp_fin: or(wanted.tcp_fin, before.tcp_fin),
            udp: or(wanted.udp, before.udp),
        });
    }

    /// Puts the timeouts back to what they were before us.
    pub fn restore_timeouts(&mut self) {
        if let Some(before) = self.timeouts.take() {
            self.write_timeouts(&before);
        }
    }

    fn read_timeouts(&mut self) -> Option<Timeouts> {
        let mut batch = Batch::new();
        self.requests.push_get_timeouts(&mut batch);
        let mut found = None;
        let asked = self
            .genl
            .query(&mut batch, |m| found = Timeouts::parse(m).or(found));
        asked.ok().and(found)
    }

    fn write_timeouts(&mut self, timeouts: &Timeouts) {
        let mut batch = Batch::new();
        self.requests.push_set_timeouts(&mut batch, timeouts);
        if self.try_command(&mut batch).is_some() {
            log!(Priority::Info, "Failed to set ipvs timeouts");
        }
    }

    /// A service with its traffic; `None`: there is none.
    pub fn service(&mut self, key: &ServiceKey) -> Option<ServiceNow> {
        let mut batch = Batch::new();
        self.requests.push_get_service(&mut batch, key);
        let mut found = None;
        let asked = self.genl.query(&mut batch, |m| {
            found = ServiceNow::parse(m).or(found.take())
        });
        asked.ok().and(found)
    }

    /// All services with their traffic.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn services(&mut self) -> io::Result<Vec<ServiceNow>> {
        let mut batch = Batch::new();
        self.requests.push_dump_services(&mut batch);
        let mut found = Vec::new();
        self.genl
            .query(&mut batch, |m| found.extend(ServiceNow::parse(m)))?;
        Ok(found)
    }

    /// The real servers of a service with their connections and traffic.
    ///
    /// # Errors
    /// When the kernel refuses: there is no such service.
    pub fn destinations(&mut self, key: &ServiceKey) -> io::Result<Vec<DestinationNow>> {
        let mut batch = Batch::new();
        self.requests.push_dump_destinations(&mut batch, key);
        let mut found = Vec::new();
        self.genl.query(&mut batch, |m| {
            found.extend(DestinationNow::parse(m, key.family()));
        })?;
        Ok(found)
    }
}

/// Does something in a network namespace and comes back.
fn within<T>(namespace: Option<&str>, job: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Some(name) = namespace else {
        return job();
    };
    let here = netns::current()?;
    let there = netns::open(&netns::path_of(name))?;
    netns::enter(&there)?;
    let done = job();
    netns::enter(&here)?;
    done
}

/// Has a kernel module loaded by the program that the kernel names for it.
fn load(module: &str) -> bool {
    let named = std::fs::read_to_string("/proc/sys/kernel/modprobe").unwrap_or_default();
    let program = match named.trim() {
        "" => "/sbin/modprobe",
        named => named,
    };
    let mut load = Program::new(program);
    load.argv = [program, "-s", "--", module].map(Into::into).to_vec();
    load.run(b"", None)
        .is_ok_and(|done| done.exit == Exit::Code(0))
}
