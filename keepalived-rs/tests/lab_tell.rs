//! Whom keepalived tells what, ours side by side with the original: scripts, FIFO lines and mails of one life with a group, a fault, a
//! reload that takes an instance away, and a stop.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use testkit::link::cable;
use testkit::need;
use testkit::node::Node;
use testkit::sut::{Make, Programs};

/// For each step; the rest is for a busy machine.
const LIMIT: Duration = Duration::from_secs(15);

/// What was told in one life.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    /// Of each instance and group in order of their writing. Which of two instances comes first when both are due at the same
    /// moment is no more than chance.
    fifo: BTreeMap<String, Vec<String>>,
    /// Scripts run side by side: sorted.
    scripts: Vec<String>,
    /// Whole conversations, dates left out; sorted.
    mails: Vec<String>,
}

/// A mail server that keeps what it is told.
fn serve(talks: &Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:2525").unwrap();
    let talks = Arc::clone(talks);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let talks = Arc::clone(&talks);
            std::thread::spawn(move || {
                talks.lock().unwrap().push(talk(stream).unwrap_or_default())
            });
        }
    });
}

fn talk(stream: TcpStream) -> std::io::Result<String> {
    (&stream).write_all(b"220 stub.example ESMTP\r\n")?;
    let mut reader = BufReader::new(&stream);
    let (mut said, mut line, mut data) = (String::new(), String::new(), false);
    while reader.read_line(&mut line)? > 0 {
        if !(data && line.starts_with("Date: ")) {
            said.push_str(&line);
        }
        let answer = match line.as_str() {
            "DATA\r\n" => "354 go ahead\r\n",
            ".\r\n" => "250 queued\r\n",
            "QUIT\r\n" => "221 bye\r\n",
            _ if data => "",
            _ => "250 ok\r\n",
        };
        data = answer.starts_with('3') || (data && answer.is_empty());
        (&stream).write_all(answer.as_bytes())?;
        line.clear();
    }
    Ok(said)
}

fn configuration(dir: &Path, third: bool) -> String {
    let dir = dir.display();
    let instance = |n: u8, more: &str| {
        let notifies: String = [
            "master",
            "backup",
            "fault",
            "stop",
            "deleted",
            "master_rx_lower_pri",
        ]
        .iter()
        .map(|what| format!("notify_{what} \"{dir}/notify.sh {what} 'it''s' {n}\"\n"))
        .collect();
        format!(
            "vrrp_instance VI_{n} {{\n state BACKUP\n interface eth{}\n version 3\n virtual_router_id {n}\n priority 150\n advert_int 0.1\n\
             notify {dir}/notify.sh\n{notifies}{more}\nvirtual_ipaddress {{\n 10.9.{n}.1\n }}\n}}\n",
            (n - 1) % 2
        )
    };
    let mut text = format!(
        "global_defs {{\n router_id r\n script_user root\n notification_email {{\n admin@example.com\n \"A. Second <second@example.com>\"\n }}\n\
         notification_email_from \"Keep Alived <keepalived@example.com>\"\n smtp_server 127.0.0.1 2525\n smtp_helo_name helo.example\n\
         smtp_alert_vrrp true\n vrrp_notify_fifo {dir}/fifo\n vrrp_notify_priority_changes\n}}\n\
         vrrp_track_file F {{\n file {dir}/number\n init_file 0\n}}\n\
         vrrp_sync_group SG {{\n group {{\n VI_1\n VI_2\n }}\n smtp_alert\n notify {dir}/notify.sh\n notify_master \"{dir}/notify.sh gmaster\"\n\
         notify_backup \"{dir}/notify.sh gbackup\"\n notify_fault \"{dir}/notify.sh gfault\"\n notify_stop \"{dir}/notify.sh gstop\"\n}}\n"
    );
    text += &instance(1, "");
    text += &instance(2, "");
    text += &instance(3, "smtp_alert no\n track_file {\n F weight 1\n }");
    if third {
        text += &instance(4, "");
        text += &instance(5, "notify_deleted_fault");
    }
    text
}

struct Life {
    dir: PathBuf,
    node: Node,
}

impl Life {
    fn log(&self) -> String {
        fs::read_to_string(self.node.dir().join("keepalived.log")).unwrap_or_default()
    }

