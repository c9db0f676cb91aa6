//! `MUTANTS=N cargo bench --bench validate`: N damaged resources through the validator; none may panic or hang.

use std::{fs, hint::black_box, time::Instant};

use liaison::{
    definitions::Definitions,
    fhir::{self, Value},
    profile::{Options, Validator},
};

use crate::{mutate, support::shared};

/// Runs; panics where one takes too long.
pub fn run(count: usize) {
    let Some(folder) = shared("examples-r4") else { return };
    let validator = Validator::new(Definitions::core());
    let mut seeds: Vec<_> = fs::read_dir(folder).expect("examples").flatten().map(|entry| entry.path()).collect();
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
