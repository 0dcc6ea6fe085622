//! Lives of real servers: tables of what happened and what followed, and a simulation with invariants.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use net_types::{Duration, Instant, Random};

use crate::config::{
    Checker, CheckerId, Config, Kind, RealServer, RsId, Sorry, VirtualServer, VsId,
};
use crate::output::{Ipvs, Notice, Output};
use crate::verdict::{Failure, ScriptFailure, Success, TcpFailure, Verdict, WebFailure, WebProof};
use crate::{Engine, Input};

const UP: Verdict = Verdict::Up(Success::Answer);
const DOWN: Verdict = Verdict::Down(Failure::Tcp(TcpFailure::Failed));

fn checker(kind: Kind, retry: u32) -> Checker {
    Checker {
        kind,
        alpha: false,
        log_all_failures: false,
        retry,
        delay_loop: Duration::from_secs(10),
        delay_before_retry: Duration::from_secs(2),
        warmup: Duration::ZERO,
        before: None,
    }
}

fn real(checkers: &[Checker]) -> RealServer {
    RealServer {
        weight: 1,
        checkers: checkers.into(),
        ..RealServer::default()
    }
}

fn service(reals: Vec<RealServer>) -> Config {
    Config {
        virtual_servers: vec![VirtualServer {
            quorum: 1,
            real_servers: reals.into(),
            ..VirtualServer::default()
        }],
        ..Config::default()
    }
}

/// A core whose outputs are words.
struct Told {
    engine: Engine,
    now: Instant,
}

impl Told {
    fn new(config: &Config) -> (Self, Vec<String>) {
        let mut this = Self {
            engine: Engine::new(config, 7),
            now: Instant::from_micros(1_000),
        };
        let said = this.feed(Input::Start);
        (this, said)
    }

    fn feed(&mut self, input: Input) -> Vec<String> {
        self.engine.handle(self.now, input);
        self.check_weights();
        self.outputs()
    }

    /// What virtual servers have kept of their weight is what their real servers have.
    fn check_weights(&self) {
        for (n, service) in self.engine.pool.services.iter().enumerate() {
            let reals = self.engine.reals_of(VsId(n as u32));
            let alive = reals
                .map(|rs| self.engine.real(rs).unwrap())
                .filter(|r| r.alive);
            let sum = alive.map(|r| i64::from(crate::service::real_weight(r.effective)));
            assert_eq!(service.live_weight, sum.sum::<i64>());
        }
    }

    fn outputs(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(output) = self.engine.poll_output() {
            said.push(word(output));
        }
        said.retain(|s| !s.is_empty());
        said
    }

    /// Waits for the next probe and lets it end: how many seconds it waited, and what followed.
    fn round(&mut self, verdict: Verdict) -> (u64, Vec<String>) {
        let due = self.engine.next_timeout().unwrap();
        let waited = due.since(self.now).as_secs();
        self.now = due;
        self.engine.handle_timeout(due);
        let mut started = Vec::new();
        while let Some(output) = self.engine.poll_output() {
            if let Output::Probe { checker, .. } = output {
                started.push(checker);
            }
        }
        let mut said = Vec::new();
        for checker in started {
            said.extend(self.feed(Input::ProbeDone { checker, verdict }));
        }
        (waited, said)
    }
}

