//! Reading the configuration, telling what is wrong with it, and the configuration test (`-t`).
//!
//! In: a file name and the command line. Out: the consolidated lines every process parses, the parent's
//! view of them, messages. The files are read once; each process parses the same lines.
//! Answers to: keepalived-behaviour.md section 1 (exit codes), keepalived 2.3.3 core/main.c.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};

use conf_parsers::diag::{Class, Diagnostic, PrefixStyle, render};
use conf_parsers::keepalived::engine::{Feature, Features};
use conf_parsers::keepalived::lines::Entry;
use conf_parsers::keepalived::text::encode;
use conf_parsers::keepalived::{
    Lines, Outcome, ParseOptions, Part, ReadOptions, model, parse, read,
};
use conf_parsers::source::{Files, Host};
use daemon_rt::log::{Priority, log};

use crate::cli::Options;
use crate::parent::places::enter_namespace;
use crate::text::version::Kernel;

/// Exit status: no configuration, or an include that had to succeed did not.
pub const EXIT_NO_CONFIG: u8 = 6;

/// The options of the command line that reading and parsing need.
pub fn read_options(options: &Options) -> ReadOptions {
    let node = Kernel::running().node;
    ReadOptions {
        config_id: options
            .config_id
            .clone()
            .unwrap_or_else(|| node.split('.').next().unwrap_or("").to_owned()),
        check_all_includes: options.all_config,
        log_detail: options.log_detail > 0,
        ..ReadOptions::default()
    }
}

/// How a process parses; `reload` is true from the first SIGHUP on.
pub fn parse_options(options: &Options, reload: bool) -> ParseOptions {
    ParseOptions {
        config_test: options.config_test,
        log_detail: options.log_detail > 0,
        reload,
        namespace_from_command_line: options.namespace.clone(),
        umask_from_command_line: options.umask.is_some(),
        features: features(),
    }
}

/// Whether the keywords are those of OpenWrt's build of the original.
pub const OPENWRT: bool = match option_env!("KEEPALIVED_KEYWORDS") {
    Some(name) => matches!(name.as_bytes(), b"openwrt"),
    None => false,
};

/// The keywords that this build knows: those of Debian's build of the original, or with `KEEPALIVED_KEYWORDS=openwrt` at build time
/// those of OpenWrt's; with the parts that are built and without those that are not.
fn features() -> Features {
    let mut all = if OPENWRT {
        Features::openwrt()
    } else {
        Features::default()
    };
    for (feature, built) in [
        (Feature::Bfd, cfg!(feature = "bfd")),
        (Feature::Lvs, cfg!(feature = "lvs")),
        (Feature::Iptables, cfg!(feature = "iptables")),
        (Feature::Snmp, cfg!(feature = "snmp")),
        (Feature::Dbus, cfg!(feature = "dbus")),
        (Feature::Regex, cfg!(feature = "regex")),
        (
            Feature::SnmpChecker,
            cfg!(all(feature = "snmp", feature = "lvs")),
        ),
    ] {
        all = if built {
            all.with(feature)
        } else {
            all.without(feature)
        };
    }
    all
}

/// The configuration file to read.
pub fn file_name(options: &Options) -> String {
    options
        .config_file
        .clone()
        .unwrap_or_else(crate::paths::default_config)
}

/// Tells the diagnostics: in a configuration test those that are problems go to stderr as they are;
/// otherwise all go to the log.
pub fn tell(diagnostics: &[Diagnostic], files: &Files, style: PrefixStyle, config_test: bool) {
    for diagnostic in diagnostics {
        let text = render(diagnostic, files, style);
        if !config_test {
            log(Priority::Info, format_args!("{text}"));
        } else if !diagnostic.log {
            // A closed stderr leaves nobody to tell.
            let mut line = encode(&text);
            line.push(b'\n');
            let _ = std::io::stderr().lock().write_all(&line);
        }
    }
}

/// The messages of reading, for when there is nothing to parse.
fn messages(lines: &Lines) -> Vec<Diagnostic> {
    lines
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Message(d) | Entry::IncludeMessage(d) => Some(d.clone()),
            Entry::Line { .. } => None,
        })
        .collect()
}

/// Why the configuration cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The exit status to end with.
    pub status: u8,
}

/// What reading and the parent's parse left.
#[derive(Debug)]
pub struct Loaded {
    /// The consolidated lines.
    pub lines: Lines,
    /// The parent's parse.
    pub outcome: Outcome,
}

