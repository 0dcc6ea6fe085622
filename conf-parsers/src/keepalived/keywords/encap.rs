//! `encap` of routes and nexthops.

use std::net::IpAddr;

use net_types::Family;

use super::address::parse_address;
use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Line};
use crate::keepalived::iproute_names::NameTable;
use crate::keepalived::model::route::{Encap, EncapIp};
use crate::keepalived::number::{WHITE_SPACE, scan};

/// Labels in an MPLS encapsulation.
const MPLS_LABELS_MAX: usize = 2;
/// Largest MPLS label (20 bits).
const MPLS_LABEL_MAX: u64 = 0xf_ffff;

/// The words in which `ip` and `ip6` differ.
struct Words {
    family: Family,
    /// Name of the encapsulation.
    name: &'static str,
    tos: &'static str,
    ttl: &'static str,
}

const IP: Words = Words {
    family: Family::V4,
    name: "ip",
    tos: "tos",
    ttl: "ttl",
};

const IP6: Words = Words {
    family: Family::V6,
    name: "ip6",
    tos: "tc",
    ttl: "hoplimit",
};

/// Reads an encapsulation. `at` is the index of `encap` and is left at the last word that belongs to it (one word further
/// after an unknown type: the original skips a word then). A bad encapsulation is reported and kept as far as it was read.
pub(super) fn parse(ctx: &mut Ctx<'_>, line: &Line, at: &mut usize) -> Option<Encap> {
    *at = at.saturating_add(1);
    let Some(kind) = line.get(*at) else {
        ctx.report(Class::GeneralError, "Missing encap type");
        return None;
    };
    *at = at.saturating_add(1);
    let encap = match kind {
        "ip" => Encap::Ip(parse_ip(ctx, line, at, &IP)),
        "ip6" => Encap::Ip6(parse_ip(ctx, line, at, &IP6)),
        "mpls" => Encap::Mpls(parse_mpls(ctx, line, at)),
        "ila" => Encap::Ila(parse_ila(ctx, line, at)),
        _ => {
            ctx.report(Class::GeneralError, format!("Unknown encap type - {kind}"));
            return None;
        }
    };
    *at = at.saturating_sub(1);
    Some(encap)
}

fn parse_mpls(ctx: &mut Ctx<'_>, line: &Line, at: &mut usize) -> Vec<u32> {
    let Some(word) = line.get(*at) else {
        ctx.report(
            Class::GeneralError,
            "missing address for MPLS encapsulation",
        );
        return Vec::new();
    };
    *at = at.saturating_add(1);
    mpls_labels(word).unwrap_or_else(|| {
        ctx.report(
            Class::GeneralError,
            format!("invalid mpls address {word} for encapsulation"),
        );
        Vec::new()
    })
}

/// `LABEL[/LABEL]` as stack entries.
fn mpls_labels(word: &str) -> Option<Vec<u32>> {
    let mut entries = Vec::new();
    for label in word.trim_start_matches(WHITE_SPACE).split('/') {
        let number = scan(label, 0);
        if label.is_empty()
            || label.starts_with('-')
            || label.starts_with(WHITE_SPACE)
            || number.has_rest()
            || number.overflow
            || number.magnitude > MPLS_LABEL_MAX
            || entries.len() == MPLS_LABELS_MAX
        {
            return None;
        }
        entries.push(u32::try_from(number.magnitude).ok()? << 12);
    }
    if let Some(bottom) = entries.last_mut() {
        *bottom |= 0x100;
    }
    Some(entries)
}

fn parse_ila(ctx: &mut Ctx<'_>, line: &Line, at: &mut usize) -> [u8; 8] {
    let Some(word) = line.get(*at) else {
        ctx.report(Class::GeneralError, "missing locator for ILA encapsulation");
        return [0; 8];
    };
    *at = at.saturating_add(1);
    ila_locator(word).unwrap_or_else(|| {
        ctx.report(
            Class::GeneralError,
            format!("invalid locator {word} for ila encapsulation"),
        );
        [0; 8]
    })
}

/// Four hexadecimal groups, `1:2:3:4`.
fn ila_locator(word: &str) -> Option<[u8; 8]> {
    let mut groups = word.trim_start_matches(WHITE_SPACE).split(':');
    let mut locator = [0; 8];
    for pair in locator.chunks_exact_mut(2) {
        let group = groups.next()?;
        if !group.starts_with(|c: char| c.is_ascii_hexdigit()) {
            return None;
        }
        let number = scan(group, 16);
        if number.has_rest() {
            return None;
        }
        let value = u16::try_from(number.magnitude).ok()?;
        pair.copy_from_slice(&value.to_be_bytes());
    }
    groups.next().is_none().then_some(locator)
}

