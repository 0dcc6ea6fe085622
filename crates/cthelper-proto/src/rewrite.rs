//! Places of a payload that name an address or a port which translation changes.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

/// A 16-bit number in network order at an offset.
pub(crate) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let rest = bytes.get(at..)?;
    rest.first_chunk().map(|b| u16::from_be_bytes(*b))
}

/// A 32-bit number in network order at an offset.
pub(crate) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let rest = bytes.get(at..)?;
    rest.first_chunk().map(|b| u32::from_be_bytes(*b))
}

/// How a port, with or without an address, is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// 192,168,1,1,5,6 (RFC 959)
    Commas(IpAddr),
    /// |1|132.235.1.2|6275| (RFC 2428)
    Eprt(IpAddr),
    /// |||6275| (RFC 2428)
    Epsv,
    /// 192.168.1.1:80
    Url(IpAddr),
    /// 192.168.1.1)(PORT=1521)
    Tns(IpAddr),
    /// 50516
    Decimal,
    /// Four bytes (RFC 1833).
    Word,
}

impl Style {
    fn text(self, port: u16) -> Vec<u8> {
        let text: String = match self {
            Self::Commas(IpAddr::V4(ip)) => {
                let [a, b, c, d] = ip.octets();
                let [high, low] = port.to_be_bytes();
                format!("{a},{b},{c},{d},{high},{low}")
            }
            // Nothing says an IPv6 address so; the caller does not ask for it.
            Self::Commas(IpAddr::V6(_)) => String::new(),
            Self::Eprt(ip @ IpAddr::V4(_)) => format!("|1|{ip}|{port}|"),
            Self::Eprt(ip @ IpAddr::V6(_)) => format!("|2|{ip}|{port}|"),
            Self::Epsv => format!("|||{port}|"),
            Self::Url(IpAddr::V4(ip)) => format!("{ip}:{port}"),
            // The brackets stay where they are.
            Self::Url(IpAddr::V6(ip)) => format!("{ip}]:{port}"),
            Self::Tns(ip) => format!("{ip})(PORT={port})"),
            Self::Decimal => format!("{port}"),
            Self::Word => return u32::from(port).to_be_bytes().to_vec(),
        };
        text.into_bytes()
    }
}

/// One place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rewrite {
    /// Offset in the payload.
    pub(crate) at: usize,
    /// Bytes there.
    pub(crate) len: usize,
    pub(crate) style: Style,
}

impl Rewrite {
    /// Writes `port` there. `None` when the payload has no such place.
    pub(crate) fn apply(&self, payload: &mut Vec<u8>, port: u16) -> Option<()> {
        let end = self.at.checked_add(self.len)?;
        let text = self.style.text(port);
        let (old, new) = (self.len, text.len());
        if new == 0 || end > payload.len() {
            return None;
        }
        let rest = payload.split_off(end);
        payload.truncate(self.at);
        payload.extend_from_slice(&text);
        payload.extend_from_slice(&rest);
        if matches!(self.style, Style::Tns(_)) && old != new {
            crate::tns::lengths(payload, old, new);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_style() {
        let v4: IpAddr = "10.9.0.1".parse().unwrap();
        let v6: IpAddr = "fd00::9".parse().unwrap();
        for (style, port, text) in [
            (Style::Commas(v4), 0x0506, "10,9,0,1,5,6"),
            (Style::Eprt(v4), 6275, "|1|10.9.0.1|6275|"),
            (Style::Eprt(v6), 6275, "|2|fd00::9|6275|"),
            (Style::Epsv, 65535, "|||65535|"),
            (Style::Url(v4), 80, "10.9.0.1:80"),
            (Style::Url(v6), 80, "fd00::9]:80"),
            (Style::Tns(v4), 1521, "10.9.0.1)(PORT=1521)"),
            (Style::Decimal, 50516, "50516"),
            (Style::Word, 0x0102, "\0\0\u{1}\u{2}"),
        ] {
            assert_eq!(style.text(port), text.as_bytes());
        }
    }

    #[test]
    fn a_place_outside_is_refused() {
        let rewrite = Rewrite {
            at: 3,
            len: 2,
            style: Style::Decimal,
        };
        let mut payload = b"abcdef".to_vec();
        rewrite.apply(&mut payload, 12345).unwrap();
        assert_eq!(payload, b"abc12345f");
        let mut short = b"abcd".to_vec();
        assert_eq!(rewrite.apply(&mut short, 1), None);
        assert_eq!(short, b"abcd");
    }
}
