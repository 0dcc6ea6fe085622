//! Interface, addresses, peers and sockets of an instance.

use std::net::IpAddr;

use net_types::Family;

use super::{complain, get, set};
use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Flow, Line};
use crate::keepalived::keywords::{address, route, rule};
use crate::keepalived::model::address::Address;
use crate::keepalived::model::vrrp_instance::{OldUnicastChecksum, UnicastPeer};
use crate::source::LinkKind;
use crate::span::Spanned;

/// Longest interface name, the kernel's IFNAMSIZ less its zero.
pub(super) const NAME_MAX: usize = 15;

pub(super) fn interface(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let name = line.word(ctx, 1)?;
    if name.len() > NAME_MAX {
        ctx.report(
            Class::GeneralError,
            format!("Interface name '{name}' too long - ignoring"),
        );
        return Ok(());
    }
    let mut found = Some(Spanned::new(name.into(), line.span_of(1)));
    if !ctx.accept_interface(name) {
        complain(ctx, |n| {
            format!("WARNING - interface {name} for vrrp_instance {n} doesn't exist")
        });
        found = None;
    } else if is_loopback(ctx, name) {
        complain(ctx, |n| {
            format!("({n}) cannot use a loopback interface ({name}) for vrrp - ignoring")
        });
        found = None;
    }
    set(ctx, |i| i.interface = found)
}

fn is_loopback(ctx: &Ctx<'_>, name: &str) -> bool {
    /// ARPHRD_LOOPBACK
    const LOOPBACK: u16 = 772;
    ctx.host
        .interface(name)
        .is_some_and(|i| i.hardware_type == LOOPBACK || i.kind == LinkKind::Loopback)
}

pub(super) fn vrf(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let name = line.word(ctx, 1)?;
    if name.len() > NAME_MAX {
        complain(ctx, |n| {
            format!("({n}) VRF interface name '{name}' too long - ignoring")
        });
        return Ok(());
    }
    if get(ctx, |i| i.interface.is_some()) == Some(true) {
        complain(ctx, |n| {
            format!("({n}) Cannot specify VRF interface and interface - ignoring")
        });
        return Ok(());
    }
    if let Some(Some(known)) = get(ctx, |i| i.vrf.clone()) {
        complain(ctx, |n| {
            format!(
                "({n}) VRF interface already specified as '{}' - ignoring",
                *known
            )
        });
        return Ok(());
    }
    if !ctx.accept_interface(name) {
        complain(ctx, |n| {
            format!("({n}) WARNING - VRF interface {name} doesn't exist")
        });
    } else if is_loopback(ctx, name) {
        complain(ctx, |n| {
            format!("({n}) cannot use a loopback interface ({name}) for VRF - ignoring")
        });
    } else {
        let found = Spanned::new(name.into(), line.span_of(1));
        set(ctx, |i| i.vrf = Some(found))?;
    }
    Ok(())
}

pub(super) fn linkbeat(ctx: &mut Ctx<'_>, _line: &Line) -> Flow {
    complain(ctx, |n| {
        format!(
            "({n}) 'linkbeat_use_polling' in vrrp instance deprecated - use linkbeat_interfaces block"
        )
    });
    set(ctx, |i| i.linkbeat = true)
}

pub(super) fn source(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let Some(address) = ctx.read_sockaddr(word, None).map(|a| a.ip()) else {
        complain(ctx, |n| {
            format!(
                "Configuration error: VRRP instance[{n}] malformed src address[{word}]. Skipping..."
            )
        });
        // The original forgets an address given before, but not that one was configured.
        return set(ctx, |i| i.source = None);
    };
    let family = Family::of(&address);
    if get(ctx, |i| i.family)
        .flatten()
        .is_some_and(|f| f != family)
    {
        complain(ctx, |n| {
            format!(
                "Configuration error: VRRP instance[{n}] and src address[{word}] MUST be of the same family !!! Skipping..."
            )
        });
        return set(ctx, |i| {
            i.source = None;
            i.source_configured = false;
        });
    }
    let span = line.span_of(1);
    set(ctx, |i| {
        i.source = Some(Spanned::new(address, span));
        i.source_configured = true;
        i.family = Some(family);
    })
}

pub(super) fn unicast_source(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set(ctx, |i| i.unicast_configured = true)?;
    source(ctx, line)
}