fn parse_ip(ctx: &mut Ctx<'_>, line: &Line, at: &mut usize, words: &Words) -> EncapIp {
    let mut encap = EncapIp::default();
    let mut good = true;
    while let (Some(word), Some(value)) = (line.get(*at), line.get(at.saturating_add(1))) {
        match ip_option(ctx, &mut encap, words, word, value) {
            Some(true) => *at = at.saturating_add(2),
            Some(false) => {
                good = false;
                break;
            }
            None => break,
        }
    }
    if good && encap.dst.is_none() && encap.id.is_none() {
        ctx.report(
            Class::GeneralError,
            format!("address or id missing for {} encapsulation", words.name),
        );
        good = false;
    }
    if !good {
        encap.dst = None;
        encap.src = None;
    }
    encap
}

/// One option; `None` if the word is none of ours, `Some(false)` after a report.
fn ip_option(
    ctx: &mut Ctx<'_>,
    encap: &mut EncapIp,
    words: &Words,
    word: &str,
    value: &str,
) -> Option<bool> {
    let v4 = words.family == Family::V4;
    let complaint = match word {
        "id" => {
            encap.id = ctx.read_unsigned64(value, 0, u64::MAX, false).or(encap.id);
            if encap.id.is_some() {
                return Some(true);
            }
            if v4 {
                format!("encap id {value} value is invalid")
            } else {
                format!("id {value} value invalid for IPv6 encapsulation")
            }
        }
        "dst" | "src" => {
            let address = tunnel_end(ctx, words, word, value);
            let slot = if word == "dst" {
                &mut encap.dst
            } else {
                &mut encap.src
            };
            *slot = address;
            return Some(address.is_some());
        }
        _ if word == words.tos => {
            match ctx.iproute_number_u8(NameTable::DsField, value) {
                Some(tos) => {
                    encap.tos = Some(tos);
                    return Some(true);
                }
                None if v4 => format!("dsfield {value} not valid for ip encapsulation"),
                // The original names the option instead of its value.
                None => format!("tc value {word} is invalid for ip6 encapsulation"),
            }
        }
        _ if word == words.ttl => match ctx.read_unsigned(value, 0, 255, false) {
            Some(ttl) => {
                encap.ttl = u8::try_from(ttl).ok();
                return Some(true);
            }
            None if v4 => format!("ttl {value} is not valid for ip encapsulation"),
            None => format!("Invalid hoplimit {value} specified for ip6 encapsulation"),
        },
        "flags" => match ctx.read_unsigned(value, 0, 65_535, false) {
            Some(flags) => {
                encap.flags = u16::try_from(flags).ok();
                return Some(true);
            }
            None => format!(
                "flags {value} is not valid for {} encapsulation",
                words.name
            ),
        },
        _ => return None,
    };
    ctx.report(Class::GeneralError, complaint);
    Some(false)
}

fn tunnel_end(ctx: &mut Ctx<'_>, words: &Words, word: &str, value: &str) -> Option<IpAddr> {
    let name = words.name;
    let Some(address) = parse_address(ctx, value) else {
        ctx.report(
            Class::GeneralError,
            format!("Invalid encap {name} {word} {value}"),
        );
        return None;
    };
    if Family::of(&address) != words.family {
        let other = match words.family {
            Family::V4 => "IPv6",
            Family::V6 => "IPv4",
        };
        ctx.report(
            Class::GeneralError,
            format!("{other} address {value} not valid for {name} encapsulation"),
        );
        return None;
    }
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mpls_stacks() {
        assert_eq!(mpls_labels("16"), Some(vec![16 << 12 | 0x100]));
        assert_eq!(
            mpls_labels("16/0x11"),
            Some(vec![16 << 12, 17 << 12 | 0x100])
        );
        for bad in ["", "-1", "1/", "1/2/3", "0x100000", "1 2"] {
            assert_eq!(mpls_labels(bad), None, "{bad}");
        }
    }

    #[test]
    fn ila_locators() {
        assert_eq!(
            ila_locator("1:2:a:ffff"),
            Some([0, 1, 0, 2, 0, 10, 255, 255])
        );
        for bad in ["", "1:2:3", "1:2:3:4:5", "1:2:3:10000", "1::3:4"] {
            assert_eq!(ila_locator(bad), None, "{bad}");
        }
    }
}
