//! Helpers in user space, in a kernel that has them: a guest with three more modules, see [`MODULES`]. Ignored unless asked for
//! (`-- --ignored`), as `cargo xtask test` does when it has built these modules.
#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod two_routers;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::link::cable;
use testkit::node::Node;
use two_routers::{Daemon, wait_for};

/// Where the modules are that User Mode Linux as Debian ships it lacks: nf_conntrack_netlink and nfnetlink_queue with
/// `CONFIG_NETFILTER_NETLINK_GLUE_CT`, and nfnetlink_cthelper (`CONFIG_NF_CT_NETLINK_HELPER`). `cargo xtask guest-modules` builds
/// them and prints the folder.
const MODULES: &str = "CTHELPER_MODULES";
const USUAL_PLACE: &str = "/usr/lib/uml/cthelper";

const GUEST: [&str; 13] = [
    "nf_conntrack",
    "nfnetlink",
    "nf_nat",
    "iptable_raw",
    "iptable_nat",
    "iptable_filter",
    "xt_CT",
    "xt_MASQUERADE",
    "xt_conntrack",
    "xt_tcpudp",
    "veth",
    "ipv6",
    "ip6table_raw",
];

/// Whether the body of the test is to run: in a guest that has the modules now.
fn inside(test: &str) -> bool {
    let place = std::env::var_os(MODULES).map_or_else(|| PathBuf::from(USUAL_PLACE), PathBuf::from);
    assert!(
        place.join("nfnetlink_cthelper.ko").exists(),
        "{test} needs kernel modules that Debian does not build ({MODULES})"
    );
    if !testkit::uml::inside(test, &GUEST) {
        return false;
    }
    for module in [
        "nf_conntrack_netlink",
        "nfnetlink_queue",
        "nfnetlink_cthelper",
    ] {
        let file = place.join(format!("{module}.ko"));
        let done = std::process::Command::new("insmod").arg(file).status();
        assert!(done.expect("insmod").success(), "{module}");
    }
    true
}

/// name, protocol, port of the server
const HELPERS: [(&str, &str, u16); 11] = [
    ("amanda", "udp", 10080),
    ("ftp", "tcp", 21),
    ("mdns", "udp", 5353),
    ("rpc", "tcp", 111),
    ("rpc", "udp", 111),
    ("sane", "tcp", 6566),
    ("slp", "udp", 427),
    ("ssdp", "tcp", 49152),
    ("ssdp", "udp", 1900),
    ("tftp", "udp", 69),
    ("tns", "tcp", 1521),
];

fn config(name: &str) -> String {
    let mut text = "Helper {\n Setup on\n".to_owned();
    for (queue, (helper, protocol, _)) in HELPERS.iter().enumerate() {
        let policy = match *helper {
            "ftp" => "Policy ftp { ExpectMax 4 ExpectTimeout 200 }",
            _ => "",
        };
        text += &format!(
            " Type {helper} inet {protocol} {{ QueueNum {queue} QueueLen 64 {policy} }}\n"
        );
    }
    text += " Type dhcpv6 inet6 udp { QueueNum 20 }\n";
    text + &format!(
        "}}\nGeneral {{\n HashSize 1024\n HashLimit 2048\n LockFile /run/{name}.lock\n \
         UNIX {{ Path /run/{name}.ctl\n }}\n Systemd off\n}}\n"
    )
}

/// A client and a server with a router between.
struct Lab {
    client: Node,
    router: Node,
    server: Node,
    dir: PathBuf,
}

