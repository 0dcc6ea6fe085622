//! Reloads: the delay of the start, settings of interfaces, instances that go.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::life::{Life, beside};

fn links(life: &Life<'_>) {
    life.sh("ip link add d0 type veth peer name p0");
    life.sh("ip addr add 10.9.0.1/24 dev d0");
    life.sh("ip link set d0 up");
    life.sh("ip link set p0 up");
    life.carries("d0");
}

fn instance(name: &str, n: u8, more: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n interface d0\n virtual_router_id {n}\n advert_int 0.2\n version 3\n priority 200\n\
         virtual_ipaddress {{\n 10.9.0.{n}/24\n }}\n{more}}}\n"
    )
}

/// Without numbers that tell how much time is left.
fn timeless(line: &str) -> String {
    match line.strip_prefix("Delaying startup for a further ") {
        Some(_) => "Delaying startup for a further N seconds".to_owned(),
        None => line.to_owned(),
    }
}

#[test]
fn ref_the_delay_of_the_start_changes_at_a_reload() {
    beside("ref_the_delay_of_the_start_changes_at_a_reload", |life| {
        links(life);
        let conf = |delay: &str| {
            format!(
                "global_defs {{\n vrrp_startup_delay {delay}\n}}\n{}",
                instance("A", 51, "")
            )
        };
        life.start(&conf("60"));
        life.until("Delaying startup for 60 seconds", 1);
        for (at, (delay, line, count)) in [
            ("50", "Delaying startup for a further", 1),
            ("70", "Delaying startup for a further", 2),
            ("0.01", "Reduced delayed start passed", 1),
            // It has passed: this one has no effect.
            ("60", "Delaying startup for a further", 2),
        ]
        .into_iter()
        .enumerate()
        {
            if delay == "0.01" {
                // So much has passed since the start then.
                std::thread::sleep(Duration::from_millis(20));
            }
            life.configure(&conf(delay));
            life.signal(Signal::SIGHUP);
            life.until(line, count);
            life.until("Reload complete", at + 1);
            // The lines of the parent and of the child.
            life.until("sockpool", at + 2);
        }
        life.until("(A) Entering MASTER STATE", 1);
        life.stop();
        let lines = life.lines(&["elay", "very large", "(A) "]);
        let lines = lines.iter().filter(|l| !l.contains("/k.con"));
        lines.map(|l| timeless(l)).collect()
    });
}

#[test]
fn ref_secondaries_are_promoted_while_somebody_asks() {
    beside("ref_secondaries_are_promoted_while_somebody_asks", |life| {
        links(life);
        let setting =
            |life: &Life<'_>| life.sh("cat /proc/sys/net/ipv4/conf/d0/promote_secondaries");
        life.sh("sysctl -qw net.ipv4.conf.d0.promote_secondaries=0");
        let with = " promote_secondaries\n";
        let both = format!("{}{}", instance("A", 51, with), instance("B", 52, with));
        life.start(&both);
        life.until("Entering MASTER STATE", 2);
        let dumped = |life: &Life<'_>| {
            let dump = life.dump();
            let lines = dump.lines().filter(|l| l.contains("promote_secondaries"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let mut seen = dumped(life);
        seen.push(setting(life));
        life.stop();
        seen.push(setting(life));
        seen
    });
}

#[test]
fn ref_instances_that_go_say_so() {
    beside("ref_instances_that_go_say_so", |life| {
        links(life);
        let fifo = life.node.dir().join("fifo").display().to_string();
        let heard = life.node.dir().join("heard");
        life.sh(&format!("mkfifo -m 0622 {fifo}"));
        // It stays open, whoever writes.
        let command = format!("exec cat <> {fifo}");
        let _reader = life.node.spawn("heard", &["sh", "-c", &command]).unwrap();
        let globals = format!(
            "global_defs {{\n vrrp_notify_fifo {fifo}\n script_user root\n vrrp_garp_master_repeat 1\n}}\n"
        );
        let deleted = " notify_deleted\n";
        let first = [
            instance("A", 51, ""),
            instance("B", 52, deleted),
            instance("C", 53, ""),
            instance("D", 54, deleted),
        ];
        life.start(&format!("{globals}{}", first.concat()));
        life.until("Entering MASTER STATE", 4);
        life.configure(&format!("{globals}{}", instance("A", 51, "")));
        life.signal(Signal::SIGHUP);
        life.until("Reload complete", 1);
        life.wait("the reload told", || {
            let told = fs::read_to_string(&heard).unwrap_or_default();
            ["\"B\" DELETED", "\"C\" FAULT", "\"D\" DELETED"]
                .iter()
                .all(|l| told.contains(l))
        });
        life.stop();
        life.wait("the stop told", || {
            let told = fs::read_to_string(&heard).unwrap_or_default();
            told.contains("\"A\" STOP")
        });
        let told = fs::read_to_string(&heard).unwrap();
        // Those that become master at one moment have no order.
        let mut lines: Vec<String> = told.lines().map(str::to_owned).collect();
        if let Some(all) = lines.get_mut(..8) {
            all.sort_unstable();
        }
        lines.extend(life.lines(&["sent 0"]));
        lines
    });
}

/// What a reload changes about priorities is told before the instances that it takes away.
#[test]
fn ref_priorities_come_before_instances_that_go() {
    beside("ref_priorities_come_before_instances_that_go", |life| {
        links(life);
        let dir = life.node.dir().display().to_string();
        let heard = life.node.dir().join("heard");
        life.sh(&format!("mkfifo -m 0622 {dir}/fifo"));
        fs::write(
            life.node.dir().join("number"),
            "-20
",
        )
        .unwrap();
        let command = format!("exec cat <> {dir}/fifo");
        let _reader = life.node.spawn("heard", &["sh", "-c", &command]).unwrap();
        let globals = format!(
            "global_defs {{\n vrrp_notify_fifo {dir}/fifo\n vrrp_notify_priority_changes\n script_user root\n vrrp_garp_master_repeat 1\n}}\n\
             track_file F {{\n file {dir}/number\n}}\n"
        );
        let deleted = " notify_deleted\n";
        let tracks = " track_file {\n F weight 1\n }\n";
        let first = [
            instance("A", 51, ""),
            instance("B", 52, deleted),
            instance("C", 53, ""),
        ];
        life.start(&format!("{globals}{}", first.concat()));
        life.until("Entering MASTER STATE", 3);
        // A is weaker, B goes, C is weaker, too, and D is new.
        let second = [
            instance("A", 51, tracks),
            instance("C", 53, tracks),
            instance("D", 54, tracks),
        ];
        life.configure(&format!("{globals}{}", second.concat()));
        life.signal(Signal::SIGHUP);
        life.until("Reload complete", 1);
        life.until("(D) Entering MASTER STATE", 1);
        life.stop();
        life.wait("the stop told", || {
            let told = fs::read_to_string(&heard).unwrap_or_default();
            ["A", "C", "D"]
                .iter()
                .all(|name| told.contains(&format!("\"{name}\" STOP")))
        });
        let told = fs::read_to_string(&heard).unwrap();
        // Those that become master at one moment have no order.
        let mut lines: Vec<String> = told.lines().map(str::to_owned).collect();
        if let Some(all) = lines.get_mut(..6) {
            all.sort_unstable();
        }
        lines.extend(life.lines(&["sent 0", "Changing effective"]));
        lines
    });
}
