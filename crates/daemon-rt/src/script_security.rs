//! May this script run? Whether it exists, can be executed by its user, and whether somebody else than root
//! could change what root is going to run.
//!
//! In: the words of a command, its account, whether `enable_script_security` is set.
//! Out: a [`Verdict`], the words as they are to be executed, and the sentences to log.
//! Answers to: keepalived-behaviour.md section 5, keepalived 2.3.3 lib/notify.c.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use linux_io::process;
use linux_io::signal::{Signal, die_by};
use linux_io::users;
use nix::unistd::{Gid, Uid, getgroups, setegid, seteuid, setgroups};

/// What is checked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Words; the first is the program.
    pub args: &'a [String],
    /// User it will run as.
    pub uid: u32,
    /// Group it will run as.
    pub gid: u32,
    /// `enable_script_security`: an unsafe script is not only told but not run.
    pub enforce: bool,
    /// `use_symlink_paths`: the path is run as written, not with its links resolved.
    pub keep_symlinks: bool,
}

/// The answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// There is no such file, or it cannot be reached.
    pub not_found: bool,
    /// It must not run.
    pub inhibited: bool,
    /// Somebody else than root can change it.
    pub insecure: bool,
    /// Its user may execute it.
    pub executable: bool,
    /// It is a redirection (`</path`) for a shell, not a program.
    pub redirection: bool,
    /// It is a file on this machine; what is about script security is about these.
    pub is_script: bool,
}

impl Verdict {
    /// Whether a notify script may run.
    pub const fn may_run(self) -> bool {
        !self.not_found && !self.inhibited && self.executable
    }

    /// Whether a start-up or shutdown script may run: a redirection will do, too.
    pub const fn may_run_or_redirect(self) -> bool {
        !self.not_found && !self.inhibited && (self.executable || self.redirection)
    }
}

/// Verdict, words and sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The verdict.
    pub verdict: Verdict,
    /// The words, the first one cleaned of `//`, `/./` and `/../`, or found in PATH.
    pub args: Vec<String>,
    /// The file to execute, when links make it another one than `args[0]`.
    pub path: Option<PathBuf>,
    /// Sentences to log at LOG_INFO, in order.
    pub log: Vec<String>,
}

/// Checks one command. It takes the script's user for a moment, so the process must have one thread.
pub fn check(question: &Question<'_>) -> Answer {
    let mut answer = Answer {
        args: question.args.to_vec(),
        ..Answer::default()
    };
    let Some(program) = question.args.first() else {
        answer.verdict.not_found = true;
        return answer;
    };
    if program
        .strip_prefix('<')
        .is_some_and(|rest| rest.trim_start_matches([' ', '\t']).starts_with('/'))
    {
        answer.verdict.redirection = true;
        return answer;
    }
    let mut program = program.clone();
    if !program.contains('/') {
        match search_path(&program, question) {
            Found::At(path) => {
                answer.log.push(format!(
                    "WARNING - script `{program}` resolved by path search to `{path}`. Please specify full path."
                ));
                program = path;
            }
            Found::NotPermitted => {
                answer.log.push(format!(
                    "Permissions failure for script {program} in path - disabling"
                ));
                answer.verdict.not_found = true;
                return answer;
            }
            Found::Nowhere => {
                answer
                    .log
                    .push(format!("Cannot find script {program} in path - disabling"));
                answer.verdict.not_found = true;
                return answer;
            }
        }
    }
    let Some(real) = as_user(question, || fs::canonicalize(&program)) else {
        answer.log.push(format!(
            "Unable to set uid:gid {}:{} for script {program} - disabling",
            question.uid, question.gid
        ));
        answer.verdict.inhibited = true;
        return answer;
    };
    let real = match real {
        Ok(real) => real,
        Err(e) => {
            answer.log.push(format!(
                "Script {program} cannot be accessed - {}",
                sentence(&e)
            ));
            answer.verdict.not_found = true;
            return answer;
        }
    };
    let Ok(file) = fs::metadata(&real) else {
        answer
            .log
            .push(format!("Unable to access script `{program}` - disabling"));
        answer.verdict.not_found = true;
        return answer;
    };
    if question.keep_symlinks || real.as_os_str() != program.as_str() {
        program = clean(&program);
    }
    if !question.keep_symlinks && real.as_os_str() != program.as_str() {
        answer.path = Some(real);
    }
    answer.verdict.is_script = true;
    answer.verdict.executable = executable(&file, question.uid, question.gid);
    if !answer.verdict.executable {
        answer.log.push(format!(
            "WARNING - script '{program}' is not executable for uid:gid {}:{} - disabling.",
            question.uid, question.gid
        ));
    } else if runs_as_root(&file, question) {
        for path in [Some(Path::new(&program)), answer.path.as_deref()]
            .into_iter()
            .flatten()
        {
            let text = path.to_string_lossy().into_owned();
            check_whole_path(
                &text,
                question.enforce,
                &mut answer.verdict,
                &mut answer.log,
            );
        }
    }
    if let Some(first) = answer.args.first_mut() {
        *first = program;
    }
    answer
}

