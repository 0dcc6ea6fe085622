//! The keyword list, the messages and the odd corners.

use super::*;

fn read(text: &str) -> Outcome {
    parse(text.as_bytes(), &|name| name != "missing0")
}

fn config(text: &str) -> Config {
    let outcome = read(text);
    match outcome.config {
        Some(config) => config,
        None => panic!("{text}: {:?}", outcome.diagnostics),
    }
}

fn said(text: &str) -> Vec<String> {
    read(text)
        .diagnostics
        .iter()
        .map(|d| d.kind.to_string())
        .collect()
}

fn warned(text: &str, expected: &str) {
    let outcome = read(text);
    assert!(
        outcome.config.is_some(),
        "{text}: {:?}",
        outcome.diagnostics
    );
    assert_eq!(said(text), [expected], "{text}");
}

fn refused(text: &str, expected: &str) {
    let outcome = read(text);
    assert!(outcome.config.is_none(), "{text} was accepted");
    assert_eq!(
        said(text).last().map(String::as_str),
        Some(expected),
        "{text}"
    );
}

/// An argument that the keyword takes.
fn example(keyword: &str) -> String {
    let argument = match keyword {
        "LogFile" | "Path" | "LockFile" => "/tmp/x",
        "Syslog" => "local3",
        "UNIX" | "Sync" | "General" | "Stats" | "Helper" | "Scheduler" | "Filter" | "Multicast"
        | "UDP" | "TCP" | "Options" => "{ }",
        "Nice" => "-20",
        "Type" => "",
        "Protocol" => "Accept { TCP sctp }",
        "Address" => "Ignore { IPv4_address 127.0.0.1 }",
        "State" => "Accept { ESTABLISHED CLOSED for TCP }",
        "IPv4_address" | "IPv4_interface" | "IPv4_Destination_Address" => "10.0.0.1",
        "IPv6_address" | "IPv6_interface" | "IPv6_Destination_Address" => "fe80::1",
        "Interface" => "eth2",
        "Mode" => "FTFW { }",
        "Policy" => "ftp { ExpectMax 1 }",
        "NetlinkEventsReliable"
        | "Systemd"
        | "Checksum"
        | "DisableExternalCache"
        | "DisableInternalCache"
        | "StartupResync"
        | "TCPWindowTracking"
        | "ExpectationSync"
        | "Setup" => "on",
        "# comment" => return "# text\n".into(),
        _ => "7",
    };
    format!("{keyword} {argument} ")
}

/// Puts `line` into the block that `path` names.
fn inside(path: &str, line: &str) -> String {
    path.rsplit('/')
        .fold(line.to_owned(), |text, block| match block {
            "(top)" => text,
            "Mode *" => format!("Mode NOTRACK {{ {text} }}"),
            "Type" => format!("Type ftp inet tcp {{ {text} }}"),
            "Policy" => format!("Policy ftp {{ {text} }}"),
            "Address" => format!("Address Ignore {{ {text} }}"),
            _ => format!("{block} {{ {text} }}"),
        })
}

#[test]
fn every_keyword_of_the_list_is_known_where_it_belongs_and_only_there() {
    let list = include_str!("../../../testdata/keywords/conntrackd.tsv");
    let mut rows = 0;
    for row in list.lines() {
        let (blocks, keyword) = row.split_once('\t').expect("two columns");
        rows += 1;
        for block in blocks.split("; ") {
            let paths: Vec<String> = match block.strip_prefix("Sync/Mode ") {
                Some("*") => ["FTFW", "NOTRACK", "ALARM"]
                    .map(|m| format!("Sync/Mode {m}"))
                    .into(),
                Some(modes) => modes
                    .split(", ")
                    .map(|m| format!("Sync/Mode {m}"))
                    .collect(),
                None => vec![block.to_owned()],
            };
            for path in paths {
                let line = match (path.as_str(), keyword) {
                    ("General/Scheduler", "Type") => "Type FIFO ".to_owned(),
                    ("Helper", "Type") => "Type ftp inet tcp { }".to_owned(),
                    _ => example(keyword),
                };
                config(&inside(&path, &line));
                // The same in a place where nothing of it may stand.
                if !keyword.starts_with('#') {
                    let text = format!("General {{ UNIX {{ {keyword} ~ }} }}");
                    let symbol = if matches!(keyword, "Path" | "Backlog") {
                        "~"
                    } else {
                        keyword
                    };
                    refused(
                        &text,
                        &format!(
                            "parsing config file in line (1), symbol '{symbol}': syntax error"
                        ),
                    );
                }
            }
        }
    }
    assert_eq!(rows, 83);
}

