use crate::diag::Class;
use crate::keepalived::{Outcome, ParseOptions, Part, ReadOptions, parse, read};
use crate::source::{FakeHost, MemorySource};

fn parsed(body: &str) -> Outcome {
    let mut host = FakeHost {
        source: MemorySource::one("/k.conf", &format!("global_defs {{\n{body}\n}}\n")),
        ..FakeHost::with_interfaces(&["lo"])
    };
    host.source
        .files
        .insert("/bin/busybox".to_owned(), (0o755, Vec::new()));
    let lines = read(&host, "/k.conf", &ReadOptions::default());
    parse(
        &lines,
        Part::Parent,
        &host,
        &ParseOptions {
            config_test: true,
            ..ParseOptions::default()
        },
        None,
    )
}

fn texts(o: &Outcome) -> Vec<(Class, &str)> {
    o.diagnostics
        .iter()
        .filter(|d| !d.log)
        .map(|d| (d.class, d.text.as_str()))
        .collect()
}

#[test]
fn openwrt_globals() {
    let o = parsed(
        "script_user root\nenable_script_security\nprocess_names\nrouter_id r1\nvrrp_mcast_group4 224.0.0.18\nvrrp_startup_delay 2.5\n\
         notification_email { a@b c@d }\nstartup_script \"/bin/busybox env -i A=b /sbin/x\"\nstartup_script_timeout 10",
    );
    assert_eq!(texts(&o), []);
    let g = &o.model.global;
    assert_eq!(g.router_id.as_deref(), Some("r1"));
    assert_eq!(g.vrrp_startup_delay, 2_500_000);
    assert_eq!(g.notification_email, ["a@b", "c@d"]);
    assert!(g.script_security);
    assert_eq!(
        g.startup_script.as_ref().unwrap().args,
        ["/bin/busybox", "env", "-i", "A=b", "/sbin/x"]
    );
}

#[test]
fn mistakes() {
    let general = |t| (Class::GeneralError, t);
    let number = |t| (Class::InvalidNumber, t);
    let o = parsed(
        "vrrp_version 4\nvrrp_rt_priority 100\nvrrp_mcast_group4 10.0.0.1\nsmtp_alert maybe\njson_version x",
    );
    assert_eq!(
        texts(&o),
        [
            number("number '4' outside range [2, 3]"),
            general("VRRP Error: Version must be either 2 or 3"),
            general(
                "vrrp process real-time priority 100 greater than maximum 99 - setting to maximum"
            ),
            general("vrrp_mcast_group4 [10.0.0.1] is not multicast. Skipping"),
            general("Invalid value 'maybe' for global smtp_alert specified"),
            number("invalid number 'x'"),
            general("Invalid JSON version"),
        ]
    );
    assert_eq!(o.worst.test_exit_status(), 5);
}

#[test]
fn a_missing_word_ends_the_process() {
    let o = parsed("vrrp_version\nbogus");
    assert_eq!(o.exit, Some(2));
    assert_eq!(
        texts(&o),
        [(
            Class::MissingParameter,
            "*** Configuration line starting `vrrp_version` is missing a parameter after keyword `vrrp_version` at word position 2"
        )]
    );
}

#[test]
fn umask_forms() {
    assert_eq!(parsed("umask 0177").model.global.umask, Some(0o177));
    assert_eq!(
        parsed("umask IRWXG|IRWXO | IXUSR").model.global.umask,
        Some(0o177)
    );
    assert_eq!(
        texts(&parsed("umask IRWXG IRWXO"))[0].1,
        "Invalid umask syntax IRWXO"
    );
}

#[test]
fn every_keyword_is_in_the_table_once() {
    let mut names: Vec<_> = super::names().collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}
