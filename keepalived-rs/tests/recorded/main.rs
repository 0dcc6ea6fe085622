//! Recordings of one router alone, lived again: ours runs with the recorded configuration, and its log, dumps, FIFO lines, scripts,
//! mails and rules must be the recorded ones (`testdata/replay/keepalived/live`).
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy spares only functions marked as tests"
)]

mod alone;
mod director;
mod mails;
mod router;
