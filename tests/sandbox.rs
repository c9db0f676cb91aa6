//! The sandbox EHR as a client sees it: FHIR's REST semantics over HTTP, judged by answers and by the true history.

use std::collections::BTreeSet;

use liaison::sandbox::{self, Options, Running};
use serde_json::{Value, json};

use crate::support::{Answer, block_on, client, send};

pub struct Ehr {
    pub running: Running,
    pub client: reqwest::Client,
}

impl Ehr {
    pub async fn start() -> Self {
        Self::with("").await
    }

    /// With these faults (TOML).
    pub async fn with(faults: &str) -> Self {
        let faults = sandbox::FaultsFile::parse(faults).expect("good faults");
        let running = sandbox::spawn(Options { faults, ..Options::default() }).await.expect("starts");
        Self { running, client: client() }
    }

    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Result<Answer, reqwest::Error> {
        send(&self.client, method, &format!("{}{path}", self.running.url), headers, &body).await
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        self.try_send(method, path, headers, body).await.expect("an answer")
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], Value::Null).await
    }

    /// Creates, and gives the id.
    pub async fn create(&self, body: Value) -> String {
        let kind = body["resourceType"].as_str().expect("a type").to_owned();
        let answer = self.send("POST", &format!("/{kind}"), &[], body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.body["id"].as_str().expect("an id").to_owned()
    }
}

pub fn patient(identifier: &str) -> Value {
    json!({"resourceType": "Patient", "identifier": [{"system": "urn:test", "value": identifier}], "active": true})
}

pub fn ids(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    entries.iter().filter_map(|entry| entry["resource"]["id"].as_str().map(str::to_owned)).collect()
}

fn header(answer: &Answer, name: &str) -> String {
    answer.headers.get(name).map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
}

#[test]
fn a_resource_lives_and_dies() {
    block_on(async {
        let ehr = Ehr::start().await;
        let made = ehr.send("POST", "/Patient", &[], patient("1")).await;
        assert_eq!((made.status, header(&made, "etag").as_str()), (201, "W/\"1\""));
        let id = made.body["id"].as_str().expect("an id").to_owned();
        assert_eq!(header(&made, "location"), format!("{}/Patient/{id}/_history/1", ehr.running.url));
        assert!(header(&made, "last-modified").ends_with("GMT"));
        let path = format!("/Patient/{id}");

        let mut body = made.body.clone();
        body["birthDate"] = json!("1980-01-02");
        let changed = ehr.send("PUT", &path, &[("if-match", "W/\"1\"")], body.clone()).await;
        assert_eq!((changed.status, header(&changed, "etag").as_str()), (200, "W/\"2\""));
        let stale = ehr.send("PUT", &path, &[("if-match", "W/\"1\"")], body).await;
        assert_eq!((stale.status, &stale.body["resourceType"]), (412, &json!("OperationOutcome")));

        let patch = json!([{"op": "replace", "path": "/birthDate", "value": "1981-01-02"}]);
        let headers = [("content-type", "application/json-patch+json")];
        let url = format!("{}{path}", ehr.running.url);
        let patched = ehr.client.patch(&url).header(headers[0].0, headers[0].1).body(patch.to_string());
        let patched: Value =
            serde_json::from_str(&patched.send().await.expect("an answer").text().await.expect("text")).expect("JSON");
        assert_eq!((&patched["birthDate"], &patched["meta"]["versionId"]), (&json!("1981-01-02"), &json!("3")));

        assert_eq!(ehr.send("DELETE", &path, &[], Value::Null).await.status, 204);
        assert_eq!(ehr.send("DELETE", &path, &[], Value::Null).await.status, 204, "deleting twice is no error");
        assert_eq!(ehr.get(&path).await.status, 410);
        assert_eq!(ehr.get("/Patient/unknown").await.status, 404);
        assert_eq!(ehr.get(&format!("{path}/_history/2")).await.body["birthDate"], "1980-01-02");
        let history = ehr.get(&format!("{path}/_history")).await.body;
        let versions: Vec<&str> = history["entry"]
            .as_array()
            .expect("entries")
            .iter()
            .filter_map(|e| e["request"]["method"].as_str())
            .collect();
        assert_eq!(versions, ["DELETE", "PATCH", "PUT", "POST"], "newest first");

        let methods: Vec<&str> = ehr.running.truth().iter().map(|version| version.method.name()).collect();
        assert_eq!(methods, ["POST", "PUT", "PATCH", "DELETE"]);
    });
}

