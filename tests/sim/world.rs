//! One world while it runs: its parties, what the script has done, and what people were shown. The gateway lives in it several
//! times over; between two lives only the disk and the EHRs remain.

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
    ledger::{Ledger, SyncFilter, WorkFilter},
    mapping::Mappings,
    profile::Validator,
    rest::Method,
    sync::{Engine, PullConfig, Setup, SystemConfig},
};
use serde_json::{Value, json};

use super::{
    books::Who,
    disk::SimDisk,
    ehr::{Link, SimEhr, TOKENS},
    plan::{Button, Field, HEAL_S, Plan, Step, marker, own_marker},
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

/// What surfaces show.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Syncs by object, id and system.
    pub syncs: BTreeMap<(String, String, String), Value>,
    /// All items there ever were, as last shown, and when they were first.
    pub items: BTreeMap<String, (Duration, Value)>,
    /// Items as they were shown before a backup was restored: their ids are given again.
    pub past: Vec<Value>,
    /// When a value of a thing's field was first shown, and until when it was known that it had been.
    pub values: BTreeMap<(usize, Field, String), Vec<(Duration, Duration)>>,
    /// Values now.
    pub now: BTreeMap<(usize, Field), String>,
    /// Markers of staff's own records among the patients here.
    pub own: Vec<String>,
}

impl Shown {
    pub fn open(&self) -> Vec<&Value> {
        self.items.values().map(|(_, item)| item).filter(|item| is_open(item)).collect()
    }

    /// All that people were ever shown.
    pub fn ever(&self) -> impl Iterator<Item = &Value> {
        self.items.values().map(|(_, item)| item).chain(&self.past)
    }
}

