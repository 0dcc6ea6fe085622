//! Why an instance became MASTER and what was wrong with a packet, as the MIBs of the RFCs tell it. No rule of the election hangs on it.

/// `vrrpv3StatisticsNewMasterReason` (RFC 6527).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MasterReason {
    /// Never was.
    #[default]
    NotMaster,
    /// The master gave up with priority 0.
    Priority,
    /// Ours was higher than the master's, or we own the addresses.
    Preempted,
    /// Nobody was heard.
    NoResponse,
}

impl MasterReason {
    /// The number in the MIB.
    pub const fn number(self) -> i32 {
        match self {
            Self::NotMaster => 0,
            Self::Priority => 1,
            Self::Preempted => 2,
            Self::NoResponse => 3,
        }
    }
}

/// `vrrpv3StatisticsProtoErrReason` (RFC 6527).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProtocolError {
    /// There was none.
    #[default]
    None,
    /// TTL or hop limit.
    Ttl,
    /// Another version.
    Version,
    /// Wrong checksum.
    Checksum,
}

impl ProtocolError {
    /// The number in the MIB.
    pub const fn number(self) -> i32 {
        match self {
            Self::None => 0,
            Self::Ttl => 1,
            Self::Version => 2,
            Self::Checksum => 3,
        }
    }
}

/// `vrrpTrapAuthErrorType` (RFC 2787).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// A type that does not exist.
    InvalidType,
    /// Another type than ours.
    TypeMismatch,
    /// Wrong password or digest.
    Failure,
}

impl AuthError {
    /// The number in the MIB.
    pub const fn number(self) -> i32 {
        match self {
            Self::InvalidType => 1,
            Self::TypeMismatch => 2,
            Self::Failure => 3,
        }
    }
}

/// A packet that was refused, as far as a MIB has a notification for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `vrrpv3ProtoError`
    Protocol(ProtocolError),
    /// `vrrpTrapAuthFailure`
    Auth(AuthError),
}

/// Of one instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons {
    /// Why it became MASTER last.
    pub master: MasterReason,
    /// Why it would become MASTER now.
    pub(crate) next: MasterReason,
    /// The last protocol error.
    pub error: ProtocolError,
}
