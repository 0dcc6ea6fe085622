//! What the C library says about an error (`%m`): without the number that Rust adds.

use std::io;

/// `No such file or directory`.
pub fn sentence(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => {
            let text = error.to_string();
            let tail = format!(" (os error {number})");
            text.strip_suffix(tail.as_str()).unwrap_or(&text).to_owned()
        }
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number() {
        let error = io::Error::from_raw_os_error(2);
        assert_eq!(sentence(&error), "No such file or directory");
    }
}
