//! The memory as one faulty request sees it: an index that lags, a `lastUpdated` that stays, a create that happens
//! twice. Conditional creates look at the truth, not at the lagging index.

use std::sync::Arc;

use jiff::SignedDuration;

use super::memory::{Memory, doubled};
use crate::{
    clock::SharedClock,
    rest::{Held, HistoryQuery, Narrow, Store, StoreError, Version, Write},
};

pub(super) struct View<'m> {
    pub memory: &'m Memory,
    pub clock: &'m SharedClock,
    pub lag: Option<SignedDuration>,
    pub keep_updated: bool,
    pub double: bool,
}

impl Store for View<'_> {
    fn read(&self, kind: &str, id: &str) -> Result<Option<Arc<Version>>, StoreError> {
        self.memory.read(kind, id)
    }

    fn versions(&self, kind: &str, id: &str) -> Result<Vec<Arc<Version>>, StoreError> {
        self.memory.versions(kind, id)
    }

    fn history(&self, query: &HistoryQuery) -> Result<Vec<Arc<Version>>, StoreError> {
        self.memory.history(query)
    }

    fn candidates(&self, kind: &str, narrow: Narrow) -> Result<Vec<Arc<Version>>, StoreError> {
        let Some(lag) = self.lag else { return self.memory.candidates(kind, narrow) };
        let then = self.clock.now().checked_sub(lag).unwrap_or(jiff::Timestamp::MIN);
        Ok(self.memory.candidates_at(kind, narrow, then))
    }

    fn writing(&self) -> Box<dyn Held + '_> {
        self.memory.writing()
    }

    fn commit(&self, writes: Vec<Write>) -> Result<Vec<Arc<Version>>, StoreError> {
        let wanted = writes.len();
        let copies: Vec<Write> = writes
            .iter()
            .filter(|_| self.double)
            .filter_map(|write| doubled(write, self.clock.new_id().to_string()))
            .collect();
        let mut all = writes;
        all.extend(copies);
        let mut committed = self.memory.commit_with(all, self.keep_updated)?;
        committed.truncate(wanted);
        Ok(committed)
    }
}
