//! Which names the bus takes. Who sends another one is disconnected.

/// Longest name of any kind.
const LONGEST: usize = 255;

/// `/`, or `/element/element` with letters, digits and `_`.
pub fn is_path(path: &str) -> bool {
    let element =
        |e: &str| !e.is_empty() && e.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    path == "/"
        || path
            .strip_prefix('/')
            .is_some_and(|p| p.split('/').all(element))
}

/// A name that can be owned: two elements or more with letters, digits, `_` and `-`, none of which starts with a digit.
pub fn is_well_known(name: &str) -> bool {
    let element = |e: &str| {
        e.bytes().next().is_some_and(|b| !b.is_ascii_digit())
            && e.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    name.len() <= LONGEST && name.contains('.') && name.split('.').all(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for good in [
            "/",
            "/org",
            "/org/keepalived/Vrrp1/Instance/eth_0_1/51/IPv4",
        ] {
            assert!(is_path(good), "{good}");
        }
        for bad in ["", "org", "/org/", "//", "/a-b", "/a.b", "/ä"] {
            assert!(!is_path(bad), "{bad}");
        }
    }

    #[test]
    fn names() {
        for good in ["org.keepalived.Vrrp1", "org.with-dash._1", "a.b"] {
            assert!(is_well_known(good), "{good}");
        }
        let long = ["a."; 128].concat() + "a";
        for bad in [
            "", "nodots", ":1.5", "a..b", ".a", "a.", "a.1b", "a.b c", &long,
        ] {
            assert!(!is_well_known(bad), "{bad}");
        }
    }
}
