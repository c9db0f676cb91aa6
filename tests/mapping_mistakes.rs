//! Every mistake that an author of mappings makes is told with file, line, column and a hint.

use liaison::{
    definitions::Definitions,
    mapping::{Files, MappingError, Mappings, Mistake},
};

const SCHEMA: &str = r#"{"type":"object","properties":{
  "active":{"type":"boolean"},"gender":{"type":"string","enum":["male","female"]},
  "names":{"type":"array","items":{"$ref":"common.schema.json#/$defs/person_name"}},
  "born":{"type":"string","format":"partial-date"}}}"#;

const RULES: &str = "  - { internal: active, target: Patient.active }
  - { internal: gender, target: Patient.gender, concepts: { male: male, female: female } }
  - { internal: names, target: Patient.name }
  - { internal: born, target: Patient.birthDate }
";

fn head(rules: &str) -> String {
    format!("object: thing\nplural: things\ntitle: Thing\nresource: Patient\nrules:\n{rules}")
}

/// The mistakes of a folder `thing` with these further or other files.
fn mistakes(files: &[(&str, &str)]) -> Vec<Mistake> {
    let mapping = head(RULES);
    let mut all = vec![
        ("thing/mapping.yaml", mapping.as_str()),
        ("thing/internal.schema.json", SCHEMA),
        ("thing/examples/a.internal.json", r#"{"id":"a"}"#),
        ("thing/examples/a.fhir.json", r#"{"resourceType":"Patient"}"#),
    ];
    all.retain(|(path, _)| !files.iter().any(|(other, _)| other == path));
    all.extend(files.iter().filter(|(_, text)| *text != "-"));
    match Mappings::of(&Files::from_texts(all), &Definitions::core()) {
        Ok(_) => Vec::new(),
        Err(MappingError::Mistakes(mistakes)) => mistakes,
        Err(other) => panic!("{other}"),
    }
}

/// Mistakes when one rule is replaced or added.
fn with(old: &str, new: &str) -> Vec<Mistake> {
    assert!(RULES.contains(old), "{old}");
    mistakes(&[("thing/mapping.yaml", &head(&RULES.replace(old, new)))])
}

#[track_caller]
fn told(found: &[Mistake], line: usize, what: &str, hint: &str) {
    let fits = |mistake: &&Mistake| mistake.line == line && mistake.what.contains(what) && mistake.hint.contains(hint);
    let mistake = found.iter().find(fits);
    let mistake = mistake.unwrap_or_else(|| panic!("line {line}: {what} ({hint})\nfound: {found:#?}"));
    assert!(mistake.column > 0 && !mistake.file.is_empty());
}

#[test]
fn a_good_folder_has_none() {
    assert_eq!(mistakes(&[]), []);
}

#[test]
fn unknown_paths_fields_and_keys() {
    told(&with("Patient.active", "Patient.aktive"), 6, "no element `aktive`", "did you mean `active`?");
    told(&with("Patient.active", "Patient.deceased"), 6, "no element `deceased`", "deceasedBoolean");
    told(&with("Patient.active", "Person.active"), 6, "neither the resource nor a part", "Patient");
    told(&with("internal: active", "internal: aktive"), 6, "no field `aktive`", "did you mean `active`?");
    told(
        &with("target: Patient.active", "tarjet: Patient.active"),
        6,
        "`tarjet` is not known",
        "did you mean `target`?",
    );
    told(&with("Patient.active", "\"Patient.active[\""), 6, "cannot be read", "Paths");
    told(
        &with("Patient.active }", "Patient.active, transform: zooned }"),
        6,
        "no transform `zooned`",
        "did you mean `zoned`?",
    );
    told(
        &with("  - { internal: active, target: Patient.active }\n", ""),
        1,
        "the field `active` has no rule",
        "x-internal-only",
    );
}

#[test]
fn clashes() {
    told(&with("Patient.active", "Patient.birthDate"), 6, "a boolean in the schema", "string");
    told(&with("target: Patient.name }", "target: Patient.maritalStatus }"), 8, "the field is a list", "");
    let twice = format!("{RULES}  - {{ target: Patient.active, constant: true }}\n");
    assert!(
        mistakes(&[("thing/mapping.yaml", &head(&twice))])
            .iter()
            .any(|m| m.what.contains("two rules write `Patient.active`"))
    );
    told(&with("Patient.birthDate }", "Patient.birthDate, only: to_fhir }"), 9, "must say why", "lossy");
    told(&with("Patient.birthDate }", "Patient.birthDate, if: \"a ++\" }"), 9, "no FHIRPath", "");
}

#[test]
fn code_lists() {
    told(&with("female: female }", "female: male }"), 7, "stands in 2 rows", "`equivalent`");
    told(
        &with("concepts: { male: male, female: female }", "concepts: gendre"),
        7,
        "no code list `gendre`",
        "did you mean `gender`?",
    );
    told(&with("female: female }", "femail: female }"), 7, "the schema allows \"female\"", "add a row");
    let map = r#"{"resourceType":"ConceptMap","id":"mine","group":[{"element":[
      {"code":"a","target":[{"code":"x","equivalence":"equal"}]},
      {"code":"b","target":[{"code":"x","equivalence":"equal"}]}]}]}"#;
    let found = mistakes(&[("concepts/mine.json", map)]);
    assert!(
        found.iter().any(|m| m.file == "concepts/mine.json" && m.line == 3 && m.what.contains("2 rows")),
        "{found:#?}"
    );
}

