//! What validation costs, in ratios within one run: against `fhir::read` of the same bytes (and `serde_json`), by size
//! (linear or not), and on the largest resources that FHIR itself publishes. `cargo bench --bench validate [-- NAME]`.
//! `MUTANTS=1000000 cargo bench --bench validate` throws damaged resources at the validator instead.

mod mutants;
#[path = "../tests/support/mutate.rs"]
mod mutate;
mod support;

use std::{fs, hint::black_box, sync::Arc};

use liaison::{
    definitions::{Definitions, Pack, Package},
    fhir::{self, Value},
    profile::{Options, Validator},
};
use support::{Table, asked, fixtures, median, shared, time, versus};

fn main() {
    if support::only_checked() {
        return;
    }
    if let Ok(count) = std::env::var("MUTANTS") {
        return mutants::run(count.parse().expect("MUTANTS is a number"));
    }
    let Some(validator) = validator() else { return };
    let mut table = Table::new("validate ÷ read of the same bytes to `Value` (reading includes dropping it)");
    for (name, value) in [
        ("Patient (US Core)", fixtures::patient()),
        ("Appointment", fixtures::appointment()),
        ("Bundle of 200", fixtures::bundle(200, 0)),
    ] {
        if asked(name) {
            let report = validator.validate(&value, &Options::default());
            assert!(report.is_valid(), "{name}: {:#?}", report.errors().take(5).collect::<Vec<_>>());
            against_reading(&mut table, &validator, name, &value, 10.0, 3.0);
        }
    }
    if asked("examples") {
        folder(&mut table, &validator, "examples-r4");
        folder(&mut table, &validator, "synthea-r4");
    }
    if asked("largest") {
        largest(&mut table, &validator);
    }
    if asked("linear") {
        linear(&mut table, &validator);
    }
    if asked("wide") {
        wide(&mut table, &validator);
    }
    table.finish();
}

/// Ten times as wide costs ten times as much, whatever is wide.
fn wide(table: &mut Table, validator: &Validator) {
    let options = Options::default();
    for (name, make) in support::wide::WIDE {
        let (small, large) = (make(400), make(4_000));
        let validate = |value: &Value| drop(black_box(validator.validate(value, &options)));
        let found = versus(5, || validate(&large), || validate(&small));
        table.most(&format!("4,000 ÷ 400: {name}"), found.ratio, "x", Some(14.0), Some(12.0));
        table.note(&format!("4,000 take {:.1} ms", found.a_s * 1e3));
    }
}

/// R4 + US Core.
fn validator() -> Option<Validator> {
    let package = Package::open(&shared("packages/hl7.fhir.us.core-6.1.0.tgz")?).expect("opens");
    let pack = Pack::open(package.pack().0).expect("a pack");
    Some(Validator::new(Definitions::with_packages([Arc::new(pack)]).expect("fit")))
}

fn against_reading(table: &mut Table, validator: &Validator, name: &str, value: &Value, target: f64, aim: f64) {
    let bytes = serde_json::to_vec(value).expect("JSON");
    let options = Options::default();
    let mut validate = || drop(black_box(validator.validate(value, &options)));
    if let Some(seconds) = std::env::var("SPIN").ok().and_then(|text| text.parse::<f64>().ok()) {
        // Validation alone, for a profiler.
        let runs = seconds / time(50, &mut validate);
        time(runs as usize, &mut validate);
        return;
    }
    let read = versus(25, &mut validate, || drop(black_box(fhir::read(&bytes))));
    let serde = versus(9, validate, || drop(black_box(serde_json::from_slice::<Value>(&bytes))));
    table.most(name, read.ratio, "x", Some(target), Some(aim));
    table.note(&format!(
        "{} bytes: read {:.1} us, validate {:.1} us; {:.2} x serde_json::from_slice",
        bytes.len(),
        read.b_s * 1e6,
        read.a_s * 1e6,
        serde.ratio
    ));
}

/// Every resource of a folder, together.
fn folder(table: &mut Table, validator: &Validator, name: &str) {
    let Some(path) = shared(name) else { return };
    let mut texts: Vec<Vec<u8>> =
        fs::read_dir(path).expect("a folder").flatten().filter_map(|entry| fs::read(entry.path()).ok()).collect();
    texts.retain(|bytes| fhir::read(bytes).is_ok());
    let values: Vec<Value> = texts.iter().filter_map(|bytes| fhir::read(bytes).ok()).collect();
    let options = Options::default();
    let all = versus(
        9,
        || values.iter().for_each(|value| drop(black_box(validator.validate(value, &options)))),
        || texts.iter().for_each(|bytes| drop(black_box(fhir::read(bytes)))),
    );
    let what = format!("{name}, {} resources together", values.len());
    table.most(&what, all.ratio, "x", Some(10.0), Some(3.0));
}

