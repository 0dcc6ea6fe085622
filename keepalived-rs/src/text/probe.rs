//! Log lines about single runs of checkers. Which of them are said, and when, is the checker's business.
//!
//! A service is named as `[192.0.2.1]:tcp:80` (real and virtual servers) or `[192.0.2.1]:80` (where a checker connects to).

use std::io;
use std::net::SocketAddr;

use checker_proto::dialogue::icmp_echo::Wrong;
use checker_proto::verdict::{
    DnsFailure, Failure, Obstacle, PingFailure, ScriptFailure, SmtpFailure, TcpFailure, UdpFailure,
    WebFailure, WebProof,
};
use conf_parsers::keepalived::model::check::{CheckKind, Url};
use daemon_rt::log::Priority;
use net_types::Family;

use super::errno::sentence;
use crate::check::probe::{Notice, PingNotice};

/// The services that a line may name.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The real server, `[192.0.2.1]:tcp:80`.
    pub real_server: &'a str,
    /// The virtual server, as it is shown elsewhere.
    pub virtual_server: &'a str,
    /// The real server's address and port.
    pub address: SocketAddr,
    /// Where the checker connects to.
    pub target: SocketAddr,
}

/// `[192.0.2.1]:80`
pub fn pair(address: SocketAddr) -> String {
    format!("[{}]:{}", address.ip(), address.port())
}

/// What is said of a failure: of every one with `log_all_failures`, of the last before the server is taken out by some
/// checkers. `None`: nothing.
///
/// That of `DNS_CHECK` lacks ` after N retries`, which is added when it is the last; that of `MISC_CHECK` is
/// [`script_failure`]'s.
pub fn failure(failure: Failure, names: &Names<'_>) -> Option<String> {
    let Names {
        real_server,
        virtual_server,
        ..
    } = names;
    Some(match failure {
        Failure::Tcp(TcpFailure::Timeout) => format!("TCP connection to {real_server} timeout."),
        Failure::Tcp(TcpFailure::Failed) => format!("TCP connection to {real_server} failed."),
        Failure::Web(why) => format!("{} server {real_server}.", web(why)),
        Failure::Smtp(why) => format!("SMTP_CHECK {}", smtp(why, names)),
        Failure::Dns(why) => dns(real_server, &dns_reason(why, names)),
        Failure::Udp(UdpFailure::Failed) => format!("UDP connection to {real_server} failed."),
        Failure::Udp(UdpFailure::Mismatch) => {
            format!("UDP check to {real_server} reply data mismatch.")
        }
        Failure::Ping(PingFailure::Timeout) => {
            format!("ICMP connection to address {real_server} timeout.")
        }
        Failure::Ping(PingFailure::Failed) => {
            format!("ICMP connection to {real_server} of {virtual_server} failed.")
        }
        Failure::Tcp(TcpFailure::NoRoute)
        | Failure::Udp(UdpFailure::Send)
        | Failure::Ping(PingFailure::Send)
        | Failure::Script(_) => return None,
    })
}

/// What `genhash` prints, and the beginning of the log line.
pub const fn web(why: WebFailure) -> &'static str {
    match why {
        WebFailure::Unreachable => "HTTP/SSL_CHECK - network unreachable",
        WebFailure::Connecting => "Error connecting",
        WebFailure::ConnectTimeout => "Timeout connecting",
        WebFailure::ConnectFailed => "Connection failed",
        WebFailure::Handshake => "SSL handshake/communication error connecting to",
        WebFailure::Send => "Cannot send get request to",
        WebFailure::FirstReadTimeout => "Timeout WEB read",
        WebFailure::ReadTimeout => "Timeout HTTP read",
        WebFailure::TlsReadTimeout => "Timeout SSL read",
        WebFailure::Read => "Read error with",
        WebFailure::TlsRead => "SSL read error from",
        // With two blanks in the log line.
        WebFailure::NoData => "Read, no data received from ",
        WebFailure::Status => "HTTP status code error to",
        WebFailure::Digest => "MD5 digest error to",
        WebFailure::Regex => "Regex match failed",
    }
}

/// A page is right, after the server was down.
pub fn web_success(proof: WebProof, real_server: &str, path: &str) -> String {
    let what = match proof {
        WebProof::Status => "HTTP status code",
        WebProof::Digest => "MD5 digest",
        WebProof::Regex => "Regex match",
    };
    format!("{what} success to {real_server} url({path})")
}

