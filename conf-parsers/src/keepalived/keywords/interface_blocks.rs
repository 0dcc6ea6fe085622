//! `linkbeat_interfaces` and `interface_up_down_delays`.

use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Flow, Line};
use crate::keepalived::model::vrrp::Linkbeat;
use crate::source::LinkKind;

const DELAY_MAX: u64 = 255_000_000;

/// Whether the interface may be named in these blocks; reports if not.
fn known(ctx: &mut Ctx<'_>, name: &str, what: &str) -> bool {
    // Unlike elsewhere an interface that does not exist does not end the configuration here.
    let known = ctx.host.interface(name).is_some()
        || (ctx.model.global.dynamic_interfaces && ctx.accept_interface(name));
    if !known {
        ctx.report(
            Class::Fatal,
            format!("unknown interface {name} specified for {what}"),
        );
    }
    known
}

/// `linkbeat_interfaces { IFNAME [MII|ETHTOOL|IOCTL] … }`
pub(super) fn linkbeat(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    ctx.value_block(line, |ctx, line| {
        let name = line.word(ctx, 0)?;
        if !known(ctx, name, "linkbeat interface") {
            return Ok(());
        }
        let kind = ctx.host.interface(name).map(|i| i.kind);
        if matches!(kind, Some(LinkKind::Macvlan | LinkKind::Ipvlan)) {
            ctx.log(format!(
                "({name}): linkbeat not supported for vmacs since netlink works"
            ));
            return Ok(());
        }
        let method = match line.get(1) {
            Some("MII") => Some(Linkbeat::Mii),
            Some("ETHTOOL") => Some(Linkbeat::Ethtool),
            Some("IOCTL") => Some(Linkbeat::Ioctl),
            _ => None,
        };
        if let Some(word) = line.get(1) {
            if method.is_none() || line.len() > 2 {
                ctx.report(
                    Class::GeneralError,
                    format!("extra characters {word} in linkbeat interface"),
                );
            }
        }
        let settings = ctx.model.vrrp.interfaces.or_default(name.into());
        settings.linkbeat = Some(method.unwrap_or_default());
        Ok(())
    })
}

/// `interface_up_down_delays { IFNAME DOWN [UP] … }`
pub(super) fn delays(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    ctx.value_block(line, |ctx, line| {
        let name = line.word(ctx, 0)?;
        if !known(ctx, name, "up/down delay") {
            return Ok(());
        }
        let Some(down_word) = line.get(1) else {
            ctx.log(format!("No timeouts specified for {name} up/down delays"));
            return Ok(());
        };
        if line.len() > 3 {
            ctx.log(format!("Too many parameters for {name} up/down delays"));
        }
        let Some(down) = delay(ctx, down_word) else {
            ctx.log(format!("Invalid down delay {down_word} for {name}"));
            return Ok(());
        };
        let up = match line.get(2) {
            None => 0,
            Some(up_word) => match delay(ctx, up_word) {
                Some(up) => up,
                None => {
                    ctx.log(format!("Invalid up delay {up_word} for {name}"));
                    return Ok(());
                }
            },
        };
        let settings = ctx.model.vrrp.interfaces.or_default(name.into());
        settings.down_delay = down;
        settings.up_delay = up;
        Ok(())
    })
}

fn delay(ctx: &mut Ctx<'_>, word: &str) -> Option<u32> {
    ctx.read_timer(word, 0, DELAY_MAX, true)
        .and_then(|us| u32::try_from(us).ok())
}
