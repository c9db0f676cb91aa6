//! The one merge as sync uses it: what an EHR holds against what stands here, with what was settled before, and what stays
//! settled after. Which field becomes what is the mapping room's to say (`mapping::merge`); here it is loaded and written down.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    prepare::{Held, Subject},
    setup::System,
    translator::Translator,
};
pub(super) use crate::mapping::merge::{Decision, Field, Merged, Occasion, dotted, merge_patch, set};
use crate::{
    ledger::Settled,
    mapping::{
        MAIN,
        merge::{self, FieldRule, SettledPair, Sides, merge},
    },
};

/// What is left different on purpose, by pointer into the object.
pub(super) type Differences = BTreeMap<String, Settled>;

/// What comparing both sides came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub merged: Merged,
    /// What stays settled.
    pub settled: Differences,
    /// A person wanted ours there, it was sent once, and the EHR answers the same as before.
    pub again: Vec<Field>,
}

impl Outcome {
    /// Nothing is to be taken over, sent or asked.
    pub fn is_quiet(&self) -> bool {
        let Merged { takes_theirs, keeps_ours, conflicts, dropped, .. } = &self.merged;
        !takes_theirs && !keeps_ours && conflicts.is_empty() && dropped.is_empty()
    }
}

/// How what the EHR holds came to be known.
pub(super) fn occasion(held: &[Held]) -> Occasion {
    let sent = held.iter().any(|held| held.part == MAIN && held.sent);
    if sent { Occasion::Answered } else { Occasion::Fetched }
}

/// What was settled before.
pub(super) fn settled(held: &[Held]) -> Differences {
    held.iter().find(|held| held.part == MAIN).map(|main| main.settled.clone()).unwrap_or_default()
}

/// The pointer of a path as people write it: `contact.phone` → `/contact/phone`.
pub(super) fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

/// The names of fields, for people, each once; of a list's item that of the list.
pub(super) fn names_of(fields: &[Field]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for field in fields {
        let steps = field.path.split('/').skip(1).filter(|step| !step.starts_with('#'));
        let name = steps.collect::<Vec<_>>().join(".");
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Leaves a field as it is on both sides.
pub(super) fn left(rules: &FieldRule, field: &Field, insisted: bool) -> Settled {
    let SettledPair { ours, theirs } = field.settle(rules);
    Settled { ours, theirs, insisted }
}

impl Translator {
    /// What a system holds, merged with what stands here; `before`: what it held when both agreed last, or what was sent.
    pub fn merged(
        &self,
        system: &System,
        subject: &Subject,
        before: Option<&[Held]>,
        after: &[Held],
        occasion: Occasion,
    ) -> Outcome {
        let read = |held: &[Held]| self.read_back(&subject.plan, held, system);
        let base = before.map(read);
        compare(subject, base.as_ref(), &read(after), &settled(after), occasion)
    }

    /// What is to be written: the object, but what is settled as the system holds it.
    pub fn to_write(&self, system: &System, subject: &Subject, held: &[Held]) -> Value {
        if settled(held).values().all(|pair| pair.insisted) {
            return subject.ours.clone();
        }
        self.merged(system, subject, Some(held), held, Occasion::Fetched).merged.outgoing
    }
}

/// Compares what is read out of both sides.
pub(super) fn compare(
    subject: &Subject,
    base: Option<&Value>,
    theirs: &Value,
    before: &Differences,
    occasion: Occasion,
) -> Outcome {
    let rules = subject.plan.fields();
    let said = subject.plan.normalise(&subject.ours, &subject.context);
    let pairs: merge::Settled = before
        .iter()
        .filter(|(_, pair)| !pair.insisted)
        .map(|(path, pair)| (path.clone(), SettledPair { ours: pair.ours.clone(), theirs: pair.theirs.clone() }))
        .collect();
    let sides = Sides { base, ours: &subject.ours, said: &said, theirs };
    let mut merged = merge(&sides, &pairs, occasion, rules);
    let mut settled = Differences::new();
    for (path, pair) in before {
        // What a person insists on is open until the EHR has answered.
        if merged.settled.contains(path) || pair.insisted && occasion == Occasion::Fetched {
            settled.insert(path.clone(), pair.clone());
        }
    }
    let mut again = Vec::new();
    if occasion == Occasion::Answered {
        let insisted = |field: &Field| before.get(&field.path).is_some_and(|pair| *pair == left(rules, field, true));
        (again, merged.conflicts) = std::mem::take(&mut merged.conflicts).into_iter().partition(insisted);
    }
    let stays = again.iter().chain(&merged.dropped).map(|field| (field.path.clone(), left(rules, field, false)));
    settled.extend(stays);
    Outcome { merged, settled, again }
}
