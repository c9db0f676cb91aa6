//! The ledger's objects as FHIR resources: mapped on reading, found by an index in memory that follows the ledger.
//! References to our own objects become literal. Writes are not taken.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use base64::Engine;
use serde_json::{Value, json};

use super::fhir_index::Index;
use crate::{
    domain::{ObjectId, ObjectName},
    fhir,
    ledger::{Entry, Hash, Ledger, LedgerError},
    mapping::{Context, MAIN, Mappings, Plan},
    rest::{Held, HistoryQuery, Method, Narrow, Server, Store, StoreError, Version, Write, search::date},
};

/// How many records a search may read one by one.
const MOST: usize = 20_000;

/// Reading only.
pub(super) struct LedgerStore {
    ledger: Ledger,
    context: Context,
    server: Arc<Server>,
    /// Objects and their plans by resource type, in the objects' order.
    plans: BTreeMap<String, Vec<(ObjectName, Arc<Plan>)>>,
    index: Mutex<Index>,
}

impl LedgerStore {
    /// Whose objects these are.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub fn new(ledger: Ledger, mappings: Arc<Mappings>, context: Context, server: Arc<Server>) -> Self {
        let mut plans: BTreeMap<String, Vec<(ObjectName, Arc<Plan>)>> = BTreeMap::new();
        for object in mappings.objects() {
            if let (Ok(name), Some(plan)) = (ObjectName::new(object.name()), mappings.plan(object.name(), "generic")) {
                plans.entry(object.resource_type().to_owned()).or_default().push((name, plan));
            }
        }
        Self { ledger, context, server, plans, index: Mutex::default() }
    }

    fn of(&self, kind: &str) -> &[(ObjectName, Arc<Plan>)] {
        self.plans.get(kind).map(Vec::as_slice).unwrap_or_default()
    }

    fn plan(&self, object: &ObjectName) -> Option<&Arc<Plan>> {
        self.plans.values().flatten().find(|(name, _)| name == object).map(|(_, plan)| plan)
    }

    /// The main resource of one body.
    fn resource(&self, plan: &Plan, id: &ObjectId, body: &Hash) -> Result<Option<Value>, StoreError> {
        let Some(bytes) = self.ledger.body(body).map_err(failed)? else { return Ok(None) };
        let internal = fhir::read(&bytes).map_err(|error| StoreError::Failed(error.to_string()))?;
        let parts = plan.to_fhir(&internal, &self.context).map_err(|error| StoreError::Failed(error.to_string()))?;
        let Some(main) = parts.into_iter().find(|part| &*part.role == MAIN) else { return Ok(None) };
        let mut resource = main.resource;
        self.literal(&mut resource)?;
        if let Some(members) = resource.as_object_mut() {
            members.shift_remove("id");
            members.shift_insert(1.min(members.len()), "id".to_owned(), json!(id.as_str()));
        }
        Ok(Some(resource))
    }

    /// Adds `Type/id` to references that name one of our objects by its identifier.
    fn literal(&self, value: &mut Value) -> Result<(), StoreError> {
        match value {
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.literal(item)),
            Value::Object(members) => {
                if let Some(reference) = self.own(members)? {
                    members.shift_insert(0, "reference".to_owned(), json!(reference));
                    return Ok(());
                }
                members.values_mut().try_for_each(|member| self.literal(member))
            }
            _ => Ok(()),
        }
    }

    fn own(&self, members: &fhir::Object) -> Result<Option<String>, StoreError> {
        if members.contains_key("reference") {
            return Ok(None);
        }
        let text = |pointer: &str| members.get("identifier").and_then(|identifier| identifier.get(pointer)?.as_str());
        let prefix = self.context.system("");
        let object =
            text("system").and_then(|system| system.strip_prefix(&prefix)).and_then(|o| ObjectName::new(o).ok());
        let id = text("value").and_then(|value| ObjectId::new(value).ok());
        let (Some(object), Some(id), Some(kind)) = (object, id, members.get("type").and_then(Value::as_str)) else {
            return Ok(None);
        };
        Ok(self.ledger.object(&object, &id).map_err(failed)?.map(|_| format!("{kind}/{id}")))
    }

    /// The newest version of an object.
    fn newest(&self, kind: &str, object: &ObjectName, id: &ObjectId) -> Result<Option<Arc<Version>>, StoreError> {
        let Some(row) = self.ledger.object(object, id).map_err(failed)? else { return Ok(None) };
        let (Some(plan), Some(body)) = (self.plan(object), &row.body) else { return Ok(None) };
        let Some(resource) = self.resource(plan, id, body)? else { return Ok(None) };
        let method = if row.version == 1 { Method::Post } else { Method::Put };
        Ok(Some(version(kind, id.as_str(), row.version, row.updated_at, method, row.seq, resource)))
    }

    /// A stored attachment as the Binary that resources point to.
    fn binary(&self, id: &str) -> Result<Option<Arc<Version>>, StoreError> {
        let Some(hash) = Hash::parse(id) else { return Ok(None) };
        let Some(stored) = self.ledger.attachment(&hash).map_err(failed)? else { return Ok(None) };
        // The bytes of a large one are put in while it is sent (`fhir::stored`).
        let data = if self.ledger.body_file(&hash).is_some() {
            hash.to_string()
        } else {
            let Some(bytes) = self.ledger.body(&hash).map_err(failed)? else { return Ok(None) };
            base64::engine::general_purpose::STANDARD.encode(&bytes)
        };
        let Some(entry) = self.ledger.entry(stored.seq).map_err(failed)? else { return Ok(None) };
        let resource = json!({
            "resourceType": "Binary", "id": id, "contentType": stored.content_type, "data": data,
        });
        Ok(Some(version("Binary", id, 1, entry.at, Method::Post, stored.seq, resource)))
    }

    /// One version as an entry tells it.
    fn past(&self, kind: &str, id: &ObjectId, entry: &Entry) -> Result<Option<Arc<Version>>, StoreError> {
        let draft = &entry.draft;
        let made = draft.fact.makes_version();
        let (true, Some(object), Some(number), Some(body)) = (made, &draft.object, draft.version, &draft.body) else {
            return Ok(None);
        };
        let Some(plan) = self.plan(object) else { return Ok(None) };
        let Some(resource) = self.resource(plan, id, body)? else { return Ok(None) };
        let method = if number == 1 { Method::Post } else { Method::Put };
        Ok(Some(version(kind, id.as_str(), number, entry.at, method, entry.seq, resource)))
    }

    /// Takes into the index what was committed since the last look.
    fn catch_up(&self, index: &mut Index) -> Result<(), StoreError> {
        while index.applied < self.ledger.head() {
            let entries = self.ledger.entries(index.applied + 1, 1000).map_err(failed)?;
            let Some(last) = entries.last().map(|entry| entry.seq) else { break };
            let changed: BTreeSet<(ObjectName, ObjectId)> = entries.into_iter().filter_map(changed).collect();
            for (object, id) in &changed {
                let Some(kind) = self.kind(object) else { continue };
                // What cannot be mapped cannot be found; a read of it says why.
                let Ok(Some(found)) = self.newest(kind, object, id) else { continue };
                let Some(resource) = &found.resource else { continue };
                index.put(kind, object, id, &self.server.keys(resource));
            }
            index.applied = last;
        }
        Ok(())
    }

    fn kind(&self, object: &ObjectName) -> Option<&str> {
        self.plans.iter().find(|(_, plans)| plans.iter().any(|(name, _)| name == object)).map(|(kind, _)| kind.as_str())
    }
}

