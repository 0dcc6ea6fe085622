//! Runs against servers on the loopback that do what they should, and what they should not.

use nix::errno::Errno;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;

use checker_proto::verdict::{
    DnsFailure, ScriptFailure, SmtpFailure, TcpFailure, UdpFailure, WebFailure, WebProof,
};
use conf_parsers::keepalived::model::check::{
    Checker, Connection, DnsType, HttpGet, StatusCodes, UdpCheck, Url,
};
use conf_parsers::keepalived::model::lvs::Ssl;
use conf_parsers::keepalived::model::script::Script;
use conf_parsers::span::{Span, Spanned};
use linux_io::timer::monotonic_now;
use nix::poll::{PollFd, PollFlags, poll};

use super::*;

const ID: CheckerId = CheckerId(7);

fn checker(kind: CheckKind, timeout_ms: u64) -> Checker {
    Checker {
        span: Span::default(),
        kind,
        connection: Some(Connection {
            timeout: Some(timeout_ms * 1000),
            ..Connection::default()
        }),
        times: Default::default(),
        alpha: None,
        log_all_failures: false,
    }
}

fn spec(checker: &Checker, server: SocketAddr) -> CheckSpec<'_> {
    CheckSpec {
        checker,
        real_server: server,
        url: 0,
        real_server_host: None,
        virtual_server_host: None,
        delay_loop: Duration::from_secs(5),
    }
}

/// The verdicts of as many runs as were started.
fn finish(probes: &mut Probes, count: usize) -> Vec<(CheckerId, Verdict)> {
    let mut verdicts = Vec::new();
    while verdicts.len() < count {
        let now = monotonic_now();
        let wait = probes
            .next_timeout()
            .map_or(100, |at| at.since(now).as_millis().min(100) + 1);
        let mut fds = [PollFd::new(probes.readable(), PollFlags::POLLIN)];
        poll(&mut fds, u16::try_from(wait).unwrap()).unwrap();
        let pids: Vec<Pid> = probes.scripts.pids().collect();
        for pid in pids {
            if let Ok(Some(exit)) = linux_io::process::reap(pid) {
                probes.script_ended(pid, exit, &mut verdicts, |_| true);
            }
        }
        probes.ready(monotonic_now(), &mut verdicts);
        probes.handle_timeout(monotonic_now(), &mut verdicts);
    }
    verdicts
}

fn run(checker: &Checker, server: SocketAddr) -> (Verdict, Vec<Notice>) {
    let mut probes = Probes::new(Context::default()).unwrap();
    probes.start(monotonic_now(), ID, &spec(checker, server));
    let verdicts = finish(&mut probes, 1);
    assert!(probes.running.is_empty());
    assert_eq!(probes.deadlines.next(), None);
    let notices = probes.notices().into_iter().map(|(_, n)| n).collect();
    (verdicts[0].1, notices)
}

/// A server that treats each connection so.
fn server(mut treat: impl FnMut(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            treat(stream);
        }
    });
    at
}

/// A port where nobody listens.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn tcp() {
    let check = checker(CheckKind::Tcp, 1000);
    let good = server(drop);
    assert_eq!(run(&check, good).0, Verdict::Up(Success::Answer));
    let failed = Verdict::Down(Failure::Tcp(TcpFailure::Failed));
    assert_eq!(run(&check, nobody()).0, failed);
    // Not ours to bind to.
    let mut foreign = check.clone();
    foreign.connection.as_mut().unwrap().bind_ip = Some([192, 0, 2, 77].into());
    let verdict = run(&foreign, good).0;
    assert!(
        matches!(verdict, Verdict::NotRun(Obstacle::Bind(why)) if why == Errno::EADDRNOTAVAIL as i32),
        "{verdict:?}"
    );
}

