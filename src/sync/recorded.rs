//! What a ledger recorded, as the mapping sees it: every accepted version with what its system held then, and every
//! resource that a system showed. Read from the ledger's files alone, beside a gateway or without one.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{
    identity,
    prepare::{Held, as_made},
};
use crate::{
    domain::{ObjectId, ObjectName, SystemName},
    fhir::OwnBase,
    ledger::{Audit, Entry, Fact, Hash, LedgerError, Remote, SyncId},
    mapping::{MAIN, Recorded, What},
};

/// A record without its bodies.
struct Trace {
    object: ObjectName,
    id: ObjectId,
    system: SystemName,
    /// The object that was accepted; none where resources came.
    sent: Option<Hash>,
    /// The parts at the system.
    parts: Vec<Remote>,
}

/// What a ledger recorded, oldest first.
pub struct History {
    audit: Audit,
    traces: Vec<Trace>,
    links: HashMap<(SystemName, String), identity::Whose>,
    /// `[server] instance`: part of our identifiers.
    pub instance: String,
    /// Records whose bodies were erased.
    pub erased: usize,
}

/// A system's dialect and zone.
pub type Spoken = (String, Option<std::sync::Arc<str>>);

impl History {
    /// Reads a ledger's entries. Without an `instance` it is taken from what the EHRs hold.
    ///
    /// # Errors
    /// [`LedgerError::Io`] where there is no ledger, [`LedgerError::Damaged`].
    pub fn of(folder: &std::path::Path, instance: Option<String>) -> Result<Self, LedgerError> {
        let audit = Audit::of(folder)?;
        let (mut traces, mut links) = (Vec::new(), HashMap::new());
        let mut held: HashMap<SyncId, BTreeMap<String, Remote>> = HashMap::new();
        audit.each(&mut |entry| read(entry, &mut held, &mut links, &mut traces))?;
        let mut history = Self { audit, traces, links, instance: String::new(), erased: 0 };
        history.instance = match instance {
            Some(instance) => instance,
            None => history.guess()?.unwrap_or_else(|| "liaison".to_owned()),
        };
        Ok(history)
    }

    /// Keeps only these, and of these the newest.
    pub fn keep(&mut self, limit: Option<usize>, wanted: impl Fn(&str, &SystemName) -> bool) {
        self.traces.retain(|trace| wanted(trace.object.as_str(), &trace.system));
        if let Some(limit) = limit.filter(|limit| *limit < self.traces.len()) {
            self.traces.drain(..self.traces.len() - limit);
        }
    }

    /// Gives each record in turn to `take`.
    ///
    /// # Errors
    /// [`LedgerError::Body`] where a body is not what was written.
    pub fn each(
        &mut self,
        spoken: impl Fn(&SystemName) -> Spoken,
        mut take: impl FnMut(Recorded),
    ) -> Result<(), LedgerError> {
        for trace in &self.traces {
            let mut held = Vec::with_capacity(trace.parts.len());
            for Remote { part, reference, version, body, .. } in trace.parts.iter().cloned() {
                let body = body.map_or(Ok(None), |hash| self.json(&hash))?;
                held.push(Held::found(&part, reference, version, body));
            }
            held.sort_by_key(|held| held.part != MAIN);
            let known = |reference: &str| self.links.get(&(trace.system.clone(), reference.to_owned())).cloned();
            let parts =
                as_made(&held, &|resource| identity::logical(resource, &self.instance, &OwnBase::unknown(), &known));
            let what = match trace.sent {
                Some(hash) => self.json(&hash)?.map(|internal| What::Sent(internal, parts)),
                None => Some(parts.into_iter().map(|part| part.resource).collect::<Vec<_>>())
                    .filter(|resources| !resources.is_empty())
                    .map(What::Received),
            };
            let Some(what) = what else {
                self.erased += 1;
                continue;
            };
            let (dialect, zone) = spoken(&trace.system);
            take(Recorded { object: trace.object.to_string(), id: trace.id.to_string(), dialect, zone, what });
        }
        Ok(())
    }

    fn json(&self, hash: &Hash) -> Result<Option<Value>, LedgerError> {
        Ok(self.audit.body(hash)?.and_then(|bytes| crate::fhir::read(&bytes).ok()))
    }

    /// The instance in the first of our identifiers that a system showed.
    fn guess(&self) -> Result<Option<String>, LedgerError> {
        for trace in self.traces.iter().filter(|trace| trace.sent.is_none()) {
            let Some(body) = trace.parts.iter().find(|part| part.part == MAIN).and_then(|part| part.body) else {
                continue;
            };
            let ending = format!(":{}", trace.object);
            let resource = self.json(&body)?.unwrap_or_default();
            let identifiers = resource.get("identifier").and_then(Value::as_array);
            let found = identifiers.into_iter().flatten().find_map(|identifier| {
                let system = identifier.get("system")?.as_str()?;
                Some(system.strip_prefix("urn:liaison:")?.strip_suffix(&ending)?.to_owned())
            });
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// Takes one entry into account.
fn read(
    entry: &Entry,
    held: &mut HashMap<SyncId, BTreeMap<String, Remote>>,
    links: &mut HashMap<(SystemName, String), identity::Whose>,
    traces: &mut Vec<Trace>,
) {
    let draft = &entry.draft;
    let (Some(object), Some(id)) = (&draft.object, &draft.object_id) else { return };
    let trace = |system: &SystemName, sent, parts| Trace {
        object: object.clone(),
        id: id.clone(),
        system: system.clone(),
        sent,
        parts,
    };
    let (remotes, moves): (&[Remote], bool) = match &draft.fact {
        Fact::Applied { remotes, .. }
        | Fact::Acknowledged { remotes, .. }
        | Fact::Observed { remotes }
        | Fact::Linked { remotes }
        | Fact::Resolved { remotes, .. } => (remotes, true),
        Fact::Conflicted { theirs, .. } => (theirs, false),
        _ => (&[], false),
    };
    if let (Some(system), Some(sync)) = (&draft.system, &draft.sync_id)
        && !remotes.is_empty()
    {
        let before = held.entry(sync.clone()).or_default();
        let mut after = before.clone();
        for remote in remotes {
            after.insert(remote.part.clone(), remote.clone());
            if remote.part == MAIN {
                links.insert((system.clone(), remote.reference.clone()), (object.clone(), id.clone()));
            }
        }
        // The same sight twice says nothing new.
        let bodies = |parts: &BTreeMap<String, Remote>| parts.values().map(|part| part.body).collect::<Vec<_>>();
        if bodies(before) != bodies(&after) {
            traces.push(trace(system, None, after.values().cloned().collect()));
        }
        if moves {
            *before = after;
        }
    }
    if let Fact::Accepted { targets, .. } | Fact::Applied { targets, .. } = &draft.fact {
        for target in targets {
            let parts = held.get(&target.sync_id).map(|parts| parts.values().cloned().collect());
            traces.push(trace(&target.system, draft.body, parts.unwrap_or_default()));
        }
    }
}
