//! The arithmetic of trackers: what files, scripts and interfaces with and without weights make of priorities and states.
//!
//! One daemon with an instance for each case goes through steps; after each its dump says priority and state of every instance. The
//! table in `testdata/golden/track-weights.txt` is what 2.3.3 made of it: `UPDATE_GOLDEN=1` with the originals writes it anew.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::link::cable;
use testkit::need;
use testkit::node::Node;
use testkit::sut::{Make, Programs};

const LIMIT: Duration = Duration::from_secs(20);
const GOLDEN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../testdata/golden/track-weights.txt"
);

/// Name, base priority, lines of the instance.
const CASES: &[(&str, u32, &str)] = &[
    // Files: the factor, with a limit at either end, and the value that is a fault.
    ("f0", 100, "track_file {\n F weight 0\n}"),
    ("f0r", 100, "track_file {\n F weight 0 reverse\n}"),
    ("f1", 100, "track_file {\n F\n}"),
    ("f1r", 100, "track_file {\n F weight 1 reverse\n}"),
    ("f-1", 100, "track_file {\n F weight -1\n}"),
    ("f7", 100, "track_file {\n F weight 7\n}"),
    ("f-50", 100, "track_file {\n F weight -50\n}"),
    ("f254", 100, "track_file {\n F weight 254\n}"),
    ("f-254r", 100, "track_file {\n F weight -254 reverse\n}"),
    ("f250", 250, "track_file {\n F weight 7\n}"),
    ("f-own", 255, "track_file {\n F weight 0\n}"),
    // Scripts.
    ("s0", 100, "track_script {\n S\n}"),
    ("s10", 100, "track_script {\n S weight 10\n}"),
    ("s10r", 100, "track_script {\n S weight 10 reverse\n}"),
    ("s-10", 100, "track_script {\n S weight -10\n}"),
    ("s-10r", 100, "track_script {\n S weight -10 reverse\n}"),
    ("s253", 100, "track_script {\n S weight 253\n}"),
    ("s-253", 100, "track_script {\n S weight -253\n}"),
    ("s-own", 255, "track_script {\n S\n}"),
    ("shell", 100, "track_script {\n SH weight -20\n}"),
    ("shell0", 100, "track_script {\n SH\n}"),
    ("s2", 100, "track_script {\n R2 weight 30\n}"),
    ("sfail", 100, "track_script {\n IF weight -40\n}"),
    ("hang", 100, "track_script {\n HANG weight -15\n}"),
    // Interfaces.
    ("i0", 100, "track_interface {\n eth1\n}"),
    ("i10", 100, "track_interface {\n eth1 weight 10\n}"),
    ("i10r", 100, "track_interface {\n eth1 weight 10 reverse\n}"),
    ("i-10", 100, "track_interface {\n eth1 weight -10\n}"),
    (
        "i-10r",
        100,
        "track_interface {\n eth1 weight -10 reverse\n}",
    ),
    ("i0r", 100, "track_interface {\n eth1 weight 0 reverse\n}"),
    // Several.
    (
        "m1",
        100,
        "track_script {\n S weight 10\n}\ntrack_file {\n F weight 3\n G weight -2\n}\ntrack_interface {\n eth1 weight -30\n}",
    ),
    (
        "m2",
        100,
        "track_script {\n S\n}\ntrack_file {\n F weight 0 reverse\n G weight 5\n}\ntrack_interface {\n eth1 weight 200\n}",
    ),
    (
        "m3",
        1,
        "track_script {\n S weight -100\n}\ntrack_interface {\n eth1 weight -100\n}",
    ),
    (
        "m4",
        254,
        "track_script {\n S weight 100\n}\ntrack_interface {\n eth1 weight -100 reverse\n}",
    ),
    // Members of groups: a group that tracks, one that takes weights, one with a tracker of its own and of a member.
    ("g1a", 100, "track_script {\n S weight 10\n}"),
    ("g1b", 110, ""),
    ("g2a", 100, "track_file {\n G weight 4\n}"),
    ("g2b", 120, ""),
    ("g3a", 100, "track_script {\n S weight -20\n}"),
    ("g3b", 90, "track_interface {\n eth1 weight 40\n}"),
];

