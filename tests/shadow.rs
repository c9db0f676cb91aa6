//! `liaison mappings shadow` on a ledger that the real binary made: a candidate that changes one rule shows that field
//! and no other, beside the running gateway and after its end; values only on request.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use crate::support::{Server, block_on, client, root, run, send, wait_for};

const BORN: &str = "1974-08-23";

/// Pushes three patients to a practice EHR, changes one here and one there; gives the ledger's folder.
async fn record(folder: &Path) -> Server {
    let sandbox = Server::start(&["sandbox", "--listen", "127.0.0.1:0"]);
    let config = folder.join("liaison.toml");
    let ledger = folder.join("ledger").display().to_string();
    let base = sandbox.url.trim_end_matches("/fhir");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ninstance = \"shadowed\"\n[ledger]\npath = {ledger:?}\n[[systems]]\nname = \"ehr\"\n\
         base_url = \"{base}/fhir\"\npush = [\"patient\"]\n[systems.pull]\nevery = \"200ms\"\ntypes = [\"Patient\"]\n"
    );
    std::fs::write(&config, text).expect("written");
    let gateway = Server::gateway(&config);
    let client = client();
    let api = format!("{}/api/v1/patients", gateway.url);
    for id in ["p-1", "p-2", "p-3"] {
        let body = json!({ "id": id, "names": [{ "family": "Ruiz" }], "gender": "female", "birth_date": BORN });
        let said = send(&client, "POST", &api, &[("Idempotency-Key", id)], &body).await.expect("an answer");
        assert_eq!(said.status, 202, "{}", said.text);
    }
    let syncs = format!("{}/api/v1/syncs?state=synced", gateway.url);
    wait_for("three synced", Duration::from_secs(60), async || {
        let said = send(&client, "GET", &syncs, &[], &Value::Null).await.ok()?;
        (said.body["items"].as_array()?.len() == 3).then_some(())
    })
    .await;
    // A second version of one, and a change at the EHR of another.
    let url = format!("{api}/p-1");
    let change = json!({ "gender": "other" });
    let said = send(&client, "PATCH", &url, &[("If-Match", "W/\"1\"")], &change).await.expect("an answer");
    assert_eq!(said.status, 202, "{}", said.text);
    let search = format!("{base}/fhir/Patient?identifier=urn:liaison:shadowed:patient%7Cp-2");
    let found = send(&client, "GET", &search, &[], &Value::Null).await.expect("an answer").body;
    let mut theirs = found["entry"][0]["resource"].clone();
    theirs["active"] = json!(true);
    let there = format!("{base}/fhir/Patient/{}", theirs["id"].as_str().expect("an id"));
    assert_eq!(send(&client, "PUT", &there, &[], &theirs).await.expect("an answer").status, 200);
    let url = format!("{api}/p-2");
    wait_for("the change comes here", Duration::from_secs(60), async || {
        let said = send(&client, "GET", &url, &[], &Value::Null).await.ok()?;
        (said.body["active"] == json!(true)).then_some(())
    })
    .await;
    wait_for("all synced", Duration::from_secs(60), async || {
        let said = send(&client, "GET", &syncs, &[], &Value::Null).await.ok()?;
        (said.body["items"].as_array()?.len() == 3).then_some(())
    })
    .await;
    gateway
}

/// The built-in patient, its birth date at another place if `moved`.
fn candidate(folder: &Path, moved: bool) -> String {
    let (from, to) = (root().join("mappings/patient"), folder.join(if moved { "moved" } else { "same" }));
    let own = to.join("patient");
    std::fs::create_dir_all(own.join("examples")).expect("a folder");
    for name in ["", "examples"] {
        for file in std::fs::read_dir(from.join(name)).expect("a folder").flatten().filter(|e| e.path().is_file()) {
            std::fs::copy(file.path(), own.join(name).join(file.file_name())).expect("copied");
        }
    }
    if moved {
        let rules = std::fs::read_to_string(own.join("mapping.yaml")).expect("rules");
        let other = rules.replace(
            "target: Patient.birthDate,",
            "target: \"Patient.extension('http://example.org/born').valueDate\",",
        );
        assert_ne!(other, rules, "one rule is another");
        std::fs::write(own.join("mapping.yaml"), other).expect("written");
    }
    to.display().to_string()
}

#[test]
fn a_candidate_shows_exactly_what_it_would_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut gateway = block_on(record(folder.path()));
    let ledger = folder.path().join("ledger").display().to_string();
    let (same, other) = (candidate(folder.path(), false), candidate(folder.path(), true));
    let shadow = |candidate: &str, more: &[&str]| {
        run(&[&["mappings", "shadow", "--candidate", candidate, "--ledger", &ledger, "--output", "json"], more]
            .concat())
    };

    // Beside the running gateway: it only reads.
    let said = shadow(&same, &[]);
    assert_eq!(said.code, 0, "{}", said.err);
    let found: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((&found["changed"], &found["differences"]), (&json!(0), &json!([])));
    assert!(found["tried"].as_u64() >= Some(8), "five accepted or applied versions, as many sights: {found}");
    gateway.kill();

    let said = shadow(&other, &[]);
    assert_eq!(said.code, 1, "{}", said.err);
    let found: Value = serde_json::from_str(&said.out).expect("JSON");
    let seen: Vec<(&str, &str)> = found["differences"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["direction"].as_str().expect("text"), one["path"].as_str().expect("text")))
        .collect();
    // What the EHR holds already stays (no rule names it any more): only the three creates lack the date.
    assert_eq!(
        seen,
        [("to_fhir", "Patient.birthDate"), ("to_fhir", "Patient.extension"), ("to_internal", "birth_date")]
    );
    assert_eq!(found["differences"][0]["records"], json!(3));
    assert_eq!(found["differences"][0]["examples"], json!(["p-1", "p-2", "p-3"]));
    assert!(found["differences"][0]["rule"].as_str().is_some_and(|rule| rule.starts_with("patient/mapping.yaml:")));
    assert!(!said.out.contains(BORN), "no values unless asked for");
    assert!(shadow(&other, &["--values"]).out.contains(BORN));

    let tried = |more: &[&str]| {
        let said = shadow(&other, more);
        (said.code, serde_json::from_str::<Value>(&said.out).expect("JSON")["tried"].as_u64())
    };
    assert_eq!(tried(&["--limit", "2"]).1, Some(2));
    assert_eq!(tried(&["--object", "appointment"]), (0, Some(0)));
    assert_eq!(tried(&["--system", "elsewhere"]), (0, Some(0)));
    let text = run(&["mappings", "shadow", "--candidate", &other, "--ledger", &ledger]);
    assert!(text.out.contains("patient to FHIR: Patient.birthDate, 3 records") && !text.out.contains(BORN));

    assert_eq!(shadow(&other, &["--object", "no-such"]).code, 2);
    assert_eq!(shadow("/nowhere", &[]).code, 2);
    assert_eq!(run(&["mappings", "shadow", "--candidate", &other, "--ledger", "/nowhere"]).code, 2);
}
