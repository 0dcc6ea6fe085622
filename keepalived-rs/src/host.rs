//! The real system, as the configuration parser asks for it.
//!
//! In: names of files, interfaces, accounts, services. Out: facts of this machine at this moment;
//! nothing is cached, except the number tables, which are read once per value of [`System`].
//! Answers to: `conf_parsers::source` (the traits), keepalived 2.3.3 lib/rttables.c, lib/utils.c.

mod links;
mod names;

use std::cell::RefCell;
use std::fs;
use std::io;
use std::io::Read as _;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::OnceLock;

use conf_parsers::keepalived::model::Global;
use conf_parsers::keepalived::model::global::DefaultAccount;
use conf_parsers::keepalived::script::DEFAULT_USER;
use conf_parsers::source::{Errno, FileFacts, FileKind, Host, InterfaceFacts, Source, UserFacts};
use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::file_system::file_system;
use linux_io::users;

use names::NumberTable;
#[cfg(test)]
pub(crate) use names::{IPROUTE_ETC, IPROUTE_USR};
use net_types::SortedMap;

/// File systems that tell nobody of changes, by their numbers (keepalived 2.3.3 trackers/track_file.c).
const UNWATCHABLE: [u32; 20] = [
    0xcafe_4a11, // bpf
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x0000_1cd1, // devpts
    0xde5e_81e4, // efivarfs
    0x6573_5546, // fuse
    0x1980_0202, // mqueue
    0x0000_6969, // nfs
    0x5049_5045, // pipefs
    0x0000_9fa0, // proc
    0x0000_7275, // romfs
    0xf97c_ff8c, // selinux
    0x0000_517b, // smb
    0xfe53_4d42, // smb2
    0x534f_434b, // sockfs
    0x6265_6572, // sysfs
    0x012f_f7b6, // sysv2
    0x012f_f7b5, // sysv4
    0x7472_6163, // tracefs
];

/// The machine this process runs on, seen from its network namespace.
#[derive(Debug, Default)]
pub struct System {
    tables: RefCell<SortedMap<String, NumberTable>>,
    /// Where they are.
    dirs: RefCell<names::Dirs>,
    /// The interfaces as they were when the parse began: a configuration may ask for them a thousand times.
    links: RefCell<Option<Vec<InterfaceFacts>>>,
    /// Names of interfaces that this process has made.
    ours: Vec<Box<str>>,
}

impl System {
    /// A view of this machine.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes these the interfaces of our own.
    pub fn set_ours(&mut self, names: Vec<Box<str>>) {
        self.ours = names;
    }

    fn links(&self) -> Vec<InterfaceFacts> {
        let mut links = links::all();
        for link in &mut links {
            link.ours = self.ours.iter().any(|n| **n == *link.name);
        }
        links
    }

    fn find_link(&self, is_it: impl Fn(&InterfaceFacts) -> bool) -> Option<InterfaceFacts> {
        let mut links = self.links.borrow_mut();
        let links = links.get_or_insert_with(|| self.links());
        links.iter().find(|link| is_it(link)).cloned()
    }
}

/// EIO stands for an error that has no number.
fn errno(error: &io::Error) -> Errno {
    error
        .raw_os_error()
        .unwrap_or(nix::errno::Errno::EIO as i32)
}

fn facts(meta: &fs::Metadata) -> FileFacts {
    let kind = meta.file_type();
    FileFacts {
        kind: if kind.is_file() {
            FileKind::Regular
        } else if kind.is_dir() {
            FileKind::Directory
        } else if kind.is_symlink() {
            FileKind::Symlink
        } else {
            FileKind::Other
        },
        mode: meta.permissions().mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
    }
}

impl Source for System {
    fn read(&self, path: &str) -> Result<Vec<u8>, Errno> {
        fs::read(path).map_err(|e| errno(&e))
    }

    fn stat(&self, path: &str) -> Result<FileFacts, Errno> {
        fs::metadata(path).map(|m| facts(&m)).map_err(|e| errno(&e))
    }

    fn lstat(&self, path: &str) -> Result<FileFacts, Errno> {
        fs::symlink_metadata(path)
            .map(|m| facts(&m))
            .map_err(|e| errno(&e))
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, Errno> {
        let entries = fs::read_dir(dir).map_err(|e| errno(&e))?;
        // A name that is not UTF-8 cannot be written in a configuration, so it cannot match either.
        Ok(entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect())
    }

    fn canonical(&self, path: &str) -> Result<String, Errno> {
        fs::canonicalize(path)
            .map(|p| p.to_string_lossy().into_owned())
            .map_err(|e| errno(&e))
    }

    fn current_dir(&self) -> String {
        std::env::current_dir()
            .map_or_else(|_| "/".to_owned(), |dir| dir.to_string_lossy().into_owned())
    }
}

/// Settles which account scripts run as if nothing in the configuration asked for it: the dump shows it, and so asks. The
/// first time, a log line says that the usual account is missing.
pub fn ask_default_account(global: &mut Global, host: &System) {
    if global.default_account != DefaultAccount::Unasked {
        return;
    }
    let found = match host.user(DEFAULT_USER) {
        Ok(Some(user)) => Some(user),
        Ok(None) => {
            log!(
                Priority::Info,
                "Script user '{DEFAULT_USER}' does not exist"
            );
            None
        }
        Err(_) => {
            log!(
                Priority::Info,
                "Unable to resolve script username '{DEFAULT_USER}' - ignoring"
            );
            None
        }
    };
    if found.is_none() && global.script_security {
        log!(
            Priority::Info,
            "Unable to set default user {DEFAULT_USER} for script"
        );
        global.default_account = DefaultAccount::Failed;
        return;
    }
    let UserFacts { uid, gid } = found.unwrap_or_else(|| host.own_ids());
    global.default_account = DefaultAccount::Known { uid, gid };
}

impl System {
    /// What the machine is called by others.
    fn ask_for_host_name(&self) -> Option<String> {
        let node = self.host_name();
        let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
        if let Some(name) = names::canonical(&hosts, &node) {
            return Some(name);
        }
        // The C library gives the name back when the name service knows it by no other.
        (node.as_str(), 0u16).to_socket_addrs().ok().map(|_| node)
    }
}

impl Host for System {
    fn refresh(&self) {
        self.links.replace(None);
    }

