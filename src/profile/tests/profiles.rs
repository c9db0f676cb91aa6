//! What profiles and extensions' definitions demand, against small ones made here.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    definitions::{Definitions, Pack, pack::Builder},
    profile::{Options, Validator},
};

const URL: &str = "http://x.org/StructureDefinition/p";
const EXTENSION: &str = "http://x.org/StructureDefinition/e";

/// A validator that also knows these.
fn knowing(definitions: &[Value]) -> Validator {
    let mut builder = Builder::fast("test");
    for definition in definitions {
        assert!(builder.add(definition), "a definition");
    }
    let pack = Arc::new(Pack::open(builder.build()).expect("a pack"));
    Validator::new(Definitions::with_packages([pack]).expect("the core pack"))
}

fn profile(kind: &str, elements: &Value) -> Value {
    json!({"resourceType": "StructureDefinition", "url": URL, "name": "P", "status": "active", "kind": "resource",
        "abstract": false, "type": kind, "baseDefinition": format!("http://hl7.org/fhir/StructureDefinition/{kind}"),
        "derivation": "constraint", "differential": {"element": elements}})
}

fn extension(rest: &Value, elements: &Value) -> Value {
    let mut made = profile("Extension", elements);
    made["url"] = json!(EXTENSION);
    made["kind"] = json!("complex-type");
    for (name, value) in rest.as_object().expect("an object") {
        made[name] = value.clone();
    }
    made
}

fn found(validator: &Validator, resource: &Value, profiles: &[&str]) -> Vec<String> {
    let options = Options { unknown_extensions: false, ..Options::with_profiles(profiles.iter().copied()) };
    let report = validator.validate(resource, &options);
    let below = |place: &str| place.split_once('.').map_or(String::new(), |(_, rest)| rest.to_owned());
    report.errors().map(|issue| format!("{} {}", issue.rule, below(&issue.expression))).collect()
}

const NONE: [&str; 0] = [];

/// A profile whose element has one bound by an extension.
fn bounded(kind: &str, path: &str, name: &str, value: Value) -> Validator {
    let mut bound = value;
    bound["url"] = json!(format!("http://hl7.org/fhir/StructureDefinition/{name}"));
    knowing(&[profile(kind, &json!([{"id": path, "path": path, "extension": [bound]}]))])
}

#[test]
fn bounds_that_extensions_state() {
    let patient = |name: &str| json!({"resourceType": "Patient", "name": [{"family": name}]});
    for (bound, value) in
        [("minLength", json!({"valueInteger": 3})), ("regex", json!({"valueString": "[A-Z][a-z]{2,}"}))]
    {
        let validator = bounded("Patient", "Patient.name.family", bound, value);
        assert_eq!(found(&validator, &patient("Xyz"), &[URL]), NONE, "{bound}");
        assert_eq!(found(&validator, &patient("xy"), &[URL]), ["limit name[0].family"], "{bound}");
    }
    let validator = bounded(
        "RiskAssessment",
        "RiskAssessment.prediction.relativeRisk",
        "maxDecimalPlaces",
        json!({"valueInteger": 1}),
    );
    let risk = |number: &str| {
        crate::fhir::read_str(&format!(
            r#"{{"resourceType":"RiskAssessment","status":"final","subject":{{"display":"x"}},"prediction":[{{"relativeRisk":{number}}}]}}"#
        ))
        .unwrap()
    };
    assert_eq!(found(&validator, &risk("1.5"), &[URL]), NONE);
    assert_eq!(found(&validator, &risk("1.50"), &[URL]), ["limit prediction[0].relativeRisk"]);
    let validator = bounded("Patient", "Patient.photo", "maxSize", json!({"valueDecimal": 3}));
    let photo = |attachment: Value| json!({"resourceType": "Patient", "photo": [attachment]});
    assert_eq!(found(&validator, &photo(json!({"contentType": "text/plain", "data": "aGlp"})), &[URL]), NONE);
    for big in [json!({"contentType": "text/plain", "data": "aGlpaA=="}), json!({"url": "http://x.org/y", "size": 4})] {
        assert_eq!(found(&validator, &photo(big), &[URL]), ["limit photo[0]"]);
    }
}

#[test]
fn quantities_are_bounded_across_units() {
    let least = json!({"value": 1, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"});
    let elements = json!([{"id": "Observation.value[x]", "path": "Observation.value[x]", "type": [{"code": "Quantity"}], "minValueQuantity": least}]);
    let validator = knowing(&[profile("Observation", &elements)]);
    let weighed = |grams: u32| {
        json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"},
            "valueQuantity": {"value": grams, "system": "http://unitsofmeasure.org", "code": "g"}})
    };
    assert_eq!(found(&validator, &weighed(1000), &[URL]), NONE);
    assert_eq!(found(&validator, &weighed(999), &[URL]), ["min-value value.ofType(Quantity)"]);
}

