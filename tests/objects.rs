//! The data under `mappings/`, example by example: the FHIR side of every worked example is valid against R4 and,
//! where the mapping names US Core profiles, against one of them.

use std::{fs, path::PathBuf, sync::Arc};

use liaison::{
    definitions::{Definitions, Pack, Package},
    fhir,
    profile::{Options, Validator},
};
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn us_core() -> Validator {
    let path = root().join("../shared/data/packages/hl7.fhir.us.core-6.1.0.tgz");
    let package = Package::open(&path).expect("../shared/data/packages/hl7.fhir.us.core-6.1.0.tgz is needed");
    let pack = Pack::open(package.pack().0).expect("a pack");
    Validator::new(Definitions::with_packages([Arc::new(pack)]).expect("definitions"))
}

fn folders() -> Vec<(String, PathBuf)> {
    let mut folders: Vec<_> = fs::read_dir(root().join("mappings"))
        .expect("mappings/")
        .flatten()
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .filter(|(_, path)| path.join("mapping.yaml").is_file())
        .collect();
    folders.sort();
    folders
}

fn read(path: &PathBuf) -> Value {
    fhir::read(&fs::read(path).expect("readable")).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn examples(folder: &PathBuf, ending: &str) -> Vec<(String, Value)> {
    let dialects = fs::read_dir(folder.join("examples")).expect("examples/").flatten().map(|entry| entry.path());
    let folders = dialects.filter(|path| path.is_dir()).chain([folder.join("examples")]);
    let mut found: Vec<_> = folders
        .flat_map(|folder| fs::read_dir(folder).expect("examples").flatten())
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(ending))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), read(&entry.path())))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// The resources of a worked example: one, or the entries of its Bundle.
fn resources(example: &Value) -> Vec<Value> {
    match example["resourceType"].as_str() {
        Some("Bundle") => example["entry"].as_array().expect("entries").iter().map(|e| e["resource"].clone()).collect(),
        _ => vec![example.clone()],
    }
}

fn profiles(folder: &PathBuf) -> Vec<String> {
    let text = fs::read_to_string(folder.join("mapping.yaml")).expect("mapping.yaml");
    let line = text.lines().find_map(|line| line.strip_prefix("profile: ")).unwrap_or_default();
    line.trim_matches(['[', ']']).split(", ").filter(|url| !url.is_empty()).map(str::to_owned).collect()
}

#[test]
fn fhir_sides_are_valid() {
    let validator = us_core();
    let mut wrong = Vec::new();
    for (object, folder) in folders() {
        for (name, example) in examples(&folder, ".fhir.json") {
            for resource in resources(&example) {
                let report = validator.validate(&resource, &Options::default());
                for issue in report.errors() {
                    wrong.push(format!("{object}/{name}: {} {} [{}]", issue.expression, issue.text, issue.rule));
                }
            }
            // what an EHR sends need not meet US Core unless it claims to
            if name.ends_with(".inbound.fhir.json") {
                continue;
            }
            let main = &resources(&example)[0];
            let reports: Vec<_> =
                profiles(&folder).iter().map(|url| validator.validate(main, &Options::with_profiles([url]))).collect();
            if !reports.is_empty() && !reports.iter().any(liaison::profile::Report::is_valid) {
                for issue in reports[0].errors() {
                    wrong.push(format!("{object}/{name} US: {} {} [{}]", issue.expression, issue.text, issue.rule));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} findings:\n{}", wrong.len(), wrong.join("\n"));
}

/// Guards the test above: the profiles are really at work where they are named.
#[test]
fn profiles_bite() {
    let validator = us_core();
    for (object, folder) in folders() {
        for url in profiles(&folder) {
            let example = &examples(&folder, ".fhir.json")[0].1;
            let mut main = resources(example)[0].clone();
            let members = main.as_object_mut().expect("a resource");
            members.retain(|name, _| name == "resourceType");
            let report = validator.validate(&main, &Options::with_profiles([&url]));
            assert!(!report.is_valid(), "{object}: {url} is content with an empty resource");
        }
    }
}

/// Where US Core has several profiles of one type, an example stands for each that a practice meets daily.
#[test]
fn examples_meet_the_particular_profiles() {
    let validator = us_core();
    for (object, name, profile) in [
        ("observation", "blood-pressure", "us-core-blood-pressure"),
        ("observation", "diastolic-not-taken", "us-core-blood-pressure"),
        ("observation", "hba1c-with-range", "us-core-observation-lab"),
        ("observation", "covid-negative", "us-core-observation-lab"),
        ("observation", "smoking", "us-core-smokingstatus"),
        ("observation", "asked-but-declined", "us-core-observation-screening-assessment"),
        ("condition", "problem-list-hypertension", "us-core-condition-problems-health-concerns"),
        ("condition", "visit-diagnosis-resolved", "us-core-condition-encounter-diagnosis"),
        ("diagnostic-report", "blood-count-with-results", "us-core-diagnosticreport-lab"),
        ("diagnostic-report", "chest-x-ray-with-pdf", "us-core-diagnosticreport-note"),
    ] {
        let path = root().join(format!("mappings/{object}/examples/{name}.fhir.json"));
        let url = format!("http://hl7.org/fhir/us/core/StructureDefinition/{profile}");
        let report = validator.validate(&read(&path), &Options::with_profiles([url]));
        let errors: Vec<_> = report.errors().map(|issue| format!("{} {}", issue.expression, issue.text)).collect();
        assert!(errors.is_empty(), "{object}/{name} against {profile}: {}", errors.join("; "));
    }
}
