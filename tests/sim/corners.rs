//! Single corners, led by hand: what a person may close without a word, a list whose later page fails, whose Binary an address names.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use liaison::{
    domain::ObjectId,
    ledger::{Draft, Fact, Proposal, State},
    rest::Method,
    sync::{Action, Error, SystemConfig},
};
use serde_json::{Value, json};

use super::{
    books::{Who, own_write},
    ehr::Reply,
    quirk::{Kind, Quirk},
    stage::{Stage, on_stage},
};

/// What the EHR is asked for: path and query.
type Asked = Arc<Mutex<Vec<String>>>;

fn listened(stage: &Stage) -> Asked {
    let asked = Asked::default();
    let all = asked.clone();
    stage.ehr().rule(move |request| {
        all.lock().expect("no panic").push(format!("{}?{}", request.path, request.query));
        None
    });
    asked
}

fn staff(stage: &Stage, kind: &str, id: &str, body: Value) {
    let ehr = stage.ehr();
    let write = own_write(kind, id, Some(body));
    ehr.books.acting(Who::Staff, None, |books| liaison::rest::Store::commit(books, vec![write])).expect("written");
}

fn patient(id: &str) -> Value {
    json!({"id": id, "names": [{"family": "Corner", "given": ["Ada"]}], "birth_date": "1950-01-01"})
}

/// FAULTS S8: what closes without delivery closes with a reason.
#[test]
fn nothing_is_settled_without_a_word() {
    on_stage(
        Vec::new(),
        |_| {},
        async |stage| {
            stage.ehr().rule(|request| request.method.writes().then_some(Reply::Status(422, None)));
            stage.push("patient", patient("p-1"), false).await.expect("accepted");
            let (_, item) =
                stage.shown(stage.now(), std::time::Duration::from_secs(60), |_| true).await.item.expect("an item");
            let id = item["id"].as_str().expect("an id");
            for silent in [
                Action::Resolve { note: String::new(), fields: Default::default() },
                Action::Resolve { note: "  \n".to_owned(), fields: Default::default() },
                Action::Dismiss { reason: " ".to_owned(), send_without: false },
            ] {
                let refused = stage.engine.act(id, silent, "eve").await.expect_err("without a reason");
                assert!(matches!(refused, Error::Decision(_)), "{refused}");
                assert_eq!(
                    (stage.items()[0]["status"].as_str(), &*stage.state("patient", "p-1")),
                    (Some("open"), "parked")
                );
            }
            let said = Action::Resolve { note: "Entered there by hand.".to_owned(), fields: Default::default() };
            stage.engine.act(id, said, "eve").await.expect("taken");
            assert_eq!(stage.state("patient", "p-1"), "resolved");
        },
    );
}

/// FAULTS S5: the third of three pages fails for ever; what the first two show is taken in, and is not asked for again and again.
#[test]
fn a_page_that_fails_does_not_lose_those_before_it() {
    on_stage(
        Vec::new(),
        |_| {},
        async |stage| {
            let records = 240;
            // Nobody fetches while they are made.
            let made = Arc::new(AtomicBool::new(false));
            let is_made = made.clone();
            stage.ehr().rule(move |_| (!is_made.load(Ordering::Relaxed)).then_some(Reply::Status(503, Some(1))));
            for number in 0..records {
                let body = json!({"resourceType": "Patient", "id": format!("s-{number}"),
                    "name": [{"family": format!("Staff{number}")}]});
                staff(stage, "Patient", &format!("s-{number}"), body);
                stage.sleep(1).await;
            }
            made.store(true, Ordering::Relaxed);
            let asked = listened(stage);
            let third = Mutex::new(0);
            // Of each list at most two pages are given.
            stage.ehr().rule(move |request| {
                if request.method != Method::Get || request.path.contains('/') {
                    return None;
                }
                let mut pages = third.lock().expect("no panic");
                // Further pages are the server's own, of no type.
                *pages = if request.query.contains("_page=") { *pages + 1 } else { 0 };
                (*pages >= 2).then_some(Reply::Status(500, None))
            });
            stage.restart().await;
            stage.sleep(3000).await;
            let here = stage.ledger.objects(&super::world::name("patient"), None, 1000).expect("readable").len();
            assert_eq!(here, records, "all came, two pages at a time");
            let asked = asked.lock().expect("no panic");
            let third = asked.iter().filter(|query| query.contains("_page=") && query.contains(".200")).count();
            assert!(third > 0, "no list has a third page");
            let first: Vec<&String> =
                asked.iter().filter(|query| query.starts_with("Patient?") && !query.contains("_page=")).collect();
            let from_the_start = first.iter().filter(|query| !query.contains("_lastUpdated=ge")).count();
            // A sweep begins from the start, too; there were five at most.
            assert!(from_the_start <= 7, "asked from the start {from_the_start} times of {}", first.len());
        },
    );
}

