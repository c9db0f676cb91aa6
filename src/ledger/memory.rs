//! A store in memory, for tests and the simulation: what it and sled's disagree on is a defect of one of them. At a
//! restart it can be kept, set back to an earlier copy, or emptied: a ledger must come to the same rows.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use super::{
    LedgerError,
    store::{APPLIED, Applied, Batch, Store, Visit},
};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Folds in memory; clones share them.
#[derive(Clone, Default)]
pub struct MemoryFolds(Arc<RwLock<Rows>>);

impl MemoryFolds {
    fn read(&self) -> RwLockReadGuard<'_, Rows> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
    fn rows(&self) -> RwLockWriteGuard<'_, Rows> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
    /// The rows as they are now, apart from these.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self(Arc::new(RwLock::new(self.read().clone())))
    }
    /// Forgets all.
    pub fn clear(&self) {
        self.rows().clear();
    }
    /// Whether two hold the same rows, byte for byte.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        *self.read() == *other.read()
    }
}

impl std::fmt::Debug for MemoryFolds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryFolds({} rows)", self.read().len())
    }
}

impl Store for MemoryFolds {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.read().get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), LedgerError> {
        let from = after.filter(|after| *after >= prefix).unwrap_or(prefix).to_vec();
        // A snapshot, so that the visitor may read the store.
        let found: Vec<_> = self
            .read()
            .range(from..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        for (key, value) in found {
            if after != Some(key.as_slice()) && !visit(&key, &value)? {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, batch: &Batch, applied: Applied) -> Result<(), LedgerError> {
        let mut map = self.rows();
        map.insert(APPLIED.to_vec(), applied.to_bytes());
        for (key, value) in batch {
            match value {
                Some(value) => map.insert(key.clone(), value.clone()),
                None => map.remove(key),
            };
        }
        Ok(())
    }

    fn applied(&self) -> Result<Applied, LedgerError> {
        Ok(self.get(APPLIED)?.as_deref().and_then(Applied::from_bytes).unwrap_or(Applied::NOTHING))
    }

    fn settled(&self) -> Result<Applied, LedgerError> {
        self.applied()
    }

    fn flush(&self) -> Result<(), LedgerError> {
        Ok(())
    }
}