    fn interface(&self, name: &str) -> Option<InterfaceFacts> {
        self.find_link(|link| link.name == name)
    }

    fn interface_by_index(&self, index: u32) -> Option<InterfaceFacts> {
        self.find_link(|link| link.index == index)
    }

    fn interface_names(&self) -> Vec<String> {
        let mut links = self.links.borrow_mut();
        let links = links.get_or_insert_with(|| self.links());
        links.iter().map(|link| link.name.clone()).collect()
    }

    fn user(&self, name: &str) -> Result<Option<UserFacts>, Errno> {
        let account = users::user_by_name(name).map_err(|e| errno(&e))?;
        Ok(account.map(|a| UserFacts {
            uid: a.uid,
            gid: a.gid,
        }))
    }

    fn group(&self, name: &str) -> Result<Option<u32>, Errno> {
        users::group_by_name(name).map_err(|e| errno(&e))
    }

    fn own_ids(&self) -> UserFacts {
        UserFacts {
            uid: users::euid(),
            gid: users::egid(),
        }
    }

    fn service(&self, name: &str, protocol: Option<&str>) -> Option<u16> {
        names::service(&fs::read_to_string("/etc/services").ok()?, name, protocol)
    }

    fn protocol(&self, name: &str) -> Option<u8> {
        let text = fs::read_to_string("/etc/protocols").unwrap_or_default();
        names::protocol(&text, name)
    }

    fn resolve(&self, host: &str, port: &str) -> Result<Vec<SocketAddr>, String> {
        let number = match port.parse() {
            Ok(number) => number,
            Err(_) if port.is_empty() => 0,
            Err(_) => self
                .service(port, None)
                .ok_or_else(|| "Servname not supported for ai_socktype".to_owned())?,
        };
        match (host, number).to_socket_addrs() {
            Ok(found) => Ok(found.collect()),
            Err(e) => {
                let text = e.to_string();
                let prefix = "failed to lookup address information: ";
                Err(text.strip_prefix(prefix).unwrap_or(&text).to_owned())
            }
        }
    }

    fn host_name(&self) -> String {
        crate::text::version::Kernel::running().node
    }

    fn canonical_host_name(&self) -> Option<String> {
        // Kept, as the original keeps it, also that there is none: the parent asks before it has children, and no reload waits for a
        // name service, least of all for one that does not answer (musl gives up after five seconds).
        static KEPT: OnceLock<Option<String>> = OnceLock::new();
        KEPT.get_or_init(|| self.ask_for_host_name()).clone()
    }

    fn own_user_name(&self) -> Option<String> {
        users::user_by_uid(users::uid()).ok()?.map(|a| a.name)
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn random(&self, min: u64, max: u64) -> u64 {
        let mut bytes = [0u8; 8];
        let read = fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes));
        if read.is_err() || max <= min {
            return min;
        }
        let number = u64::from_ne_bytes(bytes);
        match (max - min).checked_add(1) {
            Some(span) => min + number % span,
            None => number,
        }
    }

    fn sysctl(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(Path::new("/proc/sys").join(path)).ok()?;
        Some(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }

    fn iproute_name(&self, table: &str, name: &str) -> Option<u32> {
        let mut tables = self.tables.borrow_mut();
        if !tables.contains_key(table) {
            let dirs = self.dirs.borrow();
            tables.insert(table.to_owned(), NumberTable::load(table, &dirs));
        }
        tables.get(table)?.number(name)
    }

    fn set_iproute_dirs(&self, etc: Option<&str>, usr: Option<&str>) {
        let dirs = names::Dirs::new(etc, usr);
        if dirs != *self.dirs.borrow() {
            *self.dirs.borrow_mut() = dirs;
            self.tables.borrow_mut().clear();
        }
    }

    fn is_unwatchable(&self, dir: &str) -> bool {
        file_system(Path::new(dir)).is_ok_and(|fs| fs.read_only || UNWATCHABLE.contains(&fs.magic))
    }

    fn cpu_count(&self) -> u32 {
        linux_io::sched::cpus_online()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_answers() {
        if !testkit::need::kernel("this_machine_answers") {
            return;
        }
        let system = System::new();
        let lo = system.interface("lo").unwrap();
        assert_eq!(system.interface_by_index(lo.index).unwrap().name, "lo");
        assert!(system.interface("no-such-link").is_none());
        assert_eq!(system.user("root").unwrap().unwrap().uid, 0);
        assert_eq!(system.user("no such user"), Ok(None));
        assert_eq!(system.stat("/").unwrap().kind, FileKind::Directory);
        assert_eq!(system.read("/no/such/file"), Err(2));
        assert_eq!(system.list("/no/such/dir"), Err(2));
        assert!(!system.host_name().is_empty());
        let n = system.random(3, 5);
        assert!((3..=5).contains(&n));
        assert_eq!(
            system.resolve("127.0.0.1", "80").unwrap(),
            ["127.0.0.1:80".parse().unwrap()]
        );
        assert_eq!(system.iproute_name("rt_tables", "no such table"), None);
    }
}
