//! Sizes of receive buffers.

use conf_parsers::keepalived::model::{Global, VrrpModel};
use linux_io::route_sock::ReceiveBuffer;
use net_types::Family;
use vrrp_proto::config::{Auth, HmacMode, Version};
use vrrp_proto::config::{Config, Instance};
use vrrp_proto::{InstanceId, Router, SocketId};

use crate::vrrp::kernel::{Buffers, Kernel};

/// Receive buffers of the netlink sockets, as configured.
pub(super) fn buffers(global: &Global) -> Buffers {
    let buffer = |b: &conf_parsers::keepalived::model::global::ReceiveBuffer| {
        (b.size > 0).then_some(ReceiveBuffer {
            bytes: b.size,
            force: b.force,
        })
    };
    Buffers {
        command: buffer(&global.vrrp_netlink_cmd),
        monitor: buffer(&global.vrrp_netlink_monitor),
    }
}

/// Receive buffer of a socket in bytes: what its instances ask for, or the global policy; 0 leaves the kernel's.
pub(super) fn receive_buffer(
    router: &Router,
    vrrp: &VrrpModel,
    global: &Global,
    kernel: &Kernel,
    id: SocketId,
) -> u32 {
    let mut total = 0_u32;
    for (n, (model, core)) in vrrp
        .instances
        .iter()
        .zip(&router.config().instances)
        .enumerate()
    {
        let instance = u16::try_from(n).ok().map(InstanceId);
        if instance.and_then(|i| router.socket_of(i)) != Some(id) {
            continue;
        }
        let policy = &global.vrrp_rx_bufs_policy;
        let own = if model.kernel_rx_buf_size > 0 {
            model.kernel_rx_buf_size
        } else if let Some(size) = policy.size {
            size
        } else if policy.advert {
            let header = if core.family == Family::V4 {
                let v2 = if core.version == Version::V2 { 8 } else { 0 };
                let ah = if matches!(core.auth, Auth::Ah(_)) {
                    24
                } else {
                    0
                };
                20 + 8 + v2 + ah
            } else {
                8
            };
            let signs = core
                .hmac
                .as_ref()
                .is_some_and(|h| h.mode != HmacMode::ReceiveOnly);
            let header = header + if signs { 28 } else { 0 };
            let each = u32::from(core.family.bits() / 8);
            let addresses = u32::try_from(core.addresses.len()).unwrap_or(0);
            global
                .vrrp_rx_bufs_multiplier
                .saturating_mul(header + addresses.saturating_mul(each))
        } else if policy.mtu {
            let link = core.interface.and_then(|i| kernel.interfaces.link(i));
            global
                .vrrp_rx_bufs_multiplier
                .saturating_mul(link.map_or(0, |l| l.mtu))
        } else {
            0
        };
        total = total.saturating_add(own);
    }
    total
}

/// Room for a packet: any IPv4 advert fits and so do IPv6 adverts on Ethernet; the longest ones only where we send such ourselves.
pub(super) fn longest_packet(config: &Config) -> usize {
    const USUAL: usize = 1536;
    const LONGEST: usize = 4608;
    const ADDRESSES: usize = 80;
    let many = |i: &Instance| i.family == Family::V6 && i.addresses.len() > ADDRESSES;
    if config.instances.iter().any(many) {
        LONGEST
    } else {
        USUAL
    }
}
