//! The sandbox as `liaison sandbox` runs it: all search parameters of FHIR R4, and validation of writes.

use liaison::sandbox::{self, Options};
use serde_json::{Value, json};

use crate::{
    sandbox::{Ehr, ids},
    support::{block_on, client},
};

async fn practice() -> Ehr {
    let running = sandbox::spawn(Options::practice()).await.expect("starts");
    Ehr { running, client: client() }
}

async fn put(ehr: &Ehr, body: Value) {
    let path = format!("/{}/{}", body["resourceType"].as_str().expect("type"), body["id"].as_str().expect("id"));
    let answer = ehr.send("PUT", &path, &[], body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

/// A small clinic: two patients, a practitioner, three appointments.
async fn clinic() -> Ehr {
    let ehr = practice().await;
    let patient = |id: &str, family: &str, given: &str, born: &str| {
        json!({"resourceType": "Patient", "id": id, "name": [{"use": "official", "family": family, "given": [given]}],
            "identifier": [{"system": "urn:mrn", "value": format!("mrn-{id}")}], "birthDate": born, "active": true,
            "telecom": [{"system": "phone", "value": "+44 20 7946 0000"}]})
    };
    put(&ehr, patient("p1", "Núñez", "José", "1980-03-05")).await;
    put(&ehr, patient("p2", "الحسن", "ليلى", "1992-11-30")).await;
    put(&ehr, json!({"resourceType": "Practitioner", "id": "d1", "name": [{"family": "Okafor"}]})).await;
    for (id, who, start, end, status) in [
        ("a1", "p1", "2026-10-25T00:30:00+01:00", "2026-10-25T01:00:00+01:00", "booked"),
        ("a2", "p1", "2026-10-25T01:30:00+00:00", "2026-10-25T02:00:00+00:00", "booked"),
        ("a3", "p2", "2026-10-26T09:00:00+00:00", "2026-10-26T09:30:00+00:00", "cancelled"),
    ] {
        put(
            &ehr,
            json!({"resourceType": "Appointment", "id": id, "status": status, "start": start, "end": end,
            "participant": [{"actor": {"reference": format!("Patient/{who}")}, "status": "accepted"},
                {"actor": {"reference": "Practitioner/d1"}, "status": "accepted"}]}),
        )
        .await;
    }
    ehr
}

#[test]
fn every_kind_of_parameter_finds() {
    block_on(async {
        let ehr = clinic().await;
        let cases: &[(&str, &[&str])] = &[
            ("/Patient?family=nunez", &["p1"]),
            ("/Patient?name=JOSE", &["p1"]),
            ("/Patient?name:exact=Jose", &[]),
            ("/Patient?name:contains=حسن", &["p2"]),
            ("/Patient?birthdate=1980", &["p1"]),
            ("/Patient?birthdate=gt1980-03-05", &["p2"]),
            ("/Patient?birthdate=ge1980-03-05&birthdate=lt1990", &["p1"]),
            ("/Patient?identifier=urn:mrn|mrn-p2", &["p2"]),
            ("/Patient?active=true", &["p1", "p2"]),
            ("/Patient?phone=%2B44 20 7946 0000&_id=p1", &["p1"]),
            ("/Patient?email:missing=false", &[]),
            ("/Patient?gender:missing=true", &["p1", "p2"]),
            ("/Appointment?patient=Patient/p1", &["a1", "a2"]),
            ("/Appointment?patient=p1&status:not=cancelled", &["a1", "a2"]),
            ("/Appointment?actor=Practitioner/d1&status=cancelled", &["a3"]),
            ("/Appointment?actor:Patient=p2", &["a3"]),
            ("/Appointment?date=2026-10-25", &["a2"]),
            ("/Appointment?date=2026-10-24T23:30:00Z", &["a1"]),
            ("/Appointment?date=ge2026-10-25T01:00:00Z", &["a2", "a3"]),
            ("/Appointment?patient.identifier=urn:mrn|mrn-p1", &["a1", "a2"]),
            ("/Appointment?patient.family=nunez&_sort=-date", &["a2", "a1"]),
            ("/Appointment?actor:Practitioner.name=okafor&status=booked", &["a1", "a2"]),
            ("/Patient?_has:Appointment:patient:status=cancelled", &["p2"]),
            ("/Patient?_sort=-birthdate", &["p2", "p1"]),
            ("/Patient?_id=p2,p1,p9", &["p1", "p2"]),
        ];
        for (path, expected) in cases {
            let answer = ehr.get(path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            assert_eq!(ids(&answer.body), *expected, "{path}");
        }
        for bad in
            ["/Patient?birthdate=soon", "/Patient?family:above=x", "/Patient?_sort=nonsense", "/Patient?_count=x"]
        {
            assert_eq!(ehr.get(bad).await.status, 400, "{bad}");
        }
    });
}

#[test]
fn included_resources_come_along_once() {
    block_on(async {
        let ehr = clinic().await;
        let found =
            ehr.get("/Appointment?status=booked&_include=Appointment:patient&_include=Appointment:practitioner");
        let found = found.await.body;
        assert_eq!(ids(&found), ["a1", "a2", "p1", "d1"]);
        assert_eq!((&found["total"], found["entry"][2]["search"]["mode"].as_str()), (&json!(2), Some("include")));
        let back = ehr.get("/Patient?_id=p1&_revinclude=Appointment:patient").await.body;
        assert_eq!(ids(&back), ["p1", "a1", "a2"]);
        let form = ehr.client.post(format!("{}/Appointment/_search", ehr.running.url));
        let form = form.header("content-type", "application/x-www-form-urlencoded").body("patient=Patient%2Fp2");
        let form: Value =
            serde_json::from_str(&form.send().await.expect("an answer").text().await.expect("text")).expect("JSON");
        assert_eq!(ids(&form), ["a3"]);
        let part = ehr.get("/Patient?_id=p1&_elements=birthDate").await.body["entry"][0]["resource"].clone();
        assert!(
            part["name"].is_null()
                && part["birthDate"] == "1980-03-05"
                && part["meta"]["tag"][0]["code"] == "SUBSETTED"
        );
    });
}

#[test]
fn invalid_writes_are_refused_with_the_place() {
    block_on(async {
        let ehr = practice().await;
        let bad = json!({"resourceType": "Appointment", "status": "perhaps", "participant": []});
        let refused = ehr.send("POST", "/Appointment", &[], bad.clone()).await;
        assert_eq!((refused.status, &refused.body["resourceType"]), (422, &json!("OperationOutcome")));
        assert!(refused.text.contains("Appointment.status"), "{}", refused.text);
        let asked = ehr.send("POST", "/Appointment/$validate", &[], bad).await;
        assert_eq!(asked.status, 200);
        assert!(asked.body["issue"].as_array().expect("issues").iter().any(|issue| issue["severity"] == "error"));
        assert_eq!(ehr.running.truth().len(), 0);
    });
}

#[test]
fn metadata_states_what_is_offered() {
    block_on(async {
        let ehr = practice().await;
        let statement = ehr.get("/metadata").await.body;
        assert_eq!((&statement["fhirVersion"], &statement["kind"]), (&json!("4.0.1"), &json!("instance")));
        let types = statement["rest"][0]["resource"].as_array().expect("types");
        assert!(types.len() > 140, "{}", types.len());
        let patient = types.iter().find(|kind| kind["type"] == "Patient").expect("Patient");
        let names: Vec<&str> = patient["searchParam"]
            .as_array()
            .expect("parameters")
            .iter()
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        for name in ["_id", "_lastUpdated", "identifier", "family", "birthdate", "general-practitioner"] {
            assert!(names.contains(&name), "{name} of {names:?}");
        }
        // The statement is itself valid.
        let asked = ehr.send("POST", "/CapabilityStatement/$validate", &[], statement).await;
        let errors: Vec<&Value> = asked.body["issue"]
            .as_array()
            .expect("issues")
            .iter()
            .filter(|issue| issue["severity"] == "error")
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
    });
}

#[test]
fn finding_by_identifier_does_not_slow_down_with_the_number_of_patients() {
    block_on(async {
        use liaison::rest::{Method, Request};
        let ehr = Ehr {
            running: sandbox::spawn(Options { check: None, ..Options::practice() }).await.expect("starts"),
            client: client(),
        };
        let fill = |from: usize, to: usize| {
            for n in from..to {
                let mut request = Request::new(Method::Post, "Patient", "");
                request.headers.push(("if-none-exist".to_owned(), format!("identifier=urn:mrn|{n}")));
                let body =
                    json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": n.to_string()}]});
                request.body = body.to_string().into_bytes();
                assert_eq!(ehr.running.request(&request).status, 201);
            }
        };
        let search = || {
            let started = std::time::Instant::now();
            for n in 0..300 {
                let request = Request::new(Method::Get, "Patient", &format!("identifier=urn:mrn%7C{n}"));
                assert_eq!(ehr.running.request(&request).status, 200);
            }
            started.elapsed()
        };
        let small = std::env::var("LIAISON_SCALE").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_usize);
        let started = std::time::Instant::now();
        fill(0, small);
        let (first, few) = (started.elapsed(), search().min(search()));
        let started = std::time::Instant::now();
        fill(small, small * 10);
        let (second, many) = (started.elapsed(), search().min(search()));
        println!("fill {small}: {first:?}, 9 times as many: {second:?}; 300 searches: {few:?}, then {many:?}");
        assert!(many < few * 4, "{few:?} among {small}, {many:?} among ten times as many");
        assert!(second < first * 9 * 4, "filling: {first:?}, then {second:?} for nine times as many");
    });
}

#[test]
fn the_command_starts_speaks_fhir_and_refuses_bad_faults() {
    use crate::support::{Server, root, run, send};
    let faults = root().join("examples/faults.toml");
    let server = Server::start(&["sandbox", "--listen", "127.0.0.1:0", "--faults", &faults.to_string_lossy()]);
    block_on(async {
        let client = client();
        let answer =
            crate::support::wait_for("an answer without a fault", std::time::Duration::from_secs(10), || async {
                let answer = send(&client, "GET", &format!("{}/fhir/metadata", server.url), &[], &Value::Null).await;
                answer.ok().filter(|answer| answer.status == 200 && answer.body["fhirVersion"] == "4.0.1")
            });
        assert_eq!(answer.await.body["resourceType"], "CapabilityStatement");
    });
    let address = server.url.strip_prefix("http://").expect("an address").to_owned();
    let taken = run(&["sandbox", "--listen", &address]);
    assert_eq!(taken.code, 2, "{}", taken.err);
    assert!(taken.err.contains(&address) && taken.err.contains("--listen"), "{}", taken.err);

    let folder = tempfile::tempdir().expect("a folder");
    let bad = folder.path().join("faults.toml");
    std::fs::write(&bad, "[[fault]]\nkind = \"drop-reply\"\nprobabilty = 0.5\n").expect("written");
    let refused = run(&["sandbox", "--listen", "127.0.0.1:0", "--faults", &bad.to_string_lossy()]);
    assert_eq!(refused.code, 1, "{}", refused.err);
    assert!(refused.err.contains("line 3") && refused.err.contains("probabilty"), "{}", refused.err);
    let missing = run(&["sandbox", "--faults", "/nowhere/faults.toml"]);
    assert_eq!(missing.code, 2, "{}", missing.err);
}
