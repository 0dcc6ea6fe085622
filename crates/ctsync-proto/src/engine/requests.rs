//! Operators' requests (conntrackd-behaviour.md section 3).

use net_types::{Duration, Instant};

use super::Engine;
use super::commit::Scope;
use super::dump::Which;
use super::kernel::Waiting;
use crate::input::ClientId;
use crate::notice::Notice;
use crate::output::Output;
use crate::request::Request;

impl Engine {
    pub(super) fn request(&mut self, now: Instant, client: ClientId, request: Request) {
        if self.mode.counts_flows() && !answered_by_flow_log(request) {
            self.reply_end(client);
            return;
        }
        let expectations = self.config.expectation_sync;
        match request {
            Request::FlushKernel => self.flush_kernel_conntracks(),
            Request::ExpectFlushKernel => self.flush_kernel_expectations(),
            Request::AllFlushKernel => {
                self.flush_kernel_conntracks();
                self.flush_kernel_expectations();
            }
            Request::ResyncFromKernel => return self.read_again(client, true, false),
            Request::ExpectResyncFromKernel if expectations => {
                return self.read_again(client, false, true);
            }
            Request::AllResyncFromKernel => return self.read_again(client, true, expectations),
            Request::DumpInternal { xml } => {
                return self.begin_dump(client, Which::Internal, xml);
            }
            Request::DumpExternal { xml } => {
                return self.begin_dump(client, Which::External, xml);
            }
            Request::ExpectDumpInternal { xml } if expectations => {
                return self.begin_dump(client, Which::InternalExpect, xml);
            }
            Request::ExpectDumpExternal { xml } if expectations => {
                return self.begin_dump(client, Which::ExternalExpect, xml);
            }
            Request::Commit => {
                self.log(Notice::Committing);
                return self.begin_commit(now, client, Scope::Conntracks);
            }
            Request::ExpectCommit if expectations => {
                self.log(Notice::CommittingExpect);
                return self.begin_commit(now, client, Scope::Expectations);
            }
            Request::AllCommit => {
                self.log(Notice::CommittingAll);
                return self.begin_commit(now, client, Scope::All);
            }
            Request::ArmPurge => self.arm_purge(now),
            Request::FlushCaches => self.flush_caches(false),
            Request::AllFlushCaches => self.flush_caches(expectations),
            Request::FlushInternal => {
                self.timers.purge = None;
                self.log(if self.mode.counts_flows() {
                    Notice::FlushingCaches
                } else {
                    Notice::FlushingInternal
                });
                self.flush_internal();
            }
            Request::FlushExternal => {
                if self.commit.is_some() {
                    self.log(Notice::FlushIgnored);
                } else {
                    self.log(Notice::FlushingExternal);
                    self.flush_external();
                }
            }
            // ALARM has neither.
            Request::SendBulk if self.mode.converses() => self.send_bulk(),
            Request::RequestBulk if self.mode.converses() => self.request_resync(),
            Request::ExpectStats if !expectations => {}
            Request::Stats
            | Request::StatsNetwork
            | Request::StatsCache
            | Request::StatsRuntime
            | Request::StatsLink
            | Request::StatsResendQueue
            | Request::StatsQueue
            | Request::ExpectStats => {
                let bytes = self.report(request, now).into_bytes();
                if !bytes.is_empty() {
                    self.outputs.push_back(Output::Reply { client, bytes });
                }
            }
            Request::Json(section) => {
                let bytes = self.report_json(section, now).into_bytes();
                self.outputs.push_back(Output::Reply { client, bytes });
            }
            // There are no child processes to list; the rest concerns expectations that are not replicated.
            Request::StatsProcess
            | Request::SendBulk
            | Request::RequestBulk
            | Request::ExpectResyncFromKernel
            | Request::ExpectDumpInternal { .. }
            | Request::ExpectDumpExternal { .. }
            | Request::ExpectCommit => {}
        }
        self.reply_end(client);
    }

    fn flush_kernel_conntracks(&mut self) {
        self.kernel.flushes = self.kernel.flushes.wrapping_add(1);
        self.log(Notice::FlushingKernel);
        self.flush_kernel();
    }

    fn flush_kernel_expectations(&mut self) {
        if self.config.expectation_sync {
            self.kernel.flushes = self.kernel.flushes.wrapping_add(1);
            self.log(Notice::FlushingKernelExpect);
            self.flush_kernel_expect();
        }
    }

    /// Reads the kernel's tables into the internal caches; the connection stays open until they are read.
    fn read_again(&mut self, client: ClientId, conntracks: bool, expectations: bool) {
        if self.config.disable_internal_cache {
            for _ in 0..u8::from(conntracks).saturating_add(u8::from(expectations)) {
                self.log(Notice::ResyncUnsupported);
            }
            self.reply_end(client);
            return;
        }
        for (wanted, notice) in [
            (conntracks, Notice::ResyncFromKernel),
            (expectations, Notice::ResyncFromKernelExpect),
        ] {
            if wanted {
                self.kernel.resyncs = self.kernel.resyncs.wrapping_add(1);
                self.log(notice);
            }
        }
        self.populate(
            Waiting::Client(client),
            !conntracks,
            conntracks && expectations,
        );
    }

    fn arm_purge(&mut self, now: Instant) {
        if self.timers.purge.is_none() {
            let seconds = self.config.purge_timeout;
            self.log(Notice::PurgeArmed { seconds });
            self.timers.purge = Some(now + Duration::from_secs(u64::from(seconds)));
        }
    }

    fn flush_caches(&mut self, expectations: bool) {
        if self.commit.is_some() {
            self.log(Notice::FlushIgnored);
            return;
        }
        self.timers.purge = None;
        self.log(Notice::FlushingCaches);
        self.flush_internal();
        self.flush_external();
        if expectations {
            self.flush_internal_expect();
            for slot in 0..self.external_exp.slots() {
                self.external_exp.remove(slot);
            }
        }
    }

    fn flush_external(&mut self) {
        for slot in 0..self.external.slots() {
            self.external.remove(slot);
        }
    }
}

/// What flow logging answers; the rest gets an empty reply, as in the original. (`-f` is such: only `-f internal` empties
/// the cache.)
const fn answered_by_flow_log(request: Request) -> bool {
    matches!(
        request,
        Request::DumpInternal { .. }
            | Request::FlushCaches
            | Request::FlushInternal
            | Request::Stats
            | Request::StatsCache
            | Request::StatsRuntime
            | Request::FlushKernel
            | Request::AllFlushKernel
            | Request::ResyncFromKernel
            | Request::AllResyncFromKernel
            | Request::Json(_)
    )
}
