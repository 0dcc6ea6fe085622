//! Scripts: reading their lines, the account they run as, and whether they may run (script security).

use super::engine::{Ctx, Exit, Line};
use super::model::Script;
use super::model::global::{DefaultAccount, Global};
use super::requote;
use crate::diag::Class;
use crate::source::{FileFacts, FileKind, Host};

/// Account of scripts when nothing else is said.
pub const DEFAULT_USER: &str = "keepalived_script";

/// What the check of a script found. A set of flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Verdict(u8);

impl Verdict {
    /// There is a script that will be run.
    pub const IS_SCRIPT: Self = Self(0x01);
    /// It is unsafe and script security forbids it.
    pub const INHIBIT: Self = Self(0x02);
    /// Someone else than root could change it.
    pub const INSECURE: Self = Self(0x04);
    /// It was not found.
    pub const NOT_FOUND: Self = Self(0x08);
    /// It is executable for its account.
    pub const EXECUTABLE: Self = Self(0x10);
    /// It is no program but a test of a file (`</path`).
    pub const SYSTEM: Self = Self(0x40);

    /// Union.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// True if any flag of `other` is set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
    /// True if the script must not be kept.
    pub const fn drops(self) -> bool {
        self.has(Self::INHIBIT) || self.has(Self::NOT_FOUND) || !self.has(Self::EXECUTABLE)
    }
}

