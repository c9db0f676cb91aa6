//! What both sides do to one record: deleted there, refused here with others waiting for it (PROMISES R24 to R27).

use liaison::{
    domain::{ObjectId, ObjectName, SystemName},
    ehr::{Request, Response},
    ledger::SyncState,
    rest::Method,
    sandbox,
    sync::{Action, Change, Choice, Error, Resend, SystemConfig},
};
use serde_json::{Value, json};

use crate::{
    inbound::{careless, put},
    support::rig::{Rig, Tamper, appointment, patient},
};

const DAY: (&str, &str) = ("2026-05-04T09:30:00-07:00[America/Phoenix]", "2026-05-04T10:00:00-07:00[America/Phoenix]");

fn request(method: Method, path: &str, body: Option<&Value>) -> liaison::rest::Request {
    let headers = vec![("content-type".to_owned(), "application/fhir+json".to_owned())];
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    liaison::rest::Request { method, path: path.to_owned(), query: String::new(), headers, body }
}

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

/// A record that is there again after it was deleted is merged against what both agreed on before: what was changed here is
/// kept, and what staff changed when they brought it back is taken in.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_again_is_merged_against_what_both_agreed_on() {
    let rig = Rig::new("", |_| {}).await;
    rig.push("patient", patient("p1")).await;
    rig.settled(10).await;
    let reference = rig.sync("patient", "p1").remote[0].clone();
    let mut before = rig.states("Patient", "p1").pop().expect("there");
    rig.at_ehr(Method::Delete, &reference, None);
    rig.change("patient", "p1", 1, Change::Merge(json!({"birth_date": "1950-02-03"}))).await.expect("taken on");
    rig.state("patient", "p1", SyncState::Parked, 10).await;
    before["gender"] = json!("other");
    rig.at_ehr(Method::Put, &reference, Some(&before));
    act(&rig, Action::Retry).await;
    rig.state("patient", "p1", SyncState::Synced, 10).await;
    assert_eq!((rig.creates()["Patient p1"], rig.open_items().len()), (1, 0), "{:#?}", rig.open_items());
    let there = rig.states("Patient", "p1").pop().expect("there");
    assert_eq!((&there["birthDate"], &there["gender"]), (&json!("1950-02-03"), &json!("other")));
    let here = rig.object("patient", "p1").expect("here");
    assert_eq!((&here["birth_date"], &here["gender"]), (&json!("1950-02-03"), &json!("other")));
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

/// An EHR that makes something else of an appointment, or shows it otherwise: in every answer, for as long as it is told.
struct Makes(std::sync::Mutex<fn(&mut Value)>);

impl Makes {
    fn of(how: fn(&mut Value)) -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self(std::sync::Mutex::new(how)))
    }
}

impl Tamper for Makes {
    fn answers(&self, request: &Request, mut response: Response) -> Response {
        if !request.url.path().contains("/Appointment") {
            return response;
        }
        let Ok(mut body) = serde_json::from_slice::<Value>(&response.body) else { return response };
        let how = *self.0.lock().expect("unpoisoned");
        if body["resourceType"] == "Appointment" {
            how(&mut body);
        } else if let Some(entries) = body["entry"].as_array_mut() {
            entries.iter_mut().for_each(|entry| how(&mut entry["resource"]));
        }
        response.body = body.to_string().into_bytes().into();
        response
    }
}

async fn booked(how: fn(&mut Value)) -> (Rig, std::sync::Arc<Makes>) {
    let makes = Makes::of(how);
    let rig = Rig::with(sandbox::Options::practice(), |_| {}, Some(makes.clone())).await;
    rig.push("patient", patient("p1")).await;
    rig.push("appointment", appointment("a1", "p1", DAY.0, DAY.1)).await;
    rig.until(20, "an outcome", |rig| !rig.sync("appointment", "a1").state().is_pending()).await;
    (rig, makes)
}

fn writes(rig: &Rig) -> usize {
    rig.states("Appointment", "a1").len()
}

const LATER: &str = "2026-05-04T09:45:00-07:00";

