//! What ours and the original say of each configuration that the init script makes: in a configuration test, and in dumps while
//! they run with it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use testkit::node::Node;
use testkit::sut::Make;

use super::{Place, data, inputs, same};
use crate::Result;

/// Long enough for three adverts of one second, the skew, and a busy machine.
const ELECTION: Duration = Duration::from_secs(6);
/// A dump is written in the signal's own turn; this is for a busy machine.
const DUMP: Duration = Duration::from_secs(5);

/// Inputs with virtual servers, for which a kernel without IPVS ends the original: those are only tested, not run.
const NEEDS_IPVS: &[&str] = &["servers"];

const BOTH: [Make; 2] = [Make::Ours, Make::Original];

pub(super) fn check(place: &Place) -> Result<()> {
    let names: Vec<String> = inputs()?
        .into_iter()
        .filter(|name| data(&format!("{name}.conf")).exists())
        .collect();
    let mut runs = Vec::new();
    let machine = router(place, "verdict")?;
    let node = &machine.node;
    for name in &names {
        let mut said = Vec::new();
        for make in BOTH {
            let out = node.run(&words(&place.programs.argv(
                make,
                "keepalived",
                &["-t", "-f", &install(node, name)?],
            )))?;
            let code = out.status.code().unwrap_or(-1);
            let text = String::from_utf8_lossy(&out.stderr).into_owned();
            said.push(format!("exit status {code}\n{text}"));
        }
        same(&format!("{name}: keepalived -t"), &said[0], &said[1])?;
        println!(
            "{name}: keepalived -t: {} and {} messages from both",
            said[0].lines().next().unwrap_or_default(),
            said[0].lines().count().saturating_sub(1)
        );
        // A configuration that ends keepalived gives no dump.
        if !said[0].starts_with("exit status 2") && !NEEDS_IPVS.contains(&name.as_str()) {
            runs.push(name.clone());
        }
    }
    // All of them at once, each in a machine of its own: the waiting is most of it.
    std::thread::scope(|scope| {
        let workers: Vec<_> = runs
            .iter()
            .flat_map(|name| BOTH.map(|make| (name, make)))
            .map(|(name, make)| scope.spawn(move || dumps(place, name, make)))
            .collect();
        let mut results = workers.into_iter().map(|worker| {
            worker
                .join()
                .unwrap_or_else(|_| Err("a run panicked".to_owned()))
        });
        for name in &runs {
            let (Some(ours), Some(original)) = (results.next(), results.next()) else {
                return Err("a run is missing".to_owned());
            };
            let (ours, original) = (ours?, original?);
            for (kind, ours, original) in [
                ("text dump", &ours.text, &original.text),
                ("JSON", &ours.json, &original.json),
            ] {
                same(&format!("{name}: {kind}"), ours, original)?;
            }
            println!(
                "{name}: both run; {} lines of text and {} of JSON are the same",
                ours.text.lines().count(),
                ours.json.lines().count()
            );
        }
        Ok(())
    })
}

/// A machine with the interfaces that the configurations name.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) node: Node,
    /// Holds the other ends of the cables.
    _far: Node,
}

pub(super) fn router(place: &Place, name: &str) -> Result<Router> {
    let node = Node::new(name, &place.scratch)?;
    let far = Node::new(&format!("{name}-far"), &place.scratch)?;
    for (interface, mac, address) in [
        ("br-lan", "02:00:00:00:00:01", "192.168.1.2/24"),
        ("eth0.2", "02:00:00:00:00:02", "192.168.0.2/24"),
    ] {
        testkit::link::cable(&node, interface, &far, interface)?;
        node.check(&["ip", "link", "set", interface, "down"])?;
        node.check(&["ip", "link", "set", interface, "address", mac])?;
        for end in [&node, &far] {
            end.check(&["ip", "link", "set", interface, "up"])?;
        }
        node.check(&["ip", "address", "add", address, "dev", interface])?;
    }
    place.programs.enter_original(&node, node.dir())?;
    if let Some(root) = place.programs.original_root() {
        // Both look up the machine's own name.
        let hosts = root.join("etc/hosts").display().to_string();
        node.check(&["mount", "--bind", &hosts, "/etc/hosts"])?;
    }
    Ok(Router { node, _far: far })
}

