//! Days at EHRs that others made, behind a proxy that loses replies and answers 429 and 503 by seed, with five kill -9 of the
//! real binary while the objects are pushed. Judged by the EHR's own content and the list of 202s: nothing acknowledged is lost,
//! nothing is doubled, and everything ends, synced or with a person, within a bound.
//!
//! The ordinary form is a slim day (some 40 objects). The long one, on demand:
//! `LIAISON_PEERS=long LIAISON_REQUIRE_PEERS=1 cargo test --test liaison peers:: -- --nocapture` (the whole example day, three seeds;
//! `LIAISON_SEED` sets the first).

mod concurrent;
mod edits;
mod ehrs;
mod equal;
mod fields;
mod kinds;
mod lost;
mod proxy;
mod staff;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;

use self::{
    ehrs::Peer,
    proxy::{Fate, Passage, Proxy},
};
use crate::{
    foreign_ehr::{DAY, day, syncs},
    support::{Server, beside, block_on, client, send},
};

const INSTANCE: &str = "peer-test";
const KILLS: usize = 5;
/// After the last fault everything must have ended by then: `give_up_after` (40 s), `settle_within` (10 s) and what they cost.
const BOUND: Duration = Duration::from_secs(95);
const TYPES: [&str; 8] =
    ["Practitioner", "Location", "Patient", "Schedule", "Slot", "Appointment", "Communication", "DocumentReference"];
const PULLED: &[&str] = &["Patient", "Appointment"];
const STUCK: &str = "stuck: neither synced nor with a person";

/// Object kind and id.
type Name = (String, String);
type Entry = (&'static str, &'static str, Value);

#[test]
fn a_day_at_medplums_router() {
    at_peer("medplum", async |folder| ehrs::medplum(folder, &[]).await);
}

#[test]
fn a_day_at_fhirstarter() {
    at_peer("fhirstarter", async |folder| ehrs::fhirstarter(folder).await);
}

#[test]
fn a_day_at_sekmet() {
    at_peer("sekmet", async |folder| ehrs::sekmet(folder).await);
}

#[test]
fn a_day_at_hapi() {
    at_peer("hapi", async |folder| ehrs::hapi(folder).await);
}

#[test]
#[ignore = "on demand: 390 MB of libraries; needs 2 GB of memory"]
fn a_day_at_hapis_jpa_server() {
    at_peer("hapi-jpa", async |folder| ehrs::hapi_jpa(folder).await);
}

#[test]
fn a_day_at_node_fhir_server_core() {
    at_peer("node-fhir-server-core", async |folder| ehrs::asymmetrik(folder, &[]).await);
}

