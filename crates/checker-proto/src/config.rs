//! What a core is made of: virtual servers with their real servers with their checkers, in the order of the text.

use alloc::boxed::Box;
use alloc::vec::Vec;

use net_types::Duration;

/// A virtual server: its place in [`Config::virtual_servers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VsId(pub u32);

/// A real server: its place among all real servers, in the order of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RsId(pub u32);

/// A checker: its place among all checkers, in the order of the text. Those of `FILE_CHECK` come after a real server's others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckerId(pub u32);

/// Everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The virtual servers.
    pub virtual_servers: Vec<VirtualServer>,
    /// The numbers in the tracked files, by place.
    pub files: Vec<i64>,
    /// `no_checker_emails`: mail of a checker only when the real server comes or goes.
    pub no_checker_emails: bool,
    /// `rs_init_notifies`: real servers that are up from the start are told.
    pub rs_init_notifies: bool,
    /// `lvs_flush_on_stop`
    pub flush_on_stop: Flush,
    /// Somebody wants to know how many real servers are in service whenever one comes or goes (SNMP notifications).
    pub count_in_service: bool,
}

/// What goes from the kernel's tables at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flush {
    /// Real servers one by one, then their virtual servers.
    #[default]
    No,
    /// The virtual servers; their real servers go with them.
    VirtualServers,
    /// Everything, whoever made it.
    Full,
}

/// One virtual server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VirtualServer {
    /// `quorum`: the least weight of all real servers in service.
    pub quorum: u32,
    /// `hysteresis`
    pub hysteresis: u32,
    /// `omega`: scripts and mails tell of the end of the daemon.
    pub omega: bool,
    /// `ha_suspend`: checks only while the address is on this machine; how often it is now.
    pub ha_suspend: Option<u32>,
    /// `sorry_server`
    pub sorry: Option<Sorry>,
    /// Its real servers.
    pub real_servers: Box<[RealServer]>,
    /// At a reload: the same one before it.
    pub before: Option<VsId>,
}

/// A sorry server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sorry {
    /// `sorry_server_inhibit`: weight 0 instead of removal.
    pub inhibit: bool,
    /// A real server has the same address and port.
    pub duplicates: bool,
    /// At a reload: it was the sorry server of the virtual server before, too.
    pub same: bool,
}

/// One real server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RealServer {
    /// `weight`
    pub weight: u32,
    /// `inhibit_on_failure`: weight 0 instead of removal.
    pub inhibit: bool,
    /// `smtp_alert`
    pub smtp_alert: bool,
    /// Its checkers.
    pub checkers: Box<[Checker]>,
    /// At a reload: the same one before it, of the virtual server before.
    pub before: Option<RsId>,
}

/// One checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checker {
    /// What it does.
    pub kind: Kind,
    /// `alpha`: down until it has succeeded.
    pub alpha: bool,
    /// `log_all_failures`, of the checker or of all.
    pub log_all_failures: bool,
    /// `retry`: further attempts before it counts as down.
    pub retry: u32,
    /// `delay_loop`
    pub delay_loop: Duration,
    /// `delay_before_retry`
    pub delay_before_retry: Duration,
    /// `warmup`: the first attempt is at a random moment of it.
    pub warmup: Duration,
    /// At a reload: the same one before it, of the real server before.
    pub before: Option<CheckerId>,
}

/// What a checker does, in so far as its life depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `TCP_CHECK`, `UDP_CHECK`, `PING_CHECK`
    Plain,
    /// `HTTP_GET`, `SSL_GET`
    Web {
        /// How many pages are asked for, one after the other; at least 1.
        urls: u16,
        /// `fast_recovery`: no delay between attempts that may bring it up.
        fast_recovery: bool,
    },
    /// `SMTP_CHECK`
    Smtp,
    /// `DNS_CHECK`
    Dns,
    /// `MISC_CHECK`; its probe says which exit statuses are good.
    Misc {
        /// `misc_dynamic`
        dynamic: bool,
    },
    /// `BFD_CHECK`: it is told.
    Bfd,
    /// `FILE_CHECK`: it is told.
    File {
        /// Place in [`Config::files`].
        file: u32,
        /// Weight of the number; 0: any number but 0 is a failure.
        weight: i32,
        /// `reverse`
        reverse: bool,
    },
}

impl Kind {
    /// Whether it starts probes by itself.
    pub const fn is_active(self) -> bool {
        !matches!(self, Self::Bfd | Self::File { .. })
    }
}
