//! A daemon of either make, and what is looked at.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::need;
use testkit::node::{Node, Process};
use testkit::sut::{Make, Programs};

const LIMIT: Duration = Duration::from_secs(20);

/// A node, and the daemon on it once it is started.
pub(crate) struct Life<'a> {
    pub(crate) node: Node,
    make: Make,
    programs: &'a Programs,
    dir: &'a Path,
    daemon: Option<Process>,
}

impl Life<'_> {
    /// Runs a command line without quotes.
    pub(crate) fn sh(&self, line: &str) -> String {
        let argv: Vec<&str> = line.split_whitespace().collect();
        let make = self.make;
        let result = self.node.check(&argv);
        result.unwrap_or_else(|e| panic!("{make:?}: {line}: {e}\n{}", self.log()))
    }

    /// Waits until an interface carries: the kernel looks some time after the other end has come up.
    pub(crate) fn carries(&self, name: &str) {
        let show = format!("ip -o link show {name}");
        self.wait(name, || self.sh(&show).contains("state UP"));
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.make == Make::Ours
    }

    pub(crate) fn configure(&self, text: &str) {
        let conf = self.node.dir().join("k.conf");
        fs::write(self.node.dir().join("new"), text).unwrap();
        fs::rename(self.node.dir().join("new"), conf).unwrap();
    }

    pub(crate) fn start(&mut self, text: &str) {
        self.configure(text);
        if self.make == Make::Original {
            self.programs.enter_original(&self.node, self.dir).unwrap();
        }
        let conf = self.node.dir().join("k.conf").display().to_string();
        let args = ["-n", "-l", "-D", "-G", "-f", &conf];
        let tmp = format!("TMPDIR={}", self.node.dir().display());
        let argv = self.programs.argv(self.make, "keepalived", &args);
        let mut words = vec!["env", &tmp];
        words.extend(argv.iter().map(String::as_str));
        self.daemon = Some(self.node.spawn("log", &words).unwrap());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.daemon.as_ref().unwrap().signal(signal).unwrap();
    }

    pub(crate) fn stop(&mut self) {
        let _status = self.daemon.as_mut().unwrap().stop();
    }

    pub(crate) fn log(&self) -> String {
        self.daemon
            .as_ref()
            .map_or_else(String::new, Process::output)
    }

    /// Waits until the log has `what` so many times.
    pub(crate) fn until(&self, what: &str, count: usize) {
        let make = self.make;
        self.wait(&format!("{make:?}: {count} times {what}"), || {
            self.log().matches(what).count() >= count
        });
    }

    pub(crate) fn wait(&self, what: &str, mut done: impl FnMut() -> bool) {
        let end = Instant::now() + LIMIT;
        while !done() {
            assert!(Instant::now() < end, "{what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Lines of the log that have one of these in them, without date, in order.
    pub(crate) fn lines(&self, with: &[&str]) -> Vec<String> {
        let log = self.log();
        let lines = log.lines().filter_map(|l| l.get(26..));
        // The command line names the directory, whose name is the test's, and is broken where that makes it long.
        let words = |line: &&str| line.starts_with("Command line:") || line.starts_with("        ");
        lines
            .filter(|line| !words(line))
            .filter(|l| with.iter().any(|w| l.contains(w)))
            .map(str::to_owned)
            .collect()
    }

    /// The data dump.
    pub(crate) fn dump(&self) -> String {
        let before = self.log().matches("Printing VRRP data").count();
        let path = self.node.dir().join("keepalived.data");
        self.signal(Signal::SIGUSR1);
        self.until("Printing VRRP data", before + 1);
        let mut text = String::new();
        // It is written after the line, and is whole when its last section is there.
        self.wait("a dump", || {
            text = fs::read_to_string(&path).unwrap_or_default();
            text.contains("------< Interfaces >------") && text.ends_with('\n')
        });
        fs::remove_file(&path).unwrap();
        text
    }
}

/// Plays it with both and compares what they have to show.
pub(crate) fn beside(test: &'static str, play: impl Fn(&mut Life<'_>) -> Vec<String> + Sync) {
    let Some(root) = need::originals(test).filter(|_| need::root(test)) else {
        return;
    };
    let programs = Programs::of(env!("CARGO_BIN_EXE_keepalived")).with_originals(&root);
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let dir = dir.join(format!("{test}-{}", std::process::id()));
    let [theirs, ours] = std::thread::scope(|scope| {
        [Make::Original, Make::Ours]
            .map(|make| {
                let (programs, dir, play) = (&programs, &dir, &play);
                scope.spawn(move || {
                    let node = Node::new("x", &dir.join(format!("{make:?}"))).unwrap();
                    play(&mut Life {
                        node,
                        make,
                        programs,
                        dir,
                        daemon: None,
                    })
                })
            })
            .map(|t| t.join().unwrap())
    });
    if theirs != ours {
        fs::write(dir.join("theirs"), theirs.join("\n")).unwrap();
        fs::write(dir.join("ours"), ours.join("\n")).unwrap();
    }
    // The first difference says more than two long lists.
    let at = theirs.iter().zip(&ours).take_while(|(t, o)| t == o).count();
    let near = |lines: &[String]| {
        let from = at.saturating_sub(4);
        lines
            .iter()
            .skip(from)
            .take(12)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert!(
        theirs == ours,
        "--- 2.3.3\n{}\n--- ours\n{}",
        near(&theirs),
        near(&ours)
    );
    let _ = fs::remove_dir_all(&dir);
}
