//! What `genhash` prints.

use std::fmt;

/// Before a dump of the headers.
pub const HEAD_HEX: &str =
    "-----------------------[    HTTP Header Buffer    ]-----------------------\n";
/// Before the headers themselves.
pub const HEAD_ASCII: &str =
    "-----------------------[ HTTP Header Ascii Buffer ]-----------------------\n";
/// Before dumps of the body.
pub const HTML: &str =
    "-----------------------[        HTML Buffer        ]-----------------------\n";
/// Before a dump of the digest.
pub const HASH: &str =
    "-----------------------[    HTML hash resulting    ]-----------------------\n";
/// Before the digest itself.
pub const HASH_FINAL: &str =
    "-----------------------[ HTML hash final resulting ]-----------------------\n";

/// The short help.
pub fn usage(program: &str, is_genhash: bool) -> String {
    let option = if is_genhash { "" } else { " --genhash" };
    format!(
        "Usage: {program}{option} COMMAND [OPTIONS]
Commands:
   -s server-address -p port -u url
   -S -s server-address -p port -u url
   -h

Options:
Either long or short options are allowed.
   --use-ssl         -S       Use SSL connection to remote server.
   --use-sni         -I       Use SNI during SSL handshake (uses virtualhost setting; see -V).
   --server          -s       Use the specified remote server address.
   --port            -p       Use the specified remote server port.
   --url             -u       Use the specified remote server url.
   --use-virtualhost -V       Use the specified virtualhost in GET query.
   --verbose         -v       Use verbose mode output.
   --help            -h       Display this short inlined help screen.
   --fwmark          -m       Use the specified FW mark.
   --protocol        -P       Use the specified HTTP protocol - '1.0', 1.0c', '1.1'.
                                1.0c means 1.0 with 'Connection: close'
   --timeout         -t       Timeout in seconds
"
    )
}

/// Sixteen bytes a line, as numbers and as characters. The number of the line is decimal and starts again after 65 535.
pub struct Dump<'a>(pub &'a [u8]);

impl fmt::Display for Dump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (line, bytes) in self.0.chunks(16).enumerate() {
            write!(f, "{:04} ", line.wrapping_mul(16) & 0xffff)?;
            for at in 0..16 {
                match bytes.get(at) {
                    Some(byte) => write!(f, " {byte:02x}")?,
                    None => f.write_str("   ")?,
                }
                if at == 7 {
                    f.write_str(" -")?;
                }
            }
            f.write_str("   ")?;
            for at in 0..16 {
                let shown = match bytes.get(at) {
                    Some(byte @ 0x20..=0x7e) => char::from(*byte),
                    Some(_) => '.',
                    None => ' ',
                };
                write!(f, "{shown}")?;
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_as_the_original_prints_it() {
        assert_eq!(
            Dump(b"hello world\n").to_string(),
            "0000  68 65 6c 6c 6f 20 77 6f - 72 6c 64 0a               hello world.    \n"
        );
        assert_eq!(Dump(b"").to_string(), "");
    }
}