fn word(output: Output) -> String {
    let name = |up: bool| if up { "up" } else { "down" };
    match output {
        Output::Probe { checker, url } => format!("probe {} {url}", checker.0),
        Output::Ipvs(Ipvs::Service(vs, on)) => format!("vs {} {on}", vs.0),
        Output::Ipvs(Ipvs::Real(rs, Some(weight))) => format!("rs {} weight {weight}", rs.0),
        Output::Ipvs(Ipvs::Real(rs, None)) => format!("rs {} out", rs.0),
        Output::Ipvs(Ipvs::Sorry(_, Some(weight))) => format!("sorry weight {weight}"),
        Output::Ipvs(Ipvs::Sorry(_, None)) => "sorry out".into(),
        Output::Ipvs(Ipvs::Flush) => "flush".into(),
        Output::RealServer { quiet: true, .. } => String::new(),
        Output::RealServer { rs, up, .. } => format!("notify rs {} {}", rs.0, name(up)),
        Output::Quorum(q) if q.quiet => String::new(),
        Output::Quorum(q) => format!("notify quorum {}", name(q.up)),
        Output::CheckerMail { up, .. } => format!("mail {}", name(up)),
        Output::GoneMail { .. } => "mail gone".into(),
        Output::Reconfigured => "--".into(),
        Output::Done => "done".into(),
        Output::Notice(notice) => match notice {
            Notice::Succeeded(_) => "succeeded".into(),
            Notice::Failed { retries, .. } => format!("failed {retries:?}"),
            Notice::Attempt { .. } => "attempt".into(),
            Notice::Page { url, .. } => format!("page {url}"),
            Notice::Script { attempt, .. } => format!("script {attempt}"),
            Notice::Weight { from, to, .. } => format!("weight {from} to {to}"),
            Notice::Gained(q) => format!("gained {} of {}", q.weight, q.threshold),
            Notice::Lost(q) => format!("lost {} of {}", q.weight, q.threshold),
            _ => String::new(),
        },
    }
}

#[test]
fn a_server_comes_and_goes_with_retries() {
    let (mut told, said) = Told::new(&service(vec![real(&[checker(Kind::Plain, 2)])]));
    // Without alpha it is in service from the start.
    assert_eq!(
        said,
        [
            "vs 0 true",
            "rs 0 weight 1",
            "gained 1 of 1",
            "notify quorum up"
        ]
    );
    // One failure is enough at first.
    let gone = [
        "failed None",
        "rs 0 out",
        "notify rs 0 down",
        "lost 0 of 1",
        "notify quorum down",
    ];
    assert_eq!(told.round(DOWN), (1, gone.map(String::from).to_vec()));
    // Down: no retries.
    assert_eq!(told.round(DOWN), (10, vec![]));
    let back = [
        "succeeded",
        "rs 0 weight 1",
        "notify rs 0 up",
        "gained 1 of 1",
        "notify quorum up",
    ];
    assert_eq!(told.round(UP), (10, back.map(String::from).to_vec()));
    assert_eq!(told.round(DOWN), (10, vec![]));
    assert_eq!(told.round(DOWN), (2, vec![]));
    assert_eq!(told.round(DOWN).1[0], "failed Some(2)");
    assert_eq!(told.round(UP).0, 10);
}

#[test]
fn alpha_waits_for_the_first_success() {
    let alpha = Checker {
        alpha: true,
        ..checker(Kind::Plain, 1)
    };
    let (mut told, said) = Told::new(&service(vec![real(&[alpha, alpha])]));
    assert_eq!(said, ["vs 0 true"]);
    // Both of its checkers have to succeed.
    let (_, said) = told.round(UP);
    assert_eq!(
        said,
        [
            "succeeded",
            "succeeded",
            "rs 0 weight 1",
            "notify rs 0 up",
            "gained 1 of 1",
            "notify quorum up"
        ]
    );
}

