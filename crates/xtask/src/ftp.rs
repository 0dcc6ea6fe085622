//! FTP through the pair, translated: data transfers that began before the active router died end after it.
//!
//! ```text
//!  client 192.168.1.100 ── r1 | r2 (SNAT to 192.168.0.4, ct helper "ftp") ── server 203.0.113.10:21
//!  active    PORT, the server connects, blocks flow ....... r1 dies ....... blocks flow, end
//!  passive   PASV, the client connects, blocks flow ....... r1 dies ....... blocks flow, end
//!  late      PORT ......................................... r1 dies ....... the server connects, blocks flow, end
//! ```
//! The control connections go on, too: the helper has changed addresses in them, so their sequence numbers are adjusted.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use testkit::node::enter_lab;
use testkit::pair::{Pair, Router, SERVER};
use testkit::sut::{Make, Programs};

use crate::{Result, demo, root, target_dir};

const LIMIT: Duration = Duration::from_secs(20);
/// Pause between two blocks.
const PACE: Duration = Duration::from_millis(20);
const CONTROL: SocketAddr = SocketAddr::new(SERVER.ip(), 21);
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 100);

/// Attaches the helper; the page's own rules let related flows pass.
const HELPER: &str = "\
table ip ftp {
    ct helper ftp {
        type \"ftp\" protocol tcp
    }
    chain prerouting {
        type filter hook prerouting priority -150
        tcp dport 21 ct helper set \"ftp\"
    }
}
";

/// Both routers ours, and a router of the original that dies or takes over.
const MIXES: [[Make; 2]; 3] = [
    [Make::Ours, Make::Ours],
    [Make::Original, Make::Ours],
    [Make::Ours, Make::Original],
];

/// `folder` holds our two binaries; without one those of the release build are taken.
pub(crate) fn run(folder: Option<&str>) -> Result<()> {
    let programs = match folder {
        Some(folder) => Programs::new(Path::new(folder)),
        None => demo::programs(true)?,
    };
    enter_lab()?;
    let mut failed = 0_u32;
    for (mix, sync) in MIXES.into_iter().zip(["on", "{ ftp }", "on"]) {
        if mix.into_iter().any(|make| !programs.has(make)) {
            println!("ftp {mix:?}: SKIPPED, the originals are not here");
            continue;
        }
        let name = format!("{:?}-{:?}", mix[0], mix[1]).to_lowercase();
        let dir = target_dir().join(format!("ftp-{}-{name}", std::process::id()));
        match play(&programs, mix, sync, &dir) {
            Ok(figures) => {
                println!("ftp {name}, ExpectationSync {sync}: ok, {figures}");
                drop(fs::remove_dir_all(&dir));
            }
            Err(why) => {
                failed = failed.saturating_add(1);
                println!("ftp {name}, ExpectationSync {sync}: FAILED: {why}");
            }
        }
    }
    if failed == 0 {
        Ok(())
    } else {
        Err(format!("{failed} mixes failed"))
    }
}

/// One data transfer, from server to client.
#[derive(Clone, Default)]
struct Transfer {
    /// The server may connect.
    go: Arc<AtomicBool>,
    /// The server is to send its last block.
    finish: Arc<AtomicBool>,
    /// Blocks that arrived in order.
    blocks: Arc<AtomicU32>,
    /// The end arrived after the last block.
    ended: Arc<AtomicBool>,
}

impl Transfer {
    fn send(&self, mut stream: TcpStream) -> std::io::Result<()> {
        for block in 0_u32.. {
            let bytes = block.to_be_bytes().repeat(256);
            stream.write_all(&bytes)?;
            if self.finish.load(Ordering::SeqCst) {
                break;
            }
            std::thread::sleep(PACE);
        }
        Ok(())
    }

    fn receive(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut bytes = [0; 1024];
        for block in 0_u32.. {
            match stream.read_exact(&mut bytes) {
                Ok(()) if bytes.chunks(4).all(|c| c == block.to_be_bytes()) => {
                    self.blocks.fetch_add(1, Ordering::SeqCst);
                }
                Ok(()) => return Err(std::io::ErrorKind::InvalidData.into()),
                Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                    self.ended.store(true, Ordering::SeqCst);
                    break;
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn wait(&self, what: &str, done: impl Fn(&Self) -> bool) -> Result<()> {
        let start = Instant::now();
        while !done(self) {
            if start.elapsed() > LIMIT {
                return Err(format!(
                    "{what} did not happen, {} blocks came",
                    self.blocks.load(Ordering::SeqCst)
                ));
            }
            std::thread::sleep(PACE);
        }
        Ok(())
    }

    fn wait_more(&self, what: &str, more: u32) -> Result<()> {
        let before = self.blocks.load(Ordering::SeqCst);
        let end = before.saturating_add(more);
        self.wait(what, |t| t.blocks.load(Ordering::SeqCst) >= end)
    }
}

/// `a,b,c,d,p,q` as an address.
fn address(text: &str) -> Option<SocketAddr> {
    let mut numbers = text.split(',').map(|n| n.trim().parse::<u8>().ok());
    let mut next = || numbers.next().flatten();
    let ip = Ipv4Addr::new(next()?, next()?, next()?, next()?);
    let port = u16::from_be_bytes([next()?, next()?]);
    Some(SocketAddr::new(IpAddr::V4(ip), port))
}

fn commas(ip: Ipv4Addr, port: u16) -> String {
    let [a, b, c, d] = ip.octets();
    let [p, q] = port.to_be_bytes();
    format!("{a},{b},{c},{d},{p},{q}")
}

/// A server that knows PORT and PASV; the clients log in with the number of their transfer.
fn serve(listener: TcpListener, transfers: Vec<Transfer>) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let transfers = transfers.clone();
            std::thread::spawn(move || session(stream, &transfers));
        }
    });
}