/// The reason of an SMTP failure, for the log line and for the mail.
pub fn smtp(why: SmtpFailure, names: &Names<'_>) -> String {
    let what = match why {
        SmtpFailure::Unreachable => {
            return format!(
                "Network unreachable for server {} - real server {}",
                names.target.ip(),
                pair(names.address)
            );
        }
        SmtpFailure::Connecting => "Error connecting to server",
        SmtpFailure::ConnectTimeout => "Connection timeout to server",
        SmtpFailure::ConnectFailed => "Could not connect to server",
        SmtpFailure::ReadTimeout => "Read timeout from server",
        SmtpFailure::Read => "Read failure from server",
        SmtpFailure::WriteTimeout => "Write timeout to server",
        SmtpFailure::Write => "Write failure to server",
        SmtpFailure::Banner => "Bad greeting banner from server",
        SmtpFailure::Helo => "Bad HELO response from server",
    };
    format!("{what} {}", pair(names.target))
}

/// A line of a DNS checker.
pub fn dns(real_server: &str, what: &str) -> String {
    format!("DNS_CHECK ({real_server}) {what}")
}

fn dns_reason(why: DnsFailure, names: &Names<'_>) -> String {
    match why {
        DnsFailure::Unreachable => format!("network unreachable for {}", pair(names.target)),
        DnsFailure::WriteTimeout => "write timeout to socket.".to_owned(),
        DnsFailure::Write => "failed to write socket.".to_owned(),
        DnsFailure::ShortWrite => "failed to write all of the datagram.".to_owned(),
        DnsFailure::ReadTimeout => "read timeout from socket".to_owned(),
        DnsFailure::Read(number) => {
            format!("failed to read socket; errno {number} ({})", error(number))
        }
        DnsFailure::Code(code) => format!("read error occurred. (rcode = {code})"),
    }
}

/// How a script failed: the word, and what stands in brackets behind it.
pub fn script_failure(why: ScriptFailure) -> (&'static str, Option<String>) {
    match why {
        ScriptFailure::TimedOut => ("timed out", None),
        ScriptFailure::Exited(status) => ("failed", Some(format!("exited with status {status}"))),
        ScriptFailure::Signal(signal) => ("failed", Some(format!("due to signal {signal}"))),
        ScriptFailure::Lost => ("failed", None),
    }
}

/// The lines about a run that could not begin.
pub fn obstacle(
    kind: &CheckKind,
    obstacle: Obstacle,
    names: &Names<'_>,
    device: &str,
) -> Vec<(Priority, String)> {
    let first = match obstacle {
        Obstacle::Mark(mark, number) => Some((
            Priority::Err,
            format!("Error setting fwmark {mark} to socket: {}", error(number)),
        )),
        Obstacle::Device(number) => Some((
            Priority::Info,
            format!("Checker can't bind to device {device}: {}", error(number)),
        )),
        Obstacle::Bind(number) => Some((
            Priority::Info,
            format!("Checker bind failed: {}", error(number)),
        )),
        Obstacle::NoTls => Some((
            Priority::Err,
            format!(
                "SSL_GET for {} is not run: there is no TLS, as was said at the start or reload",
                names.real_server
            ),
        )),
        _ => None,
    };
    if matches!(obstacle, Obstacle::NoTls | Obstacle::BadRegex) {
        return first.into_iter().collect();
    }
    let no_socket = matches!(obstacle, Obstacle::Socket(_));
    let then = match (kind, no_socket) {
        (CheckKind::Tcp, true) => "TCP connect fail to create socket. Rescheduling.",
        (CheckKind::Tcp, false) => "TCP socket bind failed. Rescheduling.",
        (CheckKind::Http(_), true) => "WEB connection fail to create socket. Rescheduling.",
        (CheckKind::Http(_), false) => "WEB socket bind failed. Rescheduling",
        (CheckKind::Smtp { .. }, true) => {
            "SMTP_CHECK connection failed to create socket. Rescheduling."
        }
        (CheckKind::Smtp { .. }, false) => "SMTP_CHECK socket bind failed. Rescheduling.",
        (CheckKind::Dns { .. }, true) => "failed to create socket. Rescheduling.",
        (CheckKind::Dns { .. }, false) => "UDP socket bind failed. Rescheduling.",
        (CheckKind::Udp(_), _) => "UDP connect fail to create socket. Rescheduling.",
        (CheckKind::Ping, _) if names.target.is_ipv4() => {
            "ICMP connect fail to create socket. Rescheduling."
        }
        (CheckKind::Ping, _) => "ICMPv6 connect fail to create socket. Rescheduling.",
        (CheckKind::Misc { .. } | CheckKind::Bfd { .. }, _) => "",
    };
    let then = match kind {
        CheckKind::Dns { .. } => dns(names.real_server, then),
        _ => then.to_owned(),
    };
    let then = (!then.is_empty()).then_some((Priority::Info, then));
    first.into_iter().chain(then).collect()
}

