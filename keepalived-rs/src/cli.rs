//! The command line: what the operator asked for, and what is answered at once.
//!
//! In: words. Out: [`Options`], or an exit status after `-v`, `-h`, `--signum` or an error.
//! Answers to: keepalived-behaviour.md section 1 (keepalived 2.3.3 core/main.c).

use std::io::Write;

use daemon_rt::cli::getopt::{Arg, Culprit, Getopt, Item, Opt};
use daemon_rt::log::Facility;
use linux_io::signal::{Signal, sigrtmax};

use crate::paths;
use crate::text::usage::Usage;
use crate::text::version::Version;

/// Which children may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Daemons {
    /// VRRP (cleared by `-C`).
    pub vrrp: bool,
    /// Health checkers (cleared by `-P`).
    pub checker: bool,
    /// BFD (cleared by `-B`).
    pub bfd: bool,
    /// `--all`: run them even if nothing is configured for them.
    pub all: bool,
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `-f`
    pub config_file: Option<String>,
    /// `-P -C -B --all`
    pub daemons: Daemons,
    /// `-l`, effective only with `-n`
    pub log_console: bool,
    /// `-D`: 0 not given, 1 detail, 2 extra detail
    pub log_detail: u8,
    /// `-S`
    pub facility: Facility,
    /// `-g`, as given or the default name; may be relative
    pub log_file: Option<String>,
    /// `-G`
    pub no_syslog: bool,
    /// `-u`
    pub umask: Option<u32>,
    /// `-X`
    pub release_vips: bool,
    /// `-V`
    pub dont_release_vrrp: bool,
    /// `-I`
    pub dont_release_ipvs: bool,
    /// `-R`
    pub dont_respawn: bool,
    /// `-n`
    pub dont_fork: bool,
    /// `-d`
    pub dump_conf: bool,
    /// `-p`
    pub pid: Option<String>,
    /// `-r`
    pub vrrp_pid: Option<String>,
    /// `-c`
    pub checkers_pid: Option<String>,
    /// `-b`
    pub bfd_pid: Option<String>,
    /// `-a`
    pub address_monitoring: bool,
    /// `-x`
    pub snmp: bool,
    /// `-A`
    pub snmp_socket: Option<String>,
    /// `-s`
    pub namespace: Option<String>,
    /// `-m`
    pub core_dump: bool,
    /// `-M`: the pattern
    pub core_pattern: Option<String>,
    /// `-e`
    pub all_config: bool,
    /// `-i`
    pub config_id: Option<String>,
    /// `--ignore-sigint`
    pub ignore_sigint: bool,
    /// `-t`
    pub config_test: bool,
    /// `-t LOGFILE`: stderr is to go there
    pub config_test_log: Option<String>,
    /// `--config-fd`
    pub config_fd: Option<i32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config_file: None,
            daemons: Daemons {
                vrrp: true,
                checker: true,
                bfd: true,
                all: false,
            },
            log_console: false,
            log_detail: 0,
            facility: Facility::DAEMON,
            log_file: None,
            no_syslog: false,
            umask: None,
            release_vips: false,
            dont_release_vrrp: false,
            dont_release_ipvs: false,
            dont_respawn: false,
            dont_fork: false,
            dump_conf: false,
            pid: None,
            vrrp_pid: None,
            checkers_pid: None,
            bfd_pid: None,
            address_monitoring: false,
            snmp: false,
            snmp_socket: None,
            namespace: None,
            core_dump: false,
            core_pattern: None,
            all_config: false,
            config_id: None,
            ignore_sigint: false,
            config_test: false,
            config_test_log: None,
            config_fd: None,
        }
    }
}

/// What to do after reading the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// Start with these options.
    Run(Box<Options>),
    /// End with this status; what was to be said has been said.
    Exit(u8),
    /// Be `genhash`, with these words.
    Genhash(Vec<String>),
}

