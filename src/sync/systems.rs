//! What an operator does with an EHR: lets it rest (all of it, or one kind of object), lets it go on, looks at it now. A pause
//! stands in the ledger, so that it outlasts a restart; nothing is sent to what is paused, and nothing fetched from it.

use std::collections::BTreeSet;

use super::{Engine, Error, SystemStatus, recorder::Recorder, retry::Circuit, setup::System};
use crate::{
    domain::{ObjectName, SystemName},
    ledger::{Draft, Fact, Proposal},
};

/// What is paused at a system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Paused {
    pub all: bool,
    pub kinds: BTreeSet<ObjectName>,
}

impl Recorder {
    /// What is paused at a system.
    pub fn paused(&self, system: &SystemName) -> Result<Paused, Error> {
        let mut paused = Paused::default();
        for pause in self.ledger.pauses(system)? {
            match pause.object {
                Some(kind) => _ = paused.kinds.insert(kind),
                None => paused.all = true,
            }
        }
        Ok(paused)
    }

    /// Whether nothing is to be fetched of a resource type now.
    pub fn is_fetching_paused(&self, system: &System, resource_type: &str) -> Result<bool, Error> {
        let paused = self.paused(system.name())?;
        let mappings = self.translator.mappings.now();
        let is_of = |kind: &ObjectName| {
            mappings.object(kind.as_str()).is_some_and(|kind| kind.resource_type() == resource_type)
        };
        Ok(paused.all || paused.kinds.iter().any(is_of))
    }
}

impl Engine {
    /// Lets an EHR rest, or one kind of object there, until somebody lets it go on.
    ///
    /// # Errors
    /// [`Error::UnknownSystem`], [`Error::UnknownObject`], the ledger's.
    pub async fn pause(
        &self,
        name: &str,
        object: Option<ObjectName>,
        reason: &str,
        by: &str,
    ) -> Result<SystemStatus, Error> {
        self.turn_to(name, object, Draft::new(Fact::Paused {}, by, reason)).await
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// As [`Engine::pause`].
    pub async fn resume(&self, name: &str, object: Option<ObjectName>, by: &str) -> Result<SystemStatus, Error> {
        self.turn_to(name, object, Draft::new(Fact::Resumed {}, by, "Goes on.")).await
    }

    async fn turn_to(&self, name: &str, object: Option<ObjectName>, draft: Draft) -> Result<SystemStatus, Error> {
        let system = self.system(name)?;
        if let Some(object) = &object {
            self.kind(object)?;
        }
        let mut draft = draft.system(system.name());
        draft.object = object;
        self.parts.translator.ledger.commit(Proposal::of(draft)).await?;
        system.bell.notify_one();
        self.status(system)
    }

    /// Asks an EHR now what it offers, and lets what waits for it be tried at once. That it cannot be reached is in the answer.
    ///
    /// # Errors
    /// [`Error::UnknownSystem`], the ledger's.
    pub async fn probe(&self, name: &str) -> Result<SystemStatus, Error> {
        let system = self.system(name)?;
        let clock = &self.parts.translator.clock;
        if system.ask(clock, system.client.look_anew()).await.is_ok() {
            system.circuit(Circuit::succeeded);
        }
        system.bell.notify_one();
        self.status(system)
    }

    pub(super) fn system(&self, name: &str) -> Result<&std::sync::Arc<System>, Error> {
        let known = SystemName::new(name).ok();
        known.and_then(|name| self.parts.translator.systems.get(&name)).ok_or(Error::UnknownSystem)
    }
}
