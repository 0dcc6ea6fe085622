//! What fuzzing asks of the dialogues: whatever a server says, they keep within their bounds and agree with themselves. Used by
//! crates/fuzz and, with the committed inputs, by tests.

use super::{dns, http, icmp_echo, smtp, udp};
use net_types::Family;

/// An answer of a web server, in pieces whose sizes the first byte chooses: the pieces must not matter.
pub fn http(data: &[u8]) {
    let Some((&size, answer)) = data.split_first() else {
        return;
    };
    let read = |size: usize| {
        let mut reader = http::Answer::new(true);
        let mut rest = answer;
        while !rest.is_empty() && reader.room() > 0 {
            let length = size.min(reader.room()).min(rest.len());
            let (now, later) = rest.split_at(length);
            let piece = reader.take(now);
            assert!(piece.counted <= piece.body.len());
            rest = later;
        }
        reader.end()
    };
    let (whole, pieces) = (read(http::HEAD_MAX), read(usize::from(size).max(1)));
    assert_eq!(whole.is_some(), pieces.is_some());
    if let (Some(whole), Some(pieces)) = (whole, pieces) {
        assert_eq!(whole.received, pieces.received);
        // Both may only find a length in what came with the headers, which depends on the pieces.
        if whole.content_length == pieces.content_length {
            assert_eq!(whole.digest, pieces.digest);
        }
    }
}

/// What a mail server says, in pieces of the first byte's size.
pub fn smtp(data: &[u8]) {
    let Some((&size, mut rest)) = data.split_first() else {
        return;
    };
    let mut dialogue = smtp::Dialogue::new("checker.example");
    while !rest.is_empty() {
        let (room, _) = dialogue.room();
        assert!((1..=smtp::LINE_MAX).contains(&room));
        let length = usize::from(size).max(1).min(room).min(rest.len());
        let (now, later) = rest.split_at(length);
        match dialogue.take(now) {
            smtp::Next::Read => {}
            smtp::Next::Send(line) => assert!(line.len() <= smtp::LINE_MAX),
            smtp::Next::Up | smtp::Next::Down(_) => return,
        }
        rest = later;
    }
}

/// A datagram of a name server; also as a name to ask for.
pub fn dns(data: &[u8]) {
    if let Some((&[high, low], datagram)) = data.split_first_chunk() {
        let id = u16::from_be_bytes([high, low]);
        if let dns::Answer::Code(code) = dns::answer(id, datagram) {
            assert!((1..16).contains(&code));
        }
        if let Ok(name) = core::str::from_utf8(datagram) {
            let question = dns::question(id, name, 1);
            assert!((17..=dns::ANSWER_MAX).contains(&question.len()));
            assert_eq!(dns::answer(id, &question), dns::Answer::Other);
        }
    }
}

/// An echo reply, of either family.
pub fn icmp_echo(data: &[u8]) {
    for family in [Family::V4, Family::V6] {
        let good = icmp_echo::reply(family, 1, data).is_ok();
        assert!(!good || (data.len() >= 8 && data.get(6..8) == Some(&[0, 1][..])));
    }
}

/// A datagram, with wanted octets and masks from its first half.
pub fn udp(data: &[u8]) {
    let (wanted, datagram) = data.split_at(data.len() / 2);
    let mut pairs = [(0, 0); 64];
    for (pair, two) in pairs.iter_mut().zip(wanted.chunks_exact(2)) {
        if let [octet, mask] = two {
            *pair = (*octet, *mask);
        }
    }
    let wanted = pairs.get(..wanted.len() / 2).unwrap_or(&pairs);
    let good = udp::reply(wanted, 0, u16::MAX, datagram);
    assert!(good || !wanted.is_empty());
}