#[test]
fn the_truth_is_told_line_by_line() {
    block_on(async {
        let ehr = Ehr::start().await;
        let id = ehr.create(patient("1")).await;
        ehr.send("DELETE", &format!("/Patient/{id}"), &[], Value::Null).await;
        let url = format!("http://{}/_truth", ehr.running.address);
        let text = ehr.client.get(url).send().await.expect("an answer").text().await.expect("text");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 2);
        for line in &lines {
            let names: Vec<&String> = line.as_object().expect("an object").keys().collect();
            assert_eq!(names, ["at", "method", "type", "id", "version", "body"]);
        }
        assert_eq!((&lines[0]["method"], &lines[0]["version"]), (&json!("POST"), &json!("1")));
        assert_eq!((&lines[1]["method"], &lines[1]["body"]), (&json!("DELETE"), &Value::Null));
    });
}

#[test]
fn conditional_creates_make_one_even_at_once() {
    block_on(async {
        let ehr = Ehr::start().await;
        let condition = [("if-none-exist", "identifier=urn:test|1")];
        let tries = (0..20).map(|_| ehr.send("POST", "/Patient", &condition, patient("1")));
        let mut statuses: Vec<u16> = futures_util::future::join_all(tries).await.iter().map(|a| a.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        assert_eq!(ehr.running.truth().len(), 1);
        ehr.create(patient("1")).await;
        assert_eq!(ehr.send("POST", "/Patient", &condition, patient("1")).await.status, 412, "several match");
        let unknown = [("if-none-exist", "nonsense=1")];
        assert_eq!(ehr.send("POST", "/Patient", &unknown, patient("1")).await.status, 400, "never guessed at");
        let empty = [("if-none-exist", "")];
        assert_eq!(ehr.send("POST", "/Patient", &empty, patient("1")).await.status, 400);
        assert_eq!(ehr.running.truth().len(), 2);
    });
}

#[test]
fn updates_create_and_conditional_ones_find() {
    block_on(async {
        let ehr = Ehr::start().await;
        let mut body = patient("1");
        body["id"] = json!("mine");
        assert_eq!(ehr.send("PUT", "/Patient/mine", &[("if-match", "W/\"1\"")], body.clone()).await.status, 412);
        assert_eq!(ehr.send("PUT", "/Patient/mine", &[], body.clone()).await.status, 201);
        assert_eq!(ehr.send("PUT", "/Patient/other", &[], body.clone()).await.status, 400, "ids differ");
        let found = ehr.send("PUT", "/Patient?identifier=urn:test%7C1", &[], patient("1")).await;
        assert_eq!((found.status, &found.body["id"]), (200, &json!("mine")));
        let made = ehr.send("PUT", "/Patient?identifier=urn:test%7C2", &[], patient("2")).await;
        assert_eq!(made.status, 201);
        let gone = ehr.send("DELETE", "/Patient?identifier=urn:test%7C2", &[], Value::Null).await;
        assert_eq!(gone.status, 204);
        assert_eq!(ehr.get("/Patient?identifier=urn:test%7C2").await.body["total"], 0);
        assert_eq!(ehr.send("PUT", "/Patient/mine", &[("if-none-match", "*")], body).await.status, 412);
    });
}

#[test]
fn what_a_write_returns_is_chosen() {
    block_on(async {
        let ehr = Ehr::start().await;
        let minimal = ehr.send("POST", "/Patient", &[("prefer", "return=minimal")], patient("1")).await;
        assert_eq!((minimal.status, minimal.text.as_str()), (201, ""));
        assert!(!header(&minimal, "location").is_empty());
        let outcome = ehr.send("POST", "/Patient", &[("prefer", "return=OperationOutcome")], patient("1")).await;
        assert_eq!(outcome.body["resourceType"], "OperationOutcome");
    });
}

#[test]
fn searches_find_and_page() {
    block_on(async {
        let ehr = Ehr::start().await;
        let mut made = BTreeSet::new();
        for n in 0..25 {
            made.insert(ehr.create(patient(&n.to_string())).await);
        }
        let one = ehr.get("/Patient?identifier=urn:test|7").await.body;
        assert_eq!((&one["total"], one["entry"][0]["search"]["mode"].as_str()), (&json!(1), Some("match")));
        assert_eq!(ehr.get("/Patient?identifier=urn:other|7").await.body["total"], 0);
        assert_eq!(ehr.get("/Patient?identifier=7,8").await.body["total"], 2);
        assert_eq!(ehr.get("/Patient?_summary=count").await.body["entry"], Value::Null);
        let some: Vec<&str> = made.iter().take(2).map(String::as_str).collect();
        assert_eq!(ids(&ehr.get(&format!("/Patient?_id={}", some.join(","))).await.body), some);

        let mut page = ehr.get("/Patient?_count=10").await.body;
        let mut seen: Vec<String> = Vec::new();
        let mut sizes = Vec::new();
        loop {
            sizes.push(ids(&page).len());
            seen.extend(ids(&page));
            // What is written while the pages are read neither moves nor doubles anything.
            ehr.create(patient("late")).await;
            let links = page["link"].as_array().expect("links");
            let Some(next) = links.iter().find(|link| link["relation"] == "next") else { break };
            let next = next["url"].as_str().expect("a URL").strip_prefix(&ehr.running.url).expect("ours").to_owned();
            page = ehr.get(&next).await.body;
        }
        assert_eq!(sizes, [10, 10, 5]);
        assert_eq!(seen.iter().cloned().collect::<BTreeSet<_>>(), made);
        assert_eq!(ehr.get("?_page=unknown.10").await.status, 410);
    });
}

#[test]
fn last_updated_finds_what_changed_since() {
    block_on(async {
        let ehr = Ehr::start().await;
        let first = ehr.create(patient("1")).await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        let second = ehr.send("POST", "/Patient", &[], patient("2")).await.body;
        let at = second["meta"]["lastUpdated"].as_str().expect("a time").to_owned();
        let since = ehr.get(&format!("/Patient?_lastUpdated=ge{at}")).await.body;
        assert_eq!(ids(&since), [second["id"].as_str().expect("an id")]);
        let before = ehr.get(&format!("/Patient?_lastUpdated=lt{at}&_sort=-_lastUpdated")).await.body;
        assert_eq!(ids(&before), [first]);
        let sorted = ehr.get("/Patient?_sort=-_lastUpdated").await.body;
        assert_eq!(ids(&sorted)[0], second["id"].as_str().expect("an id"));
        assert_eq!(ehr.get("/Patient?_lastUpdated=yesterday").await.status, 400);
    });
}

#[test]
fn unknown_parameters_are_ignored_aloud_or_refused() {
    block_on(async {
        let ehr = Ehr::start().await;
        ehr.create(patient("1")).await;
        let lenient = ehr.get("/Patient?colour=red").await.body;
        assert_eq!(lenient["total"], 1);
        assert_eq!(lenient["entry"][1]["search"]["mode"], "outcome");
        assert!(!lenient["link"][0]["url"].as_str().expect("a URL").contains("colour"));
        let strict = ehr.send("GET", "/Patient?colour=red", &[("prefer", "handling=strict")], Value::Null).await;
        assert_eq!(strict.status, 400);
    });
}

#[test]
fn a_transaction_is_all_or_nothing_and_joins_its_entries() {
    block_on(async {
        let ehr = Ehr::start().await;
        let appointment = json!({"resourceType": "Appointment", "status": "booked", "participant": [
            {"actor": {"reference": "urn:uuid:11111111-1111-4111-8111-111111111111"}, "status": "accepted"},
            {"actor": {"reference": "Patient?identifier=urn:test|known"}, "status": "accepted"}]});
        let known = ehr.create(patient("known")).await;
        let bundle = |second: &str| {
            json!({"resourceType": "Bundle", "type": "transaction", "entry": [
                {"fullUrl": "urn:uuid:22222222-2222-4222-8222-222222222222", "resource": appointment,
                 "request": {"method": "POST", "url": "Appointment"}},
                {"fullUrl": "urn:uuid:11111111-1111-4111-8111-111111111111", "resource": patient("new"),
                 "request": {"method": "POST", "url": second, "ifNoneExist": "identifier=urn:test|new"}},
                {"request": {"method": "GET", "url": format!("Patient/{known}")}},
            ]})
        };
        let failed = ehr.send("POST", "", &[], bundle("Appointment")).await;
        assert_eq!(failed.status, 400, "{}", failed.text);
        assert_eq!(failed.body["issue"][0]["expression"][0], "Bundle.entry[1]");
        assert_eq!(ehr.running.truth().len(), 1, "nothing was done");

        let done = ehr.send("POST", "", &[], bundle("Patient")).await;
        assert_eq!((done.status, &done.body["type"]), (200, &json!("transaction-response")), "{}", done.text);
        let made = done.body["entry"][1]["resource"]["id"].as_str().expect("an id").to_owned();
        let actor = |at: usize| done.body["entry"][0]["resource"]["participant"][at]["actor"]["reference"].clone();
        assert_eq!((actor(0), actor(1)), (json!(format!("Patient/{made}")), json!(format!("Patient/{known}"))));
        assert_eq!(done.body["entry"][0]["response"]["status"], "201 Created");
        assert_eq!(done.body["entry"][2]["resource"]["id"], json!(known));

        let again = ehr.send("POST", "/", &[], bundle("Patient")).await;
        assert_eq!(again.body["entry"][1]["response"]["status"], "200 OK", "the patient is found, not made again");
    });
}

#[test]
fn a_batch_is_a_list_of_requests() {
    block_on(async {
        let ehr = Ehr::start().await;
        let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": [
            {"request": {"method": "GET", "url": "Patient/unknown"}},
            {"resource": patient("1"), "request": {"method": "POST", "url": "Patient"}},
            {"request": {"method": "GET", "url": "Patient?identifier=urn:test|1"}},
            {"resource": patient("1")},
        ]});
        let done = ehr.send("POST", "", &[], bundle).await.body;
        let status = |at: usize| done["entry"][at]["response"]["status"].as_str().expect("a status").to_owned();
        assert_eq!(
            [status(0), status(1), status(2), status(3)],
            ["404 Not Found", "201 Created", "200 OK", "400 Bad Request"]
        );
        assert_eq!(done["entry"][0]["response"]["outcome"]["resourceType"], "OperationOutcome");
        assert_eq!(done["entry"][2]["resource"]["total"], 1);
    });
}

