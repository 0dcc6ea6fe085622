//! Bytes of configuration files as text, and back without loss.

/// First of 256 private characters that stand for bytes that are not UTF-8.
const RAW: u32 = 0x0010_FE00;

/// Text of the bytes. A byte that is not part of UTF-8 becomes a private character, so that [`encode`] gives it back.
pub fn decode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(
            chunk
                .invalid()
                .iter()
                .filter_map(|b| char::from_u32(RAW + u32::from(*b))),
        );
    }
    out
}

/// The bytes that [`decode`] had read: what goes to the wire, to scripts and to logs.
pub fn encode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut buffer = [0; 4];
    for c in text.chars() {
        match u32::from(c)
            .checked_sub(RAW)
            .and_then(|b| u8::try_from(b).ok())
        {
            Some(raw) => out.push(raw),
            None => out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_byte_is_lost() {
        let bytes: Vec<u8> = (0..=255).chain("äöü€".bytes()).collect();
        assert_eq!(super::encode(&super::decode(&bytes)), bytes);
    }
}
