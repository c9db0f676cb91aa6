//! `/fhir` of the gateway as an EHR vendor reads it: the objects that were pushed, as FHIR, by their own ids.

use serde_json::{Value, json};

use crate::support::{Answer, Server, block_on, client, send};

struct Gateway {
    server: Server,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Gateway {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("liaison.toml");
        let ledger = folder.path().join("ledger");
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ninstance = \"north\"\n[ledger]\npath = {:?}\n",
            ledger.to_string_lossy()
        );
        std::fs::write(&config, text).expect("written");
        Self { server: Server::gateway(&config), client: client(), _folder: folder }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        send(&self.client, method, &format!("{}{path}", self.server.url), headers, &body).await.expect("an answer")
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], Value::Null).await
    }

    async fn push(&self, plural: &str, body: Value) {
        let key = body["id"].as_str().expect("an id").to_owned();
        let answer = self.send("POST", &format!("/api/v1/{plural}"), &[("idempotency-key", &key)], body).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
    }

    async fn clinic(&self) {
        for (id, family, mrn) in [("p-1", "Núñez", "0001"), ("p-2", "حداد", "0002")] {
            self.push(
                "patients",
                json!({"id": id, "active": true, "names": [{"family": family}],
                "identifiers": [{"system": "https://clinic.example/mrn", "value": mrn}]}),
            )
            .await;
        }
        self.push(
            "appointments",
            json!({"id": "a-1", "status": "booked",
            "start": "2026-10-25T01:30:00+00:00[Europe/London]", "end": "2026-10-25T02:00:00+00:00[Europe/London]",
            "participants": [{"who": {"object": "patient", "id": "p-1"}, "reply": "accepted"}]}),
        )
        .await;
    }
}

fn ids(bundle: &Value) -> Vec<&str> {
    bundle["entry"].as_array().into_iter().flatten().filter_map(|entry| entry["resource"]["id"].as_str()).collect()
}

#[test]
fn pushed_objects_are_read_and_found() {
    block_on(async {
        let gateway = Gateway::start();
        gateway.clinic().await;
        let patient = gateway.get("/fhir/Patient/p-1").await;
        assert_eq!((patient.status, &patient.body["name"][0]["family"]), (200, &json!("Núñez")));
        assert_eq!(patient.headers["etag"].to_str().expect("text"), "W/\"1\"");
        assert_eq!(patient.headers["content-type"].to_str().expect("text"), "application/fhir+json");
        let own = json!({"system": "urn:liaison:north:patient", "value": "p-1"});
        assert!(patient.body["identifier"].as_array().expect("identifiers").contains(&own));

        let cases: &[(&str, &[&str])] = &[
            ("/fhir/Patient?_id=p-1,p-2,p-9", &["p-1", "p-2"]),
            ("/fhir/Patient?identifier=https://clinic.example/mrn|0002", &["p-2"]),
            ("/fhir/Patient?identifier=urn:liaison:north:patient|p-1", &["p-1"]),
            ("/fhir/Patient?identifier=0003", &[]),
            ("/fhir/Patient?family=nunez", &["p-1"]),
            ("/fhir/Patient?_lastUpdated=gt2020-01-01", &["p-1", "p-2"]),
            ("/fhir/Patient?_lastUpdated=lt2020-01-01", &[]),
            ("/fhir/Appointment?patient=Patient/p-1", &["a-1"]),
            ("/fhir/Appointment?date=2026-10-25T01:30:00Z&_include=Appointment:patient", &["a-1", "p-1"]),
        ];
        for (path, expected) in cases {
            let found = gateway.get(path).await;
            assert_eq!((found.status, ids(&found.body)), (200, expected.to_vec()), "{path}");
        }
        let appointment = gateway.get("/fhir/Appointment/a-1").await.body;
        assert_eq!(
            appointment["participant"][0]["actor"]["reference"], "Patient/p-1",
            "references lead to /fhir itself"
        );
        assert_eq!(gateway.get("/fhir/Patient/p-9").await.status, 404);
        assert_eq!(gateway.get("/fhir/Nonsense/1").await.status, 404);
    });
}

