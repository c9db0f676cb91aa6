//! `DAMAGED=10000 [SEED=7] cargo bench --bench rivals`: so many damaged resources of the types that our objects use, through our
//! validator and through HL7's own (HAPI's `FhirInstanceValidator`, `hapi/`, built and run by `mvn`), offline, with the
//! same options. Damage is drawn evenly over the kinds; each resource has a seed of its own, told with it. What differs
//! is written to `target/rivals/`, and who is right by R4's text is checked in (`judged.toml`). Add `--profile dev` to build quickly.

mod bases;
mod compare;
mod kinds;
mod links;
mod prose;
mod rules;
mod spots;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use fastrand::Rng;
use liaison::{
    definitions::{Definitions, Pack, Package},
    fhir::{self, Value},
    profile::{Options, Validator},
};
use serde_json::json;

use crate::support::shared;
use bases::Base;
use kinds::{KINDS, On};

/// US Core, so that profiles with slices are at hand on both sides.
const PACKAGE: &str = "packages/hl7.fhir.us.core-6.1.0.tgz";

/// What one engine says of a resource.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Errors and fatal issues: place and sentence.
    pub errors: Vec<(String, String)>,
}

/// One damaged resource.
pub struct Case {
    /// Kind, seed.
    pub id: String,
    /// Which of its kind.
    pub number: usize,
    /// Number in [`KINDS`].
    pub kind: usize,
    /// What it was made from.
    pub base: String,
    /// As JSON.
    pub text: String,
    /// JSON pointer of the damage.
    pub at: String,
}

/// Runs `count` damaged resources.
pub fn run(count: usize) {
    let Some(package) = shared(PACKAGE) else { return };
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/rivals"));
    fs::create_dir_all(&folder).expect("target/ is writable");
    let opened = Package::open(&package).expect("opens");
    let pack = Pack::open(opened.pack().0).expect("a pack");
    let definitions = Definitions::with_packages([Arc::new(pack)]).expect("fit");
    let validator = Validator::new(Arc::clone(&definitions));
    let all = bases::all(&opened);
    let asked: Vec<(String, String)> = all.iter().map(|base| (base.name.clone(), base.value.to_string())).collect();
    let theirs = hl7(&folder, "bases", &package, &asked);
    let (mut weighed, mut disputed) = (Vec::new(), Vec::new());
    for base in all {
        let (ours, theirs) =
            (judge(&validator, &base.value.to_string()), theirs.get(&base.name).cloned().unwrap_or_default());
        let (right, same) =
            (ours.errors.is_empty() && theirs.errors.is_empty(), ours.errors.is_empty() == theirs.errors.is_empty());
        if !same {
            disputed.push((base.name.clone(), ours, theirs));
        }
        weighed.push((base, right));
    }
    println!(
        "{} right resources to begin with; {} on which the two differ",
        weighed.iter().filter(|base| base.1).count(),
        disputed.len()
    );
    let cases = damaged(&definitions, &weighed, count, seed);
    let asked: Vec<(String, String)> = cases.iter().map(|case| (case.id.clone(), case.text.clone())).collect();
    let theirs = hl7(&folder, "damaged", &package, &asked);
    let verdicts: Vec<(Case, Verdict, Verdict)> = cases
        .into_iter()
        .filter_map(|case| {
            let theirs = theirs.get(&case.id).cloned()?;
            let ours = judge(&validator, &case.text);
            Some((case, ours, theirs))
        })
        .collect();
    compare::report(&folder, &verdicts, &disputed);
}

/// Our verdict, with the options of `liaison validate`.
fn judge(validator: &Validator, text: &str) -> Verdict {
    match fhir::read_str(text) {
        Err(error) => Verdict { errors: vec![(String::new(), error.to_string())] },
        Ok(value) => {
            let report = validator.validate(&value, &Options::default());
            let errors =
                report.errors().map(|issue| (issue.pointer.clone(), format!("[{}] {}", issue.rule, issue.text)));
            Verdict { errors: errors.collect() }
        }
    }
}

