//! What a completed model holds. Messages are in the golden files of testdata/conf/keepalived.

use net_types::Family;

use crate::keepalived::model::vrrp_instance::{AuthType, Version, VrrpInstance, WantState};
use crate::keepalived::{Outcome, ParseOptions, Part, ReadOptions, parse, read};
use crate::source::{FakeHost, MemorySource};

fn outcome(text: &str, config_test: bool) -> Outcome {
    let mut host = FakeHost::with_interfaces(&["eth0", "eth1"]);
    host.source = MemorySource::one("/k.conf", text);
    host.source
        .files
        .insert("/bin/true".to_owned(), (0o755, Vec::new()));
    host.source
        .files
        .insert("/key".to_owned(), (0o600, vec![b'k'; 32]));
    let lines = read(&host, "/k.conf", &ReadOptions::default());
    let options = ParseOptions {
        config_test,
        ..ParseOptions::default()
    };
    let parent = parse(&lines, Part::Parent, &host, &options, None);
    let global = parent.model.global;
    parse(&lines, Part::Vrrp, &host, &options, Some(&global))
}

fn one(body: &str) -> VrrpInstance {
    let text = format!(
        "vrrp_instance A {{\ninterface eth0\nvirtual_router_id 51\n{body}\nvirtual_ipaddress {{\n192.0.2.1/24\n}}\n}}\n"
    );
    let outcome = outcome(&text, false);
    assert_eq!(outcome.exit, None, "{:?}", outcome.diagnostics);
    outcome.model.vrrp.instances.into_iter().next().unwrap()
}

#[test]
fn defaults() {
    let i = one("");
    assert_eq!(i.family, Some(Family::V4));
    assert_eq!(i.version, Some(Version::V2));
    assert_eq!(i.state, Some(WantState::Backup));
    assert_eq!(i.priority, Some(100));
    assert_eq!(i.advert_int, Some(1_000_000));
    assert_eq!(i.accept, Some(true));
    assert_eq!(i.ttl, Some(255));
    assert_eq!(
        i.group_address,
        Some(VrrpInstance::default_group(Family::V4))
    );
    assert_eq!(i.garp_delay, 5_000_000);
    assert_eq!(i.garp_lower_prio_delay, Some(5_000_000));
    assert_eq!(i.garp_lower_prio_repeat, Some(5));
    assert_eq!(i.owner_ignore_adverts, Some(false));
    assert_eq!(i.garp_extra_if, Some(0));
    assert!(!i.unicast && i.tracked.interfaces.is_empty());
}

#[test]
fn master_without_priority_owns_the_addresses() {
    let i = one("state MASTER\nnopreempt\npreempt_delay 3");
    assert_eq!(i.priority, Some(255));
    assert!(!i.nopreempt);
    assert_eq!(i.preempt_delay, 0);
    assert_eq!(one("priority 255").state, Some(WantState::Master));
    assert_eq!(one("state backup").state, Some(WantState::Backup));
}

#[test]
fn intervals_fit_the_version() {
    let v2 = |text: &str| one(&format!("advert_int {text}")).advert_int;
    let v3 = |text: &str| one(&format!("version 3\nadvert_int {text}")).advert_int;
    assert_eq!(v2("1.4"), Some(1_000_000));
    assert_eq!(v2("1.5"), Some(2_000_000));
    assert_eq!(v2("0.1"), Some(1_000_000));
    assert_eq!(v3("0.124"), Some(120_000));
    assert_eq!(v3("40.957"), Some(40_950_000));
    assert_eq!(v3("100"), Some(40_950_000));
}

#[test]
fn passwords_are_cut_at_eight_octets() {
    let i = one("authentication {\nauth_type PASS\nauth_pass 123456789\n}");
    assert_eq!(i.auth_type, AuthType::Pass);
    assert_eq!(&i.auth_pass, b"12345678");
    let v3 = one("version 3\nauthentication {\nauth_type PASS\nauth_pass s3cret\n}");
    assert_eq!(v3.auth_type, AuthType::None);
}

