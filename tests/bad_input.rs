//! Bad input to the real binary: each mistake gets an exact status or exit code and an answer that names the place and
//! the remedy, and nothing is stored or lost.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use crate::support::{Answer, Server, block_on, client, run, send};

fn configuration(folder: &Path, more: &str) -> std::path::PathBuf {
    let file = folder.join("liaison.toml");
    let ledger = folder.join("ledger").display().to_string();
    std::fs::write(&file, format!("[server]\nlisten = \"127.0.0.1:0\"\n[ledger]\npath = {ledger:?}\n{more}")).unwrap();
    file
}

async fn post(client: &reqwest::Client, gateway: &Server, route: &str, body: &str) -> Answer {
    let answer = client
        .post(format!("{}/api/v1/{route}", gateway.url))
        .header("content-type", "application/json")
        .header("idempotency-key", format!("{:?}", std::time::Instant::now()))
        .body(body.to_owned())
        .send()
        .await
        .expect("an answer");
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.expect("text");
    Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null), text }
}

/// The problem's shape, and that it does not repeat what was sent.
fn explained(answer: &Answer, secret: &str) {
    let kind = answer.headers["content-type"].to_str().unwrap();
    assert!(kind.starts_with("application/problem+json"), "{kind}");
    let code = answer.body["code"].as_str().expect("a code");
    assert_eq!(answer.body["type"], json!(format!("/docs/errors/{code}")));
    assert_eq!(answer.body["status"], answer.status);
    assert!(answer.body["title"].as_str().is_some_and(|title| !title.is_empty()));
    assert!(answer.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    assert!(liaison::error::page(code).is_some(), "{code} has no page");
    assert!(secret.is_empty() || !answer.text.contains(secret), "a patient's data in an error: {}", answer.text);
}

fn finding<'a>(answer: &'a Answer, pointer: &str) -> &'a Value {
    let errors = answer.body["errors"].as_array().expect("errors");
    let found = errors.iter().find(|error| error["pointer"] == pointer);
    let found = found.unwrap_or_else(|| panic!("no finding at {pointer}: {}", answer.text));
    for member in ["code", "detail", "remedy"] {
        assert!(found[member].as_str().is_some_and(|text| !text.is_empty()), "{member} of {found}");
    }
    found
}

#[test]
fn bad_objects_are_refused_with_place_and_remedy_and_leave_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Server::gateway(&configuration(folder.path(), ""));
    block_on(async {
        let client = client();
        let patient =
            json!({"id": "ada", "names": [{"family": "Canary", "given": ["Ada"]}], "birth_date": "1980-02-29"});
        let fine = post(&client, &gateway, "patients", &patient.to_string()).await;
        assert_eq!(fine.status, 202, "{}", fine.text);

        let malformed = post(&client, &gateway, "patients", "{\"id\": \"x\",\n \"birth_date\": }").await;
        assert_eq!(malformed.status, 400);
        explained(&malformed, "");
        assert!(malformed.text.contains("line 2"), "{}", malformed.text);

        let twice = post(&client, &gateway, "patients", "{\"id\": \"x\",\n \"id\": \"Canary\"}").await;
        assert_eq!(twice.status, 400);
        explained(&twice, "Canary");
        assert!(twice.text.contains("line 2"), "{}", twice.text);

        let deep = post(&client, &gateway, "patients", &format!("{}{}", "[".repeat(65), "]".repeat(65))).await;
        assert_eq!(deep.status, 400);
        explained(&deep, "");

        let mut unknown = patient.clone();
        unknown["id"] = json!("x");
        unknown["birthdate"] = json!("1980-02-29");
        let unknown = post(&client, &gateway, "patients", &unknown.to_string()).await;
        assert_eq!(unknown.status, 422, "{}", unknown.text);
        explained(&unknown, "Canary");
        let found = finding(&unknown, "/birthdate");
        assert!(found["remedy"].as_str().unwrap().contains("birth_date"), "did you mean …: {found}");

        let mut wrong = patient.clone();
        wrong["id"] = json!("x");
        wrong["names"][0]["family"] = json!(["Canary"]);
        let wrong = post(&client, &gateway, "patients", &wrong.to_string()).await;
        assert_eq!(wrong.status, 422, "{}", wrong.text);
        explained(&wrong, "Canary");
        finding(&wrong, "/names/0/family");

        let mut impossible = patient.clone();
        impossible["id"] = json!("x");
        impossible["birth_date"] = json!("1981-02-29");
        let impossible = post(&client, &gateway, "patients", &impossible.to_string()).await;
        assert_eq!(impossible.status, 422, "{}", impossible.text);
        explained(&impossible, "1981-02-29");
        finding(&impossible, "/birth_date");

        let appointment = |start: &str, patient: &str| {
            json!({"id": "a1", "status": "booked", "start": start, "end": "2026-03-29T12:00:00+01:00[Europe/London]",
                "participants": [{"who": {"object": "patient", "id": patient}, "reply": "accepted"}]})
        };
        let gap = appointment("2026-03-29T01:30:00[Europe/London]", "ada");
        let gap = post(&client, &gateway, "appointments", &gap.to_string()).await;
        assert_eq!(gap.status, 422, "{}", gap.text);
        explained(&gap, "");
        finding(&gap, "/start");

        let stranger = appointment("2026-03-29T11:30:00+01:00[Europe/London]", "nobody");
        let stranger = post(&client, &gateway, "appointments", &stranger.to_string()).await;
        assert_eq!(stranger.status, 422, "{}", stranger.text);
        explained(&stranger, "nobody");
        finding(&stranger, "/participants/0/who");

        let fine = appointment("2026-03-29T11:30:00+01:00[Europe/London]", "ada");
        let fine = post(&client, &gateway, "appointments", &fine.to_string()).await;
        assert_eq!(fine.status, 202, "{}", fine.text);

        let upload = format!("sha256-{}", "0".repeat(64));
        let letter = json!({"id": "l1", "status": "current", "patient": {"object": "patient", "id": "ada"},
            "files": [{"file": {"content_type": "application/pdf", "id": upload}}]});
        let letter = post(&client, &gateway, "letters", &letter.to_string()).await;
        assert_eq!(letter.status, 422, "{}", letter.text);
        explained(&letter, &upload);
        finding(&letter, "/files/0/file/id");

        // Not only refused: the caller, still sending, gets to read why.
        let huge = post(&client, &gateway, "patients", &"x".repeat(50 << 20)).await;
        assert_eq!(huge.status, 413);
        explained(&huge, "");
        let to_fhir = client.post(format!("{}/fhir/Patient/$validate", gateway.url)).body("x".repeat(50 << 20));
        assert_eq!(to_fhir.send().await.expect("an answer").status().as_u16(), 413);

        let none = send(&client, "GET", &format!("{}/api/v1/unicorns", gateway.url), &[], &Value::Null).await.unwrap();
        assert_eq!(none.status, 404);
        explained(&none, "");

        for id in ["x", "nobody"] {
            let url = format!("{}/api/v1/patients/{id}", gateway.url);
            assert_eq!(send(&client, "GET", &url, &[], &Value::Null).await.unwrap().status, 404, "{id} left a trace");
        }
        let kept = send(&client, "GET", &format!("{}/api/v1/patients/ada", gateway.url), &[], &Value::Null).await;
        assert_eq!(kept.unwrap().status, 200);
    });
    drop(gateway);
    let ledger = folder.path().join("ledger");
    let verified = run(&["ledger", "verify", "--ledger", &ledger.to_string_lossy()]);
    assert_eq!(verified.code, 0, "{verified:?}");
    let verified: Value = serde_json::from_str(&verified.out).unwrap();
    assert_eq!(verified["ok"], true);
    assert_eq!(verified["entries"], 2, "the ledger holds the two good objects and nothing else");
}

