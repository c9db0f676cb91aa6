//! Differentials as people write them: with and without ids, slices, re-slices, renamed choices, content references,
//! profiles of types, extensions, cycles, and places that do not exist.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::definitions::{Definitions, Pack, Rules, Structure, pack::Builder, slim::slim};

fn profile(url: &str, of: &str, base: &str, elements: Value) -> Value {
    let base =
        if base.contains('/') { base.to_owned() } else { format!("http://hl7.org/fhir/StructureDefinition/{base}") };
    json!({"resourceType": "StructureDefinition", "url": url, "name": "T", "status": "active", "kind": "resource",
        "abstract": false, "type": of, "baseDefinition": base, "derivation": "constraint",
        "differential": {"element": elements}})
}

fn definitions(profiles: &[Value]) -> Arc<Definitions> {
    let mut builder = Builder::fast("test");
    for profile in profiles {
        assert!(builder.add(&slim(profile)));
    }
    Definitions::with_packages([Arc::new(Pack::open(builder.build()).unwrap())]).unwrap()
}

fn generated(of: &str, elements: Value) -> Arc<Structure> {
    let made = definitions(&[profile("http://t/p", of, of, elements)]).structure("http://t/p").unwrap();
    assert!(made.generated);
    made
}

fn clean(of: &str, elements: Value) -> Arc<Structure> {
    let made = generated(of, elements);
    assert_eq!(made.problems, Vec::<String>::new());
    made
}

#[test]
fn slices_by_order_when_there_are_no_ids() {
    let made = clean(
        "Patient",
        json!([
            {"path": "Patient"},
            {"path": "Patient.identifier", "slicing": {"discriminator": [{"type": "value", "path": "system"}], "rules": "closed"}, "min": 1},
            {"path": "Patient.identifier", "sliceName": "a", "max": "1"},
            {"path": "Patient.identifier.system", "min": 1, "fixedUri": "http://a"},
            {"path": "Patient.identifier", "sliceName": "b", "min": 1},
            {"path": "Patient.identifier.system", "fixedUri": "http://b"},
            {"path": "Patient.contact.name.family", "min": 1},
        ]),
    );
    let system = |id: &str| made.element(id).unwrap().fixed.clone().unwrap().value;
    assert_eq!(system("Patient.identifier:a.system"), json!("http://a"));
    assert_eq!(system("Patient.identifier:b.system"), json!("http://b"));
    let (list, a) = (made.element("Patient.identifier").unwrap(), made.element("Patient.identifier:a").unwrap());
    assert_eq!((list.min, list.max, list.slicing.as_ref().unwrap().rules), (1, None, Rules::Closed));
    assert_eq!((a.min, a.max, a.base_path.as_str()), (0, Some(1), "Patient.identifier"));
    assert!(made.element("Patient.identifier.system").is_none(), "only the slices were unfolded");
    assert_eq!(made.element("Patient.contact.name.family").unwrap().min, 1);
    let at = made.index_of("Patient.identifier").unwrap();
    assert_eq!(made.slices(at).len(), 2);
}

