//! `Filter` in the `General` block.

use std::net::IpAddr;

use super::super::diag::Kind as Problem;
use super::super::model::{Filter, FilterAddress, FilterPolicy, Set, TcpState};
use super::super::protocols;
use super::super::tokens::{Kind, Token};
use super::{Parser, Step, address};

impl<'a> Parser<'a> {
    /// What follows the word `Filter`.
    pub(super) fn filter(&mut self) -> Step {
        let mut kernelspace = Set::default_to(false);
        let token = self.take();
        if token.kind == Kind::Keyword("From") {
            let place = self.take();
            kernelspace = match place.kind {
                Kind::Keyword("Userspace") => Set::at(false, place.span),
                Kind::Keyword("Kernelspace") => Set::at(true, place.span),
                _ => return self.unexpected(place),
            };
        } else {
            self.put_back(token);
        }
        self.block(Self::filter_clause)?;
        // An empty block is no filter, but it decides the place for those before it.
        if let Some(filter) = &mut self.general.filter {
            filter.kernelspace = kernelspace;
        }
        Ok(())
    }

    fn filter_clause(&mut self, token: Token<'a>) -> Step {
        let Kind::Keyword(clause @ ("Protocol" | "Address" | "State")) = token.kind else {
            return self.unexpected(token);
        };
        let verdict = self.take();
        let policy = match verdict.kind {
            Kind::Keyword("Accept") => FilterPolicy::Accept,
            Kind::Keyword("Ignore") => FilterPolicy::Ignore,
            _ => return self.unexpected(verdict),
        };
        match clause {
            "Protocol" => self.block(Self::filter_protocol)?,
            "Address" => self.block(Self::filter_address)?,
            _ => self.filter_states()?,
        }
        let filter = self.filter_mut();
        let slot = match clause {
            "Protocol" => &mut filter.protocol.policy,
            "Address" => &mut filter.address.policy,
            _ => &mut filter.state.policy,
        };
        *slot = Some(policy);
        Ok(())
    }

    fn filter_mut(&mut self) -> &mut Filter {
        self.general.filter.get_or_insert_default()
    }

    fn filter_protocol(&mut self, token: Token<'a>) -> Step {
        let name = match token.kind {
            Kind::Word | Kind::Keyword("TCP" | "UDP") => token.text(),
            _ => return self.unexpected(token),
        };
        match protocols::number(&name) {
            Some(number) => {
                let entries = &mut self.filter_mut().protocol.entries;
                if !entries.contains(&number) {
                    entries.push(number);
                }
            }
            None => self.warn(token.span, Problem::UnknownProtocol(name)),
        }
        Ok(())
    }

    fn filter_address(&mut self, token: Token<'a>) -> Step {
        let (family, longest) = match token.kind {
            Kind::Keyword("IPv4_address") => (4, 32),
            Kind::Keyword("IPv6_address") => (6, 128),
            _ => return self.unexpected(token),
        };
        let value = self.expect(Kind::Ip)?;
        let written = value.text();
        let (text, prefix) = address::split_prefix(&written);
        let len = prefix.unwrap_or(i32::from(longest));
        if len > i32::from(longest) {
            self.warn(value.span, Problem::BadNetwork(text.to_owned(), len));
            return Ok(());
        }
        let addr = if family == 4 {
            address::ipv4(text).map(IpAddr::V4)
        } else {
            address::ipv6(text).map(IpAddr::V6)
        };
        let Some(addr) = addr else {
            self.warn(
                value.span,
                Problem::BadFilterAddress(family, text.to_owned()),
            );
            return Ok(());
        };
        let entry = FilterAddress {
            addr,
            len: u8::try_from(len).unwrap_or(longest),
        };
        let entries = &mut self.filter_mut().address.entries;
        if !entries.contains(&entry) {
            entries.push(entry);
        } else if family == 4 && entry.len < longest {
            self.warn(value.span, Problem::RepeatedNetwork(text.to_owned()));
        }
        Ok(())
    }

    /// `{`, then lists of states that each end in `for TCP`, then `}`.
    fn filter_states(&mut self) -> Step {
        let mut in_list = false;
        self.open()?;
        loop {
            let token = self.take();
            match token.kind {
                Kind::Byte(b'}') if !in_list => return Ok(()),
                Kind::Keyword("for") => {
                    self.expect(Kind::Keyword("TCP"))?;
                    in_list = false;
                }
                Kind::Keyword(word) => {
                    let Some(state) = tcp_state(word) else {
                        return self.unexpected(token);
                    };
                    in_list = true;
                    let entries = &mut self.filter_mut().state.entries;
                    if !entries.contains(&state) {
                        entries.push(state);
                    }
                }
                _ => return self.unexpected(token),
            }
        }
    }
}

fn tcp_state(word: &str) -> Option<TcpState> {
    Some(match word {
        "SYN_SENT" => TcpState::SynSent,
        "SYN_RECV" => TcpState::SynRecv,
        "ESTABLISHED" => TcpState::Established,
        "FIN_WAIT" => TcpState::FinWait,
        "CLOSE_WAIT" => TcpState::CloseWait,
        "LAST_ACK" => TcpState::LastAck,
        "TIME_WAIT" => TcpState::TimeWait,
        "CLOSE" => TcpState::Close,
        "LISTEN" => TcpState::Listen,
        _ => return None,
    })
}
