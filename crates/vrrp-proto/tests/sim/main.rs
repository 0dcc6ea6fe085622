//! Routers in virtual time, from thousands of seeds. `VRRP_SIM_SEED=n` plays one of them again, `VRRP_SIM_COUNT=n` another number.
//!
//! [`election`]: one instance per router on a link that loses, delays, doubles and parts. [`life`]: several instances, sync
//! groups, links that flap, trackers, reloads, crashes, processes that sleep through their deadlines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at what it did not expect"
)]

mod election;
mod life;
#[path = "../support/mod.rs"]
mod support;

/// Plays `count` schedules, or the one that is asked for.
fn seeds(count: u64, play: impl Fn(u64)) {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    match number("VRRP_SIM_SEED") {
        Some(seed) => play(seed),
        None => (1..=number("VRRP_SIM_COUNT").unwrap_or(count)).for_each(play),
    }
}
