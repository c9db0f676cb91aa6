//! kill -9 and SIGTERM in the middle of pushes (PROMISES R1, R2, R14): every acknowledged push is in the ledger after the restart, and
//! the EHR's true history shows exactly one create for each. The moments of death come from a printed seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Server, block_on, client, send, wait_for};

const ROUNDS: usize = 20;
const PUSHES: usize = 50;

fn configuration(folder: &Path, ehr: &str) -> std::path::PathBuf {
    let file = folder.join("liaison.toml");
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:0"
instance = "kill-test"
[ledger]
path = {ledger:?}
[[systems]]
name = "ehr"
base_url = "{ehr}/fhir"
push = ["patient"]
settle_within = "5s"
"#,
        ledger = folder.join("ledger").display().to_string(),
    );
    std::fs::write(&file, text).expect("writable");
    file
}

fn patient(id: &str) -> Value {
    json!({"id": id, "names": [{"family": "Example", "given": ["Ada"]}], "birth_date": "1980-02-29"})
}

async fn truth(client: &reqwest::Client, ehr: &str) -> Vec<Value> {
    let text = send(client, "GET", &format!("{ehr}/_truth"), &[], &Value::Null).await.expect("truth").text;
    text.lines().map(|line| serde_json::from_str(line).expect("NDJSON")).collect()
}

#[test]
fn acked_pushes_survive_kill_9_and_are_created_once() {
    acked_pushes_survive(&["sandbox", "--listen", "127.0.0.1:0"], Server::kill);
}

/// R14: SIGTERM ends the gateway in 10 s at most, also while the EHR is slow; 20 restarts under load lose and double nothing.
#[test]
fn acked_pushes_survive_sigterm_which_ends_within_ten_seconds() {
    let folder = tempfile::tempdir().expect("a folder");
    let faults = folder.path().join("faults.toml");
    let slow = "seed = 1\n[[fault]]\nkind = \"delay\"\nmethod = \"POST\"\nseconds = 1.5\nprobability = 0.03";
    std::fs::write(&faults, slow).expect("writable");
    acked_pushes_survive(&["sandbox", "--listen", "127.0.0.1:0", "--faults", &faults.to_string_lossy()], |gateway| {
        let took = gateway.terminate(Duration::from_secs(10));
        assert!(took.is_some(), "it went on for more than 10 s after SIGTERM");
    });
}

fn acked_pushes_survive(sandbox: &[&str], end: impl Fn(&mut Server)) {
    let seed = std::env::var("LIAISON_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2026);
    println!("seed {seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let ehr = Server::start(sandbox);
    let config = configuration(folder.path(), &ehr.url);
    block_on(async {
        let client = client();
        let mut acked = BTreeSet::new();
        let mut sent = BTreeSet::new();
        for round in 0..ROUNDS {
            let mut gateway = Server::gateway(&config);
            let mut pushes = tokio::task::JoinSet::new();
            for number in 0..PUSHES {
                let (client, url, id) = (client.clone(), gateway.url.clone(), format!("p-{round}-{number}"));
                sent.insert(id.clone());
                pushes.spawn(async move {
                    let answer = send(
                        &client,
                        "POST",
                        &format!("{url}/api/v1/patients"),
                        &[("idempotency-key", &id)],
                        &patient(&id),
                    )
                    .await;
                    match answer {
                        Ok(answer) if answer.status == 202 => Some(id),
                        Ok(answer) => panic!("an answer that is no 202: {} {}", answer.status, answer.text),
                        Err(_) => None,
                    }
                });
            }
            tokio::time::sleep(Duration::from_millis(chance.u64(0..250))).await;
            end(&mut gateway);
            while let Some(push) = pushes.join_next().await {
                acked.extend(push.expect("no wrong answer"));
            }
        }
        println!("{} acked of {}", acked.len(), sent.len());
        assert!(!acked.is_empty(), "a test in which nothing was acked shows nothing");

        let gateway = Server::gateway(&config);
        for id in &acked {
            let url = format!("{}/api/v1/patients/{id}", gateway.url);
            let answer = send(&client, "GET", &url, &[], &Value::Null).await.expect("an answer");
            assert_eq!(answer.status, 200, "acked and not in the ledger: {id}");
        }
        wait_for("all syncs to be synced", Duration::from_secs(120), || async {
            let url = format!("{}/api/v1/syncs?limit=500", gateway.url);
            let mut next = Some(url);
            let mut synced = BTreeSet::new();
            while let Some(url) = next {
                let page = send(&client, "GET", &url, &[], &Value::Null).await.expect("syncs").body;
                for sync in page["items"].as_array().expect("items") {
                    if sync["state"] == "synced" {
                        synced.insert(sync["object_id"].as_str().expect("id").to_owned());
                    }
                }
                next = page["next"].as_str().map(|next| {
                    if next.starts_with("http") { next.to_owned() } else { format!("{}{next}", gateway.url) }
                });
            }
            acked.is_subset(&synced).then_some(())
        })
        .await;

        let mut creates: BTreeMap<String, usize> = BTreeMap::new();
        for commit in truth(&client, &ehr.url).await {
            if commit["type"] == "Patient" && commit["version"].to_string().trim_matches('"') == "1" {
                let own = commit["body"]["identifier"].as_array().into_iter().flatten().find(|identifier| {
                    identifier["system"].as_str().is_some_and(|system| system.starts_with("urn:liaison:kill-test:"))
                });
                let id = own.and_then(|own| own["value"].as_str()).expect("our identifier").to_owned();
                *creates.entry(id).or_default() += 1;
            }
        }
        let doubled: Vec<_> = creates.iter().filter(|(_, times)| **times > 1).collect();
        assert!(doubled.is_empty(), "created more than once: {doubled:?}");
        let lost: Vec<_> = acked.iter().filter(|id| !creates.contains_key(*id)).collect();
        assert!(lost.is_empty(), "acked and never created: {lost:?}");
        assert!(creates.keys().all(|id| sent.contains(id)), "created and never sent");
    });
}
