//! Captures 210 and 222: long lines, as 2.3.3. Captures 201, 202, 211 and 223: what 2.4 added to the configuration language, in the words of 2.4.3. Capture 212: what it
//! changed; there ours is as 2.3.3.

use std::fmt::Write as _;
use std::fs;

use conf_parsers::diag::{PrefixStyle, render};
use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::{ParseOptions, Part, ReadOptions, parse, read};
use conf_parsers::source::FakeHost;

use crate::capture::directory;

const PATH: &str = "/etc/keepalived/keepalived.conf";

/// What parent and child say, and what the parent understood.
fn told(conf: &[u8]) -> (Vec<String>, Model) {
    let mut host = FakeHost::with_interfaces(&["lo", "eth0"]);
    host.source
        .files
        .insert(PATH.to_owned(), (0o644, conf.to_vec()));
    for (name, value) in [
        ("KA_NAME", "n"),
        ("KA_PRIO", "123"),
        ("EMPTY", ""),
        ("BLANK", "p q"),
        ("REF", "${_ENV KA_NAME}"),
        ("BRACE", "{"),
    ] {
        host.env.insert(name.to_owned(), value.to_owned());
    }
    let lines = read(&host, PATH, &ReadOptions::default());
    let options = ParseOptions::default();
    let parent = parse(&lines, Part::Parent, &host, &options, None);
    let global = &parent.model.global;
    let child = parse(&lines, Part::Vrrp, &host, &options, Some(global));
    let mut told = Vec::new();
    for (outcome, style) in [(&parent, PrefixStyle::Reader), (&child, PrefixStyle::Copy)] {
        // Without an instance there is no child.
        if style == PrefixStyle::Copy && !parent.model.global.have_vrrp {
            continue;
        }
        let texts = outcome.diagnostics.iter();
        told.extend(texts.map(|d| render(d, &lines.files, style)));
    }
    // The folders of tracked files are not there.
    told.retain(|l| {
        (l.contains("Line ") || l.starts_with("There are")) && !l.contains("realpath()")
    });
    (told, parent.model)
}

#[test]
fn recorded_configurations() {
    let mut report = String::new();
    let mut count = 0;
    for entry in fs::read_dir(directory().join("language")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "conf") {
            continue;
        }
        count += 1;
        let conf = fs::read(&path).unwrap();
        let expected = fs::read_to_string(path.with_extension("lines")).unwrap();
        let expected: Vec<&str> = expected.lines().collect();
        let (ours, _) = told(&conf);
        if ours != expected {
            writeln!(report, "{path:?}\n{expected:#?}\nours {ours:#?}").unwrap();
        }
    }
    assert!(report.is_empty(), "{report}");
    assert_eq!(count, 6);
}

#[test]
fn forms_of_environment_variables() {
    let text = fs::read_to_string(directory().join("language/202-env-variable-forms.results.txt"));
    let text = text.unwrap();
    let (head, blocks) = text.split_once("\n== ").unwrap();
    let template = head.split_once("\n\n").unwrap().1;
    let mut report = String::new();
    let mut count = 0;
    for block in blocks.split("\n== ") {
        let (form, rest) = block.split_once('\n').unwrap();
        // Without a name 2.4.3 crashes.
        if form.contains("${_ENV}") {
            continue;
        }
        count += 1;
        let conf = template.replace("router_id a", form);
        let (ours, model) = told(conf.as_bytes());
        let lines = |l: &&str| l.contains("Line ") || l.starts_with("There are");
        let expected: Vec<&str> = rest.lines().filter(lines).collect();
        let id = rest
            .lines()
            .find_map(|l| l.strip_prefix("data dump: Router ID = "));
        if ours != expected || model.global.router_id.as_deref() != id {
            let ours_id = &model.global.router_id;
            writeln!(
                report,
                "{form}\n{id:?} {expected:#?}\nours {ours_id:?} {ours:#?}"
            )
            .unwrap();
        }
    }
    assert!(report.is_empty(), "{report}");
    assert!(count >= 12, "{count}");
}
