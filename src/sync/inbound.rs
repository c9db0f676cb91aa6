//! Taking in what an EHR holds: known resources are merged, unknown ones become objects or are joined to one by
//! identifier, and what cannot be understood waits for a person. Nothing is lost, nothing is guessed.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use serde_json::Value;

use super::{
    Error, identity,
    identity::Match,
    merge::{Occasion, Outcome, occasion},
    prepare::{Held, Subject, part_name},
    puller::Puller,
    record::{self, LIAISON, Trouble, same_content},
    recorder::Taking,
    setup::System,
};
use crate::{
    domain::{ObjectId, ObjectName, SystemName},
    ehr::{self, Seen},
    ledger::{Check, Draft, Fact, Hash, ItemKind, PartRow, Proposal, Remote, SyncId, SyncRow, SyncState},
    mapping::{MAIN, ObjectType},
};

/// One object at one system.
#[derive(Clone, Debug)]
pub(super) struct Topic {
    pub object: ObjectName,
    pub id: ObjectId,
    pub system: SystemName,
    pub sync: SyncId,
}

impl Topic {
    pub fn new(object: &ObjectName, id: &ObjectId, system: &SystemName) -> Self {
        let sync = SyncId::of(object, id, system);
        Self { object: object.clone(), id: id.clone(), system: system.clone(), sync }
    }
    pub fn of(row: &SyncRow) -> Self {
        Self { object: row.object.clone(), id: row.object_id.clone(), system: row.system.clone(), sync: row.id.clone() }
    }
    pub fn draft(&self, draft: Draft, version: u64) -> Draft {
        draft.about(&self.object, &self.id, version).system(&self.system).sync_id(&self.sync)
    }
}

/// Whether a resource was dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Recorded, or nothing to record.
    Done,
    /// A push of ours is under way: looked at again later.
    Held,
}

/// What was found of an object, and what comparing came to.
struct Found {
    outcome: Outcome,
    occasion: Occasion,
    seen: Sighting,
    /// What history says beside.
    remark: String,
    /// That it was linked just before.
    linked: Option<Draft>,
}

/// A part seen, with its body's bytes.
pub(super) type Sighting = (Remote, Option<Bytes>);

impl Puller {
    /// Takes in one resource as a list showed it.
    pub async fn take_in(&self, system: &System, resource: Value) -> Result<Taken, Error> {
        if Seen::name(&resource).is_none() {
            let bytes = Bytes::from(serde_json::to_vec(&resource).unwrap_or_default());
            let kind = crate::fhir::resource_type(&resource).unwrap_or("list").to_owned();
            return self.nameless(system, &kind, "without type or id", bytes).await;
        }
        let Some(seen) = Seen::of(resource) else { return Ok(Taken::Done) };
        match self.recorder.ledger.linked_at(system.name(), &seen.reference())?.into_iter().next() {
            Some(part) => self.known(system, seen, &part).await,
            None => self.stranger(system, seen).await,
        }
    }

