//! Interfaces of the network namespace, as the configuration checks need them.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use conf_parsers::source::{InterfaceFacts, LinkKind};
use net_types::Prefix;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage};

/// Every interface, in the kernel's order. None if the kernel refuses to tell.
pub(super) fn all() -> Vec<InterfaceFacts> {
    let mut links: Vec<InterfaceFacts> = Vec::new();
    let Ok(entries) = getifaddrs() else {
        return links;
    };
    for entry in entries {
        let Some(address) = entry.address else {
            continue;
        };
        match address.family() {
            Some(AddressFamily::Packet) => {
                let Some(link) = address.as_link_addr() else {
                    continue;
                };
                let sys = Path::new("/sys/class/net").join(&entry.interface_name);
                let number = |file: &str| -> Option<u32> {
                    fs::read_to_string(sys.join(file)).ok()?.trim().parse().ok()
                };
                let index = u32::try_from(link.ifindex()).unwrap_or(0);
                let loopback = entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
                links.push(InterfaceFacts {
                    index,
                    flags: u32::from_ne_bytes(entry.flags.bits().to_ne_bytes()),
                    mtu: number("mtu").unwrap_or(1500),
                    hardware_type: link.hatype(),
                    mac: link.addr().map(|mac| mac.to_vec()).unwrap_or_default(),
                    kind: if loopback {
                        LinkKind::Loopback
                    } else {
                        kind(&sys)
                    },
                    base_index: number("iflink").filter(|base| *base != index && *base != 0),
                    vrf_index: None,
                    vrf_table: None,
                    addresses: Vec::new(),
                    name: entry.interface_name,
                });
            }
            Some(AddressFamily::Inet | AddressFamily::Inet6) => {
                let length = entry.netmask.as_ref().and_then(mask_length);
                // An address with a label (`eth0:1`) is listed under its label.
                let name = entry.interface_name.split(':').next().unwrap_or("");
                let link = links.iter_mut().find(|link| link.name == name);
                let prefix = ip(&address)
                    .zip(length)
                    .and_then(|(addr, length)| Prefix::new(addr, length));
                if let (Some(link), Some(prefix)) = (link, prefix) {
                    link.addresses.push(prefix);
                }
            }
            _ => {}
        }
    }
    links
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(IpAddr::V4(v4.ip()));
    }
    address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()))
}

fn mask_length(mask: &SockaddrStorage) -> Option<u8> {
    let ones = match ip(mask)? {
        IpAddr::V4(v4) => u32::from(v4).count_ones(),
        IpAddr::V6(v6) => u128::from(v6).count_ones(),
    };
    u8::try_from(ones).ok()
}

/// The driver's own word for the kind of device.
fn kind(sys: &Path) -> LinkKind {
    let uevent = fs::read_to_string(sys.join("uevent")).unwrap_or_default();
    match uevent.lines().find_map(|l| l.strip_prefix("DEVTYPE=")) {
        Some("macvlan") => LinkKind::Macvlan,
        Some("macvtap") => LinkKind::Macvtap,
        Some("ipvlan") => LinkKind::Ipvlan,
        Some("vrf") => LinkKind::Vrf,
        _ => LinkKind::Plain,
    }
}
