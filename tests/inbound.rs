//! What an EHR sends that cannot be taken in: each is one question to a person, the rest of the page is taken in, the
//! cursor goes on, and nothing is asked twice. And what an EHR's own error numbers do to a fetch.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use liaison::{
    domain::SystemName,
    ehr::{Request, Response},
    rest::Method,
    sandbox,
    sync::Action,
};
use serde_json::{Value, json};

use crate::support::rig::{Rig, Tamper, patient};

/// An EHR that takes whatever it is given.
pub(crate) fn careless() -> sandbox::Options {
    sandbox::Options { check: None, ..sandbox::Options::practice() }
}

pub(crate) fn put(rig: &Rig, body: &Value) -> String {
    let reference =
        format!("{}/{}", body["resourceType"].as_str().expect("a type"), body["id"].as_str().expect("an id"));
    rig.at_ehr(Method::Put, &reference, Some(body));
    reference
}

fn visit(id: &str) -> Value {
    json!({"resourceType": "Appointment", "id": id, "status": "booked", "description": format!("Visit {id}"),
        "start": "2026-11-03T09:00:00Z", "end": "2026-11-03T09:20:00Z",
        "participant": [{"actor": {"display": "Ada"}, "status": "accepted"}]})
}

/// Puts broken entries into every list of appointments, before what is really there.
struct Garbled;

