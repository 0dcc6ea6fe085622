//! Every keyword of conntrackd.conf stands in one of these files, and none of them is told to be without effect.

use std::collections::BTreeSet;
use std::process::Command;

const GENERAL: &str = "
General {
    HashSize 1024  HashLimit 2048
    LogFile /tmp/none.log  Syslog local0  LockFile /tmp/none.lock
    UNIX { Path /tmp/none.ctl  Backlog 20 }
    NetlinkBufferSize 2097152  NetlinkBufferSizeMaxGrowth 8388608
    NetlinkOverrunResync 5  NetlinkEventsReliable on  EventIterationLimit 10  PollSecs 5
    Nice -20
    Scheduler { Type FIFO  Priority 99 }
    Systemd on
    Filter From Kernelspace {
        Protocol Accept { TCP }
        Address Ignore { IPv4_address 127.0.0.1  IPv6_address ::1 }
        State Accept { ESTABLISHED for TCP }
    }
}
";

const LINK: &str = "
    IPv4_Destination_Address 127.0.0.2  IPv4_address 127.0.0.1
    Interface lo  Port 3780  SndSocketBuffer 1000  RcvSocketBuffer 1000  Checksum on
";

const LINK6: &str = "
    IPv6_Destination_Address ::1  IPv6_address ::1  Interface lo  Port 3780
";

fn files() -> Vec<String> {
    let sync = |mode: &str, links: &str| {
        format!(
            "# comment\nSync {{\n{mode}\n{links}\nOptions {{ TCPWindowTracking on  ExpectationSync {{ ftp }} }}\n}}\n{GENERAL}"
        )
    };
    let mcast =
        "Multicast { IPv4_address 225.0.0.50  IPv4_interface 127.0.0.1  Interface lo  Group 3780
        SndSocketBuffer 1000  RcvSocketBuffer 1000  Checksum on }
        Multicast Default { IPv6_address ff02::50  IPv6_interface ::1  Interface lo  Group 3781 }";
    vec![
        sync(
            "Mode FTFW { ResendQueueSize 10  ACKWindowSize 20  CommitTimeout 0  PurgeTimeout 3  StartupResync on
                DisableExternalCache on }",
            &format!("UDP {{ {LINK} }} UDP Default {{ {LINK6} }}"),
        ),
        sync(
            "Mode NOTRACK { DisableInternalCache on  DisableExternalCache on }",
            mcast,
        ),
        sync(
            "Mode ALARM { RefreshTime 3  CacheTimeout 4  CommitTimeout 5 }",
            &format!("TCP {{ {LINK} ErrorQueueLength 5 }} TCP Default {{ {LINK6} }}"),
        ),
        format!("Stats {{ LogFile /tmp/none.flows  Syslog local0 }}\n{GENERAL}"),
        "Helper { Setup on  Type ftp inet tcp { QueueNum 1  QueueLen 10
            Policy ftp { ExpectMax 1  ExpectTimeout 300 } } }"
            .to_owned(),
    ]
}

#[test]
fn every_keyword_has_its_effect() {
    let list = include_str!("../../testdata/keywords/conntrackd.tsv");
    let files = files();
    let words: BTreeSet<&str> = files.iter().flat_map(|f| f.split_whitespace()).collect();
    let mut missing = Vec::new();
    for row in list.lines() {
        let mut columns = row.split('\t');
        let (block, keyword) = (columns.next().unwrap_or(""), columns.next().unwrap_or(""));
        if !keyword.starts_with('#') && !block.starts_with("block") && !words.contains(keyword) {
            missing.push(format!("{block} {keyword}"));
        }
    }
    assert!(missing.is_empty(), "not in a file here: {missing:?}");
    let dir = std::env::temp_dir().join(format!("conntrackd-keywords-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    for (number, text) in files.iter().enumerate() {
        let path = dir.join(format!("{number}.conf"));
        std::fs::write(&path, text).expect("a file");
        let output = Command::new(testkit::sut::ours(env!("CARGO_BIN_EXE_conntrackd")))
            .args(["-C", &path.display().to_string(), "--test"])
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        for line in said.lines() {
            // What 1.4.8 itself gives no effect, or warns of.
            let known = [
                "deprecated",
                "`IPv6_interface' not required",
                "binded to an",
            ];
            assert!(known.iter().any(|part| line.contains(part)), "{line}");
        }
        let everywhere = !said.contains("not implemented");
        assert!(everywhere, "{said}");
    }
    std::fs::remove_dir_all(&dir).expect("the folder");
}
