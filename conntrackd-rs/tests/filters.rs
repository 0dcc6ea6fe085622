//! Every kind of filter, in user space and in the kernel, next to the original: the same flows are known.
mod two_routers;

use std::time::{Duration, Instant};

use two_routers::{Daemon, Lab};

const FILTERS: [&str; 10] = [
    "Protocol Accept { TCP SCTP }",
    "Protocol Ignore { TCP }",
    "Address Accept { IPv4_address 10.1.0.2 IPv4_address 10.9.0.2 }",
    "Address Accept { IPv4_address 10.0.0.0/8 }",
    "Address Ignore { IPv4_address 10.9.0.3 }",
    "Address Ignore { IPv4_address 10.9.0.0/30 IPv6_address fd02::/16 }",
    "Address Accept { IPv6_address fd01::2 IPv6_address fd02::2 }",
    "State Accept { ESTABLISHED TIME_WAIT for TCP }",
    "State Ignore { SYN_SENT CLOSE for TCP }",
    "Protocol Accept { TCP UDP } Address Ignore { IPv4_address 10.9.0.6 } State Accept { ESTABLISHED for TCP }",
];

const FLOWS: [&str; 9] = [
    "-p tcp -s 10.1.0.2 -d 10.9.0.2 --sport 1001 --dport 80 --state ESTABLISHED -u SEEN_REPLY,ASSURED",
    "-p tcp -s 10.1.0.2 -d 10.9.0.3 --sport 1002 --dport 80 --state SYN_SENT",
    "-p tcp -s 10.1.0.2 -d 10.9.0.4 --sport 1003 --dport 80 --state CLOSE -n 10.9.0.1",
    "-p udp -s 10.1.0.2 -d 10.9.0.3 --sport 1004 --dport 5300 -g 10.7.0.7:5301",
    "-p udp -s fd01::2 -d fd02::2 --sport 1005 --dport 53",
    "-p tcp -s fd01::2 -d fd03::2 --sport 1006 --dport 53 --state ESTABLISHED -u SEEN_REPLY,ASSURED",
    "-p icmp -s 10.1.0.2 -d 10.9.0.6 --icmp-type 8 --icmp-code 0 --icmp-id 4660",
    "-p sctp -s 10.1.0.2 -d 10.9.0.6 --sport 1007 --dport 9 --state ESTABLISHED --orig-vtag 1 --reply-vtag 2",
    "-p udp -s 10.2.0.2 -d 10.9.0.6 --sport 1008 --dport 9",
];

#[test]
fn ref_filters_let_pass_what_the_originals_do() {
    let name = "ref_filters_let_pass_what_the_originals_do";
    if !testkit::need::root(name) {
        return;
    }
    let Some(root) = testkit::need::originals(name) else {
        return;
    };
    let lab = Lab::build("filters", Some(&root));
    let node = &lab.r1;
    let conntrack = |words: &str| {
        let mut argv = vec!["conntrack"];
        argv.extend(words.split(' '));
        node.check(&argv).expect("conntrack")
    };
    // One half of the flows is found in the table, the other comes as events.
    let (there, later) = FLOWS.split_at(4);
    for flow in there {
        conntrack(&format!("-I {flow} -t 3000"));
    }
    let mut couples = Vec::new();
    for place in ["Userspace", "Kernelspace"] {
        for (number, filter) in FILTERS.iter().enumerate() {
            let start = |original: bool| {
                let name = format!("{place}{number}{}", if original { "r" } else { "o" });
                let text = format!(
                    "General {{\n HashSize 1024\n LockFile /run/{name}.lock\n UNIX {{ Path /run/{name}.ctl\n }}\n \
                     Systemd off\n NetlinkBufferSize 2097152\n NetlinkBufferSizeMaxGrowth 8388608\n \
                     Filter From {place} {{\n  {filter}\n }}\n}}\nStats {{\n}}\n"
                );
                Daemon::spawn_with(node, &name, original.then_some(root.as_path()), text)
            };
            couples.push((format!("{place} {filter}"), start(false), start(true)));
        }
    }
    for (_, ours, original) in &couples {
        ours.wait_started();
        original.wait_started();
    }
    for flow in later {
        conntrack(&format!("-I {flow} -t 3000"));
    }
    conntrack("-U -p tcp -s 10.1.0.2 -d 10.9.0.2 --sport 1001 --dport 80 -m 6");
    let mut wrong = Vec::new();
    for (filter, ours, original) in &couples {
        let begin = Instant::now();
        loop {
            let (a, b) = (ours.flows(&["-i"]), original.flows(&["-i"]));
            let settled = begin.elapsed() > Duration::from_secs(3);
            if a == b && !a.is_empty() && a.len() < FLOWS.len() {
                let filtered = |daemon: &Daemon<'_>| {
                    let text = daemon.ask(&["-s", "runtime"]);
                    let lines: Vec<String> = text
                        .lines()
                        .filter(|line| line.contains("events "))
                        .map(str::to_owned)
                        .collect();
                    lines
                };
                if filtered(ours) == filtered(original) {
                    break;
                }
                if settled {
                    wrong.push(format!(
                        "{filter}: {:?} against {:?}",
                        filtered(ours),
                        filtered(original)
                    ));
                    break;
                }
            } else if settled {
                wrong.push(format!("{filter}: {a:#?} against {b:#?}"));
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
