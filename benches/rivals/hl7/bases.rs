//! Right resources to damage: our mappings' examples, the specification's, Synthea's and US Core's, of the types that our
//! objects use; bundles and blood pressures made here.

use std::{collections::BTreeSet, fs, path::Path};

use liaison::{
    definitions::Package,
    fhir::{self, Value},
};
use serde_json::json;

use crate::support::shared;

/// One right resource.
pub struct Base {
    /// Where it is from.
    pub name: String,
    /// It.
    pub value: Value,
    /// Of a type that our objects use, without a profile that is at hand.
    pub is_of_ours: bool,
    /// Claims a profile that is at hand.
    pub is_profiled: bool,
    /// A bundle made here.
    pub is_bundle: bool,
}

/// No larger than this, so that the run is about rules and not about size.
const MOST_BYTES: usize = 12_000;
/// Of Synthea's, so many a type.
const MOST_SYNTHETIC: usize = 8;

fn files(folder: &Path, found: &mut Vec<(String, Value)>) {
    let mut paths: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "json")
            && let Some(value) = fs::read(&path).ok().and_then(|bytes| fhir::read(&bytes).ok())
        {
            let parts: Vec<_> = path.iter().rev().take(4).map(|part| part.to_string_lossy()).collect();
            found.push((parts.into_iter().rev().collect::<Vec<_>>().join("/"), value));
        }
    }
}

/// All of them.
pub fn all(us_core: &Package) -> Vec<Base> {
    let mut own = Vec::new();
    files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/mappings")), &mut own);
    own.retain(|(name, value)| name.ends_with(".fhir.json") && kind(value).is_some());
    let types: BTreeSet<String> =
        own.iter().filter_map(|(_, value)| kind(value)).filter(|kind| kind != "Bundle").collect();
    let mut rest = Vec::new();
    shared("examples-r4").iter().for_each(|folder| files(folder, &mut rest));
    let mut synthetic = Vec::new();
    shared("synthea-r4").iter().for_each(|folder| files(folder, &mut synthetic));
    for of in &types {
        let entries = synthetic.iter().flat_map(|(name, bundle)| {
            let entries = bundle["entry"].as_array().into_iter().flatten().map(|entry| entry["resource"].clone());
            entries.enumerate().map(|(at, resource)| (format!("{name}/{at}"), resource)).collect::<Vec<_>>()
        });
        rest.extend(entries.filter(|(_, resource)| kind(resource).as_ref() == Some(of)).take(MOST_SYNTHETIC));
    }
    for (path, bytes) in &us_core.files {
        if path.starts_with("package/example/")
            && let Ok(value) = fhir::read(bytes)
        {
            rest.push((path.clone(), value));
        }
    }
    own.extend(rest);
    let mut made: Vec<Base> = own
        .into_iter()
        .filter(|(_, value)| {
            kind(value).is_some_and(|kind| types.contains(&kind)) && value.to_string().len() < MOST_BYTES
        })
        .map(|(name, value)| {
            let claims = value.pointer("/meta/profile").and_then(Value::as_array).into_iter().flatten();
            let is_profiled = claims.filter_map(Value::as_str).any(|url| url.contains("/us/core/"));
            Base { name, value, is_of_ours: !is_profiled, is_profiled, is_bundle: false }
        })
        .collect();
    for (at, value) in blood_pressures().into_iter().enumerate() {
        made.push(Base {
            name: format!("made/bp/{at}"),
            value,
            is_of_ours: false,
            is_profiled: true,
            is_bundle: false,
        });
    }
    for (at, value) in bundles().into_iter().enumerate() {
        made.push(Base {
            name: format!("made/bundle/{at}"),
            value,
            is_of_ours: false,
            is_profiled: false,
            is_bundle: true,
        });
    }
    made
}

fn kind(value: &Value) -> Option<String> {
    value["resourceType"].as_str().map(str::to_owned)
}

/// Blood pressures and weights under FHIR's own profiles.
fn blood_pressures() -> Vec<Value> {
    let coded = |code: &str| json!({"coding": [{"system": "http://loinc.org", "code": code}]});
    let valued = |value: u32, code: &str| json!({"value": value, "unit": code, "system": "http://unitsofmeasure.org", "code": code});
    let observed = |profile: &str, code: &str| {
        json!({"resourceType": "Observation", "id": "o", "meta": {"profile": [format!("http://hl7.org/fhir/StructureDefinition/{profile}")]},
            "status": "final", "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}],
            "code": coded(code), "subject": {"reference": "Patient/1"}, "effectiveDateTime": "2024-05-01"})
    };
    let mut pressure = observed("bp", "85354-9");
    pressure["component"] = json!([
        {"code": coded("8480-6"), "valueQuantity": valued(120, "mm[Hg]")},
        {"code": coded("8462-4"), "valueQuantity": valued(80, "mm[Hg]")},
    ]);
    let mut weight = observed("bodyweight", "29463-7");
    weight["valueQuantity"] = valued(70, "kg");
    let mut rate = observed("heartrate", "8867-4");
    rate["valueQuantity"] = valued(70, "/min");
    let mut unclaimed = pressure.clone();
    unclaimed.as_object_mut().expect("an object").shift_remove("meta");
    vec![pressure, weight, rate, unclaimed]
}

/// A document, a collection and a search result of our types.
fn bundles() -> Vec<Value> {
    let entry = |kind: &str, id: &str, rest: Value| {
        let mut resource = json!({"resourceType": kind, "id": id});
        resource.as_object_mut().expect("an object").extend(rest.as_object().cloned().unwrap_or_default());
        json!({"fullUrl": format!("http://example.org/fhir/{kind}/{id}"), "resource": resource})
    };
    let narrative = json!({"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"});
    let patient = entry("Patient", "p", json!({"active": true, "name": [{"text": "x"}]}));
    let condition = entry(
        "Condition",
        "c",
        json!({"subject": {"reference": "Patient/p"}, "code": {"text": "x"},
        "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}}),
    );
    let composition = entry(
        "Composition",
        "k",
        json!({"status": "final", "type": {"text": "x"}, "subject": {"reference": "Patient/p"},
        "date": "2024-05-01", "author": [{"display": "x"}], "title": "x",
        "section": [{"title": "x", "text": narrative, "entry": [{"reference": "Condition/c"}]}]}),
    );
    let mut bundles = vec![json!({"resourceType": "Bundle", "type": "document", "timestamp": "2024-05-01T00:00:00Z",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"},
        "entry": [composition, patient, condition]})];
    for kind in ["collection", "searchset"] {
        let mut bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [patient, condition]});
        if kind == "searchset" {
            bundle["total"] = json!(2);
            bundle["link"] =
                json!([{"relation": "self", "url": "http://example.org/fhir/Patient?_revinclude=Condition:subject"}]);
            bundle["entry"][0]["search"] = json!({"mode": "match"});
            bundle["entry"][1]["search"] = json!({"mode": "include"});
        }
        bundles.push(bundle);
    }
    bundles
}
