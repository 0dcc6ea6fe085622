//! `authentication` (VRRPv2) and `auth_hmac` (keepalived 2.4).

use super::{complain, get, set};
use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Flow, Line, kw};
use crate::keepalived::model::vrrp_instance::{AuthHmac, AuthType, HmacKey, HmacMode};

/// Inside of `authentication`.
pub(super) static BLOCK: Block = Block {
    keywords: &[kw("auth_type", auth_type), kw("auth_pass", auth_pass)],
    end: None,
    guard: None,
};

/// Inside of `auth_hmac`.
pub(super) static HMAC_BLOCK: Block = Block {
    keywords: &[
        kw("key", key),
        kw("active_key", active_key),
        kw("time_window", time_window),
        kw("anti_replay", anti_replay),
        kw("mode", mode),
    ],
    end: None,
    guard: None,
};

fn auth_type(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match line.word(ctx, 1)? {
        "AH" => set(ctx, |i| i.auth_type = AuthType::Ah),
        "PASS" => set(ctx, |i| i.auth_type = AuthType::Pass),
        word => {
            complain(ctx, |n| {
                format!("({n}) unknown authentication type '{word}'")
            });
            Ok(())
        }
    }
}

fn auth_pass(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let mut pass = [0; 8];
    let bytes = crate::keepalived::text::encode(word);
    if bytes.len() > pass.len() {
        ctx.report(Class::GeneralError, "Truncating auth_pass to 8 characters");
    }
    for (to, from) in pass.iter_mut().zip(&bytes) {
        *to = *from;
    }
    set(ctx, |i| i.auth_pass = pass)
}

/// `auth_hmac { … }`; several blocks add up.
pub(super) fn hmac(ctx: &mut Ctx<'_>, _line: &Line) -> Flow {
    set(ctx, |i| {
        i.auth_hmac.get_or_insert_default();
    })
}

fn with(ctx: &mut Ctx<'_>, change: impl FnOnce(&mut AuthHmac)) -> Flow {
    set(ctx, |i| {
        if let Some(hmac) = &mut i.auth_hmac {
            change(hmac);
        }
    })
}

/// Longest file content: prefix, digits of the longest key, and some slack.
const KEY_FILE_MAX: usize = 139;

/// Octets of a key's text: `hex:…` or the text itself. An odd last digit is an octet of its own; a bad digit gives none.
fn decode(text: &[u8]) -> Vec<u8> {
    let Some(digits) = text.strip_prefix(b"hex:") else {
        return text.to_vec();
    };
    let octets = digits.chunks(2).map(|pair| {
        pair.iter().try_fold(0u8, |octet, digit| {
            let digit = char::from(*digit).to_digit(16)?;
            Some(octet.wrapping_mul(16) | u8::try_from(digit).ok()?)
        })
    });
    octets.collect::<Option<Vec<u8>>>().unwrap_or_default()
}

/// The key in a file; none, after a report, if it cannot be read.
fn key_from_file(ctx: &mut Ctx<'_>, path: &str) -> Option<Vec<u8>> {
    let facts = ctx.host.stat(path);
    let content = ctx.host.read(path);
    let (Ok(facts), Ok(mut content)) = (facts, content) else {
        complain(ctx, |n| {
            format!("({n}) auth_hmac key file '{path}' cannot be opened")
        });
        return None;
    };
    if facts.mode & 0o077 != 0 {
        let name = get(ctx, |i| i.name.to_string()).unwrap_or_default();
        ctx.report(
            Class::Security,
            format!("({name}) auth_hmac key file '{path}' is readable by group or others"),
        );
    }
    if content.len() >= KEY_FILE_MAX {
        complain(ctx, |n| {
            format!("({n}) auth_hmac key file '{path}' is too large")
        });
        return None;
    }
    while content.last().is_some_and(|c| matches!(c, b'\n' | b'\r')) {
        content.pop();
    }
    Some(decode(&content))
}

fn key(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if line.len() < 3 {
        complain(ctx, |n| {
            format!("({n}) auth_hmac key needs an id and a value")
        });
        return Ok(());
    }
    let word = line.word(ctx, 1)?;
    let id = ctx.read_unsigned(word, 1, 255, false);
    let Some(id) = id.and_then(|id| u8::try_from(id).ok()) else {
        complain(ctx, |n| {
            format!("({n}) auth_hmac key id '{word}' must be between 1 and 255")
        });
        return Ok(());
    };
    let value = line.word(ctx, 2)?;
    let secret = match value.strip_prefix("file:") {
        Some(path) => key_from_file(ctx, path),
        None => Some(decode(&crate::keepalived::text::encode(value))),
    };
    let length = secret.as_ref().map_or(0, Vec::len);
    let known = get(ctx, |i| {
        let mut keys = i.auth_hmac.iter().flat_map(|h| &h.keys);
        keys.any(|k| k.id == id)
    });
    match secret {
        Some(secret) if (32..=64).contains(&length) => {
            if known == Some(true) {
                complain(ctx, |n| format!("({n}) duplicate auth_hmac key id {id}"));
                return Ok(());
            }
            let secret = secret.into_boxed_slice();
            with(ctx, |h| h.keys.push(HmacKey { id, secret }))
        }
        _ => {
            complain(ctx, |n| {
                format!("({n}) auth_hmac key {id} length {length} not in range [32, 64]")
            });
            Ok(())
        }
    }
}

fn active_key(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 1, 255, false) {
        Some(id) => with(ctx, |h| h.active_key = u8::try_from(id).unwrap_or(0)),
        None => {
            complain(ctx, |n| {
                format!("({n}) auth_hmac active_key '{word}' must be between 1 and 255")
            });
            Ok(())
        }
    }
}

fn time_window(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 1, 300, false) {
        Some(window) => with(ctx, |h| h.time_window = u16::try_from(window).ok()),
        None => {
            complain(ctx, |n| {
                format!("({n}) auth_hmac time_window '{word}' must be between 1 and 300 seconds")
            });
            Ok(())
        }
    }
}

fn anti_replay(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match line.word(ctx, 1)? {
        "time" => with(ctx, |h| h.monotonic = false),
        "monotonic" => with(ctx, |h| h.monotonic = true),
        word => {
            complain(ctx, |n| {
                format!("({n}) auth_hmac anti_replay '{word}' must be time or monotonic")
            });
            Ok(())
        }
    }
}

fn mode(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let mode = match line.word(ctx, 1)? {
        "enforce" => HmacMode::Enforce,
        "permissive" => HmacMode::Permissive,
        "receive-only" => HmacMode::ReceiveOnly,
        word => {
            complain(ctx, |n| {
                format!("({n}) auth_hmac mode '{word}' must be enforce, permissive or receive-only")
            });
            return Ok(());
        }
    };
    with(ctx, |h| h.mode = mode)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn keys() {
        assert_eq!(decode(b"ab"), b"ab");
        assert_eq!(decode(b"hex:aB0c"), [0xab, 0x0c]);
        assert_eq!(decode(b"hex:abc"), [0xab, 0x0c]);
        assert!(decode(b"hex:ag").is_empty());
        assert_eq!(decode(b"HEX:ag"), b"HEX:ag");
    }
}