impl Ctx<'_> {
    /// The script of a keyword line (`notify_master "/x y" USER GROUP`): command words and account. `extra` is the number of arguments
    /// that are added when it runs; `kind` names it in log lines. None after a log line, as in the original.
    pub fn notify_script(&mut self, line: &Line, extra: usize, kind: &str) -> Option<Script> {
        let Some(words) = self.split_quoted(&line.text) else {
            self.log("Unable to parse notify script");
            return None;
        };
        let args = words
            .get(1)
            .and_then(|command| self.split_quoted_escaped(command));
        let Some(args) = args else {
            // The original ends the process here if the word is missing altogether.
            let shown = words.get(1).map_or("", String::as_str);
            self.log(format!("Unable to parse script '{shown}' - ignoring"));
            return None;
        };
        let account = match words.get(2) {
            Some(user) => {
                let account = self.account(user, words.get(3).map(String::as_str));
                if account.is_none() {
                    let name = args.first().map_or("", String::as_str);
                    self.log(format!(
                        "Invalid user/group for {kind} script {name} - ignoring"
                    ));
                }
                account
            }
            None => {
                let account = self.default_script_account();
                if account.is_none() {
                    let name = args.first().map_or("", String::as_str);
                    self.log(format!(
                        "Failed to set default user for {kind} script {name} - ignoring"
                    ));
                }
                account
            }
        };
        let (uid, gid) = account?;
        Some(Script {
            args,
            path: None,
            extra_args: extra,
            uid,
            gid,
            span: line.span,
        })
    }

    /// USER and optional GROUP from word `offset` on (`script_user`, `user`). None after a log line.
    pub fn script_account(
        &mut self,
        line: &Line,
        offset: usize,
    ) -> Result<Option<(u32, u32)>, Exit> {
        let user = line.word(self, offset)?;
        Ok(self.account(user, line.get(offset.saturating_add(1))))
    }

    fn account(&mut self, user: &str, group: Option<&str>) -> Option<(u32, u32)> {
        let facts = match self.host.user(user) {
            Ok(Some(facts)) => facts,
            Ok(None) => {
                self.log(format!("Script user '{user}' does not exist"));
                return None;
            }
            Err(_) => {
                self.log(format!(
                    "Unable to resolve script username '{user}' - ignoring"
                ));
                return None;
            }
        };
        let Some(group) = group else {
            return Some((facts.uid, facts.gid));
        };
        match self.host.group(group) {
            Ok(Some(gid)) => Some((facts.uid, gid)),
            Ok(None) => {
                self.log(format!("Script group '{group}' does not exist"));
                None
            }
            Err(_) => {
                self.log(format!(
                    "Unable to resolve script group name '{group}' - ignoring"
                ));
                None
            }
        }
    }

    /// Sets the account of scripts without one; false if it does not exist, and then no later script has one.
    pub fn set_default_script_account(&mut self, user: &str, group: Option<&str>) -> bool {
        let account = self.account(user, group);
        let failed_before = self.model.global.default_account == DefaultAccount::Failed;
        match account {
            Some((uid, gid)) if !failed_before => {
                self.model.global.default_account = DefaultAccount::Known { uid, gid }
            }
            _ => self.model.global.default_account = DefaultAccount::Failed,
        }
        account.is_some() && !failed_before
    }

    /// The account of scripts without one: what script_user said, else `keepalived_script` if it exists, else our own (an error with
    /// script security).
    pub fn default_script_account(&mut self) -> Option<(u32, u32)> {
        match self.model.global.default_account {
            DefaultAccount::Failed => return None,
            DefaultAccount::Known { uid, gid } => return Some((uid, gid)),
            DefaultAccount::Unasked => {}
        }
        let account = self.account(DEFAULT_USER, None);
        if account.is_none() && self.model.global.script_security {
            let text = format!("Unable to set default user {DEFAULT_USER} for script");
            self.report(Class::GeneralError, text);
            self.model.global.default_account = DefaultAccount::Failed;
            return None;
        }
        let own = self.host.own_ids();
        let (uid, gid) = account.unwrap_or((own.uid, own.gid));
        self.model.global.default_account = DefaultAccount::Known { uid, gid };
        Some((uid, gid))
    }

    /// Checks one script and drops it if it must not run (the original's check_notify_script_secure).
    pub fn check_script(&mut self, script: &mut Option<Script>) -> Verdict {
        let Some(mut checked) = script.take() else {
            return Verdict::default();
        };
        let verdict = self.script_verdict(&mut checked);
        if !verdict.drops() {
            *script = Some(checked);
        }
        verdict
    }

    /// As [`Self::check_script`] for a script of global_defs.
    pub(crate) fn check_global_script(
        &mut self,
        place: fn(&mut Global) -> &mut Option<Script>,
    ) -> Verdict {
        let mut script = place(&mut self.model.global).take();
        let verdict = self.check_script(&mut script);
        *place(&mut self.model.global) = script;
        verdict
    }

    /// Complains about `what` (`scripts`, `check scripts`) that would run although `script_security` is not on; `all` is what was
    /// found of all of them.
    pub(crate) fn report_script_security(&mut self, all: Verdict, what: &str) {
        if self.model.global.script_security || !all.has(Verdict::IS_SCRIPT) {
            return;
        }
        let more = if all.has(Verdict::INSECURE) {
            " There are insecure scripts."
        } else {
            ""
        };
        self.report(
            Class::Security,
            format!("SECURITY VIOLATION - {what} are being executed but script_security not enabled.{more}"),
        );
    }

    /// Looks at one script: finds its path, says whether it may run. Changes the first word to the full path.
    pub fn script_verdict(&mut self, script: &mut Script) -> Verdict {
        let (verdict, remarks) = examine(
            self.host,
            script,
            self.model.global.script_security,
            self.model.global.use_symlink_paths,
        );
        for text in remarks {
            self.log(text);
        }
        verdict
    }
}

/// Splits a command without a keyword in front, as script lines are split; none if a quote is open or there is no word.
pub fn split_command(text: &str) -> Option<Vec<String>> {
    requote::split(text, true).ok().filter(|w| !w.is_empty())
}

fn executable(facts: &FileFacts, uid: u32, gid: u32) -> bool {
    if uid == 0 {
        facts.any_exec()
    } else if uid == facts.uid {
        facts.mode & 0o100 != 0
    } else if gid == facts.gid {
        facts.mode & 0o010 != 0
    } else {
        facts.mode & 0o001 != 0
    }
}

/// What a search along PATH found.
enum Search {
    Found(String),
    Denied,
    Nothing,
}

