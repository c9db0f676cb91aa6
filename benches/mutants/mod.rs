//! `MUTANTS=N [SEED=S] cargo bench --bench validate`: N damaged resources through reader, validator and mapping, every
//! hundredth time against damaged profiles and value sets too. None may panic, and none may take longer than a hundred
//! times what its bytes usually take. What does is written to `target/mutants/`, and the run ends with exit code 1.

mod damage;

use std::{
    cell::Cell,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use fastrand::Rng;
use liaison::{
    definitions::{self, Definitions, Pack, Package},
    fhir::{self, Value},
    mapping::{Context, Mappings, Plan},
    profile::{Options, Validator},
};

use crate::support::{median, shared, time};

/// A mutant takes at most so many times the middle cost of a byte,
const TIMES: f64 = 100.0;
/// and is never thought to have fewer bytes than this (every validation has fixed costs).
const LEAST_BYTES: usize = 1_000;
/// The middle cost of a byte is taken from this many mutants.
const SAMPLES: usize = 3_000;

struct Run {
    random: Rng,
    seeds: Vec<Value>,
    definitions: Vec<Value>,
    pack: Arc<Pack>,
    validator: Validator,
    plans: Vec<Arc<Plan>>,
    /// Seconds a byte.
    costs: Vec<f64>,
    usual: f64,
    dearest: f64,
    found: usize,
}

/// Runs; exits with 1 if a mutant panicked or took too long.
pub fn run(count: usize) {
    let (Some(examples), Some(archive)) = (shared("examples-r4"), shared("packages/hl7.fhir.us.core-6.1.0.tgz")) else {
        return;
    };
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    let package = Package::open(&archive).expect("opens");
    let mut definitions: Vec<Value> = Vec::new();
    let mut seeds = examples_of(&examples);
    for (_, bytes) in package.json() {
        let Ok(value) = fhir::read(bytes) else { continue };
        let is_definition =
            matches!(fhir::resource_type(&value), Some("StructureDefinition" | "ValueSet" | "CodeSystem"));
        if is_definition && bytes.len() < 150_000 {
            definitions.push(value);
        } else if bytes.len() < 20_000 {
            seeds.push(value);
        }
    }
    let pack = Arc::new(Pack::open(package.pack().0).expect("a pack"));
    let mappings = Mappings::embedded().expect("the mappings that are built in");
    let plans = mappings.plans().cloned().collect();
    let mut run = Run {
        random: Rng::with_seed(seed),
        seeds,
        definitions,
        validator: Validator::new(Definitions::with_packages([Arc::clone(&pack)]).expect("fit")),
        pack,
        plans,
        costs: Vec::new(),
        usual: f64::INFINITY,
        dearest: 0.0,
        found: 0,
    };
    println!("{count} mutants of seed {seed}: {} resources, {} definitions", run.seeds.len(), run.definitions.len());
    std::panic::set_hook(Box::new(|info| eprintln!("{info}")));
    let start = Instant::now();
    for number in 0..count {
        if number % 100 == 99 {
            run.damaged_definition(number)
        } else {
            run.damaged_resource(number)
        }
        if number % (count / 20).max(1) == 0 {
            println!(
                "{number} mutants, {:.0} s; usual {:.1} ns a byte, dearest {:.0} x that",
                start.elapsed().as_secs_f64(),
                run.usual * 1e9,
                run.dearest
            );
        }
    }
    println!("{count} mutants, {:.0} s; dearest {:.0} x the usual", start.elapsed().as_secs_f64(), run.dearest);
    if run.found > 0 {
        println!("{} in {}", run.found, folder().display());
        std::process::exit(1);
    }
}

fn examples_of(folder: &Path) -> Vec<Value> {
    let mut paths: Vec<_> = fs::read_dir(folder).expect("examples").flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let small = paths.iter().filter(|path| fs::metadata(path).is_ok_and(|data| data.len() < 20_000));
    small.filter_map(|path| fhir::read(&fs::read(path).ok()?).ok()).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mutants")
}

impl Run {
    fn mutant(&mut self, of_definition: bool) -> Value {
        let from = if of_definition { &self.definitions } else { &self.seeds };
        let mut value = from[self.random.usize(..from.len())].clone();
        for _ in 0..=self.random.usize(..4) {
            damage::damage(&mut value, &mut self.random, &self.seeds);
        }
        value
    }

    fn damaged_resource(&mut self, number: usize) {
        let definition = self.random.u8(..40) == 0;
        let value = self.mutant(definition);
        let text = value.to_string();
        self.reading(number, &text);
        let options = Options::default();
        let validator = &self.validator;
        let Some(taken) = guarded(|| drop(validator.validate(&value, &options))) else {
            return self.keep("panic", number, &[&value]);
        };
        let bytes = text.len().max(LEAST_BYTES) as f64;
        let cost = taken / bytes;
        if self.costs.len() < SAMPLES {
            self.costs.push(cost);
            self.usual = if self.costs.len() == SAMPLES { median(&mut self.costs) } else { f64::INFINITY };
        }
        let mut times = cost / self.usual;
        if times > TIMES {
            // Once more: the first time may have compiled a type or a profile.
            times = time(1, &mut || drop(validator.validate(&value, &options))) / bytes / self.usual;
        }
        self.dearest = self.dearest.max(times);
        if times > TIMES {
            self.keep("slow", number, &[&value]);
        }
        let plan = &self.plans[self.random.usize(..self.plans.len())];
        let fitting = self.plans.iter().find(|plan| Some(plan.resource_type()) == fhir::resource_type(&value));
        let (plan, context) = (fitting.unwrap_or(plan), Context::new("mutants"));
        if guarded(|| drop(plan.to_internal(std::slice::from_ref(&value), &context))).is_none() {
            self.keep("panic-mapping", number, &[&value]);
        }
    }

    /// The reader on the mutant's text with a few bytes changed: an error or a value that is written as it was read.
    fn reading(&mut self, number: usize, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..self.random.usize(..4) {
            let at = self.random.usize(..bytes.len());
            bytes[at] = if self.random.bool() {
                self.random.u8(..)
            } else {
                *self.random.choice(b"{}[]\",:\\-.eE0tfn").unwrap_or(&b' ')
            };
        }
        let kept = Cell::new(true);
        let read = guarded(|| {
            if let Ok(value) = fhir::read(&bytes) {
                kept.set(fhir::read(value.to_string().as_bytes()).is_ok_and(|again| again == value));
            }
        });
        if read.is_none() || !kept.get() {
            self.keep("panic-reading", number, &[&Value::String(String::from_utf8_lossy(&bytes).into_owned())]);
        }
    }

    /// A resource against a profile or value set that is itself damaged.
    fn damaged_definition(&mut self, number: usize) {
        let (definition, value) = (self.mutant(true), self.mutant(false));
        let file = folder().join("definition.json");
        let _ = fs::create_dir_all(folder());
        fs::write(&file, definition.to_string()).expect("target/ is writable");
        let (pack, mut resource) = (Arc::clone(&self.pack), value.clone());
        if let (Some(url), true) = (definition.get("url").and_then(Value::as_str), resource.is_object()) {
            resource["meta"] = serde_json::json!({"profile": [url]});
        }
        let taken = guarded(|| {
            let Ok((loose, _)) = definitions::load(&file, None) else { return };
            // The damaged one comes last, so that it stands before the package's own.
            let Ok(definitions) = Definitions::with_packages([pack, loose]) else { return };
            drop(Validator::new(definitions).validate(&resource, &Options::default()));
        });
        match taken {
            None => self.keep("panic-definition", number, &[&definition, &resource]),
            Some(seconds) if seconds > 2.0 => self.keep("slow-definition", number, &[&definition, &resource]),
            Some(_) => {}
        }
    }

    fn keep(&mut self, kind: &str, number: usize, values: &[&Value]) {
        self.found += 1;
        let _ = fs::create_dir_all(folder());
        for (part, value) in values.iter().enumerate() {
            let path = folder().join(format!("{kind}-{number}-{part}.json"));
            println!("!!! {kind}: {}", path.display());
            let _ = fs::write(path, value.to_string());
        }
    }
}

/// Seconds that the work took; none if it panicked.
fn guarded(work: impl FnOnce()) -> Option<f64> {
    let mut work = Some(work);
    let mut panicked = false;
    let taken = time(1, &mut || {
        if let Some(work) = work.take() {
            panicked = catch_unwind(AssertUnwindSafe(work)).is_err();
        }
    });
    (!panicked).then_some(taken)
}
