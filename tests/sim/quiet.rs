//! Quiet is quiet (PROMISES R21): a day without changes adds no entries and asks for nothing but the configured fetches, also where something waits for what
//! is parked; and what was asked is asked once (R22), also after a restart. `SIM_OBJECTS=1000` for the full number.

use std::{collections::BTreeMap, time::Instant};

use liaison::{rest::Method, sync::SystemConfig};
use serde_json::{Value, json};

use super::{
    books::{Who, own_write},
    ehr::Reply,
    number,
    quirk::{Kind, Quirk},
    stage::{Stage, on_stage},
};

/// In the ordinary run; a thousand on demand.
const OBJECTS: u64 = 20;
const DEPENDANTS: u64 = 20;
const DAY_S: u64 = 24 * 3600;
/// `pull.every`, and the types that are fetched.
const EVERY_S: u64 = 30;
const TYPES: u64 = 2;
/// Each tenth round looks at everything.
const SWEEP_EVERY: u64 = 10;
const PAGE: u64 = 100;

fn defaults(config: &mut SystemConfig) {
    let plain = SystemConfig::new(config.name.clone(), &config.base_url);
    config.give_up_after = "1h".to_owned().try_into().expect("a period");
    config.max_concurrency = plain.max_concurrency;
    config.max_backlog = 10_000;
    config.pull = toml::from_str("types = [\"Patient\", \"Appointment\"]").ok();
}

fn patient(id: &str) -> Value {
    json!({"id": id, "names": [{"family": "Quiet", "given": ["Ada"]}], "birth_date": "1950-01-01",
        "contact_details": [{"kind": "email", "value": format!("{id}@example.org")}]})
}

fn visit(id: &str, of: &str) -> Value {
    json!({"id": id, "status": "booked", "start": "2026-06-02T09:00:00Z", "end": "2026-06-02T09:30:00Z",
        "participants": [{"who": {"object": "patient", "id": of}, "reply": "accepted"}]})
}

/// The patient `parked` is refused, and nothing else.
fn refuse_one(stage: &Stage) {
    stage.ehr().rule(|request| {
        let names = || String::from_utf8_lossy(&request.body).contains("parked@example.org");
        (request.method.writes() && names()).then_some(Reply::Status(422, None))
    });
}

#[test]
fn a_quiet_day() {
    let objects = number("SIM_OBJECTS").unwrap_or(OBJECTS);
    let started = Instant::now();
    on_stage(Vec::new(), defaults, async |stage| {
        refuse_one(stage);
        // Half patients, half visits of theirs, over some time: each fetch reaches back by a minute behind the newest, which come last.
        stage.push("patient", patient("parked"), false).await.expect("accepted");
        for number in 0..DEPENDANTS {
            stage.push("appointment", visit(&format!("w-{number}"), "parked"), false).await.expect("accepted");
        }
        for number in 0..objects / 2 {
            let (patient_id, visit_id) = (format!("p-{number}"), format!("v-{number}"));
            stage.sleep(if number + 1 == objects / 2 { 90 } else { 2 }).await;
            stage.push("patient", patient(&patient_id), false).await.expect("accepted");
            stage.push("appointment", visit(&visit_id, &patient_id), false).await.expect("accepted");
        }
        for number in 0..objects / 2 {
            stage.synced("appointment", &format!("v-{number}")).await;
        }
        // What was pushed last is fetched once more; what waits says once that its patience is over, which is an hour here, and that it waits on.
        stage.sleep(3600 + EVERY_S * (SWEEP_EVERY + 2)).await;
        assert_eq!(stage.state("patient", "parked"), "parked");
        let items = stage.items();
        assert_eq!((items.len(), items[0]["dependants"].as_array().map(Vec::len)), (1, Some(DEPENDANTS as usize)));
        let (head, all) = (stage.ledger.head(), stage.ehr().requests());
        let begin = Instant::now();
        stage.sleep(DAY_S).await;
        let (entries, requests) = (stage.ledger.head() - head, stage.ehr().requests() - all);
        // A round begins `every` after the one before has ended; a sweep reads all pages, of each type as many as its objects fill.
        let rounds = DAY_S / EVERY_S;
        let pages = (objects / 2).div_ceil(PAGE).max(1);
        let most = TYPES * (rounds + 1) + TYPES * pages * (rounds / SWEEP_EVERY + 1);
        println!(
            "a quiet day of {objects} objects and {DEPENDANTS} that wait: {entries} entries, {requests} requests of {most} at most, {:.2} an object; \
             {:.1?} for the day, {:.1?} in all",
            requests as f64 / objects as f64,
            begin.elapsed(),
            started.elapsed()
        );
        assert_eq!(entries, 0, "{:?}", kinds(stage, head));
        assert!(requests <= most, "{requests} requests, {most} at most");
        assert!(requests >= TYPES * rounds * 9 / 10, "{requests} requests: it is not fetched as configured");
    });
}