#[test]
fn defaults() {
    let c = config("Sync { }");
    assert_eq!(*c.general.hash_size, 65536);
    assert_eq!(*c.general.hash_limit, 262_144);
    assert_eq!(*c.general.lock_file, "/var/lock/conntrackd.lock");
    assert_eq!(*c.general.netlink_overrun_resync, Some(30));
    assert_eq!(*c.general.event_iteration_limit, 100);
    assert_eq!(c.general.scheduler.policy, None);
    assert!(c.general.filter.is_none() && c.general.unix_path.is_empty());
    let sync = c.sync.expect("a Sync block");
    assert_eq!(sync.mode, None);
    assert_eq!(
        [
            *sync.refresh_time,
            *sync.cache_timeout,
            *sync.commit_timeout,
            *sync.purge_timeout
        ],
        [60, 180, 0, 60]
    );
    assert_eq!(
        [
            *sync.resend_queue_size,
            *sync.ack_window_size,
            *sync.error_queue_length
        ],
        [131_072, 300, 128]
    );
    let c = config("");
    assert!(c.sync.is_none() && c.stats.is_none() && c.helper.is_none());
    // 0 means the default, also when it is written.
    assert_eq!(
        *config("General { HashSize 0 NetlinkOverrunResync 0 }")
            .general
            .hash_size,
        65536
    );
    assert_eq!(
        *config("General { NetlinkOverrunResync off }")
            .general
            .netlink_overrun_resync,
        None
    );
}

#[test]
fn settings_know_where_they_stand() {
    let c = config("General {\n  HashSize 12\n}");
    assert_eq!(
        c.general.hash_size.span,
        Some(Span {
            line: 2,
            start: 21,
            len: 2
        })
    );
    assert_eq!(c.general.hash_limit.span, None);
}

#[test]
fn deprecated_spellings_warn() {
    warned(
        "General { Nice -20 }",
        "deprecated nice configuration, ignoring. The nice value can be set externally with nice(1) and renice(1).",
    );
    warned(
        "General { UNIX { Backlog 20 } }",
        "deprecated unix backlog configuration, ignoring.",
    );
    warned(
        "Sync { Mode NACK { } }",
        "Now `nack' mode is called `ftfw'. Please, update your conntrackd.conf file.\n",
    );
    for word in ["PERSISTENT", "persistent", "Persistent"] {
        warned(
            &format!("Sync {{ Mode {word} {{ }} }}"),
            "Now `persistent' mode is called `alarm'. Please, update your conntrackd.conf file.",
        );
    }
    warned(
        "Sync { Multicast { IPv6_interface ::1 } }",
        "`IPv6_interface' not required, ignoring",
    );
    let c = config("General { SocketBufferSize 5 SocketBufferSizeMaxGrown 6 }");
    assert_eq!(
        (
            *c.general.netlink_buffer_size,
            *c.general.netlink_buffer_size_max_growth
        ),
        (5, 6)
    );
    refused(
        "General { NetlinkBufferSizeMaxGrown 6 }",
        "parsing config file in line (1), symbol 'NetlinkBufferSizeMaxGrown': syntax error",
    );
}

#[test]
fn syntax_errors_name_line_and_symbol() {
    for (text, line, symbol) in [
        ("General {\n}\n# foo", 3, "#"),
        ("General {\n", 2, ""),
        ("General { # foo\n x }", 2, "x"),
        ("# foo \n\n  General { } zzz\n", 3, "zzz"),
        ("General { HashSize }", 1, "}"),
        ("General { \"Path }\n", 1, "\""),
        ("General {\n\n HashSize 5 # x", 3, "#"),
        ("General { Nice 5 }", 1, "5"),
        ("Sync { UDP { Interface eth* } }", 1, "*"),
        ("Sync { UDP { Interface fe0 } }", 1, "fe0"),
        (
            "Sync { Mode ALARM { StartupResync on } }",
            1,
            "StartupResync",
        ),
        (
            "Sync { Mode FTFW { DisableInternalCache on } }",
            1,
            "DisableInternalCache",
        ),
        ("Helper { Type ftp inet TCP { } }", 1, "TCP"),
        (
            "General { Filter { State Accept { ESTABLISHED } } }",
            1,
            "}",
        ),
        ("General { Filter { Protocol Accept { 6 } } }", 1, "6"),
    ] {
        refused(
            text,
            &format!("parsing config file in line ({line}), symbol '{symbol}': syntax error"),
        );
    }
}

