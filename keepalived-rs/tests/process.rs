//! The built program as a process: exit statuses, texts, pid files, signals, scripts.
//!
//! Everything lies in a directory of its own and nothing needs root or a network namespace: the configurations have no VRRP instance.
//! Expected texts and statuses were taken from keepalived 2.3.3.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy spares only functions marked as tests"
)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

static BIN: LazyLock<String> =
    LazyLock::new(|| testkit::sut::ours(env!("CARGO_BIN_EXE_keepalived")));

/// For a line of the log; nothing takes more than seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// A directory with a configuration file, removed at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str, conf: &str) -> Self {
        let dir =
            std::env::temp_dir().join(format!("keepalived-process-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let place = Self(dir);
        fs::write(place.path("k.conf"), conf).unwrap();
        place
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&*BIN);
        command
            .args(["-f", &self.path("k.conf"), "-p", &self.path("k.pid")])
            .args(["-r", &self.path("v.pid"), "-c", &self.path("c.pid")])
            .args(["-b", &self.path("b.pid")])
            .args(args)
            .env("TMPDIR", &self.0)
            .stdin(Stdio::null());
        command
    }

    /// Starts the daemon in the foreground with its log on stderr.
    fn start(&self, args: &[&str]) -> Daemon {
        let mut child = self
            .command(&["-n", "-l", "-G"])
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = read(child.stderr.take().unwrap());
        Daemon { child, lines }
    }
}

/// Someone else reads, so that a line that never comes is a failure and not a wait for ever.
fn read(log: ChildStderr) -> Receiver<String> {
    let (tell, lines) = channel();
    std::thread::spawn(move || {
        BufReader::new(log)
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| tell.send(line))
    });
    lines
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running daemon and its log.
struct Daemon {
    child: Child,
    lines: Receiver<String>,
}

