//! What those who run the gateway see of an EHR in trouble (PROMISES R23; FAULTS S1, S3, S6d): in `/readyz`, in `/metrics`, on the
//! worklist, and that all of it ends by itself once the EHR is well.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use crate::support::{Server, block_on, client, send, wait_for};

fn configuration(folder: &Path, base: &str, auth: &str) -> std::path::PathBuf {
    let ledger = folder.join("ledger").display().to_string();
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:0"
instance = "operating-test"
[ledger]
path = {ledger:?}
[[systems]]
name = "ehr"
base_url = "{base}/fhir"
push = ["patient"]
tell_after = "1s"
{auth}
[systems.pull]
every = "200ms"
types = ["Patient"]
"#
    );
    let file = folder.join("liaison.toml");
    std::fs::write(&file, text).expect("writable");
    file
}

struct Seen {
    state: Value,
    code: Value,
    up: Option<bool>,
    items: Vec<Value>,
}

async fn look(url: &str) -> Seen {
    let client = client();
    let get =
        async |path: &str| send(&client, "GET", &format!("{url}{path}"), &[], &Value::Null).await.expect("an answer");
    let ready = get("/readyz").await;
    assert_eq!(ready.status, 200, "an EHR in trouble does not make the gateway unready");
    let metrics = get("/metrics").await.text;
    let up =
        metrics.lines().find_map(|line| line.strip_prefix("liaison_system_up{system=\"ehr\"} ")).map(|up| up == "1");
    let items = get("/api/v1/worklist?status=open").await.body["items"].as_array().cloned().unwrap_or_default();
    let system = &ready.body["systems"][0];
    Seen { state: system["state"].clone(), code: system["code"].clone(), up, items }
}

