//! The data under `mappings/`, example by example: the FHIR side of every worked example is valid against R4 and,
//! where the mapping names US Core profiles, against one of them.

use std::{fs, path::PathBuf, sync::Arc};

use liaison::{
    definitions::{Definitions, Pack},
    fhir,
    mapping::{Context, Mappings, Part},
    profile::{Options, Validator},
};
use serde_json::{Value, json};

use crate::support::{beside::shared, own, package};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn us_core() -> Option<Validator> {
    let pack = Pack::open(package("hl7.fhir.us.core-6.1.0")?.pack().0).expect("a pack");
    Some(Validator::new(Definitions::with_packages([Arc::new(pack)]).expect("definitions")))
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
    let Some(validator) = us_core() else { return };
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
    let Some(validator) = us_core() else { return };
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
    let Some(validator) = us_core() else { return };
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

fn json_files(folder: &std::path::Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())).flatten() {
        let path = entry.path();
        if path.is_dir() {
            json_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "json") {
            found.push(path);
        }
    }
}

/// Our own examples, and resources that no mapping's author saw: HL7's examples, Synthea's patients, US Core's examples; whether
/// these were there.
fn real_resources() -> (Vec<(String, Value)>, bool) {
    let others = || Some((shared("examples-r4")?, shared("synthea-r4")?, package("hl7.fhir.us.core-6.1.0")?));
    let Some((examples, synthea, package)) = others() else { return (own::resources(), false) };
    let mut paths = Vec::new();
    json_files(&examples, &mut paths);
    json_files(&synthea, &mut paths);
    let mut found: Vec<(String, Value)> = paths
        .iter()
        .filter_map(|path| fhir::read(&fs::read(path).ok()?).ok().map(|value| (path.display().to_string(), value)))
        .collect();
    for (name, bytes) in package.json() {
        if let Ok(value) = fhir::read(bytes) {
            found.push((name.to_owned(), value));
        }
    }
    let entries = |(name, value): (String, Value)| {
        let each = resources(&value).into_iter();
        each.map(move |one| (name.clone(), one)).collect::<Vec<_>>()
    };
    (found.into_iter().flat_map(entries).chain(own::resources()).collect(), true)
}

