//! Object identifiers and values (RFC 2741 section 5; RFC 2578 section 7.1 for their meaning).

use alloc::vec::Vec;

/// An object identifier. Ordered as a walk goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Oid(pub Vec<u32>);

impl Oid {
    /// Of these parts.
    pub fn new(parts: &[u32]) -> Self {
        Self(parts.to_vec())
    }

    /// With more parts at the end.
    pub fn with(&self, more: &[u32]) -> Self {
        let mut all = Vec::with_capacity(self.0.len().saturating_add(more.len()));
        all.extend_from_slice(&self.0);
        all.extend_from_slice(more);
        Self(all)
    }

    /// Whether `self` is `of` or below it.
    pub fn is_within(&self, of: &Self) -> bool {
        self.0.starts_with(&of.0)
    }
}

impl From<&[u32]> for Oid {
    fn from(parts: &[u32]) -> Self {
        Self::new(parts)
    }
}

/// A value with its syntax, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// INTEGER, Integer32.
    Integer(i32),
    /// OCTET STRING.
    Octets(Vec<u8>),
    /// NULL.
    Null,
    /// OBJECT IDENTIFIER.
    Oid(Oid),
    /// IpAddress.
    Address([u8; 4]),
    /// Counter32.
    Counter32(u32),
    /// Gauge32, Unsigned32.
    Unsigned(u32),
    /// TimeTicks, hundredths of a second.
    Ticks(u32),
    /// Opaque.
    Opaque(Vec<u8>),
    /// Counter64.
    Counter64(u64),
    /// No such column.
    NoSuchObject,
    /// The column exists, the row does not.
    NoSuchInstance,
    /// Nothing follows in the range asked for.
    EndOfMibView,
}

impl Value {
    /// A text.
    pub fn text(text: &str) -> Self {
        Self::Octets(text.as_bytes().to_vec())
    }

    /// TruthValue: true(1), false(2).
    pub const fn truth(value: bool) -> Self {
        Self::Integer(if value { 1 } else { 2 })
    }
}

/// A named value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VarBind {
    /// Which object.
    pub name: Oid,
    /// Its value.
    pub value: Value,
}
