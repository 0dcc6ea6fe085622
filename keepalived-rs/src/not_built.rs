//! What is read and checked but has no effect yet. An operator who uses it is told at start, once per keyword.
//!
//! In: what a parse left. Out: one sentence each. The same rows stand in COMPAT.md; a test compares them.
//! This is the only list: a keyword that is neither here nor in COMPAT.md has its effect. A row is removed when the effect is built;
//! keywords inside a block that is itself listed need none.

use conf_parsers::keepalived::{Outcome, Part};
use net_types::SortedSet;

use crate::cli::Options;
use crate::config::Loaded;

/// Keywords without effect: innermost block (empty at the top level) and keyword.
#[rustfmt::skip]
pub static KEYWORDS: &[(&str, &str)] = &[
    // Health checkers: with the feature `tls` it has its effect.
    #[cfg(not(feature = "tls"))]
    ("", "SSL"),
    // The rest.
];

/// Command-line options without effect: how they are written.
pub static OPTIONS: &[&str] = &[
    #[cfg(not(feature = "snmp"))]
    "-x, --snmp",
    #[cfg(not(feature = "snmp"))]
    "-A, --snmp-agent-socket",
];

/// The sentence for a keyword.
pub fn sentence(block: &str, keyword: &str) -> String {
    if block.is_empty() {
        format!("WARNING - {keyword}: not implemented yet")
    } else {
        format!("WARNING - {keyword} in {block}: not implemented yet")
    }
}

/// Sentences for what a parse met. Words of global_defs are the parent's to tell, even when a child reads them again; the others
/// are read by one child only.
pub fn of_outcome(outcome: &Outcome, part: Part) -> Vec<String> {
    of_keywords(&outcome.used, part)
}

fn of_keywords(used: &SortedSet<(&'static str, &'static str)>, part: Part) -> Vec<String> {
    used.iter()
        .filter(|(block, keyword)| {
            let global = is_global(block);
            (global == (part == Part::Parent)) && KEYWORDS.contains(&(*block, *keyword))
        })
        .map(|(block, keyword)| sentence(block, keyword))
        .collect()
}

/// Whether the parent tells it. What a build without virtual servers lacks has a sentence of its own in [`warnings`], as nobody
/// reads it then.
fn is_global(block: &str) -> bool {
    block == "global_defs"
}

