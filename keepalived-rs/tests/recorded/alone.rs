//! Captures 206, 209, 213 to 224, 371 and 512: starts, becomes master, dumps, stops.

use testkit::need;

use crate::router::{Router, dump_lines, json_lines, lines, recorded, same, theirs};

struct Case {
    name: &'static str,
    /// Run in the router before the start.
    before: &'static str,
    env: &'static [&'static str],
    options: &'static [&'static str],
    /// How far it lives before it dumps.
    until: &'static str,
    /// Shows what else there is at that time; the recorded text is `NAME.shown`.
    show: &'static str,
    /// The lines that ours has besides.
    more: &'static [&'static str],
}

const CASE: Case = Case {
    name: "",
    before: "mkfifo /mnt/tmp/fifo",
    env: &[],
    options: &[],
    until: "Sending gratuitous ARP on eth0 for 192.0.2.100",
    show: "",
    more: &[],
};

const CASES: &[Case] = &[
    // The machine has just started. The delay is said before the addresses of interfaces are, as 2.4.3 does.
    Case {
        name: "206-delay-after-boot-large",
        before: "mkfifo /mnt/tmp/fifo; echo 3.00 1.00 >/mnt/tmp/uptime; mount --bind /mnt/tmp/uptime /proc/uptime",
        until: "Entering BACKUP STATE (init)",
        ..CASE
    },
    Case {
        name: "209-password-masking",
        options: &["-d"],
        until: "(VI_2) Entering BACKUP STATE (init)",
        ..CASE
    },
    // The environment is that of 2.4.3, which takes IFS and LD_PRELOAD out.
    Case {
        name: "213-script-environment-and-quoting",
        env: &["IFS=x", "KA_X=1", "LD_PRELOAD=/nonexistent.so"],
        show: "sed '/^\\(PWD\\|OLDPWD\\|SHLVL\\|_\\|TMPDIR\\)=/d' /mnt/tmp/env | sort",
        ..CASE
    },
    Case {
        name: "214-json-escaping",
        until: "Startup complete",
        ..CASE
    },
    Case {
        name: "215-config-dump-in-log",
        options: &["-d"],
        until: "Entering BACKUP STATE (init)",
        ..CASE
    },
    Case {
        name: "216-fifo-is-symlink",
        before: "mkfifo /mnt/tmp/real && ln -s real /mnt/tmp/fifo",
        ..CASE
    },
    // As 2.4.3, which does not use it.
    Case {
        name: "217-fifo-is-regular-file",
        before: "touch /mnt/tmp/fifo",
        show: "cat /mnt/tmp/fifo",
        ..CASE
    },
    Case {
        name: "218-fifo-created",
        before: ":",
        show: "stat -c '%F %a %u:%g' /mnt/tmp/fifo",
        ..CASE
    },
    Case {
        name: "219-script-is-symlink",
        before: "mkfifo /mnt/tmp/fifo; cd /mnt/ka && mv notify.sh real.sh && ln -s real.sh notify.sh",
        ..CASE
    },
    Case {
        name: "220-script-symlink-to-world-writable",
        before: "mkfifo /mnt/tmp/fifo; cd /mnt/ka && mv notify.sh real.sh && chmod 777 real.sh && ln -s real.sh notify.sh",
        more: &["/etc/keepalived/real.sh"],
        ..CASE
    },
    // As 2.4.3: 2.3.3 makes a 2 of it.
    Case {
        name: "221-rule-tunnel-id-64-bits",
        show: "ip rule show",
        ..CASE
    },
    Case {
        name: "224-json-escaping-backslash-name",
        ..CASE
    },
    // No table of rules.
    Case {
        name: "512-nft-disable-local-igmp",
        until: "Sending gratuitous ARP on vrrp.51 for 192.0.2.100",
        show: "nft list ruleset",
        ..CASE
    },
];

