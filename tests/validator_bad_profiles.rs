//! Damaged profiles: each of our own, and each that HL7 publishes in US Core and IPS, stripped of its snapshot, is spoilt in every way
//! that its differential allows, one thing at a time. Each must be called invalid, and the unspoilt one valid.

use std::{collections::BTreeMap, sync::Arc};

use liaison::{
    definitions::{Definitions, Pack},
    fhir::{self, Value},
    profile::{Options, Validator},
};
use serde_json::json;

use crate::support::{own, package};

/// A way to spoil element `at` of a differential; false if it does not apply there.
type Damage = fn(&mut Vec<Value>, usize) -> bool;

fn path(element: &Value) -> &str {
    element["path"].as_str().unwrap_or_default()
}

fn is_plain(elements: &[Value], at: usize) -> bool {
    at > 0 && elements[at].get("sliceName").is_none() && !elements[at]["id"].to_string().contains(':')
}

const DAMAGES: &[(&str, Damage)] = &[
    ("an element that does not exist", |elements, at| {
        let wrong = format!("{}.nowhere", path(&elements[0]));
        (elements[at]["path"], elements[at]["id"]) = (json!(wrong), json!(wrong));
        at > 0
    }),
    ("another type's element", |elements, at| {
        elements[at]["path"] = json!("Slot.start");
        at > 0
    }),
    ("less than the base's min", |elements, at| {
        // Only where the base is known to demand one: what every resource type of FHIR has.
        let required =
            ["Observation.status", "Observation.code", "Condition.subject", "Encounter.status", "Encounter.class"];
        let fits = required.contains(&path(&elements[at])) && is_plain(elements, at);
        elements[at]["min"] = json!(0);
        fits
    }),
    ("more than the base's max", |elements, at| {
        let once =
            ["Observation.status", "Observation.code", "Condition.subject", "Encounter.status", "Patient.gender"];
        let fits = once.contains(&path(&elements[at])) && is_plain(elements, at);
        elements[at]["max"] = json!("*");
        fits
    }),
    ("a type that is not allowed", |elements, at| {
        let fits = is_plain(elements, at)
            && elements[at].get("type").is_some()
            && !path(&elements[at]).contains("extension")
            && !path(&elements[at]).ends_with(".resource")
            && !path(&elements[at]).ends_with(".entry");
        elements[at]["type"] = json!([{"code": "Signature"}]);
        fits
    }),
    ("a target that is not allowed", |elements, at| {
        // Entries of a composition's sections may be anything.
        let anything = path(&elements[at]).ends_with(".entry");
        let Some(target) = elements[at].pointer_mut("/type/0/targetProfile/0") else { return false };
        *target = json!("http://hl7.org/fhir/StructureDefinition/Slot");
        !anything
    }),
    ("a profile of another type", |elements, at| {
        let Some(profile) = elements[at].pointer_mut("/type/0/profile/0") else { return false };
        *profile = json!("http://hl7.org/fhir/StructureDefinition/Slot");
        true
    }),
    ("a rule that cannot be read", |elements, at| {
        let Some(expression) = elements[at].pointer_mut("/constraint/0/expression") else { return false };
        *expression = json!("a.where(");
        true
    }),
    ("a rule of the base, changed", |elements, at| {
        let Some(key) = elements[at].pointer_mut("/constraint/0/key") else { return false };
        *key = json!("ele-1");
        true
    }),
    ("a slice without slicing", |elements, at| {
        let sliced = elements[at].get("slicing").is_some()
            && !path(&elements[at]).contains("[x]")
            && !path(&elements[at]).to_lowercase().ends_with("extension")
            && elements
                .get(at + 1)
                .is_some_and(|next| next.get("sliceName").is_some() && path(next) == path(&elements[at]));
        if let Some(members) = elements[at].as_object_mut() {
            members.shift_remove("slicing");
        }
        sliced
    }),
    ("a discriminator that leads nowhere", |elements, at| {
        let extension = path(&elements[at]).to_lowercase().ends_with("extension");
        let Some(path) = elements[at].pointer_mut("/slicing/discriminator/0/path") else { return false };
        *path = json!("nowhere.code");
        !extension
    }),
    ("a fixed value of another type", |elements, at| {
        let Some(members) = elements[at].as_object_mut() else { return false };
        let name = members.keys().find(|name| name.starts_with("pattern") || name.starts_with("fixed")).cloned();
        let Some(name) = name else { return false };
        members.shift_remove(&name);
        members.insert("patternPeriod".to_owned(), json!({"start": "2020"}));
        true
    }),
    ("an element twice", |elements, at| {
        let copy = elements[at].clone();
        elements.insert(at, copy);
        at > 0
    }),
    ("the last element before the second", |elements, at| {
        let fits = at == 1 && elements.len() > 3 && !path(&elements[1]).contains("tension");
        if fits && let Some(last) = elements.pop() {
            elements.insert(1, last);
        }
        fits
    }),
];

