//! Unknown outcomes: read back before anything is sent again. That something is there is easily believed; that it is
//! not there only with proof, because search indexes lag and conditions are ignored by some EHRs:
//! a search that shows a younger resource of ours in the same answer and not this one, twice; or an EHR whose search is
//! known to be prompt, read several times. Without proof a person is asked, and nothing is sent.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    Error, identity,
    merge::merge,
    prepare::{Subject, part_name},
    push::Step,
    record::{self, LIAISON},
    retry::{backoff, millis},
    setup::{Inner, System, Witness},
};
use crate::{
    domain::ObjectId,
    ehr::{self, Failure, Seen, carries, escaped},
    error::Explained as _,
    fhir::{self, canonical_bytes},
    ledger::{Draft, Fact, Hash, InFlight, ItemKind, Proposal, SyncId, SyncRow},
    mapping::{MAIN, Owner},
};

/// What a request may still need at the EHR after we stopped waiting for its answer.
const GRACE: Duration = Duration::from_secs(1);

/// What is known about one unknown outcome; forgotten on a restart, which only makes us more careful.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Suspicion {
    /// The status of the failed answer.
    status: Option<u16>,
    /// When it was first read back: the attempt had ended by then.
    since: Option<Timestamp>,
    /// Reads that found nothing.
    misses: u32,
    /// Reads that proved that it is not there.
    proofs: u32,
}

/// All open suspicions.
pub(super) type Suspicions = Mutex<HashMap<SyncId, Suspicion>>;

/// What reading back showed.
enum Sight {
    Found(Box<Seen>),
    Several,
    Nothing {
        /// A resource of ours that the same answer showed, by when it was sent.
        witness: Option<Timestamp>,
    },
}

impl Inner {
    /// A write failed in a way that leaves its outcome open.
    pub fn suspect(&self, id: &SyncId, status: Option<u16>) {
        let mut open = self.suspicions.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(id.clone(), Suspicion { status, ..Suspicion::default() });
    }

    fn suspicion(&self, id: &SyncId, change: impl FnOnce(&mut Suspicion)) -> Suspicion {
        let mut open = self.suspicions.lock().unwrap_or_else(PoisonError::into_inner);
        let suspicion = open.entry(id.clone()).or_default();
        change(suspicion);
        *suspicion
    }

