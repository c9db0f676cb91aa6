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
    // R4 says of few URIs that a fragment is a place in the resource
    assert_eq!(uri("#there"), NONE);
    let source = |source: &str| {
        let resource = json!({"resourceType": "Patient", "active": true, "meta": {"source": source}});
        let report = super::validator().validate(&resource, &super::Options::default());
        let found = report.issues.iter().filter(|issue| issue.rule == "fragment");
        found.map(|issue| issue.severity.code()).collect::<Vec<_>>()
    };
    assert_eq!(source("#PKgMRyTzJm8IbxHa"), ["information"], "HAPI writes such by default");
    assert_eq!(source("http://x.org/a#PKgMRyTzJm8IbxHa"), NONE);
    for url in ["textLink", "narrativeLink"] {
        let linked = |uri: &str| {
            json!({"resourceType": "Patient", "active": true, "text": {"status": "additional",
                "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\" id=\"p\">x</div>"},
                "extension": [{"url": format!("http://hl7.org/fhir/StructureDefinition/{url}"), "valueUrl": uri}]})
        };
        assert!(found(&linked("#q")).contains(&"fragment extension[0].value.ofType(url)".to_owned()), "{url}");
        assert!(!found(&linked("#p")).iter().any(|one| one.starts_with("fragment")), "{url}");
    }
    let set = |system: &str| json!({"resourceType": "ValueSet", "status": "draft", "compose": {"include": [{"system": system}]}});
    assert!(found(&set("#there")).contains(&"fragment compose.include[0].system".to_owned()));
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

#[test]
fn a_resource_with_nothing_but_its_type_is_no_empty_object() {
    let bare = |kind: &str| found(&json!({"resourceType": kind}));
    assert_eq!(bare("Patient"), NONE);
    assert_eq!(bare("Organization"), ["org-1 "]);
    assert_eq!(bare("Appointment"), ["cardinality ", "cardinality ", "app-3 "]);
    assert_eq!(found(&json!({"resourceType": "Patient", "name": [{}]})), ["empty name[0]"]);
    let within = json!({"resourceType": "Patient", "contained": [{"resourceType": "Organization"}]});
    assert_eq!(found(&within), ["org-1 contained[0]", "dom-3 contained[0]"]);
}

#[test]
fn unknown_extensions_are_no_reason_to_refuse() {
    let with = |name: &str, url: &str| json!({"resourceType": "Patient", "active": true, name: [{"url": url, "valueString": "x"}]});
    for url in [
        "http://open.epic.com/FHIR/StructureDefinition/extension/legal-sex",
        "http://fhir.de/StructureDefinition/gender-amtlich-de",
        "urn:x:y",
    ] {
        for name in ["extension", "modifierExtension"] {
            assert_eq!(found(&with(name, url)), NONE, "{url}");
        }
    }
    let epic = with("extension", "http://open.epic.com/FHIR/StructureDefinition/extension/legal-sex");
    for switch in ["anyExtensionsAllowed=false", "allowed-extension-domain=http://fhir.de/"] {
        assert_eq!(found_with(&epic, &[switch]), ["unknown-extension extension[0]"], "{switch}");
    }
    assert_eq!(found_with(&epic, &["allowed-extension-domain=http://open.epic.com/"]), NONE);
    let report = super::validator().validate(&with("modifierExtension", "urn:x:y"), &super::Options::default());
    let said = report.issues.iter().find(|issue| issue.rule == "unknown-extension").map(|issue| issue.severity.code());
    assert_eq!(said, Some("warning"), "whoever does not know a modifier must not go on");
}

#[test]
fn codes_that_newer_versions_may_have_are_doubtful() {
    let of = |system: &str, rest: Value| {
        let mut coding = rest;
        coding["system"] = json!(system);
        let resource = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "category": [{"coding": [coding]}]});
        let report = super::validator().validate(&resource, &super::Options::default());
        let of_code = report.issues.iter().filter(|issue| issue.rule == "code");
        of_code.map(|issue| issue.severity.code()).collect::<Vec<_>>()
    };
    let category = "http://terminology.hl7.org/CodeSystem/observation-category";
    assert_eq!(of(category, json!({"code": "laboratory"})), NONE);
    assert_eq!(of(category, json!({"code": "sdoh"})), ["warning"]);
    assert_eq!(
        of(category, json!({"code": "sdoh", "version": "4.0.1"})),
        ["error"],
        "of R4's own version all are known"
    );
    assert_eq!(of("http://terminology.hl7.org/CodeSystem/v3-ActCode", json!({"code": "NEWER"})), ["warning"]);
    assert_eq!(of("http://hl7.org/fhir/observation-status", json!({"code": "newer"})), ["error"]);
    // A required binding is to R4's value set, whose codes are all known
    let condition = json!({"resourceType": "Condition", "subject": {"display": "x"}, "clinicalStatus": {"coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "newer"}]}});
    assert!(found(&condition).contains(&"binding clinicalStatus".to_owned()), "{:?}", found(&condition));
}

#[test]
fn inline_data_are_what_is_said_of_them() {
    let attached = |rest: Value| {
        let mut attachment = rest;
        attachment["contentType"] = json!("text/plain");
        attachment["data"] = json!("aGVsbG8=");
        json!({"resourceType": "DocumentReference", "status": "current", "content": [{"attachment": attachment}]})
    };
    let right = "qvTGHdzF6KLavt4PO0gs2a6pQ00=";
    for (rest, wrong) in [
        (json!({"size": 5, "hash": right}), None),
        (json!({"size": 6}), Some("attachment-size content[0].attachment")),
        (json!({"size": 0}), Some("attachment-size content[0].attachment")),
        (json!({"hash": "aGVsbG8="}), Some("attachment-hash content[0].attachment.hash")),
        (json!({"hash": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}), Some("attachment-hash content[0].attachment.hash")),
    ] {
        let resource = attached(rest);
        assert_eq!(found(&resource), wrong.into_iter().collect::<Vec<_>>(), "{resource}");
        // Where something is taken in it is told, and keeps nothing out
        let lenient = super::Options { doubtful_data: true, ..super::Options::default() };
        let report = super::validator().validate(&resource, &lenient);
        assert!(report.is_valid(), "{resource}");
        let told = report.issues.iter().any(|issue| issue.rule.starts_with("attachment-"));
        assert_eq!(told, wrong.is_some(), "{resource}");
    }
}
