//! A store in memory, for tests: what it and sled's disagree on is a defect of one of them.

use std::{collections::BTreeMap, sync::RwLock};

use super::{
    LedgerError,
    store::{APPLIED, Applied, Batch, Store, Visit},
};

/// A store in memory.
#[derive(Default)]
pub(super) struct Memory(RwLock<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Memory {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Store for Memory {
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

    fn write(&self, mut batch: Batch, applied: Applied) -> Result<(), LedgerError> {
        batch.insert(APPLIED.to_vec(), Some(applied.to_bytes()));
        let mut map = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (key, value) in batch {
            match value {
                Some(value) => map.insert(key, value),
                None => map.remove(&key),
            };
        }
        Ok(())
    }

    fn applied(&self) -> Result<Applied, LedgerError> {
        Ok(self.get(APPLIED)?.as_deref().and_then(Applied::from_bytes).unwrap_or(Applied::NOTHING))
    }

    fn flush(&self) -> Result<(), LedgerError> {
        Ok(())
    }
}
