//! The program from outside, without rights: texts, exit codes, lock file, control socket.
#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

static PROGRAM: LazyLock<String> =
    LazyLock::new(|| testkit::sut::ours(env!("CARGO_BIN_EXE_conntrackd")));

fn run(args: &[&str]) -> Output {
    Command::new(&*PROGRAM)
        .args(args)
        .output()
        .expect("the program runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The last line on stderr without date and pid.
fn last_error(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().last().unwrap_or_default();
    line.split_once(") ")
        .map_or(line, |(_, rest)| rest)
        .to_owned()
}

/// A directory of its own with an idle daemon's configuration.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("conntrackd-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn config(&self) -> String {
        let path = self.path("conntrackd.conf");
        let text = format!(
            "General {{\n LockFile {0}/lock\n LogFile {0}/log\n UNIX {{ Path {0}/ctl\n }}\n}}\n",
            self.0.display()
        );
        fs::write(&path, text).expect("a configuration");
        path.display().to_string()
    }

    fn ask(&self, args: &[&str]) -> Output {
        let config = self.config();
        let mut words = vec!["-C", config.as_str()];
        words.extend(args);
        run(&words)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{what} did not happen"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn start(place: &Place, args: &[&str]) -> Child {
    let config = place.config();
    Command::new(&*PROGRAM)
        .args(["-C", &config])
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the daemon starts")
}

#[test]
fn usage_and_version_are_the_recorded_texts() {
    let usage = run(&["-h"]);
    assert_eq!(usage.status.code(), Some(0));
    let golden = include_str!("../../testdata/golden/conntrackd/usage.txt");
    assert_eq!(stdout(&usage), golden.replace("ARGV0", &PROGRAM));
    let version = run(&["-v"]);
    assert_eq!(version.status.code(), Some(0));
    assert_eq!(
        stdout(&version),
        include_str!("../../testdata/golden/conntrackd/version.txt")
    );
}

#[test]
fn errors_have_the_originals_words_and_codes() {
    for (args, code, text) in [
        (&["bogus"][..], 0, "[ERROR] Unknown option: bogus"),
        (&["-d", "-s"], 1, "[ERROR] Invalid parameters"),
        (
            &["-s", "zz"],
            1,
            "[ERROR] unknown parameter `zz' for option `-s'",
        ),
        (
            &["-C", "/nonexistent/x", "-s"],
            1,
            "[ERROR] can't open config file `/nonexistent/x'",
        ),
        (
            &["-C", "/nonexistent/x"],
            1,
            "[ERROR] can't open config file `/nonexistent/x'",
        ),
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert_eq!(last_error(&output), text, "{args:?}");
    }
}

#[test]
fn without_a_daemon_the_client_says_so() {
    let place = Place::new("nobody");
    let output = place.ask(&["-s"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        last_error(&output),
        "[ERROR] can't connect: is conntrackd running? appropriate permissions?"
    );
}

#[test]
fn a_syntax_error_ends_daemon_and_client() {
    let place = Place::new("syntax");
    let path = place.path("bad.conf");
    fs::write(&path, "Sync {\n UDP { Interface eth*\n }\n}\n").expect("a file");
    for args in [&["-s"][..], &[]] {
        let mut words = vec!["-C", path.to_str().expect("a path")];
        words.extend(args);
        let output = run(&words);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            last_error(&output),
            "[ERROR] parsing config file in line (2), symbol '*': syntax error"
        );
    }
}

#[test]
fn a_daemon_holds_its_lock_answers_and_leaves_nothing_behind() {
    let place = Place::new("life");
    let mut daemon = start(&place, &[]);
    wait_for("the control socket", || {
        place.path("ctl").exists() && place.ask(&["-s", "runtime"]).status.success()
    });
    assert_eq!(fs::metadata(place.path("lock")).expect("a lock").len(), 0);
    let mode = |name: &str| {
        fs::metadata(place.path(name))
            .expect("a file")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(
        (mode("lock"), mode("ctl"), mode("log")),
        (0o600, 0o600, 0o600)
    );

    let runtime = stdout(&place.ask(&["-s", "runtime"]));
    assert!(
        runtime.starts_with("daemon uptime: 0 min\n\nnetlink stats:\n"),
        "{runtime}"
    );
    // What it does not know is answered with nothing, and that is a success.
    let nothing = place.ask(&["-s"]);
    assert_eq!(
        (nothing.status.code(), stdout(&nothing)),
        (Some(0), String::new())
    );

    let second = place.ask(&[]);
    assert_eq!(second.status.code(), Some(1));
    assert_eq!(
        last_error(&second),
        format!(
            "[ERROR] lockfile `{}' exists, perhaps conntrackd already running?",
            place.path("lock").display()
        )
    );

    // A client that asks nothing holds nobody up.
    let silent = UnixStream::connect(place.path("ctl")).expect("a connection");
    let mut half = UnixStream::connect(place.path("ctl")).expect("a connection");
    half.write_all(&[21, 0]).expect("two bytes");
    assert!(place.ask(&["-s", "runtime"]).status.success());
    drop((silent, half));

    assert_eq!(place.ask(&["-k"]).status.code(), Some(0));
    assert_eq!(daemon.wait().expect("its end").code(), Some(0));
    assert!(!place.path("lock").exists() && !place.path("ctl").exists());
    let log = fs::read_to_string(place.path("log")).expect("a log");
    let texts: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split_once("] ")?.1.split_once("] "))
        .map(|x| x.1)
        .collect();
    let known: Vec<&str> = texts
        .into_iter()
        // Without the right to real-time scheduling there is a warning; the second daemon's refusal is tested above.
        .filter(|t| !t.starts_with("scheduler configuration failed") && !t.starts_with("lockfile"))
        .collect();
    assert_eq!(
        known,
        [
            "initialization completed",
            "-- starting in console mode --",
            "---- shutdown received ----"
        ]
    );
}

#[test]
fn in_the_background_the_parent_ends_when_the_daemon_is_ready() {
    let place = Place::new("background");
    let mut parent = start(&place, &["-d"]);
    assert_eq!(parent.wait().expect("its end").code(), Some(0));
    assert!(place.path("lock").exists() && place.path("ctl").exists());
    assert!(place.ask(&["-s", "runtime"]).status.success());
    assert!(place.ask(&["-k"]).status.success());
    wait_for("the end", || !Path::new(&place.path("lock")).exists());
    let log = fs::read_to_string(place.path("log")).expect("a log");
    assert!(log.contains("-- starting in daemon mode --"), "{log}");
}
