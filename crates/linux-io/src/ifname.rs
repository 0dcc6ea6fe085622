//! Names and indexes of network interfaces in the calling thread's namespace.
#![expect(unsafe_code, reason = "if_indextoname is a C interface")]

use std::io;

use net_types::IfIndex;

/// Longest name of an interface in bytes (`IFNAMSIZ` less the NUL).
pub const NAME_MAX: usize = 15;

/// Index of the interface of that name; `None` when there is none.
pub fn index_of(name: &str) -> Option<IfIndex> {
    nix::net::if_::if_nametoindex(name)
        .ok()
        .and_then(IfIndex::new)
}

/// Name of the interface of that index; `None` when there is none.
pub fn name_of(index: IfIndex) -> io::Result<Option<String>> {
    let mut name = [0_u8; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the IF_NAMESIZE bytes that the call may write.
    let found = unsafe { libc::if_indextoname(index.get(), name.as_mut_ptr().cast()) };
    if found.is_null() {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ENXIO | libc::ENODEV) => Ok(None),
            _ => Err(error),
        };
    }
    let bytes = name.split(|b| *b == 0).next().unwrap_or_default();
    Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_an_index() {
        let lo = index_of("lo").unwrap();
        assert_eq!(name_of(lo).unwrap().as_deref(), Some("lo"));
        assert_eq!(index_of("no-such-if"), None);
        assert_eq!(name_of(IfIndex::new(u32::MAX / 4).unwrap()).unwrap(), None);
    }
}
