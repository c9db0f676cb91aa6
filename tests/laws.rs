//! The laws of the mappings on data that no mapping's author saw: HL7's examples, Synthea's records, US Core's examples;
//! on generated pairs; and that a mapping which breaks a law is caught.

use std::{collections::BTreeMap, fs};

use fastrand::Rng;
use liaison::{
    definitions::Definitions,
    fhir::{self, Value, canonically_equal, resource_type},
    laws,
    mapping::{Context, Files, Mappings, Plan},
};

use crate::support::{beside::shared, own, package};

/// Our own examples, and every resource of the shared ones, with entries of bundles taken out; whether all were there.
fn real_resources() -> (Vec<(String, Value)>, bool) {
    let mut found = own::resources();
    for folder in ["examples-r4", "synthea-r4"] {
        let Some(folder) = shared(folder) else { return (found, false) };
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(value) = fhir::read(&fs::read(entry.path()).expect("readable")) else { continue };
            collect(&name, value, &mut found);
        }
    }
    let Some(package) = package("hl7.fhir.us.core-6.1.0") else { return (found, false) };
    for (name, bytes) in package.json().filter(|(name, _)| name.contains("example")) {
        if let Ok(value) = fhir::read(bytes) {
            collect(name, value, &mut found);
        }
    }
    (found, true)
}

fn collect(name: &str, value: Value, found: &mut Vec<(String, Value)>) {
    if resource_type(&value) == Some("Bundle") {
        for (index, entry) in value["entry"].as_array().into_iter().flatten().enumerate() {
            if let Some(resource) = entry.get("resource") {
                collect(&format!("{name}#{index}"), resource.clone(), found);
            }
        }
    } else {
        found.push((name.to_owned(), value));
    }
}

fn differences(at: &str, a: &Value, b: &Value, found: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let names: std::collections::BTreeSet<&String> = x.keys().chain(y.keys()).collect();
            for name in names {
                differences(
                    &format!("{at}/{name}"),
                    x.get(name).unwrap_or(&Value::Null),
                    y.get(name).unwrap_or(&Value::Null),
                    found,
                );
            }
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            for (index, (x, y)) in x.iter().zip(y).enumerate() {
                differences(&format!("{at}/{index}"), x, y, found);
            }
        }
        _ if canonically_equal(a, b) => {}
        _ => found.push(at.to_owned()),
    }
}

#[test]
fn real_resources_taken_in_and_put_back_are_unchanged() {
    let mappings = Mappings::embedded().unwrap_or_else(|error| panic!("{error}"));
    let contexts = [Context::new("north-clinic"), Context::new("north-clinic").in_zone("America/Boise")];
    let (mut tried, mut wrong) = (BTreeMap::<String, usize>::new(), Vec::new());
    let (resources, all) = real_resources();
    for (name, resource) in resources {
        // By its own object, and by every other that shares the type: a pull may be configured so.
        for object in mappings.objects().filter(|object| Some(object.resource_type()) == resource_type(&resource)) {
            for dialect in ["generic", "us-core", "epic", "oracle-health"] {
                let plan = mappings.plan(object.name(), dialect).expect("a plan");
                for context in &contexts {
                    let internal = plan.to_internal(std::slice::from_ref(&resource), context);
                    let base = plan.parts(std::slice::from_ref(&resource));
                    *tried.entry(object.name().to_owned()).or_default() += 1;
                    match plan.put(&internal, &base, context) {
                        Ok(parts) if parts.len() == 1 && canonically_equal(&parts[0].resource, &resource) => {}
                        Ok(parts) => {
                            let mut places = Vec::new();
                            differences("", &resource, &parts[0].resource, &mut places);
                            wrong.push(format!(
                                "{name} as {} ({dialect}): {} parts, {}",
                                object.name(),
                                parts.len(),
                                places.join(" ")
                            ));
                        }
                        Err(error) => wrong.push(format!("{name} as {} ({dialect}): {error}", object.name())),
                    }
                }
            }
        }
    }
    let least = if all { 4_000 } else { 1_500 };
    assert!(tried.len() >= 20 && tried.values().sum::<usize>() > least, "too little was tried: {tried:?}");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), tried.values().sum::<usize>(), wrong.join("\n"));
}

/// Whether a pointer lies in what one of the field's rules names.
fn named(plan: &Plan, field: &str, pointer: &str) -> bool {
    let path: Vec<&str> = pointer
        .split('/')
        .skip(1)
        .filter(|step| step.parse::<usize>().is_err())
        .map(|step| step.trim_start_matches('_'))
        .collect();
    let path = path.join(".");
    plan.rule_paths().iter().any(|rule| {
        let of_field = rule.field == field || rule.field.starts_with(&format!("{field}."));
        of_field
            && (path == rule.path
                || path.starts_with(&format!("{}.", rule.path))
                || rule.path.starts_with(&format!("{path}.")))
    })
}

