//! Thousands of damaged resources: none makes the validator panic, and none takes long. A million are run by
//! `MUTANTS=1000000 cargo bench --bench validate`.

use std::time::Instant;

use liaison::{
    definitions::Definitions,
    fhir::{self, Value},
    profile::{Options, Validator},
};

use crate::support::{beside::shared, mutate::mutate, own};

#[test]
fn damaged_resources_neither_panic_nor_hang() {
    let mut seeds: Vec<Value> = own::resources().into_iter().map(|(_, resource)| resource).collect();
    let mut paths: Vec<_> = shared("examples-r4")
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(folder).expect("a folder").flatten())
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    let others = paths
        .iter()
        .filter(|path| path.metadata().is_ok_and(|data| data.len() < 6_000))
        .filter_map(|path| fhir::read(&std::fs::read(path).ok()?).ok());
    seeds.extend(others);
    assert!(seeds.len() > 100, "{} seeds", seeds.len());
    let count: usize = std::env::var("MUTANTS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let seed = 20_261_122;
    let (validator, options, mut random) =
        (Validator::new(Definitions::core()), Options::default(), fastrand::Rng::with_seed(seed));
    let (mut invalid, mut slowest) = (0, 0.0_f64);
    for number in 0..count {
        let mut value = seeds[random.usize(..seeds.len())].clone();
        for _ in 0..=random.usize(..3) {
            mutate(&mut value, &mut random, &seeds);
        }
        let start = Instant::now();
        let report = validator.validate(&value, &options);
        slowest = slowest.max(start.elapsed().as_secs_f64());
        assert!(slowest < 20.0, "mutant {number} of seed {seed} took {slowest} s");
        invalid += usize::from(!report.is_valid());
    }
    println!("{count} mutants of seed {seed}, {invalid} invalid, slowest {:.0} ms", slowest * 1e3);
    assert!(invalid * 2 > count, "damage is noticed: {invalid} of {count}");
}
