//! Which processes count for which tracked program, and when their number is enough. No IO, no clock.
//!
//! In: what was seen of a process (its short name, its command line), forks and ends, the time. Out: [`Verdict`] values in their order.
//!
//! ```text
//!   number:   0 … quorum-1 │ quorum … quorum_max │ quorum_max+1 …
//!             lost         │ gained              │ lost
//! ```
//! Crossing an edge by a fork waits `fork_delay`, by an end `terminate_delay`; by an exec or a change of name nothing waits.
//! Crossing back while one waits ends the waiting.
//! Answers to: keepalived-behaviour.md section 7 "Process", keepalived 2.3.3 core/track_process.c.

use std::collections::VecDeque;

use conf_parsers::keepalived::model::vrrp::{ParamMatch, TrackProcess};
use net_types::{Duration, Instant, SortedMap};

/// A `vrrp_track_process`, ready to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    program: Box<[u8]>,
    /// The further words, each with a zero octet behind it.
    params: Box<[u8]>,
    param_match: ParamMatch,
    full_command: bool,
    quorum: u32,
    quorum_max: u32,
    fork_delay: Duration,
    terminate_delay: Duration,
}

impl Rule {
    fn new(configured: &TrackProcess) -> Self {
        let mut params = Vec::new();
        for word in &configured.params {
            params.extend_from_slice(word.as_bytes());
            params.push(0);
        }
        Self {
            program: configured
                .path
                .as_ref()
                .map_or_else(Box::default, |p| p.as_bytes().into()),
            params: params.into(),
            param_match: configured.param_match,
            full_command: configured.full_command,
            quorum: configured.quorum,
            quorum_max: configured.quorum_max,
            fork_delay: micros(configured.fork_delay),
            terminate_delay: micros(configured.terminate_delay),
        }
    }

    fn enough(&self, number: u32) -> bool {
        (self.quorum..=self.quorum_max).contains(&number)
    }

    /// Whether a command line is meant: words, each with a zero octet behind it.
    fn fits(&self, command_line: &[u8]) -> bool {
        let end = command_line.iter().position(|b| *b == 0);
        let (program, params) = command_line.split_at(end.unwrap_or(command_line.len()));
        if program != &*self.program {
            return false;
        }
        let params = params.get(1..).unwrap_or_default();
        match self.param_match {
            ParamMatch::None => true,
            ParamMatch::Exact => params == &*self.params,
            // The names are the other way round than the original's comments have it, but this is what it does.
            ParamMatch::Partial => params.starts_with(&self.params),
            ParamMatch::Initial => {
                let open_ended = self.params.split_last().map_or(&[][..], |(_, rest)| rest);
                // Its length is compared with the closing octet.
                params.len() >= self.params.len() && params.starts_with(open_ended)
            }
        }
    }
}

fn micros(n: u32) -> Duration {
    Duration::from_micros(u64::from(n))
}

/// What is known of a process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen<'a> {
    /// Its short name, if that is wanted and known.
    pub(super) name: Option<&'a [u8]>,
    /// The start of its command line, if that is wanted and known.
    pub(super) command_line: Option<&'a [u8]>,
}

/// A tracked program's number of processes is enough now, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Position of the program.
    pub(super) program: usize,
    /// It is enough.
    pub(super) gained: bool,
}

/// A program's number after a second count, where it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recounted {
    /// Position of the program.
    pub(super) program: usize,
    /// Number before.
    pub(super) before: u32,
    /// Number now.
    pub(super) now: u32,
    /// It is enough now and was not, or the other way round.
    pub(super) changed: Option<bool>,
}

/// How a number changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Fork,
    End,
    /// Another program or another name.
    Change,
}

#[derive(Clone, Debug)]
struct Program {
    rule: Rule,
    number: u32,
    have_quorum: bool,
    /// When a crossing by a fork counts.
    fork_at: Option<Instant>,
    /// When a crossing by an end counts.
    terminate_at: Option<Instant>,
}

/// What the dumps show of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Processes that count.
    pub(super) number: u32,
    /// They are enough.
    pub(super) have_quorum: bool,
    /// `fork_delay` runs.
    pub(super) fork_timer: bool,
    /// `terminate_delay` runs.
    pub(super) terminate_timer: bool,
}

