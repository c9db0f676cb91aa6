//! The laws, and running them on generated pairs of an object and a resource that exists already.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::{frame::Frame, objects::Objects, resources::Resources, shrink};
use crate::{
    fhir::canonically_equal,
    mapping::{Context, ObjectType, Part, Plan},
};

/// A law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// Every resource can be read, and reading is stable.
    Total,
    /// What was written is read back the same, but for declared losses.
    PutGet,
    /// Writing back what was read changes nothing.
    GetPut,
    /// The last write wins.
    PutPut,
    /// Writing touches only what a rule names.
    Frame,
}

impl Law {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Total, Self::PutGet, Self::GetPut, Self::PutPut, Self::Frame];

    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::PutGet => "put_get",
            Self::GetPut => "get_put",
            Self::PutPut => "put_put",
            Self::Frame => "frame",
        }
    }
}

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
    /// By law.
    pub laws: BTreeMap<Law, Verdict>,
    /// Pairs that could not be used, since the object cannot be sent to this dialect.
    pub unsayable: usize,
}

impl Report {
    /// Whether every law held on enough pairs.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.laws.values().all(|verdict| verdict.failed == 0 && verdict.pairs > 0)
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

/// What a law is tried on.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) object: Value,
    pub(super) earlier: Value,
    pub(super) base: Vec<Part>,
}

/// Tries one law.
pub(super) struct Trial<'a> {
    pub(super) plan: &'a Plan,
    pub(super) context: &'a Context,
    pub(super) frames: Vec<Frame>,
}

/// Holds, cannot be tried on this pair, or the differences.
pub(super) enum Outcome {
    Holds,
    Unsayable,
    Broken(Vec<(String, Value, Value)>),
}

impl Trial<'_> {
    fn get(&self, parts: &[Part]) -> Value {
        let resources: Vec<Value> = parts.iter().map(|part| part.resource.clone()).collect();
        self.plan.to_internal(&resources, self.context)
    }

    pub(super) fn try_law(&self, law: Law, pair: &Pair) -> Outcome {
        let put = |object: &Value, base: &[Part]| self.plan.put(object, base, self.context);
        match law {
            Law::Total => {
                let (first, second) = (self.get(&pair.base), self.get(&pair.base));
                if first.is_object() {
                    equal(&first, &second)
                } else {
                    Outcome::Broken(vec![(String::new(), json!({}), first)])
                }
            }
            Law::GetPut => match put(&self.get(&pair.base), &pair.base) {
                Ok(after) => {
                    let parts = |parts: &[Part]| -> Value { parts.iter().map(|part| part.resource.clone()).collect() };
                    equal(&parts(&pair.base), &parts(&after))
                }
                Err(error) => Outcome::Broken(vec![(String::new(), Value::Null, error.to_string().into())]),
            },
            Law::PutGet => match put(&pair.object, &pair.base) {
                Ok(after) => {
                    let wanted = self.plan.without_losses(&self.plan.normalise(&pair.object, self.context));
                    equal(&wanted, &self.plan.without_losses(&self.get(&after)))
                }
                Err(_) => Outcome::Unsayable,
            },
            Law::PutPut => {
                let (Ok(once), Ok(direct)) = (put(&pair.earlier, &pair.base), put(&pair.object, &pair.base)) else {
                    return Outcome::Unsayable;
                };
                match put(&pair.object, &once) {
                    Ok(twice) => equal(&self.get(&direct), &self.get(&twice)),
                    Err(_) => Outcome::Unsayable,
                }
            }
            Law::Frame => match put(&pair.object, &pair.base) {
                Ok(after) => self.frame(&pair.base, &after),
                Err(_) => Outcome::Unsayable,
            },
        }
    }

    fn frame(&self, base: &[Part], after: &[Part]) -> Outcome {
        for before in base {
            let id = |part: &Part| part.resource.get("id").cloned();
            // Of several Binaries each is compared with itself.
            let twin = after.iter().find(|part| part.role == before.role && id(part) == id(before));
            let Some(part) = twin else { continue };
            let index = self.plan.part_index(&before.role);
            let Some(frame) = index.and_then(|index| self.frames.get(index)) else { continue };
            if let Some(pointer) = frame.breach(&before.resource, &part.resource) {
                let at = |value: &Value| value.pointer(&pointer).cloned().unwrap_or_default();
                return Outcome::Broken(vec![(pointer.clone(), at(&before.resource), at(&part.resource))]);
            }
        }
        Outcome::Holds
    }
}

fn equal(wanted: &Value, got: &Value) -> Outcome {
    if canonically_equal(wanted, got) {
        return Outcome::Holds;
    }
    let mut differences = Vec::new();
    differ("", wanted, got, &mut differences);
    Outcome::Broken(differences)
}

fn differ(at: &str, wanted: &Value, got: &Value, found: &mut Vec<(String, Value, Value)>) {
    match (wanted, got) {
        (Value::Object(a), Value::Object(b)) => {
            let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let of = |side: &Map<String, Value>| side.get(name).cloned().unwrap_or_default();
                differ(&format!("{at}/{name}"), &of(a), &of(b), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differ(&format!("{at}/{index}"), a, b, found);
            }
        }
        _ if !canonically_equal(wanted, got) => found.push((at.to_owned(), wanted.clone(), got.clone())),
        _ => {}
    }
}

/// Tries every law of a plan on `pairs` generated pairs.
#[must_use]
pub fn prove(object: &ObjectType, plan: &Plan, pairs: usize, seed: u64) -> Report {
    let context = Context::new("example-clinic");
    let zoned = Context::new("example-clinic").in_zone("America/Chicago");
    let mut rng = Rng::with_seed(seed);
    let paths = plan.rule_paths();
    let frames = || (0..plan.part_count()).map(|part| Frame::new(&paths, part)).collect();
    let trials = [&context, &zoned].map(|context| Trial { plan, context, frames: frames() });
    let objects = Objects::new(object, plan);
    let makers = [&context, &zoned].map(|context| Resources::new(object, plan, context));
    let mut report = Report {
        mapping: object.name().to_owned(),
        dialect: plan.dialect().to_owned(),
        laws: Law::ALL.into_iter().map(|law| (law, Verdict::default())).collect(),
        unsayable: 0,
    };
    let mut tried = 0;
    for number in 0..pairs * 3 {
        if tried >= pairs {
            break;
        }
        let side = number % 2;
        let made = (objects.make(&mut rng), objects.make(&mut rng), objects.make(&mut rng));
        let (Some(object_made), Some(earlier), Some(there)) = made else { continue };
        let Some(base) = makers[side].make(&there, &mut rng) else {
            report.unsayable += 1;
            continue;
        };
        let pair = Pair { object: object_made, earlier, base };
        if plan.put(&pair.object, &pair.base, trials[side].context).is_err() {
            report.unsayable += 1;
            continue;
        }
        tried += 1;
        for (law, verdict) in &mut report.laws {
            match trials[side].try_law(*law, &pair) {
                Outcome::Unsayable => {}
                Outcome::Holds => verdict.pairs += 1,
                Outcome::Broken(_) => {
                    verdict.pairs += 1;
                    verdict.failed += 1;
                    if verdict.counterexample.is_none() {
                        verdict.counterexample = Some(shrink::smallest(&trials[side], *law, object, pair.clone()));
                    }
                }
            }
        }
    }
    report
}
