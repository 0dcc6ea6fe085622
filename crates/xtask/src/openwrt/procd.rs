//! What procd does to the daemons: in the foreground, SIGHUP after a new file, started again after a crash, SIGTERM with SIGKILL
//! five seconds later.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::node::{Node, Process};
use testkit::sut::Make;

use super::{Place, data, read, same, verdicts, write};
use crate::Result;

/// Adverts of a second; three lost, and a busy machine.
const ELECTION: Duration = Duration::from_secs(15);
/// procd's default before it kills.
const TERM_TIMEOUT: Duration = Duration::from_secs(5);
/// Its pause before it starts a service again.
const RESPAWN: Duration = Duration::from_secs(5);

const VIPS: &[&str] = &["192.168.1.1/24", "192.168.0.4/24"];

pub(super) fn keepalived(place: &Place) -> Result<()> {
    let machine = verdicts::router(place, "procd")?;
    let node = &machine.node;
    let file = node.dir().join("keepalived.conf");
    let text = read(&data("page.conf"))?;
    write(&file, &text)?;
    let start = || {
        let file = file.display().to_string();
        let argv = place
            .programs
            .argv(Make::Ours, "keepalived", &["-n", "-f", &file]);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        node.spawn("log", &argv)
    };
    let mut process = start()?;
    wait(node, "start", |all| {
        VIPS.iter().all(|vip| all.contains(vip))
    })?;

    // As the init script does: remove, then write a new file; the name stays, the inode does not.
    std::fs::remove_file(&file).map_err(|e| e.to_string())?;
    let changed = text.replace("192.168.1.1/24", "192.168.1.77/24");
    write(&file, &changed)?;
    process.signal(Signal::SIGHUP)?;
    wait(node, "reload", |all| {
        all.contains("192.168.1.77/24") && !all.contains("192.168.1.1/24")
    })?;
    if let Some(status) = process.ended() {
        return Err(format!("the reload ended it with {status}"));
    }

    // The parent alone dies; its children must not go on without it.
    process.signal(Signal::SIGKILL)?;
    process.wait(TERM_TIMEOUT).ok_or("it outlives SIGKILL")?;
    wait(node, "death of the parent", |all| {
        !all.contains("192.168.1.77/24") && !all.contains("192.168.0.4/24")
    })?;
    std::thread::sleep(RESPAWN);
    let mut process = start()?;
    wait(node, "start after a crash", |all| {
        all.contains("192.168.1.77/24") && all.contains("192.168.0.4/24")
    })?;

    let status = stop(&mut process)?;
    same("exit status after SIGTERM", &status, "0")?;
    let left = addresses(node)?;
    if left.contains("192.168.1.77") || left.contains("192.168.0.4") {
        return Err(format!("addresses stay behind:\n{left}"));
    }
    if !process.output().is_empty() {
        return Err(format!("procd would read:\n{}", process.output()));
    }
    println!("keepalived: start, reload with a new file, crash, start, stop");
    Ok(())
}

pub(super) fn conntrackd(place: &Place) -> Result<()> {
    let machine = verdicts::router(place, "procd-conntrackd")?;
    let node = &machine.node;
    let file = node.dir().join("conntrackd.conf");
    let page = crate::root().join("testdata/page/router1/conntrackd.conf");
    // At boot it is earlier than the network: the interface of the link may be missing.
    write(&file, &read(&page)?.replace("br-lan", "br-lat"))?;
    let mut said = Vec::new();
    let start = |make, log: &str| {
        let file = file.display().to_string();
        let argv = place.programs.argv(make, "conntrackd", &["-C", &file]);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        node.spawn(log, &argv)
    };
    for make in [Make::Ours, Make::Original] {
        let mut process = start(make, &format!("{make:?}.log"))?;
        let status = process.wait(TERM_TIMEOUT);
        let status = match status.and_then(|s| s.code()) {
            Some(code) => format!("exit status {code}"),
            None => "goes on".to_owned(),
        };
        let _undead = process.stop();
        // Whether it says so or not, its lock must not hinder the next start.
        said.push(format!("{status}\n{}", undated(&process.output())));
    }
    same("conntrackd without its interface", &said[0], &said[1])?;
    write(&file, &read(&page)?)?;
    let mut process = start(Make::Ours, "again.log")?;
    let end = Instant::now() + ELECTION;
    let client = place.programs.argv(
        Make::Ours,
        "conntrackd",
        &["-C", &file.display().to_string(), "-s"],
    );
    let client: Vec<&str> = client.iter().map(String::as_str).collect();
    while !node.run(&client)?.status.success() {
        if Instant::now() > end {
            return Err(format!("it does not start again:\n{}", process.output()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let status = stop(&mut process)?;
    same("conntrackd's exit status after SIGTERM", &status, "0")?;
    println!(
        "conntrackd: without its interface {} as 1.4.8; started again when it is there; stop",
        said[0].lines().next().unwrap_or_default()
    );
    Ok(())
}

/// Lines without the time before them.
fn undated(text: &str) -> String {
    text.lines()
        .map(|line| {
            let at = line.find("] (pid=").map_or(0, |at| at + 2);
            let rest = line.get(at..).unwrap_or_default();
            let rest = match (at, rest.split_once(") ")) {
                (0, _) | (_, None) => line,
                (_, Some((_, rest))) => rest,
            };
            format!("{rest}\n")
        })
        .collect()
}

/// SIGTERM, and the exit status if it ends in time.
fn stop(process: &mut Process) -> Result<String> {
    process.signal(Signal::SIGTERM)?;
    let status = process
        .wait(TERM_TIMEOUT)
        .ok_or("procd would have killed it")?;
    Ok(status
        .code()
        .map_or_else(|| status.to_string(), |code| code.to_string()))
}

fn addresses(node: &Node) -> Result<String> {
    node.check(&["ip", "-4", "address", "show"])
}

/// Waits until the addresses of the machine are as wanted.
fn wait(node: &Node, what: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
    let end = Instant::now() + ELECTION;
    loop {
        let all = addresses(node)?;
        if wanted(&all) {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(format!("after {what} the addresses are\n{all}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
