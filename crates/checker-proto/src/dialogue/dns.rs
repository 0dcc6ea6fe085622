//! `DNS_CHECK`: one question.
//!
//! The original looks at the header of the answer only: its number, that it is an answer, and its code. Names are not read, so
//! loops and lies in them do no harm.
//! Answers to: keepalived 2.3.3 check/check_dns.c, RFC 1035 section 4.1.1.

use alloc::vec::Vec;

/// Longest answer that is taken.
pub const ANSWER_MAX: usize = 768;
/// A question is cut off there.
const QUESTION_MAX: usize = 768;
/// Less can not even be compared: the original asks for as many bytes as a pointer has.
const ANSWER_MIN: usize = 8;
const INTERNET: u16 = 1;
const RECURSION_DESIRED: u16 = 0x0100;

/// The question for `name` (dots between labels, one at the end is ignored; empty or `.` is the root) and a record type.
pub fn question(id: u16, name: &str, record: u16) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len().saturating_add(18));
    for word in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    let mut labels = name.as_bytes();
    if name == "." {
        labels = b"";
    }
    let labels = labels.strip_suffix(b".").unwrap_or(labels);
    if !labels.is_empty() {
        for label in labels.split(|c| *c == b'.') {
            // The configuration has limited it.
            let length = u8::try_from(label.len()).unwrap_or(u8::MAX);
            out.push(length);
            out.extend(label.iter().take(usize::from(length)));
        }
    }
    out.push(0);
    out.truncate(QUESTION_MAX.saturating_sub(4));
    out.extend_from_slice(&record.to_be_bytes());
    out.extend_from_slice(&INTERNET.to_be_bytes());
    out
}

/// What a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing that concerns this question: the answer may still come.
    Other,
    /// The answer, without an error.
    Good,
    /// The answer; the server could or would not (1 to 15).
    Code(u8),
}

/// Reads a datagram that may be the answer to question `id`.
pub fn answer(id: u16, datagram: &[u8]) -> Answer {
    if datagram.len() < ANSWER_MIN {
        return Answer::Other;
    }
    let &[a, b, flags, code, ..] = datagram else {
        return Answer::Other;
    };
    if [a, b] != id.to_be_bytes() || flags & 0x80 == 0 {
        return Answer::Other;
    }
    match code & 0x0f {
        0 => Answer::Good,
        code => Answer::Code(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions() {
        assert_eq!(
            question(0x1234, "www.example", 1),
            b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x00\x00\x01\x00\x01"
        );
        let root = b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x01";
        assert_eq!(question(1, ".", 6), root);
        assert_eq!(question(1, "", 6), root);
        assert_eq!(question(1, "a.", 6), question(1, "a", 6));
        assert!(question(1, &"x.".repeat(3000), 6).len() <= QUESTION_MAX);
    }

    #[test]
    fn answers() {
        let reply = |flags: [u8; 2]| [0, 1, flags[0], flags[1], 0, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(answer(1, &reply([0x81, 0x80])), Answer::Good);
        assert_eq!(answer(1, &reply([0x81, 0x83])), Answer::Code(3));
        assert_eq!(answer(2, &reply([0x81, 0x80])), Answer::Other);
        assert_eq!(answer(1, &reply([0x01, 0x00])), Answer::Other);
        assert_eq!(answer(1, b"\x00\x01\x81\x80\x00\x00\x00"), Answer::Other);
        assert_eq!(answer(1, b""), Answer::Other);
    }
}