    fn cleared(&self, id: &SyncId) {
        self.suspicions.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Reads back what an attempt without a known outcome did.
    pub async fn settle(&self, system: &System, row: &SyncRow) -> Result<Step, Error> {
        let Some(flight) = row.in_flight().cloned() else {
            return self.not_there(row, "Nothing was under way.").await;
        };
        let subject = self.subject(&row.object, &row.object_id, system)?;
        let started = self.ledger.entry(flight.seq)?.map_or_else(|| self.clock.now(), |entry| entry.at);
        let now = self.clock.now();
        self.suspicion(&row.id, |s| s.since = s.since.or(Some(now)));
        match self.look(system, row, &subject, &flight).await {
            Ok(Sight::Found(seen)) => self.found(system, row, &flight, &seen, started).await,
            Ok(Sight::Several) => {
                self.cleared(&row.id);
                self.several(row).await
            }
            Ok(Sight::Nothing { witness }) => self.missing(system, row, &subject, &flight, started, witness).await,
            Err(failure) => {
                let delay_ms = millis(backoff(2, failure.retry_after, self.clock.chance()));
                self.unsettled(row, delay_ms, failure.code(), &failure.message).await?;
                Ok(Step::Recorded)
            }
        }
    }

    async fn look(
        &self,
        system: &System,
        row: &SyncRow,
        subject: &Subject,
        flight: &InFlight,
    ) -> Result<Sight, Failure> {
        let held = self.ledger.parts(&row.id).unwrap_or_default();
        let reference = held.into_iter().find(|held| held.part == flight.part).map(|held| held.reference);
        let made = subject.plan.to_fhir(&subject.ours, &system.context).unwrap_or_default();
        let part = made.into_iter().find(|part| part_name(part) == flight.part);
        let kind = part.as_ref().and_then(|part| fhir::resource_type(&part.resource)).unwrap_or_default().to_owned();
        let own_id = part.as_ref().and_then(|part| part.resource.get("id")?.as_str());
        let by_id = match (&reference, flight.interaction.as_str(), own_id) {
            (Some(reference), ..) => reference.split_once('/').map(|(kind, id)| (kind.to_owned(), id.to_owned())),
            (None, "put-create", Some(id)) => Some((kind.clone(), id.to_owned())),
            _ => None,
        };
        if let Some((kind, id)) = by_id {
            return match self.ask(system, system.client.read(&kind, &id)).await {
                Ok(seen) => Ok(Sight::Found(Box::new(seen))),
                Err(failure) if failure.kind == ehr::Kind::Gone => Ok(Sight::Nothing { witness: None }),
                Err(failure) => Err(failure),
            };
        }
        let claim = part.as_ref().and_then(|part| identity::claimed(&part.resource, &self.instance));
        let Some((object, id)) = claim else { return Ok(Sight::Nothing { witness: None }) };
        let name = system.context.system(object.as_str());
        let witness = system.witness(&kind).or_else(|| self.recollect(system, row, &kind));
        match self.search(system, &kind, &name, &id, witness).await {
            // An EHR that does not look for identifiers cannot show that it lacks one: a person must.
            Err(failure) if failure.kind == ehr::Kind::NotHonoured => Ok(Sight::Nothing { witness: None }),
            sight => sight,
        }
    }

    /// After a restart: the youngest object of this kind that the EHR confirmed.
    fn recollect(&self, system: &System, row: &SyncRow, kind: &str) -> Option<Witness> {
        let from = self.ledger.head().saturating_sub(2000).max(1);
        let entries = self.ledger.entries(from, 2000).ok()?;
        let youngest = entries.into_iter().rev().find(|entry| {
            matches!(entry.draft.fact, Fact::Acknowledged { done: true, .. })
                && entry.draft.system.as_ref() == Some(&row.system)
                && entry.draft.object.as_ref() == Some(&row.object)
        })?;
        let (object, id) = (youngest.draft.object?, youngest.draft.object_id?);
        let name = system.context.system(object.as_str());
        let witness = Witness { system: name, value: id.to_string(), sent_at: youngest.at };
        system.remember(kind, witness.clone());
        Some(witness)
    }

    /// Looks for ours, and for the witness in the same answer.
    async fn search(
        &self,
        system: &System,
        kind: &str,
        name: &str,
        id: &ObjectId,
        witness: Option<Witness>,
    ) -> Result<Sight, Failure> {
        let mut tokens = format!("{}|{}", escaped(name), escaped(id.as_str()));
        if let Some(witness) = &witness {
            tokens.push_str(&format!(",{}|{}", escaped(&witness.system), escaped(&witness.value)));
        }
        let mut found = Vec::new();
        let mut shown = None;
        let mut search = system.client.search(kind, &[("identifier", &tokens)])?;
        loop {
            let page = match self.ask(system, search.next_page()).await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(failure) if failure.kind == ehr::Kind::NotHonoured && !found.is_empty() => break,
                Err(failure) => return Err(failure),
            };
            if !page.unreadable.is_empty() {
                return Err(Failure::new(ehr::Kind::Lost, "The EHR's list holds something that cannot be read."));
            }
            for resource in page.resources {
                if let Some(witness) = witness.as_ref().filter(|w| carries(&resource, &w.system, &w.value)) {
                    shown = Some(witness.sent_at);
                }
                if carries(&resource, name, id.as_str()) {
                    found.extend(Seen::of(resource).filter(|seen| seen.kind == kind));
                }
            }
            if found.len() > 1 {
                break;
            }
        }
        found.dedup_by(|a, b| a.id == b.id);
        match (found.len(), found.pop()) {
            (1, Some(seen)) => Ok(Sight::Found(Box::new(seen))),
            (0, _) if witness.is_some() && shown.is_none() => {
                // An EHR that cannot search for one or the other shows neither.
                let alone = self.ask(system, system.client.by_identifier(kind, name, id.as_str())).await?;
                Ok(match <[Seen; 1]>::try_from(alone) {
                    Ok([seen]) => Sight::Found(Box::new(seen)),
                    Err(several) if !several.is_empty() => Sight::Several,
                    Err(_) => Sight::Nothing { witness: None },
                })
            }
            (0, _) => Ok(Sight::Nothing { witness: shown }),
            _ => Ok(Sight::Several),
        }
    }

