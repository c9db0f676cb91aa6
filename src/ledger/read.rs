//! Reading the ledger: entries, bodies, and the folds' rows. Quick and synchronous.

use std::{collections::BTreeMap, path::PathBuf};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Answer, Attachment, Cursor, Entry, Fact, Hash, Idempotency, Ledger, LedgerError, ObjectRow, PartRow, Receipt,
    SyncFilter, SyncId, SyncRow, SyncState, decide, fold, keys,
    store::{decode, row},
    work::one_of,
};
use crate::domain::{ObjectId, ObjectName, SystemName};

pub(super) type Read<T> = Result<T, LedgerError>;

/// More than these are not told one by one.
const MOST_DEPENDANTS: usize = 1000;

impl Ledger {
    pub(super) fn row<T: DeserializeOwned>(&self, key: &[u8]) -> Read<Option<T>> {
        row(&*self.core().store, key)
    }

    /// The rows that an index's keys point to, as long as `want` says so; `None` from `find` skips.
    pub(super) fn scan<T>(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        mut find: impl FnMut(&[u8], &[u8]) -> Read<Option<T>>,
    ) -> Read<Vec<T>> {
        let mut found = Vec::new();
        if limit > 0 {
            self.core().store.scan(prefix, after, &mut |key, value| {
                found.extend(find(key, value)?);
                Ok(found.len() < limit)
            })?;
        }
        Ok(found)
    }

    /// One entry.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] where it is not what was written.
    pub fn entry(&self, seq: u64) -> Read<Option<Entry>> {
        if seq == 0 || seq > self.head() { Ok(None) } else { self.core().log.entry(seq).map(Some) }
    }

    /// Entries from a sequence on, in order.
    ///
    /// # Errors
    /// As [`Self::entry`].
    pub fn entries(&self, from: u64, limit: usize) -> Read<Vec<Entry>> {
        (from.max(1)..=self.head()).take(limit).map(|seq| self.core().log.entry(seq)).collect()
    }

    /// What happened to an object, in order.
    ///
    /// # Errors
    /// As [`Self::entry`].
    pub fn history(&self, object: &ObjectName, id: &ObjectId) -> Read<Vec<Entry>> {
        let prefix = keys::history_of(object, id);
        self.scan(&prefix, None, usize::MAX, |key, _| self.core().log.entry(keys::number(key)).map(Some))
    }

    /// So many entries about an object behind this sequence, oldest first.
    ///
    /// # Errors
    /// As [`Self::history`].
    pub fn history_after(&self, object: &ObjectName, id: &ObjectId, after: u64, limit: usize) -> Read<Vec<Entry>> {
        let prefix = keys::history_of(object, id);
        let from = [prefix.as_slice(), &after.to_be_bytes()].concat();
        self.scan(&prefix, Some(&from), limit, |key, _| self.core().log.entry(keys::number(key)).map(Some))
    }

    /// The entry that made a version of an object.
    ///
    /// # Errors
    /// As [`Self::history`].
    pub fn version(&self, object: &ObjectName, id: &ObjectId, version: u64) -> Read<Option<Entry>> {
        let made = |entry: &Entry| entry.draft.version == Some(version) && entry.draft.fact.makes_version();
        Ok(self.history(object, id)?.into_iter().rev().find(made))
    }

    /// A body's bytes; nothing where there is none or it was erased.
    ///
    /// # Errors
    /// [`LedgerError::Body`] where it is not what was written.
    pub fn body(&self, hash: &Hash) -> Read<Option<Bytes>> {
        self.core().bodies.read(&*self.core().store, hash)
    }

    /// A large body's file, for streaming; small ones are read with [`Self::body`].
    #[must_use]
    pub fn body_file(&self, hash: &Hash) -> Option<PathBuf> {
        self.core().bodies.large(hash)
    }

    /// Whether a body is there as it was written. Reads all of it, never whole in memory.
    ///
    /// # Errors
    /// [`LedgerError::Io`].
    pub fn is_intact(&self, hash: &Hash) -> Read<bool> {
        match self.body_file(hash) {
            Some(path) => Ok(super::audit::digest(&*self.core().options.media, &path)? == *hash),
            None => Ok(self.body(hash)?.is_some()),
        }
    }

    /// An object at its newest version.
    ///
    /// # Errors
    /// [`LedgerError::Folds`].
    pub fn object(&self, object: &ObjectName, id: &ObjectId) -> Read<Option<ObjectRow>> {
        self.row(&keys::object(object, id))
    }

    /// Objects of one kind, by id, after this one.
    ///
    /// # Errors
    /// [`LedgerError::Folds`].
    pub fn objects(&self, object: &ObjectName, after: Option<&ObjectId>, limit: usize) -> Read<Vec<ObjectRow>> {
        let after = after.map(|id| keys::object(object, id));
        self.scan(&keys::objects(object), after.as_deref(), limit, |_, value| decode(value).map(Some))
    }