/// A key of the table below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    UseFile,
    Vrrp,
    Check,
    NoBfd,
    All,
    LogConsole,
    LogDetail,
    LogFacility,
    LogFile,
    AllConfig,
    FlushLogFile,
    NoSyslog,
    Umask,
    ReleaseVips,
    DontReleaseVrrp,
    DontReleaseIpvs,
    DontRespawn,
    DontFork,
    DumpConf,
    Pid,
    VrrpPid,
    Genhash,
    CheckersPid,
    AddressMonitoring,
    BfdPid,
    Snmp,
    SnmpSocket,
    CoreDump,
    CorePattern,
    Namespace,
    ConfigId,
    Signum,
    ConfigTest,
    ConfigFd,
    IgnoreSigint,
    Version,
    Help,
}

const fn opt(key: Key, short: Option<char>, long: &'static str, arg: Arg) -> Opt<Key> {
    Opt {
        key,
        short,
        long,
        arg,
    }
}

#[rustfmt::skip]
static TABLE: &[Opt<Key>] = &[
    opt(Key::UseFile,           Some('f'), "use-file",           Arg::Required),
    opt(Key::Vrrp,              Some('P'), "vrrp",               Arg::No),
    opt(Key::Check,             Some('C'), "check",              Arg::No),
    opt(Key::NoBfd,             Some('B'), "no_bfd",             Arg::No),
    opt(Key::All,               None,      "all",                Arg::No),
    opt(Key::LogConsole,        Some('l'), "log-console",        Arg::No),
    opt(Key::LogDetail,         Some('D'), "log-detail",         Arg::No),
    opt(Key::LogFacility,       Some('S'), "log-facility",       Arg::Required),
    opt(Key::LogFile,           Some('g'), "log-file",           Arg::Optional),
    opt(Key::AllConfig,         Some('e'), "all-config",         Arg::No),
    opt(Key::FlushLogFile,      None,      "flush-log-file",     Arg::No),
    opt(Key::NoSyslog,          Some('G'), "no-syslog",          Arg::No),
    opt(Key::Umask,             Some('u'), "umask",              Arg::Required),
    opt(Key::ReleaseVips,       Some('X'), "release-vips",       Arg::No),
    opt(Key::DontReleaseVrrp,   Some('V'), "dont-release-vrrp",  Arg::No),
    opt(Key::DontReleaseIpvs,   Some('I'), "dont-release-ipvs",  Arg::No),
    opt(Key::DontRespawn,       Some('R'), "dont-respawn",       Arg::No),
    opt(Key::DontFork,          Some('n'), "dont-fork",          Arg::No),
    opt(Key::DumpConf,          Some('d'), "dump-conf",          Arg::No),
    opt(Key::Pid,               Some('p'), "pid",                Arg::Required),
    opt(Key::VrrpPid,           Some('r'), "vrrp_pid",           Arg::Required),
    opt(Key::Genhash,           Some('T'), "genhash",            Arg::No),
    opt(Key::CheckersPid,       Some('c'), "checkers_pid",       Arg::Required),
    opt(Key::AddressMonitoring, Some('a'), "address-monitoring", Arg::No),
    opt(Key::BfdPid,            Some('b'), "bfd_pid",            Arg::Required),
    opt(Key::Snmp,              Some('x'), "snmp",               Arg::No),
    opt(Key::SnmpSocket,        Some('A'), "snmp-agent-socket",  Arg::Required),
    opt(Key::CoreDump,          Some('m'), "core-dump",          Arg::No),
    opt(Key::CorePattern,       Some('M'), "core-dump-pattern",  Arg::Optional),
    opt(Key::Namespace,         Some('s'), "namespace",          Arg::Required),
    opt(Key::ConfigId,          Some('i'), "config-id",          Arg::Required),
    opt(Key::Signum,            None,      "signum",             Arg::Required),
    opt(Key::ConfigTest,        Some('t'), "config-test",        Arg::Optional),
    opt(Key::ConfigFd,          None,      "config-fd",          Arg::Required),
    opt(Key::IgnoreSigint,      None,      "ignore-sigint",      Arg::No),
    opt(Key::Version,           Some('v'), "version",            Arg::No),
    opt(Key::Help,              Some('h'), "help",               Arg::No),
];

/// The signal for a word of `--signum`, if there is one.
pub fn signal_of(function: &str) -> Option<Signal> {
    match function {
        "STOP" => Some(Signal::TERM),
        "RELOAD" => Some(Signal::HUP),
        "DATA" => Some(Signal::USR1),
        "STATS" => Some(Signal::USR2),
        "STATS_CLEAR" => stats_clear_signal(),
        "JSON" => json_signal(),
        _ => None,
    }
}

