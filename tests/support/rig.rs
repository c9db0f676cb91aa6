//! A gateway's engine and a practice EHR in one process: pushes go in, the EHR's true history judges.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use liaison::{
    clock::{Clock, SystemClock},
    definitions::Definitions,
    domain::{ObjectId, ObjectName, SystemName},
    ehr::{Http, Request, Response, Sending, Transport},
    ledger::{self, Ledger, SyncFilter, SyncRow, SyncState, WorkFilter},
    mapping::Mappings,
    profile::Validator,
    rest,
    sandbox::{self, FaultsFile},
    sync::{Accept, Change, Engine, Error, Key, PullConfig, Setup, SystemConfig, Update},
};
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinHandle};

pub const INSTANCE: &str = "rig";

/// Everything of one test.
pub struct Rig {
    pub ehr: sandbox::Running,
    pub ledger: Ledger,
    pub engine: Engine,
    pub folder: tempfile::TempDir,
    pub clock: Arc<Shifted>,
    tamper: Option<Arc<dyn Tamper>>,
    config: SystemConfig,
    others: Vec<SystemConfig>,
    workers: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// The system's clock, set wrong by so much.
#[derive(Default)]
pub struct Shifted(AtomicI64);

impl Shifted {
    pub fn jump(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for Shifted {
    fn now(&self) -> jiff::Timestamp {
        SystemClock.now() + jiff::SignedDuration::from_secs(self.0.load(Ordering::Relaxed))
    }
    fn steady(&self) -> Duration {
        SystemClock.steady()
    }
    fn chance(&self) -> f64 {
        SystemClock.chance()
    }
    fn new_id(&self) -> uuid::Uuid {
        SystemClock.new_id()
    }
}

/// Somebody between gateway and EHR.
pub trait Tamper: Send + Sync + 'static {
    /// Told before a request leaves.
    fn leaves(&self, _request: &Request) {}
    /// May change an answer.
    fn answers(&self, _request: &Request, response: Response) -> Response {
        response
    }
}

struct Tampered(Arc<dyn Transport>, Arc<dyn Tamper>);

impl Transport for Tampered {
    fn send(&self, request: Request) -> Sending<'_> {
        Box::pin(async move {
            self.1.leaves(&request);
            let answer = self.0.send(request.clone()).await?;
            Ok(self.1.answers(&request, answer))
        })
    }
}

pub fn name(text: &str) -> ObjectName {
    ObjectName::new(text).expect("a name")
}

pub fn faults(text: &str) -> FaultsFile {
    FaultsFile::parse(text).expect("faults")
}

impl Rig {
    /// An EHR with these faults, and a gateway that sends patients, appointments, slots, sessions and letters there.
    pub async fn new(faulty: &str, configure: impl FnOnce(&mut SystemConfig)) -> Self {
        let options = sandbox::Options { faults: faults(faulty), ..sandbox::Options::practice() };
        Self::with(options, configure, None).await
    }

    /// Another EHR, with somebody in between.
    pub async fn with(
        options: sandbox::Options,
        configure: impl FnOnce(&mut SystemConfig),
        tamper: Option<Arc<dyn Tamper>>,
    ) -> Self {
        let ehr = sandbox::spawn(options).await.expect("a sandbox");
        let mut config = SystemConfig::new(SystemName::new("ehr").expect("a name"), &ehr.url);
        config.push = ["patient", "appointment", "letter", "slot", "clinic-session"].map(name).to_vec();
        config.timeout = "2s".to_owned().try_into().expect("a period");
        config.settle_within = "5s".to_owned().try_into().expect("a period");
        configure(&mut config);
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(Shifted::default());
        let (ledger, engine) =
            try_open(folder.path(), std::slice::from_ref(&config), &clock, tamper.as_ref()).expect("a ledger");
        let others = Vec::new();
        let mut rig = Self { ehr, ledger, engine, folder, clock, tamper, config, others, workers: None };
        rig.start();
        rig
    }

    pub fn pulling(types: &[&str]) -> impl FnOnce(&mut SystemConfig) {
        let types: Vec<String> = types.iter().map(|kind| (*kind).to_owned()).collect();
        move |config| {
            let text = format!("every = \"200ms\"\ntypes = {types:?}");
            config.pull = Some(toml::from_str::<PullConfig>(&text).expect("a pull section"));
        }
    }

    /// Another EHR beside the first one, from now on.
    pub async fn beside(&mut self, other: SystemConfig) {
        self.others.push(other);
        self.crash().await;
        self.start();
    }