fn session(stream: TcpStream, transfers: &[Transfer]) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut transfer = Transfer::default();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match word {
            "USER" => {
                let number: usize = rest.parse().unwrap_or_default();
                transfer = transfers.get(number).cloned().unwrap_or_default();
                out.write_all(b"230 welcome\r\n")?;
            }
            "PORT" => {
                let to = address(rest).ok_or(std::io::ErrorKind::InvalidData)?;
                let transfer = transfer.clone();
                std::thread::spawn(move || {
                    while !transfer.go.load(Ordering::SeqCst) {
                        std::thread::sleep(PACE);
                    }
                    TcpStream::connect_timeout(&to, LIMIT).and_then(|s| transfer.send(s))
                });
                out.write_all(b"200 PORT command successful\r\n")?;
            }
            "PASV" => {
                let listener = TcpListener::bind(SocketAddr::new(CONTROL.ip(), 0))?;
                let port = listener.local_addr()?.port();
                let IpAddr::V4(ip) = CONTROL.ip() else {
                    return Ok(());
                };
                let transfer = transfer.clone();
                std::thread::spawn(move || listener.accept().and_then(|(s, _)| transfer.send(s)));
                let answer = format!("227 Entering Passive Mode ({})\r\n", commas(ip, port));
                out.write_all(answer.as_bytes())?;
            }
            _ => out.write_all(b"500 what\r\n")?,
        }
    }
    Ok(())
}

