//! Scheduling, memory locking and resource limits of the calling process.
#![expect(unsafe_code, reason = "the scheduler calls are C interfaces")]

use std::io;
use std::sync::OnceLock;

use crate::syscall::{check, check_long};

/// Sets the nice value, -20 (favoured) to 19.
pub fn set_nice(value: i32) -> io::Result<()> {
    // SAFETY: takes numbers; 0 is the calling process. The type of the first differs between C libraries.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS as _, 0, value) }).map(drop)
}

/// The present nice value.
pub fn nice() -> io::Result<i32> {
    // SAFETY: takes numbers. The system call itself answers 1 to 40, so that no value looks like an error.
    let raw = unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, 0) };
    check_long(raw)?;
    Ok(20_i32.saturating_sub(i32::try_from(raw).unwrap_or(20)))
}

/// A scheduling class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// `SCHED_OTHER`, the ordinary one.
    Other,
    /// `SCHED_RR`: real time with time slices; priority [`realtime_priorities`].
    RoundRobin(i32),
    /// `SCHED_FIFO`: real time until it waits.
    Fifo(i32),
}

/// The lowest and the highest real-time priority (1 and 99 on Linux).
pub fn realtime_priorities() -> (i32, i32) {
    // SAFETY: both take a number and can not fail for SCHED_RR.
    unsafe {
        (
            libc::sched_get_priority_min(libc::SCHED_RR),
            libc::sched_get_priority_max(libc::SCHED_RR),
        )
    }
}

/// Sets the scheduling class. With `reset_on_fork`, children start in the ordinary class again.
pub fn set_class(class: Class, reset_on_fork: bool) -> io::Result<()> {
    let (policy, priority) = match class {
        Class::Other => (libc::SCHED_OTHER, 0),
        Class::RoundRobin(p) => (libc::SCHED_RR, p),
        Class::Fifo(p) => (libc::SCHED_FIFO, p),
    };
    let policy = if reset_on_fork {
        policy | libc::SCHED_RESET_ON_FORK
    } else {
        policy
    };
    // The kernel's struct sched_param is one int. musl's own sched_setscheduler always fails with ENOSYS.
    let param: libc::c_int = priority;
    // SAFETY: `param` has the layout the kernel reads and lives across the call; 0 is the calling thread.
    let ret = unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const param) };
    check_long(ret).map(drop)
}

/// How many CPUs are online.
pub fn cpus_online() -> u32 {
    // SAFETY: takes a number.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    u32::try_from(count).unwrap_or(1).max(1)
}

/// Binds the calling process to these CPUs (0 to 1023; others are ignored).
pub fn set_affinity(cpus: &[u16]) -> io::Result<()> {
    let mut mask = [0_u8; 128];
    let bits = libc::c_long::BITS as usize;
    for cpu in cpus.iter().map(|c| usize::from(*c)) {
        // An array of native longs: on a big-endian machine the bytes of each long are in reverse.
        let (word, bit) = (cpu / bits, cpu % bits);
        let byte = if cfg!(target_endian = "big") {
            bits / 8 - 1 - bit / 8
        } else {
            bit / 8
        };
        if let Some(slot) = mask.get_mut(word * (bits / 8) + byte) {
            *slot |= 1 << (bit % 8);
        }
    }
    // SAFETY: the mask is as long as stated and lives across the call; 0 is the calling thread.
    check_long(unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, mask.len(), mask.as_ptr()) })
        .map(drop)
}

/// Keeps all pages of the process, present and future, in memory. Not inherited by children.
pub fn lock_memory() -> io::Result<()> {
    // SAFETY: takes flags only.
    check(unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) }).map(drop)
}

/// Undoes [`lock_memory`].
pub fn unlock_memory() -> io::Result<()> {
    // SAFETY: takes nothing.
    check(unsafe { libc::munlockall() }).map(drop)
}

/// A resource that has a limit, `getrlimit(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Size of core files in bytes.
    Core,
    /// Number of descriptors.
    OpenFiles,
    /// Size of the stack in bytes.
    Stack,
    /// Microseconds that a real-time process may run without waiting.
    RealTimeRun,
    /// Bytes that may be locked in memory.
    LockedMemory,
}

/// Soft and hard limit; `None` is "unlimited".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is enforced.
    pub soft: Option<u64>,
    /// How far the soft limit may be raised.
    pub hard: Option<u64>,
}

/// Number of RLIMIT_RTTIME on every Linux architecture (not every C library's header has the name).
const RTTIME: i32 = 15;

