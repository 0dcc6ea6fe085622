//! The `keepalived` binary: everything is in the library, so that tests can reach it.

fn main() -> std::process::ExitCode {
    keepalived_rs::main()
}