impl Lab {
    fn build(original: Option<&Path>) -> Self {
        let dir = std::env::temp_dir().join(format!("helpers-{}", std::process::id()));
        let node = |name| Node::new(name, &dir).expect("a node");
        let (client, router, server) = (node("client"), node("router"), node("server"));
        cable(&router, "lan", &client, "eth0").expect("a cable");
        cable(&router, "wan", &server, "eth0").expect("a cable");
        for (node, link, addr) in [
            (&client, "eth0", [10, 0, 0, 2]),
            (&router, "lan", [10, 0, 0, 1]),
            // Longer than the client's, when it is written out.
            (&router, "wan", [10, 9, 0, 101]),
            (&server, "eth0", [10, 9, 0, 2]),
        ] {
            node.net(move |n| n.address(link, IpAddr::from(addr), 24))
                .expect("an address");
        }
        for (node, gateway) in [(&client, [10, 0, 0, 1]), (&server, [10, 9, 0, 101])] {
            node.net(move |n| n.default_route(gateway.into(), 0))
                .expect("a route");
        }
        if Path::new("/proc/sys/net/ipv6").exists() {
            let argv = "ip -6 address add fd00::1/64 dev wan nodad".split(' ');
            router.check(&argv.collect::<Vec<_>>()).expect("an address");
        }
        router
            .sysctl("net.ipv4.ip_forward", "1")
            .expect("a setting");
        router
            .check(&["ip", "route", "add", "224.0.0.0/4", "dev", "wan"])
            .expect("a route");
        if let Some(root) = original {
            let run = root.join("run").display().to_string();
            router
                .check(&["mount", "--bind", "/run", &run])
                .expect("a mount");
        }
        Self {
            client,
            router,
            server,
            dir,
        }
    }

    /// One rule of the router.
    fn rule(&self, words: &str) {
        let words: Vec<&str> = words.split(' ').collect();
        let argv = [&["iptables-legacy", "-t"], &words[..]].concat();
        self.router.check(&argv).expect("iptables");
    }

    /// The router looks for DHCPv6 servers: what it expects then.
    fn dhcpv6(&self) -> Vec<String> {
        const ASK: &str = "-A OUTPUT -p udp --dport 547 -j CT --helper dhcpv6";
        let rule = |words: &str| {
            let words: Vec<&str> = words.split(' ').collect();
            let argv = [&["ip6tables-legacy", "-t", "raw"], &words[..]].concat();
            self.router.check(&argv).expect("ip6tables");
        };
        rule(ASK);
        let wan = self.router.net(|net| net.index("wan")).expect("a link");
        self.router
            .call(move || {
                let own = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
                let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
                let socket = UdpSocket::bind((own, 546))?;
                // SOLICIT
                let to = SocketAddrV6::new(group, 547, 0, wan);
                socket.send_to(&[1, 0, 0, 1], to)
            })
            .expect("a node")
            .expect("a datagram");
        let argv = ["conntrack", "-f", "ipv6", "-L", "expect"];
        let text = self.router.check(&argv).expect("conntrack");
        rule(&ASK.replace("-A", "-D"));
        self.router
            .check(&["conntrack", "-F", "expect"])
            .expect("conntrack");
        let gone = self.router.check(&["conntrack", "-D", "-f", "ipv6"]);
        gone.expect("conntrack");
        let line = |line: &str| Some(line.trim().split_once(' ')?.1.to_owned());
        text.lines().filter_map(line).collect()
    }

    /// Rules that give each server port its helper.
    fn rules(&self) {
        for (helper, protocol, port) in HELPERS {
            for chain in ["PREROUTING", "OUTPUT"] {
                self.rule(&format!(
                    "raw -A {chain} -p {protocol} --dport {port} -j CT --helper {helper}"
                ));
            }
        }
    }

    /// A connection to the server: the client's end and the server's.
    fn connect(&self, port: u16) -> (TcpStream, TcpStream) {
        let listener = listen(&self.server, ([10, 9, 0, 2], port));
        let client = connect(&self.client, ([10, 9, 0, 2], port));
        let (server, _) = listener.accept().expect("a client");
        (client, server)
    }

    /// Says each text from the side that it names.
    fn tcp(&self, port: u16, script: &[(Side, &[u8])]) {
        let (client, server) = self.connect(port);
        for (side, text) in script {
            match side {
                Client => say(&client, &server, text),
                Server => say(&server, &client, text),
            };
        }
        // They end before the next conversation.
    }

