//! The daemon as OpenWrt's rpcd plugin meets it: signal 37 to every process of it, and the JSON file read without a pause.

use std::path::Path;
use std::time::{Duration, Instant};

use testkit::node::{Node, Process};

use super::{Place, feed, read, same, stubs, verdicts, write};
use crate::{Result, cross};

/// A C library, and the number that is SIGRTMIN+2 there.
const LIBRARIES: &[(&str, &str)] = &[("glibc", "36"), ("musl", "37")];
const STARTS: usize = 10;
const READS: usize = 50;
const LIMIT: Duration = Duration::from_secs(20);

/// Keys of an element, in the order of 2.3.3; those that are always there.
const KEYS: &[&str] = &[
    "data",
    "iname",
    "dont_track_primary",
    "skip_check_adv_addr",
    "strict_mode",
    "vmac_ifname",
    "ifp_ifname",
    "master_priority",
    "last_transition",
    "garp_delay",
    "garp_refresh",
    "garp_rep",
    "garp_refresh_rep",
    "garp_lower_prio_delay",
    "garp_lower_prio_rep",
    "lower_prio_no_advert",
    "higher_prio_send_advert",
    "vrid",
    "base_priority",
    "effective_priority",
    "vipset",
    "promote_secondaries",
    "adver_int",
    "master_adver_int",
    "accept",
    "nopreempt",
    "preempt_delay",
    "state",
    "wantstate",
    "version",
    "smtp_alert",
    "notify_deleted",
    "vips",
    "auth_type",
    "auth_data",
    "stats",
    "advert_rcvd",
    "advert_sent",
    "become_master",
    "release_master",
    "packet_len_err",
    "advert_interval_err",
    "ip_ttl_err",
    "invalid_type_rcvd",
    "addr_list_err",
    "invalid_authtype",
    "authtype_mismatch",
    "auth_failure",
    "pri_zero_rcvd",
    "pri_zero_sent",
];

pub(super) fn signals(place: &Place) -> Result<()> {
    for (library, number) in LIBRARIES {
        let folder = match *library {
            "musl" => cross::daemons("musl")?,
            _ => place.release.clone(),
        };
        let machine = verdicts::router(place, &format!("signals-{library}"))?;
        let node = &machine.node;
        let daemon = folder.join("keepalived").display().to_string();
        for _ in 0..STARTS {
            let mut process = start(node, &daemon)?;
            storm(node, &process, number, 100)?;
            stopped(&mut process)?;
            // The next start has a log of its own.
            std::fs::remove_file(node.dir().join("log")).map_err(|e| e.to_string())?;
        }
        let mut process = start(node, &daemon)?;
        let whole = at_once(node, &process, number)?;
        let own = node.call(|| Path::new("/run/keepalived").exists())?;
        if own {
            return Err(
                "something of ours is in /run/keepalived, which hotplug empties".to_owned(),
            );
        }
        stopped(&mut process)?;
        println!(
            "{library}, signal {number}: {STARTS} starts under it; the file whole at the first look in {whole} of {READS} reads, never half"
        );
    }
    Ok(())
}

/// Starts it with the page's configuration, and waits until the parent has taken the signal in hand.
fn start(node: &Node, daemon: &str) -> Result<Process> {
    let file = verdicts::install(node, "page")?;
    let dir = node.dir().display().to_string();
    let temporary = format!("TMPDIR={dir}");
    node.spawn("log", &["env", &temporary, daemon, "-n", "-l", "-f", &file])
}

/// The signal to the parent from the moment that it has a handler, and to its children from the moment that they are there.
fn storm(node: &Node, process: &Process, number: &str, rounds: u32) -> Result<()> {
    let signal: u32 = number.parse().map_err(|_| "no number")?;
    let end = Instant::now() + LIMIT;
    while !handled(process.pid(), signal) {
        if Instant::now() > end {
            return Err(format!(
                "signal {number} is not handled:\n{}",
                process.output()
            ));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let script = stubs().join("storm.sh").display().to_string();
    let (pid, rounds) = (process.pid().to_string(), rounds.to_string());
    node.check(&["busybox", "ash", &script, number, &pid, &rounds])
        .map_err(|why| format!("{why}\n{}", process.output()))?;
    // The children of the first moment still live: one that had died would have been started again.
    let log = process.output();
    let children = log.matches("Starting VRRP child process").count();
    if children > 1 || log.contains("Respawning") || log.contains("died") {
        return Err(format!("a child did not survive signal {number}:\n{log}"));
    }
    Ok(())
}

fn stopped(process: &mut Process) -> Result<()> {
    match process.stop() {
        Some(status) if status.success() => Ok(()),
        other => Err(format!("stopped with {other:?}:\n{}", process.output())),
    }
}

/// Whether a signal is caught, ignored or blocked.
fn handled(pid: i32, signal: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    // Before the daemon is executed it is another program's process.
    exe.ends_with("keepalived")
        && ["SigCgt:", "SigIgn:", "SigBlk:"].iter().any(|field| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(field))
                .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
                .is_some_and(|mask| mask >> signal.saturating_sub(1) & 1 == 1)
        })
}

