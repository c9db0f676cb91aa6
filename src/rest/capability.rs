//! `metadata`: what this endpoint offers (<https://hl7.org/fhir/R4/capabilitystatement.html>). States only what is served.

use fhir_sdk::{DateTime, Instant, time::OffsetDateTime};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Serving, message::Answer};

impl Serving<'_> {
    pub(super) fn metadata(self) -> Answer {
        let server = self.server;
        let offered = server.offered.clone().unwrap_or_else(|| server.model.types());
        let types: Vec<Value> = offered.iter().map(|kind| self.type_capability(kind)).collect();
        let mut rest = json!({
            "mode": "server",
            "documentation": "JSON only. PATCH takes JSON Patch and JSON Merge Patch.",
            "resource": types,
        });
        if !server.read_only {
            rest["interaction"] = codes(&["transaction", "batch", "history-system"]);
        }
        Answer::of(
            200,
            json!({
                "resourceType": "CapabilityStatement",
                "status": "active",
                "date": date(server.clock.now()),
                "kind": "instance",
                "software": {"name": server.software, "version": env!("CARGO_PKG_VERSION")},
                "implementation": {"description": server.software, "url": server.base},
                "fhirVersion": "4.0.1",
                "format": ["json", "application/fhir+json"],
                "patchFormat": ["application/json-patch+json", "application/merge-patch+json"],
                "rest": [rest],
            }),
        )
    }

    fn type_capability(self, kind: &str) -> Value {
        let server = self.server;
        let parameters = server.model.parameters(kind);
        let mut search = vec![json!({"name": "_id", "type": "token"}), json!({"name": "_lastUpdated", "type": "date"})];
        search.extend(parameters.iter().map(|parameter| {
            let mut shown = json!({"name": parameter.name, "type": parameter.kind.code()});
            if !parameter.url.is_empty() {
                shown["definition"] = json!(parameter.url);
            }
            shown
        }));
        let reading = ["read", "vread", "history-instance", "search-type"];
        let writing = ["create", "update", "patch", "delete", "history-type"];
        let interactions: Vec<&str> =
            if server.read_only { reading.to_vec() } else { [&reading[..], &writing[..]].concat() };
        let mut shown = json!({
            "type": kind, "interaction": codes(&interactions), "versioning": "versioned", "readHistory": true,
        });
        if !server.read_only {
            shown["updateCreate"] = json!(!self.quirks.no_update_as_create);
            shown["conditionalCreate"] = json!(true);
            shown["conditionalUpdate"] = json!(true);
            shown["conditionalDelete"] = json!("single");
        }
        shown["conditionalRead"] = json!("full-support");
        let includes: Vec<String> = parameters
            .iter()
            .filter(|parameter| parameter.kind == super::ParameterKind::Reference)
            .map(|parameter| format!("{kind}:{}", parameter.name))
            .collect();
        if !includes.is_empty() {
            shown["searchInclude"] = json!(includes);
        }
        shown["searchParam"] = json!(search);
        if server.check.is_some() {
            let definition = "http://hl7.org/fhir/OperationDefinition/Resource-validate";
            shown["operation"] = json!([{"name": "validate", "definition": definition}]);
        }
        shown
    }
}

/// Whole seconds are enough for when this was asked.
fn date(at: Timestamp) -> Value {
    let at = OffsetDateTime::from_unix_timestamp(at.as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    serde_json::to_value(DateTime::DateTime(Instant(at))).unwrap_or_default()
}

fn codes(list: &[&str]) -> Value {
    list.iter().map(|code| json!({"code": code})).collect()
}
