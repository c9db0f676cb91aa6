//! What the engine is made of: the ledger, the mappings, the rules, and for each EHR its client, its circuit and its
//! share of the network.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    Error,
    desk::Desk,
    documents::InLedger,
    evidence::Evidence,
    health::{Health, Turn},
    puller::Puller,
    recorder::Recorder,
    retry::Circuit,
    sender::Sender,
    status::FetchStatus,
    translator::Translator,
};
use crate::{
    clock::{Ages, SharedClock},
    domain::{ObjectName, SystemName},
    ehr::{Capability, Client, Failure, Http, Keep, Kind, Seen, SystemConfig, Transport},
    error::Explained as _,
    fhir::OwnBase,
    ledger::Ledger,
    mapping::{Context, Live, Mappings},
    profile::Validator,
};

/// Makes the transport of a system; [`Http`] outside tests. What is long in answers is kept in the ledger.
pub type Connect<'a> = &'a dyn Fn(&SystemConfig, Arc<dyn Keep>) -> Result<Arc<dyn Transport>, String>;

/// Everything the engine needs.
pub struct Setup {
    /// `[server] instance`.
    pub instance: String,
    /// `[[systems]]`.
    pub systems: Vec<SystemConfig>,
    /// The only truth.
    pub ledger: Ledger,
    /// Objects and their mappings.
    pub mappings: Arc<Mappings>,
    /// FHIR's rules and the profiles'.
    pub validator: Arc<Validator>,
    /// Time, chance, ids.
    pub clock: SharedClock,
}

/// One EHR at work.
pub(super) struct System {
    pub config: SystemConfig,
    pub client: Client,
    pub context: Context,
    /// Under what its own references stand.
    pub own: OwnBase,
    /// One permit a request under way.
    pub network: tokio::sync::Semaphore,
    /// Rung when the ledger moved or its health changed.
    pub bell: tokio::sync::Notify,
    /// What its exchanges say of it as a whole.
    pub health: Health,
    circuit: Mutex<Circuit>,
    evidence: Mutex<Evidence>,
    proven: AtomicBool,
    fetches: Mutex<BTreeMap<String, FetchStatus>>,
}

impl System {
    pub fn name(&self) -> &SystemName {
        &self.config.name
    }
    pub fn pushes(&self, object: &ObjectName) -> bool {
        self.config.push.contains(object)
    }
    /// Looks at or changes the circuit.
    pub fn circuit<T>(&self, how: impl FnOnce(&mut Circuit) -> T) -> T {
        how(&mut self.circuit.lock().unwrap_or_else(PoisonError::into_inner))
    }
    /// Looks at or changes what is known about it.
    pub fn evidence<T>(&self, how: impl FnOnce(&mut Evidence) -> T) -> T {
        how(&mut self.evidence.lock().unwrap_or_else(PoisonError::into_inner))
    }
    /// Looks at or changes how fetching goes, by resource type.
    pub fn fetches<T>(&self, how: impl FnOnce(&mut BTreeMap<String, FetchStatus>) -> T) -> T {
        how(&mut self.fetches.lock().unwrap_or_else(PoisonError::into_inner))
    }
    /// How an exchange went: for the circuit, and for those who watch the EHR.
    pub fn heard(&self, failure: Option<&Failure>, clock: &SharedClock) {
        let (steady, chance) = (clock.steady(), clock.chance());
        let system_wide = failure.filter(|failure| failure.concerns_all());
        self.circuit(|circuit| match system_wide {
            Some(failure) => circuit.failed(steady, failure.retry_after, chance),
            None => circuit.succeeded(),
        });
        if system_wide.is_none() {
            self.proven.store(true, Ordering::Relaxed);
        }
        let Some(turn) = self.health.heard(system_wide, clock.now(), steady) else { return };
        match (turn, system_wide) {
            (Turn::Fell | Turn::NeedsPerson, Some(failure)) => {
                tracing::warn!(system = %self.name(), code = failure.code(), "the EHR cannot be used: {}", failure.message);
            }
            _ => tracing::info!(system = %self.name(), "the EHR can be used again"),
        }
        // Whoever watches over it may have to ask a person.
        self.bell.notify_one();
    }
    /// Whether an exchange since the start showed that it is well.
    pub fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }
    /// What the EHR offers. A remembered statement says nothing about how the EHR is now, so only a failure is noted.
    pub async fn capability(&self, clock: &SharedClock) -> Result<Arc<Capability>, Failure> {
        match self.client.capability().await {
            Err(failure) if failure.kind == Kind::NotAnEhr => Ok(Arc::default()),
            Err(failure) => {
                self.heard(Some(&failure), clock);
                Err(failure)
            }
            capability => capability,
        }
    }
    /// Sends under the system's share of the network and notes how it went.
    pub async fn ask<T>(
        &self,
        clock: &SharedClock,
        exchange: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let _turn = self.turn().await;
        let answer = exchange.await;
        self.heard(answer.as_ref().err(), clock);
        answer
    }
    /// As [`Self::ask`], for reading one record (or looking for it) outside any write: that it cannot be shown says nothing of
    /// the EHR as a whole, which lists and writes tell.
    pub async fn ask_of_one<T>(
        &self,
        clock: &SharedClock,
        exchange: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let _turn = self.turn().await;
        let answer = exchange.await;
        match answer.as_ref().err() {
            Some(failure) if failure.concerns_all() && failure.may_be_one_records() => {
                self.circuit(Circuit::undecided);
            }
            failure => self.heard(failure, clock),
        }
        answer
    }
    /// Reads one record, as [`Self::ask_of_one`] says.
    pub async fn read(&self, clock: &SharedClock, kind: &str, id: &str) -> Result<Seen, Failure> {
        self.ask_of_one(clock, self.client.read(kind, id)).await
    }
    /// Waits for a share of the network.
    pub async fn turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.network.acquire().await.ok()
    }
}

