//! Eleven kinds of edits that a hospital's own people make at their EHR and that no mapping reads, on patients, visits and
//! messages, at every EHR that is at hand. We then change the same record twice: at once (the edit is found when the record is
//! read before the write) and after it was fetched. All that the EHR kept of the edit must be there afterwards, to the last digit.
//!
//! What came of it is `docs/edits-table.md`; `EDITS_TABLE=write cargo test --test liaison peers::edits` makes it anew.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    configuration, ehrs,
    kinds::{KINDS, OBJECTS, Row, rows},
    staff::Staff,
};
use crate::{
    foreign_ehr::syncs,
    support::{Server, beside, block_on, client, root, send, wait_for},
};

const COLUMNS: [&str; 7] =
    ["practice EHR", "Medplum", "HAPI", "fhirstarter", "sekmet", "node-fhir-server-core", "HAPI (JPA)"];
const TABLE: &str = "docs/edits-table.md";
const KEPT: &str = "survives";
const OTHERWISE: &str = "the EHR keeps it otherwise";

#[test]
fn edits_at_the_practice_ehr() {
    let sandbox = Server::start(&["sandbox", "--listen", "127.0.0.1:0"]);
    let base = format!("{}/fhir", sandbox.url.trim_end_matches('/').trim_end_matches("/fhir"));
    let folder = tempfile::tempdir().expect("a folder");
    block_on(at(0, &base, "kind = \"none\"", &Staff::new(&base, None), folder.path()));
}

#[test]
fn edits_at_medplums_router() {
    at_peer(1, async |folder| ehrs::medplum(folder, &[]).await);
}

#[test]
fn edits_at_hapi() {
    at_peer(2, async |folder| ehrs::hapi(folder).await);
}

#[test]
fn edits_at_fhirstarter() {
    at_peer(3, async |folder| ehrs::fhirstarter(folder).await);
}

#[test]
fn edits_at_sekmet() {
    at_peer(4, async |folder| ehrs::sekmet(folder).await);
}

#[test]
fn edits_at_node_fhir_server_core() {
    at_peer(5, async |folder| ehrs::asymmetrik(folder, &[]).await);
}

#[test]
#[ignore = "on demand: 390 MB of libraries; needs 2 GB of memory"]
fn edits_at_hapis_jpa_server() {
    at_peer(6, async |folder| ehrs::hapi_jpa(folder).await);
}

fn at_peer(column: usize, start: impl AsyncFn(&Path) -> Result<ehrs::Peer, String>) {
    let folder = tempfile::tempdir().expect("a folder");
    block_on(async {
        match start(folder.path()).await {
            Ok(peer) => at(column, &peer.base, &peer.auth, &peer.staff, folder.path()).await,
            Err(missing) => beside::no_peer(&missing, "install what it needs (tests/peers.rs)"),
        }
    });
}

struct Day {
    gateway: String,
    client: reqwest::Client,
}

