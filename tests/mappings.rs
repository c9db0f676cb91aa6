//! The mappings themselves: every folder under `mappings/` loads, its worked examples run both ways, and what it makes is
//! valid. Nothing here names an object; a new folder is tested by being there.

use liaison::{
    fhir::{self, Value, canonically_equal},
    mapping::{Example, Mappings, Part},
};

use crate::support::{own, package};

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

/// Pointers to all leaves.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, inner)| leaves(inner, &format!("{at}/{name}"), found))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, inner)| leaves(inner, &format!("{at}/{n}"), found))
        }
        Value::Null => {}
        _ => found.push(at.to_owned()),
    }
}

#[test]
fn every_emitted_leaf_is_explained_and_sources_are_real() {
    let (mappings, context) = (mappings(), Example::context());
    let (mut all, mut guessed, mut wrong) = (0, 0, Vec::new());
    for object in mappings.objects() {
        for example in object.examples() {
            let plan = mappings.plan(object.name(), example.dialect()).expect("a plan");
            let name = format!("{}/{}", object.name(), example.name);
            let Ok(parts) = plan.to_fhir(&example.internal, &context) else { continue };
            let origins = plan.explain_fhir(&parts, &example.internal, &context);
            let normal = plan.normalise(&example.internal, &context);
            for part in &parts {
                let mut wanted = Vec::new();
                leaves(&part.resource, "", &mut wanted);
                for leaf in wanted {
                    all += 1;
                    match origins.iter().find(|origin| *origin.part == *part.role && origin.output == leaf) {
                        None => wrong.push(format!("{name}: {leaf} is not explained")),
                        Some(origin) if origin.rule.is_empty() => wrong.push(format!("{name}: {leaf} has no rule")),
                        Some(origin) if !origin.source.is_empty() && normal.pointer(&origin.source).is_none() => {
                            wrong.push(format!(
                                "{name}: {leaf} is said to come from {}, which is not there",
                                origin.source
                            ));
                        }
                        Some(origin) => guessed += usize::from(origin.how == "new item"),
                    }
                }
            }
            let back = plan.to_internal(&example.fhir, &context);
            let origins = plan.explain_internal(&back, &plan.parts(&example.fhir), &context);
            let mut wanted = Vec::new();
            leaves(&back, "", &mut wanted);
            for leaf in wanted {
                match origins.iter().find(|origin| origin.output == leaf) {
                    Some(origin) if !origin.rule.is_empty() => {}
                    _ => wrong.push(format!("{name}: internal {leaf} is not explained")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {all}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(all > 3_000 && guessed * 10 < all, "{guessed} of {all} leaves come from new items");
}

#[test]
fn coverage_names_every_element_once() {
    let definitions = liaison::definitions::Definitions::core();
    for object in mappings().objects() {
        let plan = mappings().plan(object.name(), "generic").expect("a plan");
        let coverage = plan.coverage(object, &definitions);
        let mut names: Vec<&str> = coverage.elements.iter().map(|covered| covered.element.as_str()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{}: an element stands twice", object.name());
        let mapped =
            coverage.elements.iter().filter(|covered| covered.state == liaison::mapping::State::Mapped).count();
        assert!(mapped >= 5, "{}: only {mapped} elements are mapped", object.name());
        // Only what never leaves the house has no rule; `version` is ours.
        assert_eq!(coverage.without_rule, ["version"], "{}", object.name());
    }
}

#[test]
fn exports_are_valid_and_say_what_they_cannot() {
    use liaison::{
        definitions::Definitions,
        profile::{Options, Validator},
    };
    let (mappings, validator) = (mappings(), Validator::new(Definitions::core()));
    let (mut maps, mut wrong) = (0, Vec::new());
    for plan in mappings.plans() {
        let export = plan.export();
        assert!(!export.not_expressed.is_empty(), "nothing is told");
        for resource in &export.resources {
            let report = validator.validate(resource, &Options::default());
            wrong.extend(report.errors().map(|issue| format!("{} {}: {issue:?}", plan.object(), resource["id"])));
            if resource["resourceType"] != "StructureMap" {
                continue;
            }
            // The file says itself what it lacks, as a whole and at the rule.
            maps += 1;
            let description = resource["description"].as_str().expect("a description");
            for (rule, what) in &export.not_expressed {
                assert!(
                    description.contains(what.as_str()) && description.contains(rule.as_str()),
                    "{what}: {description}"
                );
            }
        }
        let text = fhir::Value::Array(export.resources.clone()).to_string();
        let told = export.not_expressed.iter().filter(|(rule, _)| !rule.is_empty());
        for (rule, what) in told {
            assert!(text.contains(&format!("{rule}; not expressed: ")), "{} {rule}: {what}", plan.object());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(maps > 50, "only {maps}");
    let export = mappings.plan("patient", "generic").expect("a plan").export();
    assert!(export.resources.iter().any(|resource| resource["resourceType"] == "ConceptMap"));
}

/// The same with a profile and a mapping of our own: what must be supported is mapped or is said to be missing.
#[test]
fn coverage_reads_a_profile_of_our_own() {
    use liaison::mapping::{Files, State};
    let mapping = format!(
        "object: thing\nplural: things\ntitle: Thing\nresource: Patient\nprofile: [{}practice-patient]\nrules:\n  \
         - {{ internal: family, target: \"Patient.name[use=official].family\" }}\n",
        own::BASE
    );
    let schema = r#"{"type":"object","properties":{"family":{"type":"string","minLength":1}}}"#;
    let fhir = r#"{"resourceType":"Patient","identifier":[{"system":"urn:liaison:example-clinic:thing","value":"a"}]}"#;
    let files = [
        ("thing/mapping.yaml", mapping),
        ("thing/internal.schema.json", schema.to_owned()),
        ("thing/examples/a.internal.json", r#"{"id":"a"}"#.to_owned()),
        ("thing/examples/a.fhir.json", fhir.to_owned()),
    ];
    let definitions = own::with_practice();
    let mappings = Mappings::of(&Files::from_texts(files), &definitions).unwrap_or_else(|error| panic!("{error}"));
    let plan = mappings.plan("thing", "generic").expect("a plan");
    let coverage = plan.coverage(mappings.object("thing").expect("thing"), &definitions);
    let profile = &coverage.profiles[0];
    assert_eq!(profile.package.as_deref(), Some("practice.example#1.0.0"));
    let mapped = |id: &str| {
        let found = profile.elements.iter().find(|supported| supported.element == id);
        found.map(|supported| !supported.rules.is_empty())
    };
    assert_eq!(mapped("Patient.name.family"), Some(true));
    assert_eq!(mapped("Patient.gender"), None, "not a must-support element");
    let covered = |element: &str| coverage.elements.iter().find(|covered| covered.element == element).expect("covered");
    assert!(covered("Patient.name").must_support && covered("Patient.gender").state == State::Preserved);
}

#[test]
fn coverage_reads_the_profiles_that_a_mapping_names() {
    use liaison::{
        definitions::{Definitions, Pack},
        mapping::State,
    };
    let Some(us_core) = package("hl7.fhir.us.core-6.1.0") else { return };
    let (bytes, _) = us_core.pack();
    let pack = std::sync::Arc::new(Pack::open(bytes).expect("a pack"));
    let definitions = Definitions::with_packages([pack]).expect("definitions");
    let mappings = mappings();
    let of = |name: &str, definitions: &std::sync::Arc<Definitions>| {
        let plan = mappings.plan(name, "generic").expect("a plan");
        plan.coverage(mappings.object(name).expect("an object"), definitions)
    };
    let patient = of("patient", &definitions);
    let profile = &patient.profiles[0];
    assert_eq!(profile.package.as_deref(), Some("hl7.fhir.us.core#6.1.0"));
    let state = |id: &str| {
        let found = profile.elements.iter().find(|supported| supported.element == id);
        found.map(|supported| !supported.rules.is_empty())
    };
    assert_eq!(state("Patient.name.family"), Some(true));
    assert_eq!(state("Patient.identifier.system"), Some(true));
    assert_eq!(state("Patient.extension:race"), None, "in 6.1.0 race is no must-support element");
    let covered = |element: &str| patient.elements.iter().find(|covered| covered.element == element).expect("covered");
    assert!(covered("Patient.gender").must_support && covered("Patient.gender").state == State::Mapped);
    assert!(!covered("Patient.photo").must_support && covered("Patient.photo").state == State::Preserved);
    // Unmapped ones come first, in every object.
    for object in mappings.objects() {
        for profile in of(object.name(), &definitions).profiles {
            assert!(profile.package.is_some(), "{}: {} is not in US Core 6.1.0", object.name(), profile.url);
            let mapped: Vec<bool> = profile.elements.iter().map(|supported| !supported.rules.is_empty()).collect();
            assert!(mapped.is_sorted(), "{}: unmapped elements come first", object.name());
            assert!(mapped.iter().any(|mapped| *mapped), "{}: {}", object.name(), profile.url);
        }
    }
    // Without the package it is said that nothing is known.
    let unknown = of("patient", &Definitions::core());
    assert_eq!((unknown.profiles[0].package.as_deref(), unknown.profiles[0].elements.len()), (None, 0));
}

#[test]
fn a_candidate_is_reloaded_after_its_laws_and_shadowed() {
    use liaison::mapping::{MappingError, Recorded, Shadow, Trial, What};
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/organization");
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("organization");
    std::fs::create_dir_all(to.join("examples")).expect("a folder");
    for part in ["internal.schema.json", "examples"] {
        let files = if part == "examples" {
            std::fs::read_dir(from.join(part))
                .expect("examples")
                .flatten()
                .map(|e| e.path())
                .filter(|p| p.is_file())
                .collect()
        } else {
            vec![from.join(part)]
        };
        for file in files {
            let place = if part == "examples" { to.join("examples") } else { to.clone() };
            std::fs::copy(&file, place.join(file.file_name().expect("a name"))).expect("copied");
        }
    }
    let rules = std::fs::read_to_string(from.join("mapping.yaml")).expect("rules");
    std::fs::write(
        to.join("mapping.yaml"),
        format!("{}\n  - {{ target: Organization.language, constant: en }}\n", rules.trim_end()),
    )
    .expect("written");
    let now = mappings();
    let refused = Mappings::lawful(folder.path(), &|_| Err(MappingError::Laws("broken".to_owned())));
    assert!(refused.is_err(), "laws decide");
    let candidate = Mappings::lawful(folder.path(), &|_| Ok(())).unwrap_or_else(|error| panic!("{error}"));
    let example = now.object("organization").expect("it").examples()[0].internal.clone();
    let (object, id, dialect) = ("organization".to_owned(), "o-1".to_owned(), "generic".to_owned());
    let record = Recorded { object, id, dialect, zone: None, what: What::Sent(example, Vec::new()) };
    let shadow = |other: &Mappings, values: bool| -> Shadow {
        let mut trial = Trial::new(&now, other, Example::context(), values);
        trial.add(&record);
        trial.finish()
    };
    assert_eq!((shadow(&now, false).tried, shadow(&now, false).changed), (1, 0));
    let other = shadow(&candidate, false);
    let [only] = other.differences.as_slice() else { panic!("{other:?}") };
    assert_eq!((only.path.as_str(), only.direction, only.records), ("Organization.language", "to_fhir", 1));
    assert_eq!((only.examples.as_slice(), only.values.len()), (&["o-1".to_owned()][..], 0));
    assert_eq!(shadow(&candidate, true).differences[0].values, [(Value::Null, Value::from("en"))]);
}