#[test]
fn every_damage_to_a_profile_is_caught() {
    let mut tried: BTreeMap<&str, (usize, Vec<String>)> = BTreeMap::new();
    let options = Options::default();
    let published: Option<Vec<_>> =
        ["hl7.fhir.us.core-6.1.0", "hl7.fhir.uv.ips-1.1.0"].into_iter().map(package).collect();
    // Ours alone has no place for the rarer damages.
    let least = if published.is_some() { DAMAGES.len() } else { DAMAGES.len() / 2 };
    for package in std::iter::once(own::practice()).chain(published.unwrap_or_default()) {
        let pack = Arc::new(Pack::open(package.pack().0).expect("opens"));
        let validator = Validator::new(Definitions::with_packages([pack]).expect("core pack"));
        for (file, bytes) in package.files.iter().filter(|(file, _)| file.contains("/StructureDefinition-")) {
            let Ok(mut profile) = fhir::read(bytes) else { continue };
            let Some(members) = profile.as_object_mut() else { continue };
            if members.get("derivation").is_none_or(|derivation| derivation != "constraint")
                || members.get("type").is_some_and(|kind| kind == "Extension")
            {
                continue;
            }
            let base = members.get("baseDefinition").and_then(Value::as_str).unwrap_or_default();
            // Of a profile whose base is not at hand nothing is said; what the base slices may be named without slicing.
            if validator.definitions().structure(base).is_none_or(|base| base.url.ends_with("/vitalsigns")) {
                continue;
            }
            members.shift_remove("snapshot");
            members.shift_remove("text");
            let count = |profile: &Value| validator.validate(profile, &options).errors().count();
            let unspoilt = count(&profile);
            let elements = profile["differential"]["element"].as_array().cloned().unwrap_or_default();
            for (damage, spoil) in DAMAGES {
                // Three places a profile and damage are enough.
                let mut left = 3;
                for at in 0..elements.len() {
                    let mut spoilt = elements.clone();
                    if left == 0 || !spoil(&mut spoilt, at) {
                        continue;
                    }
                    left -= 1;
                    let mut bad = profile.clone();
                    bad["differential"]["element"] = Value::Array(spoilt);
                    let (tries, missed) = tried.entry(damage).or_default();
                    *tries += 1;
                    if count(&bad) <= unspoilt {
                        missed.push(format!("{file} {}", elements[at]["id"]));
                    }
                }
            }
        }
    }
    let missed: Vec<String> = tried
        .iter()
        .filter(|(_, (_, missed))| !missed.is_empty())
        .map(|(damage, (tries, missed))| {
            format!("{damage}: {} of {tries} missed\n    {}", missed.len(), missed.join("\n    "))
        })
        .collect();
    let counts: Vec<String> = tried.iter().map(|(damage, (tries, _))| format!("{tries} {damage}")).collect();
    println!("{}", counts.join("; "));
    assert!(tried.len() >= least, "each damage applies somewhere: {} of {least}", tried.len());
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
