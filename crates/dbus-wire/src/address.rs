//! Where the bus listens: `unix:path=/run/dbus/system_bus_socket;unix:abstract=name,guid=…`.

use alloc::vec::Vec;

/// The UNIX sockets that an address list names, in its order; those in the abstract name space start with a NUL. Other transports
/// are left out, as are entries that are damaged.
pub fn unix_sockets(list: &str) -> Vec<Vec<u8>> {
    list.split(';').filter_map(unix_socket).collect()
}

fn unix_socket(entry: &str) -> Option<Vec<u8>> {
    let keys = entry.strip_prefix("unix:")?;
    keys.split(',').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let value = unescaped(value)?;
        match key {
            "path" => Some(value),
            "abstract" => Some([&[0], &*value].concat()),
            _ => None,
        }
    })
}

/// `%20` is a space.
fn unescaped(value: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        out.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            u8::try_from(high << 4 | low).ok()?
        } else {
            byte
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_the_specification_writes_them() {
        let sockets = |list: &str| -> Vec<Vec<u8>> { unix_sockets(list) };
        assert_eq!(
            sockets("unix:path=/run/dbus/system_bus_socket"),
            [b"/run/dbus/system_bus_socket"]
        );
        assert_eq!(
            sockets("tcp:host=::1,port=9;unix:guid=00ff,path=/a%20b;unix:abstract=x"),
            [b"/a b".to_vec(), b"\0x".to_vec()]
        );
        for none in [
            "",
            "unix:",
            "unix:path",
            "unix:path=%4",
            "unix:path=%zz",
            "autolaunch:",
        ] {
            assert!(sockets(none).is_empty(), "{none}");
        }
    }
}