    /// A resource that an object of ours is linked to.
    async fn known(&self, system: &System, seen: Seen, part: &PartRow) -> Result<Taken, Error> {
        let row = self.recorder.ledger.sync(&part.sync_id)?;
        if row.as_ref().is_some_and(|row| matches!(row.state(), SyncState::Sending | SyncState::Unknown)) {
            return Ok(Taken::Held);
        }
        let mut held = self.translator.held(&part.sync_id)?;
        let Some(at) = held.iter().position(|held| held.part == part.part) else { return Ok(Taken::Done) };
        let same = |seen: &Seen, held: &Held| {
            seen.body.as_ref().zip(held.body.as_ref()).is_some_and(|(a, b)| same_content(a, b))
        };
        if same(&seen, &held[at]) {
            let topic = Topic::new(&part.object, &part.object_id, system.name());
            self.name_targets(system, &topic, row.as_ref(), &held).await?;
            return Ok(Taken::Done);
        }
        // A person was told about just this already.
        let (subject_of, shown) = (format!("{} {}", system.name(), seen.reference()), seen.body.clone());
        if self.is_known(&subject_of, shown.as_ref()) {
            return Ok(Taken::Done);
        }
        let reference = seen.reference();
        if self.rests(system, &reference) {
            return Ok(Taken::Held);
        }
        // Lists lag and may show an older state: what counts is what a read shows now.
        let seen = match system.read(&self.translator.clock, &seen.kind, &seen.id).await {
            Ok(now) => {
                self.readable(system, &reference).await?;
                now
            }
            // Whether it is the record or the EHR shows when it is taken up.
            Err(failure) if failure.concerns_all() => return Ok(Taken::Held),
            Err(failure) => {
                self.unreadable(system, &reference, &failure).await?;
                if !failure.needs_person() || failure.kind == ehr::Kind::Gone {
                    return Ok(Taken::Held);
                }
                // Asking again would not help, and may be watched: a person was told, once.
                self.now_known(&subject_of, shown.as_ref());
                return Ok(Taken::Done);
            }
        };
        let Some(body) = seen.body.clone() else { return Ok(Taken::Held) };
        let topic = Topic::new(&part.object, &part.object_id, system.name());
        // A push may have begun while we read.
        let now = self.recorder.ledger.sync(&part.sync_id)?;
        if now.as_ref().map(|row| row.seq) != row.as_ref().map(|row| row.seq) {
            return Ok(Taken::Held);
        }
        let (remote, bytes) = record::remote(&part.part, &seen);
        if same(&seen, &held[at]) {
            let moved = match (&seen.version, &held[at].version) {
                (Some(seen), Some(held)) => !ehr::same_version(seen, held),
                (seen, held) => seen != held,
            };
            if moved {
                self.recorder.observed(&topic, vec![(remote, bytes)], None).await?;
            }
            return Ok(Taken::Done);
        }
        let subject = self.translator.subject(&part.object, &part.object_id, system)?;
        let remark = match self.broken(system, &seen, &body, Some(&subject.plan)) {
            Ok(remark) => remark,
            Err(trouble) => {
                self.now_known(&subject_of, shown.as_ref());
                return self.recorder.puzzled(system, &trouble, bytes).await;
            }
        };
        let base = held[at].body.as_ref();
        let before = base.map(|_| held.clone());
        let occasion = occasion(&held);
        held[at].body = Some(body);
        let outcome = self.translator.merged(system, &subject, before.as_deref(), &held, occasion);
        let found = Found { outcome, occasion, seen: (remote, bytes), remark, linked: None };
        let taken = self.settle_inbound(&topic, &subject, row.as_ref(), found).await?;
        self.recorder.answered(&subject_of, "It could be taken in.").await?;
        self.judge_again(&topic).await?;
        Ok(taken)
    }

    async fn settle_inbound(
        &self,
        topic: &Topic,
        subject: &Subject,
        row: Option<&SyncRow>,
        found: Found,
    ) -> Result<Taken, Error> {
        let Found { outcome, occasion, seen, remark, linked } = found;
        let merged = &outcome.merged;
        if !merged.conflicts.is_empty() {
            // The same disagreement need not be told twice.
            let told =
                row.and_then(|row| row.worklist_id.as_deref()).map_or(Ok(None), |id| self.recorder.ledger.item(id))?;
            if told.is_some_and(|item| item.status.is_open() && item.theirs.iter().any(|t| t.body == seen.0.body)) {
                return Ok(Taken::Done);
            }
            let about = (&outcome, occasion);
            self.recorder.conflict(topic, subject.version, about, seen, linked).await?;
            return Ok(Taken::Done);
        }
        self.recorder.dropped(topic, &outcome).await?;
        let mut all = vec![seen];
        if all[0].0.part != MAIN {
            // What stays settled is kept with the main part.
            let parts = self.recorder.ledger.parts(&topic.sync)?;
            all.extend(parts.iter().filter(|part| part.part == MAIN).map(|part| (record::as_it_is(part), None)));
        }
        for (main, _) in all.iter_mut().filter(|(remote, _)| remote.part == MAIN) {
            main.settled = Some(outcome.settled.clone());
        }
        let at_rest = row.is_none_or(|row| matches!(row.state(), SyncState::Synced | SyncState::Resolved));
        let overrules = !merged.overruled.is_empty();
        if merged.takes_theirs || (overrules && at_rest) {
            let back = overrules || (merged.keeps_ours && !at_rest);
            let overruled = merged.overruled.as_slice();
            let (version, value, seen) = (subject.version, &merged.value, all);
            let taking = Taking { version, value, seen, back, overruled, remark: &remark, linked };
            self.tell_out_of_use(topic, &subject.ours, value).await?;
            self.recorder.apply(topic, taking).await?;
        } else {
            self.recorder.observed(topic, all, linked).await?;
        }
        Ok(Taken::Done)
    }

