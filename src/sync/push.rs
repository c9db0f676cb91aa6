//! One step of one sync: at most one write, recorded before it leaves and after its answer. An object that the EHR
//! holds already is read again first, merged, and written back under the version read.

use serde_json::Value;

use super::{
    Error, identity,
    inbound::Topic,
    merge::merge,
    prepare::{Held, Outgoing, Prepared, Subject},
    record::{self, LIAISON, same_content},
    setup::{Inner, System},
};
use crate::{
    ehr::{self, Capability, Failure, Seen},
    fhir::canonical_bytes,
    ledger::{Check, Draft, Fact, Hash, LedgerError, Proposal, SyncId, SyncRow, SyncState},
    mapping::{MAIN, identifier_system},
};

/// How a step ended; what comes next stands in the ledger.
#[derive(Debug)]
pub(super) enum Step {
    /// Something was recorded.
    Recorded,
}

/// How a part travels.
pub(super) enum Way {
    /// `PUT` over what is held, only at this version.
    Update { id: String, version: Option<String> },
    /// `PUT` to an id of ours: repeatable.
    PutCreate { id: String },
    /// `POST`, with a condition where it is honoured.
    Create { condition: Option<String> },
}

impl Way {
    const fn interaction(&self) -> &'static str {
        match self {
            Self::Update { .. } => "update",
            Self::PutCreate { .. } => "put-create",
            Self::Create { .. } => "create",
        }
    }
}

impl Inner {
    /// Takes a sync one step further.
    pub async fn step(&self, system: &System, id: &SyncId) -> Result<Step, Error> {
        let Some(row) = self.ledger.sync(id)? else { return Ok(Step::Recorded) };
        let ended = match row.state() {
            SyncState::Accepted | SyncState::Retrying => self.send(system, &row).await,
            SyncState::Unknown => self.settle(system, &row).await,
            _ => return Ok(Step::Recorded),
        };
        match ended {
            // A newer version came in meanwhile: the next step sees it.
            Err(Error::Ledger(LedgerError::SyncMoved | LedgerError::Impossible { .. })) => Ok(Step::Recorded),
            other => other,
        }
    }

    async fn send(&self, system: &System, row: &SyncRow) -> Result<Step, Error> {
        let subject = self.subject(&row.object, &row.object_id, system)?;
        let mut held = self.held(&row.id)?;
        let mut prepared = self.prepared(system, row, &subject, &held).await?;
        if let Ok(Prepared::Ready(parts)) = &prepared
            && !parts.iter().all(Outgoing::is_there)
            && held.iter().any(|held| held.part == MAIN)
        {
            if let Some(step) = self.refresh(system, row, &subject, &mut held).await? {
                return Ok(step);
            }
            prepared = self.prepared(system, row, &subject, &held).await?;
        }
        let parts = match prepared {
            Ok(Prepared::Ready(parts)) => parts,
            Ok(Prepared::Waiting(blockers)) => {
                self.wait_for(system, row, blockers).await?;
                return Ok(Step::Recorded);
            }
            Err(step) => return Ok(step),
        };
        let mut missing = parts.iter().filter(|part| !part.is_there());
        let (next, last) = (missing.next(), missing.next().is_none());
        match next {
            Some(part) => {
                // The parts of an object that is only just being made belong to one creation.
                let refused = if part.part == MAIN || row.synced_version.is_some() {
                    self.not_permitted(&subject.plan, &subject.ours, &held, system)
                } else {
                    Vec::new()
                };
                if !refused.is_empty() {
                    self.park(row, &record::invalid(&refused, &row.object, &row.system)).await?;
                    return Ok(Step::Recorded);
                }
                self.write(system, row, &subject, part, last).await
            }
            None => {
                let remotes = held.iter().map(remote_of).collect();
                self.acknowledge(row, &subject, true, remotes, None).await?;
                self.look_again(system, row, &subject).await;
                Ok(Step::Recorded)
            }
        }
    }

