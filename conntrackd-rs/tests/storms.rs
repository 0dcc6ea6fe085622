//! More at once than the sockets hold: nothing may be missing when it is over.
#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod two_routers;

use std::io::Write as _;
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use testkit::node::Process;
use two_routers::{Daemon, Lab, value, wait_for};

/// The request of `-e`.
const DUMP_EXTERNAL: [u8; 4] = 17_i32.to_ne_bytes();

/// Datagrams from the host, each a flow of its own.
fn flows(lab: &Lab, count: u16) {
    lab.host
        .call(move || {
            for port in 20_000..20_000_u16.saturating_add(count) {
                let udp = UdpSocket::bind(("10.1.0.2", port)).expect("a socket");
                udp.send_to(b"x", "10.1.0.1:9002").expect("it is sent");
            }
        })
        .expect("a node");
}

fn sync(ours: u8, port: u16) -> String {
    let peer = 3 - ours;
    format!(
        " Mode FTFW {{\n }}\n UDP {{\n IPv4_address 172.16.0.{ours}\n IPv4_Destination_Address 172.16.0.{peer}\n \
         Port {port}\n Interface sync\n Checksum on\n }}\n"
    )
}

/// Stops a daemon and lets it go on when dropped.
struct Held<'a>(&'a Process);

impl<'a> Held<'a> {
    fn hold(process: &'a Process) -> Self {
        process
            .signal(nix::sys::signal::Signal::SIGSTOP)
            .expect("a signal");
        Self(process)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let _ = self.0.signal(nix::sys::signal::Signal::SIGCONT);
    }
}

fn overrun(test: &str, root: Option<&Path>, makes: &[bool]) {
    let lab = Lab::build(test, root);
    // As small as the kernel allows, and it may double twice.
    let general =
        "NetlinkOverrunResync 1\n NetlinkBufferSize 4608\n NetlinkBufferSizeMaxGrowth 20000\n";
    let pairs: Vec<_> = makes
        .iter()
        .zip(3900_u16..)
        .map(|(original, port)| {
            let make = if *original { root } else { None };
            let start = |node, ours: u8| {
                let name = format!("storm{port}-{ours}");
                let daemon = Daemon::spawn_general(
                    node,
                    &name,
                    make,
                    &sync(ours, port),
                    "Userspace",
                    general,
                );
                daemon.wait_started();
                daemon
            };
            (start(&lab.r1, 1), start(&lab.r2, 2))
        })
        .collect();
    for (count, round) in [(500, 1_u64), (1_500, 2), (3_000, 3)] {
        {
            let _held: Vec<Held<'_>> = pairs
                .iter()
                .map(|(one, _)| Held::hold(&one.process))
                .collect();
            flows(&lab, count);
        }
        for (one, two) in &pairs {
            let runtime = || one.ask(&["-s", "runtime"]);
            wait_for(
                &format!("overrun {round} and its repair in {}", runtime()),
                || value(&runtime(), "netlink stats:", "resync with kernel table:") >= round,
            );
            assert!(value(&runtime(), "netlink stats:", "netlink overrun:") >= round);
            one.wait_flows(&["-i"], count.into());
            two.wait_flows(&["-e"], count.into());
        }
    }
    for (one, _) in &pairs {
        let log = one.process.output();
        for line in [
            "netlink event socket buffer size has been doubled to",
            "netlink event socket buffer size cannot be doubled further since it will exceed",
        ] {
            assert!(log.contains(line), "{line} is missing in\n{log}");
        }
    }
}

#[test]
fn lab_overruns_of_the_event_socket_are_repaired() {
    let test = "lab_overruns_of_the_event_socket_are_repaired";
    if testkit::need::root(test) {
        overrun("overrun", None, &[false]);
    }
}

#[test]
fn ref_overruns_are_counted_and_repaired_alike() {
    let test = "ref_overruns_are_counted_and_repaired_alike";
    if !testkit::need::root(test) {
        return;
    }
    let Some(root) = testkit::need::originals(test) else {
        return;
    };
    overrun("overrun-ref", Some(&root), &[false, true]);
}

#[test]
fn lab_a_peer_that_stands_still_loses_nothing_in_the_end() {
    let test = "lab_a_peer_that_stands_still_loses_nothing_in_the_end";
    if !testkit::need::root(test) {
        return;
    }
    let lab = Lab::build("still", None);
    let start =
        |node, name, ours| Daemon::start_sync(node, name, None, &sync(ours, 3780), "Userspace");
    let one = start(&lab.r1, "one", 1);
    let two = start(&lab.r2, "two", 2);
    flows(&lab, 10);
    two.wait_flows(&["-e"], 10);
    // A greeting makes the other side forget what is not confirmed: let them be through with it.
    for daemon in [&one, &two] {
        wait_for("the end of the greeting", || {
            value(&daemon.ask(&["-s", "link"]), "Pckts sent", "") >= 4
        });
    }
    {
        let _held = Held::hold(&two.process);
        // More datagrams than its socket holds: each of these leaves with a turn of the loop.
        flows(&lab, 10_000);
        one.wait_flows(&["-i"], 10_000);
        std::thread::sleep(Duration::from_millis(200));
    }
    two.wait_flows(&["-e"], 10_000);
    let network = two.ask(&["-s", "network"]);
    assert_eq!(value(&network, "recv:", "Malformed messages:"), 0);

    // Clients that ask for a listing and do not read it take all the places, and lose them to others.
    let greedy: Vec<UnixStream> = lab
        .r2
        .call(|| {
            (0..80)
                .map(|_| {
                    let mut client = UnixStream::connect("/run/two.ctl").expect("a connection");
                    client.write_all(&DUMP_EXTERNAL).expect("a request");
                    client
                })
                .collect()
        })
        .expect("a node");
    for _ in 0..3 {
        assert!(two.ask(&["-s"]).contains("cache external:"));
    }
    // Who keeps reading gets all of it, however many do not.
    assert_eq!(two.flows(&["-e"]).len(), 10_000);
    drop(greedy);

    // The same with a commit of all of it, during which the table's events come back.
    two.ask(&["-c"]);
    two.wait_flows(&["-i"], 10_000);
    two.ask(&["-c"]);
    let runtime = two.ask(&["-s", "runtime"]);
    assert_eq!(value(&runtime, "netlink stats:", "netlink overrun:"), 0);
    let log = two.process.output();
    assert_eq!(
        log.matches("Committed 10000 new entries").count(),
        2,
        "{log}"
    );
}
