//! `use_vmac` and `use_ipvlan`.

use net_types::{Family, MacAddr, Prefix};

use super::network::NAME_MAX;
use super::{complain, get, set};
use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Flow, Line};
use crate::keepalived::iproute_names::NameTable;
use crate::keepalived::keywords::address;
use crate::keepalived::model::vrrp_instance::{Ipvlan, IpvlanKind, Vmac};
use crate::keepalived::sockaddr::parse_ip;
use crate::source::{IPVLAN_MODE_L2, LinkKind, MACVLAN_MODE_PRIVATE};
use crate::span::Spanned;

/// As the kernel judges a device name.
fn is_device_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_MAX
        && name != "."
        && name != ".."
        && !name
            .chars()
            .any(|c| c == '/' || c == ':' || c.is_ascii_whitespace() || c == '\x0b')
}

/// Why a word with a `:` is no usable MAC address.
enum BadMac {
    Characters,
    Form,
    Multicast,
    Rfc,
}

/// Six octets, or five (a `:` may follow) for "the VRID is the last octet".
fn read_mac(word: &str) -> Result<(MacAddr, bool), BadMac> {
    if !word.chars().all(|c| c.is_ascii_hexdigit() || c == ':') {
        return Err(BadMac::Characters);
    }
    let mut octets = [0u8; 6];
    let mut parts = word.split(':').peekable();
    let mut used = 0usize;
    for octet in &mut octets {
        let Some(part) = parts.next() else {
            break;
        };
        if part.is_empty() && used == 5 && parts.peek().is_none() {
            break;
        }
        if part.is_empty() || part.len() > 2 {
            return Err(BadMac::Form);
        }
        *octet = u8::from_str_radix(part, 16).map_err(|_| BadMac::Form)?;
        used += 1;
    }
    // A final ":" after the sixth octet is let through by the original.
    let rest_is_empty = parts.all(str::is_empty);
    if used < 5 || !rest_is_empty {
        return Err(BadMac::Form);
    }
    if octets.first().is_some_and(|o| o & 1 != 0) {
        return Err(BadMac::Multicast);
    }
    if octets.starts_with(&[0, 0, 0x5e, 0, 1]) || octets.starts_with(&[0, 0, 0x5e, 0, 2]) {
        return Err(BadMac::Rfc);
    }
    Ok((MacAddr(octets), used == 5))
}

/// The instance that already uses `name` for its VMAC or ipvlan.
fn user_of(ctx: &Ctx<'_>, name: &str) -> Option<Box<str>> {
    let mut others = ctx.model.vrrp.instances.iter();
    others
        .find(|i| i.vmac_name() == Some(name))
        .map(|i| i.name.value.clone())
}

/// Whether an interface of this kind and mode may get the name: no other instance uses it, and what is there under it already is
/// `wanted`. Says why not.
fn is_free(ctx: &mut Ctx<'_>, name: &str, kind: (LinkKind, u32), wanted: &str) -> bool {
    if let Some(other) = user_of(ctx, name) {
        complain(ctx, |n| {
            format!("({n}) VRRP instance {other} is already using {name} - ignoring name")
        });
        return false;
    }
    let other = ctx.host.interface(name);
    if other.is_some_and(|i| (i.kind, i.vlan_mode) != kind) {
        complain(ctx, |n| {
            format!("({n}) interface {name} already exists and is not {wanted}")
        });
        return false;
    }
    true
}

pub(super) fn use_vmac(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let mut vmac = get(ctx, |i| i.vmac.clone()).flatten().unwrap_or_default();
    let mut at = 1;
    while at < line.len() {
        let word = line.word(ctx, at)?;
        if word.contains(':') {
            mac(ctx, &mut vmac, word);
        } else {
            match word {
                "netlink_notify_msg" => vmac.netlink_notify = true,
                "group" => {
                    at += 1;
                    let word = line.word(ctx, at)?;
                    match ctx.iproute_number(NameTable::Groups, word) {
                        Some(group) => vmac.group = Some(group),
                        None => {
                            ctx.report(Class::GeneralError, format!("VMAC group {word} not found"))
                        }
                    }
                }
                _ => {
                    if word == "name" {
                        at += 1;
                    }
                    vmac_name(ctx, &mut vmac, line, at)?;
                }
            }
        }
        at += 1;
    }
    set(ctx, |i| i.vmac = Some(vmac))
}

