//! The checker process with a kernel that has IPVS (User Mode Linux): what it puts into the tables while servers come and go, that
//! a reload without a change writes nothing, that many reloads leave nothing behind, and what it does when modules are missing,
//! entries are refused, or somebody else changes the tables.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use linux_io::genl_sock::Genl;
use netlink_wire::Messages;
use netlink_wire::framing::F_REQUEST;
use netlink_wire::ipvs::FAMILY_NAME;
use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, setsockopt, socket,
};
use testkit::sut::ours;
use testkit::uml;

const VIP: &str = "10.81.0.100";

fn run(line: &str) -> String {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap())
        .args(words)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// A real server that only accepts connections.
fn server(port: u16) -> TcpListener {
    TcpListener::bind(("127.0.0.1", port)).unwrap()
}

struct Director {
    process: Child,
    dir: PathBuf,
}

impl Director {
    fn start(conf: &str) -> Self {
        let dir = PathBuf::from("/tmp/lvs");
        fs::create_dir_all(&dir).unwrap();
        let note = dir.join("note");
        let text = format!("#!/bin/sh\necho \"$*\" >>{}\n", dir.join("notes").display());
        fs::write(&note, text).unwrap();
        run(&format!("chmod 755 {}", note.display()));
        fs::write(dir.join("k.conf"), conf).unwrap();
        let log = fs::File::create(dir.join("log")).unwrap();
        let path = |name: &str| dir.join(name).display().to_string();
        let process = Command::new(ours(env!("CARGO_BIN_EXE_keepalived")))
            .args(["-n", "-l", "-D", "-C", "-f", &path("k.conf")])
            .args(["-p", &path("pid"), "-c", &path("checkers.pid")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { process, dir }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.join(name)).unwrap_or_default()
    }

    /// Waits until the tables hold these lines and no others.
    fn holds(&self, lines: &[&str]) {
        let mut wanted: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
        wanted.sort();
        self.until(&format!("{wanted:#?}"), || {
            let shown = run("ipvsadm -Sn");
            let mut lines: Vec<String> = shown.lines().map(|l| l.trim().to_owned()).collect();
            lines.sort();
            lines == wanted
        });
    }

    fn says(&self, text: &str, times: usize) {
        self.until(text, || self.read("log").matches(text).count() >= times);
    }

    fn until(&self, what: &str, done: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(40);
        while !done() {
            let (log, shown) = (self.read("log"), run("ipvsadm -Sn"));
            assert!(Instant::now() < end, "not {what}\n{shown}\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The checker process.
    fn checker(&self) -> String {
        let pid = self.process.id();
        let path = format!("/proc/{pid}/task/{pid}/children");
        let children = fs::read_to_string(path).unwrap();
        children.split_whitespace().next().unwrap().to_owned()
    }

    /// A number of the checker process from one of its files in /proc.
    fn figure(&self, file: &str, name: &str) -> u64 {
        let path = format!("/proc/{}/{file}", self.checker());
        let text = fs::read_to_string(path).unwrap();
        let line = text.lines().find(|l| l.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Open descriptors of the checker process.
    fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.checker());
        fs::read_dir(path).unwrap().count()
    }

    fn reload(&self, conf: &str) {
        let before = self.read("log").matches("Reload complete").count();
        fs::write(self.dir.join("k.conf"), conf).unwrap();
        run(&format!("kill -HUP {}", self.process.id()));
        self.says("Reload complete", before + 1);
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        // It has ended already if the test came so far.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn conf(weight: u32, second: &str) -> String {
    let check = "TCP_CHECK {\n connect_timeout 1\n retry 0\n }";
    format!(
        "global_defs {{\n script_user root\n enable_script_security\n}}\n\
        virtual_server {VIP} 80 {{\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n\
        quorum 1\n quorum_up \"/tmp/lvs/note quorum up\"\n quorum_down \"/tmp/lvs/note quorum down\"\n\
        sorry_server 127.0.0.1 8009\n\
        real_server 127.0.0.1 8001 {{\n weight {weight}\n notify_up \"/tmp/lvs/note 1 up\"\n\
        notify_down \"/tmp/lvs/note 1 down\"\n {check}\n }}\n\
        real_server 127.0.0.1 8002 {{\n weight 1\n inhibit_on_failure\n {check}\n }}\n}}\n{second}"
    )
}

#[test]
fn uml_servers_come_and_go() {
    let modules = [uml::IPVS, &["dummy"]].concat();
    if !uml::inside("uml_servers_come_and_go", &modules) {
        return;
    }
    run(&format!("ip addr add {VIP}/32 dev lo"));
    let service = format!("-A -t {VIP}:80 -s rr");
    let real = |port: u16, weight| format!("-a -t {VIP}:80 -r 127.0.0.1:{port} -m -w {weight}");
    let mut first = Some(server(8001));
    let mut second = Some(server(8002));
    let mut director = Director::start(&conf(3, ""));
    director.holds(&[&service, &real(8001, 3), &real(8002, 1)]);
    director.says("TCP connection to [127.0.0.1]:tcp:8002 success.", 1);

    // One goes: out of the table. The other: weight 0, and the sorry server stands in. Scripts take their time: each is awaited
    // before the next is caused.
    let told = |count| director.until("told", || director.read("notes").lines().count() >= count);
    told(1);
    drop(first.take());
    director.holds(&[&service, &real(8002, 1)]);
    told(2);
    drop(second.take());
    director.holds(&[&service, &real(8002, 0), &real(8009, 1)]);
    told(3);
    first = Some(server(8001));
    director.holds(&[&service, &real(8001, 3), &real(8002, 0)]);
    second = Some(server(8002));
    director.holds(&[&service, &real(8001, 3), &real(8002, 1)]);
    told(5);
    let told = ["quorum up", "1 down", "quorum down", "1 up", "quorum up"];
    let notes = director.read("notes");
    let mut notes: Vec<_> = notes.lines().collect();
    // Two scripts that are started in one moment: either may write first.
    if let Some(last) = notes.get_mut(3..) {
        last.sort_unstable();
    }
    assert_eq!(notes, told);

    // Somebody else's weight stays over a reload without a change: nothing is written.
    run(&format!(
        "ipvsadm -e -t {VIP}:80 -r 127.0.0.1:8001 -m -w 77"
    ));
    run(&format!("ipvsadm -E -t {VIP}:80 -s wlc"));
    director.reload(&conf(3, ""));
    let changed = format!("-A -t {VIP}:80 -s wlc");
    director.holds(&[&changed, &real(8001, 77), &real(8002, 1)]);
    // One weight and a virtual server more.
    let more = format!(
        "virtual_server {VIP} 81 {{\n lb_algo lc\n lb_kind NAT\n protocol TCP\n alpha\n\
        real_server 127.0.0.1 8001 {{\n TCP_CHECK {{\n warmup 60\n }}\n }}\n}}\n"
    );
    director.reload(&conf(5, &more));
    let other = format!("-A -t {VIP}:81 -s lc");
    director.holds(&[&changed, &real(8001, 5), &real(8002, 1), &other]);
    director.reload(&conf(5, ""));
    director.holds(&[&changed, &real(8001, 5), &real(8002, 1)]);
    assert!(!director.read("log").contains("no longer exist"));

    run(&format!("kill -TERM {}", director.process.id()));
    assert!(director.process.wait().unwrap().success());
    assert_eq!(run("ipvsadm -Sn"), "");
    director.says("Shutting down service [127.0.0.1]:tcp:8001", 1);
    // Without omega nobody is told.
    assert_eq!(director.read("notes").lines().count(), 5);
    drop((first, second));
}

/// All netlink messages of the guest.
struct Wire {
    socket: OwnedFd,
    family: u16,
}

impl Wire {
    fn listen() -> Self {
        run("ip link add wire type nlmon");
        run("ip link set wire up");
        let socket = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_NONBLOCK,
            SockProtocol::EthAll,
        );
        let socket = socket.unwrap();
        setsockopt(&socket, RcvBufForce, &(32 << 20)).unwrap();
        let family = Genl::open(FAMILY_NAME, None).unwrap().family();
        let wire = Self { socket, family };
        let _before = wire.writes();
        wire
    }

    /// Requests to change the tables since the last time, by their command.
    fn writes(&self) -> BTreeMap<u8, usize> {
        const ETHERNET_NETLINK: u16 = 824;
        // linux/ip_vs.h: IPVS_CMD_GET_{SERVICE,DEST,DAEMON,CONFIG,INFO} only read.
        const READS: [u8; 5] = [4, 8, 11, 13, 15];
        let mut found = BTreeMap::new();
        let mut buffer = vec![0; 1 << 18];
        while let Ok((length, from)) = recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut buffer) {
            if from.is_none_or(|from| from.hatype() != ETHERNET_NETLINK) {
                continue;
            }
            for message in Messages::new(&buffer[..length]) {
                let request = message.header.flags & F_REQUEST != 0;
                let command = message.body.first().copied().unwrap_or(0);
                if message.header.kind == self.family && request && !READS.contains(&command) {
                    *found.entry(command).or_default() += 1;
                }
            }
        }
        found
    }
}

const NEW_SERVICE: u8 = 1;
const NEW_DEST: u8 = 5;
const SET_DEST: u8 = 6;
const DEL_DEST: u8 = 7;

/// 20 virtual servers with 50 real ones each, and a group of 10 addresses with 5. `extra`: of the first virtual server.
fn large(changed: usize, extra: &str) -> String {
    let mut text = String::from("virtual_server_group many {\n 10.83.0.1-10 80\n}\n");
    let mut count = 0;
    let mut server = |name: &str, reals: usize, extra: &str| {
        let mut block =
            format!("virtual_server {name} {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n{extra}");
        for _ in 0..reals {
            let (high, low) = (count / 200, count % 200 + 1);
            let weight = if count < changed { 3 } else { 2 };
            count += 1;
            block += &format!(
                "real_server 10.84.{high}.{low} 80 {{\n weight {weight}\n TCP_CHECK {{\n warmup 100000000\n }}\n }}\n"
            );
        }
        block + "}\n"
    };
    for n in 0..20 {
        let extra = if n == 0 { extra } else { "" };
        text += &server(&format!("10.83.1.{n} 80"), 50, extra);
    }
    text + &server("group many", 5, "")
}

#[test]
fn uml_what_is_written_is_what_has_changed() {
    let modules = [uml::IPVS, &["nlmon"]].concat();
    if !uml::inside("uml_what_is_written_is_what_has_changed", &modules) {
        return;
    }
    let wire = Wire::listen();
    let mut director = Director::start(&large(0, ""));
    director.says("Startup complete", 1);
    let all = BTreeMap::from([(NEW_SERVICE, 20 + 10), (NEW_DEST, 20 * 50 + 10 * 5)]);
    assert_eq!(wire.writes(), all);
    // All of them are looked after by one thread.
    assert_eq!(director.figure("status", "Threads:"), 1);

    director.reload(&large(0, ""));
    assert_eq!(wire.writes(), BTreeMap::new());
    director.reload(&large(10, ""));
    assert_eq!(wire.writes(), BTreeMap::from([(SET_DEST, 10)]));
    let more = "real_server 10.85.0.1 80 {\n }\n";
    director.reload(&large(10, more));
    assert_eq!(wire.writes(), BTreeMap::from([(NEW_DEST, 1)]));
    director.reload(&large(10, ""));
    assert_eq!(wire.writes(), BTreeMap::from([(DEL_DEST, 1)]));

    // What a daemon that was killed has left is taken over.
    run(&format!(
        "kill -STOP {} {}",
        director.process.id(),
        director.checker()
    ));
    let checker = director.checker();
    run(&format!("kill -KILL {} {checker}", director.process.id()));
    assert!(!director.process.wait().unwrap().success());
    let mut director = Director::start(&large(10, ""));
    director.says("Startup complete", 1);
    let held = run("ipvsadm -Sn");
    assert_eq!(held.lines().count(), 30 + 20 * 50 + 10 * 5);
    assert_eq!(held.matches("-w 3").count(), 10);
    run(&format!("kill -TERM {}", director.process.id()));
    assert!(director.process.wait().unwrap().success());
    assert_eq!(run("ipvsadm -Sn"), "");
}

/// Real servers that come, go and change, with checks of all kinds of fate under way.
fn changing(round: u64) -> String {
    let mut text = String::new();
    for vs in 0..4 {
        text += &format!(
            "virtual_server 10.83.1.{vs} 80 {{\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n"
        );
        for rs in 0..10 {
            let dice = (round + 1)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(vs * 10 + rs)
                % 5;
            if dice == 0 {
                continue;
            }
            // 8001 accepts and says nothing, on 8002 nobody listens.
            let port = 8001 + rs % 2;
            let check = if rs % 3 == 0 {
                "HTTP_GET {\n url {\n path /\n }\n connect_timeout 3\n warmup 0\n }"
            } else {
                "TCP_CHECK {\n connect_timeout 3\n warmup 0\n }"
            };
            text += &format!(
                "real_server 127.1.{vs}.{} {port} {{\n weight {dice}\n inhibit_on_failure\n {check}\n }}\n",
                rs + 1
            );
        }
        text += "}\n";
    }
    text
}

#[test]
fn uml_many_reloads_leave_nothing_behind() {
    if !uml::inside("uml_many_reloads_leave_nothing_behind", uml::IPVS) {
        return;
    }
    let reloads: u64 = std::env::var("RELOADS").map_or(60, |n| n.parse().unwrap());
    let _silent = TcpListener::bind("0.0.0.0:8001").unwrap();
    let director = Director::start(&changing(0));
    director.says("Startup complete", 1);
    let mut measured = vec![];
    for n in 1..=reloads {
        director.reload(&changing(n));
        if n % 20 == 0 {
            // Checks begin a second after a reload, not before.
            std::thread::sleep(Duration::from_millis(1_200));
        }
        if n == reloads / 5 || n == reloads {
            // Compared with the same configuration in force, before its first checks begin.
            director.reload(&changing(0));
            measured.push((
                director.figure("smaps_rollup", "Pss_Anon:"),
                director.descriptors(),
            ));
        }
    }
    let [(warm, open), (end, open_at_end)] = measured[..] else {
        panic!("{measured:?}")
    };
    assert_eq!(open_at_end, open);
    let grown = end.saturating_sub(warm);
    assert!(grown <= 192, "{warm} kB have grown by {grown} kB");
    assert_eq!(director.figure("status", "Threads:"), 1);
}

#[test]
fn uml_missing_refused_and_changed_entries() {
    if !uml::inside("uml_missing_refused_and_changed_entries", &["ipv6"]) {
        return;
    }
    // The machine has the modules; the kernel does not get them by itself.
    let loader = "/proc/sys/kernel/modprobe";
    let modprobe = fs::read_to_string(loader).unwrap();
    fs::write(loader, "/bin/false").unwrap();
    run(&format!("ip addr add {VIP}/32 dev lo"));
    let mut director = Director::start(&conf(3, ""));
    assert!(!director.process.wait().unwrap().success());
    director.says("IPVS: Can't initialize ipvs: ", 1);
    director.says("is the kernel module ip_vs there", 1);
    drop(director);

    // Only one scheduler is there; a real server's address is none.
    run("modprobe -a ip_vs ip_vs_rr");
    let servers = [server(8001), server(8002)];
    let more = format!(
        "virtual_server {VIP} 82 {{\n lb_algo sh\n lb_kind NAT\n protocol TCP\n\
        real_server 127.0.0.1 8001 {{\n }}\n}}\n\
        virtual_server {VIP} 83 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n\
        real_server 224.0.0.9 8001 {{\n }}\n real_server 127.0.0.1 8002 {{\n }}\n}}\n"
    );
    let mut director = Director::start(&conf(3, &more));
    let first = [
        format!("-A -t {VIP}:80 -s rr"),
        format!("-a -t {VIP}:80 -r 127.0.0.1:8001 -m -w 3"),
        format!("-a -t {VIP}:80 -r 127.0.0.1:8002 -m -w 1"),
    ];
    let second = [
        format!("-A -t {VIP}:83 -s rr"),
        format!("-a -t {VIP}:83 -r 127.0.0.1:8002 -m -w 1"),
    ];
    let both: Vec<&str> = first.iter().chain(&second).map(String::as_str).collect();
    director.holds(&both);
    let refused = [
        format!(
            "IPVS cmd IP_VS_SO_SET_ADD(1154) error: Scheduler or persistence engine not found(2) ({VIP}:tcp:82)"
        ),
        "is the kernel module ip_vs_sh there".to_owned(),
        format!(
            "IPVS cmd IP_VS_SO_SET_ADDDEST(1159) error: Invalid operation.  Possibly wrong module version, address not unicast, ...(22) ({VIP}:tcp:83 -> 224.0.0.9:8001)"
        ),
    ];
    for line in refused {
        director.says(&line, 1);
    }

    // Somebody empties the tables: what changes next comes back.
    run("ipvsadm -C");
    let [one, two] = servers;
    drop(one);
    director.says("Removing service [127.0.0.1]:tcp:8001", 1);
    let one = server(8001);
    director.holds(&[&first[0], &first[1]]);
    drop(two);
    let inhibited = format!("-a -t {VIP}:80 -r 127.0.0.1:8002 -m -w 0");
    director.holds(&[&first[0], &first[1], &inhibited]);
    // A real server is gone, another there already with a weight of somebody else's.
    run(&format!("ipvsadm -d -t {VIP}:80 -r 127.0.0.1:8002"));
    let two = server(8002);
    let all: Vec<&str> = first.iter().map(String::as_str).collect();
    director.holds(&all);
    drop(one);
    director.says("Removing service [127.0.0.1]:tcp:8001", 2);
    let strange = format!("-a -t {VIP}:80 -r 127.0.0.1:8001 -m -w 55");
    run(&format!("ipvsadm {strange}"));
    let one = server(8001);
    director.holds(&all);
    run(&format!("kill -TERM {}", director.process.id()));
    assert!(director.process.wait().unwrap().success());
    assert_eq!(run("ipvsadm -Sn"), "");
    drop((one, two));
    fs::write(loader, modprobe).unwrap();
}