    /// One sync.
    ///
    /// # Errors
    /// [`LedgerError::Folds`].
    pub fn sync(&self, id: &SyncId) -> Read<Option<SyncRow>> {
        self.row(&keys::sync(id))
    }

    /// An object's syncs, by system.
    ///
    /// # Errors
    /// [`LedgerError::Folds`].
    pub fn syncs_of(&self, object: &ObjectName, id: &ObjectId) -> Read<Vec<SyncRow>> {
        let prefix = keys::syncs_of(object, id);
        let mut rows = self.scan(&prefix, None, usize::MAX, |key, _| self.sync(&keys::sync_at_end(key)))?;
        rows.sort_by(|a: &SyncRow, b| a.system.cmp(&b.system));
        Ok(rows)
    }

    /// Syncs by any members of the contract's JSON, in the order of their ids.
    ///
    /// # Errors
    /// [`LedgerError::Folds`].
    pub fn syncs(&self, filter: &SyncFilter) -> Read<Vec<SyncRow>> {
        let wanted = |name: &str| filter.equal.iter().find(|(member, _)| member == name).map(|(_, text)| text.as_str());
        let matches = |row: SyncRow| Some(row).filter(|row| has_all(&row.to_json(), &filter.equal));
        let after = filter.after.as_ref();
        if let Some(id) = wanted("id").filter(|ids| !ids.contains(',')) {
            let row = self.sync(&SyncId::given(id))?.and_then(matches);
            return Ok(row.into_iter().filter(|row| after.is_none_or(|after| row.id > *after)).collect());
        }
        if let (Some(Ok(object)), Some(Ok(id))) =
            (wanted("object").map(ObjectName::new), wanted("object_id").map(ObjectId::new))
        {
            let mut rows = self.syncs_of(&object, &id)?;
            rows.sort_by(|a, b| a.id.cmp(&b.id));
            let rows = rows.into_iter().filter(|row| after.is_none_or(|after| row.id > *after)).filter_map(matches);
            return Ok(rows.take(filter.limit).collect());
        }
        let states: Option<Vec<SyncState>> =
            wanted("state").map(|words| words.split(',').filter_map(SyncState::parse).collect());
        match states.filter(|states| !states.contains(&SyncState::Synced)) {
            Some(states) => {
                let systems: Vec<SystemName> = match wanted("system") {
                    Some(names) => names.split(',').filter_map(|name| SystemName::new(name).ok()).collect(),
                    None => self.systems_known()?,
                };
                let mut rows = Vec::new();
                for (state, system) in states.iter().flat_map(|state| systems.iter().map(move |system| (state, system)))
                {
                    let prefix = keys::in_state(*state, system);
                    let after = after.map(|id| [&prefix, id.as_str().as_bytes()].concat());
                    rows.extend(self.scan(&prefix, after.as_deref(), filter.limit, |key, _| {
                        Ok(self.sync(&keys::sync_at_end(key))?.and_then(matches))
                    })?);
                }
                rows.sort_by(|a, b| a.id.cmp(&b.id));
                rows.dedup_by(|a, b| a.id == b.id);
                rows.truncate(filter.limit);
                Ok(rows)
            }
            None => {
                let after = after.map(keys::sync);
                self.scan(&keys::syncs(), after.as_deref(), filter.limit, |_, value| Ok(matches(decode(value)?)))
            }
        }
    }

    /// The systems that any sync is of.
    fn systems_known(&self) -> Read<Vec<SystemName>> {
        let mut names: Vec<SystemName> =
            self.counts()?.into_keys().filter_map(|(name, _)| SystemName::new(&name).ok()).collect();
        names.dedup();
        Ok(names)
    }

    /// The syncs that wait for this one, and those that wait for them; so many at most.
    ///
    /// # Errors
    /// [`LedgerError::Folds`].
    pub fn dependants(&self, sync: &SyncId) -> Read<Vec<SyncRow>> {
        let (mut found, mut asked) = (Vec::<SyncRow>::new(), vec![sync.clone()]);
        let mut known = std::collections::BTreeSet::from([sync.clone()]);
        while let (Some(blocker), true) = (asked.pop(), found.len() < MOST_DEPENDANTS) {
            let waiting = self.scan(&keys::waiting_on(&blocker), None, MOST_DEPENDANTS, |key, _| {
                self.sync(&keys::sync_at_end(key))
            })?;
            for row in waiting {
                if known.insert(row.id.clone()) {
                    asked.push(row.id.clone());
                    found.push(row);
                }
            }
        }
        Ok(found)
    }

    /// The parts of a sync at its system: links, and bases of the next merge.
    ///
    /// # Errors
    /// [`LedgerError::Folds`].
    pub fn parts(&self, sync: &SyncId) -> Read<Vec<PartRow>> {
        self.scan(&keys::parts(sync), None, usize::MAX, |_, value| decode(value).map(Some))
    }

