//! What the checker process says of checkers, real servers and virtual servers, in the original's words.

use checker_proto::verdict::{Failure, ScriptFailure, Verdict};
use checker_proto::{Notice, Quorum};
use conf_parsers::keepalived::model::check::{CheckKind, Checker};
use conf_parsers::keepalived::model::lvs::{
    GroupEntry, RealServer, SorryServer, Trio, VirtualServer,
};
use daemon_rt::log::Priority;

use super::probe::{self, Names};
use crate::check::probe as run;

/// What a notice is about, found by its numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct About<'a> {
    /// The virtual server.
    pub vs: Option<&'a VirtualServer>,
    /// The real server.
    pub rs: Option<&'a RealServer>,
    /// The checker; none for `FILE_CHECK`.
    pub checker: Option<&'a Checker>,
    /// The file of a `FILE_CHECK`.
    pub file: Option<&'a str>,
}

/// The lines of a notice. `detail`: `-D` was given.
pub fn lines(notice: &Notice, about: &About<'_>, detail: bool) -> Vec<(Priority, String)> {
    let Some(vs) = about.vs else {
        return Vec::new();
    };
    let line = match (notice, about.rs) {
        (Notice::NotRun(_, obstacle), Some(rs)) => {
            let Some(checker) = about.checker else {
                return Vec::new();
            };
            let device = checker.connection.as_ref().and_then(|c| c.bind_if.as_ref());
            let device = device.map_or("", |d| &*d.value);
            return with_names(vs, rs, checker, |names| {
                probe::obstacle(&checker.kind, *obstacle, names, device)
            });
        }
        (Notice::FileFault { .. }, _) if !detail => return Vec::new(),
        (notice, Some(rs)) => of_real(notice, vs, rs, about),
        (notice, None) => of_virtual(notice, vs),
    };
    line.map(|line| (Priority::Info, line))
        .into_iter()
        .collect()
}

/// The line of a probe that does not hang on its verdict.
pub fn of_probe(notice: &run::Notice, about: &About<'_>) -> Option<(Priority, String)> {
    let (vs, rs, checker) = (about.vs?, about.rs?, about.checker?);
    let urls = match &checker.kind {
        CheckKind::Http(http) => &http.urls[..],
        _ => &[],
    };
    Some(with_names(vs, rs, checker, |names| {
        probe::notice(notice, names, urls)
    }))
}

