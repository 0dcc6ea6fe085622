//! Objects, and the answers that 2.3.3 gives (recorded: `tests/ref_dbus.rs` compares them with a live one).

use conf_parsers::keepalived::{ParseOptions, Part, ReadOptions, parse, read};
use conf_parsers::source::{FakeHost, MemorySource};
use dbus_wire::Kind;
use dbus_wire::marshal::Order;

use super::*;

const A: &str = "/org/keepalived/Vrrp1/Instance/eth_0_1/51/IPv4";

/// Instances: name, interface, VRID, and whether it is one of IPv6.
fn model(instances: &[(&str, Option<&str>, u8, bool)]) -> Model {
    let mut text = String::new();
    for (n, (name, interface, vrid, v6)) in instances.iter().enumerate() {
        text += &format!("vrrp_instance {name} {{\nversion 3\nvirtual_router_id {vrid}\n");
        text += &match interface {
            Some(interface) => format!("interface {interface}\n"),
            None => "unicast_src_ip 10.0.0.1\nunicast_peer {\n10.0.0.2\n}\n".to_owned(),
        };
        let address = if *v6 {
            format!("fe80::{}", n + 1)
        } else {
            format!("10.1.0.{}", n + 1)
        };
        text += &format!("virtual_ipaddress {{\n{address} dev eth-0.1\n}}\n}}\n");
    }
    let mut host = FakeHost::with_interfaces(&["eth-0.1", "v-6", "v.6"]);
    host.source = MemorySource::one("/k.conf", &text);
    let lines = read(&host, "/k.conf", &ReadOptions::default());
    let options = ParseOptions::default();
    let model = parse(&lines, Part::Vrrp, &host, &options, None).model;
    assert_eq!(model.vrrp.instances.len(), instances.len());
    model
}

fn some() -> Model {
    model(&[
        ("A", Some("eth-0.1"), 51, false),
        ("B", Some("eth-0.1"), 52, true),
        ("C", None, 53, false),
    ])
}

fn call(path: &str, interface: &str, member: &str, arguments: &[&str]) -> Message {
    let mut w = Writer::new(Order::NATIVE);
    for text in arguments {
        w.string(text);
    }
    Message {
        path: path.into(),
        interface: interface.into(),
        member: member.into(),
        signature: "s".repeat(arguments.len()).into(),
        body: w.into_bytes(),
        ..Message::new(Kind::Call, Order::NATIVE)
    }
}

#[test]
fn paths_of_instances() {
    let objects = Objects::new(&some());
    let paths: Vec<&str> = objects.instances.iter().map(|i| &*i.path).collect();
    let below = "/org/keepalived/Vrrp1/Instance";
    assert_eq!(
        paths,
        [
            A,
            &format!("{below}/eth_0_1/52/IPv6"),
            &format!("{below}/none/53/IPv4")
        ]
    );
    let mut model = some();
    model.global.net_namespace = Some("ns".into());
    model.global.instance = Some("in".into());
    model.global.dbus_no_interface_name = Some("no/thing-ä".into());
    let objects = Objects::new(&model);
    assert_eq!(&*objects.process, "/org/keepalived/Vrrp1/ns/in/Vrrp");
    let last = objects.instances.last().unwrap();
    assert_eq!(
        &*last.path,
        "/org/keepalived/Vrrp1/ns/in/Instance/no_thing___/53/IPv4"
    );
    // No path may have this.
    model.global.instance = Some("in-1".into());
    let objects = Objects::new(&model);
    assert!(!objects.are_valid());
    let ping = call(&objects.process, VRRP, "PrintData", &[]);
    assert!(matches!(answer(Some(&objects), &ping), Answer::Error(..)));
}

#[test]
fn the_first_of_two_has_the_path() {
    let objects = Objects::new(&model(&[
        ("A", Some("v-6"), 51, false),
        ("B", Some("v.6"), 51, false),
    ]));
    assert_eq!(objects.doubles, [1]);
    let get = call(
        "/org/keepalived/Vrrp1/Instance/v_6/51/IPv4",
        PROPERTIES,
        "Get",
        &[INSTANCE, "Name"],
    );
    assert_eq!(
        answer(Some(&objects), &get),
        Answer::Property(Property::Name, 0)
    );
}

