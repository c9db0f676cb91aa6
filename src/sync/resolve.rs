//! Conflicts decided field by field: what both sides were is merged once more, each field goes as a person says, and what is
//! left different on purpose is kept as settled. Whatever a decision replaces of theirs is kept beside it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    Choice, Error,
    desk::Desk,
    inbound::Topic,
    merge::{Decision, Differences, Merged, dotted, left, occasion},
    prepare::Held,
    record,
    setup::System,
};
use crate::{
    fhir::canonical_bytes,
    ledger::{Check, Draft, Expect, Fact, Hash, ItemKind, ItemRow, LedgerError, Operation, Proposal, Remote, SyncId},
    mapping::{MAIN, merge::FieldRule},
};

/// What the EHR held when both agreed last (where that is known), and when the conflict was found.
type Sides = (Option<Vec<Held>>, Vec<Held>);

impl Desk {
    pub(super) async fn resolve_conflict(
        &self,
        item: &ItemRow,
        topic: &Topic,
        system: &System,
        note: String,
        fields: &BTreeMap<String, Choice>,
        by: &str,
    ) -> Result<(), Error> {
        let inner = &self.translator;
        let subject = inner.subject(&topic.object, &topic.id, system)?;
        let (before, after) = self.sides(&topic.sync, item)?;
        let occasion = occasion(before.as_deref().unwrap_or_default());
        let outcome = inner.merged(system, &subject, before.as_deref(), &after, occasion);
        let (mut merged, mut settled, rules) = (outcome.merged, outcome.settled, subject.plan.fields());
        self.ask_as_before(item, &mut merged, rules)?;
        let mut overruled = std::mem::take(&mut merged.overruled);
        for (name, choice) in fields {
            let name = dotted(name);
            let Some(field) = merged.conflicts.iter().find(|field| dotted(&field.path) == name).cloned() else {
                return Err(Error::Decision(format!("{name} is not in question")));
            };
            let decision = match choice {
                Choice::Ours => Decision::Ours,
                Choice::Theirs => Decision::Theirs,
                Choice::Value(decided) => Decision::Value(Some(decided.clone()).filter(|value| !value.is_null())),
            };
            merged.decide(rules, &field.path, decision);
            if *choice == Choice::Ours {
                settled.insert(field.path.clone(), left(rules, &field, true));
            }
            overruled.extend(Some(field).filter(|field| *choice != Choice::Theirs && field.theirs.is_some()));
        }
        if let Some(field) = merged.conflicts.first() {
            return Err(Error::Decision(format!("{} is still to be decided", dotted(&field.path))));
        }
        let (value, send) = (merged.value, merged.keeps_ours);
        if let Some(kind) = inner.mappings.now().object(topic.object.as_str()) {
            inner.check_object(kind, Some(&subject.ours), &value)?;
        }
        let findings = inner.translate(&topic.object, &value, system)?.findings;
        if !findings.is_empty() {
            return Err(Error::Invalid(findings));
        }
        let mut choices = serde_json::Map::new();
        for (name, choice) in fields {
            let word = match choice {
                Choice::Ours => json!("ours"),
                Choice::Theirs => json!("theirs"),
                Choice::Value(_) => json!("value"),
            };
            choices.insert(dotted(name), word);
        }
        let words = if choices.is_empty() { note } else { format!("{note}\n{}", Value::Object(choices)) };
        let note = Bytes::from(words);
        let theirs = with_settled(item, settled);
        let fact = Fact::Resolved { item: item.id.clone(), send, remotes: theirs.clone() };
        let mut resolved = self.about(item, Draft::new(fact, by, "Decided by a person."))?;
        resolved.body = Some(Hash::of(&note));
        let changed = canonical_bytes(&value) != canonical_bytes(&subject.ours);
        let proposal = if changed {
            let applied = self.decided(topic, &subject, &value, theirs, send, by);
            resolved.version = Some(subject.version + 1);
            let expect = Expect::Version(subject.version);
            applied.and(resolved).check(Check::Object(topic.object.clone(), topic.id.clone(), expect))
        } else {
            Proposal::of(resolved)
        };
        let (kept, detail) = record::overruled(topic, subject.version, &overruled, by);
        let proposal = record::with(kept.into_iter().fold(proposal, Proposal::and), detail);
        let proposal = proposal.body(note).check(Check::ItemOpen(item.id.clone()));
        self.recorder.ledger.commit(proposal).await?;
        Ok(())
    }

