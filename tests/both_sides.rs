//! What both sides do to one record: deleted there, refused here with others waiting for it (PROMISES R24 to R27).

use liaison::{
    ledger::SyncState,
    rest::Method,
    sync::{Action, Change},
};
use serde_json::{Value, json};

use crate::{
    inbound::{careless, put},
    support::rig::{Rig, appointment, patient},
};

const DAY: (&str, &str) = ("2026-05-04T09:30:00-07:00[America/Phoenix]", "2026-05-04T10:00:00-07:00[America/Phoenix]");

/// The one open item; its id.
fn item(rig: &Rig) -> (String, Value) {
    let items = rig.open_items();
    assert_eq!(items.len(), 1, "{items:#?}");
    (items[0]["id"].as_str().expect("an id").to_owned(), items[0].clone())
}

async fn act(rig: &Rig, action: Action) {
    let (id, _) = item(rig);
    rig.engine.act(&id, action, "eve").await.expect("done");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_there_is_a_question_and_never_made_again_by_itself() {
    let rig = Rig::new("", Rig::pulling(&["Patient"])).await;
    for id in ["p1", "p2", "p3"] {
        rig.push("patient", patient(id)).await;
    }
    rig.settled(10).await;
    let reference = rig.sync("patient", "p1").remote[0].clone();
    rig.at_ehr(Method::Delete, &reference, None);
    rig.until(20, "a question", |rig| !rig.open_items().is_empty()).await;
    let (_, asked) = item(&rig);
    assert_eq!((&asked["code"], &asked["object_id"]), (&json!("LIA-SYNC-026"), &json!("p1")));
    // Neither a change nor a visit brings it back, or points to it.
    rig.change("patient", "p1", 1, Change::Merge(json!({"gender": "female"}))).await.expect("taken on");
    rig.push("appointment", appointment("a1", "p1", DAY.0, DAY.1)).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(rig.creates()["Patient p1"], 1);
    let (_, asked) = item(&rig);
    assert_eq!(asked["dependants"], json!([{"object": "appointment", "id": "a1"}]));
    assert_eq!(rig.sync("appointment", "a1").shown_item().map(String::as_str), asked["id"].as_str());
    assert!(rig.states("Appointment", "a1").is_empty());
    // A person says so.
    act(&rig, Action::Retry).await;
    rig.state("appointment", "a1", SyncState::Synced, 10).await;
    assert_eq!(rig.creates()["Patient p1"], 2);
    let there = rig.states("Appointment", "a1").pop().expect("there");
    let made = rig.sync("patient", "p1").remote[0].clone();
    assert_ne!(made, reference);
    assert_eq!(there["participant"][0]["actor"]["reference"], json!(made));
    assert!(rig.open_items().is_empty(), "{:?}", rig.open_items());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_found_out_before_it_is_changed() {
    let rig = Rig::new("", |_| {}).await;
    rig.push("patient", patient("p1")).await;
    rig.settled(10).await;
    let reference = rig.sync("patient", "p1").remote[0].clone();
    rig.at_ehr(Method::Delete, &reference, None);
    rig.change("patient", "p1", 1, Change::Merge(json!({"gender": "female"}))).await.expect("taken on");
    rig.state("patient", "p1", SyncState::Parked, 10).await;
    assert_eq!(item(&rig).1["code"], "LIA-SYNC-026");
    // Left deleted: nothing more is sent, and a later change asks again.
    act(&rig, Action::Dismiss { reason: "moved away".to_owned(), send_without: false }).await;
    assert_eq!(rig.sync("patient", "p1").state(), SyncState::Resolved);
    rig.change("patient", "p1", 2, Change::Merge(json!({"gender": "male"}))).await.expect("taken on");
    rig.state("patient", "p1", SyncState::Parked, 10).await;
    assert_eq!(rig.creates()["Patient p1"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ehr_that_has_none_of_ours_any_more_is_another_one() {
    let rig = Rig::new("", Rig::pulling(&["Patient"])).await;
    let ids = ["p1", "p2", "p3", "p4"];
    for id in ids {
        rig.push("patient", patient(id)).await;
    }
    rig.settled(10).await;
    for id in ids {
        let reference = rig.sync("patient", id).remote[0].clone();
        rig.at_ehr(Method::Delete, &reference, None);
    }
    rig.until(20, "a question", |rig| !rig.open_items().is_empty()).await;
    let (_, asked) = item(&rig);
    assert_eq!(asked["code"], "LIA-SYNC-027", "one question instead of four");
    rig.push("patient", patient("p5")).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(!rig.creates().contains_key("Patient p5"), "nothing is made at what may be another EHR");
    act(&rig, Action::Retry).await;
    rig.until(20, "four questions", |rig| rig.open_items().len() == 4).await;
    rig.until(10, "the new one arrives", |rig| rig.creates().contains_key("Patient p5")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_refers_to_a_dismissed_one_goes_without_it_where_a_person_says_so() {
    let refuse = "[[fault]]\nmethod = \"POST\"\npath = \"Patient\"\nkind = \"status\"\nstatus = 422\ntimes = 1";
    for (send_without, arrives) in [(true, true), (false, false)] {
        let rig = Rig::new(refuse, |_| {}).await;
        rig.push("patient", patient("p1")).await;
        rig.state("patient", "p1", SyncState::Parked, 10).await;
        rig.push("appointment", appointment("a1", "p1", DAY.0, DAY.1)).await;
        rig.until(10, "it waits", |rig| rig.sync("appointment", "a1").shown_item().is_some()).await;
        act(&rig, Action::Dismiss { reason: "not ours".to_owned(), send_without }).await;
        if arrives {
            rig.state("appointment", "a1", SyncState::Synced, 10).await;
            let there = rig.states("Appointment", "a1").pop().expect("there");
            let actor = &there["participant"][0]["actor"];
            assert!(actor.get("reference").is_none() && actor["identifier"]["value"] == "p1", "{actor}");
        } else {
            rig.state("appointment", "a1", SyncState::Parked, 10).await;
            assert_eq!(item(&rig).1["code"], "LIA-SYNC-023");
            assert!(rig.states("Appointment", "a1").is_empty());
        }
    }
}

/// What an EHR may hold beside what is read: nothing of it keeps the record out, or locks it.
#[tokio::test(flavor = "multi_thread")]
async fn blemishes_that_nobody_reads_neither_keep_a_record_out_nor_lock_it() {
    let rig = Rig::with(careless(), Rig::pulling(&["Patient", "Appointment"]), None).await;
    put(
        &rig,
        &json!({
            "resourceType": "Patient", "id": "blemished", "active": true,
            // As Cerner sends them: element ids that are not unique.
            "name": [{"id": "CI-1-0", "family": "Example", "given": ["Ada"]}],
            "photo": [{"id": "CI-1-0", "title": "x"}, {}],
            "text": {"status": "generated", "div": "<div>no namespace</div>"},
            "identifier": [{"system": "MRN"}, {"system": "http://ehr.example/mrn", "value": "1"}],
            "contained": [{"resourceType": "Organization", "id": "nobody-names-it", "name": "Lost"}],
        }),
    );
    put(
        &rig,
        &json!({
            "resourceType": "Appointment", "id": "with-contained", "status": "booked", "start": "2026-05-04T09:30:00Z",
            "end": "2026-05-04T10:00:00Z",
            "contained": [{"resourceType": "Practitioner", "id": "dr", "name": [{"family": "Doe"}]}],
            "participant": [{"actor": {"reference": "Patient/blemished"}, "status": "accepted"},
                {"actor": {"reference": "#dr"}, "status": "accepted"}],
        }),
    );
    rig.until(15, "both are taken in", |rig| {
        rig.objects("patient").len() == 1 && rig.objects("appointment").len() == 1
    })
    .await;
    assert!(rig.open_items().is_empty(), "{:#?}", rig.open_items());
    for (object, change, member, value) in [
        ("patient", json!({"gender": "female"}), "gender", json!("female")),
        ("appointment", json!({"comment": "comes in a wheelchair"}), "comment", json!("comes in a wheelchair")),
    ] {
        let (id, _) = rig.objects(object).remove(0);
        rig.change(object, &id, 1, Change::Merge(change)).await.unwrap_or_else(|why| panic!("{why:?}"));
        rig.settled(10).await;
        let there = rig.at_ehr(Method::Get, &rig.sync(object, &id).remote[0].clone(), None);
        assert_eq!(there[member], value, "{there:#}");
        assert!(there["contained"].is_array(), "{there:#}");
    }
    // Who edits the faulty one is judged on it.
    let (id, mut body) = rig.objects("patient").remove(0);
    body["identifiers"] = json!([{"system": "MRN"}, {"system": "OTHER"}]);
    let refused = rig.change("patient", &id, 2, Change::Replace(body)).await.expect_err("refused");
    assert!(refused.findings()[0].detail.contains("identifier[1]"), "{refused:?}");
}

/// One who may change the meaning of all the rest keeps it out.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_change_the_meaning_is_never_passed_over() {
    let rig = Rig::with(careless(), Rig::pulling(&["Patient"]), None).await;
    let name = json!([{"family": "Example"}]);
    put(
        &rig,
        &json!({"resourceType": "Patient", "id": "a", "name": name, "implicitRules": "http://ehr.example/rules"}),
    );
    let negated = json!([{"url": "http://ehr.example/not", "valueBoolean": true}]);
    put(&rig, &json!({"resourceType": "Patient", "id": "b", "name": name, "modifierExtension": negated}));
    put(&rig, &json!({"resourceType": "Patient", "id": "c", "name": "Ada"}));
    rig.until(15, "three questions", |rig| rig.open_items().len() == 3).await;
    assert!(rig.objects("patient").is_empty());
}