macro_rules! resource {
    ($r:expr) => {
        match $r {
            Resource::Core => libc::RLIMIT_CORE as _,
            Resource::OpenFiles => libc::RLIMIT_NOFILE as _,
            Resource::Stack => libc::RLIMIT_STACK as _,
            Resource::RealTimeRun => RTTIME as _,
            Resource::LockedMemory => libc::RLIMIT_MEMLOCK as _,
        }
    };
}

/// The present limit.
#[allow(
    clippy::useless_conversion,
    reason = "rlim_t has 32 bits on some architectures"
)]
pub fn limit(resource: Resource) -> io::Result<Limit> {
    let mut raw = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel fills `raw`.
    check(unsafe { libc::getrlimit(resource!(resource), &mut raw) })?;
    let value =
        |v: libc::rlim_t| (v != libc::RLIM_INFINITY).then(|| u64::try_from(v).unwrap_or(u64::MAX));
    Ok(Limit {
        soft: value(raw.rlim_cur),
        hard: value(raw.rlim_max),
    })
}

/// Sets the limit.
#[allow(
    clippy::useless_conversion,
    reason = "rlim_t has 32 bits on some architectures"
)]
pub fn set_limit(resource: Resource, limit: Limit) -> io::Result<()> {
    let value = |v: Option<u64>| {
        v.map_or(libc::RLIM_INFINITY, |v| {
            libc::rlim_t::try_from(v).unwrap_or(libc::RLIM_INFINITY)
        })
    };
    let raw = libc::rlimit {
        rlim_cur: value(limit.soft),
        rlim_max: value(limit.hard),
    };
    // SAFETY: `raw` lives across the call.
    check(unsafe { libc::setrlimit(resource!(resource), &raw) }).map(drop)
}

/// The limit of open files that this process was born with, once it has raised it.
static INHERITED_OPEN_FILES: OnceLock<Limit> = OnceLock::new();

/// Lets this process have `wanted` descriptors. The limit is never below the inherited one; one that was raised before is lowered
/// again as far as that allows. `Some`: the limit that is set now; `None`: nothing had to be changed.
///
/// # Errors
/// The limit that was refused, and why: only the superuser raises the hard limit.
pub fn raise_open_files(wanted: u64) -> Result<Option<Limit>, (Limit, io::Error)> {
    let unknown = Limit {
        soft: Some(wanted),
        hard: Some(wanted),
    };
    let now = limit(Resource::OpenFiles).map_err(|e| (unknown, e))?;
    let inherited = INHERITED_OPEN_FILES.get().copied().unwrap_or(now);
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= wanted);
    if enough(inherited.soft) && now.soft == inherited.soft {
        return Ok(None);
    }
    let at_least = |limit: Option<u64>| limit.map(|limit| limit.max(wanted));
    let raised = Limit {
        soft: at_least(inherited.soft),
        hard: at_least(inherited.hard),
    };
    set_limit(Resource::OpenFiles, raised).map_err(|e| (raised, e))?;
    let _first = INHERITED_OPEN_FILES.set(inherited);
    Ok(Some(raised))
}

/// The limit of open files that programs get which this process starts, if its own is another.
pub fn inherited_open_files() -> Option<Limit> {
    INHERITED_OPEN_FILES.get().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_are_raised_and_lowered_again() {
        let before = limit(Resource::OpenFiles).unwrap();
        let Some((soft, hard)) = before.soft.zip(before.hard) else {
            return;
        };
        if soft == hard {
            eprintln!("SKIPPED: the limit is as high as it goes");
            return;
        }
        assert_eq!(raise_open_files(soft).unwrap(), None);
        let raised = raise_open_files(soft + 1).unwrap().unwrap();
        assert_eq!((raised.soft, raised.hard), (Some(soft + 1), Some(hard)));
        assert_eq!(limit(Resource::OpenFiles).unwrap(), raised);
        assert_eq!(inherited_open_files(), Some(before));
        assert_eq!(raise_open_files(1).unwrap(), Some(before));
        assert_eq!(raise_open_files(1).unwrap(), None);
    }

    #[test]
    fn limits_are_read_and_lowered() {
        let before = limit(Resource::Core).unwrap();
        let lowered = Limit {
            soft: Some(0),
            ..before
        };
        set_limit(Resource::Core, lowered).unwrap();
        assert_eq!(limit(Resource::Core).unwrap(), lowered);
        set_limit(Resource::Core, before).unwrap();
    }

    #[test]
    fn real_time_priorities_are_the_kernels() {
        assert_eq!(realtime_priorities(), (1, 99));
    }
}
