//! Documents of 50 MB travel through the real binary in constant memory, both ways: uploaded, sent as a Binary (base64 in
//! JSON, or raw), broken off in the middle, fetched, and written back inline. The EHR here is of this test's own making.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::{StreamExt as _, stream};
use liaison::ledger::Hash;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Server, block_on, client, send, wait_for};

const LARGE: usize = 50_000_000;
/// What a gateway may need more for a large document than for a small one.
const MORE_KIB: u64 = 30 * 1024;

/// An EHR's archive.
#[derive(Default)]
struct Archive {
    /// `Type/id` → version and resource; of a Binary without its data.
    held: Mutex<BTreeMap<String, (u64, Value)>>,
    /// Content type, size of the request, and hash of the bytes, of each Binary that came whole.
    binaries: Mutex<Vec<(String, usize, Hash)>>,
    /// Requests that are still broken off in their middle.
    broken: Mutex<usize>,
    /// What a Binary that is read holds.
    content: Mutex<BTreeMap<String, Vec<u8>>>,
}

type Shared = State<Arc<Archive>>;

fn document(size: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from((at * 7 + at / 251) % 256).expect("a byte")).collect()
}

async fn metadata() -> Response {
    let offer = |kind: &str| {
        let codes = ["read", "create", "update", "search-type"].map(|code| json!({ "code": code }));
        json!({ "type": kind, "interaction": codes, "updateCreate": kind == "Binary", "conditionalCreate": true,
                "versioning": "versioned" })
    };
    answer(
        200,
        &json!({ "resourceType": "CapabilityStatement", "fhirVersion": "4.0.1",
        "rest": [{ "mode": "server", "resource": [offer("Binary"), offer("DocumentReference")] }] }),
    )
}

fn answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [("content-type", "application/fhir+json")], body.to_string()).into_response()
}

async fn put_binary(State(archive): Shared, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Response {
    let breaks = {
        let mut broken = archive.broken.lock().unwrap();
        let breaks = *broken > 0;
        *broken = broken.saturating_sub(1);
        breaks
    };
    let mut whole = Vec::new();
    let mut stream = body.into_data_stream();
    while let Some(Ok(chunk)) = stream.next().await {
        whole.extend_from_slice(&chunk);
        assert!(!breaks || whole.len() < 1_000_000, "this connection breaks, as it should");
    }
    let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
    assert_eq!(length, whole.len(), "the length was told in advance");
    let kind = headers["content-type"].to_str().unwrap().to_owned();
    let size = whole.len();
    let (kind, bytes) = if kind.contains("json") {
        let resource: Value = serde_json::from_slice(&whole).unwrap();
        assert_eq!((&resource["resourceType"], &resource["id"]), (&json!("Binary"), &json!(id)));
        let kind = resource["contentType"].as_str().unwrap().to_owned();
        (format!("json {kind}"), STANDARD.decode(resource["data"].as_str().unwrap()).unwrap())
    } else {
        (kind, whole)
    };
    archive.binaries.lock().unwrap().push((kind, size, Hash::of(&bytes)));
    archive.held.lock().unwrap().insert(format!("Binary/{id}"), (1, json!({ "resourceType": "Binary", "id": id })));
    (StatusCode::CREATED, [("etag", "W/\"1\"".to_owned()), ("location", format!("Binary/{id}/_history/1"))])
        .into_response()
}

/// A Binary as JSON, made while it is sent.
async fn get_binary(State(archive): Shared, Path(id): Path<String>) -> Response {
    let Some(bytes) = archive.content.lock().unwrap().get(&id).cloned() else {
        return answer(
            if archive.held.lock().unwrap().contains_key(&format!("Binary/{id}")) { 200 } else { 404 },
            &json!({ "resourceType": "Binary", "id": id, "contentType": "application/pdf" }),
        );
    };
    let head = format!("{{\"resourceType\":\"Binary\",\"id\":\"{id}\",\"contentType\":\"application/pdf\",\"data\":\"");
    let chunks: Vec<String> = std::iter::once(head)
        .chain(bytes.chunks(300_000).map(|chunk| STANDARD.encode(chunk)))
        .chain(std::iter::once("\"}".to_owned()))
        .collect();
    let chunks = stream::iter(chunks.into_iter().map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk))));
    ([("content-type", "application/fhir+json"), ("etag", "W/\"1\"")], Body::from_stream(chunks)).into_response()
}