pub(super) fn group_address(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let Some(address) = ctx.read_sockaddr(word, None).map(|a| a.ip()) else {
        complain(ctx, |n| {
            format!("({n}) malformed mcast dest address {word}. Skipping...")
        });
        return set(ctx, |i| i.group_address = None);
    };
    let family = Family::of(&address);
    let wrong_family = get(ctx, |i| i.family)
        .flatten()
        .is_some_and(|f| f != family);
    if wrong_family {
        complain(ctx, |n| {
            format!("({n}) mcast dest address {word} MUST match VRRP instance family. Skipping...")
        });
        return set(ctx, |i| i.group_address = None);
    }
    let is_group = match address {
        IpAddr::V4(v4) => v4.is_multicast(),
        IpAddr::V6(v6) => v6.segments().first().is_some_and(|s| s & 0xff0f == 0xff02),
    };
    if !is_group {
        let link_local = if family == Family::V6 {
            " link-local"
        } else {
            ""
        };
        complain(ctx, |n| {
            format!("({n}) mcast_dst_ip {word} not{link_local} multicast. Skipping...")
        });
    }
    set(ctx, |i| {
        i.family = Some(family);
        i.group_address = is_group.then_some(address);
    })
}

pub(super) fn ttl(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 0, 255, false) {
        Some(ttl) => set(ctx, |i| i.ttl = u8::try_from(ttl).ok()),
        None => {
            complain(ctx, |n| {
                format!("({n}): TTL '{word}' not valid - must be between 0 & 255")
            });
            Ok(())
        }
    }
}

pub(super) fn unicast_fault_no_peer(ctx: &mut Ctx<'_>, _line: &Line) -> Flow {
    set(ctx, |i| {
        i.unicast_configured = true;
        i.unicast_fault_no_peer = true;
    })
}

pub(super) fn check_unicast_src(ctx: &mut Ctx<'_>, _line: &Line) -> Flow {
    set(ctx, |i| {
        i.unicast_configured = true;
        i.check_unicast_src = true;
    })
}

pub(super) fn old_unicast_checksum(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set(ctx, |i| i.unicast_configured = true)?;
    let mode = match line.get(1) {
        None => OldUnicastChecksum::Always,
        Some("never") => OldUnicastChecksum::Never,
        Some(word) => {
            complain(ctx, |n| {
                format!("({n}) Unknown old_unicast_chksum mode {word} - ignoring")
            });
            return Ok(());
        }
    };
    set(ctx, |i| i.old_unicast_checksum = mode)
}

pub(super) fn unicast_peer(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set(ctx, |i| i.unicast_configured = true)?;
    ctx.value_block(line, peer)
}

fn peer(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 0)?;
    let Some(address) = ctx.read_sockaddr(word, None).map(|a| a.ip()) else {
        complain(ctx, |n| {
            format!(
                "Configuration error: VRRP instance[{n}] malformed unicast peer address[{word}]. Skipping..."
            )
        });
        return Ok(());
    };
    let family = Family::of(&address);
    if get(ctx, |i| i.family)
        .flatten()
        .is_some_and(|f| f != family)
    {
        complain(ctx, |n| {
            format!(
                "Configuration error: VRRP instance[{n}] and unicast peer address[{word}] MUST be of the same family !!! Skipping..."
            )
        });
        return Ok(());
    }
    set(ctx, |i| i.family = Some(family))?;
    let mut peer = UnicastPeer {
        address: Spanned::new(address, line.span_of(0)),
        min_ttl: 0,
        max_ttl: 255,
    };
    let mut rest = line.words.get(1..).unwrap_or(&[]).iter();
    while let Some(option) = rest.next() {
        let Some(value) = rest.next() else {
            complain(ctx, |n| {
                format!("({n}) {word} - {} is missing a value", option.text)
            });
            break;
        };
        let Some(ttl) = ctx.read_unsigned(value, 0, 255, false) else {
            continue;
        };
        let ttl = u8::try_from(ttl).unwrap_or(255);
        match &**option {
            "min_ttl" => peer.min_ttl = ttl,
            "max_ttl" => peer.max_ttl = ttl,
            other => {
                complain(ctx, |n| {
                    format!("({n}) {word} - unknown unicast_peer option {other}")
                });
                break;
            }
        }
        set(ctx, |i| i.check_unicast_src = true)?;
    }
    let same = |p: &UnicastPeer| *p.address == address;
    if get(ctx, |i| i.unicast_peers.iter().any(same)) == Some(true) {
        complain(ctx, |n| format!("({n}) {word} - duplicate unicast_peer"));
        return Ok(());
    }
    if peer.min_ttl > peer.max_ttl {
        complain(ctx, |n| {
            format!(
                "({n}) {word} - min_ttl {} > max_ttl {} - all packets will be discarded",
                peer.min_ttl, peer.max_ttl
            )
        });
    }
    set(ctx, |i| i.unicast_peers.push(peer))
}

