//! The high-availability page as a scenario: two routers between a LAN and a provider, a client, a server, SNAT.
//!
//! ```text
//!   client ──┐                ┌── r1 ──┐                ┌── server
//!  .1.100    ├─ bridge "lan" ─┤        ├─ bridge "wan" ─┤  192.168.0.1 (gateway)
//!            └  (in "switch") └── r2 ──┘  (in "switch") └  203.0.113.10
//! ```

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};

use crate::Result;
use crate::link::cable;
use crate::node::{Node, Process};
use crate::session::Session;
use crate::sut::{Make, Programs};

/// The gateway address that the LAN uses.
pub const LAN_VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 1));
/// The address that LAN traffic is translated to.
pub const WAN_VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 4));
/// The server behind the provider's gateway.
pub const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10)), 7007);

/// What translates LAN traffic, and what admits only connections that are new from the LAN or known. Nothing answers on the WAN: a
/// router has its addresses some milliseconds before it has the connections of the other one, and a segment that comes between
/// would be answered with a reset, which ends the session.
const FIREWALL: &str = "\
table ip page {
    chain input {
        type filter hook input priority 0;
        iifname \"eth0.2\" meta l4proto tcp drop
    }
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state invalid drop
        ct state established,related accept
        iifname \"br-lan\" oifname \"eth0.2\" tcp flags & (syn|ack) == syn accept
        iifname \"br-lan\" oifname \"eth0.2\" meta l4proto != tcp accept
    }
    chain postrouting {
        type nat hook postrouting priority 100;
        oifname \"eth0.2\" ip saddr 192.168.1.0/24 snat to 192.168.0.4
    }
}
";

/// One of the two routers.
#[derive(Debug)]
pub struct Router {
    /// The machine.
    pub node: Node,
    make: Make,
    number: u8,
    keepalived: Option<Process>,
    conntrackd: Option<Process>,
}

/// What an operator would look up on a router.
#[derive(Clone, Debug)]
pub struct Look {
    /// It has the LAN's gateway address.
    pub lan: bool,
    /// It has the translated address.
    pub wan: bool,
    /// Connections in the internal and in the external cache; `None` without a daemon.
    pub caches: Option<(u64, u64)>,
}

impl Look {
    /// MASTER has both addresses, BACKUP none.
    #[must_use]
    pub fn role(&self) -> &'static str {
        match (self.lan, self.wan) {
            (true, true) => "MASTER",
            (false, false) => "BACKUP",
            _ => "SPLIT!",
        }
    }
}

impl Router {
    /// Starts both daemons.
    ///
    /// # Errors
    /// When one of them can not be started.
    pub fn start(&mut self, programs: &Programs) -> Result<()> {
        let conntrackd = programs.argv(
            self.make,
            "conntrackd",
            &["-C", "/etc/conntrackd/conntrackd.conf"],
        );
        let conntrackd: Vec<&str> = conntrackd.iter().map(String::as_str).collect();
        // A crashed conntrackd leaves its lock behind, as the boot of a router would not.
        for stale in ["/run/lock/conntrack.lock", "/run/conntrackd.ctl"] {
            self.node.call(move || fs::remove_file(stale).is_ok())?;
        }
        self.conntrackd = Some(self.node.spawn("conntrackd.log", &conntrackd)?);
        let client = match self.make {
            Make::Ours => programs.argv(Make::Ours, "conntrackd", &[]).concat(),
            Make::Original => "/usr/sbin/conntrackd".to_owned(),
        };
        let mut keepalived = vec!["env".to_owned(), format!("CONNTRACKD={client}")];
        keepalived.extend(programs.argv(
            self.make,
            "keepalived",
            &[
                "-n",
                "-l",
                "-D",
                "-G",
                "-f",
                "/etc/keepalived/keepalived.conf",
            ],
        ));
        let keepalived: Vec<&str> = keepalived.iter().map(String::as_str).collect();
        self.keepalived = Some(self.node.spawn("keepalived.log", &keepalived)?);
        Ok(())
    }

