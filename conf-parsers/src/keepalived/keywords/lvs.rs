//! Roots of the LVS, checker, SSL and BFD blocks, and what their handlers share.

use super::{bfd, checker, ssl, virtual_server, virtual_server_group};
use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Feature, Line, Part, Root, kw, kw_block};
use crate::keepalived::model::lvs::{RealServer, VirtualServer};
use crate::keepalived::number::check_true_false;

/// LVS, checker and BFD blocks.
pub static ROOTS: &[Root] = &[
    Root {
        keyword: kw_block("SSL", Some(ssl::begin), &ssl::BLOCK).only_with(Feature::Lvs),
        active: |part, _| part == Part::Checker,
        noted: None,
    },
    Root {
        keyword: kw("virtual_server_group", virtual_server_group::read).only_with(Feature::Lvs),
        active: |part, _| part == Part::Checker,
        noted: None,
    },
    Root {
        keyword: kw_block(
            "virtual_server",
            Some(virtual_server::begin),
            &virtual_server::BLOCK,
        )
        .only_with(Feature::Lvs),
        active: |part, _| part == Part::Checker,
        noted: Some(|ctx| ctx.model.global.have_checker = true),
    },
    Root {
        keyword: kw_block("bfd_instance", Some(bfd::begin), &bfd::BLOCK).only_with(Feature::Bfd),
        active: |part, _| part != Part::Parent,
        noted: Some(|ctx| ctx.model.global.have_bfd = true),
    },
];

/// LVS, checker and BFD objects under construction.
#[derive(Debug, Default)]
pub struct LvsScratch {
    pub(super) virtual_server: Option<VirtualServer>,
    pub(super) real_server: Option<RealServer>,
    pub(super) checker: Option<checker::Draft>,
    pub(super) smtp: super::checker_smtp::Hosts,
    pub(super) http: super::checker_http::UrlDraft,
    pub(super) file_check: Option<super::checker_file::Draft>,
    pub(super) bfd: bfd::BfdScratch,
}

impl LvsScratch {
    /// The virtual server being read, with the real server if there is one: what messages name.
    pub(super) fn real_server_name(&self) -> String {
        let protocol = self.virtual_server.as_ref().and_then(|vs| vs.protocol);
        self.real_server.as_ref().map_or_else(String::new, |rs| {
            crate::keepalived::model::lvs::Trio(rs.addr, protocol).to_string()
        })
    }
}

/// `[BOOL]` after a keyword: true without it; none after a report with `complaint` in front of the word.
pub(super) fn optional_bool(ctx: &mut Ctx<'_>, line: &Line, complaint: &str) -> Option<bool> {
    let Some(word) = line.get(1) else {
        return Some(true);
    };
    let value = check_true_false(word);
    if value.is_none() {
        ctx.report(Class::GeneralError, format!("{complaint} {word}"));
    }
    value
}

/// Reports that a text given before is replaced.
pub(super) fn note_duplicate(ctx: &mut Ctx<'_>, before: Option<&str>, value: &str, name: &str) {
    if let Some(before) = before {
        ctx.report(
            Class::GeneralError,
            format!("Duplicate {name} - overwriting {before} with {value}"),
        );
    }
}

/// A port word as the original passes it on: zeros count as none.
pub(super) fn port_word(word: Option<&str>) -> Option<&str> {
    word.filter(|port| !port.trim_start_matches('0').is_empty())
}
