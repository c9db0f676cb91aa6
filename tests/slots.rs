//! Slots: after a booking, a move or a cancellation the EHR's slot is read again; one that is held twice or was not
//! released waits for a person, and the question closes by itself once the slot is in order.

use liaison::{
    ledger::SyncState,
    sync::{Action, Change},
};
use serde_json::{Value, json};

use crate::support::rig::{Rig, appointment, patient};

const DAY: (&str, &str) = ("2026-05-04T09:30:00-07:00[America/Phoenix]", "2026-05-04T10:00:00-07:00[America/Phoenix]");

fn slot(id: &str, status: &str) -> Value {
    json!({"id": id, "session": {"object": "clinic-session", "id": "c1"}, "status": status, "start": DAY.0, "end": DAY.1})
}

fn visit(id: &str, slot: &str) -> Value {
    let mut body = appointment(id, "p1", DAY.0, DAY.1);
    body["slots"] = json!([{"object": "slot", "id": slot}]);
    body
}

/// A clinic with two busy slots, and visit `a1` in the first.
async fn clinic() -> Rig {
    let rig = Rig::new("", |_| {}).await;
    rig.push("patient", patient("p1")).await;
    let who = json!([{"object": "patient", "id": "p1"}]);
    rig.push("clinic-session", json!({"id": "c1", "active": true, "offered_by": who})).await;
    rig.push("slot", slot("s1", "busy")).await;
    rig.push("slot", slot("s2", "busy")).await;
    rig.push("appointment", visit("a1", "s1")).await;
    rig.settled(10).await;
    assert!(rig.open_items().is_empty(), "{:#?}", rig.open_items());
    rig
}

/// The open questions, as `slot id: what happened`.
fn questions(rig: &Rig) -> Vec<(String, String)> {
    let text = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
    let items = rig.open_items();
    assert!(items.iter().all(|item| item["kind"] == "slot" && item["code"] == "LIA-SYNC-016"), "{items:#?}");
    items.iter().map(|item| (text(item, "object_id"), text(item, "what_happened"))).collect()
}

async fn asked(rig: &Rig, slot: &str, words: &str) {
    rig.until(10, words, |rig| questions(rig).iter().any(|(id, what)| id == slot && what.contains(words))).await;
}

async fn answered(rig: &Rig) {
    rig.until(10, "the question closes", |rig| questions(rig).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_visits_in_one_slot_are_a_question_until_one_leaves() {
    let rig = clinic().await;
    rig.push("appointment", visit("a2", "s1")).await;
    asked(&rig, "s1", "2 entries hold the same slot").await;
    rig.change("appointment", "a2", 1, Change::Replace(visit("a2", "s2"))).await.expect("moved");
    answered(&rig).await;
    rig.settled(10).await;
    assert_eq!(rig.sync("appointment", "a2").state(), SyncState::Synced);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_stays_busy_after_a_cancellation_is_a_question_until_it_is_free() {
    let rig = clinic().await;
    rig.change("appointment", "a1", 1, Change::Cancel { reason: None }).await.expect("cancelled");
    asked(&rig, "s1", "No appointment holds this slot any more").await;
    // Looking again finds the same.
    let item = rig.open_items().remove(0);
    let id = item["id"].as_str().expect("an id");
    rig.engine.act(id, Action::Retry, "him").await.expect("looked at");
    assert_eq!(questions(&rig).len(), 1, "still busy, still one question");
    // The EHR's staff free it; looking again sees that.
    let there = rig.sync("slot", "s1").remote[0].clone();
    rig.edit(&there, |body| body["status"] = json!("free"));
    rig.engine.act(id, Action::Retry, "him").await.expect("looked at");
    assert!(questions(&rig).is_empty());
    assert_eq!(rig.object("slot", "s1").expect("here")["status"], "free");
    assert!(rig.engine.act(id, Action::Retry, "him").await.is_err(), "it is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_left_by_a_move_is_looked_at_and_our_own_release_answers() {
    let rig = clinic().await;
    rig.change("appointment", "a1", 1, Change::Replace(visit("a1", "s2"))).await.expect("moved");
    asked(&rig, "s1", "No appointment holds this slot any more").await;
    rig.change("slot", "s1", 1, Change::Replace(slot("s1", "free"))).await.expect("released");
    answered(&rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_the_ehr_released_is_no_question() {
    let rig = clinic().await;
    let there = rig.sync("slot", "s1").remote[0].clone();
    rig.edit(&there, |body| body["status"] = json!("free"));
    rig.change("appointment", "a1", 1, Change::Cancel { reason: None }).await.expect("cancelled");
    rig.until(10, "the slot is read again", |rig| rig.object("slot", "s1").expect("here")["status"] == "free").await;
    rig.settled(10).await;
    assert!(rig.items().is_empty(), "{:#?}", rig.items());
}
