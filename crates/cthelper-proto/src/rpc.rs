//! ONC RPC (RFC 5531): the portmapper (RFC 1833, version 2) is asked for a program's port, and answers with it.
//!
//! Private data (16 bytes): `u32` each: number of the question, program, version, protocol.

use nfct::{proto, status};

use crate::flow::{Direction, Expected, Flow, PERMANENT};
use crate::inspection::{Finding, How};
use crate::packet::Packet;
use crate::rewrite::{Rewrite, Style};

const RPC_VERSION: u32 = 2;
const PORTMAPPER: u32 = 100_000;
const PORTMAPPER_VERSION: u32 = 2;
const GETPORT: u32 = 3;
const MOST_AUTH_BYTES: u32 = 400;
const CALL: u32 = 0;
const REPLY: u32 = 1;

/// What the client asked for.
#[derive(Clone, Copy, Default)]
struct Question {
    id: u32,
    program: u32,
    version: u32,
    protocol: u8,
}

impl Question {
    fn load(data: &[u8]) -> Self {
        let word = |at: usize| {
            let word = data.get(at..).and_then(|b| b.first_chunk());
            word.map_or(0, |b| u32::from_ne_bytes(*b))
        };
        Self {
            id: word(0),
            program: word(4),
            version: word(8),
            protocol: u8::try_from(word(12)).unwrap_or(0),
        }
    }

    fn store(&self, data: &mut [u8]) {
        let words = [
            self.id,
            self.program,
            self.version,
            u32::from(self.protocol),
        ];
        for (place, word) in data.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
    }
}

/// XDR (RFC 4506): words in network order.
struct Xdr<'a>(&'a [u8]);

impl Xdr<'_> {
    fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*word))
    }

    fn is(&mut self, wanted: u32) -> Option<()> {
        (self.word()? == wanted).then_some(())
    }

    /// Credentials or a verifier: flavour, length, that many bytes, padded.
    fn skip_auth(&mut self) -> Option<()> {
        self.word()?;
        let len = self.word().filter(|len| *len <= MOST_AUTH_BYTES)?;
        let len = usize::try_from(len).ok()?.next_multiple_of(4);
        self.0 = self.0.get(len..)?;
        Some(())
    }
}

pub(crate) fn inspect(packet: &Packet<'_>, flow: Flow<'_>, data: &mut [u8]) -> Finding {
    let mut finding = Finding::default();
    let tcp = packet.protocol() == proto::TCP;
    if tcp && !flow.established() {
        return finding;
    }
    // Records of a stream have their length in front.
    let skip = if tcp { 4 } else { 0 };
    let mut xdr = Xdr(packet.payload().get(skip..).unwrap_or_default());
    let (Some(id), Some(kind)) = (xdr.word(), xdr.word()) else {
        return finding;
    };
    let mut question = Question::load(data);
    match (kind, flow.direction()) {
        (CALL, Direction::Original) => match call(&mut xdr, id) {
            Some(asked) => question = asked,
            None => question.id = 0,
        },
        (REPLY, Direction::Reply) => {
            if id == question.id {
                if let Some(port) = reply(&mut xdr) {
                    announce(flow, packet, question.protocol, port, &mut finding);
                }
            }
            question.id = 0;
        }
        _ => question.id = 0,
    }
    question.store(data);
    finding
}

fn call(xdr: &mut Xdr<'_>, id: u32) -> Option<Question> {
    for wanted in [RPC_VERSION, PORTMAPPER, PORTMAPPER_VERSION, GETPORT] {
        xdr.is(wanted)?;
    }
    xdr.skip_auth()?;
    xdr.skip_auth()?;
    let (program, version, protocol) = (xdr.word()?, xdr.word()?, xdr.word()?);
    xdr.is(0)?;
    let protocol = u8::try_from(protocol).ok()?;
    (xdr.0.is_empty() && matches!(protocol, proto::TCP | proto::UDP)).then_some(Question {
        id,
        program,
        version,
        protocol,
    })
}

fn reply(xdr: &mut Xdr<'_>) -> Option<u16> {
    // Accepted, verifier, success.
    xdr.is(0)?;
    xdr.skip_auth()?;
    xdr.is(0)?;
    let port = u16::try_from(xdr.word()?).ok()?;
    (xdr.0.is_empty() && port != 0).then_some(port)
}

fn announce(flow: Flow<'_>, packet: &Packet<'_>, protocol: u8, port: u16, finding: &mut Finding) {
    let original = flow.tuple(Direction::Original);
    let expect = flow.expect(Expected {
        from: Some(original.src),
        from_port: None,
        to: original.dst,
        to_port: port,
        protocol,
        flags: PERMANENT,
    });
    if !flow.has_status(status::SRC_NAT | status::DST_NAT) {
        finding.add(expect, How::Before);
        return;
    }
    let rewrite = Rewrite {
        // The port is the last word.
        at: packet.payload().len().saturating_sub(4),
        len: 4,
        style: Style::Word,
    };
    finding.add_translated(flow, expect, Direction::Original, Some(rewrite));
}
