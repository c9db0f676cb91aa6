//! Snapshot generation: the published snapshots of whole packages are thrown away, generated anew from the differentials
//! (chains of profiles included), and compared in every constraint that matters.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use liaison::definitions::{
    Definitions, Element, Pack, Package, Structure, TypeRef, errata, pack::Builder, slim::slim,
};
use serde_json::Value;

use crate::support::{own, package};

/// What an element demands, in one line a part.
fn demands(element: &Element, of_types: &BTreeSet<String>) -> BTreeMap<&'static str, String> {
    let mut types: Vec<String> = Vec::new();
    for of in &element.types {
        let (mut profiles, mut targets) = (of.profiles.clone(), of.target_profiles.clone());
        profiles.sort();
        targets.sort();
        types.push(format!("{}<{}>({})", of.code, profiles.join(","), targets.join(",")));
    }
    types.sort();
    // Invariants of the type itself are checked with the type, whether the snapshot repeats them or not.
    let mut keys: Vec<&str> = element.constraints.iter().map(|constraint| constraint.key.as_str()).collect();
    keys.retain(|key| !of_types.contains(*key));
    keys.sort_unstable();
    keys.dedup();
    let slicing = element.slicing.as_ref().map(|slicing| {
        let by: Vec<_> = slicing.discriminators.iter().map(|by| format!("{:?} {}", by.kind, by.path)).collect();
        format!("{by:?} {:?} {}", slicing.rules, slicing.ordered)
    });
    let value = |value: &Option<liaison::definitions::TypedValue>| {
        value.as_ref().map(|v| format!("{} {}", v.type_name, v.value))
    };
    let binding = element.binding.as_ref().map(|binding| format!("{:?} {:?}", binding.strength, binding.value_set));
    BTreeMap::from([
        ("cardinality", format!("{}..{:?}", element.min, element.max)),
        ("base", format!("{} {:?}", element.base_path, element.base_max)),
        ("types", types.join(" ")),
        ("invariants", keys.join(" ")),
        ("slicing", slicing.unwrap_or_default()),
        ("fixed", value(&element.fixed).unwrap_or_default()),
        ("pattern", value(&element.pattern).unwrap_or_default()),
        ("range", format!("{:?} {:?} {:?}", value(&element.min_value), value(&element.max_value), element.max_length)),
        ("binding", binding.unwrap_or_default()),
        ("must support", element.must_support.to_string()),
        ("modifier", element.is_modifier.to_string()),
        ("content", element.content_reference.clone().unwrap_or_default()),
    ])
}

/// Keys of the invariants that an element's types and their profiles state themselves.
fn keys_of_types(definitions: &Definitions, element: &Element) -> BTreeSet<String> {
    let of_type = |of: &TypeRef| {
        let profiles = of.profiles.iter().filter_map(|profile| definitions.structure(profile));
        let roots: Vec<Arc<Structure>> = profiles.chain(definitions.base_type(&of.code)).collect();
        let keys = roots.iter().flat_map(|root| root.elements[0].constraints.iter().map(|it| it.key.clone()));
        keys.collect::<Vec<_>>()
    };
    element.types.iter().flat_map(of_type).collect()
}

fn compare(definitions: &Definitions, published: &Structure, generated: &Structure, out: &mut Vec<String>) {
    let name = published.url.rsplit('/').next().unwrap_or_default();
    for problem in &generated.problems {
        out.push(format!("{name}: problem: {problem}"));
    }
    for element in &published.elements {
        let Some(own) = generated.element(&element.id) else {
            out.push(format!("{name}: {}: not generated", element.id));
            continue;
        };
        let keys = keys_of_types(definitions, element);
        let (theirs, ours) = (demands(element, &keys), demands(own, &keys));
        // Whether the list repeats the minimum that its slices demand changes nothing.
        let slices = |of: &Structure| -> u32 {
            let at = of.index_of(&element.id).unwrap_or(0);
            of.slices(at).iter().map(|slice| of.elements[*slice].min).sum()
        };
        let same_min = element.min.max(slices(published)) == own.min.max(slices(generated));
        for (part, theirs) in &theirs {
            if *part == "cardinality" && same_min && element.max == own.max {
                continue;
            }
            if *theirs != ours[part] {
                out.push(format!("{name}: {}: {part}: published {theirs}, generated {}", element.id, ours[part]));
            }
        }
    }
    for element in &generated.elements {
        if published.element(&element.id).is_none() {
            out.push(format!("{name}: {}: only generated", element.id));
        }
    }
}

