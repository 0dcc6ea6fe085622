//! What a rule does with a packet, step by step.

use super::{NESTED, be32, value};
use crate::nla::Writer;

/// Where a packet's bytes are counted from (`NFT_PAYLOAD_…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The IP header.
    Network = 1,
    /// The header behind it.
    Transport = 2,
}

/// A register of 16 bytes (`NFT_REG_…`), or of four. A value longer than that goes on in the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// `NFT_REG_1`
    R1 = 1,
    /// `NFT_REG_2`
    R2 = 2,
    /// `NFT_REG32_01`: the second four bytes of [`Register::R1`].
    R1Second = 9,
}

/// What is known of a packet besides its bytes (`NFT_META_…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaKey {
    /// `mark`
    Mark = 3,
    /// `iif`: number of the interface it came in by
    InputIndex = 4,
    /// `oif`: number of the interface it leaves by
    OutputIndex = 5,
    /// `iifname`
    InputName = 6,
    /// `oifname`
    OutputName = 7,
    /// `l4proto`
    Protocol = 16,
    /// `oifkind`: the kind of the interface it leaves by, 16 bytes
    OutputKind = 27,
}

/// What becomes of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It is dropped.
    Drop,
    /// It goes on to the next chain of the hook.
    Accept,
    /// It goes to another chain and does not come back.
    Goto(&'a str),
    /// The chain ends here.
    Return,
}

/// One step of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expr<'a> {
    /// Bytes of the packet into a register.
    Payload {
        /// The header.
        base: Base,
        /// First byte.
        offset: u32,
        /// How many.
        len: u32,
        /// Where to.
        to: Register,
    },
    /// What is known of the packet into a register.
    Meta {
        /// What.
        key: MetaKey,
        /// Where to.
        to: Register,
    },
    /// A register into what is known of the packet.
    SetMeta {
        /// What.
        key: MetaKey,
        /// Where from.
        from: Register,
    },
    /// Ends the rule unless the register has this value.
    Equal {
        /// The register.
        from: Register,
        /// The value.
        value: &'a [u8],
    },
    /// Keeps only the bits of the mask.
    Mask {
        /// The register.
        register: Register,
        /// The bits.
        mask: &'a [u8],
    },
    /// Ends the rule unless the register's value is in the set; a map's value goes into a register.
    Lookup {
        /// The key.
        from: Register,
        /// The map's value.
        to: Option<Register>,
        /// The set.
        set: &'a str,
        /// The set's number in the transaction; names come first.
        set_id: Option<u32>,
    },
    /// Sends a copy.
    Duplicate {
        /// Register with the address of the next hop.
        address: Register,
        /// Register with the interface's number.
        device: Register,
    },
    /// Counts packets and bytes.
    Counter,
    /// The end.
    Verdict(Verdict<'a>),
}

impl Expr<'_> {
    const fn name(&self) -> &'static str {
        match self {
            Self::Payload { .. } => "payload",
            Self::Meta { .. } | Self::SetMeta { .. } => "meta",
            Self::Equal { .. } => "cmp",
            Self::Mask { .. } => "bitwise",
            Self::Lookup { .. } => "lookup",
            Self::Duplicate { .. } => "dup",
            Self::Counter => "counter",
            Self::Verdict(_) => "immediate",
        }
    }

    /// Writes name and data; the order of attributes is libnftnl's.
    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.text(1, self.name());
        w.nest(2 | NESTED, |w| self.data(w));
    }

    fn data(&self, w: &mut Writer<'_>) {
        match *self {
            Self::Payload {
                base,
                offset,
                len,
                to,
            } => {
                be32(w, 1, to as u32);
                be32(w, 2, base as u32);
                be32(w, 3, offset);
                be32(w, 4, len);
            }
            Self::Meta { key, to } => {
                be32(w, 2, key as u32);
                be32(w, 1, to as u32);
            }
            Self::SetMeta { key, from } => {
                be32(w, 2, key as u32);
                be32(w, 3, from as u32);
            }
            Self::Equal { from, value: v } => {
                be32(w, 1, from as u32);
                be32(w, 2, 0);
                value(w, 3, v);
            }
            Self::Mask { register, mask } => {
                be32(w, 1, register as u32);
                be32(w, 2, register as u32);
                be32(w, 3, u32::try_from(mask.len()).unwrap_or(0));
                value(w, 4, mask);
                let zero = [0; 16];
                value(w, 5, zero.get(..mask.len()).unwrap_or(&zero));
            }
            Self::Lookup {
                from,
                to,
                set,
                set_id,
            } => {
                be32(w, 2, from as u32);
                if let Some(to) = to {
                    be32(w, 3, to as u32);
                }
                w.text(1, set);
                if let Some(id) = set_id {
                    be32(w, 4, id);
                }
            }
            Self::Duplicate { address, device } => {
                be32(w, 1, address as u32);
                be32(w, 2, device as u32);
            }
            Self::Counter => {}
            Self::Verdict(verdict) => {
                be32(w, 1, 0);
                w.nest(2 | NESTED, |w| w.nest(2 | NESTED, |w| verdict.write(w)));
            }
        }
    }
}

impl Verdict<'_> {
    fn write(self, w: &mut Writer<'_>) {
        /// `NFT_GOTO`: -4
        const GOTO: u32 = u32::MAX - 3;
        /// `NFT_RETURN`: -5
        const RETURN: u32 = u32::MAX - 4;
        match self {
            Self::Drop => be32(w, 1, 0),
            Self::Accept => be32(w, 1, 1),
            Self::Return => be32(w, 1, RETURN),
            Self::Goto(chain) => {
                be32(w, 1, GOTO);
                w.text(2, chain);
            }
        }
    }
}
