//! The BFD process's data dump.

use bfd_proto::Session;
use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::bfd::BfdInstance;
use conf_parsers::keepalived::sockaddr::Shown;

use super::number::fixed;
use super::snapshot::{ProcessNow, WallTime};
use super::{global, line, truth};
use crate::text::bfd::{diagnostic, state};
use linux_io::local_time::LocalTime;

/// The present of the process.
#[derive(Debug)]
pub struct Now<'a> {
    /// The process.
    pub process: ProcessNow,
    /// Descriptors of the ports for one hop and for several.
    pub ports: (Option<i32>, Option<i32>),
    /// The sessions, in the order of the model.
    pub sessions: Vec<SessionNow<'a>>,
    /// The dump is of the configuration alone (`--dump-conf`).
    pub configuration_only: bool,
}

/// A session with what its core does not know.
#[derive(Debug)]
pub struct SessionNow<'a> {
    /// Its state.
    pub session: &'a Session,
    /// Descriptor of its socket, -1 without one.
    pub fd: i32,
    /// The last packet could not be sent.
    pub failing: bool,
    /// When the last packet came.
    pub last_seen: Option<WallTime>,
}

/// Where the original shows an address of its memory: there is something, or nothing.
const fn pointer(there: bool) -> &'static str {
    if there { "0x0x1" } else { "0x(nil)" }
}

/// The dump.
pub fn data(model: &Model, now: &Now<'_>) -> String {
    let mut out = String::with_capacity(4096);
    global::global(&mut out, &model.global, &now.process, None);
    if !now.configuration_only {
        line!(out, "------< BFD Data >------");
        if let Some(fd) = now.ports.0 {
            line!(out, " fd_in = {fd}");
        }
        if let Some(fd) = now.ports.1 {
            line!(out, " multihop fd_in = {fd}");
        }
        line!(out, " thread_in = 0x1");
    }
    if !model.bfd.instances.is_empty() {
        line!(out, "------< BFD Topology >------");
        for (n, written) in model.bfd.instances.iter().enumerate() {
            configuration(&mut out, written);
            if let Some(session) = now.sessions.get(n).filter(|_| !now.configuration_only) {
                present(&mut out, session);
            }
        }
    }
    out
}

fn configuration(out: &mut String, b: &BfdInstance) {
    line!(out, " BFD Instance = {}", &**b.name);
    if let Some(neighbor) = b.neighbor {
        line!(out, "   Neighbor IP = {}", Shown(neighbor));
    }
    if let Some(source) = b.source {
        line!(out, "   Source IP = {}", Shown(source));
    }
    line!(out, "   Required min RX interval = {} us", b.min_rx);
    line!(out, "   Desired min TX interval = {} us", b.min_tx);
    line!(out, "   Desired idle TX interval = {} us", b.idle_tx);
    line!(out, "   Detection multiplier = {}", b.multiplier);
    let ttl = if b.neighbor.is_some_and(|n| n.is_ipv4()) {
        "TTL"
    } else {
        "hoplimit"
    };
    line!(out, "   {ttl} = {}", b.ttl);
    line!(out, "   max_hops = {}", b.max_hops);
    line!(out, "   passive = {}", truth(b.passive));
    let yes = |v: bool| if v { "Yes" } else { "No" };
    line!(out, "   send event to VRRP process = {}", yes(b.vrrp));
    line!(out, "   send event to checker process = {}", yes(b.checker));
}

fn present(out: &mut String, now: &SessionNow<'_>) {
    let s = now.session;
    line!(out, "   fd_out {}", now.fd);
    let open = pointer(s.open_at.is_some());
    line!(out, "   thread_open_fd_out {open}");
    // What the original keeps over a reload is never there when it dumps.
    for (what, at) in [
        ("out", s.transmit_at),
        ("exp", s.expire_at),
        ("rst", s.reset_at),
    ] {
        line!(out, "   thread_{what} {}", pointer(at.is_some()));
        line!(out, "   sands_{what} = [disabled]");
    }
    line!(out, "   send error = {}", truth(now.failing));
    line!(out, "   local state = {}", state(s.state));
    line!(out, "   remote state = {}", state(s.remote_state));
    line!(out, "   local discriminator = 0x{:x}", s.discriminator);
    line!(
        out,
        "   remote discriminator = 0x{:x}",
        s.remote_discriminator
    );
    line!(out, "   local diag = {}", diagnostic(s.diagnostic));
    line!(out, "   remote diag = {}", diagnostic(s.remote_diagnostic));
    line!(out, "   remote min tx intv = {} us", s.remote_min_tx);
    line!(out, "   remote min rx intv = {} us", s.remote_min_rx);
    line!(out, "   local demand = 0");
    line!(out, "   remote demand = {}", u8::from(s.remote_demand));
    line!(out, "   remote detect multiplier = {}", s.remote_multiplier);
    let not = |v: bool| if v { "" } else { "!" };
    line!(out, "   {}poll, {}final", not(s.poll), not(s.answer));
    line!(out, "   local tx intv = {} us", s.tx);
    line!(out, "   remote tx intv = {} us", s.remote_tx);
    line!(out, "   local detection time = {} us", s.detection);
    line!(out, "   remote detection time = {} us", s.remote_detection);
    match now.last_seen {
        None => line!(out, "   last_seen = [never]"),
        Some(WallTime(micros)) => {
            let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
            let date = LocalTime::from_unix(seconds, 0).ctime();
            let time = fixed(micros);
            line!(out, "   last seen = {time} ({date}.{rest:06})");
        }
    }
}
