//! `track_process`: ours beside the original on one machine, so that both hear of the same processes. Their log lines must be the same.
//!
//! The kernel tells of processes in the first network namespace only, so the daemons start there and go to a namespace each (`-s`).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use testkit::need;
use testkit::sut::ours;

const LIMIT: Duration = Duration::from_secs(15);

fn run(words: &[&str]) {
    let out = Command::new(words[0]).args(&words[1..]).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{words:?}: {text}");
}

/// A daemon in a namespace of its own.
struct Daemon {
    namespace: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// `root` is where the original lives; ours lives in `/`.
    fn start(name: &str, dir: &Path, conf: &str, root: Option<&Path>) -> Self {
        let namespace = format!("track{}{name}", std::process::id());
        run(&["ip", "netns", "add", &namespace]);
        let inside = ["ip", "-n", &namespace];
        for words in [
            "link add eth0 type veth peer name eth1",
            "addr add 10.9.0.1/24 dev eth0",
            "link set eth0 up",
            "link set eth1 up",
        ] {
            let words: Vec<&str> = inside.into_iter().chain(words.split(' ')).collect();
            run(&words);
        }
        let file = format!("/tmp/{namespace}.conf");
        let log = dir.join(format!("{name}.log"));
        let out = fs::File::create(&log).unwrap();
        let words = format!("-n -l -D -G -s {namespace} -f {file}");
        let script = match root {
            Some(root) => {
                let root = root.display();
                // Nobody else sees these mounts, and they end with the daemon.
                format!(
                    "mkdir -p {root}/run/netns && for d in proc dev run tmp; do mount --rbind /$d {root}/$d || exit 1; done; \
                     exec chroot {root} /usr/sbin/keepalived {words}"
                )
            }
            None => format!("exec {} {words}", ours(env!("CARGO_BIN_EXE_keepalived"))),
        };
        fs::write(&file, conf).unwrap();
        let child = Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        Self {
            namespace,
            child,
            log,
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What the log says about processes and what follows from them.
    fn lines(&self) -> Vec<String> {
        let log = self.log();
        let message = |line: &str| Some(line.split_once(": ")?.1.to_owned());
        let wanted = |line: &String| {
            ["Quorum", "ffective", "FAULT", "rocess ", "rcv_bufs"]
                .iter()
                .any(|word| line.contains(word))
                && !line.contains(" child process")
                && !line.contains("on signal")
                && !line.contains("Missed")
                // 2.3.3 says so when it comes late to the kernel's answer.
                && !line.contains("does not support proc events")
        };
        log.lines().filter_map(message).filter(wanted).collect()
    }

    fn signal(&self, signal: &str) {
        run(&["kill", signal, &self.child.id().to_string()]);
    }

    fn conf(&self) -> String {
        format!("/tmp/{}.conf", self.namespace)
    }

    /// The dump's section about processes.
    fn dump(&self) -> Option<String> {
        let name = format!("tmp/keepalived.{}.data", self.namespace);
        let text = fs::read_to_string(Path::new("/").join(name)).ok()?;
        let (_, section) = text.split_once("------< VRRP Track processes >------\n")?;
        Some(section.split("------<").next()?.to_owned())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.signal("-TERM");
        let end = Instant::now() + LIMIT;
        while Instant::now() < end && self.child.try_wait().is_ok_and(|s| s.is_none()) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        run(&["ip", "netns", "del", &self.namespace]);
        let _ = fs::remove_file(self.conf());
        for kind in ["", "_parent", "_check", "_bfd"] {
            let _ = fs::remove_file(format!("/tmp/keepalived{kind}.{}.data", self.namespace));
        }
    }
}

/// Waits until every daemon's log has `count` lines that contain `text`.
fn wait(daemons: &[Daemon], text: &str, count: usize) {
    let end = Instant::now() + LIMIT;
    for daemon in daemons {
        while daemon.log().matches(text).count() < count {
            let log = daemon.log();
            assert!(
                Instant::now() < end,
                "no {count} x {text:?} in {}\n{log}",
                daemon.namespace
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A running program that ends with its variable.
struct Running(Child);

impl Running {
    fn end(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        std::mem::forget(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn configuration(dir: &Path, tag: &str, more: &str) -> String {
    let dir = dir.display();
    format!(
        "global_defs {{\n process_monitor_rcv_bufs 400000\n data_use_instance\n}}\n\
         vrrp_track_process A {{\n process {tag}a\n quorum 2\n quorum_max 3\n weight 10\n}}\n\
         vrrp_track_process E {{\n process {dir}/{tag}b 100 one\n weight -20\n}}\n\
         vrrp_track_process P {{\n process {dir}/{tag}b 100 one\n param_match partial\n weight 3\n}}\n\
         vrrp_track_process I {{\n process {dir}/{tag}b 100 one\n param_match initial\n weight 5 reverse\n}}\n\
         vrrp_track_process N {{\n process {dir}/{tag}b\n param_match\n weight 40\n}}\n\
         vrrp_track_process F {{\n process {dir}/{tag}b\n full_command\n weight 7\n}}\n\
         vrrp_track_process C {{\n process {tag}c\n terminate_delay 2\n fork_delay 0.4\n}}\n\
         {more}\
         vrrp_instance VI {{\n interface eth0\n virtual_router_id 1\n priority 100\n advert_int 10\n\
         track_process {{\n A\n E\n P\n I\n N\n F\n C\n }}\n virtual_ipaddress {{\n 10.9.0.100\n }}\n}}\n"
    )
}

fn play(original: Option<&Path>) {
    let tag = format!("tp{}", std::process::id());
    let dir = PathBuf::from(format!("/tmp/{tag}"));
    fs::create_dir_all(&dir).unwrap();
    for name in ["a", "b", "c"] {
        fs::copy("/bin/sh", dir.join(format!("{tag}{name}"))).unwrap();
    }
    // What a shell with words runs; one without words reads commands. Both wait.
    fs::write(dir.join("100"), "read x\n").unwrap();
    let start = |name: &str, words: &[&str]| {
        let mut command = Command::new(dir.join(format!("{tag}{name}")));
        command
            .current_dir(&dir)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Running(command.spawn().unwrap())
    };
    let c1 = start("c", &[]);
    let a1 = start("a", &[]);
    let conf = configuration(&dir, &tag, "");
    let mut daemons = vec![Daemon::start("ours", &dir, &conf, None)];
    if let Some(root) = original {
        daemons.push(Daemon::start("orig", &dir, &conf, Some(root)));
    }
    let daemons = &daemons[..];
    wait(daemons, "proc_events has confirmed", 1);

    // By name: two are enough, four are too many.
    let a2 = start("a", &[]);
    wait(daemons, "gained for tracked process A", 1);
    let a3 = start("a", &[]);
    let a4 = start("a", &[]);
    wait(daemons, "lost for tracked process A", 1);
    a3.end();
    wait(daemons, "gained for tracked process A", 2);
    drop((a2, a4));
    wait(daemons, "lost for tracked process A", 2);

    // A shell that takes the name, and gives it up.
    let mut renamed = start("b", &[]);
    wait(daemons, "gained for tracked process N", 1);
    let mut tell = |line: &str| {
        let input = renamed.0.stdin.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
    };
    tell(&format!("printf {tag}a > /proc/self/comm"));
    wait(daemons, "gained for tracked process A", 3);
    tell("printf other > /proc/self/comm");
    wait(daemons, "lost for tracked process A", 3);
    // It becomes another program.
    tell(&format!("exec {}/{tag}a", dir.display()));
    wait(daemons, "lost for tracked process N", 1);
    wait(daemons, "gained for tracked process A", 4);
    drop(renamed);
    wait(daemons, "lost for tracked process A", 4);

    // By command line.
    let exact = start("b", &["100", "one"]);
    wait(daemons, "gained for tracked process E", 1);
    wait(daemons, "gained for tracked process F", 2);
    exact.end();
    wait(daemons, "lost for tracked process E", 1);
    wait(daemons, "lost for tracked process F", 2);
    let more = start("b", &["100", "one", "two"]);
    wait(daemons, "gained for tracked process P", 2);
    wait(daemons, "gained for tracked process F", 3);
    more.end();
    wait(daemons, "lost for tracked process F", 3);
    let longer = start("b", &["100", "onetwo"]);
    wait(daemons, "gained for tracked process I", 3);
    wait(daemons, "gained for tracked process F", 4);
    longer.end();
    wait(daemons, "lost for tracked process F", 4);

    // The end of one waits, and its return in time is no loss; a loss is a fault.
    c1.end();
    std::thread::sleep(Duration::from_millis(100));
    let c2 = start("c", &[]);
    std::thread::sleep(Duration::from_millis(700));
    c2.end();
    wait(daemons, "lost for tracked process C", 1);
    wait(daemons, "Entering FAULT STATE", 1);
    let c3 = start("c", &[]);
    wait(daemons, "gained for tracked process C", 1);

    // A reload counts again; one more is tracked.
    let block = format!("vrrp_track_process X {{\n process {tag}c\n quorum 2\n}}\n");
    for daemon in daemons {
        fs::write(daemon.conf(), configuration(&dir, &tag, &block)).unwrap();
        daemon.signal("-HUP");
    }
    for daemon in daemons {
        let end = Instant::now() + LIMIT;
        while !daemon.log().contains("Reload complete") {
            assert!(Instant::now() < end, "{}", daemon.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let c4 = start("c", &[]);
    wait(daemons, "gained for tracked process X", 1);
    for daemon in daemons {
        daemon.signal("-USR1");
    }
    let end = Instant::now() + LIMIT;
    let dumps: Vec<_> = daemons
        .iter()
        .map(|daemon| {
            loop {
                if let Some(dump) = daemon.dump() {
                    return dump;
                }
                assert!(Instant::now() < end, "no dump of {}", daemon.namespace);
                std::thread::sleep(Duration::from_millis(20));
            }
        })
        .collect();
    let lines: Vec<_> = daemons.iter().map(Daemon::lines).collect();
    drop((c3, c4, a1));
    assert!(!daemons[0].log().contains("does not support proc events"));
    if let ([ours, theirs], [our_dump, their_dump]) = (&lines[..], &dumps[..]) {
        assert_eq!(ours, theirs);
        assert_eq!(our_dump, their_dump);
    } else {
        assert!(dumps[0].contains("Current processes = 2"), "{}", dumps[0]);
    }
    let _ = fs::remove_dir_all(&dir);
}

#[test]
fn ref_processes_beside_the_original() {
    let test = "ref_processes_beside_the_original";
    if !need::root(test) {
        return;
    }
    let Some(root) = need::originals(test) else {
        return;
    };
    play(Some(&root));
}

/// More news than the socket holds: after a second everybody counts again, with a larger buffer.
#[test]
fn ref_lost_news_are_made_up_for_as_by_the_original() {
    let test = "ref_lost_news_are_made_up_for_as_by_the_original";
    if !need::root(test) {
        return;
    }
    let Some(root) = need::originals(test) else {
        return;
    };
    let tag = format!("tl{}", std::process::id());
    let dir = PathBuf::from(format!("/tmp/{tag}"));
    fs::create_dir_all(&dir).unwrap();
    let program = dir.join(format!("{tag}a"));
    fs::copy("/bin/sh", &program).unwrap();
    let conf = format!(
        "global_defs {{\n process_monitor_rcv_bufs 4000\n}}\n\
         vrrp_track_process A {{\n process {tag}a\n weight 10\n}}\n\
         vrrp_track_process B {{\n process {tag}a\n quorum 2\n weight -20\n}}\n\
         vrrp_instance VI {{\n interface eth0\n virtual_router_id 1\n priority 100\n advert_int 10\n\
         track_process {{\n A\n B\n }}\n virtual_ipaddress {{\n 10.9.0.100\n }}\n}}\n"
    );
    let daemons = [
        Daemon::start("lost", &dir, &conf, None),
        Daemon::start("theirs", &dir, &conf, Some(&root)),
    ];
    wait(&daemons, "proc_events has confirmed", 1);
    let children: Vec<String> = daemons
        .iter()
        .map(|d| {
            let log = d.log();
            let (_, pid) = log.split_once("Starting VRRP child process, pid=").unwrap();
            pid.split_whitespace().next().unwrap().to_owned()
        })
        .collect();
    for pid in &children {
        run(&["kill", "-STOP", pid]);
    }
    // Nobody listens to these; the one that counts comes when the buffer is full.
    for _ in 0..200 {
        run(&["true"]);
    }
    let wait_for_input = Command::new(&program)
        .stdin(Stdio::piped())
        .spawn()
        .map(Running)
        .unwrap();
    for pid in &children {
        run(&["kill", "-CONT", pid]);
    }
    wait(
        &daemons,
        "Setting global_def process_monitor_rcv_bufs to",
        1,
    );
    wait(&daemons, "gained for tracked process A", 1);
    let lines: Vec<_> = daemons.iter().map(Daemon::lines).collect();
    assert!(
        lines[0].iter().any(|l| l.contains("from 0 to 1")),
        "{lines:?}"
    );
    assert!(!daemons[0].log().contains("does not support proc events"));
    assert_eq!(lines[0], lines[1]);
    drop(wait_for_input);
    drop(daemons);
    let _ = fs::remove_dir_all(&dir);
}