    /// It is there: the link is recorded, and the next step compares and updates where needed.
    async fn found(
        &self,
        system: &System,
        row: &SyncRow,
        flight: &InFlight,
        seen: &Seen,
        started: Timestamp,
    ) -> Result<Step, Error> {
        self.cleared(&row.id);
        if flight.interaction == "update" && !self.shows(system, row, flight, seen)? {
            // Untouched, or somebody else's: the next step reads again and merges against what both started from.
            return self.not_there(row, "The EHR does not show the change; it is compared and sent again.").await;
        }
        if let Some((object, id)) = seen.body.as_ref().and_then(|body| identity::claimed(body, &self.instance)) {
            let name = system.context.system(object.as_str());
            system.remember(&seen.kind, Witness { system: name, value: id.to_string(), sent_at: started });
            system.learn_lag(&seen.kind, self.clock.now(), Some(self.millis_since(started)));
        }
        let (remote, body) = record::remote(&flight.part, seen);
        let fact = Fact::Acknowledged { done: false, remotes: vec![remote], mapping: None, output: None };
        let draft = Draft::new(fact, LIAISON, "Read back: the EHR has it.").sync(row).about(
            &row.object,
            &row.object_id,
            flight.version,
        );
        self.ledger.commit(record::with(Proposal::of(draft), body)).await?;
        Ok(Step::Recorded)
    }

    /// Whether what the EHR holds is what the attempt sent.
    fn shows(&self, system: &System, row: &SyncRow, flight: &InFlight, seen: &Seen) -> Result<bool, Error> {
        let Some(body) = &seen.body else { return Ok(false) };
        let sent = self.ledger.entry(flight.seq)?.map(|entry| entry.draft.fact);
        if let Some(Fact::Attempted { output: Some(output), .. }) = sent
            && output == Hash::of(&canonical_bytes(&record::content(body)))
        {
            return Ok(true);
        }
        // The EHR may have added something of its own: then what counts is what the mapping reads.
        let history = self.ledger.history(&row.object, &row.object_id)?;
        let made = history.iter().rev().find(|entry| {
            entry.draft.version == Some(flight.version)
                && matches!(entry.draft.fact, Fact::Accepted { .. } | Fact::Applied { .. })
        });
        let Some(hash) = made.and_then(|entry| entry.draft.body) else { return Ok(false) };
        let plan = self.plan(&row.object, system)?;
        let ours = self.read_body(&hash)?;
        let mut held = self.held(&row.id)?;
        if let Some(part) = held.iter_mut().find(|held| held.part == flight.part) {
            part.body = Some(body.clone());
        }
        let said = plan.normalise(&ours, &system.context);
        let theirs = self.read_back(&plan, &held, system);
        let rest = merge(None, &ours, &said, &theirs, &|_| Owner::Internal);
        Ok(!rest.keeps_ours && !rest.takes_theirs)
    }