/// All tracked programs.
#[derive(Debug, Default)]
pub(super) struct Table {
    programs: Vec<Program>,
    /// The programs that each process counts for, in ascending order.
    processes: SortedMap<u32, Vec<u16>>,
    verdicts: VecDeque<Verdict>,
}

impl Table {
    /// Counts for these programs from now on; nothing is counted yet.
    pub(super) fn configure(&mut self, configured: &[TrackProcess]) {
        self.processes.clear();
        self.verdicts.clear();
        self.programs = configured
            .iter()
            .map(|c| Program {
                rule: Rule::new(c),
                number: 0,
                have_quorum: false,
                fork_at: None,
                terminate_at: None,
            })
            .collect();
    }

    /// Whether there is anything to count.
    pub(super) fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    /// Whether some program is known by its short name.
    pub(super) fn wants_names(&self) -> bool {
        self.programs.iter().any(|p| !p.rule.full_command)
    }

    /// Octets of a command line that decide; 0 if none is needed.
    pub(super) fn wants_command_line(&self) -> usize {
        let lines = self.programs.iter().filter(|p| p.rule.full_command);
        let length = |p: &Program| {
            (p.rule.program.len().saturating_add(p.rule.params.len())).saturating_add(3)
        };
        lines.map(length).max().unwrap_or(0)
    }

    /// A process that was there when counting began. [`Self::counted`] follows after the last.
    pub(super) fn found(&mut self, pid: u32, seen: Seen<'_>) {
        for n in 0..self.programs.len() {
            if self.meant(n, seen) == Some(true) && self.add(pid, n) {
                self.programs[n].number = self.programs[n].number.saturating_add(1);
            }
        }
    }

    /// The first count is complete.
    pub(super) fn counted(&mut self) {
        for program in &mut self.programs {
            program.have_quorum = program.rule.enough(program.number);
        }
    }

    /// News were lost: forgets everybody, for a second count with [`Self::found`]. The numbers until now.
    pub(super) fn recount(&mut self) -> Vec<u32> {
        self.processes.clear();
        let forget = |p: &mut Program| {
            p.fork_at = None;
            p.terminate_at = None;
            std::mem::take(&mut p.number)
        };
        self.programs.iter_mut().map(forget).collect()
    }

    /// The second count is complete; what differs from the numbers `before`.
    pub(super) fn recounted(&mut self, now: Instant, before: &[u32]) -> Vec<Recounted> {
        let mut found = Vec::new();
        for (n, (program, before)) in self.programs.iter_mut().zip(before).enumerate() {
            let enough = program.rule.enough(program.number);
            if program.number == *before {
                continue;
            }
            let changed = (enough != program.rule.enough(*before)).then_some(enough);
            found.push(Recounted {
                program: n,
                before: *before,
                now: program.number,
                changed,
            });
            let (slot, delay) = if enough {
                (&mut program.fork_at, program.rule.fork_delay)
            } else {
                (&mut program.terminate_at, program.rule.terminate_delay)
            };
            if changed.is_some() && !delay.is_zero() {
                *slot = Some(now + delay);
            }
        }
        // One whose delay was running when the news were lost is judged as well, though its number is the same.
        for n in 0..self.programs.len() {
            let p = &self.programs[n];
            if p.fork_at.is_none() && p.terminate_at.is_none() {
                self.judge(n);
            }
        }
        found
    }

    /// A process has a child.
    pub(super) fn forked(&mut self, now: Instant, parent: u32, child: u32) {
        let Some(programs) = self.processes.get(&parent).cloned() else {
            return;
        };
        // The number may be in use again while the end of the one before was missed.
        self.ended(now, child);
        self.processes.insert(child, programs.clone());
        for n in programs {
            self.count(now, usize::from(n), true, Cause::Fork);
        }
    }

    /// A process has ended.
    pub(super) fn ended(&mut self, now: Instant, pid: u32) {
        for n in self.processes.remove(&pid).unwrap_or_default() {
            self.count(now, usize::from(n), false, Cause::End);
        }
    }

    /// A process runs another program, of which this is known.
    pub(super) fn became(&mut self, now: Instant, pid: u32, seen: Seen<'_>) {
        for n in 0..self.programs.len() {
            self.set(now, pid, n, self.meant(n, seen));
        }
    }

