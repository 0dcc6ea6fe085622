//! The checkers in the checker process's data dump.

use checker_proto::config::CheckerId;
use checker_proto::schedule;
use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::check::{
    CheckKind, Checker, HttpGet, HttpVersion, STATUS_MAX, STATUS_MIN, Url,
};
use conf_parsers::keepalived::model::lvs::RealServer;
use linux_io::local_time::LocalTime;

use super::check::{Now, all_reals, on, set, trio, yes};
use super::number::fixed;
use super::{command, line};

/// The part about the checkers.
pub(super) fn checkers(out: &mut String, model: &Model, now: &Now<'_>) {
    let mut next = 0;
    for (vs, rs) in all_reals(&model.lvs) {
        let names = format!(" {vs} -> {}", trio(vs, rs));
        for n in 0..rs.checkers.len().saturating_add(rs.track_files.len()) {
            let state = now.engine.checker(CheckerId(next));
            if next == 0 {
                line!(out, "------< Health checkers >------");
            }
            next = next.saturating_add(1);
            let Some(state) = state else { continue };
            line!(out, "{names}");
            line!(out, "   Enabled = {}", yes(state.enabled));
            line!(out, "   Up = {}", yes(state.up));
            line!(out, "   Has run = {}", yes(state.has_run));
            line!(out, "   Current weight = {}", state.weight);
            match rs.checkers.get(n) {
                Some(checker) => one_checker(out, rs, checker, state, now),
                None => {
                    line!(out, "   Log all failures = no");
                    line!(out, "   Keepalive method = FILE_CHECK");
                    let place = n.saturating_sub(rs.checkers.len());
                    let file = rs.track_files.get(place).map_or("", |f| &**f.file);
                    line!(out, "     Tracked file = {file}");
                    line!(out, "     Reloaded = No");
                }
            }
        }
    }
}

fn one_checker(
    out: &mut String,
    rs: &RealServer,
    checker: &Checker,
    state: &schedule::Checker,
    now: &Now<'_>,
) {
    line!(out, "   Alpha = {}", yes(checker.alpha.unwrap_or(false)));
    let written = &checker.times;
    // Times that no checker of its kind has are all ones in the original.
    let micros = |time: Option<u64>| time.unwrap_or(u64::MAX);
    line!(out, "   Delay loop = {} us", micros(written.delay_loop));
    line!(out, "   Warmup = {} us", micros(written.warmup));
    let retry = written.retry.unwrap_or(u32::MAX);
    line!(out, "   Retries = {retry}");
    if retry > 0 {
        let delay = micros(written.delay_before_retry);
        line!(out, "   Delay before retry = {delay} us");
        line!(out, "   Retries iterations = {}", state.attempts);
    }
    let delay = checker.kind.default_delay_before_retry().unwrap_or(0);
    line!(out, "   Default delay before retry = {delay} us");
    line!(
        out,
        "   Log all failures = {}",
        yes(checker.log_all_failures)
    );
    if let Some(connection) = &checker.connection {
        line!(out, "   Connection");
        let pair = |ip: std::net::IpAddr, port| format!("[{ip}]:{port}");
        let to = connection.target(rs.addr);
        line!(out, "     Dest = {}", pair(to.ip(), to.port()));
        if let Some(ip) = connection.bind_ip {
            let port = connection.bind_port.unwrap_or(0);
            line!(out, "     Bind to = {}", pair(ip, port));
        }
        if let Some(device) = &connection.bind_if {
            line!(out, "     Bind i/f = {}", device.value);
        }
        if connection.fwmark > 0 {
            line!(out, "     Mark = {}", connection.fwmark);
        }
        line!(
            out,
            "     Timeout = {}",
            fixed(connection.timeout.unwrap_or(0))
        );
    }
    method(out, checker, state, now);
}