#[test]
fn the_sorry_server_stands_in() {
    let mut config = service(vec![real(&[checker(Kind::Plain, 0)]); 2]);
    config.virtual_servers[0].quorum = 2;
    config.virtual_servers[0].sorry = Some(Sorry::default());
    let (mut told, _) = Told::new(&config);
    let done = |told: &mut Told, n, verdict| {
        told.feed(Input::ProbeDone {
            checker: CheckerId(n),
            verdict,
        })
    };
    let due = told.engine.next_timeout().unwrap();
    told.engine.handle_timeout(due);
    told.outputs();
    assert_eq!(
        done(&mut told, 0, DOWN),
        [
            "failed None",
            "rs 0 out",
            "notify rs 0 down",
            "lost 1 of 2",
            "rs 1 out",
            "sorry weight 1",
            "notify quorum down"
        ]
    );
    told.engine.handle_timeout(due + Duration::from_secs(20));
    told.outputs();
    assert_eq!(
        done(&mut told, 0, UP),
        [
            "succeeded",
            "notify rs 0 up",
            "gained 2 of 2",
            "sorry out",
            "rs 0 weight 1",
            "rs 1 weight 1",
            "notify quorum up"
        ]
    );
}

#[test]
fn inhibit_means_weight_0() {
    let mut config = service(vec![RealServer {
        inhibit: true,
        ..real(&[checker(Kind::Plain, 0)])
    }]);
    config.virtual_servers[0].omega = true;
    let (mut told, _) = Told::new(&config);
    assert_eq!(told.round(DOWN).1[1], "rs 0 weight 0");
    assert_eq!(told.round(UP).1[1], "rs 0 weight 1");
    assert_eq!(
        told.feed(Input::Shutdown { keep: false }),
        [
            "rs 0 out",
            "notify rs 0 down",
            "notify quorum down",
            "vs 0 false",
            "done"
        ]
    );
}

#[test]
fn pages_are_asked_for_in_turn() {
    let web = Kind::Web {
        urls: 2,
        fast_recovery: false,
    };
    let page = Verdict::Up(Success::Web(WebProof::Status));
    let wrong = Verdict::Down(Failure::Web(WebFailure::Status));
    let (mut told, _) = Told::new(&service(vec![real(&[checker(web, 1)])]));
    assert_eq!(told.round(page), (1, vec![]));
    assert_eq!(told.round(page), (10, vec!["succeeded".into()]));
    assert_eq!(told.round(wrong), (10, vec![]));
    let (waited, said) = told.round(wrong);
    assert_eq!((waited, &*said[0]), (2, "failed Some(1)"));
    // The page that failed, then all of them.
    assert_eq!(told.round(page), (10, vec!["page 0".into()]));
    assert_eq!(told.round(page), (10, vec!["page 0".into()]));
    let (_, said) = told.round(page);
    assert_eq!(said[..2], ["page 1", "succeeded"]);
}

#[test]
fn scripts_set_weights() {
    let misc = Kind::Misc { dynamic: true };
    let (mut told, _) = Told::new(&service(vec![real(&[checker(misc, 0)])]));
    let exit = |n| Verdict::Up(Success::Script(n));
    assert_eq!(told.round(exit(0)).1, ["script 0"]);
    assert_eq!(told.round(exit(7)).1, ["weight 1 to 5", "rs 0 weight 5"]);
    let failed = Verdict::Down(Failure::Script(ScriptFailure::Exited(1)));
    assert_eq!(told.round(failed).1[..2], ["script 0", "rs 0 out"]);
    // It comes back with the weight that it is given now.
    assert_eq!(told.round(exit(0)).1[..2], ["script 0", "rs 0 weight 1"]);
}

#[test]
fn files_set_weights_and_fail() {
    let file = |weight| {
        checker(
            Kind::File {
                file: 0,
                weight,
                reverse: false,
            },
            0,
        )
    };
    let mut config = service(vec![real(&[file(2)]), real(&[file(0)])]);
    config.files = vec![0];
    let (mut told, _) = Told::new(&config);
    let said = told.feed(Input::File { file: 0, value: 3 });
    assert_eq!(
        said,
        [
            "weight 1 to 7",
            "rs 0 weight 7",
            "rs 1 out",
            "notify rs 1 down"
        ]
    );
    let said = told.feed(Input::File { file: 0, value: 0 });
    assert_eq!(
        said,
        [
            "weight 7 to 1",
            "rs 0 weight 1",
            "rs 1 weight 1",
            "notify rs 1 up"
        ]
    );
}

