//! The high-availability page with every mix of ours and the originals, failing over both ways.

use std::path::Path;
use std::time::Duration;

use testkit::node::enter_lab;
use testkit::pair::Pair;
use testkit::sut::{Make, Programs};

use crate::{Result, demo, root, target_dir};

const ELECTION: Duration = Duration::from_secs(20);
const MIXES: [[Make; 2]; 4] = [
    [Make::Ours, Make::Ours],
    [Make::Ours, Make::Original],
    [Make::Original, Make::Ours],
    [Make::Original, Make::Original],
];

pub(crate) fn run() -> Result<()> {
    let programs = demo::programs(true)?;
    enter_lab()?;
    let mut failed = 0u32;
    for mix in MIXES {
        let name = format!("{:?}/{:?}", mix[0], mix[1]).to_lowercase();
        let dir = target_dir().join(format!(
            "pair-{}-{}",
            std::process::id(),
            name.replace('/', "-")
        ));
        match play(&programs, mix, &dir) {
            Ok(figures) => println!("pair {name}: ok, {figures}"),
            Err(why) => {
                failed = failed.saturating_add(1);
                println!("pair {name}: FAILED: {why}");
            }
        }
    }
    println!("{} passed, {failed} failed", MIXES.len() as u32 - failed);
    if failed == 0 {
        Ok(())
    } else {
        Err(format!("{failed} mixes failed"))
    }
}

/// Power failure of the first router, its return, then an orderly stop of it: the session lives through all three.
fn play(programs: &Programs, makes: [Make; 2], dir: &Path) -> Result<String> {
    let mut pair = Pair::build(&root().join("testdata/page"), dir, programs.clone(), makes)?;
    for router in &mut pair.routers {
        router.start(programs)?;
    }
    pair.wait_master(0, ELECTION)?;
    let session = pair.session()?;
    pair.wait_replicated(1, ELECTION)?;
    let logs = |pair: &Pair, why: String| {
        let logs: String = pair
            .routers
            .iter()
            .map(testkit::pair::Router::logs)
            .collect();
        format!("{why}\n{logs}")
    };

    session.reset_gap();
    pair.routers[0].lose_power(&pair.switch)?;
    pair.wait_master(1, ELECTION)?;
    let crash = session
        .wait_alive(ELECTION)
        .map_err(|why| logs(&pair, why))?;

    session.reset_gap();
    pair.routers[0].boot(&pair.switch, programs)?;
    pair.wait_master(0, ELECTION)?;
    let back = session
        .wait_alive(ELECTION)
        .map_err(|why| logs(&pair, why))?;
    pair.wait_replicated(1, ELECTION)?;

    session.reset_gap();
    pair.routers[0].stop()?;
    pair.wait_master(1, ELECTION)?;
    let stop = session
        .wait_alive(ELECTION)
        .map_err(|why| logs(&pair, why))?;
    drop(session);
    pair.routers[1].stop()?;
    let s = |d: Duration| d.as_secs_f64();
    Ok(format!(
        "silence {:.2} s at the crash, {:.2} s at the return, {:.2} s at the stop",
        s(crash),
        s(back),
        s(stop)
    ))
}
