//! Trouble with one object, one record or one kind; and what waits for it.

use liaison::rest::Method;
use serde_json::{Value, json};

use super::{
    AT_ONCE, DAY, FETCH, LOOK, MINUTE, Row, SECOND, Stage, TOLD, about, any, defaults, patient, push_only, row, visit,
};
use crate::{
    books::{Who, own_write},
    ehr::Reply,
    stage::Seen,
};

/// A patient is there; its record is `Patient/…`.
async fn one(stage: &Stage) -> String {
    stage.push("patient", patient("p-1"), false).await.expect("accepted");
    stage.synced("patient", "p-1").await;
    let (kind, id) = stage.ehr().books.nth(Some("Patient"), 0).expect("a record");
    format!("{kind}/{id}")
}

/// Every write of this kind is answered so.
fn writes(stage: &Stage, kind: &'static str, reply: Reply) {
    stage.ehr().rule(move |request| (request.method.writes() && request.path.starts_with(kind)).then_some(reply));
}

/// A new patient is answered so.
async fn created(stage: &mut Stage, reply: Reply, most: std::time::Duration) -> Seen {
    writes(stage, "Patient", reply);
    let begin = stage.now();
    stage.push("patient", patient("p-1"), false).await.expect("accepted");
    stage.shown(begin, most, about("p-1")).await
}

/// A change of a patient is answered so.
async fn changed(stage: &mut Stage, reply: Reply, most: std::time::Duration) -> Seen {
    one(stage).await;
    writes(stage, "Patient", reply);
    let begin = stage.now();
    stage.change("patient", "p-1", json!({"birth_date": "1950-02-02"})).await;
    stage.shown(begin, most, about("p-1")).await
}

/// Staff of the EHR write a record, whatever it holds.
fn staff(stage: &Stage, kind: &str, id: &str, body: Value) {
    let ehr = stage.ehr();
    let write = own_write(kind, id, Some(body));
    ehr.books.acting(Who::Staff, None, |books| liaison::rest::Store::commit(books, vec![write])).expect("written");
}

fn edit(stage: &Stage, reference: &str, birth: &str) {
    let (kind, id) = reference.split_once('/').expect("a reference");
    let standing = stage.ehr().books.standing();
    let found = standing.iter().find(|version| version.kind == kind && version.id == id).expect("there");
    let mut body = found.resource.clone().expect("a body");
    body["birthDate"] = json!(birth);
    staff(stage, kind, id, body);
}

pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        row("one object is refused (422)", AT_ONCE, defaults, async |stage| {
            created(stage, Reply::Status(422, None), LOOK).await
        }),
        row("one object is there twice (412 on its condition)", AT_ONCE, defaults, async |stage| {
            created(stage, Reply::Status(412, None), LOOK).await
        }),
        row("twenty in a row are refused: the line is stopped", AT_ONCE + 20 * SECOND, defaults, async |stage| {
            writes(stage, "Patient", Reply::Status(422, None));
            let begin = stage.now();
            for number in 0..200 {
                stage.push("patient", patient(&format!("p-{number}")), false).await.expect("accepted");
            }
            let seen = stage.shown(begin, LOOK, |item| item["code"] == "LIA-SYNC-025").await;
            stage.sleep(60).await;
            // One item for all further ones, but for those that were under way.
            let items = stage.items().len();
            assert!(items <= 20 + 64 + 1, "{items} items");
            seen
        }),
        row("the EHR refuses the version that it gives (412)", MINUTE, defaults, async |stage| {
            changed(stage, Reply::Status(412, None), LOOK).await
        }),
        row("… or answers each change 409", MINUTE, defaults, async |stage| {
            changed(stage, Reply::Status(409, None), LOOK).await
        }),
    ];
    for (trouble, status) in
        [("a record is locked for ever (423)", 423), ("a record depends on what failed (424)", 424)]
    {
        rows.push(row(trouble, DAY + LOOK, push_only, async move |stage: &mut Stage| {
            changed(stage, Reply::Status(status, None), DAY + 2 * LOOK).await
        }));
    }
    rows.push(row("a create is not ready (409, transient)", DAY + LOOK, push_only, async |stage| {
        created(stage, Reply::Status(409, None), DAY + 2 * LOOK).await
    }));
    rows.push(row("a step of the gateway panics while it sends", MINUTE, push_only, async |stage| {
        created(stage, Reply::Panics, LOOK).await
    }));
    rows.push(row("a step of the gateway panics before it sends", DAY + LOOK, push_only, async |stage| {
        let reference = one(stage).await;
        stage.ehr().rule(move |request| (request.path == reference).then_some(Reply::Panics));
        let begin = stage.now();
        stage.change("patient", "p-1", json!({"birth_date": "1950-02-02"})).await;
        stage.shown(begin, DAY + 2 * LOOK, about("p-1")).await
    }));
    rows.extend(waiting());
    rows.extend(deleted());
    rows.extend(received());
    rows
}

