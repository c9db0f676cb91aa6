//! What dialects differ in: worked examples of each difference, sameness where none is claimed, and that a push to an EHR
//! that does not take something is refused at once, in plain words, with nothing sent.

use liaison::{
    ledger::SyncState,
    mapping::{Example, Mappings, Plan},
    rest::Method,
    sync::{Change, Error},
};
use serde_json::{Value, json};

use crate::support::rig::{Rig, appointment, name, patient};

fn mappings() -> std::sync::Arc<Mappings> {
    Mappings::embedded().unwrap_or_else(|error| panic!("{error}"))
}

/// What a plan makes of an object, or why not.
fn made(plan: &Plan, internal: &Value) -> Value {
    let context = Example::context();
    let refused = plan.not_taken(internal, &[], &context);
    if !refused.is_empty() {
        return json!(refused);
    }
    plan.to_fhir(internal, &context).map_or(Value::Null, |parts| parts.into_iter().map(|part| part.resource).collect())
}

#[test]
fn every_overlay_shows_by_examples_what_it_changes() {
    let mappings = mappings();
    let (mut wrong, mut overlays) = (Vec::new(), 0);
    for plan in mappings.plans().filter(|plan| plan.dialect() != "generic") {
        overlays += 1;
        let object = mappings.object(plan.object()).expect("an object");
        let (run, faults) = plan.try_examples(object);
        wrong.extend(faults.into_iter().map(|fault| format!("{fault:?}")));
        let generic = mappings.plan(plan.object(), "generic").expect("a plan");
        let shown = object.examples().iter().filter(|example| example.dialect() == plan.dialect());
        let differs =
            shown.into_iter().any(|example| made(plan, &example.internal) != made(&generic, &example.internal));
        let refused = object.refusals().iter().any(|refusal| refusal.dialect() == plan.dialect());
        if run == 0 || !(differs || refused) {
            wrong.push(format!("{} ({}): no example shows a difference", plan.object(), plan.dialect()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(overlays >= 20, "only {overlays}");
}

#[test]
fn a_refusal_that_is_no_refusal_is_found_out() {
    // The examples' runner itself: an example that the generic dialect would take.
    let mappings = mappings();
    let object = mappings.object("appointment").expect("appointments");
    let plan = mappings.plan("appointment", "epic").expect("a plan");
    let refusal = object.refusals().iter().find(|refusal| refusal.dialect() == "epic").expect("one");
    let generic = mappings.plan("appointment", "generic").expect("a plan");
    assert!(!plan.not_taken(&refusal.internal, &[], &Example::context()).is_empty());
    assert_eq!(generic.not_taken(&refusal.internal, &[], &Example::context()), []);
}

#[test]
fn dialects_that_claim_no_difference_have_none() {
    let mappings = mappings();
    let mut tried = 0;
    for dialect in ["hapi", "medplum"] {
        assert!(mappings.dialects().iter().any(|known| **known == *dialect));
        for object in mappings.objects() {
            let (own, generic) = (mappings.plan(object.name(), dialect), mappings.plan(object.name(), "generic"));
            let (own, generic) = (own.expect("a plan"), generic.expect("a plan"));
            for example in object.examples() {
                let ours = made(&own, &example.internal);
                assert_eq!(ours, made(&generic, &example.internal), "{dialect} {}", example.name);
                tried += 1;
                // HAPI refuses purely numeric client ids; the only ids that Liaison chooses are those of files.
                for resource in ours.as_array().into_iter().flatten() {
                    let id = resource["id"].as_str().unwrap_or("none");
                    assert!(!id.chars().all(|letter| letter.is_ascii_digit()), "{}: {id}", example.name);
                }
            }
        }
    }
    assert!(tried > 300, "only {tried}");
}

#[test]
fn what_a_dialect_takes_is_told_by_its_plan() {
    let mappings = mappings();
    let writes = |object: &str, dialect: &str| {
        let plan = mappings.plan(object, dialect).expect("a plan");
        let writes = plan.writes().clone();
        assert!(!writes.why.is_empty() || (writes.create && writes.update), "{object}");
        (writes.create, writes.update)
    };
    assert_eq!(writes("appointment", "epic"), (false, false));
    assert_eq!(writes("waitlist-entry", "epic"), (false, false));
    for object in ["patient", "message", "allergy", "condition"] {
        assert_eq!(writes(object, "epic"), (true, false), "{object}");
    }
    for object in ["observation", "procedure", "letter", "note"] {
        assert_eq!(writes(object, "epic"), (true, true), "{object}");
    }
    assert_eq!(writes("appointment", "oracle-health"), (true, true));
    assert_eq!(writes("appointment", "generic"), (true, true));
}

/// The findings of a refused push.
#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>, code: &str, words: &str) {
    match result {
        Err(Error::Invalid(findings)) => {
            let fits = findings.iter().any(|finding| finding.code == code && finding.detail.contains(words));
            assert!(fits && findings.iter().all(|finding| !finding.remedy.is_empty()), "{code} {words}: {findings:?}");
        }
        other => panic!("not refused: {other:?}"),
    }
}

fn rig_of(dialect: &str, objects: &[&str]) -> impl FnOnce(&mut liaison::sync::SystemConfig) {
    let (dialect, objects): (String, Vec<_>) =
        (dialect.to_owned(), objects.iter().map(|object| name(object)).collect());
    move |config| {
        config.dialect = dialect;
        config.push = objects;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn epic_is_asked_for_nothing_that_it_refuses() {
    let rig = Rig::new("", rig_of("epic", &["patient", "appointment", "message"])).await;
    let mut ada = patient("p1");
    ada["gender"] = json!("female");
    rig.push("patient", ada.clone()).await;
    rig.settled(20).await;
    let visit = appointment("a1", "p1", "2026-05-04T09:30:00Z", "2026-05-04T10:00:00Z");
    refused(rig.try_push("appointment", visit).await, "LIA-MAP-014", "Epic takes no new record");
    let moved = Change::Merge(json!({"addresses": [{"city": "Tucson"}]}));
    refused(rig.change("patient", "p1", 1, moved).await, "LIA-MAP-014", "Epic takes no change");
    // A change that Epic would not see is none.
    assert_eq!(rig.change("patient", "p1", 1, Change::Replace(ada)).await.expect("taken on").version, 1);
    let phoned = json!({"id": "m1", "status": "sent", "patient": {"object": "patient", "id": "p1"}, "parts": [{"text": "Called."}]});
    rig.push("message", phoned).await;
    rig.settled(20).await;
    let withdrawn = Change::Merge(json!({"status": "entered in error"}));
    refused(rig.change("message", "m1", 1, withdrawn).await, "LIA-MAP-014", "Epic takes no change");
    assert_eq!(rig.creates().values().sum::<usize>(), 2, "a patient and a message: {:?}", rig.creates());
    let found = rig.at_ehr(Method::Get, "Appointment", None);
    assert!(found.get("entry").is_none_or(|entry| entry.as_array().is_none_or(Vec::is_empty)), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn oracle_appointments_move_only_in_its_steps() {
    let rig = Rig::new("", rig_of("oracle-health", &["patient", "clinic-session", "slot", "appointment"])).await;
    let mut ada = patient("p1");
    ada["gender"] = json!("female");
    rig.push("patient", ada).await;
    let visit = |status: &str| {
        let mut visit = appointment("a1", "p1", "2026-05-04T09:30:00Z", "2026-05-04T10:00:00Z");
        visit["status"] = json!(status);
        visit["slots"] = json!([{"reference": "Slot/1"}]);
        visit
    };
    refused(rig.try_push("appointment", visit("booked")).await, "LIA-MAP-015", "only as: proposed");
    let mut bare = visit("proposed");
    bare.as_object_mut().expect("an object").remove("slots");
    refused(rig.try_push("appointment", bare).await, "LIA-MAP-002", "one free slot");
    rig.push("appointment", visit("proposed")).await;
    rig.settled(20).await;
    assert_eq!(rig.sync("appointment", "a1").state(), SyncState::Synced, "{:?}", rig.items());
    rig.change("appointment", "a1", 1, Change::Replace(visit("booked"))).await.expect("a step");
    rig.settled(20).await;
    refused(
        rig.change("appointment", "a1", 2, Change::Replace(visit("attended"))).await,
        "LIA-MAP-015",
        "does not take",
    );
    refused(
        rig.change("appointment", "a1", 2, Change::Replace(visit("did not attend"))).await,
        "LIA-MAP-002",
        "status",
    );
    assert_eq!(rig.states("Appointment", "a1").len(), 2, "what was refused was never sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_tells_of_a_time_that_contradicts_its_zone() {
    let rig = Rig::new("", Rig::pulling(&["Appointment"])).await;
    rig.push("patient", patient("p1")).await;
    rig.push("appointment", appointment("a1", "p1", "2026-05-04T09:30:00Z", "2026-05-04T10:00:00Z")).await;
    rig.settled(20).await;
    let at = rig.sync("appointment", "a1").remote[0].clone();
    rig.edit(&at, |body| {
        body["start"] = json!("2026-05-04T09:15:00+05:00");
        body["_start"] = json!({"extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/tz-code", "valueCode": "Europe/London"}]});
    });
    let start = |rig: &Rig| rig.object("appointment", "a1").map(|visit| visit["start"].clone());
    rig.until(30, "the change arrives", |rig| start(rig) == Some(json!("2026-05-04T09:15:00+05:00[Europe/London]")))
        .await;
    let id = liaison::domain::ObjectId::new("a1").expect("an id");
    let history = rig.ledger.history(&name("appointment"), &id).expect("readable");
    let told =
        history.iter().any(|entry| entry.to_json()["summary"].as_str().is_some_and(|s| s.contains("LIA-TIME-005")));
    assert!(told, "kept and flagged");
}

#[test]
fn a_dialect_is_guessed_by_what_the_ehr_calls_itself() {
    let mappings = Mappings::embedded().expect("mappings");
    let guess = |software: &str| mappings.dialect_of(software).unwrap_or("none").to_owned();
    let all = ["Epic", "Oracle Health Millennium", "HAPI FHIR Server", "medplum", "Practice EHR"].map(guess);
    assert_eq!(all, ["epic", "oracle-health", "hapi", "medplum", "none"]);
}
