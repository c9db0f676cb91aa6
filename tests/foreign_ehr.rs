//! Against an EHR that others made: `sekmet-fhir` (PyPI, Python), on loopback, which demands SMART Backend Services. The
//! example day is pushed through the real binary, the gateway is killed with -9 in the middle and started again, the EHR's
//! side is edited and pulled, and both sides are compared. Skipped, loudly, without Python or sekmet; with
//! `LIAISON_REQUIRE_PEERS=1` a skip fails.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};

use crate::support::{Server, beside, block_on, client, root, send, wait_for};

/// What the day is made of, in an order in which nothing refers to what is not known yet.
pub const DAY: [(&str, &str); 8] = [
    ("practitioner", "practitioners"),
    ("location", "locations"),
    ("patient", "patients"),
    ("clinic-session", "clinic-sessions"),
    ("slot", "slots"),
    ("appointment", "appointments"),
    ("message", "messages"),
    ("letter", "letters"),
];
const INSTANCE: &str = "foreign-test";

/// The foreign EHR as a child process.
pub struct Sekmet {
    child: Child,
    pub base: String,
    pub tokens: String,
}

impl Drop for Sekmet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Python environment with sekmet in it, made once below `target/`; `None` where that is not possible.
pub fn environment() -> Option<PathBuf> {
    let folder = root().join("target/sekmet-venv");
    let program = folder.join("bin/sekmet");
    if program.exists() {
        return Some(program);
    }
    let quiet = |command: &mut Command| {
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let made = quiet(Command::new("python3").arg("-m").arg("venv").arg(&folder))
        && quiet(Command::new(folder.join("bin/pip")).args(["install", "--quiet", "sekmet-fhir==0.1.1"]));
    (made && program.exists()).then_some(program)
}

/// A P-384 key: the private half for the gateway, the public half for the EHR.
pub fn keys(folder: &Path) -> (PathBuf, PathBuf) {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new()).expect("a key");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, pkcs8.as_ref(), &SystemRandom::new())
        .expect("a key");
    // SubjectPublicKeyInfo of a P-384 point: fixed header (RFC 5480), then the point.
    let mut spki = vec![
        0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
        0x00, 0x22, 0x03, 0x62, 0x00,
    ];
    spki.extend_from_slice(pair.public_key().as_ref());
    let pem = |label: &str, der: &[u8]| {
        let text = STANDARD.encode(der);
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    };
    let (private, public) = (folder.join("key.pem"), folder.join("key.pub.pem"));
    std::fs::write(&private, pem("PRIVATE KEY", pkcs8.as_ref())).expect("writable");
    std::fs::write(&public, pem("PUBLIC KEY", &spki)).expect("writable");
    (private, public)
}

impl Sekmet {
    pub fn start(program: &Path, folder: &Path, public: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let base = format!("http://127.0.0.1:{port}/fhir");
        let settings = json!({
            "base_url": base, "host": "127.0.0.1", "port": port, "data_dir": folder.join("sekmet"),
            "simulator": {"enabled": false},
            "server_auth": {
                "types": ["smart", "bearer"], "tokens": ["the-ehrs-own-staff"], "token_lifetime": 20,
                "smart_clients": [{"client_id": "liaison", "public_key_path": public, "scopes": "system/*.*"}],
            },
        });
        let file = folder.join("settings.yaml");
        // JSON is YAML.
        std::fs::write(&file, settings.to_string()).expect("writable");
        std::fs::create_dir_all(folder.join("sekmet")).expect("a folder");
        let log = std::fs::File::create(folder.join("sekmet.log")).expect("writable");
        let child = Command::new(program)
            .args(["serve", "--config"])
            .arg(&file)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a handle"))
            .stderr(log)
            .spawn()
            .expect("sekmet starts");
        Self { child, base, tokens: format!("http://127.0.0.1:{port}/auth/token") }
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let headers = [("authorization", "Bearer the-ehrs-own-staff"), ("content-type", "application/fhir+json")];
        let url = format!("{}/{path}", self.base);
        let answer = send(&client(), method, &url, &headers[..1], body).await.expect("an answer");
        assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.text);
        answer.body
    }

    /// All resources of a type.
    pub async fn all(&self, kind: &str) -> Vec<Value> {
        let mut found = Vec::new();
        loop {
            let page = self.ask("GET", &format!("{kind}?_count=200&_offset={}", found.len()), &Value::Null).await;
            let entries = page["entry"].as_array().cloned().unwrap_or_default();
            if entries.is_empty() {
                return found;
            }
            found.extend(entries.into_iter().map(|entry| entry["resource"].clone()));
        }
    }
}