fn method(out: &mut String, checker: &Checker, state: &schedule::Checker, now: &Now<'_>) {
    match &checker.kind {
        CheckKind::Tcp => line!(out, "   Keepalive method = TCP_CHECK"),
        CheckKind::Ping => line!(out, "   Keepalive method = PING_CHECK"),
        CheckKind::Http(http) => web(out, http, state),
        CheckKind::Smtp { helo } => {
            line!(out, "   Keepalive method = SMTP_CHECK");
            line!(out, "   helo = {helo}");
        }
        CheckKind::Dns { record, name } => {
            line!(out, "   Keepalive method = DNS_CHECK");
            line!(out, "   Type = {}", record.name());
            line!(out, "   Name = {name}");
        }
        CheckKind::Udp(udp) => {
            line!(out, "   Keepalive method = UDP_CHECK");
            if udp.payload.is_empty() {
                line!(out, "   Payload specified = no");
            } else {
                line!(out, "   Payload len = {}", udp.payload.len());
            }
            line!(out, "   Require reply = {}", yes(udp.require_reply));
            if udp.require_reply {
                line!(out, "     Min reply length = {}", udp.min_reply_len);
                line!(out, "     Max reply length = {}", udp.max_reply_len);
                line!(out, "     Reply data len = {}", udp.reply.len());
                if !udp.reply.is_empty() {
                    let masked = udp.reply.iter().any(|(_, mask)| *mask != 0);
                    line!(out, "     Reply data mask = {}", yes(masked));
                }
            }
        }
        CheckKind::Misc {
            script,
            timeout,
            dynamic,
        } => {
            line!(out, "   Keepalive method = MISC_CHECK");
            if let Some(path) = &script.path {
                line!(out, "   path = {path}");
            }
            line!(out, "   script = {}", command(script, &[]));
            line!(out, "   timeout = {}", timeout / 1_000_000);
            line!(out, "   dynamic = {}", if *dynamic { "YES" } else { "NO" });
            line!(out, "   uid:gid = {}:{}", script.uid, script.gid);
            let ran = match state.started() {
                Some(at) => now.wall.saturating_sub(now.monotonic.since(at).as_micros()),
                None => 0,
            };
            let date = LocalTime::from_unix(ran / 1_000_000, 0).ctime();
            let rest = ran % 1_000_000;
            line!(out, "   Last ran = {} ({date}.{rest:06})", fixed(ran));
            line!(out, "   Last status = {}", state.last_exit);
        }
        CheckKind::Bfd { session } => {
            line!(out, "   Keepalive method = BFD_CHECK");
            line!(out, "   Name = {}", &**session);
            line!(out, "   Alpha is {}", on(checker.alpha.unwrap_or(false)));
        }
    }
}

fn web(out: &mut String, http: &HttpGet, state: &schedule::Checker) {
    let kind = if http.ssl { "SSL" } else { "HTTP" };
    let version = match http.version {
        HttpVersion::V1_0 => "1.0",
        HttpVersion::V1_0Close => "1.0C",
        HttpVersion::V1_1 => "1.1",
    };
    line!(
        out,
        "   Keepalive method = {kind}_GET, http protocol {version}"
    );
    if let Some(host) = &http.virtualhost {
        line!(out, "   Virtualhost = {host}");
    }
    line!(out, "   Enable SNI {}set", set(http.enable_sni));
    line!(out, "   Fast recovery {}set", set(http.fast_recovery));
    if http.ssl {
        line!(out, "   tls_compliant {}set", set(http.tls_compliant));
    }
    for one in &http.urls {
        url(out, http.ssl, one);
    }
    if let Some(failed) = state.failed_url.and_then(|n| http.urls.get(usize::from(n))) {
        line!(out, "   Failed URL = {}", path(failed));
    }
}

fn path(url: &Url) -> &str {
    url.path.as_ref().map_or("(null)", |p| &**p)
}

fn url(out: &mut String, ssl: bool, url: &Url) {
    line!(out, "   Checked url = {}", path(url));
    if let Some(digest) = &url.digest {
        let digest: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        line!(out, "     digest = {digest}");
    }
    if ssl {
        line!(out, "     tls_compliant {}set", set(url.tls_compliant));
    }
    line!(out, "     HTTP Status Code(s)");
    let mut first = None;
    for code in STATUS_MIN..=STATUS_MAX.saturating_add(1) {
        let there = code <= STATUS_MAX && url.status.contains(code);
        match (first, there) {
            (None, true) => first = Some(code),
            (Some(from), false) => {
                let last = code.saturating_sub(1);
                if from == last {
                    line!(out, "       {from}");
                } else {
                    line!(out, "       {from}-{last}");
                }
                first = None;
            }
            _ => {}
        }
    }
    if let Some(host) = &url.virtualhost {
        line!(out, "     Virtual host = {host}");
    }
    if let Some(regex) = &url.regex {
        line!(out, "     Regex = \"{}\"", &**regex.pattern);
        if regex.no_match {
            line!(out, "     Regex no match");
        }
        match (regex.min_offset, regex.max_offset.checked_sub(1)) {
            (0, None) => {}
            (min, None) => line!(out, "     Regex min offset = {min}"),
            (min, Some(max)) => line!(out, "     Regex min offset = {min}, max_offset = {max}"),
        }
        let options: String = regex.options.iter().map(|o| format!(" {o}")).collect();
        line!(out, "     Regex options:{options}");
        line!(out, "     Regex ref count = 1");
        if let Some((start, max)) = regex.stack {
            line!(out, "     Regex stack start {start}, max {max}");
        }
    }
}