    /// The power fails: daemons gone at once, cables dead, addresses and connections forgotten.
    ///
    /// # Errors
    /// When the cables can not be set down.
    pub fn lose_power(&mut self, switch: &Node) -> Result<()> {
        let n = self.number;
        switch.net(move |net| {
            net.down(&format!("lan-r{n}"))?;
            net.down(&format!("wan-r{n}"))
        })?;
        for daemon in [self.keepalived.take(), self.conntrackd.take()]
            .into_iter()
            .flatten()
        {
            let mut daemon = daemon;
            daemon.crash();
        }
        self.node
            .check(&["ip", "addr", "del", "192.168.1.1/24", "dev", "br-lan"])
            .ok();
        self.node
            .check(&["ip", "addr", "del", "192.168.0.4/24", "dev", "eth0.2"])
            .ok();
        self.node.check(&["conntrack", "-F"]).map(drop)
    }

    /// The power is back: cables alive, daemons started.
    ///
    /// # Errors
    /// When the daemons can not be started.
    pub fn boot(&mut self, switch: &Node, programs: &Programs) -> Result<()> {
        let n = self.number;
        switch.net(move |net| {
            net.up(&format!("lan-r{n}"))?;
            net.up(&format!("wan-r{n}"))
        })?;
        self.start(programs)
    }

    /// Stops both daemons the orderly way; keepalived first.
    ///
    /// # Errors
    /// When one does not end within ten seconds or reports a failure.
    pub fn stop(&mut self) -> Result<()> {
        for (name, daemon) in [
            ("keepalived", self.keepalived.take()),
            ("conntrackd", self.conntrackd.take()),
        ] {
            let Some(mut daemon) = daemon else { continue };
            match daemon.stop() {
                Some(status) if status.success() => {}
                Some(status) => {
                    return Err(format!(
                        "r{}: {name} ended with {status}:\n{}",
                        self.number,
                        daemon.output()
                    ));
                }
                None => {
                    return Err(format!(
                        "r{}: {name} does not stop:\n{}",
                        self.number,
                        daemon.output()
                    ));
                }
            }
        }
        Ok(())
    }