fn at_peer(name: &str, start: impl AsyncFn(&Path) -> Result<Peer, String>) {
    let long = std::env::var("LIAISON_PEERS").as_deref() == Ok("long");
    let first = std::env::var("LIAISON_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2026);
    let mut bad = String::new();
    for seed in first..first + if long { 3 } else { 1 } {
        let folder = tempfile::tempdir().expect("a folder");
        let told = block_on(async {
            let peer = match start(folder.path()).await {
                Ok(peer) => peer,
                Err(missing) => {
                    beside::no_peer(&format!("{name} ({missing})"), "install what it needs (tests/peers.rs)");
                    return String::new();
                }
            };
            run(name, &peer, folder.path(), if long { day() } else { slim(day()) }, seed).await
        });
        bad.push_str(&told);
    }
    assert!(bad.is_empty(), "{bad}");
}

/// Six visits, five messages, four letters, and all that they refer to, in the day's order.
fn slim(day: Vec<Entry>) -> Vec<Entry> {
    let by_name: BTreeMap<Name, &Value> = day.iter().map(|entry| (name_of(entry), &entry.2)).collect();
    let mut wanted = BTreeSet::new();
    let some = [("appointment", 6), ("message", 5), ("letter", 4)];
    let mut left: Vec<Name> = some
        .iter()
        .flat_map(|(object, many)| day.iter().filter(move |entry| entry.0 == *object).take(*many).map(name_of))
        .collect();
    while let Some(name) = left.pop() {
        if let Some(body) = by_name.get(&name) {
            references(body, &mut left);
            wanted.insert(name);
        }
        left.retain(|name| !wanted.contains(name));
    }
    day.into_iter().filter(|entry| wanted.contains(&name_of(entry))).collect()
}

fn name_of((object, _, body): &Entry) -> Name {
    ((*object).to_owned(), body["id"].as_str().expect("an id").to_owned())
}

fn references(value: &Value, found: &mut Vec<Name>) {
    if let (Some(object), Some(id)) = (value["object"].as_str(), value["id"].as_str()) {
        found.push((object.to_owned(), id.to_owned()));
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(members) => members.values().for_each(|member| references(member, found)),
        _ => {}
    }
}

fn configuration(folder: &Path, base: &str, auth: &str, pulled: &[&str]) -> PathBuf {
    let file = folder.join("liaison.toml");
    let push: Vec<&str> = DAY.iter().map(|(object, _)| *object).collect();
    let ledger = folder.join("ledger").display().to_string();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ninstance = \"{INSTANCE}\"\n[ledger]\npath = {ledger:?}\n[[systems]]\n\
         name = \"peer\"\nbase_url = \"{base}\"\nzone = \"Europe/London\"\npush = {push:?}\ntimeout = \"10s\"\n\
         settle_within = \"10s\"\ngive_up_after = \"40s\"\n[systems.auth]\n{auth}\n\
         [systems.pull]\nevery = \"2s\"\ntypes = {pulled:?}\n"
    );
    std::fs::write(&file, text).expect("writable");
    file
}

/// One day; what went wrong, with its traces.
async fn run(name: &str, peer: &Peer, folder: &Path, day: Vec<Entry>, seed: u64) -> String {
    println!("{name}: seed {seed}, {} objects", day.len());
    let proxy = Proxy::before(peer.host(), seed);
    let config = configuration(folder, &peer.base.replace(peer.host(), &proxy.host), &peer.auth, PULLED);
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut gateway = Server::gateway(&config);
    let address = Arc::new(Mutex::new(gateway.url.clone()));
    let pushing = tokio::spawn(push_all(Arc::clone(&address), day));
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(chance.u64(200..2500))).await;
        gateway.kill();
        gateway = Server::gateway(&config);
        gateway.url.clone_into(&mut address.lock().expect("no panic"));
    }
    let acked = pushing.await.expect("every push is taken on");
    proxy.heal();
    let healed = Instant::now();
    let rows = loop {
        let rows = syncs(&gateway.url).await;
        let ended = rows.iter().filter(|row| end_of(row) != End::Pending).count();
        if (ended == rows.len() && !rows.is_empty()) || healed.elapsed() > BOUND {
            break rows;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let there = content(peer).await;
    let differ = equal::differences(peer, &gateway.url, &rows).await;
    let items = items(&gateway.url).await;
    let open = items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)).collect();
    let (mut told, summary) = judge(&acked, &rows, &there, &open);
    told.extend(differ.into_iter().map(|(name, what)| {
        println!("{name:?}: {what}");
        (name, "synced, and the sides differ")
    }));
    let lost = proxy.log().iter().filter(|passage| passage.fate != Fate::Passed).count();
    println!(
        "{name}: seed {seed}: {summary}, {:?} after the last fault; {lost} of {} requests disturbed",
        healed.elapsed(),
        proxy.log().len()
    );
    for item in &items {
        let waiting = rows.iter().filter(|row| row["worklist_id"] == item["id"]).count();
        println!("{name}: asked: {} {} {}: {waiting} syncs", item["code"], item["object"], item["what_happened"]);
        println!("{}", why(&gateway.url, item).await);
    }
    let asked = rows.iter().filter(|row| row["state"] == "parked").count();
    let patient = name == "fhirstarter" || asked * 10 <= rows.len();
    if told.is_empty() && patient {
        return String::new();
    }
    let mut text = format!("{name}, seed {seed}: {summary}\n");
    if !patient {
        // Where reading back works, what was lost on the way is found out without people.
        let _ = writeln!(text, "{asked} of {} with a person", rows.len());
    }
    for (object, wrong) in told.iter().take(5) {
        let _ = writeln!(text, "{wrong}: {} {}", object.0, object.1);
        text.push_str(&trace(&gateway.url, object).await);
    }
    let telling = |passage: &&Passage| passage.fate != Fate::Passed || passage.status >= Some(400);
    for passage in proxy.log().iter().filter(telling).take(200) {
        let _ = writeln!(text, "  {:>9.3?} {:?} {:?} {}", passage.at, passage.fate, passage.status, passage.line);
    }
    text
}

