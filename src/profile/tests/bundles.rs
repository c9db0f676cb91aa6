//! The rules of bundles by their type: each with a bundle that keeps it and one that breaks it.

use serde_json::{Value, json};

use super::found;

const BASE: &str = "http://example.org/fhir";

fn entry(kind: &str, id: &str, rest: Value) -> Value {
    let mut resource = rest;
    resource["resourceType"] = json!(kind);
    resource["id"] = json!(id);
    json!({"fullUrl": format!("{BASE}/{kind}/{id}"), "resource": resource})
}

fn to(reference: &str) -> Value {
    json!({"reference": reference})
}

fn composition(subject: &str, entries: &[&str]) -> Value {
    let entries: Vec<Value> = entries.iter().map(|reference| to(reference)).collect();
    let mut section = json!({"title": "x", "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"}});
    if !entries.is_empty() {
        section["entry"] = json!(entries);
    }
    entry(
        "Composition",
        "c",
        json!({"status": "final", "type": {"text": "x"}, "subject": to(subject), "date": "2024", "title": "x",
            "author": [{"display": "x"}], "section": [section]}),
    )
}

fn bundle(kind: &str, entries: &[Value]) -> Value {
    let mut bundle = json!({"resourceType": "Bundle", "type": kind, "timestamp": "2024-01-01T00:00:00Z",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}});
    if !entries.is_empty() {
        bundle["entry"] = json!(entries);
    }
    bundle
}

fn patient(id: &str) -> Value {
    entry("Patient", id, json!({"active": true}))
}

fn check(bundle: &Value, expected: &[&str]) {
    assert_eq!(found(bundle), expected, "{bundle}");
}

#[test]
fn documents_hold_what_they_refer_to() {
    let document = |entries: &[Value]| bundle("document", entries);
    check(&document(&[composition("Patient/1", &[]), patient("1")]), &[]);
    check(&document(&[]), &["bdl-11 ", "bundle-first "]);
    check(&document(&[patient("1")]), &["bdl-11 ", "bundle-first entry[0]"]);
    let subject = "bundle-reference entry[0].resource.subject";
    check(&document(&[composition("Patient/2", &[]), patient("1")]), &[subject, "bundle-orphan entry[1]"]);
    check(&document(&[composition("http://elsewhere.org/Patient/1", &[])]), &[subject]);
    check(
        &document(&[composition("Patient/1", &["Observation/1"]), patient("1")]),
        &["bundle-reference entry[0].resource.section[0].entry[0]"],
    );
    check(&document(&[composition("Patient/1", &[]), patient("1"), patient("3")]), &["bundle-orphan entry[2]"]);
    // One that points at what is reached belongs to it
    let provenance =
        json!({"target": [to("Patient/1")], "recorded": "2024-01-01T00:00:00Z", "agent": [{"who": {"display": "x"}}]});
    check(&document(&[composition("Patient/1", &[]), patient("1"), entry("Provenance", "p", provenance)]), &[]);
    // The base of the entry that refers says which Patient/1 is meant
    let mut other = patient("1");
    other["fullUrl"] = json!("http://other.org/fhir/Patient/1");
    check(
        &document(&[composition("Patient/1", &[]), other]),
        &[
            "reference-full-url entry[0].resource.subject.reference",
            "bundle-reference entry[0].resource.subject",
            "bundle-orphan entry[1]",
        ],
    );
}