/// The factor of a file changes: one change of the weight, from what it was to what it is in the end.
#[test]
fn a_reload_weighs_once() {
    let config = |weight, again: bool| {
        let kind = Kind::File {
            file: 0,
            weight,
            reverse: false,
        };
        let mut config = service(vec![RealServer {
            weight: 40,
            before: again.then_some(RsId(0)),
            ..real(&[Checker {
                before: again.then_some(CheckerId(0)),
                ..checker(kind, 0)
            }])
        }]);
        config.virtual_servers[0].before = again.then_some(VsId(0));
        config.files = vec![7];
        config
    };
    let (mut told, _) = Told::new(&config(3, false));
    assert_eq!(told.engine.real(RsId(0)).unwrap().effective, 61);
    let said = told.feed(Input::Reconfigure(config(-1, true).into()));
    assert_eq!(said, ["--", "weight 61 to 33", "rs 0 weight 33"]);
}

#[test]
fn a_reload_keeps_what_is_the_same() {
    let config = service(vec![real(&[checker(Kind::Plain, 0)]); 3]);
    let (mut told, _) = Told::new(&config);
    told.round(UP);
    let due = told.engine.next_timeout().unwrap();
    told.engine.handle_timeout(due);
    told.outputs();
    told.feed(Input::ProbeDone {
        checker: CheckerId(0),
        verdict: DOWN,
    });
    let same = |n: u32| RealServer {
        before: Some(RsId(n)),
        ..real(&[Checker {
            before: Some(CheckerId(n)),
            ..checker(Kind::Plain, 0)
        }])
    };
    let mut next = service(vec![same(0), same(1), real(&[checker(Kind::Plain, 0)])]);
    next.virtual_servers[0].before = Some(VsId(0));
    let said = told.feed(Input::Reconfigure(next.clone().into()));
    assert_eq!(
        said,
        ["rs 2 out", "notify rs 2 down", "--", "rs 2 weight 1"]
    );
    // Nothing changes: nothing is done.
    next.virtual_servers[0].real_servers[2] = same(2);
    let said = told.feed(Input::Reconfigure(next.into()));
    assert_eq!(said, ["--"]);
    assert!(!told.engine.real(RsId(0)).unwrap().alive);
    // What was under way is not heard any more.
    let late = Input::ProbeDone {
        checker: CheckerId(0),
        verdict: UP,
    };
    assert_eq!(told.feed(late), Vec::<String>::new());
}

/// Who hears that the quorum went with the real servers hears, too, that it is there with the new ones; a loss that stays is
/// said, with the threshold of a quorum that is there.
#[test]
fn a_quorum_over_a_reload_that_exchanges_real_servers() {
    let plain = || real(&[checker(Kind::Plain, 0)]);
    let play = |next: Vec<RealServer>, hysteresis| {
        let mut config = service(vec![plain(), plain()]);
        config.virtual_servers[0].quorum = 2;
        let (mut told, _) = Told::new(&config);
        let mut next = service(next);
        next.virtual_servers[0].quorum = 2;
        next.virtual_servers[0].hysteresis = hysteresis;
        next.virtual_servers[0].before = Some(VsId(0));
        let mut thresholds = Vec::new();
        told.engine
            .handle(told.now, Input::Reconfigure(next.into()));
        while let Some(output) = told.engine.poll_output() {
            match output {
                Output::Notice(Notice::Gained(q) | Notice::Lost(q)) => {
                    thresholds.push(format!("says {} {} {}", q.up, q.threshold, q.weight));
                }
                Output::Quorum(q) => thresholds.push(format!("tells {}", q.up)),
                _ => {}
            }
        }
        (thresholds, told.engine.service(VsId(0)).unwrap().quorum_up)
    };
    let (said, up) = play(vec![plain(), plain()], 0);
    assert_eq!(
        (&said[..], up),
        (&["tells false", "tells true"].map(String::from)[..], true)
    );
    let alpha = real(&[Checker {
        alpha: true,
        ..checker(Kind::Plain, 0)
    }]);
    let (said, up) = play(vec![alpha], 1);
    assert_eq!(said, ["tells false", "says false 1 0", "tells false"]);
    assert!(!up);
}

