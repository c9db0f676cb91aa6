//! The one merge as sync uses it: what an EHR holds against what stands here, with what was settled before, and what stays
//! settled after. Which field becomes what is the mapping room's to say (`mapping::merge`); here it is loaded and written down.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    Error,
    prepare::{Held, Subject},
    setup::System,
    translator::Translator,
};
pub(super) use crate::mapping::merge::{Decision, Field, Merged, Occasion, dotted, merge_patch, set};
use crate::{
    ledger::{Hash, Settled},
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
    /// Paths of conflicts about what came back to what it was before another EHR changed it.
    pub back: Vec<String>,
}

impl Outcome {
    /// Nothing is to be taken over, sent or asked.
    pub fn is_quiet(&self) -> bool {
        let Merged { takes_theirs, keeps_ours, conflicts, dropped, .. } = &self.merged;
        !takes_theirs && !keeps_ours && conflicts.is_empty() && dropped.is_empty()
    }

    /// Nothing of theirs is replaced by ours without a person.
    pub fn doubt_overruled(&mut self, rules: &FieldRule) {
        let paths: Vec<String> = self.merged.overruled.iter().map(|field| field.path.clone()).collect();
        paths.iter().for_each(|path| self.merged.doubt(rules, path));
    }
}

/// How what the EHR holds came to be known.
pub(super) fn occasion(held: &[Held]) -> Occasion {
    if held.iter().any(|held| held.sent) { Occasion::Answered } else { Occasion::Fetched }
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
    let SettledPair { ours, theirs, base } = field.settle(rules);
    Settled { ours, theirs, base, insisted }
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
        let theirs = read(after);
        let outcome = self.compared(system, subject, base.as_ref(), &theirs, &settled(after), occasion);
        self.doubted(system, subject, outcome, &theirs)
    }

    /// Compares, and leaves alone what the system is known not to keep: that it lacks that is nobody's removal.
    pub fn compared(
        &self,
        system: &System,
        subject: &Subject,
        base: Option<&Value>,
        theirs: &Value,
        before: &Differences,
        occasion: Occasion,
    ) -> Outcome {
        let outcome = compare(subject, base, theirs, before, occasion);
        let lacks = |field: &&Field| field.theirs.is_none() && field.base.is_some();
        let not_kept = |field: &&Field| self.is_not_kept(system, subject, field);
        let dropped: Vec<Field> = outcome.merged.taken.iter().filter(lacks).filter(not_kept).cloned().collect();
        if dropped.is_empty() {
            return outcome;
        }
        let mut before = before.clone();
        let rules = subject.plan.fields();
        before.extend(dropped.iter().map(|field| (field.path.clone(), left(rules, field, false))));
        let mut outcome = compare(subject, base, theirs, &before, occasion);
        outcome.merged.dropped.extend(dropped);
        outcome
    }

    /// Whether people were told that a system does not keep a field of this kind of object.
    fn is_not_kept(&self, system: &System, subject: &Subject, field: &Field) -> bool {
        names_of(std::slice::from_ref(field)).iter().any(|name| {
            let told = super::record::dropped(name, &subject.object, system.name(), 0);
            let about = told.subject.as_deref().unwrap_or_default();
            self.ledger.last_item(about).is_ok_and(|item| item.is_some())
        })
    }

    /// What comes back to what it was before another EHR changed it is no news: within a day a person is asked, else a value
    /// could go round between EHRs for ever.
    fn doubted(&self, system: &System, subject: &Subject, mut outcome: Outcome, theirs: &Value) -> Outcome {
        if self.systems.len() < 2 || !outcome.merged.takes_theirs {
            return outcome;
        }
        let rules = subject.plan.fields();
        let fields = || outcome.merged.taken.iter().chain(&outcome.merged.yielded);
        let mut back: Vec<String> = Vec::new();
        // What cannot be read any more tells nothing.
        for (was, became) in self.changed_elsewhere(system, subject).unwrap_or_default() {
            for field in fields().filter(|field| !back.contains(&field.path)).collect::<Vec<_>>() {
                let top = field.path.split('/').nth(1).unwrap_or_default();
                let (was, became, now) = (was.get(top), became.get(top), theirs.get(top));
                let pointer = format!("/{top}");
                if rules.same(&pointer, was, now) && !rules.same(&pointer, became, now) {
                    back.push(field.path.clone());
                }
            }
        }
        for path in &back {
            outcome.merged.doubt(rules, path);
        }
        outcome.back = back;
        outcome
    }

    /// The versions that other EHRs made of an object within the last day, each with the one before it.
    fn changed_elsewhere(&self, system: &System, subject: &Subject) -> Result<Vec<(Value, Value)>, Error> {
        let since = self.clock.now().saturating_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN);
        let mut changes = Vec::new();
        let mut version: Option<Hash> = None;
        for entry in self.ledger.history(&subject.object, &subject.id)? {
            let Some(body) = entry.draft.body.filter(|_| entry.draft.fact.makes_version()) else { continue };
            let before = version.replace(body);
            let elsewhere = entry.draft.system.as_ref().is_some_and(|there| there != system.name());
            if let Some(before) = before.filter(|_| elsewhere && entry.at >= since) {
                let said = |hash| Ok::<_, Error>(subject.plan.normalise(&self.read_body(hash)?, &subject.context));
                changes.push((said(&before)?, said(&body)?));
            }
        }
        Ok(changes)
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
        .map(|(path, pair)| {
            let (ours, theirs, base) = (pair.ours.clone(), pair.theirs.clone(), pair.base.clone());
            (path.clone(), SettledPair { ours, theirs, base })
        })
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
        let insisted = |field: &Field| {
            let same = |pair: &Settled| pair.insisted && pair.is_of(&left(rules, field, true));
            before.get(&field.path).is_some_and(same)
        };
        (again, merged.conflicts) = std::mem::take(&mut merged.conflicts).into_iter().partition(insisted);
    }
    let stays = again.iter().chain(&merged.dropped).map(|field| (field.path.clone(), left(rules, field, false)));
    settled.extend(stays);
    Outcome { merged, settled, again, back: Vec::new() }
}
