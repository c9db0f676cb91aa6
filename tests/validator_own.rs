//! Validator cases of our own, against R4 and against a package of our own: a valid resource, one thing changed, and the place
//! where each error must be told: what is missing, at its holder; what is too much, at itself. What HL7's own suite tries
//! (`validator_cases.rs`) needs data that is not in the repository.

use liaison::profile::{Options, Validator};
use serde_json::{Value, json};

use crate::support::own;

fn patient() -> Value {
    json!({
        "resourceType": "Patient", "id": "ada", "gender": "female", "birthDate": "1980-02-29",
        "identifier": [{"system": "http://practice.example/chart", "value": "4711"}],
        "name": [{"family": "Okafor", "given": ["Ada"]}], "telecom": [{"system": "phone", "value": "555 0100"}],
    })
}

fn appointment() -> Value {
    json!({
        "resourceType": "Appointment", "status": "booked",
        "start": "2026-12-01T09:30:00Z", "end": "2026-12-01T10:00:00Z",
        "participant": [{"actor": {"reference": "Patient/ada"}, "status": "accepted"}],
    })
}

/// What is changed (a JSON merge patch), and where the errors stand; no place: still valid.
type Case = (&'static str, Value, &'static [&'static str]);

fn check(good: &Value, profile: Option<&str>, cases: &[Case]) {
    let validator = Validator::new(own::with_practice());
    let options =
        profile.map_or_else(Options::default, |name| Options::with_profiles([format!("{}{name}", own::BASE)]));
    let mut wrong = Vec::new();
    for (what, change, places) in cases {
        let mut resource = good.clone();
        merge(&mut resource, change);
        let report = validator.validate(&resource, &options);
        let mut found: Vec<&str> = report.errors().map(|issue| issue.expression.as_str()).collect();
        found.dedup();
        if found != *places {
            wrong.push(format!("{what}: told at {found:?} instead of {places:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Some(members) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in members {
        if value.is_null() {
            target.as_object_mut().expect("an object").shift_remove(name);
        } else {
            merge(&mut target[name], value);
        }
    }
}

#[test]
fn of_the_base_specification() {
    check(
        &patient(),
        None,
        &[
            ("nothing", json!({}), &[]),
            ("an unknown element", json!({"nick": "x"}), &["Patient.nick"]),
            ("a word of the wrong type", json!({"active": "yes"}), &["Patient.active"]),
            ("one where many are", json!({"name": {"family": "x"}}), &["Patient.name"]),
            ("a day that is none", json!({"birthDate": "1981-02-29"}), &["Patient.birthDate"]),
            ("a code that is not in a required value set", json!({"gender": "woman"}), &["Patient.gender"]),
            (
                "two forms of a choice",
                json!({"deceasedBoolean": true, "deceasedDateTime": "2020"}),
                &["Patient.deceasedDateTime"],
            ),
            ("an empty list", json!({"name": []}), &["Patient.name"]),
            ("an id with a blank", json!({"id": "a b"}), &["Patient.id"]),
            ("a contact without a way to it", json!({"contact": [{"gender": "male"}]}), &["Patient.contact[0]"]),
            (
                "a script in the narrative",
                json!({"text": {"status": "generated",
            "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><script>x</script></div>"}}),
                &["Patient.text.div"],
            ),
            (
                "contained and not referred to",
                json!({"contained": [{"resourceType": "Organization", "id": "o", "name": "x"}]}),
                &["Patient.contained[0]"],
            ),
            (
                "led to another type than the element allows",
                json!({"managingOrganization": {"reference": "Patient/x"}}),
                &["Patient.managingOrganization"],
            ),
            (
                "the same at another server",
                json!({"generalPractitioner": [{"reference": "http://ehr.example/fhir/Patient/x/_history/2"}]}),
                &["Patient.generalPractitioner[0]"],
            ),
            (
                "the same by a search",
                json!({"managingOrganization": {"reference": "Patient?identifier=urn:x:y|1"}}),
                &["Patient.managingOrganization"],
            ),
            (
                "led to what nobody can tell the type of",
                json!({"managingOrganization": {"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}}),
                &[],
            ),
            (
                "an extension with two meanings",
                json!({"extension": [{"url": "http://practice.example/x", "valueString": "a",
            "extension": [{"url": "y", "valueString": "b"}]}]}),
                &["Patient.extension[0]"],
            ),
        ],
    );
    let observation = json!({
        "resourceType": "Observation", "status": "final", "code": {"text": "x"},
        "valueQuantity": {"value": 1, "unit": "x", "system": "http://unitsofmeasure.org", "code": "mg"},
    });
    check(
        &observation,
        None,
        &[
            ("nothing", json!({}), &[]),
            (
                "a unit that UCUM lacks",
                json!({"valueQuantity": {"code": "ea"}}),
                &["Observation.value.ofType(Quantity).code"],
            ),
            ("what counts anything", json!({"valueQuantity": {"code": "{each}"}}), &[]),
            ("the same with blanks", json!({"valueQuantity": {"code": "{wine glasses}/d"}}), &[]),
            (
                "a unit that FHIR's own system lacks",
                json!({"valueQuantity": {"system": "http://hl7.org/fhir/observation-status"}}),
                &["Observation.value.ofType(Quantity).code"],
            ),
            (
                "a unit that a newer version may have",
                json!({"valueQuantity": {"system": "http://terminology.hl7.org/CodeSystem/v3-orderableDrugForm"}}),
                &[],
            ),
            (
                "an OID that says it is a URI",
                json!({"identifier": [{"system": "urn:ietf:rfc:3986", "value": "1.2.3.4"}]}),
                &["Observation.identifier[0].value"],
            ),
        ],
    );
    check(
        &appointment(),
        None,
        &[
            ("nothing", json!({}), &[]),
            ("an invariant: a start without an end", json!({"end": null}), &["Appointment"]),
            ("nobody takes part", json!({"participant": null}), &["Appointment"]),
            ("no status", json!({"status": null}), &["Appointment"]),
        ],
    );
}

#[test]
fn of_profiles_of_our_own() {
    check(
        &patient(),
        Some("practice-patient"),
        &[
            ("nothing", json!({}), &[]),
            (
                "no number of the chart",
                json!({"identifier": [{"system": "urn:x:y", "value": "1"}]}),
                &["Patient.identifier"],
            ),
            (
                "two numbers of the chart",
                json!({"identifier": [
            {"system": "http://practice.example/chart", "value": "1"},
            {"system": "http://practice.example/chart", "value": "2"}]}),
                &["Patient.identifier[1]"],
            ),
            (
                "another number beside it",
                json!({"identifier": [
            {"system": "http://practice.example/chart", "value": "1"}, {"system": "urn:x:y", "value": "2"}]}),
                &[],
            ),
            (
                "a chart without a number",
                json!({"identifier": [{"system": "http://practice.example/chart"}]}),
                &["Patient.identifier[0]"],
            ),
            ("no name", json!({"name": null}), &["Patient"]),
            ("two names", json!({"name": [{"family": "a"}, {"family": "b"}]}), &["Patient.name[1]"]),
            ("no family name", json!({"name": [{"text": "Ada"}]}), &["Patient.name[0]"]),
            ("a photo, which is not taken", json!({"photo": [{"title": "x"}]}), &["Patient.photo[0]"]),
            ("nobody can reach her", json!({"telecom": null}), &["Patient"]),
        ],
    );
    check(
        &appointment(),
        Some("practice-appointment"),
        &[
            ("nothing", json!({}), &[]),
            ("no start", json!({"status": "cancelled", "start": null, "end": null}), &["Appointment"]),
            ("a status that patients are not told", json!({"status": "waitlist"}), &["Appointment.status"]),
            (
                "nobody in particular",
                json!({"participant": [{"type": [{"text": "x"}], "status": "accepted"}]}),
                &["Appointment.participant[0]"],
            ),
        ],
    );
}
