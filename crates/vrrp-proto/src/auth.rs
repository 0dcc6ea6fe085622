//! Authentication beyond a password in clear: who sent an advert, and whether it was sent before.
//!
//! In: adverts with their bytes, keys from the configuration. Out: a verdict, and what a sender puts into its own adverts.
//! Answers to: RFC 2402 and 2403 as keepalived 2.3.3 reads them ([`ah`]), keepalived-since-2.3.3.md ([`trailer`]).

pub mod ah;
pub mod trailer;

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use md5::Md5;
use sha2::Sha256;

/// A keyed digest being formed; cut to the length of what it is compared with.
#[derive(Clone, Debug)]
enum Keyed {
    Md5(Hmac<Md5>),
    Sha256(Hmac<Sha256>),
}

impl Keyed {
    fn md5(key: &[u8]) -> Option<Self> {
        <Hmac<Md5> as KeyInit>::new_from_slice(key)
            .ok()
            .map(Self::Md5)
    }

    fn sha256(key: &[u8]) -> Option<Self> {
        <Hmac<Sha256> as KeyInit>::new_from_slice(key)
            .ok()
            .map(Self::Sha256)
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(mac) => mac.update(bytes),
            Self::Sha256(mac) => mac.update(bytes),
        }
    }

    /// The first `N` octets.
    fn cut<const N: usize>(self) -> Option<[u8; N]> {
        match self {
            Self::Md5(mac) => mac.finalize().into_bytes().first_chunk().copied(),
            Self::Sha256(mac) => mac.finalize().into_bytes().first_chunk().copied(),
        }
    }

    /// Whether the digest starts with `theirs`, in a time that does not tell where it differs.
    fn is(self, theirs: &[u8]) -> bool {
        match self {
            Self::Md5(mac) => mac.verify_truncated_left(theirs).is_ok(),
            Self::Sha256(mac) => mac.verify_truncated_left(theirs).is_ok(),
        }
    }
}