/// P2: the EHR moves what it was sent. Nobody is overwritten: a person decides, once.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_ehr_makes_of_it_is_a_question_and_is_never_written_over_unseen() {
    let (rig, _makes) = booked(|body| body["start"] = json!(LATER)).await;
    let (_, asked) = item(&rig);
    assert_eq!((&asked["code"], &asked["kind"]), (&json!("LIA-SYNC-028"), &json!("conflict")));
    assert_eq!((&asked["fields"][0]["path"], &asked["fields"][0]["origin"]), (&json!("start"), &json!("answer")));
    assert_eq!(rig.sync("appointment", "a1").state(), SyncState::Conflict);
    assert_eq!(writes(&rig), 1, "nothing is sent again");
    // Ours: it is sent once more, and the EHR answers the same: then it is settled.
    let (id, _) = item(&rig);
    let decided = |choice| Action::Resolve {
        note: "they know".to_owned(),
        fields: std::collections::BTreeMap::from([("start".to_owned(), choice)]),
    };
    rig.engine.act(&id, decided(Choice::Ours), "eve").await.expect("decided");
    rig.state("appointment", "a1", SyncState::Synced, 20).await;
    assert_eq!(writes(&rig), 2, "once");
    assert!(rig.open_items().is_empty(), "asked once: {:#?}", rig.open_items());
    let told = rig.items().into_iter().find(|item| item["id"] == json!(id)).expect("there");
    assert!(told["comments"].to_string().contains("answers the same"), "{told:#}");
    // An unrelated change neither asks again nor carries ours over.
    rig.change("appointment", "a1", 1, Change::Merge(json!({"comment": "bring insurance card"}))).await.expect("taken");
    rig.settled(20).await;
    assert!(rig.open_items().is_empty(), "{:#?}", rig.open_items());
    let there = rig.states("Appointment", "a1").pop().expect("there");
    assert_eq!((&there["comment"], &there["start"]), (&json!("bring insurance card"), &json!(LATER)));
    assert_eq!(rig.object("appointment", "a1").expect("here")["start"], DAY.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ehr_adds_or_leaves_out_is_taken_or_told_once() {
    let (rig, _makes) = booked(|body| {
        body["patientInstruction"] = json!("come fasting");
        if let Some(members) = body.as_object_mut() {
            members.shift_remove("description");
        }
    })
    .await;
    assert_eq!(rig.sync("appointment", "a1").state(), SyncState::Synced);
    let body = rig.object("appointment", "a1").expect("here");
    assert_eq!((&body["patient_instructions"], &body["description"]), (&json!("come fasting"), &json!("Check-up")));
    let (_, asked) = item(&rig);
    assert_eq!((&asked["code"], &asked["fields"][0]["count"]), (&json!("LIA-SYNC-029"), &json!(1)));
    assert_eq!(writes(&rig), 1);
    rig.push("appointment", appointment("a2", "p1", DAY.0, DAY.1)).await;
    rig.settled(20).await;
    assert_eq!(item(&rig).1["fields"][0]["count"], json!(2), "one question for all");
    rig.change("appointment", "a1", 2, Change::Merge(json!({"comment": "x"}))).await.expect("taken on");
    rig.settled(20).await;
    assert_eq!(item(&rig).1["fields"][0]["count"], json!(2), "told once an object");
}

/// P2c: both add to one list, and both change a field that is ours.
#[tokio::test(flavor = "multi_thread")]
async fn both_sides_additions_are_kept_and_what_is_overruled_is_not_lost() {
    let rig = Rig::new("", Rig::pulling(&["Patient"])).await;
    let phone = |value: &str| json!({"kind": "phone", "value": value});
    let mut body = patient("p1");
    body["contact_details"] = json!([phone("1")]);
    body["marital_status"] = json!({"text": "single"});
    rig.push("patient", body).await;
    rig.settled(10).await;
    let reference = rig.sync("patient", "p1").remote[0].clone();
    rig.edit(&reference, |body| {
        body["telecom"].as_array_mut().expect("a list").push(json!({"system": "phone", "value": "theirs"}));
        body["maritalStatus"] = json!({"text": "married"});
    });
    let ours = json!({"contact_details": [phone("1"), phone("ours")], "marital_status": {"text": "widowed"}});
    rig.change("patient", "p1", 1, Change::Merge(ours)).await.expect("taken on");
    rig.until(20, "both have all", |rig| {
        let here = rig.object("patient", "p1").expect("here")["contact_details"].as_array().map_or(0, Vec::len);
        let there = rig.at_ehr(Method::Get, &reference, None)["telecom"].as_array().map_or(0, Vec::len);
        (here, there) == (3, 3)
    })
    .await;
    rig.settled(10).await;
    assert_eq!(rig.at_ehr(Method::Get, &reference, None)["maritalStatus"]["text"], "widowed");
    let id = ObjectId::new("p1").expect("an id");
    let history = rig.ledger.history(&ObjectName::new("patient").expect("a name"), &id).expect("readable");
    let kept = history.iter().find(|entry| entry.draft.fact.kind() == "overruled").expect("kept");
    assert!(kept.draft.summary.contains("marital_status"), "{}", kept.draft.summary);
    assert!(rig.open_items().is_empty(), "{:#?}", rig.open_items());
}

/// P9: a record made at the EHR that is one of ours by its identifier, and differs.
#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_record_that_differs_is_decided_field_by_field() {
    for theirs in [true, false] {
        let rig = Rig::new("", |config| {
            Rig::pulling(&["Patient"])(config);
            config.push.retain(|object| object.as_str() != "patient");
        })
        .await;
        let identifiers = json!([{"system": "http://ehr.example/mrn", "value": "7"}]);
        let mut body = patient("p1");
        body["identifiers"] = identifiers.clone();
        body["gender"] = json!("female");
        rig.push("patient", body).await;
        put(
            &rig,
            &json!({"resourceType": "Patient", "id": "made-there", "identifier": identifiers,
            "name": [{"family": "Example", "given": ["Ada"]}], "gender": "male", "birthDate": "1980-02-29"}),
        );
        rig.until(20, "a question", |rig| !rig.open_items().is_empty()).await;
        let (id, asked) = item(&rig);
        assert_eq!(asked["fields"].as_array().expect("fields").len(), 1, "{asked:#}");
        assert_eq!(asked["fields"][0]["path"], "gender");
        let choice = if theirs { Choice::Theirs } else { Choice::Ours };
        let fields = std::collections::BTreeMap::from([("gender".to_owned(), choice)]);
        let nothing = Action::Resolve { note: "x".to_owned(), fields: std::collections::BTreeMap::new() };
        rig.engine.act(&id, nothing, "eve").await.expect_err("a field is still to be decided");
        rig.engine.act(&id, Action::Resolve { note: "asked her".to_owned(), fields }, "eve").await.expect("decided");
        let here = rig.object("patient", "p1").expect("here")["gender"].clone();
        assert_eq!(here, if theirs { json!("male") } else { json!("female") });
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        assert!(rig.open_items().is_empty(), "asked once: {:#?}", rig.open_items());
    }
}

