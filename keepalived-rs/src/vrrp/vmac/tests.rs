use super::make::link_local_of;
use super::wanted::{Kind, vrrp_mac, wanted};
use conf_parsers::keepalived::{ParseOptions, Part, ReadOptions, parse, read};
use conf_parsers::source::{FakeHost, MemorySource};
use net_types::{Family, MacAddr};

fn all(text: &str) -> Vec<super::wanted::Wanted> {
    let mut host = FakeHost::with_interfaces(&["eth0", "eth1"]);
    host.source = MemorySource::one("/k.conf", text);
    let lines = read(&host, "/k.conf", &ReadOptions::default());
    let outcome = parse(&lines, Part::Vrrp, &host, &ParseOptions::default(), None);
    assert_eq!(outcome.exit, None, "{:?}", outcome.diagnostics);
    wanted(&outcome.model.vrrp)
}

#[test]
fn each_interface_is_wanted_once_in_file_order() {
    let found = all(
        "vrrp_instance A {\n interface eth0\n virtual_router_id 51\n use_vmac\n\
         virtual_ipaddress {\n 192.0.2.1\n }\n\
         virtual_ipaddress_excluded {\n 2001:db8::1 use_vmac dev eth0\n 2001:db8::2 dev eth0 use_vmac\n 198.51.100.1 dev eth1 use_vmac\n }\n}\n\
         vrrp_instance B {\n interface eth0\n virtual_router_id 52\n use_vmac mine 02:00:00:00:00\n vmac_xmit_base\n\
         virtual_ipaddress {\n fe80::1\n }\n}\n",
    );
    let shown: Vec<_> = found
        .iter()
        .map(|w| (&*w.name, &*w.base, w.family, w.link_local, w.ipv6))
        .collect();
    assert_eq!(
        shown,
        [
            ("vrrp.51", "eth0", Family::V4, false, true),
            ("vrrp6.51", "eth0", Family::V6, true, true),
            ("vrrp1.51", "eth1", Family::V4, false, false),
            ("mine", "eth0", Family::V6, false, true),
        ]
    );
    assert_eq!(found[0].kind, Kind::Macvlan(vrrp_mac(Family::V4, 51)));
    assert_eq!(found[1].kind, Kind::Macvlan(vrrp_mac(Family::V6, 51)));
    // Five octets were written: the VRID is the last.
    assert_eq!(found[3].kind, Kind::Macvlan(MacAddr([2, 0, 0, 0, 0, 52])));
}

#[test]
fn an_ipvlan_has_its_address_and_port_kind() {
    let found = all(
        "vrrp_instance A {\n interface eth0\n virtual_router_id 51\n use_ipvlan ipv 192.0.2.9/24 vepa\n\
         virtual_ipaddress {\n 192.0.2.1\n }\n}\n",
    );
    let Kind::Ipvlan { flags, address } = &found[0].kind else {
        panic!("{found:?}")
    };
    assert_eq!(*flags, netlink_wire::link::IPVLAN_F_VEPA);
    assert_eq!(address.unwrap().to_string(), "192.0.2.9/24");
    assert!(!found[0].ipv6 && !found[0].link_local);
}

#[test]
fn a_link_local_address_is_made_of_the_bases_mac() {
    let made = link_local_of(MacAddr([2, 0, 0, 0, 0, 0x0a]));
    assert_eq!(made.to_string(), "fe80::ff:fe00:a");
}
