//! From what the operator wrote to what the core needs; at a reload also: what is the same as before.
//!
//! Answers to: keepalived 2.3.3 check/ipwrapper.c (`vs_iseq`), check/check_data.c (`rs_iseq`), the `compare` function of each checker.

use std::net::SocketAddr;

use checker_proto::config::{
    Checker, CheckerId, Config, Flush, Kind, RealServer, RsId, Sorry, VirtualServer, VsId,
};
use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::check::{self, CheckKind};
use conf_parsers::keepalived::model::global::FlushOnStop;
use conf_parsers::keepalived::model::lvs::{self, LvsModel, Service};
use net_types::{Duration, SortedMap};

/// Where the real servers and checkers of a virtual server begin in the core's numbering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct First {
    /// First real server.
    pub(super) real: u32,
    /// First checker.
    pub(super) checker: u32,
}

/// How many checkers the core has for a real server.
pub(super) fn checkers(real: &lvs::RealServer) -> u32 {
    number(real.checkers.len() + real.track_files.len())
}

/// For each virtual server, where it begins.
pub(super) fn firsts(model: &LvsModel) -> Vec<First> {
    let mut next = First::default();
    let begins = model.virtual_servers.iter().map(|vs| {
        let here = next;
        next.real = next.real.saturating_add(number(vs.real_servers.len()));
        for real in &vs.real_servers {
            next.checker = next.checker.saturating_add(checkers(real));
        }
        here
    });
    begins.collect()
}

pub(super) fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// What makes a virtual server the same.
fn key(vs: &lvs::VirtualServer) -> (String, Option<net_types::Family>, bool) {
    let group = matches!(vs.service, Service::Group { .. });
    let family = vs.family.filter(|_| !group);
    (vs.to_string(), family, group)
}

/// The configuration of the core. `files`: the numbers in the tracked files. `before`: the model that it has now, at a reload.
/// `addresses`: how often the address of a virtual server is on this machine.
pub(super) fn lower(
    model: &Model,
    files: Vec<i64>,
    before: Option<&LvsModel>,
    addresses: impl Fn(&lvs::VirtualServer) -> u32,
) -> Config {
    let begins = before.map(firsts).unwrap_or_default();
    let old = before.map_or(&[][..], |b| &b.virtual_servers);
    // Of equal ones the first counts.
    let old = old.iter().enumerate().rev();
    let old: SortedMap<_, _> = old.map(|(n, vs)| (key(vs), (n, vs))).collect();
    let places: SortedMap<&str, usize> = {
        let files = model.vrrp.track_files.iter().enumerate();
        files.map(|(n, f)| (&*f.name.value, n)).collect()
    };
    let all = model.global.checker_log_all_failures;
    let virtual_server = |vs: &lvs::VirtualServer| {
        let was = old.get(&key(vs)).copied();
        let begin = was.and_then(|(n, _)| begins.get(n)).copied();
        let mut reals = Reals::of(was.map(|(_, vs)| vs), begin.unwrap_or_default());
        let real_servers = vs.real_servers.iter().map(|rs| {
            let (id, old) = reals.find(rs);
            RealServer {
                weight: rs.weight.unwrap_or(1),
                inhibit: rs.inhibit.unwrap_or(false),
                smtp_alert: rs.smtp_alert.unwrap_or(false),
                checkers: all_checkers(rs, old, all, &places),
                before: id,
            }
        });
        VirtualServer {
            quorum: vs.quorum,
            hysteresis: vs.hysteresis,
            omega: vs.omega,
            ha_suspend: vs.ha_suspend.then(|| addresses(vs)),
            sorry: vs.sorry_server.as_ref().map(|s| Sorry {
                inhibit: s.inhibit,
                duplicates: s.duplicates_real_server,
                same: was
                    .and_then(|(_, vs)| vs.sorry_server.as_ref())
                    .is_some_and(|old| old.addr == s.addr),
            }),
            real_servers: real_servers.collect(),
            before: was.map(|(n, _)| VsId(number(n))),
        }
    };
    Config {
        virtual_servers: model
            .lvs
            .virtual_servers
            .iter()
            .map(virtual_server)
            .collect(),
        files,
        no_checker_emails: model.global.no_checker_emails,
        rs_init_notifies: model.global.rs_init_notifies,
        flush_on_stop: match model.global.lvs_flush_on_stop {
            FlushOnStop::No => Flush::No,
            FlushOnStop::Full => Flush::Full,
            FlushOnStop::VirtualServers => Flush::VirtualServers,
        },
        count_in_service: cfg!(feature = "snmp")
            && model.global.enable_traps
            && model.global.enable_snmp_checker,
    }
}