/// The signal that makes the VRRP process write its JSON dump: SIGRTMIN + 2 of the C library in use.
pub fn json_signal() -> Option<Signal> {
    Signal::realtime(2)
}

/// The signal that makes the VRRP process write and clear its statistics: SIGRTMAX - 1.
pub fn stats_clear_signal() -> Option<Signal> {
    Signal::new(sigrtmax().saturating_sub(1))
}

/// Reads the command line. `program` is the name the program was called by.
pub fn parse(program: &str, words: &[String], out: &mut dyn Write, err: &mut dyn Write) -> Parsed {
    let mut options = Options::default();
    let mut reading = Getopt::new(TABLE, words);
    let mut bad = false;
    let mut log_chosen = false;
    // What cannot be written to a closed stderr has no other way to be told.
    let mut first = true;
    while let Some(item) = reading.next() {
        let was_first = std::mem::replace(&mut first, false);
        match item {
            Item::Found {
                key: Key::Genhash,
                long,
                ..
            } => {
                if !was_first {
                    let name = long.unwrap_or("-T");
                    let _ = writeln!(
                        err,
                        "Warning -- `{name}` not used as first option, previous options ignored"
                    );
                }
                return Parsed::Genhash(reading.rest().to_vec());
            }
            Item::Unknown(culprit) => {
                let _ = writeln!(err, "Unknown option {}", unknown(&culprit));
                bad = true;
            }
            Item::Missing(culprit) => {
                let _ = writeln!(err, "Missing parameter for option {}", missing(&culprit));
                bad = true;
            }
            Item::Found {
                key,
                long: Some(long),
                value: Some(value),
            } if value.is_empty() && requires_argument(key) => {
                let _ = writeln!(err, "Missing parameter for option --{long}");
                bad = true;
            }
            Item::Found { key, value, .. } => {
                if let Some(status) = at_once(key, value.as_deref(), program, out, err) {
                    return Parsed::Exit(status);
                }
                apply(&mut options, key, value, &mut log_chosen, err);
            }
        }
    }
    if !reading.operands().is_empty() {
        let _ = write!(out, "Unexpected argument(s): ");
        for operand in reading.operands() {
            let _ = write!(out, "{operand} ");
        }
        let _ = writeln!(out);
    }
    if bad {
        return Parsed::Exit(1);
    }
    Parsed::Run(Box::new(options))
}

/// What the original names in `Unknown option …`: a letter, or the word.
fn unknown(culprit: &Culprit) -> String {
    match culprit.letter {
        Some(letter) if culprit.word.as_bytes().get(1) != Some(&b'-') => format!("-{letter}"),
        _ => culprit.word.clone(),
    }
}

/// What the original names in `Missing parameter …`. It does not know the name of a long option that is
/// the last word, and prints what its C library makes of that.
fn missing(culprit: &Culprit) -> String {
    match culprit.letter {
        Some(letter) if culprit.word.as_bytes().get(1) != Some(&b'-') => format!("-{letter}"),
        _ => "--(null)".to_owned(),
    }
}

fn requires_argument(key: Key) -> bool {
    TABLE.iter().any(|o| o.key == key && o.arg == Arg::Required)
}