impl Daemon {
    /// The next log line without its time; `None` at the end.
    fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(LIMIT) {
            // `Sun Nov 22 15:43:03 2026: text`
            Ok(line) => line.get(26..).map(|text| text.trim_end().to_owned()),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the log says nothing for {LIMIT:?}"),
        }
    }

    /// Reads on until a line contains `text`.
    fn until(&mut self, text: &str) -> String {
        let end = Instant::now() + LIMIT;
        let mut before = Vec::new();
        while Instant::now() < end {
            match self.lines.recv_timeout(end - Instant::now()) {
                Ok(line) if line.contains(text) => {
                    return line.get(26..).unwrap_or_default().trim_end().to_owned();
                }
                Ok(line) => before.push(line),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the log ended before {text:?}: {before:#?}")
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        panic!("{text:?} does not come: {before:#?}");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &pid])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end; the exit status and the rest of the log.
    fn end(mut self) -> (Option<i32>, Vec<String>) {
        let mut rest = Vec::new();
        while let Some(line) = self.line() {
            rest.push(line);
        }
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(output: &Output) -> (Option<i32>, String, String) {
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

const NOTHING: &str = "global_defs {\n router_id x\n}\n";

#[test]
fn what_is_answered_at_once() {
    let run = |args: &[&str]| text(&Command::new(&*BIN).args(args).output().unwrap());
    let (status, out, err) = run(&["--version"]);
    assert_eq!((status, out.as_str()), (Some(0), ""));
    assert!(err.starts_with("Keepalived v2.3.3 (03/30,2025)"), "{err}");
    let (status, out, err) = run(&["--hel"]);
    assert_eq!((status, out.as_str()), (Some(0), ""));
    assert!(err.starts_with("Usage: "), "{err}");
    assert_eq!(
        run(&["--signum=RELOAD"]),
        (Some(0), "1\n".into(), String::new())
    );
    assert_eq!(
        run(&["--signum", "NOPE"]),
        (Some(1), String::new(), "Unknown sigfunc NOPE\n".into())
    );
    assert_eq!(
        run(&["-Z", "--bogus", "a"]),
        (
            Some(1),
            "Unexpected argument(s): a \n".into(),
            "Unknown option -Z\nUnknown option --bogus\n".into()
        )
    );
}

#[test]
fn keywords_of_what_is_not_built_are_unknown() {
    for (word, built) in [
        ("enable_dbus", cfg!(feature = "dbus")),
        ("dbus_service_name a.b", cfg!(feature = "dbus")),
        ("dbus_no_interface_name x", cfg!(feature = "dbus")),
        ("enable_snmp_vrrp", cfg!(feature = "snmp")),
    ] {
        let place = Place::new("built", &format!("global_defs {{\n {word}\n}}\n"));
        let (_, _, err) = text(&place.command(&["-t"]).output().unwrap());
        let keyword = word.split(' ').next().unwrap();
        let told = format!("Unknown keyword '{keyword}'");
        assert_eq!(err.contains(&told), !built, "{word}: {err}");
    }
}

#[test]
fn configuration_test() {
    let place = Place::new("test", "bogus_word\n");
    let (status, out, err) = text(&place.command(&["-t"]).output().unwrap());
    assert_eq!((status, out.as_str()), (Some(5), ""));
    assert!(
        err.starts_with("(Line 1) Unknown keyword 'bogus_word'\n"),
        "{err}"
    );
    // The parts that read the shared copy name the file.
    let named = format!(
        "({}: Line 1) Unknown keyword 'bogus_word'\n",
        place.path("k.conf")
    );
    assert_eq!(err.matches(&named).count(), 3, "{err}");
    assert!(!place.0.join("k.pid").exists());

    let log = place.path("test.log");
    for _ in 0..2 {
        let output = place.command(&[&format!("--config-test={log}")]).output();
        assert_eq!(
            text(&output.unwrap()),
            (Some(5), String::new(), String::new())
        );
    }
    assert_eq!(fs::read_to_string(&log).unwrap(), err.repeat(2));

    fs::write(place.path("k.conf"), NOTHING).unwrap();
    let (status, _, err) = text(&place.command(&["-t"]).output().unwrap());
    assert_eq!((status, err.as_str()), (Some(0), ""));
    fs::remove_file(place.path("k.conf")).unwrap();
    let (status, _, err) = text(&place.command(&["-t"]).output().unwrap());
    let missing = format!("Config files missing '{}'.\n", place.path("k.conf"));
    assert_eq!((status, err), (Some(0), missing));
}

#[test]
fn a_missing_file_ends_the_start() {
    let place = Place::new("missing", "");
    fs::remove_file(place.path("k.conf")).unwrap();
    let mut daemon = place.start(&[]);
    daemon.until("Config files missing");
    let (status, rest) = daemon.end();
    assert_eq!(status, Some(6));
    assert_eq!(rest, ["Stopped Keepalived v2.3.3 (03/30,2025)"]);
}

#[test]
fn start_second_instance_reload_and_stop() {
    let place = Place::new("life", NOTHING);
    let mut daemon = place.start(&["-D"]);
    assert_eq!(
        daemon.line().unwrap(),
        "Starting Keepalived v2.3.3 (03/30,2025)"
    );
    assert!(daemon.line().unwrap().starts_with("Running on Linux "));
    assert!(daemon.line().unwrap().starts_with("Command line: '"));
    daemon.until("Warning - keepalived has no configuration to run");
    let pid = fs::read_to_string(place.path("k.pid")).unwrap();
    assert_eq!(pid, format!("{}\n", daemon.child.id()));
    assert!(!place.0.join("v.pid").exists(), "no child, no pid file");

    let second = place.start(&[]);
    let (status, rest) = second.end();
    assert_eq!(status, Some(0));
    assert_eq!(rest.last().unwrap(), "daemon is already running");

    daemon.signal("HUP");
    daemon.until("Reloading ...");
    // A broken file does not end a running daemon.
    fs::remove_file(place.path("k.conf")).unwrap();
    daemon.signal("HUP");
    daemon.until("Reload failed - continuing with the present configuration");
    // Signals for children that are not there, and signals nobody asked for.
    for signal in ["USR2", "QUIT", "ALRM", "PIPE"] {
        daemon.signal(signal);
    }
    let json = linux_io::signal::Signal::realtime(2).unwrap().number();
    daemon.signal(&json.to_string());
    daemon.signal("USR1");
    daemon.until("Printing parent data for process(");
    daemon.signal("TERM");
    daemon.until("Stopping");
    let (status, rest) = daemon.end();
    assert_eq!(status, Some(0));
    assert_eq!(rest.len(), 2, "{rest:?}");
    assert!(
        rest.first()
            .unwrap()
            .starts_with("CPU usage (self/children) user: ")
    );
    assert!(!place.0.join("k.pid").exists());
    let dump = fs::read_to_string(place.path("keepalived_parent.data")).unwrap();
    assert!(
        dump.starts_with("------< Global definitions >------\n"),
        "{dump}"
    );
    assert!(dump.contains("\n Router ID = x\n"), "{dump}");
}

#[test]
fn scripts_of_start_and_stop() {
    let place = Place::new("scripts", "");
    let out = place.path("out");
    let script = place.path("script");
    fs::write(
        &script,
        format!("#!/bin/sh\necho \"$@\" >> {out}\nexit 3\n"),
    )
    .unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&script, mode).unwrap();
    let user = linux_io::users::user_by_uid(linux_io::users::uid())
        .unwrap()
        .unwrap()
        .name;
    fs::write(
        place.path("k.conf"),
        format!(
            "global_defs {{\n router_id x\n script_user {user}\n startup_script \"{script} up 'a b'\"\n shutdown_script \"{script} down\"\n}}\n"
        ),
    )
    .unwrap();
    let mut daemon = place.start(&["-D"]);
    assert_eq!(
        daemon.until("Running startup script"),
        format!("Running startup script {script}")
    );
    assert_eq!(
        daemon.until("startup script script"),
        "startup script script failed, status 3"
    );
    daemon.until("has no configuration to run");
    daemon.signal("INT");
    daemon.until("Running shutdown script");
    assert_eq!(
        daemon.until("shutdown script script"),
        "shutdown script script failed, status 3"
    );
    assert_eq!(daemon.end().0, Some(0));
    assert_eq!(fs::read_to_string(out).unwrap(), "up a b\ndown\n");
}

#[test]
fn the_new_configuration_is_tested_first() {
    let place = Place::new("check", "");
    let log = place.path("check.log");
    let conf = format!("global_defs {{\n router_id x\n reload_check_config {log}\n}}\n");
    fs::write(place.path("k.conf"), &conf).unwrap();
    let mut daemon = place.start(&["-D"]);
    daemon.until("has no configuration to run");
    fs::write(place.path("k.conf"), format!("{conf}bogus_word\n")).unwrap();
    daemon.signal("HUP");
    assert_eq!(
        daemon.until("New config"),
        format!("New config failed validation, see {log} for details")
    );
    let told = fs::read_to_string(&log).unwrap();
    assert!(told.contains("Unknown keyword 'bogus_word'"), "{told}");
    fs::write(place.path("k.conf"), &conf).unwrap();
    daemon.signal("HUP");
    daemon.until("Reloading ...");
    daemon.signal("TERM");
    assert_eq!(daemon.end().0, Some(0));
}

#[cfg(not(feature = "snmp"))]
#[test]
fn an_option_of_a_part_that_is_not_built_is_told() {
    let place = Place::new("unbuilt", NOTHING);
    let mut daemon = place.start(&["-x"]);
    daemon.until("WARNING - option -x, --snmp: not in this build");
    daemon.signal("TERM");
    assert_eq!(daemon.end().0, Some(0));
}

#[test]
fn the_log_file_has_its_own_layout() {
    let place = Place::new("logfile", NOTHING);
    let log = place.path("k.log");
    let mut daemon = place.start(&[&format!("--log-file={log}")]);
    daemon.until("has no configuration to run");
    daemon.signal("TERM");
    assert_eq!(daemon.end().0, Some(0));
    let text = fs::read_to_string(&log).unwrap();
    let first = text.lines().next().unwrap();
    // `Sun Nov 22 17:10:25.845971353 2026: Starting …`
    assert!(
        first.ends_with(" Starting Keepalived v2.3.3 (03/30,2025)"),
        "{first}"
    );
    assert_eq!(first.as_bytes().get(19), Some(&b'.'), "{first}");
    assert!(text.ends_with("Stopped Keepalived v2.3.3 (03/30,2025)\n"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&log).unwrap().permissions());
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn in_the_background() {
    let place = Place::new("background", NOTHING);
    // The standard descriptors of the daemon are not ours any more: what it holds of them closes when the parent has gone.
    let (ours, theirs) = UnixStream::pair().unwrap();
    let theirs: std::os::fd::OwnedFd = theirs.into();
    let status = place
        .command(&["-G"])
        .stdout(Stdio::from(theirs))
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let mut end = Vec::new();
    std::io::Read::read_to_end(&mut &ours, &mut end).unwrap();
    assert!(end.is_empty());
    // The number comes a moment after the parent has gone.
    let pid = loop {
        let text = fs::read_to_string(place.path("k.pid")).unwrap_or_default();
        if text.ends_with('\n') {
            break text.trim().to_owned();
        }
        std::thread::yield_now();
    };
    let dir = fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
    assert_eq!(dir, PathBuf::from("/"));
    assert_eq!(
        fs::read_link(format!("/proc/{pid}/fd/1")).unwrap(),
        PathBuf::from("/dev/null")
    );
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    while place.0.join("k.pid").exists() {
        std::thread::yield_now();
    }
}

#[test]
fn a_reload_at_the_time_that_a_file_tells() {
    let place = Place::new("reload-at", "");
    let file = place.path("at");
    let conf = format!("global_defs {{\n router_id x\n reload_time_file {file}\n}}\n");
    fs::write(place.path("k.conf"), conf).unwrap();
    let mut daemon = place.start(&[]);
    daemon.until("has no configuration to run");
    fs::write(&file, "25:00:00\n").unwrap();
    daemon.until("Reload date/time 25:00:00 invalid - ignoring");
    daemon.until("Invalid reload time '25:00:00' specified - ignoring");
    fs::write(&file, "2100-01-01 00:00:00\n").unwrap();
    let line = daemon.until("Scheduling reload for");
    assert_eq!(line, "Scheduling reload for 2100-01-01 00:00:00");
    daemon.signal("USR1");
    daemon.until("Printing parent data");
    let soon = Command::new("date").args(["+%s"]).output().unwrap().stdout;
    let soon: u64 = String::from_utf8_lossy(&soon).trim().parse().unwrap();
    let date = |format: &str| {
        let at = format!("@{}", soon + 2);
        let output = Command::new("date").args(["-d", &at, format]).output();
        String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
    };
    fs::write(&file, date("+%Y-%m-%d %H:%M:%S")).unwrap();
    daemon.until("Reload time updated from 2100-01-01 00:00:00 to ");
    // The dump was written while the first time stood.
    let dump = fs::read_to_string(place.path("keepalived_parent.data")).unwrap();
    let expected = format!(
        " Reload time file = {file}\n Reload scheduled for 2100-01-01 00:00:00 (date specified\n"
    );
    assert!(dump.contains(&expected), "{dump}");
    daemon.until("Reloading ...");
    assert!(!fs::exists(&file).unwrap());
    daemon.signal("TERM");
    assert_eq!(daemon.end().0, Some(0));
}

#[test]
fn configurations_are_kept() {
    let place = Place::new("kept", "");
    let (saved, tmp) = (place.path("saved"), place.path(""));
    let conf = format!(
        "global_defs {{\n router_id x # why\n config_save_dir {saved}/\n tmp_config_directory {tmp}\n}}\n"
    );
    fs::write(place.path("k.conf"), conf).unwrap();
    let mut daemon = place.start(&[]);
    daemon.until("has no configuration to run");
    let pid = daemon.child.id();
    daemon.signal("HUP");
    daemon.until("Reloading ...");
    daemon.signal("TERM");
    assert_eq!(daemon.end().0, Some(0));
    for n in 0..2 {
        let text = fs::read_to_string(format!("{saved}/keepalived.conf.{pid}.{n}")).unwrap();
        assert!(
            text.contains("router_id x\n") && !text.contains("why"),
            "{text}"
        );
    }
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&saved).unwrap().permissions());
    assert_eq!(mode & 0o7777, 0o700);
}

#[test]
fn scripts_get_no_descriptor_and_no_trap() {
    let place = Place::new("clean", "");
    let (script, out) = (place.path("s.sh"), place.path("out"));
    // The shell itself opens the file that it reads as 10 or higher.
    let text = format!(
        "#!/bin/sh\nexec > {out}\nenv\nfor n in 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$n ] && echo OPEN $n; done\necho end\n"
    );
    fs::write(&script, text).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&script, mode).unwrap();
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    let user = String::from_utf8_lossy(&user).trim().to_owned();
    let conf = format!(
        "global_defs {{\n router_id x\n script_user {user}\n startup_script {script}\n reload_time_file {out}.at\n}}\n"
    );
    fs::write(place.path("k.conf"), conf).unwrap();
    let mut command = place.command(&["-n", "-l", "-G", "-D"]);
    command
        .env("LD_LIBRARY_PATH", "/nonexistent")
        .env("HA", "yes");
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = read(child.stderr.take().unwrap());
    let mut daemon = Daemon { child, lines };
    daemon.until("startup script script succeeded");
    daemon.until("has no configuration to run");
    daemon.signal("TERM");
    assert_eq!(daemon.end().0, Some(0));
    let told = fs::read_to_string(&out).unwrap();
    assert!(
        told.contains("HA=yes\n") && told.ends_with("end\n"),
        "{told}"
    );
    assert!(
        !told.contains("LD_LIBRARY_PATH") && !told.contains("OPEN"),
        "{told}"
    );
}