const GROUPS: &str = "vrrp_sync_group G1 {\n group {\n g1a\n g1b\n }\n track_script {\n S\n }\n}\n\
    vrrp_sync_group G2 {\n group {\n g2a\n g2b\n }\n track_file {\n F weight 2\n }\n track_interface {\n eth1 weight 25\n }\n sync_group_tracking_weight\n}\n\
    vrrp_sync_group G3 {\n group {\n g3a\n g3b\n }\n track_script {\n S weight 7 reverse\n }\n}\n\
    track_group TG {\n group {\n s0\n g1a\n }\n}\n\
    static_ipaddress {\n 10.9.9.9/32 dev eth0 track_group TG\n}\n";

/// No product is beyond 32 bits, where the original wraps and ours stops. F, G, exit status of the scripts, whether eth1 is up.
const STEPS: &[(&str, &str, u8, bool)] = &[
    ("0", "0", 0, true),
    ("1", "0", 0, true),
    ("-1", "3", 0, true),
    ("10", "-3", 1, true),
    ("36", "1", 1, true),
    ("37", "300", 0, false),
    ("-37", "-300", 0, false),
    ("254", "50", 126, false),
    ("-254", "0", 127, true),
    ("8000000", "63", 0, true),
    ("-8000000", "-64", 255, false),
    ("0", "0", 0, true),
];

fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    let mut conf = format!(
        "global_defs {{\n script_user root\n state_dump_file {dir}/dump.data\n dynamic_interfaces\n}}\n\
         track_file F {{\n file {dir}/F\n}}\ntrack_file G {{\n file {dir}/G\n}}\n"
    );
    for (name, script, more) in [
        ("S", format!("{dir}/s.sh"), ""),
        // By a shell, which then says whether it could run it.
        ("SH", format!("exit $(cat {dir}/status)"), ""),
        ("R2", format!("{dir}/s.sh"), "rise 2\n fall 3\n"),
        ("IF", format!("{dir}/s.sh"), "init_fail\n"),
        ("HANG", format!("{dir}/hang.sh"), "timeout 0.1\n"),
    ] {
        writeln!(
            conf,
            "vrrp_script {name} {{\n script \"{script}\"\n interval 0.15\n {more}}}"
        )
        .unwrap();
    }
    for (n, (name, priority, lines)) in CASES.iter().enumerate() {
        let vrid = n + 1;
        writeln!(
            conf,
            "vrrp_instance {name} {{\n state BACKUP\n interface eth0\n version 3\n virtual_router_id {vrid}\n priority {priority}\n advert_int 40\n\
             {lines}\n virtual_ipaddress {{\n 10.9.1.{vrid}\n }}\n}}"
        )
        .unwrap();
    }
    conf + GROUPS
}

fn set(dir: &Path, node: &Node, step: &(&str, &str, u8, bool)) {
    let (f, g, status, up) = *step;
    for (file, text) in [("F", f), ("G", g), ("status", &status.to_string())] {
        // Nobody sees half of it.
        let new = dir.join("new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, dir.join(file)).unwrap();
    }
    let word = if up { "up" } else { "down" };
    node.check(&["ip", "link", "set", "eth1", word]).unwrap();
}

/// `name priority state` of every instance, and whether the static address is there.
fn look(dump: &str, address: bool) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let (mut name, mut state) = ("", "");
    for line in dump.lines() {
        if let Some(n) = line.strip_prefix(" VRRP Instance = ") {
            name = n;
        } else if let Some(s) = line.strip_prefix("   State = ") {
            state = s;
        } else if let Some(p) = line.strip_prefix("   Effective priority = ") {
            // An owner is master after a while, which is none of our business here.
            let state = if state == "FAULT" { "FAULT" } else { "fine" };
            found.push(format!("{name} {p} {state}"));
        }
    }
    found.push(format!("static {address}"));
    found
}

