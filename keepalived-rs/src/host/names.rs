//! Files that give numbers names: services, protocols, hosts, iproute2's tables.

use std::fs;
use std::path::PathBuf;

use net_types::SortedMap;

pub(crate) const IPROUTE_ETC: &str = "/etc/iproute2";
pub(crate) const IPROUTE_USR: &str = "/usr/share/iproute2";

/// Lines of a table of names: words without the comment after `#`, empty lines left out.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().filter_map(|line| {
        let line = line.split('#').next().unwrap_or("");
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        (!words.is_empty()).then_some(words)
    })
}

/// Port of a service in the text of /etc/services.
pub(super) fn service(text: &str, name: &str, protocol: Option<&str>) -> Option<u16> {
    rows(text).find_map(|words| {
        let (port, proto) = words.get(1)?.split_once('/')?;
        let named = words.iter().enumerate().any(|(i, w)| i != 1 && *w == name);
        let wanted = protocol.is_none_or(|p| p == proto);
        (named && wanted).then(|| port.parse().ok())?
    })
}

/// Protocols that a configuration can name; OpenWrt's /etc/protocols is short, and may be missing.
const PROTOCOLS: &[(&str, u8)] = &[
    ("ip", 0),
    ("icmp", 1),
    ("igmp", 2),
    ("ipencap", 4),
    ("tcp", 6),
    ("egp", 8),
    ("igp", 9),
    ("udp", 17),
    ("dccp", 33),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("ipv6-icmp", 58),
    ("icmpv6", 58),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("eigrp", 88),
    ("ospf", 89),
    ("ipip", 94),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", 132),
    ("udplite", 136),
];

/// Number of an IP protocol in the text of /etc/protocols, or of the table above.
pub(super) fn protocol(text: &str, name: &str) -> Option<u8> {
    let listed = rows(text).find_map(|words| {
        let named = words.iter().enumerate().any(|(i, w)| i != 1 && *w == name);
        named.then(|| words.get(1)?.parse().ok())?
    });
    listed.or_else(|| PROTOCOLS.iter().find(|p| p.0 == name).map(|p| p.1))
}

/// The canonical name of `node` in the text of /etc/hosts: the first name of the line that has it.
pub(super) fn canonical(text: &str, node: &str) -> Option<String> {
    rows(text).find_map(|words| {
        let known = words.iter().skip(1).any(|w| w.eq_ignore_ascii_case(node));
        known.then(|| words.get(1).map(|w| (*w).to_owned()))?
    })
}

/// Where iproute2's tables are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dirs {
    etc: PathBuf,
    usr: PathBuf,
}

impl Dirs {
    /// Those of the configuration, or the usual ones.
    pub(super) fn new(etc: Option<&str>, usr: Option<&str>) -> Self {
        Self {
            etc: etc.unwrap_or(IPROUTE_ETC).into(),
            usr: usr.unwrap_or(IPROUTE_USR).into(),
        }
    }
}

impl Default for Dirs {
    fn default() -> Self {
        Self::new(None, None)
    }
}

/// One of iproute2's tables of names.
#[derive(Debug, Default)]
pub(super) struct NumberTable(SortedMap<String, u32>);

impl NumberTable {
    /// Reads `TABLE` in the etc directory (/etc/iproute2), or the one in the usr directory (/usr/share/iproute2) if there is none; then
    /// `TABLE.d/*.conf` of both, etc hiding files of the same name.
    pub(super) fn load(table: &str, dirs: &Dirs) -> Self {
        let mut this = Self::default();
        let (etc, usr) = (&dirs.etc, &dirs.usr);
        if let Ok(text) =
            fs::read_to_string(etc.join(table)).or_else(|_| fs::read_to_string(usr.join(table)))
        {
            this.add(&text);
        }
        let sub = format!("{table}.d");
        for dir in [usr.join(&sub), etc.join(&sub)] {
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let shown = name.to_string_lossy();
                let hidden = dir.starts_with(usr) && etc.join(&sub).join(&name).exists();
                if hidden || shown.starts_with('.') || !shown.ends_with(".conf") {
                    continue;
                }
                if let Ok(text) = fs::read_to_string(entry.path()) {
                    this.add(&text);
                }
            }
        }
        this
    }

    fn add(&mut self, text: &str) {
        for words in rows(text) {
            let [number, name, ..] = words.as_slice() else {
                continue;
            };
            let parsed = match number.strip_prefix("0x") {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            if let Ok(parsed) = parsed {
                self.0.insert((*name).to_owned(), parsed);
            }
        }
    }

    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.0.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services() {
        let text = "# x\nhttp 80/tcp www # web\ndomain 53/udp\ndomain 53/tcp\n";
        assert_eq!(service(text, "www", None), Some(80));
        assert_eq!(service(text, "domain", Some("tcp")), Some(53));
        assert_eq!(service(text, "http", Some("udp")), None);
        assert_eq!(service(text, "80/tcp", None), None);
    }

    #[test]
    fn protocols_are_known_without_the_file() {
        assert_eq!(protocol("", "tcp"), Some(6));
        assert_eq!(protocol("", "vrrp"), Some(112));
        assert_eq!(protocol("x 200 X\n", "X"), Some(200));
        assert_eq!(protocol("", "nothing"), None);
    }

    #[test]
    fn canonical_name() {
        let text = "127.0.0.1 localhost\n127.0.1.1 a.example a\n";
        assert_eq!(canonical(text, "A").as_deref(), Some("a.example"));
        assert_eq!(canonical(text, "b"), None);
    }

    #[test]
    fn tables_in_other_places() {
        let dir = std::env::temp_dir().join(format!("keepalived-names-{}", std::process::id()));
        let file = |name: &str, text: &str| {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        file("usr/rt_tables", "7 seven\n");
        file("usr/rt_tables.d/a.conf", "8 eight\n");
        file("etc/rt_tables.d/b.conf", "9 nine\n");
        let at = |name: &str| Some(dir.join(name).to_string_lossy().into_owned());
        let dirs = Dirs::new(at("etc").as_deref(), at("usr").as_deref());
        let table = NumberTable::load("rt_tables", &dirs);
        let found = ["seven", "eight", "nine", "ten"].map(|name| table.number(name));
        assert_eq!(found, [Some(7), Some(8), Some(9), None]);
        file("etc/rt_tables", "6 six\n");
        let table = NumberTable::load("rt_tables", &dirs);
        assert_eq!(
            (table.number("six"), table.number("seven")),
            (Some(6), None)
        );
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn numbers_in_both_bases() {
        let mut table = NumberTable::default();
        table.add("10 ten # c\n0x10 sixteen\nx y\n7\n");
        assert_eq!(table.number("ten"), Some(10));
        assert_eq!(table.number("sixteen"), Some(16));
        assert_eq!(table.number("y"), None);
    }
}