/// A line that does not hang on the verdict. `urls`: those of the checker, for what concerns one of them.
pub fn notice(notice: &Notice, names: &Names<'_>, urls: &[Url]) -> (Priority, String) {
    let line = match notice {
        Notice::Length(url, lengths) => {
            let url = urls.get(*url);
            let host = url.and_then(|url| url.virtualhost.as_deref());
            let path = url.and_then(|url| url.path.as_ref());
            let (stated, came) = lengths.unwrap_or_default();
            format!(
                "http_check for RS {} VS {} url {}{}: content_length ({stated}) does not match received bytes ({came})",
                names.real_server,
                names.virtual_server,
                host.unwrap_or_default(),
                path.map_or("", |path| &*path.value)
            )
        }
        Notice::Regex(text) | Notice::PingRange(text) => text.clone(),
        Notice::Tls(_, error) => error.text.clone(),
        Notice::SmtpOverflow => format!(
            "SMTP_CHECK Buffer overflow reading from server {}. Increase SMTP_BUFF_MAX in check_smtp.h",
            pair(names.target)
        ),
        Notice::Ping(family, what) => ping(*family, *what),
        Notice::NotExecuted(path, number) => {
            let line = format!(
                "Error exec-ing command '{path}', error {number}: {}",
                error(*number)
            );
            return (Priority::Alert, line);
        }
        Notice::NotRun(line) => return (Priority::Alert, line.clone()),
        Notice::Unkillable(pid) => {
            format!("Child (PID {}) failed to terminate after kill", pid.get())
        }
    };
    (Priority::Info, line)
}

fn ping(family: Family, what: PingNotice) -> String {
    let icmp = match family {
        Family::V4 => "ICMP",
        Family::V6 => "ICMPv6",
    };
    match what {
        PingNotice::NotSent(_) if family == Family::V4 => "send ICMP packet fail".to_owned(),
        PingNotice::NotSent(number) => format!("send ICMPv6 packet fail - errno {number}"),
        PingNotice::NotReceived => format!("recv {icmp} packet error"),
        PingNotice::Unexpected => "unexpected ping check receive packet".to_owned(),
        PingNotice::Wrong(_, Wrong::Short(length)) => {
            format!("Error, got short {icmp} packet, {length} bytes")
        }
        PingNotice::Wrong(_, Wrong::Type(kind)) => {
            format!("Got {icmp} packet with type 0x{kind:x}")
        }
        PingNotice::Wrong(wanted, Wrong::Sequence(came)) => {
            format!("Ping reply expected seq no {wanted}, received {came}")
        }
    }
}

fn error(number: i32) -> String {
    sentence(&io::Error::from_raw_os_error(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names<'_> = Names {
        real_server: "[192.0.2.1]:tcp:80",
        virtual_server: "[198.51.100.1]:tcp:80",
        address: SocketAddr::new(
            std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
            80,
        ),
        target: SocketAddr::new(
            std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)),
            25,
        ),
    };

    #[test]
    fn lines_as_the_original_says_them() {
        let line = |why| failure(why, &NAMES);
        // MIPS has numbers of its own, and musl sentences of its own.
        let refused = nix::errno::Errno::ECONNREFUSED as i32;
        assert_eq!(
            line(Failure::Web(WebFailure::NoData)).as_deref(),
            Some("Read, no data received from  server [192.0.2.1]:tcp:80.")
        );
        assert_eq!(
            line(Failure::Dns(DnsFailure::Read(refused))),
            Some(format!(
                "DNS_CHECK ([192.0.2.1]:tcp:80) failed to read socket; errno {refused} (Connection refused)"
            ))
        );
        assert_eq!(
            line(Failure::Smtp(SmtpFailure::Unreachable)).as_deref(),
            Some(
                "SMTP_CHECK Network unreachable for server 192.0.2.2 - real server [192.0.2.1]:80"
            )
        );
        assert_eq!(
            line(Failure::Smtp(SmtpFailure::Helo)).as_deref(),
            Some("SMTP_CHECK Bad HELO response from server [192.0.2.2]:25")
        );
        assert_eq!(line(Failure::Udp(UdpFailure::Send)), None);
        let lines = obstacle(&CheckKind::Tcp, Obstacle::Bind(99), &NAMES, "");
        assert_eq!(
            lines[0].1,
            format!(
                "Checker bind failed: {}",
                sentence(&io::Error::from_raw_os_error(99))
            )
        );
        assert_eq!(lines[1].1, "TCP socket bind failed. Rescheduling.");
    }
}
