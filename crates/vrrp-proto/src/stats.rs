//! Counters of an instance, one per line of the reference's statistics.

/// Counters since start or the last clearing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Adverts that passed all checks that can refuse them before the address list.
    pub advert_rcvd: u64,
    /// Adverts sent.
    pub advert_sent: u32,
    /// Transitions to MASTER.
    pub become_master: u32,
    /// Transitions from MASTER.
    pub release_master: u32,
    /// Packets of wrong length.
    pub packet_len_err: u64,
    /// Always 0 in the reference too (keepalived-behaviour.md section 12, 18).
    pub advert_interval_err: u64,
    /// Packets with a TTL or hop limit that is not allowed.
    pub ip_ttl_err: u64,
    /// Packets that are no advertisement.
    pub invalid_type_rcvd: u64,
    /// Adverts with other addresses than ours, or multicast where unicast is expected and vice versa.
    pub addr_list_err: u64,
    /// Packets with an authentication type that does not exist.
    pub invalid_authtype: u32,
    /// Packets with another authentication type than ours.
    pub authtype_mismatch: u32,
    /// Packets with a wrong password or authentication header.
    pub auth_failure: u32,
    /// Adverts with priority 0 received.
    pub pri_zero_rcvd: u64,
    /// Adverts with priority 0 sent.
    pub pri_zero_sent: u64,
    /// Packets with a wrong checksum.
    pub chk_err: u32,
    /// Packets of another version.
    pub vers_err: u32,
    /// Adverts without a trailer where `auth_hmac` wants one.
    pub auth_ext_missing: u32,
    /// Trailers of an unknown type, or with something in the reserved field.
    pub auth_ext_malformed: u32,
    /// Trailers with a key id that we have no key for.
    pub auth_ext_unknown_key: u32,
    /// Trailers with a wrong digest.
    pub auth_ext_invalid_hmac: u32,
    /// Trailers with a time outside the window.
    pub auth_ext_stale: u32,
    /// Trailers that were sent before.
    pub auth_ext_replay: u32,
    /// Packets with an unknown VRID.
    pub vrid_err: u32,
}