/// What must hold whatever happens: in the table is who is alive, or the sorry server alone.
fn check_invariants(engine: &Engine, config: &Config, table: &[Option<u32>], sorry: Option<u32>) {
    let service = engine.service(VsId(0)).unwrap();
    let written = &config.virtual_servers[0];
    let mut weight = 0;
    for (n, rs) in engine.reals_of(VsId(0)).enumerate() {
        let real = engine.real(rs).unwrap();
        let down = engine
            .checkers_of(rs)
            .filter(|id| !engine.checker(*id).unwrap().up)
            .count();
        assert_eq!(real.failed as usize, down);
        assert_eq!(real.alive, down == 0);
        let stands_in = !service.quorum_up && service.sorry.is_some_and(|s| s.alive);
        let expected = (real.alive && !stands_in).then_some(written.real_servers[n].weight);
        let zero = Some(0).filter(|_| real.inhibit);
        assert_eq!(table[n], expected.or(zero));
        weight += if real.alive {
            written.real_servers[n].weight
        } else {
            0
        };
    }
    if let Some(s) = service.sorry {
        assert_eq!(s.alive, !service.quorum_up);
        assert_eq!(sorry, s.alive.then_some(1));
    }
    assert_eq!(service.live_weight, i64::from(weight));
    if weight >= written.quorum + written.hysteresis {
        assert!(service.quorum_up);
    }
    if weight == 0 || weight + written.hysteresis < written.quorum {
        assert!(!service.quorum_up);
    }
}

#[test]
fn invariants_hold_in_any_order_of_events() {
    for seed in 0..200 {
        let mut random = Random::new(seed * 77 + 3);
        let mut pick = |n: u32| random.draw() % n;
        let reals = (0..=pick(5)).map(|_| RealServer {
            weight: pick(4) + 1,
            inhibit: pick(3) == 0,
            ..real(&vec![
                Checker {
                    alpha: pick(2) == 0,
                    ..checker(Kind::Plain, pick(3))
                };
                pick(2) as usize + 1
            ])
        });
        let mut config = service(reals.collect());
        let total: u32 = config.virtual_servers[0]
            .real_servers
            .iter()
            .map(|r| r.weight)
            .sum();
        let quorum = pick(total) + 1;
        config.virtual_servers[0].quorum = quorum;
        config.virtual_servers[0].hysteresis = pick(quorum);
        config.virtual_servers[0].sorry = (pick(2) == 0).then(Sorry::default);
        let mut engine = Engine::new(&config, seed);
        let mut now = Instant::from_micros(0);
        let mut table = vec![None; config.virtual_servers[0].real_servers.len()];
        let mut sorry = None;
        engine.handle(now, Input::Start);
        for _ in 0..200 {
            let mut probes = Vec::new();
            while let Some(output) = engine.poll_output() {
                match output {
                    Output::Ipvs(Ipvs::Real(rs, weight)) => table[rs.0 as usize] = weight,
                    Output::Ipvs(Ipvs::Sorry(_, weight)) => sorry = weight,
                    Output::Probe { checker, .. } => probes.push(checker),
                    _ => {}
                }
            }
            check_invariants(&engine, &config, &table, sorry);
            if probes.is_empty() {
                now = engine.next_timeout().unwrap();
                engine.handle_timeout(now);
            }
            for checker in probes {
                let verdict = if pick(2) == 0 { UP } else { DOWN };
                engine.handle(now, Input::ProbeDone { checker, verdict });
            }
        }
    }
}
