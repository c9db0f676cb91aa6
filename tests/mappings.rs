//! The mappings themselves: every folder under `mappings/` loads, its worked examples run both ways, and what it makes is
//! valid. Nothing here names an object; a new folder is tested by being there.

use liaison::{
    fhir::{self, Value, canonically_equal},
    mapping::{Example, Mappings, Part},
};

fn mappings() -> std::sync::Arc<Mappings> {
    match Mappings::embedded() {
        Ok(mappings) => mappings,
        Err(error) => panic!("{error}"),
    }
}

/// Lines that differ, for a message that can be read.
fn differences(wanted: &Value, got: &Value) -> String {
    fn walk(at: &str, wanted: &Value, got: &Value, lines: &mut Vec<String>) {
        match (wanted, got) {
            (Value::Object(a), Value::Object(b)) => {
                for (name, value) in a {
                    walk(&format!("{at}/{name}"), value, b.get(name).unwrap_or(&Value::Null), lines);
                }
                for (name, value) in b.iter().filter(|(name, _)| !a.contains_key(*name)) {
                    walk(&format!("{at}/{name}"), &Value::Null, value, lines);
                }
            }
            (Value::Array(a), Value::Array(b)) => {
                for at_item in 0..a.len().max(b.len()) {
                    let item = |list: &Vec<Value>| list.get(at_item).cloned().unwrap_or(Value::Null);
                    walk(&format!("{at}/{at_item}"), &item(a), &item(b), lines);
                }
            }
            _ if !canonically_equal(wanted, got) => lines.push(format!("    {at}: wanted {wanted}, got {got}")),
            _ => {}
        }
    }
    let mut lines = Vec::new();
    walk("", wanted, got, &mut lines);
    lines.join("\n")
}

#[test]
fn every_object_has_lifelike_examples() {
    for object in mappings().objects() {
        let own = object.examples().iter().filter(|example| example.dialect() == "generic").count();
        assert!(own >= 5, "{}: {own} examples, at least 5 are asked for", object.name());
    }
}

#[test]
fn examples_run_both_ways() {
    let (mappings, context) = (mappings(), Example::context());
    let mut wrong = Vec::new();
    for object in mappings.objects() {
        for example in object.examples() {
            let plan = mappings.plan(object.name(), example.dialect()).expect("a plan");
            let name = format!("{}/{}", object.name(), example.name);
            for finding in object.validate(&example.internal) {
                wrong.push(format!("{name}: internal: {} {} ({})", finding.pointer, finding.detail, finding.remedy));
            }
            let back = plan.to_internal(&example.fhir, &context);
            let normal = plan.without_losses(&plan.normalise(&example.internal, &context));
            if !canonically_equal(&back, &normal) {
                wrong.push(format!("{name}: to internal\n{}", differences(&normal, &back)));
            }
            let same = plan.put(&back, &plan.parts(&example.fhir), &context);
            match same {
                Err(error) => wrong.push(format!("{name}: put back: {error}")),
                Ok(parts) => {
                    for (part, before) in parts.iter().zip(plan.parts(&example.fhir)) {
                        if !canonically_equal(&part.resource, &before.resource) {
                            wrong.push(format!("{name}: put back\n{}", differences(&before.resource, &part.resource)));
                        }
                    }
                }
            }
            if example.is_inbound() {
                continue;
            }
            match plan.to_fhir(&example.internal, &context) {
                Err(error) => wrong.push(format!("{name}: to FHIR: {error}")),
                Ok(parts) => {
                    let got = Value::Array(parts.into_iter().map(|Part { resource, .. }| resource).collect());
                    let wanted = Value::Array(example.fhir.clone());
                    if !canonically_equal(&got, &wanted) {
                        wrong.push(format!("{name}: to FHIR\n{}", differences(&wanted, &got)));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_resource_finds_its_object() {
    let mappings = mappings();
    let mut wrong = Vec::new();
    for object in mappings.objects() {
        for example in object.examples() {
            let found = mappings.object_for(&example.fhir[0]).map(|object| object.name());
            if found != Some(object.name()) {
                wrong.push(format!("{}/{}: taken for {found:?}", object.name(), example.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(mappings.object_for(&fhir::read_str(r#"{"resourceType":"Nonsense"}"#).unwrap()).is_none());
}
