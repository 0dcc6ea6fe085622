//! Two directors with VRRP, load balancing and the kernel's synchronisation daemon, in User Mode Linux: a connection through the
//! active one survives that another becomes active, whoever of ours and 2.3.3 stands where; both say the same and start the same
//! daemons.
//!
//! ```text
//! client ── ext ──┬── director 0 ──┬── int ── real server
//!                 └── director 1 ──┘
//! ```
#![cfg(feature = "lvs")]
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy spares only functions marked as tests"
)]

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::link::cable;
use testkit::node::{Node, Process};
use testkit::session::Session;
use testkit::sut::{Make, Programs};
use testkit::{need, uml};

const LIMIT: Duration = Duration::from_secs(200);
const SERVICE: &str = "10.81.0.100:80";
const REAL: &str = "10.82.0.10:7000";

fn v4(net: u8, host: u8) -> IpAddr {
    Ipv4Addr::new(10, net, 0, host).into()
}

/// Adverts are so far apart that a backup does not lose its master because the guest, in which all directors share one processor,
/// is slow. How the synchronisation daemon is written: of the instance, or in `global_defs` with everything there is.
fn configuration(priority: u8, old_keyword: bool, ttl: u8) -> String {
    let (global, own) = if old_keyword {
        ("".to_owned(), "lvs_sync_daemon_interface int\n")
    } else {
        let line = format!(
            "lvs_sync_daemon int inst D id 7 maxlen 1400 port 8850 ttl {ttl} group 224.0.0.99\n"
        );
        (line, "")
    };
    format!(
        "global_defs {{\n router_id r\n vrrp_version 3\n {global}}}\n\
        vrrp_instance D {{\n interface ext\n virtual_router_id 51\n priority {priority}\n advert_int 2\n {own}\
        track_interface {{\n int\n }}\n virtual_ipaddress {{\n 10.81.0.100/24 dev ext\n 10.82.0.1/24 dev int\n }}\n}}\n\
        virtual_server 10.81.0.100 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n real_server 10.82.0.10 7000 {{\n weight 1\n }}\n}}\n"
    )
}

struct Director<'a> {
    node: Node,
    make: Make,
    programs: &'a Programs,
    priority: u8,
    daemon: Option<Process>,
}

impl<'a> Director<'a> {
    fn new(number: u8, make: Make, dir: &Path, switch: &Node, programs: &'a Programs) -> Self {
        let node = Node::new(&format!("d{number}"), dir).unwrap();
        if make == Make::Original {
            programs.enter_original(&node, dir).unwrap();
        }
        for (net, name) in [(81, "ext"), (82, "int")] {
            plug(switch, name, &node, &format!("{name}{number}"));
            node.net(move |n| n.address(name, v4(net, number + 2), 24))
                .unwrap();
        }
        // Every second packet of a connection is told of, so that the test need not wait.
        for (name, value) in [
            ("net.ipv4.ip_forward", "1"),
            ("net.ipv4.vs.sync_threshold", "1 2"),
        ] {
            node.sysctl(name, value).unwrap();
        }
        Self {
            node,
            make,
            programs,
            priority: 150 - number,
            daemon: None,
        }
    }

    fn start(&mut self, old_keyword: bool) {
        let conf = self.node.dir().join("k.conf");
        self.write(old_keyword, 3);
        let conf = conf.display().to_string();
        let argv = self
            .programs
            .argv(self.make, "keepalived", &["-n", "-l", "-D", "-f", &conf]);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        self.daemon = Some(self.node.spawn("log", &argv).unwrap());
    }