#[test]
fn circles() {
    let found = mistakes(&[
        ("fragments/one.yaml", "fragment: one\ntype: HumanName\nrules:\n  - { use: two }\n"),
        ("fragments/two.yaml", "fragment: two\ntype: HumanName\nrules:\n  - { use: one }\n"),
        ("thing/mapping.yaml", &head(&RULES.replace("target: Patient.name }", "target: Patient.name, each: one }"))),
    ]);
    assert!(found.iter().any(|m| m.what.contains("circle")), "{found:#?}");
    let found = mistakes(&[("thing/a.yaml", "overlay: a\nextends: b\n"), ("thing/b.yaml", "overlay: b\nextends: a\n")]);
    told(&found, 2, "circle", "extends");
}

#[test]
fn missing_and_broken_files() {
    told(
        &mistakes(&[("thing/examples/a.internal.json", "-"), ("thing/examples/a.fhir.json", "-")]),
        1,
        "no worked example",
        "NAME.internal.json",
    );
    told(&mistakes(&[("thing/examples/a.fhir.json", "-")]), 1, "has no other side", "");
    told(&mistakes(&[("thing/internal.schema.json", "-")]), 1, "is missing", "JSON Schema");
    told(&mistakes(&[("thing/internal.schema.json", "{\n  \"type\": }")]), 2, "not JSON", "");
    told(&mistakes(&[("thing/mapping.yaml", "object: thing\nobject: thing\n")]), 2, "not YAML", "twice");
    told(
        &mistakes(&[("thing/mapping.yaml", &head(RULES).replace("Patient\n", "Patiend\n"))]),
        1,
        "no FHIR resource type",
        "",
    );
}

#[test]
fn overlays() {
    let overlay = |text: &str| mistakes(&[("thing/epic.yaml", &format!("overlay: epic\n{text}"))]);
    told(
        &overlay("replace:\n  - { internal: aktive, target: Patient.active }\n"),
        3,
        "replaces nothing",
        "did you mean `active`?",
    );
    told(&overlay("forbid:\n  - { internal: gender }\n"), 3, "must say why", "why");
    told(&overlay("extends: epik\n"), 2, "no overlay `epik`", "did you mean `epic`?");
    assert_eq!(overlay("forbid:\n  - { internal: gender, why: not taken }\n"), []);
}
