//! The command line, with the rules of 1.4.8: only the second character of a word counts, sub-words match by prefix.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use daemon_rt::log::Priority;

use crate::request::*;

/// The configuration file without `-C`.
pub const DEFAULT_CONFIG: &str = "/etc/conntrackd/conntrackd.conf";

/// The longest path that `-C` takes; a longer one is cut one byte shorter.
const LONGEST_PATH: usize = 4096;

/// What the words ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// What is to be printed before anything else happens, in order.
    pub said: Vec<Said>,
    /// What to do then.
    pub task: Task,
}

/// Something to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The usage text, to stdout
    Usage,
    /// The version, to stdout
    Version,
    /// A log line
    Line(Priority, String),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// End with this status.
    Exit(u8),
    /// Run as a daemon.
    Daemon {
        /// Configuration file
        config: PathBuf,
        /// `-d`: go to the background
        background: bool,
    },
    /// `--test`: say what is wrong with the configuration file, and end. 1.4.8 has nothing like it.
    Test {
        /// Configuration file
        config: PathBuf,
    },
    /// Send a request to the running daemon.
    Client {
        /// Configuration file, which names the socket
        config: PathBuf,
        /// The number to send; -1 when the words gave none
        request: i32,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Unset,
    Daemon,
    Client,
    Test,
}

struct Reader<'a> {
    words: &'a [OsString],
    at: usize,
    mode: Mode,
    request: i32,
    config: Option<Vec<u8>>,
    said: Vec<Said>,
}

/// The words are not acceptable: end with this status.
struct Refused(u8);

/// Reads the words after the program's name.
pub fn read(words: &[OsString]) -> CommandLine {
    let mut reader = Reader {
        words,
        at: 0,
        mode: Mode::Unset,
        request: -1,
        config: None,
        said: Vec::new(),
    };
    let task = match reader.all() {
        Err(Refused(status)) => Task::Exit(status),
        Ok(()) => {
            let config = reader.config.take().filter(|path| !path.is_empty());
            let config = config.map_or_else(
                || PathBuf::from(DEFAULT_CONFIG),
                |path| OsString::from_vec(path).into(),
            );
            match reader.mode {
                Mode::Client => Task::Client {
                    config,
                    request: reader.request,
                },
                Mode::Test => Task::Test { config },
                mode => Task::Daemon {
                    config,
                    background: mode == Mode::Daemon,
                },
            }
        }
    };
    CommandLine {
        said: reader.said,
        task,
    }
}

