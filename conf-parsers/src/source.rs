//! What reading a configuration asks of the system: files ([`Source`]) and facts ([`Host`]).
//!
//! Both are traits so that parsing does no IO itself. The daemons implement them; tests use [`MemorySource`] and [`FakeHost`].

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::span::FileId;

/// A system error number (`errno`).
pub type Errno = i32;

/// Kind of a directory entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// Regular file.
    Regular,
    /// Directory.
    Directory,
    /// Symbolic link (only when links are not followed).
    Symlink,
    /// Device, pipe, socket.
    Other,
}

/// What `stat` tells about a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileFacts {
    /// Kind.
    pub kind: FileKind,
    /// Permission bits including set-uid/gid/sticky (`st_mode & 07777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl FileFacts {
    /// True when any of the three execute bits is set.
    pub const fn any_exec(&self) -> bool {
        self.mode & 0o111 != 0
    }
}

/// Files, as include processing and script checks need them. Paths are absolute or relative to the process's directory.
pub trait Source {
    /// Whole content. Never called for anything but regular files.
    fn read(&self, path: &str) -> Result<Vec<u8>, Errno>;
    /// `stat`, following links.
    fn stat(&self, path: &str) -> Result<FileFacts, Errno>;
    /// `lstat`. The default suits sources without links.
    fn lstat(&self, path: &str) -> Result<FileFacts, Errno> {
        self.stat(path)
    }
    /// Names in a directory, any order, without `.` and `..`.
    fn list(&self, dir: &str) -> Result<Vec<String>, Errno>;
    /// Absolute path without links and `..`; the default is the path itself.
    fn canonical(&self, path: &str) -> Result<String, Errno> {
        self.stat(path).map(|_| path.to_owned())
    }
    /// Working directory of the process (`${_PWD}` of a file named without a directory).
    fn current_dir(&self) -> String;
}

/// Names of all files that were opened, index = [`FileId`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Files {
    names: Vec<FileName>,
}

/// A configuration file's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileName {
    /// As the original prints it: what the include line (or glob) gave.
    pub shown: String,
    /// True when the reading process itself names the file in messages, that is, when more than one file was in play.
    pub named: bool,
    /// Numbers of the pieces whose line does not end with them: it is longer than the original's buffer, or hidden by a NUL byte, or
    /// the last. A process that reads the shared copy counts them, the one that reads the files does not.
    pub unended: Vec<u32>,
}

impl FileName {
    /// The number that the reading process gives to a piece.
    pub fn reader_line(&self, piece: u32) -> u32 {
        let before = self.unended.iter().filter(|n| **n <= piece).count();
        piece.saturating_sub(u32::try_from(before).unwrap_or(u32::MAX))
    }
}

impl Files {
    /// Says that the line of this piece does not end with it.
    pub(crate) fn unended(&mut self, id: FileId, piece: u32) {
        if let Some(name) = self.names.get_mut(usize::from(id.0)) {
            name.unended.push(piece);
        }
    }

    /// Adds a file. More than 65 535 files share the last number.
    pub fn add(&mut self, name: FileName) -> FileId {
        self.names.push(name);
        FileId(u16::try_from(self.names.len() - 1).unwrap_or(u16::MAX))
    }
    /// The file that was added last.
    pub(crate) fn last_mut(&mut self) -> Option<&mut FileName> {
        self.names.last_mut()
    }
    /// The name of a file.
    pub fn get(&self, id: FileId) -> Option<&FileName> {
        self.names.get(usize::from(id.0))
    }
    /// All, in order of opening.
    pub fn iter(&self) -> impl Iterator<Item = &FileName> {
        self.names.iter()
    }
}

/// What kind of link an interface is, as far as the configuration checks ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LinkKind {
    /// Anything without special rules.
    #[default]
    Plain,
    /// macvlan (a VMAC when the base is known).
    Macvlan,
    /// macvtap.
    Macvtap,
    /// ipvlan.
    Ipvlan,
    /// VRF master device.
    Vrf,
    /// The loopback device.
    Loopback,
}

/// `MACVLAN_MODE_PRIVATE`
pub const MACVLAN_MODE_PRIVATE: u32 = 1;
/// `IPVLAN_MODE_L2`
pub const IPVLAN_MODE_L2: u32 = 0;

/// One network interface.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InterfaceFacts {
    /// Name.
    pub name: String,
    /// Index, never 0 for an existing interface.
    pub index: u32,
    /// `IFF_*` flags of the kernel.
    pub flags: u32,
    /// MTU in octets.
    pub mtu: u32,
    /// `ARPHRD_*`.
    pub hardware_type: u16,
    /// Link-layer address.
    pub mac: Vec<u8>,
    /// Kind of link.
    pub kind: LinkKind,
    /// `MACVLAN_MODE_*` or `IPVLAN_MODE_*`: a private macvlan has 1, a layer 2 ipvlan 0.
    pub vlan_mode: u32,
    /// `IPVLAN_F_*`
    pub vlan_flags: u16,
    /// It is of a kind that programs make (`IFLA_LINKINFO`): it may go and come back as something else.
    pub changeable: bool,
    /// The running process has made it or taken it over.
    pub ours: bool,
    /// Index of the interface below (macvlan, ipvlan, VLAN), if it is in the same namespace.
    pub base_index: Option<u32>,
    /// Index of the VRF master, if any.
    pub vrf_index: Option<u32>,
    /// Routing table, if the interface is a VRF master.
    pub vrf_table: Option<u32>,
    /// Addresses with prefix length.
    pub addresses: Vec<net_types::Prefix>,
}

