//! One world while it runs: its parties, what the script has done, and what people were shown. The gateway lives in it several
//! times over; between two lives only the disk and the EHRs remain.

mod shown;
mod staff;

pub use shown::{Shown, is_open};

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use liaison::{
    clock::SharedClock,
    definitions::Definitions,
    domain::{ObjectId, ObjectName, SystemName},
    ehr::{AuthConfig, Transport},
    ledger::Ledger,
    mapping::Mappings,
    profile::Validator,
    sync::{Engine, PullConfig, Setup, SystemConfig},
};
use serde_json::{Value, json};

use super::{
    disk::SimDisk,
    ehr::{Link, SimEhr, TOKENS},
    plan::{Button, Field, HEAL_S, Plan, Step, marker},
    time::{Life, SimClock, Time},
    trace::Trace,
};

pub const INSTANCE: &str = "sim";
/// `give_up_after` of every system.
pub const GIVE_UP_S: u64 = 1800;
const TIMEOUT: Duration = Duration::from_secs(8);

/// What is wrong, and about what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub kind: &'static str,
    pub about: String,
}

/// A write that was answered 202.
#[derive(Clone, Debug)]
pub struct Acked {
    pub version: u64,
    pub at: Duration,
    pub field: Option<Field>,
    pub value: String,
}

/// What a client knows of its object.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub id: Option<String>,
    /// All ids that were ever told for it.
    pub ids: Vec<String>,
    pub acked: Vec<Acked>,
    /// Its id before a restored backup forgot it.
    pub was: Option<String>,
    /// Those too that a restored backup does not know.
    pub ever: Vec<Acked>,
}

impl Known {
    /// Its id, also where a restored backup does not know it.
    pub fn any_id(&self) -> Option<String> {
        self.id.clone().or_else(|| self.was.clone())
    }
}

/// A change by the EHR's staff.
#[derive(Clone, Debug)]
pub struct Edit {
    pub ehr: usize,
    pub thing: usize,
    pub field: Field,
    pub value: String,
    pub at: Duration,
}

/// A button that was pressed and answered.
#[derive(Clone, Debug)]
pub struct Press {
    pub button: Button,
    pub item: Value,
    /// The sync's version and state as shown when it was pressed.
    pub sync: Option<(u64, String)>,
    pub at: Duration,
    pub taken: bool,
}

impl Press {
    /// Closes the item without delivery.
    pub fn closes(&self) -> bool {
        self.taken && matches!(self.button, Button::Dismiss | Button::Resolve | Button::ResolveNothing)
    }
}

pub struct World {
    pub plan: Plan,
    pub time: Arc<Time>,
    pub clock: Arc<SimClock>,
    pub ehrs: Vec<Arc<SimEhr>>,
    pub trace: Arc<Trace>,
    pub disk: Arc<SimDisk>,
    pub chance: fastrand::Rng,
    /// What is still to be done, by time in milliseconds and order.
    pub agenda: BTreeMap<(u64, u64), (Step, u64)>,
    pub planned: u64,
    pub known: Vec<Known>,
    pub edits: Vec<Edit>,
    pub own: Vec<(usize, String, String)>,
    pub deleted: Vec<(usize, usize)>,
    /// Of these, those that the gateway knew to be there, and those that were merged away: a person must be told.
    pub gone: Vec<(usize, usize)>,
    /// Telephone numbers that were added, with the EHR where that was, or here.
    pub added: Vec<(usize, Option<usize>, String)>,
    /// What senders' files say otherwise than at first.
    pub files: Vec<BTreeMap<Field, String>>,
    /// Visits of the EHR's own: their mark, and whose they are, where they are a patient's of ours.
    pub foreign: Vec<(String, Option<usize>)>,
    pub presses: Vec<Press>,
    /// Things of which a change may have been kept although its sync failed and its client was told otherwise.
    pub kept: std::collections::BTreeSet<usize>,
    /// Pressed, and not answered yet: where the gateway dies meanwhile, what it shows afterwards tells whether it was taken.
    pub pressing: Vec<Press>,
    /// When the backup was made.
    pub backed_up: Option<Duration>,
    /// When the clock was set back first, and when the present life began.
    pub set_back: Option<Duration>,
    pub started: Duration,
    /// A backup was restored.
    pub restored: bool,
    /// Of which systems it was known in the backup that they do not keep a field.
    pub known_to_drop: std::collections::BTreeSet<String>,
    pub shown: Shown,
    pub verdicts: Vec<Verdict>,
    pub entries: u64,
    pub head: String,
    /// What is otherwise in the configuration of every system.
    pub adjust: fn(&mut SystemConfig),
}

