//! `HTTP_GET` and `SSL_GET`: one url, fetched and judged.

use std::os::fd::BorrowedFd;

use checker_proto::dialogue::http::{Page, Piece, Version, request};
use checker_proto::verdict::{Failure, Obstacle, Success, Verdict, WebFailure, WebProof};
use conf_parsers::keepalived::model::check::{HttpGet, HttpVersion, StatusCodes, Url};
use net_types::Instant;

use super::fetch::{self, Fetch, Watcher};
use super::regex::{Patterns, Search};
use super::tls::{Tls, TlsError};
use super::{CheckSpec, Event, Notice, Step};

/// What a page must be.
struct Wanted {
    url: usize,
    status: StatusCodes,
    digest: Option<[u8; 16]>,
    search: Option<Search>,
}

pub(super) struct Run {
    fetch: Fetch,
    wanted: Wanted,
}

/// Sees the body on its way.
struct Looker<'a> {
    search: Option<&'a mut Search>,
    notices: &'a mut Vec<Notice>,
    url: usize,
}

impl Watcher for Looker<'_> {
    fn piece(&mut self, _in_head: bool, piece: Piece<'_>) {
        if let Some(search) = &mut self.search {
            let notices = &mut *self.notices;
            let say = &mut |text| notices.push(Notice::Regex(text));
            match piece.head {
                // The original searches both at once.
                Some(head) if !piece.body.is_empty() => {
                    search.look(&[head, piece.body].concat(), say);
                }
                _ => search.look(piece.body, say),
            }
        }
    }

    fn tls_error(&mut self, error: TlsError) {
        self.notices.push(Notice::Tls(self.url, error));
    }
}

pub(super) const fn version(version: HttpVersion) -> Version {
    match version {
        HttpVersion::V1_0 => Version::V1_0,
        HttpVersion::V1_0Close => Version::V1_0Close,
        HttpVersion::V1_1 => Version::V1_1,
    }
}

impl Run {
    pub(super) fn begin(
        spec: &CheckSpec<'_>,
        check: &HttpGet,
        (tls, patterns): (Option<&Tls>, &mut Patterns),
        now: Instant,
        notices: &mut Vec<Notice>,
    ) -> Result<(Self, Step), Verdict> {
        // Validation leaves no checker without a url; the original takes such a server for good.
        let Some(url) = check.urls.get(spec.url).or_else(|| check.urls.first()) else {
            return Err(Verdict::Up(Success::Web(WebProof::Status)));
        };
        let own = url.virtualhost.as_deref().or(check.virtualhost.as_deref());
        let setup = if check.ssl {
            let tls = tls.ok_or(Verdict::NotRun(Obstacle::NoTls))?;
            // As in the original, the real server's name is left out here.
            let name = own.or(spec.virtual_server_host);
            let setup = tls.setup(
                name.filter(|_| check.enable_sni),
                url.tls_compliant || check.tls_compliant,
            );
            Some(setup)
        } else {
            None
        };
        let host = own.or(spec.real_server_host).or(spec.virtual_server_host);
        let path = url.path.as_ref().map_or("", |path| &*path.value);
        let text = request(path, version(check.version), host, spec.to());
        let wanted = Wanted::new(spec.url, url, patterns, notices)?;
        let digest = wanted.digest.is_some();
        let (fetch, step) = Fetch::begin(&spec.target(), setup, text, digest, now, spec.timeout())?;
        Ok((Self { fetch, wanted }, step.into()))
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fetch.as_fd()
    }

    pub(super) fn step(&mut self, now: Instant, event: Event, notices: &mut Vec<Notice>) -> Step {
        let mut looker = Looker {
            search: self.wanted.search.as_mut(),
            notices,
            url: self.wanted.url,
        };
        match self.fetch.step(now, event, &mut looker) {
            fetch::Step::End(Some(page), _) => Step::End(self.wanted.judge(&page, notices)),
            other => other.into(),
        }
    }
}

impl Wanted {
    fn new(
        at: usize,
        url: &Url,
        patterns: &mut Patterns,
        notices: &mut Vec<Notice>,
    ) -> Result<Self, Verdict> {
        let search = url.regex.as_ref().map(|regex| Search::new(patterns, regex));
        let search = search.transpose().map_err(|line| {
            notices.extend(line.map(Notice::Regex));
            Verdict::NotRun(Obstacle::BadRegex)
        })?;
        Ok(Self {
            url: at,
            status: url.status.clone(),
            digest: url.digest,
            search,
        })
    }

    fn judge(&self, page: &Page, notices: &mut Vec<Notice>) -> Verdict {
        let down = |why| Verdict::Down(Failure::Web(why));
        if !self.status.contains(page.status) {
            return down(WebFailure::Status);
        }
        notices.push(Notice::Length(self.url, page.mismatch()));
        let mut proof = WebProof::Status;
        if let Some(digest) = self.digest {
            if page.digest != Some(digest) {
                return down(WebFailure::Digest);
            }
            proof = WebProof::Digest;
        }
        if let Some(search) = &self.search {
            if !search.satisfied() {
                return down(WebFailure::Regex);
            }
            proof = WebProof::Regex;
        }
        Verdict::Up(Success::Web(proof))
    }
}

impl From<fetch::Step> for Step {
    fn from(step: fetch::Step) -> Self {
        match step {
            fetch::Step::Wait(wait, deadline) => Self::Wait(wait, deadline),
            fetch::Step::Failed(why) => Self::down(Failure::Web(why)),
            fetch::Step::End(_, _) => Self::down(Failure::Web(WebFailure::NoData)),
        }
    }
}