#[test]
fn only_json_is_spoken() {
    block_on(async {
        let ehr = Ehr::start().await;
        let url = format!("{}/Patient", ehr.running.url);
        let xml = ehr.client.post(&url).header("content-type", "application/fhir+xml").body("<Patient/>");
        let xml = xml.send().await.expect("an answer");
        assert_eq!(xml.status(), 415);
        assert!(xml.text().await.expect("text").contains("XML"));
        let wanted = ehr.send("GET", "/Patient", &[("accept", "application/fhir+xml")], Value::Null).await;
        assert_eq!(wanted.status, 406);
        assert_eq!(ehr.get("/Patient?_format=xml").await.status, 406);
        assert_eq!(ehr.get("/Patient?_format=json").await.status, 200);
        assert_eq!(header(&ehr.get("/Patient").await, "content-type"), "application/fhir+json");
    });
}

#[test]
fn bad_bodies_and_addresses_are_named() {
    block_on(async {
        let ehr = Ehr::start().await;
        let raw = async |body: &'static str| {
            let request =
                ehr.client.post(format!("{}/Patient", ehr.running.url)).header("content-type", "application/json");
            request.body(body).send().await.expect("an answer").status().as_u16()
        };
        assert_eq!(raw("{").await, 400);
        assert_eq!(raw("").await, 400);
        assert_eq!(raw(r#"{"resourceType":"Patient","id":"1","id":"2"}"#).await, 400, "duplicate keys");
        assert_eq!(raw(r#"{"resourceType":"Observation"}"#).await, 400);
        assert_eq!(ehr.get("/patients").await.status, 404);
        assert_eq!(ehr.get("/metadata").await.body["fhirVersion"], "4.0.1");
        assert_eq!(ehr.send("DELETE", "/metadata", &[], Value::Null).await.status, 405);
        assert_eq!(ehr.send("POST", "/Patient/1", &[], patient("1")).await.status, 405);
        assert_eq!(ehr.get("/Patient/1/$everything").await.status, 501);
        assert_eq!(ehr.running.truth().len(), 0);
    });
}

#[test]
fn numbers_and_unknown_elements_survive() {
    block_on(async {
        let ehr = Ehr::start().await;
        let text = r#"{"resourceType":"Observation","valueQuantity":{"value":1.10},"x-unknown":{"b":1E5,"a":[]}}"#;
        let url = format!("{}/Observation", ehr.running.url);
        let made = ehr.client.post(url).header("content-type", "application/json").body(text).send().await;
        let made = made.expect("an answer").text().await.expect("text");
        assert!(made.contains(r#""valueQuantity":{"value":1.10},"x-unknown":{"b":1E5,"a":[]}"#), "{made}");
    });
}
