//! Addresses, routes and rules are shown as the original shows them in its dump.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use conf_parsers::keepalived::model::print_address::{AddressState, print_address};
use conf_parsers::keepalived::model::print_route::{InstalledOn, print_route};
use conf_parsers::keepalived::model::print_rule::print_rule;
use conf_parsers::keepalived::model::vrrp::VrrpModel;
use conf_parsers::keepalived::{ParseOptions, Part, ReadOptions, parse, read};
use conf_parsers::source::{FakeHost, MemorySource};

fn testdata(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../testdata")
        .join(path);
    fs::read_to_string(path).unwrap()
}

/// The VRRP model of a test file.
fn model(name: &str) -> VrrpModel {
    let mut host = FakeHost::with_interfaces(&["lo", "eth0", "eth1"]);
    host.protocols.insert("tcp".to_owned(), 6);
    host.source = MemorySource::one(
        "/k.conf",
        &testdata(&format!("conf/keepalived/{name}.conf")),
    );
    let lines = read(&host, "/k.conf", &ReadOptions::default());
    let outcome = parse(&lines, Part::Vrrp, &host, &ParseOptions::default(), None);
    outcome.model.vrrp
}

/// The lines of one section of the original's dump.
fn golden(section: &str) -> Vec<String> {
    testdata("golden/keepalived/static-objects-2.3.3.txt")
        .lines()
        .skip_while(|l| *l != format!("------< {section} >------"))
        .skip(1)
        .map_while(|l| l.strip_prefix("     "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn addresses() {
    let golden = golden("Static Addresses");
    let model = model("address-static");
    assert_eq!(model.static_addresses.len(), golden.len());
    for (address, line) in model.static_addresses.iter().zip(&golden) {
        let state = AddressState {
            dev: address.dev.as_ref().map(|dev| &***dev),
            // Whether the kernel took the address is the one thing that the text does not say.
            set: line.ends_with(" set"),
            ..AddressState::default()
        };
        assert_eq!(print_address(address, &state), *line);
    }
}

#[test]
fn routes() {
    let model = model("route-good");
    let shown: Vec<String> = model
        .static_routes
        .iter()
        .map(|route| print_route(route, InstalledOn::Configured))
        .collect();
    let expected = golden("Static Routes");
    // The original prints the locator in memory order.
    let little_endian = cfg!(target_endian = "little");
    for (shown, expected) in shown.iter().zip(&expected) {
        if little_endian || !expected.contains("encap ila") {
            assert_eq!(shown, expected);
        }
    }
    assert_eq!(shown.len(), expected.len());
}

#[test]
fn rules() {
    let shown: Vec<String> = model("rule-good")
        .static_rules
        .iter()
        .map(print_rule)
        .collect();
    assert_eq!(shown, golden("Static Rules"));
}

#[test]
fn runtime_words() {
    let model = model("address-static");
    let state = AddressState {
        dev: Some("vrrp.51"),
        base_dev: Some("eth0"),
        scope: Some("universe"),
        set: true,
        iptables_set: true,
        nftables_set: true,
    };
    assert_eq!(
        print_address(&model.static_addresses[0], &state),
        "10.9.0.1/24 dev vrrp.51@eth0 scope universe set iptable_set nftable_set"
    );
    let routes = self::model("route-good").static_routes;
    assert!(print_route(&routes[2], InstalledOn::Device("eth1")).ends_with(" proto 18 [dev eth1]"));
    assert!(print_route(&routes[2], InstalledOn::Index(7)).ends_with(" [installed ifindex 7]"));
}
