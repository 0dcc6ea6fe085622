//! keepalived.stats.

use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::vrrp_instance::VrrpInstance;
use vrrp_proto::stats::Stats;

use super::{Snapshot, line};

/// The whole file.
pub fn stats(model: &Model, now: &Snapshot) -> String {
    let mut out = String::new();
    for (instance, state) in model.vrrp.instances.iter().zip(&now.instances) {
        block(&mut out, instance, &state.stats);
    }
    out
}

/// The block of one instance.
pub fn block(out: &mut String, instance: &VrrpInstance, s: &Stats) {
    line!(out, "VRRP Instance: {}", &**instance.name);
    line!(out, "  Advertisements:");
    line!(out, "    Received: {}", s.advert_rcvd);
    line!(out, "    Sent: {}", s.advert_sent);
    line!(out, "  Became master: {}", s.become_master);
    line!(out, "  Released master: {}", s.release_master);
    line!(out, "  Packet Errors:");
    line!(out, "    Length: {}", s.packet_len_err);
    line!(out, "    TTL: {}", s.ip_ttl_err);
    line!(out, "    Invalid Type: {}", s.invalid_type_rcvd);
    line!(out, "    Advertisement Interval: {}", s.advert_interval_err);
    line!(out, "    Address List: {}", s.addr_list_err);
    line!(out, "  Authentication Errors:");
    line!(out, "    Invalid Type: {}", s.invalid_authtype);
    line!(out, "    Type Mismatch: {}", s.authtype_mismatch);
    line!(out, "    Failure: {}", s.auth_failure);
    // 2.4 has the section for every instance, 2.3.3 for none.
    if instance.auth_hmac.is_some() {
        line!(out, "  Authentication Extension Errors:");
        line!(out, "    Missing: {}", s.auth_ext_missing);
        line!(out, "    Malformed: {}", s.auth_ext_malformed);
        line!(out, "    Unknown Key: {}", s.auth_ext_unknown_key);
        line!(out, "    Invalid HMAC: {}", s.auth_ext_invalid_hmac);
        line!(out, "    Stale: {}", s.auth_ext_stale);
        line!(out, "    Replay: {}", s.auth_ext_replay);
    }
    line!(out, "  Priority Zero:");
    line!(out, "    Received: {}", s.pri_zero_rcvd);
    line!(out, "    Sent: {}", s.pri_zero_sent);
}
