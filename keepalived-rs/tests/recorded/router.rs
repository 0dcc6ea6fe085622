//! The router of the recordings: `eth0` with 192.0.2.1 and 02:00:00:00:00:0a, no IPv6, its files in an empty file system
//! of its own.

use std::fs;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use testkit::link::cable;
use testkit::log_lines;
use testkit::node::{Node, Process};
use testkit::sut;

/// An election takes 3 to 4 adverts of a second; the rest is for a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// What recordings have, and what stands for it here, where only the second is ours to fill.
const PATHS: [(&str, &str); 2] = [("/etc/keepalived", "/mnt/ka"), ("/tmp/", "/mnt/tmp/")];

/// Beginnings of lines that are the program's or the machine's own.
const OWN: &[&str] = &[
    "Starting Keepalived",
    "Running on Linux",
    "Command line:",
    "Stopped",
    "CPU usage",
    "WARNING - keepalived was built for",
    "Registering gratuitous",
    // The loader's.
    "ERROR: ld.so",
    "Script user",
    // The second line of the command line.
    "              '",
    // Ours names the module that is missing.
    "IPVS: is the kernel module",
    "Assigned address fe80",
    "Printing",
];

/// Writes down what it was called with, and its environment at the first call.
const SCRIPT: &str = "#!/bin/sh\nline=ARGV\nfor word in \"$0\" \"$@\"; do line=\"$line [$word]\"; done\n\
    [ -e /mnt/tmp/env ] || env > /mnt/tmp/env\necho \"$line\" >> /mnt/tmp/scripts\n";

pub(crate) struct Router {
    pub(crate) node: Node,
    dir: PathBuf,
    daemon: Option<Process>,
}

