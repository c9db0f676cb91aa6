//! Proving a plan: its laws tried on generated pairs of an object and a resource that exists already, and the report.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::{
    law::{Law, Lens, Outcome, Pair, Trial, Worked},
    objects::Objects,
    resources::Resources,
    shrink,
};
use crate::mapping::{ObjectType, Part, Plan};

/// Pairs of one slice: small enough that no thread is left alone with a long one at the end.
const SLICE: usize = 500;

/// Every other pair is tried with a default zone.
const ZONES: [Option<&str>; 2] = [None, Some("America/Chicago")];

/// A pair on which a law does not hold: `object`, a second one for PutPut, and the resources written into.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// The object.
    pub object: Value,
    /// What was written before it, for PutPut.
    pub earlier: Option<Value>,
    /// The parts that existed.
    pub base: Vec<Part>,
    /// What differs: place, what was wanted, what came.
    pub differences: Vec<(String, Value, Value)>,
    /// `file:line` of the rule that is to blame, as far as it can be told.
    pub rule: Option<String>,
}

/// How a law fared.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Pairs on which it was tried.
    pub pairs: usize,
    /// Pairs on which it did not hold.
    pub failed: usize,
    /// The smallest pair found.
    pub counterexample: Option<Counterexample>,
}

/// All laws of one plan.
#[derive(Clone, Debug)]
pub struct Report {
    /// The object.
    pub mapping: String,
    /// The dialect.
    pub dialect: String,
    /// On how many pairs each law had to be tried.
    pub wanted: usize,
    /// By law.
    pub laws: BTreeMap<Law, Verdict>,
    /// Pairs that could not be used, since the object cannot be sent to this dialect.
    pub unsayable: usize,
}

impl Report {
    /// Whether every law held on enough pairs.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.laws.values().all(|verdict| verdict.failed == 0 && verdict.pairs >= self.wanted)
    }

    /// As the contract says: one line a mapping and dialect.
    #[must_use]
    pub fn json(&self) -> Value {
        let laws: Map<String, Value> = self
            .laws
            .iter()
            .map(|(law, verdict)| {
                let counterexample = verdict.counterexample.as_ref().map(Counterexample::json);
                let json =
                    json!({ "pairs": verdict.pairs, "failed": verdict.failed, "counterexample": counterexample });
                (law.name().to_owned(), json)
            })
            .collect();
        json!({ "mapping": self.mapping, "dialect": self.dialect, "ok": self.ok(), "laws": laws, "unsayable": self.unsayable })
    }
}

impl Counterexample {
    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let difference =
            |(path, wanted, got): &(String, Value, Value)| json!({ "path": path, "wanted": wanted, "got": got });
        json!({
            "rule": self.rule,
            "difference": self.differences.iter().map(difference).collect::<Vec<_>>(),
            "internal": self.object,
            "earlier": self.earlier,
            "base": self.base.iter().map(|part| part.resource.clone()).collect::<Vec<_>>(),
        })
    }
}

/// Tries every law of a plan on `pairs` generated pairs, in this thread.
#[must_use]
pub fn prove(object: &ObjectType, plan: &Plan, pairs: usize, seed: u64) -> Report {
    let tallies = slices(pairs).map(|(number, count)| tally(object, plan, plan, count, seed, number)).collect();
    conclude(object, plan, plan, pairs, tallies)
}

/// The pieces that a plan's pairs are proven in: number and how many pairs. What a piece tries depends on its number
/// only, so that the same seed gives the same report on any number of threads.
pub(super) fn slices(pairs: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..pairs.div_ceil(SLICE)).map(move |number| (number, SLICE.min(pairs - number * SLICE)))
}

/// What came of one slice: how each law fared, and the first pair that broke it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    tried: usize,
    unsayable: usize,
    failed: BTreeMap<Law, (usize, Pair)>,
}

/// Tries the laws on one slice.
pub(super) fn tally(
    object: &ObjectType,
    plan: &Plan,
    lens: &dyn Lens,
    pairs: usize,
    seed: u64,
    number: usize,
) -> Tally {
    // Another stretch of chance for each slice.
    let mut rng = Rng::with_seed(seed.wrapping_add((number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let trials = ZONES.map(|zone| Trial::new(plan, lens, zone));
    let objects = Objects::new(object, plan);
    let makers = [0, 1].map(|side| Resources::new(object, plan, &trials[side].context));
    let mut tally = Tally::default();
    for round in 0..pairs * 4 {
        if tally.tried >= pairs {
            break;
        }
        let side = round % 2;
        let made = (objects.make(&mut rng), objects.make(&mut rng), objects.any(&mut rng));
        let (Some(object), Some(earlier), Some(there)) = made else { continue };
        let Some(base) = makers[side].make(&there, &mut rng) else {
            tally.unsayable += 1;
            continue;
        };
        let pair = Pair { object, earlier, base, side };
        let worked = Worked::new(&trials[side], &pair);
        if !worked.is_usable() {
            tally.unsayable += 1;
            continue;
        }
        tally.tried += 1;
        for law in Law::ALL {
            if let Outcome::Broken(_) = worked.holds(law) {
                tally.failed.entry(law).or_insert_with(|| (0, pair.clone())).0 += 1;
            }
        }
    }
    tally
}

/// The report of all slices; a counterexample is shrunk.
pub(super) fn conclude(
    object: &ObjectType,
    plan: &Plan,
    lens: &dyn Lens,
    wanted: usize,
    tallies: Vec<Tally>,
) -> Report {
    let tried = tallies.iter().map(|tally| tally.tried).sum();
    let unsayable = tallies.iter().map(|tally| tally.unsayable).sum();
    let mut laws: BTreeMap<Law, Verdict> =
        Law::ALL.into_iter().map(|law| (law, Verdict { pairs: tried, ..Verdict::default() })).collect();
    for (law, (count, pair)) in tallies.into_iter().flat_map(|tally| tally.failed) {
        let verdict = laws.entry(law).or_default();
        verdict.failed += count;
        if verdict.counterexample.is_none() {
            let trial = Trial::new(plan, lens, ZONES[pair.side]);
            verdict.counterexample = Some(shrink::smallest(&trial, law, object, pair));
        }
    }
    Report { mapping: object.name().to_owned(), dialect: plan.dialect().to_owned(), wanted, laws, unsayable }
}
