//! `metadata`: what this endpoint offers (<https://hl7.org/fhir/R4/capabilitystatement.html>). States only what is served. Its parts are
//! written by fhir-sdk's typed models; the frame around them they let nobody make without their builders.

use fhir_sdk::{
    DateTime, Instant,
    r4b::{
        codes::{
            CapabilityStatementKind, ConditionalDeleteStatus, ConditionalReadStatus, FHIRVersion, PublicationStatus,
            ResourceVersionPolicy, SearchParamType,
        },
        resources::{CapabilityStatementRest, CapabilityStatementRestResource},
    },
    time::OffsetDateTime,
};
use jiff::Timestamp;
use serde_json::json;

use super::{ParameterKind, Serving, message::Answer, models};
use crate::fhir::outcome::written;

impl Serving<'_> {
    pub(super) fn metadata(self) -> Answer {
        let server = self.server;
        let offered = server.offered.clone().unwrap_or_else(|| server.model.types());
        let interactions: &[&str] = if server.read_only { &[] } else { &["transaction", "batch", "history-system"] };
        let rest = CapabilityStatementRest {
            documentation: Some("JSON only. PATCH takes JSON Patch and JSON Merge Patch.".to_owned()),
            resource: offered.iter().map(|kind| Some(self.type_capability(kind))).collect(),
            interaction: models::each(interactions, models::system_interaction),
            ..models::rest()
        };
        Answer::of(
            200,
            json!({
                "resourceType": "CapabilityStatement",
                "status": written(PublicationStatus::Active),
                "date": written(date(server.clock.now())),
                "kind": written(CapabilityStatementKind::Instance),
                "software": written(models::software(&server.software, env!("CARGO_PKG_VERSION"))),
                "implementation": written(models::implementation(&server.software, &server.base)),
                "fhirVersion": written(FHIRVersion::N401),
                "format": ["json", "application/fhir+json"],
                "patchFormat": ["application/json-patch+json", "application/merge-patch+json"],
                "rest": [written(rest)],
            }),
        )
    }

    fn type_capability(self, kind: &str) -> CapabilityStatementRestResource {
        let server = self.server;
        let parameters = server.model.parameters(kind);
        let own = |name, of| Some(models::parameter(name, of, ""));
        let mut search = vec![own("_id", SearchParamType::Token), own("_lastUpdated", SearchParamType::Date)];
        search.extend(parameters.iter().map(|one| Some(models::parameter(&one.name, typed(one.kind), &one.url))));
        let reading = ["read", "vread", "history-instance", "search-type"];
        let writing = ["create", "update", "patch", "delete", "history-type"];
        let interactions: Vec<&str> =
            if server.read_only { reading.to_vec() } else { [&reading[..], &writing[..]].concat() };
        let writes = !server.read_only;
        let references = parameters.iter().filter(|parameter| parameter.kind == ParameterKind::Reference);
        let definition = "http://hl7.org/fhir/OperationDefinition/Resource-validate";
        let validate = server.check.is_some().then(|| Some(models::operation("validate", definition)));
        CapabilityStatementRestResource {
            interaction: models::each(&interactions, models::interaction),
            versioning: Some(ResourceVersionPolicy::Versioned),
            read_history: Some(true),
            update_create: writes.then_some(!self.quirks.no_update_as_create),
            conditional_create: writes.then_some(true),
            conditional_read: Some(ConditionalReadStatus::FullSupport),
            conditional_update: writes.then_some(true),
            conditional_delete: writes.then_some(ConditionalDeleteStatus::Single),
            search_include: references.map(|parameter| Some(format!("{kind}:{}", parameter.name))).collect(),
            search_param: search,
            operation: validate.into_iter().collect(),
            ..models::resource(kind)
        }
    }
}

/// The model's word for a kind of parameter.
const fn typed(kind: ParameterKind) -> SearchParamType {
    match kind {
        ParameterKind::Number => SearchParamType::Number,
        ParameterKind::Date => SearchParamType::Date,
        ParameterKind::Text => SearchParamType::String,
        ParameterKind::Token => SearchParamType::Token,
        ParameterKind::Reference => SearchParamType::Reference,
        ParameterKind::Quantity => SearchParamType::Quantity,
        ParameterKind::Uri => SearchParamType::Uri,
    }
}

/// Whole seconds are enough for when this was asked.
fn date(at: Timestamp) -> DateTime {
    DateTime::DateTime(Instant(
        OffsetDateTime::from_unix_timestamp(at.as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH),
    ))
}