pub(crate) fn recorded(file: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/replay/keepalived/live");
    let path = dir.join(file);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

impl Router {
    /// The router `a` or `b` of a recording, with its files and no link yet.
    pub(crate) fn new(name: &str, letter: char) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("recorded-{name}-{}", std::process::id()));
        // Process numbers come again in guests: what an earlier run has left is not this one's.
        let node_dir = dir.join(letter.to_string());
        if node_dir.exists() {
            fs::remove_dir_all(&node_dir).unwrap();
        }
        let node = Node::new(&letter.to_string(), &dir).unwrap();
        node.call(files).unwrap();
        quiet(&node);
        Self {
            node,
            dir,
            daemon: None,
        }
    }

    /// A machine beside it that has no daemon.
    pub(crate) fn neighbour(&self) -> Node {
        let node = Node::new("n", &self.dir).unwrap();
        quiet(&node);
        node
    }

    /// Gives it the link `eth0` or `eth1` to another machine's link of the same name.
    pub(crate) fn connect(&self, other: &Node, link: &'static str) {
        cable(&self.node, link, other, link).unwrap();
    }

    /// Gives a link the addresses that it has in the recordings.
    pub(crate) fn address(&self, link: &'static str) {
        let number = if self.node.name() == "a" { 1 } else { 2 };
        let second = u8::from(link == "eth1");
        let mac = format!("02:00:00:{second:02x}:00:{:02x}", 9 + number);
        self.node
            .check(&["ip", "link", "set", link, "address", &mac])
            .unwrap();
        let address = IpAddr::from([192, 0, 2 + second, number]);
        self.node
            .net(move |net| net.address(link, address, 24))
            .unwrap();
    }

    /// Runs a line of shell in the router.
    pub(crate) fn sh(&self, line: &str) -> String {
        self.node.check(&["sh", "-c", line]).unwrap()
    }

    /// A file of the router, empty if it is not there.
    pub(crate) fn read(&self, path: &str) -> String {
        let path = path.to_owned();
        let read = move || fs::read_to_string(path).unwrap_or_default();
        self.node.call(read).unwrap()
    }

    /// Writes the configuration as it was recorded.
    pub(crate) fn configure(&self, text: &str) {
        let text = ours(text);
        let write = move || fs::write("/mnt/ka/keepalived.conf", text);
        self.node.call(write).unwrap().unwrap();
    }

    pub(crate) fn start(&mut self, env: &[&str], options: &[&str]) {
        let mut argv = vec!["env", "-i", "HOME=/root", "TERM=xterm", "TMPDIR=/mnt/tmp"];
        argv.push("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        argv.extend(env);
        let program = sut::ours(env!("CARGO_BIN_EXE_keepalived"));
        argv.push(&program);
        argv.extend(["-n", "-l", "-G", "-D", "-f", "/mnt/ka/keepalived.conf"]);
        argv.extend(options);
        self.daemon = Some(self.node.spawn("log", &argv).unwrap());
    }

    pub(crate) fn wait(&self, what: &str, come: impl Fn(&Self) -> bool) {
        let end = Instant::now() + LIMIT;
        while !come(self) {
            assert!(Instant::now() < end, "{what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn wait_log(&self, line: &str, times: usize) {
        self.wait(line, |r| r.log().matches(line).count() >= times);
    }

    pub(crate) fn log(&self) -> String {
        self.daemon
            .as_ref()
            .map_or_else(String::new, Process::output)
    }

    pub(crate) fn signal(&self, word: &str) {
        let program = sut::ours(env!("CARGO_BIN_EXE_keepalived"));
        let number = self.node.check(&[&program, &format!("--signum={word}")]);
        let number = format!("-{}", number.unwrap().trim());
        let pid = self.daemon.as_ref().unwrap().pid().to_string();
        self.node.check(&["kill", &number, &pid]).unwrap();
    }

    /// What a signal makes it write, once it is there.
    pub(crate) fn dump(&self, word: &str, path: &str) -> String {
        self.signal(word);
        self.wait(path, |r| !r.read(path).is_empty());
        self.read(path)
    }

    /// Stops it, and gives its log.
    pub(crate) fn stop(&mut self) -> String {
        let status = self.daemon.as_mut().unwrap().stop();
        let log = self.log();
        assert!(status.is_some_and(|s| s.success()), "{status:?}\n{log}");
        log
    }

    /// Waits for its end, and gives its log and status.
    pub(crate) fn end(&mut self) -> (String, Option<i32>) {
        let status = self.daemon.as_mut().unwrap().wait(LIMIT);
        (self.log(), status.and_then(|s| s.code()))
    }
}

/// Without IPv6, which would tell of its addresses.
fn quiet(node: &Node) {
    for which in ["all", "default"] {
        let name = format!("net.ipv6.conf.{which}.disable_ipv6");
        node.sysctl(&name, "1").unwrap();
    }
}

/// In the router's own mount namespace.
fn files() {
    let none: Option<&str> = None;
    mount(
        none,
        "/mnt",
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=755"),
    )
    .unwrap();
    for dir in ["/mnt/ka", "/mnt/tmp"] {
        fs::create_dir(dir).unwrap();
    }
    fs::write("/mnt/ka/notify.sh", SCRIPT).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions("/mnt/ka/notify.sh", mode).unwrap();
}

/// A recorded text with the paths of here.
fn ours(text: &str) -> String {
    let with = |text: String, (theirs, ours): &(&str, &str)| text.replace(theirs, ours);
    PATHS.iter().fold(text.to_owned(), with)
}

/// A text of ours with the paths of the recordings.
pub(crate) fn theirs(text: &str) -> String {
    let with = |text: String, (theirs, ours): &(&str, &str)| text.replace(ours, theirs);
    PATHS.iter().fold(text.to_owned(), with)
}

/// The lines of the parent, and those of its child.
pub(crate) fn lines(log: &str) -> [Vec<String>; 2] {
    let log = theirs(log);
    let lines = log.lines().map(log_lines::plain);
    let lines = lines.filter(|l| !OWN.iter().any(|o| l.starts_with(o)));
    let (parent, child) = lines.partition(|l| log_lines::of_parent(l));
    [parent, child]
}

/// Fails with both texts.
#[track_caller]
pub(crate) fn same(what: &str, ours: &[String], recorded: &[String]) {
    assert!(
        ours == recorded,
        "{what}: recorded\n{}\n--- ours\n{}",
        recorded.join("\n"),
        ours.join("\n")
    );
}

/// A dump without what is another in every run: the digits of times, descriptors and indexes.
pub(crate) fn dump_lines(text: &str) -> Vec<String> {
    let chance = [
        "Last transition",
        "Read timeout",
        "fd_in",
        "index =",
        "Last advert sent",
    ];
    let line = |line: &str| match chance.iter().find(|c| line.contains(**c)) {
        Some(word) => (*word).to_owned(),
        None => line.to_owned(),
    };
    // A build without D-Bus says nothing of it.
    let built = |line: &&str| cfg!(feature = "dbus") || !line.starts_with(" DBus ");
    theirs(text).lines().filter(built).map(line).collect()
}

/// Times and counters of a JSON dump are those of a moment.
pub(crate) fn json_lines(text: &str) -> Vec<String> {
    let pieces = text.trim().split(",\"").map(|piece| {
        let (name, _) = piece.split_once(':').unwrap_or((piece, ""));
        let chance = ["last_transition", "advert_sent", "advert_rcvd"];
        let name = name.trim_matches('"');
        if chance.contains(&name) {
            name.to_owned()
        } else {
            piece.to_owned()
        }
    });
    pieces.collect()
}

/// A mail server at 127.0.0.1:25 that keeps what it is told, line by line as in the recordings, dates left out.
pub(crate) fn mail_server(node: &Node) -> Arc<Mutex<Vec<String>>> {
    let talks = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&talks);
    let listener = node.call(|| TcpListener::bind("127.0.0.1:25").unwrap());
    let listener = listener.unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || {
                let said = talk(&stream);
                kept.lock().unwrap().push(said);
            });
        }
    });
    talks
}