/// The object of which an entry made a new version.
fn changed(entry: Entry) -> Option<(ObjectName, ObjectId)> {
    let draft = entry.draft;
    let made = draft.fact.makes_version();
    made.then_some(())?;
    Some((draft.object?, draft.object_id?))
}

fn failed(error: LedgerError) -> StoreError {
    StoreError::Failed(error.to_string())
}

fn version(
    kind: &str,
    id: &str,
    number: u64,
    at: jiff::Timestamp,
    method: Method,
    sequence: u64,
    mut resource: Value,
) -> Arc<Version> {
    if let Some(members) = resource.as_object_mut() {
        let mut meta = members.shift_remove("meta").filter(Value::is_object).unwrap_or_else(|| json!({}));
        meta["versionId"] = json!(number.to_string());
        meta["lastUpdated"] = json!(date::instant(at));
        members.shift_insert(2.min(members.len()), "meta".to_owned(), meta);
    }
    let (kind, id, version) = (kind.to_owned(), id.to_owned(), number.to_string());
    Arc::new(Version { kind, id, version, at, method, sequence, resource: Some(resource) })
}

impl Store for LedgerStore {
    fn read(&self, kind: &str, id: &str) -> Result<Option<Arc<Version>>, StoreError> {
        if kind == "Binary" {
            return self.binary(id);
        }
        let Ok(id) = ObjectId::new(id) else { return Ok(None) };
        for (object, _) in self.of(kind) {
            if let Some(found) = self.newest(kind, object, &id)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn versions(&self, kind: &str, id: &str) -> Result<Vec<Arc<Version>>, StoreError> {
        let Ok(id) = ObjectId::new(id) else { return Ok(Vec::new()) };
        for (object, _) in self.of(kind) {
            let entries = self.ledger.history(object, &id).map_err(failed)?;
            let mut versions = Vec::new();
            for entry in &entries {
                versions.extend(self.past(kind, &id, entry)?);
            }
            if !versions.is_empty() {
                return Ok(versions);
            }
        }
        Ok(Vec::new())
    }

    fn history(&self, _query: &HistoryQuery) -> Result<Vec<Arc<Version>>, StoreError> {
        let text = "the history of a whole type is not available; read one resource's, or search by _lastUpdated";
        Err(StoreError::NotAvailable(text.to_owned()))
    }

    fn candidates(&self, kind: &str, narrow: Narrow) -> Result<Vec<Arc<Version>>, StoreError> {
        let ids: Option<Vec<&str>> =
            narrow.any_of.and_then(|keys| keys.iter().map(|k| k.strip_prefix("_id=")).collect());
        if let Some(ids) = ids {
            let reads = ids.into_iter().map(|id| self.read(kind, id));
            return reads.filter_map(Result::transpose).collect();
        }
        let found = {
            let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
            self.catch_up(&mut index)?;
            index.find(kind, narrow.any_of)
        };
        let mut rows = Vec::new();
        for (object, id) in found {
            let Some(row) = self.ledger.object(&object, &id).map_err(failed)? else { continue };
            if narrow.since.is_none_or(|since| row.updated_at >= since) {
                rows.push((object, id));
            }
        }
        if rows.len() > MOST {
            return Err(StoreError::TooCostly(format!(
                "this search would read more than {MOST} records; add an identifier, a reference, a code or _lastUpdated"
            )));
        }
        rows.sort_by(|a, b| a.1.cmp(&b.1));
        let mut all = Vec::with_capacity(rows.len());
        for (object, id) in rows {
            all.extend(self.newest(kind, &object, &id)?);
        }
        Ok(all)
    }

    fn writing(&self) -> Box<dyn Held + '_> {
        Box::new(())
    }

    fn commit(&self, _writes: Vec<Write>) -> Result<Vec<Arc<Version>>, StoreError> {
        Err(StoreError::NotAvailable("writing to this endpoint is not available yet".to_owned()))
    }
}