/// A client's control connection and the start of its transfer.
fn client(number: usize, passive: bool, transfer: Transfer) -> std::io::Result<TcpStream> {
    let mut control = TcpStream::connect_timeout(&CONTROL, LIMIT)?;
    control.set_read_timeout(Some(LIMIT))?;
    let mut answers = BufReader::new(control.try_clone()?);
    let mut ask = |line: String| -> std::io::Result<String> {
        control.write_all(line.as_bytes())?;
        let mut answer = String::new();
        answers.read_line(&mut answer)?;
        Ok(answer)
    };
    ask(format!("USER {number}\r\n"))?;
    if passive {
        let answer = ask("PASV\r\n".to_owned())?;
        let to = answer
            .split_once('(')
            .and_then(|(_, rest)| rest.split_once(')'))
            .and_then(|(numbers, _)| address(numbers))
            .ok_or(std::io::ErrorKind::InvalidData)?;
        let stream = TcpStream::connect_timeout(&to, LIMIT)?;
        std::thread::spawn(move || transfer.receive(stream));
    } else {
        let listener = TcpListener::bind(SocketAddr::new(IpAddr::V4(CLIENT), 0))?;
        let port = listener.local_addr()?.port();
        std::thread::spawn(move || listener.accept().and_then(|(s, _)| transfer.receive(s)));
        let answer = ask(format!("PORT {}\r\n", commas(CLIENT, port)))?;
        if !answer.starts_with("200") {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
    }
    Ok(control)
}

/// Whether the server still answers on a control connection.
fn answers(mut control: &TcpStream) -> std::io::Result<()> {
    control.set_read_timeout(Some(Duration::from_secs(5)))?;
    control.write_all(b"NOOP\r\n")?;
    let mut answer = String::new();
    BufReader::new(control).read_line(&mut answer)?;
    if answer.starts_with("500") {
        Ok(())
    } else {
        Err(std::io::ErrorKind::InvalidData.into())
    }
}

/// The page's files with expectations replicated.
fn page(dir: &Path, sync: &str) -> Result<PathBuf> {
    let fail = |e: std::io::Error| e.to_string();
    let (from, to) = (root().join("testdata/page"), dir.join("page"));
    for number in 1..=2 {
        let router = format!("router{number}");
        fs::create_dir_all(to.join(&router)).map_err(fail)?;
        let keepalived = format!("{router}/keepalived.conf");
        fs::copy(from.join(&keepalived), to.join(&keepalived)).map_err(fail)?;
        let conntrackd = format!("{router}/conntrackd.conf");
        let text = fs::read_to_string(from.join(&conntrackd)).map_err(fail)?;
        let options = format!("Sync {{\n    Options {{\n        ExpectationSync {sync}\n    }}\n");
        let text = text.replacen("Sync {\n", &options, 1);
        fs::write(to.join(&conntrackd), text).map_err(fail)?;
    }
    let script = "primary-backup.sh";
    fs::copy(from.join(script), to.join(script)).map_err(fail)?;
    Ok(to)
}

fn play(programs: &Programs, makes: [Make; 2], sync: &str, dir: &Path) -> Result<String> {
    let page = page(dir, sync)?;
    let mut pair = Pair::build(&page, dir, programs.clone(), makes)?;
    for router in &mut pair.routers {
        let rules = router.node.dir().join("helper.nft");
        fs::write(&rules, HELPER).map_err(|e| e.to_string())?;
        router
            .node
            .check(&["nft", "-f", &rules.display().to_string()])?;
        router.start(programs)?;
    }
    pair.wait_master(0, LIMIT)?;
    failover(&mut pair, makes).map_err(|why| {
        let logs: String = pair.routers.iter().map(Router::logs).collect();
        let tables: String = pair
            .routers
            .iter()
            .filter_map(|r| r.ask(programs, &["-e", "expect"]).ok())
            .collect();
        format!("{why}\n{tables}{logs}")
    })
}

fn failover(pair: &mut Pair, makes: [Make; 2]) -> Result<String> {
    let [dying, taker] = makes;
    let transfers: Vec<Transfer> = (0..3).map(|_| Transfer::default()).collect();
    // What the server opens towards the routers comes from its service address.
    let route = "ip route add 192.168.0.4/32 dev eth0 src 203.0.113.10";
    pair.server.check(&route.split(' ').collect::<Vec<_>>())?;
    let for_server = transfers.clone();
    pair.server
        .call(move || TcpListener::bind(CONTROL).map(|l| serve(l, for_server)))?
        .map_err(|e| format!("the server: {e}"))?;
    let [active, passive, late] = transfers.as_slice() else {
        return Err("three transfers".to_owned());
    };
    active.go.store(true, Ordering::SeqCst);
    let mut controls = Vec::new();
    for (number, is_passive, transfer) in [(0, false, active), (1, true, passive), (2, false, late)]
    {
        let transfer = transfer.clone();
        let control = pair
            .client
            .call(move || client(number, is_passive, transfer))?
            .map_err(|e| format!("client {number}: {e}"))?;
        controls.push(control);
    }
    active.wait_more("the active transfer", 10)?;
    passive.wait_more("the passive transfer", 10)?;
    // What the late one needs, and the flows, are at the other router.
    let programs = pair.programs.clone();
    late.wait("the expectation at r2", |_| {
        let backup = &pair.routers[1];
        let has = |words: &[&str], what: &str| {
            backup
                .ask(&programs, words)
                .is_ok_and(|text| text.contains(what))
        };
        has(&["-e", "expect"], "master-dst=203.0.113.10") && has(&["-e"], "ESTABLISHED")
    })?;

    let [first, _] = &mut pair.routers;
    first.lose_power(&pair.switch)?;
    let began = Instant::now();
    pair.wait_master(1, LIMIT)?;
    active.wait_more("the active transfer after the failover", 20)?;
    passive.wait_more("the passive transfer after the failover", 20)?;
    let silence = began.elapsed().as_secs_f64();
    let mut over = vec![active, passive];
    // The original's commit forgets how the announced flow is to be translated.
    if taker == Make::Ours {
        late.go.store(true, Ordering::SeqCst);
        late.wait_more("the transfer that was announced before the failover", 20)?;
        over.push(late);
    }
    let alive = controls
        .iter()
        .map(|control| answers(control).is_ok())
        .collect::<Vec<_>>();
    // The original does not tell its peer how a changed address has moved the sequence numbers.
    if dying == Make::Ours && alive.contains(&false) {
        return Err(format!("control connections that answer: {alive:?}"));
    }
    for transfer in &over {
        transfer.finish.store(true, Ordering::SeqCst);
    }
    for transfer in &over {
        transfer.wait("the end of a transfer", |t| t.ended.load(Ordering::SeqCst))?;
    }
    let blocks: Vec<u32> = over
        .iter()
        .map(|t| t.blocks.load(Ordering::SeqCst))
        .collect();
    drop(controls);
    for router in &mut pair.routers[1..] {
        router.stop()?;
    }
    Ok(format!(
        "blocks of the transfers {blocks:?}, going on {silence:.2} s after the crash; control connections that answer: {alive:?}"
    ))
}