/// What the parent tells at start: options, globals, and what this build lacks.
pub(crate) fn warnings(options: &Options, loaded: &Loaded) -> Vec<String> {
    let mut out = Vec::new();
    let option = |given: bool, name: &str| {
        let written = OPTIONS.iter().find(|o| o.contains(name)).unwrap_or(&name);
        given.then(|| format!("WARNING - option {written}: not implemented yet"))
    };
    if !cfg!(feature = "snmp") {
        out.extend(option(options.snmp, "--snmp"));
        out.extend(option(options.snmp_socket.is_some(), "--snmp-agent-socket"));
    }
    let global = &loaded.outcome.model.global;
    out.extend(of_outcome(&loaded.outcome, Part::Parent));
    if !cfg!(feature = "lvs") && options.daemons.checker && global.have_checker {
        out.push("WARNING - virtual_server: not in this build".to_owned());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_twice() {
        let all: SortedSet<_> = KEYWORDS.iter().collect();
        assert_eq!(all.len(), KEYWORDS.len());
    }

    /// Every block with its keywords, as (block, keyword); the top level is "".
    fn known() -> SortedSet<(&'static str, &'static str)> {
        use conf_parsers::keepalived::engine::Keyword;
        fn walk(block: &'static str, keyword: &Keyword, out: &mut SortedSet<(&str, &str)>) {
            out.insert((block, keyword.name));
            for inner in keyword.block.iter().flat_map(|b| b.keywords) {
                // Blocks may contain each other (virtual servers do); each is walked once.
                if out.insert((keyword.name, inner.name)) {
                    walk(keyword.name, inner, out);
                }
            }
        }
        let mut out = SortedSet::new();
        for root in conf_parsers::keepalived::keywords::roots()
            .iter()
            .flat_map(|t| t.iter())
        {
            walk("", &root.keyword, &mut out);
        }
        out
    }

    #[test]
    fn rows_name_keywords_of_the_language() {
        let known = known();
        let strange: Vec<_> = KEYWORDS
            .iter()
            .filter(|row| !known.contains(*row))
            .collect();
        assert!(strange.is_empty(), "{strange:?}");
    }

    #[test]
    fn each_process_tells_its_own() {
        // All rows, and keywords that work.
        let mut used: SortedSet<_> = KEYWORDS.iter().copied().collect();
        used.extend([("global_defs", "router_id"), ("vrrp_instance", "interface")]);
        let parents = of_keywords(&used, Part::Parent);
        let childs = of_keywords(&used, Part::Vrrp);
        assert_eq!(parents.len() + childs.len(), KEYWORDS.len());
        for (block, keyword) in KEYWORDS {
            let lines = if is_global(block) { &parents } else { &childs };
            assert!(lines.contains(&sentence(block, keyword)), "{keyword}");
        }
        assert_eq!(sentence("b", "k"), "WARNING - k in b: not implemented yet");
    }

    /// Words of the virtual routers' blocks that are about load balancing, which is another half.
    fn is_of_load_balancing(keyword: &str) -> bool {
        let starts = ["virtual_server", "lvs_", "checker_", "nftables_ipvs"];
        let words = [
            "SSL",
            "net_namespace_ipvs",
            "no_checker_emails",
            "rs_init_notifies",
            "enable_snmp_checker",
            "snmp_vs_stats_update_interval",
            "snmp_rs_stats_update_interval",
        ];
        starts.iter().any(|s| keyword.starts_with(s)) || words.contains(&keyword)
    }

    #[test]
    fn every_keyword_of_virtual_routers_has_its_effect() {
        let list = include_str!("../../testdata/keywords/keepalived.tsv");
        let rows = list.lines().filter(|l| !l.starts_with('#'));
        let rows = rows.map(|l| l.split_once('\t').unwrap());
        let ours = |block: &str| {
            let starts = ["vrrp_", "static_", "track_", "bfd_"];
            matches!(block, "(top)" | "global_defs" | "garp_group")
                || starts.iter().any(|s| block.starts_with(s))
        };
        let mut walked = 0;
        for (path, keyword) in rows.filter(|(block, _)| ours(block)) {
            if is_of_load_balancing(keyword) {
                continue;
            }
            walked += 1;
            let block = path.rsplit('/').next().filter(|b| *b != "(top)");
            let row = (block.unwrap_or_default(), keyword);
            assert!(!KEYWORDS.contains(&row), "{row:?}");
        }
        assert!(walked >= 245, "{walked}");
    }

    const BEGIN: &str = "<!-- not implemented: begin -->\n";
    const END: &str = "<!-- not implemented: end -->";

    /// The section of COMPAT.md, from the tables.
    fn section() -> String {
        // A line for each row: those who remove rows do not meet.
        let mut rows: Vec<_> = KEYWORDS.to_vec();
        rows.sort_unstable();
        let mut out = String::new();
        for (block, keyword) in rows {
            out += &match block {
                "" => format!("- `{keyword}`\n"),
                block => format!("- `{keyword}` in `{block}`\n"),
            };
        }
        for option in OPTIONS {
            out += &format!("- the options `{option}`\n");
        }
        out
    }

    /// Whoever changes a table runs this test with `UPDATE_COMPAT=1` in the environment, which rewrites the section.
    #[test]
    fn compat_md_has_the_same_rows() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../COMPAT.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (written, after) = rest.split_once(END).unwrap();
        if std::env::var_os("UPDATE_COMPAT").is_some() {
            std::fs::write(path, format!("{before}{BEGIN}{}{END}{after}", section())).unwrap();
            return;
        }
        assert_eq!(written, section());
    }
}