/// The real servers of a virtual server before a reload, by address.
struct Reals<'a>(SortedMap<SocketAddr, Option<(RsId, u32, &'a lvs::RealServer)>>);

/// A real server before a reload: its first checker, and what it was.
type Old<'a> = Option<(u32, &'a lvs::RealServer)>;

impl<'a> Reals<'a> {
    fn of(vs: Option<&'a lvs::VirtualServer>, first: First) -> Self {
        let mut next = first;
        let each = vs.into_iter().flat_map(|vs| &vs.real_servers).map(|rs| {
            let here = (rs.addr, Some((RsId(next.real), next.checker, rs)));
            next.real = next.real.saturating_add(1);
            next.checker = next.checker.saturating_add(checkers(rs));
            here
        });
        Self(each.collect())
    }

    fn find(&mut self, rs: &lvs::RealServer) -> (Option<RsId>, Old<'a>) {
        match self.0.get_mut(&rs.addr).and_then(Option::take) {
            Some((id, first, old)) => (Some(id), Some((first, old))),
            None => (None, None),
        }
    }
}

fn all_checkers(
    rs: &lvs::RealServer,
    old: Old<'_>,
    log_all: bool,
    files: &SortedMap<&str, usize>,
) -> Box<[Checker]> {
    let id = |first: u32, n: usize| CheckerId(first.saturating_add(number(n)));
    let ordinary = rs.checkers.iter().map(|checker| {
        let before = old.and_then(|(first, old)| {
            let place = old.checkers.iter().position(|o| is_same(o, checker))?;
            Some(id(first, place))
        });
        let micros = |time: Option<u64>| Duration::from_micros(time.unwrap_or(0));
        Checker {
            kind: kind(&checker.kind),
            alpha: checker.alpha.unwrap_or(false),
            log_all_failures: checker.log_all_failures || log_all,
            retry: checker.times.retry.unwrap_or(0),
            delay_loop: micros(checker.times.delay_loop),
            delay_before_retry: micros(checker.times.delay_before_retry),
            warmup: micros(checker.times.warmup),
            before,
        }
    });
    let tracked = rs.track_files.iter().map(|file| {
        let before = old.and_then(|(first, old)| {
            let place = old.track_files.iter().position(|o| o == file)?;
            Some(id(first, old.checkers.len() + place))
        });
        let place = files.get(&*file.file.value).copied();
        Checker {
            kind: Kind::File {
                file: place.map_or(u32::MAX, number),
                weight: file.weight,
                reverse: file.reverse,
            },
            alpha: false,
            log_all_failures: false,
            retry: 0,
            delay_loop: Duration::ZERO,
            delay_before_retry: Duration::ZERO,
            warmup: Duration::ZERO,
            before,
        }
    });
    ordinary.chain(tracked).collect()
}

fn kind(kind: &CheckKind) -> Kind {
    match kind {
        CheckKind::Tcp | CheckKind::Ping | CheckKind::Udp(_) => Kind::Plain,
        CheckKind::Http(http) => Kind::Web {
            urls: u16::try_from(http.urls.len().max(1)).unwrap_or(u16::MAX),
            fast_recovery: http.fast_recovery,
        },
        CheckKind::Smtp { .. } => Kind::Smtp,
        CheckKind::Dns { .. } => Kind::Dns,
        CheckKind::Misc { dynamic, .. } => Kind::Misc { dynamic: *dynamic },
        CheckKind::Bfd { .. } => Kind::Bfd,
    }
}

/// It looks for the same thing at the same place. When it does may differ.
fn is_same(old: &check::Checker, new: &check::Checker) -> bool {
    let same_kind = match (&old.kind, &new.kind) {
        (
            CheckKind::Misc {
                script: a,
                dynamic: x,
                ..
            },
            CheckKind::Misc {
                script: b,
                dynamic: y,
                ..
            },
        ) => x == y && a.args == b.args && (a.uid, a.gid) == (b.uid, b.gid),
        (old, new) => old == new,
    };
    same_kind && old.connection == new.connection
}
