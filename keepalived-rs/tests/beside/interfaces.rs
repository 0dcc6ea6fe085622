//! `dynamic_interfaces allow_if_changes`: an interface that goes and comes back on another link, where its VRID is taken.

use crate::life::{Life, beside};

const CONF: &str = "global_defs {\n dynamic_interfaces allow_if_changes\n vrrp_garp_master_delay 0\n}\n\
    vrrp_instance A {\n interface d0\n virtual_router_id 51\n advert_int 0.3\n version 3\n virtual_ipaddress {\n 10.9.0.100/24\n }\n}\n\
    vrrp_instance B {\n interface mv\n virtual_router_id 51\n advert_int 0.3\n version 3\n virtual_ipaddress {\n 10.9.1.100/24\n }\n}\n";

/// A macvlan that is none of ours, with an address.
fn make(life: &Life<'_>, on: &str) {
    life.sh(&format!(
        "ip link add mv link {on} type macvlan mode bridge"
    ));
    life.sh("ip addr add 10.9.1.1/24 dev mv");
    life.sh("ip link set mv up");
}

fn links(life: &Life<'_>) {
    for (name, peer, address) in [("d0", "p0", "10.9.0.1/24"), ("d1", "p1", "10.9.2.1/24")] {
        life.sh(&format!("ip link add {name} type veth peer name {peer}"));
        life.sh(&format!("ip addr add {address} dev {name}"));
        life.sh(&format!("ip link set {name} up"));
        life.sh(&format!("ip link set {peer} up"));
        life.carries(name);
    }
}

/// What a dump says of it: of instance B and of `mv`.
fn shown(life: &Life<'_>) -> Vec<String> {
    let words = [
        "VRRP Instance = ",
        "State = ",
        "config faults",
        "Flags of interface faults",
        "duplicate VRID",
        "Duplicate VRID",
        "config error",
        "can be changed",
        "Done VRID check",
        "underlying interface",
    ];
    let dump = life.dump();
    // The original leaves the place of an interface that has gone to the next one of that name.
    let (rest, interfaces) = dump.split_once(" Name = ").unwrap();
    let mut blocks: Vec<&str> = interfaces.split(" Name = ").collect();
    blocks.sort_unstable();
    let all = format!("{rest}{}", blocks.concat());
    let names = ["lo", "d0", "d1", "p0", "p1", "pm", "mv"];
    let wanted = |l: &&str| names.contains(l) || words.iter().any(|w| l.contains(w));
    all.lines().filter(wanted).map(str::to_owned).collect()
}

const LINES: &[&str] = &[
    "VRID conflict",
    "duplicated",
    "(B) ",
    "Interface mv",
    "reports mv",
    "both use VRID",
];

#[test]
fn ref_an_interface_comes_back_where_its_vrid_is_taken() {
    beside(
        "ref_an_interface_comes_back_where_its_vrid_is_taken",
        |life| {
            links(life);
            make(life, "d1");
            life.start(CONF);
            life.until("Entering MASTER STATE", 2);
            let mut seen = shown(life);
            life.sh("ip link del mv");
            life.until("(B) Entering FAULT STATE", 1);
            make(life, "d0");
            life.until("VRID conflict", 1);
            life.until("reports mv up", 1);
            seen.extend(shown(life));
            life.sh("ip link del mv");
            life.until("Interface mv deleted", 2);
            make(life, "d1");
            life.until("(B) Entering MASTER STATE", 2);
            seen.extend(shown(life));
            // Another kind of interface of the same name.
            life.sh("ip link del mv");
            life.until("(B) Entering FAULT STATE", 2);
            life.sh("ip link add mv type veth peer name pm");
            life.sh("ip addr add 10.9.1.1/24 dev mv");
            life.sh("ip link set pm up");
            life.sh("ip link set mv up");
            life.until("(B) Entering MASTER STATE", 3);
            seen.extend(shown(life));
            life.stop();
            seen.extend(life.lines(LINES));
            seen
        },
    );
}

#[test]
fn ref_a_vrid_that_is_taken_at_the_start_is_no_error() {
    beside(
        "ref_a_vrid_that_is_taken_at_the_start_is_no_error",
        |life| {
            links(life);
            make(life, "d0");
            life.start(CONF);
            life.until("Entering MASTER STATE", 1);
            // The original calls the interface of the first one checked, too, though it never was away.
            let mut seen = shown(life);
            seen.retain(|l| !l.contains("Done VRID check"));
            life.stop();
            seen.extend(life.lines(LINES));
            seen
        },
    );
}

#[test]
fn ref_another_link_layer_address_is_said() {
    beside("ref_another_link_layer_address_is_said", |life| {
        links(life);
        life.sh("ip link set d0 address 02:00:00:00:00:01");
        life.start(CONF.split("vrrp_instance B").next().unwrap());
        life.until("Entering MASTER STATE", 1);
        life.sh("ip link set d0 address 02:00:00:00:00:02");
        life.until("MAC Address changed", 1);
        life.sh("ip link set d0 address 02:00:00:00:00:03");
        life.until("MAC Address changed", 2);
        life.stop();
        life.lines(&["MAC"])
    });
}