impl World {
    pub fn new(plan: &Plan, traced: bool) -> Self {
        let time = Arc::new(Time::default());
        let trace = Arc::new(Trace::new(time.clone(), traced));
        let seed = plan.seed;
        let ehrs = (0..plan.ehrs).map(|at| {
            let own = plan.quirks.iter().filter(|quirk| quirk.ehr == at).cloned().collect();
            Arc::new(SimEhr::new(at, seed.rotate_left(17) ^ at as u64, own, time.clone(), trace.clone()))
        });
        let ehrs = ehrs.collect();
        let mut world = Self {
            clock: Arc::new(SimClock::new(time.clone(), seed ^ 0xC10C)),
            ehrs,
            disk: Arc::new(SimDisk::new(seed, time.clone(), plan.sets_back)),
            chance: fastrand::Rng::with_seed(seed ^ 0x9E0),
            agenda: BTreeMap::new(),
            planned: 0,
            known: vec![Known::default(); plan.things.len()],
            edits: Vec::new(),
            own: Vec::new(),
            deleted: Vec::new(),
            gone: Vec::new(),
            added: Vec::new(),
            files: vec![BTreeMap::new(); plan.things.len()],
            foreign: Vec::new(),
            presses: Vec::new(),
            kept: std::collections::BTreeSet::new(),
            pressing: Vec::new(),
            backed_up: None,
            restored: false,
            known_to_drop: std::collections::BTreeSet::new(),
            set_back: None,
            started: Duration::ZERO,
            shown: Shown::default(),
            verdicts: Vec::new(),
            entries: 0,
            head: String::new(),
            adjust: |_| {},
            plan: plan.clone(),
            time,
            trace,
        };
        for (at, step) in &plan.steps {
            world.later(*at, step.clone(), 0);
        }
        world
    }

    pub fn later(&mut self, at_ms: u64, step: Step, tries: u64) {
        self.planned += 1;
        self.agenda.insert((at_ms, self.planned), (step, tries));
    }

    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.time.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub fn wrong(&mut self, kind: &'static str, about: impl Into<String>) {
        let verdict = Verdict { kind, about: about.into() };
        if !self.verdicts.contains(&verdict) {
            self.trace.say(|| format!("!!! {}: {}", verdict.kind, verdict.about));
            self.verdicts.push(verdict);
        }
    }

    /// Where the clock was set back before the present start, nobody can know how long something took before that.
    pub fn late_by(&self) -> u64 {
        if self.set_back.is_some_and(|at| at < self.started) { 3600 } else { 0 }
    }

    /// A ledger put back to before it was known that an EHR drops a field cannot tell that from staff who empty it.
    pub fn is_dropping_unknown(&self) -> bool {
        let drops = |ehr: &Arc<SimEhr>| ehr.has(super::quirk::Kind::Moves) && !self.known_to_drop.contains(&ehr.name);
        self.restored && self.ehrs.iter().any(drops)
    }

    pub fn system(&self, ehr: usize) -> String {
        self.ehrs[ehr].name.clone()
    }

    fn config(&self, ehr: usize) -> SystemConfig {
        let there = &self.ehrs[ehr];
        let mut config = SystemConfig::new(SystemName::new(&there.name).expect("a name"), &there.base);
        config.push = ["patient", "appointment"].map(name).to_vec();
        let period = |text: &str| text.to_owned().try_into().expect("a period");
        config.timeout = period("8s");
        config.give_up_after = period(&format!("{GIVE_UP_S}s"));
        config.max_concurrency = 1 + (self.plan.seed as usize >> ehr) % 4;
        let text = "every = \"60s\"\ntypes = [\"Patient\", \"Appointment\"]";
        if there.has(super::quirk::Kind::ShortTokens) {
            // Any variable that is there will do for the secret.
            config.auth = AuthConfig::ClientCredentials {
                client_id: "liaison".to_owned(),
                secret_file: None,
                secret_env: Some("PATH".to_owned()),
                token_url: Some(format!("{}/{TOKENS}", there.base)),
                scope: "system/*.*".to_owned(),
            };
        }
        config.pull = Some(toml::from_str::<PullConfig>(text).expect("a pull section"));
        (self.adjust)(&mut config);
        config
    }

