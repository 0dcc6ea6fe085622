//! Adverts on their way out (RFC 9568 section 5, RFC 3768 section 5).

use alloc::vec::Vec;
use core::net::IpAddr;

use net_types::{Family, Instant};

use crate::auth::ah;
use crate::auth::trailer::{self, Scope};
use crate::config::{Auth, Destination, HmacMode, InstanceId, OldChecksum, Version};
use crate::output::{Output, Transmit};
use crate::router::Router;
use crate::wire::{self, Header, Ipv4, Seal};

impl Router {
    /// Sends an advert to the group or to every peer; `zero` gives up.
    pub(crate) fn transmit(&mut self, now: Instant, id: InstanceId, zero: Option<()>) {
        let i = id.index();
        let config = &self.config.instances[i];
        if config
            .transmit_interface
            .is_some_and(|x| self.config.interfaces[x.index()].link.index.is_none())
        {
            return;
        }
        let clock = self.clock(now);
        let live = &mut self.live[i];
        let Some(source) = live.source else { return };
        let priority = if zero.is_some() { 0 } else { live.effective };
        let word = match config.version {
            Version::V2 => [
                config.auth.number(),
                u8::try_from(config.advert_interval.as_secs()).unwrap_or(u8::MAX),
            ],
            Version::V3 => {
                let centis = config.advert_interval.as_micros() / 10_000;
                u16::try_from(centis.min(0x0fff))
                    .unwrap_or(0x0fff)
                    .to_be_bytes()
            }
        };
        let header = Header {
            version: config.version.number(),
            kind: wire::TYPE_ADVERTISEMENT,
            vrid: config.vrid.get(),
            priority,
            count: 0,
            word,
            checksum: 0,
        };
        let auth = match (config.version, config.family, &config.auth) {
            (Version::V2, Family::V4, Auth::Pass(data)) => Some(*data),
            (Version::V2, Family::V4, Auth::None | Auth::Ah(_)) => Some([0; wire::AUTH_LEN]),
            (Version::V2, Family::V6, _) | (Version::V3, _, _) => None,
        };
        let numbered = match &config.auth {
            Auth::Ah(key) => Some((key, live.ah.next())),
            Auth::None | Auth::Pass(_) => None,
        };
        let addresses = || config.addresses.iter().map(|a| a.address);
        // Signed once: all peers get the same trailer.
        let signed = match (&config.hmac, &mut live.marks) {
            (Some(hmac), Some(marks)) if hmac.mode != HmacMode::ReceiveOnly => {
                let scope = Scope {
                    version: config.version,
                    vrid: config.vrid.get(),
                    source,
                };
                let mut packet = Vec::new();
                wire::encode(&header, addresses(), auth, Seal::Kernel, &mut packet);
                marks.sign(hmac, clock, &scope, &packet)
            }
            _ => None,
        };
        let ip_id = live.next_ip_id();
        live.last_advert = Some(now);
        live.stats.advert_sent = live.stats.advert_sent.wrapping_add(1);
        let old_checksum = live.old_checksum && config.old_checksum != OldChecksum::Never;

        let (one, peers) = match &config.destination {
            Destination::Multicast(group) => (Some(*group), &[][..]),
            Destination::Unicast(peers) => (None, &peers[..]),
        };
        let multicast = one.is_some();
        for destination in one.into_iter().chain(peers.iter().map(|p| p.address)) {
            let mut bytes = Vec::new();
            let seal = match (source, destination) {
                (IpAddr::V4(source), IpAddr::V4(destination)) => {
                    let addresses = config.addresses.len().min(255);
                    let length = wire::IPV4_LEN
                        + wire::HEADER_LEN
                        + addresses * 4
                        + auth.map_or(0, |a| a.len())
                        + numbered.map_or(0, |_| wire::AH_LEN)
                        + signed.map_or(0, |_| trailer::LEN);
                    bytes.reserve_exact(length);
                    Ipv4 {
                        header_len: wire::IPV4_LEN,
                        total_len: u16::try_from(length).unwrap_or(u16::MAX),
                        id: ip_id,
                        ttl: config.ttl,
                        protocol: match numbered {
                            Some(_) => wire::PROTO_AH,
                            None => wire::PROTO_VRRP,
                        },
                        source,
                        destination,
                    }
                    .encode(&mut bytes);
                    if let Some((_, sequence)) = numbered {
                        ah::encode(source, sequence, &mut bytes);
                    }
                    let destination = if old_checksum {
                        self.config.global.mcast_group4
                    } else {
                        destination
                    };
                    match config.version {
                        Version::V3 if !config.checksum_v3_as_v2 => Seal::Pseudo {
                            source,
                            destination,
                        },
                        Version::V2 | Version::V3 => Seal::Plain,
                    }
                }
                _ => {
                    let addresses = config.addresses.len().min(255);
                    let trailer = signed.map_or(0, |_| trailer::LEN);
                    bytes.reserve_exact(wire::HEADER_LEN + addresses * 16 + trailer);
                    Seal::Kernel
                }
            };
            wire::encode(&header, addresses(), auth, seal, &mut bytes);
            if let Some(trailer) = &signed {
                trailer.encode(&mut bytes);
            }
            if let Some((key, _)) = numbered {
                ah::seal(key, &mut bytes, !multicast);
            }
            self.queue.push_back(Output::Transmit(Transmit {
                instance: id,
                bytes,
                source: source.is_ipv6().then_some(source),
                destination,
                hop_limit: config.ttl,
                multicast,
                priority,
            }));
        }
    }
}