async fn at(column: usize, base: &str, auth: &str, staff: &Staff, folder: &Path) {
    let config = configuration(folder, base, auth, &["Patient", "Appointment", "Communication"]);
    let gateway = Server::gateway(&config);
    let day = Day { gateway: gateway.url.clone(), client: client() };
    let rows: Vec<Row> = rows();
    for row in &rows {
        day.push(row).await;
    }
    let records = day.settled(rows.len()).await;
    let mut cells = Vec::new();
    let mut kept = Vec::new();
    for row in &rows {
        let reference = &records[&row.name()];
        let mut wanted = staff.read(reference).await;
        (row.edit)(&mut wanted);
        let edited = staff.edit(reference, |body| (row.edit)(body)).await;
        let held = staff.read(reference).await;
        cells.push(match edited {
            Err((status, _)) => format!("the EHR refuses it ({status})"),
            Ok(()) if content(&wanted) == content(&held) => KEPT.to_owned(),
            Ok(()) => OTHERWISE.to_owned(),
        });
        kept.push(content(&held));
    }
    let mut lost = String::new();
    for (round, changes) in
        [rows.iter().map(|row| row.first).collect::<Vec<_>>(), rows.iter().map(|row| row.second).collect()]
            .into_iter()
            .enumerate()
    {
        if round > 0 {
            // Everything was fetched by then.
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        for (row, change) in rows.iter().zip(&changes) {
            day.change(row, change.here, &json(change.value_here)).await;
        }
        day.settled(rows.len()).await;
        for (at, (row, change)) in rows.iter().zip(&changes).enumerate() {
            let reference = &records[&row.name()];
            let there = content(&staff.read(reference).await);
            if there.pointer(change.there) != Some(&json(change.value_there)) {
                let _ = writeln!(
                    lost,
                    "{} ({reference}): our change of {} is not there: {there}",
                    row.title(),
                    change.there
                );
            }
            // The rest is as it was; what we changed counts as it is now.
            let mut expected = kept[at].clone();
            put(&mut expected, change.there, json(change.value_there));
            if there != expected {
                let _ = writeln!(lost, "{}, {round}:\n  was {}\n  is  {there}", row.title(), kept[at]);
                "LOST".clone_into(&mut cells[at]);
            }
            kept[at] = there;
        }
    }
    for item in day.items().await {
        let _ = writeln!(
            lost,
            "asked: {} {} {}: {}",
            item["code"], item["object"], item["object_id"], item["what_happened"]
        );
    }
    day.equal(&rows, &records, staff, &mut lost).await;
    assert!(lost.is_empty(), "{}:\n{lost}", COLUMNS[column]);
    compare(column, &cells);
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Sets what a pointer names; one past the end of a list appends.
fn put(value: &mut Value, pointer: &str, new: Value) {
    let (parent, last) = pointer.rsplit_once('/').expect("a pointer");
    for (at, _) in parent.match_indices('/').chain([(parent.len(), "")]).skip(1) {
        if value.pointer(&parent[..at]).is_none() {
            put(value, &parent[..at], json!({}));
        }
    }
    match value.pointer_mut(parent).expect("it is there") {
        Value::Array(items) => match items.get_mut(last.parse::<usize>().expect("a number")) {
            Some(item) => *item = new,
            None => items.push(new),
        },
        object => object[last] = new,
    }
}

/// A resource without what only the EHR writes.
fn content(resource: &Value) -> Value {
    let mut content = resource.clone();
    let members = content.as_object_mut().expect("a resource");
    if let Some(meta) = members.get_mut("meta").and_then(Value::as_object_mut) {
        for own in ["versionId", "lastUpdated", "source", "author", "project", "compartment"] {
            meta.shift_remove(own);
        }
        if meta.is_empty() {
            members.shift_remove("meta");
        }
    }
    content
}

impl Day {
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> crate::support::Answer {
        let url = format!("{}/api/v1/{path}", self.gateway);
        send(&self.client, method, &url, headers, body).await.expect("the gateway answers")
    }

    async fn push(&self, row: &Row) {
        let body = row.object();
        let answer = self.ask("POST", &format!("{}s", row.object), &[("idempotency-key", &row.id())], &body).await;
        assert_eq!(answer.status, 202, "{}: {}", row.title(), answer.text);
    }

    /// Where each record is, once nothing is on its way.
    async fn settled(&self, many: usize) -> BTreeMap<(String, String), String> {
        wait_for("everything has arrived", Duration::from_secs(90), || async {
            let rows = syncs(&self.gateway).await;
            let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
            let on_its_way = rows.iter().any(|row| super::end_of(row) == super::End::Pending);
            let of = |row: &Value| {
                let reference = row["remote"][0].as_str().unwrap_or_default().to_owned();
                ((text(row, "object"), text(row, "object_id")), reference)
            };
            (rows.len() >= many && !on_its_way).then(|| rows.iter().map(of).collect())
        })
        .await
    }

    async fn change(&self, row: &Row, pointer: &str, value: &Value) {
        let path = format!("{}s/{}", row.object, row.id());
        loop {
            let held = self.ask("GET", &path, &[], &Value::Null).await;
            let etag = held.headers["etag"].to_str().expect("text").to_owned();
            let mut body = held.body;
            put(&mut body, pointer, value.clone());
            let member = pointer.split('/').nth(1).expect("a member");
            let key = format!("{} {pointer} {etag}", row.id());
            let headers = [("if-match", etag.as_str()), ("idempotency-key", key.as_str())];
            let answer = self.ask("PATCH", &path, &headers, &json!({ member: body[member] })).await;
            if answer.status != 412 {
                assert_eq!(answer.status, 202, "{}: {}", row.title(), answer.text);
                return;
            }
        }
    }

    /// What people are asked; that an EHR does not keep something is not about an edit.
    async fn items(&self) -> Vec<Value> {
        let items = self.ask("GET", "worklist?limit=500", &[], &Value::Null).await;
        let items = items.body["items"].as_array().cloned().unwrap_or_default();
        items.into_iter().filter(|item| item["code"] != "LIA-SYNC-029" && item["code"] != "LIA-SYNC-033").collect()
    }

    /// Nothing moves any more, and our object is what the EHR's record reads as.
    async fn equal(
        &self,
        rows: &[Row],
        records: &BTreeMap<(String, String), String>,
        staff: &Staff,
        lost: &mut String,
    ) {
        let mut before = Vec::new();
        for row in rows {
            let held = self.ask("GET", &format!("{}s/{}", row.object, row.id()), &[], &Value::Null).await;
            before.push((staff.read(&records[&row.name()]).await, held.body));
        }
        tokio::time::sleep(Duration::from_secs(4)).await;
        for (row, (there, here)) in rows.iter().zip(before) {
            let held = self.ask("GET", &format!("{}s/{}", row.object, row.id()), &[], &Value::Null).await;
            let now = staff.read(&records[&row.name()]).await;
            if now != there || held.body != here {
                let _ = writeln!(lost, "{}: still moving\n  {there}\n  {now}\n  {here}\n  {}", row.title(), held.body);
            }
            for change in [row.first, row.second] {
                if held.body.pointer(change.here) != Some(&json(change.value_here)) {
                    let _ = writeln!(lost, "{}: our {} is not here any more: {}", row.title(), change.here, held.body);
                }
            }
        }
    }
}

/// Compares this EHR's column with the table in the repository, or writes it.
fn compare(column: usize, cells: &[String]) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let path = root().join(TABLE);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let mut table: Vec<Vec<String>> = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split('|').skip(2).map(|cell| cell.trim().to_owned()).collect())
        .collect();
    if std::env::var("EDITS_TABLE").as_deref() == Ok("write") {
        table.resize(cells.len(), vec![String::new(); COLUMNS.len()]);
        for (row, cell) in table.iter_mut().zip(cells) {
            row.resize(COLUMNS.len(), String::new());
            row[column].clone_from(cell);
        }
        std::fs::write(&path, written(&table)).expect("writable");
    }
    let stands: Vec<String> = table.iter().map(|row| row.get(column).cloned().unwrap_or_default()).collect();
    assert_eq!(cells, stands, "{TABLE} says otherwise of {} (EDITS_TABLE=write makes it anew)", COLUMNS[column]);
}