#[test]
fn slices_within_slices_and_chains() {
    let base = profile(
        "http://t/base",
        "Observation",
        "Observation",
        json!([
            {"id": "Observation.component", "path": "Observation.component",
                "slicing": {"discriminator": [{"type": "pattern", "path": "code"}], "rules": "open"}},
            {"id": "Observation.component:x", "path": "Observation.component", "sliceName": "x", "min": 1},
            {"id": "Observation.component:x.code", "path": "Observation.component.code", "patternCodeableConcept": {"text": "x"}},
        ]),
    );
    let derived = profile(
        "http://t/derived",
        "Observation",
        "http://t/base",
        json!([
            {"id": "Observation.component:x", "path": "Observation.component", "sliceName": "x",
                "slicing": {"discriminator": [{"type": "value", "path": "interpretation.text"}], "rules": "open"}},
            {"id": "Observation.component:x/y", "path": "Observation.component", "sliceName": "x/y", "max": "1"},
            {"id": "Observation.component:x/y.value[x]", "path": "Observation.component.value[x]", "type": [{"code": "string"}]},
            // A slice of the base is named by id only.
            {"id": "Observation.component:x.dataAbsentReason", "path": "Observation.component.dataAbsentReason", "max": "0"},
        ]),
    );
    let all = definitions(&[derived, base]);
    let made = all.structure("http://t/derived").unwrap();
    assert_eq!(made.problems, Vec::<String>::new());
    assert!(made.element("Observation.component:x.code").unwrap().pattern.is_some(), "comes from the base");
    assert_eq!(made.element("Observation.component:x.dataAbsentReason").unwrap().max, Some(0));
    let x = made.index_of("Observation.component:x").unwrap();
    let y = made.index_of("Observation.component:x/y").unwrap();
    assert_eq!(made.slices(x), [y]);
    assert_eq!(made.element("Observation.component:x/y.value[x]").unwrap().types.len(), 1);
    assert!(made.element("Observation.component:x/y.code").unwrap().pattern.is_some());
}

#[test]
fn renamed_choices() {
    let made = clean(
        "Observation",
        json!([
            {"path": "Observation.valueQuantity"}, {"path": "Observation.valueQuantity.code", "min": 1},
        ]),
    );
    let value = made.element("Observation.value[x]").unwrap();
    assert!(value.types.len() > 5 && value.slicing.as_ref().unwrap().rules == Rules::Open);
    let slice = made.element("Observation.value[x]:valueQuantity").unwrap();
    assert_eq!(slice.types.iter().map(|of| of.code.as_str()).collect::<Vec<_>>(), ["Quantity"]);
    assert_eq!(made.element("Observation.value[x]:valueQuantity.code").unwrap().min, 1);
    // One type that must be there leaves no room for others.
    let made = clean("Observation", json!([{"path": "Observation.valueQuantity", "min": 1}]));
    let value = made.element("Observation.value[x]").unwrap();
    assert_eq!((value.min, value.types.len()), (1, 1));
    // In an extension the types that are not named are out.
    let made = clean(
        "Extension",
        json!([{"path": "Extension.url", "fixedUri": "http://t/p"}, {"path": "Extension.valueString"}]),
    );
    assert_eq!(made.element("Extension.value[x]").unwrap().types[0].code, "string");
    assert_eq!(made.element("Extension.value[x]").unwrap().types.len(), 1);
}

#[test]
fn content_references_types_and_extensions_are_unfolded() {
    let made = clean(
        "Questionnaire",
        json!([
            {"path": "Questionnaire.item.item.linkId", "short": "inner"},
            {"path": "Questionnaire.item.item.item.text", "min": 1},
        ]),
    );
    assert_eq!(made.element("Questionnaire.item.item.linkId").unwrap().short.as_deref(), Some("inner"));
    assert_eq!(made.element("Questionnaire.item.item.item.text").unwrap().min, 1);
    assert_eq!(
        made.element("Questionnaire.item.linkId").unwrap().short.as_deref(),
        Some("Unique id for item in questionnaire")
    );
    let name = json!({"resourceType": "StructureDefinition", "url": "http://t/name", "name": "N", "status": "active",
        "kind": "complex-type", "abstract": false, "type": "HumanName", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/HumanName",
        "differential": {"element": [{"path": "HumanName.family", "min": 1}]}});
    let flag = json!({"resourceType": "StructureDefinition", "url": "http://t/flag", "name": "F", "status": "active",
        "kind": "complex-type", "abstract": false, "type": "Extension", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Extension",
        "differential": {"element": [{"path": "Extension", "isModifier": true}, {"path": "Extension.url", "fixedUri": "http://t/flag"}]}});
    let patient = profile(
        "http://t/p",
        "Patient",
        "Patient",
        json!([
            {"path": "Patient.modifierExtension", "sliceName": "flag", "type": [{"code": "Extension", "profile": ["http://t/flag"]}]},
            {"path": "Patient.name", "type": [{"code": "HumanName", "profile": ["http://t/name"]}]},
            {"path": "Patient.name.given", "min": 1},
        ]),
    );
    let made = definitions(&[name, flag, patient]).structure("http://t/p").unwrap();
    assert_eq!(made.problems, Vec::<String>::new());
    assert_eq!(made.element("Patient.name.family").unwrap().min, 1, "from the type's profile");
    assert_eq!(made.element("Patient.name.given").unwrap().min, 1);
    let flag = made.element("Patient.modifierExtension:flag").unwrap();
    assert!(flag.is_modifier && flag.types[0].profiles == ["http://t/flag"]);
    let by = &made.element("Patient.modifierExtension").unwrap().slicing.as_ref().unwrap().discriminators;
    assert_eq!(by[0].path, "url");
}