fn shown(archive: &Archive, id: &str) -> Response {
    match archive.held.lock().unwrap().get(&format!("DocumentReference/{id}")) {
        None => answer(404, &json!({ "resourceType": "OperationOutcome", "issue": [] })),
        Some((version, resource)) => {
            let mut answer = answer(200, resource);
            answer.headers_mut().insert("etag", format!("W/\"{version}\"").parse().unwrap());
            answer
        }
    }
}

fn keep(archive: &Archive, id: &str, mut resource: Value) -> Response {
    let mut held = archive.held.lock().unwrap();
    let place = format!("DocumentReference/{id}");
    let version = held.get(&place).map_or(1, |(version, _)| version + 1);
    resource["id"] = json!(id);
    resource["meta"] = json!({ "versionId": version.to_string() });
    held.insert(place.clone(), (version, resource.clone()));
    let mut answer = answer(if version == 1 { 201 } else { 200 }, &resource);
    answer.headers_mut().insert("etag", format!("W/\"{version}\"").parse().unwrap());
    answer.headers_mut().insert("location", format!("{place}/_history/{version}").parse().unwrap());
    answer
}

async fn search(State(archive): Shared, RawQuery(query): RawQuery) -> Response {
    let wanted = query.unwrap_or_default();
    let held = archive.held.lock().unwrap();
    let resources = held.iter().filter(|(place, _)| place.starts_with("DocumentReference/")).map(|(_, (_, held))| held);
    let own = |resource: &&Value| {
        let value = resource["identifier"][0]["value"].as_str().unwrap_or("none");
        !wanted.contains("identifier") || wanted.contains(value)
    };
    let entries: Vec<Value> = resources.filter(own).map(|resource| json!({ "resource": resource })).collect();
    answer(200, &json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries }))
}

async fn archive() -> (Arc<Archive>, String) {
    let archive = Arc::new(Archive::default());
    let router = Router::new()
        .route("/fhir/metadata", get(metadata))
        .route("/fhir/Binary/{id}", get(get_binary).put(put_binary))
        .route(
            "/fhir/DocumentReference",
            post(|State(archive): Shared, body: Bytes| async move {
                let id = archive.held.lock().unwrap().len().to_string();
                keep(&archive, &id, serde_json::from_slice(&body).unwrap())
            })
            .get(search),
        )
        .route(
            "/fhir/DocumentReference/{id}",
            get(|State(archive): Shared, Path(id): Path<String>| async move { shown(&archive, &id) }).put(
                |State(archive): Shared, Path(id): Path<String>, body: Bytes| async move {
                    keep(&archive, &id, serde_json::from_slice(&body).unwrap())
                },
            ),
        )
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(archive.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/fhir", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (archive, url)
}

fn gateway(folder: &std::path::Path, url: &str, more: &str) -> Server {
    let config = folder.join("liaison.toml");
    let ledger = folder.join("ledger").display().to_string();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nmax_body = \"64 MiB\"\n[ledger]\npath = {ledger:?}\n\
         [[systems]]\nname = \"archive\"\nbase_url = \"{url}\"\npush = [\"letter\"]\n{more}\n"
    );
    std::fs::write(&config, text).unwrap();
    Server::gateway(&config)
}

async fn upload(gateway: &Server, bytes: Vec<u8>) -> String {
    let url = format!("{}/api/v1/attachments", gateway.url);
    let said = client().post(url).header("content-type", "application/pdf").body(bytes).send().await.unwrap();
    assert_eq!(said.status(), 201);
    let body: Value = serde_json::from_str(&said.text().await.unwrap()).unwrap();
    body["id"].as_str().unwrap().to_owned()
}

/// Sends a letter with an uploaded file and waits until the archive has it.
async fn letter(gateway: &Server, id: &str, file: &str) {
    let body = json!({ "id": id, "status": "current", "title": "Scan", "files": [{ "file": { "content_type": "application/pdf", "id": file } }] });
    let url = format!("{}/api/v1/letters", gateway.url);
    let said = send(&client(), "POST", &url, &[("Idempotency-Key", id)], &body).await.unwrap();
    assert_eq!(said.status, 202, "{}", said.text);
    synced(gateway, id).await;
}

