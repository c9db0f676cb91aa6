//! Deliberately broken mappings that load without a mistake: each is caught by a law, on the real binary, with the smallest
//! counterexample shown as a diff and the rule's file and line. And the real mappings, broken in one rule.

use std::{fs, path::Path, process::Command};

use liaison::fhir::Value;

/// A folder with one small object; gives the folder.
fn folder(rules: &str, schema: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let thing = dir.path().join("thing");
    fs::create_dir_all(thing.join("examples")).expect("a folder");
    let write = |name: &str, text: &str| fs::write(thing.join(name), text).expect("written");
    write("mapping.yaml", &format!("object: thing\nresource: Patient\n{rules}"));
    write("internal.schema.json", &format!(r#"{{"type":"object","properties":{schema}}}"#));
    write("examples/a.internal.json", r#"{"id":"a"}"#);
    write(
        "examples/a.fhir.json",
        r#"{"resourceType":"Patient","identifier":[{"system":"urn:liaison:example-clinic:thing","value":"a"}]}"#,
    );
    dir
}

fn check(dir: &Path, object: &str, output: &str) -> (i32, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_liaison"))
        .args(["mappings", "check", "--object", object, "--pairs", "400", "--output", output, "--mappings"])
        .arg(dir)
        .output()
        .expect("it runs");
    (run.status.code().unwrap_or(-1), String::from_utf8_lossy(&run.stdout).into_owned())
}

/// The JSON line of the base mapping, and the text of it.
fn caught(rules: &str, schema: &str) -> (Value, String) {
    let dir = folder(rules, schema);
    let (code, text) = check(dir.path(), "thing", "text");
    assert_eq!(code, 1, "it must fail:\n{text}");
    let (code, json) = check(dir.path(), "thing", "json");
    assert_eq!(code, 1);
    let line = json.lines().next().unwrap_or_default();
    (liaison::fhir::read_str(line).unwrap_or_else(|error| panic!("{error}: {line}")), text)
}

/// What a law's counterexample must be: its rule's line, at most so many fields.
#[track_caller]
fn small(report: &Value, text: &str, law: &str, line: usize, fields: usize) {
    assert_eq!(report["ok"], false);
    let verdict = &report["laws"][law];
    assert!(verdict["failed"].as_u64().is_some_and(|failed| failed > 0), "{law} holds: {report}");
    let found = &verdict["counterexample"];
    assert_eq!(found["rule"], format!("thing/mapping.yaml:{line}"), "{found}");
    let size = found["internal"].as_object().map_or(0, |object| object.len());
    assert!(size <= fields, "not shrunk: {found}");
    let difference = &found["difference"][0];
    assert_ne!(difference["wanted"], difference["got"]);
    assert!(text.contains(&format!("rule thing/mapping.yaml:{line}")), "{text}");
    assert!(
        text.contains(&format!("- {}", difference["wanted"])) && text.contains(&format!("+ {}", difference["got"]))
    );
}

#[test]
fn two_rules_that_see_the_same_item() {
    let rules = "rules:
  - { internal: city, target: \"Patient.address[use=home].city\" }
  - { internal: towns, target: Patient.address, each: [{ internal: ., target: city }] }\n";
    let schema =
        r#"{"city":{"type":"string","minLength":1},"towns":{"type":"array","items":{"type":"string","minLength":1}}}"#;
    let (report, text) = caught(rules, schema);
    small(&report, &text, "put_get", 5, 2);
}

#[test]
fn new_items_that_their_own_rule_does_not_see() {
    // The condition on items is not among what a new item starts with.
    let rules = "rules:
  - internal: phones
    target: Patient.telecom
    where: system = 'phone'
    each: [{ internal: number, target: value }]\n";
    let schema = r#"{"phones":{"type":"array","minItems":1,"items":{"type":"object","required":["number"],
        "properties":{"number":{"type":"string","minLength":1}}}}}"#;
    let (report, text) = caught(rules, schema);
    small(&report, &text, "put_get", 4, 1);
}

#[test]
fn both_forms_of_a_choice_at_once() {
    let rules = "rules:
  - { internal: dead, target: Patient.deceasedBoolean }
  - { internal: died_on, target: Patient.deceasedDateTime }\n";
    let schema = r#"{"dead":{"type":"boolean"},"died_on":{"type":"string","format":"partial-date"}}"#;
    let (report, text) = caught(rules, schema);
    small(&report, &text, "put_get", 4, 2);
}

#[test]
fn a_part_that_is_left_out_with_what_it_says() {
    let rules = "parts:
  task: { resource: Task, link: Task.focus, if: \"active = true\" }
rules:
  - { internal: active, target: Patient.active }
  - { internal: remark, target: Task.description }
  - { target: Task.status, constant: requested }
  - { target: Task.intent, constant: order }\n";
    let schema = r#"{"active":{"type":"boolean"},"remark":{"type":"string","minLength":1}}"#;
    let (report, text) = caught(rules, schema);
    small(&report, &text, "put_get", 7, 1);
}

#[test]
fn a_word_that_becomes_another_one() {
    // A default says what absence means; a second meaning of the same cannot come back.
    let rules = "rules:
  - { internal: active, target: Patient.active }
  - internal: gender
    target: Patient.gender
    concepts: { man: male, woman: female }
    unmapped: { value: woman }
  - { internal: note, target: \"Patient.name[use=usual].text\", if: \"active\" }
  - { internal: nick, target: \"Patient.name[0].text\" }\n";
    let schema = r#"{"active":{"type":"boolean"},"gender":{"enum":["man","woman"]},
        "note":{"type":"string","minLength":1},"nick":{"type":"string","minLength":1}}"#;
    let (report, text) = caught(rules, schema);
    assert_eq!(report["ok"], false, "{text}");
    assert!(text.contains("thing/mapping.yaml:"), "{text}");
}

#[test]
fn a_real_mapping_broken_in_one_rule_is_caught() {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/message");
    let dir = tempfile::tempdir().expect("a folder");
    copy(&from, &dir.path().join("message"));
    let path = dir.path().join("message/mapping.yaml");
    let rules = fs::read_to_string(&path).expect("rules");
    // The patient is written where the first recipient is read.
    let good = "  - { internal: patient, target: Communication.subject, to: [patient] }\n";
    assert!(rules.contains(good));
    let bad = "  - { internal: patient, target: \"Communication.recipient[0]\", to: [patient] }\n";
    fs::write(&path, rules.replace(good, bad)).expect("written");
    let (code, text) = check(dir.path(), "message", "text");
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("put_get") || text.contains("two rules write"), "{text}");
    assert!(text.contains("message/mapping.yaml:"), "{text}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let place = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).expect("copied");
        }
    }
}
