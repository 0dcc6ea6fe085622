//! Captures 361 to 363: mails about instances, groups and servers.

use std::sync::Mutex;

use testkit::need;

use crate::router::{Router, conversations, lines, mail_server, recorded, same};

/// What arrived to its end; the original begins those of the stop and does not finish them, ours are sent.
fn told(talks: &Mutex<Vec<String>>, count: usize, router: &Router) -> Vec<String> {
    router.wait("mails", |_| talks.lock().unwrap().len() >= count);
    let mut all = talks.lock().unwrap().clone();
    all.retain(|t| !t.contains(" - Stopping<CR>"));
    all.sort();
    all
}

/// The lines about mails come when they are under way; how often a lower priority is heard, and how many bursts there are, is a matter
/// of time.
fn calm(lines: &[String]) -> Vec<String> {
    let passing = [
        "SMTP alert",
        "Remote SMTP",
        "received lower priority",
        "gratuitous ARP",
    ];
    let kept = lines
        .iter()
        .filter(|l| !passing.iter().any(|p| l.contains(p)));
    kept.cloned().collect()
}

/// A group that becomes master, loses a link, gets it back and is master again, beside a weaker router.
#[test]
fn lab_mails_of_a_group() {
    if !need::root("lab_mails_of_a_group") {
        return;
    }
    let name = "361-smtp-alert-vrrp";
    let mut a = Router::new("361", 'a');
    let mut b = Router::new("361", 'b');
    let neighbour = a.neighbour();
    a.connect(&b.node, "eth0");
    a.connect(&neighbour, "eth1");
    for (router, link) in [(&a, "eth0"), (&a, "eth1"), (&b, "eth0")] {
        router.address(link);
    }
    let talks = [&a, &b].map(|r| mail_server(&r.node));
    for (router, letter) in [(&mut a, 'a'), (&mut b, 'b')] {
        router.sh("mkfifo /mnt/tmp/fifo");
        // Five times as fast.
        let conf = recorded(&format!("{name}.{letter}.conf"));
        router.configure(&conf.replace("advert_int 1", "advert_int 0.2"));
        router.start(&[], &[]);
    }
    a.wait_log("(VI_1) Entering MASTER STATE", 1);
    b.wait_log("(VI_1) master set to 192.0.2.1", 1);
    a.wait_log("SMTP alert successfully sent.", 6);
    neighbour.net(|net| net.down("eth1")).unwrap();
    b.wait_log("(VI_1) Entering MASTER STATE", 1);
    a.wait_log("SMTP alert successfully sent.", 9);
    neighbour.net(|net| net.up("eth1")).unwrap();
    a.wait_log("(VI_1) master set to 192.0.2.2", 1);
    a.wait_log("SMTP alert successfully sent.", 15);
    b.wait_log("(VI_1) Entering BACKUP STATE", 2);
    b.wait_log("SMTP alert successfully sent.", 3);
    let log = a.stop();
    b.wait_log("(VI_1) Entering MASTER STATE", 2);
    b.wait_log("SMTP alert successfully sent.", 4);
    let other = b.stop();

    for (letter, log, router, talks, stops) in
        [('a', log, &a, &talks[0], 3), ('b', other, &b, &talks[1], 1)]
    {
        let expected = conversations(&recorded(&format!("{name}.{letter}.smtp")));
        let ours = told(talks, expected.len() + stops, router);
        same("mails", &ours, &expected);
        let [parent, child] = lines(&log);
        let [their_parent, their_child] = lines(&recorded(&format!("{name}.{letter}.log")));
        same("parent", &parent, &their_parent);
        // Which of two instances that are due at the same moment is first is no more than chance.
        let sorted = |lines: &[String]| {
            let mut lines = calm(lines);
            lines.sort();
            lines
        };
        same("child", &sorted(&child), &sorted(&their_child));
    }
}

#[test]
fn lab_mails_of_an_instance() {
    if !need::root("lab_mails_of_an_instance") {
        return;
    }
    let name = "362-smtp-single-instance";
    let mut router = Router::new("362", 'a');
    let neighbour = router.neighbour();
    router.connect(&neighbour, "eth0");
    router.address("eth0");
    router.sh("mkfifo /mnt/tmp/fifo");
    let talks = mail_server(&router.node);
    router.configure(&recorded(&format!("{name}.conf")));
    router.start(&[], &[]);
    router.wait_log("SMTP alert successfully sent.", 2);
    router.wait_log("Sending gratuitous ARP on eth0 for 192.0.2.100", 5);
    let log = router.stop();
    let expected = conversations(&recorded(&format!("{name}.smtp")));
    let ours = told(&talks, expected.len() + 1, &router);
    same("mails", &ours, &expected);
    let count = |log: &str, what: &str| log.matches(what).count();
    let theirs = recorded(&format!("{name}.log"));
    // Ours sends that of the stop, too.
    for what in [
        "SMTP alert successfully sent.",
        "Remote SMTP server [127.0.0.1]:25 connected.",
    ] {
        assert_eq!(count(&log, what), count(&theirs, what) + 1, "{log}");
    }
    let [parent, child] = lines(&log);
    let [their_parent, their_child] = lines(&theirs);
    same("parent", &parent, &their_parent);
    same("child", &calm(&child), &calm(&their_child));
}

/// A load balancer on a kernel that can not balance.
#[test]
fn lab_no_balancing_in_the_kernel() {
    let test = "lab_no_balancing_in_the_kernel";
    if !need::root(test) {
        return;
    }
    let mut router = Router::new("363", 'a');
    if !router.read("/proc/thread-self/net/ip_vs").is_empty()
        || router.sh("modprobe -n ip_vs 2>&1; :").is_empty()
    {
        eprintln!("LEFT OUT {test}: this kernel has IPVS");
        return;
    }
    let neighbour = router.neighbour();
    router.connect(&neighbour, "eth0");
    router.address("eth0");
    router.configure(&recorded("363-smtp-checker.conf"));
    router.start(&[], &[]);
    let (log, status) = router.end();
    let [parent, child] = lines(&log);
    let [their_parent, their_child] = lines(&recorded("363-smtp-checker.log"));
    same("parent", &parent, &their_parent);
    same("child", &child, &their_child);
    // As 2.3.3 ends.
    assert_eq!(status, Some(1), "{log}");
}
