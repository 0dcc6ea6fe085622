//! Datagrams and requests that no honest peer or operator sends, against a running daemon next to the original.
//!
//! What is expected is what 1.4.8 counts (conntrackd-behaviour.md 4.6); `ref_` holds the original to the same lists.
#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod stranger;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use stranger::{
    ACK, ALIVE, CT_NEW, CTL, Target, attribute, flow_attributes, message, noise, range, wait_for,
};

const VERSION: &[&str] = &["Malformed messages +1", "Wrong protocol version +1"];
const HEADER: &[&str] = &["Malformed messages +1", "Malformed header +1"];
const PAYLOAD: &[&str] = &["Malformed messages +1", "Malformed payload +1"];
const TRUNCATED: &[&str] = &["Malformed messages +1", "Truncated message +1"];
const SIZE: &[&str] = &["Malformed messages +1", "Bad message size +1"];

/// Plays it all on one daemon, and gives what differs from the expectations.
fn datagrams(original: Option<&Path>) -> Vec<String> {
    let mut target = Target::start("datagrams", original, "FTFW");
    // The sequence begins, and the peer says that it is there.
    let hello = message(CTL, ALIVE | 0x20, target.next(), &[]);
    target.raised(hello);

    let mut cases: Vec<(&str, Vec<u8>, &[&str])> = Vec::new();
    let mut add = |name, bytes, raised| cases.push((name, bytes, raised));
    let s = target.next();
    let good = message(CT_NEW, 0, s, &flow_attributes(20_000));
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes.splice(at..=at, [byte]);
        bytes
    };
    add("version 0", with(0, 0), VERSION);
    add("version 2", with(0, 0x20), VERSION);
    add("type 6", with(0, 0x16), HEADER);
    add("type 7", with(0, 0x17), HEADER);
    add("type 15", with(0, 0x1f), HEADER);
    add("control without a flag", message(CTL, 0, s, &[]), HEADER);
    add("data with flag 0x01", with(1, 0x01), HEADER);
    add("data with flag 0x80", with(1, 0x80), HEADER);
    add(
        "an ACK's range is backwards",
        message(CTL, ACK, s, &range(9, 8)),
        HEADER,
    );
    let length = |len: u16| {
        let mut bytes = good.clone();
        bytes.splice(2..4, len.to_be_bytes());
        bytes
    };
    let whole = u16::try_from(good.len()).expect("short");
    add("length 0", length(0), SIZE);
    add("length 4", length(4), SIZE);
    add("length 7", length(7), SIZE);
    add("one byte more than there is", length(whole + 1), SIZE);
    add("length 65535", length(0xffff), SIZE);
    add(
        "6 bytes",
        good.get(..6).unwrap_or_default().to_vec(),
        TRUNCATED,
    );
    add("1 byte", vec![0x10], TRUNCATED);
    add("an ACK of 8 bytes", message(CTL, ACK, s, &[]), TRUNCATED);
    let payload = |bytes: Vec<u8>| message(CT_NEW, 0, s, &bytes);
    add(
        "attribute 33",
        payload([flow_attributes(20_000), attribute(33, &[0; 4])].concat()),
        PAYLOAD,
    );
    add(
        "attribute 65535",
        payload([flow_attributes(20_000), attribute(0xffff, &[0; 4])].concat()),
        PAYLOAD,
    );
    add(
        "addresses of 7 bytes",
        payload(attribute(0, &[1; 7])),
        PAYLOAD,
    );
    add(
        "a status of 8 bytes",
        payload(attribute(5, &[1; 8])),
        PAYLOAD,
    );
    add(
        "a helper's name of 12 letters",
        payload([flow_attributes(20_000), attribute(27, b"abcdefghijkl\0")].concat()),
        PAYLOAD,
    );
    add(
        "attribute of length 3",
        payload(vec![0, 3, 0, 2, 17, 0, 0, 0]),
        PAYLOAD,
    );
    add(
        "attribute of length 0",
        payload(vec![0, 0, 0, 2, 17, 0, 0, 0]),
        PAYLOAD,
    );
    add(
        "attribute longer than the message",
        payload(vec![0, 200, 0, 2, 17, 0, 0, 0]),
        PAYLOAD,
    );
    add(
        "labels of 1028 bytes",
        payload([flow_attributes(20_000), attribute(28, &[0xff; 1028])].concat()),
        PAYLOAD,
    );

    let mut wrong = Vec::new();
    for (name, bytes, expected) in cases {
        // Messages that are read so far that their number counts must be the next ones.
        let mut bytes = bytes;
        let number = target.next();
        if let Some(place) = bytes.get_mut(4..8) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        let raised: Vec<String> = target
            .raised(bytes)
            .into_iter()
            .filter(|c| !c.starts_with("Packets lost"))
            .collect();
        if raised != expected {
            wrong.push(format!("{name}: {raised:?}, not {expected:?}"));
        }
    }
    // A replay and a duplicate are old, and change nothing.
    let flow = target.flow(20_001);
    target.raised(flow.clone());
    wait_for("the flow", || target.ask(&["-e"]).contains("sport=20001"));
    for name in ["a duplicate", "a replay"] {
        let raised = target.raised(flow.clone());
        if raised != ["Packets before +1"] {
            wrong.push(format!("{name}: {raised:?}"));
        }
    }
    // The largest datagram, all of it noise, and one full of empty messages.
    let mut seed = 0x1234_5678;
    let mut oversize = noise(&mut seed, 65_507);
    oversize.splice(..1, [0x10]);
    target.raised(oversize);
    let mut many = Vec::new();
    while many.len() < 60_000 {
        many.extend(message(CTL, ALIVE, target.next(), &[]));
    }
    let raised = target.raised(many);
    if !raised.is_empty() {
        wrong.push(format!("thousands of messages: {raised:?}"));
    }
    // Noise, half of it behind a header that is right so far.
    let lot: Vec<Vec<u8>> = (0..2_000_usize)
        .map(|i| {
            let mut bytes = noise(&mut seed, i % 200);
            // Never beyond version 1's types, and far behind the sequence: read, then dropped as old.
            if i % 2 == 0 && bytes.len() >= 8 {
                bytes.splice(..1, [0x20]);
            }
            bytes
        })
        .collect();
    target.send(lot);
    target.assert_idle();

    // It still replicates: a peer that starts anew says hello.
    target.sequence = 3_000_000_000;
    let hello = message(CTL, ALIVE | 0x20, target.next(), &[]);
    target.send(vec![hello]);
    let flow = target.flow(20_002);
    target.send(vec![flow]);
    wait_for("the next flow", || {
        target.ask(&["-e"]).contains("sport=20002")
    });
    // Without addresses it is accepted; the commit of it fails alone. (A listing of it ends 1.4.8's helper process by SIGSEGV.)
    let no_address = message(CT_NEW, 0, target.next(), &attribute(5, &[0, 0, 1, 0x88]));
    let raised = target.raised(no_address);
    if !raised.is_empty() {
        wrong.push(format!("without addresses: {raised:?}"));
    }
    wait_for("its log line", || {
        let log = target.daemon.output();
        log.contains("unknown layer 3 proto in hash")
    });
    if original.is_none() {
        assert_eq!(target.ask(&["-e"]).lines().count(), 3);
    }
    // 1.4.8 gives an entry no timeout at all, which the kernel refuses, in the second in which it arrived.
    std::thread::sleep(Duration::from_millis(1_100));
    target.ask(&["-c"]);
    wait_for("the commit", || {
        let log = target.daemon.output();
        log.contains("Committed 2 new entries")
    });
    target.stop();
    wrong
}

