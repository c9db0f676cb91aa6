//! Taking on objects and their changes: checked against schema, references and every target's rules while the caller
//! can still mend them, then on disk before the answer.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{
    Accept, Change, Error, Key, Preview, PreviewTarget, Setup, Update,
    change::moves,
    setup::{Connect, Parts, over_http},
};
use crate::{
    domain::{ObjectId, ObjectName},
    error::Finding,
    fhir::canonical_bytes,
    ledger::{
        Answer, Check, Draft, Expect, Fact, Hash, Idempotency, LedgerError, ObjectRow, Operation, Outcome, Proposal,
        SyncId,
    },
    mapping::{Live, ObjectType, Standing},
};

/// The sync engine; cheap to clone. Workers run where [`Engine::run`] is awaited.
#[derive(Clone)]
pub struct Engine {
    pub(super) parts: Arc<Parts>,
}

/// A version to be stored.
pub(super) struct Version<'v> {
    pub object: &'v ObjectName,
    pub id: &'v ObjectId,
    pub version: u64,
    pub operation: Operation,
    pub expect: Expect,
    pub key: Option<Idempotency>,
    pub by: &'v str,
    /// What the sender sent, where it was merged.
    pub sent: Option<Bytes>,
}

/// A checked version and the systems for which something is wrong with it (only under lenient handling).
pub(super) struct Checked {
    kind: Arc<ObjectType>,
    pub body: Value,
    /// Hash of the canonical body.
    content: Hash,
    parked: Vec<(crate::domain::SystemName, Vec<Finding>)>,
}

impl Engine {
    /// An engine over HTTP.
    ///
    /// # Errors
    /// [`Error::Setup`] where a system's configuration cannot work.
    pub fn new(setup: Setup) -> Result<Self, Error> {
        Self::with(setup, &over_http)
    }