fn with_names<T>(
    vs: &VirtualServer,
    rs: &RealServer,
    checker: &Checker,
    job: impl FnOnce(&Names<'_>) -> T,
) -> T {
    let connection = checker.connection.as_ref();
    job(&Names {
        real_server: &Trio(rs.addr, vs.protocol).to_string(),
        virtual_server: &vs.to_string(),
        address: rs.addr,
        target: connection.map_or(rs.addr, |c| c.target(rs.addr)),
    })
}

fn of_real(
    notice: &Notice,
    vs: &VirtualServer,
    rs: &RealServer,
    about: &About<'_>,
) -> Option<String> {
    let real = Trio(rs.addr, vs.protocol);
    let inhibit = rs.inhibit == Some(true);
    Some(match *notice {
        Notice::Activating { enabled, .. } => {
            let verb = if enabled { "A" } else { "Dea" };
            format!("{verb}ctivating healthchecker for service {real} for VS {vs}")
        }
        Notice::Suspending { enabled, .. } => {
            let verb = if enabled { "Activat" } else { "Suspend" };
            format!("{verb}ing healthchecker for service {real} for VS {vs}")
        }
        Notice::Service { up, .. } => {
            let verb = match (up, inhibit) {
                (true, true) => "Enabl",
                (true, false) => "Add",
                (false, true) => "Disabl",
                (false, false) => "Remov",
            };
            let to = match (inhibit, up) {
                (true, _) => "of",
                (false, true) => "to",
                (false, false) => "from",
            };
            format!("{verb}ing service {real} {to} VS {vs}")
        }
        Notice::Removing {
            stopping,
            inhibited,
            ..
        } => {
            let verb = if stopping {
                "Shutting down"
            } else {
                "Removing"
            };
            let how = if inhibited { "(inhibited) " } else { "" };
            format!("{verb} {how}service {real} from VS {vs}")
        }
        Notice::NoLonger(_) => format!("service {real} no longer exist"),
        Notice::Weight {
            from, to, active, ..
        } => {
            let state = if active { "" } else { "in" };
            format!(
                "Changing weight from {from} to {to} for {state}active service {real} of VS {vs}"
            )
        }
        Notice::FileFault { fault, .. } => {
            let what = if fault { "now" } else { "leaving" };
            let file = about.file?;
            format!("({real}): tracked file {file} {what} FAULT state")
        }
        _ => return of_checker(notice, vs, rs, about.checker?),
    })
}

fn of_checker(
    notice: &Notice,
    vs: &VirtualServer,
    rs: &RealServer,
    checker: &Checker,
) -> Option<String> {
    let real = Trio(rs.addr, vs.protocol);
    let kind = &checker.kind;
    Some(match *notice {
        Notice::Succeeded(_) => match kind {
            CheckKind::Tcp => format!("TCP connection to {real} success."),
            CheckKind::Udp(_) => format!("UDP connection to {real} success."),
            CheckKind::Ping => format!("ICMP connection to {real} success."),
            CheckKind::Http(_) => format!("Remote Web server {real} succeed on service."),
            CheckKind::Smtp { .. } => format!("Remote SMTP server {real} succeed on service."),
            CheckKind::Dns { .. } | CheckKind::Misc { .. } | CheckKind::Bfd { .. } => return None,
        },
        Notice::Failed { retries, .. } => {
            let what = match kind {
                CheckKind::Tcp => "TCP_CHECK",
                CheckKind::Udp(_) => "UDP_CHECK",
                CheckKind::Ping => "ICMP CHECK",
                CheckKind::Http(http) if http.ssl => "SSL_CHECK",
                CheckKind::Http(_) => "HTTP_CHECK",
                _ => return None,
            };
            match retries {
                Some(n) if matches!(kind, CheckKind::Ping) => {
                    format!("{what} on service {real} of {vs} failed after {n} retries.")
                }
                Some(n) => format!("{what} on service {real} failed after {n} retries."),
                None => format!("{what} on service {real} failed."),
            }
        }
        Notice::Attempt {
            failure, retries, ..
        } => {
            let mut line = with_names(vs, rs, checker, |names| probe::failure(failure, names))?;
            if let Some(n) = retries {
                line.push_str(&format!(" after {n} retries"));
            }
            line
        }
        Notice::Page { url, proof, .. } => {
            let CheckKind::Http(http) = kind else {
                return None;
            };
            let path = http
                .urls
                .get(usize::from(url))
                .and_then(|u| u.path.as_ref());
            let path = path.map_or("(null)", |p| &*p.value);
            probe::web_success(proof, &real.to_string(), path)
        }
        Notice::Script {
            failure, attempt, ..
        } => {
            let CheckKind::Misc { script, .. } = kind else {
                return None;
            };
            let name = script.args.first().map_or("", String::as_str);
            let (word, reason) = script_words(failure);
            let how = match (failure, checker.times.retry.unwrap_or(0), attempt) {
                (None, ..) => String::new(),
                (Some(_), 0, _) => " with retry disabled".to_owned(),
                (Some(_), n, 1) => format!(", will do {n} {}", retries(n)),
                (Some(_), n, 0) => format!(" after {n} {}", retries(n)),
                (Some(_), n, at) => format!(" on retry {}/{n}", at.saturating_sub(1)),
            };
            let reason = reason.map_or_else(String::new, |r| format!(" ({r})"));
            format!("Misc check for [{real} VS {vs}] by [{name}] {word}{how}{reason}.")
        }
        Notice::Bfd { up, .. } => {
            let CheckKind::Bfd { session } = kind else {
                return None;
            };
            let state = if up { "UP" } else { "DOWN" };
            format!("BFD check of [{}] RS({real}) is {state}", &*session.value)
        }
        _ => return None,
    })
}

/// An entry of a virtual server's group that a reload brought, or took away.
pub fn group_entry(entry: &GroupEntry, vs: &VirtualServer, new: bool) -> String {
    let name = match *entry {
        GroupEntry::Fwmark { mark, .. } if new => format!("FWM {mark}"),
        GroupEntry::Fwmark { mark, .. } => mark.to_string(),
        GroupEntry::Addresses { first, last } if first.ip() == last.ip() => {
            Trio(first, vs.protocol).to_string()
        }
        GroupEntry::Addresses { first, last } => {
            format!("{}-{}", Trio(first, vs.protocol), last.ip())
        }
    };
    let group = vs.group_name().unwrap_or_default();
    if new {
        format!("VS [{name}] added into group {group}")
    } else {
        format!("VS [{name}] in group {group} no longer exists")
    }
}

const fn retries(n: u32) -> &'static str {
    if n == 1 { "retry" } else { "retries" }
}

fn script_words(failure: Option<ScriptFailure>) -> (&'static str, Option<String>) {
    failure.map_or(("succeeded", None), probe::script_failure)
}

