//! References in and out, as tables: whose they are, and in which form they go.

use super::*;

fn base() -> OwnBase {
    OwnBase::new("https://ehr/fhir")
}

fn known(reference: &str) -> Option<Whose> {
    (reference == "Patient/7").then(|| (ObjectName::new("patient").unwrap(), ObjectId::new("p1").unwrap()))
}

struct Three;

impl Places for Three {
    fn place(&self, whose: &Whose) -> Result<Place, LedgerError> {
        Ok(match whose.1.as_str() {
            "p1" => Place::At("Patient/7".into()),
            "p2" => Place::Coming,
            _ => Place::Elsewhere,
        })
    }
    fn elsewhere(&self, reference: &str) -> Result<Option<String>, LedgerError> {
        Ok((reference == "Patient/9").then(|| "https://south/fhir/Patient/9".to_owned()))
    }
    fn named(&self, kind: &str, system: &str, value: &str) -> Result<Option<Whose>, LedgerError> {
        let known = kind == "Patient" && system == "urn:mrn";
        Ok(known.then(|| (ObjectName::new("patient").unwrap(), ObjectId::new(value).unwrap())))
    }
}

#[test]
fn there_and_back_keeps_the_ehrs_form() {
    let held = json!({"participant": [
        {"actor": {"reference": "https://ehr/fhir/Patient/7", "identifier": {"value": "MRN1"}, "display": "A"}},
        {"actor": {"reference": "Patient/7", "type": "Patient"}},
        {"actor": {"reference": "Practitioner/3"}}]});
    let ours = logical(&held, "north", &base(), &known);
    assert_eq!(
        ours["participant"][0]["actor"],
        json!({
        "type": "Patient", "identifier": {"system": "urn:liaison:north:patient", "value": "p1"}, "display": "A"})
    );
    assert_eq!(ours["participant"][2], held["participant"][2]);
    let mut back = ours;
    assert!(literal(&mut back, Some(&held), "north", &base(), &Three).unwrap().is_empty());
    assert_eq!(back, held);
}

/// FAULTS P1 and P17b: the same id under another base is another patient, on the way in and out.
#[test]
fn a_reference_under_another_base_is_somebody_elses() {
    let held =
        json!({"participant": [{"actor": {"reference": "https://regional.example/fhir/Patient/7", "display": "B"}}]});
    assert_eq!(logical(&held, "north", &base(), &known), held);
    let p1 = json!({"type": "Patient", "identifier": {"system": "urn:liaison:north:patient", "value": "p1"}});
    let mut more = held.clone();
    more["participant"].as_array_mut().unwrap().push(json!({"actor": p1}));
    literal(&mut more, Some(&held), "north", &base(), &Three).unwrap();
    assert_eq!(more["participant"][0], held["participant"][0]);
    assert_eq!(more["participant"][1]["actor"], json!({"reference": "Patient/7"}));
}

#[test]
fn what_another_ehr_calls_somebody_goes_out_with_its_base() {
    let of = |reference: &str| json!({"actor": {"reference": reference, "display": "D"}});
    let sent = |made: &Value, before: Option<&Value>| {
        let mut made = made.clone();
        literal(&mut made, before, "north", &base(), &Three).unwrap();
        made
    };
    assert_eq!(sent(&of("Patient/9"), None), of("https://south/fhir/Patient/9"));
    assert_eq!(sent(&of("Patient/9"), Some(&of("Patient/9"))), of("Patient/9"), "this EHR's own word");
    assert_eq!(sent(&of("Patient/8"), None), of("Patient/8"), "the sender's");
}

#[test]
fn new_references_become_literal_or_wait() {
    let whom = |id: &str| json!({"type": "Patient", "identifier": {"system": "urn:liaison:north:patient", "value": id}, "display": "D"});
    let mut resource = json!({"a": whom("p1"), "b": whom("p2"), "c": whom("p3"), "d": {"identifier": {"system": "urn:liaison:south:patient", "value": "p1"}}});
    let coming = literal(&mut resource, None, "north", &base(), &Three).unwrap();
    assert_eq!(resource["a"], json!({"reference": "Patient/7", "display": "D"}));
    assert_eq!(coming.len(), 1);
    assert_eq!(resource["c"], whom("p3"));
    assert_eq!(resource["d"]["identifier"]["system"], "urn:liaison:south:patient");
}

#[test]
fn a_reference_by_identifier_becomes_literal_where_it_means_one_that_is_there() {
    let by = |kind: &str, system: &str, value: &str| json!({"type": kind, "identifier": {"system": system, "value": value}, "display": "D"});
    let made = json!({
        "subject": by("Patient", "urn:mrn", "p1"), "later": by("Patient", "urn:mrn", "p2"),
        "elsewhere": by("Patient", "urn:mrn", "p9"), "stranger": by("Patient", "urn:other", "p1"),
        "no reference": {"identifier": {"system": "urn:mrn", "value": "p1"}, "type": "Patient", "quantity": 1}});
    let mut resource = made.clone();
    let coming = literal(&mut resource, None, "north", &base(), &Three).unwrap();
    let mut expected = by("Patient", "urn:mrn", "p1");
    expected["reference"] = json!("Patient/7");
    assert_eq!(resource["subject"], expected);
    assert_eq!(coming.len(), 1, "one that is on its way is waited for");
    for name in ["later", "elsewhere", "stranger", "no reference"] {
        assert_eq!(resource[name], made[name]);
    }
    let mut held_so = made.clone();
    literal(&mut held_so, Some(&json!({"subject": by("Patient", "urn:mrn", "p1")})), "north", &base(), &Three).unwrap();
    assert_eq!(held_so["subject"], made["subject"], "what the EHR holds in this form stays");
}

#[test]
fn references_are_found_by_shape() {
    let internal = json!({"id": "a", "patient": {"object": "patient", "id": "p1"}, "who": [{"ref": {"object": "location", "id": "l"}}]});
    let found: Vec<String> = references(&internal).into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(found, ["/patient", "/who/0/ref"]);
}
