//! HL7's own validator suite (R4, JSON): every run of the test data's `validator-cases` against the Java validator's
//! verdict. What differs is listed with its reason in `validator_disagreements.toml`; a change in either direction fails.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use liaison::{
    definitions::{Definitions, Pack, Package, pack::Builder},
    fhir::{self, Value, json::Limits},
    profile::{Options, Validator},
};

use crate::support::{beside::shared, xml};

/// Least agreement, in per cent.
const AGREEMENT: usize = 95;

/// A file of the suite; asked for only once the suite is known to be there.
fn needed(path: &str) -> PathBuf {
    shared(path).unwrap_or_else(|| panic!("the suite is incomplete: {path} is missing"))
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Packs that were opened already, by path.
#[derive(Default)]
struct Packs(HashMap<PathBuf, Arc<Pack>>);

impl Packs {
    fn open(&mut self, path: PathBuf) -> Arc<Pack> {
        let made = || {
            let bytes = match Package::open(&path) {
                Ok(package) => package.pack().0,
                Err(error) => {
                    println!("{}: {error}", path.display());
                    Builder::fast("refused").build()
                }
            };
            Arc::new(Pack::open(bytes).expect("a pack"))
        };
        Arc::clone(self.0.entry(path.clone()).or_insert_with(made))
    }

    fn supporting(&mut self, name: &str) -> Arc<Pack> {
        let path = needed(&format!("validator-cases/{name}"));
        if !name.ends_with(".xml") {
            return self.open(path);
        }
        let text = fs::read_to_string(&path).expect("readable");
        let mut builder = Builder::fast(name);
        assert!(builder.add(&xml::to_json(&text, &Definitions::core())), "{name} is a definition");
        Arc::new(Pack::open(builder.build()).expect("a pack"))
    }

    fn of(&mut self, case: &Value) -> Arc<Definitions> {
        let mut packs = Vec::new();
        for name in texts(&case["packages"]) {
            let path = match name.split_once('#') {
                Some((name, version)) if !name.contains('/') => needed(&format!("packages/{name}-{version}.tgz")),
                _ => needed(&format!("validator-cases/{name}")),
            };
            packs.push(self.open(path));
        }
        for (_, path) in case["options"]["package-map"].as_object().into_iter().flatten() {
            packs.push(self.open(needed(&format!("validator-cases/support/{}", path.as_str().expect("a path")))));
        }
        packs.extend(texts(&case["supporting"]).iter().map(|name| self.supporting(name)));
        Definitions::with_packages(packs).expect("packages fit together")
    }
}

fn options(case: &Value) -> Options {
    let mut options = Options {
        unknown_extensions: false,
        now: Some("2026-01-01T00:00:00Z".parse().expect("an instant")),
        ..Options::with_profiles(texts(&case["profiles"]))
    };
    for (name, value) in case["options"].as_object().into_iter().flatten() {
        if matches!(name.as_str(), "fetcher" | "package-map" | "advisor") {
            continue;
        }
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        options.set(&format!("{name}={value}")).expect("an option of the contract");
    }
    options
}

struct Verdict {
    valid: bool,
    /// Expressions of errors.
    errors: Vec<(String, String)>,
}

fn run(case: &Value, packs: &mut Packs, core: &Arc<Validator>) -> Verdict {
    let bytes = fs::read(needed(&format!("validator-cases/public/{}", case["file"].as_str().expect("a file"))))
        .expect("readable");
    let comments = case["options"]["allow-comments"] == true;
    let resource = match fhir::json::read_with(&bytes, Limits { comments, ..Limits::default() }) {
        Ok(resource) => resource,
        Err(error) => return Verdict { valid: false, errors: vec![(String::new(), error.to_string())] },
    };
    let alone = texts(&case["packages"]).is_empty() && texts(&case["supporting"]).is_empty();
    let validator = if alone && case["options"]["package-map"].is_null() {
        Arc::clone(core)
    } else {
        Arc::new(Validator::new(packs.of(case)))
    };
    let report = validator.validate(&resource, &options(case));
    let errors = report.errors().map(|issue| (issue.expression.clone(), format!("[{}] {}", issue.rule, issue.text)));
    Verdict { valid: report.is_valid(), errors: errors.collect() }
}

/// A path without indexes, chosen types and Java's remarks.
fn plain(expression: &str) -> Vec<String> {
    let mut out = String::new();
    let mut rest = expression;
    while let Some(next) = rest.chars().next() {
        let skip = match next {
            '/' if rest.starts_with("/*") => rest.find("*/").map(|end| end + 2),
            '[' => rest.find(']').map(|end| end + 1),
            '.' if rest.starts_with(".ofType(") => rest.find(')').map(|end| end + 1),
            _ => None,
        };
        let skip = skip.unwrap_or_else(|| {
            out.push(next);
            next.len_utf8()
        });
        rest = &rest[skip..];
    }
    out.split('.').map(str::to_owned).collect()
}

/// At the same element, its parent, its child, or its sibling.
fn beside(ours: &str, theirs: &str) -> bool {
    let (ours, theirs) = (plain(ours), plain(theirs));
    let shared = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
    ours.len().saturating_sub(shared) <= 1 && theirs.len().saturating_sub(shared) <= 1
}

/// About the base specification alone: no options, no codes that only a terminology server knows, and no second opinion
/// that differs from Java's. On these there is no excuse.
fn is_undisputed(case: &Value) -> bool {
    let plain = case["about"] == "base"
        && case["options"].as_object().is_some_and(serde_json::Map::is_empty)
        && texts(&case["tx"]["external_systems_in_input"]).is_empty();
    let others = case["other_validators"].as_object().into_iter().flatten();
    plain && others.into_iter().all(|(_, other)| (other["errors"] == 0) == (case["expected"]["valid"] == true))
}

#[test]
fn agrees_with_the_java_validator() {
    let Some(list) = shared("validator-cases/cases.jsonl") else { return };
    let text = fs::read_to_string(list).expect("readable");
    let cases: Vec<Value> = text.lines().map(|line| fhir::read_str(line).expect("JSON")).collect();
    assert_eq!(cases.len(), 192, "all runs");
    let reasons: BTreeMap<String, String> =
        toml::from_str(include_str!("validator_disagreements.toml")).expect("case = \"reason\"");
    let (mut packs, core) = (Packs::default(), Arc::new(Validator::new(Definitions::core())));
    let (mut agreed, mut caught, mut placed) = (0, 0, 0);
    let (mut undisputed, mut undisputed_agreed) = (0, 0);
    let (mut breaches, mut log) = (Vec::new(), String::new());
    for case in &cases {
        let id = case["id"].as_str().expect("an id");
        let verdict = run(case, &mut packs, &core);
        let expected = case["expected"]["valid"] == true;
        let agrees = verdict.valid == expected;
        agreed += usize::from(agrees);
        if is_undisputed(case) {
            undisputed += 1;
            undisputed_agreed += usize::from(agrees);
        }
        let theirs: Vec<&Value> = case["java_issues"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|issue| issue["severity"] == "error" || issue["severity"] == "fatal")
            .collect();
        let at = |issue: &&Value| {
            verdict.errors.iter().any(|(ours, _)| beside(ours, issue["expression"].as_str().unwrap_or("")))
        };
        let near = theirs.is_empty() || theirs.iter().any(at);
        if agrees && !expected {
            caught += 1;
            placed += usize::from(near);
        }
        let mark = if agrees && (expected || near) {
            "ok  "
        } else if agrees {
            "away"
        } else if expected {
            "FALSE"
        } else {
            "MISS"
        };
        let _ = writeln!(log, "{mark} {id} ({}) {}", case["about"], case["options"]);
        if !agrees || !near && !expected {
            for (expression, text) in &verdict.errors {
                let _ = writeln!(log, "     ours {expression}: {text}");
            }
            for issue in theirs {
                let _ = writeln!(log, "     java {}: {}", issue["expression"], issue["text"]);
            }
        }
        match (agrees, reasons.contains_key(id)) {
            (true, true) => breaches.push(format!("{id}: agrees now, and is listed as a disagreement")),
            (false, false) => {
                breaches.push(format!("{id}: {} but HL7's validator says {}", word(verdict.valid), word(expected)))
            }
            _ => {}
        }
    }
    let folder = Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/validator-cases.log"));
    fs::write(folder, &log).expect("target/ is writable");
    println!(
        "agreement: {agreed} of {} ({:.1} %); errors at or beside Java's place: {placed} of {caught}",
        cases.len(),
        agreed as f64 * 100.0 / cases.len() as f64
    );
    assert!(
        breaches.is_empty(),
        "{agreed} of {} agree; see {}\n{}",
        cases.len(),
        folder.display(),
        breaches.join("\n")
    );
    assert_eq!((undisputed, undisputed_agreed), (41, 41), "all undisputed runs on the base specification");
    assert!(agreed * 100 >= cases.len() * AGREEMENT, "at least {AGREEMENT} %");
    assert!(placed * 100 >= caught * 90, "at least 90 % at or beside Java's place");
}

fn word(valid: bool) -> &'static str {
    if valid { "valid" } else { "invalid" }
}
