//! Generic netlink (`linux/genetlink.h`): families have names, and numbers that the kernel gives out as they come.

use crate::framing::{Batch, Message};
use crate::nla::{Attrs, Writer};
use crate::read;

/// `GENL_ID_CTRL`: the family that knows the others.
pub const CONTROL: u16 = 16;
/// Length of the header behind the message's header: command, version, two bytes of nothing.
pub const HEADER_LEN: usize = 4;

const GET_FAMILY: u8 = 3;
const ATTR_FAMILY_ID: u16 = 1;
const ATTR_FAMILY_NAME: u16 = 2;

/// Adds a request of a family.
pub fn push(
    batch: &mut Batch,
    family: u16,
    flags: u16,
    command: u8,
    version: u8,
    body: impl FnOnce(&mut Writer<'_>),
) {
    batch.push(family, flags, |w| {
        w.raw(&[command, version, 0, 0]);
        body(w);
    });
}

/// Asks for the number of a family. The kernel loads the module that has it if it knows one.
pub fn push_get_family(batch: &mut Batch, name: &str) {
    push(batch, CONTROL, crate::framing::F_ACK, GET_FAMILY, 1, |w| {
        w.text(ATTR_FAMILY_NAME, name);
    });
}

/// The number in the answer to [`push_get_family`].
pub fn family_id(message: &Message<'_>) -> Option<u16> {
    if message.header.kind != CONTROL {
        return None;
    }
    attributes(message)
        .find(|a| a.kind == ATTR_FAMILY_ID)
        .and_then(|a| a.u16())
}

/// The command of a message.
pub fn command(message: &Message<'_>) -> Option<u8> {
    read::u8(message.body, 0)
}

/// The attributes of a message.
pub fn attributes<'a>(message: &Message<'a>) -> Attrs<'a> {
    Attrs::after(message.body, HEADER_LEN)
}