/// A user or group number with its name's primary group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UserFacts {
    /// User number.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
}

/// The system's facts. `Ok(None)`/`None` means "no such thing".
pub trait Host: Source {
    /// A parse begins: facts remembered from an earlier one are out of date.
    fn refresh(&self) {}
    /// Interface by name.
    fn interface(&self, name: &str) -> Option<InterfaceFacts>;
    /// Interface by index.
    fn interface_by_index(&self, index: u32) -> Option<InterfaceFacts>;
    /// Account by name.
    fn user(&self, name: &str) -> Result<Option<UserFacts>, Errno>;
    /// Group number by name.
    fn group(&self, name: &str) -> Result<Option<u32>, Errno>;
    /// Effective uid and gid of this process.
    fn own_ids(&self) -> UserFacts;
    /// Port of a service; `protocol` is `tcp`, `udp` or none for any.
    fn service(&self, name: &str, protocol: Option<&str>) -> Option<u16>;
    /// IP protocol number by name (`/etc/protocols`, with a built-in table behind it).
    fn protocol(&self, name: &str) -> Option<u8>;
    /// Name resolution; may block. `port` is a number or a service name. Err carries getaddrinfo's text.
    fn resolve(&self, host: &str, port: &str) -> Result<Vec<SocketAddr>, String>;
    /// Node name (`uname -n`).
    fn host_name(&self) -> String;
    /// Canonical (fully qualified) local host name, as the original's get_local_name.
    fn canonical_host_name(&self) -> Option<String>;
    /// Name of the user running the process.
    fn own_user_name(&self) -> Option<String>;
    /// Environment variable (`${_ENV NAME}`, PATH).
    fn env(&self, name: &str) -> Option<String>;
    /// Uniform random number in `min..=max`.
    fn random(&self, min: u64, max: u64) -> u64;
    /// Content of a file below /proc/sys, without the final newline; `path` as `net/ipv4/conf/all/promote_secondaries`.
    fn sysctl(&self, path: &str) -> Option<String>;
    /// Number from one of iproute2's tables, `table` being `rt_tables`, `rt_realms`, `rt_protos`, `rt_scopes`, `rt_dsfield`, `group`. Names
    /// that have their number without any file are not this one's to know.
    fn iproute_name(&self, table: &str, name: &str) -> Option<u32>;
    /// Where iproute2's tables are from now on (`iproute_etc_dir`, `iproute_usr_dir`); none = where they usually are.
    fn set_iproute_dirs(&self, etc: Option<&str>, usr: Option<&str>) {
        let _ = (etc, usr);
    }
    /// Names of all interfaces, any order.
    fn interface_names(&self) -> Vec<String> {
        self.list("/sys/class/net").unwrap_or_default()
    }
    /// True when files in this directory cannot be watched: a read-only or a pseudo file system.
    fn is_unwatchable(&self, dir: &str) -> bool {
        let _ = dir;
        false
    }
    /// Number of processors.
    fn cpu_count(&self) -> u32 {
        1
    }
}

/// Files in memory, for tests.
#[derive(Clone, Debug, Default)]
pub struct MemorySource {
    /// Path → (mode, content).
    pub files: BTreeMap<String, (u32, Vec<u8>)>,
}

impl MemorySource {
    /// One file, mode 0644.
    pub fn one(path: &str, text: &str) -> Self {
        let mut s = Self::default();
        s.put(path, text);
        s
    }
    /// Adds a file, mode 0644.
    pub fn put(&mut self, path: &str, text: &str) {
        self.files
            .insert(path.to_owned(), (0o644, text.as_bytes().to_vec()));
    }
    fn is_dir(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let prefix = format!("{path}/");
        path.is_empty() || self.files.keys().any(|k| k.starts_with(&prefix))
    }
}

const ENOENT: Errno = 2;
const ENOTDIR: Errno = 20;

