//! net-snmp's agents and tools around a daemon under test.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use testkit::need;
use testkit::node::{Node, Process};

/// Where the master agent answers.
const AGENT: &str = "127.0.0.1:1161";
/// Where notifications are heard.
const HEARS: &str = "127.0.0.1:1162";
/// Below it lie the daemon's own objects.
const KEEPALIVED: &str = ".1.3.6.1.4.1.9586.100.5";
/// A notification that no daemon sends.
const LAST: &str = ".1.3.6.1.4.1.9586.99.1";

/// Whether net-snmp is here; if not, the test is skipped.
pub(super) fn installed(test: &str) -> bool {
    let missing = |program: &&&str| {
        let places = ["/usr/sbin", "/usr/bin"].map(|p| Path::new(p).join(program));
        !places.iter().any(|p| p.exists())
    };
    match ["snmpd", "snmpwalk", "snmptrapd"].iter().find(missing) {
        Some(absent) => {
            need::skip(test, &format!("it needs {absent}"));
            false
        }
        None => true,
    }
}

/// Asks the master agent.
pub(super) fn tool(node: &Node, program: &str, more: &[&str]) -> String {
    let mut argv = vec![
        program, "-m", "", "-v2c", "-c", "public", "-On", "-t", "5", AGENT,
    ];
    argv.extend_from_slice(more);
    // An answer that is an error ends the tool with an error.
    let mut command = vec!["sh", "-c", "\"$@\" 2>&1 || :", "sh"];
    command.extend_from_slice(&argv);
    node.check(&command).unwrap()
}

/// A master agent at `master` in the node's folder, and who hears its notifications.
pub(super) struct Agents {
    snmpd: Process,
    trapd: Process,
}

impl Agents {
    /// Both, when they are ready.
    pub(super) fn start(node: &Node, end: Instant) -> Self {
        let file = |name: &str| node.dir().join(name).display().to_string();
        let master = format!(
            "master agentx\nagentXSocket unix:{}\nrwcommunity public\nagentaddress udp:{AGENT}\ntrap2sink {HEARS} public\n",
            file("master")
        );
        fs::write(file("snmpd.conf"), master).unwrap();
        let hears = [
            "snmptrapd",
            "-f",
            "-m",
            "",
            "-C",
            "--disableAuthorization=yes",
            "-On",
            "-Lo",
            "-F",
            "%v\n",
            "udp:127.0.0.1:1162",
        ];
        let (conf, pid) = (file("snmpd.conf"), file("snmpd.pid"));
        let answers = [
            "snmpd", "-f", "-m", "", "-C", "-c", &conf, "-Lo", "-p", &pid,
        ];
        let trapd = node.spawn("traps", &hears).unwrap();
        // The agent says once that it has started, whether anybody listens or not.
        while !node.check(&["ss", "-uln"]).unwrap().contains(HEARS) {
            assert!(Instant::now() < end, "{}", trapd.output());
            std::thread::sleep(Duration::from_millis(10));
        }
        let agents = Self {
            trapd,
            snmpd: node.spawn("snmpd", &answers).unwrap(),
        };
        while !Path::new(&file("master")).exists() || !agents.trapd.output().contains("3.1.1.5.1") {
            let said = (agents.snmpd.output(), agents.trapd.output());
            assert!(Instant::now() < end, "{said:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        agents
    }

    /// The notifications of a daemon that has ended that contain one of these texts, without their times, as they came.
    pub(super) fn traps(&self, node: &Node, end: Instant, of: &[&str]) -> Vec<String> {
        // The agent forgets a sub-agent when it has read all it said. A notification of our own comes behind its last one.
        while !tool(node, "snmpwalk", &[KEEPALIVED]).contains("No Such Object") {
            assert!(Instant::now() < end, "{}", self.snmpd.output());
        }
        let last = [
            "snmptrap", "-m", "", "-v2c", "-c", "public", HEARS, "0", LAST,
        ];
        node.check(&last).unwrap();
        while !self.trapd.output().contains(LAST) {
            assert!(Instant::now() < end, "{}", self.trapd.output());
            std::thread::sleep(Duration::from_millis(10));
        }
        let heard = self.trapd.output();
        let own = heard.lines().filter(|l| of.iter().any(|o| l.contains(o)));
        own.map(|l| l.split_once('\t').map_or(l, |l| l.1).to_owned())
            .collect()
    }

    /// The end of both.
    pub(super) fn stop(mut self) {
        let _ = (self.snmpd.stop(), self.trapd.stop());
    }
}

/// The lines that only one of them has.
pub(super) fn difference(theirs: &[String], ours: &[String]) -> String {
    let only = |a: &[String], b: &[String]| {
        let only = a.iter().filter(|l| !b.contains(l));
        only.cloned().collect::<Vec<_>>().join("\n")
    };
    format!(
        "--- only 2.3.3\n{}\n--- only ours\n{}",
        only(theirs, ours),
        only(ours, theirs)
    )
}