fn letters(config: &mut SystemConfig) {
    config.pull = toml::from_str("types = [\"DocumentReference\"]").ok();
}

/// FAULTS P15: a Binary of the EHR's own is fetched in whatever form its address is written, and no other.
#[test]
fn a_binary_is_fetched_under_the_own_base_only() {
    let forms = [
        ("Binary/b-0", true),
        ("https://ehr-a.example/fhir/Binary/b-1", true),
        ("/fhir/Binary/b-2", true),
        ("http://EHR-A.example:80/fhir/Binary/b-3/_history/1", true),
        ("https://ehr-b.example/fhir/Binary/b-4", false),
        ("https://ehr-a.example.evil.example/fhir/Binary/b-5", false),
        ("https://ehr-a.example/other/Binary/b-6", false),
    ];
    on_stage(Vec::new(), letters, async |stage| {
        let asked = listened(stage);
        for (number, (url, _)) in forms.iter().enumerate() {
            let binary = json!({"resourceType": "Binary", "id": format!("b-{number}"), "contentType": "text/plain", "data": "aGVsbG8="});
            staff(stage, "Binary", &format!("b-{number}"), binary);
            let letter = json!({"resourceType": "DocumentReference", "id": format!("d-{number}"), "status": "current",
                "type": {"coding": [{"system": "http://loinc.org", "code": "18842-5"}]},
                "content": [{"attachment": {"contentType": "text/plain", "url": url}}]});
            staff(stage, "DocumentReference", &format!("d-{number}"), letter);
        }
        stage.sleep(120).await;
        assert_eq!(
            stage.ledger.objects(&super::world::name("letter"), None, 100).expect("readable").len(),
            forms.len()
        );
        let asked = asked.lock().expect("no panic");
        for (number, (url, own)) in forms.iter().enumerate() {
            let read = asked.iter().any(|query| query.starts_with(&format!("Binary/b-{number}?")));
            assert_eq!(read, *own, "{url}");
        }
    });
}

/// The quirk that is drawn so seldom that it never struck: an EHR that refuses several values in one parameter.
#[test]
fn an_ehr_that_refuses_several_values_is_asked_for_one() {
    let no_or = Quirk { kind: Kind::NoOr, ehr: 0, percent: 100, from_s: 0, until_s: u64::MAX, vary: 0 };
    on_stage(
        vec![no_or],
        |_| {},
        async |stage| {
            stage.push("patient", patient("p-0"), false).await.expect("accepted");
            stage.synced("patient", "p-0").await;
            let asked = listened(stage);
            let left = AtomicBool::new(false);
            stage.ehr().rule(move |request| {
                let first = request.method == Method::Post && !left.swap(true, Ordering::Relaxed);
                first.then_some(Reply::Lost)
            });
            stage.push("patient", patient("p-1"), false).await.expect("accepted");
            stage.synced("patient", "p-1").await;
            let several = asked.lock().expect("no panic").iter().filter(|query| query.contains("%2C")).count();
            assert_eq!(several, 0, "asked for several at once");
        },
    );
}

/// FAULTS P2e: an EHR that ignores If-Match, and an edit that our write jumped across: both are there afterwards, and a person knows.
#[test]
fn an_edit_that_our_write_jumped_across_is_put_back() {
    let careless = Quirk { kind: Kind::IgnoresIfMatch, ehr: 0, percent: 100, from_s: 0, until_s: u64::MAX, vary: 0 };
    on_stage(
        vec![careless],
        |_| {},
        async |stage| {
            stage.push("patient", patient("p-0"), false).await.expect("accepted");
            stage.synced("patient", "p-0").await;
            let ehr = stage.ehr();
            let edited = AtomicBool::new(false);
            stage.ehr().rule(move |request| {
                if request.method == Method::Put && !edited.swap(true, Ordering::Relaxed) {
                    // Just before ours arrives.
                    let standing = ehr.books.standing().into_iter().find(|version| version.kind == "Patient");
                    let version = standing.expect("there");
                    let mut body = version.resource.clone().expect("a body");
                    body["gender"] = json!("female");
                    let write = own_write("Patient", &version.id, Some(body));
                    ehr.books
                        .acting(Who::Staff, None, |books| liaison::rest::Store::commit(books, vec![write]))
                        .expect("written");
                }
                None
            });
            stage.change("patient", "p-0", json!({"birth_date": "1951-01-01"})).await;
            stage.sleep(120).await;
            assert_eq!(stage.state("patient", "p-0"), "synced");
            let there = stage.ehr().books.standing().into_iter().find(|version| version.kind == "Patient");
            let there = there.and_then(|version| version.resource.clone()).expect("there");
            assert_eq!((&there["gender"], &there["birthDate"]), (&json!("female"), &json!("1951-01-01")), "{there:#}");
            let told = stage.items().iter().any(|item| item["code"] == "LIA-SYNC-033");
            assert!(told, "{:#?}", stage.items());
        },
    );
}

