//! Random packets, and real ones with random changes, through every helper.

const TEXTS: [&[u8]; 8] = [
    b"PORT 10,0,0,1,4,210\r\n",
    b"229 Extended (|||50000|)\r\n",
    b"CONNECT DATA 50516 MESG 50517 INDEX 9\n",
    b"\0\x01file\0octet\0",
    b"\0\x50\0\0\x05\0\0\0\0\x40(ADDRESS=(HOST=10.9.0.2)(PORT=1526))",
    b"M-SEARCH * HTTP/1.1\r\nLOCATION: http://10.0.0.7:49152/d.xml\r\n\r\n",
    b"SUBSCRIBE /e HTTP/1.1\r\nCALLBACK: <http://[fd00::1]:5000/cb>\r\n\r\n",
    b"\0\0\0\x4d\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x08\x01",
];

/// xorshift64
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap_or(0) % n.max(1)
    }
}

#[test]
fn no_packet_is_a_surprise() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..200_000 {
        let mut bytes: Vec<u8> = (0..28).map(|_| random.byte()).collect();
        if random.below(2) == 0 {
            // Private data such as the helpers make.
            bytes[4..28].fill(0);
            bytes[4] = 1;
            bytes[20] = 2;
            bytes[24] = 2;
        }
        let protocol = [6, 17][random.below(2)];
        if random.below(4) == 0 {
            bytes.extend([0x60, 0, 0, 0, 0, 0, protocol, 64]);
            bytes.extend([0xff; 32]);
        } else {
            bytes.extend([0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0]);
            bytes.extend([10, 0, 0, 1, 10, 9, 0, 2]);
        }
        if protocol == 6 {
            bytes.extend([
                3, 232, 0, 21, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x18, 1, 0, 0, 0, 0, 0,
            ]);
        } else {
            bytes.extend([3, 232, 0, 21, 0, 0, 0, 0]);
        }
        let text = TEXTS[random.below(TEXTS.len())];
        bytes.extend_from_slice(text);
        for _ in 0..random.below(4) {
            let at = 28 + random.below(bytes.len() - 28);
            bytes[at] = random.byte();
        }
        if random.below(3) == 0 {
            bytes.truncate(28 + random.below(bytes.len() - 28));
        }
        cthelper_proto::fuzz(&bytes);
    }
}
