//! Style is a failing test: import direction between the rooms, file length, headers, codes with a page, mappings
//! with examples, time and chance only where they belong, no panicking shortcuts.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

/// The rooms from the top down; a room may use only rooms of levels after its own.
const LEVELS: [&[&str]; 11] = [
    &["main"],
    &["app"],
    &["cli", "api", "console", "sandbox"],
    &["access"],
    &["sync"],
    &["ledger", "ehr", "deliver", "laws"],
    &["mapping", "profile"],
    &["fhirpath", "definitions", "rest"],
    &["fhir", "domain"],
    &["error", "clock"],
    &["embedded"],
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    walk(&root().join("src"), &mut found);
    found.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    found.sort();
    assert!(found.len() > 10, "src/ must be found");
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("readable source");
            (path.strip_prefix(root()).expect("below root").to_owned(), text)
        })
        .collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}

fn room(path: &Path) -> String {
    let name = path.iter().nth(1).expect("below src").to_string_lossy();
    name.trim_end_matches(".rs").to_owned()
}

fn level(room: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.contains(&room))
}

/// The part of a source before its unit tests.
fn product(text: &str) -> &str {
    text.find("\n#[cfg(test)]").map_or(text, |at| &text[..at])
}

fn is_test_file(path: &Path) -> bool {
    path.iter().any(|part| part == "tests" || part == "tests.rs") || path.to_string_lossy().ends_with("_tests.rs")
}

fn report(what: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{what}:\n  {}", breaches.join("\n  "));
}

#[test]
fn imports_run_one_way() {
    let uses = Regex::new(r"\b(?:crate|liaison)::([a-z_]+)").expect("valid");
    let mut breaches = Vec::new();
    for (path, text) in sources() {
        let own = room(&path);
        if own == "lib" {
            continue;
        }
        let Some(from) = level(&own) else {
            breaches.push(format!("{}: the room {own} has no level in tests/tidy.rs", path.display()));
            continue;
        };
        for (number, line) in product(&text).lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for found in uses.captures_iter(line) {
                let to = &found[1];
                if to != own && level(to).is_some_and(|to| to <= from) {
                    breaches.push(format!("{}:{}: {own} may not use {to}", path.display(), number + 1));
                }
            }
        }
    }
    report("imports against the direction of the rooms (src/ARCHITECTURE.md)", &breaches);
}

#[test]
fn files_are_short_and_say_what_they_own() {
    let mut breaches = Vec::new();
    for (path, text) in sources() {
        if !text.starts_with("//!") {
            breaches.push(format!("{}: must start with //! (what it owns, what it refuses)", path.display()));
        }
        let lines = product(&text).lines().count();
        if lines > 400 && !is_test_file(&path) {
            breaches.push(format!("{}: {lines} lines; over 400, look for the second idea in it", path.display()));
        }
    }
    report("files", &breaches);
}

#[test]
fn time_and_chance_only_where_they_belong() {
    let mut breaches = Vec::new();
    for (path, text) in sources() {
        if ["clock", "app"].contains(&room(&path).as_str()) || is_test_file(&path) {
            continue;
        }
        for (number, line) in product(&text).lines().enumerate() {
            for forbidden in [
                "SystemTime::now",
                "Timestamp::now",
                "Zoned::now",
                "fastrand::f64",
                "fastrand::u",
                "Uuid::now_v7",
                "Uuid::new_v4",
            ] {
                if line.contains(forbidden) {
                    breaches.push(format!("{}:{}: {forbidden}; take a clock instead", path.display(), number + 1));
                }
            }
        }
    }
    report("time and chance", &breaches);
}

#[test]
fn no_stubs_no_panicking_shortcuts() {
    let mut breaches = Vec::new();
    for (path, text) in sources() {
        if is_test_file(&path) {
            continue;
        }
        for (number, line) in product(&text).lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for forbidden in ["todo!(", "unimplemented!(", "dbg!(", ".unwrap()", ".expect(\"", "panic!(", "#[allow("] {
                if line.contains(forbidden) {
                    breaches.push(format!("{}:{}: {forbidden}", path.display(), number + 1));
                }
            }
        }
    }
    report("stubs and shortcuts", &breaches);
}

#[test]
fn only_one_file_knows_sled() {
    let breaches: Vec<String> = sources()
        .into_iter()
        .filter(|(path, text)| text.contains("sled::") && path != Path::new("src/ledger/sled.rs"))
        .map(|(path, _)| path.display().to_string())
        .collect();
    report("sled outside src/ledger/sled.rs", &breaches);
}

#[test]
fn every_code_has_a_page_and_every_page_a_use() {
    let code = Regex::new(r"\bLIA-[A-Z]+-\d{3}\b").expect("valid");
    let mut used = BTreeSet::new();
    for (_, text) in sources() {
        used.extend(code.find_iter(product(&text)).map(|found| found.as_str().to_owned()));
    }
    let pages: BTreeSet<String> = liaison::error::pages().keys().map(|code| (*code).to_owned()).collect();
    let files = fs::read_dir(root().join("src/error/pages")).expect("pages").count();
    assert_eq!(pages.len(), files, "every file of src/error/pages must be CODE.md with front matter title and status");
    let without: Vec<String> = used.difference(&pages).cloned().collect();
    report("codes without src/error/pages/CODE.md", &without);
    let unused: Vec<String> = pages.difference(&used).cloned().collect();
    report("pages whose code nothing uses", &unused);
    let mut breaches = Vec::new();
    for page in liaison::error::pages().values() {
        for heading in ["What happened", "Who is affected", "What to do"] {
            if page.section(heading).is_empty() {
                breaches.push(format!("{}: no section '{heading}'", page.code));
            }
        }
        for reader in ["**Secretary:**", "**HIM:**", "**Engineer:**"] {
            if !page.body.contains(reader) {
                breaches.push(format!("{}: says nothing to {reader}", page.code));
            }
        }
    }
    report("pages", &breaches);
}

#[test]
fn every_mapping_has_schema_and_examples() {
    let mut breaches = Vec::new();
    for entry in fs::read_dir(root().join("mappings")).expect("mappings").flatten() {
        let folder = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if !folder.is_dir() || name == "concepts" || name == "fragments" {
            continue;
        }
        for file in ["internal.schema.json", "mapping.yaml"] {
            if !folder.join(file).is_file() {
                breaches.push(format!("mappings/{name}: no {file}"));
            }
        }
        if fs::read_dir(folder.join("examples")).map_or(0, Iterator::count) < 2 {
            breaches.push(format!("mappings/{name}: no worked examples"));
        }
    }
    report("mappings", &breaches);
}

/// Who has nothing beside the clone must be told so in one way: `support::beside` decides between skipping and failing.
#[test]
fn only_one_file_knows_what_stands_beside_the_repository() {
    let beside = concat!("..", "/shared");
    let (mut paths, mut breaches) = (Vec::new(), Vec::new());
    for folder in ["src", "tests", "benches", "fuzz/targets"] {
        walk(&root().join(folder), &mut paths);
    }
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        let text = fs::read_to_string(path).expect("readable source");
        for needle in [beside, "LIAISON_REQUIRE_PEERS\"", "LIAISON_REQUIRE_SHARED\"", concat!("/work", "/shared")] {
            if text.contains(needle) && !path.ends_with("tests/support/beside.rs") && !path.ends_with("tests/tidy.rs") {
                breaches.push(format!("{}: {needle}; ask tests/support/beside.rs", path.display()));
            }
        }
    }
    report("what stands beside the repository", &breaches);
}