    /// A process has another short name; programs that are known by their command line are not concerned.
    pub(super) fn renamed(&mut self, now: Instant, pid: u32, name: &[u8]) {
        let seen = Seen {
            name: Some(name),
            command_line: None,
        };
        // As in the original those of the old name are told of first.
        for wanted in [false, true] {
            for n in 0..self.programs.len() {
                if self.meant(n, seen) == Some(wanted) {
                    self.set(now, pid, n, Some(wanted));
                }
            }
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let all = self
            .programs
            .iter()
            .flat_map(|p| [p.fork_at, p.terminate_at]);
        all.flatten().min()
    }

    /// Delays that are over.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for n in 0..self.programs.len() {
            let p = &mut self.programs[n];
            let over = |slot: &mut Option<Instant>| slot.take_if(|at| *at <= now).is_some();
            let (fork, end) = (over(&mut p.fork_at), over(&mut p.terminate_at));
            if fork || end {
                self.judge(n);
            }
        }
    }

    /// The next verdict.
    pub(super) fn poll(&mut self) -> Option<Verdict> {
        self.verdicts.pop_front()
    }

    /// The program of the next verdict.
    pub(super) fn peek(&self) -> Option<usize> {
        self.verdicts.front().map(|v| v.program)
    }

    /// The programs, in the order of the configuration.
    pub(super) fn view(&self) -> impl Iterator<Item = View> + '_ {
        self.programs.iter().map(|p| View {
            number: p.number,
            have_quorum: p.have_quorum,
            fork_timer: p.fork_at.is_some(),
            terminate_timer: p.terminate_at.is_some(),
        })
    }

    /// Whether what was seen is program `n`; nothing if that can not be told from it.
    fn meant(&self, n: usize, seen: Seen<'_>) -> Option<bool> {
        let rule = &self.programs.get(n)?.rule;
        if rule.full_command {
            Some(rule.fits(seen.command_line?))
        } else {
            Some(seen.name? == &*rule.program)
        }
    }

    fn set(&mut self, now: Instant, pid: u32, n: usize, wanted: Option<bool>) {
        match wanted {
            Some(true) if self.add(pid, n) => self.count(now, n, true, Cause::Change),
            Some(false) if self.remove(pid, n) => self.count(now, n, false, Cause::Change),
            _ => {}
        }
    }

    /// `false` if it counted already.
    fn add(&mut self, pid: u32, n: usize) -> bool {
        let Ok(id) = u16::try_from(n) else {
            return false;
        };
        let programs = self.processes.or_default(pid);
        match programs.binary_search(&id) {
            Ok(_) => false,
            Err(at) => {
                programs.insert(at, id);
                true
            }
        }
    }

    /// `false` if it did not count.
    fn remove(&mut self, pid: u32, n: usize) -> bool {
        let Some(programs) = self.processes.get_mut(&pid) else {
            return false;
        };
        let before = programs.len();
        programs.retain(|p| usize::from(*p) != n);
        let removed = programs.len() < before;
        if programs.is_empty() {
            self.processes.remove(&pid);
        }
        removed
    }

    /// One more or one less.
    fn count(&mut self, now: Instant, n: usize, more: bool, cause: Cause) {
        let Some(p) = self.programs.get_mut(n) else {
            return;
        };
        let was = p.rule.enough(p.number);
        p.number = if more {
            p.number.saturating_add(1)
        } else {
            p.number.saturating_sub(1)
        };
        if p.rule.enough(p.number) == was {
            return;
        }
        let (other, own, delay) = if more {
            (&mut p.terminate_at, &mut p.fork_at, p.rule.fork_delay)
        } else {
            (&mut p.fork_at, &mut p.terminate_at, p.rule.terminate_delay)
        };
        if other.take().is_none() && cause != Cause::Change && !delay.is_zero() {
            own.get_or_insert(now + delay);
            return;
        }
        self.judge(n);
    }

    fn judge(&mut self, n: usize) {
        let Some(p) = self.programs.get_mut(n) else {
            return;
        };
        let gained = p.rule.enough(p.number);
        if std::mem::replace(&mut p.have_quorum, gained) != gained {
            self.verdicts.push_back(Verdict { program: n, gained });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conf_parsers::span::{Span, Spanned};

    fn program(words: &str) -> TrackProcess {
        let name = |text: &str| Spanned {
            value: text.into(),
            span: Span::default(),
        };
        let mut words = words.split(' ');
        let mut p = TrackProcess::new(name("p"));
        p.path = words.next().map(name);
        p.params = words.map(Into::into).collect();
        p
    }

    fn by_name() -> TrackProcess {
        program("sleep")
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn named(name: &str) -> Seen<'_> {
        Seen {
            name: Some(name.as_bytes()),
            command_line: None,
        }
    }

    fn line(words: &str) -> Vec<u8> {
        let mut line = words.replace(' ', "\0").into_bytes();
        line.push(0);
        line
    }

    fn table(programs: &[TrackProcess], running: &[u32]) -> Table {
        let mut table = Table::default();
        table.configure(programs);
        for pid in running {
            table.found(*pid, named("sleep"));
        }
        table.counted();
        table
    }

    fn verdicts(table: &mut Table) -> Vec<bool> {
        std::iter::from_fn(|| table.poll())
            .map(|v| v.gained)
            .collect()
    }

    fn number(table: &Table) -> u32 {
        table.view().next().unwrap().number
    }

    #[test]
    fn which_command_lines_are_meant() {
        use ParamMatch::{Exact, Initial, None, Partial};
        // configured, kind, command line, meant. Each was tried with 2.3.3.
        let cases = [
            ("a", None, "a b", true),
            ("a", None, "ab", false),
            ("a", Exact, "a", true),
            ("a", Exact, "a b", false),
            ("a b", Exact, "a b", true),
            ("a b", Exact, "a b c", false),
            ("a b", Exact, "a bc", false),
            ("a b", Partial, "a b c", true),
            ("a b", Partial, "a b", true),
            ("a b", Partial, "a bc", false),
            ("a", Partial, "a b", true),
            ("a b", Initial, "a bc", true),
            ("a b", Initial, "a b c", true),
            ("a b c", Initial, "a b cd", true),
            ("a b c", Initial, "a bc d", false),
            ("a b", Initial, "a", false),
            ("a", Initial, "a b", true),
        ];
        for (configured, kind, seen, meant) in cases {
            let mut p = program(configured);
            p.param_match = kind;
            p.full_command = true;
            assert_eq!(
                Rule::new(&p).fits(&line(seen)),
                meant,
                "{configured} {kind:?} {seen}"
            );
        }
        // A program that has overwritten its command line.
        let mut p = program("a");
        p.param_match = Exact;
        assert!(Rule::new(&p).fits(b"a"));
        assert!(!Rule::new(&p).fits(b""));
    }

    #[test]
    fn enough_begins_and_ends_at_the_edges() {
        let p = TrackProcess {
            quorum: 2,
            quorum_max: 3,
            ..by_name()
        };
        let mut t = table(&[p], &[10]);
        let have = |t: &Table| t.view().next().unwrap().have_quorum;
        assert!(!have(&t));
        let steps: [(u32, &[bool]); 4] = [(11, &[true]), (12, &[]), (13, &[false]), (14, &[])];
        for (child, expected) in steps {
            t.forked(at(0), 10, child);
            assert_eq!(verdicts(&mut t), expected, "{child}");
        }
        let steps: [(u32, &[bool]); 5] = [
            (14, &[]),
            (10, &[true]),
            (11, &[]),
            (12, &[false]),
            (13, &[]),
        ];
        for (pid, expected) in steps {
            t.ended(at(0), pid);
            assert_eq!(verdicts(&mut t), expected, "{pid}");
        }
        assert!(t.processes.is_empty());
        // Nobody's child, nobody's end.
        t.forked(at(0), 10, 15);
        t.ended(at(0), 99);
        assert_eq!((verdicts(&mut t), number(&t)), (vec![], 0));
    }

    #[test]
    fn none_may_run() {
        let p = TrackProcess {
            quorum: 0,
            quorum_max: 0,
            ..by_name()
        };
        let mut t = table(&[p], &[]);
        assert!(t.view().next().unwrap().have_quorum);
        t.became(at(0), 5, named("sleep"));
        assert_eq!(verdicts(&mut t), [false]);
        t.ended(at(0), 5);
        assert_eq!(verdicts(&mut t), [true]);
    }

    #[test]
    fn programs_come_and_go_by_exec_and_by_name() {
        let mut full = program("/bin/sleep 9");
        full.param_match = ParamMatch::Exact;
        full.full_command = true;
        let mut t = table(&[by_name(), full], &[]);
        assert!(t.wants_names());
        assert_eq!(t.wants_command_line(), 15);
        let words = line("/bin/sleep 9");
        let both = Seen {
            name: Some(b"sleep"),
            command_line: Some(&words),
        };
        let list = |t: &mut Table| {
            let all = std::iter::from_fn(|| t.poll());
            all.map(|v| (v.program, v.gained)).collect::<Vec<_>>()
        };
        t.became(at(0), 7, both);
        assert_eq!(list(&mut t), [(0, true), (1, true)]);
        // The same again is no second process.
        t.became(at(0), 7, both);
        assert_eq!((list(&mut t), number(&t)), (vec![], 1));
        // Its name says nothing about its command line.
        t.renamed(at(0), 7, b"other");
        assert_eq!(list(&mut t), [(0, false)]);
        t.renamed(at(0), 7, b"sleep");
        assert_eq!(list(&mut t), [(0, true)]);
        let words = line("/bin/true");
        let gone = Seen {
            name: Some(b"true"),
            command_line: Some(&words),
        };
        t.became(at(0), 7, gone);
        assert_eq!(list(&mut t), [(0, false), (1, false)]);
        assert!(t.processes.is_empty());
    }

    #[test]
    fn delays() {
        let p = TrackProcess {
            quorum: 2,
            fork_delay: 2_000_000,
            terminate_delay: 3_000_000,
            ..by_name()
        };
        let mut t = table(&[p], &[1]);
        t.forked(at(0), 1, 2);
        assert_eq!((verdicts(&mut t), t.next_timeout()), (vec![], Some(at(2))));
        // Gone before the delay is over: never enough.
        t.ended(at(1), 2);
        assert_eq!((verdicts(&mut t), t.next_timeout()), (vec![], None));
        t.forked(at(4), 1, 3);
        t.handle_timeout(at(5));
        assert_eq!(verdicts(&mut t), []);
        t.handle_timeout(at(6));
        assert_eq!((verdicts(&mut t), t.next_timeout()), (vec![true], None));
        // The same for losing it.
        t.ended(at(10), 3);
        assert_eq!((verdicts(&mut t), t.next_timeout()), (vec![], Some(at(13))));
        t.forked(at(11), 1, 4);
        assert_eq!((verdicts(&mut t), t.next_timeout()), (vec![], None));
        t.ended(at(12), 4);
        t.handle_timeout(at(15));
        assert_eq!(verdicts(&mut t), [false]);
        // Another program waits for nothing, and ends the waiting.
        t.forked(at(16), 1, 5);
        t.became(at(16), 5, named("true"));
        assert_eq!((verdicts(&mut t), t.next_timeout()), (vec![], None));
        t.became(at(17), 5, named("sleep"));
        assert_eq!(verdicts(&mut t), [true]);
    }

    #[test]
    fn a_second_count_after_lost_news() {
        let p = TrackProcess {
            quorum: 2,
            ..by_name()
        };
        let waiting = TrackProcess {
            fork_delay: 1_000_000,
            ..p.clone()
        };
        let mut t = table(&[p, waiting], &[1]);
        let before = t.recount();
        t.found(1, named("sleep"));
        t.found(2, named("sleep"));
        let changes = t.recounted(at(3), &before);
        assert_eq!(
            changes
                .iter()
                .map(|c| (c.before, c.now, c.changed))
                .collect::<Vec<_>>(),
            [(1, 2, Some(true)), (1, 2, Some(true))]
        );
        assert_eq!(
            (verdicts(&mut t), t.next_timeout()),
            (vec![true], Some(at(4)))
        );
        t.handle_timeout(at(4));
        assert_eq!(verdicts(&mut t), [true]);
        let before = t.recount();
        for pid in [1, 2, 3] {
            t.found(pid, named("sleep"));
        }
        let changes = t.recounted(at(5), &before);
        assert_eq!(
            changes.iter().map(|c| c.changed).collect::<Vec<_>>(),
            [None, None]
        );
        assert_eq!(verdicts(&mut t), []);
    }
}
