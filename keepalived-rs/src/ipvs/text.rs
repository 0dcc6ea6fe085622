//! What is said about refusals, in the original's words.

use std::fmt::Write as _;

use net_types::Family;
use netlink_wire::ipvs::{Destination, ServiceKey};

use super::table::Change;
use crate::text::errno;

/// What was asked for. The numbers are those of the socket options that were there before netlink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Info = 0,
    AddService = 1154,
    SetService = 1155,
    DeleteService = 1156,
    Flush = 1157,
    AddDestination = 1159,
    DeleteDestination = 1160,
    SetDestination = 1161,
    StartDaemon = 1163,
    StopDaemon = 1164,
}

impl Call {
    const fn name(self) -> &'static str {
        match self {
            Self::Info => "",
            Self::AddService => "IP_VS_SO_SET_ADD",
            Self::SetService => "IP_VS_SO_SET_EDIT",
            Self::DeleteService => "IP_VS_SO_SET_DEL",
            Self::Flush => "IP_VS_SO_SET_FLUSH",
            Self::AddDestination => "IP_VS_SO_SET_ADDDEST",
            Self::DeleteDestination => "IP_VS_SO_SET_DELDEST",
            Self::SetDestination => "IP_VS_SO_SET_EDITDEST",
            Self::StartDaemon => "IP_VS_SO_SET_STARTDAEMON",
            Self::StopDaemon => "IP_VS_SO_SET_STOPDAEMON",
        }
    }
}

/// The original has error numbers from libnl, which tells fewer of them apart.
pub(super) const fn through_libnl(errno: i32) -> i32 {
    const ENOENT: i32 = 2;
    const ESRCH: i32 = 3;
    const ENOTSOCK: i32 = 88;
    const ENOPROTOOPT: i32 = 92;
    const EFAULT: i32 = 14;
    const EINVAL: i32 = 22;
    const ENOBUFS: i32 = 105;
    const ENOMEM: i32 = 12;
    const EADDRINUSE: i32 = 98;
    const EEXIST: i32 = 17;
    const EBADF: i32 = 9;
    match errno {
        ESRCH => ENOENT,
        ENOTSOCK => EBADF,
        ENOPROTOOPT | EFAULT => EINVAL,
        ENOBUFS => ENOMEM,
        EADDRINUSE => EEXIST,
        other => other,
    }
}

/// The sentence for an error number.
pub(super) fn sentence(call: Call, errno: i32) -> String {
    const EPERM: i32 = 1;
    const ENOENT: i32 = 2;
    const ESRCH: i32 = 3;
    const ENOMEM: i32 = 12;
    const EEXIST: i32 = 17;
    const EINVAL: i32 = 22;
    const EMSGSIZE: i32 = 90;
    const ENOPROTOOPT: i32 = 92;
    const EOPNOTSUPP: i32 = 95;
    const EAFNOSUPPORT: i32 = 97;
    let text = match (call, errno) {
        (Call::AddService, EEXIST) => "Service already exists",
        (Call::AddService | Call::SetService, ENOENT) => {
            "Scheduler or persistence engine not found"
        }
        (Call::AddDestination, EEXIST) => "Destination already exists",
        (Call::SetDestination | Call::DeleteDestination, ENOENT) => "No such destination",
        (Call::StartDaemon, EEXIST) => "Daemon has already run",
        (Call::StopDaemon, ESRCH) => "No daemon is running",
        (_, ESRCH) => "No such service",
        (_, EPERM) => "Permission denied (you must be root)",
        (_, EINVAL) => {
            "Invalid operation.  Possibly wrong module version, address not unicast, ..."
        }
        (_, ENOPROTOOPT) => "Protocol not available",
        (_, ENOMEM) => "Memory allocation problem",
        (_, EOPNOTSUPP) => "Operation not supported with IPv6",
        (_, EAFNOSUPPORT) => "Operation not supported with specified address family",
        (_, EMSGSIZE) => "Module is wrong version",
        _ => return errno::sentence(&std::io::Error::from_raw_os_error(errno)),
    };
    text.to_owned()
}

/// A refused call that is about no service.
pub(super) fn command(call: Call, errno: i32) -> String {
    let errno = through_libnl(errno);
    format!(
        "IPVS cmd {}({}) error: {}({errno})",
        call.name(),
        call as i32,
        sentence(call, errno)
    )
}

/// A refused change.
pub(super) fn refusal(change: &Change, errno: i32) -> String {
    let (call, service, to) = match change {
        Change::AddService(s) => (Call::AddService, s, None),
        Change::SetService(s) => (Call::SetService, s, None),
        Change::DeleteService(s) => (Call::DeleteService, s, None),
        Change::AddDestination(s, d) => (Call::AddDestination, s, Some(d)),
        Change::SetDestination(s, d) => (Call::SetDestination, s, Some(d)),
        Change::DeleteDestination(s, d) => (Call::DeleteDestination, s, Some(d)),
    };
    let mut line = command(call, errno);
    let _ = write!(line, " ({}", key(&service.key));
    if let Some(Destination { address, .. }) = to {
        let _ = write!(line, " -> {}:{}", address.ip(), address.port());
    }
    line.push(')');
    line
}

fn key(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Mark { family, mark } => {
            let six = if *family == Family::V6 { " inet6" } else { "" };
            format!("Fwm {mark}{six}")
        }
        ServiceKey::Address { protocol, address } => {
            let protocol = match protocol {
                6 => "tcp".to_owned(),
                17 => "udp".to_owned(),
                132 => "sctp".to_owned(),
                other => other.to_string(),
            };
            format!("{}:{protocol}:{}", address.ip(), address.port())
        }
    }
}