/// Reads the files and parses them as the parent does, telling what is wrong.
pub fn load(host: &dyn Host, options: &Options, reload: bool) -> Result<Loaded, Unusable> {
    let lines = read(host, &file_name(options), &read_options(options));
    if !lines.opened {
        let messages = messages(&lines);
        tell(
            &messages,
            &lines.files,
            PrefixStyle::Reader,
            options.config_test,
        );
        let worst = messages.iter().map(|d| d.class).max().unwrap_or(Class::Ok);
        let status = if options.config_test {
            worst.test_exit_status()
        } else {
            EXIT_NO_CONFIG
        };
        return Err(Unusable { status });
    }
    let outcome = parse(
        &lines,
        Part::Parent,
        host,
        &parse_options(options, reload),
        None,
    );
    tell(
        &outcome.diagnostics,
        &lines.files,
        PrefixStyle::Reader,
        options.config_test,
    );
    if let Some(dir) = &outcome.model.global.config_save_dir {
        // The parse has seen that it is a directory or can be made; children look for it.
        let created = std::fs::DirBuilder::new().mode(0o700).create(dir);
        // Not less than that, whatever the mask is.
        let _ = created.and_then(|()| std::fs::set_permissions(dir, Permissions::from_mode(0o700)));
    }
    if let Some(status) = outcome.exit {
        return Err(Unusable { status });
    }
    if lines.include_failed {
        return Err(Unusable {
            status: EXIT_NO_CONFIG,
        });
    }
    Ok(Loaded { lines, outcome })
}

/// Parses the lines as a child does, telling what is wrong.
pub fn parse_child(
    lines: &Lines,
    part: Part,
    host: &dyn Host,
    options: &Options,
    reload: bool,
    inherited: Option<&model::Global>,
) -> Outcome {
    let mut outcome = parse(
        lines,
        part,
        host,
        &parse_options(options, reload),
        inherited,
    );
    // The namespace we are in is part of the names of dumps, whatever the file says.
    if options.namespace.is_some() {
        outcome
            .model
            .global
            .net_namespace
            .clone_from(&options.namespace);
    }
    tell(
        &outcome.diagnostics,
        &lines.files,
        PrefixStyle::Copy,
        options.config_test,
    );
    outcome
}

/// `-t`: every part parses, every part's problems are told; the exit status is that of the highest class.
pub fn test(host: &dyn Host, options: &Options) -> u8 {
    let loaded = match load(host, options, false) {
        Ok(loaded) => loaded,
        Err(unusable) => return unusable.status,
    };
    // A namespace that cannot be entered ends the original's test at once, without a word and with status 0.
    let named = &loaded.outcome.model.global.net_namespace;
    if let Some(name) = options.namespace.as_ref().or(named.as_ref()) {
        if !enter_namespace(name) {
            return 0;
        }
    }
    let mut worst = loaded.outcome.worst;
    // The original tests in one process: what one part finds out about script accounts the next one knows.
    let mut global = loaded.outcome.model.global;
    for part in [Part::Checker, Part::Vrrp, Part::Bfd] {
        let outcome = parse_child(&loaded.lines, part, host, options, false, Some(&global));
        worst = worst.max(outcome.worst);
        if let Some(status) = outcome.exit {
            return status;
        }
        global = outcome.model.global;
    }
    worst.test_exit_status()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openwrt_knows_other_keywords() {
        let text = "vrrp_track_process p {\n process x\n}\nlinkbeat_use_polling\nglobal_defs {\n enable_snmp_checker\n}\n\
            virtual_server 192.0.2.1 80 {\n snmp_name v\n real_server 192.0.2.2 80 {\n snmp_name r\n HTTP_GET {\n url {\n path /\n\
            regex x\n regex_no_match\n }\n }\n }\n}\n";
        let mut host = conf_parsers::source::FakeHost::with_interfaces(&[]);
        host.source = conf_parsers::source::MemorySource::one("/k.conf", text);
        let lines = read(&host, "/k.conf", &ReadOptions::default());
        let unknown = |features| {
            let options = ParseOptions {
                features,
                ..ParseOptions::default()
            };
            let told = [Part::Parent, Part::Checker].map(|part| {
                let outcome = parse(&lines, part, &host, &options, None);
                let told = outcome.diagnostics.iter();
                told.map(|d| render(d, &lines.files, PrefixStyle::Copy))
                    .filter(|text| text.contains("Unknown keyword"))
                    .collect::<Vec<_>>()
            });
            told.concat()
        };
        assert_eq!(unknown(Features::default()), Vec::<String>::new());
        let openwrts = unknown(Features::openwrt());
        // What is inside an unknown block is unknown, too.
        let first = openwrts.first().map(String::as_str);
        assert_eq!(
            first,
            Some("(/k.conf: Line 1) Unknown keyword 'vrrp_track_process'")
        );
        assert!(
            !openwrts.iter().any(|t| t.contains("linkbeat")),
            "{openwrts:?}"
        );
        for (word, times) in [
            ("'enable_snmp_checker'", 1),
            ("'snmp_name'", 2),
            ("'regex'", 1),
            ("'regex_no_match'", 1),
        ] {
            let told = openwrts.iter().filter(|t| t.contains(word)).count();
            assert_eq!(told, times, "{word}: {openwrts:?}");
        }
    }
}
