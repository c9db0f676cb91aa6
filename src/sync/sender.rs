//! Carries out what `decide` says of one sync at its turn: loads the scene, asks the EHR, records. At most one write a turn,
//! recorded before it leaves and after its answer.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::Value;

use super::{
    Error,
    decide::{decide, not_done},
    inbound::Topic,
    prepare::{Held, Prepared},
    puller::Puller,
    record,
    recorder::Recorder,
    scene::{Reading, Scene},
    settler::Settler,
    setup::System,
    step::{Ask, Heard, Sent, Sight, Step, Way},
    translator::Translator,
};
use crate::{
    ehr::{self, Failure, Seen},
    fhir::canonical_bytes,
    ledger::{Fact, Hash, ItemKind, LedgerError, Proposal, State, SyncId, SyncRow, SyncState},
};

/// So many that were waiting at the start are looked for before the EHR's own word is taken.
pub(super) const DOUBTS: usize = 8;

/// One system's syncs, turn by turn.
pub(super) struct Sender {
    pub translator: Arc<Translator>,
    pub recorder: Arc<Recorder>,
    pub puller: Arc<Puller>,
    settler: Settler,
    /// Where the ledger stood at the start: what was accepted before may be at an EHR without our knowing, because the
    /// ledger may be a restored backup.
    began: u64,
    /// How many more of those are looked for where the EHR says that it looks itself.
    pub(super) doubts: AtomicUsize,
}

impl Sender {
    pub fn new(translator: Arc<Translator>, recorder: Arc<Recorder>, puller: Arc<Puller>) -> Self {
        let began = translator.ledger.head();
        let settler = Settler { translator: Arc::clone(&translator) };
        Self { translator, recorder, puller, settler, began, doubts: AtomicUsize::new(DOUBTS) }
    }

    /// Takes a sync one step further.
    pub async fn turn(&self, system: &System, id: &SyncId) -> Result<(), Error> {
        let Some(row) = self.translator.ledger.sync(id)? else { return Ok(()) };
        if !matches!(row.standing, State::Ready { .. } | State::Waiting { .. } | State::Unknown { .. }) {
            return Ok(());
        }
        match self.take_turn(system, row).await {
            // Something newer came in meanwhile: the next turn sees it.
            Err(Error::Ledger(LedgerError::SyncMoved | LedgerError::Impossible { .. } | LedgerError::Stale { .. })) => {
                Ok(())
            }
            other => other,
        }
    }

    async fn take_turn(&self, system: &System, row: SyncRow) -> Result<(), Error> {
        let mut scene = self.load(system, row)?;
        if !matches!(scene.row.standing, State::Unknown { .. })
            && scene.prepared.as_ref().is_ok_and(|prepared| matches!(prepared, Prepared::Ready(_)))
        {
            match system.capability(&self.translator.clock).await {
                Ok(capability) => scene.capability = capability,
                Err(failure) => return self.record(system, &scene, not_done(&scene, &failure)).await,
            }
        }
        let mut heard = Heard::Turn;
        loop {
            heard = match decide(&scene, heard) {
                Step::Ask(ask) => self.ask(system, &mut scene, ask).await?,
                Step::Send(sent) => self.send(system, &mut scene, sent).await?,
                Step::Restore { ask, sentence } => {
                    self.begin_to_restore(&scene, &ask, &sentence).await?;
                    self.ask(system, &mut scene, ask).await?
                }
                Step::Record(note) => return self.record(system, &scene, note).await,
            };
        }
    }

