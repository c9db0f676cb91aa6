//! Whether the order of due times in the index can be trusted: not after the wall clock was set back, because waits that
//! began before stand behind all that begin since, until each was looked at once.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use jiff::Timestamp;

use crate::domain::SystemName;

/// What is known of the order of due times.
#[derive(Debug)]
pub(super) struct WaitOrder {
    /// When the newest entry was made, in milliseconds.
    newest_ms: AtomicI64,
    /// By system, what the clock said when its waits were last known to begin no later than that.
    known: Mutex<BTreeMap<SystemName, Timestamp>>,
}

impl WaitOrder {
    pub fn new(newest: Option<Timestamp>) -> Self {
        let newest_ms = AtomicI64::new(newest.map_or(i64::MIN, Timestamp::as_millisecond));
        Self { newest_ms, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<SystemName, Timestamp>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry was made.
    pub fn made(&self, at: Timestamp) {
        if self.newest_ms.swap(at.as_millisecond(), Ordering::Relaxed) > at.as_millisecond() {
            self.known().clear();
        }
    }

    /// Whether waits of a system may have begun later than `now`: after a start, and where the clock was set back.
    pub fn is_doubtful(&self, system: &SystemName, now: Timestamp) -> bool {
        let known = self.known().get(system).copied();
        known.is_none_or(|known| now < known) || self.newest_ms.load(Ordering::Relaxed) > now.as_millisecond()
    }

    /// All waits of a system were looked at, or are known to be in order, and none began later than `now`.
    pub fn holds(&self, system: &SystemName, now: Timestamp) {
        self.known().insert(system.clone(), now);
    }
}
