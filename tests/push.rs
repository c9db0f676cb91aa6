//! Pushing: what is accepted arrives once, in order, without touching what the EHR holds besides (PROMISES R2, R4, R5).

use liaison::{
    error::Explained as _,
    ledger::SyncState,
    sync::{Change, Error},
};
use serde_json::{Value, json};

use crate::support::rig::{Rig, appointment, patient};

const DAY: (&str, &str) = ("2026-05-04T09:30:00-07:00[America/Phoenix]", "2026-05-04T10:00:00-07:00[America/Phoenix]");

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_and_an_appointment_arrive_with_literal_references() {
    let rig = Rig::new("", |_| {}).await;
    rig.push("patient", patient("p1")).await;
    rig.push("appointment", appointment("a1", "p1", DAY.0, DAY.1)).await;
    rig.settled(10).await;
    let sync = rig.sync("appointment", "a1");
    assert_eq!((sync.state(), sync.synced_version), (SyncState::Synced, Some(1)));
    let there = rig.states("Appointment", "a1").pop().expect("there");
    assert_eq!(there["participant"][0]["actor"]["reference"], json!(rig.sync("patient", "p1").remote[0]));
    assert_eq!(there["start"], "2026-05-04T09:30:00-07:00");
    assert!(rig.creates().values().all(|count| *count == 1), "{:?}", rig.creates());
    assert_eq!(rig.creates().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_refers_to_nobody_is_refused_by_name_and_place() {
    let rig = Rig::new("", |_| {}).await;
    let error = rig.try_push("appointment", appointment("a1", "ghost", DAY.0, DAY.1)).await.expect_err("refused");
    assert_eq!(error.findings()[0].pointer, "/participants/0/who");
    assert_eq!(error.findings()[0].code, "LIA-SYNC-011");
    assert!(rig.object("appointment", "a1").is_none());
    let error = rig.try_push("nonsense", json!({})).await.expect_err("refused");
    assert_eq!(error.code(), "LIA-SYNC-001");
    let error = rig.try_push("patient", json!({"id": "p", "colour": "blue"})).await.expect_err("refused");
    assert!(matches!(error, Error::Invalid(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_push_is_the_same_push() {
    let rig = Rig::new("", |_| {}).await;
    let first = rig.push("patient", patient("p1")).await;
    let again = rig.push("patient", patient("p1")).await;
    assert_eq!(
        (first.id.clone(), first.version, first.syncs[0].id.clone()),
        (again.id, again.version, again.syncs[0].id.clone())
    );
    let mut other = patient("p1");
    other["gender"] = json!("female");
    let error = rig.try_push("patient", other).await.expect_err("taken");
    assert_eq!(error.code(), "LIA-LDG-009");
    rig.settled(10).await;
    assert_eq!(rig.creates()["Patient p1"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_keeps_what_only_the_ehr_knows() {
    let rig = Rig::new("", |_| {}).await;
    rig.push("patient", patient("p1")).await;
    rig.settled(10).await;
    let reference = rig.sync("patient", "p1").remote[0].clone();
    let extension = json!([{"url": "http://ehr.example/favourite-number", "valueDecimal": 1}]);
    rig.edit(&reference, |body| {
        body["extension"] = extension.clone();
        body["photo"] = json!([{"title": "kept"}]);
    });
    let changed = rig.change("patient", "p1", 1, Change::Merge(json!({"gender": "female"}))).await.expect("taken on");
    assert_eq!(changed.version, 2);
    rig.settled(10).await;
    let there = rig.states("Patient", "p1").pop().expect("there");
    assert_eq!(there["gender"], "female");
    assert_eq!(there["extension"], extension);
    assert_eq!(there["photo"][0]["title"], "kept");
    assert_eq!(rig.sync("patient", "p1").synced_version, Some(2));
    // A change that says nothing new makes no version and sends nothing.
    let commits = rig.ehr.truth().len();
    let same = rig.change("patient", "p1", 2, Change::Merge(json!({"gender": "female"}))).await.expect("as it is");
    assert_eq!(same.version, 2);
    rig.settled(5).await;
    assert_eq!(rig.ehr.truth().len(), commits);
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_and_impossible_changes_are_refused() {
    let rig = Rig::new("", |_| {}).await;
    rig.push("patient", patient("p1")).await;
    rig.push("appointment", appointment("a1", "p1", DAY.0, DAY.1)).await;
    let stale = rig.change("appointment", "a1", 7, Change::Cancel { reason: None }).await.expect_err("stale");
    assert_eq!(stale.code(), "LIA-LDG-008");
    rig.settled(10).await;
    rig.change("appointment", "a1", 1, Change::Cancel { reason: None }).await.expect("cancelled");
    let back = rig.change("appointment", "a1", 2, Change::Merge(json!({"status": "booked"}))).await;
    assert!(matches!(back, Err(Error::Transition)), "{back:?}");
    rig.settled(10).await;
    assert_eq!(rig.states("Appointment", "a1").pop().expect("there")["status"], "cancelled");
}

/// An object's versions arrive in order, whatever fails on the way; the last one is what stays (R4). The promise's size is
/// `ORDER_OBJECTS=1000`; some minutes without optimisation.
#[tokio::test(flavor = "multi_thread")]
async fn versions_of_an_object_arrive_in_order() {
    const UPDATES: u64 = 50;
    let objects: usize = std::env::var("ORDER_OBJECTS").map_or(100, |text| text.parse().expect("a number"));
    let faulty = r#"
        seed = 11
        [[fault]]
        kind = "drop-reply"
        method = "POST|PUT"
        probability = 0.05
        [[fault]]
        kind = "status"
        method = "POST|PUT"
        status = 503
        probability = 0.05
    "#;
    let rig = Rig::new(faulty, |_| {}).await;
    // Many clients, each with objects of its own; their groups share the disk's syncs.
    let named = |version: u64| json!([{"family": format!("Version {version}"), "given": ["Ada"]}]);
    let clients = (0..objects).map(|at| {
        let rig = &rig;
        async move {
            let id = format!("p{at}");
            let mut first = patient(&id);
            first["names"] = named(1);
            rig.push("patient", first).await;
            for update in 1..=UPDATES {
                let change = Change::Merge(json!({"names": named(update + 1)}));
                rig.change("patient", &id, update, change).await.expect("taken on");
                if (update + at as u64).is_multiple_of(10) {
                    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
                }
            }
        }
    });
    futures_util::future::join_all(clients).await;
    rig.settled(600).await;
    for at in 0..objects {
        let states = rig.states("Patient", &format!("p{at}"));
        let numbers: Vec<u64> = states
            .iter()
            .map(|body: &Value| {
                body["name"][0]["family"].as_str().expect("named")["Version ".len()..].parse().expect("n")
            })
            .collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "p{at} went back or was sent twice: {numbers:?}");
        assert_eq!(numbers.last(), Some(&(UPDATES + 1)), "p{at}");
    }
    assert!(rig.creates().values().all(|count| *count == 1));
}
