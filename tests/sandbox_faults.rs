//! Each fault of PROMISES, "The faulty EHR", as a client meets it, judged by the sandbox's true history.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    sandbox::{Ehr, ids, patient},
    support::block_on,
};

#[test]
fn a_reply_is_lost_after_the_commit() {
    block_on(async {
        let ehr = Ehr::with("[[fault]]\nkind = \"drop-reply\"\nmethod = \"POST\"\npath = \"Patient\"\ntimes = 1").await;
        assert!(ehr.try_send("POST", "/Patient", &[], patient("1")).await.is_err(), "no answer may come");
        assert_eq!(ehr.running.truth().len(), 1, "and yet it happened");
        assert_eq!(ehr.send("POST", "/Patient", &[], patient("2")).await.status, 201, "once only");
        assert_eq!(ehr.running.faults_by_kind(), [(liaison::sandbox::FaultKind::DropReply, 1)]);
    });
}

#[test]
fn a_request_is_lost_before_the_commit() {
    block_on(async {
        let ehr = Ehr::with("[[fault]]\nkind = \"drop-request\"\ntimes = 1").await;
        assert!(ehr.try_send("POST", "/Patient", &[], patient("1")).await.is_err());
        assert_eq!(ehr.running.truth().len(), 0);
    });
}

#[test]
fn answers_are_late_or_drip() {
    block_on(async {
        for kind in ["delay", "drip"] {
            let ehr = Ehr::with(&format!("[[fault]]\nkind = \"{kind}\"\nseconds = 0.4\ntimes = 1")).await;
            let started = Instant::now();
            assert_eq!(ehr.send("POST", "/Patient", &[], patient("1")).await.status, 201);
            assert!(started.elapsed() >= Duration::from_millis(350), "{kind}: {:?}", started.elapsed());
            let started = Instant::now();
            ehr.get("/Patient").await;
            assert!(started.elapsed() < Duration::from_millis(350), "{kind} strikes once");
        }
    });
}

#[test]
fn refusals_with_and_without_retry_after() {
    block_on(async {
        let ehr = Ehr::with(
            "[[fault]]\nkind = \"status\"\nstatus = 429\nretry_after = 7\ntimes = 1\n\
             [[fault]]\nkind = \"status\"\nafter = 1\ntimes = 1\n\
             [[fault]]\nkind = \"status-after-commit\"\nstatus = 500\nafter = 2\ntimes = 1",
        )
        .await;
        let busy = ehr.send("POST", "/Patient", &[], patient("1")).await;
        assert_eq!((busy.status, busy.headers["retry-after"].to_str().expect("text")), (429, "7"));
        let down = ehr.send("POST", "/Patient", &[], patient("1")).await;
        assert_eq!((down.status, down.headers.get("retry-after")), (503, None));
        assert_eq!(ehr.running.truth().len(), 0);
        assert_eq!(ehr.send("POST", "/Patient", &[], patient("1")).await.status, 500);
        assert_eq!(ehr.running.truth().len(), 1);
    });
}

#[test]
fn the_index_lags_but_reads_and_conditions_do_not() {
    block_on(async {
        let ehr = Ehr::with("[[fault]]\nkind = \"stale-search\"\nseconds = 0.5").await;
        let id = ehr.create(patient("1")).await;
        assert_eq!(ehr.get("/Patient?identifier=urn:test|1").await.body["total"], 0);
        assert_eq!(ehr.get(&format!("/Patient/{id}")).await.status, 200);
        let condition = [("if-none-exist", "identifier=urn:test|1")];
        assert_eq!(ehr.send("POST", "/Patient", &condition, patient("1")).await.status, 200);
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(ehr.get("/Patient?identifier=urn:test|1").await.body["total"], 1);
        let mut changed = patient("2");
        changed["id"] = json!(id);
        ehr.send("PUT", &format!("/Patient/{id}"), &[], changed).await;
        assert_eq!(ehr.get("/Patient?identifier=urn:test|1").await.body["total"], 1, "the old version is still seen");
        assert_eq!(ehr.get("/Patient?identifier=urn:test|2").await.body["total"], 0);
    });
}

#[test]
fn conditions_are_ignored() {
    block_on(async {
        let ehr = Ehr::with("[[fault]]\nkind = \"ignore-if-none-exist\"\n[[fault]]\nkind = \"ignore-if-match\"").await;
        let condition = [("if-none-exist", "identifier=urn:test|1")];
        for _ in 0..2 {
            assert_eq!(ehr.send("POST", "/Patient", &condition, patient("1")).await.status, 201);
        }
        let mut body = patient("1");
        body["id"] = json!("a");
        ehr.send("PUT", "/Patient/a", &[], body.clone()).await;
        assert_eq!(ehr.send("PUT", "/Patient/a", &[("if-match", "W/\"9\"")], body).await.status, 200);
    });
}

#[test]
fn bodies_are_not_what_they_should_be() {
    block_on(async {
        for (kind, says) in [("wrong-body", "Basic"), ("html-body", "<html>"), ("truncated-body", "{\"resource")] {
            let ehr = Ehr::with(&format!("[[fault]]\nkind = \"{kind}\"\nmethod = \"POST\"")).await;
            let answer = ehr.send("POST", "/Patient", &[], patient("1")).await;
            assert!((200..300).contains(&answer.status), "{kind}");
            assert!(answer.text.contains(says), "{kind}: {}", answer.text);
            assert_ne!(answer.body["resourceType"], "Patient", "{kind}");
            assert_eq!(ehr.running.truth().len(), 1, "{kind}: it was committed");
        }
    });
}

