//! Rules of single elements and data types: each with a value that keeps it and one that breaks it.

use serde_json::{Value, json};

use super::{found, found_with};

fn patient(name: &str, value: Value) -> Vec<String> {
    found(&json!({"resourceType": "Patient", "active": true, name: value}))
}

fn observation(name: &str, value: Value) -> Vec<String> {
    found(&json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, name: value}))
}

const NONE: [&str; 0] = [];

#[test]
fn ids_of_elements_are_unique() {
    let named =
        |first: &str, second: &str| patient("name", json!([{"id": first, "text": "x"}, {"id": second, "text": "y"}]));
    assert_eq!(named("a", "b"), NONE);
    assert_eq!(named("a", "a"), ["duplicate-id name[1].id"]);
    // Contained resources have ids of their own
    let inner = json!({"resourceType": "Patient", "name": [{"id": "a", "text": "x"}], "link": [{"other": {"reference": "#p"}, "type": "refer"}],
        "contained": [{"resourceType": "Patient", "id": "p", "name": [{"id": "a", "text": "y"}]}]});
    assert_eq!(found(&inner), NONE);
    let primitive = json!({"resourceType": "Patient", "name": [{"id": "a", "text": "x"}], "_birthDate": {"id": "a", "extension": [{"url": "http://example.org/x", "valueString": "y"}]}});
    assert_eq!(found(&primitive), ["duplicate-id birthDate.id"]);
}

#[test]
fn what_points_at_a_place_finds_it() {
    let uri = |uri: &str| {
        found(&json!({"resourceType": "Patient", "name": [{"id": "here", "text": "x"}],
            "extension": [{"url": "http://example.org/x", "valueUri": uri}]}))
    };
    assert_eq!(uri("#here"), NONE);
    assert_eq!(uri("#there"), ["fragment extension[0].value.ofType(uri)"]);
    let linked = |html: &str| {
        let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><p id=\"p\">x</p>{html}</div>");
        found(
            &json!({"resourceType": "Patient", "text": {"status": "generated", "div": div}, "name": [{"id": "here", "text": "x"}],
            "contained": [{"resourceType": "Binary", "id": "b", "contentType": "image/png"}]}),
        )
    };
    // A link makes the contained resource one that is referred to
    assert_eq!(linked("<a href=\"#p\">x</a><a href=\"#here\">x</a><img src=\"#b\"/>"), NONE);
    assert_eq!(linked("<a href=\"#q\">x</a><img src=\"#b\"/>"), ["narrative-link text.div"]);
    assert_eq!(linked("<img src=\"#c\"/><img src=\"#b\"/>"), ["narrative-link text.div"]);
    assert_eq!(linked(""), ["dom-3 contained[0]"]);
}

#[test]
fn narratives() {
    let div = |inner: &str| {
        let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{inner}</div>");
        patient("text", json!({"status": "generated", "div": div}))
    };
    assert_eq!(div("x"), NONE);
    // White space only is what published examples have: a warning
    assert_eq!(div(" <p> </p>"), NONE);
    assert_eq!(div(""), ["txt-2 text.div"]);
    for bad in [
        "<p><ul><li>x</li></ul></p>",
        "<a href=\"javascript:x\">x</a>",
        "<u>x</u>",
        "<ul><p>x</p></ul>",
        "<a href=\"\">x</a>",
        "<p xmlns=\"urn:x\">x</p>",
    ] {
        assert_eq!(div(bad), ["txt-1 text.div"], "{bad}");
    }
}

#[test]
fn contained_resources_belong_to_their_container() {
    let practitioner = |id: &str| json!({"resourceType": "Practitioner", "id": id, "active": true});
    let role =
        |id: &str, to: &str| json!({"resourceType": "PractitionerRole", "id": id, "practitioner": {"reference": to}});
    let with = |contained: &[Value], to: &[&str]| {
        let general: Vec<Value> = to.iter().map(|to| json!({"reference": to})).collect();
        let mut patient = json!({"resourceType": "Patient", "active": true, "contained": contained});
        if !general.is_empty() {
            patient["generalPractitioner"] = json!(general);
        }
        found(&patient)
    };
    assert_eq!(with(&[practitioner("p"), role("r", "#p")], &["#r"]), NONE);
    assert_eq!(with(&[practitioner("p"), role("r", "#p")], &["#p"]), ["dom-3 contained[1]"]);
    // Referred to only by another that nobody refers to
    assert_eq!(with(&[practitioner("p"), role("r", "#p")], &[]), ["dom-3 contained[0]", "dom-3 contained[1]"]);
    assert_eq!(with(&[practitioner("p")], &["#p", "#q"]), ["ref-1 generalPractitioner[1].reference"]);
}

