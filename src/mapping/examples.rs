//! Worked examples of an object: an internal object and the FHIR side it stands for.

use std::sync::Arc;

use super::Context;
use crate::fhir::{Value, resource_type};

/// One worked example.
#[derive(Clone, Debug)]
pub struct Example {
    /// The file's name without ending, with the dialect's folder before it if it is an overlay's.
    pub name: Arc<str>,
    /// The internal object.
    pub internal: Value,
    /// The resources, the main one first.
    pub fhir: Vec<Value>,
}

impl Example {
    pub(crate) fn new(name: &str, internal: Value, fhir: Value) -> Self {
        Self { name: name.into(), internal, fhir: resources(fhir) }
    }

    /// The dialect whose overlay it shows; `generic` for the base mapping.
    #[must_use]
    pub fn dialect(&self) -> &str {
        self.name.split_once('/').map_or("generic", |(dialect, _)| dialect)
    }

    /// Whether it shows what an EHR might send, so that only the way to the internal side is compared.
    #[must_use]
    pub fn is_inbound(&self) -> bool {
        self.name.ends_with(".inbound")
    }

    /// What examples are made with: the instance `example-clinic`, no default zone.
    #[must_use]
    pub fn context() -> Context {
        Context::new("example-clinic")
    }
}

/// The resources of one resource or of a Bundle's entries.
#[must_use]
pub fn resources(fhir: Value) -> Vec<Value> {
    if resource_type(&fhir) != Some("Bundle") {
        return vec![fhir];
    }
    let entries = fhir.get("entry").and_then(Value::as_array);
    entries.into_iter().flatten().filter_map(|entry| entry.get("resource").cloned()).collect()
}
