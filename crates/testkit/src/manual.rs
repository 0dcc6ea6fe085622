//! Manual pages that cannot drift: a hand-written template and a table of words make the page.
//!
//! In: the text of the template and of the table. Out: the page, as roff. The tests of the programs compare the table's words with
//! those that the program knows, and the page with the committed one; with `UPDATE_COMPAT=1` in the environment they write it.
//! A table is tab-separated: block, keyword, syntax, default, text. Several blocks or keywords that share a description are joined
//! by commas. A block in parentheses holds words that are not keywords, such as options. The text is roff; the rest is plain.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// One description.
#[derive(Clone, Debug)]
pub struct Row {
    /// The blocks, as written.
    pub group: String,
    /// Keywords that it describes.
    pub words: Vec<String>,
    /// What follows the keyword.
    pub syntax: String,
    /// What counts without it.
    pub default: String,
    /// The description, as roff.
    pub text: String,
}

impl Row {
    /// The blocks.
    pub fn blocks(&self) -> impl Iterator<Item = &str> {
        self.group.split(',')
    }
}

/// All descriptions of a program.
#[derive(Clone, Debug)]
pub struct Table(Vec<Row>);

/// Line of a template that stands for the rows of a group.
const PLACE: &str = ".\\\" @table ";

impl Table {
    /// Reads a table; the first line has the columns' names. Panics on a line of another form: tests call it.
    pub fn read(text: &str) -> Self {
        let rows = text.lines().skip(1).map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let [group, words, syntax, default, text] = columns[..] else {
                panic!("not five columns: {line}");
            };
            assert!(!text.is_empty() && line.is_ascii(), "{line}");
            Row {
                group: group.to_owned(),
                words: words.split(',').map(|w| w.trim().to_owned()).collect(),
                syntax: syntax.to_owned(),
                default: default.to_owned(),
                text: text.to_owned(),
            }
        });
        Self(rows.collect())
    }

    /// Every block with its keywords. Panics when one is described twice.
    pub fn pairs(&self) -> BTreeSet<(String, String)> {
        let mut out = BTreeSet::new();
        for row in &self.0 {
            for block in row.blocks() {
                for word in &row.words {
                    let new = out.insert((block.to_owned(), word.clone()));
                    assert!(new, "{word} of {block} is described twice");
                }
            }
        }
        out
    }

    /// The words of one block.
    pub fn words(&self, block: &str) -> BTreeSet<String> {
        let of_block = |(b, word): (String, String)| (b == block).then_some(word);
        self.pairs().into_iter().filter_map(of_block).collect()
    }

    /// The page. `group_note` gives a paragraph before the rows of a group, `note` a sentence behind the text of a row.
    /// Panics when the template names a group that is not there, or leaves one out.
    pub fn page(
        &self,
        template: &str,
        group_note: &dyn Fn(&str) -> Option<String>,
        note: &dyn Fn(&Row) -> Option<String>,
    ) -> (String, BTreeSet<String>) {
        let mut out =
            String::from(".\\\" Generated: edit the template and the table in source/.\n");
        let mut used = BTreeSet::new();
        for line in template.lines() {
            let Some(group) = line.strip_prefix(PLACE) else {
                out.push_str(line);
                out.push('\n');
                continue;
            };
            assert!(used.insert(group.to_owned()), "{group} stands twice");
            if let Some(text) = group_note(group) {
                // Behind a heading a paragraph is there already.
                let last = out.lines().last().unwrap_or_default();
                let paragraph = if last.starts_with(".S") { "" } else { ".PP\n" };
                let _ = writeln!(out, "{paragraph}{text}");
            }
            let before = out.len();
            for row in self.0.iter().filter(|row| row.group == group) {
                entry(&mut out, row, note(row).as_deref());
            }
            assert!(out.len() > before, "no rows for {group}");
        }
        (out, used)
    }

    /// The groups.
    pub fn groups(&self) -> BTreeSet<String> {
        self.0.iter().map(|row| row.group.clone()).collect()
    }
}