    /// It was not found: proof, patience, or a person.
    async fn missing(
        &self,
        system: &System,
        row: &SyncRow,
        subject: &Subject,
        flight: &InFlight,
        started: Timestamp,
        witness: Option<Timestamp>,
    ) -> Result<Step, Error> {
        // By id there is no index that could lag; an update's target that is gone is found out by sending.
        if flight.interaction != "create" {
            if self.millis_since(started) < GRACE {
                self.unsettled(row, 250, "LIA-EHR-003", "Not there yet; looked for again.").await?;
                return Ok(Step::Recorded);
            }
            self.cleared(&row.id);
            return self.not_there(row, "Read back: the EHR does not have it; it is sent again.").await;
        }
        let kind = self.kind_of(row);
        let now = self.clock.now();
        if let Some(sent) = witness {
            system.shown_after(&kind, now, Duration::try_from(now.duration_since(sent)).unwrap_or_default());
        }
        let lag = system.lag(&kind);
        let suspicion = self.suspicion(&row.id, |s| {
            s.misses += 1;
            // Sent after this attempt had ended, and shown: the index has moved past the attempt.
            let younger = s.since.zip(witness).is_some_and(|(since, sent)| sent >= since);
            if younger {
                s.proofs += 1;
            }
        });
        let waited = self.millis_since(started);
        let prompt = lag.is_some_and(|lag| waited > GRACE + lag) && suspicion.misses >= 4;
        let refused = suspicion.status == Some(503) && suspicion.misses >= 2;
        let asked = self.asked_to_retry(row)?;
        let identified = self.is_identified(system, subject, flight);
        if self.waited(row)? > system.config.give_up_after.get() {
            self.cleared(&row.id);
            let trouble =
                record::Trouble::new(ItemKind::Unknown, "LIA-SYNC-017", "Tried for too long without an answer.")
                    .cause(&[row.system.as_str(), row.object.as_str()]);
            self.park(row, &trouble).await?;
            return Ok(Step::Recorded);
        }
        if suspicion.proofs >= 2 || prompt || refused || (asked && suspicion.misses >= 2) {
            self.cleared(&row.id);
            return self.not_there(row, "Read back: the EHR does not have it; it is sent again.").await;
        }
        // Where the lag is known, the proof is only a matter of waiting it out.
        let patience = system.config.settle_within.get().max(lag.map_or(Duration::ZERO, |lag| GRACE * 5 + lag));
        if !identified || (waited > patience && suspicion.misses >= 5) {
            self.cleared(&row.id);
            let sentence = format!("{} did not say whether it has this, and reading back did not show it.", row.system);
            let trouble = record::Trouble::new(ItemKind::Unknown, "LIA-SYNC-013", sentence)
                .cause(&[row.system.as_str(), row.object.as_str()]);
            self.park(row, &trouble).await?;
            return Ok(Step::Recorded);
        }
        let wait =
            backoff(suspicion.misses.min(6), None, self.clock.chance()).min(system.config.settle_within.get() / 4);
        let delay_ms = if suspicion.proofs > 0 || lag.is_some() { 300 } else { millis(wait) };
        self.unsettled(row, delay_ms, "LIA-EHR-003", "Not found at the EHR yet; looked for again.").await?;
        Ok(Step::Recorded)
    }

    /// Certain that it is not there (or that sending is safe): sent again.
    async fn not_there(&self, row: &SyncRow, sentence: &str) -> Result<Step, Error> {
        let delay_ms = if row.attempts <= 2 { 0 } else { millis(backoff(row.attempts - 2, None, self.clock.chance())) };
        let draft = Draft::new(Fact::Deferred { delay_ms }, LIAISON, sentence).sync(row);
        self.ledger.commit(Proposal::of(draft)).await?;
        Ok(Step::Recorded)
    }

    /// Whether a person looked and said that it may be sent again.
    fn asked_to_retry(&self, row: &SyncRow) -> Result<bool, Error> {
        let Some(id) = &row.worklist_id else { return Ok(false) };
        Ok(self.ledger.item(id)?.is_some_and(|item| item.kind == ItemKind::Unknown && item.status.is_open()))
    }

    fn kind_of(&self, row: &SyncRow) -> String {
        self.mappings.now().object(row.object.as_str()).map(|kind| kind.resource_type().to_owned()).unwrap_or_default()
    }

    /// Whether the part that was sent can be found by an identifier of ours.
    fn is_identified(&self, system: &System, subject: &Subject, flight: &InFlight) -> bool {
        flight.part == MAIN
            && subject.plan.to_fhir(&subject.ours, &system.context).is_ok_and(|parts| {
                parts.iter().any(|part| {
                    part_name(part) == flight.part && identity::claimed(&part.resource, &self.instance).is_some()
                })
            })
    }
}
