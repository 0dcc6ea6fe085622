//! SIGHUP: the configuration is read again, and caches and peer stay.
#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod two_routers;

use std::fs;

use nix::sys::signal::Signal;
use testkit::node::Node;
use two_routers::{Daemon, Lab, wait_for};

fn config(number: u8, protocols: &str, more: &str) -> String {
    let peer = 3 - number;
    format!(
        "Sync {{\n Mode FTFW {{\n }}\n UDP {{\n  IPv4_address 172.16.0.{number}\n  \
         IPv4_Destination_Address 172.16.0.{peer}\n  Port 3780\n  Interface sync\n }}\n}}\n\
         General {{\n LogFile /run/{number}.main\n LockFile /run/{number}.lock\n UNIX {{ Path /run/{number}.ctl\n }}\n {more}\n \
         Filter From Kernelspace {{\n  Protocol Accept {{ {protocols} }}\n  \
         Address Ignore {{ IPv4_address 127.0.0.1 IPv4_address 172.16.0.0/16 }}\n }}\n}}\n"
    )
}

fn write(node: &Node, path: &str, text: String) {
    let path = path.to_owned();
    node.call(move || fs::write(path, text))
        .expect("a node")
        .expect("a file");
}

fn reload(daemon: &Daemon<'_>, text: String, line: &str) {
    write(daemon.node, &daemon.config, text);
    let before = daemon.process.output().matches(line).count();
    daemon.process.signal(Signal::SIGHUP).expect("a signal");
    wait_for(line, || {
        daemon.process.output().matches(line).count() > before
    });
}

#[test]
fn lab_a_reload_keeps_the_caches() {
    if !testkit::need::root("lab_a_reload_keeps_the_caches") {
        return;
    }
    let lab = Lab::build("reload", None);
    let spawn = |node, number: u8| {
        let text = config(number, "TCP UDP", "");
        let daemon = Daemon::spawn_with(node, &number.to_string(), None, text);
        daemon.wait_started();
        daemon
    };
    let mut one = spawn(&lab.r1, 1);
    let two = spawn(&lab.r2, 2);
    let open = lab.traffic();
    one.wait_flows(&["-i"], 2);
    two.wait_flows(&["-e"], 2);
    let before = one.flows(&["-i"]);

    // Nothing new: nothing happens to the caches. The log goes to a new file.
    lab.r1
        .check(&["mv", "/run/1.main", "/run/1.old"])
        .expect("a rotation");
    reload(&one, config(1, "TCP UDP", ""), "configuration reloaded");
    assert_eq!(one.flows(&["-i"]), before);
    let log = lab.r1.check(&["cat", "/run/1.main"]).expect("a new log");
    assert!(log.contains("configuration reloaded"), "{log}");

    // A filter that leaves UDP out withdraws it from the peer; later it is told again.
    reload(&one, config(1, "TCP", ""), "configuration reloaded");
    one.wait_flows(&["-i"], 1);
    two.wait_flows(&["-e"], 1);
    reload(&one, config(1, "TCP UDP", ""), "configuration reloaded");
    one.wait_flows(&["-i"], 2);
    two.wait_flows(&["-e"], 2);

    // A file that can not be read changes nothing.
    reload(
        &one,
        "Sync {\n Nonsense\n}\n".to_owned(),
        "keeping the old configuration",
    );
    // Its client reads the file, too.
    write(one.node, &one.config, config(1, "TCP UDP", ""));
    one.wait_flows(&["-i"], 2);

    // What needs a restart is told.
    reload(
        &one,
        config(1, "TCP UDP", "PollSecs 5"),
        "a change of `PollSecs' needs a restart, keeping the old one",
    );
    one.wait_flows(&["-i"], 2);
    two.wait_flows(&["-e"], 2);
    assert!(!one.process.output().contains("resync requested"));
    drop(open);
    assert_eq!(one.process.stop().and_then(|s| s.code()), Some(0));
}
