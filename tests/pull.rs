//! Pulling: what the EHR's own staff do arrives here, is merged, or waits for a person; nothing is lost, nothing is
//! taken for our own.

use liaison::{ledger::SyncState, rest::Method, sync::Change};
use serde_json::{Value, json};

use crate::support::rig::{Rig, appointment, patient};

const DAY: (&str, &str) = ("2026-05-04T09:30:00-07:00[America/Phoenix]", "2026-05-04T10:00:00-07:00[America/Phoenix]");

fn foreign(family: &str, mrn: &str) -> Value {
    json!({
        "resourceType": "Patient", "identifier": [{"system": "http://hospital.example/mrn", "value": mrn}],
        "name": [{"family": family, "given": ["Ada"]}],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_at_the_ehr_arrives_and_is_not_sent_back() {
    for faulty in ["", "[[fault]]\nkind = \"opaque-paging\"", "[[fault]]\nkind = \"stale-search\"\nseconds = 1"] {
        let rig = Rig::new(faulty, Rig::pulling(&["Patient", "Appointment"])).await;
        rig.push("patient", patient("p1")).await;
        rig.push("appointment", appointment("a1", "p1", DAY.0, DAY.1)).await;
        rig.settled(10).await;
        let reference = rig.sync("appointment", "a1").remote[0].clone();
        rig.edit(&reference, |body| {
            body["status"] = json!("arrived");
            body["comment"] = json!("Came early");
        });
        rig.until(10, "the change", |rig| rig.object("appointment", "a1").is_some_and(|a| a["status"] == "arrived"))
            .await;
        assert_eq!(rig.object("appointment", "a1").expect("here")["comment"], "Came early");
        let sync = rig.sync("appointment", "a1");
        assert_eq!((sync.state(), sync.version, sync.synced_version), (SyncState::Synced, 2, Some(2)));
        let commits = rig.ehr.truth().len();
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(rig.ehr.truth().len(), commits, "nothing is sent back");
        assert_eq!(rig.sync("appointment", "a1").version, 2, "and nothing is taken in twice");
        assert!(rig.open_items().is_empty(), "{:#?}", rig.open_items());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_records_become_objects_and_their_references_ours() {
    let rig = Rig::new("", Rig::pulling(&["Appointment", "Patient"])).await;
    let made = rig.at_ehr(Method::Post, "Patient", Some(&foreign("Hopper", "77")));
    let whom = format!("Patient/{}", made["id"].as_str().expect("an id"));
    rig.until(10, "the patient", |rig| rig.objects("patient").len() == 1).await;
    rig.at_ehr(Method::Post, "Appointment", Some(&json!({
        "resourceType": "Appointment", "status": "booked", "start": "2026-05-04T09:30:00Z", "end": "2026-05-04T10:00:00Z",
        "participant": [{"actor": {"reference": whom}, "status": "accepted"}]})));
    rig.until(10, "the appointment", |rig| rig.objects("appointment").len() == 1).await;
    let (id, patient) = rig.objects("patient").remove(0);
    assert_eq!(patient["names"][0]["family"], "Hopper");
    let (appointment_id, appointment) = rig.objects("appointment").remove(0);
    assert_eq!(appointment["participants"][0]["who"]["id"], json!(id));
    assert_eq!(rig.sync("appointment", &appointment_id).state(), SyncState::Synced);
    // Changed here, it goes back there, into the same resource.
    rig.change("appointment", &appointment_id, 1, Change::Cancel { reason: None }).await.expect("cancelled");
    rig.settled(10).await;
    let there = rig.at_ehr(Method::Get, &rig.sync("appointment", &appointment_id).remote[0], None);
    assert_eq!((&there["status"], &there["participant"][0]["actor"]["reference"]), (&json!("cancelled"), &json!(whom)));
}

/// The same person by an identifier is joined; where it is not clear who it is, a person is asked.
#[tokio::test(flavor = "multi_thread")]
async fn people_are_matched_by_identifier_only_where_it_is_clear() {
    let rig = Rig::new("", |config| {
        Rig::pulling(&["Patient"])(config);
        config.push.clear();
    })
    .await;
    let known = |id: &str, mrn: &str| {
        let mut body = patient(id);
        body["identifiers"] = json!([{"system": "http://hospital.example/mrn", "value": mrn}]);
        body
    };
    rig.push("patient", known("p1", "1")).await;
    rig.push("patient", known("p2", "2")).await;
    rig.push("patient", known("p3", "2")).await;
    rig.at_ehr(Method::Post, "Patient", Some(&foreign("Example", "1")));
    rig.at_ehr(Method::Post, "Patient", Some(&foreign("Two", "2")));
    rig.at_ehr(Method::Post, "Patient", Some(&foreign("Ada", "3")));
    rig.until(10, "a match, a question and a newcomer", |rig| {
        rig.objects("patient").len() == 4 && rig.open_items().len() == 1
    })
    .await;
    let item = rig.open_items().remove(0);
    assert_eq!((&item["kind"], &item["code"]), (&json!("identity"), &json!("LIA-SYNC-015")));
    let ehr = liaison::domain::SystemName::new("ehr").expect("a name");
    rig.until(10, "a cursor", |rig| rig.ledger.cursor(&ehr, "Patient").expect("readable").is_some()).await;
    let head = rig.ledger.head();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(rig.open_items().len(), 1);
    assert_eq!(rig.ledger.head(), head, "seen again and again, told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ehr_without_trustworthy_timestamps_is_swept() {
    let rig = Rig::new("[[fault]]\nkind = \"stale-last-updated\"", Rig::pulling(&["Patient"])).await;
    rig.push("patient", patient("p1")).await;
    rig.settled(10).await;
    // Beyond the overlap, only content tells.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let reference = rig.sync("patient", "p1").remote[0].clone();
    rig.edit(&reference, |body| body["active"] = json!(false));
    rig.until(15, "the change", |rig| rig.object("patient", "p1").is_some_and(|p| p["active"] == false)).await;
}
