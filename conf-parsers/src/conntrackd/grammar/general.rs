//! The `General` block.

use super::super::diag::Kind as Problem;
use super::super::model::{SchedPolicy, Set};
use super::super::tokens::{Kind, Token};
use super::{Parser, Step};

/// Longest path of a control socket: the kernel's 108 bytes less the end mark.
const LONGEST_SOCKET_PATH: usize = 107;

impl<'a> Parser<'a> {
    pub(super) fn general_line(&mut self, token: Token<'a>) -> Step {
        let Kind::Keyword(keyword) = token.kind else {
            return self.unexpected(token);
        };
        match keyword {
            "HashSize" => self.general.hash_size = self.number()?,
            "HashLimit" => self.general.hash_limit = self.number()?,
            "LogFile" => {
                let old = self.general.log_file.take();
                self.general.log_file = self.log_file(old, "/var/log/conntrackd.log", "LogFile")?;
            }
            "Syslog" => {
                if let Some(set) = self.facility(false)? {
                    self.general.syslog = set;
                }
            }
            "LockFile" => {
                let path = self.expect(Kind::Path)?;
                self.general.lock_file = self.bounded_path(path, "LockFile")?;
            }
            "UNIX" => self.block(Self::unix_line)?,
            "NetlinkBufferSize" => self.general.netlink_buffer_size = self.number()?,
            "NetlinkBufferSizeMaxGrowth" => {
                self.general.netlink_buffer_size_max_growth = self.number()?;
            }
            "EventIterationLimit" => self.general.event_iteration_limit = self.number()?,
            "PollSecs" => {
                let secs = self.number()?;
                if secs.value == 0 {
                    return self.fail(token.span, Problem::PollSecs);
                }
                self.general.poll_secs = Some(secs);
            }
            "Filter" => self.filter()?,
            "NetlinkOverrunResync" => self.overrun_resync()?,
            "NetlinkEventsReliable" => self.general.netlink_events_reliable = self.switch()?,
            "Nice" => {
                let value = self.expect(Kind::Signed)?;
                self.warn(value.span, Problem::Nice);
            }
            "Scheduler" => self.block(Self::scheduler_line)?,
            "Systemd" => self.general.systemd = self.switch()?,
            _ => return self.unexpected(token),
        }
        Ok(())
    }

    fn unix_line(&mut self, token: Token<'a>) -> Step {
        match token.kind {
            Kind::Keyword("Path") => {
                let path = self.expect(Kind::Path)?;
                if path.bytes.len() > LONGEST_SOCKET_PATH {
                    return self.fail(path.span, Problem::SocketPathTooLong);
                }
                self.general.unix_path = Set::at(path.text(), path.span);
            }
            Kind::Keyword("Backlog") => {
                let value = self.number()?;
                self.warn(value.span.unwrap_or(token.span), Problem::Backlog);
            }
            _ => return self.unexpected(token),
        }
        Ok(())
    }

    fn overrun_resync(&mut self) -> Step {
        let token = self.take();
        let value = match token.kind {
            Kind::On => Some(30),
            Kind::Off => None,
            Kind::Number(n) => Some(n.unsigned_abs()),
            _ => return self.unexpected(token),
        };
        self.general.netlink_overrun_resync = Set::at(value, token.span);
        Ok(())
    }

    fn scheduler_line(&mut self, token: Token<'a>) -> Step {
        match token.kind {
            Kind::Keyword("Type") => {
                let name = self.expect(Kind::Word)?;
                let text = name.text();
                let policy = if text.eq_ignore_ascii_case("rr") {
                    SchedPolicy::Rr
                } else if text.eq_ignore_ascii_case("fifo") {
                    SchedPolicy::Fifo
                } else {
                    return self.fail(name.span, Problem::UnknownScheduler(text));
                };
                self.general.scheduler.policy = Some(Set::at(policy, name.span));
            }
            Kind::Keyword("Priority") => {
                let value = self.number()?;
                let span = value.span.unwrap_or(token.span);
                match u8::try_from(value.value) {
                    Ok(priority @ 0..=99) => {
                        self.general.scheduler.priority = Set::at(priority, span)
                    }
                    _ => return self.fail(span, Problem::Priority),
                }
            }
            _ => return self.unexpected(token),
        }
        Ok(())
    }
}