    /// An engine whose systems are reached by other transports.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn with(setup: Setup, connect: Connect<'_>) -> Result<Self, Error> {
        Ok(Self { parts: Arc::new(Parts::new(setup, connect)?) })
    }

    /// The mappings in use; replaced by a reload.
    #[must_use]
    pub fn mappings(&self) -> &Live {
        &self.parts.translator.mappings
    }

    /// What is worth a remark about an object (`is_whole`: not a part of it) that is taken on all the same.
    #[must_use]
    pub fn warnings(&self, object: &ObjectName, body: &Value, is_whole: bool) -> Vec<Finding> {
        let mut warnings = crate::mapping::remarks(body);
        let kind = self.kind(object).ok().filter(|_| is_whole);
        warnings.extend(kind.map(|kind| kind.warnings(body)).unwrap_or_default());
        warnings.extend(self.not_in_use(body));
        if self.parts.translator.targets(object).next().is_none() {
            warnings.push(goes_nowhere(object));
        }
        warnings
    }

    /// References to records that say of themselves that they are not in use any more.
    fn not_in_use(&self, body: &Value) -> Vec<Finding> {
        let translator = &self.parts.translator;
        let mut found = Vec::new();
        for (pointer, (object, id)) in super::identity::references(body) {
            let Some(kind) = translator.mappings.now().object(object.as_str()).cloned() else { continue };
            // What cannot be read is told where it is used.
            let Ok(Some(row)) = translator.ledger.object(&object, &id) else { continue };
            let Ok(record) = translator.object_body(&row) else { continue };
            let detail = match kind.standing(&record) {
                Standing::Live => continue,
                Standing::Inactive => format!("This {object} is marked as not in use any more."),
                Standing::ReplacedBy(_) => {
                    format!("This {object} was merged into another record, which takes its place where it is sent.")
                }
            };
            let remedy = "Refer to the record that is in use, if another one is meant.".to_owned();
            found.push(Finding { pointer, code: "LIA-SYNC-032".to_owned(), detail, remedy });
        }
        found
    }

    /// Takes on a new object. On disk when it returns.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::UnknownObject`], or the ledger's: id taken, key reused, backlog, disk full.
    pub async fn accept(&self, request: Accept) -> Result<Answer, Error> {
        let key = idempotency(&request.key, &request.body);
        if let Some(answer) = self.remembered(&key)? {
            return Ok(answer);
        }
        let id = match request.body.get("id") {
            None | Some(Value::Null) => {
                ObjectId::new(&self.parts.translator.clock.new_id().to_string()).map_err(|_| bad_id())?
            }
            Some(Value::String(id)) => ObjectId::new(id).map_err(|_| bad_id())?,
            Some(_) => return Err(bad_id()),
        };
        let body = with_id(request.body, &id)?;
        let content = Hash::of(&canonical_bytes(&body));
        if self.parts.translator.ledger.object(&request.object, &id)?.is_some_and(|row| row.content != content) {
            return Err(Error::Ledger(LedgerError::Exists));
        }
        let checked = self.check(&request.object, None, body, content, request.lenient)?;
        let expect = Expect::NewOrEqual(content);
        let (object, id, by) = (&request.object, &id, request.by.as_str());
        let (version, operation, key, sent) = (1, Operation::Created, Some(key), None);
        let answer = self.store(Version { object, id, version, operation, expect, key, by, sent }, &checked).await?;
        if answer.syncs.is_empty() {
            tracing::warn!(%object, code = "LIA-SYNC-031", "taken on, and it goes nowhere: no system takes this kind");
        }
        Ok(answer)
    }

    /// Kinds of objects that no system takes.
    #[must_use]
    pub fn unsent_kinds(&self) -> Vec<String> {
        let translator = &self.parts.translator;
        let mappings = translator.mappings.now();
        let taken = |name: &str| ObjectName::new(name).is_ok_and(|name| translator.targets(&name).next().is_some());
        mappings.objects().map(|kind| kind.name().to_owned()).filter(|name| !taken(name)).collect()
    }

    /// Changes an object: replace, merge patch or cancel. A change that changes nothing is answered as things stand.
    ///
    /// # Errors
    /// As [`Engine::accept`]; also [`Error::Transition`], and the ledger's for a stale version or unknown id.
    pub async fn update(&self, request: Update) -> Result<Answer, Error> {
        let shape = request.change.shape();
        let key = request.key.as_ref().map(|key| idempotency(key, &shape));
        if let Some(answer) = key.as_ref().map_or(Ok(None), |key| self.remembered(key))? {
            return Ok(answer);
        }
        let kind = self.kind(&request.object)?;
        let (row, before, body, cancelled) =
            self.changed(&kind, &request.object, &request.id, Some(request.expected), request.change)?;
        let content = Hash::of(&canonical_bytes(&body));
        if row.content == content {
            let syncs = self.parts.translator.ledger.syncs_of(&request.object, &request.id)?;
            return Ok(Answer { id: request.id, version: row.version, syncs });
        }
        let checked = self.check(&request.object, Some(&before), body, content, request.lenient)?;
        let operation = if cancelled { Operation::Cancelled } else { Operation::Updated };
        let (version, expect) = (row.version + 1, Expect::Version(row.version));
        let (object, id, by, sent) = (&request.object, &request.id, request.by.as_str(), None);
        self.store(Version { object, id, version, operation, expect, key, by, sent }, &checked).await
    }

    /// What would be sent, with findings; nothing is stored.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the object itself is wrong, [`Error::UnknownObject`].
    pub fn preview(&self, object: &ObjectName, body: Value) -> Result<Preview, Error> {
        let kind = self.kind(object)?;
        let id = body
            .get("id")
            .and_then(Value::as_str)
            .map_or_else(|| ObjectId::new(&self.parts.translator.clock.new_id().to_string()), ObjectId::new);
        let body = with_id(body, &id.map_err(|_| bad_id())?)?;
        self.previewed(&kind, object, None, body)
    }

    /// What a change would send, with findings; nothing is stored. `expected` is the version that the caller saw.
    ///
    /// # Errors
    /// As [`Engine::update`], but for what only storing can refuse.
    pub fn preview_change(
        &self,
        object: &ObjectName,
        id: &ObjectId,
        expected: Option<u64>,
        change: Change,
    ) -> Result<Preview, Error> {
        let kind = self.kind(object)?;
        let (_, before, body, _) = self.changed(&kind, object, id, expected, change)?;
        self.previewed(&kind, object, Some(&before), body)
    }

    /// An object's row, its body before and after a change, and whether the change calls it off.
    fn changed(
        &self,
        kind: &ObjectType,
        object: &ObjectName,
        id: &ObjectId,
        expected: Option<u64>,
        change: Change,
    ) -> Result<(ObjectRow, Value, Value, bool), Error> {
        let row = self.parts.translator.ledger.object(object, id)?.ok_or(Error::Ledger(LedgerError::NoObject))?;
        if expected.is_some_and(|expected| expected != row.version) {
            return Err(Error::Ledger(LedgerError::Stale { current: row.version }));
        }
        let before = self.parts.translator.object_body(&row)?;
        let (body, cancels) = self.parts.translator.changed(kind, &row, &before, change)?;
        let body = with_id(body, id)?;
        let cancelled = moves(kind, &before, &body)? || cancels;
        Ok((row, before, body, cancelled))
    }

    fn previewed(
        &self,
        kind: &ObjectType,
        object: &ObjectName,
        before: Option<&Value>,
        body: Value,
    ) -> Result<Preview, Error> {
        self.parts.translator.check_object(kind, before, &body)?;
        let mut targets = Vec::new();
        for system in self.parts.translator.targets(object) {
            let translated = self.parts.translator.translate(object, &body, system)?;
            targets.push(PreviewTarget {
                system: system.name().clone(),
                resources: translated.parts.into_iter().map(|part| part.resource).collect(),
                findings: translated.findings,
            });
        }
        Ok(Preview { body, targets })
    }

    pub(super) fn kind(&self, object: &ObjectName) -> Result<Arc<ObjectType>, Error> {
        self.parts.translator.mappings.now().object(object.as_str()).cloned().ok_or(Error::UnknownObject)
    }

    pub(super) fn remembered(&self, key: &Idempotency) -> Result<Option<Answer>, Error> {
        Ok(self.parts.translator.ledger.remembered(key)?.and_then(|receipt| receipt.answer))
    }

    pub(super) fn check(
        &self,
        object: &ObjectName,
        before: Option<&Value>,
        body: Value,
        content: Hash,
        lenient: bool,
    ) -> Result<Checked, Error> {
        let kind = self.kind(object)?;
        self.parts.translator.check_object(&kind, before, &body)?;
        let mut parked = Vec::new();
        for system in self.parts.translator.targets(object) {
            let findings = self.parts.translator.translate(object, &body, system)?.findings;
            if !findings.is_empty() {
                parked.push((system.name().clone(), findings));
            }
        }
        if !lenient && !parked.is_empty() {
            return Err(Error::Invalid(parked.into_iter().flat_map(|(_, findings)| findings).collect()));
        }
        Ok(Checked { kind, body, content, parked })
    }

    /// Refuses where too much waits for a target already: the backlog is bounded.
    fn room(&self, object: &ObjectName) -> Result<(), Error> {
        let counts = self.parts.translator.ledger.counts()?;
        for system in self.parts.translator.targets(object) {
            let waits = counts.iter().filter(|((name, state), _)| name == system.name().as_str() && state.is_pending());
            let pending: u64 = waits.map(|(_, count)| *count).sum();
            if pending >= system.config.max_backlog as u64 {
                return Err(Error::Ledger(LedgerError::Backlog { pending }));
            }
        }
        Ok(())
    }

    pub(super) async fn store(&self, version: Version<'_>, checked: &Checked) -> Result<Answer, Error> {
        let Version { object, id, version, operation, expect, key, by, sent } = version;
        self.room(object)?;
        let bytes = Bytes::from(serde_json::to_vec(&checked.body).map_err(|_| bad_id())?);
        let content = checked.content;
        let targets = self.parts.translator.aims(object, id, None);
        let fact = Fact::Accepted { operation, content, targets, sent: sent.as_deref().map(Hash::of) };
        let draft = Draft::new(fact, by, summary(checked.kind.title(), operation))
            .about(object, id, version)
            .body(Hash::of(&bytes));
        let mut proposal = Proposal::of(draft)
            .body(bytes)
            .check(Check::Object(object.clone(), id.clone(), expect))
            .check(Check::Backlog);
        for (system, findings) in &checked.parked {
            let sync_id = SyncId::of(object, id, system);
            let (draft, detail) = super::record::invalid(findings, object, system).parked(by);
            let draft = draft.about(object, id, version).system(system).sync_id(&sync_id);
            proposal = super::record::with(proposal.and(draft), detail);
        }
        proposal = super::record::with(proposal, sent);
        proposal.idempotency = key;
        let outcome = self.parts.translator.ledger.commit(proposal).await?;
        match outcome {
            Outcome::Committed(receipt) | Outcome::Replayed(receipt) | Outcome::Unchanged(receipt) => {
                receipt.answer.ok_or(Error::Ledger(LedgerError::NoObject))
            }
        }
    }
}

