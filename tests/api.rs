//! The internal HTTP surface against the real router on a real socket: every status of the contract, bad input to its
//! exact answer, and that nothing is lost or half stored. The engine's workers do not run, so syncs stay as accepted.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use liaison::{
    api::{self, fhir::Fhir},
    clock::{SharedClock, SystemClock},
    definitions::Definitions,
    domain::{ObjectId, ObjectName, SystemName},
    ledger::{Draft, Fact, Hash, Item, ItemKind, Ledger, Options, Proposal, SyncId},
    mapping::{Context, Mappings},
    profile::Validator,
    sync::{Engine, Setup, SystemConfig},
};
use serde_json::{Value, json};

const MAX_BODY: u64 = 200_000;

/// A gateway on a free port.
struct Gateway {
    address: SocketAddr,
    ledger: Ledger,
    stop: tokio::sync::watch::Sender<bool>,
    _runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

fn gateway() -> Gateway {
    gateway_with(|options| options)
}

fn gateway_with(change: impl FnOnce(Options) -> Options) -> Gateway {
    let folder = tempfile::tempdir().expect("a folder");
    let clock: SharedClock = Arc::new(SystemClock);
    let ledger = Ledger::open(folder.path(), change(Options::new(clock.clone()))).expect("a ledger");
    let mappings = Mappings::embedded().expect("the embedded mappings");
    let validator = Arc::new(Validator::new(Definitions::core()));
    let systems = ["north", "south"].map(|name| {
        let text = format!("name = \"{name}\"\nbase_url = \"http://127.0.0.1:9/fhir\"\npush = [\"patient\"]\n");
        toml::from_str::<SystemConfig>(&text).expect("a system")
    });
    let engine = Engine::new(Setup {
        instance: "test".to_owned(),
        systems: systems.into(),
        ledger: ledger.clone(),
        mappings: mappings.clone(),
        validator: validator.clone(),
        clock: clock.clone(),
    });
    let engine = engine.expect("an engine");
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address");
    let base = format!("http://{address}/fhir");
    let max = usize::try_from(MAX_BODY).expect("small");
    let fhir = Fhir::new(&base, ledger.clone(), mappings.clone(), validator, Context::new("test"), clock, max);
    let surface = api::Api::new(engine, ledger.clone(), MAX_BODY, stopping);
    let router = api::router(surface, Arc::new(fhir).router());
    runtime.spawn(async move { axum::serve(listener, router).await });
    Gateway { address, ledger, stop, _runtime: runtime, folder }
}

#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("JSON expected: {self:?}"))
    }
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
    /// A problem of this status and code, in the contract's shape.
    fn is(&self, status: u16, code: &str) -> Value {
        let shown = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{shown}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        let members: Vec<_> = problem.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(members, ["type", "title", "status", "code", "detail", "instance", "errors"]);
        assert_eq!(problem["code"], code, "{shown}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("/docs/errors/{code}"));
        problem
    }
}

impl Gateway {
    fn raw(&self, request: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.address).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        // A server that refuses early may close while we still write.
        let _ = stream.write_all(request);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let at = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("an HTTP answer");
        let head = String::from_utf8(bytes[..at].to_vec()).expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let mut body = bytes[at + 4..].to_vec();
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            body = unchunked(&body);
        }
        Reply { status, head, body }
    }

    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        self.raw(&[request.as_bytes(), body].concat())
    }

    fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &[], b"")
    }

    fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        self.call("POST", path, &headers, body.to_string().as_bytes())
    }

    fn create(&self, key: &str, body: &Value) -> Reply {
        self.post("/api/v1/patients", &[("Idempotency-Key", key)], body)
    }

    /// A parked sync of a patient, as a worker would park it; gives the item's id.
    fn park(&self, id: &str, system: &str) -> String {
        let sync = SyncId::of(
            &ObjectName::new("patient").unwrap(),
            &ObjectId::new(id).unwrap(),
            &SystemName::new(system).unwrap(),
        );
        let row = self.ledger.sync(&sync).unwrap().expect("a sync");
        let detail = json!({"fields": [{"path": "/a", "base": null, "ours": "1", "theirs": "2", "owner": "review"}]});
        let item = Item {
            kind: ItemKind::Rejected,
            group: Item::group_of(&["LIA-EHR-001", system]),
            subject: None,
            owner: None,
            due_ms: 86_400_000,
            who_is_affected: None,
            next_step: None,
            detail: Some(Hash::of(detail.to_string().as_bytes())),
        };
        let draft =
            Draft::new(Fact::Parked { item }, "liaison", "The system refused it.").sync(&row).code("LIA-EHR-001");
        self.ledger.commit_blocking(Proposal::of(draft).body(detail.to_string())).expect("parked");
        self.ledger.sync(&sync).unwrap().unwrap().worklist_id.expect("an item")
    }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(at) = bytes.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..at]).unwrap_or("0").trim(), 16).unwrap_or(0);
        let end = (at + 2 + size).min(bytes.len());
        whole.extend_from_slice(&bytes[at + 2..end]);
        if size == 0 || end + 2 > bytes.len() {
            break;
        }
        bytes = &bytes[end + 2..];
    }
    whole
}

fn patient(id: &str, family: &str) -> Value {
    json!({"id": id, "names": [{"family": family, "given": ["Ada"]}], "birth_date": "1980-02-29"})
}