/// The system's sentence for an error, without the number Rust adds.
fn sentence(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(
        || error.to_string(),
        |number| nix::errno::Errno::from_raw(number).desc().to_owned(),
    )
}

/// Whether `uid` and `gid` may execute the file, as the permission bits say.
fn executable(file: &fs::Metadata, uid: u32, gid: u32) -> bool {
    let mode = file.permissions().mode();
    if uid == 0 {
        mode & 0o111 != 0
    } else if uid == file.uid() {
        mode & 0o100 != 0
    } else if gid == file.gid() {
        mode & 0o010 != 0
    } else {
        mode & 0o001 != 0
    }
}

/// Whether executing it gives somebody root's user or group.
fn runs_as_root(file: &fs::Metadata, question: &Question<'_>) -> bool {
    let mode = file.permissions().mode();
    question.uid == 0
        || question.gid == 0
        || (file.uid() == 0 && mode & 0o4100 == 0o4100)
        || (file.gid() == 0 && mode & 0o2010 == 0o2010)
}

/// Every directory of the path and the file must be root's and closed to others.
fn check_whole_path(path: &str, enforce: bool, verdict: &mut Verdict, log: &mut Vec<String>) {
    let ends = path
        .char_indices()
        .filter(|(_, c)| *c == '/')
        .map(|(at, _)| at.max(1));
    let directories = ends.filter_map(|end| path.get(..end));
    for (part, last) in directories
        .map(|d| (d, false))
        .chain(std::iter::once((path, true)))
    {
        let meta = match fs::symlink_metadata(part) {
            Ok(meta) => meta,
            Err(e) => {
                let known = matches!(
                    e.raw_os_error().map(nix::errno::Errno::from_raw),
                    Some(
                        nix::errno::Errno::EACCES
                            | nix::errno::Errno::ELOOP
                            | nix::errno::Errno::ENOENT
                            | nix::errno::Errno::ENOTDIR
                    )
                );
                log.push(if known {
                    format!("check_script_secure could not find script '{path}' - disabling")
                } else {
                    format!(
                        "check_script_secure('{path}') returned errno {} - {} - disabling",
                        e.raw_os_error().unwrap_or(0),
                        sentence(&e)
                    )
                });
                verdict.not_found = true;
                return;
            }
        };
        let kind = meta.file_type();
        if (!last && !kind.is_dir()) || (last && !kind.is_file() && !kind.is_symlink()) {
            log.push(format!("Wrong file type found in script path '{path}'."));
            verdict.inhibited = true;
            return;
        }
        let mode = meta.permissions().mode();
        let open = kind.is_file() || (kind.is_dir() && mode & 0o1000 == 0);
        let writable = (meta.gid() != 0 && mode & 0o020 != 0) || mode & 0o002 != 0;
        if meta.uid() != 0 || (open && writable) {
            let consequence = if enforce { " - disabling" } else { "" };
            log.push(format!(
                "Unsafe permissions found for script '{path}'{consequence}."
            ));
            verdict.insecure = true;
            verdict.inhibited |= enforce;
            return;
        }
    }
}

/// The path without repeated slashes, `.` and `..`. A relative path is taken from the root, where a daemon
/// is at home.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Runs `act` with the script's user and group. `None` if they cannot be taken.
fn as_user<R>(question: &Question<'_>, act: impl FnOnce() -> R) -> Option<R> {
    let own = (users::euid(), users::egid());
    if own == (question.uid, question.gid) {
        return Some(act());
    }
    let parent = process::getppid();
    let death_signal = nix::sys::prctl::get_pdeathsig().ok().flatten();
    // Group first: afterwards the right to change it is gone.
    let taken = (own.1 == question.gid || setegid(Gid::from_raw(question.gid)).is_ok())
        && (own.0 == question.uid || seteuid(Uid::from_raw(question.uid)).is_ok());
    let result = taken.then(act);
    // Going back cannot fail for a process whose real user has not changed.
    let _ = seteuid(Uid::from_raw(own.0));
    let _ = setegid(Gid::from_raw(own.1));
    // A change of user clears the death signal; if the parent died meanwhile, nobody will send it.
    let had = death_signal.and_then(|signal| Signal::new(signal as i32));
    if had.is_some() {
        let _ = process::set_parent_death_signal(had);
        if process::getppid() != parent {
            die_by(Signal::TERM);
        }
    }
    result
}

/// Result of a search in PATH.
enum Found {
    At(String),
    NotPermitted,
    Nowhere,
}

