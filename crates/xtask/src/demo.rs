//! The main job, shown on the terminal: two routers, one fails, the session goes on.

use std::time::{Duration, Instant};

use testkit::node::enter_lab;
use testkit::pair::Pair;
use testkit::session::Session;
use testkit::sut::{Make, OURS, Programs};

use crate::steps::{cargo, run as run_command};
use crate::{Result, install, root, target_dir};

/// Nobody waits longer than this for an election: three adverts of one second, the skew, and a busy machine.
const ELECTION: Duration = Duration::from_secs(20);

pub(crate) fn run(makes: &[&str]) -> Result<()> {
    let makes = match makes {
        [] => [Make::Ours, Make::Ours],
        [a, b] => [make(a)?, make(b)?],
        _ => return Err("name two makes: ours or original".to_owned()),
    };
    println!("building both daemons (the first time takes a minute) …");
    run_command(&mut cargo(&[
        "build",
        "--release",
        "--quiet",
        "-p",
        "keepalived-rs",
        "-p",
        "conntrackd-rs",
    ]))?;
    install::programs(&["ip", "nft", "conntrack"])?;
    let programs = programs(makes.contains(&Make::Original))?;
    enter_lab()?;
    play(programs, makes)
}

fn make(word: &str) -> Result<Make> {
    match word {
        "ours" => Ok(Make::Ours),
        "original" => Ok(Make::Original),
        _ => Err(format!("`{word}` is no make: ours or original")),
    }
}

/// The daemons as built for release, or those that [`OURS`] names, and the originals where they are asked for.
pub(crate) fn programs(with_originals: bool) -> Result<Programs> {
    let folder = std::env::var_os(OURS).map_or_else(|| target_dir().join("release"), Into::into);
    let programs = Programs::new(&folder);
    if with_originals {
        Ok(programs.with_originals(&install::everything()?))
    } else {
        Ok(programs)
    }
}

fn play(programs: Programs, makes: [Make; 2]) -> Result<()> {
    let dir = target_dir().join(format!("demo-{}", std::process::id()));
    println!(
        "two routers, a LAN client, a server on the WAN side; files in {}",
        dir.display()
    );
    let mut pair = Pair::build(&root().join("testdata/page"), &dir, programs, makes)?;
    let clock = Instant::now();
    let programs = pair.programs.clone();
    for router in &mut pair.routers {
        router.start(&programs)?;
    }
    say(clock, "both routers started as backup");
    watch(clock, &pair, None, 4)?;
    pair.wait_master(0, ELECTION)?;
    let session = pair.session()?;
    let seen = session
        .report()
        .seen_as
        .map(|a| a.to_string())
        .unwrap_or_default();
    say(
        clock,
        &format!("a TCP session is open; the server sees the client as {seen}"),
    );
    watch(clock, &pair, Some(&session), 3)?;
    pair.wait_replicated(1, ELECTION)?;

    say(clock, "*** power off on r1, the active router ***");
    session.reset_gap();
    let [active, _] = &mut pair.routers;
    active.lose_power(&pair.switch)?;
    watch(clock, &pair, Some(&session), 5)?;
    let outage = session
        .wait_alive(ELECTION)
        .map_err(|why| explain(&pair, &why))?;
    pair.wait_master(1, ELECTION)?;
    say(
        clock,
        &format!(
            "r2 is master; the same session goes on after {:.2} s of silence",
            outage.as_secs_f64()
        ),
    );

    say(
        clock,
        "*** power on again on r1: it has the higher priority and takes over ***",
    );
    session.reset_gap();
    let [first, _] = &mut pair.routers;
    first.boot(&pair.switch, &programs)?;
    watch(clock, &pair, Some(&session), 7)?;
    pair.wait_master(0, ELECTION)?;
    let back = session
        .wait_alive(ELECTION)
        .map_err(|why| explain(&pair, &why))?;
    say(
        clock,
        &format!(
            "r1 is master again; longest silence on the way {:.2} s",
            back.as_secs_f64()
        ),
    );

    let report = session.report();
    println!(
        "\nThe session survived: {} lines, outage {:.2} s at the power failure, {:.2} s on the way back.",
        report.echoes,
        outage.as_secs_f64(),
        back.as_secs_f64()
    );
    drop(session);
    for router in &mut pair.routers {
        router.stop()?;
    }
    Ok(())
}

fn explain(pair: &Pair, why: &str) -> String {
    let logs: String = pair
        .routers
        .iter()
        .map(testkit::pair::Router::logs)
        .collect();
    format!("{why}\n{logs}")
}

fn say(clock: Instant, what: &str) {
    println!("{:6.1} s  {what}", clock.elapsed().as_secs_f64());
}

/// One line a second: who is master, what the caches hold, how the session does.
fn watch(clock: Instant, pair: &Pair, session: Option<&Session>, seconds: u32) -> Result<()> {
    for _ in 0..seconds {
        std::thread::sleep(Duration::from_secs(1));
        let mut line = String::new();
        for router in &pair.routers {
            let look = router.look(&pair.programs)?;
            let caches = match look.caches {
                Some((internal, external)) => format!("internal {internal} external {external}"),
                None => "no conntrackd".to_owned(),
            };
            line.push_str(&format!(
                "{} {} ({caches})   ",
                router.node.name(),
                look.role()
            ));
        }
        if let Some(session) = session {
            let report = session.report();
            let state = match report.failed {
                Some(why) => format!("DEAD: {why}"),
                None if report.silent > Duration::from_millis(500) => {
                    format!("silent for {:.1} s", report.silent.as_secs_f64())
                }
                None => "alive".to_owned(),
            };
            line.push_str(&format!("session {state}, {} lines", report.echoes));
        }
        say(clock, &line);
    }
    Ok(())
}