    /// A resource that nothing of ours is linked to.
    async fn stranger(&self, system: &System, seen: Seen) -> Result<Taken, Error> {
        let Some(body) = seen.body.clone() else { return Ok(Taken::Done) };
        let sighting = record::remote(MAIN, &seen);
        if let Some((object, id)) = identity::claimed(&body, &self.translator.instance)
            && self.recorder.ledger.object(&object, &id)?.is_some()
        {
            let topic = Topic::new(&object, &id, system.name());
            let row = self.recorder.ledger.sync(&topic.sync)?;
            return match row {
                Some(row) if !row.remote.is_empty() => {
                    let sentence = "A second record at the EHR carries our identifier.";
                    let trouble = Trouble::new(ItemKind::Identity, "LIA-EHR-007", sentence)
                        .cause(&[system.name().as_str(), object.as_str()])
                        .subject(format!("{} {}", system.name(), seen.reference()));
                    self.recorder.puzzled(system, &trouble, sighting.1).await
                }
                // Our own push, whose answer is still to come or lost: settled there.
                Some(row) if row.state().is_pending() => Ok(Taken::Held),
                Some(row) if row.state() == SyncState::Parked => {
                    let reference = seen.reference();
                    if self.rests(system, &reference) {
                        return Ok(Taken::Held);
                    }
                    // What only lists show is not there again.
                    match system.read(&self.translator.clock, &seen.kind, &seen.id).await {
                        Ok(_) => {
                            self.readable(system, &reference).await?;
                            self.turned_up(system, &row, sighting).await
                        }
                        Err(failure) if failure.concerns_all() => Ok(Taken::Held),
                        Err(failure) => {
                            self.unreadable(system, &reference, &failure).await?;
                            Ok(Taken::Held)
                        }
                    }
                }
                _ => self.adopt(system, &topic, &body, sighting).await,
            };
        }
        let kind = self.translator.mappings.now().object_for(&body).cloned();
        let object = kind.as_ref().and_then(|kind| ObjectName::new(kind.name()).ok());
        let plan = object.map(|object| self.translator.plan(&object, system)).transpose()?;
        let remark = match self.broken(system, &seen, &body, plan.as_deref()) {
            Ok(remark) => remark,
            Err(trouble) => return self.recorder.puzzled(system, &trouble, sighting.1).await,
        };
        let Some(kind) = kind else {
            let trouble = Trouble::new(
                ItemKind::Inbound,
                "LIA-SYNC-014",
                format!("{} from {} fits no kind of object here.", crate::domain::capital_a(&seen.kind), system.name()),
            )
            .cause(&[system.name().as_str(), &seen.kind])
            .subject(format!("{} {}", system.name(), seen.reference()));
            return self.recorder.puzzled(system, &trouble, sighting.1).await;
        };
        self.new_or_matched(system, &kind, &seen, &body, sighting, &remark).await
    }

    /// What a person was asked about is at the EHR: it is linked, and looked at like any other open outcome.
    async fn turned_up(&self, system: &System, row: &SyncRow, seen: Sighting) -> Result<Taken, Error> {
        let sentence = "The EHR shows it.";
        let subject = self.translator.subject(&row.object, &row.object_id, system)?;
        let base = match row.in_flight() {
            Some(flight) => self.translator.resource_sent(system, row, &subject, &[], flight)?,
            None => None,
        };
        let bytes = base.as_ref().and_then(|base| serde_json::to_vec(base).ok()).map(Bytes::from);
        let sent = bytes.is_some();
        let found = Remote { body: bytes.as_deref().map(Hash::of), version: None, sent, ..seen.0 };
        let linked = Draft::new(Fact::Linked { remotes: vec![found] }, LIAISON, sentence).sync(row);
        let mut proposal = Proposal::of(linked);
        if let Some(item) = row.worklist_id.clone() {
            proposal = proposal.and(Draft::new(Fact::Retried { item }, LIAISON, sentence).sync(row));
        }
        let proposal = proposal.check(Check::SyncAt(row.id.clone(), row.seq));
        self.recorder.ledger.commit(record::with(proposal, bytes)).await?;
        Ok(Taken::Done)
    }

