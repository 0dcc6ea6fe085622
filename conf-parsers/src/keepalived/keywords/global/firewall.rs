//! iptables, ipset and nftables names.

use super::Field;
use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Feature, Flow, Line};
use crate::keepalived::model::global::{IpsetNames, NftTable};

/// Bytes of an iptables chain name with the final NUL.
const CHAIN_MAX: usize = 29;
/// Bytes of an ipset name with the final NUL.
const IPSET_MAX: usize = 32;
/// Bytes of an nftables table name with the final NUL, as the original limits it.
const NFT_MAX: usize = 32;
/// First firewall mark that virtual server groups get.
const START_FWMARK: u32 = 1000;

/// Checks a name's length; `kind` and `what` go into the message.
fn valid(ctx: &mut Ctx<'_>, name: &str, max: usize, kind: &str, what: &str) -> bool {
    let problem = match name.len() {
        0 => "empty",
        n if n >= max - 1 => "too long",
        _ => return true,
    };
    ctx.report(
        Class::GeneralError,
        format!("VRRP Error : {kind} {what} name {problem} - ignored"),
    );
    false
}

pub(super) fn iptables(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if !ctx.options.features.has(Feature::Iptables) {
        ctx.report(
            Class::GeneralError,
            "iptables not supported, using nftables instead. Please replace 'vrrp_iptables and 'vrrp_ipsets' with 'nftables' config option",
        );
        ctx.model.global.nftables = Some(NftTable {
            name: "keepalived".to_owned(),
            priority: -1,
        });
        return Ok(());
    }
    if ctx.model.global.iptables_in_chain.is_some() {
        ctx.report(Class::GeneralError, "iptables already specified - ignoring");
        return Ok(());
    }
    let Some(inward) = line.get(1) else {
        ctx.model.global.iptables_in_chain = Some("INPUT".to_owned());
        ctx.model.global.iptables_out_chain = Some("OUTPUT".to_owned());
        return Ok(());
    };
    if !valid(ctx, inward, CHAIN_MAX, "iptables", "in chain") {
        return Ok(());
    }
    ctx.model.global.iptables_in_chain = Some(inward.to_owned());
    if let Some(outward) = line.get(2) {
        if !valid(ctx, outward, CHAIN_MAX, "iptables", "out chain") {
            return Ok(());
        }
        if inward == outward {
            ctx.log("vrrp_iptables: chain names cannot be the same");
            ctx.model.global.iptables_in_chain = None;
            return Ok(());
        }
        ctx.model.global.iptables_out_chain = Some(outward.to_owned());
    }
    Ok(())
}

/// A name made from another by a suffix, cut so that it fits.
fn with_suffix(name: &str, suffix: &str) -> String {
    let room = IPSET_MAX - 1 - suffix.len();
    let end = (0..=name.len().min(room))
        .rev()
        .find(|i| name.is_char_boundary(*i))
        .unwrap_or(0);
    format!("{}{suffix}", name.get(..end).unwrap_or(""))
}

pub(super) fn ipsets(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    ctx.model.global.ipsets = None;
    ctx.model.global.using_ipsets = None;
    let Some(address) = line.get(1) else {
        ctx.model.global.using_ipsets = Some(false);
        return Ok(());
    };
    let what = [
        "address",
        "IPv6 address",
        "IPv6 address_iface",
        "IGMP",
        "MLD",
        "ND",
    ];
    for (word, what) in line.words.iter().skip(1).zip(what) {
        if !valid(ctx, word, IPSET_MAX, "ipset", what) {
            return Ok(());
        }
    }
    let given = |index: usize| line.get(index).map(str::to_owned);
    let address6 = given(2).unwrap_or_else(|| with_suffix(address, "6"));
    let stem = address6.strip_suffix('6').unwrap_or(&address6);
    let names = IpsetNames {
        address: address.to_owned(),
        address_iface6: given(3).unwrap_or_else(|| with_suffix(stem, "_if6")),
        igmp: given(4).unwrap_or_else(|| with_suffix(address, "_igmp")),
        mld: given(5).unwrap_or_else(|| with_suffix(address, "_mld")),
        vmac_nd: given(6).unwrap_or_else(|| with_suffix(address, "_nd")),
        address6,
    };
    let all = [
        &names.address,
        &names.address6,
        &names.address_iface6,
        &names.igmp,
        &names.mld,
        &names.vmac_nd,
    ];
    let twice = all
        .iter()
        .enumerate()
        .find(|(i, n)| all.iter().skip(i + 1).any(|m| m == *n));
    if let Some((_, name)) = twice {
        ctx.report(
            Class::GeneralError,
            format!("vrrp_ipsets: set name {name} used more than once"),
        );
        return Ok(());
    }
    ctx.model.global.using_ipsets = Some(true);
    ctx.model.global.ipsets = Some(names);
    Ok(())
}

fn table(
    ctx: &mut Ctx<'_>,
    line: &Line,
    default: &str,
    again: &str,
    what: &str,
    field: Field<Option<NftTable>>,
) -> bool {
    if field(&mut ctx.model.global).is_some() {
        ctx.report(Class::GeneralError, again);
        return false;
    }
    let name = line.get(1).unwrap_or(default);
    if line.len() >= 2 && !valid(ctx, name, NFT_MAX, "nftables", what) {
        return false;
    }
    *field(&mut ctx.model.global) = Some(NftTable {
        name: name.to_owned(),
        priority: -1,
    });
    true
}

pub(super) fn nftables(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    table(
        ctx,
        line,
        "keepalived",
        "nftables already specified - ignoring",
        "chain",
        |g| &mut g.nftables,
    );
    Ok(())
}

fn priority(
    ctx: &mut Ctx<'_>,
    line: &Line,
    what: &str,
) -> Result<Option<i32>, crate::keepalived::Exit> {
    let word = line.word(ctx, 1)?;
    let value = ctx.read_int(word, i32::MIN, i32::MAX, false);
    if value.is_none() {
        ctx.report(Class::InvalidNumber, format!("invalid {what} '{word}'"));
    }
    Ok(value)
}

pub(super) fn nftables_priority(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if let Some(value) = priority(ctx, line, "nftables chain priority")? {
        ctx.model.global.nftables_priority = value;
        if let Some(table) = &mut ctx.model.global.nftables {
            table.priority = value;
        }
    }
    Ok(())
}

pub(super) fn nftables_ipvs(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let again = "ipvs nftables already specified - ignoring";
    if table(ctx, line, "keepalived_ipvs", again, "ipvs chain", |g| {
        &mut g.nftables_ipvs
    }) {
        ctx.model.global.nftables_ipvs_start_fwmark = START_FWMARK;
    }
    Ok(())
}

pub(super) fn nftables_ipvs_priority(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if let Some(value) = priority(ctx, line, "ipvs nftables chain priority")? {
        ctx.model.global.nftables_ipvs_priority = value;
        if let Some(table) = &mut ctx.model.global.nftables_ipvs {
            table.priority = value;
        }
    }
    Ok(())
}

pub(super) fn nftables_ipvs_start_fwmark(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 1, u32::MAX, false) {
        Some(mark) => ctx.model.global.nftables_ipvs_start_fwmark = mark,
        None => ctx.report(
            Class::InvalidNumber,
            format!("invalid ipvs nftables start_fwmark priority '{word}'"),
        ),
    }
    Ok(())
}