#[test]
fn real_resources_are_read_and_put_back_unchanged() {
    let mappings = Mappings::embedded().expect("the embedded mappings");
    let context = Context::new("example-clinic");
    let (mut wrong, mut count) = (Vec::new(), std::collections::BTreeMap::<String, usize>::new());
    let (found, all) = real_resources();
    for (name, resource) in found {
        let Some(object) = mappings.object_for(&resource) else { continue };
        for dialect in mappings.dialects() {
            let plan = mappings.plan(object.name(), &dialect).expect("a plan");
            let internal = plan.to_internal(std::slice::from_ref(&resource), &context);
            *count.entry(object.name().to_owned()).or_default() += 1;
            for finding in object.validate(&internal) {
                wrong.push(format!("{} {dialect} {name}: {} {}", object.name(), finding.pointer, finding.detail));
            }
            match plan.put(&internal, &plan.parts(std::slice::from_ref(&resource)), &context) {
                Ok(parts) if fhir::canonically_equal(&parts[0].resource, &resource) => {}
                Ok(_) => wrong.push(format!("{} {dialect} {name}: changed by being put back", object.name())),
                Err(error) => wrong.push(format!("{} {dialect} {name}: {error}", object.name())),
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
    let least = if all { 1_000 } else { 500 };
    assert!(count.values().sum::<usize>() > least && count.len() > 15, "too few to mean anything: {count:?}");
    println!("{count:?}");
}

/// PutGet and PutPut on real resources: what one real resource says is written into another, and read back the same;
/// a write in between leaves nothing behind that can be seen.
#[test]
fn what_is_written_into_a_real_resource_is_read_back() {
    let mappings = Mappings::embedded().expect("the embedded mappings");
    let context = Context::new("example-clinic");
    let mut by_object = std::collections::BTreeMap::<String, Vec<(String, Value)>>::new();
    let (resources, all) = real_resources();
    for (name, resource) in resources {
        if let Some(object) = mappings.object_for(&resource) {
            by_object.entry(object.name().to_owned()).or_default().push((name, resource));
        }
    }
    for object in mappings.objects() {
        for example in object.examples().iter().filter(|example| example.dialect() == "generic") {
            let found = by_object.entry(object.name().to_owned()).or_default();
            found.push((format!("{}/{}", object.name(), example.name), example.fhir[0].clone()));
        }
    }
    let (mut wrong, mut pairs) = (Vec::new(), 0);
    for (object, found) in &by_object {
        let plan = mappings.plan(object, "generic").expect("a plan");
        let internals: Vec<Value> =
            found.iter().map(|(_, resource)| plan.to_internal(std::slice::from_ref(resource), &context)).collect();
        for (at, (name, resource)) in found.iter().enumerate() {
            for step in [1, 2, 5] {
                let other = (at + step) % found.len();
                let (internal, from) = (&internals[other], &found[other].0);
                pairs += 1;
                let base = plan.parts(std::slice::from_ref(resource));
                let written = match plan.put(internal, &base, &context) {
                    Ok(written) => written,
                    Err(error) => {
                        wrong.push(format!("{object}: {from} into {name}: {error}"));
                        continue;
                    }
                };
                let read = |parts: &[Part]| {
                    let resources: Vec<Value> = parts.iter().map(|part| part.resource.clone()).collect();
                    plan.to_internal(&resources, &context)
                };
                let wanted = plan.normalise(internal, &context);
                let back = read(&written);
                if !fhir::canonically_equal(&back, &wanted) {
                    wrong.push(format!("{object}: {from} into {name}: PutGet: {}", difference(&wanted, &back)));
                }
                let third = &internals[(at + step + 1) % found.len()];
                let between = plan.put(third, &base, &context).and_then(|parts| plan.put(internal, &parts, &context));
                match between {
                    Ok(parts) if fhir::canonically_equal(&read(&parts), &wanted) => {}
                    Ok(parts) => wrong
                        .push(format!("{object}: {from} into {name}: PutPut: {}", difference(&wanted, &read(&parts)))),
                    Err(error) => wrong.push(format!("{object}: {from} into {name}: PutPut: {error}")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {pairs} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
    assert!(pairs > if all { 1_000 } else { 500 }, "{pairs} pairs are too few");
}

/// The first field that differs.
fn difference(wanted: &Value, got: &Value) -> String {
    let (Some(a), Some(b)) = (wanted.as_object(), got.as_object()) else { return format!("{wanted} became {got}") };
    let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
    let mut lines = names.filter(|name| a.get(*name) != b.get(*name)).map(|name| {
        format!("{name}: {} became {}", a.get(name).unwrap_or(&Value::Null), b.get(name).unwrap_or(&Value::Null))
    });
    lines.next().unwrap_or_default()
}

#[test]
fn a_dialect_refuses_what_its_ehr_does_not_take() {
    let mappings = Mappings::embedded().expect("the embedded mappings");
    let context = Context::new("example-clinic");
    for (object, dialect, example, pointer) in [
        ("appointment", "epic", "booked-check-up", ""),
        ("waitlist-entry", "epic", "waiting-any-time", ""),
        ("appointment", "oracle-health", "did-not-attend", "/status"),
        ("message", "epic", "urgent-fax-being-sent", "/status"),
    ] {
        let internal = read(&root().join(format!("mappings/{object}/examples/{example}.internal.json")));
        let refused =
            |dialect: &str| mappings.plan(object, dialect).expect("a plan").not_taken(&internal, &[], &context);
        let findings = refused(dialect);
        assert_eq!(
            findings.first().map(|found| found.pointer.as_str()),
            Some(pointer),
            "{object}/{example} to {dialect}"
        );
        assert!(findings.iter().all(|found| found.detail.len() > 20 && !found.remedy.is_empty()), "{findings:?}");
        assert_eq!(refused("generic"), [], "{object}/{example} to generic");
    }
}

/// An appointment of ours that went back to the waiting list stays an appointment; an entry that was booked, an entry.
#[test]
fn our_identifier_decides_before_the_status() {
    let mappings = Mappings::embedded().expect("the embedded mappings");
    for (ours, status, wanted) in [
        (Some("appointment"), "waitlist", "appointment"),
        (Some("waitlist-entry"), "booked", "waitlist-entry"),
        (None, "waitlist", "waitlist-entry"),
        (None, "booked", "appointment"),
    ] {
        let identifier = ours.map(|object| json!([{ "system": format!("urn:liaison:north:{object}"), "value": "1" }]));
        let mut resource = json!({ "resourceType": "Appointment", "status": status });
        if let Some(identifier) = identifier {
            resource["identifier"] = identifier;
        }
        let found = mappings.object_for(&resource).map(|object| object.name().to_owned());
        assert_eq!(found.as_deref(), Some(wanted), "{ours:?} {status}");
    }
    let folder = json!([{ "coding": [{ "code": "clinical-note" }] }]);
    for (ours, category, wanted) in [
        ("letter", &folder, "letter"),
        ("note", &json!([]), "note"),
        ("patient", &folder, "note"),
        ("patient", &json!([{ "text": "Letters" }]), "letter"),
    ] {
        let identifier = json!([{ "system": format!("urn:liaison:north:{ours}"), "value": "1" }]);
        let resource = json!({ "resourceType": "DocumentReference", "identifier": identifier, "category": category });
        let found = mappings.object_for(&resource).map(|object| object.name().to_owned());
        assert_eq!(found.as_deref(), Some(wanted), "{ours} {category}");
    }
}