    /// Everything that deciding looks at.
    fn load(&self, system: &System, row: SyncRow) -> Result<Scene, Error> {
        let translator = &self.translator;
        let object = translator.ledger.object(&row.object, &row.object_id)?;
        let subject = translator.subject(&row.object, &row.object_id, system)?;
        let held = translator.held(&row.id)?;
        let prepared = self.prepared(system, &row, &subject, &held)?;
        let not_permitted = translator.not_permitted(&subject.plan, &subject.ours, &held, system);
        let mut scene = Scene {
            instance: translator.instance.clone(),
            cancelled: object.is_some_and(|object| object.cancelled && object.version > 1),
            before: held.clone(),
            held,
            read: Vec::new(),
            prepared,
            not_permitted,
            given_up: BTreeSet::new(),
            blockers_owner: None,
            blockers_are_asked: false,
            capability: Arc::default(),
            before_the_start: row.since <= self.began,
            was_gone: false,
            is_perhaps_restored: self.doubts.load(Ordering::Relaxed) > 0,
            is_behind: translator.is_behind.load(Ordering::Relaxed),
            doubt: super::evidence::Doubt::default(),
            asked_to_retry: self.asked_to_retry(&row)?,
            waited: translator.age(row.since)?,
            open_for: row.in_flight().map_or(Ok(Duration::ZERO), |flight| translator.age(flight.seq))?,
            sought_for: Duration::ZERO,
            patience: system.config.give_up_after.get(),
            settle_within: system.config.settle_within.get(),
            chance: translator.clock.chance(),
            reading: Reading::NotYet,
            looked_for: false,
            sent: None,
            answered: None,
            answer: None,
            shown: false,
            landed: false,
            sent_then: None,
            rejoin: super::rejoin::Rejoin::default(),
            between: super::rejoin::Between::Unknown,
            newer: None,
            subject,
            row,
        };
        let last = scene.row.last_item.as_deref().filter(|_| scene.held.is_empty());
        let last = last.map_or(Ok(None), |id| translator.ledger.item(id))?;
        scene.was_gone = last.is_some_and(|item| item.code == record::GONE);
        self.look_at_blockers(&mut scene)?;
        let kind = scene.sent_kind();
        scene.doubt = system.evidence(|evidence| evidence.doubt_of(&scene.row.id, &kind));
        let steady = self.translator.clock.steady();
        scene.sought_for = scene.doubt.since.map_or(Duration::ZERO, |since| steady.saturating_sub(since));
        Ok(scene)
    }

    pub(super) fn prepared(
        &self,
        system: &System,
        row: &SyncRow,
        subject: &super::prepare::Subject,
        held: &[Held],
    ) -> Result<Result<Prepared, Vec<crate::error::Finding>>, Error> {
        let written = self.translator.to_write(system, subject, held);
        self.prepared_as(system, row, subject, &written, held)
    }

    /// As [`Self::prepared`], of the object as it is to be written.
    pub(super) fn prepared_as(
        &self,
        system: &System,
        row: &SyncRow,
        subject: &super::prepare::Subject,
        written: &Value,
        held: &[Held],
    ) -> Result<Result<Prepared, Vec<crate::error::Finding>>, Error> {
        match self.translator.prepare(system, row, &subject.plan, written, held) {
            Ok(prepared) => Ok(Ok(prepared)),
            Err(Error::Invalid(findings)) => Ok(Err(findings)),
            Err(error) => Err(error),
        }
    }

    /// What stands in the way of what it waits for.
    fn look_at_blockers(&self, scene: &mut Scene) -> Result<(), Error> {
        let Ok(Prepared::Waiting(on)) = &scene.prepared else { return Ok(()) };
        for id in on {
            let Some(blocker) = self.translator.ledger.sync(id)? else { continue };
            if blocker.state() == SyncState::Resolved && blocker.remote.is_empty() {
                scene.given_up.insert(id.clone());
                let item = blocker.last_item.as_deref().map_or(Ok(None), |id| self.translator.ledger.item(id))?;
                scene.blockers_owner = item.and_then(|item| item.owner);
            }
            scene.blockers_are_asked |= blocker.shown_item().is_some();
        }
        Ok(())
    }

    /// Whether a person looked and said that it may be sent again.
    fn asked_to_retry(&self, row: &SyncRow) -> Result<bool, Error> {
        let Some(id) = &row.worklist_id else { return Ok(false) };
        let item = self.translator.ledger.item(id)?;
        Ok(item.is_some_and(|item| item.kind == ItemKind::Unknown && item.status.is_open()))
    }

