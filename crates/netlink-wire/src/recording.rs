//! Recorded bytes for tests, in this machine's byte order.

/// What the name of a recording ends with.
#[cfg(target_endian = "little")]
macro_rules! ending {
    () => {
        ".hex"
    };
}
#[cfg(target_endian = "big")]
macro_rules! ending {
    () => {
        ".be.hex"
    };
}

/// The text of a recording.
macro_rules! recording {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/testdata/",
            $name,
            ending!()
        ))
    };
}