/// HL7's verdicts. Answers to the same questions are kept from one run to the next, those of a run that was cut off too.
fn hl7(folder: &Path, name: &str, package: &Path, asked: &[(String, String)]) -> HashMap<String, Verdict> {
    keep(folder, name);
    let known = kept(folder, name);
    let fresh: Vec<_> = asked.iter().filter(|(_, text)| !known.contains_key(text)).collect();
    if !fresh.is_empty() {
        let lines: String = fresh.iter().map(|(id, text)| format!("{}\n", json!({"id": id, "text": text}))).collect();
        let (to, from) = (folder.join(format!("{name}.ndjson")), folder.join(format!("{name}.answers.ndjson")));
        fs::write(&to, &lines).expect("writable");
        let arguments = format!("{} {} {}", to.display(), from.display(), package.display());
        let mut maven = Command::new("mvn");
        let project = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/rivals/hapi/pom.xml");
        maven.args(["-q", "-B", "-f", project, "compile", "exec:java"]);
        let ended = maven.arg(format!("-Dexec.args={arguments}")).status();
        assert!(ended.is_ok_and(|status| status.success()), "mvn must run HL7's engine (benches/rivals/hapi)");
        keep(folder, name);
    }
    let known = kept(folder, name);
    asked.iter().filter_map(|(id, text)| Some((id.clone(), known.get(text)?.clone()))).collect()
}

/// What is kept, by the text that was asked about.
fn kept(folder: &Path, name: &str) -> HashMap<String, Verdict> {
    let text = fs::read_to_string(folder.join(format!("{name}.kept.ndjson"))).unwrap_or_default();
    let lines = text.lines().filter_map(|line| fhir::read_str(line).ok());
    lines.map(|line| (line["asked"].as_str().unwrap_or_default().to_owned(), answer(&line).1)).collect()
}

/// Puts the answers at hand beside their questions into what is kept.
fn keep(folder: &Path, name: &str) {
    let (to, from) = (folder.join(format!("{name}.ndjson")), folder.join(format!("{name}.answers.ndjson")));
    let (Ok(asked), Ok(answers)) = (fs::read_to_string(&to), fs::read_to_string(&from)) else { return };
    let asked = asked.lines().filter_map(|line| fhir::read_str(line).ok());
    let kept = folder.join(format!("{name}.kept.ndjson"));
    let mut all = fs::read_to_string(&kept).unwrap_or_default();
    // The last line of a run that was cut off may be a half
    for (mut line, asked) in answers.lines().filter_map(|line| fhir::read_str(line).ok()).zip(asked) {
        line["asked"] = asked["text"].clone();
        all.push_str(&format!("{line}\n"));
    }
    fs::write(&kept, all).expect("writable");
    let _ = fs::remove_file(&from);
}

fn answer(line: &Value) -> (String, Verdict) {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let issues = line["issues"].as_array().into_iter().flatten();
    let errors = issues.filter(|issue| matches!(issue["severity"].as_str(), Some("error" | "fatal")));
    let errors =
        errors.map(|issue| (text(issue, "at"), format!("[{}] {}", text(issue, "id"), text(issue, "text")))).collect();
    (text(line, "id"), Verdict { errors })
}

/// Evenly over the kinds.
fn damaged(definitions: &Definitions, all: &[(Base, bool)], count: usize, seed: u64) -> Vec<Case> {
    let spots: Vec<_> = all.iter().map(|(base, _)| spots::of(definitions, &base.value)).collect();
    let each = count.div_ceil(KINDS.len());
    let mut cases = Vec::new();
    for (kind, (name, on, work)) in KINDS.iter().enumerate() {
        let fits = |base: &Base| match on {
            On::All => base.is_of_ours,
            On::Profiled => base.is_profiled,
            On::Bundles => base.is_bundle,
        };
        let fitting: Vec<usize> = (0..all.len()).filter(|at| fits(&all[*at].0)).collect();
        let mut made = 0;
        for number in 0..each * 200 {
            let own = seed.wrapping_mul(1_000_003).wrapping_add((kind as u64) << 32).wrapping_add(number as u64);
            let mut random = Rng::with_seed(own);
            let at = fitting[random.usize(..fitting.len())];
            let (base, is_right) = &all[at];
            let Some((value, place)) = work(&base.value, &spots[at], &mut random) else { continue };
            if value == base.value || !is_right {
                continue;
            }
            let (id, text) = (format!("{name}/{number}"), value.to_string());
            cases.push(Case { number: made, id, kind, base: base.name.clone(), text, at: place });
            made += 1;
            if made == each {
                break;
            }
        }
        if made < each {
            println!("{name}: only {made} could be made");
        }
    }
    // One of each kind after the other, so that a run that is cut off is even, too
    cases.sort_by_key(|case| case.number);
    cases
}