/// Compares all profiles of a package; the differences, one a line.
fn differences(package: &Package) -> (usize, Vec<String>) {
    let (whole, _) = package.pack();
    let mut stripped = Builder::fast(&package.label());
    let mut errata = errata::embedded().expect("errata");
    package.each_resource(&mut Vec::new(), |mut resource: Value| {
        errata::apply(&mut errata, &mut resource);
        let derived = resource.get("derivation").is_some_and(|derivation| derivation == "constraint");
        if derived && resource.pointer("/differential/element/0").is_some() {
            resource.as_object_mut().expect("an object").shift_remove("snapshot");
        }
        stripped.add(&slim(&resource));
    });
    let load =
        |bytes: Vec<u8>| Definitions::with_packages([Arc::new(Pack::open(bytes).expect("opens"))]).expect("core pack");
    let (published, generated) = (load(whole), load(stripped.build()));
    let (mut compared, mut out) = (0, Vec::new());
    for found in published.list("StructureDefinition").filter(|found| found.package == package.label()) {
        let canonical = format!("{}|{}", found.url, found.version);
        let (theirs, ours) = (published.structure(&canonical), generated.structure(&canonical));
        let (theirs, ours) = (theirs.expect("published"), ours.expect("generated"));
        if ours.generated && !theirs.generated {
            compared += 1;
            compare(&published, &theirs, &ours, &mut out);
        }
    }
    (compared, out)
}

/// The accepted differences: `structure: element: part` lines, each group under `# reason`.
const ACCEPTED: &str = include_str!("definitions_snapshots.txt");

#[test]
fn snapshots_come_out_as_published() {
    let mut accepted: BTreeMap<&str, bool> =
        ACCEPTED.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| (line, false)).collect();
    let (mut compared, mut new) = (0, Vec::new());
    for name in [
        "hl7.fhir.r4.core-4.0.1",
        "hl7.fhir.us.core-3.1.1",
        "hl7.fhir.us.core-6.1.0",
        "hl7.fhir.us.core-7.0.0",
        "hl7.fhir.uv.ips-1.1.0",
        "hl7.fhir.uv.extensions.r4-5.3.0",
    ] {
        let Some(package) = package(name) else { return };
        let (count, differences) = differences(&package);
        compared += count;
        for difference in differences {
            match accepted.iter_mut().find(|(known, _)| difference.starts_with(*known)) {
                Some((_, used)) => *used = true,
                None => new.push(difference),
            }
        }
    }
    assert!(compared > 1300, "{compared} snapshots compared");
    assert!(new.is_empty(), "{} differences that are not accepted:\n{}", new.len(), new.join("\n"));
    let idle: Vec<&&str> = accepted.iter().filter(|(_, used)| !**used).map(|(known, _)| known).collect();
    assert!(idle.is_empty(), "accepted, but not there any more: {idle:#?}");
}

/// What the snapshots of our own profiles must say; written by hand from the profiles and R4's pages.
#[test]
fn our_own_profiles_get_the_snapshots_that_they_should() {
    let definitions = own::with_practice();
    let structure = |name: &str| {
        let made = definitions.structure(&format!("{}{name}", own::BASE)).expect("ours");
        assert!(made.generated && made.problems.is_empty(), "{:?}", made.problems);
        made
    };
    let patient = structure("practice-patient");
    let base = definitions.base_type("Patient").expect("core");
    for element in &base.elements {
        assert!(patient.element(&element.id).is_some(), "{} is inherited", element.id);
    }
    let found = |id: &str| {
        let element = patient.element(id).unwrap_or_else(|| panic!("{id} is in the snapshot"));
        (element.min, element.max)
    };
    let rows = [
        ("Patient.identifier", 1, None),
        ("Patient.identifier:chart", 1, Some(1)),
        ("Patient.identifier:chart.system", 1, Some(1)),
        ("Patient.identifier:chart.value", 1, Some(1)),
        ("Patient.identifier:chart.period", 0, Some(1)),
        ("Patient.name", 1, Some(1)),
        ("Patient.name.family", 1, Some(1)),
        ("Patient.name.given", 0, None),
        ("Patient.photo", 0, Some(0)),
        ("Patient.gender", 0, Some(1)),
    ];
    for (id, min, max) in rows {
        assert_eq!(found(id), (min, max), "{id}");
    }
    let system = patient.element("Patient.identifier:chart.system").expect("there");
    assert_eq!(system.fixed.as_ref().map(|fixed| fixed.value.clone()), Some("http://practice.example/chart".into()));
    let keys: Vec<&str> = patient.elements[0].constraints.iter().map(|constraint| constraint.key.as_str()).collect();
    assert!(keys.contains(&"practice-1") && keys.contains(&"dom-2"), "own and inherited invariants: {keys:?}");
    let identifier = patient.element("Patient.identifier").expect("there");
    assert!(identifier.must_support && identifier.slicing.is_some());
    let appointment = structure("practice-appointment");
    let status = appointment.element("Appointment.status").and_then(|status| status.binding.clone()).expect("bound");
    assert_eq!(status.value_set.as_deref(), Some("http://practice.example/fhir/ValueSet/told"));
}