/// A urn is no base, so that nothing relative leads anywhere from an entry that has one.
#[test]
fn relative_references_need_a_base() {
    let urn = |number: usize| format!("urn:uuid:c757873d-ec9a-4326-a141-55620000000{number}");
    let by_urn = |kind: &str, entries: Vec<Value>| {
        let mut made = bundle(kind, &entries);
        for (number, entry) in made["entry"].as_array_mut().unwrap().iter_mut().enumerate() {
            entry["fullUrl"] = json!(urn(number));
        }
        made
    };
    let astray = [
        "reference-full-url entry[0].resource.subject.reference",
        "bundle-reference entry[0].resource.subject",
        "bundle-orphan entry[1]",
    ];
    check(&by_urn("document", vec![composition("Patient/1", &[]), patient("1")]), &astray);
    check(&by_urn("document", vec![composition(&urn(1), &[]), patient("1")]), &[]);
    // Deeper in the document, too
    let seen = |of: &str| {
        entry(
            "Observation",
            "o",
            json!({"status": "final", "code": {"text": "x"}, "subject": to(of), "effectiveDateTime": "2024"}),
        )
    };
    check(
        &by_urn("document", vec![composition(&urn(1), &[&urn(2)]), patient("1"), seen("Patient/1")]),
        &["reference-full-url entry[2].resource.subject.reference"],
    );
    check(&by_urn("document", vec![composition(&urn(1), &[&urn(2)]), patient("1"), seen(&urn(1))]), &[]);
    // What a server holds may stand behind a relative reference in the others
    for kind in ["collection", "searchset"] {
        check(&by_urn(kind, vec![patient("1"), seen("Patient/1")]), &[]);
    }
    let header = |focus: &str| {
        entry(
            "MessageHeader",
            "h",
            json!({"eventUri": "urn:x:y", "source": {"endpoint": "http://x.org"}, "focus": [to(focus)]}),
        )
    };
    check(
        &by_urn("message", vec![header("Patient/1"), patient("1")]),
        &["reference-full-url entry[0].resource.focus[0].reference", "bundle-reference entry[0].resource.focus[0]"],
    );
}

#[test]
fn versions_that_are_asked_for_are_there() {
    let document = |reference: &str, versions: &[&str]| {
        let mut entries = vec![composition(reference, &[])];
        for version in versions {
            let mut held = patient("1");
            held["resource"]["meta"] = json!({"versionId": version});
            entries.push(held);
        }
        found(&bundle("document", &entries))
    };
    let astray = |entries: &[usize]| {
        let mut all = vec![
            "reference-full-url entry[0].resource.subject.reference".to_owned(),
            "bundle-reference entry[0].resource.subject".to_owned(),
        ];
        all.extend(entries.iter().map(|entry| format!("bundle-orphan entry[{entry}]")));
        all
    };
    assert_eq!(document("Patient/1/_history/2", &["2"]), [""; 0]);
    assert_eq!(document("Patient/1/_history/3", &["2"]), astray(&[1]));
    assert_eq!(document("Patient/1/_history/3", &["1", "2"]), astray(&[1, 2]));
    assert_eq!(document("Patient/1/_history/2", &["1", "2"]), ["bundle-orphan entry[1]"]);
    assert_eq!(
        document("http://example.org/fhir/Patient/1/_history/3", &["2"]),
        ["bundle-reference entry[0].resource.subject", "bundle-orphan entry[1]"]
    );
}

#[test]
fn messages_hold_what_they_are_about() {
    let header = |focus: &str| {
        entry(
            "MessageHeader",
            "h",
            json!({"eventUri": "urn:x:y", "source": {"endpoint": "http://x.org"}, "focus": [to(focus)]}),
        )
    };
    check(&bundle("message", &[header("Patient/1"), patient("1")]), &[]);
    check(&bundle("message", &[header("Patient/2"), patient("1")]), &["bundle-reference entry[0].resource.focus[0]"]);
    check(&bundle("message", &[patient("1")]), &["bdl-12 ", "bundle-first entry[0]"]);
}

#[test]
fn full_urls_are_those_of_their_resources() {
    let collected = |url: &str, id: Option<&str>| {
        let mut resource = json!({"resourceType": "Patient", "active": true});
        if let Some(id) = id {
            resource["id"] = json!(id);
        }
        found(&bundle("collection", &[json!({"fullUrl": url, "resource": resource})]))
    };
    let good = "http://x.org/fhir/Patient/1";
    assert_eq!(collected(good, Some("1")), [""; 0]);
    assert_eq!(collected("urn:uuid:c757873d-ec9a-4326-a141-556f43239520", None), [""; 0]);
    assert_eq!(collected("http://x.org/what/ever", None), [""; 0]);
    assert_eq!(collected(good, Some("2")), ["full-url-id entry[0].fullUrl"]);
    assert_eq!(collected("http://x.org/fhir/Group/1", Some("1")), ["full-url-id entry[0].fullUrl"]);
    assert_eq!(collected(good, None), ["full-url-id entry[0].resource"]);
    assert_eq!(collected("Patient/1", Some("1")), ["full-url entry[0].fullUrl"]);
    for kind in ["collection", "searchset"] {
        let mut lone = patient("1");
        lone.as_object_mut().unwrap().remove("fullUrl");
        check(&bundle(kind, &[lone]), &["full-url entry[0]"]);
    }
    let mut mismatched = patient("1");
    mismatched["resource"]["id"] = json!("2");
    for kind in ["searchset", "collection", "history"] {
        let found = found(&bundle(kind, &[mismatched.clone()]));
        assert!(found.contains(&"full-url-id entry[0].fullUrl".to_owned()), "{kind}: {found:?}");
    }
}

