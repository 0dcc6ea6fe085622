//! Ways in which kernel events do not come: polling, overruns; and the reliable kind.
#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod two_routers;

use std::io::{Read as _, Write as _};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;
use testkit::node::Node;
use two_routers::{Daemon, Lab, value, wait_for};

fn config(name: &str, number: u8, port: u16, more: &str) -> String {
    let peer = 3 - number;
    format!(
        "Sync {{\n Mode FTFW {{\n }}\n UDP {{\n  IPv4_address 172.16.0.{number}\n  \
         IPv4_Destination_Address 172.16.0.{peer}\n  Port {port}\n  Interface sync\n  \
         RcvSocketBuffer 4194304\n }}\n}}\n\
         General {{\n HashSize 16384\n LockFile /run/{name}.lock\n UNIX {{ Path /run/{name}.ctl\n }}\n Systemd off\n {more}\n \
         Filter From Userspace {{\n  Address Ignore {{ IPv4_address 127.0.0.1 IPv4_address 172.16.0.0/16 }}\n }}\n}}\n"
    )
}

fn start<'a>(node: &'a Node, name: &str, number: u8, port: u16, more: &str) -> Daemon<'a> {
    let daemon = Daemon::spawn_with(node, name, None, config(name, number, port, more));
    daemon.wait_started();
    daemon
}

/// A datagram from the host to each of `ports` of the first router: as many flows.
fn flows(lab: &Lab, ports: std::ops::Range<u16>) {
    lab.host
        .call(move || {
            let socket = UdpSocket::bind("10.1.0.2:20001").expect("a socket");
            for port in ports {
                // Refused by whom nobody listens at: an error of an earlier one.
                let _ = socket.send_to(b"x", ("10.1.0.1", port));
            }
        })
        .expect("a node");
}

#[test]
fn lab_lost_events_are_made_good_and_the_buffer_grows() {
    if !testkit::need::root("lab_lost_events_are_made_good_and_the_buffer_grows") {
        return;
    }
    let lab = Lab::build("overrun", None);
    let one = start(
        &lab.r1,
        "one",
        1,
        3780,
        "NetlinkBufferSize 8192\n NetlinkBufferSizeMaxGrowth 40000\n NetlinkOverrunResync 1",
    );
    let two = start(&lab.r2, "two", 2, 3780, "");
    flows(&lab, 1000..1010);
    two.wait_flows(&["-e"], 10);
    // It does not look while the kernel has much to say: creations, and the end of what it knows.
    one.process.signal(Signal::SIGSTOP).expect("a signal");
    flows(&lab, 2000..3000);
    lab.r1
        .check(&["conntrack", "-D", "-p", "udp", "--dport", "1003"])
        .expect("conntrack");
    one.process.signal(Signal::SIGCONT).expect("a signal");
    one.wait_flows(&["-i"], 1009);
    two.wait_flows(&["-e"], 1009);
    let runtime = one.ask(&["-s", "runtime"]);
    assert!(value(&runtime, "netlink stats:", "netlink overrun:") >= 1);
    assert!(value(&runtime, "netlink stats:", "resync with kernel table:") >= 1);
    assert!(
        one.process
            .output()
            .contains("netlink event socket buffer size has been doubled to"),
        "{}",
        one.process.output()
    );
    // A storm, again and again: the buffer reaches its end, and that is told once.
    for round in 0..4_u16 {
        one.process.signal(Signal::SIGSTOP).expect("a signal");
        let first = 4000 + round * 1000;
        flows(&lab, first..first + 1000);
        one.process.signal(Signal::SIGCONT).expect("a signal");
        let overruns = || {
            let runtime = one.ask(&["-s", "runtime"]);
            value(&runtime, "netlink stats:", "netlink overrun:")
        };
        wait_for("the overrun", || overruns() > u64::from(round) + 1);
    }
    one.wait_flows(&["-i"], 5009);
    two.wait_flows(&["-e"], 5009);
    let log = one.process.output();
    assert_eq!(
        log.matches("cannot be doubled further since it will exceed")
            .count(),
        1,
        "{log}"
    );
}

#[test]
fn lab_polling_finds_what_comes_and_goes() {
    if !testkit::need::root("lab_polling_finds_what_comes_and_goes") {
        return;
    }
    let lab = Lab::build("poll", None);
    let one = start(&lab.r1, "one", 1, 3780, "PollSecs 1");
    let two = start(&lab.r2, "two", 2, 3780, "");
    assert!(one.process.output().contains("running in polling mode"));
    flows(&lab, 1000..1100);
    one.wait_flows(&["-i"], 100);
    two.wait_flows(&["-e"], 100);
    lab.r1
        .check(&["conntrack", "-D", "-p", "udp", "--dport", "1003"])
        .expect("conntrack");
    one.wait_flows(&["-i"], 99);
    two.wait_flows(&["-e"], 99);
    let runtime = one.ask(&["-s", "runtime"]);
    assert_eq!(value(&runtime, "netlink stats:", "events received:"), 0);
}

