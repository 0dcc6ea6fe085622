//! Addresses as the original's dumps and JSON show them: `10.9.0.100/24 dev eth0 scope global label eth0:1 set`.

use std::fmt::Write as _;

use net_types::{Family, Prefix};

use super::address::{Address, AddressFlags, LIFETIME_FOREVER};
use crate::keepalived::iproute_names::scope_name;
use crate::keepalived::sockaddr::Shown;

/// What only the running daemon knows about an address.
#[derive(Clone, Copy, Debug, Default)]
pub struct AddressState<'a> {
    /// The interface that the address is put on; `None` when there is none.
    pub dev: Option<&'a str>,
    /// The interface below, if `dev` is a VMAC or ipvlan.
    pub base_dev: Option<&'a str>,
    /// Name of the scope from iproute2's files; `None` for the built-in name.
    pub scope: Option<&'a str>,
    /// The address is on the interface and we put it there.
    pub set: bool,
    /// An iptables rule is there for it.
    pub iptables_set: bool,
    /// An nftables element is there for it.
    pub nftables_set: bool,
}

/// A prefix without its length when that is the family's full one.
pub fn short_prefix(prefix: Prefix) -> String {
    if prefix.len == prefix.family().bits() {
        Shown(prefix.addr).to_string()
    } else {
        format!("{}/{}", Shown(prefix.addr), prefix.len)
    }
}

/// The whole line without indentation.
pub fn print_address(address: &Address, state: &AddressState<'_>) -> String {
    let mut out = short_prefix(address.prefix);
    // Writing to a String cannot fail.
    let mut put = |text: &str| out.push_str(text);
    if let Some(broadcast) = address.broadcast {
        put(&format!(" brd {broadcast}"));
    }
    put(" dev ");
    put(state.dev.unwrap_or("(none)"));
    match (state.dev, state.base_dev) {
        (None, _) => put("@NOWHERE"),
        (Some(_), Some(base)) => {
            put("@");
            put(base);
        }
        (Some(_), None) => {}
    }
    if address.use_vmac {
        put(" use_vmac");
    }
    put(" scope ");
    match state.scope {
        Some(name) => put(name),
        None => put(&scope_name(address.scope)),
    }
    if let Some(label) = &address.label {
        put(" label ");
        put(label);
    }
    if let Some(peer) = address.peer {
        put(&format!(" peer {}/{}", Shown(peer), address.prefix.len));
    }
    let flag_words = [
        (address.flags.contains(AddressFlags::HOME_ADDRESS), " home"),
        (address.dad, " -nodad"),
        (
            address.flags.contains(AddressFlags::MANAGE_TEMP_ADDR),
            " mngtmpaddr",
        ),
        (
            address.flags.contains(AddressFlags::NO_PREFIX_ROUTE),
            " noprefixroute",
        ),
        (
            address.flags.contains(AddressFlags::MC_AUTO_JOIN),
            " autojoin",
        ),
        (address.no_track, " no_track"),
    ];
    for (_, word) in flag_words.iter().filter(|(set, _)| *set) {
        put(word);
    }
    if let Some(group) = &address.track_group {
        put(" track_group ");
        put(group);
    }
    if address.family() == Family::V6 {
        match address.preferred_lft {
            0 => put(" deprecated"),
            LIFETIME_FOREVER => put(" preferred_lft forever"),
            seconds => put(&format!(" preferred_lft {seconds}")),
        }
    }
    for (set, word) in [
        (state.set, " set"),
        (state.iptables_set, " iptable_set"),
        (state.nftables_set, " nftable_set"),
    ] {
        if set {
            put(word);
        }
    }
    out
}

/// Appends formatted text; writing to a String cannot fail.
pub(super) fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}
