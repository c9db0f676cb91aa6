//! What an EHR says it can do: its CapabilityStatement (<https://hl7.org/fhir/R4/capabilitystatement.html>), read
//! once and kept. What it does not say is not assumed to be missing where there is no statement at all.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::failure::{Failure, Kind};

/// What is offered for one resource type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent yes or no of the statement")]
pub struct Offer {
    /// Interaction codes: `read`, `create`, `update`, `search-type`, `history-instance`…
    pub interactions: BTreeSet<String>,
    /// Search parameters by name.
    pub search: BTreeSet<String>,
    /// `If-None-Exist` is honoured.
    pub conditional_create: bool,
    /// A PUT to a new id creates.
    pub update_create: bool,
    /// Versions are kept and `If-Match` is honoured.
    pub versioned_update: bool,
    /// Versions are told.
    pub versioned: bool,
}

/// An EHR's statement, or the lack of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capability {
    /// Product name, for people.
    pub software: Option<String>,
    /// FHIR version it states.
    pub fhir_version: String,
    /// By resource type; empty where there is no statement.
    pub types: BTreeMap<String, Offer>,
    /// Codes of the security services it names: `SMART-on-FHIR`, `OAuth`, `Basic`…
    pub security: Vec<String>,
    /// Whether a statement was read at all.
    pub stated: bool,
}

impl Capability {
    /// Reads a CapabilityStatement.
    ///
    /// # Errors
    /// [`Kind::NotAnEhr`] where it is none, or not for FHIR R4.
    pub fn read(statement: &Value) -> Result<Self, Failure> {
        if crate::fhir::resource_type(statement) != Some("CapabilityStatement") {
            return Err(Failure::new(Kind::NotAnEhr, "What answers there does not describe itself as a FHIR server."));
        }
        let fhir_version = statement.get("fhirVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !fhir_version.starts_with("4.0") {
            return Err(Failure::new(
                Kind::NotAnEhr,
                "The FHIR server there does not state version 4.0 (R4), the only one spoken here.",
            ));
        }
        let software = statement.pointer("/software/name").and_then(Value::as_str).map(str::to_owned);
        let rests = statement.get("rest").and_then(Value::as_array);
        let types = rests
            .into_iter()
            .flatten()
            .filter(|rest| rest.get("mode").and_then(Value::as_str).is_none_or(|mode| mode == "server"))
            .filter_map(|rest| rest.get("resource")?.as_array())
            .flatten()
            .filter_map(|resource| Some((resource.get("type")?.as_str()?.to_owned(), offer(resource))))
            .collect();
        let services = statement.pointer("/rest/0/security/service").and_then(Value::as_array);
        let security = services
            .into_iter()
            .flatten()
            .filter_map(|service| service.get("coding")?.as_array())
            .flatten()
            .filter_map(|coding| Some(coding.get("code")?.as_str()?.to_owned()))
            .collect();
        Ok(Self { software, fhir_version, types, security, stated: true })
    }

    /// Whether an interaction with a type is offered; without a statement, it is tried.
    #[must_use]
    pub fn offers(&self, kind: &str, interaction: &str) -> bool {
        !self.stated || self.types.get(kind).is_some_and(|offer| offer.interactions.contains(interaction))
    }
    /// Whether a search parameter of a type is offered. Servers often leave the common ones (`_id`,
    /// `_lastUpdated`) out of a type that they can search, so `None` means that it was not said.
    #[must_use]
    pub fn searches(&self, kind: &str, parameter: &str) -> Option<bool> {
        let offer = self.types.get(kind)?;
        if offer.search.contains(parameter) {
            return Some(true);
        }
        if offer.search.is_empty() || parameter.starts_with('_') && !offer.search.iter().any(|p| p.starts_with('_')) {
            return None;
        }
        Some(false)
    }
    /// Whether `If-None-Exist` is worth sending for a type. An EHR that does not know it ignores it.
    #[must_use]
    pub fn conditional_create(&self, kind: &str) -> bool {
        !self.stated || self.types.get(kind).is_some_and(|offer| offer.conditional_create)
    }
    /// Whether `If-Match` is promised to be honoured for a type.
    #[must_use]
    pub fn versioned_update(&self, kind: &str) -> bool {
        self.types.get(kind).is_some_and(|offer| offer.versioned_update)
    }
}

fn offer(resource: &Value) -> Offer {
    let yes = |key: &str| resource.get(key).and_then(Value::as_bool).unwrap_or(false);
    let texts = |list: &str, key: &str| -> BTreeSet<String> {
        let items = resource.get(list).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(|item| Some(item.get(key)?.as_str()?.to_owned())).collect()
    };
    let versioning = resource.get("versioning").and_then(Value::as_str).unwrap_or("no-version");
    Offer {
        interactions: texts("interaction", "code"),
        search: texts("searchParam", "name"),
        conditional_create: yes("conditionalCreate"),
        update_create: yes("updateCreate"),
        versioned_update: versioning == "versioned-update",
        versioned: versioning != "no-version",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_what_is_offered() {
        let statement = json!({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": [{
            "mode": "server", "resource": [{
                "type": "Patient", "interaction": [{"code": "read"}, {"code": "create"}], "conditionalCreate": true,
                "versioning": "versioned-update", "searchParam": [{"name": "identifier"}]}]}]});
        let capability = Capability::read(&statement).unwrap();
        assert!(capability.offers("Patient", "create") && !capability.offers("Patient", "update"));
        assert!(!capability.offers("Slot", "read"));
        assert!(capability.conditional_create("Patient") && capability.versioned_update("Patient"));
        assert_eq!(capability.searches("Patient", "identifier"), Some(true));
        assert_eq!(capability.searches("Patient", "name"), Some(false));
        assert_eq!(capability.searches("Patient", "_lastUpdated"), None);
        assert!(Capability::default().offers("Slot", "read"));
    }

    #[test]
    fn another_version_is_refused() {
        let statement = json!({"resourceType": "CapabilityStatement", "fhirVersion": "5.0.0"});
        assert_eq!(Capability::read(&statement).unwrap_err().kind, Kind::NotAnEhr);
    }
}
