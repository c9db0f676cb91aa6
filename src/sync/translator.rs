//! What stands between an object and an EHR's resources: mappings, rules, references, who holds what. Reads the ledger,
//! records nothing, asks no EHR. Its work lies in `check`, `prepare`, `documents`, by what is asked.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::Value;

use super::{Error, identity, setup::System};
use crate::{
    clock::{Ages, SharedClock},
    domain::{ObjectName, SystemName},
    ledger::{Hash, Ledger, LedgerError, ObjectRow, SyncId, Target},
    mapping::{Live, Plan},
    profile::Validator,
};

/// Mappings and rules over what the ledger knows.
pub(super) struct Translator {
    pub instance: String,
    pub ledger: Ledger,
    pub mappings: Live,
    pub validator: Arc<Validator>,
    pub clock: SharedClock,
    pub systems: BTreeMap<SystemName, Arc<System>>,
    pub index: identity::Index,
    pub ages: Ages,
    /// A record of ours was seen that the ledger does not know: it was put back to before that was made, or lost.
    pub is_behind: std::sync::atomic::AtomicBool,
}

impl Translator {
    /// The plan by which an object goes to, or comes from, a system.
    pub fn plan(&self, object: &ObjectName, system: &System) -> Result<Arc<Plan>, Error> {
        self.mappings.now().plan(object.as_str(), &system.config.dialect).ok_or(Error::UnknownObject)
    }

    /// Systems that an object is sent to.
    pub fn targets(&self, object: &ObjectName) -> impl Iterator<Item = &Arc<System>> {
        self.systems.values().filter(move |system| system.pushes(object))
    }

    /// The same as a fact names them.
    pub fn aims(&self, object: &ObjectName, id: &crate::domain::ObjectId, but: Option<&SystemName>) -> Vec<Target> {
        let systems = self.targets(object).filter(|system| Some(system.name()) != but);
        let aim = |system: &Arc<System>| Target {
            system: system.name().clone(),
            sync_id: SyncId::of(object, id, system.name()),
        };
        systems.map(aim).collect()
    }

    /// An object's body as it stands.
    pub fn object_body(&self, row: &ObjectRow) -> Result<Value, Error> {
        let hash = row.body.as_ref().ok_or(Error::Ledger(LedgerError::NoObject))?;
        self.read_body(hash)
    }

    /// How long ago an entry was written, whatever the wall clock did since.
    pub fn age(&self, seq: u64) -> Result<Duration, LedgerError> {
        let steady = self.clock.steady();
        self.ages.sight(self.ledger.head(), steady);
        let entry = self.ledger.entry(seq)?;
        Ok(entry.map(|entry| self.ages.of(seq, entry.at, self.clock.now(), steady)).unwrap_or_default())
    }

    /// A stored body as JSON.
    pub fn read_body(&self, hash: &Hash) -> Result<Value, Error> {
        let bytes = self.ledger.body(hash)?.ok_or(Error::Ledger(LedgerError::Body(*hash)))?;
        crate::fhir::read(&bytes).map_err(|_| Error::Ledger(LedgerError::Body(*hash)))
    }
}