fn talk(mut stream: &TcpStream) -> String {
    use std::io::{BufRead as _, BufReader, Write as _};
    let mut said = String::from("S: 220 stub.example ESMTP\n");
    let mut reader = BufReader::new(stream);
    let (mut line, mut data) = (String::new(), false);
    // A client that hangs up has said what it had to say.
    let _gone = stream.write_all(b"220 stub.example ESMTP\r\n");
    while reader.read_line(&mut line).is_ok_and(|n| n > 0) {
        let text = line.replace("\r\n", "<CR>\n");
        // The date is that of the moment, the name that of the machine.
        let own = match text.get(..5) {
            Some("Date:") if data => "Date:\n",
            Some("HELO ") if !data => "HELO\n",
            _ => &text,
        };
        said += &format!("C: {own}");
        let answer = match line.as_str() {
            "DATA\r\n" => "354 go ahead",
            ".\r\n" => "250 queued",
            "QUIT\r\n" => "221 bye",
            _ if data => "",
            _ => "250 ok",
        };
        data = answer.starts_with('3') || (data && answer.is_empty());
        if !answer.is_empty() {
            said += &format!("S: {answer}\n");
            let _gone = stream.write_all(format!("{answer}\r\n").as_bytes());
        }
        line.clear();
    }
    said
}

/// The recorded conversations that came to their end, sorted.
pub(crate) fn conversations(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for talk in text.split("--- connection ").skip(1) {
        let (_, talk) = talk.split_once('\n').unwrap();
        let talk = talk.replace("(client closed)\n", "");
        let mut said = String::new();
        for line in talk.lines() {
            let own = ["C: Date:", "C: HELO"];
            let own = own.iter().find(|o| line.starts_with(**o));
            said += own.unwrap_or(&line);
            said.push('\n');
        }
        if said.contains("QUIT") {
            all.push(said);
        }
    }
    all.sort();
    all
}