#[test]
fn many_at_once_and_cancelled_ones() {
    let check = checker(CheckKind::Tcp, 5000);
    let good = server(drop);
    let mut probes = Probes::new(Context::default()).unwrap();
    for id in 0..300 {
        probes.start(monotonic_now(), CheckerId(id), &spec(&check, good));
    }
    assert_eq!(probes.len(), 300);
    probes.cancel_all();
    assert!(probes.is_empty() && probes.next_timeout().is_none());
    for id in 100..300 {
        probes.start(monotonic_now(), CheckerId(id), &spec(&check, good));
    }
    let mut ids: Vec<u32> = finish(&mut probes, 200)
        .iter()
        .map(|(id, _)| id.0)
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (100..300).collect::<Vec<_>>());
    assert!(probes.is_empty());
    assert_eq!(probes.next_timeout(), None);
}

fn web(urls: Vec<Url>) -> Checker {
    let get = HttpGet {
        urls,
        ..HttpGet::default()
    };
    checker(CheckKind::Http(get.into()), 300)
}

fn page(path: &str) -> Url {
    Url {
        path: Some(Spanned::new(path.into(), Span::default())),
        status: StatusCodes::success(),
        ..Url::default()
    }
}

fn web_server(answer: &'static [u8]) -> SocketAddr {
    server(move |mut stream| {
        let mut request = [0; 2048];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(answer);
    })
}

