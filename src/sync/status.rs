//! How each EHR is, for those who run the gateway: up or down by its own exchanges, since when and why, what waits for it,
//! and how fetching goes, type by type.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Engine, Error};
use crate::{domain::SystemName, error::Explained as _};

/// How an EHR is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The last exchange showed that it is well.
    Up,
    /// It cannot be used.
    Down,
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
    /// Since when it is down.
    pub since: Option<Timestamp>,
    /// Why it is down.
    pub code: Option<&'static str>,
    /// Objects that wait for it.
    pub backlog: u64,
    /// By resource type.
    pub fetches: BTreeMap<String, FetchStatus>,
}

impl Engine {
    /// How each EHR is now, by name.
    ///
    /// # Errors
    /// The ledger's, where it cannot be read.
    pub fn systems(&self) -> Result<Vec<SystemStatus>, Error> {
        let counts = self.parts.translator.ledger.counts()?;
        let status = |system: &std::sync::Arc<super::setup::System>| {
            let trouble = system.health.trouble();
            let condition = match &trouble {
                Some(_) => Condition::Down,
                None if system.is_proven() => Condition::Up,
                None => Condition::Learning,
            };
            let waiting =
                counts.iter().filter(|((name, state), _)| name == system.name().as_str() && state.is_pending());
            SystemStatus {
                name: system.name().clone(),
                condition,
                since: trouble.as_ref().map(|(since, _)| *since),
                code: trouble.map(|(_, failure)| failure.code()),
                backlog: waiting.map(|(_, count)| *count).sum(),
                fetches: system.fetches(|fetches| fetches.clone()),
            }
        };
        Ok(self.parts.translator.systems.values().map(status).collect())
    }
}
