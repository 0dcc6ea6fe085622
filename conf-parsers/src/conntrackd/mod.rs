//! conntrackd.conf