#[test]
fn pages() {
    let check = web(vec![page("/")]);
    let good = web_server(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    let up = |proof| Verdict::Up(Success::Web(proof));
    let down = |why| Verdict::Down(Failure::Web(why));
    assert_eq!(run(&check, good), (up(WebProof::Status), vec![]));
    let missing = web_server(b"HTTP/1.0 404 Not Found\r\n\r\n");
    assert_eq!(run(&check, missing).0, down(WebFailure::Status));
    let short = web_server(b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    let (verdict, notices) = run(&check, short);
    assert_eq!(verdict, up(WebProof::Status));
    assert_eq!(notices, [Notice::Length(0, Some((9, 3)))]);
    let mut digest = page("/");
    digest.digest = Some([0; 16]);
    assert_eq!(
        run(&web(vec![digest.clone()]), good).0,
        down(WebFailure::Digest)
    );
    digest.digest = Some([
        0x90, 0x01, 0x50, 0x98, 0x3c, 0xd2, 0x4f, 0xb0, 0xd6, 0x96, 0x3f, 0x7d, 0x28, 0xe1, 0x7f,
        0x72,
    ]);
    assert_eq!(run(&web(vec![digest]), good).0, up(WebProof::Digest));
    let silent = server(|stream| {
        thread::spawn(move || {
            let mut stream = stream;
            let mut end = Vec::new();
            let _ = stream.read_to_end(&mut end);
        });
    });
    assert_eq!(run(&check, silent).0, down(WebFailure::FirstReadTimeout));
    let stuck = server(|mut stream| {
        thread::spawn(move || {
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n");
            let mut end = Vec::new();
            let _ = stream.read_to_end(&mut end);
        });
    });
    assert_eq!(run(&check, stuck).0, down(WebFailure::ReadTimeout));
    assert_eq!(run(&check, nobody()).0, down(WebFailure::ConnectFailed));
    // Headers for ever.
    let endless = server(|mut stream| {
        thread::spawn(move || while stream.write_all(&[b'a'; 4096]).is_ok() {});
    });
    assert_eq!(run(&check, endless).0, down(WebFailure::NoData));
}

#[test]
fn a_mismatch_is_told_once() {
    let check = web(vec![page("/")]);
    let short = web_server(b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    let mut probes = Probes::new(Context::default()).unwrap();
    for told in [1, 0] {
        probes.start(monotonic_now(), ID, &spec(&check, short));
        let _ = finish(&mut probes, 1);
        assert_eq!(probes.notices().len(), told);
    }
    probes.cancel_all();
    probes.start(monotonic_now(), ID, &spec(&check, short));
    let _ = finish(&mut probes, 1);
    assert_eq!(probes.notices().len(), 1);
}

#[test]
fn mail() {
    let helo = "checker.example".into();
    let check = checker(CheckKind::Smtp { helo }, 300);
    let talk = |answers: &'static [&'static str]| {
        server(move |mut stream| {
            let mut line = [0; 512];
            for answer in answers {
                let _ = stream.write_all(answer.as_bytes());
                let _ = stream.read(&mut line);
            }
        })
    };
    let good = talk(&["220 x\r\n", "250 x\r\n", "221 x\r\n"]);
    let down = |why| Verdict::Down(Failure::Smtp(why));
    assert_eq!(run(&check, good).0, Verdict::Up(Success::Answer));
    assert_eq!(
        run(&check, talk(&["554 x\r\n"])).0,
        down(SmtpFailure::Banner)
    );
    let rude = talk(&["220 x\r\n", "500 x\r\n"]);
    assert_eq!(run(&check, rude).0, down(SmtpFailure::Helo));
    assert_eq!(
        run(&check, talk(&["220"])).0,
        down(SmtpFailure::ReadTimeout)
    );
    assert_eq!(run(&check, talk(&[])).0, down(SmtpFailure::Read));
    let chatty = server(|mut stream| {
        let _ = stream.write_all(&[b'a'; 600]);
        let _ = stream.write_all(b"\n");
        let _ = stream.read(&mut [0; 10]);
    });
    let (verdict, notices) = run(&check, chatty);
    assert_eq!(verdict, down(SmtpFailure::Banner));
    assert_eq!(notices, [Notice::SmtpOverflow]);
}

/// A server of datagrams that answers so.
fn datagrams(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut datagram = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut datagram) {
            if let Some(answer) = answer(&datagram[..length]) {
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    at
}

#[test]
fn names() {
    let name = "www.example".into();
    let record = DnsType::A;
    let check = checker(CheckKind::Dns { record, name }, 200);
    let with = |code: u8| {
        datagrams(move |question| {
            let mut answer = question.to_vec();
            answer[2] |= 0x80;
            answer[3] = code;
            Some(answer)
        })
    };
    let down = |why| Verdict::Down(Failure::Dns(why));
    assert_eq!(run(&check, with(0)).0, Verdict::Up(Success::Answer));
    assert_eq!(run(&check, with(3)).0, down(DnsFailure::Code(3)));
    let echo = datagrams(|question| Some(question.to_vec()));
    assert_eq!(run(&check, echo).0, down(DnsFailure::ReadTimeout));
    assert_eq!(
        run(&check, nobody()).0,
        down(DnsFailure::Read(Errno::ECONNREFUSED as i32))
    );
}

#[test]
fn udp() {
    let with = |reply: &[(u8, u8)], must| {
        let check = UdpCheck {
            require_reply: must,
            reply: reply.to_vec(),
            ..UdpCheck::default()
        };
        checker(CheckKind::Udp(check.into()), 150)
    };
    let echo = datagrams(|came| Some(came.to_vec()));
    let silent = datagrams(|_| None);
    let up = Verdict::Up(Success::Answer);
    let down = |why| Verdict::Down(Failure::Udp(why));
    assert_eq!(run(&with(&[], false), echo).0, up);
    assert_eq!(run(&with(&[], false), silent).0, up);
    assert_eq!(run(&with(&[(b'k', 0)], true), echo).0, up);
    let wrong = with(&[(b'x', 0)], true);
    assert_eq!(run(&wrong, echo).0, down(UdpFailure::Mismatch));
    assert_eq!(run(&wrong, silent).0, down(UdpFailure::Failed));
    // qemu-user takes the place for the address in a report (IP_RECVERR) for one of the program's own memory, and writes it anywhere.
    if testkit::need::kernel("udp to nobody") {
        assert_eq!(run(&with(&[], false), nobody()).0, down(UdpFailure::Failed));
    }
}

#[test]
fn the_certificate_of_before_stays_when_the_new_one_is_no_good() {
    if !testkit::need::libraries("the_certificate_of_before_stays_when_the_new_one_is_no_good") {
        return;
    }
    let with = |certificate: Option<&str>| Context {
        uses_ssl: true,
        ssl: Some(Ssl {
            certificate: certificate.map(Into::into),
            ..Ssl::default()
        }),
        seed: 0,
    };
    let mut probes = Probes::new(with(None)).unwrap();
    assert_eq!(probes.tls_problem(), [""; 0]);
    let wrong = probes.renew(&with(Some("/no/such/file")));
    assert_eq!(wrong[0], "SSL error : Cant load certificate file...");
    assert!(probes.tls_problem().is_empty() && probes.has_tls());
    assert!(probes.renew(&with(None)).is_empty());
    // There is none of before, but the process goes on.
    let mut probes = Probes::new(Context::default()).unwrap();
    assert_eq!(probes.renew(&with(Some("/no/such/file"))), wrong);
    assert!(probes.tls_problem().is_empty() && !probes.has_tls());
    // At the start there is none of before.
    let probes = Probes::new(with(Some("/no/such/file"))).unwrap();
    assert_eq!(probes.tls_problem(), wrong);
}

#[test]
fn lab_ping() {
    if !testkit::need::root("lab_ping") {
        return;
    }
    // The range of groups that may ping is one of the network namespace.
    linux_io::netns::unshare().unwrap();
    std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0").unwrap();
    let up = std::process::Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status();
    assert!(up.unwrap().success());
    let check = checker(CheckKind::Ping, 500);
    let up = Verdict::Up(Success::Answer);
    let mut probes = Probes::new(Context::default()).unwrap();
    for server in ["127.0.0.1:0", "[::1]:0"] {
        let server = server.parse().unwrap();
        for _ in 0..2 {
            probes.start(monotonic_now(), ID, &spec(&check, server));
            assert_eq!(finish(&mut probes, 1), [(ID, up)]);
        }
        assert_eq!(probes.notices(), []);
        assert!(probes.kept.get(&ID).is_some_and(|kept| kept.ping.is_some()));
    }
}

#[test]
fn scripts() {
    let misc = |text: &str, timeout_ms: u64| {
        let script = Script {
            args: ["/bin/sh", "-c", text].map(str::to_owned).to_vec(),
            uid: linux_io::users::euid(),
            gid: linux_io::users::egid(),
            ..Script::default()
        };
        Checker {
            connection: None,
            ..checker(
                CheckKind::Misc {
                    script: script.into(),
                    timeout: timeout_ms * 1000,
                    dynamic: true,
                },
                0,
            )
        }
    };
    let failed = |why| Verdict::Down(Failure::Script(why));
    let verdict = |check: &Checker| {
        let mut probes = Probes::new(Context::default()).unwrap();
        let nowhere = "192.0.2.1:0".parse().unwrap();
        probes.start(monotonic_now(), ID, &spec(check, nowhere));
        (finish(&mut probes, 1)[0].1, probes.notices())
    };
    assert_eq!(
        verdict(&misc("exit 0", 0)).0,
        Verdict::Up(Success::Script(0))
    );
    assert_eq!(
        verdict(&misc("exit 9", 0)).0,
        Verdict::Up(Success::Script(9))
    );
    let one = failed(ScriptFailure::Exited(1));
    assert_eq!(verdict(&misc("exit 1", 0)).0, one);
    let killed = failed(ScriptFailure::Signal(9));
    assert_eq!(verdict(&misc("kill -9 $$", 0)).0, killed);
    let hung = misc("while :; do sleep 10; done", 50);
    assert_eq!(verdict(&hung).0, failed(ScriptFailure::TimedOut));
    let mut gone = misc("", 0);
    if let CheckKind::Misc { script, .. } = &mut gone.kind {
        script.args = vec!["/no/such/script".to_owned()];
    }
    let (verdict, notices) = verdict(&gone);
    assert_eq!(verdict, Verdict::Up(Success::Script(0)));
    let line = Notice::NotExecuted("/no/such/script".to_owned(), 2);
    assert_eq!(notices, [(ID, line)]);
}
