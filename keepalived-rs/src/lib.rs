//! The keepalived daemon (layer L4).

/// Entry point of the binary.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