/// What waits for another.
fn waiting() -> Vec<Row> {
    vec![
        row("a visit waits for a patient who is refused", AT_ONCE, defaults, async |stage| {
            writes(stage, "Patient", Reply::Status(422, None));
            let begin = stage.now();
            stage.push("patient", patient("p-1"), false).await.expect("accepted");
            stage.push("appointment", visit("v-1", "p-1"), false).await.expect("accepted");
            let lists = |item: &Value| item["dependants"].to_string().contains("v-1");
            let seen = stage.shown(begin, LOOK, |item| item["object_id"] == "p-1").await;
            // It may have begun to wait a moment later.
            stage.sleep(1).await;
            assert!(stage.items().iter().any(lists), "{:?}", stage.items());
            seen
        }),
        row("a visit waits for a patient who is locked for ever", DAY + LOOK, push_only, async |stage| {
            writes(stage, "Patient", Reply::Status(423, None));
            let begin = stage.now();
            stage.push("patient", patient("p-1"), false).await.expect("accepted");
            stage.push("appointment", visit("v-1", "p-1"), false).await.expect("accepted");
            let lists = |item: &Value| item["object_id"] == "v-1" || item["dependants"].to_string().contains("v-1");
            stage.shown(begin, DAY + 2 * LOOK, lists).await
        }),
        row("what a visit waits for was dismissed", AT_ONCE, defaults, async |stage| {
            writes(stage, "Patient", Reply::Status(422, None));
            stage.push("patient", patient("p-1"), false).await.expect("accepted");
            stage.push("appointment", visit("v-1", "p-1"), false).await.expect("accepted");
            let (_, item) = stage.shown(stage.now(), LOOK, about("p-1")).await.item.expect("an item");
            stage.sleep(100).await;
            let begin = stage.now();
            stage.dismiss(&item).await;
            stage.shown(begin, LOOK, about("v-1")).await
        }),
    ]
}

/// Staff delete the first so many patients.
fn delete(stage: &Stage, patients: u64) {
    let ehr = stage.ehr();
    for number in 0..patients {
        let (kind, id) = ehr.books.nth(Some("Patient"), number).expect("a record");
        let write = own_write(&kind, &id, None);
        ehr.books.acting(Who::Staff, None, |books| liaison::rest::Store::commit(books, vec![write])).expect("deleted");
    }
}