    /// A conflict that is dismissed stays as it is on both sides, and is not asked about again while it does.
    pub(super) fn left_different(&self, item: &ItemRow, by: &str) -> Result<Option<Draft>, Error> {
        let (ItemKind::Conflict, Some(object), Some(id), Some(system), false) = (
            item.kind,
            &item.object,
            &item.object_id,
            item.system.as_ref().and_then(|name| self.system(name)),
            item.theirs.is_empty(),
        ) else {
            return Ok(None);
        };
        let topic = Topic::new(object, id, system.name());
        let subject = self.translator.subject(object, id, system)?;
        let (before, after) = self.sides(&topic.sync, item)?;
        let occasion = occasion(before.as_deref().unwrap_or_default());
        let outcome = self.translator.merged(system, &subject, before.as_deref(), &after, occasion);
        let rules = subject.plan.fields();
        let (mut merged, mut settled) = (outcome.merged, outcome.settled);
        self.ask_as_before(item, &mut merged, rules)?;
        settled.extend(merged.conflicts.iter().map(|field| (field.path.clone(), left(rules, field, false))));
        let fact = Fact::Observed { remotes: with_settled(item, settled) };
        let draft = Draft::new(fact, by, "Left as it is on both sides.");
        Ok(Some(topic.draft(draft, subject.version)))
    }

    /// What an item asks about is a person's to decide, whatever would become of it by itself by now.
    fn ask_as_before(&self, item: &ItemRow, merged: &mut Merged, rules: &FieldRule) -> Result<(), Error> {
        let detail = item.detail.map_or(Ok(Value::Null), |hash| self.translator.read_body(&hash))?;
        for asked in detail["fields"].as_array().into_iter().flatten() {
            let decided = merged.taken.iter().chain(&merged.yielded).chain(&merged.overruled);
            let path = decided.map(|field| field.path.clone()).find(|path| asked["path"] == dotted(path));
            path.into_iter().for_each(|path| merged.doubt(rules, &path));
        }
        Ok(())
    }

    /// What the EHR held when both sides agreed last, and what it held when the conflict was found.
    fn sides(&self, sync: &SyncId, item: &ItemRow) -> Result<Sides, Error> {
        let mut held = self.translator.held(sync)?;
        let based = held.iter().any(|held| held.part == MAIN && held.body.is_some());
        let before = based.then(|| held.clone());
        for theirs in &item.theirs {
            let body = theirs.body.as_ref().map(|hash| self.translator.read_body(hash)).transpose()?;
            if let Some(held) = held.iter_mut().find(|held| held.part == theirs.part) {
                held.body = body;
            }
        }
        if held.iter().all(|held| held.body.is_none()) {
            return Err(Error::Ledger(LedgerError::NoObject));
        }
        Ok((before, held))
    }

    /// The version that a decision makes.
    fn decided(
        &self,
        topic: &Topic,
        subject: &super::prepare::Subject,
        value: &Value,
        remotes: Vec<Remote>,
        send: bool,
        by: &str,
    ) -> Proposal {
        let bytes = Bytes::from(serde_json::to_vec(value).unwrap_or_default());
        let targets = self.translator.aims(&topic.object, &topic.id, Some(&topic.system).filter(|_| !send));
        let fact = Fact::Applied {
            operation: Operation::Updated,
            content: Hash::of(&canonical_bytes(value)),
            remotes,
            targets,
        };
        let draft = Draft::new(fact, by, "Decided by a person.")
            .about(&topic.object, &topic.id, subject.version + 1)
            .system(&topic.system)
            .sync_id(&topic.sync)
            .body(Hash::of(&bytes));
        Proposal::of(draft).body(bytes)
    }
}

/// What the EHR held when the conflict was found, with what stays different.
fn with_settled(item: &ItemRow, settled: Differences) -> Vec<Remote> {
    let mut theirs = item.theirs.clone();
    if let Some(main) = theirs.iter_mut().find(|remote| remote.part == MAIN) {
        main.settled = Some(settled);
    }
    theirs
}