impl Reader<'_> {
    fn all(&mut self) -> Result<(), Refused> {
        while let Some(word) = self.words.get(self.at) {
            self.at += 1;
            self.option(word)?;
        }
        Ok(())
    }

    fn option(&mut self, word: &OsStr) -> Result<(), Refused> {
        // Long options are ours; 1.4.8 sees an unknown option `-` in them.
        match word.to_str() {
            Some("--test") => return self.enter(Mode::Test),
            Some("--json") => return self.json(),
            _ => {}
        }
        match word.as_bytes().get(1).copied().unwrap_or(0) {
            b'd' => self.enter(Mode::Daemon)?,
            b'c' => self.table(COMMIT_CT, COMMIT_EXPECT, COMMIT_ALL)?,
            b'i' => self.table(DUMP_INTERNAL, DUMP_INTERNAL_EXPECT, DUMP_INTERNAL)?,
            b'e' => self.table(DUMP_EXTERNAL, DUMP_EXTERNAL_EXPECT, DUMP_EXTERNAL)?,
            b'F' => self.table(FLUSH_KERNEL_CT, FLUSH_KERNEL_EXPECT, FLUSH_KERNEL_ALL)?,
            b'R' => self.table(RESYNC_CT, RESYNC_EXPECT, RESYNC_ALL)?,
            b'C' => self.config_file(),
            b'f' => {
                self.enter(Mode::Client)?;
                self.request = self.word_of('f', &FLUSH_WORDS)?.unwrap_or(FLUSH_ALL_CACHES);
            }
            b's' => {
                self.enter(Mode::Client)?;
                self.request = self.word_of('s', &STATS_WORDS)?.unwrap_or(STATS);
            }
            b'B' => self.plain(SEND_BULK)?,
            b't' => self.plain(RESET_TIMERS)?,
            b'k' => self.plain(KILL)?,
            b'n' => self.plain(REQUEST_BULK)?,
            b'x' => {
                self.request = match self.request {
                    DUMP_INTERNAL => DUMP_INTERNAL_XML,
                    DUMP_EXTERNAL => DUMP_EXTERNAL_XML,
                    DUMP_INTERNAL_EXPECT => DUMP_INTERNAL_EXPECT_XML,
                    DUMP_EXTERNAL_EXPECT => DUMP_EXTERNAL_EXPECT_XML,
                    _ => return self.invalid(),
                }
            }
            b'v' => {
                self.said.push(Said::Version);
                return Err(Refused(0));
            }
            b'h' => {
                self.said.push(Said::Usage);
                return Err(Refused(0));
            }
            _ => {
                self.said.push(Said::Usage);
                self.line(
                    Priority::Err,
                    format!("Unknown option: {}", word.to_string_lossy()),
                );
                // 1.4.8 calls this a success; scripts have seen nothing else for years.
                return Err(Refused(0));
            }
        }
        Ok(())
    }

    /// Daemon and client exclude each other.
    fn enter(&mut self, mode: Mode) -> Result<(), Refused> {
        if self.mode == Mode::Unset || self.mode == mode {
            self.mode = mode;
            return Ok(());
        }
        self.invalid()
    }

    /// The statistics asked for last, as JSON.
    fn json(&mut self) -> Result<(), Refused> {
        let is_stats = self.request == STATS || STATS_WORDS.iter().any(|w| w.1 == self.request);
        if !is_stats {
            return self.invalid();
        }
        self.request += JSON;
        Ok(())
    }

    fn plain(&mut self, request: i32) -> Result<(), Refused> {
        self.enter(Mode::Client)?;
        self.request = request;
        Ok(())
    }

    /// An option with an optional `ct` or `expect`. Another word is left alone, and then the request is too.
    fn table(&mut self, ct: i32, expect: i32, neither: i32) -> Result<(), Refused> {
        self.enter(Mode::Client)?;
        match self.argument() {
            None => self.request = neither,
            Some(word) => {
                for (name, request) in [("ct", ct), ("expect", expect)] {
                    if name.as_bytes().starts_with(word) {
                        self.request = request;
                        self.at += 1;
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// An option with an optional word of a list; `None` without a word.
    fn word_of(&mut self, option: char, list: &[(&str, i32)]) -> Result<Option<i32>, Refused> {
        let Some(word) = self.argument() else {
            return Ok(None);
        };
        let found = list
            .iter()
            .find(|(name, _)| name.as_bytes().starts_with(word));
        let Some(&(name, request)) = found else {
            let word = String::from_utf8_lossy(word).into_owned();
            self.line(
                Priority::Err,
                format!("unknown parameter `{word}' for option `-{option}'"),
            );
            return Err(Refused(1));
        };
        if name == "multicast" {
            self.line(
                Priority::Warning,
                "use `link' instead of `multicast' as parameter.".into(),
            );
        }
        self.at += 1;
        Ok(Some(request))
    }

    /// The next word, if it is no option.
    fn argument(&self) -> Option<&[u8]> {
        let word = self.words.get(self.at)?.as_bytes();
        (!word.starts_with(b"-")).then_some(word)
    }

    fn config_file(&mut self) {
        let Some(path) = self.words.get(self.at) else {
            self.said.push(Said::Usage);
            self.line(Priority::Err, "Missing config filename".into());
            return;
        };
        self.at += 1;
        let mut path = path.as_bytes().to_vec();
        if path.len() > LONGEST_PATH {
            self.line(
                Priority::Warning,
                format!(
                    "Path to config file to long. Cutting it down to {LONGEST_PATH} characters"
                ),
            );
        }
        path.truncate(LONGEST_PATH - 1);
        self.config = Some(path);
    }

    fn invalid<T>(&mut self) -> Result<T, Refused> {
        self.said.push(Said::Usage);
        self.line(Priority::Err, "Invalid parameters".into());
        Err(Refused(1))
    }

    fn line(&mut self, priority: Priority, text: String) {
        self.said.push(Said::Line(priority, text));
    }
}

const FLUSH_WORDS: [(&str, i32); 2] = [("internal", FLUSH_INTERNAL), ("external", FLUSH_EXTERNAL)];

/// In the order in which they are tried, which decides what a single letter means.
const STATS_WORDS: [(&str, i32); 10] = [
    ("network", STATS_NETWORK),
    ("cache", STATS_CACHE),
    ("runtime", STATS_RUNTIME),
    ("multicast", STATS_LINK),
    ("link", STATS_LINK),
    ("rsqueue", STATS_RSQUEUE),
    ("process", STATS_PROCESS),
    ("queue", STATS_QUEUE),
    ("ct", STATS),
    ("expect", STATS_EXPECT),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &str) -> CommandLine {
        let words: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
        read(&words)
    }

    fn request(words: &str) -> i32 {
        match line(words).task {
            Task::Client { request, .. } => request,
            other => panic!("{words}: {other:?}"),
        }
    }

    #[test]
    fn requests() {
        for (words, expected) in [
            ("-c", 46),
            ("-c ct", 18),
            ("-c e", 42),
            ("-f", 45),
            ("-f i", 33),
            ("-f external", 34),
            ("-F", 43),
            ("-F ct", 0),
            ("-F expect", 38),
            ("-i", 16),
            ("-i ct -x", 24),
            ("-e -x", 25),
            ("-i expect", 40),
            ("-i expect -x", 47),
            ("-e exp -x", 48),
            ("-e", 17),
            ("-R", 44),
            ("-R ct", 1),
            ("-R expect", 39),
            ("-B", 22),
            ("-n", 23),
            ("-t", 26),
            ("-k", 20),
            ("-s", 21),
            ("-s n", 28),
            ("-s c", 29),
            ("-s r", 30),
            ("-s l", 31),
            ("-s rs", 32),
            ("-s p", 35),
            ("-s q", 36),
            ("-s ct", 21),
            ("-s e", 37),
            // Only the second character counts, and the last request wins.
            ("-statistics -C x", 21),
            ("xi", 16),
            ("-s -i -e", 17),
            ("-s --json", 256 + 21),
            ("-s network --json", 256 + 28),
            ("-s link -C x --json", 256 + 31),
        ] {
            assert_eq!(request(words), expected, "{words}");
        }
    }

    #[test]
    fn refusals() {
        let unknown = line("-c bogus");
        assert_eq!(unknown.task, Task::Exit(0));
        assert_eq!(
            unknown.said,
            [
                Said::Usage,
                Said::Line(Priority::Err, "Unknown option: bogus".into())
            ]
        );
        for words in [
            "-d -s",
            "-s -d",
            "-x",
            "-s -x",
            "--json",
            "-i --json",
            "-s --json --json",
            "-d --test",
            "--test -s",
        ] {
            let refused = line(words);
            assert_eq!(refused.task, Task::Exit(1), "{words}");
            assert_eq!(
                refused.said,
                [
                    Said::Usage,
                    Said::Line(Priority::Err, "Invalid parameters".into())
                ]
            );
        }
        let refused = line("-s zz");
        assert_eq!(refused.task, Task::Exit(1));
        assert_eq!(
            refused.said,
            [Said::Line(
                Priority::Err,
                "unknown parameter `zz' for option `-s'".into()
            )]
        );
        let refused = line("-f zz");
        assert_eq!(refused.task, Task::Exit(1));
        assert_eq!(line("-v").said, [Said::Version]);
        assert_eq!(line("-h").said, [Said::Usage]);
    }

    #[test]
    fn a_daemon() {
        let daemon = |config: &str, background| Task::Daemon {
            config: config.into(),
            background,
        };
        assert_eq!(line("").task, daemon(DEFAULT_CONFIG, false));
        assert_eq!(line("-d -C /a -C /b").task, daemon("/b", true));
        assert_eq!(
            line("-C /a --test").task,
            Task::Test {
                config: "/a".into()
            }
        );
        // A missing path is told, and then the default counts.
        let missing = line("-C");
        assert_eq!(missing.task, daemon(DEFAULT_CONFIG, false));
        assert_eq!(
            missing.said,
            [
                Said::Usage,
                Said::Line(Priority::Err, "Missing config filename".into())
            ]
        );
        let long = line(&format!("-C /{}", "x".repeat(5000)));
        assert!(
            matches!(&long.task, Task::Daemon { config, .. } if config.as_os_str().len() == 4095)
        );
        assert_eq!(long.said.len(), 1);
    }

    #[test]
    fn multicast_is_an_old_word_for_link() {
        let old = line("-s m");
        assert!(matches!(old.task, Task::Client { request: 31, .. }));
        assert_eq!(old.said.len(), 1);
    }
}
