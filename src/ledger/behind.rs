//! Write-behind: the newest rows in memory, over a store on disk that gets them later and in larger batches, so that a row that
//! changes five times on its way is written once. What is here is synced in the log already, so that losing it costs only a
//! replay. Two tables: one that grows, and one that is frozen while it is being written; it goes only when the store has it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use super::{
    LedgerError,
    store::{APPLIED, Applied, Batch, Change, Store, Visit},
};

/// Bytes that both tables may hold together; a writer beyond that waits for the disk.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Rows that both tables may hold together.
const MOST_ROWS: usize = 200_000;
/// A table of so many rows is written without waiting for more.
const FULL_ROWS: usize = 10_000;
/// How long a table grows before it is written.
const GROWS: Duration = Duration::from_millis(200);

/// Rows that the store below does not have yet, and how far they go.
struct Table {
    rows: Batch,
    bytes: usize,
    applied: Applied,
}

#[derive(Default)]
struct Tables {
    growing: Option<Table>,
    frozen: Option<Arc<Table>>,
    /// How far the store below would be after a crash.
    settled: Option<Applied>,
    /// Somebody waits until all is written.
    hurry: bool,
    /// The owner is gone.
    ends: bool,
    failed: Option<String>,
}

impl Tables {
    fn size(&self) -> (usize, usize) {
        let both = [self.growing.as_ref(), self.frozen.as_deref()];
        let both = both.into_iter().flatten();
        both.fold((0, 0), |(rows, bytes), table| (rows + table.rows.len(), bytes + table.bytes))
    }

    fn change(&self, key: &[u8]) -> Option<Change> {
        let both = [self.growing.as_ref(), self.frozen.as_deref()];
        both.into_iter().flatten().find_map(|table| table.rows.get(key).cloned())
    }

    fn check(&self) -> Result<(), LedgerError> {
        self.failed.as_ref().map_or(Ok(()), |why| Err(LedgerError::Folds(why.clone())))
    }
}

/// What the writing thread and the readers share.
struct Shared {
    below: Arc<dyn Store>,
    tables: Mutex<Tables>,
    /// Something changed: rows came, a table was written, somebody waits.
    moved: Condvar,
}

impl Shared {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'t>(&self, tables: MutexGuard<'t, Tables>) -> MutexGuard<'t, Tables> {
        self.moved.wait(tables).unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes tables until the owner is gone and nothing is left.
    fn write_behind(&self) {
        loop {
            let mut tables = self.tables();
            while tables.growing.is_none() && !tables.ends {
                tables.hurry = false;
                self.moved.notify_all();
                tables = self.wait(tables);
            }
            let full = |tables: &Tables| tables.growing.as_ref().is_some_and(|table| table.rows.len() >= FULL_ROWS);
            if !(full(&tables) || tables.hurry || tables.ends) {
                let (waited, _) = self
                    .moved
                    .wait_timeout_while(tables, GROWS, |tables| !(full(tables) || tables.hurry || tables.ends))
                    .unwrap_or_else(PoisonError::into_inner);
                tables = waited;
            }
            let Some(table) = tables.growing.take().map(Arc::new) else { return };
            tables.frozen = Some(Arc::clone(&table));
            drop(tables);
            let written = self.below.write(&table.rows, table.applied).and_then(|()| self.below.flush());
            let mut tables = self.tables();
            match written {
                Ok(()) => (tables.frozen, tables.settled) = (None, Some(table.applied)),
                // What is not on disk stays readable; the ledger is told with its next write.
                Err(why) => {
                    tables.failed = Some(why.to_string());
                    self.moved.notify_all();
                    return;
                }
            }
            self.moved.notify_all();
        }
    }
}

/// Rows in memory over a store.
pub(super) struct Behind {
    shared: Arc<Shared>,
    writing: Option<JoinHandle<()>>,
}