fn written(table: &[Vec<String>]) -> String {
    let mut text = "# What becomes of edits at the EHR that no mapping reads\n\n\
        The EHR's own people edit a record in one of eleven ways; then we change the same record twice. *survives*: all of the edit is\n\
        there afterwards, to the last digit. *the EHR keeps it otherwise*: the EHR itself kept less or something else (1.5 of 1.50) when its\n\
        own people made the edit; what it kept survives. *the EHR refuses it*: its own people could not make the edit.\n\n\
        Made and compared by `tests/peers/edits.rs`; `EDITS_TABLE=write cargo test --test liaison peers::edits` makes it anew.\n\n"
        .to_owned();
    let _ = writeln!(text, "| edit | of a | {} |", COLUMNS.join(" | "));
    let _ = writeln!(text, "|---|---|{}", "---|".repeat(COLUMNS.len()));
    let titles = KINDS.iter().flat_map(|kind| OBJECTS.iter().map(move |object| (kind, object)));
    for ((kind, object), cells) in titles.zip(table) {
        let _ = writeln!(text, "| {kind} | {object} | {} |", cells.join(" | "));
    }
    text
}

#[test]
fn the_table_has_a_row_for_each_edit_and_no_loss() {
    let text = std::fs::read_to_string(root().join(TABLE)).expect("docs/edits-table.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert_eq!(rows.len(), KINDS.len() * OBJECTS.len());
    assert_eq!(KINDS.len(), 11);
    for row in rows {
        for cell in row.trim_matches('|').split('|').skip(2).map(str::trim) {
            assert!(cell == KEPT || cell == OTHERWISE || cell.starts_with("the EHR refuses it"), "{row}");
        }
    }
}
