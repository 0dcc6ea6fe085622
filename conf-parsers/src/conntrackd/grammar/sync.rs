//! The `Sync` block: modes, dedicated links, options.

use std::net::IpAddr;

use net_types::Family;

use super::super::diag::Kind as Problem;
use super::super::model::{Link, LinkKind, Mode, Set, Span};
use super::super::tokens::{Kind, ModeWord, Token};
use super::{Parser, Step, address};

/// Most dedicated links.
const MOST_LINKS: usize = 4;

impl<'a> Parser<'a> {
    pub(super) fn sync_line(&mut self, token: Token<'a>) -> Step {
        match token.kind {
            Kind::Keyword("Multicast") => self.link(token, LinkKind::Multicast),
            Kind::Keyword("UDP") => self.link(token, LinkKind::Udp),
            Kind::Keyword("TCP") => self.link(token, LinkKind::Tcp),
            Kind::Keyword("Mode") => self.mode(),
            Kind::Keyword("Options") => self.block(Self::option_line),
            Kind::Keyword(
                word @ ("RefreshTime" | "CacheTimeout" | "CommitTimeout" | "PurgeTimeout"),
            ) => self.timer(word),
            _ => self.unexpected(token),
        }
    }

    fn timer(&mut self, word: &str) -> Step {
        let value = self.number()?;
        match word {
            "RefreshTime" => self.sync.refresh_time = value,
            "CacheTimeout" => self.sync.cache_timeout = value,
            "CommitTimeout" => self.sync.commit_timeout = value,
            _ => self.sync.purge_timeout = value,
        }
        Ok(())
    }

    fn mode(&mut self) -> Step {
        let name = self.take();
        let mode = match name.kind {
            Kind::Mode(ModeWord::Alarm | ModeWord::Persistent) => Mode::Alarm,
            Kind::Mode(ModeWord::Ftfw | ModeWord::Nack) => Mode::Ftfw,
            Kind::Mode(ModeWord::Notrack) => Mode::Notrack,
            _ => return self.unexpected(name),
        };
        self.block(|parser, token| parser.mode_line(mode, token))?;
        let rank = |mode| match mode {
            Mode::Ftfw => 0,
            Mode::Alarm => 1,
            Mode::Notrack => 2,
        };
        if self
            .sync
            .mode
            .is_none_or(|old| rank(mode) < rank(old.value))
        {
            self.sync.mode = Some(Set::at(mode, name.span));
        }
        Ok(())
    }

    fn mode_line(&mut self, mode: Mode, token: Token<'a>) -> Step {
        let Kind::Keyword(word) = token.kind else {
            return self.unexpected(token);
        };
        match (word, mode) {
            ("CommitTimeout" | "PurgeTimeout", _)
            | ("RefreshTime" | "CacheTimeout", Mode::Alarm) => self.timer(word)?,
            ("ResendQueueSize", Mode::Ftfw) => self.sync.resend_queue_size = self.number()?,
            ("ACKWindowSize", Mode::Ftfw) => self.sync.ack_window_size = self.number()?,
            ("DisableInternalCache", Mode::Notrack) => {
                self.sync.disable_internal_cache = self.switch()?
            }
            ("DisableExternalCache", Mode::Ftfw | Mode::Notrack) => {
                self.sync.disable_external_cache = self.switch()?;
            }
            ("StartupResync", Mode::Ftfw | Mode::Notrack) => {
                self.sync.startup_resync = self.switch()?
            }
            _ => return self.unexpected(token),
        }
        Ok(())
    }

    fn option_line(&mut self, token: Token<'a>) -> Step {
        match token.kind {
            Kind::Keyword("TCPWindowTracking") => self.sync.tcp_window_tracking = self.switch()?,
            Kind::Keyword("ExpectationSync") => {
                let value = self.take();
                match value.kind {
                    Kind::On => self.sync.expectation_sync = Set::at(true, value.span),
                    Kind::Off => self.sync.expectation_sync = Set::at(false, value.span),
                    Kind::Byte(b'{') => {
                        self.put_back(value);
                        self.block(|parser, item| {
                            if item.kind != Kind::Word {
                                return parser.unexpected(item);
                            }
                            parser
                                .sync
                                .expectation_helpers
                                .push(Set::at(item.text(), item.span));
                            Ok(())
                        })?;
                        self.sync.expectation_sync = Set::at(true, value.span);
                    }
                    _ => return self.unexpected(value),
                }
            }
            _ => return self.unexpected(token),
        }
        Ok(())
    }

