//! The monotonic clock and one-shot timers on it.
#![expect(unsafe_code, reason = "clock_gettime and timerfd are C interfaces")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use net_types::Instant;

use crate::syscall::{Seconds, check, check_len, own};

/// `CLOCK_MONOTONIC` in microseconds, rounded down. Does not advance while the machine sleeps.
pub fn monotonic_now() -> Instant {
    let mut ts = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the kernel fills the struct; CLOCK_MONOTONIC exists on every Linux, so it can not fail.
    let ts = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, ts.as_mut_ptr());
        ts.assume_init()
    };
    let secs = u64::try_from(ts.tv_sec).unwrap_or(0);
    let micros = u64::try_from(ts.tv_nsec).unwrap_or(0) / 1_000;
    Instant::from_micros(secs.saturating_mul(1_000_000).saturating_add(micros))
}

/// `timerfd(2)` on `CLOCK_MONOTONIC`, non-blocking; microsecond deadlines, where epoll's own timeout has milliseconds.
#[derive(Debug)]
pub struct TimerFd(OwnedFd);

impl TimerFd {
    /// A timer that is not armed.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointer.
        own(unsafe {
            libc::timerfd_create(
                libc::CLOCK_MONOTONIC,
                libc::TFD_NONBLOCK | libc::TFD_CLOEXEC,
            )
        })
        .map(Self)
    }

    /// Becomes readable at `deadline`, at once when that is past; `None` disarms. Replaces the deadline before and clears
    /// an expiry that was not read.
    pub fn set(&self, deadline: Option<Instant>) -> io::Result<()> {
        let mut spec = MaybeUninit::<libc::itimerspec>::zeroed();
        // SAFETY: all-zero is a valid itimerspec (disarmed, no interval).
        let spec = unsafe {
            let spec = spec.assume_init_mut();
            if let Some(at) = deadline {
                // Zero would disarm: the first microsecond of the clock stands for it, which is past just the same.
                let micros = at.as_micros().max(1);
                spec.it_value.tv_sec =
                    Seconds::try_from(micros / 1_000_000).unwrap_or(Seconds::MAX);
                spec.it_value.tv_nsec =
                    libc::c_long::try_from(micros % 1_000_000).unwrap_or(0) as _;
                spec.it_value.tv_nsec *= 1_000;
            }
            spec
        };
        let fd = self.0.as_raw_fd();
        // SAFETY: the descriptor is a timerfd, `spec` lives across the call, the old value is not asked for.
        check(unsafe {
            libc::timerfd_settime(fd, libc::TFD_TIMER_ABSTIME, spec, std::ptr::null_mut())
        })
        .map(drop)
    }

    /// Takes the expiry; `false` when the deadline has not come.
    pub fn expired(&self) -> io::Result<bool> {
        let mut count = [0_u8; 8];
        // SAFETY: the buffer has the eight bytes that a timerfd writes.
        match check_len(unsafe {
            libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len())
        }) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(e) => Err(e),
        }
    }
}

impl AsFd for TimerFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for TimerFd {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use net_types::Duration;

    #[test]
    fn a_past_deadline_fires_and_a_far_one_does_not() {
        let timer = TimerFd::new().unwrap();
        assert!(!timer.expired().unwrap());
        timer.set(Some(Instant::ZERO)).unwrap();
        assert!(timer.expired().unwrap());
        assert!(!timer.expired().unwrap());
        timer
            .set(Some(monotonic_now() + Duration::from_secs(3600)))
            .unwrap();
        assert!(!timer.expired().unwrap());
        timer.set(None).unwrap();
        assert!(!timer.expired().unwrap());
    }
}
