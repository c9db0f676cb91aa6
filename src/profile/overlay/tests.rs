//! What profiles demand by extensions: imposed profiles, additional bindings; and where references may lead.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    definitions::{Definitions, Pack, pack::Builder},
    profile::{Options, Validator},
};

fn validator(definitions: &[Value]) -> Validator {
    let mut builder = Builder::fast("test");
    definitions.iter().for_each(|definition| assert!(builder.add(definition)));
    let pack = Pack::open(builder.build()).unwrap();
    Validator::new(Definitions::with_packages([Arc::new(pack)]).unwrap())
}

fn profile(url: &str, base: &str, elements: Value) -> Value {
    json!({"resourceType": "StructureDefinition", "url": url, "name": "P", "status": "draft", "kind": "resource",
        "abstract": false, "type": "Observation", "baseDefinition": base, "derivation": "constraint",
        "differential": {"element": elements}})
}

const OBSERVATION: &str = "http://hl7.org/fhir/StructureDefinition/Observation";

fn observation(more: Value) -> Value {
    let mut made = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}});
    for (name, value) in more.as_object().into_iter().flatten() {
        made[name] = value.clone();
    }
    made
}

fn rules(validator: &Validator, profile: &str, resource: &Value) -> Vec<String> {
    let report = validator.validate(resource, &Options::with_profiles([profile]));
    report.errors().map(|issue| format!("{} {}", issue.rule, issue.expression)).collect()
}

#[test]
fn imposed_profiles_must_be_met() {
    let demanding = profile("http://t/a", OBSERVATION, json!([{"path": "Observation.subject", "min": 1}]));
    let mut imposing = profile("http://t/b", OBSERVATION, json!([{"path": "Observation.code", "short": "x"}]));
    imposing["extension"] = json!([{"url": "http://hl7.org/fhir/StructureDefinition/structuredefinition-imposeProfile",
        "valueCanonical": "http://t/a"}]);
    let derived = profile("http://t/c", "http://t/b", json!([{"path": "Observation.code", "short": "y"}]));
    let validator = validator(&[demanding, imposing, derived]);
    for url in ["http://t/b", "http://t/c"] {
        assert_eq!(rules(&validator, url, &observation(json!({}))), ["cardinality Observation"], "{url}");
        let good = observation(json!({"subject": {"reference": "Patient/1"}}));
        assert_eq!(rules(&validator, url, &good), Vec::<String>::new(), "{url}");
    }
}

#[test]
fn additional_bindings_hold_in_their_cases() {
    let binding = |url: &str, usage: Value| {
        let mut parts = vec![
            json!({"url": "purpose", "valueCode": "required"}),
            json!({"url": "valueSet", "valueCanonical": "http://hl7.org/fhir/ValueSet/administrative-gender"}),
        ];
        parts.extend(usage.as_array().into_iter().flatten().cloned());
        let code = json!({"strength": "example", "valueSet": "http://hl7.org/fhir/ValueSet/observation-codes",
            "extension": [{"url": url, "extension": parts}]});
        profile("http://t/a", OBSERVATION, json!([{"path": "Observation.code", "binding": code}]))
    };
    let coded = |code: &str, category: &str| {
        let system = if code == "male" { "administrative-gender" } else { "observation-status" };
        observation(json!({
            "category": [{"coding": [{"system": "http://c", "code": category}]}],
            "code": {"coding": [{"system": format!("http://hl7.org/fhir/{system}"), "code": code}]}}))
    };
    let tools = "http://hl7.org/fhir/tools/StructureDefinition/additional-binding";
    let r5 = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.binding.additional";
    for url in [tools, r5] {
        let validator = validator(&[binding(url, json!([]))]);
        assert_eq!(rules(&validator, "http://t/a", &coded("male", "lab")), Vec::<String>::new(), "{url}");
        assert_eq!(rules(&validator, "http://t/a", &coded("final", "lab")), ["binding Observation.code"], "{url}");
    }
    let case = |system: &str| {
        json!([{"url": "usage", "valueUsageContext": {"code": {"system": system, "code": "Observation.category"},
            "valueCodeableConcept": {"coding": [{"system": "http://c", "code": "lab"}]}}}])
    };
    let conditional = validator(&[binding(tools, case("http://t/a"))]);
    assert_eq!(rules(&conditional, "http://t/a", &coded("final", "lab")), ["binding Observation.code"]);
    assert_eq!(rules(&conditional, "http://t/a", &coded("final", "other")), Vec::<String>::new());
    let elsewhere = validator(&[binding(tools, case("http://jurisdictions"))]);
    assert_eq!(rules(&elsewhere, "http://t/a", &coded("final", "lab")), Vec::<String>::new());
}