    /// A `Multicast`, `UDP` or `TCP` block. What would fill a fifth one is refused at its first option.
    fn link(&mut self, keyword: Token<'a>, kind: LinkKind) -> Step {
        let mut is_default = false;
        let token = self.take();
        if token.kind == Kind::Keyword("Default") {
            is_default = true;
        } else {
            self.put_back(token);
        }
        let mut link = Link {
            kind,
            span: keyword.span,
            family: None,
            address: None,
            destination: None,
            interface_address: None,
            interface: None,
            port: Set::default_to(0),
            send_buffer: Set::default_to(0),
            receive_buffer: Set::default_to(0),
            checksum: Set::default_to(true),
        };
        self.block(|parser, token| parser.link_line(&mut link, token))?;
        self.room_for_link(keyword.span)?;
        if self.sync.links.iter().any(|other| other.kind != kind) {
            return self.fail(keyword.span, Problem::MixedLinks(kind.keyword()));
        }
        if is_default {
            self.sync.default_link = self.sync.links.len();
        }
        self.sync.links.push(link);
        Ok(())
    }

    fn room_for_link(&mut self, span: Span) -> Step {
        if self.sync.links.len() >= MOST_LINKS {
            return self.fail(span, Problem::TooManyLinks);
        }
        Ok(())
    }

    fn link_line(&mut self, link: &mut Link, token: Token<'a>) -> Step {
        let Kind::Keyword(word) = token.kind else {
            return self.unexpected(token);
        };
        let multicast = link.kind == LinkKind::Multicast;
        match word {
            "IPv4_address" | "IPv6_address" if multicast => {
                return self.multicast_group(link, word);
            }
            "IPv4_interface" if multicast => return self.multicast_interface_address(link),
            "IPv6_interface" if multicast => {
                let value = self.expect(Kind::Ip)?;
                self.warn(value.span, Problem::Ipv6Interface);
            }
            "IPv4_address"
            | "IPv6_address"
            | "IPv4_Destination_Address"
            | "IPv6_Destination_Address"
                if !multicast =>
            {
                return self.unicast_address(link, word);
            }
            "Interface" => {
                let name = self.expect(Kind::Word)?;
                self.room_for_link(name.span)?;
                let text = name.text();
                if !(self.interface_exists)(&text) {
                    self.warn(name.span, Problem::NoInterface(text.clone()));
                }
                link.interface = Some(Set::at(text, name.span));
                return Ok(());
            }
            "Group" if multicast => link.port = self.number()?,
            "Port" if !multicast => link.port = self.number()?,
            "SndSocketBuffer" => link.send_buffer = self.number()?,
            "RcvSocketBuffer" => link.receive_buffer = self.number()?,
            "Checksum" => link.checksum = self.switch()?,
            "ErrorQueueLength" if link.kind == LinkKind::Tcp => {
                self.sync.error_queue_length = self.number()?;
                return Ok(());
            }
            _ => return self.unexpected(token),
        }
        if word == "IPv6_interface" {
            Ok(())
        } else {
            self.room_for_link(token.span)
        }
    }

    fn unicast_address(&mut self, link: &mut Link, word: &str) -> Step {
        let family = if word.starts_with("IPv4") {
            Family::V4
        } else {
            Family::V6
        };
        let Some(addr) = self.link_address(family)? else {
            return Ok(());
        };
        link.family = Some(family);
        if word.ends_with("Destination_Address") {
            link.destination = Some(addr);
        } else {
            link.address = Some(addr);
        }
        Ok(())
    }

    fn multicast_group(&mut self, link: &mut Link, word: &str) -> Step {
        let family = if word.starts_with("IPv4") {
            Family::V4
        } else {
            Family::V6
        };
        let Some(addr) = self.link_address(family)? else {
            return Ok(());
        };
        if link.family.is_some_and(|other| other != family) {
            return self.mixed(addr, family, "address");
        }
        link.family = Some(family);
        link.address = Some(addr);
        Ok(())
    }

    fn multicast_interface_address(&mut self, link: &mut Link) -> Step {
        let Some(addr) = self.link_address(Family::V4)? else {
            return Ok(());
        };
        if link.family == Some(Family::V6) {
            return self.mixed(addr, Family::V4, "interface");
        }
        link.family = Some(Family::V4);
        link.interface_address = Some(addr);
        Ok(())
    }

    fn mixed(&mut self, addr: Set<IpAddr>, family: Family, what: &'static str) -> Step {
        let family = digit(family);
        self.warn(
            addr.span.unwrap_or_default(),
            Problem::MixedFamilies { family, what },
        );
        Ok(())
    }

    /// The address argument of a link option; `None` after a warning.
    fn link_address(&mut self, family: Family) -> Step<Option<Set<IpAddr>>> {
        let value = self.expect(Kind::Ip)?;
        self.room_for_link(value.span)?;
        let text = value.text();
        let addr = match family {
            Family::V4 => address::ipv4(&text).map(IpAddr::V4),
            Family::V6 => address::ipv6(&text).map(IpAddr::V6),
        };
        if addr.is_none() {
            self.warn(value.span, Problem::BadAddress(digit(family), text));
        }
        Ok(addr.map(|addr| Set::at(addr, value.span)))
    }
}

const fn digit(family: Family) -> u8 {
    match family {
        Family::V4 => 4,
        Family::V6 => 6,
    }
}
