//! Material of our own for every room, so that the suite tries all of them without anybody's data: the worked examples of the
//! mappings as resources, and a package of profiles that is made here.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use liaison::{
    definitions::{Definitions, Pack, Package},
    fhir,
};
use serde_json::{Value, json};

use super::root;

/// Where the profiles of [`practice`] live.
pub const BASE: &str = "http://practice.example/fhir/StructureDefinition/";

/// The FHIR sides of all worked examples, by path; entries of Bundles one by one.
pub fn resources() -> Vec<(String, Value)> {
    let mut files = BTreeMap::new();
    walk(&root().join("mappings"), &mut files);
    let mut found = Vec::new();
    for (name, text) in files {
        let value = fhir::read_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        match value["entry"].as_array() {
            Some(entries) => found.extend(entries.iter().map(|entry| (name.clone(), entry["resource"].clone()))),
            None => found.push((name, value)),
        }
    }
    assert!(found.len() > 200, "the mappings' examples must be found");
    found
}

fn walk(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.to_string_lossy().ends_with(".fhir.json") {
            let name = path.strip_prefix(root()).expect("below the root").display().to_string();
            found.insert(name, fs::read_to_string(&path).expect("readable"));
        }
    }
}

/// A profile of our own: differential only, so that its snapshot is made by Liaison.
fn profile(name: &str, kind: &str, elements: &Value) -> Value {
    json!({
        "resourceType": "StructureDefinition", "id": name, "url": format!("{BASE}{name}"), "version": "1.0.0",
        "name": name.replace('-', "_").to_uppercase(), "title": name, "status": "active", "date": "2026-11-28",
        "publisher": "A practice that does not exist", "description": "Made for Liaison's tests.", "fhirVersion": "4.0.1",
        "kind": "resource", "abstract": false, "type": kind,
        "baseDefinition": format!("http://hl7.org/fhir/StructureDefinition/{kind}"), "derivation": "constraint",
        "differential": {"element": elements},
    })
}

/// The definitions of the package: cardinalities, a fixed system, slices by value, a binding, an invariant, must-supports.
pub fn definitions() -> Vec<Value> {
    vec![
        profile(
            "practice-patient",
            "Patient",
            &json!([
                {"id": "Patient", "path": "Patient", "constraint": [{
                    "key": "practice-1", "severity": "error", "human": "Somebody who can be reached",
                    "expression": "telecom.exists() or contact.exists()"}]},
                {"id": "Patient.identifier", "path": "Patient.identifier", "min": 1, "mustSupport": true, "slicing": {
                    "discriminator": [{"type": "value", "path": "system"}], "rules": "open"}},
                {"id": "Patient.identifier:chart", "path": "Patient.identifier", "sliceName": "chart", "min": 1, "max": "1"},
                {"id": "Patient.identifier:chart.system", "path": "Patient.identifier.system", "min": 1,
                    "fixedUri": "http://practice.example/chart"},
                {"id": "Patient.identifier:chart.value", "path": "Patient.identifier.value", "min": 1},
                {"id": "Patient.name", "path": "Patient.name", "min": 1, "max": "1", "mustSupport": true},
                {"id": "Patient.name.family", "path": "Patient.name.family", "min": 1, "mustSupport": true},
                {"id": "Patient.photo", "path": "Patient.photo", "max": "0"},
            ]),
        ),
        profile(
            "practice-appointment",
            "Appointment",
            &json!([
                {"id": "Appointment.status", "path": "Appointment.status", "binding": {
                    "strength": "required", "valueSet": "http://practice.example/fhir/ValueSet/told"}},
                {"id": "Appointment.start", "path": "Appointment.start", "min": 1, "mustSupport": true},
                {"id": "Appointment.participant.actor", "path": "Appointment.participant.actor", "min": 1},
            ]),
        ),
        json!({
            "resourceType": "ValueSet", "id": "told", "url": "http://practice.example/fhir/ValueSet/told", "version": "1.0.0",
            "name": "Told", "title": "What patients are told", "status": "active", "description": "Made for Liaison's tests.",
            "compose": {"include": [{"system": "http://hl7.org/fhir/appointmentstatus", "concept": [
                {"code": "booked"}, {"code": "cancelled"}, {"code": "fulfilled"}]}]},
        }),
    ]
}

/// The package `practice.example#1.0.0`, as a registry would give it.
pub fn practice() -> Package {
    let manifest = json!({"name": "practice.example", "version": "1.0.0", "fhirVersions": ["4.0.1"],
        "dependencies": {"hl7.fhir.r4.core": "4.0.1"}});
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut add = |name: String, value: &Value| {
        let bytes = value.to_string().into_bytes();
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("package/{name}"), bytes.as_slice()).expect("in memory");
    };
    add("package.json".to_owned(), &manifest);
    for one in definitions() {
        let name =
            format!("{}-{}.json", one["resourceType"].as_str().expect("a type"), one["id"].as_str().expect("an id"));
        add(name, &one);
    }
    let bytes = archive.into_inner().and_then(flate2::write::GzEncoder::finish).expect("in memory");
    Package::tgz("practice.example", &bytes).expect("our own package")
}

/// The core definitions with [`practice`]'s.
pub fn with_practice() -> Arc<Definitions> {
    let pack = Pack::open(practice().pack().0).expect("a pack");
    Definitions::with_packages([Arc::new(pack)]).expect("our package stands on the core")
}