/// Pushes one after the other, each until it is acknowledged, wherever the gateway is.
async fn push_all(address: Arc<Mutex<String>>, day: Vec<Entry>) -> BTreeSet<Name> {
    let client = client();
    let mut acked = BTreeSet::new();
    for entry in &day {
        let name = name_of(entry);
        let key = format!("{} {}", name.0, name.1);
        loop {
            let url = format!("{}/api/v1/{}", address.lock().expect("no panic"), entry.1);
            match send(&client, "POST", &url, &[("idempotency-key", &key)], &entry.2).await {
                Ok(answer) => {
                    assert_eq!(answer.status, 202, "{key}: {}", answer.text);
                    break;
                }
                // It was killed; it comes back.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        acked.insert(name);
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    acked
}

/// How often the EHR holds each of our objects, by our identifier.
async fn content(peer: &Peer) -> BTreeMap<Name, usize> {
    let mut there = BTreeMap::new();
    for kind in TYPES {
        for resource in peer.all(kind).await {
            for identifier in resource["identifier"].as_array().into_iter().flatten() {
                let system = identifier["system"].as_str().unwrap_or_default();
                if let Some(object) = system.strip_prefix(&format!("urn:liaison:{INSTANCE}:")) {
                    let id = identifier["value"].as_str().unwrap_or_default();
                    *there.entry((object.to_owned(), id.to_owned())).or_default() += 1;
                }
            }
        }
    }
    there
}

/// The questions that stand open for people.
async fn items(gateway: &str) -> Vec<Value> {
    let url = format!("{gateway}/api/v1/worklist?limit=500");
    let answer = send(&client(), "GET", &url, &[], &Value::Null).await.expect("an answer");
    let items = answer.body["items"].as_array().cloned().unwrap_or_default();
    items.into_iter().filter(|item| matches!(item["status"].as_str(), Some("open" | "assigned"))).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Synced,
    WithAPerson,
    Pending,
}

/// A sync that waits for one that a person has is with that person too: it names the same question.
fn end_of(row: &Value) -> End {
    match row["state"].as_str() {
        Some("synced" | "resolved") => End::Synced,
        Some("parked" | "conflict") => End::WithAPerson,
        _ if row["worklist_id"].is_string() => End::WithAPerson,
        _ => End::Pending,
    }
}

/// What is wrong with which object; and how many ended how.
fn judge(
    acked: &BTreeSet<Name>,
    rows: &[Value],
    there: &BTreeMap<Name, usize>,
    open: &BTreeSet<String>,
) -> (Vec<(Name, &'static str)>, String) {
    let mut told = Vec::new();
    let mut counts = [0; 3];
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let of: BTreeMap<Name, &Value> =
        rows.iter().map(|row| ((text(row, "object"), text(row, "object_id")), row)).collect();
    for name in acked {
        let held = there.get(name).copied().unwrap_or_default();
        if held > 1 {
            told.push((name.clone(), "doubled"));
        }
        let Some(row) = of.get(name) else {
            told.push((name.clone(), "acknowledged, and no sync knows it"));
            continue;
        };
        let end = end_of(row);
        counts[end as usize] += 1;
        match end {
            End::Synced if held == 0 => told.push((name.clone(), "lost: said to be synced, and not there")),
            End::WithAPerson if !open.contains(&text(row, "worklist_id")) => {
                told.push((name.clone(), "silent: waits for a person whom nobody asks"));
            }
            End::Pending => told.push((name.clone(), STUCK)),
            End::Synced | End::WithAPerson => {}
        }
    }
    for name in there.keys().filter(|name| !acked.contains(*name)) {
        told.push((name.clone(), "there, and never acknowledged"));
    }
    let [synced, with_a_person, pending] = counts;
    (told, format!("{} acknowledged, {synced} synced, {with_a_person} with a person, {pending} pending", acked.len()))
}

/// The history of what a question is about, and of all that it refers to.
async fn why(gateway: &str, item: &Value) -> String {
    let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = (name(&item["object"]), name(&item["object_id"]));
    let plural = DAY.iter().find(|(name, _)| *name == object.0).map_or("", |(_, plural)| plural);
    let url = format!("{gateway}/api/v1/{plural}/{}", object.1);
    let Ok(held) = send(&client(), "GET", &url, &[], &Value::Null).await else { return String::new() };
    let mut names = vec![object];
    references(&held.body, &mut names);
    let mut text = String::new();
    for name in names {
        let _ = writeln!(text, "  {} {}", name.0, name.1);
        text.push_str(&trace(gateway, &name).await);
    }
    text
}

/// An object's history as the gateway tells it.
async fn trace(gateway: &str, (object, id): &Name) -> String {
    let plural = DAY.iter().find(|(name, _)| name == object).map_or("", |(_, plural)| plural);
    let url = format!("{gateway}/api/v1/{plural}/{id}/history?limit=500");
    let Ok(answer) = send(&client(), "GET", &url, &[], &Value::Null).await else { return String::new() };
    let entries = answer.body["items"].as_array().cloned().unwrap_or_default();
    let mut text = String::new();
    for entry in entries.iter().rev().take(12).rev() {
        let _ = writeln!(text, "    {} {} {} {}", entry["at"], entry["kind"], entry["code"], entry["summary"]);
    }
    text
}

#[test]
fn the_judge_tells_each_kind_of_wrong() {
    let name = |id: &str| ("patient".to_owned(), id.to_owned());
    let row = |id: &str, state: &str, item: Option<&str>| serde_json::json!({"object": "patient", "object_id": id, "state": state, "worklist_id": item});
    let acked: BTreeSet<Name> =
        ["fine", "twice", "lost", "asked", "silent", "stuck", "waits", "nowhere"].map(name).into();
    let rows = [
        row("fine", "synced", None),
        row("twice", "synced", None),
        row("lost", "synced", None),
        row("asked", "parked", Some("w-1")),
        row("silent", "parked", Some("w-9")),
        row("stuck", "retrying", None),
        row("waits", "accepted", Some("w-1")),
    ];
    let there = [(name("fine"), 1), (name("twice"), 2), (name("stranger"), 1), (name("asked"), 1)].into();
    let (told, summary) = judge(&acked, &rows, &there, &["w-1".to_owned()].into());
    let wrong: BTreeMap<&str, &str> = told.iter().map(|(name, wrong)| (name.1.as_str(), *wrong)).collect();
    assert_eq!(wrong.keys().copied().collect::<Vec<_>>(), ["lost", "nowhere", "silent", "stranger", "stuck", "twice"]);
    assert!(wrong["lost"].starts_with("lost") && wrong["stuck"].starts_with("stuck") && wrong["twice"] == "doubled");
    assert_eq!(summary, "8 acknowledged, 3 synced, 3 with a person, 1 pending");
    assert_eq!(slim(day()).len(), 39, "a slim day");
}
