//! Addresses with ports as the configuration writes them, and addresses as the original prints them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::engine::Ctx;

/// An address in the notation that the word's `:` decides (IPv6 with, IPv4 without); nothing else is accepted.
pub fn parse_ip(word: &str) -> Option<IpAddr> {
    if word.contains(':') {
        word.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    } else {
        word.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
    }
}

impl Ctx<'_> {
    /// Address and port as server lines have them. The address may be followed by `-END` or `/MASK`, which is ignored
    /// here. Port 0 stands for "none". A bad port is reported, a bad address is not (the original's inet_stosockaddr).
    pub fn read_sockaddr(&mut self, ip: &str, port: Option<&str>) -> Option<SocketAddr> {
        let port = match port {
            Some(word) => self.read_unsigned(word, 1, 65_535, true)?,
            None => 0,
        };
        let ip = ip
            .split_once('-')
            .or_else(|| ip.split_once('/'))
            .map_or(ip, |(start, _)| start);
        // The family is decided by the whole word, so a `:` after the `-` makes it IPv6; inet_pton then refuses.
        parse_ip(ip).map(|ip| SocketAddr::new(ip, u16::try_from(port).unwrap_or(0)))
    }
}

/// Prints an address as inet_ntop does. Rust's own form differs for IPv4-compatible IPv6 addresses (`::1.2.3.4`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown(pub IpAddr);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let IpAddr::V6(v6) = self.0 {
            let [a, b, c, d, e, g, h, i] = v6.segments();
            if [a, b, c, d, e, g] == [0; 6] && h != 0 {
                let [h1, h2] = h.to_be_bytes();
                let [i1, i2] = i.to_be_bytes();
                return write!(f, "::{h1}.{h2}.{i1}.{i2}");
            }
        }
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn family_is_decided_by_the_colon() {
        assert_eq!(parse_ip("1.2.3.4"), Some(IpAddr::from([1, 2, 3, 4])));
        assert_eq!(parse_ip("01.2.3.4"), None);
        assert_eq!(parse_ip("fe80::1%eth0"), None);
        assert_eq!(parse_ip(""), None);
    }

    #[test]
    fn addresses_are_shown_like_inet_ntop() {
        for text in [
            "::",
            "::1",
            "::1.2.3.4",
            "::ffff:1.2.3.4",
            "2001:db8::1:0:0:1",
            "1.2.3.4",
        ] {
            assert_eq!(Shown(parse_ip(text).unwrap()).to_string(), text);
        }
    }
}