#[test]
fn hmac() {
    let i = one("advert_int 10\nauth_hmac {\nkey 7 file:/key\nactive_key 7\n}");
    let hmac = i.auth_hmac.unwrap();
    assert_eq!(hmac.time_window, Some(30));
    assert_eq!(hmac.keys.first().unwrap().secret.len(), 32);
    // Without a key that can be used for sending the extension is off.
    assert!(
        one("auth_hmac {\nkey 7 short\nactive_key 7\n}")
            .auth_hmac
            .is_none()
    );
}

#[test]
fn vmac_names_and_places() {
    let text = "vrrp_instance A {\ninterface eth0\nvirtual_router_id 1\nuse_vmac\nvirtual_ipaddress {\n192.0.2.1\n192.0.2.2 dev eth1\n}\n\
                virtual_ipaddress_excluded {\n2001:db8::1 use_vmac\n}\n}\n\
                vrrp_instance B {\ninterface eth1\nvirtual_router_id 1\nuse_vmac\nvirtual_ipaddress {\nfe80::1\n}\n}\n";
    let model = outcome(text, true).model;
    let [a, b] = &model.vrrp.instances[..] else {
        panic!("two instances");
    };
    assert_eq!(a.vmac_name(), Some("vrrp.1"));
    let places: Vec<_> = a
        .vips
        .iter()
        .chain(&a.evips)
        .map(|address| a.address_interface(address).unwrap())
        .collect();
    assert_eq!(places, ["vrrp.1", "eth1", "vrrp6.1"]);
    assert!(a.evip_other_family);
    assert_eq!(b.vmac_name(), Some("vrrp1.1"));
    assert!(model.global.nftables.is_some());
    let needed: Vec<_> = a.tracked.interfaces.iter().map(|t| &**t.name).collect();
    assert_eq!(needed, ["eth1", "vrrp6.1"]);
}

#[test]
fn members_track_what_their_group_tracks() {
    let text = "vrrp_script s {\nscript /bin/true\nweight 3\n}\nvrrp_script t {\nscript /bin/true\n}\n\
                vrrp_sync_group G {\ngroup {\nA\nnobody\n}\nsync_group_tracking_weight\n\
                track_script {\ns weight 9\n}\ntrack_interface {\neth1 weight 4\n}\n}\n\
                vrrp_instance A {\ninterface eth0\nvirtual_router_id 1\ntrack_script {\ns\n}\nvirtual_ipaddress {\n192.0.2.1\n}\n}\n";
    let outcome = outcome(text, false);
    let model = outcome.model;
    let a = model.vrrp.instance("A").unwrap();
    assert_eq!(a.sync_group, Some(0));
    assert_eq!(a.track.scripts.first().unwrap().weight, 3);
    assert_eq!(a.tracked.scripts.first().unwrap().weight, 9);
    assert_eq!(a.tracked.interfaces.first().unwrap().weight, 4);
    let group = model.vrrp.sync_groups.first().unwrap();
    assert_eq!(group.members.as_ref().unwrap().len(), 1);
    // A daemon drops the script that nobody tracks.
    assert!(model.vrrp.script("t").is_none());
}

#[test]
fn unusable_configurations_end_a_daemon_but_not_a_test() {
    for text in [
        "vrrp_instance A {\ninterface eth0\n}\n",
        "vrrp_instance A {\ninterface none0\nvirtual_router_id 1\n}\n",
        "vrrp_instance A {\nvirtual_router_id 1\n}\n",
        "vrrp_instance A {\ninterface eth0\nversion 3\nvirtual_router_id 1\n}\n",
    ] {
        assert_eq!(outcome(text, false).exit, Some(2), "{text}");
        let tested = outcome(text, true);
        assert_eq!(tested.exit, None);
        assert_eq!(tested.worst.test_exit_status(), 5, "{text}");
    }
}