/// P2b, R27: the same file again after the ward added an e-mail: nothing of theirs goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_senders_file_sent_again_undoes_nobodys_work() {
    let rig = Rig::new("", Rig::pulling(&["Patient"])).await;
    let contact =
        |values: &[&str]| -> Value { values.iter().map(|value| json!({"kind": "phone", "value": value})).collect() };
    let mut file = patient("p1");
    file["contact_details"] = contact(&["1"]);
    let send = |body: Value| {
        let (object, id) = (ObjectName::new("patient").expect("a name"), ObjectId::new("p1").expect("an id"));
        let resend = Resend { object, id, body, key: None, by: "test".to_owned(), lenient: false };
        rig.engine.resend(resend)
    };
    rig.push("patient", file.clone()).await;
    rig.settled(10).await;
    let reference = rig.sync("patient", "p1").remote[0].clone();
    rig.edit(&reference, |body| {
        body["telecom"].as_array_mut().expect("a list").push(json!({"system": "phone", "value": "ward"}));
        body["gender"] = json!("female");
    });
    let here = || rig.object("patient", "p1").expect("here");
    rig.until(10, "theirs is here", |rig| rig.object("patient", "p1").expect("here")["gender"] == "female").await;
    // The same again: nothing changes.
    let (answer, warnings) = send(file.clone()).await.expect("taken on");
    assert_eq!((answer.version, warnings.len()), (2, 0));
    assert_eq!(here()["contact_details"], contact(&["1", "ward"]));
    // A number more, and one that is gone: only these.
    file["contact_details"] = contact(&["2"]);
    send(file.clone()).await.expect("taken on");
    assert_eq!(here()["contact_details"], contact(&["2", "ward"]));
    assert_eq!(here()["gender"], "female", "absent in both: theirs stays");
    // Both changed it: refused by field, nothing is stored.
    file["birth_date"] = json!("1981-01-01");
    send(file.clone()).await.expect("taken on");
    rig.settled(10).await;
    rig.edit(&reference, |body| body["birthDate"] = json!("1982-02-02"));
    rig.until(10, "theirs is here", |rig| rig.object("patient", "p1").expect("here")["birth_date"] == "1982-02-02")
        .await;
    file["birth_date"] = json!("1983-03-03");
    let Err(Error::Differs { fields, .. }) = send(file.clone()).await else { panic!("refused") };
    assert_eq!((&fields[0]["path"], &fields[0]["theirs"]), (&json!("birth_date"), &json!("1982-02-02")));
    assert_eq!(here()["birth_date"], "1982-02-02");
    // The sender takes it over, which needs no version, and is the base from then on.
    file["birth_date"] = json!("1982-02-02");
    let (same, _) = send(file.clone()).await.expect("taken on");
    file["birth_date"] = json!("1984-04-04");
    let (next, _) = send(file).await.expect("taken on");
    assert_eq!((next.version, here()["birth_date"].clone()), (same.version + 1, json!("1984-04-04")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_moves_to_the_right_patient_and_an_overruled_value_comes_back() {
    let rig = Rig::new("", Rig::pulling(&["Patient", "Appointment"])).await;
    for id in ["p1", "p2"] {
        rig.push("patient", patient(id)).await;
    }
    rig.push("appointment", appointment("a1", "p1", DAY.0, DAY.1)).await;
    rig.settled(10).await;
    let (wrong, right) = (json!({"object": "patient", "id": "p1"}), json!({"object": "patient", "id": "p2"}));
    rig.change("appointment", "a1", 1, Change::Relink { reference: wrong, to: Some(right) }).await.expect("taken on");
    rig.settled(10).await;
    let there = rig.states("Appointment", "a1").pop().expect("there");
    assert_eq!(there["participant"][0]["actor"]["reference"], json!(rig.sync("patient", "p2").remote[0]));

    let reference = rig.sync("appointment", "a1").remote[0].clone();
    rig.edit(&reference, |body| body["comment"] = json!("theirs"));
    rig.change("appointment", "a1", 2, Change::Merge(json!({"comment": "ours"}))).await.expect("taken on");
    rig.settled(10).await;
    assert_eq!(rig.at_ehr(Method::Get, &reference, None)["comment"], "ours");
    let (object, id) = (ObjectName::new("appointment").expect("a name"), ObjectId::new("a1").expect("an id"));
    let history = rig.ledger.history(&object, &id).expect("readable");
    let kept = history.iter().find(|entry| entry.draft.fact.kind() == "overruled").expect("kept");
    let version = rig.ledger.object(&object, &id).expect("readable").expect("here").version;
    let restore = Change::Restore { seq: kept.seq, path: "comment".to_owned() };
    rig.change("appointment", "a1", version, restore).await.expect("taken on");
    rig.settled(10).await;
    assert_eq!(rig.at_ehr(Method::Get, &reference, None)["comment"], "theirs");
}

/// P11: a visit that was fetched before its patient; P12: two records that were merged.
#[tokio::test(flavor = "multi_thread")]
async fn late_targets_become_known_and_merged_records_are_followed() {
    let rig = Rig::with(careless(), Rig::pulling(&["Appointment", "Patient"]), None).await;
    put(
        &rig,
        &json!({"resourceType": "Appointment", "id": "early", "status": "booked", "start": "2026-05-04T09:30:00Z",
        "end": "2026-05-04T10:00:00Z",
        "participant": [{"actor": {"reference": "Patient/late", "display": "Ada"}, "status": "accepted"}]}),
    );
    rig.until(15, "the visit is here", |rig| rig.objects("appointment").len() == 1).await;
    assert_eq!(rig.objects("appointment")[0].1["participants"][0]["who"]["reference"], "Patient/late");
    put(&rig, &json!({"resourceType": "Patient", "id": "late", "name": [{"family": "Example"}]}));
    rig.until(15, "the patient is here", |rig| rig.objects("patient").len() == 1).await;
    let (late, _) = rig.objects("patient").remove(0);
    let who = json!({"object": "patient", "id": late, "display": "Ada"});
    rig.until(15, "the visit names her", |rig| rig.objects("appointment")[0].1["participants"][0]["who"] == who).await;
    assert!(rig.open_items().is_empty(), "{:#?}", rig.open_items());

    put(&rig, &json!({"resourceType": "Patient", "id": "left", "name": [{"family": "Example"}]}));
    rig.until(15, "both are here", |rig| rig.objects("patient").len() == 2).await;
    put(
        &rig,
        &json!({"resourceType": "Patient", "id": "late", "name": [{"family": "Example"}], "active": false,
        "link": [{"other": {"reference": "Patient/left"}, "type": "replaced-by"}]}),
    );
    rig.until(15, "the merge is known", |rig| rig.object("patient", &late).expect("here").get("links").is_some()).await;
    assert_eq!((&item(&rig).1["code"], &item(&rig).1["object_id"]), (&json!("LIA-SYNC-032"), &json!(late)));
    let visit = appointment("a9", &late, DAY.0, DAY.1);
    let warnings = rig.engine.warnings(&ObjectName::new("appointment").expect("a name"), &visit, true);
    assert_eq!(warnings.iter().map(|w| w.code.as_str()).collect::<Vec<_>>(), ["LIA-SYNC-032"]);
    rig.push("appointment", visit).await;
    rig.state("appointment", "a9", SyncState::Synced, 15).await;
    let there = rig.states("Appointment", "a9").pop().expect("there");
    assert_eq!(there["participant"][0]["actor"]["reference"], "Patient/left", "never a record that is out of use");
}

/// What a value was before one EHR changed it comes back from another one: that is no news, a person is asked, and the first
/// EHR is not written over.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_comes_back_through_another_ehr_is_a_question() {
    let mut rig = Rig::new("", Rig::pulling(&["Patient"])).await;
    let other = sandbox::spawn(sandbox::Options::practice()).await.expect("another EHR");
    let system = SystemName::new("other").expect("a name");
    let mut config = SystemConfig::new(system.clone(), &other.url);
    config.push = vec![ObjectName::new("patient").expect("a name")];
    Rig::pulling(&["Patient"])(&mut config);
    rig.beside(config).await;
    let mut body = patient("p1");
    body["gender"] = json!("female");
    rig.push("patient", body).await;
    rig.settled(10).await;
    let gender = |rig: &Rig| rig.object("patient", "p1").expect("here")["gender"].clone();
    let at_first = |rig: &Rig| rig.states("Patient", "p1").pop().expect("there")["gender"].clone();
    let at = |rig: &Rig, first: bool| {
        let row = rig.all_syncs().into_iter().find(|row| (row.system == system) != first);
        row.expect("a sync").remote[0].clone()
    };
    let reference = at(&rig, true);
    rig.edit(&reference, |body| body["gender"] = json!("other"));
    rig.until(10, "theirs is here", |rig| gender(rig) == "other").await;
    rig.settled(10).await;
    let there = at(&rig, false);
    let read = || {
        let request = request(Method::Get, &there, None);
        serde_json::from_slice::<Value>(&other.request(&request).body).expect("a resource")
    };
    assert_eq!(read()["gender"], "other");
    let mut back = read();
    back["gender"] = json!("female");
    back["birthDate"] = json!("1980-03-01");
    assert_eq!(other.request(&request(Method::Put, &there, Some(&back))).status, 200);
    rig.until(10, "a question", |rig| !rig.open_items().is_empty()).await;
    let (_, asked) = item(&rig);
    assert_eq!((&asked["kind"], &asked["fields"][0]["path"]), (&json!("conflict"), &json!("gender")));
    assert_eq!(asked["fields"][0]["origin"], "back");
    assert_eq!((gender(&rig), at_first(&rig)), (json!("other"), json!("other")));
    let fields = std::collections::BTreeMap::from([("gender".to_owned(), Choice::Ours)]);
    act(&rig, Action::Resolve { note: "asked her".to_owned(), fields }).await;
    rig.until(10, "ours is there", |_| read()["gender"] == "other").await;
    rig.settled(10).await;
    assert!(rig.open_items().is_empty());
    let here = rig.object("patient", "p1").expect("here");
    assert_eq!((&here["gender"], &here["birth_date"]), (&json!("other"), &json!("1980-03-01")));
    assert_eq!(at_first(&rig), "other");
}

fn referral() -> Value {
    json!({
        "id": "r1", "status": "active", "intent": "order", "patient": {"object": "patient", "id": "p1"},
        "service": {"codes": [{"system": "http://snomed.info/sct", "code": "183519002"}]},
        "handling": {"status": "requested", "step": {"text": "sent"}},
    })
}

/// An object's other parts are looked at like the main one: what staff changed in them is merged before ours is written.
#[tokio::test(flavor = "multi_thread")]
async fn what_staff_change_in_another_part_is_merged_before_ours_is_written() {
    let rig = Rig::new("", |config| config.push.push(ObjectName::new("referral").expect("a name"))).await;
    rig.push("patient", patient("p1")).await;
    rig.push("referral", referral()).await;
    rig.settled(10).await;
    let task = rig.sync("referral", "r1").remote.into_iter().find(|at| at.starts_with("Task/")).expect("a task");
    rig.edit(&task, |body| {
        body["note"] = json!([{"text": "Needs an interpreter."}]);
        body["businessStatus"]["text"] = json!("seen by the team");
    });
    let change = json!({"handling": {"due_between": {"to": "2026-05-18"}}});
    rig.change("referral", "r1", 1, Change::Merge(change)).await.expect("taken on");
    rig.settled(10).await;
    assert!(rig.open_items().is_empty(), "{:#?}", rig.open_items());
    let there = rig.at_ehr(Method::Get, &task, None);
    assert_eq!(there["note"][0]["text"], "Needs an interpreter.");
    assert_eq!(there["businessStatus"]["text"], "seen by the team");
    assert_eq!(there["restriction"]["period"]["end"], "2026-05-18");
    let here = rig.object("referral", "r1").expect("here");
    assert_eq!(here["handling"]["step"]["text"], "seen by the team");
    assert_eq!(here["handling"]["remarks"][0]["text"], "Needs an interpreter.");
}

/// An EHR that answers otherwise about another part than the main one.
struct Renames;

impl Tamper for Renames {
    fn answers(&self, request: &Request, mut response: Response) -> Response {
        let Ok(mut body) = serde_json::from_slice::<Value>(&response.body) else { return response };
        if request.url.path().contains("/Task") && body["resourceType"] == "Task" {
            body["businessStatus"]["text"] = json!("its own word");
            body["status"] = json!("received");
            response.body = body.to_string().into_bytes().into();
        }
        response
    }
}

/// What the EHR makes of another part is looked at, too: what the mapping lists is taken, what we own is a question.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_ehr_makes_of_another_part_is_looked_at() {
    let configure = |config: &mut SystemConfig| config.push.push(ObjectName::new("referral").expect("a name"));
    let rig = Rig::with(sandbox::Options::practice(), configure, Some(std::sync::Arc::new(Renames))).await;
    rig.push("patient", patient("p1")).await;
    rig.push("referral", referral()).await;
    rig.until(20, "a question", |rig| !rig.open_items().is_empty()).await;
    let (_, asked) = item(&rig);
    assert_eq!((&asked["code"], &asked["fields"][0]["path"]), (&json!("LIA-SYNC-028"), &json!("handling.step")));
    let fields = std::collections::BTreeMap::from([("handling.step".to_owned(), Choice::Theirs)]);
    act(&rig, Action::Resolve { note: "their word".to_owned(), fields }).await;
    rig.until(10, "it is settled", |rig| !rig.sync("referral", "r1").state().is_pending()).await;
    let here = rig.object("referral", "r1").expect("here");
    assert_eq!(
        (&here["handling"]["status"], &here["handling"]["step"]["text"]),
        (&json!("received"), &json!("its own word"))
    );
    assert!(rig.open_items().is_empty(), "{:#?}", rig.open_items());
}