    async fn ask(&self, system: &System, scene: &mut Scene, ask: Ask) -> Result<Heard, Error> {
        let (client, clock) = (&system.client, &self.translator.clock);
        Ok(match ask {
            Ask::Part { part, kind, id } => {
                let read = system.ask(clock, client.read(&kind, &id)).await;
                if let Ok(seen) = &read {
                    self.take_reading(system, scene, &part, seen)?;
                }
                Heard::Read(part, read)
            }
            Ask::Find { kind, system: name, value } => {
                let found = system.ask(clock, client.by_identifier(&kind, &name, &value)).await;
                // An EHR that does not look for identifiers tells nothing; neither would it after a restore.
                let found = match found {
                    Err(failure) if failure.kind == ehr::Kind::NotHonoured => Ok(Vec::new()),
                    other => other,
                };
                scene.looked_for = true;
                self.compare_found(system, scene, &found);
                Heard::Found(found)
            }
            Ask::Again { kind, id } => {
                let again = system.ask(clock, client.read(&kind, &id)).await;
                if let Ok(seen) = &again {
                    scene.answer = self.compare_answer(system, scene, seen);
                }
                Heard::Confirmed(again)
            }
            Ask::Before { kind, id, read, version } => {
                let before = system.ask_of_one(clock, client.before(&kind, &id, &read, &version)).await;
                let lost = before.as_ref().ok().and_then(|seen| seen.as_ref()?.body.as_ref());
                self.rejoin(system, scene, lost)?;
                Heard::Before(before)
            }
            Ask::Version { kind, id, version } => {
                let between = system.ask_of_one(clock, client.vread(&kind, &id, &version)).await;
                self.rejoin(system, scene, between.as_ref().ok().and_then(|seen| seen.body.as_ref()))?;
                Heard::Between(between)
            }
            Ask::Rejoin { kind, id, body, version } => {
                let body = self.translator.outgoing(&body)?;
                self.recorder.ask(system.name(), &record::unprotected(system.name()), None).await?;
                let written = system.ask(clock, client.update(&kind, &id, body, version.as_deref())).await;
                if let Ok(seen) = &written {
                    scene.answered = Some(seen.clone());
                }
                Heard::Rejoined(written)
            }
            Ask::Look(look) => {
                let looked = self.settler.look(system, scene, look).await;
                if let (Ok(Sight::Found(seen)), Some(flight)) = (&looked, scene.row.in_flight()) {
                    scene.shown = self.translator.shows(system, scene, seen)?;
                    if !scene.shown {
                        scene.sent_then =
                            self.translator.resource_sent(system, &scene.row, &scene.subject, &scene.held, flight)?;
                        scene.landed = flight.interaction != "update" || self.translator.landed(system, scene, seen);
                    }
                }
                Heard::Looked(looked)
            }
        })
    }

