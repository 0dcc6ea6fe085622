//! Packets of 2.3.3, both ways, and octets that are none.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bfd_proto::wire::{DecodeError, LENGTH, Packet, State};

const RECORDED: &str = include_str!("../../../testdata/wire/bfd/control.txt");

fn octets(hex: &str) -> Vec<u8> {
    let digit = |n: usize| u8::from_str_radix(&hex[n..n + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

#[test]
fn recorded_packets_there_and_back() {
    let mut count = 0;
    for line in RECORDED.lines().filter(|l| !l.starts_with('#')) {
        let words: Vec<_> = line.split(' ').collect();
        let bytes = octets(words[0]);
        let packet = Packet::decode(&bytes).unwrap();
        assert_eq!(packet.encode()[..], bytes[..], "{line}");
        let flags = match (packet.poll, packet.is_final) {
            (true, _) => "P",
            (_, true) => "F",
            _ => "-",
        };
        let shown = format!(
            "{:?} {} {flags} {} {} {} {}",
            packet.state,
            packet.diagnostic as u8,
            packet.multiplier,
            packet.min_tx,
            packet.min_rx,
            if packet.your_discriminator == 0 {
                "alone"
            } else {
                "answered"
            }
        );
        assert_eq!(shown, words[1..].join(" "));
        count += 1;
    }
    assert!(count > 10);
}

#[test]
fn refusals_in_their_order() {
    let good = octets(RECORDED.lines().nth(2).unwrap().split(' ').next().unwrap());
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        Packet::decode(&bytes)
    };
    assert_eq!(Packet::decode(&good[..23]), Err(DecodeError::TooSmall(23)));
    assert_eq!(with(3, 25), Err(DecodeError::Length(25, LENGTH)));
    assert_eq!(with(0, 0x40), Err(DecodeError::Version(2)));
    assert_eq!(with(2, 0), Err(DecodeError::Multiplier));
    assert_eq!(with(1, 0x41), Err(DecodeError::Multipoint));
    let mut bytes = good.clone();
    bytes[4..8].fill(0);
    assert_eq!(Packet::decode(&bytes), Err(DecodeError::MyDiscriminator));
    bytes.copy_from_slice(&good);
    bytes[8..12].fill(0);
    for state in State::ALL {
        bytes[1] = (state as u8) << 6;
        let refused = matches!(state, State::Init | State::Up);
        let expected = if refused {
            Err(DecodeError::YourDiscriminator)
        } else {
            Ok(state)
        };
        assert_eq!(Packet::decode(&bytes).map(|p| p.state), expected);
    }
    assert_eq!(with(1, 0x70), Err(DecodeError::PollAndFinal));
    assert_eq!(with(0, 0x29), Err(DecodeError::Diagnostic(9)));
    // A longer datagram whose length field says so is one with a section behind it.
    let mut longer = good.clone();
    longer.extend([0; 4]);
    longer[3] = 28;
    longer[1] |= 0x04;
    assert!(Packet::decode(&longer).unwrap().authentication);
}

#[test]
fn no_octets_make_it_panic() {
    let mut x = 1_u32;
    for _ in 0..20_000 {
        let mut bytes = Vec::new();
        for _ in 0..(x % 40) {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bytes.push((x >> 24) as u8);
        }
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if let Ok(packet) = Packet::decode(&bytes) {
            assert_eq!(
                Packet::decode(&packet.encode()).unwrap().state,
                packet.state
            );
        }
    }
}
