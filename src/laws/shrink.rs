//! The smallest counterexample: members and items are left out one after the other for as long as the law stays broken.

use serde_json::Value;

use super::{
    law::{Law, Outcome, Pair, Trial},
    prove::Counterexample,
};
use crate::mapping::ObjectType;

/// Trials at most, so that a broken mapping is told soon.
const TRIALS: usize = 3_000;

/// Shrinks a pair on which `law` is broken.
pub(super) fn smallest(trial: &Trial<'_>, law: Law, object: &ObjectType, pair: Pair) -> Counterexample {
    let mut pair = pair;
    let mut left = TRIALS;
    loop {
        let before = left;
        let mut smaller = false;
        for field in 0..2 {
            let valid = |pair: &Pair| object.is_valid(if field == 0 { &pair.object } else { &pair.earlier });
            let value = |pair: &Pair| if field == 0 { pair.object.clone() } else { pair.earlier.clone() };
            let set = |pair: &mut Pair, value| if field == 0 { pair.object = value } else { pair.earlier = value };
            smaller |= reduce(&mut pair, &value, &set, &valid, trial, law, &mut left);
        }
        for part in 0..pair.base.len() {
            let value = |pair: &Pair| pair.base[part].resource.clone();
            let set = |pair: &mut Pair, value| pair.base[part].resource = value;
            smaller |= reduce(&mut pair, &value, &set, &|_| true, trial, law, &mut left);
        }
        if !smaller || left == 0 || left == before {
            break;
        }
    }
    let differences = match trial.try_law(law, &pair) {
        Outcome::Broken(differences) => differences,
        _ => Vec::new(),
    };
    let rule = differences.first().and_then(|(pointer, ..)| blame(trial, law, pointer));
    let earlier = (law == Law::PutPut).then_some(pair.earlier);
    Counterexample { object: pair.object, earlier, base: pair.base, differences, rule }
}

fn blame(trial: &Trial<'_>, law: Law, pointer: &str) -> Option<String> {
    let names: Vec<&str> = pointer.split('/').skip(1).filter(|step| step.parse::<usize>().is_err()).collect();
    match law {
        Law::PutGet | Law::PutPut | Law::Total => trial.plan.rule_of_field(&names.join(".")),
        Law::GetPut | Law::Frame => {
            let path = names.join(".").replace("._", ".");
            let paths = trial.plan.rule_paths();
            let fits =
                |own: &str| path == own || path.starts_with(&format!("{own}.")) || own.starts_with(&format!("{path}."));
            paths
                .iter()
                .filter(|own| !own.rule.is_empty() && fits(&own.path))
                .max_by_key(|own| own.path.len())
                .map(|own| own.rule.clone())
        }
    }
}

/// Leaves out what can be left out of one value of the pair.
fn reduce(
    pair: &mut Pair,
    value: &dyn Fn(&Pair) -> Value,
    set: &dyn Fn(&mut Pair, Value),
    valid: &dyn Fn(&Pair) -> bool,
    trial: &Trial<'_>,
    law: Law,
    left: &mut usize,
) -> bool {
    let mut smaller = false;
    let mut places = Vec::new();
    pointers(&value(pair), String::new(), &mut places);
    for place in places {
        if *left == 0 {
            break;
        }
        let Some(reduced) = without(&value(pair), &place) else { continue };
        *left -= 1;
        let mut candidate = pair.clone();
        set(&mut candidate, reduced);
        if valid(&candidate) && matches!(trial.try_law(law, &candidate), Outcome::Broken(_)) {
            *pair = candidate;
            smaller = true;
        }
    }
    smaller
}

/// All places, the outer ones first; the last items of lists before the first, so that pointers stay true.
fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.keys().filter(|name| *name != "resourceType").map(|name| format!("{at}/{name}")));
            members.iter().for_each(|(name, inner)| pointers(inner, format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            found.extend((0..items.len()).rev().map(|index| format!("{at}/{index}")));
            items.iter().enumerate().rev().for_each(|(index, inner)| pointers(inner, format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

fn without(value: &Value, pointer: &str) -> Option<Value> {
    let (owner, name) = pointer.rsplit_once('/')?;
    let mut reduced = value.clone();
    match reduced.pointer_mut(owner)? {
        Value::Object(members) => drop(members.shift_remove(name)?),
        Value::Array(items) => {
            let index: usize = name.parse().ok()?;
            if index >= items.len() {
                return None;
            }
            items.remove(index);
        }
        _ => return None,
    }
    Some(reduced)
}