pub(super) fn idempotency(key: &Key, body: &Value) -> Idempotency {
    Idempotency::new(&key.scope, "", &key.key, Hash::of(&canonical_bytes(body)))
}

fn bad_id() -> Error {
    Error::Invalid(vec![Finding {
        pointer: "/id".to_owned(),
        code: "LIA-SYNC-002".to_owned(),
        detail: "An id is 1 to 64 of the characters A-Z a-z 0-9 . and -.".to_owned(),
        remedy: "Choose another id, or leave it out and one is made.".to_owned(),
    }])
}

/// The object with its id first and without what only we write.
pub(super) fn with_id(body: Value, id: &ObjectId) -> Result<Value, Error> {
    let Value::Object(mut members) = body else {
        return Err(Error::Invalid(vec![Finding {
            pointer: String::new(),
            code: "LIA-SYNC-002".to_owned(),
            detail: "An object is expected: {…}.".to_owned(),
            remedy: "Send one JSON object.".to_owned(),
        }]));
    };
    members.shift_remove("version");
    match members.shift_remove("id") {
        Some(Value::String(stated)) if stated != id.as_str() => return Err(bad_id()),
        _ => {}
    }
    let mut whole = Map::new();
    whole.insert("id".to_owned(), json!(id.as_str()));
    whole.extend(members);
    Ok(Value::Object(whole))
}

fn goes_nowhere(object: &ObjectName) -> Finding {
    Finding {
        pointer: String::new(),
        code: "LIA-SYNC-031".to_owned(),
        detail: format!("It goes nowhere: no system takes objects of kind {object}."),
        remedy: "Name the kind under push of a system in the configuration.".to_owned(),
    }
}

fn summary(title: &str, operation: Operation) -> String {
    match operation {
        Operation::Created => format!("{title}: taken on."),
        Operation::Updated => format!("{title}: change taken on."),
        Operation::Cancelled => format!("{title}: cancellation taken on."),
    }
}