    /// `prepare`, with what the mapping refuses parked.
    async fn prepared(
        &self,
        system: &System,
        row: &SyncRow,
        subject: &Subject,
        held: &[Held],
    ) -> Result<Result<Prepared, Step>, Error> {
        match self.prepare(system, row, &subject.plan, &subject.ours, held) {
            Ok(prepared) => Ok(Ok(prepared)),
            Err(Error::Invalid(findings)) => {
                let trouble = record::invalid(&findings, &row.object, &row.system);
                self.park(row, &trouble).await?;
                Ok(Err(Step::Recorded))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the main part again and merges what changed there. Gives a step where sending must not go on.
    async fn refresh(
        &self,
        system: &System,
        row: &SyncRow,
        subject: &Subject,
        held: &mut [Held],
    ) -> Result<Option<Step>, Error> {
        let Some(main) = held.iter_mut().find(|held| held.part == MAIN) else { return Ok(None) };
        let Some((kind, id)) = main.reference.split_once('/') else { return Ok(None) };
        let now = match self.ask(system, system.client.read(kind, id)).await {
            Ok(seen) => seen,
            Err(failure) => return self.not_done(system, row, &failure).await.map(Some),
        };
        let Some(theirs) = now.body.clone() else { return Ok(None) };
        let base = main.body.take();
        let unchanged = base.as_ref().is_some_and(|base| same_content(base, &theirs));
        main.version.clone_from(&now.version);
        main.body = Some(theirs.clone());
        if unchanged {
            return Ok(None);
        }
        // Without a base (a link without a body) there is nothing that they can have changed since.
        let Some(base) = base else { return Ok(None) };
        let read_theirs = self.read_back(&subject.plan, held, system);
        let mut before = held.to_vec();
        if let Some(main) = before.iter_mut().find(|held| held.part == MAIN) {
            main.body = Some(base);
        }
        let base = self.read_back(&subject.plan, &before, system);
        let said = subject.plan.normalise(&subject.ours, &system.context);
        let merged = merge(Some(&base), &subject.ours, &said, &read_theirs, &|path| subject.plan.owner(path));
        let (remote, bytes) = record::remote(MAIN, &now);
        if !merged.conflicts.is_empty() {
            let trouble = record::conflict(&merged.conflicts, &row.object, &row.system);
            let (draft, detail) = trouble.conflicted(vec![remote]);
            let proposal = Proposal::of(draft.sync(row)).check(Check::SyncAt(row.id.clone(), row.seq));
            self.ledger.commit(record::with(record::with(proposal, detail), bytes)).await?;
            return Ok(Some(Step::Recorded));
        }
        if !merged.takes_theirs {
            return Ok(None);
        }
        let topic = Topic::of(row);
        self.apply(&topic, subject.version, &merged.value, vec![(remote, bytes)], true).await?;
        Ok(Some(Step::Recorded))
    }

    /// Sends one part.
    async fn write(
        &self,
        system: &System,
        row: &SyncRow,
        subject: &Subject,
        part: &Outgoing,
        last: bool,
    ) -> Result<Step, Error> {
        let capability = match self.capability(system).await {
            Ok(capability) => capability,
            Err(failure) if failure.kind == ehr::Kind::NotAnEhr => std::sync::Arc::default(),
            Err(failure) => return self.not_done(system, row, &failure).await,
        };
        let way = match self.way(part, &capability) {
            Ok(way) => way,
            Err(failure) => return self.not_done(system, row, &failure).await,
        };
        if let Some(step) = self.looked_for(system, row, subject, part, &way).await? {
            return Ok(step);
        }
        let mut resource = part.resource.clone();
        if let (Way::Create { .. }, Some(members)) = (&way, resource.as_object_mut()) {
            members.shift_remove("id");
        }
        self.check_content(&resource).await?;
        let output = Hash::of(&canonical_bytes(&record::content(&resource)));
        let attempted = Fact::Attempted {
            attempt: row.attempts + 1,
            part: part.part.clone(),
            interaction: way.interaction().to_owned(),
            mapping: Some(subject.plan.version().to_owned()),
            output: Some(output),
        };
        let draft = Draft::new(attempted, LIAISON, format!("Sending to {}.", row.system)).sync(row).about(
            &row.object,
            &row.object_id,
            subject.version,
        );
        self.ledger.commit(Proposal::of(draft).check(Check::SyncAt(row.id.clone(), row.seq))).await?;
        let body = self.outgoing(&resource)?;
        let sent_at = self.clock.now();
        let answer = match &way {
            Way::PutCreate { .. } | Way::Create { .. } if part.carries => {
                self.ask(system, self.send_document(system, part, &way, body)).await
            }
            Way::Update { id, version } => {
                self.ask(system, system.client.update(&part.kind, id, body, version.as_deref())).await
            }
            Way::PutCreate { id } => self.ask(system, system.client.update(&part.kind, id, body, None)).await,
            Way::Create { condition } => {
                self.ask(system, system.client.create(&part.kind, body, condition.as_deref())).await
            }
        };
        let seen = match answer {
            // Reading a document back only to compare it would cost more than it tells.
            Ok(seen) if part.carries && seen.body.is_none() => Ok(seen),
            Ok(seen) => self.confirmed(system, seen, &resource).await,
            Err(failure) => Err(failure),
        };
        match seen {
            Ok(seen) if self.restored(system, row, subject, part, &way, &seen).await? => Ok(Step::Recorded),
            Ok(seen) => {
                // A conditional create that found something wrote nothing: compare, then update.
                let matched = matches!(&way, Way::Create { condition: Some(_) }) && !seen.created;
                let (mut remote, mut bytes) = record::remote(&part.part, &seen);
                if part.carries {
                    // The attachment is stored already.
                    (remote.body, bytes) = (None, None);
                }
                let done = last && !matched;
                self.acknowledge_with(row, subject, done, vec![remote], Some(output), bytes).await?;
                if matches!(way, Way::Create { .. }) && seen.created {
                    self.witnessed(system, &seen, sent_at).await;
                }
                if done {
                    self.look_again(system, row, subject).await;
                }
                Ok(Step::Recorded)
            }
            Err(failure) => self.failed(system, row, subject, &failure).await,
        }
    }

    /// Sends a Binary: as JSON with the bytes in it, or as the bytes themselves.
    async fn send_document(
        &self,
        system: &System,
        part: &Outgoing,
        way: &Way,
        json: ehr::Body,
    ) -> Result<Seen, Failure> {
        let id = if let Way::PutCreate { id } = way { Some(id.as_str()) } else { None };
        let text = |name: &str| part.resource.get(name).and_then(Value::as_str);
        if system.config.binary == ehr::BinaryForm::Raw
            && let Some(name) = text("data")
            && let Ok(content) = self.content(name)
        {
            let kind = text("contentType").unwrap_or("application/octet-stream");
            return system.client.store(id, ehr::Body::raw(content), Some(kind)).await;
        }
        system.client.store(id, json, None).await
    }

    /// How a part goes there.
    fn way(&self, part: &Outgoing, capability: &Capability) -> Result<Way, Failure> {
        let refuse = |what: &str| {
            let message =
                format!("The EHR's own description does not offer to {what} {}.", crate::domain::a(&part.kind));
            Err(Failure::new(ehr::Kind::NotOffered, message))
        };
        if let Some(held) = &part.held {
            let id = held.reference.rsplit_once('/').map_or("", |(_, id)| id).to_owned();
            if !capability.offers(&part.kind, "update") {
                return refuse("change");
            }
            return Ok(Way::Update { id, version: held.version.clone() });
        }
        let claim = identity::claimed(&part.resource, &self.instance);
        let offer = capability.types.get(&part.kind);
        if claim.is_none()
            && offer.is_some_and(|offer| offer.update_create && offer.interactions.contains("update"))
            && let Some(id) = part.resource.get("id").and_then(Value::as_str)
        {
            return Ok(Way::PutCreate { id: id.to_owned() });
        }
        if !capability.offers(&part.kind, "create") {
            return refuse("take");
        }
        let condition = claim.filter(|_| capability.conditional_create(&part.kind)).map(|(object, id)| {
            format!(
                "identifier={}",
                query_value(&format!("{}|{id}", identifier_system(&self.instance, object.as_str())))
            )
        });
        Ok(Way::Create { condition })
    }

    /// An answer that shows another resource than the one sent is no answer: looked at again, else unknown.
    async fn confirmed(&self, system: &System, seen: Seen, sent: &Value) -> Result<Seen, Failure> {
        let fits = |seen: &Seen| {
            seen.body.as_ref().is_some_and(|body| {
                let claim = identity::claimed(sent, &self.instance);
                claim.is_none() || identity::claimed(body, &self.instance) == claim || similar(body, sent)
            })
        };
        if fits(&seen) {
            return Ok(seen);
        }
        let again = self.ask(system, system.client.read(&seen.kind, &seen.id)).await;
        match again {
            Ok(again) if fits(&again) => Ok(Seen { created: seen.created, ..again }),
            // The EHR told where it is; its body comes with the next read.
            Err(_) if seen.body.is_none() => Ok(seen),
            _ => Err(Failure::new(ehr::Kind::Lost, "The EHR's answer shows something else than what was sent.")),
        }
    }

    /// What the EHR offers. A remembered statement says nothing about how the EHR is now, so only a failure is told on.
    pub async fn capability(&self, system: &System) -> Result<std::sync::Arc<Capability>, Failure> {
        let capability = system.client.capability().await;
        if let Err(failure) = &capability {
            system.heard(Some(failure), self.clock.now(), self.clock.chance());
        }
        capability
    }

    /// Sends under the system's share of the network and tells its circuit how it went.
    pub async fn ask<T>(
        &self,
        system: &System,
        exchange: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let _turn = system.turn().await;
        let answer = exchange.await;
        system.heard(answer.as_ref().err(), self.clock.now(), self.clock.chance());
        answer
    }
}

fn remote_of(held: &Held) -> crate::ledger::Remote {
    let bytes = held.body.as_ref().and_then(|body| serde_json::to_vec(body).ok());
    crate::ledger::Remote {
        part: held.part.clone(),
        reference: held.reference.clone(),
        version: held.version.clone(),
        body: bytes.as_deref().map(Hash::of),
    }
}

/// Whether an EHR's body says what was sent, whatever it added: each member that was sent is there.
fn similar(body: &Value, sent: &Value) -> bool {
    let members = |value: &Value| value.as_object().map(|m| m.len()).unwrap_or_default();
    members(sent) > 0
        && sent.as_object().into_iter().flatten().all(|(key, value)| {
            matches!(key.as_str(), "id" | "meta" | "identifier" | "text")
                || body.get(key).is_some_and(|other| crate::fhir::canonically_equal(value, other))
        })
}

/// A search value as it stands in a header: what a query string cannot hold is escaped, the rest stays readable.
fn query_value(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~:/|".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}
