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

/// A profile under a name of its own.
fn named(name: &str, kind: &str, elements: &Value) -> Value {
    let mut made = profile(kind, elements);
    made["url"] = json!(format!("http://x.org/StructureDefinition/{name}"));
    made
}

#[test]
fn profiles_of_one_type_are_not_for_another() {
    let url = |name: &str| format!("http://x.org/StructureDefinition/{name}");
    let types =
        json!([{"code": "Patient", "profile": [url("named")]}, {"code": "Observation", "profile": [url("valued")]}]);
    let mut of_bundle =
        profile("Bundle", &json!([{"id": "Bundle.entry.resource", "path": "Bundle.entry.resource", "type": types}]));
    of_bundle["url"] = json!(URL);
    let validator = knowing(&[
        of_bundle,
        named("named", "Patient", &json!([{"id": "Patient.name", "path": "Patient.name", "min": 1}])),
        named(
            "valued",
            "Observation",
            &json!([{"id": "Observation.value[x]", "path": "Observation.value[x]", "min": 1}]),
        ),
    ]);
    let holding = |resource: Value| {
        json!({"resourceType": "Bundle", "type": "collection",
            "entry": [{"fullUrl": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "resource": resource}]})
    };
    let patient = |name: bool| {
        let name = if name { json!([{"text": "x"}]) } else { json!([{"use": "usual", "text": "x"}]) };
        json!({"resourceType": "Patient", "active": true, "name": name})
    };
    let observation = |more: Value| {
        let mut made = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}});
        made.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        made
    };
    assert_eq!(found(&validator, &holding(patient(true)), &[URL]), NONE);
    assert_eq!(
        found(&validator, &holding(json!({"resourceType": "Patient", "active": true})), &[URL]),
        ["cardinality entry[0].resource"]
    );
    assert_eq!(found(&validator, &holding(observation(json!({"valueBoolean": true}))), &[URL]), NONE);
    assert_eq!(found(&validator, &holding(observation(json!({}))), &[URL]), ["cardinality entry[0].resource"]);
    assert_eq!(
        found(&validator, &holding(json!({"resourceType": "Group", "type": "person", "actual": true})), &[URL]),
        ["type entry[0].resource"]
    );
}

#[test]
fn profiles_of_one_choice_are_not_for_another() {
    let url = |name: &str| format!("http://x.org/StructureDefinition/{name}");
    let types = json!([
        {"code": "Quantity", "profile": [url("unit")]},
        {"code": "CodeableConcept", "profile": [url("text")]},
        {"code": "Quantity", "profile": [url("estimate")]},
        {"code": "string"}
    ]);
    let validator = knowing(&[
        profile("Observation", &json!([{"id": "Observation.value[x]", "path": "Observation.value[x]", "type": types}])),
        named("unit", "Quantity", &json!([{"id": "Quantity.unit", "path": "Quantity.unit", "min": 1}])),
        named("estimate", "Quantity", &json!([{"id": "Quantity.comparator", "path": "Quantity.comparator", "min": 1}])),
        named(
            "text",
            "CodeableConcept",
            &json!([{"id": "CodeableConcept.text", "path": "CodeableConcept.text", "min": 1}]),
        ),
    ]);
    let valued = |name: &str, value: Value| {
        let observation = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, name: value});
        found(&validator, &observation, &[URL])
    };
    assert_eq!(valued("valueString", json!("x")), NONE);
    assert_eq!(valued("valueCodeableConcept", json!({"text": "x"})), NONE);
    assert_eq!(valued("valueCodeableConcept", json!({"coding": [{"code": "x"}]})).len(), 1);
    assert_eq!(valued("valueQuantity", json!({"value": 1, "unit": "x"})), NONE);
    assert_eq!(valued("valueQuantity", json!({"value": 1, "comparator": "<"})), NONE);
    assert_eq!(valued("valueQuantity", json!({"value": 1})), ["profile value.ofType(Quantity)"]);
}