#[test]
fn references_lead_where_the_profile_allows() {
    let of = |aggregation: Value| {
        let subject = json!({"code": "Reference", "aggregation": aggregation,
            "targetProfile": ["http://hl7.org/fhir/StructureDefinition/Patient"]});
        validator(&[profile("http://t/a", OBSERVATION, json!([{"path": "Observation.subject", "type": [subject]}]))])
    };
    let inside = observation(json!({"contained": [{"resourceType": "Patient", "id": "p", "active": true}],
        "subject": {"reference": "#p"}}));
    let outside = observation(json!({"subject": {"reference": "Patient/1"}}));
    let (contained, referenced) = (of(json!(["contained"])), of(json!(["referenced", "bundled"])));
    assert_eq!(rules(&contained, "http://t/a", &inside), Vec::<String>::new());
    assert_eq!(rules(&contained, "http://t/a", &outside), ["aggregation Observation.subject"]);
    assert_eq!(rules(&referenced, "http://t/a", &outside), Vec::<String>::new());
    assert_eq!(rules(&referenced, "http://t/a", &inside), ["aggregation Observation.subject"]);
    let in_bundle = |profile: &str| {
        json!({"resourceType": "Bundle", "type": "collection", "entry": [
            {"fullUrl": "http://e.org/Observation/1", "resource": observation(json!({"id": "1", "meta": {"profile": [profile]},
                "subject": {"reference": "Patient/1"}}))},
            {"fullUrl": "http://e.org/Patient/1", "resource": {"resourceType": "Patient", "id": "1", "active": true}}]})
    };
    let bundled = of(json!(["bundled"]));
    let errors = |bundle: &Value| bundled.validate(bundle, &Options::default()).errors().count();
    assert_eq!(errors(&in_bundle("http://t/a")), 0);
    assert_eq!(rules(&bundled, "http://t/a", &outside), ["aggregation Observation.subject"]);
}

#[test]
fn a_profile_whose_base_is_not_at_hand_cannot_be_met() {
    let orphan = profile("http://t/a", "http://t/nowhere", json!([{"path": "Observation.subject", "min": 0}]));
    let validator = validator(&[orphan]);
    assert_eq!(rules(&validator, "http://t/a", &observation(json!({}))), ["profile-base Observation"]);
}

/// Two versions of a library; a package that needs the older one; a loose profile upon that package.
#[test]
fn a_package_means_the_versions_that_it_depends_on() {
    let of = |label: &str, needs: Option<&str>, definition: Value| {
        let mut builder = Builder::fast(label);
        needs.into_iter().for_each(|needs| builder.needs(needs));
        assert!(builder.add(&definition));
        Arc::new(Pack::open(builder.build()).unwrap())
    };
    let library = |version: &str, min: u32| {
        let mut made = profile("http://t/a", OBSERVATION, json!([{"path": "Observation.subject", "min": min}]));
        made["version"] = json!(version);
        of(&format!("lib#{version}"), None, made)
    };
    let mut imposing = profile("http://t/b", OBSERVATION, json!([{"path": "Observation.code", "short": "x"}]));
    imposing["extension"] = json!([{"url": "http://hl7.org/fhir/StructureDefinition/structuredefinition-imposeProfile",
        "valueCanonical": "http://t/a"}]);
    let loose = profile("http://t/c", "http://t/b", json!([{"path": "Observation.code", "short": "y"}]));
    for (needs, errors) in [("lib#1.0.x", 1), ("lib#2.0.0", 0)] {
        let packs = [
            library("1.0.0", 1),
            library("2.0.0", 0),
            of("user#1.0.0", Some(needs), imposing.clone()),
            of("c.json", None, loose.clone()),
        ];
        let validator = Validator::new(Definitions::with_packages(packs).unwrap());
        for url in ["http://t/b", "http://t/c"] {
            assert_eq!(rules(&validator, url, &observation(json!({}))).len(), errors, "{url} with {needs}");
        }
    }
}