impl Source for MemorySource {
    fn read(&self, path: &str) -> Result<Vec<u8>, Errno> {
        self.files.get(path).map(|f| f.1.clone()).ok_or(ENOENT)
    }
    fn stat(&self, path: &str) -> Result<FileFacts, Errno> {
        let facts = |kind, mode| FileFacts {
            kind,
            mode,
            uid: 0,
            gid: 0,
        };
        if let Some((mode, _)) = self.files.get(path) {
            Ok(facts(FileKind::Regular, *mode))
        } else if self.is_dir(path) {
            Ok(facts(FileKind::Directory, 0o755))
        } else {
            Err(ENOENT)
        }
    }
    fn list(&self, dir: &str) -> Result<Vec<String>, Errno> {
        let dir = dir.trim_end_matches('/');
        if self.files.contains_key(dir) {
            return Err(ENOTDIR);
        }
        if !self.is_dir(dir) {
            return Err(ENOENT);
        }
        let prefix = format!("{dir}/");
        let mut names: Vec<String> = self
            .files
            .keys()
            .filter_map(|k| k.strip_prefix(&prefix))
            .filter_map(|rest| rest.split('/').next())
            .map(str::to_owned)
            .collect();
        names.dedup();
        Ok(names)
    }
    fn current_dir(&self) -> String {
        "/".to_owned()
    }
}

/// A made-up system, for tests: every field is a table to fill.
#[derive(Clone, Debug, Default)]
pub struct FakeHost {
    /// Files.
    pub source: MemorySource,
    /// Interfaces.
    pub interfaces: Vec<InterfaceFacts>,
    /// Accounts.
    pub users: BTreeMap<String, UserFacts>,
    /// Groups.
    pub groups: BTreeMap<String, u32>,
    /// Services.
    pub services: BTreeMap<String, u16>,
    /// IP protocols.
    pub protocols: BTreeMap<String, u8>,
    /// Names for resolution.
    pub hosts: BTreeMap<String, SocketAddr>,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// sysctl values.
    pub sysctls: BTreeMap<String, String>,
    /// iproute2 names, key `table/name`.
    pub iproute: BTreeMap<String, u32>,
    /// Processors.
    pub cpus: u32,
}

impl FakeHost {
    /// A host with the given interfaces, numbered from 1, all up.
    pub fn with_interfaces(names: &[&str]) -> Self {
        let interfaces = names
            .iter()
            .zip(1u32..)
            .map(|(name, index)| InterfaceFacts {
                name: (*name).to_owned(),
                index,
                flags: 0x1043,
                mtu: 1500,
                hardware_type: 1,
                mac: vec![2, 0, 0, 0, 0, 1],
                ..InterfaceFacts::default()
            })
            .collect();
        let mut host = Self {
            interfaces,
            ..Self::default()
        };
        host.users
            .insert("root".to_owned(), UserFacts { uid: 0, gid: 0 });
        host.groups.insert("root".to_owned(), 0);
        host
    }
}

impl Source for FakeHost {
    fn read(&self, path: &str) -> Result<Vec<u8>, Errno> {
        self.source.read(path)
    }
    fn stat(&self, path: &str) -> Result<FileFacts, Errno> {
        self.source.stat(path)
    }
    fn list(&self, dir: &str) -> Result<Vec<String>, Errno> {
        self.source.list(dir)
    }
    fn current_dir(&self) -> String {
        self.source.current_dir()
    }
}

impl Host for FakeHost {
    fn interface(&self, name: &str) -> Option<InterfaceFacts> {
        self.interfaces.iter().find(|i| i.name == name).cloned()
    }
    fn interface_by_index(&self, index: u32) -> Option<InterfaceFacts> {
        self.interfaces.iter().find(|i| i.index == index).cloned()
    }
    fn interface_names(&self) -> Vec<String> {
        self.interfaces.iter().map(|i| i.name.clone()).collect()
    }
    fn user(&self, name: &str) -> Result<Option<UserFacts>, Errno> {
        Ok(self.users.get(name).copied())
    }
    fn group(&self, name: &str) -> Result<Option<u32>, Errno> {
        Ok(self.groups.get(name).copied())
    }
    fn own_ids(&self) -> UserFacts {
        UserFacts { uid: 0, gid: 0 }
    }
    fn service(&self, name: &str, _protocol: Option<&str>) -> Option<u16> {
        self.services.get(name).copied()
    }
    fn protocol(&self, name: &str) -> Option<u8> {
        self.protocols.get(name).copied()
    }
    fn resolve(&self, host: &str, port: &str) -> Result<Vec<SocketAddr>, String> {
        let port = port.parse().unwrap_or(0);
        if let Ok(addr) = host.parse() {
            return Ok(vec![SocketAddr::new(addr, port)]);
        }
        match self.hosts.get(host) {
            Some(addr) => Ok(vec![SocketAddr::new(addr.ip(), port)]),
            None => Err("Name or service not known".to_owned()),
        }
    }
    fn host_name(&self) -> String {
        "testhost".to_owned()
    }
    fn canonical_host_name(&self) -> Option<String> {
        Some("testhost.example".to_owned())
    }
    fn own_user_name(&self) -> Option<String> {
        Some("root".to_owned())
    }
    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }
    fn random(&self, min: u64, _max: u64) -> u64 {
        min
    }
    fn sysctl(&self, path: &str) -> Option<String> {
        self.sysctls.get(path).cloned()
    }
    fn cpu_count(&self) -> u32 {
        self.cpus
    }
    fn iproute_name(&self, table: &str, name: &str) -> Option<u32> {
        self.iproute.get(&format!("{table}/{name}")).copied()
    }
}
