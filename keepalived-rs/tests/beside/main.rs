//! The same events beside 2.3.3: ours and the original live through them in laboratories that are alike, and what can be seen of
//! them must be the same.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy spares only functions marked as tests"
)]

mod interfaces;
mod life;
mod reload;
mod routes;
