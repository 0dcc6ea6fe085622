//! The tables know every keyword of the original.

use super::roots;
use crate::keepalived::engine::Keyword;

/// The keyword at the end of `path` below `keyword`, or none.
fn find<'k>(keyword: &'k Keyword, path: &[&str]) -> Option<&'k Keyword> {
    let Some((first, rest)) = path.split_first() else {
        return Some(keyword);
    };
    let inner = keyword.block?.keywords.iter().find(|k| k.name == *first)?;
    find(inner, rest)
}

fn is_known(path: &[&str]) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return false;
    };
    roots()
        .iter()
        .flat_map(|family| family.iter())
        .filter(|root| root.keyword.name == *first)
        .any(|root| find(&root.keyword, rest).is_some())
}

#[test]
fn every_keyword_is_known() {
    let list = include_str!("../../../../testdata/keywords/keepalived.tsv");
    let missing: Vec<&str> = list
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter(|line| {
            let (block, keyword) = line.split_once('\t').unwrap();
            let mut path: Vec<&str> = match block {
                // Words of the language itself are the reader's.
                "(anywhere)" => return false,
                "(top)" => Vec::new(),
                _ => block.split('/').collect(),
            };
            path.push(keyword);
            !is_known(&path)
        })
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}