fn words(argv: &[String]) -> Vec<&str> {
    argv.iter().map(String::as_str).collect()
}

/// Lays the configuration where both see it.
pub(super) fn install(node: &Node, name: &str) -> Result<String> {
    let file = node.dir().join("keepalived.conf");
    fs::copy(data(&format!("{name}.conf")), &file).map_err(|e| format!("{name}: {e}"))?;
    Ok(file.display().to_string())
}

/// What a running daemon wrote, without what may differ.
struct Dumps {
    text: String,
    json: String,
}

/// Runs one of them and asks for its dumps.
fn dumps(place: &Place, name: &str, make: Make) -> Result<Dumps> {
    let machine = router(place, &format!("{name}-{make:?}").to_lowercase())?;
    let node = &machine.node;
    let file = install(node, name)?;
    let dir = node.dir().display().to_string();
    let mut argv = vec!["env".to_owned(), format!("TMPDIR={dir}")];
    argv.extend(
        place
            .programs
            .argv(make, "keepalived", &["-n", "-l", "-D", "-f", &file]),
    );
    let mut process = node.spawn("log", &words(&argv))?;
    std::thread::sleep(ELECTION);
    let fail = |why: &str| format!("{name}, {make:?}: {why}");
    process.signal(Signal::SIGUSR1)?;
    let text = settled(&node.dir().join("keepalived.data"))
        .ok_or_else(|| fail(&format!("no dump\n{}", process.output())))?;
    // SIGRTMIN+2 of glibc, with which both are linked here.
    let pid = process.pid().to_string();
    node.check(&["kill", "-36", &pid])?;
    let json = node.dir().join("keepalived.json");
    let json = if text.contains("VRRP Instance = ") {
        settled(&json).ok_or_else(|| fail("no JSON"))?
    } else {
        // Without an instance there must be no file.
        std::thread::sleep(Duration::from_millis(500));
        if json.exists() {
            return Err(fail("JSON without an instance"));
        }
        String::new()
    };
    let status = process.stop();
    if status.and_then(|s| s.code()) != Some(0) {
        return Err(fail(&format!("stopped with {status:?}")));
    }
    Ok(Dumps {
        text: text.lines().map(|line| plain(line) + "\n").collect(),
        json: json.split(',').map(|line| plain(line) + "\n").collect(),
    })
}

/// The content of a file that is being written, once it no longer grows.
fn settled(file: &Path) -> Option<String> {
    let end = std::time::Instant::now() + DUMP;
    let mut before = String::new();
    while std::time::Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
        let text = fs::read_to_string(file).unwrap_or_default();
        if !text.is_empty() && text == before {
            return Some(text);
        }
        before = text;
    }
    None
}

/// A line without what differs from run to run, and without the differences that COMPAT.md lists: passwords.
fn plain(line: &str) -> String {
    const DIGITS: &[char] = &['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];
    let cut = |mark: &str| line.find(mark).map(|at| at + mark.len());
    if let Some(at) = cut("Last transition = ").or_else(|| cut("\"last_transition\":")) {
        // A moment, or never.
        let never = line[at..].starts_with("0.0");
        return format!("{}{}", &line[..at], if never { "never" } else { "then" });
    }
    if let Some(at) = cut("Password = ").or_else(|| cut("\"auth_data\":")) {
        return line[..at].to_owned();
    }
    const MOMENTS: &[&str] = &["fd_in", "Read timeout", "Last advert sent", "Last checked"];
    if MOMENTS.iter().any(|mark| line.contains(mark)) {
        return line.replace(DIGITS, "");
    }
    if let Some(at) = cut("\"advert_sent\":") {
        return line[..at].to_owned();
    }
    line.to_owned()
}
