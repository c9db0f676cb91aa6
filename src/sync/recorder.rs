//! Facts written down: the one place from which the engine's own findings become entries. Bodies go with the facts that
//! name them; what a person is asked is known by what it is about, in the ledger, so that it is asked once, also after a
//! restart and when its bytes change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use serde_json::Value;

use super::{
    Error,
    inbound::{Sighting, Taken, Topic},
    merge::{Field, Occasion, Outcome, names_of},
    record::{self, LIAISON, Trouble},
    setup::System,
    translator::Translator,
};
use crate::{
    domain::{ObjectName, SystemName},
    fhir::canonical_bytes,
    ledger::{
        Check, Draft, Expect, Fact, Hash, ItemKind, ItemRow, Ledger, Operation, Proposal, Remote, State, SyncRow,
    },
};

/// Writes facts down.
pub(super) struct Recorder {
    pub ledger: Ledger,
    pub translator: Arc<Translator>,
    /// How many of a kind a system refused for the same cause, one after the other.
    streaks: Mutex<BTreeMap<(SystemName, ObjectName), (String, u32)>>,
}

impl Recorder {
    pub fn new(translator: Arc<Translator>) -> Self {
        Self { ledger: translator.ledger.clone(), translator, streaks: Mutex::default() }
    }

    /// A fact about a sync as its row stands.
    pub async fn about(&self, row: &SyncRow, fact: Fact, code: Option<&str>, sentence: &str) -> Result<(), Error> {
        self.commit(row, Self::draft(row, fact, code, sentence), Vec::new()).await
    }

    pub fn draft(row: &SyncRow, fact: Fact, code: Option<&str>, sentence: &str) -> Draft {
        let draft = Draft::new(fact, LIAISON, sentence).sync(row);
        match code {
            Some(code) => draft.code(code),
            None => draft,
        }
    }

    /// Commits a draft about a sync, if its row is still the one that was judged. What was sent has its outcome whatever was
    /// accepted meanwhile: there the transition alone judges.
    pub async fn commit(&self, row: &SyncRow, draft: Draft, bodies: Vec<Option<Bytes>>) -> Result<(), Error> {
        self.propose(row, Proposal::of(draft), bodies).await
    }

    /// As [`Self::commit`], of several.
    pub async fn propose(
        &self,
        row: &SyncRow,
        mut proposal: Proposal,
        bodies: Vec<Option<Bytes>>,
    ) -> Result<(), Error> {
        if !matches!(row.standing, State::Sending { .. }) {
            proposal = proposal.check(Check::SyncAt(row.id.clone(), row.seq));
        }
        self.ledger.commit(bodies.into_iter().fold(proposal, record::with)).await?;
        Ok(())
    }

    /// Gives a sync to a person. So many refusals of one cause in a row stop the line: one item instead of ten thousand.
    pub async fn park(&self, system: &System, row: &SyncRow, trouble: &Trouble) -> Result<(), Error> {
        let (draft, detail) = trouble.parked(LIAISON);
        self.commit(row, draft.sync(row), vec![detail]).await?;
        if trouble.kind == ItemKind::Rejected {
            self.refused(system, row, trouble).await?;
        }
        Ok(())
    }

    /// The EHR does not have an object any more: its links go, and a person is asked. Nothing is made again by itself.
    pub async fn gone(&self, system: &System, row: &SyncRow, trouble: &Trouble) -> Result<(), Error> {
        let parts: Vec<String> = self.ledger.parts(&row.id)?.into_iter().map(|part| part.part).collect();
        let (draft, detail) = trouble.parked(LIAISON);
        let asked = draft.sync(row);
        let unlinked = Self::draft(row, Fact::Unlinked { parts }, Some(trouble.code), "It is not there any more.");
        self.propose(row, Proposal::of(unlinked).and(asked), vec![detail]).await?;
        self.refused(system, row, trouble).await
    }

    async fn refused(&self, system: &System, row: &SyncRow, trouble: &Trouble) -> Result<(), Error> {
        let group = trouble.group();
        let (count, object) = {
            let mut streaks = self.streaks.lock().unwrap_or_else(PoisonError::into_inner);
            let streak = streaks.entry((row.system.clone(), row.object.clone())).or_default();
            if streak.0 != group {
                *streak = (group, 0);
            }
            streak.1 += 1;
            (streak.1, row.object.clone())
        };
        if count < system.config.stop_after {
            return Ok(());
        }
        let sentence = format!(
            "{count} in a row of kind {object} were refused by {} for the same cause, so no more of that kind are sent: {}",
            row.system, trouble.sentence
        );
        let stop = Trouble::new(ItemKind::Rejected, "LIA-SYNC-025", sentence)
            .cause(&[row.system.as_str(), object.as_str(), "line"])
            .subject(line_of(&row.system, &object))
            .next_step("Mend the cause (each refused one says it), then press retry here: sending goes on. The refused ones are retried by their group.");
        self.ask(&row.system, &stop, None).await
    }

