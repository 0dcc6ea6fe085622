//! Where the messages of a stream begin, and whether they do.
//!
//! The engine puts messages together again; this only counts along. A sender that lost bytes in the middle (1.4.8 drops the
//! rest of a buffer that the system took only part of) leaves a stream in which every later message begins at the wrong
//! place. There is no mark to find the next one by, so the connection has to start anew.

use ctsync_proto::wire::{CTL, EXP_DEL, HEADER, VERSION};

/// Bytes of a header that tell version, type and length.
const HEAD: usize = 4;

/// Follows a stream from its first byte on.
#[derive(Debug, Default)]
pub(super) struct Framing {
    head: [u8; HEAD],
    have: usize,
    /// Bytes of the message that are still to come, behind its head.
    left: usize,
}

impl Framing {
    /// Goes on by `bytes`; where in them a header begins that is none.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut at = 0_usize;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if self.left > 0 {
                let step = self.left.min(rest.len());
                self.left = self.left.saturating_sub(step);
                at = at.saturating_add(step);
                continue;
            }
            let begin = at.saturating_sub(self.have);
            for (to, from) in self.head.iter_mut().skip(self.have).zip(rest) {
                *to = *from;
                self.have = self.have.saturating_add(1);
                at = at.saturating_add(1);
            }
            if self.have == HEAD {
                self.have = 0;
                self.left = behind_head(self.head).ok_or(begin)?;
            }
        }
        Ok(())
    }
}

/// How many bytes of a message follow its first four; `None` when these can not be a message's.
fn behind_head([first, _, l0, l1]: [u8; HEAD]) -> Option<usize> {
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    let kind = first & 0x0f;
    let known = first >> 4 == VERSION && (kind <= EXP_DEL || kind == CTL) && len >= HEADER;
    known.then(|| len.saturating_sub(HEAD))
}

/// The beginning of the message that is cut when only the first `sent` bytes of a buffer have gone out.
pub(super) fn cut_message(buffer: &[u8], sent: usize) -> usize {
    let mut at = 0_usize;
    while at < sent {
        let head = buffer.get(at..).and_then(|rest| rest.first_chunk());
        let Some(behind) = head.and_then(|head| behind_head(*head)) else {
            return at;
        };
        let next = at.saturating_add(HEAD).saturating_add(behind);
        if next > sent {
            return at;
        }
        at = next;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ALIVE, an ACK and a state message of 12 bytes.
    const STREAM: [u8; 36] = [
        0x1a, 0x10, 0, 8, 0, 0, 0, 1, //
        0x1a, 0x08, 0, 16, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, //
        0x10, 0, 0, 12, 0, 0, 0, 3, 0xff, 0xff, 0xff, 0xff,
    ];

    #[test]
    fn messages_in_pieces_of_every_size_are_followed() {
        for size in 1..=STREAM.len() {
            let mut framing = Framing::default();
            for piece in STREAM.chunks(size) {
                assert_eq!(framing.follow(piece), Ok(()), "pieces of {size}");
            }
            assert_eq!((framing.have, framing.left), (0, 0));
        }
    }

    /// What either end of a recorded connection of 1.4.8 sent.
    fn recorded(from: &str) -> Vec<u8> {
        let lines = include_str!("../../../testdata/wire/ctsync/09-ftfw-tcp.hex").lines();
        let mut stream = Vec::new();
        for (sender, hex) in lines.filter_map(|line| line.split_once(' ')) {
            if sender == from {
                let digits = hex.as_bytes().chunks(2).map(|two| {
                    let two = std::str::from_utf8(two).expect("ASCII");
                    u8::from_str_radix(two, 16).expect("hexadecimal digits")
                });
                stream.extend(digits);
            }
        }
        stream
    }

    #[test]
    fn the_originals_streams_are_followed() {
        for from in ["01", "02"] {
            let stream = recorded(from);
            assert!(stream.len() > 100, "{from}");
            for size in [1, 7, 1000, stream.len()] {
                let mut framing = Framing::default();
                for piece in stream.chunks(size) {
                    assert_eq!(framing.follow(piece), Ok(()), "{from} in pieces of {size}");
                }
                assert_eq!((framing.have, framing.left), (0, 0));
            }
            // One byte lost is seen: no later message is taken for what it is not for long.
            let mut framing = Framing::default();
            assert!(framing.follow(&stream[1..]).is_err());
            assert_eq!(cut_message(&stream, stream.len()), stream.len());
        }
    }

    #[test]
    fn what_is_no_header_is_found() {
        for (bytes, why) in [
            ([0x2a, 0, 0, 8], "another version"),
            ([0x1a, 0, 0, 7], "shorter than a header"),
            ([0x17, 0, 0, 8], "an unknown type"),
        ] {
            let mut stream = STREAM.to_vec();
            stream.extend_from_slice(&bytes);
            assert_eq!(
                Framing::default().follow(&stream),
                Err(STREAM.len()),
                "{why}"
            );
        }
        // A head in two pieces begins before the second one.
        let mut framing = Framing::default();
        assert_eq!(framing.follow(&[0x1a, 0x10]), Ok(()));
        assert_eq!(framing.follow(&[0, 0]), Err(0));
    }

    #[test]
    fn a_cut_buffer_is_sent_again_from_a_whole_message_on() {
        for (sent, begin) in [(0, 0), (5, 0), (8, 8), (9, 8), (23, 8), (24, 24), (36, 36)] {
            assert_eq!(cut_message(&STREAM, sent), begin, "{sent}");
        }
    }
}
