//! Resources in memory with all versions, an index of search keys, and the log of commits that is the truth. One
//! writer at a time; readers see whole commits. Index entries of older versions stay: they find too much, never too
//! little, and a search of the past (the stale index) needs them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::kept::{Kept, KeptError};
use crate::{
    clock::SharedClock,
    rest::{Held, HistoryQuery, Method, Narrow, Store, StoreError, Version, Write, search::date},
};

#[derive(Default)]
struct Kind {
    resources: BTreeMap<String, Vec<Arc<Version>>>,
    index: HashMap<String, BTreeSet<Arc<str>>>,
    log: Vec<Arc<Version>>,
}

#[derive(Default)]
struct Inner {
    kinds: HashMap<String, Kind>,
    log: Vec<Arc<Version>>,
    kept: Option<Kept>,
}

/// A store in memory.
pub struct Memory {
    clock: SharedClock,
    inner: RwLock<Inner>,
    writing: Mutex<()>,
}

impl Memory {
    /// An empty one.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, inner: RwLock::default(), writing: Mutex::default() }
    }

    /// One that begins with what a folder holds, and keeps there whatever is committed. `keys` are the search keys of a
    /// resource.
    pub(super) fn kept(
        clock: SharedClock,
        folder: &Path,
        keys: impl Fn(&Value) -> Vec<String>,
    ) -> Result<Self, KeptError> {
        let (kept, commits) = Kept::open(folder)?;
        let mut inner = Inner { kept: Some(kept), ..Inner::default() };
        for version in commits.into_iter().flatten() {
            let keys = version.resource.as_ref().map(&keys).unwrap_or_default();
            inner.publish(Arc::new(version), keys);
        }
        Ok(Self { clock, inner: RwLock::new(inner), writing: Mutex::default() })
    }

    /// Every commit, oldest first.
    #[must_use]
    pub fn log(&self) -> Vec<Arc<Version>> {
        self.inner().log.clone()
    }

    fn inner(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the index knew at `then`: later creations are missing, later changes are not seen.
    pub(super) fn candidates_at(&self, kind: &str, narrow: Narrow, then: Timestamp) -> Vec<Arc<Version>> {
        let past = |versions: &Vec<Arc<Version>>| versions.iter().rev().find(|version| version.at <= then).cloned();
        self.inner().select(kind, narrow, past)
    }

    /// Commits; `keep_updated` shows the old `meta.lastUpdated` on a changed resource.
    pub(super) fn commit_with(&self, writes: Vec<Write>, keep_updated: bool) -> Result<Vec<Arc<Version>>, StoreError> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        // Never before the last commit, whatever the clock says.
        let now = self.clock.now().max(inner.log.last().map_or(Timestamp::MIN, |last| last.at));
        let (versions, keys) = inner.next(writes, now, keep_updated);
        if let Some(kept) = &mut inner.kept {
            kept.append(&versions)
                .map_err(|error| StoreError::Failed(format!("it cannot be written down: {error}")))?;
        }
        versions.iter().zip(keys).for_each(|(version, keys)| inner.publish(Arc::clone(version), keys));
        Ok(versions)
    }
}

impl Inner {
    /// The versions that a commit would make, and their search keys; nothing is changed yet.
    fn next(&self, writes: Vec<Write>, at: Timestamp, keep_updated: bool) -> (Vec<Arc<Version>>, Vec<Vec<String>>) {
        let (mut made, mut keys) = (Vec::<Arc<Version>>::with_capacity(writes.len()), Vec::with_capacity(writes.len()));
        for write in writes {
            let sequence = (self.log.len() + made.len()) as u64 + 1;
            let held = self.kinds.get(&write.kind).and_then(|kind| kind.resources.get(&write.id));
            // One commit may write a resource twice.
            let mut fresh = made.iter().filter(|one| one.kind == write.kind && one.id == write.id);
            let version = (held.map_or(0, Vec::len) + fresh.clone().count() + 1).to_string();
            let last = fresh.next_back().or_else(|| held.and_then(|held| held.last()));
            let old = last.and_then(|last| last.resource.as_ref()?.pointer("/meta/lastUpdated")?.as_str());
            let updated = old.filter(|_| keep_updated).map_or_else(|| date::instant(at), str::to_owned);
            let resource = write.resource.map(|resource| stamped(resource, &version, &updated));
            let (kind, id, method) = (write.kind, write.id, write.method);
            made.push(Arc::new(Version { kind, id, version, at, method, sequence, resource }));
            keys.push(write.keys);
        }
        (made, keys)
    }