async fn synced(gateway: &Server, id: &str) {
    let url = format!("{}/api/v1/syncs?object=letter&object_id={id}", gateway.url);
    wait_for("the archive has it", Duration::from_secs(120), async || {
        let said = send(&client(), "GET", &url, &[], &Value::Null).await.ok()?;
        let state = said.body["items"][0]["state"].as_str()?.to_owned();
        assert_ne!(state, "parked", "{}", said.text);
        (state == "synced").then_some(())
    })
    .await;
}

#[test]
fn a_large_upload_reaches_the_archive_in_constant_memory() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let (archive, url) = archive().await;
        let gateway = gateway(folder.path(), &url, "");
        let small = document(200_000);
        let id = upload(&gateway, small.clone()).await;
        letter(&gateway, "l-small", &id).await;
        let before = gateway.peak();

        let large = document(LARGE);
        *archive.broken.lock().unwrap() = 1;
        let id = upload(&gateway, large.clone()).await;
        letter(&gateway, "l-large", &id).await;
        let after = gateway.peak();
        println!("a letter with a PDF of 50 MB: {} KiB more than one of 200 kB ({before} KiB)", after - before);
        assert!(after - before <= MORE_KIB, "{before} KiB, then {after} KiB");

        let came = archive.binaries.lock().unwrap().clone();
        let json = |bytes: &[u8]| ("json application/pdf".to_owned(), Hash::of(bytes));
        let seen: Vec<_> = came.iter().map(|(kind, _, hash)| (kind.clone(), *hash)).collect();
        assert_eq!(seen, [json(&small), json(&large)], "each came whole, and once");
        let held = archive.held.lock().unwrap();
        let of = |id: &str| {
            held.values()
                .find(|(_, one)| one["identifier"][0]["value"] == id)
                .map(|(_, one)| one["content"][0]["attachment"].clone())
        };
        let attachment = of("l-large").expect("it is there");
        assert_eq!(attachment["url"], json!(format!("Binary/{}", Hash::of(&large).hex())));
        assert_eq!(attachment["size"], json!(LARGE));
        let sha1 = {
            use sha1::Digest as _;
            STANDARD.encode(sha1::Sha1::digest(&large))
        };
        assert_eq!(attachment["hash"], json!(sha1), "FHIR's hash is the SHA-1 of the bytes");
        drop(held);

        // The first attempt broke off: not known, read back, sent again.
        let url = format!("{}/api/v1/letters/l-large/history", gateway.url);
        let history = send(&client(), "GET", &url, &[], &Value::Null).await.unwrap().body;
        let kinds: Vec<&str> =
            history["items"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == "unsettled").count().min(1), 1, "{kinds:?}");
        assert_eq!(kinds.iter().filter(|kind| **kind == "attempted").count(), 3, "{kinds:?}");
    });
}

#[test]
fn an_archive_that_takes_raw_bytes_gets_them() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let (archive, url) = archive().await;
        let gateway = gateway(folder.path(), &url, "binary = \"raw\"");
        for (id, size) in [("l-1", 1000), ("l-2", 2_000_001)] {
            let bytes = document(size);
            let file = upload(&gateway, bytes.clone()).await;
            letter(&gateway, id, &file).await;
            let came = archive.binaries.lock().unwrap().last().cloned();
            assert_eq!(came, Some(("application/pdf".to_owned(), size, Hash::of(&bytes))));
        }
    });
}

