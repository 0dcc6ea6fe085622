//! An advert comes in: whose it is, then the checks, then the state's rule.

mod checks;
mod rules;

use core::net::IpAddr;

use net_types::{Family, Instant};

use crate::config::{Destination, InstanceId};
use crate::input::Received;
use crate::notice::{Check, InstanceNotice, Notice};
use crate::output::Output;
use crate::reasons::{AuthError, ProtocolError, Refusal};
use crate::router::Router;
use crate::status::State;
use crate::wire::{DecodeError, View};

pub(crate) use checks::bump32;

impl Router {
    /// A packet came out of a socket.
    pub(crate) fn receive(&mut self, now: Instant, packet: &Received<'_>) {
        if !self.started || self.startup_until.is_some() {
            return;
        }
        let Some(socket) = self.sockets.get(packet.socket.index()) else {
            return;
        };
        let (family, interface) = (socket.family, socket.interface);
        let view = match View::decode(family, packet.bytes) {
            Ok(view) => view,
            Err(DecodeError::ShortAh) => {
                self.say(Notice::AhTooShort(packet.bytes.len()));
                return;
            }
            Err(DecodeError::Short | DecodeError::Body) => {
                self.say(Notice::TooShort {
                    v6: family == Family::V6,
                    length: packet.bytes.len(),
                });
                return;
            }
        };
        let Some(id) = self.find(packet, view.header.vrid) else {
            if self.config.global.log_unknown_vrids {
                self.say(Notice::UnknownVrid(view.header.vrid, interface));
            }
            return;
        };
        let live = &mut self.live[id.index()];
        if !matches!(live.state, State::Backup | State::Master) {
            return;
        }
        live.last_sender = Some(packet.source);
        let multicast = view
            .ip
            .map_or(packet.multicast, |ip| ip.destination.is_multicast());
        let unicast = matches!(
            self.config.instances[id.index()].destination,
            Destination::Unicast(_)
        );
        if family == Family::V6 && multicast == unicast {
            self.say_of(id, InstanceNotice::WrongCast { multicast });
            return;
        }
        let ttl = view.ip.map_or(packet.hop_limit, |ip| Some(ip.ttl));
        let facts = Facts {
            view,
            bytes: packet.bytes,
            source: packet.source,
            multicast,
            unicast,
            ttl,
        };
        if self.live[id.index()].state == State::Backup {
            self.backup_hears(now, id, &facts);
        } else if self.master_hears(now, id, &facts) {
            self.leave_master(now, id, false);
            self.sync_backup(now, id);
        } else {
            self.sync_master(now, id);
        }
    }

    /// The instance of a VRID on a socket; unicast instances may share one and are told apart by the sender.
    fn find(&self, packet: &Received<'_>, vrid: u8) -> Option<InstanceId> {
        let mut same = self.listeners(packet.socket, vrid);
        let others = same.clone();
        let first = same.next()?;
        if same.next().is_none() {
            return Some(first);
        }
        others
            .clone()
            .find(|id| self.live[id.index()].last_sender == Some(packet.source))
            .or_else(|| {
                others
                    .clone()
                    .find(|id| match &self.config.instances[id.index()].destination {
                        Destination::Unicast(peers) => {
                            peers.iter().any(|p| p.address == packet.source)
                        }
                        Destination::Multicast(_) => false,
                    })
            })
    }

    /// Writes a line about a packet, once per kind until state or master change.
    pub(crate) fn remark(&mut self, id: InstanceId, from: IpAddr, check: Check) {
        let why = match check {
            Check::Ttl(_) | Check::PeerTtl { .. } => Some(Refusal::Protocol(ProtocolError::Ttl)),
            Check::Version { .. } => Some(Refusal::Protocol(ProtocolError::Version)),
            Check::Checksum { .. } => Some(Refusal::Protocol(ProtocolError::Checksum)),
            Check::AuthType(_) => Some(Refusal::Auth(AuthError::InvalidType)),
            Check::AuthMismatch { .. } | Check::UnexpectedAh | Check::NoAh => {
                Some(Refusal::Auth(AuthError::TypeMismatch))
            }
            Check::Password => Some(Refusal::Auth(AuthError::Failure)),
            _ => None,
        };
        if let Some(why) = why {
            self.refused(id, from, why);
        }
        if self.live[id.index()].first_of_kind(&check) {
            self.say_of(id, InstanceNotice::Check(from, check));
        }
    }

    /// What the MIBs tell of a refused packet.
    pub(crate) fn refused(&mut self, id: InstanceId, from: IpAddr, why: Refusal) {
        if let Refusal::Protocol(error) = why {
            self.live[id.index()].reasons.error = error;
        }
        if self.config.global.tell_refusals {
            self.queue.push_back(Output::Refused { id, from, why });
        }
    }
}

/// A received packet and what came with it.
pub(crate) struct Facts<'a> {
    pub(crate) view: View<'a>,
    /// All of it, as the socket delivered it.
    pub(crate) bytes: &'a [u8],
    pub(crate) source: IpAddr,
    /// The packet was sent to a group.
    pub(crate) multicast: bool,
    /// The instance has peers.
    pub(crate) unicast: bool,
    pub(crate) ttl: Option<u8>,
}