#[test]
fn one_changed_field_changes_only_its_rules_paths() {
    let mappings = Mappings::embedded().unwrap_or_else(|error| panic!("{error}"));
    let context = Context::new("north-clinic");
    let mut rng = Rng::with_seed(20_260_522);
    let (mut tried, mut wrong) = (0, Vec::new());
    let (resources, _) = real_resources();
    for (name, resource) in resources {
        let Some(object) = mappings.object_for(&resource) else { continue };
        let plan = mappings.plan(object.name(), "generic").expect("a plan");
        let internal = plan.to_internal(std::slice::from_ref(&resource), &context);
        let base = plan.parts(std::slice::from_ref(&resource));
        let donors: Vec<&Value> = object.examples().iter().map(|example| &example.internal).collect();
        let fields: Vec<String> = internal.as_object().expect("an object").keys().cloned().collect();
        for field in fields {
            // The value of a worked example, or nothing.
            let mut changed = internal.clone();
            let donor = donors[rng.usize(..donors.len())].get(&field);
            match donor {
                Some(value) => changed[&field] = value.clone(),
                None => drop(changed.as_object_mut().expect("an object").shift_remove(&field)),
            }
            let Ok(parts) = plan.put(&changed, &base, &context) else { continue };
            tried += 1;
            let mut places = Vec::new();
            differences("", &resource, &parts[0].resource, &mut places);
            // A contained resource goes with the last reference to it: nothing else may point to nobody (dom-3).
            let names_contained = internal[&field].to_string().contains("\"reference\":\"#");
            let goes_along = |place: &str| names_contained && place.starts_with("/contained");
            let wronged =
                |place: &&String| !place.starts_with("/text") && !named(&plan, &field, place) && !goes_along(place);
            for place in places.iter().filter(wronged) {
                wrong.push(format!("{name} as {}: `{field}` changed {place}", object.name()));
            }
            let back = plan.to_internal(&[parts[0].resource.clone()], &context);
            let wanted = plan.without_losses(&plan.normalise(&changed, &context));
            if parts.len() == 1 && !canonically_equal(&plan.without_losses(&back), &wanted) {
                let mut places = Vec::new();
                differences("", &wanted, &plan.without_losses(&back), &mut places);
                wrong.push(format!("{name} as {}: `{field}` not read back at {}", object.name(), places.join(" ")));
            }
        }
    }
    assert!(tried > 1_000, "only {tried} were tried");
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn laws_hold_on_generated_pairs() {
    let mappings = Mappings::embedded().unwrap_or_else(|error| panic!("{error}"));
    let mut wrong = Vec::new();
    for plan in mappings.plans() {
        let object = mappings.object(plan.object()).expect("an object");
        // A glance with another seed than `mappings check`; the whole proof is `proofs.json`.
        let pairs = if plan.dialect() == "generic" { 60 } else { 15 };
        let report = laws::prove(object, plan, pairs, 4_711);
        if !report.ok() {
            wrong.push(report.json().to_string());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A small mapping of its own, with rules to be broken.
fn small(rules: &str, schema: &str) -> Result<std::sync::Arc<Mappings>, String> {
    let files = [
        (
            "thing/mapping.yaml",
            format!("object: thing\nplural: things\ntitle: Thing\nresource: Patient\nrules:\n{rules}"),
        ),
        ("thing/internal.schema.json", schema.to_owned()),
        ("thing/examples/a.internal.json", r#"{"id":"a"}"#.to_owned()),
        (
            "thing/examples/a.fhir.json",
            r#"{"resourceType":"Patient","identifier":[{"system":"urn:liaison:example-clinic:thing","value":"a"}]}"#
                .to_owned(),
        ),
    ];
    Mappings::of(&Files::from_texts(files), &Definitions::core()).map_err(|error| error.to_string())
}

#[test]
fn a_lossy_mapping_is_caught_and_its_counterexample_is_small() {
    // Only the first given name survives: a list written into a text.
    let schema = r#"{"type":"object","properties":{"active":{"type":"boolean"},"city":{"type":"string","minLength":1},"towns":{"type":"array","items":{"type":"string","minLength":1}}}}"#;
    let rules = "  - { internal: active, target: Patient.active }\n  - { internal: city, target: \"Patient.address[use=home].city\" }\n  - internal: towns\n    target: Patient.address\n    each: [{ internal: ., target: city }]\n";
    let mappings = small(rules, schema).expect("it loads; only the laws show the fault");
    let (object, plan) = (mappings.object("thing").expect("thing"), mappings.plan("thing", "generic").expect("a plan"));
    let report = laws::prove(object, &plan, 500, 1);
    assert!(!report.ok(), "two rules see the same address");
    let found = report.laws.values().find_map(|verdict| verdict.counterexample.as_ref()).expect("a counterexample");
    let size = found.object.as_object().expect("an object").len();
    assert!(size <= 2, "not shrunk: {}", found.object);
    assert!(found.rule.as_deref().is_some_and(|rule| rule.starts_with("thing/mapping.yaml:")), "{:?}", found.rule);
    assert!(laws::proven(&mappings, None).is_err(), "it must not be taken into use");
}

#[test]
fn the_embedded_proofs_are_of_these_very_mappings() {
    let mappings = Mappings::embedded().unwrap_or_else(|error| panic!("{error}"));
    let proofs = laws::Proofs::embedded();
    assert_ne!(proofs, laws::Proofs::default(), "mappings/proofs.json is missing");
    let open: Vec<String> = mappings
        .plans()
        .filter(|plan| !proofs.holds(plan))
        .map(|plan| format!("{} ({})", plan.object(), plan.dialect()))
        .collect();
    assert!(
        open.is_empty(),
        "not proven since they changed: {}; run: cargo run --release -- mappings check --write-proofs mappings",
        open.join(", ")
    );
}