fn search_path(host: &dyn Host, script: &Script, file: &str) -> Search {
    let path = host
        .env("PATH")
        .unwrap_or_else(|| "/bin:/usr/bin".to_owned());
    let mut denied = false;
    for dir in path.split(':') {
        let candidate = if dir.is_empty() {
            file.to_owned()
        } else {
            format!("{dir}/{file}")
        };
        let Ok(facts) = host.stat(&candidate) else {
            continue;
        };
        if facts.kind == FileKind::Regular && executable(&facts, script.uid, script.gid) {
            return Search::Found(candidate);
        }
        denied = true;
    }
    if denied {
        Search::Denied
    } else {
        Search::Nothing
    }
}

fn examine(
    host: &dyn Host,
    script: &mut Script,
    security: bool,
    keep_links: bool,
) -> (Verdict, Vec<String>) {
    let mut remarks = Vec::new();
    let Some(first) = script.args.first().cloned() else {
        return (Verdict::NOT_FOUND, remarks);
    };
    // "</path" only tests whether a file can be opened.
    if first
        .strip_prefix('<')
        .is_some_and(|r| r.trim_start_matches([' ', '\t']).starts_with('/'))
    {
        return (Verdict::SYSTEM, remarks);
    }
    let mut name = first.clone();
    if !first.contains('/') {
        match search_path(host, script, &first) {
            Search::Found(path) => {
                remarks.push(format!(
                    "WARNING - script `{first}` resolved by path search to `{path}`. Please specify full path."
                ));
                name = path;
            }
            Search::Denied => {
                remarks.push(format!(
                    "Permissions failure for script {first} in path - disabling"
                ));
                return (Verdict::NOT_FOUND, remarks);
            }
            Search::Nothing => {
                remarks.push(format!("Cannot find script {first} in path - disabling"));
                return (Verdict::NOT_FOUND, remarks);
            }
        }
    }
    let real = match host.canonical(&name) {
        Ok(real) => real,
        Err(errno) => {
            let why = if errno == 13 {
                "Permission denied"
            } else {
                "No such file or directory"
            };
            remarks.push(format!("Script {name} cannot be accessed - {why}"));
            return (Verdict::NOT_FOUND, remarks);
        }
    };
    let Ok(facts) = host.stat(&real) else {
        remarks.push(format!("Unable to access script `{name}` - disabling"));
        return (Verdict::NOT_FOUND, remarks);
    };
    if keep_links || real != name {
        name = clean_path(&name);
    }
    if !keep_links && real != name {
        script.path = Some(real);
    }
    if let Some(word) = script.args.first_mut() {
        word.clone_from(&name);
    }
    let mut verdict = Verdict::IS_SCRIPT;
    let mut protect = false;
    if executable(&facts, script.uid, script.gid) {
        verdict = verdict.with(Verdict::EXECUTABLE);
        protect = script.uid == 0
            || script.gid == 0
            || (facts.uid == 0 && facts.mode & 0o4100 == 0o4100)
            || (facts.gid == 0 && facts.mode & 0o2010 == 0o2010);
    } else {
        remarks.push(format!(
            "WARNING - script '{name}' is not executable for uid:gid {}:{} - disabling.",
            script.uid, script.gid
        ));
    }
    if protect {
        verdict = verdict.with(check_path(host, &name, security, &mut remarks));
        if let Some(path) = &script.path {
            verdict = verdict.with(check_path(host, path, security, &mut remarks));
        }
    }
    (verdict, remarks)
}