    fn systems(&self) -> Vec<SystemConfig> {
        std::iter::once(&self.config).chain(&self.others).cloned().collect()
    }

    pub fn start(&mut self) {
        let (stop, stopped) = oneshot::channel();
        let engine = self.engine.clone();
        let workers = tokio::spawn(async move {
            engine.run(async { drop(stopped.await) }).await;
        });
        self.workers = Some((stop, workers));
    }

    /// Ends the workers as a power cut would: nothing gets to finish. The same ledger is opened again, without workers.
    pub async fn crash(&mut self) {
        let (stop, workers) = self.workers.take().expect("running");
        workers.abort();
        let _ = workers.await;
        drop(stop);
        self.reopen(|_| {}).await;
    }

    /// Closes the ledger, lets somebody at its folder, and opens it again; no worker runs before or after.
    pub async fn reopen(&mut self, meanwhile: impl FnOnce(&Path)) {
        // The folder is locked until the last handle is gone.
        let (ledger, engine) = {
            let spare = tempfile::tempdir().expect("a folder");
            try_open(spare.path(), &self.systems(), &self.clock, None).expect("a ledger")
        };
        drop(std::mem::replace(&mut self.engine, engine));
        drop(std::mem::replace(&mut self.ledger, ledger));
        let started = Instant::now();
        while let Err(error) = Ledger::open(self.folder.path(), ledger::Options::new(Arc::new(SystemClock))) {
            assert!(started.elapsed() < Duration::from_secs(5), "the ledger stays locked: {error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        meanwhile(self.folder.path());
        loop {
            match try_open(self.folder.path(), &self.systems(), &self.clock, self.tamper.as_ref()) {
                Ok((ledger, engine)) => {
                    (self.ledger, self.engine) = (ledger, engine);
                    break;
                }
                Err(error) if started.elapsed() > Duration::from_secs(5) => panic!("the ledger stays locked: {error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Lets what is under way finish.
    pub async fn stop(&mut self) {
        let (stop, workers) = self.workers.take().expect("running");
        let _ = stop.send(());
        workers.await.expect("workers end");
    }

    pub async fn push(&self, object: &str, body: Value) -> ledger::Answer {
        self.try_push(object, body).await.expect("taken on")
    }

    pub async fn try_push(&self, object: &str, body: Value) -> Result<ledger::Answer, Error> {
        let key = Key { scope: format!("test {object}"), key: body.to_string() };
        let accept = Accept { object: name(object), body, key, by: "test".to_owned(), lenient: false };
        self.engine.accept(accept).await
    }

    pub async fn change(&self, object: &str, id: &str, expected: u64, change: Change) -> Result<ledger::Answer, Error> {
        let id = ObjectId::new(id).expect("an id");
        let update =
            Update { object: name(object), id, expected, change, key: None, by: "test".to_owned(), lenient: false };
        self.engine.update(update).await
    }

    pub fn sync(&self, object: &str, id: &str) -> SyncRow {
        let id = ObjectId::new(id).expect("an id");
        let mut rows = self.ledger.syncs_of(&name(object), &id).expect("readable");
        rows.pop().unwrap_or_else(|| panic!("{object} {id} has no sync"))
    }

    pub fn object(&self, object: &str, id: &str) -> Option<Value> {
        let row = self.ledger.object(&name(object), &ObjectId::new(id).expect("an id")).expect("readable")?;
        let bytes = self.ledger.body(&row.body.expect("a body")).expect("readable").expect("kept");
        Some(liaison::fhir::read(&bytes).expect("JSON"))
    }

    pub fn objects(&self, object: &str) -> Vec<(String, Value)> {
        let rows = self.ledger.objects(&name(object), None, 500).expect("readable");
        rows.iter().map(|row| (row.id.to_string(), self.object(object, row.id.as_str()).expect("a body"))).collect()
    }

    pub fn items(&self) -> Vec<Value> {
        let items = self.ledger.items(&WorkFilter { limit: 500, ..WorkFilter::default() }).expect("readable");
        items.iter().map(|item| self.ledger.item_json(item).expect("readable")).collect()
    }

    pub fn open_items(&self) -> Vec<Value> {
        self.items().into_iter().filter(|item| item["status"] == "open" || item["status"] == "assigned").collect()
    }

    pub fn all_syncs(&self) -> Vec<SyncRow> {
        self.ledger.syncs(&SyncFilter { limit: 100_000, ..SyncFilter::default() }).expect("readable")
    }

    /// Waits until nothing is to be sent without a person.
    pub async fn settled(&self, within_s: u64) {
        self.until(within_s, "all syncs settled", |rig| rig.all_syncs().iter().all(|row| !row.state().is_pending()))
            .await;
    }

    pub async fn state(&self, object: &str, id: &str, state: SyncState, within_s: u64) {
        self.until(within_s, &format!("{object} {id} {state:?}"), |rig| rig.sync(object, id).state() == state).await;
    }

    pub async fn until(&self, within_s: u64, what: &str, holds: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !holds(self) {
            if started.elapsed() > Duration::from_secs(within_s) {
                let open: Vec<SyncRow> =
                    self.all_syncs().into_iter().filter(|row| row.state() != SyncState::Synced).take(5).collect();
                panic!("not within {within_s} s: {what}\n{open:#?}\n{:#?}", self.open_items());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How often each of our identifiers was created at the EHR, by `Type value`.
    pub fn creates(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for commit in
            self.ehr.truth_lines().iter().filter(|line| line["version"] == json!("1") || line["version"] == json!(1))
        {
            for identifier in commit["body"]["identifier"].as_array().into_iter().flatten() {
                let system = identifier["system"].as_str().unwrap_or_default();
                if system.starts_with(&format!("urn:liaison:{INSTANCE}:")) {
                    let kind = commit["type"].as_str().unwrap_or_default();
                    *counts
                        .entry(format!("{kind} {}", identifier["value"].as_str().unwrap_or_default()))
                        .or_insert(0) += 1;
                }
            }
        }
        counts
    }

    /// Every state of one resource at the EHR, oldest first.
    pub fn states(&self, kind: &str, ours: &str) -> Vec<Value> {
        let mine = |body: &Value| {
            body["identifier"].as_array().is_some_and(|list| {
                list.iter()
                    .any(|i| i["value"] == ours && i["system"].as_str().is_some_and(|s| s.starts_with("urn:liaison:")))
            })
        };
        let lines = self.ehr.truth_lines();
        lines
            .into_iter()
            .filter(|line| line["type"] == kind && mine(&line["body"]))
            .map(|line| line["body"].clone())
            .collect()
    }

    /// What the EHR's own staff do there.
    pub fn at_ehr(&self, method: rest::Method, path: &str, body: Option<&Value>) -> Value {
        let request = rest::Request {
            method,
            path: path.to_owned(),
            query: String::new(),
            headers: vec![("content-type".to_owned(), "application/fhir+json".to_owned())],
            body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
        };
        let response = self.ehr.request(&request);
        let text = String::from_utf8_lossy(&response.body).into_owned();
        assert!((200..300).contains(&response.status), "{path}: {} {text}", response.status);
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Changes a resource at the EHR.
    pub fn edit(&self, reference: &str, change: impl FnOnce(&mut Value)) {
        let mut body = self.at_ehr(rest::Method::Get, reference, None);
        change(&mut body);
        self.at_ehr(rest::Method::Put, reference, Some(&body));
    }
}

fn try_open(
    folder: &Path,
    systems: &[SystemConfig],
    clock: &Arc<Shifted>,
    tamper: Option<&Arc<dyn Tamper>>,
) -> Result<(Ledger, Engine), String> {
    let clock: Arc<dyn Clock> = clock.clone();
    let ledger = Ledger::open(folder, ledger::Options::new(clock.clone())).map_err(|error| error.to_string())?;
    let setup = Setup {
        instance: INSTANCE.to_owned(),
        systems: systems.to_vec(),
        ledger: ledger.clone(),
        mappings: Mappings::embedded().expect("mappings"),
        validator: Arc::new(Validator::new(Definitions::core())),
        clock,
    };
    let engine = Engine::with(setup, &|config, keep| {
        let http: Arc<dyn Transport> = Arc::new(Http::new(config)?.keeping(keep));
        Ok(match tamper {
            Some(tamper) => Arc::new(Tampered(http, Arc::clone(tamper))),
            None => http,
        })
    });
    Ok((ledger, engine.expect("an engine")))
}

pub fn patient(id: &str) -> Value {
    json!({"id": id, "names": [{"family": "Example", "given": ["Ada"]}], "birth_date": "1980-02-29"})
}

pub fn appointment(id: &str, patient: &str, start: &str, end: &str) -> Value {
    json!({
        "id": id, "status": "booked", "description": "Check-up", "start": start, "end": end,
        "participants": [{"who": {"object": "patient", "id": patient}, "reply": "accepted"}],
    })
}
