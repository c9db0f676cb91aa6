//! What Liaison authors itself (CapabilityStatement, OperationOutcome), read by fhir-sdk's typed models and written again: nothing may
//! be lost or differ. The frame of both is ours, their parts are the models' (`rest::capability`, `fhir::outcome`).

use fhir_sdk::r4b::resources::{CapabilityStatement, OperationOutcome};
use liaison::fhir::{self, canonically_equal, outcome};
use serde_json::Value;

use crate::support::{Server, block_on, client, send};

/// The resource as the typed model `T` writes it. `arbitrary_precision` is no trouble: neither type holds decimals.
fn through<T: serde::Serialize + serde::de::DeserializeOwned>(resource: &Value) -> Value {
    let typed: T = serde_json::from_str(&resource.to_string()).unwrap_or_else(|error| panic!("{error}: {resource}"));
    fhir::read_str(&serde_json::to_string(&typed).expect("written")).expect("JSON")
}

#[test]
fn what_is_served_about_itself_is_what_the_models_know() {
    let sandbox = Server::start(&["sandbox", "--listen", "127.0.0.1:0"]);
    block_on(async {
        let fetch = async |path: &str| {
            let url = format!("{}/fhir/{path}", sandbox.url);
            let answer = send(&client(), "GET", &url, &[], &Value::Null).await.expect("an answer");
            fhir::read_str(&answer.text).expect("JSON")
        };
        let metadata = fetch("metadata").await;
        assert_eq!(metadata["resourceType"], "CapabilityStatement");
        assert!(canonically_equal(&through::<CapabilityStatement>(&metadata), &metadata));
        let refusal = fetch("Patient/not-there").await;
        assert_eq!(refusal["resourceType"], "OperationOutcome");
        assert!(canonically_equal(&through::<OperationOutcome>(&refusal), &refusal));
    });
}

#[test]
fn every_outcome_is_what_the_models_know() {
    use outcome::{Issue, Severity};
    let issue = |severity, code| Issue {
        severity,
        code,
        text: "a sentence".to_owned(),
        expression: "Patient.name[0]".to_owned(),
        diagnostics: Some("LIA-MAP-003".to_owned()),
    };
    let severities = [Severity::Fatal, Severity::Error, Severity::Warning, Severity::Information];
    let codes = ["structure", "required", "value", "invariant", "code-invalid", "processing", "not-found", "conflict"];
    let issues: Vec<Issue> = severities.iter().flat_map(|severity| codes.map(|code| issue(*severity, code))).collect();
    for made in [outcome::outcome(&issues), outcome::outcome(&[])] {
        assert!(canonically_equal(&through::<OperationOutcome>(&made), &made), "{made}");
    }
}
