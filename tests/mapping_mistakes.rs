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

#[test]
fn slips_that_cannot_be_meant() {
    told(&with("Patient.active }", "Patient.active, unit: kg }"), 6, "`unit` is for quantities", "leave it out");
    told(
        &with("concepts: { male: male", "system: SNOMET CT, concepts: { male: male"),
        7,
        "no code system",
        "`SNOMED CT`",
    );
    told(&with("Patient.active }", "Patient.active, default: \"yes\" }"), 6, "default is of another type", "boolean");
    told(&with("female: female } }", "female: female }, default: other }"), 7, "does not allow this default", "words");
    told(
        &with("female: female } }", "female: female }, unmapped: { value: other } }"),
        7,
        "does not allow this word",
        "words",
    );
    told(
        &with("Patient.birthDate", "Patient.birthDate.extension.valueDateTime"),
        9,
        "which extension",
        "extension('URL')",
    );
    let unused = format!("{RULES}  - {{ use: adress }}\n");
    let found = mistakes(&[("thing/mapping.yaml", &head(&unused))]);
    told(&found, 10, "no fragment `adress`", "did you mean `address`?");
    assert_eq!(found.len(), 1, "one mistake is told once: {found:#?}");
}

#[test]
fn heads() {
    let headed =
        |more: &str| mistakes(&[("thing/mapping.yaml", &head(RULES).replace("rules:\n", &format!("{more}rules:\n")))]);
    told(&headed("reread:\n  - { field: slotz, why: x }\n"), 6, "no field `slotz`", "it has:");
    let table = |more: &str| headed(&format!("transitions:\n  {more}\n  from: {{ male: [female] }}\n"));
    told(&table("field: gendre"), 6, "no field `gendre`", "did you mean `gender`?");
    told(&table("field: gender\n  reason: activ"), 7, "no field `activ`", "did you mean `active`?");
    told(&table("field: gender\n  new: [mail]"), 7, "does not allow `mail`", "male");
    told(&headed("parts:\n  task: { resource: Task, link: Task.focus }\n"), 6, "no rule is about the part", "Task");
    let twice = [
        ("other/mapping.yaml", head(RULES).replace("object: thing", "object: other")),
        ("other/internal.schema.json", SCHEMA.to_owned()),
        ("other/examples/a.internal.json", r#"{"id":"a"}"#.to_owned()),
        ("other/examples/a.fhir.json", r#"{"resourceType":"Patient"}"#.to_owned()),
    ];
    let twice: Vec<(&str, &str)> = twice.iter().map(|(path, text)| (*path, text.as_str())).collect();
    told(&mistakes(&twice), 2, "has the plural `things` already", "another `plural`");
}

#[test]
fn folders_and_schemas() {
    told(&mistakes(&[("thingy/internal.schema.json", "{}")]), 1, "no object `thingy`", "did you mean `thing`?");
    let found = mistakes(&[("thing/maping.yaml", "overlay: maping\nwhy: x\n")]);
    told(&found, 1, "no dialect `maping`", "did you mean mapping.yaml?");
    told(
        &mistakes(&[("thing/epix.yaml", "overlay: epix\nwhy: x\n")]),
        1,
        "no dialect `epix`",
        "did you mean epic.yaml?",
    );
    let schema = SCHEMA.replace("$defs/person_name", "$defs/person_nam");
    told(&mistakes(&[("thing/internal.schema.json", &schema)]), 3, "no shape `person_nam`", "`person_name`");
    let schema = SCHEMA.replace("\"type\":\"boolean\"", "\n\"type\":\"bool\"");
    told(&mistakes(&[("thing/internal.schema.json", &schema)]), 3, "schema cannot be used", "json-schema.org");
}

#[test]
fn what_dialects_take() {
    let overlay = |text: &str| mistakes(&[("thing/epic.yaml", &format!("overlay: epic\nwhy: x\n{text}"))]);
    assert_eq!(mistakes(&[("thing/epic.yaml", "overlay: epic\nwrites: []\n")]).len(), 1, "people want to know why");
    told(&overlay("writes: [creat]\n"), 3, "nothing that a dialect takes", "did you mean `create`?");
    told(&overlay("writes: create\n"), 3, "is a list", "[create, update]");
    let forbid = |item: &str| overlay(&format!("forbid:\n  - {{ {item}, why: x }}\n"));
    assert_eq!(forbid("internal: names.family, longer_than: 30"), []);
    told(&forbid("internal: names.famly, longer_than: 30"), 4, "no field `names.famly`", "did you mean `family`?");
    told(&forbid("internal: active, longer_than: 30"), 4, "is for texts", "schema");
    told(&forbid("internal: born, longer_than: many"), 4, "whole number", "20");
    told(&forbid("internal: born, more_than: 1"), 4, "is for lists", "schema");
    told(&forbid("internal: born, without_time: yes please"), 4, "only be `true`", "leave it out");
    told(&forbid("internal: born, longer_than: 3, missing: true"), 4, "exclude each other", "two items");
    told(&forbid("internal: gender, values: [femal]"), 4, "does not allow this value", "did you mean `female`?");
    let dialects = |text: &str| mistakes(&[("dialects.yaml", text)]);
    told(
        &dialects("foo:\n  extends: us-cor\nus-core:\n  title: US Core\n"),
        2,
        "no dialect `us-cor`",
        "did you mean `us-core`?",
    );
    told(&dialects("foo:\n  extends: bar\nbar:\n  extends: foo\n"), 2, "circle", "extends");
    told(&dialects("foo:\n  never:\n    gender:\n"), 3, "must say why", "ELEMENT");
    told(
        &dialects("foo:\n  never:\n    birthDate: not there\n"),
        9,
        "`birthDate` is never written to foo",
        "overlay foo.yaml",
    );
    let constant =
        format!("{RULES}  - {{ target: \"Patient.modifierExtension('http://x/m').valueBoolean\", constant: true }}\n");
    let never = "foo:\n  never:\n    modifierExtension: not there\n";
    told(
        &mistakes(&[("dialects.yaml", never), ("thing/mapping.yaml", &head(&constant))]),
        10,
        "`modifierExtension` is never written to foo",
        "overlay foo.yaml",
    );
    let refused = [("thing/examples/b.internal.json", r#"{"id":"b"}"#), ("thing/examples/b.refused.json", "{}")];
    told(&mistakes(&refused), 1, "does not say what is refused", "findings");
}

#[test]
fn standing_is_checked_against_the_schema() {
    let schema = SCHEMA.replace(
        r#""born""#,
        r#""links":{"type":"array","items":{"type":"object","properties":{"kind":{"enum":["old","new"]},"other":{"type":"object"}}}},"born""#,
    );
    let rules = "  - internal: links\n    target: Patient.link\n    each:\n      - { internal: kind, target: type, concepts: { old: replaced-by, new: replaces } }\n      - { internal: other, target: other }\n";
    let with = |standing: &str| {
        let mapping = format!("{}{rules}standing:\n  {standing}\n", head(RULES));
        mistakes(&[("thing/mapping.yaml", &mapping), ("thing/internal.schema.json", &schema)])
    };
    let line = head(RULES).lines().count() + rules.lines().count() + 2;
    let good = "replaced: { field: links, where: { kind: old }, record: other }\n  inactive: { field: active, values: [false] }";
    assert_eq!(with(good), []);
    for (standing, what, hint) in [
        ("replacd: {}", "the key `replacd` is not known here", "replaced"),
        ("inactive: { field: activ, values: [false] }", "no field `activ`", "did you mean `active`?"),
        ("inactive: { field: active, values: [\"no\"] }", "`active` is `true` or `false`", "without quotes"),
        ("inactive: { field: active }", "`values` is a list", "[false]"),
        ("inactive: { field: gender, values: [mal] }", "does not allow this value", "did you mean `male`?"),
        ("inactive: { values: [false] }", "say which field is meant: `field`", "name a field"),
        ("replaced: { field: active, where: { kind: old }, record: other }", "needs a list of links", "name a list"),
        (
            "replaced: { field: links, where: { kind: odd }, record: other }",
            "does not allow this value",
            "did you mean `old`?",
        ),
        ("replaced: { field: links, where: { sort: old }, record: other }", "no field `sort`", "it has: kind, other"),
        ("replaced: { field: links, record: other }", "does not say which link is meant", "where"),
        ("replaced: { field: links, where: { kind: old } }", "say which field is meant: `record`", "name a field"),
    ] {
        told(&with(standing), line, what, hint);
    }
}

#[test]
fn what_is_said_to_the_merge_must_be_possible() {
    told(&with("Patient.active }", "Patient.active, ordered: true }"), 6, "`ordered` is for lists", "leave it out");
    told(
        &with("Patient.name }", "Patient.name, ordered: yes it is }"),
        8,
        "`ordered` can only be `true`",
        "leave it out",
    );
    told(&with("Patient.active }", "Patient.active, key: [use] }"), 6, "`key` is for lists of objects", "leave it out");
    told(&with("Patient.name }", "Patient.name, key: [used] }"), 8, "`key` names `used`", "did you mean `use`?");
    told(&with("Patient.name }", "Patient.name, key: [] }"), 8, "`key` names the members", "for instance");
    told(&with("Patient.name }", "Patient.name, key: [use], ordered: true }"), 8, "exclude each other", "one value");
    told(&with("Patient.active }", "Patient.active, forms: case }"), 6, "`forms` is for texts", "leave it out");
    told(
        &with("Patient.birthDate }", "Patient.birthDate, forms: [cased] }"),
        9,
        "no form of a text",
        "did you mean `case`?",
    );
    told(&with("Patient.active }", "Patient.active, answers: { a: [b] } }"), 6, "`active` has none", "`owner: ehr`");
    let answers = |said: &str| with("female: female } }", &format!("female: female }}, answers: {said} }}"));
    told(&answers("{ mal: [female] }"), 7, "does not allow `mal`", "did you mean `male`?");
    told(&answers("{ male: [divers] }"), 7, "does not allow `divers`", "it allows: male, female");
    told(&answers("{ male: [male] }"), 7, "another word", "write a list");
    told(&answers("{}"), 7, "names no word", "for example");
    assert_eq!(answers("{ male: [female] }"), []);
}

#[test]
fn what_an_overlay_says_of_answers_must_be_possible() {
    let overlay = |answers: &str| {
        let text = format!("overlay: epic\nwhy: because\nanswers: {answers}\n");
        let dialects = "epic: { title: Epic, why: because }\n";
        mistakes(&[("thing/epic.yaml", &text), ("dialects.yaml", dialects)])
    };
    assert_eq!(overlay("{ gender: { male: [female] } }"), []);
    told(&overlay("{ gendr: { male: [female] } }"), 3, "no field `gendr`", "did you mean `gender`?");
    told(&overlay("{ active: { male: [female] } }"), 3, "`active` has none", "`owner: ehr`");
    told(&overlay("{ gender: { male: [mal] } }"), 3, "does not allow `mal`", "did you mean `male`?");
    told(&overlay("{}"), 3, "names no field", "for example");
}

#[test]
fn rules_between_fields_are_checked_against_the_schema() {
    let with = |check: &str| {
        let words = if check.contains("says") { "" } else { ", says: It is wrong., remedy: Mend it." };
        let mapping = format!("{}checks:\n  - {{ {check}{words} }}\n", head(RULES));
        mistakes(&[("thing/mapping.yaml", &mapping)])
    };
    let line = head(RULES).lines().count() + 2;
    for good in [
        "name: a, order: [born, born]",
        "name: a, some: [names, gender], severity: warning, when: active = true",
        "name: a, holds: names.exists(), fields: [names]",
        "name: a, in: names, some: [full, family]",
        "name: a, fields: [names.family], bytes_at_most: 3",
    ] {
        assert_eq!(with(good), [], "{good}");
    }
    for (check, what, hint) in [
        ("order: [born, born]", "a check needs its `name`", "a short word"),
        ("name: a, order: [born, born], says: Wrong.", "a check needs its `remedy`", "what to do"),
        ("name: a, order: [born]", "`order` compares two fields", "[start, end]"),
        ("name: a, order: [born, gender]", "`gender` is not a time or date", "see the object's schema"),
        ("name: a, order: [born, brn]", "no field `brn`", "did you mean `born`?"),
        ("name: a", "does not say what is demanded", "order, some, holds"),
        ("name: a, some: [born], order: [born, born]", "exclude each other", "write two checks"),
        ("name: a, some: []", "which fields are meant", "a list of fields"),
        ("name: a, holds: \"born.exists(\", fields: [born]", "`holds` is no FHIRPath", ""),
        ("name: a, holds: born.exists(), fields: [names]", "`holds` does not look at `names`", "name the fields"),
        ("name: a, holds: brn.exists() or born.exists(), fields: [born]", "no field `brn`", "did you mean `born`?"),
        ("name: a, holds: born.exists()", "which fields are meant", "add `fields: [ … ]`"),
        ("name: a, fields: [names.family], bytes_at_most: few", "`bytes_at_most` is a whole number", "1048576"),
        ("name: a, fields: [names], bytes_at_most: 3", "`names` is not base64 text", "see the object's schema"),
        ("name: a, some: [born], when: \"born =\"", "`when` is no FHIRPath", ""),
        ("name: a, some: [born], severity: fatal", "`error` or `warning`", "leave it out"),
        ("name: a, some: [born], in: nams", "no field `nams`", "did you mean `names`?"),
        ("name: a, some: [born], fields: [born]", "names its fields itself", "leave `fields` out"),
        ("name: a, sum: [born]", "the key `sum` is not known here", "did you mean `some`?"),
    ] {
        told(&with(check), line, what, hint);
    }
    let twice = format!(
        "{}checks:\n  - {{ name: a, some: [born], says: x, remedy: x }}\n  - {{ name: a, some: [names], says: x, remedy: x }}\n",
        head(RULES)
    );
    told(&mistakes(&[("thing/mapping.yaml", &twice)]), line + 1, "two checks are called `a`", "a name of its own");
}