    fn udp(&self, port: u16, script: &[(Side, &[u8])]) {
        let bind = |node: &Node, addr: ([u8; 4], u16)| {
            let socket = node.call(move || UdpSocket::bind(at(addr)));
            let socket = socket.expect("a node").expect("a socket");
            socket.set_read_timeout(LIMIT).expect("a limit");
            socket
        };
        let ends = [([10, 0, 0, 2], 20_000), ([10, 9, 0, 2], port)];
        let sockets = [bind(&self.client, ends[0]), bind(&self.server, ends[1])];
        for (side, text) in script {
            let (from, to) = match side {
                Client => (0, 1),
                Server => (1, 0),
            };
            sockets[from]
                .send_to(text, at(ends[to]))
                .expect("a datagram");
            let mut buffer = [0; 2048];
            let len = sockets[to].recv(&mut buffer).expect("the datagram");
            assert_eq!(&buffer[..len], *text);
        }
    }

    /// The router asks a group.
    fn ask_group(&self, group: [u8; 4], port: u16, text: &'static [u8]) {
        self.router
            .call(move || {
                let socket = UdpSocket::bind("10.9.0.101:20000")?;
                socket.send_to(text, at((group, port)))
            })
            .expect("a node")
            .expect("a datagram");
    }

    /// What is expected now, without timeouts; then it is forgotten, with all flows.
    fn expectations(&self) -> Vec<String> {
        let text = self
            .router
            .check(&["conntrack", "-L", "expect"])
            .expect("conntrack");
        let mut lines: Vec<String> = text
            .lines()
            .filter_map(|line| line.trim().split_once(' '))
            // The client's own port is the system's choice.
            .map(|(_, rest)| {
                let mut master = false;
                let words = rest.split(' ').filter(|word| {
                    master |= word.starts_with("master-");
                    !(master && word.starts_with("sport="))
                });
                words.collect::<Vec<_>>().join(" ")
            })
            .filter(|line| line.starts_with("proto="))
            .collect();
        lines.sort();
        for table in [&["-F", "expect"][..], &["-F"]] {
            let words = [&["conntrack"][..], table].concat();
            self.router.check(&words).expect("conntrack");
        }
        lines
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    Client,
    Server,
}
use Side::{Client, Server};

const LIMIT: Option<Duration> = Some(Duration::from_secs(10));

fn at((ip, port): ([u8; 4], u16)) -> std::net::SocketAddr {
    (IpAddr::from(ip), port).into()
}

fn listen(node: &Node, addr: ([u8; 4], u16)) -> TcpListener {
    node.call(move || TcpListener::bind(at(addr)))
        .expect("a node")
        .expect("a listener")
}

fn connect(node: &Node, addr: ([u8; 4], u16)) -> TcpStream {
    node.call(move || TcpStream::connect_timeout(&at(addr), Duration::from_secs(10)))
        .expect("a node")
        .expect("a connection")
}

/// Sends a text; as it arrives.
fn say(mut from: &TcpStream, mut to: &TcpStream, text: &[u8]) -> String {
    from.write_all(text).expect("to be sent");
    to.set_read_timeout(LIMIT).expect("a limit");
    let mut buffer = [0; 2048];
    let len = to.read(&mut buffer).expect("the text");
    String::from_utf8_lossy(&buffer[..len]).into_owned()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()).collect()
}

const BANNER: &[u8] = b"220 ready\r\n";
const USER: &[u8] = b"USER anonymous\r\n";
const TNS: &[u8] =
    b"\0\x43\0\0\x05\0\0\0\0\x39(ADDRESS=(PROTOCOL=tcp)(DEV=6)(HOST=10.9.0.2)(PORT=1526))";