pub fn is_open(item: &Value) -> bool {
    item["status"] == "open" || item["status"] == "assigned"
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
    pub presses: Vec<Press>,
    /// When the backup was made.
    pub backed_up: Option<Duration>,
    /// When the clock was set back first, and when the present life began.
    pub set_back: Option<Duration>,
    pub started: Duration,
    /// A backup was restored.
    pub restored: bool,
    pub shown: Shown,
    pub verdicts: Vec<Verdict>,
    pub entries: u64,
    pub head: String,
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
            presses: Vec::new(),
            backed_up: None,
            restored: false,
            set_back: None,
            started: Duration::ZERO,
            shown: Shown::default(),
            verdicts: Vec::new(),
            entries: 0,
            head: String::new(),
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

    pub fn system(&self, ehr: usize) -> String {
        self.ehrs[ehr].name.clone()
    }

    pub fn config(&self, ehr: usize) -> SystemConfig {
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

    /// Which of the things a resource at an EHR is.
    pub fn thing_of(&self, resource: &Value) -> Option<usize> {
        let text = resource.pointer("/telecom/0/value").or_else(|| resource.get("description"))?.as_str()?;
        (0..self.plan.things.len()).find(|thing| text.starts_with(&marker(*thing)))
    }

    /// What an EHR's staff do.
    pub fn at_ehr(&mut self, step: &Step) {
        match step {
            Step::Edit { ehr, thing, field, number } => {
                let there = self.ehrs[*ehr].clone();
                there.work();
                let standing = there.books.standing();
                let found = standing
                    .iter()
                    .find(|version| version.resource.as_ref().is_some_and(|body| self.thing_of(body) == Some(*thing)));
                let Some(found) = found else { return };
                let mut body = found.resource.clone().unwrap_or_default();
                let value = field.value(*number);
                field.edit(&mut body, &value);
                self.staff(*ehr, Method::Put, &format!("{}/{}", found.kind, found.id), Some(&body));
                self.trace.say(|| format!("staff of {} set {field:?} of {thing} to {value}", there.name));
                let at = self.time.elapsed();
                self.edits.push(Edit { ehr: *ehr, thing: *thing, field: *field, value, at });
            }
            Step::Own { ehr, number, identified } => {
                let mark = own_marker(*number);
                let mut body = json!({"resourceType": "Patient", "name": [{"family": "Own", "given": [mark]}],
                    "telecom": [{"system": "email", "value": format!("{mark}@example.org")}]});
                if *identified {
                    body["identifier"] = json!([{"system": "https://mrn.example", "value": format!("m{number}")}]);
                }
                let answer = self.staff(*ehr, Method::Post, "Patient", Some(&body));
                let id = answer["id"].as_str().unwrap_or_default().to_owned();
                self.trace.say(|| format!("staff of {} create Patient/{id} ({mark})", self.ehrs[*ehr].name));
                super::quirk::count(if *identified {
                    super::quirk::Kind::OwnIdentified
                } else {
                    super::quirk::Kind::OwnRecords
                });
                self.own.push((*ehr, mark, id));
            }
            Step::Delete { ehr, thing } => {
                let there = self.ehrs[*ehr].clone();
                there.work();
                let standing = there.books.standing();
                let found = standing
                    .iter()
                    .find(|version| version.resource.as_ref().is_some_and(|body| self.thing_of(body) == Some(*thing)));
                if let Some(found) = found {
                    self.staff(*ehr, Method::Delete, &format!("{}/{}", found.kind, found.id), None);
                    self.trace.say(|| format!("staff of {} delete {}", there.name, found.kind));
                    super::quirk::count(super::quirk::Kind::Deletes);
                    self.deleted.push((*ehr, *thing));
                }
            }
            _ => {}
        }
    }

    fn staff(&self, ehr: usize, method: Method, path: &str, body: Option<&Value>) -> Value {
        let mut request = liaison::rest::Request::new(method, path, "");
        request.headers = vec![("content-type".to_owned(), "application/fhir+json".to_owned())];
        request.body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let answer = self.ehrs[ehr].at_ehr(Who::Staff, &request);
        assert!((200..300).contains(&answer.status), "{path}: {}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
    }

    /// Looks at what surfaces show now, as a person would.
    pub fn look(&mut self, ledger: &Ledger) -> Result<(), String> {
        let failed = |error: liaison::ledger::LedgerError| error.to_string();
        let now = self.time.elapsed();
        let all = SyncFilter { limit: 10_000, ..SyncFilter::default() };
        for row in ledger.syncs(&all).map_err(failed)? {
            let shown = row.to_json();
            let text = |name: &str| shown[name].as_str().unwrap_or_default().to_owned();
            let key = (text("object"), text("object_id"), text("system"));
            if self.shown.syncs.get(&key) != Some(&shown) {
                self.trace.say(|| {
                    format!(
                        "  sync {} {} at {}: {} v{} {}",
                        key.0,
                        key.1,
                        key.2,
                        text("state"),
                        shown["version"],
                        text("code")
                    )
                });
                self.shown.syncs.insert(key, shown);
            }
        }
        let items = ledger.items(&WorkFilter { limit: 10_000, ..WorkFilter::default() }).map_err(failed)?;
        for row in items {
            let shown = ledger.item_json(&row).map_err(failed)?;
            let before = self.shown.items.get(&row.id);
            if before.is_none_or(|(_, before)| before["status"] != shown["status"]) {
                self.trace.say(|| {
                    format!(
                        "  item {} {} {} {}: {} {} at {} — {}",
                        row.id,
                        shown["status"],
                        shown["kind"],
                        shown["code"],
                        shown["object"],
                        shown["object_id"],
                        shown["system"],
                        shown["what_happened"]
                    )
                });
            }
            let since = before.map_or(now, |(since, _)| *since);
            self.shown.items.insert(row.id.clone(), (since, shown));
        }
        for thing in 0..self.plan.things.len() {
            let Some(id) = self.known[thing].any_id() else { continue };
            let Some(body) = object(ledger, self.plan.things[thing].object(), &id)? else { continue };
            for field in Field::of(&self.plan.things[thing]) {
                let Some(value) = body.pointer(field.internal()).and_then(Value::as_str) else { continue };
                self.shown.now.insert((thing, *field), value.to_owned());
                let known = self.shown.values.entry((thing, *field, value.to_owned())).or_default();
                if known.last().is_none_or(|(_, until)| *until < Duration::MAX) {
                    known.push((now, Duration::MAX));
                }
            }
        }
        Ok(())
    }

    /// Looks for staff's own records among the patients here.
    pub fn look_for_own(&mut self, ledger: &Ledger) -> Result<(), String> {
        let rows = ledger.objects(&name("patient"), None, 1000).map_err(|error| error.to_string())?;
        let mut own = Vec::new();
        for row in rows {
            let body = object(ledger, "patient", row.id.as_str())?.unwrap_or_default();
            let mark = body.pointer("/contact_details/0/value").and_then(Value::as_str).unwrap_or_default();
            own.extend(
                mark.split_once('@').filter(|(mark, _)| mark.starts_with("own-")).map(|(mark, _)| mark.to_owned()),
            );
        }
        self.shown.own = own;
        Ok(())
    }

    /// The backup took the ledger's place: what was answered and shown since it was made is not known any more.
    pub fn restored(&mut self) {
        let (backed_up, now) = (self.backed_up.unwrap_or_default(), self.time.elapsed());
        self.restored = true;
        for thing in 0..self.known.len() {
            let known = &mut self.known[thing];
            known.acked.retain(|acked| acked.at <= backed_up);
            if !known.acked.is_empty() {
                continue;
            }
            known.was = known.id.take().or_else(|| known.was.take());
            let was_sent = known.was.is_some();
            known.ids.clear();
            if was_sent && self.plan.things[thing].named {
                // Its sender sends it again; without an id of its own that would be another object.
                let at = self.now_ms() + 1000 + thing as u64 * 7919;
                self.later(at, Step::Push { thing, twice: false }, 0);
            }
        }
        let Shown { items, mut past, mut values, .. } = std::mem::take(&mut self.shown);
        past.extend(items.into_values().map(|(_, item)| item));
        // What was shown before the backup was made is known still.
        for (since, until) in values.values_mut().flatten() {
            if *until == Duration::MAX && *since > backed_up {
                *until = now;
            }
        }
        self.shown = Shown { past, values, ..Shown::default() };
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
