//! The folds in sled 0.34 (<https://docs.rs/sled/0.34.7>): the only file that knows it. Measured: its flush never calls
//! fsync, a flipped byte makes `open` panic, after a full disk it stays failed. So it holds nothing that the log
//! does not, and on any doubt its folder is deleted and the folds are replayed.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::Duration,
};

use super::{
    LedgerError,
    store::{APPLIED, Applied, Batch, Store, Visit},
};

/// Memory that sled may use for its pages.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// How often sled hands what it has to the operating system; after kill -9 so much is replayed.
const FLUSH_MS: u64 = 1_000;

/// So often a lock that is still held is tried again.
const LET_GO: u32 = 100;

/// The folds in a folder of sled's.
pub(super) struct SledStore {
    db: sled::Db,
}

impl SledStore {
    /// Opens or makes the folder.
    ///
    /// # Errors
    /// [`LedgerError::Folds`] on any doubt, panics of sled's included.
    pub(super) fn open(path: &Path) -> Result<Self, LedgerError> {
        let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(Some(FLUSH_MS));
        let mut tries = 0;
        loop {
            match guard(|| config.open()) {
                Ok(db) => return Ok(Self { db }),
                // The ledger's own lock is held, so this is what was closed a moment ago: sled's threads let go of its lock later.
                Err(LedgerError::Folds(why)) if why.contains("could not acquire lock") && tries < LET_GO => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(why) => return Err(why),
            }
        }
    }
}

/// Runs a call into sled; its panics become errors.
fn guard<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, LedgerError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(done) => done.map_err(|bad| LedgerError::Folds(bad.to_string())),
        Err(_) => Err(LedgerError::Folds("sled panicked".to_owned())),
    }
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(guard(|| self.db.get(key))?.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), LedgerError> {
        let from = after.filter(|after| *after >= prefix).unwrap_or(prefix);
        for pair in self.db.range(from.to_vec()..) {
            let (key, value) = guard(|| pair)?;
            if !key.starts_with(prefix) {
                break;
            }
            if after != Some(key.as_ref()) && !visit(&key, &value)? {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, batch: &Batch, applied: Applied) -> Result<(), LedgerError> {
        let mut changes = sled::Batch::default();
        for (key, value) in batch {
            match value {
                Some(value) => changes.insert(key.as_slice(), value.as_slice()),
                None => changes.remove(key.as_slice()),
            }
        }
        changes.insert(APPLIED, applied.to_bytes());
        guard(|| self.db.apply_batch(changes))
    }

    fn applied(&self) -> Result<Applied, LedgerError> {
        let bytes = self.get(APPLIED)?;
        bytes.map_or(Ok(Applied::NOTHING), |bytes| {
            Applied::from_bytes(&bytes).ok_or_else(|| LedgerError::Folds("its mark cannot be read".to_owned()))
        })
    }

    fn settled(&self) -> Result<Applied, LedgerError> {
        self.flush()?;
        self.applied()
    }

    fn flush(&self) -> Result<(), LedgerError> {
        guard(|| self.db.flush()).map(|_| ())
    }
}

/// For tests: past the batches and their mark.
#[cfg(test)]
pub(super) fn write_raw(path: &Path, key: &[u8], value: &[u8]) {
    sled::open(path).unwrap().insert(key, value).unwrap();
}

/// For tests.
#[cfg(test)]
pub(super) fn read_raw(path: &Path, key: &[u8]) -> Vec<u8> {
    sled::open(path).unwrap().get(key).unwrap().unwrap().to_vec()
}