impl Behind {
    /// # Errors
    /// [`LedgerError::Folds`] where no thread can be started.
    pub(super) fn over(below: Arc<dyn Store>) -> Result<Self, LedgerError> {
        let shared = Arc::new(Shared { below, tables: Mutex::default(), moved: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("ledger-folds".to_owned());
        let writing = thread.spawn(move || theirs.write_behind());
        let writing = writing.map_err(|why| LedgerError::Folds(format!("their writer cannot be started: {why}")))?;
        Ok(Self { shared, writing: Some(writing) })
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.shared.tables().ends = true;
        self.shared.moved.notify_all();
        if let Some(writing) = self.writing.take() {
            let _ = writing.join();
        }
    }
}

impl Store for Behind {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
        let found = self.shared.tables().change(key);
        match found {
            Some(change) => Ok(change),
            None => self.shared.below.get(key),
        }
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), LedgerError> {
        // What is in memory now; what is written below meanwhile is the same.
        let mut newer: BTreeMap<Vec<u8>, Change> = BTreeMap::new();
        let from = after.filter(|after| *after >= prefix).unwrap_or(prefix);
        {
            let tables = self.shared.tables();
            for table in [tables.frozen.as_deref(), tables.growing.as_ref()].into_iter().flatten() {
                let within = table.rows.range(from.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
                newer.extend(within.map(|(key, change)| (key.clone(), change.clone())));
            }
        }
        if let Some(after) = after {
            newer.remove(after);
        }
        let mut newer = newer.into_iter().peekable();
        let mut goes_on = true;
        self.shared.below.scan(prefix, after, &mut |key, value| {
            while goes_on && newer.peek().is_some_and(|(next, _)| next.as_slice() < key) {
                if let Some((next, Some(value))) = newer.next() {
                    goes_on = visit(&next, &value)?;
                }
            }
            if !goes_on {
                return Ok(false);
            }
            goes_on = match newer.next_if(|(next, _)| next.as_slice() == key) {
                Some((_, Some(newer))) => visit(key, &newer)?,
                Some((_, None)) => true,
                None => visit(key, value)?,
            };
            Ok(goes_on)
        })?;
        while goes_on && let Some((next, change)) = newer.next() {
            if let Some(value) = change {
                goes_on = visit(&next, &value)?;
            }
        }
        Ok(())
    }

    fn write(&self, batch: &Batch, applied: Applied) -> Result<(), LedgerError> {
        let mut tables = self.shared.tables();
        loop {
            tables.check()?;
            let (rows, bytes) = tables.size();
            if rows < MOST_ROWS && bytes < MOST_BYTES {
                break;
            }
            tables.hurry = true;
            self.shared.moved.notify_all();
            tables = self.shared.wait(tables);
        }
        let table = tables.growing.get_or_insert_with(|| Table { rows: Batch::new(), bytes: 0, applied });
        table.applied = applied;
        let mark = (APPLIED.to_vec(), Some(applied.to_bytes()));
        for (key, change) in batch.iter().chain([(&mark.0, &mark.1)]) {
            let size = |change: &Change| change.as_ref().map_or(0, Vec::len);
            table.bytes += size(change);
            match table.rows.insert(key.clone(), change.clone()) {
                Some(before) => table.bytes -= size(&before),
                None => table.bytes += key.len(),
            }
        }
        drop(tables);
        self.shared.moved.notify_all();
        Ok(())
    }

    fn applied(&self) -> Result<Applied, LedgerError> {
        let tables = self.shared.tables();
        let newest = [tables.growing.as_ref(), tables.frozen.as_deref()].into_iter().flatten().next();
        match newest.map(|table| table.applied) {
            Some(applied) => Ok(applied),
            None => {
                drop(tables);
                self.shared.below.applied()
            }
        }
    }

    fn settled(&self) -> Result<Applied, LedgerError> {
        let tables = self.shared.tables();
        tables.check()?;
        match tables.settled {
            Some(settled) => Ok(settled),
            None => {
                drop(tables);
                self.shared.below.settled()
            }
        }
    }

    fn flush(&self) -> Result<(), LedgerError> {
        let mut tables = self.shared.tables();
        while tables.growing.is_some() || tables.frozen.is_some() {
            tables.check()?;
            tables.hurry = true;
            self.shared.moved.notify_all();
            tables = self.shared.wait(tables);
        }
        tables.check()?;
        drop(tables);
        self.shared.below.flush()
    }
}
