//! The high-availability page on two machines laid out like OpenWrt, first with the originals; half-way ours are installed in
//! their place, on one router and then on the other, while a session goes on.
//!
//! Each machine is the tree of the originals with overlays: busybox, `/var` on `/tmp`, `/etc/config`, `/etc/init.d` with what the
//! packages bring, and a procd that starts and stops what the init scripts say.

use std::path::Path;
use std::time::Duration;

use testkit::node::{Node, Process};
use testkit::pair::Pair;
use testkit::sut::Make;

use super::{Place, makefile, stubs};
use crate::{Result, root};

const ELECTION: Duration = Duration::from_secs(20);
/// In the order of their START numbers, 21 and 70.
const SERVICES: &[&str] = &["conntrackd", "keepalived"];

/// What the page has a reader put into `/etc/config/keepalived`.
const UCI: &str = "\
config globals 'globals'
\toption enabled '1'
\toption alt_config_file '/etc/keepalived/keepalived.conf'
";

pub(super) fn play(place: &Place) -> Result<()> {
    let tree = place
        .programs
        .original_root()
        .ok_or("no originals here")?
        .to_owned();
    let dir = place.scratch.join("page");
    let pair = Pair::build(
        &root().join("testdata/page"),
        &dir,
        place.programs.clone(),
        [Make::Original, Make::Original],
    )?;
    let mut running = Vec::new();
    for router in &pair.routers {
        furnish(place, &router.node, &tree)?;
        running.push(start(&router.node, &tree)?);
    }
    let outcome = swap(place, &pair, &tree, &mut running);
    outcome.map_err(|why| {
        let logs: String = running
            .iter()
            .flatten()
            .map(|p| format!("--\n{}", p.output()))
            .collect();
        format!("{why}{logs}")
    })
}

fn swap(place: &Place, pair: &Pair, tree: &Path, running: &mut [Vec<Process>]) -> Result<()> {
    pair.wait_master(0, ELECTION)?;
    let session = pair.session()?;
    pair.wait_replicated(1, ELECTION)?;
    println!("both routers run the originals; a session is replicated");

    // The backup first, as one upgrades a pair.
    session.reset_gap();
    replace(place, &pair.routers[1].node, tree, running, 1)?;
    client(&pair.routers[1].node, tree, "-n")?;
    pair.wait_replicated(1, ELECTION)?;
    let calm = session.wait_alive(ELECTION)?;
    let statistics = client(&pair.routers[1].node, tree, "-s")?;
    if !statistics.contains("cache external:") {
        return Err(format!("conntrackd -s says\n{statistics}"));
    }
    println!(
        "r2 has ours, asked for the table with -n; silence {:.2} s",
        calm.as_secs_f64()
    );

    session.reset_gap();
    stop(&mut running[0])?;
    pair.wait_master(1, ELECTION)?;
    let over = session.wait_alive(ELECTION)?;
    println!(
        "r1's originals stopped, ours on r2 is master; silence {:.2} s",
        over.as_secs_f64()
    );

    session.reset_gap();
    replace(place, &pair.routers[0].node, tree, running, 0)?;
    pair.wait_master(0, ELECTION)?;
    let back = session.wait_alive(ELECTION)?;
    pair.wait_replicated(1, ELECTION)?;
    println!(
        "r1 has ours and is master again; silence {:.2} s",
        back.as_secs_f64()
    );

    session.reset_gap();
    stop(&mut running[0])?;
    pair.wait_master(1, ELECTION)?;
    let over = session.wait_alive(ELECTION)?;
    println!(
        "r1 stopped, the session lives on r2; silence {:.2} s",
        over.as_secs_f64()
    );
    drop(session);
    stop(&mut running[1])
}

/// Makes the tree, as this machine sees it, one of OpenWrt's.
fn furnish(place: &Place, node: &Node, tree: &Path) -> Result<()> {
    let top = node.dir().join("usr");
    let (keepalived, conntrackd) = (
        makefile::package_root(place, "keepalived-rs"),
        makefile::package_root(place, "conntrackd-rs"),
    );
    let script = format!(
        "set -e
mkdir -p {top}; mount -t tmpfs tmpfs {top}; mkdir {top}/upper {top}/work
mount -t overlay overlay -o lowerdir={tree}/usr,upperdir={top}/upper,workdir={top}/work {tree}/usr
cp \"$(command -v busybox)\" {tree}/usr/bin/busybox
mkdir -p {tree}/tmp/run {tree}/tmp/lock {tree}/tmp/log {tree}/etc/config {tree}/etc/init.d
mount --bind {tree}/tmp {tree}/var
cp {keepalived}/etc/init.d/keepalived {conntrackd}/etc/init.d/conntrackd {tree}/etc/init.d/
cp -r {keepalived}/etc/hotplug.d {keepalived}/etc/keepalived.user {tree}/etc/
cp -r {keepalived}/usr/libexec {tree}/usr/
cp {stubs}/rc.common {tree}/etc/rc.common
cp {stubs}/functions.sh {tree}/usr/lib/functions.sh
cat >{tree}/etc/config/keepalived <<'UCI'
{UCI}UCI
",
        top = top.display(),
        tree = tree.display(),
        keepalived = keepalived.display(),
        conntrackd = conntrackd.display(),
        stubs = stubs().display(),
    );
    node.check(&["sh", "-c", &script]).map(drop)
}

/// Starts what the init scripts want, in their order.
fn start(node: &Node, tree: &Path) -> Result<Vec<Process>> {
    let tree = tree.display().to_string();
    SERVICES
        .iter()
        .map(|service| {
            let script = format!("/etc/init.d/{service}");
            let argv = [
                "chroot",
                &tree,
                "/usr/bin/busybox",
                "ash",
                "/etc/rc.common",
                &script,
                "run",
            ];
            node.spawn(&format!("{service}.log"), &argv)
        })
        .collect()
}

/// Stops the services, the last one first.
fn stop(services: &mut Vec<Process>) -> Result<()> {
    for mut service in services.drain(..).rev() {
        match service.stop() {
            Some(status) if status.success() => {}
            other => {
                return Err(format!(
                    "a service stops with {other:?}\n{}",
                    service.output()
                ));
            }
        }
    }
    Ok(())
}

/// What a package manager does: stop, other files, start.
fn replace(
    place: &Place,
    node: &Node,
    tree: &Path,
    running: &mut [Vec<Process>],
    number: usize,
) -> Result<()> {
    let services = running.get_mut(number).ok_or("there are two routers")?;
    stop(services)?;
    for daemon in SERVICES {
        let package = makefile::package_root(place, &format!("{daemon}-rs"));
        let from = package.join("usr/sbin").join(daemon).display().to_string();
        let to = tree.join("usr/sbin").join(daemon).display().to_string();
        node.check(&["cp", "--remove-destination", &from, &to])?;
    }
    *services = start(node, tree)?;
    // Until it answers.
    let end = std::time::Instant::now() + ELECTION;
    while client(node, tree, "-s").is_err() {
        if std::time::Instant::now() > end {
            return Err("conntrackd does not answer".to_owned());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// conntrackd's client, as a person calls it on the router.
fn client(node: &Node, tree: &Path, option: &str) -> Result<String> {
    let tree = tree.display().to_string();
    node.check(&["chroot", &tree, "/usr/sbin/conntrackd", option])
}
