//! Debian's unit is of `Type=notify`: a start counts when the daemon says so. 2.3.3 and ours, each started by a process that is called
//! systemd and is the first of its namespace: the same messages.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy spares only functions marked as tests"
)]

use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::link::cable;
use testkit::need;
use testkit::node::Node;
use testkit::sut::{Make, Programs};

const LIMIT: Duration = Duration::from_secs(20);
const CONF: &str = "global_defs {\n router_id r\n}\nvrrp_instance A {\n interface eth0\n virtual_router_id 7\n virtual_ipaddress {\n 10.0.0.9\n }\n}\n";
/// It starts what its words say, and sends it the signals that are written to it.
const SYSTEMD: &str = "#!/bin/sh\nfor d in \"$1/proc\" /proc; do mount -t proc proc \"$d\" || exit 1; done\ncommands=$2\nshift 2\n\"$@\" &\nwhile read -r signal; do kill -s \"$signal\" $!; done <\"$commands\"\nwait $!\n";

/// What was told: the start, a reload, the end.
fn play(make: Make, programs: &Programs, dir: &Path, root: &Path) -> Vec<String> {
    let dir = dir.join(format!("{make:?}"));
    let node = Node::new("s", &dir).unwrap();
    let mut proc = PathBuf::from("/");
    if make == Make::Original {
        programs.enter_original(&node, &dir).unwrap();
        proc = root.to_owned();
    }
    let peer = Node::new("t", &dir).unwrap();
    cable(&node, "eth0", &peer, "eth0").unwrap();
    node.net(|net| net.address("eth0", IpAddr::from([10, 0, 0, 1]), 24))
        .unwrap();
    let own = node.dir().to_owned();
    let path = |name: &str| own.join(name).display().to_string();
    fs::write(path("k.conf"), CONF).unwrap();
    fs::write(path("systemd"), SYSTEMD).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(path("systemd"), mode).unwrap();
    node.check(&["mkfifo", &path("commands")]).unwrap();
    let socket = UnixDatagram::bind(path("notify")).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let args = [
        "-n",
        "-l",
        "-f",
        &path("k.conf"),
        "-p",
        &path("pid"),
        "-r",
        &path("vrrp.pid"),
    ];
    let mut argv: Vec<String> = ["unshare", "--pid", "--fork", "--mount", "env"]
        .map(str::to_owned)
        .into();
    argv.push(format!("NOTIFY_SOCKET={}", path("notify")));
    argv.extend([
        path("systemd"),
        proc.display().to_string(),
        path("commands"),
    ]);
    argv.extend(programs.argv(make, "keepalived", &args));
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let mut daemon = node.spawn("log", &argv).unwrap();
    // It waits for the reader, which has started the daemon by then.
    let mut commands = fs::OpenOptions::new()
        .write(true)
        .open(path("commands"))
        .unwrap();
    let mut told = Vec::new();
    let mut hear = |what: &str| loop {
        let mut buffer = [0; 256];
        let end = Instant::now() + LIMIT;
        let length = socket.recv(&mut buffer);
        let length = length.unwrap_or_else(|e| panic!("{make:?} {what}: {e}\n{}", daemon.output()));
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap()).into_owned();
        let pid = fs::read_to_string(path("pid")).unwrap_or_default();
        // Empty ones come from a child of 2.3.3, which takes the socket out of its environment in this way.
        if !text.is_empty() {
            let masked = text.replace(&format!("MAINPID={}", pid.trim()), "MAINPID=its own");
            let last = masked.starts_with(what);
            told.push(masked);
            if last {
                break;
            }
        }
        assert!(Instant::now() < end);
    };
    hear("READY");
    commands.write_all(b"HUP\n").unwrap();
    hear("READY");
    commands.write_all(b"TERM\n").unwrap();
    hear("STOPPING");
    drop(commands);
    assert!(daemon.wait(LIMIT).is_some(), "{}", daemon.output());
    told
}

#[test]
fn ref_systemd_is_told_the_same() {
    const TEST: &str = "ref_systemd_is_told_the_same";
    let Some(root) = need::originals(TEST).filter(|_| need::root(TEST)) else {
        return;
    };
    let programs = Programs::of(env!("CARGO_BIN_EXE_keepalived")).with_originals(&root);
    let dir = std::env::temp_dir().join(format!("keepalived-systemd-{}", std::process::id()));
    let [theirs, ours] =
        [Make::Original, Make::Ours].map(|make| play(make, &programs, &dir, &root));
    let _ = fs::remove_dir_all(&dir);
    assert_eq!(theirs.len(), 4, "{theirs:?}");
    assert_eq!(ours, theirs);
}