/// What FHIR's own package and examples hold that is large: validators are known to hang on it.
fn largest(table: &mut Table, validator: &Validator) {
    let options = Options::default();
    let mut each = |name: &str, bytes: &[u8]| {
        let Ok(value) = fhir::read(bytes) else { return };
        let validate = || drop(black_box(validator.validate(&value, &options)));
        let found = versus(5, validate, || drop(black_box(fhir::read(bytes))));
        let what = format!("{name}, {} kB", bytes.len() / 1000);
        table.most(&what, found.ratio, "x", Some(10.0), Some(3.0));
    };
    if let Some(path) = shared("examples-r4/Bundle-terminologies.json") {
        each("Bundle of code systems (terminologies)", &fs::read(path).expect("readable"));
    }
    let Some(path) = shared("packages/hl7.fhir.r4.core-4.0.1.tgz") else { return };
    let package = Package::open(&path).expect("opens");
    let mut files: Vec<(&str, &[u8])> = package.json().filter(|(_, bytes)| fhir::read(bytes).is_ok()).collect();
    files.sort_by_key(|(_, bytes)| std::cmp::Reverse(bytes.len()));
    for (name, bytes) in files.iter().take(8) {
        each(name.rsplit('/').next().unwrap_or(name), bytes);
    }
    let systems: Vec<&(&str, &[u8])> = files.iter().filter(|(name, _)| name.contains("/CodeSystem-")).collect();
    let systems = if systems.is_empty() {
        files.iter().filter(|(name, _)| name.contains("CodeSystem-")).collect()
    } else {
        systems
    };
    each("all code systems of R4 in one bundle", &bundled(systems.iter().map(|(_, bytes)| *bytes)));
    let values: Vec<(&str, &[u8], Value)> =
        files.iter().filter_map(|(name, bytes)| Some((*name, *bytes, fhir::read(bytes).ok()?))).collect();
    let (mut validating, mut reading, mut worst) = (0.0, 0.0, (0.0, ""));
    for (name, bytes, value) in &values {
        let mut once = || drop(black_box(validator.validate(value, &options)));
        once();
        let one = time(3, &mut once);
        let other = time(3, &mut || drop(black_box(fhir::read(bytes))));
        validating += one;
        reading += other;
        if one / other > worst.0 {
            worst = (one / other, name);
        }
    }
    let what = format!("all {} resources of the core package", values.len());
    table.most(&what, validating / reading, "x", Some(10.0), Some(3.0));
    table.note(&format!("the dearest one: {} at {:.1} x (single samples)", worst.1, worst.0));
}

fn bundled<'a>(resources: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = br#"{"resourceType":"Bundle","type":"collection","entry":["#.to_vec();
    for (number, bytes) in resources.enumerate() {
        out.extend_from_slice(if number > 0 { b"," } else { b"" });
        out.extend_from_slice(
            format!("{{\"fullUrl\":\"urn:uuid:00000000-0000-0000-0000-{number:012}\",\"resource\":").as_bytes(),
        );
        out.extend_from_slice(bytes);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}

/// 10,000 entries against 1,000: ten different bundles of 1,000 in turn, so that both sides touch as much memory; and
/// the same bundle of 1,000 again and again, which the processor's caches favour.
fn linear(table: &mut Table, validator: &Validator) {
    let options = Options::default();
    let small: Vec<Value> = (0..10).map(|part| fixtures::bundle(1_000, part * 1_000)).collect();
    let large = fixtures::bundle(10_000, 0);
    let small_bytes: Vec<Vec<u8>> = small.iter().map(|value| serde_json::to_vec(value).expect("JSON")).collect();
    let large_bytes = serde_json::to_vec(&large).expect("JSON");
    // What comes from outside was read, so its parts lie in memory as the reader leaves them.
    let small: Vec<Value> = small_bytes.iter().map(|bytes| fhir::read(bytes).expect("reads")).collect();
    let large = fhir::read(&large_bytes).expect("reads");
    let mut validate = |value: &Value| drop(black_box(validator.validate(value, &options)));
    let mut read = |bytes: &Vec<u8>| drop(black_box(fhir::read(bytes)));
    let (fair, same) = growth(&mut validate, &large, &small);
    let (read_fair, read_same) = growth(&mut read, &large_bytes, &small_bytes);
    table.most("validate 10,000 entries ÷ 1,000 (ten different bundles)", fair, "x", Some(10.5), Some(10.5));
    table.most("  the same bundle of 1,000 again and again", same, "x", Some(12.0), Some(10.5));
    table.most("  for comparison: read 10,000 ÷ 1,000 (ten different)", read_fair, "x", None, None);
    table.most("  for comparison: read, the same 1,000 again and again", read_same, "x", None, None);
}

/// How much dearer the large one is than a small one: small ones all different, and always the same.
fn growth<T>(work: &mut impl FnMut(&T), large: &T, small: &[T]) -> (f64, f64) {
    let (mut fair, mut same) = (Vec::new(), Vec::new());
    for _ in 0..11 {
        let whole = time(1, &mut || work(large));
        let parts = time(1, &mut || small.iter().for_each(&mut *work)) / small.len() as f64;
        work(&small[0]);
        let one = time(10, &mut || work(&small[0]));
        fair.push(whole / parts);
        same.push(whole / one);
    }
    (median(&mut fair), median(&mut same))
}