impl Tamper for Garbled {
    fn answers(&self, request: &Request, response: Response) -> Response {
        if request.method != "GET" || !request.url.path().ends_with("/Appointment") {
            return response;
        }
        let text = String::from_utf8(response.body.to_vec()).expect("UTF-8");
        let broken = r#""entry":[
            {"resource":{"resourceType":"Appointment","status":"booked","description":"no id"}},
            {"resource":{"resourceType":"Appointment","status":"proposed","description":"no id either"}},
            {"resource":{"resourceType":"Appointment","id":"twice","id":"named","status":"booked"}},
            {"resource":{"resourceType":"Appointment","id":"gap","start": ,"status":"booked"}},
            {"resource":{"id":"no-type","status":"booked"}},"#;
        assert!(text.contains("\"entry\":["), "the list has entries: {text}");
        let text = text.replacen("\"entry\":[", broken, 1);
        assert!(serde_json::from_str::<Value>(&text).is_err(), "no JSON any more");
        Response { body: text.into_bytes().into(), ..response }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_record_is_one_question_and_the_rest_of_the_page_is_taken_in() {
    let rig = Rig::with(careless(), Rig::pulling(&["Appointment"]), Some(Arc::new(Garbled))).await;
    put(&rig, &visit("good-1"));
    let without = |mut body: Value, member: &str| {
        body.as_object_mut().expect("a resource").shift_remove(member);
        body
    };
    put(&rig, &without(visit("statusless"), "status"));
    let mut wrong = visit("wrong-type");
    wrong["participant"] = json!("Ada");
    put(&rig, &wrong);
    let mut number = visit("wrong-number");
    number["minutesDuration"] = json!("half an hour");
    put(&rig, &number);
    put(&rig, &visit("good-2"));

    rig.until(15, "the good ones taken in", |rig| rig.objects("appointment").len() == 2).await;
    rig.until(15, "six questions", |rig| rig.open_items().len() >= 6).await;
    let items = rig.open_items();
    let words: Vec<&str> = items.iter().map(|item| item["what_happened"].as_str().expect("words")).collect();
    assert!(items.iter().all(|item| item["kind"] == "inbound" && item["code"] == "LIA-SYNC-014"), "{items:#?}");
    let about = |part: &str| words.iter().filter(|words| words.contains(part)).count();
    assert_eq!(
        (about("without type or id"), about("cannot be read"), about("breaks FHIR's rules")),
        (2, 1, 3),
        "{words:?}"
    );
    assert!(!words.iter().any(|words| words.contains("half an hour") || words.contains("no id either")), "{words:?}");

    // The cursor went on, and many more rounds say nothing new.
    let ehr = SystemName::new("ehr").expect("a name");
    rig.until(10, "a cursor", |rig| rig.ledger.cursor(&ehr, "Appointment").expect("readable").is_some()).await;
    let before = rig.ledger.head();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((rig.open_items().len(), rig.ledger.head()), (6, before), "asked once");
    let item = items.iter().find(|item| item["what_happened"].as_str().is_some_and(|w| w.contains("without type")));
    let id = item.and_then(|item| item["id"].as_str()).expect("an item");
    rig.engine
        .act(id, Action::Dismiss { reason: "told them".to_owned(), send_without: false }, "eve")
        .await
        .expect("dismissed");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.open_items().len(), 5, "what was dismissed is not asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_the_rules_waits_and_is_taken_in_once_mended() {
    let rig = Rig::with(careless(), Rig::pulling(&["Patient"]), None).await;
    rig.push("patient", patient("p1")).await;
    rig.settled(10).await;
    let reference = rig.sync("patient", "p1").remote[0].clone();
    rig.edit(&reference, |body| body["gender"] = json!("purple"));
    rig.until(10, "a question", |rig| !rig.open_items().is_empty()).await;
    let item = rig.open_items().remove(0);
    assert_eq!((&item["kind"], &item["code"]), (&json!("inbound"), &json!("LIA-SYNC-014")));
    assert!(rig.object("patient", "p1").expect("here").get("gender").is_none(), "nothing was taken over");
    rig.edit(&reference, |body| body["gender"] = json!("female"));
    rig.until(10, "the mended record", |rig| {
        rig.object("patient", "p1").is_some_and(|body| body["gender"] == "female")
    })
    .await;
    rig.until(10, "no question left", |rig| rig.open_items().is_empty()).await;
}

/// A list that cannot be read at all is one question, however often it is asked for.
struct Illegible(Mutex<bool>);

impl Tamper for Illegible {
    fn answers(&self, request: &Request, response: Response) -> Response {
        let broken = *self.0.lock().expect("unpoisoned") && request.url.path().ends_with("/Patient");
        if request.method == "GET" && broken {
            let half = response.body.len() / 2;
            return Response { body: response.body.slice(..half), ..response };
        }
        response
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_illegible_list_is_told_once_and_read_when_it_can_be() {
    let tamper = Arc::new(Illegible(Mutex::new(true)));
    let rig = Rig::with(careless(), Rig::pulling(&["Patient"]), Some(tamper.clone())).await;
    put(&rig, &json!({"resourceType": "Patient", "id": "x1", "name": [{"family": "Example"}]}));
    rig.until(10, "a question", |rig| rig.open_items().len() == 1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(rig.open_items().len(), 1);
    assert!(rig.objects("patient").is_empty());
    *tamper.0.lock().expect("unpoisoned") = false;
    rig.until(40, "the record", |rig| rig.objects("patient").len() == 1).await;
}

/// An EHR that gives no more than two appointments at once, and says so by a number of its own; one of its records is
/// specially protected.
#[derive(Default)]
struct Numbered {
    asked: Mutex<Vec<String>>,
}

fn outcome(code: &str) -> Vec<u8> {
    let coding = json!([{"system": "urn:oid:1.2.840.114350.1.13.0.1.7.2.657369", "code": code}]);
    let issue = json!([{"severity": "fatal", "code": "processing", "details": {"coding": coding}}]);
    json!({"resourceType": "OperationOutcome", "issue": issue}).to_string().into_bytes()
}

impl Tamper for Numbered {
    fn leaves(&self, request: &Request) {
        self.asked.lock().expect("unpoisoned").push(format!("{} {}", request.method, request.url));
    }
    fn answers(&self, request: &Request, response: Response) -> Response {
        let path = request.url.path();
        if request.method != "GET" {
            return response;
        }
        if path.ends_with("/metadata") {
            // `_lastUpdated` is not offered, so days are swept.
            let text = String::from_utf8(response.body.to_vec()).expect("UTF-8");
            return Response { body: text.replace("\"_lastUpdated\"", "\"_somethingElse\"").into(), ..response };
        }
        if path.ends_with("/Appointment") {
            let list: Value = serde_json::from_slice(&response.body).expect("JSON");
            if list["entry"].as_array().map_or(0, Vec::len) > 2 {
                return Response { body: outcome("59133").into(), status: 400, ..response };
            }
        }
        if path.ends_with("/Appointment/protected") {
            return Response { body: outcome("4130").into(), status: 403, ..response };
        }
        response
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_at_once_is_asked_for_in_smaller_pieces() {
    let tamper = Arc::new(Numbered::default());
    let configure = |config: &mut liaison::sync::SystemConfig| {
        config.dialect = "epic".to_owned();
        let text = "every = \"300ms\"\ntypes = [\"Appointment\"]\n[sweep.Appointment]\nparam = \"date\"\npast_days = 2\nfuture_days = 20";
        config.pull = Some(toml::from_str(text).expect("a pull section"));
    };
    let rig = Rig::with(careless(), configure, Some(tamper.clone())).await;
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    for day in 0..12_i64 {
        let date = today.saturating_add(jiff::Span::new().days(day));
        let mut body = visit(&format!("v{day}"));
        body["start"] = json!(format!("{date}T09:00:00Z"));
        body["end"] = json!(format!("{date}T09:20:00Z"));
        put(&rig, &body);
    }
    rig.until(30, "all visits", |rig| {
        let here: BTreeSet<String> = rig.all_syncs().iter().flat_map(|row| row.remote.clone()).collect();
        (0..12).all(|day| here.contains(&format!("Appointment/v{day}")))
    })
    .await;
    assert!(rig.open_items().is_empty(), "{:#?}", rig.open_items());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_record_is_not_asked_for_again() {
    let tamper = Arc::new(Numbered::default());
    let configure = |config: &mut liaison::sync::SystemConfig| {
        Rig::pulling(&["Appointment"])(config);
        config.dialect = "epic".to_owned();
    };
    let rig = Rig::with(careless(), configure, Some(tamper.clone())).await;
    put(&rig, &visit("protected"));
    rig.until(10, "the visit", |rig| rig.objects("appointment").len() == 1).await;
    let mut secret = visit("protected");
    secret["description"] = json!("Secret");
    put(&rig, &secret);
    rig.until(10, "a question", |rig| !rig.open_items().is_empty()).await;
    let reads = || {
        let asked = tamper.asked.lock().expect("unpoisoned");
        asked.iter().filter(|line| line.ends_with("/Appointment/protected")).count()
    };
    assert_eq!(rig.open_items()[0]["code"], "LIA-EHR-009");
    let before = reads();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((reads(), rig.open_items().len()), (before, 1), "neither asked for nor told again");
}

/// FAULTS S11: times without a zone are the EHR's, as the configuration says.
#[tokio::test(flavor = "multi_thread")]
async fn a_time_without_an_offset_is_of_the_ehrs_zone() {
    let configure = |config: &mut liaison::sync::SystemConfig| {
        Rig::pulling(&["Appointment"])(config);
        config.zone = "Europe/London".to_owned();
    };
    let rig = Rig::with(careless(), configure, None).await;
    for (id, start, end) in [
        ("summer", "2026-07-01T10:00:00", "2026-07-01T10:30:00"),
        ("winter", "2026-12-01T10:00:00.5", "2026-12-01T10:30:00"),
        ("unsaid", "2026-10-25T01:30:00", "2026-10-25T03:00:00"),
    ] {
        let mut body = visit(id);
        (body["start"], body["end"]) = (json!(start), json!(end));
        body["meta"] = json!({"lastUpdated": "2026-06-01T10:00:00"});
        put(&rig, &body);
    }
    rig.until(20, "two visits and a question", |rig| {
        rig.objects("appointment").len() == 2 && rig.open_items().len() == 1
    })
    .await;
    let mut starts: Vec<_> = rig.objects("appointment").into_iter().map(|(_, body)| body["start"].clone()).collect();
    starts.sort_by_key(ToString::to_string);
    assert_eq!(
        starts,
        [json!("2026-07-01T10:00:00+01:00[Europe/London]"), json!("2026-12-01T10:00:00.5+00:00[Europe/London]")]
    );
    // Half past one came twice that night: nobody guesses which.
    assert!(rig.open_items()[0]["what_happened"].as_str().unwrap().contains("start"), "{:#?}", rig.open_items());
}

/// FAULTS P1, P17b; PROMISES R24: whose `Patient/1` it is says the base; the EHR's own in every spelling, another's in none.
#[tokio::test(flavor = "multi_thread")]
async fn a_visit_names_the_right_patient_whatever_base_its_reference_has() {
    let rig = Rig::with(careless(), Rig::pulling(&["Appointment"]), None).await;
    rig.push("patient", patient("p1")).await;
    rig.until(20, "the patient", |rig| !rig.sync("patient", "p1").remote.is_empty()).await;
    let there = rig.sync("patient", "p1").remote[0].clone();
    let base = rig.ehr.url.clone();
    let (authority, path) =
        base.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a base with a path");
    let theirs = [
        there.clone(),
        format!("{base}/{there}"),
        format!("{base}//{there}"),
        format!("https://{authority}/{path}/{there}"),
        format!("HTTP://{}/{path}/{there}", authority.to_uppercase()),
        format!("{base}/../{path}/{there}"),
        format!("{base}/{there}/_history/1"),
    ];
    let foreign = [
        format!("https://regional-hospital.example/fhir/{there}"),
        format!("http://{authority}.evil.example/{path}/{there}"),
        format!("http://{authority}/other/{there}"),
        format!("{base}/tenant/{there}"),
    ];
    let of = |id: String, reference: &str| {
        let mut body = visit(&id);
        body["participant"][0]["actor"] = json!({"reference": reference, "display": "A person"});
        body
    };
    theirs.iter().enumerate().for_each(|(n, reference)| drop(put(&rig, &of(format!("own-{n}"), reference))));
    foreign.iter().enumerate().for_each(|(n, reference)| drop(put(&rig, &of(format!("foreign-{n}"), reference))));
    rig.until(30, "all visits", |rig| rig.objects("appointment").len() == theirs.len() + foreign.len()).await;
    let ours = |rig: &Rig, at_ehr: &str| {
        let at_ehr = format!("Appointment/{at_ehr}");
        let row = rig.all_syncs().into_iter().find(|row| row.remote.contains(&at_ehr)).expect("linked");
        rig.object("appointment", row.object_id.as_str()).expect("taken in")
    };
    for (n, reference) in theirs.iter().enumerate() {
        let visit = ours(&rig, &format!("own-{n}")).to_string();
        assert!(visit.contains(r#""object":"patient","id":"p1""#), "{reference}: {visit}");
    }
    for (n, reference) in foreign.iter().enumerate() {
        let visit = ours(&rig, &format!("foreign-{n}")).to_string();
        assert!(visit.contains(reference.as_str()) && !visit.contains(r#""id":"p1""#), "{reference}: {visit}");
    }
}