/// The engine's parts, each with what it needs.
pub(super) struct Parts {
    pub translator: Arc<Translator>,
    pub recorder: Arc<Recorder>,
    pub sender: Sender,
    pub puller: Arc<Puller>,
    pub desk: Desk,
}

impl Parts {
    pub fn new(setup: Setup, connect: Connect<'_>) -> Result<Self, Error> {
        let mut systems = BTreeMap::new();
        let keep: Arc<dyn Keep> = Arc::new(InLedger(setup.ledger.clone()));
        for config in setup.systems {
            let connect = |config: &SystemConfig| connect(config, Arc::clone(&keep));
            let system = system(config, &setup.instance, &setup.mappings, &setup.clock, &connect)?;
            let name = system.name().clone();
            if systems.insert(name.clone(), Arc::new(system)).is_some() {
                return Err(wrong(&name, "the name is used twice"));
            }
        }
        let translator = Arc::new(Translator {
            instance: setup.instance,
            ledger: setup.ledger,
            mappings: Live::new(setup.mappings),
            validator: setup.validator,
            clock: setup.clock,
            systems,
            index: super::identity::Index::default(),
            ages: Ages::default(),
            is_behind: AtomicBool::new(false),
        });
        let recorder = Arc::new(Recorder::new(Arc::clone(&translator)));
        let puller = Arc::new(Puller::new(Arc::clone(&translator), Arc::clone(&recorder)));
        let desk =
            Desk { translator: Arc::clone(&translator), recorder: Arc::clone(&recorder), puller: Arc::clone(&puller) };
        let sender = Sender::new(Arc::clone(&translator), Arc::clone(&recorder), Arc::clone(&puller));
        Ok(Self { translator, recorder, sender, puller, desk })
    }
}

/// Opens a system's transport.
type Open<'o> = dyn Fn(&SystemConfig) -> Result<Arc<dyn Transport>, String> + 'o;

fn system(
    config: SystemConfig,
    instance: &str,
    mappings: &Mappings,
    clock: &SharedClock,
    connect: &Open<'_>,
) -> Result<System, Error> {
    let name = config.name.clone();
    if config.max_concurrency == 0 {
        return Err(wrong(&name, "max_concurrency must be at least 1"));
    }
    if jiff::tz::TimeZone::get(&config.zone).is_err() {
        return Err(wrong(&name, "zone is not a time zone of the IANA database, for example Europe/London"));
    }
    let dialects = mappings.dialects();
    if config.dialect != "generic" && !dialects.iter().any(|known| **known == *config.dialect) {
        let known = dialects.join(", ");
        return Err(wrong(&name, &format!("there is no dialect called {}; known are {known}", config.dialect)));
    }
    if let Some(object) =
        config.push.iter().chain(config.profiles.keys()).find(|o| mappings.object(o.as_str()).is_none())
    {
        return Err(wrong(&name, &format!("there is no kind of object called {object}")));
    }
    let transport = connect(&config).map_err(|why| wrong(&name, &why))?;
    let client =
        Client::new(&config, transport, Arc::clone(clock)).map_err(|failure| wrong(&name, &failure.message))?;
    let client = client.with_answers(mappings.answers(&config.dialect));
    Ok(System {
        own: OwnBase::new(&config.base_url),
        context: Context::new(instance).in_zone(&config.zone),
        network: tokio::sync::Semaphore::new(config.max_concurrency),
        bell: tokio::sync::Notify::new(),
        health: Health::default(),
        circuit: Mutex::new(Circuit::default()),
        evidence: Mutex::default(),
        proven: AtomicBool::new(false),
        fetches: Mutex::default(),
        client,
        config,
    })
}

fn wrong(system: &SystemName, why: &str) -> Error {
    Error::Setup { system: system.to_string(), why: why.to_owned() }
}

/// The transports of production.
pub(super) fn over_http(config: &SystemConfig, keep: Arc<dyn Keep>) -> Result<Arc<dyn Transport>, String> {
    Ok(Arc::new(Http::new(config)?.keeping(keep)))
}
