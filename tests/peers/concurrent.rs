//! Twenty seconds in which the hospital's people and ours edit the same records: the hospital's read, change one field and write
//! over just what they read; ours change objects, which the gateway sends. A person decides what is asked. Afterwards every single
//! edit is followed through the EHR's true history (`lost`).

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    End, Name, configuration,
    ehrs::{self, Peer},
    end_of,
    fields::{FIELDS, Tokens, Who, tokens},
    lost::{self, Case, Edit, Verdict},
    staff::Staff,
};
use crate::{
    foreign_ehr::syncs,
    support::{Answer, Server, beside, block_on, client, liaison, send, wait_for},
};

const OF_EACH: usize = 4;
/// Until both sides agree again, after the last edit.
const SETTLES: Duration = Duration::from_secs(40);
/// So much older is what somebody reads when it arrives.
const SLOW: (&str, &str) = ("PAUSE_MS", "15");

#[test]
fn edits_on_both_sides_at_medplums_router_are_never_lost() {
    at(async |folder| ehrs::medplum(folder, &[SLOW]).await, Duration::from_secs(20), Run::is_protected);
}

#[test]
fn edits_on_both_sides_at_hapi_are_never_lost() {
    at(async |folder| ehrs::hapi(folder).await, Duration::from_secs(10), Run::is_protected);
}

#[test]
fn an_ehr_that_ignores_conditions_gets_its_edits_back() {
    at(
        async |folder| ehrs::asymmetrik(folder, &[SLOW]).await,
        Duration::from_secs(20),
        |run| {
            let gone: Vec<_> = run.verdict.blind.iter().filter(|blind| !blind.is_put_back()).collect();
            let stories: String = gone.iter().map(|blind| format!("{blind}\n")).collect();
            assert!(gone.is_empty(), "{} of {} were not put back:\n{stories}", gone.len(), run.verdict.blind.len());
            let told = run.items.iter().filter(|item| item["code"] == "LIA-SYNC-033").count();
            assert_eq!(told, usize::from(!run.verdict.blind.is_empty()), "it is told once that edits are unprotected");
            for blind in &run.verdict.blind {
                assert!(run.history(&blind.name).contains("put back"), "{blind:?} is told in the object's history");
            }
        },
    );
}

#[test]
fn an_ehr_without_conditions_or_history_has_a_question_for_each_lost_edit() {
    let how = [SLOW, ("HISTORY", "none")];
    at(
        async |folder| ehrs::asymmetrik(folder, &how).await,
        Duration::from_secs(10),
        |run| {
            for name in run.objects.keys() {
                let blind: Vec<_> = run.verdict.blind.iter().filter(|blind| blind.name == *name).collect();
                let asks = |item: &&Value| item["code"] == "LIA-SYNC-034";
                let of = |item: &&Value| item["object"] == json!(name.0) && item["object_id"] == json!(name.1);
                let asked = run.items.iter().filter(of).filter(asks).count();
                let stories: String = blind.iter().map(|blind| format!("{blind}\n")).collect();
                let (lost, history) = (blind.len(), run.history(name));
                assert!(lost <= asked, "{name:?}: {lost} writes over edits, {asked} questions\n{stories}{history}");
            }
        },
    );
}

/// What is left of a run.
struct Run {
    verdict: Verdict,
    items: Vec<Value>,
    objects: BTreeMap<Name, Value>,
    /// What the gateway tells of each object.
    histories: BTreeMap<Name, Value>,
}

impl Run {
    /// The EHR heeds If-Match: nothing was ever written over what nobody had seen.
    fn is_protected(&self) {
        let told = |blind: &lost::Blind| format!("{blind}\n{}", self.history(&blind.name));
        let stories: String = self.verdict.blind.iter().map(told).collect();
        assert!(stories.is_empty(), "it heeds If-Match:\n{stories}");
    }

