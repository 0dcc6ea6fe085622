//! Every checker, up, down and up again against real servers, beside 2.3.3: the same lines about each real server. The checker
//! process needs the kernel's load balancer, so all happens in User Mode Linux.
#![cfg(feature = "lvs")]
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy spares only functions marked as tests"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::node::{Node, Process};
use testkit::sut::{Make, Programs};
use testkit::{need, uml};

const LIMIT: Duration = Duration::from_secs(200);
const SERVERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/servers.py");
/// `hello world` and a line feed.
const DIGEST: &str = "6f5902ac237024bdd0c176cb93063dc4";

/// The last byte of a real server's address, and its checker.
fn checkers(dir: &Path) -> Vec<(u8, String)> {
    let url = |more: &str| format!("HTTP_GET {{\n url {{\n path /x\n {more}\n }}\n");
    let mut all = vec![
        (1, "TCP_CHECK {\n".to_owned()),
        (2, url("")),
        (3, "SMTP_CHECK {\n helo_name me.example\n".to_owned()),
        (4, "DNS_CHECK {\n type A\n name www.example\n".to_owned()),
        (5, "UDP_CHECK {\n require_reply\n".to_owned()),
        (6, "PING_CHECK {\n connect_ip 10.44.0.6\n".to_owned()),
        (11, url("status_code 200")),
        (12, url(&format!("digest {DIGEST}"))),
        (13, "SMTP_CHECK {\n".to_owned()),
        (14, "DNS_CHECK {\n name .\n".to_owned()),
        (
            15,
            "UDP_CHECK {\n payload 010203\n require_reply 0102\n".to_owned(),
        ),
        (17, url("")),
        (
            20,
            format!(
                "MISC_CHECK {{\n misc_path \"{}/misc.sh\"\n misc_timeout 30\n user root\n",
                dir.display()
            ),
        ),
    ];
    let loads = need::libraries("SSL_GET and regex");
    if loads && cfg!(feature = "regex") {
        all.push((16, url("regex \"he.*world\"")));
    }
    if loads {
        all.push((18, url("").replace("HTTP_GET", "SSL_GET")));
    }
    all
}

fn configuration(dir: &Path) -> String {
    let mut text =
        "global_defs {\n router_id r\n checker_log_all_failures\n enable_script_security\n}\n"
            .to_owned();
    for (at, checker) in checkers(dir) {
        // Nothing is down because it does not answer: a slow machine may take its time.
        let timeout = if at == 20 {
            ""
        } else {
            " connect_timeout 20\n"
        };
        let _ = write!(
            text,
            "virtual_server 10.99.0.{at} 80 {{\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n\
             real_server 127.0.1.{at} 7000 {{\n weight 1\n {checker} retry 1\n delay_before_retry 1\n warmup 0\n{timeout} }}\n }}\n}}\n"
        );
    }
    text
}

fn servers(node: &Node, role: &str, dir: &Path) -> Process {
    let mark = dir.join(format!("{role}.{}", node.name()));
    let _ = fs::remove_file(&mark);
    let words = [
        "python3",
        SERVERS,
        role,
        &dir.display().to_string(),
        node.name(),
    ];
    let process = node.spawn(role, &words).unwrap();
    wait(&process, || mark.exists());
    process
}

fn wait(process: &Process, ready: impl Fn() -> bool) {
    let end = Instant::now() + LIMIT;
    while !ready() {
        assert!(Instant::now() < end, "{}", process.output());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits for as many lines as there are servers.
fn until(process: &Process, what: &str, count: usize) {
    wait(process, || process.output().matches(what).count() >= count);
}

fn play(make: Make, programs: &Programs, dir: &Path) -> String {
    let name = format!("{make:?}");
    let node = Node::new(&name, dir).unwrap();
    if make == Make::Original {
        programs.enter_original(&node, dir).unwrap();
    }
    let conf = node.dir().join("k.conf");
    fs::write(&conf, configuration(dir)).unwrap();
    let count = checkers(dir).len();
    let ping = |verb: &str| {
        node.check(&["ip", "address", verb, "10.44.0.6/32", "dev", "lo"])
            .unwrap()
    };
    ping("add");
    let mut steady = servers(&node, "steady", dir);
    let mut switch = servers(&node, "switch", dir);
    let conf = conf.display().to_string();
    let argv = programs.argv(make, "keepalived", &["-n", "-l", "-D", "-C", "-f", &conf]);
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let mut daemon = node.spawn("log", &argv).unwrap();
    // All have run once; those of DNS say nothing of it.
    until(&daemon, "succe", count - 2);
    fs::write(dir.join("bad"), "").unwrap();
    switch.stop();
    ping("del");
    until(&daemon, "Removing service", count);
    fs::remove_file(dir.join("bad")).unwrap_or_default();
    let mut switch = servers(&node, "switch", dir);
    ping("add");
    until(&daemon, "Adding service", count);
    daemon.stop();
    switch.stop();
    steady.stop();
    daemon.output()
}

/// The lines about each server, in their order.
fn about(output: &str, at: u8, dir: &Path) -> String {
    let (rs, vs) = (format!("127.0.1.{at}]"), format!("10.99.0.{at}]"));
    let lines = output.lines().map(|line| line.get(26..).unwrap_or(line));
    let lines = lines.filter(|line| line.contains(&rs) || line.contains(&vs));
    let lines: Vec<&str> = lines.collect();
    lines.join("\n").replace(&dir.display().to_string(), "DIR")
}

#[test]
fn uml_ref_every_checker_says_the_same() {
    const TEST: &str = "uml_ref_every_checker_says_the_same";
    let Some(root) = need::originals(TEST) else {
        return;
    };
    if !uml::inside(TEST, uml::IPVS) {
        return;
    }
    let programs = Programs::of(env!("CARGO_BIN_EXE_keepalived"));
    let programs = programs.with_originals(&root);
    let [theirs, ours] = std::thread::scope(|scope| {
        [Make::Original, Make::Ours]
            .map(|make| {
                let programs = &programs;
                scope.spawn(move || {
                    let dir = PathBuf::from(format!("/tmp/{make:?}"));
                    prepare(&dir);
                    let output = play(make, programs, &dir);
                    (output, dir)
                })
            })
            .map(|thread| thread.join().unwrap())
    });
    let mut different = String::new();
    for (at, checker) in checkers(&theirs.1) {
        let (a, b) = (about(&theirs.0, at, &theirs.1), about(&ours.0, at, &ours.1));
        assert!(a.contains("Removing service"), "{checker}\n{a}");
        if a != b {
            let _ = write!(different, "=== {checker}--- 2.3.3\n{a}\n--- ours\n{b}\n");
        }
    }
    assert!(different.is_empty(), "{different}");
}

fn prepare(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let script = dir.join("misc.sh");
    fs::write(
        &script,
        format!("#!/bin/sh\n[ ! -e {}/bad ]\n", dir.display()),
    )
    .unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&script, mode).unwrap();
    let line =
        "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=x";
    let made = Command::new("openssl")
        .args(line.split(' '))
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(made.status.success());
}
