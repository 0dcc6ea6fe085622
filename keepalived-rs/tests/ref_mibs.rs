//! The MIB modules of 2.3.3 and ours, as net-snmp reads them: what scripts can ask for by name must be the same. Descriptions are
//! our own. net-snmp keeps neither the members of conformance groups nor what a compliance demands, so these are not compared.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy spares only functions marked as tests"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::need;

const MODULES: &str = "KEEPALIVED-MIB:VRRP-MIB:VRRPV3-MIB";

/// What lies below these is defined by the modules; the rest comes from the stand-ins of the modules that they import.
const OWN: [&str; 3] = ["1.3.6.1.4.1.9586", "1.3.6.1.2.1.68", "1.3.6.1.2.1.207"];

/// Definitions without their descriptions, by their numbers.
type Definitions = BTreeMap<String, String>;

fn ours() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("mibs")
}

/// Whether net-snmp's translator is here; if not, the test is skipped.
fn installed(test: &str) -> bool {
    Path::new("/usr/bin/snmptranslate").exists() || need::skip(test, "it needs snmptranslate")
}

/// What the translator prints with the modules in `dir`, and its complaints about them.
fn translate(dir: &Path, more: &[&str]) -> (String, Vec<String>) {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/mibs");
    // The machine's own settings must not count, and the translator makes a folder in what it takes for its own.
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("snmptranslate");
    fs::create_dir_all(&own).unwrap();
    let folders = format!("{}:{}", base.display(), dir.display());
    let output = Command::new("snmptranslate")
        .env("SNMPCONFPATH", &own)
        .env("SNMP_PERSISTENT_DIR", &own)
        .args(["-M", &folders, "-m", MODULES, "-PW"])
        .args(more)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    // It does not know the types of rows, and complains about each table of any module.
    let is_row = |l: &str| l.contains("No known translation for type") && l.contains("Entry):");
    let of_no_use = |l: &str| l.starts_with("Created directory") || is_row(l);
    let complaints = said.lines().filter(|l| !of_no_use(l));
    (
        String::from_utf8(output.stdout).unwrap(),
        complaints.map(str::to_owned).collect(),
    )
}

/// The numbers of all that the modules define.
fn numbers(dir: &Path) -> Vec<String> {
    let (list, _) = translate(dir, &["-Tz"]);
    let all = list
        .lines()
        .filter_map(|l| l.split('"').nth(3).map(str::to_owned));
    let is_own = |oid: &String| {
        OWN.iter().any(|own| {
            oid.strip_prefix(own)
                .is_some_and(|r| r.is_empty() || r.starts_with('.'))
        })
    };
    all.filter(is_own).collect()
}

fn definitions(dir: &Path) -> Definitions {
    let numbers = numbers(dir);
    let named: Vec<String> = numbers.iter().map(|oid| format!(".{oid}")).collect();
    let mut arguments = vec!["-Td"];
    arguments.extend(named.iter().map(String::as_str));
    let (text, _) = translate(dir, &arguments);
    let mut found = Vec::new();
    let mut lines = text.lines();
    let mut definition = String::new();
    while let Some(line) = lines.next() {
        if line.starts_with("  DESCRIPTION\t\"") {
            // There is no quotation mark within a text of SMIv2, so the next one at an end is its own.
            let mut last = line;
            while !last.ends_with('"') {
                last = lines.next().unwrap();
            }
            continue;
        }
        definition.push_str(line);
        definition.push('\n');
        if line.starts_with("::= {") {
            found.push(definition.trim().to_owned());
            definition.clear();
        }
    }
    assert_eq!(numbers.len(), found.len(), "{text}");
    numbers.into_iter().zip(found).collect()
}

#[test]
fn ref_names_types_and_access_are_the_originals() {
    const TEST: &str = "ref_names_types_and_access_are_the_originals";
    let Some(root) = need::originals(TEST) else {
        return;
    };
    if !installed(TEST) {
        return;
    }
    let theirs = definitions(&root.join("usr/share/snmp/mibs"));
    assert!(theirs.len() > 600, "{}", theirs.len());
    let ours = definitions(&ours());
    let only = |a: &Definitions, b: &Definitions| {
        let only = a.iter().filter(|(oid, text)| b.get(*oid) != Some(text));
        only.map(|(oid, text)| format!("{oid} {text}\n"))
            .collect::<String>()
    };
    let (lost, added) = (only(&theirs, &ours), only(&ours, &theirs));
    assert!(
        lost.is_empty() && added.is_empty(),
        "--- only 2.3.3\n{lost}\n--- only ours\n{added}"
    );
}

#[test]
fn our_modules_are_read_without_a_complaint() {
    const TEST: &str = "our_modules_are_read_without_a_complaint";
    if !installed(TEST) {
        return;
    }
    let (number, complaints) = translate(
        &ours(),
        &[
            "-On",
            "KEEPALIVED-MIB::vrrpInstanceState",
            "VRRPV3-MIB::vrrpv3OperationsStatus",
        ],
    );
    assert_eq!(complaints, [""; 0]);
    let wanted = ".1.3.6.1.4.1.9586.100.5.2.3.1.4\n\n.1.3.6.1.2.1.207.1.1.1.1.6\n";
    assert_eq!(number, wanted);
}