#[test]
fn bytes_beyond_ascii_are_errors() {
    for text in [&b"\xef\xbb\xbfGeneral { }"[..], b"General { } \0"] {
        let outcome = parse(text, &|_| true);
        assert!(outcome.config.is_none());
    }
}

#[test]
fn values_that_are_refused() {
    refused("General { PollSecs 0 }", "`PollSecs' clause must be > 0");
    refused(
        "General { Scheduler { Type idle } }",
        "unknown scheduler `idle'",
    );
    refused(
        "General { Scheduler { Type RR Priority 100 } }",
        "`Priority' must be [0, 99]\n",
    );
    refused(
        "Sync { } Stats { }",
        "cannot use both `Stats' and `Sync' clauses in conntrackd.conf",
    );
    refused(
        "Sync { UDP { } TCP { } }",
        "cannot use `TCP' with other dedicated link protocols!",
    );
    refused(
        "Sync { UDP { } UDP { } UDP { } UDP { } UDP { } }",
        "too many dedicated links in the configuration file (Maximum: 4)",
    );
    let long = "x".repeat(260);
    refused(
        &format!("General {{ LogFile /{long} }}"),
        "LogFile path is longer than 256 characters",
    );
    refused(
        &format!("Stats {{ LogFile /{long} }}"),
        "stats LogFile path is longer than 256 characters",
    );
    refused(
        &format!("General {{ LockFile /{long} }}"),
        "LockFile path is longer than 256 characters",
    );
    refused(
        &format!("General {{ UNIX {{ Path /{} }} }}", "x".repeat(107)),
        "Path is longer than 107 characters",
    );
    config(&format!(
        "General {{ UNIX {{ Path /{} }} }}",
        "x".repeat(106)
    ));
    refused(
        "Helper { Type ftp ipx tcp { } }",
        "unknown layer 3 protocol",
    );
    refused(
        "Helper { Type ftp inet sctp { } }",
        "unknown layer 4 protocol",
    );
    refused("Helper { Type ftp inet udp { } }", "Unknown `ftp' helper");
    refused(
        "Helper { Type ftp inet tcp { Policy sip { ExpectMax 1 } } }",
        "Unknown policy `sip' in helper configuration",
    );
    refused(
        "Helper { Type ftp inet tcp { Policy ftp { } } }",
        "Helper policy configuration empty, fix your configuration file, please",
    );
    refused(
        "Helper { Type ftp inet tcp { Policy abcdefghijklmnopq { ExpectMax 1 } } }",
        "Helper Policy is longer than 16 characters",
    );
}

#[test]
fn values_that_warn() {
    warned(
        "General { Syslog local9 }",
        "'local9' is not a known syslog facility, ignoring",
    );
    warned(
        "Stats { Syslog user }",
        "'user' is not a known syslog facility, ignoring.",
    );
    warned(
        "Stats { Syslog local1 } General { Syslog local2 }",
        "conflicting Syslog facility values, defaulting to General",
    );
    warned(
        "Sync { UDP { IPv4_address 10.0.0.1/24 } }",
        "10.0.0.1/24 is not a valid IPv4 address",
    );
    warned(
        "Sync { UDP { IPv6_Destination_Address 1.2.3.4 } }",
        "1.2.3.4 is not a valid IPv6 address",
    );
    warned(
        "Sync { UDP { Interface missing0 } }",
        "missing0 is an invalid interface",
    );
    warned(
        "Sync { Multicast { IPv6_address ff02::1 IPv4_address 225.0.0.50 } }",
        "your multicast address is IPv4 but is binded to an IPv6 interface? Surely, this is not what you want",
    );
    warned(
        "Sync { Multicast { IPv4_interface 10.0.0.1 IPv6_address ff02::1 } }",
        "your multicast address is IPv6 but is binded to an IPv4 interface? Surely this is not what you want",
    );
    warned(
        "General { Filter { Address Ignore { IPv4_address 10.0.0.0/33 } } }",
        "10.0.0.0/33 is not a valid network, ignoring",
    );
    warned(
        "General { Filter { Address Ignore { IPv4_address 10.0.0.0/8 IPv4_address 10.0.0.0/8 } } }",
        "netmask 10.0.0.0 is repeated in the ignore pool",
    );
    warned(
        "General { Filter { Address Ignore { IPv6_address 1.2.3.4 } } }",
        "1.2.3.4 is not a valid IPv6, ignoring",
    );
    warned(
        "General { Filter { Protocol Accept { nosuch } } }",
        "getprotobyname() cannot find protocol `nosuch' in /etc/protocols",
    );
    warned(
        "Sync { Mode NOTRACK { DisableExternalCache on CommitTimeout 9 } }",
        "`CommitTimeout' can't be combined with `DisableExternalCache', ignoring this option. Fix your configuration file.",
    );
}