#[test]
fn a_new_object_is_accepted_once() {
    let gateway = gateway();
    let reply = gateway.create("k1", &patient("p1", "Example"));
    assert_eq!(reply.status, 202, "{}", String::from_utf8_lossy(&reply.body));
    assert_eq!(reply.header("etag"), Some("W/\"1\""));
    assert_eq!(reply.header("location"), Some("/api/v1/patients/p1"));
    let answer = reply.json();
    assert_eq!((&answer["id"], &answer["version"]), (&json!("p1"), &json!(1)));
    assert_eq!(answer["syncs"].as_array().map(Vec::len), Some(2));
    assert_eq!(answer["syncs"][0]["state"], "accepted");
    let head = gateway.ledger.head();

    assert_eq!(gateway.create("k1", &patient("p1", "Example")).json(), answer, "the same key: the same answer");
    assert_eq!(gateway.create("k2", &patient("p1", "Example")).json(), answer, "another key, equal body");
    let shuffled = br#"{"birth_date":"1980-02-29", "names": [{"given":["Ada"],"family":"Example"}],"id":"p1"}"#;
    let headers = [("Content-Type", "application/json; charset=utf-8"), ("idempotency-key", "k1")];
    assert_eq!(gateway.call("POST", "/api/v1/patients", &headers, shuffled).json(), answer, "equal as JSON");
    gateway.create("k1", &patient("p1", "Other")).is(422, "LIA-LDG-007");
    gateway.create("k3", &patient("p1", "Other")).is(409, "LIA-LDG-009");
    assert_eq!(gateway.ledger.head(), head, "nothing more was written");

    let read = gateway.get("/api/v1/patients/p1");
    assert_eq!((read.status, read.header("etag")), (200, Some("W/\"1\"")));
    let object = read.json();
    assert_eq!((&object["id"], &object["version"]), (&json!("p1"), &json!(1)));
    assert_eq!(object["names"][0]["family"], "Example");
    let cached = gateway.call("GET", "/api/v1/patients/p1", &[("If-None-Match", "W/\"1\"")], b"");
    assert_eq!(cached.status, 304);
    // Without an id one is made.
    let made = gateway.create("k4", &json!({"names": [{"family": "New", "given": ["B"]}]})).json();
    assert!(made["id"].as_str().is_some_and(|id| id.len() == 36));
    // The same key on another route is another key.
    gateway.post("/api/v1/locations", &[("Idempotency-Key", "k1")], &json!({"wrong": 1})).is(422, "LIA-SYNC-002");
}

#[test]
fn a_parallel_same_key_makes_one_object() {
    let gateway = gateway();
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..12)
            .map(|_| {
                scope.spawn(|| gateway.create("same", &json!({"names": [{"family": "One", "given": ["A"]}]})).json())
            })
            .collect();
        calls.into_iter().map(|call| call.join().expect("an answer")).collect()
    });
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer["id"].is_string()), "{answers:?}");
    assert_eq!(gateway.get("/api/v1/patients").json()["items"].as_array().map(Vec::len), Some(1));
}