#[test]
fn an_occupied_port_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let file = folder.path().join("liaison.toml");
    let ledger = folder.path().join("ledger");
    std::fs::write(
        &file,
        format!("[server]\nlisten = \"127.0.0.1:{port}\"\n[ledger]\npath = {:?}\n", ledger.display().to_string()),
    )
    .unwrap();
    let said = run(&["serve", "--config", &file.to_string_lossy()]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.out.is_empty() && said.err.contains(&port.to_string()) && said.err.contains("listen"), "{said:?}");
    assert!(!ledger.exists(), "a gateway that cannot listen leaves nothing behind");
}

#[test]
fn a_ledger_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    // A file where the folder should be: refused for root as well.
    std::fs::write(folder.path().join("ledger"), "not a folder").unwrap();
    let said = run(&["serve", "--config", &configuration(folder.path(), "").to_string_lossy()]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("ledger"), "{said:?}");
    assert_eq!(std::fs::read(folder.path().join("ledger")).unwrap(), b"not a folder");
}

#[test]
fn a_ledger_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(folder.path(), "");
    let gateway = Server::gateway(&config);
    let said = run(&["serve", "--config", &config.to_string_lossy()]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("in use"), "{said:?}");
    drop(gateway);
}

#[test]
fn configuration_mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let says = |more: &str| {
        let said = run(&["serve", "--config", &configuration(folder.path(), more).to_string_lossy()]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains("LIA-"), "a code: {said:?}");
        said.err
    };
    assert!(says("[mappings]\nfolder = \"x\"").contains("line 6"));
    let system = |more: &str| format!("[[systems]]\nname = \"a\"\nbase_url = \"http://127.0.0.1:9/fhir\"\n{more}");
    assert!(says(&system("push = [\"unicorn\"]")).contains("unicorn"));
    assert!(says(&system("zone = \"Europe/Atlantis\"")).contains("zone"));
    assert!(says(&system("dialect = \"klingon\"")).contains("klingon"));
    assert!(says("[profiles]\npackages = [\"no.such.package#1.0.0\"]").contains("no.such.package"));
    let missing = run(&["serve", "--config", "/nonexistent/liaison.toml"]);
    assert_eq!(missing.code, 2);
    assert!(missing.err.contains("/nonexistent/liaison.toml"), "{missing:?}");
}

#[test]
fn sigterm_ends_in_good_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Server::gateway(&configuration(folder.path(), ""));
    let took = gateway.terminate(Duration::from_secs(10)).expect("ends within 10 s");
    println!("ended after {took:?}");
}

#[test]
fn usage_errors_are_exit_2_and_help_is_everywhere() {
    assert_eq!(run(&["fly"]).code, 2);
    assert_eq!(run(&[]).code, 2);
    let help = run(&["--help"]);
    assert_eq!(help.code, 0);
    for command in
        ["demo", "serve", "sandbox", "translate", "validate", "mappings", "profiles", "push", "ledger", "systems"]
    {
        assert!(help.out.contains(command), "{command} is not in --help");
        assert_eq!(run(&[command, "--help"]).code, 0, "{command} --help");
    }
    let unreachable = run(&["push", "--object", "patient", "--to", "http://127.0.0.1:9", "Cargo.toml"]);
    assert_ne!(unreachable.code, 0);
}