fn kinds(stage: &Stage, from: u64) -> BTreeMap<String, u64> {
    let mut kinds = BTreeMap::new();
    for entry in stage.ledger.entries(from + 1, 10_000).expect("readable") {
        *kinds.entry(entry.draft.fact.kind().to_owned()).or_default() += 1;
    }
    kinds
}

/// Everything about which a person may be asked stays as it is: twenty rounds, a restart, twenty rounds.
#[test]
fn what_was_asked_is_asked_once() {
    let data = |kind| Quirk { kind, ehr: 0, percent: 100, from_s: 0, until_s: u64::MAX, vary: 0 };
    on_stage(vec![data(Kind::NoId), data(Kind::ChangingBytes)], defaults, async |stage| {
        refuse_one(stage);
        for id in ["p-1", "p-2", "parked"] {
            stage.push("patient", patient(id), false).await.expect("accepted");
        }
        stage.push("appointment", visit("w-1", "parked"), false).await.expect("accepted");
        stage.synced("patient", "p-1").await;
        stage.synced("patient", "p-2").await;
        let ehr = stage.ehr();
        let (_, first) = ehr.books.nth(Some("Patient"), 0).expect("a record");
        let (_, second) = ehr.books.nth(Some("Patient"), 1).expect("a record");
        for id in [&first, &second] {
            let standing = ehr.books.standing();
            let found = standing.iter().find(|version| version.id == *id).expect("there");
            let mut body = found.resource.clone().expect("a body");
            body["birthDate"] = json!("1951-01-01");
            let write = own_write("Patient", id, Some(body));
            ehr.books
                .acting(Who::Staff, None, |books| liaison::rest::Store::commit(books, vec![write]))
                .expect("written");
        }
        let broken =
            own_write("Patient", "broken", Some(json!({"resourceType": "Patient", "id": "broken", "gender": "x"})));
        ehr.books.acting(Who::Staff, None, |books| liaison::rest::Store::commit(books, vec![broken])).expect("written");
        let reads = [(first, 403), (second, 500)];
        ehr.rule(move |request| {
            let asked = |id: &String| request.method == Method::Get && request.path == format!("Patient/{id}");
            reads.iter().find(|(id, _)| asked(id)).map(|(_, status)| Reply::Status(*status, None))
        });
        ehr.rule(|request| (request.path == "Appointment").then_some(Reply::Status(403, None)));
        stage.sleep(1200).await;
        let asked = stage.items();
        let subjects: Vec<String> = asked.iter().map(|item| item["what_happened"].to_string()).collect();
        assert_eq!(asked.len(), 7, "{subjects:#?}");
        // Every second one is dismissed.
        for item in asked.iter().step_by(2) {
            stage.dismiss(item).await;
        }
        let dismissed = closed(stage);
        for restarts in [false, true] {
            if restarts {
                stage.restart().await;
            }
            // Twenty rounds, and longer than anything rests.
            stage.sleep(20 * EVERY_S + 1800).await;
            let now = stage.items();
            let after = if restarts { "a restart" } else { "twenty rounds" };
            // What a dismissed one held up is a matter of its own.
            let more: Vec<String> = now
                .iter()
                .filter(|item| item["object_id"] != "w-1")
                .map(|item| item["what_happened"].to_string())
                .collect();
            assert_eq!(more.len(), 7, "asked again after {after}: {more:#?}");
            assert!(dismissed.iter().all(|id| closed(stage).contains(id)), "it came back after {after}");
        }
        println!("seven questions, four dismissed: none was asked again in 40 rounds and a restart");
    });
}

fn closed(stage: &Stage) -> Vec<String> {
    let closed = |item: &Value| item["status"] == "dismissed";
    stage.items().iter().filter(|item| closed(item)).map(|item| item["id"].to_string()).collect()
}