fn play(make: Make, programs: &Programs, test: &str) -> String {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let dir = dir.join(format!("{test}-{make:?}-{}", std::process::id()));
    let node = Node::new("a", &dir).unwrap();
    let other = Node::new("b", &dir).unwrap();
    let dir = node.dir().to_owned();
    cable(&node, "eth0", &other, "eth0").unwrap();
    cable(&node, "eth1", &other, "eth1").unwrap();
    node.net(|net| net.address("eth0", IpAddr::from([10, 9, 0, 1]), 16))
        .unwrap();
    if make == Make::Original {
        programs
            .enter_original(&node, dir.parent().unwrap())
            .unwrap();
    }
    let status = dir.join("status");
    for (name, text) in [
        (
            "s.sh",
            format!("#!/bin/sh\nread s < {}\nexit $s\n", status.display()),
        ),
        ("hang.sh", "#!/bin/sh\nsleep 60\n".to_owned()),
    ] {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&path, mode).unwrap();
    }
    set(&dir, &node, &STEPS[0]);
    let conf = dir.join("k.conf");
    fs::write(&conf, configuration(&dir)).unwrap();
    let argv = programs.argv(
        make,
        "keepalived",
        &["-n", "-l", "-D", "-G", "-f", conf.to_str().unwrap()],
    );
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let mut daemon = node.spawn("k.log", &argv).unwrap();
    let until = |what: &str, done: &dyn Fn() -> bool| {
        let end = Instant::now() + LIMIT;
        while !done() {
            let log = fs::read_to_string(dir.join("k.log")).unwrap_or_default();
            assert!(Instant::now() < end, "{what}: {make:?}\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    until("start", &|| {
        daemon.output().contains("VRRP_Script(R2) succeeded")
    });
    let mut table = String::new();
    for (n, step) in STEPS.iter().enumerate() {
        set(&dir, &node, step);
        // Every script has run three times, every file was read: what is asked for twice in a row the same has settled.
        let mut last = Vec::new();
        let mut same = 0;
        let end = Instant::now() + LIMIT;
        std::thread::sleep(Duration::from_millis(700));
        while same < 2 {
            assert!(Instant::now() < end, "{make:?} does not settle");
            let dump = dir.join("dump.data");
            let _ = fs::remove_file(&dump);
            daemon.signal(nix::sys::signal::Signal::SIGUSR1).unwrap();
            let whole =
                || fs::read_to_string(&dump).is_ok_and(|t| t.contains("------< Interfaces >"));
            until("dump", &whole);
            let address = node.check(&["ip", "addr", "show", "dev", "eth0"]).unwrap();
            let now = look(
                &fs::read_to_string(&dump).unwrap(),
                address.contains("10.9.9.9"),
            );
            same = if now == last { same + 1 } else { 0 };
            last = now;
            std::thread::sleep(Duration::from_millis(100));
        }
        writeln!(
            table,
            "step {n}: F {} G {} status {} eth1 {}",
            step.0, step.1, step.2, step.3
        )
        .unwrap();
        for line in last {
            writeln!(table, "  {line}").unwrap();
        }
    }
    daemon.stop().unwrap();
    table
}

fn programs() -> Programs {
    Programs::of(env!("CARGO_BIN_EXE_keepalived"))
}

fn compare(ours: &str, expected: &str) {
    let mut step = "";
    let mut wrong = String::new();
    for (a, b) in ours.lines().zip(expected.lines()) {
        if a.starts_with("step") {
            step = a;
        }
        if a != b {
            writeln!(wrong, "{step}: ours {a}, 2.3.3 {b}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(ours.lines().count(), expected.lines().count());
}

#[test]
fn lab_weights_are_those_of_the_original() {
    let test = "lab_weights_are_those_of_the_original";
    if !need::root(test) {
        return;
    }
    let ours = play(Make::Ours, &programs(), test);
    compare(&ours, &fs::read_to_string(GOLDEN).unwrap());
}

#[test]
fn ref_weights_are_recorded() {
    let test = "ref_weights_are_recorded";
    if !need::root(test) {
        return;
    }
    let Some(root) = need::originals(test) else {
        return;
    };
    let table = play(Make::Original, &programs().with_originals(&root), test);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(GOLDEN, table).unwrap();
        return;
    }
    compare(&fs::read_to_string(GOLDEN).unwrap(), &table);
}
