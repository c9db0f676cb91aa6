//! Which faults are new when a resource is changed, and which of them can change what is read.

use serde_json::{Value, json};

use super::validator;
use crate::profile::{Options, Report, new_faults};

fn report(resource: &Value) -> Report {
    let options = Options { doubtful_data: true, ..Options::default() };
    validator().validate(resource, &options)
}

/// Rules and pointers of the new faults.
fn new(before: &Value, after: &Value) -> Vec<String> {
    let (was, is) = (report(before), report(after));
    new_faults((&was, before), (&is, after)).iter().map(|issue| format!("{} {}", issue.rule, issue.pointer)).collect()
}

#[test]
fn what_an_ehr_added_does_not_lock_the_record() {
    let before = json!({ "resourceType": "Patient", "id": "a",
        "identifier": [{ "system": "MRN" }], "telecom": [],
        "name": [{ "id": "n", "family": "Poe" }, { "id": "n", "given": [""] }],
        "contained": [{ "resourceType": "Organization", "id": "o", "name": "x" }] });
    let rules: Vec<String> = report(&before).errors().map(|issue| issue.rule.to_string()).collect();
    for rule in ["identifier-system", "empty", "duplicate-id", "format", "dom-3"] {
        assert!(rules.iter().any(|own| own == rule), "{rule} of {rules:?}");
    }
    let mut after = before.clone();
    after["birthDate"] = "1980-01-02".into();
    assert_eq!(new(&before, &after), [""; 0]);

    // Something put in before it, and another field of the same item.
    let mut after = before.clone();
    after["identifier"] = json!([{ "system": "urn:oid:1.2.3", "value": "7" }, { "system": "MRN", "value": "8" }]);
    after["name"].as_array_mut().unwrap().insert(0, json!({ "text": "Ann" }));
    assert_eq!(new(&before, &after), ["identifier-system /identifier/1/system"], "the item is told by its place only");
    after["identifier"] = json!([{ "system": "urn:oid:1.2.3", "value": "7" }, { "system": "MRN" }]);
    assert_eq!(new(&before, &after), [""; 0]);
}

#[test]
fn who_edits_the_faulty_element_is_judged_on_it() {
    let before = json!({ "resourceType": "Patient", "identifier": [{ "system": "MRN" }], "birthDate": "1980-13-01" });
    let mut after = before.clone();
    after["identifier"][0]["system"] = "KV".into();
    assert_eq!(new(&before, &after), ["identifier-system /identifier/0/system"]);
    after = before.clone();
    after["identifier"][0]["value"] = "8".into();
    assert_eq!(new(&before, &after), [""; 0], "the system is wrong, not the value");
    after["birthDate"] = "1981-13-01".into();
    assert_eq!(new(&before, &after), ["format /birthDate"]);
    // A second one of the same kind is new, though the first was there.
    let mut after = before.clone();
    after["identifier"].as_array_mut().unwrap().push(json!({ "system": "MRN" }));
    assert_eq!(new(&before, &after), ["identifier-system /identifier/1/system"]);
}

#[test]
fn rules_about_the_whole_are_judged_by_the_members_that_they_look_at() {
    let before = json!({ "resourceType": "Appointment", "status": "booked", "start": "2026-05-04T09:30:00Z",
        "participant": [{ "status": "accepted", "actor": { "display": "x" } }] });
    assert!(report(&before).errors().any(|issue| issue.rule == "app-3" && issue.pointer.is_empty()));
    let mut after = before.clone();
    after["comment"] = "comes in a wheelchair".into();
    assert_eq!(new(&before, &after), [""; 0]);
    after["start"] = "2026-05-04T10:30:00Z".into();
    assert!(new(&before, &after).contains(&"app-3 ".to_owned()));

    // What is missing was missing; what is taken away is new.
    let before = json!({ "resourceType": "Appointment", "participant": [{ "status": "accepted", "actor": { "display": "x" } }] });
    let mut after = before.clone();
    after["comment"] = "x".into();
    assert_eq!(new(&before, &after), [""; 0]);
    after.as_object_mut().unwrap().remove("participant");
    assert!(new(&before, &after).contains(&"cardinality ".to_owned()));
    assert!(!new(&before, &after).iter().any(|fault| fault.starts_with("app-")));
}

#[test]
fn a_reference_to_what_is_not_contained_is_new_where_it_was_contained() {
    let before = json!({ "resourceType": "Patient", "generalPractitioner": [{ "reference": "#gp" }],
        "contained": [{ "resourceType": "Practitioner", "id": "gp", "active": true }] });
    let mut after = before.clone();
    after["active"] = true.into();
    assert_eq!(new(&before, &after), [""; 0]);
    after.as_object_mut().unwrap().remove("contained");
    assert_eq!(new(&before, &after), ["ref-1 /generalPractitioner/0/reference"]);
}
