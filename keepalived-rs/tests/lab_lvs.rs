//! The checker process with a kernel that has IPVS (User Mode Linux): what it puts into the tables while servers come and go, and
//! that a reload without a change writes nothing.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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
        let process = Command::new(env!("CARGO_BIN_EXE_keepalived"))
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

    // One goes: out of the table. The other: weight 0, and the sorry server stands in.
    drop(first.take());
    director.holds(&[&service, &real(8002, 1)]);
    drop(second.take());
    director.holds(&[&service, &real(8002, 0), &real(8009, 1)]);
    first = Some(server(8001));
    director.holds(&[&service, &real(8001, 3), &real(8002, 0)]);
    second = Some(server(8002));
    director.holds(&[&service, &real(8001, 3), &real(8002, 1)]);
    let told = ["quorum up", "1 down", "quorum down", "1 up", "quorum up"];
    director.until("told", || director.read("notes").lines().count() >= 5);
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