#[test]
fn guides_demand_profiles_of_all_resources_of_a_type() {
    let guide = |profile: &str| {
        json!({"resourceType": "ImplementationGuide", "url": "http://x.org/ImplementationGuide/g", "name": "G", "status": "draft",
            "packageId": "x.g", "fhirVersion": ["4.0.1"], "global": [{"type": "Patient", "profile": profile}]})
    };
    let demands = profile("Patient", &json!([{"id": "Patient.name", "path": "Patient.name", "min": 1}]));
    let validator = knowing(&[guide(URL), demands.clone()]);
    let patient = |more: Value| {
        let mut made = json!({"resourceType": "Patient", "active": true});
        made.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        made
    };
    let nameless = patient(json!({}));
    assert_eq!(found(&validator, &nameless, &[]), ["cardinality "]);
    assert_eq!(found(&validator, &patient(json!({"name": [{"text": "x"}]})), &[]), NONE);
    assert_eq!(found(&validator, &json!({"resourceType": "Group", "type": "person", "actual": true}), &[]), NONE);
    let bundle = json!({"resourceType": "Bundle", "type": "collection",
        "entry": [{"fullUrl": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "resource": nameless}]});
    assert_eq!(found(&validator, &bundle, &[]), ["cardinality entry[0].resource"]);
    let mut contained = nameless.clone();
    contained["id"] = json!("p");
    let holder = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": "#p"}, "contained": [contained]});
    assert_eq!(found(&validator, &holder, &[]), ["cardinality contained[0]"]);
    // A guide whose profile is missing is not the resource's fault, and is told
    let lost = knowing(&[guide("http://x.org/StructureDefinition/nowhere")]);
    assert_eq!(found(&lost, &nameless, &[]), NONE);
    assert!(lost.validate(&nameless, &Options::default()).issues.iter().any(|issue| issue.rule == "profile"));
    assert_eq!(found(&knowing(&[demands]), &nameless, &[]), NONE, "no guide, no demand");
}

#[test]
fn circles_of_profiles_are_told() {
    let elements = json!([{"id": "Patient.name", "path": "Patient.name", "min": 1}]);
    let derived = |name: &str, base: &str| {
        let mut made = named(name, "Patient", &elements);
        made["baseDefinition"] = json!(format!("http://x.org/StructureDefinition/{base}"));
        made
    };
    let patient = json!({"resourceType": "Patient", "name": [{"text": "x"}]});
    let said = |definitions: &[Value], name: &str| {
        let validator = knowing(definitions);
        let options = Options::with_profiles([format!("http://x.org/StructureDefinition/{name}")]);
        let report = validator.validate(&patient, &options);
        let circle = report.issues.iter().filter(|issue| issue.rule == "profile-circle");
        let lost = report.issues.iter().any(|issue| issue.text.contains("not at hand"));
        assert!(!lost, "{:#?}", report.issues);
        circle.map(|issue| issue.text.clone()).collect::<Vec<_>>()
    };
    let own = said(&[derived("a", "a")], "a");
    assert!(
        own.len() == 1 && own[0].ends_with("StructureDefinition/a -> http://x.org/StructureDefinition/a"),
        "{own:?}"
    );
    let two = [derived("a", "b"), derived("b", "a"), derived("c", "b")];
    for name in ["a", "b", "c"] {
        let told = said(&two, name);
        assert!(told.len() == 1 && told[0].contains("/b -> "), "{told:?}");
    }
    let straight = [named("a", "Patient", &elements), derived("b", "a")];
    assert!(said(&straight, "b").is_empty());
    // With snapshots they are as wrong
    let with_snapshot = |base: &str, name: &str| {
        let mut made = derived(name, base);
        made["snapshot"] = json!({"element": [{"id": "Patient", "path": "Patient", "min": 0, "max": "*"}]});
        made
    };
    assert_eq!(said(&[with_snapshot("b", "a"), with_snapshot("a", "b")], "a").len(), 1);
    // As instances
    let of = |definitions: &[Value], definition: &Value| found(&knowing(definitions), definition, &[]);
    assert!(of(&[], &derived("a", "a")).contains(&"profile-circle baseDefinition".to_owned()));
    assert!(of(&two, &two[0]).contains(&"profile-circle baseDefinition".to_owned()));
    assert!(of(&two, &two[2]).contains(&"profile-circle baseDefinition".to_owned()));
    assert!(!of(&straight, &straight[1]).iter().any(|one| one.starts_with("profile-circle")));
}

#[test]
fn counts_too_large_for_us_are_counts() {
    let counted = |name: &str, count: &str| {
        let text = format!(r#"[{{"id": "Patient.name", "path": "Patient.name", "{name}": {count}}}]"#);
        let validator = knowing(&[profile("Patient", &crate::fhir::read_str(&text).expect("JSON"))]);
        found(&validator, &json!({"resourceType": "Patient", "name": [{"text": "x"}]}), &[URL])
    };
    for count in [
        "2",
        "4294967295",
        "4294967296",
        "4294967297",
        "18446744073709551616",
        "340282366920938463463374607431768211456",
    ] {
        assert_eq!(counted("min", count), ["cardinality "], "min {count}");
        assert_eq!(counted("max", &format!("\"{count}\"")), NONE, "max {count}");
    }
    assert_eq!(counted("max", "\"0\""), ["cardinality name[0]"]);
}