fn entry(out: &mut String, row: &Row, note: Option<&str>) {
    let words: Vec<String> = row
        .words
        .iter()
        .map(|word| format!("\\fB{}\\fR", plain(word)))
        .collect();
    let _ = write!(out, ".TP\n{}", words.join(", "));
    if !row.syntax.is_empty() {
        let _ = write!(out, " {}", slots(&row.syntax));
    }
    let _ = write!(out, "\n{}\n", row.text);
    if !row.default.is_empty() {
        let _ = writeln!(out, "Default: {}.", plain(&row.default));
    }
    if let Some(note) = note {
        let _ = writeln!(out, "{note}");
    }
}

/// Text as roff shows it unchanged.
pub fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '-' => out.push_str("\\-"),
            '\\' => out.push_str("\\e"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            '`' => out.push_str("\\(ga"),
            '\'' => out.push_str("\\(aq"),
            c => out.push(c),
        }
    }
    out
}

/// Syntax with the words to be filled in, which are in capitals, in italics.
fn slots(syntax: &str) -> String {
    let mut out = String::new();
    let mut rest = syntax;
    while !rest.is_empty() {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len()).max(1);
        let (part, tail) = rest.split_at(end);
        if part.starts_with(|c: char| c.is_ascii_uppercase())
            && !part.contains(|c: char| c.is_ascii_lowercase())
        {
            let _ = write!(out, "\\fI{part}\\fR");
        } else {
            out.push_str(&plain(part));
        }
        rest = tail;
    }
    out
}

/// Compares a page with the committed one, or writes that with `UPDATE_COMPAT=1`.
pub fn compare_or_write(path: &Path, page: &str) {
    if std::env::var_os("UPDATE_COMPAT").is_some() {
        std::fs::write(path, page).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == page,
        "{} is not what its template and table give: run this test with UPDATE_COMPAT=1",
        path.display()
    );
    lint(path);
}

/// Lets the formatters that are there look at a page; a warning of theirs fails.
pub fn lint(path: &Path) {
    let file = path.to_string_lossy();
    for command in [
        &["groff", "-man", "-Tutf8", "-ww", "-rLL=80n"][..],
        &["mandoc", "-Tlint", "-Wwarning"],
    ] {
        let run = Command::new(command[0])
            .args(&command[1..])
            .arg(file.as_ref())
            .stdout(Stdio::piped())
            .output();
        let Ok(output) = run else {
            continue; // Not on this machine.
        };
        let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
        if command[0] == "mandoc" {
            said.push_str(&String::from_utf8_lossy(&output.stdout));
        }
        assert!(said.is_empty(), "{command:?} {file}:\n{said}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_made_of_template_and_table() {
        let table = Table::read("\na,b\tone,two\tX-Y [on|OFF]\t-1\tText.\n(o)\t-c\t\t\tOption.\n");
        assert_eq!(table.pairs().len(), 5);
        assert_eq!(table.words("(o)"), BTreeSet::from(["-c".to_owned()]));
        let note = |row: &Row| (row.group == "(o)").then(|| "Note.".to_owned());
        let (page, used) = table.page(".TH A\n.\\\" @table (o)\nEnd\n", &|_| None, &note);
        assert!(page.ends_with(".TH A\n.TP\n\\fB\\-c\\fR\nOption.\nNote.\nEnd\n"));
        assert_eq!(used.len(), 1);
        let (page, _) = table.page(".\\\" @table a,b\n", &|_| Some("Before.".to_owned()), &note);
        let row = ".PP\nBefore.\n.TP\n\\fBone\\fR, \\fBtwo\\fR \\fIX\\fR\\-\\fIY\\fR [on|\\fIOFF\\fR]\nText.\nDefault: \\-1.\n";
        assert!(page.ends_with(row), "{page}");
    }

    #[test]
    #[should_panic(expected = "described twice")]
    fn a_word_is_described_once() {
        Table::read("\na\tx\t\t\tT.\na,b\tx\t\t\tT.\n").pairs();
    }
}
