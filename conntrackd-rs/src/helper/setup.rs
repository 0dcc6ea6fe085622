//! The kernel objects of the helpers.

use std::fmt::Display;
use std::io;

use conf_parsers::conntrackd::Helper as Configured;
use cthelper_proto::Helper;
use linux_io::nfnl::Socket;
use net_types::Family;
use netlink_wire::cthelper::{self, Policy};
use netlink_wire::framing::{Batch, Messages, Reply};
use netlink_wire::nfqueue::{self, Command};

use super::notice;
use super::queue::Queues;
use crate::text::log::reason;

/// The reason was logged.
pub(super) struct Failed;

fn error(text: impl Display) -> Failed {
    super::error(&text);
    Failed
}

/// Makes the helpers that the file asks for; the last one of the file first, as 1.4.8.
pub(super) fn open(configured: &Configured, limit: u32) -> Result<Queues, Failed> {
    let open = || Socket::open(0);
    let socket = open().map_err(|_| error("cannot open nfq socket"))?;
    let requests = open().map_err(|_| error("cannot open nfq socket"))?;
    let _ = requests.set_short_answers(true);
    let mut batch = Batch::default();
    for (command, text) in [
        (Command::FamilyUnbind, "failed to send pf unbind command"),
        (Command::FamilyBind, "failed to send pf bind command"),
    ] {
        batch.clear();
        nfqueue::push_command(&mut batch, 0, command);
        send(&socket, &batch, text)?;
    }
    let mut queues = Queues::new(socket, requests, limit);
    for instance in configured.instances.iter().rev() {
        let Some(helper) = Helper::find(&instance.name, instance.protocol) else {
            // The reader of the file knows the same helpers.
            return Err(error(format_args!("Unknown `{}' helper", *instance.name)));
        };
        let policy = policy(configured, helper, instance.protocol);
        let family = match instance.family {
            Family::V4 => 2,
            Family::V6 => 10,
        };
        let name = helper.policy.name;
        notice(&format_args!(
            "configuring helper `{name}' with queuenum={} and queuelen={}",
            instance.queue_num, instance.queue_len
        ));
        notice(&format_args!(
            "policy name={} expect_timeout={} expect_max={}",
            policy.name, policy.expect_timeout, policy.expect_max
        ));
        batch.clear();
        cthelper::push_new(
            &mut batch,
            &cthelper::Helper {
                name,
                family,
                protocol: instance.protocol,
                queue: instance.queue_num,
                data_len: configured.setup.then_some(helper.data_len),
                policies: &[policy],
            },
        );
        send(queues.socket(), &batch, "sending cthelper configuration")?;
        answer(queues.socket()).map_err(|e| {
            error(format_args!(
                "trying to configure cthelper `{name}': {}",
                reason(&e)
            ))
        })?;
        // The kernel's queue numbers have 16 bits; 1.4.8 cuts, too.
        let queue = u16::try_from(instance.queue_num & 0xffff).unwrap_or(0);
        batch.clear();
        nfqueue::push_command(&mut batch, queue, Command::Bind);
        send(queues.socket(), &batch, "failed to send bind command")?;
        batch.clear();
        nfqueue::push_settings(&mut batch, queue, instance.queue_len);
        send(queues.socket(), &batch, "failed to send configuration")?;
        queues.add(queue, helper);
        notice(&format_args!("helper `{name}' configured successfully"));
    }
    Ok(queues)
}

fn send(socket: &Socket, batch: &Batch, text: &str) -> Result<(), Failed> {
    socket.send(batch.bytes()).map_err(|_| error(text))
}

/// A helper's policy. What a block of the file says holds for the helper of that name and protocol in both families; the last
/// block counts.
fn policy(configured: &Configured, helper: Helper, protocol: u8) -> Policy<'static> {
    let builtin = helper.policy;
    let own = configured
        .instances
        .iter()
        .filter(|i| **i.name == *builtin.name && i.protocol == protocol)
        .flat_map(|i| &i.policies)
        .rfind(|p| p.name == builtin.name);
    let (expect_max, expect_timeout) = own
        .map_or((builtin.expect_max, builtin.expect_timeout), |p| {
            (p.expect_max, p.expect_timeout)
        });
    Policy {
        name: builtin.name,
        expect_max,
        expect_timeout,
    }
}

/// The kernel's answer to the request for a helper. Refusals of what was sent before it come first, and count as one: without
/// packet queues there are no helpers.
fn answer(socket: &Socket) -> io::Result<()> {
    let mut buffer = [0; 8192];
    loop {
        let len = socket.receive(&mut buffer)?;
        for message in Messages::new(buffer.get(..len).unwrap_or_default()) {
            match message.reply() {
                Reply::Ack { errno: 0, .. } => return Ok(()),
                Reply::Ack { errno, .. } => return Err(io::Error::from_raw_os_error(errno)),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conf_parsers::conntrackd as conf;

    fn parsed(text: &str) -> Option<Configured> {
        let outcome = conf::parse(text.as_bytes(), &|_| true);
        outcome.config.and_then(|config| config.helper)
    }

    #[test]
    fn the_reader_of_the_file_knows_the_same_helpers() {
        let names = [
            "amanda", "dhcpv6", "ftp", "mdns", "rpc", "sane", "slp", "ssdp", "tftp", "tns", "sip",
        ];
        for name in names {
            for (word, number) in [("tcp", 6), ("udp", 17)] {
                let file = format!("Helper {{ Type {name} inet {word} {{ }} }}");
                let helper = Helper::find(name, number);
                assert_eq!(parsed(&file).is_some(), helper.is_some(), "{name} {word}");
                if let Some(helper) = helper {
                    assert_eq!(helper.policy.name, name);
                    assert!(helper.data_len <= 32, "the kernel's room");
                }
            }
        }
    }

    #[test]
    fn a_policy_holds_for_both_families() {
        let file = "Helper { Type ftp inet tcp { Policy ftp { ExpectMax 4 } } Type ftp inet6 tcp { } Type tftp inet udp { } }";
        let configured = parsed(file).unwrap();
        let of = |name, protocol| {
            let policy = policy(&configured, Helper::find(name, protocol).unwrap(), protocol);
            (policy.expect_max, policy.expect_timeout)
        };
        // What a block leaves out is 0.
        assert_eq!(of("ftp", 6), (4, 0));
        assert_eq!(of("tftp", 17), (1, 300));
    }
}