#[test]
fn creates_come_twice() {
    block_on(async {
        let ehr = Ehr::with("[[fault]]\nkind = \"duplicate\"").await;
        ehr.create(patient("1")).await;
        let found = ehr.get("/Patient?identifier=urn:test|1").await.body;
        assert_eq!((&found["total"], ehr.running.truth().len()), (&json!(2), 2));
        let condition = [("if-none-exist", "identifier=urn:test|1")];
        assert_eq!(ehr.send("POST", "/Patient", &condition, patient("1")).await.status, 412);
    });
}

#[test]
fn history_is_lost_and_times_stay() {
    block_on(async {
        let ehr = Ehr::with("[[fault]]\nkind = \"no-history\"\n[[fault]]\nkind = \"stale-last-updated\"").await;
        let made = ehr.send("POST", "/Patient", &[], patient("1")).await.body;
        let id = made["id"].as_str().expect("an id");
        tokio::time::sleep(Duration::from_millis(5)).await;
        let changed = ehr.send("PUT", &format!("/Patient/{id}"), &[], made.clone()).await.body;
        assert_eq!(changed["meta"]["versionId"], "2");
        assert_eq!(changed["meta"]["lastUpdated"], made["meta"]["lastUpdated"]);
        assert_eq!(ehr.get(&format!("/Patient/{id}/_history")).await.status, 501);
        assert_eq!(ehr.get(&format!("/Patient/{id}/_history/1")).await.status, 501);
        assert_eq!(ehr.running.truth().len(), 2, "the truth is kept");
    });
}

#[test]
fn clients_may_not_choose_ids() {
    block_on(async {
        let ehr = Ehr::with("[[fault]]\nkind = \"no-update-as-create\"").await;
        let mut body = patient("1");
        body["id"] = json!("mine");
        assert_eq!(ehr.send("PUT", "/Patient/mine", &[], body.clone()).await.status, 405);
        let id = ehr.create(patient("1")).await;
        body["id"] = json!(id);
        assert_eq!(ehr.send("PUT", &format!("/Patient/{id}"), &[], body).await.status, 200);
    });
}

#[test]
fn pages_are_opaque_and_overlap() {
    block_on(async {
        let ehr = Ehr::with("[[fault]]\nkind = \"opaque-paging\"").await;
        for n in 0..5 {
            ehr.create(patient(&n.to_string())).await;
        }
        let first = ehr.get("/Patient?_count=3").await.body;
        assert_eq!(first["total"], Value::Null);
        let next = first["link"].as_array().expect("links").iter().find(|link| link["relation"] == "next");
        let next = next.expect("a next link")["url"].as_str().expect("a URL").to_owned();
        assert!(!next.contains("_count") && !next.contains("offset"), "opaque: {next}");
        let second = ehr.get(next.strip_prefix(&ehr.running.url).expect("ours")).await.body;
        assert_eq!(ids(&first).last(), ids(&second).first(), "one stands on both pages");
        assert_eq!(ids(&second).len(), 3);
    });
}

#[test]
fn tokens_are_short_lived() {
    block_on(async {
        let faults = "[auth]\nrequired = true\ntoken_seconds = 1\nclient_id = \"gw\"\nclient_secret = \"s\"";
        let ehr = Ehr::with(faults).await;
        assert_eq!(ehr.get("/Patient").await.status, 401);
        assert_eq!(ehr.get("/metadata").await.status, 200);
        let url = format!("http://{}/token", ehr.running.address);
        let ask = async |secret: &str| {
            let form = format!("grant_type=client_credentials&client_id=gw&client_secret={secret}");
            let request = ehr.client.post(&url).header("content-type", "application/x-www-form-urlencoded").body(form);
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            (status, serde_json::from_str::<Value>(&answer.text().await.expect("text")).expect("JSON"))
        };
        assert_eq!(ask("wrong").await.0, 401);
        let (status, given) = ask("s").await;
        assert_eq!((status, &given["expires_in"]), (200, &json!(1)));
        let bearer = format!("Bearer {}", given["access_token"].as_str().expect("a token"));
        let with = [("authorization", bearer.as_str())];
        assert_eq!(ehr.send("GET", "/Patient", &with, Value::Null).await.status, 200);
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(ehr.send("GET", "/Patient", &with, Value::Null).await.status, 401);
    });
}

#[test]
fn the_example_names_every_fault() {
    let text = std::fs::read_to_string(crate::support::root().join("examples/faults.toml")).expect("the example");
    let file = liaison::sandbox::FaultsFile::parse(&text).expect("it can be used");
    assert!(file.fault.len() > 5);
    // With the remarks taken off, everything in it must still be understood.
    let all: String = text
        .lines()
        .map(|line| {
            line.strip_prefix("# ").filter(|rest| rest.starts_with("[[") || rest.contains(" = \"")).unwrap_or(line)
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let all = liaison::sandbox::FaultsFile::parse(&all).expect("the remarks hold good keys");
    let kinds: std::collections::BTreeSet<String> = all.fault.iter().map(|f| format!("{:?}", f.kind)).collect();
    assert_eq!(kinds.len(), 17, "{kinds:?}");
    assert!(all.auth.client_id.is_some());
}

#[test]
fn an_outage_breaks_every_connection_and_ends() {
    block_on(async {
        let ehr = Ehr::start().await;
        ehr.create(patient("1")).await;
        ehr.running.outage(true);
        for _ in 0..3 {
            assert!(ehr.try_send("POST", "/Patient", &[], patient("2")).await.is_err());
        }
        assert_eq!(ehr.running.truth().len(), 1);
        ehr.running.outage(false);
        assert_eq!(ehr.send("POST", "/Patient", &[], patient("2")).await.status, 201);
    });
}