#[test]
fn calls_and_their_meaning() {
    let objects = Objects::new(&some());
    let process = "/org/keepalived/Vrrp1/Vrrp";
    let say = |call: &Message| answer(Some(&objects), call);
    for (path, interface, member, meant) in [
        (process, VRRP, "PrintData", Method::PrintData),
        (process, VRRP, "PrintStats", Method::PrintStats),
        (process, VRRP, "PrintStatsClear", Method::PrintStatsClear),
        (process, VRRP, "ReloadConfig", Method::ReloadConfig),
        (A, INSTANCE, "SendGarp", Method::SendGarp(0)),
        ("/nowhere", PEER, "Ping", Method::Ping),
    ] {
        assert_eq!(
            say(&call(path, interface, member, &[])),
            Answer::Do(meant),
            "{member}"
        );
    }
    let all = |path, interface| say(&call(path, PROPERTIES, "GetAll", &[interface]));
    assert_eq!(all(A, INSTANCE), Answer::Properties(Some(0)));
    assert_eq!(all(process, VRRP), Answer::Properties(None));
    for (call, sentence) in [
        (
            call(A, INSTANCE, "SendGarp", &["x"]),
            "Type of message, “(s)”, does not match expected type “()”",
        ),
        (call(A, INSTANCE, "Nope", &[]), "No such method “Nope”"),
        (
            call(A, VRRP, "PrintData", &[]),
            "No such interface “org.keepalived.Vrrp1.Vrrp” on object at path /org/keepalived/Vrrp1/Instance/eth_0_1/51/IPv4",
        ),
        (
            call("/x", VRRP, "PrintData", &[]),
            "Object does not exist at path “/x”",
        ),
        (
            call("/x", "", "PrintData", &[]),
            "Object does not exist at path “/x”",
        ),
        (
            call(A, PROPERTIES, "Get", &[INSTANCE, "Nope"]),
            "No such property “Nope”",
        ),
        (
            call(A, PROPERTIES, "Get", &["org.x", "Name"]),
            "No such interface “org.x”",
        ),
        (
            call(process, PROPERTIES, "Get", &[VRRP, "Name"]),
            "No such property “Name”",
        ),
    ] {
        let Answer::Error(_, text) = say(&call) else {
            panic!("{sentence}");
        };
        assert_eq!(text, sentence);
    }
    // Arguments that are not what their types say, which no bus lets through.
    let mut damaged = call(A, PROPERTIES, "Get", &[INSTANCE, "Name"]);
    damaged.body.truncate(7);
    assert!(matches!(say(&damaged), Answer::Error(UNKNOWN_METHOD, _)));
    damaged.cut = true;
    assert!(matches!(say(&damaged), Answer::Error(LIMITS_EXCEEDED, _)));
}

#[test]
fn introspection_shows_what_is_below() {
    let objects = Objects::new(&some());
    let children = |path: &str| -> Vec<String> {
        introspection(Some(&objects), path)
            .lines()
            .filter_map(|l| l.strip_prefix("  <node name=\""))
            .map(|l| l.trim_end_matches("\"/>").to_owned())
            .collect()
    };
    assert_eq!(children("/"), ["org"]);
    assert_eq!(children("/org/keepalived/Vrrp1"), ["Instance", "Vrrp"]);
    assert_eq!(
        children("/org/keepalived/Vrrp1/Instance"),
        ["eth_0_1", "none"]
    );
    for nothing in [A, "/org/keepalived/Vrrp1/Inst", "/x"] {
        assert!(children(nothing).is_empty(), "{nothing}");
    }
    assert!(introspection(Some(&objects), A).contains(INSTANCE));
    assert!(!introspection(None, A).contains(INSTANCE));
}

#[test]
fn service_names() {
    let mut model = some();
    assert_eq!(service_name(&model), "org.keepalived.Vrrp1");
    model.global.dbus_service_name = Some("org.other".into());
    assert_eq!(service_name(&model), "org.other");
}

/// The interface files of the Debian package, without their comments, are what introspection shows.
#[test]
fn interface_files_describe_what_is_shown() {
    for (file, shown) in [
        (
            include_str!("../../../debian/org.keepalived.Vrrp1.Vrrp.xml"),
            introspect::VRRP,
        ),
        (
            include_str!("../../../debian/org.keepalived.Vrrp1.Instance.xml"),
            introspect::INSTANCE,
        ),
    ] {
        let (_, body) = file.split_once("<node>\n").unwrap();
        let lines: String = body
            .lines()
            .filter(|l| !l.trim_start().starts_with("<!--") && *l != "</node>")
            .map(|l| format!("{l}\n"))
            .collect();
        assert_eq!(lines, shown);
    }
}