#[test]
fn identifiers() {
    let identified = |system: &str, value: &str| patient("identifier", json!([{"system": system, "value": value}]));
    assert_eq!(identified("http://example.org/mrn", "1"), NONE);
    assert_eq!(identified("urn:ietf:rfc:3986", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"), NONE);
    assert_eq!(identified("urn:ietf:rfc:3986", "http://example.org/x"), NONE);
    assert_eq!(identified("mrn", "1"), ["identifier-system identifier[0].system"]);
    assert_eq!(identified("urn:ietf:rfc:3986", "12345"), ["identifier-value identifier[0].value"]);
    let bare = "c757873d-ec9a-4326-a141-556f43239520";
    assert_eq!(identified("urn:ietf:rfc:3986", bare), ["identifier-value identifier[0].value"]);
    assert_eq!(identified("https://tools.ietf.org/html/rfc4122", bare), NONE);
    assert_eq!(identified("https://tools.ietf.org/html/rfc4122", "x"), ["identifier-value identifier[0].value"]);
}

#[test]
fn codings() {
    let tagged = |system: &str, code: &str| patient("meta", json!({"tag": [{"system": system, "code": code}]}));
    assert_eq!(tagged("http://example.org/x", "a"), NONE);
    assert_eq!(tagged("http://snomed.info/sct", "1"), NONE);
    assert_eq!(tagged("http://hl7.org/fhir/administrative-gender", "male"), NONE);
    assert_eq!(tagged("http://hl7.org/fhir/us/core/CodeSystem/x", "a"), NONE);
    assert_eq!(tagged("urn:iso:std:iso:3166", "AU"), NONE);
    let system = ["coding-system meta.tag[0].system"];
    assert_eq!(tagged("x", "a"), system);
    assert_eq!(tagged("ftp://example.org", "a"), system);
    assert_eq!(tagged("http://snomed.info/sct/900000000000207008", "1"), system);
    assert_eq!(tagged("https://loinc.org", "1"), system);
    assert_eq!(tagged("http://hl7.org/fhir/no-such-codes", "a"), system);
    assert_eq!(tagged("http://build.fhir.org/codesystem-x.html", "a"), system);
    assert_eq!(tagged("http://hl7.org/fhir/ValueSet/administrative-gender", "male"), system);
    let code = ["code meta.tag[0].code"];
    assert_eq!(tagged("http://hl7.org/fhir/administrative-gender", "man"), code);
    assert_eq!(tagged("urn:iso:std:iso:3166", "Australia"), code);
    // Beside other codings an unknown system is nobody's fault
    let concept = json!({"coding": [{"system": "http://hl7.org/fhir/no-such-codes", "code": "a"}]});
    assert_eq!(patient("maritalStatus", concept), NONE);
}

#[test]
fn security_labels_are_a_set() {
    let label =
        |code: &str| json!({"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": code});
    assert_eq!(patient("meta", json!({"security": [label("R"), label("N")]})), NONE);
    assert_eq!(patient("meta", json!({"security": [label("R"), label("R")]})), ["security-label meta.security[1]"]);
}

#[test]
fn canonicals_are_absolute() {
    let about = |canonical: &str| {
        found(&json!({"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": canonical}))
    };
    assert_eq!(about("http://example.org/Questionnaire/x"), NONE);
    // What R4's own examples have
    assert_eq!(about("Questionnaire/x"), NONE);
    assert_eq!(about("x"), ["canonical questionnaire"]);
}

#[test]
fn references_say_what_they_lead_to() {
    let subject = |reference: Value| observation("subject", reference);
    assert_eq!(subject(json!({"reference": "Patient/1", "type": "Patient"})), NONE);
    assert_eq!(subject(json!({"reference": "http://example.org/x", "type": "Patient"})), NONE);
    assert_eq!(subject(json!({"reference": "Patient/1", "type": "Group"})), ["reference-type subject.type"]);
    assert_eq!(
        subject(json!({"reference": "http://example.org/x", "type": "Slot"})),
        ["reference-target-type subject"]
    );
    assert_eq!(subject(json!({"identifier": {"value": "1"}, "type": "Slot"})), ["reference-target-type subject"]);
    assert_eq!(subject(json!({"reference": "Patient/a b"})), ["reference subject.reference"]);
}

#[test]
fn recommendations_by_option() {
    let strict = |resource: &Value| found_with(resource, &["best-practice=error"]);
    let good = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"display": "x"},
        "performer": [{"display": "x"}], "effectiveDateTime": "2024",
        "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},
        "valueQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": "mg", "unit": "mg"}});
    assert_eq!(strict(&good), NONE);
    for name in ["subject", "performer", "effectiveDateTime"] {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(name);
        assert_eq!(strict(&bad), ["best-practice "], "{name}");
        assert_eq!(found(&bad), NONE);
    }
    let mut annotated = good;
    annotated["valueQuantity"]["code"] = json!("mg{dry}");
    assert_eq!(strict(&annotated), ["unit-annotation value.ofType(Quantity).code"]);
}
