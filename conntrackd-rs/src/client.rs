//! The client: one number to the daemon, its answer to stdout.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Sends `request` to the daemon that listens at `path` and copies what it answers to stdout.
///
/// An error means that the daemon could not be asked; an answer that breaks off or that stdout does not take is none.
pub fn ask(path: &Path, request: i32) -> io::Result<()> {
    let mut socket = UnixStream::connect(path)?;
    socket.write_all(&request.to_ne_bytes())?;
    let mut out = io::stdout().lock();
    let mut buffer = vec![0; 16384];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => {
                if out
                    .write_all(buffer.get(..len).unwrap_or_default())
                    .is_err()
                {
                    break;
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let _ = out.flush();
    Ok(())
}