    fn write(&self, old_keyword: bool, ttl: u8) {
        let text = configuration(self.priority, old_keyword, ttl);
        fs::write(self.node.dir().join("k.conf"), text).unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.node.dir().join("log")).unwrap_or_default()
    }

    fn until(&self, what: &str, done: impl Fn() -> bool) {
        let end = Instant::now() + LIMIT;
        while !done() {
            let (daemons, log) = (self.daemons(), self.log());
            assert!(
                Instant::now() < end,
                "{:?} {}: not {what}\n{daemons}\n{log}",
                self.make,
                self.node.name()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn says(&self, text: &str, times: usize) {
        self.until(text, || self.log().matches(text).count() >= times);
    }

    fn daemons(&self) -> String {
        self.node.check(&["ipvsadm", "-l", "--daemon"]).unwrap()
    }

    /// Waits until this daemon runs, and no other.
    fn runs(&self, role: &str, more: &str) {
        let wanted = format!("{role} sync daemon (mcast=int, {more})\n");
        self.until(&wanted, || self.daemons() == wanted);
    }

    fn reload(&self) {
        let pid = self.daemon.as_ref().unwrap().pid();
        let before = self.log().matches("VRRP sockpool").count();
        self.node
            .check(&["kill", "-HUP", &pid.to_string()])
            .unwrap();
        self.says("VRRP sockpool", before + 1);
    }

    /// What it says of states and of the load balancer, without times. Two processes say that they open the way to it.
    fn lines(&self) -> Vec<String> {
        let log = self.log();
        let lines = log.lines().map(|line| line.get(26..).unwrap_or(line));
        let wanted = |line: &&str| ["(D) Entering", "IPVS"].iter().any(|w| line.contains(w));
        let mut lines: Vec<String> = lines.filter(wanted).map(str::to_owned).collect();
        for text in ["Initializing ipvs", "Reinitializing ipvs"] {
            lines.push(format!("{} x {text}", log.matches(text).count()));
        }
        lines
    }

    fn has_connection(&self, client_port: u16) -> bool {
        let shown = self.node.check(&["ipvsadm", "-Lcn"]).unwrap();
        let client = format!("10.81.0.9:{client_port} ");
        shown
            .lines()
            .any(|l| l.contains("ESTABLISHED") && l.contains(&client) && l.contains(REAL))
    }

    /// The sync daemon lives on while interfaces come and go; nothing else may be left behind.
    fn stop(&mut self) {
        let status = self.daemon.take().unwrap().stop().unwrap();
        assert!(status.success(), "{status}\n{}", self.log());
        assert_eq!(self.daemons(), "");
    }
}

fn plug(switch: &Node, bridge: &'static str, node: &Node, port: &str) {
    cable(switch, port, node, bridge).unwrap();
    let port = port.to_owned();
    switch.net(move |n| n.enslave(&port, bridge)).unwrap();
    let (switch_name, node_name) = (switch.name(), node.name());
    assert_ne!(switch_name, node_name);
}

const FULL: &str = "syncid=7, maxlen=1400, group=224.0.0.99, port=8850, ttl=3";
const CHANGED: &str = "syncid=7, maxlen=1400, group=224.0.0.99, port=8850, ttl=4";
const PLAIN: &str = "syncid=0, maxlen=1472, group=224.0.0.81, port=8848, ttl=1";

/// One life of a pair; what each director says.
fn play(makes: [Make; 2], old_keyword: bool, programs: &Programs) -> [Vec<String>; 2] {
    let dir = PathBuf::from(format!("/tmp/{:?}-{:?}-{old_keyword}", makes[0], makes[1]));
    let settings = if old_keyword { PLAIN } else { FULL };
    let switch = Node::new("switch", &dir).unwrap();
    switch
        .net(|n| {
            n.bridge("ext")?;
            n.bridge("int")
        })
        .unwrap();
    let [client, server] =
        [(81, "ext", 9, "client"), (82, "int", 10, "server")].map(|(net, bridge, host, name)| {
            let node = Node::new(name, &dir).unwrap();
            plug(&switch, bridge, &node, name);
            node.net(move |n| n.address(bridge, v4(net, host), 24))
                .unwrap();
            node
        });
    server
        .net(|n| n.default_route(Ipv4Addr::new(10, 82, 0, 1), 0))
        .unwrap();
    let mut first = Director::new(0, makes[0], &dir, &switch, programs);
    let mut second = Director::new(1, makes[1], &dir, &switch, programs);
    first.start(old_keyword);
    first.says("Entering MASTER STATE", 1);
    second.start(old_keyword);
    second.says("Entering BACKUP STATE (init)", 1);
    first.runs("master", settings);
    second.runs("backup", settings);

    let session = Session::through(
        &client,
        SERVICE.parse().unwrap(),
        &server,
        REAL.parse().unwrap(),
    )
    .unwrap();
    let port = session.report().seen_as.unwrap().port();
    second.until("told of the connection", || second.has_connection(port));

    // A cable is pulled: the other one goes on with the connection.
    let pull = |up: bool| {
        switch
            .net(move |n| if up { n.up("ext0") } else { n.down("ext0") })
            .unwrap();
    };
    pull(false);
    first.says("Entering FAULT STATE", 1);
    second.says("Entering MASTER STATE", 1);
    first.runs("backup", settings);
    second.runs("master", settings);
    session.wait_alive(LIMIT).unwrap();
    // And back again.
    pull(true);
    first.says("Entering MASTER STATE", 2);
    second.says("Entering BACKUP STATE", 2);
    first.runs("master", settings);
    second.runs("backup", settings);
    session.wait_alive(LIMIT).unwrap();
    // Reloads without a change, then with one.
    let mut settings = settings;
    first.reload();
    second.reload();
    if !old_keyword {
        for director in [&first, &second] {
            director.write(false, 4);
            director.reload();
        }
        settings = CHANGED;
    }
    first.runs("master", settings);
    second.runs("backup", settings);
    session.wait_alive(LIMIT).unwrap();
    // The cable again. Only then are they stopped, a listener and a teller: the two processes of a director stop side by side,
    // and who has no service any more answers with a reset as long as it has the address.
    pull(false);
    second.says("Entering MASTER STATE", 2);
    first.runs("backup", settings);
    second.runs("master", settings);
    session.wait_alive(LIMIT).unwrap();
    first.stop();
    second.stop();
    [first.lines(), second.lines()]
}

#[test]
fn uml_ref_connections_survive_the_change_of_directors() {
    const TEST: &str = "uml_ref_connections_survive_the_change_of_directors";
    let Some(root) = need::originals(TEST) else {
        return;
    };
    let modules = [uml::IPVS, uml::DEVICES].concat();
    if !uml::inside(TEST, &modules) {
        return;
    }
    let programs = Programs::of(env!("CARGO_BIN_EXE_keepalived")).with_originals(&root);
    let (a, b) = (Make::Ours, Make::Original);
    let cases = [
        ([b, b], false),
        ([a, a], false),
        ([a, b], false),
        ([b, a], false),
        ([b, b], true),
        ([a, a], true),
    ];
    let said = std::thread::scope(|scope| {
        let programs = &programs;
        cases
            .map(|(makes, old)| scope.spawn(move || play(makes, old, programs)))
            .map(|thread| thread.join().unwrap())
    });
    let [full, ours, mixed, other, plain, ours_plain] = said;
    assert!(full[0].iter().any(|l| l.contains("Daemon has already run")));
    for (lines, makes) in [
        (ours, "ours"),
        (mixed, "ours, 2.3.3"),
        (other, "2.3.3, ours"),
    ] {
        assert_eq!(lines, full, "{makes}");
    }
    assert_eq!(ours_plain, plain);
}