#[test]
fn references_lead_as_the_profile_has_it() {
    let aggregated = |how: &[&str]| {
        let kind = json!({"code": "Reference", "targetProfile": ["http://hl7.org/fhir/StructureDefinition/Patient"], "aggregation": how});
        let elements = json!([{"id": "Observation.subject", "path": "Observation.subject", "type": [kind]}]);
        knowing(&[profile("Observation", &elements)])
    };
    let observation = |reference: &str| json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": reference}});
    let mut held = observation("#p");
    held["contained"] = json!([{"resourceType": "Patient", "id": "p", "active": true}]);
    let contained = aggregated(&["contained"]);
    assert_eq!(found(&contained, &held, &[URL]), NONE);
    assert_eq!(found(&contained, &observation("Patient/1"), &[URL]), ["aggregation subject"]);
    let referenced = aggregated(&["referenced", "bundled"]);
    assert_eq!(found(&referenced, &observation("Patient/1"), &[URL]), NONE);
    assert_eq!(found(&referenced, &held, &[URL]), ["aggregation subject"]);
    assert_eq!(found(&aggregated(&["bundled"]), &observation("Patient/1"), &[URL]), ["aggregation subject"]);
}

fn extended(extension: Value) -> Value {
    json!({"resourceType": "Patient", "active": true, "extension": [extension]})
}

#[test]
fn extensions_keep_the_rules_of_their_place() {
    let context = |expression: &str| json!({"type": "element", "expression": expression});
    let valued = json!({"url": EXTENSION, "valueString": "x"});
    let ruled = extension(&json!({"context": [context("Patient")], "contextInvariant": ["active = true"]}), &json!([]));
    let ruled = knowing(&[ruled]);
    assert_eq!(found(&ruled, &extended(valued.clone()), &[]), NONE);
    let mut other = extended(valued.clone());
    other["active"] = json!(false);
    assert_eq!(found(&ruled, &other, &[]), ["extension-context extension[0]"]);

    // A context of a later version of FHIR is none of R4's
    let later = |start: &str| {
        let of = json!([{"url": "http://hl7.org/fhir/StructureDefinition/version-specific-use",
            "extension": [{"url": "startFhirVersion", "valueCode": start}]}]);
        let mut context = context("Patient");
        context["extension"] = of;
        knowing(&[extension(&json!({"context": [context]}), &json!([]))])
    };
    assert_eq!(found(&later("4.0"), &extended(valued.clone()), &[]), NONE);
    assert_eq!(found(&later("5.0"), &extended(valued), &[]), ["extension-context extension[0]"]);
}

#[test]
fn extensions_within_extensions_are_those_of_the_definition() {
    let elements = json!([
        {"id": "Extension.extension:a", "path": "Extension.extension", "sliceName": "a", "max": "1"},
        {"id": "Extension.extension:a.url", "path": "Extension.extension.url", "fixedUri": "a"},
        {"id": "Extension.value[x]", "path": "Extension.value[x]", "max": "0"}
    ]);
    let validator = knowing(&[extension(&json!({}), &elements)]);
    let with = |name: &str| extended(json!({"url": EXTENSION, "extension": [{"url": name, "valueString": "x"}]}));
    assert_eq!(found(&validator, &with("a"), &[]), NONE);
    assert_eq!(found(&validator, &with("b"), &[]), ["extension-url extension[0].extension[0].url"]);
    let simple = extended(json!({"url": EXTENSION, "valueString": "x"}));
    assert!(!found(&validator, &simple, &[]).is_empty());
}

#[test]
fn invariants_may_ask_for_slices() {
    let elements = json!([
        {"id": "Patient", "path": "Patient", "constraint": [{"key": "x-1", "severity": "error", "human": "An MRN has an assigner",
            "expression": "identifier.slice(%profile, 'mrn').all(assigner.exists())"}]},
        {"id": "Patient.identifier", "path": "Patient.identifier", "slicing": {"discriminator": [{"type": "value", "path": "system"}], "rules": "open"}},
        {"id": "Patient.identifier:mrn", "path": "Patient.identifier", "sliceName": "mrn"},
        {"id": "Patient.identifier:mrn.system", "path": "Patient.identifier.system", "min": 1, "fixedUri": "urn:x:mrn"}
    ]);
    let validator = knowing(&[profile("Patient", &elements)]);
    let identified =
        |system: &str| json!({"resourceType": "Patient", "identifier": [{"system": system, "value": "1"}]});
    assert_eq!(found(&validator, &identified("urn:x:other"), &[URL]), NONE);
    assert_eq!(found(&validator, &identified("urn:x:mrn"), &[URL]), ["x-1 "]);
    let mut assigned = identified("urn:x:mrn");
    assigned["identifier"][0]["assigner"] = json!({"display": "x"});
    assert_eq!(found(&validator, &assigned, &[URL]), NONE);
}