/// What is not at the EHR any more.
fn deleted() -> Vec<Row> {
    // A sweep is made in each tenth round.
    let sweep = 10 * FETCH + AT_ONCE;
    let several = async |stage: &mut Stage, gone: u64| {
        for number in 0..12 {
            stage.push("patient", patient(&format!("p-{number}")), false).await.expect("accepted");
            stage.synced("patient", &format!("p-{number}")).await;
        }
        stage.sleep(100).await;
        delete(stage, gone);
        stage.shown(stage.now(), 2 * LOOK, any).await
    };
    vec![
        row("our record was deleted there, before our next write", AT_ONCE, push_only, async |stage| {
            one(stage).await;
            delete(stage, 1);
            let begin = stage.now();
            stage.change("patient", "p-1", json!({"birth_date": "1952-02-02"})).await;
            stage.shown(begin, LOOK, about("p-1")).await
        }),
        row("our record was deleted there, one of twelve", sweep, defaults, async move |stage: &mut Stage| {
            several(stage, 1).await
        }),
        row("all our records were deleted there", sweep, defaults, async move |stage: &mut Stage| {
            several(stage, 12).await
        }),
    ]
}

/// What comes from the EHR.
fn received() -> Vec<Row> {
    let mut rows = vec![
        row("both sides changed a field, before our write", AT_ONCE, push_only, async |stage| {
            let reference = one(stage).await;
            edit(stage, &reference, "1951-01-01");
            let begin = stage.now();
            stage.change("patient", "p-1", json!({"birth_date": "1952-02-02"})).await;
            stage.shown(begin, LOOK, about("p-1")).await
        }),
        row("both sides changed a field, ours is still waiting", FETCH + AT_ONCE, defaults, async |stage| {
            let reference = one(stage).await;
            stage.sleep(100).await;
            writes(stage, "Patient", Reply::Status(423, Some(250)));
            stage.change("patient", "p-1", json!({"birth_date": "1952-02-02"})).await;
            stage.sleep(60).await;
            edit(stage, &reference, "1951-01-01");
            stage.shown(stage.now(), LOOK, about("p-1")).await
        }),
        row("a received record breaks FHIR's rules", FETCH + AT_ONCE, defaults, async |stage| {
            one(stage).await;
            staff(
                stage,
                "Patient",
                "broken",
                json!({"resourceType": "Patient", "id": "broken", "gender": "unheard-of"}),
            );
            stage.shown(stage.now(), LOOK, any).await
        }),
        row(
            "a received record fits no object",
            FETCH + AT_ONCE,
            |config| {
                defaults(config);
                config.pull = toml::from_str("types = [\"Basic\"]").ok();
            },
            async |stage| {
                one(stage).await;
                let body = json!({"resourceType": "Basic", "id": "b-1", "code": {"text": "something"}});
                staff(stage, "Basic", "b-1", body);
                stage.shown(stage.now(), LOOK, any).await
            },
        ),
        row("a received record may be one of two patients", FETCH + AT_ONCE, defaults, async |stage| {
            let number = |value: &str| json!({"system": "https://mrn.example", "value": value});
            for (id, value) in [("p-1", "m-1"), ("p-2", "m-2")] {
                let mut body = patient(id);
                body["identifiers"] = json!([number(value)]);
                stage.push("patient", body, false).await.expect("accepted");
                stage.synced("patient", id).await;
            }
            stage.sleep(100).await;
            let body = json!({"resourceType": "Patient", "id": "both", "identifier": [number("m-1"), number("m-2")],
                "name": [{"family": "Both"}]});
            staff(stage, "Patient", "both", body);
            stage.shown(stage.now(), LOOK, any).await
        }),
    ];
    for (trouble, status, bound) in [
        ("one record cannot be read (500), lists show it", 500, 2 * TOLD + FETCH),
        ("one record cannot be read (404), lists show it", 404, 2 * TOLD + FETCH),
        ("one record may not be read (403), lists show it", 403, FETCH + AT_ONCE),
    ] {
        rows.push(row(trouble, bound, defaults, async move |stage: &mut Stage| {
            let reference = one(stage).await;
            stage.sleep(100).await;
            edit(stage, &reference, "1951-01-01");
            stage.ehr().rule(move |request| {
                (request.method == Method::Get && request.path == reference).then_some(Reply::Status(status, None))
            });
            stage.shown(stage.now(), 3 * LOOK, any).await
        }));
    }
    rows
}
