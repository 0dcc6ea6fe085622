//! The grammar: one function per block, one token of lookahead.
//!
//! Settings take effect and warnings are given as soon as their last token was read, because a later error must not hide them.

mod address;
mod filter;
mod general;
mod helper;
mod sync;

use super::diag::{Diagnostic, Kind as Problem, Severity};
use super::model::{Config, General, Helper, Scheduler, Set, Span, Stats, Sync};
use super::tokens::{Kind, Lexer, ModeWord, Token};
use super::{Facility, Outcome};

/// An error was reported; reading stops.
struct Stop;

type Step<T = ()> = Result<T, Stop>;

/// The longest log and lock file path.
const LONGEST_PATH: usize = 256;

struct Parser<'a> {
    lexer: Lexer<'a>,
    ahead: Option<Token<'a>>,
    interface_exists: &'a dyn Fn(&str) -> bool,
    general: General,
    sync: Sync,
    has_sync: bool,
    stats: Stats,
    has_stats: bool,
    helper: Helper,
    has_helper: bool,
    helper_items: Vec<helper::Item>,
    diagnostics: Vec<Diagnostic>,
}

pub(super) fn parse(text: &[u8], interface_exists: &dyn Fn(&str) -> bool) -> Outcome {
    let mut parser = Parser {
        lexer: Lexer::new(text),
        ahead: None,
        interface_exists,
        general: General {
            hash_size: Set::default_to(0),
            hash_limit: Set::default_to(0),
            log_file: None,
            syslog: Set::default_to(None),
            lock_file: Set::default_to(String::new()),
            unix_path: Set::default_to(String::new()),
            netlink_buffer_size: Set::default_to(0),
            netlink_buffer_size_max_growth: Set::default_to(0),
            netlink_overrun_resync: Set::default_to(Some(0)),
            netlink_events_reliable: Set::default_to(false),
            event_iteration_limit: Set::default_to(0),
            poll_secs: None,
            scheduler: Scheduler::default(),
            systemd: Set::default_to(true),
            filter: None,
        },
        sync: Sync {
            mode: None,
            refresh_time: Set::default_to(0),
            cache_timeout: Set::default_to(0),
            commit_timeout: Set::default_to(0),
            purge_timeout: Set::default_to(0),
            resend_queue_size: Set::default_to(0),
            ack_window_size: Set::default_to(0),
            disable_external_cache: Set::default_to(false),
            disable_internal_cache: Set::default_to(false),
            startup_resync: Set::default_to(false),
            links: Vec::new(),
            default_link: 0,
            error_queue_length: Set::default_to(0),
            tcp_window_tracking: Set::default_to(false),
            expectation_sync: Set::default_to(false),
            expectation_helpers: Vec::new(),
        },
        has_sync: false,
        stats: Stats::default(),
        has_stats: false,
        helper: Helper::default(),
        has_helper: false,
        helper_items: Vec::new(),
        diagnostics: Vec::new(),
    };
    let read = parser.file();
    match read {
        Ok(()) => {
            let (config, diagnostics) = parser.finish();
            Outcome {
                config: Some(config),
                diagnostics,
            }
        }
        Err(Stop) => Outcome {
            config: None,
            diagnostics: parser.diagnostics,
        },
    }
}

impl<'a> Parser<'a> {
    fn file(&mut self) -> Step {
        loop {
            let token = self.take();
            match token.kind {
                Kind::End => return Ok(()),
                Kind::Keyword("General") => self.block(Self::general_line)?,
                Kind::Keyword("Sync") => {
                    self.block(Self::sync_line)?;
                    if self.has_stats {
                        return self.fail(token.span, Problem::StatsAndSync);
                    }
                    self.has_sync = true;
                }
                Kind::Keyword("Stats") => {
                    self.block(Self::stats_line)?;
                    if self.has_sync {
                        return self.fail(token.span, Problem::StatsAndSync);
                    }
                    self.has_stats = true;
                }
                Kind::Keyword("Helper") => {
                    self.block(Self::helper_line)?;
                    self.has_helper = true;
                }
                _ => return self.unexpected(token),
            }
        }
    }

    fn stats_line(&mut self, token: Token<'a>) -> Step {
        match token.kind {
            Kind::Keyword("LogFile") => {
                let old = self.stats.log_file.take();
                self.stats.log_file =
                    self.log_file(old, "/var/log/conntrackd-stats.log", "stats LogFile")?;
                Ok(())
            }
            Kind::Keyword("Syslog") => {
                if let Some(set) = self.facility(true)? {
                    self.stats.syslog = set;
                }
                Ok(())
            }
            _ => self.unexpected(token),
        }
    }

    /// `LogFile on`, `off` (which leaves an earlier path alone) or a path.
    fn log_file(
        &mut self,
        old: Option<Set<String>>,
        default: &str,
        what: &'static str,
    ) -> Step<Option<Set<String>>> {
        let token = self.take();
        match token.kind {
            Kind::On => Ok(Some(Set::at(default.to_owned(), token.span))),
            Kind::Off => Ok(old),
            Kind::Path => self.bounded_path(token, what).map(Some),
            _ => self.unexpected(token),
        }
    }