#[test]
fn lab_reliable_events_and_small_turns_lose_nothing() {
    if !testkit::need::root("lab_reliable_events_and_small_turns_lose_nothing") {
        return;
    }
    let lab = Lab::build("reliable", None);
    let more = "NetlinkEventsReliable on\n EventIterationLimit 1\n NetlinkBufferSize 2097152\n \
                NetlinkBufferSizeMaxGrowth 8388608";
    let one = start(&lab.r1, "one", 1, 3780, more);
    let two = start(&lab.r2, "two", 2, 3780, more);
    assert!(
        one.process
            .output()
            .contains("reliable ctnetlink event delivery is ENABLED.")
    );
    flows(&lab, 1000..2000);
    one.wait_flows(&["-i"], 1000);
    two.wait_flows(&["-e"], 1000);
}

/// A cache that is full refuses what comes, counts it, and goes on with what it knows.
#[test]
fn lab_a_full_cache_and_a_full_resend_queue_are_counted() {
    if !testkit::need::root("lab_a_full_cache_and_a_full_resend_queue_are_counted") {
        return;
    }
    let lab = Lab::build("limits", None);
    let text = config("one", 1, 3780, "HashLimit 50")
        .replace("Mode FTFW {\n }", "Mode FTFW {\n  ResendQueueSize 20\n }");
    let one = Daemon::spawn_with(&lab.r1, "one", None, text);
    one.wait_started();
    // No peer: nothing is acknowledged.
    flows(&lab, 1000..1100);
    one.wait_flows(&["-i"], 50);
    wait_for("the refusals", || {
        let stats = one.ask(&["-s", "cache"]);
        stats.contains("\t\tno space left in cache:\t          50\n")
    });
    let queue = one.ask(&["-s", "queue"]);
    let rest = queue.split_once("queue rsqueue:").map_or("", |(_, r)| r);
    assert!(
        rest.starts_with(
            "\ncurrent elements:\t\t          20\nmaximum elements:\t\t          20\n"
        ),
        "{queue}"
    );
    assert!(value(&queue, "queue rsqueue:", "not enough space errors:") >= 30);
    let listed = one.ask(&["-s", "rsqueue"]);
    assert!(listed.starts_with("resent queue (len=20)\n"), "{listed}");
    // What was forgotten reaches a peer that asks.
    let two = start(&lab.r2, "two", 2, 3780, "");
    two.ask(&["-n"]);
    two.wait_flows(&["-e"], 50);
}

/// Number of the request for a commit.
const COMMIT: i32 = 18;

#[test]
fn lab_the_end_of_an_earlier_flow_does_not_end_the_committed_one() {
    if !testkit::need::root("lab_the_end_of_an_earlier_flow_does_not_end_the_committed_one") {
        return;
    }
    let lab = Lab::build("earlier", None);
    let large = "NetlinkBufferSize 8388608\n NetlinkBufferSizeMaxGrowth 8388608";
    let one = start(&lab.r1, "one", 1, 3780, large);
    let _two = start(&lab.r2, "two", 2, 3780, "");
    let conntrack = |node: &Node, words: &str| {
        let argv: Vec<&str> = ["conntrack"].into_iter().chain(words.split(' ')).collect();
        node.check(&argv).expect("conntrack");
    };
    let flow = "-p udp -s 10.1.0.2 -d 10.9.0.2 --sport 1005 --dport 53";
    conntrack(&lab.r2, &format!("-I {flow} -t 3000"));
    one.wait_flows(&["-e"], 1);

    // While the daemon stands still, the kernel has the same flow for a moment, behind many others.
    one.process.signal(Signal::SIGSTOP).expect("a signal");
    flows(&lab, 2000..3000);
    conntrack(&lab.r1, &format!("-I {flow} -t 3000"));
    conntrack(&lab.r1, &format!("-D {flow}"));
    // The commit is asked for before the daemon goes on, so it begins in the first turn of the loop.
    let mut asked = lab
        .r1
        .call(|| {
            let mut socket = UnixStream::connect("/run/one.ctl")?;
            socket.write_all(&COMMIT.to_ne_bytes())?;
            Ok::<_, std::io::Error>(socket)
        })
        .expect("a node")
        .expect("a connection");
    one.process.signal(Signal::SIGCONT).expect("a signal");
    asked.read_to_end(&mut Vec::new()).expect("an answer");
    one.wait_flows(&["-i"], 1001);
    let listed = one.ask(&["-i"]);
    assert!(listed.contains("sport=1005"), "{listed}");

    // Its own end is heard.
    conntrack(&lab.r1, &format!("-D {flow}"));
    one.wait_flows(&["-i"], 1000);
}