    async fn new_or_matched(
        &self,
        system: &System,
        kind: &ObjectType,
        seen: &Seen,
        body: &Value,
        sighting: Sighting,
        remark: &str,
    ) -> Result<Taken, Error> {
        let Ok(object) = ObjectName::new(kind.name()) else { return Ok(Taken::Done) };
        let plan = self.translator.plan(&object, system)?;
        let others = self.companions(system, body).await;
        let mut held = vec![Held::found(MAIN, seen.reference(), None, seen.body.clone())];
        let resources: Vec<Value> =
            std::iter::once(body.clone()).chain(others.iter().filter_map(|seen| seen.body.clone())).collect();
        for part in plan.parts(&resources).iter().filter(|part| *part.role != *MAIN) {
            if let Some(other) = others.iter().find(|other| other.body.as_ref() == Some(&part.resource)) {
                let (part, reference, body) = (part_name(part), other.reference(), other.body.clone());
                held.push(Held::found(&part, reference, other.version.clone(), body));
            }
        }
        let mut read = self.translator.read_back(&plan, &held, system);
        let matched = if identity::is_registered(kind.resource_type()) {
            self.translator.index.find(&self.recorder.ledger, &object, &read)?
        } else {
            Match::Nobody
        };
        let unclear = |sentence: &str| {
            Trouble::new(ItemKind::Identity, "LIA-SYNC-015", sentence)
                .cause(&[system.name().as_str(), object.as_str(), sentence])
                .subject(format!("{} {}", system.name(), seen.reference()))
        };
        match matched {
            Match::One(id) => {
                let topic = Topic::new(&object, &id, system.name());
                if self.recorder.ledger.parts(&topic.sync)?.is_empty() {
                    return self.adopt(system, &topic, body, sighting).await;
                }
                let sentence = "Two records at the EHR share an identifier that belongs to one here.";
                self.recorder.puzzled(system, &unclear(sentence), sighting.1).await
            }
            Match::Unclear => {
                let sentence = "Its identifiers point to more than one record here, or contradict one.";
                self.recorder.puzzled(system, &unclear(sentence), sighting.1).await
            }
            Match::Nobody => {
                let claimed =
                    identity::claimed(body, &self.translator.instance).filter(|(o, _)| *o == object).map(|(_, id)| id);
                if claimed.is_some() {
                    self.translator.is_behind.store(true, Ordering::Relaxed);
                }
                let Some(id) = claimed.or_else(|| ObjectId::new(&self.translator.clock.new_id().to_string()).ok())
                else {
                    return Ok(Taken::Done);
                };
                if let Some(members) = read.as_object_mut() {
                    members.shift_remove("version");
                    members.shift_remove("id");
                    members.shift_insert(0, "id".to_owned(), Value::String(id.to_string()));
                }
                let mut seen = vec![sighting];
                for other in held.iter().skip(1) {
                    let found = others.iter().find(|seen| seen.reference() == other.reference);
                    seen.extend(found.map(|found| record::remote(&other.part, found)));
                }
                let taking =
                    Taking { version: 0, value: &read, seen, back: false, overruled: &[], remark, linked: None };
                self.recorder.apply(&Topic::new(&object, &id, system.name()), taking).await?;
                Ok(Taken::Done)
            }
        }
    }

    /// Joins a resource to an object that was here before.
    async fn adopt(&self, system: &System, topic: &Topic, body: &Value, seen: Sighting) -> Result<Taken, Error> {
        let subject = self.translator.subject(&topic.object, &topic.id, system)?;
        let held = [Held::found(MAIN, seen.0.reference.clone(), None, Some(body.clone()))];
        let row = self.recorder.ledger.sync(&topic.sync)?;
        // What was found is nobody's base: without what both agreed on before it was gone, all of it may be theirs.
        let before = row.as_ref().map_or(Ok(None), |row| self.translator.before_it_was_gone(row))?;
        let outcome = self.translator.merged(
            system,
            &subject,
            before.as_ref().map(<[Held; 1]>::as_slice),
            &held,
            Occasion::Fetched,
        );
        let sentence = "Found at the EHR by its identifier.";
        let found = Remote { body: None, version: None, ..seen.0.clone() };
        let linked = topic.draft(Draft::new(Fact::Linked { remotes: vec![found] }, LIAISON, sentence), subject.version);
        let found = Found { outcome, occasion: Occasion::Fetched, seen, remark: String::new(), linked: Some(linked) };
        self.settle_inbound(topic, &subject, row.as_ref(), found).await
    }
}