/// Options that are answered before the rest of the line is read.
fn at_once(
    key: Key,
    value: Option<&str>,
    program: &str,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Option<u8> {
    match key {
        Key::Version => {
            let _ = write!(err, "{}", Version::here());
            Some(0)
        }
        Key::Help => {
            let usage = Usage {
                program,
                config: &paths::default_config(),
                tmp: &paths::tmp_dir(),
            };
            let _ = write!(err, "{usage}");
            Some(0)
        }
        Key::Signum => {
            let function = value.unwrap_or("");
            match signal_of(function) {
                Some(signal) => {
                    let _ = writeln!(out, "{}", signal.number());
                    Some(0)
                }
                None => {
                    let _ = writeln!(err, "Unknown sigfunc {function}");
                    Some(1)
                }
            }
        }
        _ => None,
    }
}

fn apply(
    options: &mut Options,
    key: Key,
    value: Option<String>,
    log_chosen: &mut bool,
    err: &mut dyn Write,
) {
    match key {
        Key::UseFile => options.config_file = value,
        Key::Vrrp => options.daemons.checker = false,
        Key::Check => options.daemons.vrrp = false,
        Key::NoBfd => options.daemons.bfd = false,
        Key::All => {
            options.daemons = Daemons {
                vrrp: true,
                checker: true,
                bfd: true,
                all: true,
            };
        }
        Key::LogConsole => {
            options.log_console = true;
            *log_chosen = true;
        }
        Key::LogDetail => options.log_detail = options.log_detail.saturating_add(1).min(2),
        Key::LogFacility => {
            let word = value.unwrap_or_default();
            match facility(&word) {
                Some(facility) => {
                    options.facility = facility;
                    *log_chosen = true;
                }
                // The original asks whether *any* option chose a log before it complains.
                None if !*log_chosen => {
                    let _ = writeln!(err, "Invalid log facility '{word}'");
                }
                None => {}
            }
        }
        Key::LogFile => {
            let name = value.filter(|name| !name.is_empty());
            options.log_file = Some(name.unwrap_or_else(|| "keepalived.log".to_owned()));
        }
        Key::AllConfig => options.all_config = true,
        // Lines are always written at once.
        Key::FlushLogFile => {}
        Key::NoSyslog => {
            options.no_syslog = true;
            *log_chosen = true;
        }
        Key::Umask => {
            let word = value.unwrap_or_default();
            match umask(&word) {
                Some(mask) => options.umask = Some(mask),
                None => {
                    let _ = write!(err, "Invalid --umask option {word}");
                    // A valid mask given before is then replaced by 0, as the original does.
                    options.umask = options.umask.map(|_| 0);
                }
            }
        }
        Key::ReleaseVips => options.release_vips = true,
        Key::DontReleaseVrrp => options.dont_release_vrrp = true,
        Key::DontReleaseIpvs => options.dont_release_ipvs = true,
        Key::DontRespawn => options.dont_respawn = true,
        Key::DontFork => options.dont_fork = true,
        Key::DumpConf => options.dump_conf = true,
        Key::Pid => options.pid = value,
        Key::VrrpPid => options.vrrp_pid = value,
        Key::CheckersPid => options.checkers_pid = value,
        Key::AddressMonitoring => options.address_monitoring = true,
        Key::BfdPid => options.bfd_pid = value,
        Key::Snmp => options.snmp = true,
        Key::SnmpSocket => options.snmp_socket = value,
        Key::CoreDump => options.core_dump = true,
        Key::CorePattern => {
            options.core_dump = true;
            let pattern = value.filter(|pattern| !pattern.is_empty());
            options.core_pattern = pattern
                .or_else(|| options.core_pattern.take())
                .or_else(|| Some("core".to_owned()));
        }
        Key::Namespace => options.namespace = value,
        Key::ConfigId => options.config_id = value,
        Key::ConfigTest => {
            options.config_test = true;
            options.dont_respawn = true;
            options.dont_fork = true;
            options.no_syslog = true;
            if let Some(log) = value.filter(|log| !log.is_empty()) {
                options.config_test_log = Some(log);
            }
        }
        Key::ConfigFd => options.config_fd = value.and_then(|v| v.trim().parse().ok()),
        Key::IgnoreSigint => options.ignore_sigint = true,
        Key::Version | Key::Help | Key::Signum | Key::Genhash => {}
    }
}

/// `0` … `7`, `local0` … `local7`, `daemon`, `user`.
fn facility(word: &str) -> Option<Facility> {
    match word {
        "daemon" => Some(Facility::DAEMON),
        "user" => Some(Facility::USER),
        _ => {
            let digits = word.strip_prefix("local").unwrap_or(word);
            Facility::local(digits.trim_start().parse().ok()?)
        }
    }
}

/// A file mode as C writes numbers: `0x…`, `0…` octal, else decimal; at most 0777.
fn umask(word: &str) -> Option<u32> {
    let text = word.trim_start();
    let text = text.strip_prefix('+').unwrap_or(text);
    let mask = if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        u32::from_str_radix(hex, 16).ok()?
    } else if text.len() > 1 && text.starts_with('0') {
        u32::from_str_radix(text, 8).ok()?
    } else if text.is_empty() {
        0
    } else {
        text.parse().ok()?
    };
    (mask <= 0o777).then_some(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Result, stdout, stderr.
    fn run(words: &[&str]) -> (Parsed, String, String) {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let parsed = parse("keepalived", &words, &mut out, &mut err);
        (
            parsed,
            String::from_utf8(out).unwrap(),
            String::from_utf8(err).unwrap(),
        )
    }

    fn options(words: &[&str]) -> Options {
        match run(words) {
            (Parsed::Run(options), out, err) if out.is_empty() && err.is_empty() => *options,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    #[test]
    fn flags_have_their_effects() {
        let o = options(&["-nlDDf/x", "--pid=/p", "-S", "local3", "-u", "022", "-g"]);
        assert!(o.dont_fork && o.log_console);
        assert_eq!(o.log_detail, 2);
        assert_eq!(o.config_file.as_deref(), Some("/x"));
        assert_eq!(o.pid.as_deref(), Some("/p"));
        assert_eq!(Some(o.facility), Facility::local(3));
        assert_eq!(o.umask, Some(0o22));
        assert_eq!(o.log_file.as_deref(), Some("keepalived.log"));
        let o = options(&["-P", "-B"]);
        assert!(o.daemons.vrrp && !o.daemons.checker && !o.daemons.bfd);
        let o = options(&["-P", "--all"]);
        assert!(o.daemons.checker && o.daemons.all);
        let o = options(&["-t"]);
        assert!(o.config_test && o.dont_fork && o.dont_respawn && o.no_syslog);
        assert_eq!(options(&["-M"]).core_pattern.as_deref(), Some("core"));
        assert_eq!(options(&["-S", "7"]).facility.number(), 23);
    }

    #[test]
    fn errors_are_told_as_the_original_tells_them() {
        for (words, status, out, err) in [
            (&["-Z"][..], 1, "", "Unknown option -Z\n"),
            (&["-nZ"], 1, "", "Unknown option -Z\n"),
            (&["--bogus"], 1, "", "Unknown option --bogus\n"),
            (&["--log-f"], 1, "", "Unknown option --log-f\n"),
            (&["-f"], 1, "", "Missing parameter for option -f\n"),
            (
                &["--use-file"],
                1,
                "",
                "Missing parameter for option --(null)\n",
            ),
            (
                &["--use-file=", "-n"],
                1,
                "",
                "Missing parameter for option --use-file\n",
            ),
            (&["--signum", "X"], 1, "", "Unknown sigfunc X\n"),
            (&["--signum=STOP", "-Z"], 0, "15\n", ""),
            (
                &["a", "-Z", "b"],
                1,
                "Unexpected argument(s): a b \n",
                "Unknown option -Z\n",
            ),
        ] {
            let (parsed, o, e) = run(words);
            assert_eq!(parsed, Parsed::Exit(status), "{words:?}");
            assert_eq!((o.as_str(), e.as_str()), (out, err), "{words:?}");
        }
    }

    #[test]
    fn bad_values_are_told_and_ignored() {
        let (parsed, _, err) = run(&["-S", "local9", "-u", "9"]);
        assert!(matches!(parsed, Parsed::Run(_)));
        assert_eq!(err, "Invalid log facility 'local9'\n");
        let (_, _, err) = run(&["-u", "1000"]);
        assert_eq!(err, "Invalid --umask option 1000");
        let (_, out, _) = run(&["x", "y"]);
        assert_eq!(out, "Unexpected argument(s): x y \n");
    }

    #[test]
    fn signal_numbers() {
        // MIPS numbers two of them otherwise.
        let (usr1, usr2) = if cfg!(target_arch = "mips") {
            (16, 17)
        } else {
            (10, 12)
        };
        for (word, number) in [("STOP", 15), ("RELOAD", 1), ("DATA", usr1), ("STATS", usr2)] {
            assert_eq!(signal_of(word).map(Signal::number), Some(number));
        }
        assert_eq!(signal_of("TDUMP"), None);
        assert_eq!(
            json_signal().map(Signal::number),
            Some(linux_io::signal::sigrtmin() + 2)
        );
    }
}