    /// Which objects' parts this resource is.
    ///
    /// # Errors
    /// [`LedgerError::Folds`].
    pub fn linked_at(&self, system: &SystemName, reference: &str) -> Read<Vec<PartRow>> {
        let prefix = keys::linked_at(system, reference);
        self.scan(&prefix, None, usize::MAX, |key, _| {
            let rest = std::str::from_utf8(&key[prefix.len()..]).unwrap_or_default();
            let Some((sync, part)) = rest.split_once('\0') else { return Ok(None) };
            self.row(&keys::part(&SyncId::given(sync), part))
        })
    }

    /// Of an object's resources of this type at a system: each `Type/id`, with the entry that moved it last.
    ///
    /// # Errors
    /// [`LedgerError::Folds`].
    pub fn linked(&self, system: &SystemName, resource_type: &str) -> Read<Vec<PartRow>> {
        let prefix = keys::linked_to(system, resource_type);
        self.scan(&prefix, None, usize::MAX, |key, _| {
            let mut names = key[prefix.len()..].split(|byte| *byte == 0).skip(1);
            let (Some(sync), Some(part)) = (names.next(), names.next()) else { return Ok(None) };
            let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
            self.row(&keys::part(&SyncId::given(text(sync)), text(part)))
        })
    }

    /// Where a pull stands.
    ///
    /// # Errors
    /// [`LedgerError::Folds`].
    pub fn cursor(&self, system: &SystemName, resource_type: &str) -> Read<Option<Cursor>> {
        self.row(&keys::cursor(system, resource_type))
    }

    /// What a system showed and is to be read again: `Type/id`.
    ///
    /// # Errors
    /// [`LedgerError::Folds`].
    pub fn set_aside(&self, system: &SystemName, limit: usize) -> Read<Vec<String>> {
        let prefix = keys::asides(system);
        self.scan(&prefix, None, limit, |key, _| Ok(std::str::from_utf8(&key[prefix.len()..]).ok().map(str::to_owned)))
    }

    /// Syncs in state `sending`: right after a start, their outcome is unknown.
    ///
    /// # Errors
    /// [`LedgerError::Folds`].
    pub fn in_flight(&self, system: &SystemName) -> Read<Vec<SyncRow>> {
        self.syncs_in(SyncState::Sending, system, usize::MAX)
    }

    /// What was remembered under a key: the caller need not be checked again.
    ///
    /// # Errors
    /// [`LedgerError::KeyReused`] where the request was another.
    pub fn remembered(&self, key: &Idempotency) -> Read<Option<Receipt>> {
        let memory = self.row::<fold::Memory>(&keys::remembered(&key.scope))?;
        memory.map(|memory| self.with_answer(decide::remembered(memory, key)?)).transpose()
    }

    /// The answer to what was committed then: id and version of then, and the syncs as they stand.
    pub(super) fn with_answer(&self, receipt: Receipt) -> Read<Receipt> {
        let draft = self.core().log.entry(receipt.first)?.draft;
        let targets = match draft.fact {
            Fact::Accepted { targets, .. } | Fact::Applied { targets, .. } => targets,
            _ => return Ok(receipt),
        };
        let (Some(id), Some(version)) = (draft.object_id, draft.version) else { return Ok(receipt) };
        let mut syncs = Vec::with_capacity(targets.len());
        for target in targets {
            syncs.extend(self.sync(&target.sync_id)?);
        }
        fold::sort(&mut syncs);
        Ok(Receipt { answer: Some(Answer { id, version, syncs }), ..receipt })
    }

    /// Bytes that a caller left.
    ///
    /// # Errors
    /// [`LedgerError::Folds`].
    pub fn attachment(&self, id: &Hash) -> Read<Option<Attachment>> {
        self.row(&keys::attachment(id))
    }

    /// How many syncs are in which state, by system.
    ///
    /// # Errors
    /// [`LedgerError::Folds`].
    pub fn counts(&self) -> Read<BTreeMap<(String, SyncState), u64>> {
        let found = self.scan(&keys::counts(), None, usize::MAX, |key, value| {
            let text = std::str::from_utf8(&key[2..]).unwrap_or_default();
            let Some((system, state)) = text.split_once('\0') else { return Ok(None) };
            Ok(SyncState::parse(state).map(|state| ((system.to_owned(), state), keys::number(value))))
        })?;
        Ok(found.into_iter().collect())
    }
}

/// All members have these texts (or one of several with commas between them); a list has it among its own.
pub(super) fn has_all(value: &Value, wanted: &[(String, String)]) -> bool {
    wanted.iter().all(|(name, text)| value.get(name).is_some_and(|member| says(member, text)))
}

fn says(member: &Value, text: &str) -> bool {
    match member {
        Value::String(member) => one_of(member, text),
        Value::Array(members) => members.iter().any(|member| says(member, text)),
        Value::Number(member) => one_of(member.as_str(), text),
        Value::Bool(member) => text == if *member { "true" } else { "false" },
        Value::Null | Value::Object(_) => false,
    }
}
