//! `genhash` beside 2.3.3: the same output and status for the same words and pages.
#![cfg(feature = "lvs")]
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy spares only functions marked as tests"
)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::Command;

use testkit::need;
use testkit::sut::ours;

/// Words of the command line; `PORT` is that of a web server, `NOBODY` that of none.
const LINES: &[&str] = &[
    "",
    "-h",
    "-s 127.0.0.1",
    "-s x -p 1 -u /",
    "-s 127.0.0.1 -p 0 -u /",
    "-s 127.0.0.1 -p 99999 -u /",
    "-Z -a b",
    "-v -s",
    "-v --url",
    "--use x",
    "--verbose=1 -s 1",
    "-vx -s",
    "-s 127.0.0.1 -p 9 -u / extra more",
    "-s 127.0.0.1 -p 9 -u / -P 3",
    "-s 127.0.0.1 -p 9 -u / -t x",
    "-s 127.0.0.1 -p 9 -u / -m x",
    "-s 127.0.0.1 -p NOBODY -u / -v",
    "-s 127.0.0.1 -p PORT -u /",
    "-p PORT -s 127.0.0.1 -u / -v",
    "-p PORT -s 127.0.0.1 -u /empty -v",
    "-p PORT -s 127.0.0.1 -u /long -v",
    "-p PORT -s 127.0.0.1 -u /short -v",
    "-p PORT -s 127.0.0.1 -u /half",
    "-p PORT -s 127.0.0.1 -u / -u /big -v",
    "--ser 127.0.0.1/8 --po PORT --ur / --verb -P 1.0c -V host.example",
    "-s 127.0.0.1 -p PORT -u / -m +5 -P 1.1",
];

fn page(path: &str) -> Vec<u8> {
    match path {
        "/empty" => b"HTTP/1.0 200 OK\r\n\r\n".to_vec(),
        "/long" => b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nabcdef".to_vec(),
        "/short" => b"HTTP/1.0 404 No\r\nContent-Length: 9\r\n\r\n\x00\x7f\xff".to_vec(),
        "/half" => b"HTTP/1.0 200 OK\r\n".to_vec(),
        "/big" => [&b"HTTP/1.0 200 OK\r\n\r\n"[..], &[b'x'; 3000]].concat(),
        _ => b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\nhello world\n".to_vec(),
    }
}

fn server() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 2048];
            let length = stream.read(&mut request).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            let path = text.split(' ').nth(1).unwrap_or("");
            let _ = stream.write_all(&page(path));
        }
    });
    port
}

/// Output, errors and status; the time that it took is blanked.
fn run(command: &mut Command, words: &[String]) -> (String, String, Option<i32>) {
    let output = command.args(words).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().map(|line| match line.split_once("] = ") {
        Some((before, _)) => before,
        None => line,
    });
    (
        lines.collect::<Vec<_>>().join("\n"),
        String::from_utf8_lossy(&output.stderr).into_owned(),
        output.status.code(),
    )
}

#[test]
fn ref_genhash_says_the_same() {
    const TEST: &str = "ref_genhash_says_the_same";
    let Some(root) = need::originals(TEST).filter(|_| need::root(TEST)) else {
        return;
    };
    let (port, nobody) = (
        server(),
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
    );
    let nobody = {
        let port = nobody.local_addr().unwrap().port();
        drop(nobody);
        port
    };
    for line in LINES {
        let line = line.replace("PORT", &port.to_string());
        let line = line.replace("NOBODY", &nobody.to_string());
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let mut original = Command::new("chroot");
        let theirs = run(original.arg(&root).arg("genhash"), &words);
        let mut own = Command::new(ours(env!("CARGO_BIN_EXE_keepalived")));
        let ours = run(own.arg0("genhash"), &words);
        assert_eq!(theirs, ours, "genhash {line}");
    }
}

/// OpenSSL is loaded when it is wanted: without it everything else works, and who wants it is told.
#[test]
fn lab_without_openssl() {
    const TEST: &str = "lab_without_openssl";
    if !need::libraries(TEST) || !need::root(TEST) {
        return;
    }
    // In a view of the file system in which its files are empty.
    let hidden = |words: &str| {
        let script = format!(
            "for file in $(ldconfig -p | sed -n 's/.* => \\(.*libssl\\.so\\..*\\)/\\1/p'); do\n\
             mount --bind /dev/null \"$(readlink -f \"$file\")\" || exit 99\ndone\n\
             exec -a genhash {} {words}",
            ours(env!("CARGO_BIN_EXE_keepalived"))
        );
        let mut command = Command::new("unshare");
        command
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .args(["--mount", "bash", "-c"]);
        run(&mut command, &[script])
    };
    let port = server();
    let (out, errors, status) = hidden(&format!("-s 127.0.0.1 -p {port} -u /"));
    assert_eq!(
        (&*out, status),
        ("6f5902ac237024bdd0c176cb93063dc4", Some(0)),
        "{errors}"
    );
    let (_, errors, status) = hidden(&format!("-S -s 127.0.0.1 -p {port} -u /"));
    let wanted = "genhash: -S needs OpenSSL, which can not be loaded: ";
    assert!(
        errors.starts_with(wanted) && errors.contains("libssl.so.3"),
        "{errors}"
    );
    assert_eq!(status, Some(1));
}