/// Reports an address that is there already. An excluded address may equal a VIP on another interface.
fn is_duplicate(ctx: &mut Ctx<'_>, new: &Address, word: &str, excluded: bool) -> bool {
    let Some(instance) = &ctx.scratch.vrrp.instance else {
        return true;
    };
    let dev = |a: &Address| a.dev.as_ref().map(|d| d.value.clone());
    let same = |a: &Address| a.prefix.addr == new.prefix.addr;
    let vip = instance
        .vips
        .iter()
        .any(|a| same(a) && (!excluded || dev(a) == dev(new)));
    let evip = instance.evips.iter().any(|a| same(a) && dev(a) == dev(new));
    if !vip && !evip {
        return false;
    }
    let prefix = if excluded { "Excluded " } else { "" };
    let what = if vip { "a VIP" } else { "an excluded VIP" };
    complain(ctx, |n| {
        format!("({n}): {prefix}VIP duplicates {what} {word} - ignoring")
    });
    true
}

pub(super) fn vips(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    ctx.value_block(line, |ctx, line| {
        let Some(new) = address::parse(ctx, line, false)? else {
            return Ok(());
        };
        let word = line.word(ctx, 0)?;
        let family = new.family();
        if get(ctx, |i| i.family)
            .flatten()
            .is_some_and(|f| f != family)
        {
            complain(ctx, |n| {
                format!("({n}): address family must match VRRP instance [{word}] - ignoring")
            });
            return Ok(());
        }
        set(ctx, |i| i.family = Some(family))?;
        if !is_duplicate(ctx, &new, word, false) {
            set(ctx, |i| i.vips.push(new))?;
        }
        Ok(())
    })
}

pub(super) fn evips(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    ctx.value_block(line, |ctx, line| {
        if let Some(new) = address::parse(ctx, line, false)? {
            let word = line.word(ctx, 0)?;
            if !is_duplicate(ctx, &new, word, true) {
                set(ctx, |i| i.evips.push(new))?;
            }
        }
        Ok(())
    })
}

pub(super) fn routes(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    ctx.value_block(line, |ctx, line| {
        if let Some(new) = route::parse(ctx, line, false)? {
            set(ctx, |i| i.routes.push(new))?;
        }
        Ok(())
    })
}

pub(super) fn rules(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    ctx.value_block(line, |ctx, line| {
        if let Some(new) = rule::parse(ctx, line, false)? {
            set(ctx, |i| i.rules.push(new))?;
        }
        Ok(())
    })
}

pub(super) fn kernel_rx_buf_size(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let size = match line.get(1) {
        Some(word) if line.len() == 2 => ctx.read_unsigned(word, 0, u32::MAX, false),
        _ => None,
    };
    if let Some(size) = size {
        return set(ctx, |i| i.kernel_rx_buf_size = size);
    }
    complain(ctx, |n| {
        format!("({n}) invalid kernel_rx_buf_size specified")
    });
    Ok(())
}

pub(super) fn lvs_sync(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    complain(ctx, |n| {
        format!("({n}) Specifying lvs_sync_daemon_interface against a vrrp is deprecated.")
    });
    // The second line is indented to stand below the text of the first. A name shorter than two characters gives a negative
    // width, which printf takes as left-aligned.
    complain(ctx, |n| {
        let width = n.len().abs_diff(2);
        format!("      {:width$}Please use global lvs_sync_daemon", "")
    });
    if let Some(known) = ctx.model.global.lvs_sync_daemon.interface.clone() {
        complain(ctx, |n| {
            format!(
                "({n}) lvs_sync_daemon_interface has already been specified as {known} - ignoring"
            )
        });
        return Ok(());
    }
    let word = line.word(ctx, 1)?;
    let name = get(ctx, |i| i.name.to_string());
    let daemon = &mut ctx.model.global.lvs_sync_daemon;
    daemon.interface = Some(word.to_owned());
    daemon.by_instance = name;
    Ok(())
}