/// Looks for a program in the directories of PATH, as its user, without root's further groups.
fn search_path(program: &str, question: &Question<'_>) -> Found {
    if program.is_empty() || program.len() > 255 {
        return Found::Nowhere;
    }
    let path = std::env::var("PATH").unwrap_or_else(|_| "/bin:/usr/bin".to_owned());
    let search = || {
        let mut refused = false;
        for dir in path.split(':') {
            let candidate = if dir.is_empty() {
                program.to_owned()
            } else {
                format!("{dir}/{program}")
            };
            match fs::metadata(&candidate) {
                Ok(file) if file.is_file() && executable(&file, question.uid, question.gid) => {
                    return Found::At(candidate);
                }
                Ok(_) => refused = true,
                Err(_) => {}
            }
        }
        if refused {
            Found::NotPermitted
        } else {
            Found::Nowhere
        }
    };
    let own = (users::euid(), users::egid());
    if own == (question.uid, question.gid) || own.0 != 0 {
        return as_user(question, search).unwrap_or(Found::NotPermitted);
    }
    let groups = getgroups().unwrap_or_default();
    if setgroups(&[Gid::from_raw(question.gid)]).is_err() {
        return Found::NotPermitted;
    }
    let found = as_user(question, search).unwrap_or(Found::NotPermitted);
    let _ = setgroups(&groups);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(program: &str, enforce: bool) -> Answer {
        let args = vec![program.to_owned(), "x".to_owned()];
        check(&Question {
            args: &args,
            uid: users::euid(),
            gid: users::egid(),
            enforce,
            keep_symlinks: false,
        })
    }

    fn place(name: &str, mode: u32) -> String {
        let dir = std::env::temp_dir().join(format!("daemon-rt-security-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join(name);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_string_lossy().into_owned()
    }

    #[test]
    fn paths_are_cleaned() {
        for (path, expected) in [
            ("/a//b/./c/../d", "/a/b/d"),
            ("./a", "/a"),
            ("../a/b", "/a/b"),
            ("/../../a", "/a"),
            ("/a/b", "/a/b"),
        ] {
            assert_eq!(clean(path), expected);
        }
    }

    #[test]
    fn what_is_missing_or_not_executable_does_not_run() {
        let answer = ask("/no/such/script", false);
        assert!(answer.verdict.not_found && !answer.verdict.may_run());
        assert_eq!(
            answer.log,
            ["Script /no/such/script cannot be accessed - No such file or directory"]
        );
        let answer = ask("no-such-script-anywhere", false);
        assert_eq!(
            answer.log,
            ["Cannot find script no-such-script-anywhere in path - disabling"]
        );
        let plain = place("plain", 0o644);
        let answer = ask(&plain, false);
        assert!(!answer.verdict.may_run() && answer.verdict.is_script);
        assert_eq!(
            answer.log,
            [format!(
                "WARNING - script '{plain}' is not executable for uid:gid {}:{} - disabling.",
                users::euid(),
                users::egid()
            )]
        );
        let answer = ask("< /dev/null", false);
        assert!(!answer.verdict.may_run() && answer.verdict.may_run_or_redirect());
    }

    #[test]
    fn a_name_is_searched() {
        let answer = ask("sh", false);
        let path = answer.args.first().unwrap();
        assert!(path.ends_with("/sh"), "{path}");
        assert_eq!(
            answer.log.first().unwrap(),
            &format!(
                "WARNING - script `sh` resolved by path search to `{path}`. Please specify full path."
            )
        );
        assert_eq!(answer.args.get(1).map(String::as_str), Some("x"));
    }

    #[test]
    fn lab_what_others_can_change_is_unsafe_for_root() {
        if users::euid() != 0 {
            eprintln!("SKIPPED lab_what_others_can_change_is_unsafe_for_root: needs root");
            return;
        }
        let open = place("open", 0o757);
        let answer = ask(&open, false);
        assert!(answer.verdict.insecure && answer.verdict.may_run());
        assert_eq!(
            answer.log,
            [format!("Unsafe permissions found for script '{open}'.")]
        );
        let answer = ask(&open, true);
        assert!(answer.verdict.insecure && !answer.verdict.may_run());
        assert_eq!(
            answer.log,
            [format!(
                "Unsafe permissions found for script '{open}' - disabling."
            )]
        );
        let safe = place("safe", 0o755);
        let answer = ask(&safe, true);
        assert!(answer.verdict.may_run() && answer.log.is_empty());
        assert_eq!(users::euid(), 0);
    }

    #[test]
    fn lab_links_are_followed_and_both_paths_checked() {
        let real = place("target", 0o755);
        let link = format!("{real}.link");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let answer = ask(&link, true);
        assert_eq!(answer.args.first(), Some(&link));
        assert_eq!(answer.path, Some(fs::canonicalize(&real).unwrap()));
    }
}