/// Every directory of the path and the file itself must be writable by root only.
fn check_path(host: &dyn Host, path: &str, security: bool, remarks: &mut Vec<String>) -> Verdict {
    let ends = path
        .match_indices('/')
        .map(|(i, _)| (i.max(1), false))
        .chain([(path.len(), true)]);
    for (end, last) in ends {
        let part = path.get(..end).unwrap_or(path);
        let Ok(facts) = host.lstat(part) else {
            remarks.push(format!(
                "check_script_secure could not find script '{path}' - disabling"
            ));
            return Verdict::NOT_FOUND;
        };
        let right_kind = if last {
            matches!(facts.kind, FileKind::Regular | FileKind::Symlink)
        } else {
            facts.kind == FileKind::Directory
        };
        if !right_kind {
            remarks.push(format!("Wrong file type found in script path '{path}'."));
            return Verdict::INHIBIT;
        }
        let open_directory = facts.kind == FileKind::Directory && facts.mode & 0o1000 == 0;
        let writable = (facts.gid != 0 && facts.mode & 0o020 != 0) || facts.mode & 0o002 != 0;
        if facts.uid != 0 || ((open_directory || facts.kind == FileKind::Regular) && writable) {
            let end = if security { " - disabling" } else { "" };
            remarks.push(format!(
                "Unsafe permissions found for script '{path}'{end}."
            ));
            remarks.push(blame(part, &facts));
            return Verdict::INSECURE.with(if security {
                Verdict::INHIBIT
            } else {
                Verdict::default()
            });
        }
    }
    Verdict::default()
}

/// Which part of the path makes a script unsafe, and how. The original leaves the operator to look for it.
fn blame(part: &str, facts: &FileFacts) -> String {
    let what = match facts.kind {
        FileKind::Directory => "directory",
        FileKind::Regular | FileKind::Symlink | FileKind::Other => "file",
    };
    let how = if facts.uid != 0 {
        format!("belongs to user {}, not to root", facts.uid)
    } else if facts.mode & 0o002 != 0 {
        format!("can be written by anybody (mode {:04o})", facts.mode)
    } else {
        format!(
            "can be written by group {} (mode {:04o})",
            facts.gid, facts.mode
        )
    };
    format!("  - {what} '{part}' {how}")
}

/// Removes `.`, `..` and empty elements; the result starts with `/`.
fn clean_path(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for element in path.split('/') {
        match element {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            e => kept.push(e),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FakeHost;

    fn verdict(mode: u32, args: &[&str], security: bool) -> (Verdict, Script) {
        let mut host = FakeHost::with_interfaces(&[]);
        host.source
            .files
            .insert("/usr/bin/x".to_owned(), (mode, Vec::new()));
        host.env
            .insert("PATH".to_owned(), "/bin:/usr/bin".to_owned());
        let mut script = Script {
            args: args.iter().map(|a| (*a).to_owned()).collect(),
            ..Script::default()
        };
        (examine(&host, &mut script, security, false).0, script)
    }

    #[test]
    fn verdicts() {
        let good = Verdict::IS_SCRIPT.with(Verdict::EXECUTABLE);
        assert_eq!(verdict(0o755, &["/usr/bin/x"], true).0, good);
        assert_eq!(verdict(0o644, &["/usr/bin/x"], true).0, Verdict::IS_SCRIPT);
        assert_eq!(
            verdict(0o757, &["/usr/bin/x"], false).0,
            good.with(Verdict::INSECURE)
        );
        assert!(verdict(0o757, &["/usr/bin/x"], true).0.drops());
        assert_eq!(verdict(0o755, &["/no"], true).0, Verdict::NOT_FOUND);
        assert_eq!(verdict(0o755, &["</some/file"], true).0, Verdict::SYSTEM);
    }

    #[test]
    fn the_unsafe_part_is_named() {
        let facts = |kind, mode, uid, gid| FileFacts {
            kind,
            mode,
            uid,
            gid,
        };
        for (facts, expected) in [
            (
                facts(FileKind::Directory, 0o755, 7, 0),
                "  - directory '/x' belongs to user 7, not to root",
            ),
            (
                facts(FileKind::Regular, 0o757, 0, 0),
                "  - file '/x' can be written by anybody (mode 0757)",
            ),
            (
                facts(FileKind::Regular, 0o775, 0, 8),
                "  - file '/x' can be written by group 8 (mode 0775)",
            ),
        ] {
            assert_eq!(blame("/x", &facts), expected);
        }
    }

    #[test]
    fn bare_names_are_searched() {
        let (v, script) = verdict(0o755, &["x", "a"], true);
        assert!(!v.drops());
        assert_eq!(script.args, ["/usr/bin/x", "a"]);
    }

    #[test]
    fn paths() {
        assert_eq!(clean_path("/a/./b//c/../d"), "/a/b/d");
    }
}