/// Removes the file, sends the signal, reads at once: how often the file was whole at the first look. It must never be seen half.
fn at_once(node: &Node, process: &Process, number: &str) -> Result<usize> {
    let file = node.dir().join("keepalived.json");
    // Once it has started to run.
    std::thread::sleep(Duration::from_secs(2));
    let family = format!("/proc/{0}/task/{0}/children", process.pid());
    let mut pids = vec![
        "kill".to_owned(),
        format!("-{number}"),
        process.pid().to_string(),
    ];
    pids.extend(
        read(Path::new(&family))?
            .split_whitespace()
            .map(str::to_owned),
    );
    let words: Vec<&str> = pids.iter().map(String::as_str).collect();
    let mut first = 0;
    for _ in 0..READS {
        let _absent = std::fs::remove_file(&file);
        node.check(&words)?;
        let end = Instant::now() + LIMIT;
        for look in 0.. {
            let Ok(text) = std::fs::read_to_string(&file) else {
                if Instant::now() > end {
                    return Err(format!("no JSON file:\n{}", process.output()));
                }
                continue;
            };
            if !(text.starts_with("[{") && text.trim_end().ends_with("}}]")) {
                return Err(format!("half a JSON file: {text}"));
            }
            first += usize::from(look == 0);
            break;
        }
    }
    Ok(first)
}

/// The plugin and the hotplug script in a pid namespace of their own, with a live daemon.
pub(super) fn rpcd(place: &Place) -> Result<()> {
    let daemon = cross::daemons("musl")?.join("keepalived");
    let machine = verdicts::router(place, "rpcd")?;
    let node = &machine.node;
    let files = node.dir().join("files");
    let own = feed().join("keepalived-rs/files");
    let stub = stubs();
    for (from, to) in [
        ("usr/libexec/rpcd/keepalived", "rpcd"),
        ("usr/libexec/keepalived/rpc/status.sh", "rpc/status.sh"),
        ("etc/hotplug.d/keepalived/01-ubus", "01-ubus"),
    ] {
        let text = read(&own.join(from))?
            .replace(
                "/lib/functions.sh",
                &stub.join("functions.sh").display().to_string(),
            )
            .replace(
                "/usr/share/libubox/jshn.sh",
                &stub.join("jshn.sh").display().to_string(),
            )
            .replace(
                "/usr/libexec/keepalived/rpc",
                &files.join("rpc").display().to_string(),
            )
            .replace("/usr/sbin/keepalived", &daemon.display().to_string())
            .replace(
                "/tmp/keepalived.json",
                &node.dir().join("keepalived.json").display().to_string(),
            );
        write(&files.join(to), &text)?;
    }
    write(
        &files.join("config/keepalived"),
        &read(&super::data("page.uci"))?,
    )?;
    let file = verdicts::install(node, "page")?;
    let text = node.check(&[
        "env",
        &format!("TMPDIR={}", node.dir().display()),
        &format!("CONFIG_DIR={}", files.join("config").display()),
        "unshare",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
        "busybox",
        "ash",
        &stub.join("rpcd.sh").display().to_string(),
        &daemon.display().to_string(),
        &file,
        &files.display().to_string(),
    ])?;
    let mut answers = text.split("== ").skip(1).map(|part| {
        let (name, answer) = part.split_once('\n').unwrap_or((part, ""));
        (name, answer.trim())
    });
    let mut answer = |wanted: &str| -> Result<String> {
        match answers.next() {
            Some((name, answer)) if name == wanted => Ok(answer.to_owned()),
            other => Err(format!("{wanted}: {other:?}")),
        }
    };
    same("rpcd list", &answer("list")?, r#"{"dump":{},"status":{}}"#)?;
    same(
        "dump without a daemon",
        &answer("dump without a daemon")?,
        "{}",
    )?;
    let dump = answer("dump")?;
    elements(node, &dump)?;
    same(
        "an unknown method",
        &answer("no such method")?,
        r#"{"error":"invalid call nothing"}"#,
    )?;
    // The moments differ from run to run.
    let status: String = answer("status")?
        .split("\"event\":")
        .enumerate()
        .map(|(n, part)| match n {
            0 => part.to_owned(),
            _ => format!(
                "\"event\":{}",
                part.trim_start_matches(|c: char| c.is_ascii_digit())
            ),
        })
        .collect();
    same(
        "rpcd status",
        &status,
        r#"{"instance":[{"name":"E1","event":,"status":"NOTIFY_MASTER"},{"name":"I1","event":,"status":""}],"group":[{"name":"G1","event":,"status":"NOTIFY_MASTER"}]}"#,
    )?;
    println!(
        "list, dump ({} bytes), status; {} processes took the signal",
        dump.len(),
        answer("processes")?
    );
    Ok(())
}

/// The dump is JSON, with the keys in their order for each of the two instances.
fn elements(node: &Node, dump: &str) -> Result<()> {
    let file = node.dir().join("answer.json");
    write(&file, dump)?;
    node.check(&["python3", "-m", "json.tool", &file.display().to_string()])
        .map_err(|why| format!("rpcd dump: {why}"))?;
    let found: Vec<&str> = dump
        .split('"')
        .collect::<Vec<_>>()
        .windows(2)
        .filter(|pair| pair[1].starts_with(':'))
        .map(|pair| pair[0])
        .collect();
    let mut wanted = vec!["status"];
    wanted.extend(KEYS);
    wanted.extend(KEYS);
    let (found, wanted) = (found.join("\n"), wanted.join("\n"));
    // The first key has a blank behind it.
    same(
        "keys of the dump",
        &found,
        wanted.strip_prefix("status\n").unwrap_or(&wanted),
    )
}