fn visit(id: &str, patient: &str) -> Value {
    json!({"id": id, "status": "booked", "start": "2026-06-02T09:00:00Z", "end": "2026-06-02T09:30:00Z",
        "participants": [{"who": {"object": "patient", "id": patient}, "reply": "accepted"}]})
}

/// FAULTS S9: what waits for a patient goes at once when she is there.
#[test]
fn what_waits_goes_when_the_other_has_arrived() {
    on_stage(
        Vec::new(),
        |_| {},
        async |stage| {
            let locked = AtomicBool::new(false);
            stage.ehr().rule(move |request| {
                let first = request.method == Method::Post && request.path == "Patient";
                (first && !locked.swap(true, Ordering::Relaxed)).then_some(Reply::Status(423, Some(60)))
            });
            stage.push("patient", patient("p-0"), false).await.expect("accepted");
            stage.push("appointment", visit("v-0", "p-0"), false).await.expect("accepted");
            stage.synced("patient", "p-0").await;
            stage.sleep(2).await;
            assert_eq!(stage.state("appointment", "v-0"), "synced");
        },
    );
}

/// FAULTS S9: what was about to wait for something that has just arrived does not.
#[test]
fn nothing_waits_for_what_is_there() {
    on_stage(
        Vec::new(),
        |_| {},
        async |stage| {
            stage.push("patient", patient("p-0"), false).await.expect("accepted");
            stage.synced("patient", "p-0").await;
            stage.ehr().rule(|_| Some(Reply::Status(503, Some(600))));
            stage.push("appointment", visit("v-0", "p-0"), false).await.expect("accepted");
            stage.sleep(5).await;
            let sync = |kind: &str, id: &str| {
                let id = ObjectId::new(id).expect("an id");
                stage.ledger.syncs_of(&super::world::name(kind), &id).expect("readable").remove(0)
            };
            let (on, row) = (vec![sync("patient", "p-0").id], sync("appointment", "v-0"));
            let fact = Fact::Waited { on, patience_ms: 1_000_000 };
            let draft = Draft::new(fact, "sim", "It was not there a moment ago.");
            let draft = draft.about(&row.object, &row.object_id, row.version).system(&row.system).sync_id(&row.id);
            stage.ledger.commit(Proposal::of(draft)).await.expect("taken");
            let after = sync("appointment", "v-0").standing;
            assert!(!matches!(after, State::Waiting { .. }), "{after:?}");
        },
    );
}

/// FAULTS P4: what waits for one that was refused is on its item, and points to it.
#[test]
fn what_waits_for_a_refused_one_is_on_its_item() {
    on_stage(
        Vec::new(),
        |_| {},
        async |stage| {
            stage.ehr().rule(|request| request.method.writes().then_some(Reply::Status(422, None)));
            stage.push("patient", patient("p-0"), false).await.expect("accepted");
            stage.push("appointment", visit("v-0", "p-0"), false).await.expect("accepted");
            stage.sleep(60).await;
            let items = stage.items();
            assert_eq!(items.len(), 1, "{items:#?}");
            assert_eq!(items[0]["dependants"], json!([{"object": "appointment", "id": "v-0"}]));
            let id = ObjectId::new("v-0").expect("an id");
            let row = stage.ledger.syncs_of(&super::world::name("appointment"), &id).expect("readable").remove(0);
            assert_eq!(row.to_json()["worklist_id"], items[0]["id"]);
        },
    );
}

/// FAULTS P17: what no system takes is not taken on without a word.
#[test]
fn what_goes_nowhere_is_said() {
    for (goes, says) in [(true, false), (false, true)] {
        let adjust: fn(&mut SystemConfig) = if goes { |_| {} } else { |config| config.push.clear() };
        on_stage(Vec::new(), adjust, async |stage| {
            let said = stage.engine.warnings(&super::world::name("patient"), &patient("p-0"), true);
            assert_eq!(said.iter().any(|finding| finding.code == "LIA-SYNC-031"), says, "{said:?}");
        });
    }
}

/// FAULTS P16: what contradicts itself, or tells nobody whom it is about, is refused with its place.
#[test]
fn what_contradicts_itself_is_refused() {
    on_stage(
        Vec::new(),
        |_| {},
        async |stage| {
            stage.push("patient", patient("p-0"), false).await.expect("accepted");
            let mut backwards = visit("v-0", "p-0");
            backwards["end"] = json!("2026-06-02T08:30:00Z");
            for (kind, body, at) in [("appointment", backwards, "/end"), ("patient", json!({"id": "p-1"}), "/names")] {
                let refused = stage.push(kind, body, false).await.expect_err("refused");
                let places: Vec<&str> = refused.findings().iter().map(|finding| finding.pointer.as_str()).collect();
                assert_eq!(places, [at], "{refused:?}");
            }
        },
    );
}