const SEARCH: &[u8] = b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nST: ssdp:all\r\n\r\n";
const FOUND: &[u8] = b"HTTP/1.1 200 OK\r\nLOCATION: http://10.9.0.2:49152/d.xml\r\n\r\n";
const SUBSCRIBE: &[u8] =
    b"SUBSCRIBE /e HTTP/1.1\r\nHOST: x\r\nCALLBACK: <http://10.0.0.2:5000/cb>\r\nNT: upnp:event\r\n\r\n";
const AMANDA: &[u8] =
    b"Amanda 2.6 REP HANDLE 000-4 SEQ 1\nCONNECT DATA 50516 MESG 50517 INDEX 50518\n";

/// Each conversation with what the kernel expects after it.
fn conversations(lab: &Lab) -> Vec<(&'static str, Vec<String>)> {
    let call = words(&[77, 0, 2, 100_000, 2, 3, 0, 0, 0, 0, 100_003, 3, 6, 0]);
    let reply = words(&[77, 1, 0, 0, 0, 0, 2049]);
    let record = |bytes: &[u8]| {
        let len = u32::try_from(bytes.len()).expect("a length");
        [&words(&[0x8000_0000 | len]), bytes].concat()
    };
    let mut seen = Vec::new();
    let mut note = |name, lab: &Lab| seen.push((name, lab.expectations()));

    let port = b"PORT 10,0,0,2,156,64\r\n";
    lab.tcp(21, &[(Server, BANNER), (Client, USER), (Client, port)]);
    note("ftp PORT", lab);
    let eprt = b"EPRT |1|10.0.0.2|40000|\r\n";
    lab.tcp(21, &[(Server, BANNER), (Client, USER), (Client, eprt)]);
    note("ftp EPRT", lab);
    let passive = b"227 Entering Passive Mode (10,9,0,2,195,80).\r\n";
    lab.tcp(21, &[(Server, BANNER), (Client, USER), (Server, passive)]);
    note("ftp PASV", lab);
    lab.udp(69, &[(Client, b"\0\x01file\0octet\0")]);
    note("tftp", lab);
    let start: &[u8] = &[0, 0, 0, 7, 0, 0, 0, 0];
    let started: &[u8] = &[0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 0, 0x12, 0x34];
    lab.tcp(6566, &[(Client, start), (Server, started)]);
    note("sane", lab);
    lab.udp(111, &[(Client, &call), (Server, &reply)]);
    note("rpc udp", lab);
    lab.tcp(111, &[(Client, &record(&call)), (Server, &record(&reply))]);
    note("rpc tcp", lab);
    lab.tcp(1521, &[(Client, b"connect"), (Server, TNS)]);
    note("tns", lab);
    lab.udp(1900, &[(Client, SEARCH), (Server, FOUND)]);
    note("ssdp answer", lab);
    lab.tcp(49152, &[(Client, SUBSCRIBE)]);
    note("ssdp subscription", lab);
    lab.ask_group([239, 255, 255, 250], 1900, SEARCH);
    note("ssdp search", lab);
    lab.ask_group([224, 0, 0, 251], 5353, b"\0\0\0\0");
    note("mdns", lab);
    lab.ask_group([239, 255, 255, 253], 427, b"\x02\x01");
    note("slp", lab);
    seen.push(("dhcpv6", lab.dhcpv6()));
    seen
}