fn of_virtual(notice: &Notice, vs: &VirtualServer) -> Option<String> {
    let sorry = || vs.sorry_server.as_ref().map(|s| named(s, vs));
    Some(match notice {
        Notice::RemovingVirtualServer(_) => match vs.group_name() {
            Some(group) => format!("Removing Virtual Server Group [{group}]"),
            None => format!("Removing Virtual Server {vs}"),
        },
        Notice::Gained(q) => format!("Gained quorum {} for VS {vs}", sum(q, vs, '+', "<=")),
        Notice::Lost(q) => {
            let what = if q.init {
                "Starting with quorum down"
            } else {
                "Lost quorum"
            };
            format!("{what} {} for VS {vs}", sum(q, vs, '-', ">"))
        }
        Notice::Sorry(_, add) => {
            let (server, inhibit) = sorry()?;
            let (verb, to) = match (add, inhibit) {
                (true, true) => ("Enabling", "to"),
                (true, false) => ("Adding", "to"),
                (false, true) => ("Disabling", "from"),
                (false, false) => ("Removing", "from"),
            };
            format!("{verb} sorry server {server} {to} VS {vs}")
        }
        Notice::SorryGone(_) => format!("Removing sorry server {} from VS {vs}", sorry()?.0),
        Notice::Pool(_, add) => {
            let verb = if *add {
                "Adding alive servers to"
            } else {
                "Removing alive servers from"
            };
            format!("{verb} the pool for VS {vs}")
        }
        _ => return None,
    })
}

const fn named<'a>(sorry: &'a SorryServer, vs: &'a VirtualServer) -> (Trio, bool) {
    (Trio(sorry.addr, vs.protocol), sorry.inhibit)
}

/// `2+1=3 <= 4`
fn sum(q: &Quorum, vs: &VirtualServer, sign: char, compared: &str) -> String {
    format!(
        "{}{sign}{}={} {compared} {}",
        vs.quorum, vs.hysteresis, q.threshold, q.weight
    )
}

/// The body of a mail about a checker.
pub fn mail(
    vs: &VirtualServer,
    rs: &RealServer,
    checker: &Checker,
    verdict: Option<Verdict>,
    up: bool,
) -> String {
    let word = if up { "succeed" } else { "failed" };
    match (&checker.kind, verdict) {
        (CheckKind::Tcp, _) => format!("=> TCP CHECK {word} on service <="),
        (CheckKind::Udp(_), _) => format!("=> UDP CHECK {word} on service <="),
        (CheckKind::Ping, _) => format!("=> ICMP CHECK {word} on service <="),
        (CheckKind::Dns { .. }, _) => format!("=> DNS_CHECK: {word} on service <="),
        (CheckKind::Http(_), _) if !up => {
            "=> CHECK failed on service : HTTP/SSL request failed <=".to_owned()
        }
        (CheckKind::Smtp { .. }, Some(Verdict::Down(Failure::Smtp(why)))) => {
            let why = with_names(vs, rs, checker, |names| probe::smtp(why, names));
            format!("=> CHECK failed on service : {why} <=")
        }
        (CheckKind::Http(_) | CheckKind::Smtp { .. }, _) => {
            format!("=> CHECK {word} on service <=")
        }
        (CheckKind::Misc { .. }, verdict) => {
            let failure = match verdict {
                Some(Verdict::Down(Failure::Script(failure))) => Some(failure),
                _ => None,
            };
            format!("=> MISC CHECK {} on service <=", script_words(failure).0)
        }
        (CheckKind::Bfd { session }, _) => {
            let word = if up { "succeeded" } else { "failed" };
            format!("=> BFD CHECK {} {word} on service <=", &*session.value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of 2.3.3.
    #[test]
    fn entries_of_groups() {
        let text = "virtual_server_group A {\n 10.99.1.9 80\n 10.99.1.5-7 80\n fwmark 79\n}\n\
            virtual_server group A {\n protocol TCP\n real_server 10.9.0.1 80 {\n }\n}\n";
        let lvs = crate::check::wanted::tests::model(text).lvs;
        let (group, vs) = (&lvs.groups[0], &lvs.virtual_servers[0]);
        let said = |new| group.entries.iter().map(move |e| group_entry(e, vs, new));
        assert_eq!(
            said(true).collect::<Vec<_>>(),
            [
                "VS [[10.99.1.9]:tcp:80] added into group A",
                "VS [[10.99.1.5]:tcp:80-10.99.1.7] added into group A",
                "VS [FWM 79] added into group A",
            ]
        );
        assert_eq!(
            said(false).collect::<Vec<_>>(),
            [
                "VS [[10.99.1.9]:tcp:80] in group A no longer exists",
                "VS [[10.99.1.5]:tcp:80-10.99.1.7] in group A no longer exists",
                "VS [79] in group A no longer exists",
            ]
        );
    }
}