    /// The end of what the gateway tells of an object.
    fn history(&self, name: &Name) -> String {
        let told = &self.histories[name];
        let entries = told["items"].as_array().or(told.as_array()).cloned().unwrap_or_default();
        let line =
            |entry: &Value| format!("    {} {} {} {}\n", entry["at"], entry["kind"], entry["code"], entry["summary"]);
        entries.iter().map(line).collect()
    }
}

fn at(start: impl AsyncFn(&Path) -> Result<Peer, String>, lasts: Duration, and: impl FnOnce(&Run)) {
    let folder = tempfile::tempdir().expect("a folder");
    block_on(async {
        match start(folder.path()).await {
            Ok(peer) => {
                let run = run(&peer, folder.path(), lasts).await;
                let told = run.verdict.told();
                let about = run.objects.keys().filter(|name| told.contains(&format!("{name:?}")));
                let histories: String = about.map(|name| format!("{name:?}\n{}", run.history(name))).collect();
                assert!(run.verdict.wrong.is_empty(), "{told}\n{histories}");
                and(&run);
            }
            Err(missing) => beside::no_peer(&missing, "install what it needs (tests/peers.rs)"),
        }
    });
}

/// What all who edit share.
struct Scene {
    gateway: String,
    client: reqwest::Client,
    records: BTreeMap<Name, String>,
    number: AtomicU32,
    is_over: AtomicBool,
    staff: Mutex<Vec<Edit>>,
    ours: Mutex<Vec<Edit>>,
    items: Mutex<BTreeMap<String, Value>>,
}

