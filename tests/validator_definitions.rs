//! No false alarm on definitions: every StructureDefinition, ValueSet, CodeSystem, SearchParameter and their like that HL7
//! published in the packages at hand is right, but for those that are listed with the reason why they are not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use liaison::{
    definitions::{Definitions, Pack, Package},
    fhir,
    profile::{Options, Validator},
};

use crate::support::{own, package};

/// `file: reason`, one a line.
const INVALID: &str = include_str!("validator_definitions.txt");

/// The most that may be called invalid, of more than 6,000.
const MOST: usize = 100;

/// The definitions of a package: whatever has a canonical URL.
fn published(package: &Package, name: &str) -> Vec<(String, fhir::Value)> {
    let json = package.files.iter().filter(|(path, _)| path.ends_with(".json") && !path.contains("/openapi/"));
    let read = |(path, bytes): (&String, &Vec<u8>)| {
        let value = fhir::read(bytes).ok()?;
        let is_definition = value.get("resourceType").is_some() && value.get("url").is_some();
        is_definition.then(|| (format!("{name}/{}", path.rsplit('/').next().unwrap_or(path)), value))
    };
    json.filter_map(read).collect()
}

/// The errors of each definition that is called invalid.
fn sweep(validator: &Validator, files: &[(String, fhir::Value)]) -> BTreeMap<String, Vec<String>> {
    let options = Options { examples: true, unknown_extensions: false, ..Options::default() };
    let found = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for part in files.chunks(files.len().div_ceil(2).max(1)) {
            let (found, options) = (&found, &options);
            scope.spawn(move || {
                for (name, value) in part {
                    let report = validator.validate(value, options);
                    let told = |issue: &liaison::profile::Issue| {
                        format!("{}: {} [{}]", issue.expression, issue.text, issue.rule)
                    };
                    let errors: Vec<String> = report.errors().map(told).collect();
                    if !errors.is_empty() {
                        found.lock().expect("no panic").insert(name.clone(), errors);
                    }
                }
            });
        }
    });
    found.into_inner().expect("no panic")
}

#[test]
fn published_definitions_are_valid() {
    let mut found = BTreeMap::new();
    let mut count = 0;
    let Some(extensions) = package("hl7.fhir.uv.extensions.r4-5.3.0") else { return };
    let extensions = Arc::new(Pack::open(extensions.pack().0).expect("opens"));
    for name in [
        "hl7.fhir.r4.core-4.0.1",
        "hl7.fhir.us.core-3.1.1",
        "hl7.fhir.us.core-6.1.0",
        "hl7.fhir.us.core-7.0.0",
        "hl7.fhir.uv.ips-1.1.0",
        "hl7.fhir.uv.extensions.r4-5.3.0",
    ] {
        let Some(package) = package(name) else { return };
        let files = published(&package, name);
        count += files.len();
        let definitions = match name {
            "hl7.fhir.r4.core-4.0.1" => Definitions::core(),
            "hl7.fhir.uv.extensions.r4-5.3.0" => {
                Definitions::with_packages([Arc::clone(&extensions)]).expect("core pack")
            }
            _ => {
                let own = Arc::new(Pack::open(package.pack().0).expect("opens"));
                Definitions::with_packages([Arc::clone(&extensions), own]).expect("core pack")
            }
        };
        found.extend(sweep(&Validator::new(definitions), &files));
    }
    let log: Vec<String> =
        found.iter().map(|(file, errors)| format!("{file}\n    {}\n", errors.join("\n    "))).collect();
    let target = Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/validator-definitions.log"));
    fs::write(target, log.concat()).expect("target/ is writable");
    assert!(count > 6_000, "{count} definitions");
    let listed: BTreeSet<&str> = INVALID
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(": "))
        .map(|(file, _)| file)
        .collect();
    let alarms: Vec<&str> = found.keys().map(String::as_str).filter(|file| !listed.contains(file)).collect();
    assert!(
        alarms.is_empty(),
        "{} of {count} definitions are called invalid without a listed reason (see {}): {}",
        alarms.len(),
        target.display(),
        alarms.join(" ")
    );
    let idle: Vec<&&str> = listed.iter().filter(|file| !found.contains_key(**file)).collect();
    assert!(idle.is_empty(), "listed, but valid: {idle:?}");
    assert!(listed.len() <= MOST, "{} definitions are listed", listed.len());
}

/// Our own package's definitions are right, and each of these mistakes in them is told.
#[test]
fn our_own_definitions_are_valid_and_mistakes_in_them_are_told() {
    let validator = Validator::new(own::with_practice());
    let files: Vec<(String, fhir::Value)> =
        own::definitions().into_iter().map(|one| (one["id"].to_string(), one)).collect();
    assert_eq!(sweep(&validator, &files), BTreeMap::new());
    let mistakes: [(usize, &str, fhir::Value); 6] = [
        (0, "/kind", "something".into()),
        (0, "/differential/element/1/path", "Patient.identifiers".into()),
        (0, "/differential/element/0/constraint/0/expression", "telecom.exists( or".into()),
        (0, "/differential/element/5/max", "many".into()),
        (1, "/differential/element/0/path", "Slot.start".into()),
        (2, "/status", "finished".into()),
    ];
    for (at, pointer, wrong) in mistakes {
        let mut spoilt = files[at].clone();
        *spoilt.1.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is there")) = wrong;
        assert_eq!(sweep(&validator, &[spoilt]).len(), 1, "{} {pointer} is wrong", files[at].0);
    }
}