#[test]
#[ignore = "it needs three kernel modules that Debian does not build: `cargo xtask guest-modules`"]
fn uml_helpers_announce_what_the_originals_announce() {
    let test = "uml_helpers_announce_what_the_originals_announce";
    if !inside(test) {
        return;
    }
    let root = testkit::need::originals(test);
    let lab = Lab::build(root.as_deref());
    let mut daemon = Daemon::spawn_with(&lab.router, "ours", None, config("ours"));
    daemon.wait_started();
    let said = daemon.process.output();
    for line in [
        "configuring helper `ftp' with queuenum=1 and queuelen=64\n",
        "policy name=ftp expect_timeout=200 expect_max=4\n",
        "helper `amanda' configured successfully\n",
        "initialization completed\n",
    ] {
        assert!(said.contains(line), "{line}{said}");
    }
    lab.rules();
    let ours = conversations(&lab);
    for (name, expected) in &ours {
        println!("{name}: {expected:?}");
        assert_eq!(expected.len(), 1, "{name}");
    }
    // What 1.4.8 does wrong.
    let extended = b"229 Entering Extended Passive Mode (|||50000|)\r\n";
    lab.tcp(21, &[(Server, BANNER), (Client, USER), (Server, extended)]);
    assert_eq!(lab.expectations().len(), 1);
    lab.udp(10080, &[(Client, b"Amanda 2.6 REQ\n"), (Server, AMANDA)]);
    let expected = lab.expectations().join("\n");
    for port in [50516, 50517, 50518] {
        assert!(expected.contains(&format!("dport={port} ")), "{expected}");
    }
    daemon.process.stop();
    let Some(root) = root else { return };
    // The kernel's helpers stay, and change hands.
    let mut daemon = Daemon::spawn_with(&lab.router, "original", Some(&root), config("original"));
    daemon.wait_started();
    let theirs = log(&daemon.process.output());
    assert_eq!(log(&said), theirs);
    assert_eq!(ours, conversations(&lab));
    lab.tcp(21, &[(Server, BANNER), (Client, USER), (Server, extended)]);
    println!("1.4.8, ftp EPSV: {:?}", lab.expectations());
    lab.udp(10080, &[(Client, b"Amanda 2.6 REQ\n"), (Server, AMANDA)]);
    println!("1.4.8, amanda: {:?}", lab.expectations());
    daemon.process.stop();
}

/// Log lines without time and process.
fn log(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.split_once(") ["));
    lines.map(|(_, rest)| rest.to_owned()).collect()
}

/// Whatever this machine's kernel has: most lack something.
#[test]
fn ref_the_start_is_told_as_by_the_original() {
    let test = "ref_the_start_is_told_as_by_the_original";
    if !testkit::need::root(test) {
        return;
    }
    let Some(root) = testkit::need::originals(test) else {
        return;
    };
    let lab = Lab::build(Some(&root));
    let [ours, theirs] =
        [("ours", None), ("original", Some(root.as_path()))].map(|(name, root)| {
            let mut daemon = Daemon::spawn_with(&lab.router, name, root, config(name));
            wait_for("the start or its failure", || {
                let said = daemon.process.output();
                said.contains("cannot start") || said.contains("-- starting")
            });
            let status = if daemon.process.output().contains("cannot start") {
                daemon.process.wait(Duration::from_secs(10))
            } else {
                daemon.process.stop()
            };
            // Errors and notices go to two streams, of one file.
            let mut lines = log(&daemon.process.output());
            lines.sort();
            (lines, status.and_then(|status| status.code()))
        });
    assert_eq!(ours, theirs);
    assert!(!ours.0.is_empty());
}