async fn run(peer: &Peer, folder: &Path, lasts: Duration) -> Run {
    let config = configuration(folder, &peer.base, &peer.auth, &["Patient", "Appointment", "Communication"]);
    let mut gateway = Server::gateway(&config);
    let records = begin(&gateway.url).await;
    let scene = Arc::new(Scene {
        gateway: gateway.url.clone(),
        client: client(),
        records,
        number: AtomicU32::new(0),
        is_over: AtomicBool::new(false),
        staff: Mutex::default(),
        ours: Mutex::default(),
        items: Mutex::default(),
    });
    let mut tasks = Vec::new();
    for at in 0..3 {
        tasks.push(tokio::spawn(Arc::clone(&scene).staffs(peer.staff.clone(), at)));
    }
    for at in 0..2 {
        tasks.push(tokio::spawn(Arc::clone(&scene).ours(at)));
    }
    let person = tokio::spawn(Arc::clone(&scene).person());
    tokio::time::sleep(lasts).await;
    scene.is_over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("no panic");
    }
    let ended = Instant::now();
    let (mut run, told) = loop {
        let quiet = syncs(&gateway.url).await.iter().all(|row| end_of(row) == End::Synced);
        let objects = scene.objects().await;
        let told = verdict(&scene, peer, &objects, None).await;
        if (quiet && told.wrong.is_empty()) || ended.elapsed() > SETTLES {
            let histories = scene.histories().await;
            let items = scene.items.lock().expect("no panic").values().cloned().collect();
            break (Run { verdict: Verdict::default(), items, objects, histories }, quiet);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    person.abort();
    let open = syncs(&gateway.url).await.into_iter().find(|row| end_of(row) != End::Synced);
    gateway.kill();
    run.verdict = verdict(&scene, peer, &run.objects, Some(&folder.join("ledger"))).await;
    if !told {
        run.verdict.wrong.push(format!("not synced {:?} after the last edit: {open:?}", ended.elapsed()));
    }
    let (staff, ours) = (scene.staff.lock().expect("no panic").len(), scene.ours.lock().expect("no panic").len());
    let back = run.verdict.blind.iter().filter(|blind| blind.is_put_back()).count();
    println!(
        "{staff} edits there, {ours} changes here, {} questions, {} shown; {} writes over unseen edits, {back} put back; \
         equal after {:?}",
        run.items.len(),
        run.verdict.shown,
        run.verdict.blind.len(),
        ended.elapsed()
    );
    run
}

/// Four patients with a visit and a message each, and where they are at the EHR.
async fn begin(gateway: &str) -> BTreeMap<Name, String> {
    for at in 0..OF_EACH {
        let who = json!({"object": "patient", "id": format!("p{at}")});
        let patient = json!({"id": format!("p{at}"), "names": [{"use": "official", "family": "Example"}],
            "marital_status": {"text": "-"}, "addresses": [{"use": "home", "city": "London"}],
            "contact_details": [{"kind": "phone", "value": "1"}]});
        let appointment = json!({"id": format!("a{at}"), "status": "booked", "description": "-", "comment": "-",
            "start": "2027-05-04T09:30:00+01:00[Europe/London]", "end": "2027-05-04T10:00:00+01:00[Europe/London]",
            "participants": [{"who": who, "reply": "accepted"}]});
        let message = json!({"id": format!("m{at}"), "status": "sent", "topic": {"text": "-"}, "patient": who,
            "parts": [{"text": "Hello"}]});
        for (plural, body) in [("patients", patient), ("appointments", appointment), ("messages", message)] {
            let key = body["id"].as_str().expect("an id").to_owned();
            let url = format!("{gateway}/api/v1/{plural}");
            let answer = send(&client(), "POST", &url, &[("idempotency-key", &key)], &body).await.expect("an answer");
            assert_eq!(answer.status, 202, "{}", answer.text);
        }
    }
    wait_for("all are there", Duration::from_secs(60), || async {
        let rows = syncs(gateway).await;
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let all = rows.len() == 3 * OF_EACH && rows.iter().all(|row| row["state"] == "synced");
        let of = |row: &Value| {
            ((text(row, "object"), text(row, "object_id")), row["remote"][0].as_str().expect("there").to_owned())
        };
        all.then(|| rows.iter().map(of).collect())
    })
    .await
}

impl Scene {
    fn token(&self, side: char) -> String {
        format!("{side}-{}", self.number.fetch_add(1, Ordering::Relaxed))
    }

    /// A record, and one of its fields that this side edits.
    fn choose(&self, chance: &mut fastrand::Rng, not: Who) -> (Name, usize) {
        loop {
            let name = self.records.keys().nth(chance.usize(..self.records.len())).expect("a record");
            let at = chance.usize(..FIELDS.len());
            let field = &FIELDS[at];
            if field.object == name.0 && field.who != not && chance.u8(..100) < field.share * 4 {
                return (name.clone(), at);
            }
        }
    }

    async fn staffs(self: Arc<Self>, staff: Staff, seed: u64) {
        let mut chance = fastrand::Rng::with_seed(seed);
        while !self.is_over.load(Ordering::Relaxed) {
            let (name, field) = self.choose(&mut chance, Who::Ours);
            let token = self.token('s');
            let edited = staff.edit(&self.records[&name], |body| FIELDS[field].write_there(body, &token)).await;
            assert!(edited.is_ok(), "{name:?}: {edited:?}");
            self.staff.lock().expect("no panic").push(Edit { name, field, token, saw: Tokens::new() });
            tokio::time::sleep(Duration::from_millis(chance.u64(10..60))).await;
        }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let url = format!("{}/api/v1/{path}", self.gateway);
        send(&self.client, method, &url, headers, body).await.expect("the gateway answers")
    }

    async fn ours(self: Arc<Self>, seed: u64) {
        let mut chance = fastrand::Rng::with_seed(1000 + seed);
        while !self.is_over.load(Ordering::Relaxed) {
            let (name, at) = self.choose(&mut chance, Who::Staff);
            let (field, path) = (&FIELDS[at], format!("{}s/{}", name.0, name.1));
            let token = self.token('o');
            loop {
                let held = self.ask("GET", &path, &[], &Value::Null).await;
                let etag = held.headers["etag"].to_str().expect("text").to_owned();
                let (saw, mut body) = (field.here(&held.body), held.body);
                field.write_here(&mut body, &token);
                let member = field.member().expect("a field of ours");
                let patch = json!({ member: body[member] });
                let headers = [("if-match", etag.as_str()), ("idempotency-key", token.as_str())];
                let answer = self.ask("PATCH", &path, &headers, &patch).await;
                if answer.status == 202 {
                    self.ours.lock().expect("no panic").push(Edit { name, field: at, token, saw });
                    break;
                }
                assert_eq!(answer.status, 412, "{path}: {}", answer.text);
            }
            tokio::time::sleep(Duration::from_millis(chance.u64(40..200))).await;
        }
    }

    /// Decides what is asked, half of it one way, half the other; remembers every question.
    async fn person(self: Arc<Self>) {
        let mut number = 0_usize;
        loop {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let items =
                self.ask("GET", "worklist?limit=500&status=open,assigned,resolved,dismissed", &[], &Value::Null).await;
            for item in items.body["items"].as_array().into_iter().flatten() {
                let id = item["id"].as_str().expect("an id").to_owned();
                self.items.lock().expect("no panic").insert(id.clone(), item.clone());
                if !matches!(item["status"].as_str(), Some("open" | "assigned")) || item["code"] == "LIA-SYNC-033" {
                    continue;
                }
                number += 1;
                let choice = if number.is_multiple_of(2) { "ours" } else { "theirs" };
                let fields = item["fields"].as_array().into_iter().flatten();
                let fields: serde_json::Map<String, Value> =
                    fields.filter_map(|field| Some((field["path"].as_str()?.to_owned(), json!(choice)))).collect();
                let decision = json!({"note": "asked the ward", "fields": fields});
                let answer = self.ask("POST", &format!("worklist/{id}/resolve"), &[], &decision).await;
                if answer.status != 200 {
                    println!("not decided: {} {} {}: {}", item["code"], item["object_id"], answer.status, answer.text);
                }
            }
        }
    }

    async fn objects(&self) -> BTreeMap<Name, Value> {
        let mut objects = BTreeMap::new();
        for name in self.records.keys() {
            let held = self.ask("GET", &format!("{}s/{}", name.0, name.1), &[], &Value::Null).await;
            objects.insert(name.clone(), held.body);
        }
        objects
    }

    async fn histories(&self) -> BTreeMap<Name, Value> {
        let mut told = BTreeMap::new();
        for name in self.records.keys() {
            let history =
                self.ask("GET", &format!("{}s/{}/history?limit=500", name.0, name.1), &[], &Value::Null).await;
            told.insert(name.clone(), history.body["items"].clone());
        }
        told
    }
}

/// What is known so far; what was overruled only with the ledger, when nobody has it open.
async fn verdict(scene: &Scene, peer: &Peer, objects: &BTreeMap<Name, Value>, ledger: Option<&Path>) -> Verdict {
    let (staff, ours) = (scene.staff.lock().expect("no panic").clone(), scene.ours.lock().expect("no panic").clone());
    let items: Vec<Value> = scene.items.lock().expect("no panic").values().cloned().collect();
    let overruled = ledger.map(overruled).unwrap_or_default();
    let truth = peer.truth().await;
    let records = &scene.records;
    let (staff, ours, items) = (&staff, &ours, &items);
    lost::judge(&Case { truth: &truth, records, objects, staff, ours, items, overruled: &overruled })
}

/// What of theirs was replaced and kept, by the ledger's own export.
fn overruled(ledger: &Path) -> Tokens {
    let said = liaison().args(["ledger", "export", "--bodies", "--ledger"]).arg(ledger).output().expect("it runs");
    let text = String::from_utf8_lossy(&said.stdout);
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let kept = lines.iter().filter(|line| line["kind"] == "overruled");
    let bodies = kept.filter_map(|entry| lines.iter().find(|line| line["body"] == entry["data"]["detail"]));
    let fields = bodies.flat_map(|line| line["json"]["fields"].as_array().into_iter().flatten());
    fields.flat_map(|field| tokens(Some(&field["theirs"]))).collect()
}