#[test]
fn a_change_is_seen_at_once_and_the_past_stays() {
    block_on(async {
        let gateway = Gateway::start();
        gateway.clinic().await;
        assert_eq!(ids(&gateway.get("/fhir/Patient?identifier=0001").await.body), ["p-1"]);
        let patch = json!({"identifiers": [{"system": "https://clinic.example/mrn", "value": "7777"}]});
        let url = format!("{}/api/v1/patients/p-1", gateway.server.url);
        let changed = gateway.client.patch(url).header("content-type", "application/merge-patch+json");
        let changed = changed.header("if-match", "W/\"1\"").header("idempotency-key", "k").body(patch.to_string());
        assert_eq!(changed.send().await.expect("an answer").status(), 202);
        assert_eq!(ids(&gateway.get("/fhir/Patient?identifier=7777").await.body), ["p-1"]);
        assert_eq!(ids(&gateway.get("/fhir/Patient?identifier=0001").await.body), Vec::<&str>::new());
        let history = gateway.get("/fhir/Patient/p-1/_history").await.body;
        let versions: Vec<&str> = history["entry"]
            .as_array()
            .expect("entries")
            .iter()
            .filter_map(|entry| entry["resource"]["meta"]["versionId"].as_str())
            .collect();
        assert_eq!(versions, ["2", "1"]);
        let first = gateway.get("/fhir/Patient/p-1/_history/1").await.body;
        assert!(first.to_string().contains("0001") && !first.to_string().contains("7777"), "{first}");
    });
}

#[test]
fn pages_lead_on() {
    block_on(async {
        let gateway = Gateway::start();
        gateway.clinic().await;
        let first = gateway.get("/fhir/Patient?_count=1").await.body;
        assert_eq!((&first["total"], ids(&first)), (&json!(2), vec!["p-1"]));
        let next = first["link"].as_array().expect("links").iter().find(|link| link["relation"] == "next");
        let next = next.expect("a next link")["url"].as_str().expect("a URL").to_owned();
        let second = gateway.get(next.strip_prefix(&gateway.server.url).expect("ours")).await;
        assert_eq!((second.status, ids(&second.body)), (200, vec!["p-2"]), "{}", second.text);
    });
}

#[test]
fn what_is_not_offered_is_refused_in_fhir() {
    block_on(async {
        let gateway = Gateway::start();
        gateway.clinic().await;
        let patient = json!({"resourceType": "Patient", "id": "p-1"});
        for (method, path) in [
            ("POST", "/fhir/Patient"),
            ("PUT", "/fhir/Patient/p-1"),
            ("DELETE", "/fhir/Patient/p-1"),
            ("POST", "/fhir"),
        ] {
            let refused = gateway.send(method, path, &[], patient.clone()).await;
            assert_eq!(
                (refused.status, &refused.body["resourceType"]),
                (501, &json!("OperationOutcome")),
                "{method} {path}"
            );
        }
        assert_eq!(gateway.get("/fhir/Patient/_history").await.status, 501);
        assert_eq!(
            gateway.send("GET", "/fhir/Patient/p-1", &[("accept", "application/fhir+xml")], Value::Null).await.status,
            406
        );
        assert_eq!(gateway.get("/fhir/Patient/p-1").await.body["meta"]["versionId"], "1");

        let statement = gateway.get("/fhir/metadata").await.body;
        assert_eq!(statement["fhirVersion"], "4.0.1");
        let types = statement["rest"][0]["resource"].as_array().expect("types");
        let patient = types.iter().find(|kind| kind["type"] == "Patient").expect("Patient");
        let offered: Vec<&str> = patient["interaction"]
            .as_array()
            .expect("interactions")
            .iter()
            .filter_map(|interaction| interaction["code"].as_str())
            .collect();
        assert_eq!(offered, ["read", "vread", "history-instance", "search-type"], "only what is served is promised");

        let bad = json!({"resourceType": "Patient", "gender": "often"});
        let asked = gateway.send("POST", "/fhir/Patient/$validate", &[], bad).await;
        assert_eq!(asked.status, 200);
        let issues = asked.body["issue"].as_array().expect("issues");
        assert!(issues.iter().any(|issue| issue["severity"] == "error" && issue["expression"][0] == "Patient.gender"));
    });
}