    /// Asks conntrackd something, with the client of the same make.
    ///
    /// # Errors
    /// When the client fails.
    pub fn ask(&self, programs: &Programs, args: &[&str]) -> Result<String> {
        let mut words = vec!["-C", "/etc/conntrackd/conntrackd.conf"];
        words.extend(args);
        let argv = programs.argv(self.make, "conntrackd", &words);
        self.node
            .check(&argv.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Looks at the router's addresses and caches.
    ///
    /// # Errors
    /// When the addresses can not be read.
    pub fn look(&self, programs: &Programs) -> Result<Look> {
        let addresses = self.node.net(|net| net.addresses())?;
        let has = |link: &str, addr: IpAddr| addresses.iter().any(|(l, a)| l == link && *a == addr);
        let caches = if self.conntrackd.is_some() {
            self.ask(programs, &["-s"]).ok()
        } else {
            None
        };
        Ok(Look {
            lan: has("br-lan", LAN_VIP),
            wan: has("eth0.2", WAN_VIP),
            caches: caches.as_deref().and_then(cache_sizes),
        })
    }

    /// What both daemons wrote, for a failed test's report.
    #[must_use]
    pub fn logs(&self) -> String {
        ["keepalived.log", "conntrackd.log"]
            .iter()
            .map(|log| {
                let text = fs::read_to_string(self.node.dir().join(log)).unwrap_or_default();
                format!("--- r{} {log}\n{text}", self.number)
            })
            .collect()
    }
}

/// The two "current active connections" of `conntrackd -s`.
fn cache_sizes(stats: &str) -> Option<(u64, u64)> {
    let mut sizes = stats
        .lines()
        .filter_map(|line| line.strip_prefix("current active connections:"))
        .filter_map(|number| number.trim().parse().ok());
    Some((sizes.next()?, sizes.next()?))
}

/// The whole set-up. Dropping it ends everything.
#[derive(Debug)]
pub struct Pair {
    /// The two routers; the first has the higher priority.
    pub routers: [Router; 2],
    /// Holds both bridges.
    pub switch: Node,
    /// On the LAN.
    pub client: Node,
    /// Beyond the provider's gateway.
    pub server: Node,
    /// The daemons' programs.
    pub programs: Programs,
}

impl Pair {
    /// Builds machines, cables, addresses and firewall, and installs the page's files. Nothing is started yet.
    ///
    /// `page` is the folder with the configuration, `dir` where the machines keep their files.
    ///
    /// # Errors
    /// When the kernel or a program refuses a step.
    pub fn build(page: &Path, dir: &Path, programs: Programs, makes: [Make; 2]) -> Result<Self> {
        for make in makes {
            if !programs.has(make) {
                return Err(format!(
                    "{make:?} can not be run here: set {}",
                    crate::sut::ORIGINAL_ROOT
                ));
            }
        }
        let switch = Node::new("switch", dir)?;
        switch.net(|net| {
            net.bridge("lan")?;
            net.bridge("wan")
        })?;
        let client = Node::new("client", dir)?;
        let server = Node::new("server", dir)?;
        plug(&switch, "lan", &client, "eth0", "client")?;
        plug(&switch, "wan", &server, "eth0", "server")?;
        let v4 = |a, b, c, d| IpAddr::V4(Ipv4Addr::new(a, b, c, d));
        server.net(move |net| {
            net.address("eth0", v4(192, 168, 0, 1), 24)?;
            net.address("lo", SERVER.ip(), 32)
        })?;
        client.net(move |net| {
            net.address("eth0", v4(192, 168, 1, 100), 24)?;
            net.default_route(Ipv4Addr::new(192, 168, 1, 1), 0)
        })?;
        let router = |number: u8, make: Make| -> Result<Router> {
            let node = Node::new(&format!("r{number}"), dir)?;
            plug(&switch, "lan", &node, "lan0", &format!("r{number}"))?;
            plug(&switch, "wan", &node, "eth0.2", &format!("r{number}"))?;
            node.net(move |net| {
                net.bridge("br-lan")?;
                net.enslave("lan0", "br-lan")?;
                net.address("br-lan", v4(192, 168, 1, number.saturating_add(1)), 24)?;
                net.address("eth0.2", v4(192, 168, 0, number.saturating_add(1)), 24)?;
                net.default_route(Ipv4Addr::new(192, 168, 0, 1), 10)
            })?;
            node.sysctl("net.ipv4.ip_forward", "1")?;
            let rules = node.dir().join("firewall.nft");
            fs::write(&rules, FIREWALL).map_err(|e| e.to_string())?;
            node.check(&["nft", "-f", &rules.display().to_string()])?;
            install(&node, page, number, make, &programs)?;
            Ok(Router {
                node,
                make,
                number,
                keepalived: None,
                conntrackd: None,
            })
        };
        let routers = [router(1, makes[0])?, router(2, makes[1])?];
        Ok(Self {
            routers,
            switch,
            client,
            server,
            programs,
        })
    }

    /// Opens the session that has to survive.
    ///
    /// # Errors
    /// When no connection comes about.
    pub fn session(&self) -> Result<Session> {
        Session::open(&self.client, &self.server, SERVER)
    }

    /// Waits until router `master` (0 or 1) has both addresses and the other one, where it runs, has none.
    ///
    /// # Errors
    /// When that does not come about within `limit`.
    pub fn wait_master(&self, master: usize, limit: Duration) -> Result<Duration> {
        let start = Instant::now();
        loop {
            let roles: Vec<&str> = self
                .routers
                .iter()
                .map(|r| r.look(&self.programs).map(|l| l.role()))
                .collect::<Result<_>>()?;
            let settled = roles
                .iter()
                .enumerate()
                .all(|(n, &role)| role == if n == master { "MASTER" } else { "BACKUP" });
            if settled {
                return Ok(start.elapsed());
            }
            if start.elapsed() > limit {
                let logs: String = self.routers.iter().map(Router::logs).collect();
                return Err(format!(
                    "r{} does not become master, roles are {roles:?}\n{logs}",
                    master + 1
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until router `backup`'s external cache holds at least one connection.
    ///
    /// # Errors
    /// When that does not come about within `limit`.
    pub fn wait_replicated(&self, backup: usize, limit: Duration) -> Result<()> {
        let start = Instant::now();
        let router = self.routers.get(backup).ok_or("there are two routers")?;
        loop {
            if router.ask(&self.programs, &["-e"])?.contains("dport=7007") {
                return Ok(());
            }
            if start.elapsed() > limit {
                let logs: String = self.routers.iter().map(Router::logs).collect();
                return Err(format!(
                    "the session does not reach r{}'s external cache\n{logs}",
                    backup + 1
                ));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Puts a cable from `node` into `bridge` of the switch.
fn plug(switch: &Node, bridge: &str, node: &Node, link: &str, name: &str) -> Result<()> {
    let port = format!("{bridge}-{name}");
    cable(switch, &port, node, link)?;
    let bridge = bridge.to_owned();
    switch.net(move |net| net.enslave(&port, &bridge))
}

/// Lays the page's files over the `/etc` that the daemons will see.
fn install(node: &Node, page: &Path, number: u8, make: Make, programs: &Programs) -> Result<()> {
    let root = match make {
        Make::Ours => PathBuf::from("/"),
        Make::Original => programs
            .original_root()
            .ok_or("no originals here")?
            .to_owned(),
    };
    let scratch = node.dir().join("etc");
    let files = [
        (
            page.join(format!("router{number}/keepalived.conf")),
            "keepalived/keepalived.conf",
            0o644,
        ),
        (
            page.join(format!("router{number}/conntrackd.conf")),
            "conntrackd/conntrackd.conf",
            0o600,
        ),
        (
            page.join("primary-backup.sh"),
            "keepalived/primary-backup.sh",
            0o755,
        ),
    ];
    if make == Make::Original {
        programs.enter_original(node, node.dir())?;
    }
    let dir = node.dir().to_owned();
    node.call(move || -> Result<()> {
        let none: Option<&str> = None;
        let fail = |what: &str| {
            let what = what.to_owned();
            move |e: nix::Error| format!("{what}: {e}")
        };
        // The upper layer lies on a tmpfs: not every file system can carry one.
        fs::create_dir_all(&scratch).map_err(|e| e.to_string())?;
        mount(
            Some("tmpfs"),
            &scratch,
            Some("tmpfs"),
            MsFlags::empty(),
            none,
        )
        .map_err(fail("tmpfs for /etc"))?;
        for layer in ["upper", "work"] {
            fs::create_dir_all(scratch.join(layer)).map_err(|e| e.to_string())?;
        }
        let etc = root.join("etc");
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            etc.display(),
            scratch.join("upper").display(),
            scratch.join("work").display()
        );
        mount(
            Some("overlay"),
            &etc,
            Some("overlay"),
            MsFlags::empty(),
            Some(options.as_str()),
        )
        .map_err(fail("overlay on /etc"))?;
        for (from, to, mode) in files {
            use std::os::unix::fs::PermissionsExt;
            let to = etc.join(to);
            let parent = to.parent().unwrap_or(&etc);
            fs::create_dir_all(parent).map_err(|e| format!("{}: {e}", parent.display()))?;
            fs::copy(&from, &to).map_err(|e| format!("{}: {e}", from.display()))?;
            fs::set_permissions(&to, fs::Permissions::from_mode(mode))
                .map_err(|e| e.to_string())?;
        }
        if root != Path::new("/") {
            // Dumps of the two routers must not meet.
            let tmp = dir.join("tmp");
            fs::create_dir_all(&tmp).map_err(|e| e.to_string())?;
            mount(Some(&tmp), &root.join("tmp"), none, MsFlags::MS_BIND, none)
                .map_err(fail("/tmp"))?;
        }
        Ok(())
    })?
}

#[cfg(test)]
mod tests {
    use super::cache_sizes;

    #[test]
    fn reads_both_caches_from_the_statistics() {
        let text = "cache internal:\ncurrent active connections:\t           3\n\ncache external:\ncurrent active connections:\t           7\n";
        assert_eq!(cache_sizes(text), Some((3, 7)));
        assert_eq!(cache_sizes(""), None);
    }
}
