use super::*;
use conf_parsers::keepalived::{ParseOptions, Part, ReadOptions, parse, read};
use conf_parsers::source::{FakeHost, MemorySource};
use vrrp_proto::config::{AntiReplay, Auth, GroupId, HmacMode, TrackSource, Version, Wanted};

fn lowered(text: &str) -> (Lowered, Objects) {
    let mut host = FakeHost::with_interfaces(&["br-lan", "eth0.2"]);
    host.source = MemorySource::one("/k.conf", text);
    let lines = read(&host, "/k.conf", &ReadOptions::default());
    // As at a reload, where the child reads global_defs itself.
    let options = ParseOptions {
        reload: true,
        ..ParseOptions::default()
    };
    let outcome = parse(&lines, Part::Vrrp, &host, &options, None);
    assert_eq!(outcome.exit, None, "{:?}", outcome.diagnostics);
    let mut objects = Objects::new();
    let lowered = lower(&outcome.model, &mut objects, Switches::default());
    (lowered, objects)
}

const PAIR: &str = "vrrp_instance LAN {\n state MASTER\n interface br-lan\n virtual_router_id 51\n priority 101\n advert_int 2\n\
    authentication {\n auth_type PASS\n auth_pass s3cret\n }\n virtual_ipaddress {\n 192.0.2.1/24\n 192.0.2.2\n }\n\
    track_interface {\n eth0.2 weight -20\n }\n}\n\
    vrrp_instance WAN {\n interface eth0.2\n virtual_router_id 51\n version 3\n advert_int 0.25\n\
    virtual_ipaddress {\n 198.51.100.5/24\n }\n\
    virtual_routes {\n src 198.51.100.5 to 0.0.0.0/0 via 198.51.100.1 dev eth0.2 metric 5\n }\n}\n\
    vrrp_sync_group G1 {\n group {\n LAN\n WAN\n }\n sync_group_tracking_weight\n}\n";

#[test]
fn the_usual_pair() {
    let (
        Lowered {
            config, warnings, ..
        },
        objects,
    ) = lowered(PAIR);
    assert_eq!(warnings, Vec::<String>::new());
    let [lan, wan] = config.instances.as_slice() else {
        panic!("{:?}", config.instances)
    };
    let name = |id: Option<IfId>| id.map(|i| &*config.interfaces[i.index()].name);
    assert_eq!(
        (name(lan.interface), name(wan.interface)),
        (Some("br-lan"), Some("eth0.2"))
    );
    assert_eq!(lan.auth, Auth::Pass(*b"s3cret\0\0"));
    assert_eq!(
        (lan.priority, wan.priority, lan.wanted),
        (101, 100, Wanted::Master)
    );
    assert_eq!(
        (lan.version, lan.advert_interval),
        (Version::V2, Duration::from_secs(2))
    );
    assert_eq!(
        (wan.version, wan.advert_interval),
        (Version::V3, Duration::from_millis(250))
    );
    assert_eq!(lan.addresses.len(), 2);
    assert_eq!(
        objects
            .address(lan.addresses[1].object)
            .unwrap()
            .address
            .prefix_len,
        32
    );
    assert_eq!(name(wan.routes[0].interface), Some("eth0.2"));
    assert_eq!(config.groups[0].members, [InstanceId(0), InstanceId(1)]);
    assert_eq!((lan.group, wan.group), (Some(GroupId(0)), Some(GroupId(0))));
    let track = lan.tracks.iter().find(|t| t.weight != 0).unwrap();
    assert_eq!(track.weight, -20);
    assert!(matches!(track.source, TrackSource::Interface(i) if name(Some(i)) == Some("eth0.2")));
}

#[test]
fn gaps_between_announcements_are_per_interface() {
    let text = format!("global_defs {{\n vrrp_garp_interval 0.1\n}}\n{PAIR}");
    let (first, _) = lowered(&text);
    assert_eq!(first.config.pacing.len(), first.config.interfaces.len());
    let of = |c: &Config| c.interfaces.iter().map(|i| i.pacing).collect::<Vec<_>>();
    assert_eq!(of(&first.config), [Some(0), Some(1)]);
}

#[test]
fn authentication() {
    let text = PAIR
        .replace("auth_type PASS", "auth_type AH")
        .replace("state MASTER", "state BACKUP");
    let (header, _) = lowered(&text);
    let instance = &header.config.instances[0];
    assert!(matches!(instance.auth, Auth::Ah(key) if key[0] != 0));
    assert!(!instance.config_error);

    let text = text.replacen(
        "authentication {",
        "auth_hmac {\n key 7 0123456789abcdefghijklmnopqrstuv\n active_key 7\n mode permissive\n}\nauthentication {",
        1,
    );
    let (trailer, _) = lowered(&text);
    let instance = &trailer.config.instances[0];
    assert_eq!(instance.auth, Auth::None);
    let hmac = instance.hmac.as_deref().unwrap();
    assert_eq!((hmac.active_key, hmac.mode), (7, HmacMode::Permissive));
    assert_eq!(hmac.anti_replay, AntiReplay::Time { window: 6 });
    assert_eq!(hmac.keys[0].secret.len(), 32);
}