    /// Something of a kind arrived: refusals before it were not in a row.
    pub fn arrived(&self, row: &SyncRow) {
        let mut streaks = self.streaks.lock().unwrap_or_else(PoisonError::into_inner);
        streaks.remove(&(row.system.clone(), row.object.clone()));
    }

    /// The line that is named so goes on: refusals are counted anew.
    pub fn forget_line(&self, line: &str) {
        let mut streaks = self.streaks.lock().unwrap_or_else(PoisonError::into_inner);
        streaks.retain(|(system, object), _| format!("{system} {object}") != line);
    }

    /// The kinds that are not sent to a system until a person says so.
    pub fn stopped(&self, system: &SystemName) -> Result<BTreeSet<ObjectName>, Error> {
        let lines = self.ledger.open_subjects(&format!("line {system} "))?;
        Ok(lines.iter().filter_map(|line| ObjectName::new(line.rsplit_once(' ')?.1).ok()).collect())
    }

    /// Asks a person about something that is no sync's. A question is known by what it is about: it is asked once; what was
    /// dismissed or settled by a person stays so until its matter changes.
    pub async fn ask(&self, system: &SystemName, trouble: &Trouble, body: Option<Bytes>) -> Result<(), Error> {
        let subject = trouble.subject.clone().unwrap_or_default();
        if let Some(last) = self.ledger.last_item(&subject)?
            && last.group == trouble.group()
            && (last.status.is_open() || last.is_answered())
        {
            return Ok(());
        }
        self.ask_again(system, trouble, body).await
    }

    /// As [`Self::ask`], whatever was answered before; one question is open about a subject at a time.
    pub async fn ask_again(&self, system: &SystemName, trouble: &Trouble, body: Option<Bytes>) -> Result<(), Error> {
        let (draft, detail) = trouble.parked(LIAISON);
        let mut draft = draft.system(system);
        if let Some((object, id)) = &trouble.about {
            draft.object = Some(object.clone());
            draft.object_id = Some(id.clone());
        }
        draft.body = body.as_deref().map(Hash::of);
        self.ledger.commit(record::with(record::with(Proposal::of(draft), detail), body)).await?;
        Ok(())
    }

    /// As [`Self::ask`], about something received.
    pub async fn puzzled(&self, system: &System, trouble: &Trouble, body: Option<Bytes>) -> Result<Taken, Error> {
        self.ask(system.name(), trouble, body).await?;
        Ok(Taken::Done)
    }

    /// A question has answered itself.
    pub async fn answered(&self, subject: &str, sentence: &str) -> Result<(), Error> {
        let Some(item) = self.ledger.open_item(subject)? else { return Ok(()) };
        let fact = Fact::Resolved { item: item.id.clone(), send: false, remotes: Vec::new() };
        let mut draft = Draft::new(fact, LIAISON, sentence).cause(item.created_seq);
        draft.system = item.system;
        (draft.object, draft.object_id) = (item.object, item.object_id);
        let proposal = Proposal::of(draft).check(Check::ItemOpen(item.id));
        match self.ledger.commit(proposal).await {
            // A person was quicker.
            Err(crate::ledger::LedgerError::ItemClosed) => Ok(()),
            other => other.map(drop).map_err(Error::from),
        }
    }

    /// Both sides changed a field.
    pub async fn conflict(
        &self,
        topic: &Topic,
        version: u64,
        (outcome, occasion): (&Outcome, Occasion),
        seen: Sighting,
        linked: Option<Draft>,
    ) -> Result<(), Error> {
        let trouble = record::conflict(outcome, occasion, &topic.object, &topic.system);
        let (draft, detail) = trouble.conflicted(vec![seen.0]);
        let proposal = after(linked, Proposal::of(topic.draft(draft, version)));
        self.ledger.commit(record::with(record::with(proposal, detail), seen.1)).await?;
        Ok(())
    }

    /// Link and base move; nothing else happens.
    pub async fn observed(&self, topic: &Topic, seen: Vec<Sighting>, linked: Option<Draft>) -> Result<(), Error> {
        let version = self.ledger.object(&topic.object, &topic.id)?.map_or(0, |row| row.version);
        let (remotes, bodies): (Vec<Remote>, Vec<Option<Bytes>>) = seen.into_iter().unzip();
        let fact = Fact::Observed { remotes };
        let draft = topic.draft(Draft::new(fact, LIAISON, "Seen at the EHR; nothing to do here."), version);
        let proposal = after(linked, Proposal::of(draft));
        self.ledger.commit(bodies.into_iter().fold(proposal, record::with)).await?;
        Ok(())
    }