    async fn send(&self, system: &System, scene: &mut Scene, sent: Box<Sent>) -> Result<Heard, Error> {
        self.translator.check_content(&sent.part.resource).await?;
        let fact = Fact::Attempted {
            attempt: scene.row.attempts + 1,
            part: sent.part.part.clone(),
            interaction: sent.way.interaction().to_owned(),
            mapping: Some(scene.subject.plan.version().to_owned()),
            output: Some(sent.output),
        };
        let sentence = format!("Sending to {}.", scene.row.system);
        let attempted = Recorder::draft(&scene.row, fact, None, &sentence);
        let overruled = scene.compared().map(|outcome| outcome.merged.overruled.as_slice()).unwrap_or_default();
        let (kept, detail) = record::overruled(&Topic::of(&scene.row), scene.row.version, overruled, record::LIAISON);
        let proposal = record::with(kept.into_iter().fold(Proposal::of(attempted), Proposal::and), detail);
        let proposal = proposal.check(crate::ledger::Check::SyncAt(scene.row.id.clone(), scene.row.seq));
        self.translator.ledger.commit(proposal).await?;
        // What comes back is recorded against the row as it stands then.
        scene.row.attempts += 1;
        let body = self.translator.outgoing(&sent.part.resource)?;
        let sent_at = self.translator.clock.steady();
        let (client, clock, kind) = (&system.client, &self.translator.clock, sent.part.kind.as_str());
        let answer = match &sent.way {
            Way::PutCreate { .. } | Way::Create { .. } if sent.part.carries => {
                system.ask(clock, self.send_document(system, &sent, body)).await
            }
            Way::Update { id, version } => system.ask(clock, client.update(kind, id, body, version.as_deref())).await,
            Way::PutCreate { id } => system.ask(clock, client.update(kind, id, body, None)).await,
            Way::Create { condition } => system.ask(clock, client.create(kind, body, condition.as_deref())).await,
        };
        match &answer {
            Ok(seen) => {
                scene.answered = Some(seen.clone());
                if matches!(sent.way, Way::Create { .. }) && seen.created {
                    self.settler.witnessed(system, &sent.part.resource, seen, sent_at).await;
                } else if matches!(sent.way, Way::Create { condition: Some(_) }) {
                    let part = sent.part.part.as_str();
                    scene.sent_then = self.translator.resource_sent_before(system, scene, part, seen)?;
                }
            }
            Err(failure) => system.evidence(|evidence| evidence.doubt(&scene.row.id, failure.status)),
        }
        scene.sent = Some(sent);
        if let Ok(seen) = &answer {
            scene.answer = self.compare_answer(system, scene, seen);
        }
        Ok(Heard::Written(answer))
    }

    /// Sends a Binary: as JSON with the bytes in it, or as the bytes themselves.
    async fn send_document(&self, system: &System, sent: &Sent, json: ehr::Body) -> Result<Seen, Failure> {
        let id = if let Way::PutCreate { id } = &sent.way { Some(id.as_str()) } else { None };
        let text = |name: &str| sent.part.resource.get(name).and_then(Value::as_str);
        if system.config.binary == ehr::BinaryForm::Raw
            && let Some(name) = text("data")
            && let Ok(content) = self.translator.content(name)
        {
            let kind = text("contentType").unwrap_or("application/octet-stream");
            return system.client.store(id, ehr::Body::raw(content), Some(kind)).await;
        }
        system.client.store(id, json, None).await
    }

    /// Ours landed where it must not stay; putting back what was there is an attempt of its own.
    async fn begin_to_restore(&self, scene: &Scene, ask: &Ask, sentence: &str) -> Result<(), Error> {
        let (Ask::Rejoin { body, .. }, Some(sent)) = (ask, &scene.sent) else { return Ok(()) };
        let code = Some("LIA-EHR-006");
        // A version that came in meanwhile must not keep the edit from being put back.
        loop {
            let now = self.row_now(&scene.row)?;
            let undone = Recorder::draft(&now, Fact::Deferred { delay_ms: 0 }, code, sentence);
            let fact = Fact::Attempted {
                attempt: now.attempts,
                part: sent.part.part.clone(),
                interaction: "update".to_owned(),
                mapping: None,
                output: Some(Hash::of(&canonical_bytes(&record::content(body)))),
            };
            let mut attempt = Recorder::draft(&now, fact, code, sentence);
            attempt.version = Some(now.version);
            let (kept, detail) =
                record::overruled(&Topic::of(&now), now.version, &scene.rejoin.overruled, record::LIAISON);
            let proposal = kept.into_iter().fold(Proposal::of(undone).and(attempt), Proposal::and);
            let proposal = record::with(proposal, detail);
            let proposal = proposal.check(crate::ledger::Check::SyncAt(now.id.clone(), now.seq));
            match self.translator.ledger.commit(proposal).await {
                Err(LedgerError::SyncMoved) => {}
                other => return Ok(other.map(drop)?),
            }
        }
    }

    pub(super) fn row_now(&self, row: &SyncRow) -> Result<SyncRow, Error> {
        self.translator.ledger.sync(&row.id)?.ok_or(Error::Ledger(LedgerError::SyncMoved))
    }
}
