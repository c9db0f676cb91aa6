//! Resources that are wide in one way each, to see that the cost grows with the size and not with its square.

use liaison::fhir::Value;
use serde_json::{Map, json};

fn each(count: usize, make: impl Fn(usize) -> Value) -> Value {
    (0..count).map(make).collect()
}

/// A resource of a size.
type Make = fn(usize) -> Value;

/// Name and maker by size.
pub const WIDE: &[(&str, Make)] = &[
    ("contained resources that refer to each other", |n| {
        let contained = each(n, |at| {
            json!({"resourceType": "Organization", "id": format!("c{at}"), "name": "x",
                "partOf": {"reference": format!("#c{}", (at + 1) % n)}})
        });
        json!({"resourceType": "Patient", "contained": contained, "managingOrganization": {"reference": "#c0"}})
    }),
    ("links within a narrative", |n| {
        let links: String =
            (0..n).map(|at| format!("<p id=\"p{at}\"><a href=\"#p{}\">x</a></p>", n - 1 - at)).collect();
        let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{links}</div>");
        json!({"resourceType": "Basic", "text": {"status": "generated", "div": div}, "code": {"text": "x"}})
    }),
    ("unknown elements of one object", |n| {
        let mut patient: Map<String, Value> = (0..n).map(|at| (format!("x{at}"), json!(1))).collect();
        patient.insert("resourceType".to_owned(), json!("Patient"));
        Value::Object(patient)
    }),
    ("entries that each have a fault", |n| {
        let entry = |at: usize| {
            let div = "<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"#nowhere\">x</a></div>";
            json!({"fullUrl": "http://x.test/Patient/same", "resource": {"resourceType": "Patient", "id": format!("p{at}"),
                "text": {"status": "generated", "div": div}, "gender": "x", "link": [{"other": {"reference": format!("Patient/p{}", at + 1)}, "type": "seealso"}]}})
        };
        json!({"resourceType": "Bundle", "type": "collection", "entry": each(n, entry)})
    }),
    ("a document of entries in a chain", |n| {
        let entry = |at: usize| {
            let url = format!("http://x.test/fhir/Organization/c{at}");
            let next = json!({"reference": format!("Organization/c{}", at + 1)});
            let resource = if at == 0 {
                json!({"resourceType": "Composition", "id": "c0", "status": "final", "type": {"text": "x"}, "date": "2020", "title": "x", "author": [next]})
            } else {
                json!({"resourceType": "Organization", "id": format!("c{at}"), "name": "x", "partOf": next})
            };
            json!({"fullUrl": url.replace("Organization/c0", "Composition/c0"), "resource": resource})
        };
        json!({"resourceType": "Bundle", "type": "document", "timestamp": "2020-01-01T00:00:00Z",
            "identifier": {"system": "urn:x:y", "value": "1"}, "entry": each(n, entry)})
    }),
    ("identifiers, names, extensions of a US Core Patient", |n| {
        let us_core = "http://hl7.org/fhir/us/core/StructureDefinition";
        json!({"resourceType": "Patient", "meta": {"profile": [format!("{us_core}/us-core-patient")]}, "gender": "male",
            "identifier": each(n / 3, |at| json!({"system": "urn:x:y", "value": format!("{at}")})),
            "name": each(n / 3, |at| json!({"family": format!("F{at}"), "given": ["a"]})),
            "extension": each(n / 3, |_| json!({"url": format!("{us_core}/us-core-birthsex"), "valueCode": "F"}))})
    }),
    ("items of a Questionnaire that enable each other", |n| {
        let item = |at: usize| {
            json!({"linkId": format!("i{at}"), "type": "string", "text": "x",
                "enableWhen": [{"question": format!("i{}", (at + 1) % n), "operator": "exists", "answerBoolean": true}]})
        };
        json!({"resourceType": "Questionnaire", "status": "draft", "item": each(n, item)})
    }),
    ("answers to a contained Questionnaire", |n| {
        let items = each(n, |at| json!({"linkId": format!("i{at}"), "type": "string", "text": "x"}));
        json!({"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": "#q",
            "contained": [{"resourceType": "Questionnaire", "id": "q", "status": "draft", "item": items}],
            "item": each(n, |at| json!({"linkId": format!("i{at}"), "answer": [{"valueString": "x"}]}))})
    }),
    ("concepts of a CodeSystem", |n| {
        json!({"resourceType": "CodeSystem", "url": "http://x.test/s", "status": "draft", "content": "complete",
            "concept": each(n, |at| json!({"code": format!("c{at}"), "display": format!("C {at}"),
                "property": [{"code": "parent", "valueCode": format!("c{}", at / 2)}]})),
            "property": [{"code": "parent", "type": "code"}]})
    }),
    ("concepts of a ValueSet", |n| {
        json!({"resourceType": "ValueSet", "url": "http://x.test/v", "status": "draft", "compose": {"include": [
            {"system": "http://loinc.org", "concept": each(n, |at| json!({"code": format!("{at}-1"), "display": "x"}))}]}})
    }),
    ("elements of a ConceptMap", |n| {
        json!({"resourceType": "ConceptMap", "url": "http://x.test/m", "status": "draft", "group": [{"source": "http://loinc.org",
            "target": "http://snomed.info/sct",
            "element": each(n, |at| json!({"code": format!("{at}-1"), "target": [{"code": format!("{at}"), "equivalence": "equal"}]}))}]})
    }),
    ("elements of a differential", |n| {
        let element = |at: usize| json!({"id": format!("Patient.name:s{at}"), "path": "Patient.name", "sliceName": format!("s{at}"), "min": 0});
        let mut elements = vec![
            json!({"id": "Patient.name", "path": "Patient.name", "slicing": {"rules": "open", "discriminator": [{"type": "value", "path": "use"}]}}),
        ];
        elements.extend((0..n).map(element));
        json!({"resourceType": "StructureDefinition", "url": "http://x.test/p", "name": "P", "status": "draft", "kind": "resource",
            "abstract": false, "type": "Patient", "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
            "derivation": "constraint", "differential": {"element": elements}})
    }),
    ("texts of many < without an end", |n| json!({"resourceType": "Patient", "name": [{"text": "<a ".repeat(n * 4)}]})),
    ("parameters", |n| {
        json!({"resourceType": "Parameters", "parameter": each(n, |at| json!({"name": "a", "resource":
            {"resourceType": "Patient", "id": format!("p{at}"), "link": [{"other": {"reference": format!("Patient/p{}", at / 2)}, "type": "seealso"}]}}))})
    }),
    ("security labels, tags, ids", |n| {
        json!({"resourceType": "Basic", "code": {"text": "x"}, "meta": {"security": each(n, |at| json!({"system": "urn:x:y", "code": format!("{at}")})),
            "tag": each(n, |at| json!({"id": format!("t{at}"), "system": "urn:x:y", "code": format!("{at}")}))}})
    }),
];
