//! How each EHR is, for those who run the gateway: up, down or paused by its own exchanges and the ledger, since when and why,
//! what waits for it, and how fetching goes, type by type.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Engine, Error, setup::System};
use crate::{
    domain::SystemName,
    error::Explained as _,
    ledger::{Pause, SyncState},
};

/// How an EHR is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The last exchange showed that it is well.
    Up,
    /// It cannot be used.
    Down,
    /// Somebody lets it rest.
    Paused,
    /// Nothing was exchanged since the start.
    Learning,
}

impl Condition {
    /// The contract's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Paused => "paused",
            Self::Learning => "learning",
        }
    }
}

/// How fetching one type goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchStatus {
    /// When a round ended well last, since the start.
    pub last_success: Option<Timestamp>,
    /// Rounds that failed since.
    pub failed: u32,
    /// When the first of these failed.
    pub failing_since: Option<Timestamp>,
    /// Why the last one failed.
    pub code: Option<&'static str>,
}

/// One EHR.
#[derive(Clone, Debug)]
pub struct SystemStatus {
    /// Its name.
    pub name: SystemName,
    /// How it is.
    pub condition: Condition,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Why: the last proof, in a sentence.
    pub why: String,
    /// The failure's code, where it is down.
    pub code: Option<&'static str>,
    /// What is paused there, all of it or kinds of objects.
    pub pauses: Vec<Pause>,
    /// Objects that wait for it.
    pub backlog: u64,
    /// When the oldest of these was accepted.
    pub oldest_unsent: Option<Timestamp>,
    /// When a type was fetched well last, whenever that was.
    pub last_success: BTreeMap<String, Timestamp>,
    /// By resource type, since the start.
    pub fetches: BTreeMap<String, FetchStatus>,
    /// Requests under way at once, at most.
    pub max_concurrency: usize,
    /// What it says of itself, where that was read.
    pub capability: Option<Value>,
}

/// Rows looked at for the oldest that waits.
const LOOKED_AT: usize = 1000;

impl Engine {
    /// How each EHR is now, by name.
    ///
    /// # Errors
    /// The ledger's, where it cannot be read.
    pub fn systems(&self) -> Result<Vec<SystemStatus>, Error> {
        let counts = self.parts.translator.ledger.counts()?;
        self.parts.translator.systems.values().map(|system| self.status_of(system, &counts)).collect()
    }

    /// How one EHR is now.
    ///
    /// # Errors
    /// [`Error::UnknownSystem`], the ledger's.
    pub fn system_status(&self, name: &str) -> Result<SystemStatus, Error> {
        self.status(self.system(name)?)
    }

    pub(super) fn status(&self, system: &Arc<System>) -> Result<SystemStatus, Error> {
        self.status_of(system, &self.parts.translator.ledger.counts()?)
    }

    /// `counts`: syncs by system and state.
    fn status_of(
        &self,
        system: &Arc<System>,
        counts: &BTreeMap<(String, SyncState), u64>,
    ) -> Result<SystemStatus, Error> {
        let ledger = &self.parts.translator.ledger;
        let pauses = ledger.pauses(system.name())?;
        let (trouble, well) = (system.health.trouble(), system.health.well());
        let (condition, since, why) = match (pauses.iter().find(|pause| pause.object.is_none()), &trouble, well) {
            (Some(pause), ..) => (Condition::Paused, Some(pause.at), format!("Paused by {}: {}", pause.by, pause.why)),
            (None, Some((since, failure)), _) => (Condition::Down, Some(*since), failure.message.clone()),
            (None, None, Some((since, last))) => {
                let why = format!("It answered at {}.", last.strftime("%Y-%m-%d %H:%M:%S UTC"));
                (Condition::Up, Some(since), why)
            }
            (None, None, None) => (Condition::Learning, None, "Nothing was exchanged since the start.".to_owned()),
        };
        let waiting = counts.iter().filter(|((name, state), _)| name == system.name().as_str() && state.is_pending());
        let fetches = system.fetches(|fetches| fetches.clone());
        let mut last_success = BTreeMap::new();
        for kind in system.config.pull.iter().flat_map(|pull| &pull.types) {
            let now = fetches.get(kind).and_then(|fetch| fetch.last_success);
            let before = ledger.cursor(system.name(), kind)?.map(|cursor| cursor.at);
            last_success.extend(now.or(before).map(|at| (kind.clone(), at)));
        }
        Ok(SystemStatus {
            name: system.name().clone(),
            condition,
            since,
            why,
            code: trouble.filter(|_| condition == Condition::Down).map(|(_, failure)| failure.code()),
            pauses,
            backlog: waiting.map(|(_, count)| *count).sum(),
            oldest_unsent: self.oldest_unsent(system)?,
            last_success,
            fetches,
            max_concurrency: system.config.max_concurrency,
            capability: system.client.described().map(|capability| {
                json!({
                    "software": capability.software, "fhir_version": capability.fhir_version,
                    "types": capability.types.keys().collect::<Vec<_>>(),
                    "read_at": capability.read_at.map(|at| at.to_string()),
                })
            }),
        })
    }

    /// When the oldest of what waits was accepted, or asked for again.
    fn oldest_unsent(&self, system: &System) -> Result<Option<Timestamp>, Error> {
        let ledger = &self.parts.translator.ledger;
        let mut oldest = None;
        for state in SyncState::ALL.into_iter().filter(|state| state.is_pending()) {
            for row in ledger.syncs_in(state, system.name(), LOOKED_AT)? {
                oldest = Some(oldest.map_or(row.since, |oldest: u64| oldest.min(row.since)));
            }
        }
        let entry = oldest.map_or(Ok(None), |seq| ledger.entry(seq))?;
        Ok(entry.map(|entry| entry.at))
    }
}