#[test]
fn lab_datagrams_of_a_stranger_are_counted_and_harmless() {
    if !testkit::need::root("lab_datagrams_of_a_stranger_are_counted_and_harmless") {
        return;
    }
    let wrong = datagrams(None);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ref_datagrams_of_a_stranger_are_counted_by_the_original_alike() {
    let name = "ref_datagrams_of_a_stranger_are_counted_by_the_original_alike";
    if !testkit::need::root(name) {
        return;
    }
    let Some(root) = testkit::need::originals(name) else {
        return;
    };
    let wrong = datagrams(Some(&root));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lab_clients_that_misbehave_hold_nobody_up() {
    if !testkit::need::root("lab_clients_that_misbehave_hold_nobody_up") {
        return;
    }
    let mut target = Target::start("clients", None, "FTFW");
    let hello = message(CTL, ALIVE | 0x20, target.next(), &[]);
    target.raised(hello);
    // A cache whose listing does not fit into a socket's buffer.
    for block in 0..40_u16 {
        let mut datagram = Vec::new();
        for port in 0..200 {
            datagram.extend(target.flow(1_000 + block * 200 + port));
        }
        target.raised(datagram);
    }
    let connect = || {
        target
            .node
            .call(|| UnixStream::connect("/run/d.ctl").expect("a connection"))
            .expect("a node")
    };
    // Numbers that mean nothing are answered with nothing.
    for number in [-1, 2, 15, 27, 49, 1_000, i32::MIN, i32::MAX] {
        let mut client = connect();
        client
            .write_all(&i32::to_ne_bytes(number))
            .expect("a request");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer");
        assert_eq!(answer, "", "{number}");
    }
    // Some say nothing, some half of it, some too much, some never read their listing, some leave in the middle of it.
    let mut held = Vec::new();
    for i in 0..200 {
        let mut client = connect();
        let request: &[u8] = match i % 5 {
            0 => &[],
            1 => &[17, 0],
            2 => b"GET / HTTP/1.0\r\n\r\n",
            _ => &17_i32.to_ne_bytes(),
        };
        // One that the daemon has hung up on already can not be written to.
        let _ = client.write_all(request);
        if i % 5 == 4 {
            drop(client);
        } else if i % 5 != 3 || held.len() < 40 {
            held.push(client);
        }
    }
    assert_eq!(target.ask(&["-e"]).lines().count(), 8_000);
    assert!(target.ask(&["-s", "runtime"]).contains("daemon uptime"));
    target.assert_idle();
    drop(held);
    target.assert_idle();
    target.stop();
}

const HELLO: u8 = 0x20;

/// Messages that are too late: `before` of `-s network`.
fn counter(target: &Target, label: &str) -> u64 {
    let all = target.counters();
    let found = all.iter().find(|(name, _)| name == label);
    found.map(|(_, n)| *n).expect(label)
}

#[test]
fn lab_a_peer_out_of_its_mind_does_not_end_replication() {
    if !testkit::need::root("lab_a_peer_out_of_its_mind_does_not_end_replication") {
        return;
    }
    let mut target = Target::start("mad", None, "FTFW");
    let flows = |target: &Target| target.ask(&["-e"]).lines().count();
    target.send(vec![target_flow(100, 0, 1)]);
    wait_for("a flow", || flows(&target) == 1);

    // It restarts in a loop, each time with other numbers.
    let mut state = 7_u32;
    let mut restarts = Vec::new();
    for _ in 0..500 {
        let bytes = noise(&mut state, 4);
        let sequence = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        restarts.push(message(CTL, ALIVE | HELLO, sequence, &[]));
        restarts.push(target_flow(sequence.wrapping_add(1), HELLO, 2));
    }
    target.send(restarts);
    wait_for("the flow of the restarts", || flows(&target) == 2);

    // Numbers at random, and a flood of noise.
    let mut flood = Vec::new();
    for n in 0..5000_u32 {
        let bytes = noise(&mut state, 4);
        let sequence = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        flood.push(match n % 3 {
            0 => message(CTL, ALIVE, sequence, &[]),
            1 => noise(&mut state, 64),
            _ => message(
                CTL,
                ACK,
                sequence,
                &range(sequence, sequence.wrapping_add(50)),
            ),
        });
    }
    let before = target.received();
    target.send(flood);
    wait_for("most of the flood", || target.received() > before + 100);
    assert!(counter(&target, "Malformed messages") > 100);

    // The honest peer goes on with its own numbers: they are far behind or ahead, and believed after a while.
    let start = Instant::now();
    target.sequence = 1_000;
    wait_for("the honest peer's flow", || {
        std::thread::sleep(Duration::from_millis(100));
        let flow = target.flow(7777);
        target.send(vec![flow]);
        flows(&target) >= 3
    });
    assert!(start.elapsed() < Duration::from_secs(10));
    target.assert_idle();
    target.stop();
}

fn target_flow(sequence: u32, flags: u8, sport: u16) -> Vec<u8> {
    message(CT_NEW, flags, sequence, &flow_attributes(sport))
}