    /// Opens the ledger and makes an engine for one life.
    pub fn open(&self, life: &Arc<Life>) -> Result<(Ledger, Engine), String> {
        let clock: SharedClock = self.clock.clone();
        let ledger = self.disk.open_ledger(life, clock.clone())?;
        let setup = Setup {
            instance: INSTANCE.to_owned(),
            systems: (0..self.ehrs.len()).map(|at| self.config(at)).collect(),
            ledger: ledger.clone(),
            mappings: mappings(),
            validator: validator(),
            clock,
        };
        let links: BTreeMap<String, Arc<SimEhr>> =
            self.ehrs.iter().map(|ehr| (ehr.name.clone(), ehr.clone())).collect();
        let engine = Engine::with(setup, &|config, _keep| {
            let ehr = links.get(config.name.as_str()).ok_or("no such system")?.clone();
            let link: Arc<dyn Transport> = Arc::new(Link { ehr, life: life.clone(), timeout: TIMEOUT });
            Ok(link)
        });
        Ok((ledger, engine.map_err(|error| error.to_string())?))
    }

    /// The body of a new object, or why it cannot be made yet.
    pub fn body(&self, thing: usize) -> Option<Value> {
        let what = &self.plan.things[thing];
        let mark = marker(thing);
        let mut body = match what.of {
            None => json!({"names": [{"family": Field::Family.value(thing as u64), "given": ["Ada"]}],
                "birth_date": Field::Birth.value(thing as u64), "contact_details": [{"kind": "email", "value": format!("{mark}@example.org")}]}),
            Some(of) => {
                let patient = self.known[of].id.clone()?;
                json!({"status": "booked", "description": mark, "comment": Field::Comment.value(thing as u64),
                    "start": format!("2026-06-{:02}T09:00:00Z", 2 + thing), "end": format!("2026-06-{:02}T09:30:00Z", 2 + thing),
                    "participants": [{"who": {"object": "patient", "id": patient}, "reply": "accepted"}]})
            }
        };
        if what.named {
            body["id"] = json!(mark);
        }
        Some(body)
    }

    /// What its sender's file says now.
    pub fn file(&self, thing: usize) -> Option<Value> {
        let mut body = self.body(thing)?;
        for (field, value) in &self.files[thing] {
            field.set(&mut body, value);
        }
        Some(body)
    }

    /// Which of the things a resource at an EHR is.
    pub fn thing_of(&self, resource: &Value) -> Option<usize> {
        let text = resource.pointer("/telecom/0/value").or_else(|| resource.get("description"))?.as_str()?;
        (0..self.plan.things.len()).find(|thing| text.starts_with(&marker(*thing)))
    }

    /// The script is over and the faults have ended.
    pub fn is_over(&self) -> bool {
        self.time.elapsed().as_secs() >= HEAL_S && self.agenda.is_empty()
    }
}

pub fn name(text: &str) -> ObjectName {
    ObjectName::new(text).expect("a name")
}

pub fn object(ledger: &Ledger, object: &str, id: &str) -> Result<Option<Value>, String> {
    let id = ObjectId::new(id).map_err(|_| "a bad id".to_owned())?;
    let Some(row) = ledger.object(&name(object), &id).map_err(|error| error.to_string())? else { return Ok(None) };
    let Some(hash) = row.body else { return Ok(None) };
    let bytes = ledger.body(&hash).map_err(|error| error.to_string())?.ok_or("a body is missing")?;
    let mut body = liaison::fhir::read(&bytes).map_err(|_| "a body is no JSON".to_owned())?;
    body["version"] = json!(row.version);
    Ok(Some(body))
}

fn mappings() -> Arc<Mappings> {
    static ONE: OnceLock<Arc<Mappings>> = OnceLock::new();
    ONE.get_or_init(|| Mappings::embedded().expect("mappings")).clone()
}

fn validator() -> Arc<Validator> {
    static ONE: OnceLock<Arc<Validator>> = OnceLock::new();
    ONE.get_or_init(|| Arc::new(Validator::new(Definitions::core()))).clone()
}