    fn publish(&mut self, version: Arc<Version>, keys: Vec<String>) {
        let kind = self.kinds.entry(version.kind.clone()).or_default();
        let id: Arc<str> = version.id.as_str().into();
        for key in keys {
            kind.index.entry(key).or_default().insert(id.clone());
        }
        kind.resources.entry(version.id.clone()).or_default().push(version.clone());
        kind.log.push(version.clone());
        self.log.push(version);
    }

    fn select(
        &self,
        kind: &str,
        narrow: Narrow,
        pick: impl Fn(&Vec<Arc<Version>>) -> Option<Arc<Version>>,
    ) -> Vec<Arc<Version>> {
        let Some(kind) = self.kinds.get(kind) else { return Vec::new() };
        let alive = |version: &Arc<Version>| version.resource.is_some();
        let mut ids = BTreeSet::new();
        if narrow.any_of.is_none() {
            let Some(since) = narrow.since else {
                return kind.resources.values().filter_map(pick).filter(alive).collect();
            };
            let from = kind.log.partition_point(|version| version.at < since);
            ids.extend(kind.log[from..].iter().map(|version| version.id.as_str()));
        }
        for key in narrow.any_of.unwrap_or_default() {
            match key.strip_prefix("_id=") {
                Some(id) => {
                    ids.insert(id);
                }
                None => ids.extend(kind.index.get(key).into_iter().flatten().map(AsRef::as_ref)),
            }
        }
        ids.into_iter().filter_map(|id| pick(kind.resources.get(id)?)).filter(alive).collect()
    }
}

/// The body with its version and time, in `meta` right after `id`.
fn stamped(mut resource: Value, version: &str, updated: &str) -> Value {
    let Some(members) = resource.as_object_mut() else { return resource };
    if !members.get("meta").is_some_and(Value::is_object) {
        members.shift_remove("meta");
        members.shift_insert(2.min(members.len()), "meta".to_owned(), json!({}));
    }
    if let Some(meta) = members.get_mut("meta") {
        meta["versionId"] = json!(version);
        meta["lastUpdated"] = json!(updated);
    }
    resource
}

impl Store for Memory {
    fn read(&self, kind: &str, id: &str) -> Result<Option<Arc<Version>>, StoreError> {
        let inner = self.inner();
        Ok(inner.kinds.get(kind).and_then(|kind| kind.resources.get(id)?.last().cloned()))
    }

    fn versions(&self, kind: &str, id: &str) -> Result<Vec<Arc<Version>>, StoreError> {
        let inner = self.inner();
        Ok(inner.kinds.get(kind).and_then(|kind| kind.resources.get(id).cloned()).unwrap_or_default())
    }

    fn history(&self, query: &HistoryQuery) -> Result<Vec<Arc<Version>>, StoreError> {
        let inner = self.inner();
        let log = match &query.kind {
            Some(kind) => inner.kinds.get(kind).map(|kind| kind.log.as_slice()).unwrap_or_default(),
            None => inner.log.as_slice(),
        };
        let end = query.before.map_or(log.len(), |before| log.partition_point(|version| version.sequence < before));
        let start = query.since.map_or(0, |since| log.partition_point(|version| version.at < since));
        let part = log.get(start..end).unwrap_or_default();
        Ok(part.iter().rev().take(query.limit).cloned().collect())
    }

    fn candidates(&self, kind: &str, narrow: Narrow) -> Result<Vec<Arc<Version>>, StoreError> {
        Ok(self.inner().select(kind, narrow, |versions| versions.last().cloned()))
    }

    fn writing(&self) -> Box<dyn Held + '_> {
        Box::new(self.writing.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn commit(&self, writes: Vec<Write>) -> Result<Vec<Arc<Version>>, StoreError> {
        self.commit_with(writes, false)
    }
}

/// A copy of a create under another id: what a careless EHR holds after a retry of its own.
pub(super) fn doubled(write: &Write, id: String) -> Option<Write> {
    if write.method != Method::Post {
        return None;
    }
    let mut copy = Write { id: id.clone(), ..write.clone() };
    copy.resource.as_mut()?["id"] = Value::String(id);
    Some(copy)
}