    /// Fields that an EHR does not keep: one question a kind and field, with a count.
    pub async fn dropped(&self, topic: &Topic, outcome: &Outcome) -> Result<(), Error> {
        for name in names_of(&outcome.merged.dropped) {
            let known = record::dropped(&name, &topic.object, &topic.system, 1);
            let last = self.ledger.last_item(known.subject.as_deref().unwrap_or_default())?;
            if last.as_ref().is_some_and(|item| item.is_answered()) {
                continue;
            }
            let open = last.filter(|item| item.status.is_open());
            let before = open.map_or(Ok(0), |item| self.counted(&item))?;
            let trouble = record::dropped(&name, &topic.object, &topic.system, before + 1);
            self.ask_again(&topic.system, &trouble, None).await?;
        }
        Ok(())
    }

    fn counted(&self, item: &ItemRow) -> Result<u64, Error> {
        let detail = item.detail.map_or(Ok(Value::Null), |hash| self.translator.read_body(&hash))?;
        Ok(detail["fields"][0]["count"].as_u64().unwrap_or_default())
    }

    /// A person wanted ours there, and the EHR answers as before: told on the item that she closed.
    pub async fn answered_again(&self, topic: &Topic, item: Option<&str>) -> Result<(), Error> {
        let Some(item) = item else { return Ok(()) };
        let text = Bytes::from("It was sent once more, and the EHR answers the same as before: both stay as they are.");
        let fact = Fact::Commented { item: item.to_owned() };
        let draft = topic.draft(Draft::new(fact, LIAISON, "The EHR answers the same as before."), 0);
        let version = self.ledger.object(&topic.object, &topic.id)?.map(|row| row.version);
        let draft = Draft { version, ..draft }.body(Hash::of(&text));
        self.ledger.commit(Proposal::of(draft).body(text)).await?;
        Ok(())
    }

    /// A new version made from what a system holds. It goes to all other systems, and `back` there where something of
    /// ours is to be kept.
    pub async fn apply(&self, topic: &Topic, taking: Taking<'_>) -> Result<(), Error> {
        let Taking { version, value, seen, back, overruled, remark, linked } = taking;
        let mappings = self.translator.mappings.now();
        let transitions = mappings.object(topic.object.as_str()).and_then(|kind| kind.transitions().cloned());
        let cancelled = transitions
            .is_some_and(|t| t.cancel.is_some() && value.get(&t.field).and_then(Value::as_str) == t.cancel.as_deref());
        let operation = match (version, cancelled) {
            (0, _) => Operation::Created,
            (_, true) => Operation::Cancelled,
            _ => Operation::Updated,
        };
        let bytes = Bytes::from(serde_json::to_vec(value).unwrap_or_default());
        let content = Hash::of(&canonical_bytes(value));
        let targets = self.translator.aims(&topic.object, &topic.id, Some(&topic.system).filter(|_| !back));
        let (remotes, bodies): (Vec<Remote>, Vec<Option<Bytes>>) = seen.into_iter().unzip();
        let fact = Fact::Applied { operation, content, remotes, targets };
        let words = if version == 0 { "New at" } else { "Changed at" };
        let zones = match crate::mapping::remarks(value).len() {
            0 => "",
            _ => " A time's offset is not its zone's (LIA-TIME-005).",
        };
        let draft = Draft::new(fact, LIAISON, format!("{words} {}; taken over here.{remark}{zones}", topic.system));
        let expect = if version == 0 { Expect::NewOrEqual(content) } else { Expect::Version(version) };
        let draft = topic.draft(draft, version + 1).body(Hash::of(&bytes));
        let (kept, detail) = record::overruled(topic, version + 1, overruled, LIAISON);
        let proposal = kept.into_iter().fold(after(linked, Proposal::of(draft)), Proposal::and);
        let proposal = record::with(proposal, detail).body(bytes);
        let proposal = proposal.check(Check::Object(topic.object.clone(), topic.id.clone(), expect));
        self.ledger.commit(bodies.into_iter().fold(proposal, record::with)).await?;
        Ok(())
    }
}

/// What is taken over from a system.
pub(super) struct Taking<'t> {
    /// Of the object as it stands here; 0 where it is new.
    pub version: u64,
    /// What it becomes.
    pub value: &'t Value,
    /// What was seen.
    pub seen: Vec<Sighting>,
    /// Something of ours is to be sent there.
    pub back: bool,
    /// What of theirs ours replaces all the same.
    pub overruled: &'t [Field],
    /// Added to what history says.
    pub remark: &'t str,
    /// That it was linked just before.
    pub linked: Option<Draft>,
}

/// What happened just before, in the same proposal.
fn after(first: Option<Draft>, mut proposal: Proposal) -> Proposal {
    if let Some(first) = first {
        proposal.drafts.insert(0, first);
    }
    proposal
}

/// What was stopped (`system object`), where an item is about that.
pub(super) fn line_in(item: &ItemRow) -> Option<&str> {
    item.subject.as_deref()?.strip_prefix("line ")
}

/// What the question is about that stops a kind at a system.
pub(super) fn line_of(system: &SystemName, object: &ObjectName) -> String {
    format!("line {system} {object}")
}
