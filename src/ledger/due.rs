//! What an outbox has to do now, and how long until more.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Ledger, Pause, State, SyncRow, SyncState, keys, read::Read, store::decode};
use crate::domain::{ObjectName, SystemName};

/// What an outbox has to do.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// What may be sent or read back now.
    pub rows: Vec<SyncRow>,
    /// How long until more of it is, in milliseconds; nothing where nothing waits.
    pub next_ms: Option<u64>,
}

impl Ledger {
    /// What rests at a system: all of it, or kinds of objects.
    ///
    /// # Errors
    /// [`LedgerError::Folds`](super::LedgerError).
    pub fn pauses(&self, system: &SystemName) -> Read<Vec<Pause>> {
        self.scan(&keys::pauses(system), None, usize::MAX, |_, value| decode(value).map(Some))
    }

    /// Syncs in a state (but for `synced`, which has no index) at a system, by id.
    ///
    /// # Errors
    /// [`LedgerError::Folds`](super::LedgerError).
    pub fn syncs_in(&self, state: SyncState, system: &SystemName, limit: usize) -> Read<Vec<SyncRow>> {
        self.scan(&keys::in_state(state, system), None, limit, |key, _| self.sync(&keys::sync_at_end(key)))
    }

    /// What may be sent or read back now: first those that wait for nothing, oldest first, then those whose delay is
    /// over; nothing of the kinds in `but`. One sync stands for an object at a system, so there is never more than one of an
    /// object.
    ///
    /// # Errors
    /// [`LedgerError::Folds`].
    pub fn due(&self, system: &SystemName, now: Timestamp, but: &BTreeSet<ObjectName>, limit: usize) -> Read<Due> {
        let of_key = |key: &[u8]| {
            let row: Option<SyncRow> = self.sync(&keys::sync_at_end(key))?;
            Ok(row.filter(|row| !but.contains(&row.object)))
        };
        let mut rows = self.scan(&keys::ready(system), None, limit, |key, _| of_key(key))?;
        let (waiting, next_ms) = self.scan_waiting(system, now, limit - rows.len())?;
        // What may have happened is read back all the same.
        let stopped = |row: &SyncRow| matches!(row.standing, State::Ready { .. }) && but.contains(&row.object);
        rows.extend(waiting.into_iter().filter(|row| !stopped(row)));
        Ok(Due { rows, next_ms })
    }

    /// Those whose delay is over, and how long until the next of the others that were looked at.
    fn scan_waiting(&self, system: &SystemName, now: Timestamp, limit: usize) -> Read<(Vec<SyncRow>, Option<u64>)> {
        let look_at_all = self.core().order.is_doubtful(system, now);
        let (mut due, mut next_ms, mut begins_later) = (Vec::new(), None, false);
        self.core().store.scan(&keys::waiting(system), None, &mut |key, _| {
            let Some(row) = self.sync(&keys::sync_at_end(key))? else { return Ok(true) };
            let wait = row.wait_ms(now);
            begins_later |= row.standing.delay().is_some_and(|delay| delay.from > now);
            if wait == 0 && due.len() < limit {
                due.push(row);
            } else {
                next_ms = Some(next_ms.map_or(wait, |next: u64| next.min(wait)));
            }
            Ok(look_at_all || next_ms.is_none())
        })?;
        if !begins_later {
            self.core().order.holds(system, now);
        }
        Ok((due, next_ms))
    }
}