fn mac(ctx: &mut Ctx<'_>, vmac: &mut Vmac, word: &str) {
    if vmac.mac.is_some() {
        ctx.report(
            Class::GeneralError,
            "VMAC interface address already specified",
        );
        return;
    }
    let text = match read_mac(word) {
        Ok((mac, five)) => {
            vmac.mac = Some(mac);
            vmac.mac_ends_with_vrid = five;
            return;
        }
        Err(BadMac::Characters) => format!("VMAC invalid MAC address {word}"),
        Err(BadMac::Form) => format!("VMAC invalid MAC address {word} - ignored"),
        Err(BadMac::Multicast) => format!("VMAC MAC address is multicast {word} - ignoring"),
        Err(BadMac::Rfc) => {
            format!("VMAC MAC address not allowed to be RFC5798 address ({word}) - ignoring")
        }
    };
    ctx.report(Class::GeneralError, text);
}

fn vmac_name(ctx: &mut Ctx<'_>, vmac: &mut Vmac, line: &Line, at: usize) -> Flow {
    let ipvlan = get(ctx, |i| i.ipvlan.as_ref().is_some_and(|v| v.name.is_some()));
    if vmac.name.is_some() || ipvlan == Some(true) {
        ctx.report(Class::GeneralError, "VMAC interface name already specified");
        return Ok(());
    }
    let name = line.word(ctx, at)?;
    if !is_device_name(name) {
        ctx.report(
            Class::GeneralError,
            format!("VMAC interface name '{name}' too long or invalid characters - ignoring"),
        );
        return Ok(());
    }
    let kind = (LinkKind::Macvlan, MACVLAN_MODE_PRIVATE);
    if !is_free(ctx, name, kind, "a private macvlan; ignoring vmac if_name") {
        return Ok(());
    }
    vmac.name = Some(Spanned::new(name.into(), line.span_of(at)));
    Ok(())
}

/// Whether the word is an address, with or without a correct prefix length (the original's check_valid_ipaddress).
fn is_address(word: &str) -> bool {
    if !word.contains([':', '.']) {
        return false;
    }
    let (ip, len) = word
        .split_once('/')
        .map_or((word, None), |(ip, len)| (ip, Some(len)));
    let max = if word.contains(':') { 128 } else { 32 };
    let len_ok = len.is_none_or(|l| l.parse::<u8>().is_ok_and(|l| l <= max));
    len_ok && parse_ip(ip).is_some()
}

pub(super) fn use_ipvlan(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if get(ctx, |i| i.ipvlan.is_some()) == Some(true) {
        complain(ctx, |n| format!("({n}) use_ipvlan already specified"));
        return Ok(());
    }
    let mut ipvlan = Ipvlan::default();
    let mut kind = None;
    let mut at = 1;
    while at < line.len() {
        let word = line.word(ctx, at)?;
        let wanted = match word {
            "bridge" => Some(IpvlanKind::Bridge),
            "private" => Some(IpvlanKind::Private),
            "vepa" => Some(IpvlanKind::Vepa),
            _ => None,
        };
        if wanted.is_some() {
            if kind.is_some() {
                complain(ctx, |n| {
                    format!("({n}) ipvlan type already specified - ignoring '{word}'")
                });
            } else {
                kind = wanted;
            }
        } else if word == "group" {
            at += 1;
            let word = line.word(ctx, at)?;
            match ctx.iproute_number(NameTable::Groups, word) {
                Some(group) => ipvlan.group = Some(group),
                None => ctx.report(
                    Class::GeneralError,
                    format!("ipvlan group {word} not found"),
                ),
            }
        } else if word != "name" && is_address(word) {
            if let Some(prefix) = address::parse_prefix(ctx, word) {
                ipvlan_address(ctx, &mut ipvlan, line, at, prefix)?;
            }
        } else {
            if word == "name" {
                at += 1;
            }
            ipvlan_name(ctx, &mut ipvlan, line, at)?;
        }
        at += 1;
    }
    ipvlan.kind = kind.unwrap_or_default();
    set(ctx, |i| i.ipvlan = Some(Box::new(ipvlan)))
}

