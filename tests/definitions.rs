//! The room `definitions` from outside: the core pack is the genuine package's, lookups, packages, terminology.

use std::{collections::BTreeSet, fs, path::PathBuf};

use liaison::definitions::{self, Definitions, Membership, Strength, errata};

use crate::support::package;

#[test]
fn the_core_pack_is_made_anew_byte_for_byte() {
    let Some(genuine) = package("hl7.fhir.r4.core-4.0.1") else { return };
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("profiles/core");
    let list = errata::read(&fs::read_to_string(root.join("errata.toml")).expect("errata")).expect("readable errata");
    let made = definitions::core_pack(&genuine, list).expect("makes");
    let committed = fs::read(root.join("r4.pack")).expect("the committed pack");
    assert!(made.bytes == committed, "profiles/core/r4.pack is stale: run `liaison profiles core-pack`");
    assert!(made.bytes.len() < 4 << 20, "{} bytes", made.bytes.len());
    assert!(root.join("LICENSE.md").exists());
}

#[test]
fn errata_reach_what_validators_read() {
    let core = Definitions::core();
    let appointment = core.base_type("Appointment").expect("core pack");
    let app4 = appointment.elements[0].constraints.iter().find(|constraint| constraint.key == "app-4").expect("app-4");
    assert!(app4.expression.as_deref().is_some_and(|text| text.contains("'noshow'") && !text.contains("no-show")));
    let id = appointment.element("Appointment.id").expect("id");
    assert_eq!((id.types[0].code.as_str(), id.types[0].is_system), ("id", true));
}

#[test]
fn every_structure_of_the_core_compiles() {
    let core = Definitions::core();
    let mut elements = 0;
    for found in core.list("StructureDefinition") {
        let structure = core.structure(&found.url).unwrap_or_else(|| panic!("{} does not compile", found.url));
        assert!(!structure.elements.is_empty() || found.url.contains("example"), "{}: no elements", found.url);
        assert_eq!(structure.problems, Vec::<String>::new(), "{}", found.url);
        elements += structure.elements.len();
        for (at, element) in structure.elements.iter().enumerate().skip(1) {
            let placed =
                (0..at).any(|other| structure.children(other).contains(&at) || structure.slices(other).contains(&at));
            assert!(placed, "{}: {} has no place", found.url, element.id);
        }
    }
    assert!(elements > 13_000, "{elements}");
}

#[test]
fn required_value_sets_expand_offline() {
    let core = Definitions::core();
    let mut required = BTreeSet::new();
    for found in core.list("StructureDefinition") {
        let structure = core.structure(&found.url).expect("compiles");
        let bindings = structure.elements.iter().filter_map(|element| element.binding.as_ref());
        let strict = bindings.filter(|binding| binding.strength == Strength::Required);
        required.extend(strict.filter_map(|binding| binding.value_set.clone()));
    }
    let mut open = BTreeSet::new();
    for canonical in &required {
        let decided = core.value_set(canonical).map(|set| set.contains(None, "surely-not a_code"));
        if decided != Some(Membership::No) {
            open.insert(canonical.split('|').next().unwrap_or_default().rsplit('/').next().unwrap_or_default());
        }
    }
    println!("{} required value sets", required.len());
    assert!(required.len() >= 220, "{}", required.len());
    // A LOINC answer list of the genetics extension profiles: LOINC is not at hand.
    assert_eq!(open, BTreeSet::from(["LL379-9"]), "required value sets that cannot be decided offline");
}