#[test]
fn what_has_no_place_is_told() {
    let made = generated(
        "Patient",
        json!([{"path": "Patient.nickname", "min": 1}, {"path": "Patient.name", "min": 3, "max": "2"}]),
    );
    assert_eq!(made.problems.len(), 2, "{:?}", made.problems);
    assert!(made.problems[0].contains("Patient.nickname"));
    let orphan = definitions(&[profile(
        "http://t/p",
        "Patient",
        "http://t/nowhere",
        json!([{"path": "Patient.name", "min": 1}]),
    )]);
    let made = orphan.structure("http://t/p").unwrap();
    assert!(made.problems[0].contains("http://t/nowhere"));
    assert_eq!(made.element("Patient.name").unwrap().min, 1, "stands upon the type instead");
    assert!(made.element("Patient.birthDate").is_some());
}

#[test]
fn circles_end() {
    let all = definitions(&[
        profile("http://t/a", "Patient", "http://t/b", json!([{"path": "Patient.name", "min": 1}])),
        profile("http://t/b", "Patient", "http://t/a", json!([{"path": "Patient.birthDate", "min": 1}])),
        profile(
            "http://t/self",
            "Bundle",
            "Bundle",
            json!([
                {"path": "Bundle.entry.resource", "type": [{"code": "Bundle", "profile": ["http://t/self"]}]},
                {"path": "Bundle.entry.resource.type", "fixedCode": "collection"},
            ]),
        ),
    ]);
    let made = all.structure("http://t/a").unwrap();
    assert_eq!(made.element("Patient.birthDate").unwrap().min, 1);
    assert_eq!(made.element("Patient.name").unwrap().min, 1);
    let made = all.structure("http://t/self").unwrap();
    assert!(made.element("Bundle.entry.resource.type").unwrap().fixed.is_some());
}

#[test]
fn profiles_that_draw_each_other_in_stay_bounded() {
    // Each unfolds the next twice, and the last the first: 2^12 ways, and a circle.
    let profiles: Vec<Value> = (0..12)
        .map(|at| {
            let next = json!([{"code": "Bundle", "profile": [format!("http://t/{}", (at + 1) % 12)]}]);
            profile(
                &format!("http://t/{at}"),
                "Bundle",
                "Bundle",
                json!([
                    {"id": "Bundle.entry:a", "path": "Bundle.entry", "sliceName": "a"},
                    {"id": "Bundle.entry:a.resource", "path": "Bundle.entry.resource", "type": next},
                    {"id": "Bundle.entry:a.resource.type", "path": "Bundle.entry.resource.type", "min": 1},
                    {"id": "Bundle.entry:b", "path": "Bundle.entry", "sliceName": "b"},
                    {"id": "Bundle.entry:b.resource", "path": "Bundle.entry.resource", "type": next},
                    {"id": "Bundle.entry:b.resource.type", "path": "Bundle.entry.resource.type", "min": 1},
                ]),
            )
        })
        .collect();
    let made = definitions(&profiles).structure("http://t/0").unwrap();
    assert!(made.element("Bundle.entry:a.resource.type").is_some());
    assert!(made.elements.len() < 100_000, "{}", made.elements.len());
}