#[test]
fn changes_name_the_version_they_are_based_on() {
    let gateway = gateway();
    gateway.create("k1", &patient("p1", "Example"));
    let put = |headers: &[(&str, &str)], id: &str| {
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        gateway.call("PUT", &format!("/api/v1/patients/{id}"), &headers, patient(id, "New").to_string().as_bytes())
    };
    put(&[], "p1").is(428, "LIA-API-004");
    put(&[("If-Match", "3")], "p1").is(400, "LIA-API-005");
    put(&[("If-Match", "W/\"7\"")], "p1").is(412, "LIA-LDG-008");
    put(&[("If-Match", "\"abc\"")], "p1").is(412, "LIA-LDG-008");
    put(&[("If-Match", "W/\"1\"")], "nobody").is(404, "LIA-LDG-010");
    let done = put(&[("If-Match", "W/\"1\"")], "p1");
    assert_eq!((done.status, done.header("etag")), (202, Some("W/\"2\"")));
    assert_eq!(done.json()["syncs"][0]["version"], 2);
    put(&[("If-Match", "W/\"1\"")], "p1").is(412, "LIA-LDG-008");
    let patch = |tag: &str, body: &str| {
        let headers = [("Content-Type", "application/merge-patch+json"), ("If-Match", tag)];
        gateway.call("PATCH", "/api/v1/patients/p1", &headers, body.as_bytes())
    };
    assert_eq!(patch("W/\"2\"", r#"{"birth_date":null}"#).json()["version"], 3);
    let object = gateway.get("/api/v1/patients/p1").json();
    assert_eq!((object.get("birth_date"), &object["names"][0]["family"]), (None, &json!("New")));
    patch("W/\"3\"", r#"{"no_such_field":1}"#).is(422, "LIA-SYNC-002");
    patch("W/\"3\"", "[").is(400, "LIA-JSON-001");
    gateway.call("POST", "/api/v1/patients/p1/cancel", &[], b"").is(428, "LIA-API-004");
    gateway.call("POST", "/api/v1/patients/x/cancel", &[("If-Match", "*")], b"").is(404, "LIA-LDG-010");
    let history = gateway.get("/api/v1/patients/p1/history").json();
    assert_eq!(history["next"], json!(null));
    let history = history["items"].clone();
    let kinds: Vec<_> = history.as_array().expect("a list").iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, ["accepted", "accepted", "accepted"]);
    for member in ["seq", "at", "kind", "object", "object_id", "version", "system", "sync_id", "by", "code", "summary"]
    {
        assert!(history[0].get(member).is_some(), "{member}");
    }
    assert_eq!(history[1]["prev"].as_str().map(str::len), Some(64));
    gateway.get("/api/v1/patients/none/history").is(404, "LIA-LDG-010");
    // Page by page it is the same.
    let (mut paged, mut at) = (Vec::new(), "/api/v1/patients/p1/history?limit=2".to_owned());
    loop {
        let page = gateway.get(&at).json();
        paged.extend(page["items"].as_array().expect("a list").clone());
        let Some(next) = page["next"].as_str() else { break };
        next.clone_into(&mut at);
    }
    assert_eq!(json!(paged), history);
    // Each version as it was.
    let old = gateway.get("/api/v1/patients/p1?version=2").json();
    assert_eq!((&old["version"], &old["birth_date"]), (&json!(2), &json!("1980-02-29")));
    assert_eq!(gateway.get("/api/v1/patients/p1?version=3").json(), object);
    gateway.get("/api/v1/patients/p1?version=9").is(404, "LIA-API-011");
    gateway.get("/api/v1/patients/p1?version=x").is(400, "LIA-API-010");
}

/// Lines of NDJSON, each by itself.
#[test]
fn many_objects_at_once() {
    let gateway = gateway();
    let send = |prefer: &str, lines: &str| {
        let headers = [("Content-Type", "application/x-ndjson"), ("Idempotency-Key", "file-1"), ("Prefer", prefer)];
        let answer = gateway.call("POST", "/api/v1/patients/bulk", &headers, lines.as_bytes());
        String::from_utf8_lossy(&answer.body)
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
            .collect::<Vec<_>>()
    };
    let brief = |answers: &[Value]| -> Vec<(u64, u64)> {
        let number = |answer: &Value, name: &str| answer[name].as_u64().expect("a number");
        answers.iter().map(|answer| (number(answer, "line"), number(answer, "status"))).collect()
    };
    let name = r#""names":[{"family":"Example"}]"#;
    let file = format!(
        "{{\"id\":\"b1\",{name}}}\n\nno JSON\n{{{name}}}\n{{\"id\":\"b 2\"}}\n{{\"id\":\"b3\",\"colour\":1}}\n{{\"id\":\"b1\",{name}}}\n{{\"id\":\"bulk\",{name}}}"
    );
    let answers = send("handling=strict", &file);
    assert_eq!(brief(&answers), [(1, 202), (3, 400), (4, 422), (5, 422), (6, 422), (7, 202), (8, 202)]);
    assert_eq!((&answers[0]["id"], &answers[0]["version"]), (&json!("b1"), &json!(1)));
    assert_eq!(answers[2]["problem"]["errors"][0]["pointer"], "/id");
    assert_eq!(answers[4]["problem"]["code"], "LIA-SYNC-002");
    assert_eq!(gateway.get("/api/v1/patients/bulk").json()["id"], "bulk", "an object may be called so");
    gateway.call("PUT", "/api/v1/patients", &[], b"").is(405, "LIA-API-002");
    // The same file again: the same answers. The same key for something else: refused.
    let again = send("handling=strict", &file);
    assert_eq!(brief(&again), brief(&answers));
    let other = send("handling=strict", "{\"id\":\"b1\",\"names\":[{\"family\":\"Other\"}]}");
    assert_eq!(other[0]["problem"]["code"], "LIA-LDG-007");
    gateway
        .call("POST", "/api/v1/patients/bulk", &[("Content-Type", "application/x-ndjson")], b"{}")
        .is(400, "LIA-API-003");
    gateway.call("POST", "/api/v1/patients/b1", &[("Idempotency-Key", "k")], b"{}").is(405, "LIA-API-002");
}

/// With `Prefer: merge` a file may be sent again with changes; what others changed meanwhile stays.
#[test]
fn many_objects_merged() {
    let gateway = gateway();
    let send = |key: &str, lines: &[Value]| {
        let headers = [("Content-Type", "application/x-ndjson"), ("Idempotency-Key", key), ("Prefer", "merge")];
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let answer = gateway.call("POST", "/api/v1/patients/bulk", &headers, text.as_bytes());
        String::from_utf8_lossy(&answer.body)
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
            .collect::<Vec<_>>()
    };
    let patient = |id: &str, born: &str| json!({"id": id, "names": [{"family": "Example"}], "birth_date": born});
    let all: Vec<Value> = (0..70).map(|n| patient(&format!("m{n}"), "1980-01-01")).collect();
    assert!(send("monday", &all).iter().all(|answer| answer["status"] == 202 && answer["version"] == 1));
    // All are the sender's own; the second of two lines about one builds on the first.
    let lines = [patient("m1", "1980-01-02"), patient("m2", "1980-01-01"), patient("m1", "1980-01-03")];
    let answers = send("tuesday", &lines);
    let versions: Vec<&Value> = answers.iter().map(|answer| &answer["version"]).collect();
    assert_eq!(versions, [&json!(2), &json!(1), &json!(null)], "{answers:?}");
    // One key and one id are one request: what differs is refused, not taken for the same.
    assert_eq!(answers[2]["problem"]["code"], "LIA-LDG-007");
}

fn visit(start: &str, end: &str) -> Value {
    json!({
        "id": "a1", "status": "booked", "start": start, "end": end,
        "participants": [{"who": {"object": "patient", "id": "p1"}, "reply": "accepted"}],
    })
}

#[test]
fn times_are_refused_or_flagged_as_the_clocks_demand() {
    let gateway = gateway();
    gateway.create("p1", &patient("p1", "E"));
    let book = |key: &str, body: &Value| gateway.post("/api/v1/appointments", &[("Idempotency-Key", key)], body);
    let gap = book("g", &visit("2026-03-29T01:30:00[Europe/London]", "2026-03-29T03:00:00+01:00[Europe/London]"));
    let gap = gap.is(422, "LIA-SYNC-002");
    assert_eq!((&gap["errors"][0]["code"], &gap["errors"][0]["pointer"]), (&json!("LIA-TIME-002"), &json!("/start")));
    let twice = visit("2026-10-25T01:30:00[Europe/London]", "2026-10-25T03:00:00+00:00[Europe/London]");
    let twice = book("o", &twice).is(422, "LIA-SYNC-002");
    assert_eq!(
        (&twice["errors"][0]["code"], &twice["errors"][0]["pointer"]),
        (&json!("LIA-TIME-003"), &json!("/start"))
    );
    assert!(twice["errors"][0]["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()));
    // With its offset the same time is good, and nothing is remarked.
    let good = visit("2026-10-25T01:30:00+01:00[Europe/London]", "2026-10-25T01:30:00+00:00[Europe/London]");
    let good = book("good", &good);
    assert_eq!(good.status, 202, "{good:?}");
    // But that no system takes appointments here.
    let remarks = |json: &Value| {
        json["warnings"].as_array().map_or(0, |all| all.iter().filter(|w| w["code"] != "LIA-SYNC-031").count())
    };
    assert_eq!((good.json()["warnings"].as_array().map(Vec::len), remarks(&good.json())), (Some(1), 0), "{good:?}");
    // A contradiction is kept as it is and flagged: in the preview, the answer, the same answer again, and a change.
    let mut odd = visit("2026-07-01T09:30:00+00:00[Europe/London]", "2026-07-01T10:00:00Z");
    odd["id"] = json!("a2");
    let preview = gateway.post("/api/v1/appointments?preview=true", &[], &odd);
    assert_eq!(preview.json()["warnings"][0]["code"], "LIA-TIME-005", "{preview:?}");
    for _ in 0..2 {
        let taken = book("odd", &odd);
        assert_eq!(taken.status, 202);
        let warnings = taken.json()["warnings"].clone();
        assert_eq!(
            (warnings[0]["pointer"].as_str(), warnings[0]["code"].as_str()),
            (Some("/start"), Some("LIA-TIME-005"))
        );
    }
    assert_eq!(gateway.get("/api/v1/appointments/a2").json()["start"], odd["start"], "kept");
    let patch = [("Content-Type", "application/merge-patch+json"), ("If-Match", "W/\"1\"")];
    let later = json!({"end": "2026-07-01T16:00:00+05:00[Europe/London]"});
    let changed = gateway.call("PATCH", "/api/v1/appointments/a2", &patch, later.to_string().as_bytes());
    assert_eq!(changed.json()["warnings"][0]["pointer"], "/end", "{changed:?}");
    let page = gateway.get("/docs/errors/LIA-TIME-005");
    assert_eq!(page.status, 200);
}

#[test]
fn an_appointment_can_be_cancelled() {
    let gateway = gateway();
    let london = visit("2026-10-26T09:30:00+00:00[Europe/London]", "2026-10-26T10:00:00+00:00[Europe/London]");
    let book = |key: &str, body: &Value| gateway.post("/api/v1/appointments", &[("Idempotency-Key", key)], body);
    let unknown = book("a1", &london).is(422, "LIA-SYNC-002");
    assert_eq!(unknown["errors"][0]["pointer"], "/participants/0/who", "an unknown patient: {unknown}");
    gateway.create("p1", &patient("p1", "E"));
    let gap = visit("2026-03-29T01:30:00[Europe/London]", "2026-03-29T02:30:00+01:00[Europe/London]");
    let gap = book("a1", &gap).is(422, "LIA-SYNC-002");
    assert_eq!(gap["errors"][0]["pointer"], "/start", "a time in a gap: {gap}");
    let impossible = book("a1", &visit("2026-02-30T09:30:00Z", "2026-02-30T10:00:00Z")).is(422, "LIA-SYNC-002");
    assert_eq!(impossible["errors"][0]["pointer"], "/start", "an impossible date: {impossible}");

    let reply = book("a1", &london);
    assert_eq!(reply.status, 202, "{}", String::from_utf8_lossy(&reply.body));
    let path = "/api/v1/appointments/a1/cancel";
    gateway.post(path, &[("If-Match", "W/\"1\"")], &json!({"unknown": 1})).is(422, "LIA-API-013");
    let done = gateway.call("POST", path, &[("If-Match", "W/\"1\"")], b"");
    assert_eq!(done.status, 202, "{}", String::from_utf8_lossy(&done.body));
    let object = gateway.get("/api/v1/appointments/a1").json();
    assert_eq!((&object["version"], &object["status"]), (&json!(2), &json!("cancelled")));
    // What is called off cannot be booked again.
    let headers = [("Content-Type", "application/json"), ("If-Match", "W/\"2\"")];
    let put = gateway.call("PUT", "/api/v1/appointments/a1", &headers, london.to_string().as_bytes());
    put.is(422, "LIA-SYNC-006");
    assert_eq!(gateway.ledger.head(), 3);
}

#[test]
fn bad_input_is_told_by_place_and_nothing_is_stored() {
    let gateway = gateway();
    let send = |body: &[u8]| {
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "bad")];
        gateway.call("POST", "/api/v1/patients", &headers, body)
    };
    let malformed = send(b"{\"id\": \"p1\",\n  oops}").is(400, "LIA-JSON-001");
    assert!(malformed["detail"].as_str().unwrap().starts_with("line 2, column 3"), "{malformed}");
    assert_eq!(malformed["errors"][0]["pointer"], "");
    assert!(!malformed["errors"][0]["remedy"].as_str().unwrap().is_empty());
    let twice = send(b"{\"id\":\"p1\",\n \"id\":\"p2\"}").is(400, "LIA-JSON-002");
    assert!(twice["detail"].as_str().unwrap().contains("line 2"));
    send("[".repeat(100).as_bytes()).is(400, "LIA-JSON-003");
    send(format!("{{\"n\":{}}}", "9".repeat(10_000)).as_bytes()).is(400, "LIA-JSON-003");
    send(b"\xff\xfe").is(400, "LIA-JSON-001");
    send(b"{\"id\":\"\\u0000\"}").is(400, "LIA-JSON-001");
    send(b"[1]").is(422, "LIA-SYNC-002");
    send(b"").is(400, "LIA-JSON-001");
    let unknown = send(br#"{"id":"p1","names":[{"family":"CANARY"}],"favourite_colour":"CANARY"}"#);
    let problem = unknown.is(422, "LIA-SYNC-002");
    assert!(problem["errors"].to_string().contains("favourite_colour"), "{problem}");
    assert!(!String::from_utf8_lossy(&unknown.body).contains("CANARY"), "no patient data in errors: {problem}");
    let wrong = send(br#"{"id":"p1","names":[{"family":"E"}],"birth_date":"1980-02-31"}"#).is(422, "LIA-SYNC-002");
    assert!(wrong["errors"].to_string().contains("birth_date"), "{wrong}");
    send(br#"{"id":"p1","names":"CANARY"}"#).is(422, "LIA-SYNC-002");
    send(br#"{"id":"not an id"}"#).is(422, "LIA-SYNC-002");

    let body = patient("p1", "E").to_string();
    let typed = |kind: &str| {
        gateway.call("POST", "/api/v1/patients", &[("Content-Type", kind), ("Idempotency-Key", "t")], body.as_bytes())
    };
    let xml = typed("application/fhir+xml").is(415, "LIA-API-006");
    assert!(xml["detail"].as_str().unwrap().contains("XML"));
    typed("text/plain").is(415, "LIA-API-006");
    gateway.call("POST", "/api/v1/patients", &[("Idempotency-Key", "t")], body.as_bytes()).is(415, "LIA-API-006");
    let gzip = [("Content-Type", "application/json"), ("Idempotency-Key", "t"), ("Content-Encoding", "gzip")];
    gateway.call("POST", "/api/v1/patients", &gzip, body.as_bytes()).is(415, "LIA-API-007");
    gateway.post("/api/v1/patients", &[], &patient("p1", "E")).is(400, "LIA-API-003");
    let long = "k".repeat(256);
    gateway.post("/api/v1/patients", &[("Idempotency-Key", &long)], &patient("p1", "E")).is(400, "LIA-API-003");
    assert_eq!(gateway.ledger.head(), 0, "nothing was stored");
    // A key that was refused is not used up.
    assert_eq!(gateway.create("bad", &patient("p1", "E")).status, 202);
}

#[test]
fn bodies_too_large_or_too_slow_are_refused_early() {
    let gateway = gateway();
    let begun = Instant::now();
    let head = "POST /api/v1/patients HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\n";
    // 50 MB are announced, none are sent: the refusal does not wait for them.
    let reply = gateway.raw(format!("{head}Content-Length: 50000000\r\nConnection: close\r\n\r\n").as_bytes());
    reply.is(413, "LIA-API-008");
    assert!(begun.elapsed() < Duration::from_secs(5));
    let chunk = format!("{:x}\r\n{}\r\n", 100_000, " ".repeat(100_000));
    let chunked = format!("{head}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{}0\r\n\r\n", chunk.repeat(3));
    gateway.raw(chunked.as_bytes()).is(413, "LIA-API-008");
    // A sender that stops in the middle.
    let slow = gateway.raw(format!("{head}Content-Length: 100\r\nConnection: close\r\n\r\n{{\"id\"").as_bytes());
    slow.is(408, "LIA-API-009");
    assert!(begun.elapsed() < Duration::from_secs(25));
    assert_eq!(gateway.ledger.head(), 0);
}

#[test]
fn a_preview_of_a_change_shows_the_object_after_it_and_stores_nothing() {
    let gateway = gateway();
    gateway.create("k1", &patient("p1", "E"));
    let booked = visit("2026-10-26T09:30:00+00:00[Europe/London]", "2026-10-26T10:00:00+00:00[Europe/London]");
    assert_eq!(gateway.post("/api/v1/appointments", &[("Idempotency-Key", "a1")], &booked).status, 202);
    let head = gateway.ledger.head();
    let ask = |method: &str, path: &str, version: &str, body: &Value| {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend((!version.is_empty()).then_some(("If-Match", version)));
        gateway.call(method, &format!("{path}?preview=true"), &headers, body.to_string().as_bytes())
    };
    let (person, visit) = ("/api/v1/patients/p1", "/api/v1/appointments/a1");
    let family = json!({"names": [{"family": "Moved", "given": ["Ada"]}]});
    let patched = ask("PATCH", person, "", &family).json();
    assert_eq!(patched["targets"].as_array().map(Vec::len), Some(2));
    assert_eq!(patched["targets"][1]["resources"][0]["name"][0]["family"], "Moved");
    assert_eq!(ask("POST", &format!("{visit}/cancel"), "W/\"1\"", &json!({})).json()["object"]["status"], "cancelled");
    ask("PATCH", person, "W/\"7\"", &family).is(412, "LIA-LDG-008");
    ask("PATCH", person, "", &json!({"nmaes": []})).is(422, "LIA-SYNC-002");
    ask("PATCH", visit, "", &json!({"status": "proposed"})).is(422, "LIA-SYNC-006");
    ask("POST", "/api/v1/appointments/none/cancel", "", &json!({})).is(404, "LIA-LDG-010");
    assert_eq!(gateway.get(person).json()["names"][0]["family"], "E");
    assert_eq!(gateway.get(visit).json()["status"], "booked");
    assert_eq!(gateway.ledger.head(), head);
}

#[test]
fn routes_methods_and_queries_that_do_not_exist() {
    let gateway = gateway();
    for path in ["/nothing", "/api/v1/unicorns", "/api/v1/unicorns/1", "/api/v2/patients", "/api/v1/patients/a/b/c"] {
        gateway.get(path).is(404, "LIA-API-001");
    }
    gateway.post("/api/v1/unicorns", &[("Idempotency-Key", "k")], &json!({})).is(404, "LIA-API-001");
    gateway.call("DELETE", "/api/v1/patients/p1", &[], b"").is(405, "LIA-API-002");
    assert!(gateway.call("DELETE", "/api/v1/patients/p1", &[], b"").header("allow").is_some());
    gateway.call("PUT", "/api/v1/syncs", &[], b"").is(405, "LIA-API-002");
    gateway.get("/api/v1/patients/%ff").is(404, "LIA-API-001");
    gateway.get("/api/v1/patients/nobody").is(404, "LIA-LDG-010");
    gateway.get("/api/v1/syncs/none").is(404, "LIA-API-011");
    gateway.get("/api/v1/worklist/w-1").is(404, "LIA-API-011");
    gateway.get("/api/v1/worklist/x").is(404, "LIA-API-011");
    for query in ["limit=0", "limit=501", "limit=x", "cursor=%21", "colour=red", "limit=1&limit=2"] {
        gateway.get(&format!("/api/v1/patients?{query}")).is(400, "LIA-API-010");
    }
    for query in ["state=lost", "colour=red"] {
        gateway.get(&format!("/api/v1/syncs?{query}")).is(400, "LIA-API-010");
    }
    gateway.get("/api/v1/worklist?status=lost").is(400, "LIA-API-010");
    gateway.get("/console").is(501, "LIA-API-012");
}

#[test]
fn other_websites_may_not_act() {
    let gateway = gateway();
    let own = format!("http://{}", gateway.address);
    let from = |origin: &str, key: &str| {
        gateway.post("/api/v1/patients", &[("Idempotency-Key", key), ("Origin", origin)], &patient(key, "E"))
    };
    from("https://evil.example", "a").is(403, "LIA-API-014");
    from("null", "b").is(403, "LIA-API-014");
    assert_eq!(from(&own, "c").status, 202);
    let fetched = [("Idempotency-Key", "d"), ("Sec-Fetch-Site", "cross-site")];
    gateway.post("/api/v1/patients", &fetched, &patient("d", "E")).is(403, "LIA-API-014");
    let home = gateway.get("/");
    assert_eq!((home.status, home.header("location")), (303, Some("/docs")));
    let reply = gateway.get("/docs");
    assert!(String::from_utf8_lossy(&reply.body).contains("/api/v1/{objects}/bulk"), "routes for people");
    for (name, value) in [("x-content-type-options", "nosniff"), ("x-frame-options", "DENY")] {
        assert_eq!(reply.header(name), Some(value));
    }
    assert!(reply.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'")));
}

#[test]
fn lists_page_through_everything_once() {
    let gateway = gateway();
    for n in 0..7 {
        assert_eq!(gateway.create(&format!("k{n}"), &patient(&format!("p{n}"), "E")).status, 202);
    }
    for (start, expected) in [("/api/v1/patients?limit=3", 7), ("/api/v1/syncs?limit=4&system=north", 7)] {
        let (mut path, mut seen, mut pages) = (start.to_owned(), Vec::new(), 0);
        loop {
            let page = gateway.get(&path).json();
            let items = page["items"].as_array().expect("items");
            seen.extend(items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()));
            pages += 1;
            match page["next"].as_str() {
                Some(next) => path = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(
            (seen.len(), pages),
            (expected, expected / 3 - expected / 7 * usize::from(start.contains("syncs")) + 1)
        );
        let before = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), before, "nothing twice");
    }
    let one = gateway.get("/api/v1/syncs?object_id=p3&object=patient").json();
    assert_eq!(one["items"].as_array().map(Vec::len), Some(2));
    let sync = &one["items"][0];
    let members: Vec<_> = sync.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members.len(), 15);
    let same = gateway.get(&format!("/api/v1/syncs/{}", sync["id"].as_str().unwrap())).json();
    assert_eq!(same, *sync);
}

#[test]
fn attachments_are_kept_under_their_hash() {
    let gateway = gateway();
    for (size, kind) in [(10, "text/plain"), (150_000, "application/pdf")] {
        let bytes = vec![b'%'; size];
        let reply = gateway.call("POST", "/api/v1/attachments", &[("Content-Type", kind)], &bytes);
        assert_eq!(reply.status, 201, "{}", String::from_utf8_lossy(&reply.body));
        let id = Hash::of(&bytes).to_string();
        assert_eq!(reply.json(), json!({"id": id, "size": size, "content_type": kind}));
        let read = gateway.get(reply.header("location").expect("a location"));
        assert_eq!((read.status, read.header("content-type"), &read.body), (200, Some(kind), &bytes));
        assert_eq!(read.header("content-disposition"), Some("attachment"));
        assert_eq!(gateway.ledger.attachment(&Hash::of(&bytes)).unwrap().map(|row| row.size), Some(size as u64));
    }
    gateway.call("POST", "/api/v1/attachments", &[], b"x").is(415, "LIA-API-006");
    gateway.call("POST", "/api/v1/attachments", &[("Content-Type", "nonsense")], b"x").is(415, "LIA-API-006");
    let large = vec![0; MAX_BODY as usize + 1];
    gateway.call("POST", "/api/v1/attachments", &[("Content-Type", "a/b")], &large).is(413, "LIA-API-008");
    gateway.get("/api/v1/attachments/sha256-00").is(404, "LIA-API-011");
    gateway.get("/api/v1/attachments/..%2f..%2fetc").is(404, "LIA-API-011");
    let left = std::fs::read_dir(gateway.folder.path().join("bodies/tmp")).expect("the folder").count();
    assert_eq!(left, 0, "what was refused leaves nothing");
}

#[test]
fn a_person_works_through_the_worklist() {
    let gateway = gateway();
    for id in ["p1", "p2"] {
        gateway.create(id, &patient(id, "E"));
    }
    let (first, second) = (gateway.park("p1", "north"), gateway.park("p2", "north"));
    let item = gateway.get(&format!("/api/v1/worklist/{first}")).json();
    assert_eq!((&item["status"], &item["object_id"]), (&json!("open"), &json!("p1")));
    assert_eq!(item["fields"][0]["path"], "/a");
    assert_eq!((&item["patient"], &item["visit_at"]), (&json!({"object": "patient", "id": "p1"}), &Value::Null));
    let act =
        |id: &str, action: &str, body: Value| gateway.post(&format!("/api/v1/worklist/{id}/{action}"), &[], &body);
    assert_eq!(act(&first, "assign", json!({"to": "Bo"})).json()["status"], "assigned");
    let commented = act(&first, "comment", json!({"text": "<b>asked</b> the ward"})).json();
    assert_eq!(commented["comments"][0]["text"], "<b>asked</b> the ward");
    act(&first, "assign", json!({})).is(422, "LIA-API-013");
    act(&first, "comment", json!({"text": 5})).is(422, "LIA-API-013");
    act(&first, "dismiss", json!({"reason": "x", "more": 1})).is(422, "LIA-API-013");
    act(&first, "resolve", json!({"note": "x", "fields": {"a": "mine"}})).is(422, "LIA-API-013");
    act(&first, "explode", json!({})).is(404, "LIA-API-001");
    act("w-999", "retry", json!({})).is(404, "LIA-API-011");
    let list = gateway.get("/api/v1/worklist?status=assigned&owner=Bo").json();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    let groups = gateway.get("/api/v1/worklist/groups").json();
    assert_eq!((&groups["items"][0]["count"], groups["items"].as_array().map(Vec::len)), (&json!(2), Some(1)));
    let group = groups["items"][0]["group"].as_str().unwrap().to_owned();

    let dismissed = act(&first, "dismiss", json!({"reason": "came by phone"})).json();
    assert_eq!(dismissed["status"], "dismissed");
    let sync = dismissed["sync_id"].as_str().unwrap().to_owned();
    assert_eq!(gateway.get(&format!("/api/v1/syncs/{sync}")).json()["state"], "resolved");
    act(&first, "dismiss", json!({"reason": "again"})).is(409, "LIA-SYNC-009");
    let preview = gateway.call("POST", &format!("/api/v1/worklist/groups/{group}/preview"), &[], b"").json();
    assert_eq!(preview["items"], json!([second]));
    let retried = gateway.post(&format!("/api/v1/worklist/groups/{group}/retry"), &[], &json!({})).json();
    assert_eq!(retried["items"], json!([second]));
    let sync = gateway.get("/api/v1/syncs?object_id=p2&object=patient&system=north").json()["items"][0].clone();
    assert_eq!(sync["state"], "accepted");
    gateway.post("/api/v1/worklist/groups/none/retry", &[], &json!({})).is(404, "LIA-API-011");
}

#[test]
fn a_preview_stores_nothing() {
    let gateway = gateway();
    let reply = gateway.post("/api/v1/patients?preview=true", &[], &patient("p1", "E"));
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let preview = reply.json();
    assert_eq!(preview["targets"].as_array().map(Vec::len), Some(2));
    assert_eq!(preview["targets"][0]["resources"][0]["resourceType"], "Patient");
    assert_eq!(preview["targets"][0]["findings"], json!([]));
    gateway.post("/api/v1/patients?preview=perhaps", &[], &patient("p1", "E")).is(400, "LIA-API-010");
    assert_eq!(gateway.ledger.head(), 0);
}

/// Reads server-sent events until `enough` or ten seconds.
fn events(gateway: &Gateway, last: Option<u64>, enough: impl Fn(&str) -> bool) -> String {
    let mut stream = TcpStream::connect(gateway.address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    let resume = last.map_or(String::new(), |seq| format!("Last-Event-ID: {seq}\r\n"));
    let ask = format!("GET /api/v1/events HTTP/1.1\r\nHost: x\r\n{resume}\r\n");
    stream.write_all(ask.as_bytes()).expect("asked");
    let (mut text, begun) = (String::new(), Instant::now());
    let mut buffer = [0; 65536];
    while !enough(&text) && begun.elapsed() < Duration::from_secs(10) {
        if let Ok(read) = stream.read(&mut buffer) {
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }
    assert!(enough(&text), "{text}");
    text
}

#[test]
fn events_resume_where_they_were_left() {
    let gateway = gateway();
    for n in 0..3 {
        gateway.create(&format!("k{n}"), &patient(&format!("p{n}"), "E"));
    }
    let all = events(&gateway, Some(0), |text| text.contains("id: 3\nevent: sync"));
    assert!(all.contains("text/event-stream") && all.contains("id: 1\nevent: object\ndata: {\"id\":\"p0\""));
    let some = events(&gateway, Some(2), |text| text.contains("id: 3\nevent: sync"));
    assert!(!some.contains("id: 2\n"), "{some}");
    let later = std::thread::scope(|scope| {
        let listening = scope.spawn(|| events(&gateway, None, |text| text.contains("event: worklist")));
        std::thread::sleep(Duration::from_millis(500));
        gateway.park("p0", "south");
        listening.join().expect("events")
    });
    assert!(later.contains("id: 4\nevent: worklist\ndata: {\"id\":\"w-4\""), "{later}");
    assert!(!later.contains("id: 3\n"), "without Last-Event-ID from now on");
    gateway.call("GET", "/api/v1/events", &[("Last-Event-ID", "x")], b"").is(400, "LIA-API-010");
    // A gateway that drains ends its streams.
    let mut stream = TcpStream::connect(gateway.address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("asked");
    std::thread::sleep(Duration::from_millis(200));
    gateway.stop.send(true).expect("told");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the stream ends");
}

#[test]
fn health_figures_and_pages() {
    let gateway = gateway();
    assert_eq!((gateway.get("/livez").status, gateway.get("/readyz").status), (200, 200));
    gateway.create("k", &patient("p-CANARY", "CANARY"));
    let metrics = String::from_utf8(gateway.get("/metrics").body).unwrap();
    assert!(metrics.contains("liaison_syncs{system=\"north\",state=\"accepted\"} 1"), "{metrics}");
    assert!(metrics.contains("route=\"/api/v1/{objects}\",status=\"202\""), "{metrics}");
    assert!(!metrics.contains("CANARY"));
    for code in liaison::error::pages().keys() {
        let page = gateway.get(&format!("/docs/errors/{code}"));
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert!(String::from_utf8(page.body).unwrap().contains("What to do"));
    }
    gateway.get("/docs/errors/LIA-NO-000").is(404, "LIA-API-011");
    assert_eq!(gateway.get("/docs/style.css").status, 200);
    let openapi = gateway.get("/openapi.json").json();
    for path in ["/api/v1/patients", "/api/v1/patients/{id}", "/api/v1/worklist/{id}/{action}", "/livez"] {
        assert!(openapi["paths"].get(path).is_some(), "{path}");
    }
    assert_eq!(openapi["components"]["schemas"]["patient"]["type"], "object");
    assert_eq!(gateway.get("/fhir/metadata").json()["resourceType"], "CapabilityStatement");
}

#[test]
fn a_full_disk_is_told_as_507_and_readiness_follows() {
    let gateway = gateway_with(|options| Options { reserve_bytes: Some(u64::MAX / 4), ..options });
    gateway.create("k", &patient("p1", "E")).is(507, "LIA-LDG-005");
    assert!(gateway.create("k", &patient("p1", "E")).header("retry-after").is_some());
    gateway.call("POST", "/api/v1/attachments", &[("Content-Type", "a/b")], b"x").is(507, "LIA-LDG-005");
    gateway.get("/readyz").is(507, "LIA-LDG-005");
    assert_eq!(gateway.get("/livez").status, 200);
    assert_eq!(gateway.ledger.head(), 0);
}

#[test]
fn a_full_backlog_is_told_as_429() {
    let gateway = gateway_with(|options| Options { max_backlog: 2, ..options });
    assert_eq!(gateway.create("k1", &patient("p1", "E")).status, 202);
    let reply = gateway.create("k2", &patient("p2", "E"));
    reply.is(429, "LIA-LDG-013");
    assert!(reply.header("retry-after").is_some());
    assert_eq!(gateway.create("k1", &patient("p1", "E")).status, 202, "what was accepted is still answered");
}