#[test]
#[ignore = "it needs three kernel modules that Debian does not build: `cargo xtask guest-modules`"]
fn uml_ftp_and_tftp_pass_a_masquerading_firewall() {
    if !inside("uml_ftp_and_tftp_pass_a_masquerading_firewall") {
        return;
    }
    let lab = Lab::build(None);
    // It replicates, too; nobody listens.
    let sync = "Sync {\n Mode FTFW {\n }\n UDP {\n  IPv4_address 10.9.0.101\n  IPv4_Destination_Address 10.9.0.2\n  \
                Port 3780\n  Interface wan\n }\n Options {\n  ExpectationSync on\n }\n}\n";
    let daemon = Daemon::spawn_with(&lab.router, "nat", None, sync.to_owned() + &config("nat"));
    daemon.wait_started();
    lab.rules();
    for rule in [
        "nat -A POSTROUTING -o wan -j MASQUERADE",
        "filter -P FORWARD DROP",
        "filter -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        "filter -A FORWARD -p tcp --dport 21 -j ACCEPT",
    ] {
        lab.rule(rule);
    }
    let (client, server) = lab.connect(21);
    say(&server, &client, BANNER);
    say(&client, &server, USER);

    // Active: the server connects to the client, three times, so that the text's growth adds up.
    for port in [40_000_u16, 40_001, 40_002] {
        let listener = listen(&lab.client, ([10, 0, 0, 2], port));
        let low = port - 156 * 256;
        let text = say(
            &client,
            &server,
            format!("PORT 10,0,0,2,156,{low}\r\n").as_bytes(),
        );
        assert_eq!(text, format!("PORT 10,9,0,101,156,{low}\r\n"));
        let out = connect(&lab.server, ([10, 9, 0, 101], port));
        let (data, _) = listener.accept().expect("the server");
        assert_eq!(
            data.peer_addr().expect("an address"),
            out.local_addr().expect("an address")
        );
        // The cache has control and data connection.
        wait_for("the data connection in the cache", || {
            let flows = daemon.ask(&["-i"]);
            flows.contains("dport=21 ") && flows.contains(&format!("dport={port} "))
        });
        transfer(out, data);
        assert_eq!(say(&server, &client, b"226 Done\r\n"), "226 Done\r\n");
    }
    let listener = listen(&lab.client, ([10, 0, 0, 2], 41_000));
    let text = say(&client, &server, b"EPRT |1|10.0.0.2|41000|\r\n");
    assert_eq!(text, "EPRT |1|10.9.0.101|41000|\r\n");
    let out = connect(&lab.server, ([10, 9, 0, 101], 41_000));
    transfer(out, listener.accept().expect("the server").0);

    // Passive, in both ways of saying it.
    for (port, text) in [
        (50_000, "227 Entering Passive Mode (10,9,0,2,195,80).\r\n"),
        (50_001, "229 Entering Extended Passive Mode (|||50001|)\r\n"),
    ] {
        let listener = listen(&lab.server, ([10, 9, 0, 2], port));
        assert_eq!(say(&server, &client, text.as_bytes()), text);
        let data = connect(&lab.client, ([10, 9, 0, 2], port));
        transfer(listener.accept().expect("the client").0, data);
    }
    // TFTP: the server answers from a port of its choice.
    lab.rule("filter -A FORWARD -p udp --dport 69 -j ACCEPT");
    let bind = |node: &Node, addr| {
        let socket = node.call(move || UdpSocket::bind(at(addr)));
        let socket = socket.expect("a node").expect("a socket");
        socket.set_read_timeout(LIMIT).expect("a limit");
        socket
    };
    let client = bind(&lab.client, ([10, 0, 0, 2], 20_000));
    let asked = bind(&lab.server, ([10, 9, 0, 2], 69));
    let answers = bind(&lab.server, ([10, 9, 0, 2], 20_001));
    let mut buffer = [0; 100];
    client
        .send_to(b"\0\x01file\0octet\0", at(([10, 9, 0, 2], 69)))
        .expect("a datagram");
    let (_, from) = asked.recv_from(&mut buffer).expect("the question");
    answers
        .send_to(b"\0\x03\0\x01data", from)
        .expect("a datagram");
    assert_eq!(client.recv(&mut buffer).expect("the answer"), 8);

    // What nobody announced stays out.
    let _closed = listen(&lab.server, ([10, 9, 0, 2], 50_009));
    let refused = lab.client.call(|| {
        TcpStream::connect_timeout(&at(([10, 9, 0, 2], 50_009)), Duration::from_millis(300))
            .is_err()
    });
    assert!(refused.expect("a node"));
}

/// Some data, whole.
fn transfer(mut from: TcpStream, mut to: TcpStream) {
    let data: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let wanted = data.clone();
    let sender = std::thread::spawn(move || from.write_all(&data));
    to.set_read_timeout(LIMIT).expect("a limit");
    let mut got = Vec::new();
    to.read_to_end(&mut got).expect("data");
    sender.join().expect("a thread").expect("to be sent");
    assert!(got == wanted, "{} bytes", got.len());
}
