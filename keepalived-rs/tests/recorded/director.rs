//! Capture 364: a director whose servers come and go, in User Mode Linux.

use std::collections::BTreeMap;
use std::net::TcpListener;

use testkit::{log_lines, uml};

use crate::router::{
    Router, conversations, dump_lines, lines, mail_server, recorded, same, theirs,
};

const NAME: &str = "364-smtp-checker-ipvs";

fn listen(router: &Router, port: u16) -> TcpListener {
    let bind = move || TcpListener::bind(("127.0.0.1", port)).unwrap();
    router.node.call(bind).unwrap()
}

/// The kernel's table and the dump, as they were recorded after this step.
fn compare(router: &Router, step: &str) {
    let table = || router.read("/proc/thread-self/net/ip_vs");
    let expected = recorded(&format!("{NAME}.{step}.ip_vs"));
    let settled = |r: &Router| r.read("/proc/thread-self/net/ip_vs") == expected;
    router.wait(&format!("{step}: {expected}, not {}", table()), settled);
    let path = "/mnt/tmp/keepalived_check.data";
    router.sh(&format!("rm -f {path}"));
    let shown = router.dump("DATA", path);
    let expected = recorded(&format!("{NAME}.{step}.data"));
    let part = |text: &str| {
        let (_, part) = text.split_once("------< LVS Topology >------").unwrap();
        let lines = dump_lines(part);
        // What a check is about at that moment.
        let chance = ["Last ran", "Retries iterations"];
        let kept = lines.into_iter();
        kept.filter(|l| !chance.iter().any(|c| l.contains(c)))
            .collect::<Vec<_>>()
    };
    same(step, &part(&shown), &part(&expected));
}

/// The lines of each step, sorted: checks run side by side.
fn steps(log: &str) -> Vec<Vec<String>> {
    let log = theirs(log);
    let mut steps = vec![Vec::new()];
    for line in log.lines() {
        let plain = log_lines::plain(line);
        if plain.starts_with("Printing checker data") {
            steps.push(Vec::new());
        }
        let of_child = lines(line)[1].clone();
        steps.last_mut().unwrap().extend(of_child);
    }
    // Ours sends the mails of the stop.
    if let Some(last) = steps.last_mut() {
        last.retain(|l| !l.contains("SMTP"));
    }
    for step in &mut steps {
        step.sort();
    }
    steps
}

#[test]
fn uml_a_director_as_recorded() {
    let modules = [uml::IPVS, &["veth", "ipv6"]].concat();
    if !uml::inside("director::uml_a_director_as_recorded", &modules) {
        return;
    }
    let mut router = Router::new("364", 'a');
    let neighbour = router.neighbour();
    router.connect(&neighbour, "eth0");
    router.address("eth0");
    router.sh("mkfifo /mnt/tmp/fifo; printf '#!/bin/sh\\n[ ! -f /mnt/tmp/miscbad ]\\n' >/mnt/ka/misc.sh; chmod 755 /mnt/ka/misc.sh");
    let reader = router
        .node
        .spawn("fifo", &["cat", "/mnt/tmp/fifo"])
        .unwrap();
    let talks = mail_server(&router.node);
    let mut first = Some(listen(&router, 8080));
    router.configure(&recorded(&format!("{NAME}.conf")));
    router.start(&[], &[]);
    let mails = |r: &Router, count| r.wait_log("SMTP alert successfully sent.", count);

    mails(&router, 3);
    compare(&router, "start");
    let second = listen(&router, 8081);
    mails(&router, 5);
    compare(&router, "up");
    router.sh("touch /mnt/tmp/miscbad");
    mails(&router, 7);
    compare(&router, "misc");
    router.sh("rm /mnt/tmp/miscbad");
    mails(&router, 9);
    drop(first.take());
    mails(&router, 10);
    compare(&router, "down");
    drop(second);
    mails(&router, 12);
    compare(&router, "alldown");
    let log = router.stop();

    let expected = recorded(&format!("{NAME}.log"));
    let [parent, _] = lines(&log);
    same("parent", &parent, &lines(&expected)[0]);
    let (ours, theirs_) = (steps(&log), steps(&expected));
    assert_eq!(ours.len(), theirs_.len());
    for (n, (ours, expected)) in ours.iter().zip(&theirs_).enumerate() {
        same(&format!("step {n}"), ours, expected);
    }
    for (what, count) in [("fifo", 13), ("scripts", 13)] {
        let told = |r: &Router| match what {
            "fifo" => reader.output(),
            _ => r.read("/mnt/tmp/scripts"),
        };
        router.wait(what, |r| told(r).lines().count() >= count);
    }
    let by_name = |text: &str| {
        let mut told = BTreeMap::<_, Vec<_>>::new();
        for line in text.lines() {
            let (who, what) = line.rsplit_once(' ').unwrap();
            told.entry(who.to_owned())
                .or_default()
                .push(what.to_owned());
        }
        told
    };
    assert_eq!(
        by_name(&reader.output()),
        by_name(&recorded(&format!("{NAME}.fifo")))
    );
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let scripts = theirs(&router.read("/mnt/tmp/scripts"));
    same(
        "scripts",
        &sorted(&scripts),
        &sorted(&recorded(&format!("{NAME}.scripts"))),
    );
    let mut told = talks.lock().unwrap().clone();
    // Ours sends those of the stop, too.
    told.retain(|t| !t.contains("=> Shutting down <="));
    told.sort();
    same(
        "mails",
        &told,
        &conversations(&recorded(&format!("{NAME}.smtp"))),
    );
}