fn configuration(folder: &Path, ehr: &Sekmet, key: &Path) -> PathBuf {
    let file = folder.join("liaison.toml");
    let push: Vec<&str> = DAY.iter().map(|(object, _)| *object).collect();
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:0"
instance = "{INSTANCE}"
[ledger]
path = {ledger:?}
[[systems]]
name = "sekmet"
base_url = "{base}"
zone = "Europe/London"
push = {push:?}
settle_within = "20s"
[systems.auth]
kind = "smart-backend"
client_id = "liaison"
key_file = {key:?}
token_url = "{tokens}"
scope = "system/*.*"
[systems.pull]
every = "1s"
types = ["Patient", "Appointment", "Communication"]
"#,
        ledger = folder.join("ledger").display().to_string(),
        base = ehr.base,
        tokens = ehr.tokens,
        key = key.display().to_string(),
    );
    std::fs::write(&file, text).expect("writable");
    file
}

pub fn day() -> Vec<(&'static str, &'static str, Value)> {
    let mut all = Vec::new();
    for (object, plural) in DAY {
        let file = root().join(format!("examples/demo/day/{object}.ndjson"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        all.extend(text.lines().map(|line| (object, plural, serde_json::from_str(line).expect("JSON"))));
    }
    all
}

async fn push(gateway: &str, plural: &str, body: &Value) -> Option<u16> {
    let key = body["id"].as_str().expect("an id");
    let url = format!("{gateway}/api/v1/{plural}");
    let answer = send(&client(), "POST", &url, &[("idempotency-key", key)], body).await.ok()?;
    assert_eq!(answer.status, 202, "{plural} {key}: {}", answer.text);
    Some(answer.status)
}

pub async fn syncs(gateway: &str) -> Vec<Value> {
    let client = client();
    let mut found = Vec::new();
    let mut url = format!("{gateway}/api/v1/syncs?limit=500");
    loop {
        let answer = send(&client, "GET", &url, &[], &Value::Null).await.expect("an answer");
        found.extend(answer.body["items"].as_array().cloned().unwrap_or_default());
        match answer.body["next"].as_str() {
            Some(next) if next.starts_with("http") => next.clone_into(&mut url),
            Some(next) => url = format!("{gateway}{next}"),
            None => return found,
        }
    }
}

async fn settled(gateway: &str, within_s: u64) -> Vec<Value> {
    let pending = ["accepted", "sending", "retrying", "unknown"];
    wait_for("all syncs settled", Duration::from_secs(within_s), || async {
        let syncs = syncs(gateway).await;
        let waiting = syncs.iter().any(|sync| pending.contains(&sync["state"].as_str().unwrap_or_default()));
        (!waiting).then_some(syncs)
    })
    .await
}

#[test]
fn the_example_day_travels_to_a_foreign_ehr_and_back() {
    let Some(program) = environment() else {
        beside::no_peer(
            "an EHR that others made (sekmet-fhir)",
            "install python3 with venv, and let pip reach its index",
        );
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let (private, public) = keys(folder.path());
    let ehr = Sekmet::start(&program, folder.path(), &public);
    let config = configuration(folder.path(), &ehr, &private);
    block_on(async {
        wait_for("sekmet answers", Duration::from_secs(60), || async {
            send(&client(), "GET", &format!("{}/metadata", ehr.base), &[], &Value::Null).await.ok().map(|_| ())
        })
        .await;
        let day = day();
        let mut gateway = Server::gateway(&config);
        // Killed while about half is pushed and some of that is on its way.
        for (_, plural, body) in &day[..day.len() / 2] {
            push(&gateway.url, plural, body).await.expect("taken on");
        }
        gateway.kill();
        let mut gateway = Server::gateway(&config);
        for (_, plural, body) in &day[day.len() / 2..] {
            push(&gateway.url, plural, body).await.expect("taken on");
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        gateway.kill();
        let gateway = Server::gateway(&config);
        let syncs = settled(&gateway.url, 240).await;
        assert_eq!(syncs.len(), day.len());
        let unsynced: Vec<&Value> = syncs.iter().filter(|sync| sync["state"] != "synced").collect();
        assert!(unsynced.is_empty(), "{} of {} not synced, for example {:#}", unsynced.len(), syncs.len(), unsynced[0]);
        compare(&ehr, &day).await;
        pull(&ehr, &gateway.url).await;
    });
}

/// Every object is there exactly once, under our identifier, where its sync says.
async fn compare(ehr: &Sekmet, day: &[(&str, &str, Value)]) {
    let mut there: BTreeMap<String, usize> = BTreeMap::new();
    for kind in
        ["Practitioner", "Location", "Patient", "Schedule", "Slot", "Appointment", "Communication", "DocumentReference"]
    {
        for resource in ehr.all(kind).await {
            for identifier in resource["identifier"].as_array().into_iter().flatten() {
                let system = identifier["system"].as_str().unwrap_or_default();
                if let Some(object) = system.strip_prefix(&format!("urn:liaison:{INSTANCE}:")) {
                    *there
                        .entry(format!("{object} {}", identifier["value"].as_str().unwrap_or_default()))
                        .or_default() += 1;
                }
            }
            let text = resource.to_string();
            assert!(
                !text.contains("\"urn:liaison:foreign-test:patient\"},\"type\""),
                "a logical reference was sent: {text}"
            );
        }
    }
    let expected: BTreeMap<String, usize> =
        day.iter().map(|(object, _, body)| (format!("{object} {}", body["id"].as_str().expect("an id")), 1)).collect();
    assert_eq!(there, expected, "each object exactly once");
}

/// What the EHR's staff change arrives; what we change afterwards leaves theirs as it is.
async fn pull(ehr: &Sekmet, gateway: &str) {
    let query = format!("Appointment?identifier=urn:liaison:{INSTANCE}:appointment|a-005");
    let found = ehr.ask("GET", &query, &Value::Null).await;
    let mut resource = found["entry"][0]["resource"].clone();
    resource["comment"] = json!("The ward knows");
    resource["extension"] = json!([{"url": "http://sekmet.example/colour", "valueString": "green"}]);
    let path = format!("Appointment/{}", resource["id"].as_str().expect("an id"));
    ehr.ask("PUT", &path, &resource).await;
    let client = client();
    let url = format!("{gateway}/api/v1/appointments/a-005");
    let changed = wait_for("the ward's remark", Duration::from_secs(30), || async {
        let answer = send(&client, "GET", &url, &[], &Value::Null).await.ok()?;
        (answer.body["comment"] == "The ward knows").then_some(answer)
    })
    .await;
    let etag = changed.headers.get("etag").expect("an ETag").to_str().expect("text").to_owned();
    let patch = json!({"description": "Check-up, brought forward"});
    let headers = [("if-match", etag.as_str()), ("idempotency-key", "change-a-005")];
    let answer = send(&client, "PATCH", &url, &headers, &patch).await.expect("an answer");
    assert_eq!(answer.status, 202, "{}", answer.text);
    settled(gateway, 60).await;
    let there = ehr.ask("GET", &path, &Value::Null).await;
    assert_eq!(there["description"], "Check-up, brought forward");
    assert_eq!((&there["comment"], &there["extension"][0]["valueString"]), (&json!("The ward knows"), &json!("green")));
}
