//! Memory of the running daemons with the page's configuration, ours beside the originals'.

use std::path::Path;
use std::time::Duration;

use testkit::node::Process;
use testkit::sut::Make;

use super::{Place, read, verdicts, write};
use crate::{Result, root};

/// Until the start is over and an instance is master.
const SETTLED: Duration = Duration::from_secs(6);

/// Proportional share of all pages, and of those that belong to no file, in KiB; and the number of processes.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    all: u64,
    anonymous: u64,
    processes: u64,
}

pub(super) fn measure(place: &Place) -> Result<()> {
    // Daemon, and how many hundredths of the original's anonymous memory ours may have.
    const LIMITS: [(&str, u64); 2] = [("keepalived", 100), ("conntrackd", 50)];
    println!(
        "{:12} {:9} {:>9} {:>13} {:>15}",
        "daemon", "make", "processes", "PSS, KiB", "anonymous, KiB"
    );
    let measured = std::thread::scope(|scope| {
        let workers = LIMITS.map(|(daemon, _)| {
            [Make::Ours, Make::Original].map(|make| scope.spawn(move || run(place, daemon, make)))
        });
        workers.map(|both| {
            both.map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|_| Err("a run panicked".to_owned()))
            })
        })
    });
    let mut over = Vec::new();
    for ((daemon, limit), [ours, original]) in LIMITS.into_iter().zip(measured) {
        let (ours, original) = (ours?, original?);
        for (make, m) in [("ours", ours), ("original", original)] {
            println!(
                "{daemon:12} {make:9} {:>9} {:>13} {:>15}",
                m.processes, m.all, m.anonymous
            );
        }
        if ours.all >= original.all {
            over.push(format!(
                "{daemon} has a share of {} KiB, the original {} KiB",
                ours.all, original.all
            ));
        }
        if ours.anonymous * 100 > original.anonymous * limit {
            over.push(format!(
                "{daemon} has {} KiB of anonymous memory, the original {} KiB",
                ours.anonymous, original.anonymous
            ));
        }
    }
    if over.is_empty() {
        Ok(())
    } else {
        Err(over.join("; "))
    }
}

/// Runs a daemon for a while and looks at all its processes.
fn run(place: &Place, daemon: &str, make: Make) -> Result<Memory> {
    let machine = verdicts::router(place, &format!("memory-{daemon}-{make:?}").to_lowercase())?;
    let node = &machine.node;
    let file = node.dir().join(format!("{daemon}.conf"));
    let page = root().join(format!("testdata/page/router1/{daemon}.conf"));
    write(&file, &read(&page)?)?;
    let file = file.display().to_string();
    let options: &[&str] = match daemon {
        "keepalived" => &["-n", "-f", &file],
        _ => &["-C", &file],
    };
    let argv = place.programs.argv(make, daemon, options);
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let mut process = node.spawn(&format!("{daemon}.log"), &argv)?;
    std::thread::sleep(SETTLED);
    let memory = family(&process)?;
    if process.stop().is_some_and(|status| status.success()) {
        Ok(memory)
    } else {
        Err(format!("{daemon}, {make:?}:\n{}", process.output()))
    }
}

/// The process and its children.
fn family(process: &Process) -> Result<Memory> {
    let parent = process.pid();
    let children = read(Path::new(&format!("/proc/{parent}/task/{parent}/children")))?;
    let mut sum = Memory::default();
    for pid in
        std::iter::once(parent.to_string()).chain(children.split_whitespace().map(str::to_owned))
    {
        let text = read(Path::new(&format!("/proc/{pid}/smaps_rollup")))?;
        let field = |name: &str| -> Result<u64> {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
                .ok_or_else(|| format!("no {name} in smaps_rollup"))
        };
        sum.all += field("Pss:")?;
        sum.anonymous += field("Pss_Anon:")?;
        sum.processes += 1;
    }
    Ok(sum)
}