fn ipvlan_address(
    ctx: &mut Ctx<'_>,
    ipvlan: &mut Ipvlan,
    line: &Line,
    at: usize,
    prefix: Prefix,
) -> Flow {
    let word = line.word(ctx, at)?;
    if ipvlan.address.is_some() {
        complain(ctx, |n| {
            format!("({n}) ipvlan address already specified - ignoring '{word}'")
        });
        return Ok(());
    }
    let family: Family = prefix.family();
    if get(ctx, |i| i.family)
        .flatten()
        .is_some_and(|f| f != family)
    {
        complain(ctx, |n| {
            format!("({n}) ipvlan address[{word}] MUST match vrrp instance family !!! Skipping...")
        });
        return Ok(());
    }
    ipvlan.address = Some(prefix);
    let span = line.span_of(at);
    set(ctx, |i| {
        i.family = Some(family);
        if i.source.is_none() {
            i.source = Some(Spanned::new(prefix.addr, span));
            i.source_configured = true;
        }
    })
}

fn ipvlan_name(ctx: &mut Ctx<'_>, ipvlan: &mut Ipvlan, line: &Line, at: usize) -> Flow {
    let name = line.word(ctx, at)?;
    let vmac = get(ctx, |i| i.vmac.as_ref().is_some_and(|v| v.name.is_some()));
    if ipvlan.name.is_some() || vmac == Some(true) {
        complain(ctx, |n| {
            format!("({n}) IPVLAN interface already specified - ignoring '{name}'")
        });
        return Ok(());
    }
    if name.len() > NAME_MAX {
        complain(ctx, |n| {
            format!("({n}) IPVLAN interface name '{name}' too long - ignoring")
        });
        return Ok(());
    }
    let kind = (LinkKind::Ipvlan, IPVLAN_MODE_L2);
    if !is_free(ctx, name, kind, "an l2 ipvlan; ignoring ipvlan if_name") {
        return Ok(());
    }
    ipvlan.name = Some(Spanned::new(name.into(), line.span_of(at)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_addresses() {
        let ok = |w: &str| read_mac(w).ok().map(|(m, five)| (m.to_string(), five));
        assert_eq!(
            ok("2:0:0:0:0:1"),
            Some(("02:00:00:00:00:01".to_owned(), false))
        );
        assert_eq!(
            ok("02:00:0A:0b:c"),
            Some(("02:00:0a:0b:0c:00".to_owned(), true))
        );
        assert_eq!(
            ok("02:00:0a:0b:c:"),
            Some(("02:00:0a:0b:0c:00".to_owned(), true))
        );
        assert!(matches!(read_mac("1:2:3:4:5:6"), Err(BadMac::Multicast)));
        assert!(matches!(read_mac("0:0:5e:0:1:6"), Err(BadMac::Rfc)));
        assert!(matches!(read_mac("2:2:3:4"), Err(BadMac::Form)));
        assert!(matches!(read_mac("2::3:4:5:6"), Err(BadMac::Form)));
        assert!(matches!(read_mac("2:g:3:4:5:6"), Err(BadMac::Characters)));
    }

    #[test]
    fn device_names() {
        assert!(is_device_name("vrrp.51"));
        for bad in ["", ".", "..", "a/b", "a:b", "a b", "sixteencharacter"] {
            assert!(!is_device_name(bad), "{bad}");
        }
    }
}