    fn bounded_path(&mut self, token: Token<'a>, what: &'static str) -> Step<Set<String>> {
        if token.bytes.len() > LONGEST_PATH {
            return self.fail(token.span, Problem::PathTooLong(what));
        }
        Ok(Set::at(token.text(), token.span))
    }

    /// The argument of `Syslog`; `None` when its name is unknown, which changes nothing.
    fn facility(&mut self, of_stats: bool) -> Step<Option<Set<Option<Facility>>>> {
        let token = self.take();
        match token.kind {
            Kind::On => Ok(Some(Set::at(Some(Facility::Daemon), token.span))),
            Kind::Off => Ok(Some(Set::at(None, token.span))),
            Kind::Word => {
                let name = token.text();
                let Some(facility) = Facility::named(&name) else {
                    let problem = if of_stats {
                        Problem::UnknownStatsFacility(name)
                    } else {
                        Problem::UnknownFacility(name)
                    };
                    self.warn(token.span, problem);
                    return Ok(None);
                };
                let other = if of_stats {
                    self.general.syslog.value
                } else {
                    self.stats.syslog.value
                };
                if other.is_some_and(|other| other != facility) {
                    self.warn(token.span, Problem::ConflictingFacility);
                }
                Ok(Some(Set::at(Some(facility), token.span)))
            }
            _ => self.unexpected(token),
        }
    }

    /// Fills in the defaults and checks what only the whole file shows.
    fn finish(mut self) -> (Config, Vec<Diagnostic>) {
        if self.sync.disable_external_cache.value && self.sync.commit_timeout.value != 0 {
            let span = self.sync.commit_timeout.span.unwrap_or_default();
            self.warn(span, Problem::CommitTimeoutIgnored);
            self.sync.commit_timeout = Set::default_to(0);
        }
        let defaulted = |set: &mut Set<u32>, value| {
            if set.value == 0 {
                set.value = value;
            }
        };
        let mut general = self.general;
        let mut sync = self.sync;
        defaulted(&mut general.hash_size, 65536);
        defaulted(&mut general.hash_limit, 262_144);
        defaulted(&mut general.event_iteration_limit, 100);
        if general.netlink_overrun_resync.value == Some(0) {
            general.netlink_overrun_resync.value = Some(30);
        }
        if general.lock_file.value.is_empty() {
            "/var/lock/conntrackd.lock".clone_into(&mut general.lock_file.value);
        }
        defaulted(&mut sync.cache_timeout, 180);
        defaulted(&mut sync.purge_timeout, 60);
        defaulted(&mut sync.refresh_time, 60);
        defaulted(&mut sync.resend_queue_size, 131_072);
        defaulted(&mut sync.ack_window_size, 300);
        defaulted(&mut sync.error_queue_length, 128);
        let config = Config {
            general,
            sync: self.has_sync.then_some(sync),
            stats: self.has_stats.then_some(self.stats),
            helper: self.has_helper.then_some(self.helper),
        };
        (config, self.diagnostics)
    }

    // Tokens

    fn take(&mut self) -> Token<'a> {
        if let Some(token) = self.ahead.take() {
            return token;
        }
        let token = self.lexer.next();
        match token.kind {
            Kind::Mode(ModeWord::Nack) => self.warn(token.span, Problem::NackRenamed),
            Kind::Mode(ModeWord::Persistent) => self.warn(token.span, Problem::PersistentRenamed),
            _ => {}
        }
        token
    }

    fn put_back(&mut self, token: Token<'a>) {
        self.ahead = Some(token);
    }

    fn open(&mut self) -> Step {
        let token = self.take();
        if token.kind == Kind::Byte(b'{') {
            Ok(())
        } else {
            self.unexpected(token)
        }
    }

    /// `{`, any number of items, `}`.
    fn block(&mut self, mut item: impl FnMut(&mut Self, Token<'a>) -> Step) -> Step {
        self.open()?;
        loop {
            let token = self.take();
            if token.kind == Kind::Byte(b'}') {
                return Ok(());
            }
            item(self, token)?;
        }
    }

    fn number(&mut self) -> Step<Set<u32>> {
        let token = self.take();
        match token.kind {
            Kind::Number(n) => Ok(Set::at(n.unsigned_abs(), token.span)),
            _ => self.unexpected(token),
        }
    }

    fn switch(&mut self) -> Step<Set<bool>> {
        let token = self.take();
        match token.kind {
            Kind::On => Ok(Set::at(true, token.span)),
            Kind::Off => Ok(Set::at(false, token.span)),
            _ => self.unexpected(token),
        }
    }

    fn expect(&mut self, kind: Kind) -> Step<Token<'a>> {
        let token = self.take();
        if token.kind == kind {
            Ok(token)
        } else {
            self.unexpected(token)
        }
    }

    // Messages

    fn warn(&mut self, span: Span, kind: Problem) {
        self.diagnostics.push(Diagnostic {
            severity: kind.severity(),
            span,
            kind,
        });
    }

    fn fail<T>(&mut self, span: Span, kind: Problem) -> Step<T> {
        self.diagnostics.push(Diagnostic {
            severity: Severity::Error,
            span,
            kind,
        });
        Err(Stop)
    }

    fn unexpected<T>(&mut self, token: Token<'a>) -> Step<T> {
        let kind = Problem::Syntax {
            line: token.span.line,
            symbol: token.text(),
        };
        self.fail(token.span, kind)
    }
}