fn live(case: &Case) {
    let name = case.name;
    let mut router = Router::new(&name[..3], 'a');
    let neighbour = router.neighbour();
    router.connect(&neighbour, "eth0");
    router.address("eth0");
    router.sh(case.before);
    // Somebody reads, so that it can be opened.
    let fifo = case.before.starts_with("mkfifo /mnt/tmp/fifo");
    let reader = fifo.then(|| {
        let argv = ["cat", "/mnt/tmp/fifo"];
        router.node.spawn("fifo", &argv).unwrap()
    });
    router.configure(&recorded(&format!("{name}.conf")));
    router.start(case.env, case.options);
    router.wait_log("Startup complete", 1);
    router.wait_log(case.until, 1);
    let data = router.dump("DATA", "/mnt/tmp/keepalived.data");
    let json = has(name, "json").then(|| router.dump("JSON", "/mnt/tmp/keepalived.json"));
    if !case.show.is_empty() {
        let shown = router.sh(case.show);
        assert_eq!(shown, recorded(&format!("{name}.shown")), "{name}");
    }
    let log = router.stop();

    let mut ours = lines(&log);
    for line in case.more {
        let besides = |l: &String| l.contains(line) && !l.ends_with("- disabling.");
        assert!(ours[1].iter().any(besides), "{name}: no line about {line}");
        ours[1].retain(|l| !besides(l));
    }
    let [parent, child] = lines(&recorded(&format!("{name}.log")));
    same(&format!("{name}: parent"), &ours[0], &parent);
    let child_lines = |lines: Vec<String>| {
        let lines = dump_lines(&lines.join("\n"));
        // Leftovers are asked for once, when the configuration is shown; the original asks before and after it.
        let shown = case.options.contains(&"-d");
        let kept = lines.into_iter();
        kept.filter(|l| !(shown && l.contains("removing VIPs")))
            .collect::<Vec<_>>()
    };
    same(
        &format!("{name}: child"),
        &child_lines(ours[1].clone()),
        &child_lines(child),
    );
    if has(name, "data") {
        let expected = dump_lines(&recorded(&format!("{name}.data")));
        same(&format!("{name}: data"), &dump_lines(&data), &expected);
    }
    if let Some(json) = json {
        let expected = json_lines(&recorded(&format!("{name}.json")));
        same(&format!("{name}: JSON"), &json_lines(&json), &expected);
    }
    if has(name, "scripts") {
        let sorted = |text: String| {
            let mut lines: Vec<String> = theirs(&text).lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let expected = sorted(recorded(&format!("{name}.scripts")));
        let ours = || sorted(router.read("/mnt/tmp/scripts"));
        router.wait("scripts", |_| ours().len() >= expected.len());
        same(&format!("{name}: scripts"), &ours(), &expected);
    }
    if has(name, "fifo") {
        let expected = recorded(&format!("{name}.fifo"));
        let expected: Vec<String> = expected.lines().map(str::to_owned).collect();
        let reader = reader.unwrap();
        let told = || -> Vec<String> { reader.output().lines().map(str::to_owned).collect() };
        router.wait("FIFO lines", |_| told().len() >= expected.len());
        let told = told();
        same(&format!("{name}: FIFO"), &told, &expected);
    }
}

/// Whether the recording has this.
fn has(name: &str, what: &str) -> bool {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    dir.join(format!("../testdata/replay/keepalived/live/{name}.{what}"))
        .exists()
}

#[test]
fn lab_a_router_alone() {
    if !need::root("lab_a_router_alone") {
        return;
    }
    std::thread::scope(|scope| {
        for case in CASES {
            scope.spawn(|| live(case));
        }
    });
}

/// Capture 371: a file for each process, each line with nanoseconds.
#[test]
fn lab_log_files() {
    if !need::root("lab_log_files") {
        return;
    }
    let name = "371-log-file-format";
    let mut router = Router::new("371", 'a');
    let neighbour = router.neighbour();
    router.connect(&neighbour, "eth0");
    router.address("eth0");
    router.sh("mkfifo /mnt/tmp/fifo");
    router.configure(&recorded(&format!("{name}.conf")));
    router.start(&[], &["--log-file=/mnt/tmp/ka.log", "--flush-log-file"]);
    router.wait_log("Sending gratuitous ARP on eth0 for 192.0.2.100", 5);
    let console = router.stop();
    let mut both = Vec::new();
    for (file, of_parent) in [("ka.log", true), ("ka_vrrp.log", false)] {
        let text = router.read(&format!("/mnt/tmp/{file}"));
        for line in text.lines() {
            // `Sun Nov 22 17:10:25.845971353 2026: text`
            let stamp = line.get(19..29).unwrap_or_default();
            let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
            let nanoseconds = stamp.starts_with('.') && digits(&stamp[1..10]);
            assert!(nanoseconds, "{line}");
            assert_eq!(line.get(34..36), Some(": "), "{line}");
        }
        let expected = recorded(&format!("{name}.{file}"));
        let [parent, child] = lines(&text);
        let [their_parent, their_child] = lines(&expected);
        same(file, &parent, &their_parent);
        same(file, &child, &their_child);
        both.push(if of_parent { parent } else { child });
    }
    // The console has the same.
    let [parent, child] = lines(&console);
    same("console", &parent, &both[0]);
    same("console", &child, &both[1]);
}
