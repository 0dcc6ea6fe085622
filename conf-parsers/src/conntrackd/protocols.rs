//! Layer-4 protocol names.
//!
//! The original asks /etc/protocols, which routers often lack; then it accepts no name at all. Here the names are built in:
//! those of Debian's file, in lower case and in the spelling of its aliases.

/// Names and numbers; the alias is the upper-case form unless listed.
const PROTOCOLS: [(&str, u8); 56] = [
    ("ip", 0),
    ("hopopt", 0),
    ("icmp", 1),
    ("igmp", 2),
    ("ggp", 3),
    ("ipencap", 4),
    ("st", 5),
    ("tcp", 6),
    ("egp", 8),
    ("igp", 9),
    ("pup", 12),
    ("udp", 17),
    ("hmp", 20),
    ("xns-idp", 22),
    ("rdp", 27),
    ("iso-tp4", 29),
    ("dccp", 33),
    ("xtp", 36),
    ("ddp", 37),
    ("idpr-cmtp", 38),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("idrp", 45),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("skip", 57),
    ("ipv6-icmp", 58),
    ("icmpv6", 58),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("rspf", 73),
    ("vmtp", 81),
    ("eigrp", 88),
    ("ospf", 89),
    ("ax.25", 93),
    ("ipip", 94),
    ("etherip", 97),
    ("encap", 98),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("isis", 124),
    ("sctp", 132),
    ("fc", 133),
    ("mobility-header", 135),
    ("udplite", 136),
    ("mpls-in-ip", 137),
    ("manet", 138),
    ("hip", 139),
    ("shim6", 140),
    ("wesp", 141),
    ("rohc", 142),
];

/// Aliases that are not the name in capitals.
const ALIASES: [(&str, u8); 15] = [
    ("IP-ENCAP", 4),
    ("IPv6", 41),
    ("IPv6-Route", 43),
    ("IPv6-Frag", 44),
    ("IPSEC-ESP", 50),
    ("IPSEC-AH", 51),
    ("IPv6-ICMP", 58),
    ("ICMPv6", 58),
    ("IPv6-NoNxt", 59),
    ("IPv6-Opts", 60),
    ("CPHB", 73),
    ("OSPFIGP", 89),
    ("Mobility-Header", 135),
    ("UDPLite", 136),
    ("MPLS-in-IP", 137),
];

/// The number of a protocol; names are exact, as in /etc/protocols.
pub(super) fn number(name: &str) -> Option<u8> {
    let upper = !name.bytes().any(|b| b.is_ascii_lowercase());
    PROTOCOLS
        .iter()
        .find(|(known, _)| name == *known || (upper && name.eq_ignore_ascii_case(known)))
        .or_else(|| ALIASES.iter().find(|(known, _)| name == *known))
        .map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases() {
        assert_eq!(number("sctp"), Some(132));
        assert_eq!(number("DCCP"), Some(33));
        assert_eq!(number("IPv6-ICMP"), Some(58));
        assert_eq!(number("Icmp"), None);
        assert_eq!(number("nosuch"), None);
    }
}