#[test]
fn filters_accumulate_and_the_last_word_decides() {
    let c = config(
        "General { Filter From Kernelspace {
            Protocol Accept { TCP }
            Protocol Ignore { UDP TCP ICMP }
            Address Ignore { IPv4_address 127.0.0.1 IPv4_address 10.0.0.0/8 IPv6_address ::1 IPv4_address 127.0.0.1 }
            State Accept { ESTABLISHED CLOSED for TCP TIME_WAIT for TCP }
        } Filter { } }",
    );
    let filter = c.general.filter.expect("a filter");
    assert!(!*filter.kernelspace);
    assert_eq!(filter.protocol.policy, Some(FilterPolicy::Ignore));
    assert_eq!(filter.protocol.entries, [6, 17, 1]);
    assert_eq!(filter.address.entries.len(), 3);
    assert_eq!(
        filter.state.entries,
        [TcpState::Established, TcpState::Close, TcpState::TimeWait]
    );
    assert!(config("General { Filter { } }").general.filter.is_none());
}

#[test]
fn modes_by_rank_and_links_by_default() {
    let sync = |text| config(text).sync.expect("a Sync block");
    let s = sync("Sync { Mode NOTRACK { } Mode alarm { } }");
    assert_eq!(s.mode.map(|m| m.value), Some(Mode::Alarm));
    let s = sync("Sync { UDP { Port 1 } UDP Default { Port 2 Checksum no } UDP { Port 3 } }");
    assert_eq!((s.default_link, s.links.len()), (1, 3));
    assert!(!*s.links[1].checksum && *s.links[0].checksum);
    let s = sync("Sync { Options { ExpectationSync { ftp sip } TCPWindowTracking yes } }");
    assert!(*s.expectation_sync && *s.tcp_window_tracking);
    assert_eq!(s.expectation_helpers.len(), 2);
}

#[test]
fn helper_items_may_stand_before_their_type() {
    let c = config(
        "Helper { QueueNum 3 Type ftp inet tcp { QueueNum 4 Policy ftp { ExpectTimeout 9 } } Setup on }",
    );
    let helper = c.helper.expect("a Helper block");
    let [ftp] = helper.instances.as_slice() else {
        panic!("{helper:?}");
    };
    assert_eq!((ftp.queue_num, ftp.protocol), (3, 6));
    assert_eq!(ftp.policies[0].expect_timeout, 9);
    assert!(*helper.setup);
}

/// The configuration of OpenWrt's high-availability page, as users paste it (with a device name that the language allows).
#[test]
fn the_wiki_page() {
    let text = "Sync {
    Mode FTFW {
        DisableExternalCache Off
        CommitTimeout 1800
        PurgeTimeout 5
    }
    UDP {
        IPv4_address 172.16.0.1
        IPv4_Destination_Address 172.16.0.2
        Port 3780
        Interface eth2
        SndSocketBuffer 1249280
        RcvSocketBuffer 1249280
        Checksum on
    }
}
General {
    Nice -20
    HashSize 32768
    HashLimit 131072
    LogFile on
    Syslog on
    LockFile /var/lock/conntrack.lock
    UNIX {
        Path /var/run/conntrackd.ctl
        Backlog 20
    }
    NetlinkBufferSize 2097152
    NetlinkBufferSizeMaxGrowth 8388608
    Filter From Userspace {
        Protocol Accept {
            TCP
            SCTP
            DCCP
            UDP
            ICMP # This requires a Linux kernel >= 2.6.31
        }
        Address Ignore {
            IPv4_address 127.0.0.1 # loopback
            IPv4_address 192.168.0.0/24
        }
    }
}
";
    let c = config(text);
    assert_eq!(said(text).len(), 2);
    assert_eq!(
        c.general.log_file.map(|f| f.value).as_deref(),
        Some("/var/log/conntrackd.log")
    );
    assert_eq!(*c.general.syslog, Some(Facility::Daemon));
    assert_eq!(
        c.general.filter.map(|f| f.protocol.entries),
        Some(vec![6, 132, 33, 17, 1])
    );
}
