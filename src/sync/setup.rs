//! What the engine is made of: the ledger, the mappings, the rules, and for each EHR its client, its circuit and its
//! share of the network.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
    time::Duration,
};

use super::{Error, documents::InLedger, retry::Circuit};
use crate::{
    clock::SharedClock,
    domain::{ObjectName, SystemName},
    ehr::{Client, Failure, Http, Keep, SystemConfig, Transport},
    ledger::{Hash, Ledger},
    mapping::{Context, Live, Mappings, Plan},
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
    /// One permit a request under way.
    pub network: tokio::sync::Semaphore,
    circuit: Mutex<Circuit>,
    /// The newest resource by type whose creation was confirmed: what settling looks for to know that the EHR's
    /// search is up to date.
    witnesses: Mutex<HashMap<String, Witness>>,
    /// How long the EHR's search took to show a new resource, by type, and when that was learned.
    lags: Mutex<HashMap<String, (jiff::Timestamp, Option<Duration>)>>,
}

/// For so long a measured lag is believed.
const LAG_HOLDS: Duration = Duration::from_secs(120);

/// A resource that is known to be at the EHR, and since when it was on its way.
#[derive(Clone, Debug)]
pub(super) struct Witness {
    pub system: String,
    pub value: String,
    pub sent_at: jiff::Timestamp,
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
    /// Tells the circuit how an exchange went.
    pub fn heard(&self, failure: Option<&Failure>, now: jiff::Timestamp, chance: f64) {
        self.circuit(|circuit| match failure {
            Some(failure) if failure.concerns_all() => circuit.failed(now, failure.retry_after, chance),
            _ => circuit.succeeded(),
        });
    }
    /// Waits for a share of the network.
    pub async fn turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.network.acquire().await.ok()
    }
    pub fn witness(&self, kind: &str) -> Option<Witness> {
        self.witnesses.lock().unwrap_or_else(PoisonError::into_inner).get(kind).cloned()
    }
    /// Whether a type's lag should be measured (again).
    pub fn wants_lag(&self, kind: &str, now: jiff::Timestamp) -> bool {
        let known = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(kind)
            .is_none_or(|(at, _)| Duration::try_from(now.duration_since(*at)).unwrap_or_default() > LAG_HOLDS)
    }
    /// A measurement; `None` where the search did not show the resource.
    pub fn learn_lag(&self, kind: &str, now: jiff::Timestamp, lag: Option<Duration>) {
        self.lags.lock().unwrap_or_else(PoisonError::into_inner).insert(kind.to_owned(), (now, lag));
    }
    /// The search showed a resource that was sent so long ago: it is not further behind than that.
    pub fn shown_after(&self, kind: &str, now: jiff::Timestamp, age: Duration) {
        if self.lag(kind).is_none_or(|known| age < known) {
            self.learn_lag(kind, now, Some(age));
        }
    }
    /// How long the EHR's search is behind, at most; `None` where that is not known.
    pub fn lag(&self, kind: &str) -> Option<Duration> {
        self.lags.lock().unwrap_or_else(PoisonError::into_inner).get(kind).and_then(|(_, lag)| *lag)
    }
    pub fn remember(&self, kind: &str, witness: Witness) {
        let mut known = self.witnesses.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = known.get(kind).is_none_or(|before| before.sent_at < witness.sent_at);
        if newer {
            known.insert(kind.to_owned(), witness);
        }
    }
}

/// What all parts of the engine share.
pub(super) struct Inner {
    pub instance: String,
    pub ledger: Ledger,
    pub mappings: Live,
    pub validator: Arc<Validator>,
    pub clock: SharedClock,
    pub systems: BTreeMap<SystemName, Arc<System>>,
    pub index: super::identity::Index,
    pub suspicions: super::settle::Suspicions,
    /// Where the ledger stood at the start: what was accepted before may be at an EHR without our knowing, because the
    /// ledger may be a restored backup.
    pub began: u64,
    /// How many more of those are looked for where the EHR says that it looks itself.
    pub doubts: AtomicUsize,
    /// What a person was told about received records since the start, so that a repeated list says nothing twice.
    told: Mutex<HashMap<String, Option<Hash>>>,
}

impl Inner {
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
        Ok(Self {
            began: setup.ledger.head(),
            doubts: AtomicUsize::new(super::backup::DOUBTS),
            instance: setup.instance,
            ledger: setup.ledger,
            mappings: Live::new(setup.mappings),
            validator: setup.validator,
            clock: setup.clock,
            systems,
            index: super::identity::Index::default(),
            suspicions: super::settle::Suspicions::default(),
            told: Mutex::default(),
        })
    }

    /// The plan by which an object goes to, or comes from, a system.
    pub fn plan(&self, object: &ObjectName, system: &System) -> Result<Arc<Plan>, Error> {
        self.mappings.now().plan(object.as_str(), &system.config.dialect).ok_or(Error::UnknownObject)
    }
    /// Systems that an object is sent to.
    pub fn targets(&self, object: &ObjectName) -> impl Iterator<Item = &Arc<System>> {
        self.systems.values().filter(move |system| system.pushes(object))
    }
    /// Whether a person was told about a received record in this very state.
    pub fn is_told(&self, (subject, body): &(String, Option<Hash>)) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).get(subject) == Some(body)
    }
    pub fn tell(&self, (subject, body): (String, Option<Hash>)) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(subject, body);
    }
    pub fn forget_told(&self, subject: &str) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).remove(subject);
    }
    pub fn millis_since(&self, at: jiff::Timestamp) -> Duration {
        Duration::try_from(self.clock.now().duration_since(at)).unwrap_or_default()
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
        context: Context::new(instance).in_zone(&config.zone),
        network: tokio::sync::Semaphore::new(config.max_concurrency),
        circuit: Mutex::new(Circuit::default()),
        witnesses: Mutex::default(),
        lags: Mutex::default(),
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