async fn until(url: &str, what: &str, holds: impl Fn(&Seen) -> bool) -> Seen {
    let started = std::time::Instant::now();
    loop {
        let seen = look(url).await;
        if holds(&seen) {
            return seen;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{what}: {} {} {:?}", seen.state, seen.code, seen.items);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn an_ehr_that_is_away_is_seen_everywhere_until_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    // A port of ours that nobody listens on yet.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let base = format!("http://127.0.0.1:{port}");
    let gateway = Server::gateway(&configuration(folder.path(), &base, ""));
    block_on(async {
        let seen = until(&gateway.url, "down", |seen| seen.up == Some(false) && !seen.items.is_empty()).await;
        assert_eq!((&seen.state, &seen.code), (&json!("down"), &json!("LIA-EHR-001")));
        assert_eq!(seen.items.len(), 1, "one question for the EHR as a whole: {:?}", seen.items);
        let _ehr = Server::start(&["sandbox", "--listen", &format!("127.0.0.1:{port}")]);
        let seen = until(&gateway.url, "up", |seen| seen.up == Some(true) && seen.items.is_empty()).await;
        assert_eq!((&seen.state, &seen.code), (&json!("up"), &Value::Null));
        wait_for("a round that ends well", Duration::from_secs(20), async || {
            let metrics =
                send(&client(), "GET", &format!("{}/metrics", gateway.url), &[], &Value::Null).await.ok()?.text;
            let fetched = metrics.contains("liaison_fetch_last_success_seconds{system=\"ehr\",type=\"Patient\"} ");
            (fetched && metrics.contains("liaison_fetch_failed_rounds{system=\"ehr\",type=\"Patient\"} 0"))
                .then_some(())
        })
        .await;
    });
}

#[test]
fn a_password_that_is_refused_asks_a_person_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let faults = folder.path().join("faults.toml");
    std::fs::write(&faults, "[auth]\nrequired = true\ntoken_seconds = 60\nclient_id = \"gw\"\nclient_secret = \"s\"")
        .expect("writable");
    std::fs::write(folder.path().join("secret"), "CANARY-wrong").expect("writable");
    let ehr = Server::start(&["sandbox", "--listen", "127.0.0.1:0", "--faults", &faults.to_string_lossy()]);
    let secret = folder.path().join("secret").display().to_string();
    let auth = format!("auth = {{ kind = \"bearer\", token_file = {secret:?} }}");
    let gateway = Server::gateway(&configuration(folder.path(), &ehr.url, &auth));
    block_on(async {
        let started = std::time::Instant::now();
        let seen = until(&gateway.url, "refused", |seen| !seen.items.is_empty()).await;
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert_eq!((&seen.state, seen.up), (&json!("down"), Some(false)));
        assert_eq!(seen.items[0]["code"], seen.code, "{:?}", seen.items);
        assert!(!format!("{:?}", seen.items).contains("CANARY"));
    });
}

/// A pause stands in the ledger: nothing is sent or fetched, also after a restart, until somebody says so.
#[test]
fn a_paused_ehr_rests_until_somebody_lets_it_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let ehr = Server::start(&["sandbox", "--listen", "127.0.0.1:0"]);
    let file = configuration(folder.path(), &ehr.url, "");
    let patient = |id: &str| json!({"id": id, "names": [{"family": "Example"}]});
    let call = async |method: &str, url: &str, headers: &[(&str, &str)], body: &Value| {
        send(&client(), method, url, headers, body).await.expect("an answer")
    };
    let made = async |ehr: &str| {
        let truth = send(&client(), "GET", &format!("{ehr}/_truth"), &[], &Value::Null).await.expect("an answer").text;
        truth.lines().filter(|line| line.contains("\"POST\"") && line.contains("\"Patient\"")).count()
    };
    let gateway = Server::gateway(&file);
    block_on(async {
        let base = format!("{}/api/v1", gateway.url);
        until(&gateway.url, "up", |seen| seen.up == Some(true)).await;
        let paused = call("POST", &format!("{base}/systems/ehr/pause"), &[], &json!({"reason": "upgrade"})).await;
        assert_eq!((paused.status, &paused.body["state"]), (200, &json!("paused")), "{}", paused.body);
        assert_eq!(paused.body["why"], "Paused by anonymous: upgrade");
        let key = [("Idempotency-Key", "k1")];
        let taken = call("POST", &format!("{base}/patients"), &key, &patient("p1")).await;
        assert_eq!(taken.status, 202);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(made(&ehr.url).await, 0);
        let status = call("GET", &format!("{base}/systems/ehr"), &[], &Value::Null).await.body;
        assert_eq!((&status["backlog"], status["oldest_unsent"].is_string()), (&json!(1), true), "{status}");
        let sync = taken.body["syncs"][0]["id"].clone();
        let asked = call("POST", &format!("{base}/syncs/query"), &[], &json!({"ids": [sync, "none"]})).await.body;
        assert_eq!((&asked["items"][0]["state"], &asked["unknown"]), (&json!("accepted"), &json!(["none"])));
        let unknown = call("POST", &format!("{base}/systems/other/pause"), &[], &json!({"reason": "x"})).await;
        assert_eq!((unknown.status, &unknown.body["code"]), (404, &json!("LIA-SYNC-035")));
        let unnamed = call("POST", &format!("{base}/systems/ehr/pause"), &[], &json!({})).await;
        assert_eq!(unnamed.status, 422);
    });
    drop(gateway);
    let gateway = Server::gateway(&file);
    block_on(async {
        let base = format!("{}/api/v1", gateway.url);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(made(&ehr.url).await, 0, "after a restart, too");
        let probed = call("POST", &format!("{base}/systems/ehr/probe"), &[], &json!({})).await.body;
        assert_eq!((&probed["state"], &probed["capability"]["fhir_version"]), (&json!("paused"), &json!("4.0.1")));
        // One kind rests alone.
        let kind = json!({"reason": "wrong codes", "object": "patient"});
        call("POST", &format!("{base}/systems/ehr/pause"), &[], &kind).await;
        call("POST", &format!("{base}/systems/ehr/resume"), &[], &json!({})).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(made(&ehr.url).await, 0, "the kind still rests");
        let resumed =
            call("POST", &format!("{base}/systems/ehr/resume"), &[], &json!({"object": "patient"})).await.body;
        assert_eq!(resumed["paused"], json!([]));
        wait_for("it is there", Duration::from_secs(20), async || (made(&ehr.url).await == 1).then_some(())).await;
        let list = call("GET", &format!("{base}/systems"), &[], &Value::Null).await.body;
        assert_eq!((&list["items"][0]["name"], &list["items"][0]["state"]), (&json!("ehr"), &json!("up")));
    });
}