    fn wait(&self, what: &str, come: impl Fn(&Node) -> bool) {
        let end = Instant::now() + LIMIT;
        while !come(&self.node) {
            assert!(Instant::now() < end, "{what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn wait_log(&self, line: &str, times: usize) {
        self.wait(line, |_| self.log().matches(line).count() >= times);
    }

    /// Nothing more is under way when the number of script calls and mails stays.
    fn wait_calm(&self, talks: &Mutex<Vec<String>>) {
        let count = || {
            let scripts = fs::read_to_string(self.dir.join("scripts")).unwrap_or_default();
            (scripts.lines().count(), talks.lock().unwrap().len())
        };
        let mut before = count();
        loop {
            std::thread::sleep(Duration::from_millis(400));
            let now = count();
            if now == before {
                return;
            }
            before = now;
        }
    }
}

fn live(make: Make, programs: &Programs) -> Told {
    let name = format!("tell-{make:?}-{}", std::process::id()).to_lowercase();
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let node = Node::new("r", &dir).unwrap();
    let other = Node::new("o", &dir).unwrap();
    for (n, link) in ["eth0", "eth1"].into_iter().enumerate() {
        cable(&node, link, &other, link).unwrap();
        let number = u8::try_from(n).unwrap();
        let address = IpAddr::from([10, 8, number, 1]);
        node.net(move |net| net.address(link, address, 24)).unwrap();
    }
    if make == Make::Original {
        programs.enter_original(&node, &dir).unwrap();
    }
    let script = "#!/bin/sh\nline=\nfor word; do line=\"$line[$word]\"; done\necho \"$line\" >> \"${0%/*}/scripts\"\n";
    fs::write(dir.join("notify.sh"), script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(dir.join("notify.sh"), mode).unwrap();
    nix::unistd::mkfifo(&dir.join("fifo"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let mut fifo = fs::File::options()
        .read(true)
        .write(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(dir.join("fifo"))
        .unwrap();
    let talks = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&talks);
    node.call(move || serve(&shared)).unwrap();

    let conf = dir.join("keepalived.conf");
    fs::write(&conf, configuration(&dir, true)).unwrap();
    let conf_name = conf.display().to_string();
    let words = ["-n", "-l", "-D", "-G", "-f", &conf_name];
    let argv = programs.argv(make, "keepalived", &words);
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let life = Life {
        dir: dir.clone(),
        node,
    };
    let mut daemon = life.node.spawn("keepalived.log", &argv).unwrap();

    for n in 1..=5 {
        life.wait_log(&format!("(VI_{n}) Entering MASTER STATE"), 1);
    }
    life.wait_calm(&talks);
    fs::write(dir.join("number"), "-20\n").unwrap();
    life.wait_log("(VI_3) Changing effective priority from 150 to 130", 1);
    life.wait_calm(&talks);
    other.net(|net| net.down("eth1")).unwrap();
    life.wait_log("(VI_1) Entering FAULT STATE", 1);
    life.wait_log("(VI_4) Entering FAULT STATE", 1);
    life.wait_calm(&talks);
    other.net(|net| net.up("eth1")).unwrap();
    life.wait_log("(VI_1) Entering MASTER STATE", 2);
    life.wait_log("(VI_2) Entering MASTER STATE", 2);
    life.wait_log("(VI_4) Entering MASTER STATE", 2);
    life.wait_calm(&talks);
    fs::write(&conf, configuration(&dir, false)).unwrap();
    daemon.signal(Signal::SIGHUP).unwrap();
    life.wait_log("Reload complete", 1);
    life.wait_calm(&talks);
    assert!(daemon.stop().expect("it ends").success(), "{}", life.log());
    life.wait_calm(&talks);

    let mut lines = Vec::new();
    // It ends with "nothing there now".
    let _ = fifo.read_to_end(&mut lines);
    let lines = String::from_utf8(lines).unwrap();
    let scripts = fs::read_to_string(dir.join("scripts")).unwrap();
    let sorted = |mut all: Vec<String>| {
        all.sort_unstable();
        all
    };
    let mut fifo = BTreeMap::<_, Vec<_>>::new();
    for line in lines.lines() {
        let (who, what) = line.rsplit_once("\" ").unwrap();
        fifo.entry(who.to_owned())
            .or_default()
            .push(what.to_owned());
    }
    let told = Told {
        fifo,
        scripts: sorted(scripts.lines().map(str::to_owned).collect()),
        mails: sorted(std::mem::take(&mut talks.lock().unwrap())),
    };
    fs::write(dir.join("told"), format!("{told:#?}")).unwrap();
    told
}

#[test]
fn ref_the_same_is_told() {
    let test = "ref_the_same_is_told";
    if !need::root(test) {
        return;
    }
    let Some(root) = need::originals(test) else {
        return;
    };
    let programs = Programs::of(env!("CARGO_BIN_EXE_keepalived")).with_originals(&root);
    let (ours, original) = std::thread::scope(|scope| {
        let ours = scope.spawn(|| live(Make::Ours, &programs));
        let original = scope.spawn(|| live(Make::Original, &programs));
        (ours.join().unwrap(), original.join().unwrap())
    });
    assert_eq!(ours.scripts, original.scripts);
    assert_eq!(ours.fifo, original.fifo);
    // The original begins its mails of the stop and does not finish them; ours arrive.
    let stops = |m: &&String| m.contains(" - Stopping\r\n");
    assert_eq!(
        ours.mails.iter().filter(stops).count(),
        3,
        "{:?}",
        ours.mails
    );
    let told = |mails: &[String]| -> Vec<String> {
        let whole = mails.iter().filter(|m| m.contains("DATA") && !stops(m));
        whole.cloned().collect()
    };
    assert_eq!(told(&ours.mails), told(&original.mails));
    assert!(told(&ours.mails).len() > 10, "{:?}", ours.mails);
}