#[test]
fn links_fit_the_type() {
    let linked = |kind: &str, relations: &[&str]| {
        let mut bundle = bundle(kind, &[patient("1")]);
        let links = relations.iter().map(|relation| json!({"relation": relation, "url": "http://x.org"}));
        bundle["link"] = links.collect();
        found(&bundle)
    };
    assert_eq!(linked("searchset", &["self", "next", "previous"]), [""; 0]);
    assert_eq!(linked("collection", &["self"]), [""; 0]);
    assert_eq!(linked("searchset", &["self", "self"]), ["bundle-link link[1]"]);
    for kind in ["collection", "transaction-response", "batch-response"] {
        let rules: Vec<String> =
            linked(kind, &["next"]).into_iter().filter(|issue| issue.starts_with("bundle-link")).collect();
        assert_eq!(rules, ["bundle-link link[0].relation"], "{kind}");
    }
}

#[test]
fn searches_answer_what_was_asked() {
    let answered = |mode: &str, url: &str, entry: Value| {
        let mut entry = entry;
        entry["search"] = json!({"mode": mode});
        let mut bundle = bundle("searchset", &[entry]);
        bundle["link"] = json!([{"relation": "self", "url": url}]);
        found(&bundle)
    };
    let outcome = entry("OperationOutcome", "o", json!({"issue": [{"severity": "warning", "code": "not-found"}]}));
    let url = "http://x.org/fhir/Patient?name=x";
    assert_eq!(answered("match", url, patient("1")), [""; 0]);
    assert_eq!(answered("include", url, entry("Group", "1", json!({"type": "person", "actual": true}))), [""; 0]);
    assert_eq!(answered("outcome", url, outcome), [""; 0]);
    assert_eq!(answered("match", "http://x.org/fhir?_type=Group,Patient", patient("1")), [""; 0]);
    assert_eq!(answered("match", "http://x.org/fhir/Group", patient("1")), ["search-entry entry[0].resource"]);
    assert_eq!(answered("outcome", url, patient("1")), ["search-entry entry[0].resource"]);
    let nameless = json!({"fullUrl": "http://x.org/1", "resource": {"resourceType": "Patient", "active": true}});
    assert_eq!(answered("match", url, nameless), ["search-entry entry[0].resource"]);
}

#[test]
fn references_name_one_entry() {
    let twice = |reference: &str| {
        let versioned = |version: &str| {
            let mut entry = patient("1");
            entry["resource"]["meta"] = json!({"versionId": version});
            entry
        };
        let person = entry("Person", "p", json!({"link": [{"target": to(reference)}]}));
        found(&bundle("collection", &[versioned("1"), versioned("2"), person]))
    };
    assert_eq!(twice("Patient/1/_history/2"), [""; 0]);
    assert_eq!(twice("Patient/1"), ["reference-several entry[2].resource.link[0].target.reference"]);
    for (reference, good) in [
        ("Patient?identifier=http://x.org|1", true),
        ("Patient?identifier", false),
        ("Patient?=1", false),
        ("Patient/a b", false),
    ] {
        let transaction = json!({"resourceType": "Bundle", "type": "transaction", "entry": [{
            "resource": {"resourceType": "Person", "link": [{"target": to(reference)}]},
            "request": {"method": "POST", "url": "Person"}}]});
        assert_eq!(found(&transaction).is_empty(), good, "{reference}");
    }
}
