//! A daemon's life next to the original's: signals, exit codes, scheduling, messages to systemd.
#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod two_routers;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use testkit::node::{Node, Process};
use two_routers::{Lab, argv, wait_for};

fn config(name: &str, more: &str) -> String {
    format!(
        "General {{\n LockFile /run/{name}.lock\n UNIX {{ Path /run/{name}.ctl\n }}\n {more}\n}}\nStats {{\n}}\n"
    )
}

fn spawn(node: &Node, original: Option<&Path>, name: &str, more: &str, env: &[&str]) -> Process {
    let path = format!("/run/{name}.conf");
    let (to, text) = (path.clone(), config(name, more));
    node.call(move || fs::write(to, text))
        .expect("a node")
        .expect("a file");
    let mut words = vec!["env".to_owned()];
    words.extend(env.iter().map(|word| (*word).to_owned()));
    words.extend(argv(original, &path, &[]));
    let process = node
        .spawn(
            &format!("{name}.log"),
            &words.iter().map(String::as_str).collect::<Vec<_>>(),
        )
        .expect("a daemon");
    wait_for("the start", || {
        process.output().contains("-- starting in console mode --")
    });
    process
}

/// What is left after the end: exit code or signal, lock file, control socket.
fn after(node: &Node, mut process: Process, name: &str) -> String {
    let status = process.wait(Duration::from_secs(10)).expect("an end");
    let there = |what: &str| {
        let path = format!("/run/{name}.{what}");
        node.call(move || Path::new(&path).exists())
            .expect("a node")
    };
    format!("{status} lock {} socket {}", there("lock"), there("ctl"))
}

fn story(node: &Node, original: Option<&Path>) -> Vec<String> {
    let who = if original.is_some() { "r" } else { "o" };
    let mut told = Vec::new();
    // Signals.
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGALRM,
    ] {
        let name = format!("{who}{}", signal.as_str());
        let process = spawn(node, original, &name, "Systemd off", &[]);
        process.signal(Signal::SIGPIPE).expect("a signal");
        process.signal(Signal::SIGCHLD).expect("a signal");
        process.signal(signal).expect("a signal");
        told.push(format!("{signal}: {}", after(node, process, &name)));
    }
    // The kill request.
    let name = format!("{who}kill");
    let process = spawn(node, original, &name, "Systemd off", &[]);
    let words = argv(original, &format!("/run/{name}.conf"), &["-k"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    told.push(format!("-k prints {:?}", node.check(&words).expect("-k")));
    told.push(format!("-k: {}", after(node, process, &name)));
    // Scheduling.
    for (number, more) in [
        "Systemd off",
        "Systemd off\n Scheduler {\n  Type FIFO\n  Priority 7\n }",
        "Systemd off\n Scheduler {\n  Type RR\n  Priority 0\n }",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("{who}sched{number}");
        let process = spawn(node, original, &name, more, &["nice", "-n", "3"]);
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid())).expect("it runs");
        let fields: Vec<&str> = stat
            .rsplit(") ")
            .next()
            .unwrap_or_default()
            .split(' ')
            .collect();
        // nice, real-time priority, policy
        let seen: Vec<&str> = [16, 37, 38]
            .iter()
            .filter_map(|&i| fields.get(i).copied())
            .collect();
        told.push(format!("{more:?}: {seen:?}"));
        let warnings = process.output();
        let warnings = warnings
            .lines()
            .filter_map(|line| line.split_once(") "))
            .filter(|(_, text)| text.starts_with("[warning]"));
        told.extend(warnings.map(|(_, text)| text.to_owned()));
        process.signal(Signal::SIGTERM).expect("a signal");
        told.push(after(node, process, &name));
    }
    // Messages to systemd, the watchdog among them.
    let name = format!("{who}notify");
    let path = format!("/run/{name}.sock");
    let socket = {
        let path = path.clone();
        node.call(move || UnixDatagram::bind(path))
            .expect("a node")
            .expect("a socket")
    };
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout");
    let env = [
        format!("NOTIFY_SOCKET={path}"),
        "WATCHDOG_USEC=400000".to_owned(),
    ];
    let process = spawn(
        node,
        original,
        &name,
        "Systemd on",
        &[env[0].as_str(), env[1].as_str()],
    );
    let mut messages = Vec::new();
    let mut buffer = [0; 256];
    let mut receive = || {
        let len = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(buffer.get(..len).unwrap_or_default()).into_owned()
    };
    for _ in 0..3 {
        messages.push(receive());
    }
    process.signal(Signal::SIGTERM).expect("a signal");
    loop {
        let message = receive();
        if message != "WATCHDOG=1" {
            messages.push(message);
            break;
        }
    }
    told.push(format!("systemd: {messages:?}"));
    told.push(after(node, process, &name));
    told
}

#[test]
fn ref_lives_and_ends_like_the_original() {
    let name = "ref_lives_and_ends_like_the_original";
    if !testkit::need::root(name) {
        return;
    }
    let Some(root) = testkit::need::originals(name) else {
        return;
    };
    let lab = Lab::build("life", Some(&root));
    let ours = story(&lab.r1, None);
    let original = story(&lab.r1, Some(&root));
    assert_eq!(ours, original);
    assert!(
        ours.iter().any(|line| line.contains("WATCHDOG=1")),
        "{ours:#?}"
    );
}
