//! Where the folds live: an ordered map of bytes with one atomic batch a group. Two stores: `sled.rs`, and one in
//! memory for tests (`memory.rs`); `behind.rs` keeps the newest rows in memory over one of them. All pass one conformance suite
//! (`store_tests.rs`). Also the overlay that lets later proposals of a group see the earlier
//! ones before anything is on disk. Refuses to be a second truth: whatever is here can be deleted and replayed.

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};

use super::{Hash, LedgerError, bodies::Front};

/// What becomes of a key: a value, or `None`, which removes it.
pub(super) type Change = Option<Vec<u8>>;

/// Changes to be made together.
pub(super) type Batch = BTreeMap<Vec<u8>, Change>;

/// Which entry a store has taken in last, its hash (so that folds of another log are noticed), and up to where the bodies
/// are in its index: after a crash there may be bodies without an entry, which no sequence tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Applied {
    pub seq: u64,
    pub hash: Hash,
    pub bodies: Front,
}

impl Applied {
    pub(super) const NOTHING: Self = Self { seq: 0, hash: Hash::ZERO, bodies: Front::START };

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.bodies.segment.to_be_bytes());
        bytes.extend_from_slice(&self.bodies.offset.to_be_bytes());
        bytes.extend_from_slice(self.hash.as_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (seq, bytes) = bytes.strip_prefix(&[FORMAT])?.split_first_chunk::<8>()?;
        let (segment, bytes) = bytes.split_first_chunk::<4>()?;
        let (offset, hash) = bytes.split_first_chunk::<8>()?;
        let bodies = Front { segment: u32::from_be_bytes(*segment), offset: u64::from_be_bytes(*offset) };
        Some(Self { seq: u64::from_be_bytes(*seq), hash: Hash::from_bytes(hash.try_into().ok()?), bodies })
    }
}

/// The rows' shape. Raise it with every change of a row or a key: folds of another shape are made anew.
const FORMAT: u8 = 6;

/// The key under which a store keeps [`Applied`]; no fold's key begins with it.
pub(super) const APPLIED: &[u8] = b"@applied";

/// Told key and value; says whether to go on.
pub(super) type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> Result<bool, LedgerError> + 'v;

/// An ordered map of bytes.
pub(super) trait Store: Send + Sync {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError>;
    /// Visits what begins with `prefix` and lies strictly after `after` (which need not exist), in order.
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), LedgerError>;
    /// Makes all changes and notes how far they go, or nothing of it.
    fn write(&self, batch: &Batch, applied: Applied) -> Result<(), LedgerError>;
    /// How far this store has come.
    fn applied(&self) -> Result<Applied, LedgerError>;
    /// How far it is after a crash of the process: what a checkpoint may name. Quick.
    fn settled(&self) -> Result<Applied, LedgerError>;
    /// Hands all that it has to the operating system.
    fn flush(&self) -> Result<(), LedgerError>;
}

/// Reads a row.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, LedgerError> {
    postcard::from_bytes(bytes).map_err(|bad| LedgerError::Folds(format!("a row cannot be read: {bad}")))
}

/// Reads the row of a key.
pub(super) fn row<T: DeserializeOwned>(store: &dyn Store, key: &[u8]) -> Result<Option<T>, LedgerError> {
    store.get(key)?.map(|bytes| decode(&bytes)).transpose()
}

/// A store and the changes that are not in it yet.
pub(super) struct View<'s> {
    store: &'s dyn Store,
    changes: Batch,
    /// What each change since the mark replaced, in order.
    undo: Vec<(Vec<u8>, Option<Change>)>,
}

impl<'s> View<'s> {
    pub(super) const fn over(store: &'s dyn Store) -> Self {
        Self { store, changes: Batch::new(), undo: Vec::new() }
    }

    /// What follows can be taken back.
    pub(super) fn mark(&mut self) {
        self.undo.clear();
    }

    /// Takes back all changes since the mark.
    pub(super) fn take_back(&mut self) {
        while let Some((key, before)) = self.undo.pop() {
            match before {
                Some(change) => self.changes.insert(key, change),
                None => self.changes.remove(&key),
            };
        }
    }

    fn change(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let before = self.changes.insert(key.clone(), value);
        self.undo.push((key, before));
    }

    pub(super) fn into_changes(self) -> Batch {
        self.changes
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
        match self.changes.get(key) {
            Some(change) => Ok(change.clone()),
            None => self.store.get(key),
        }
    }

    pub(super) fn row<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, LedgerError> {
        self.get(key)?.map(|bytes| decode(&bytes)).transpose()
    }

    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.change(key, Some(value));
    }

    pub(super) fn put_row<T: Serialize>(&mut self, key: Vec<u8>, row: &T) -> Result<(), LedgerError> {
        let bytes =
            postcard::to_allocvec(row).map_err(|bad| LedgerError::Folds(format!("a row cannot be kept: {bad}")))?;
        self.put(key, bytes);
        Ok(())
    }

    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.change(key, None);
    }

    /// The keys that begin with `prefix`, changes included.
    pub(super) fn keys(&self, prefix: &[u8]) -> Result<Vec<Vec<u8>>, LedgerError> {
        let mut found = std::collections::BTreeSet::new();
        self.store.scan(prefix, None, &mut |key, _| {
            found.insert(key.to_vec());
            Ok(true)
        })?;
        for (key, change) in self.changes.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix)) {
            match change {
                Some(_) => found.insert(key.clone()),
                None => found.remove(key),
            };
        }
        Ok(found.into_iter().collect())
    }
}
