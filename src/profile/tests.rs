//! Validation of small resources, each with one thing wrong: the issue must be there, at its place, and alone.

mod bundles;
mod elements;
mod faults;
mod measures;
mod profiles;

use super::*;
use crate::fhir::read_str;

fn validator() -> &'static Validator {
    static VALIDATOR: std::sync::LazyLock<Validator> = std::sync::LazyLock::new(|| Validator::new(Definitions::core()));
    &VALIDATOR
}

fn errors(json: &str) -> Vec<(String, String)> {
    let report = validator().validate(&read_str(json).unwrap(), &Options::default());
    report.errors().map(|issue| (issue.rule.to_string(), issue.expression.clone())).collect()
}

/// Errors of a resource under switches: rule and place below the resource.
fn found_with(resource: &crate::fhir::Value, switches: &[&str]) -> Vec<String> {
    let mut options = Options::default();
    for switch in switches {
        options.set(switch).unwrap();
    }
    let report = validator().validate(resource, &options);
    let below = |place: &str| place.split_once('.').map_or(String::new(), |(_, rest)| rest.to_owned());
    report.errors().map(|issue| format!("{} {}", issue.rule, below(&issue.expression))).collect()
}

fn found(resource: &crate::fhir::Value) -> Vec<String> {
    found_with(resource, &[])
}

fn one(json: &str, rule: &str, expression: &str) {
    assert_eq!(errors(json), [(rule.to_owned(), expression.to_owned())], "{json}");
}

#[test]
fn a_good_patient_has_no_errors() {
    let good = r##"{"resourceType":"Patient","id":"a","meta":{"lastUpdated":"2024-01-01T00:00:00Z"},
        "text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},
        "identifier":[{"system":"urn:oid:1.2.36.1","value":"x","period":{"start":"2020-01-01"}}],
        "active":true,"name":[{"family":"X","given":[null,"B"],"_given":[{"extension":[{"url":"http://x.org/e","valueString":"y"}]},null]}],
        "gender":"female","_birthDate":{"extension":[{"url":"http://x.org/e","valueDateTime":"2020"}]},
        "deceasedBoolean":false,"contact":[{"name":{"text":"x"}}],
        "managingOrganization":{"reference":"#o"},"contained":[{"resourceType":"Organization","id":"o","name":"x"}]}"##;
    assert_eq!(errors(good), []);
}

#[test]
fn structure() {
    let patient = |inner: &str| format!("{{\"resourceType\":\"Patient\",{inner}}}");
    one(&patient(r#""birthdate":"2020""#), "unknown-element", "Patient.birthdate");
    one(&patient(r#""name":[{"famly":"x"}]"#), "unknown-element", "Patient.name[0].famly");
    one(&patient(r#""name":{"family":"x"}"#), "json-type", "Patient.name");
    one(&patient(r#""gender":["male"]"#), "json-type", "Patient.gender");
    one(&patient(r#""active":"true""#), "json-type", "Patient.active");
    one(&patient(r#""birthDate":"2023-02-30""#), "format", "Patient.birthDate");
    one(&patient(r#""name":[]"#), "empty", "Patient.name");
    one(&patient(r#""name":[{}]"#), "empty", "Patient.name[0]");
    one(&patient(r#""name":[null]"#), "json-type", "Patient.name[0]");
    let beside = r#""birthDate":null,"_birthDate":{"extension":[{"url":"http://x.org/e","valueString":"x"}]}"#;
    one(&patient(beside), "json-type", "Patient.birthDate");
    one(&patient(r#""deceasedBoolean":true,"deceasedDateTime":"2020""#), "choice", "Patient.deceasedDateTime");
    one(&patient(r#""deceasedString":"x""#), "unknown-element", "Patient.deceasedString");
    one(&patient(r#""name":[{"given":["a","b"],"_given":[null]}]"#), "json-type", "Patient.name[0].given");
    one(&patient(r#""name":[{"given":[null]}]"#), "ele-1", "Patient.name[0].given[0]");
    one(&patient(r#""link":[{"other":{"reference":"Patient/1"}}]"#), "cardinality", "Patient.link[0]");
    one(&patient(r#""communication":[{"preferred":true}]"#), "cardinality", "Patient.communication[0]");
    one(&patient(r#""extension":[{"url":"http://x.org/e"}]"#), "ext-1", "Patient.extension[0]");
    one(&patient(r#""id":"a b""#), "format", "Patient.id");
    one("{}", "resource-type", "Resource");
    one(r#"{"resourceType":"Pateint","id":"a"}"#, "resource-type", "Pateint");
    one(r#"{"resourceType":"DomainResource","id":"a"}"#, "resource-type", "DomainResource");
}

#[test]
fn contained_and_references() {
    one(
        r##"{"resourceType":"Patient","managingOrganization":{"reference":"#o"}}"##,
        "ref-1",
        "Patient.managingOrganization.reference",
    );
    one(
        r#"{"resourceType":"Patient","active":true,"contained":[{"resourceType":"Organization","id":"o","name":"x"}]}"#,
        "dom-3",
        "Patient.contained[0]",
    );
    one(
        r##"{"resourceType":"Patient","managingOrganization":{"reference":"#o"},"contained":[{"resourceType":"Location","id":"o","name":"x"}]}"##,
        "reference-target-type",
        "Patient.managingOrganization",
    );
}

#[test]
fn what_contained_resources_contain_is_refused_and_no_more() {
    let inner = |id: &str| serde_json::json!({"resourceType": "Organization", "id": id, "name": "x", "partOf": {"reference": "#"}});
    let mut holder = inner("a");
    holder["contained"] = serde_json::json!([inner("b"), inner("c"), inner("d")]);
    let patient = serde_json::json!({"resourceType": "Patient", "contained": [holder]});
    let report = Validator::new(Definitions::core()).validate(&patient, &Options::default());
    assert!(report.errors().any(|issue| issue.rule == "dom-2"), "{:#?}", report.issues);
}

#[test]
fn codes() {
    one(r#"{"resourceType":"Patient","gender":"femal"}"#, "binding", "Patient.gender");
    one(r#"{"resourceType":"Patient","contact":[{"gender":"male"}]}"#, "pat-1", "Patient.contact[0]");
}