#[test]
fn large_documents_of_the_archive_come_here_in_constant_memory_and_go_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let (archive, url) = archive().await;
        let pull = "[systems.pull]\nevery = \"1s\"\ntypes = [\"DocumentReference\"]";
        let gateway = gateway(folder.path(), &url, pull);
        let record = |value: &str, attachment: Value| {
            json!({ "resourceType": "DocumentReference", "status": "current", "description": value,
                    "identifier": [{ "system": "urn:archive", "value": value }], "content": [{ "attachment": attachment }] })
        };
        let pointing =
            |value: &str| record(value, json!({ "contentType": "application/pdf", "url": format!("Binary/{value}") }));
        let letters = format!("{}/api/v1/letters?limit=50", gateway.url);
        let came = async |title: &str| {
            wait_for(&format!("{title} comes here"), Duration::from_secs(60), async || {
                let said = send(&client(), "GET", &letters, &[], &Value::Null).await.ok()?;
                said.body["items"].as_array()?.iter().find(|one| one["title"] == title).cloned()
            })
            .await
        };
        archive.content.lock().unwrap().insert("small".to_owned(), document(200_000));
        drop(keep(&archive, "1", pointing("small")));
        let small = came("small").await;
        assert_eq!(small["files"][0]["file"]["data"], json!(STANDARD.encode(document(200_000))));
        // The ways that the large ones go, so that what they need once (code, buffers) is no difference.
        let middle = document(1_500_000);
        archive.content.lock().unwrap().insert("middle".to_owned(), middle.clone());
        drop(keep(&archive, "5", pointing("middle")));
        drop(came("middle").await);
        let hash = Hash::of(&middle);
        for (url, wanted) in [
            (format!("{}/api/v1/attachments/{hash}", gateway.url), "*/*"),
            (format!("{}/fhir/Binary/{}", gateway.url, hash.hex()), "application/pdf"),
            (format!("{}/fhir/Binary/{}", gateway.url, hash.hex()), "application/fhir+json"),
        ] {
            let read = client().get(&url).header("accept", wanted).send().await.unwrap();
            assert_eq!(read.status(), 200, "{url}");
            drop(read.bytes().await.unwrap());
        }
        let before = gateway.peak();

        // One behind a Binary, one inline.
        let large = document(LARGE);
        archive.content.lock().unwrap().insert("large".to_owned(), large.clone());
        drop(keep(&archive, "2", pointing("large")));
        let name = Hash::of(&large).to_string();
        let one = came("large").await;
        assert_eq!(one["files"][0]["file"]["id"], json!(name), "kept as an attachment");
        let inline = document(LARGE / 2);
        let sha1 = {
            use sha1::Digest as _;
            STANDARD.encode(sha1::Sha1::digest(&inline))
        };
        let attachment = json!({ "contentType": "application/pdf", "data": STANDARD.encode(&inline), "size": inline.len(), "hash": sha1 });
        drop(keep(&archive, "3", record("inline", attachment.clone())));
        let mut own = came("inline").await;
        assert_eq!(own["files"][0]["file"]["id"], json!(Hash::of(&inline).to_string()));

        // Its bytes can be had, and go back to where they were when something else changes.
        let url = format!("{}/api/v1/attachments/{name}", gateway.url);
        let read = client().get(url).send().await.unwrap().bytes().await.unwrap();
        assert_eq!(Hash::of(&read).to_string(), name);
        let as_fhir = format!("{}/fhir/Binary/{}", gateway.url, Hash::of(&large).hex());
        let read = client().get(&as_fhir).header("accept", "application/pdf").send().await.unwrap();
        assert_eq!(read.headers()["content-type"], "application/pdf");
        assert_eq!(Hash::of(&read.bytes().await.unwrap()).to_string(), name);
        let read = send(&client(), "GET", &as_fhir, &[], &Value::Null).await.unwrap().body;
        assert_eq!(STANDARD.decode(read["data"].as_str().unwrap()).unwrap(), large);
        let id = own["id"].as_str().unwrap().to_owned();
        let version = own["version"].to_string();
        own["title"] = json!("renamed");
        own.as_object_mut().unwrap().remove("version");
        let url = format!("{}/api/v1/letters/{id}", gateway.url);
        let said = send(&client(), "PUT", &url, &[("If-Match", &format!("W/\"{version}\""))], &own).await.unwrap();
        assert_eq!(said.status, 202, "{}", said.text);
        wait_for("the new title is there", Duration::from_secs(120), async || {
            let held = archive.held.lock().unwrap();
            (held["DocumentReference/3"].1["description"] == "renamed").then_some(())
        })
        .await;
        assert_eq!(archive.held.lock().unwrap()["DocumentReference/3"].1["content"][0]["attachment"], attachment);
        let after = gateway.peak();
        println!(
            "documents of 50 and 25 MB fetched, one sent back: {} KiB more than one of 1.5 MB ({before} KiB)",
            after - before
        );
        assert!(after - before <= MORE_KIB, "{before} KiB, then {after} KiB");

        // What the record says of its file is not so: a person looks at it.
        let mut wrong = attachment;
        wrong["hash"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        drop(keep(&archive, "4", record("wrong", wrong)));
        let items = format!("{}/api/v1/worklist", gateway.url);
        wait_for("a person is told", Duration::from_secs(60), async || {
            let said = send(&client(), "GET", &items, &[], &Value::Null).await.ok()?;
            let told = said.body["items"].as_array()?.iter().any(|item| item["code"] == "LIA-SYNC-014");
            told.then_some(())
        })
        .await;
    });
}
