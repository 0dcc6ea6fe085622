//! Names and numbers of routing tables, protocols, scopes, realms, DS fields and interface groups (iproute2's files).

use super::engine::Ctx;
use super::number::scan;

/// One of iproute2's name files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameTable {
    /// `rt_tables`
    Tables,
    /// `rt_dsfield`
    DsField,
    /// `rt_realms`
    Realms,
    /// `rt_protos`
    Protocols,
    /// `rt_scopes`
    Scopes,
    /// `group`
    Groups,
}

const SCOPES: &[(&str, u32)] = &[
    ("global", 0),
    ("nowhere", 255),
    ("host", 254),
    ("link", 253),
    ("site", 200),
];

const TABLES: &[(&str, u32)] = &[("default", 253), ("main", 254), ("local", 255)];

const PROTOCOLS: &[(&str, u32)] = &[
    ("none", 0),
    ("redirect", 1),
    ("kernel", 2),
    ("boot", 3),
    ("static", 4),
    ("gated", 8),
    ("ra", 9),
    ("mrt", 10),
    ("zebra", 11),
    ("bird", 12),
    ("babel", 42),
    ("dnrouted", 13),
    ("xorp", 14),
    ("ntk", 15),
    ("dhcp", 16),
];

impl NameTable {
    /// File name below iproute2's directory.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Tables => "rt_tables",
            Self::DsField => "rt_dsfield",
            Self::Realms => "rt_realms",
            Self::Protocols => "rt_protos",
            Self::Scopes => "rt_scopes",
            Self::Groups => "group",
        }
    }

    /// Largest number.
    pub const fn max(self) -> u32 {
        match self {
            Self::Tables => u32::MAX,
            Self::Groups => 0x7fff_ffff,
            Self::DsField | Self::Realms | Self::Protocols | Self::Scopes => 255,
        }
    }

    /// Names that have their numbers without any file (keepalived 2.3.3 lib/rttables.c).
    pub const fn built_in(self) -> &'static [(&'static str, u32)] {
        match self {
            Self::Tables => TABLES,
            Self::Protocols => PROTOCOLS,
            Self::Scopes => SCOPES,
            Self::DsField | Self::Realms | Self::Groups => &[],
        }
    }
}

/// Name of an address scope as the original's dumps show it, without a look at the files: a built-in name or the number.
pub fn scope_name(scope: u8) -> String {
    SCOPES
        .iter()
        .find(|(_, number)| *number == u32::from(scope))
        .map_or_else(|| scope.to_string(), |(name, _)| (*name).to_owned())
}

impl Ctx<'_> {
    /// The number of a name, or the number itself (decimal, `0x…` or `0…`). `None` for an unknown name or a number above
    /// the table's largest.
    pub fn iproute_number(&self, table: NameTable, word: &str) -> Option<u32> {
        let number = scan(word, 0);
        if !number.has_rest() && !word.is_empty() {
            // As C's strtoul and a cast to 32 bits: a minus sign wraps around, too many digits saturate.
            let wide = match (number.overflow, number.negative) {
                (true, _) => u64::MAX,
                (false, true) => number.magnitude.wrapping_neg(),
                (false, false) => number.magnitude,
            };
            let narrow = u32::try_from(wide & u64::from(u32::MAX)).unwrap_or(u32::MAX);
            return (narrow <= table.max()).then_some(narrow);
        }
        self.host
            .iproute_name(table.file(), word)
            .filter(|n| *n <= table.max())
            .or_else(|| {
                table
                    .built_in()
                    .iter()
                    .find(|(name, _)| *name == word)
                    .map(|(_, n)| *n)
            })
    }

    /// As [`Self::iproute_number`] for tables of small numbers.
    pub fn iproute_number_u8(&self, table: NameTable, word: &str) -> Option<u8> {
        self.iproute_number(table, word)
            .and_then(|n| u8::try_from(n).ok())
    }

    /// `[FROM/]TO` realms: from in the upper, to in the lower 16 bits.
    pub fn read_realms(&self, word: &str) -> Option<u32> {
        match word.split_once('/') {
            None => self.iproute_number(NameTable::Realms, word),
            Some((from, to)) => {
                let from = self.iproute_number(NameTable::Realms, from)?;
                let to = self.iproute_number(NameTable::Realms, to)?;
                Some(from << 16 | to)
            }
        }
    }
}
