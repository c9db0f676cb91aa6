//! The laws' checkers are themselves tried: lenses with one fault each. A fault is caught by its law, and by no other where
//! the others do not follow from it; the counterexample is small.

use serde_json::{Value, json};

use super::{
    Law,
    law::Lens,
    prove::{self, Report},
};
use crate::{
    definitions::Definitions,
    mapping::{Context, Files, MappingError, Mappings, Part, Plan},
};

/// What a faulty lens does to what a plan makes.
type Fault = fn(&Value, &[Part], &mut Vec<Part>);

struct Faulty<'a> {
    plan: &'a Plan,
    put: Fault,
    read: fn(&mut Value),
}

impl Lens for Faulty<'_> {
    fn to_internal(&self, resources: &[Value], context: &Context) -> Value {
        let mut read = self.plan.to_internal(resources, context);
        (self.read)(&mut read);
        read
    }

    fn said(&self, parts: &[Part], context: &Context) -> Value {
        self.plan.said(parts, context)
    }

    fn put(&self, object: &Value, base: &[Part], old: &Value, context: &Context) -> Result<Vec<Part>, MappingError> {
        let mut after = self.plan.put_over(object, base, Some(old), context)?;
        (self.put)(object, base, &mut after);
        Ok(after)
    }
}

fn nothing(_: &Value, _: &[Part], _: &mut Vec<Part>) {}

fn thing() -> std::sync::Arc<Mappings> {
    let schema = r#"{"type":"object","properties":{"active":{"type":"boolean"},
        "nickname":{"type":"string","pattern":"\\S"},
        "towns":{"type":"array","minItems":1,"items":{"type":"string","pattern":"\\S"}}}}"#;
    let rules = "object: thing\nresource: Patient\nrules:
  - { internal: active, target: Patient.active }
  - { internal: nickname, target: \"Patient.name[use=nickname].text\", lossy: shortened by the other side }
  - { internal: towns, target: Patient.address, each: [{ internal: ., target: city }] }\n";
    let files = [
        ("thing/mapping.yaml", rules),
        ("thing/internal.schema.json", schema),
        ("thing/examples/a.internal.json", r#"{"id":"a","active":true,"nickname":"Al","towns":["Ulm","Bath"]}"#),
        (
            "thing/examples/a.fhir.json",
            r#"{"resourceType":"Patient","identifier":[{"system":"urn:liaison:example-clinic:thing","value":"a"}],
                "active":true,"name":[{"use":"nickname","text":"Al"}],"address":[{"city":"Ulm"},{"city":"Bath"}]}"#,
        ),
    ];
    Mappings::of(&Files::from_texts(files), &Definitions::core()).unwrap_or_else(|error| panic!("{error}"))
}

fn report(put: Fault, read: fn(&mut Value)) -> Report {
    let mappings = thing();
    let (object, plan) = (mappings.object("thing").unwrap(), mappings.plan("thing", "generic").unwrap());
    let lens = Faulty { plan: &plan, put, read };
    let tally = prove::tally(object, &plan, &lens, 400, 1, 0);
    prove::conclude(object, &plan, &lens, 400, vec![tally])
}

/// The laws that are broken.
fn broken(report: &Report) -> Vec<Law> {
    report.laws.iter().filter(|(_, verdict)| verdict.failed > 0).map(|(law, _)| *law).collect()
}

#[test]
fn without_a_fault_all_laws_hold_on_all_pairs() {
    let report = report(nothing, |_| {});
    assert!(report.ok(), "{}", report.json());
    assert!(report.laws.values().all(|verdict| verdict.pairs == 400));
}

#[test]
fn too_few_pairs_are_no_proof() {
    let mut report = report(nothing, |_| {});
    report.wanted = 401;
    assert!(!report.ok());
}

#[test]
fn reading_that_is_not_stable_breaks_total() {
    let report = report(nothing, |read| {
        read.as_object_mut().unwrap().shift_remove("towns");
    });
    assert_eq!(broken(&report), [Law::Total]);
    let found = report.laws[&Law::Total].counterexample.as_ref().unwrap();
    assert_eq!(found.differences[0].0, "/towns");
    assert!(found.base[0].resource.as_object().unwrap().len() <= 2, "not shrunk: {}", found.base[0].resource);
}

#[test]
fn a_value_that_is_written_otherwise_breaks_put_get() {
    let report = report(
        |_, _, after| {
            let resource = &mut after[0].resource;
            if let Some(city) = resource.pointer_mut("/address/0/city").filter(|city| *city == "Ulm") {
                *city = json!("ULM");
            }
        },
        |_| {},
    );
    assert!(broken(&report).contains(&Law::PutGet));
    let found = report.laws[&Law::PutGet].counterexample.as_ref().unwrap();
    assert_eq!(found.object, json!({ "towns": ["Ulm"] }), "the smallest");
    assert_eq!(found.rule.as_deref(), Some("thing/mapping.yaml:6"));
    let (place, wanted, got) = &found.differences[0];
    assert_eq!((place.as_str(), wanted, got), ("/towns/0", &json!("Ulm"), &json!("ULM")));
}

#[test]
fn tidying_what_is_unchanged_breaks_get_put() {
    let report = report(
        |object, base, after| {
            // Empty strings away, lists sorted: well meant.
            if !base.is_empty()
                && let Some(Value::Array(list)) = after[0].resource.get_mut("x-unknown")
                && object.get("active").is_none()
            {
                list.reverse();
            }
        },
        |_| {},
    );
    assert!(broken(&report).contains(&Law::GetPut), "{:?}", broken(&report));
    let found = report.laws[&Law::GetPut].counterexample.as_ref().unwrap();
    let size = found.base[0].resource.as_object().unwrap().len();
    assert!(size <= 2, "not shrunk: {}", found.base[0].resource);
}

#[test]
fn a_field_declared_lossy_must_still_be_overwritten_for_put_put() {
    let report = report(
        |_, base, after| {
            // The first nickname sticks: no other law sees it, since the field is declared lossy.
            let first = base.first().and_then(|part| part.resource.get("name").cloned());
            if let (Some(first), Some(members)) = (first, after[0].resource.as_object_mut()) {
                members.insert("name".to_owned(), first);
            }
        },
        |_| {},
    );
    assert_eq!(broken(&report), [Law::PutPut]);
    let found = report.laws[&Law::PutPut].counterexample.as_ref().unwrap();
    assert!(found.earlier.is_some() && found.differences[0].0 == "/nickname", "{:?}", found.differences);
    assert_eq!(found.rule.as_deref(), Some("thing/mapping.yaml:5"));
}

#[test]
fn dropping_what_no_rule_names_breaks_frame() {
    let report = report(
        |_, base, after| {
            let before = base.first().map(|part| part.resource.get("active").cloned());
            if before != Some(after[0].resource.get("active").cloned()) {
                after[0].resource.as_object_mut().unwrap().shift_remove("contained");
            }
        },
        |_| {},
    );
    assert_eq!(broken(&report), [Law::Frame]);
    let found = report.laws[&Law::Frame].counterexample.as_ref().unwrap();
    assert_eq!(found.differences[0].0, "/contained");
    let kept: Vec<&String> = found.base[0].resource.as_object().unwrap().keys().collect();
    assert!(kept.len() <= 3, "not shrunk: {kept:?}");
}
