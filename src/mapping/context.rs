//! What a mapping runs with (`Context`) and what it makes (`Part`). Refuses: values that depend on time or chance.

use std::sync::Arc;

use crate::{error::Finding, fhir::Value};

/// What is the same for every object that goes to, or comes from, one system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// `[server] instance`: part of our identifiers.
    pub instance: Arc<str>,
    /// IANA name of the zone that a time without one is meant in: `[[systems]] zone`.
    pub zone: Option<Arc<str>>,
}

impl Context {
    /// A context of this instance without a default zone.
    #[must_use]
    pub fn new(instance: &str) -> Self {
        Self { instance: instance.into(), zone: None }
    }

    /// The same with a default zone.
    #[must_use]
    pub fn in_zone(mut self, zone: &str) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// The identifier system of one object type: `urn:liaison:<instance>:<object>`.
    #[must_use]
    pub fn system(&self, object: &str) -> String {
        identifier_system(&self.instance, object)
    }

    /// The object type of an identifier system of ours; none if it is somebody else's.
    #[must_use]
    pub fn object_of<'s>(&self, system: &'s str) -> Option<&'s str> {
        object_of(&self.instance, system)
    }
}

/// The identifier system of an instance's objects of one type: `urn:liaison:<instance>:<object>`.
#[must_use]
pub fn identifier_system(instance: &str, object: &str) -> String {
    let mut system = String::with_capacity(13 + instance.len() + object.len());
    for part in ["urn:liaison:", instance, ":", object] {
        system.push_str(part);
    }
    system
}

/// The object type of an instance's identifier system; none if it is somebody else's.
#[must_use]
pub fn object_of<'s>(instance: &str, system: &'s str) -> Option<&'s str> {
    system.strip_prefix("urn:liaison:")?.strip_prefix(instance)?.strip_prefix(':')
}

/// One FHIR resource of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// `main`, else the name under `parts:` in the mapping.
    pub role: Arc<str>,
    /// The resource. A `Binary` whose content is a stored attachment has no `data`: see [`Part::attachment`].
    pub resource: Value,
    /// What a person should know about this part, for instance a hand-written narrative that may be out of date.
    pub notes: Vec<Finding>,
}

/// The role of the first part.
pub const MAIN: &str = "main";

impl Part {
    /// A part without notes.
    #[must_use]
    pub fn new(role: &str, resource: Value) -> Self {
        Self { role: role.into(), resource, notes: Vec::new() }
    }

    /// The stored attachment (`sha256-…`) whose bytes are this part's content, where the content is not in the JSON:
    /// the sender streams them (a `Binary` with the content's hash as id and no `data`).
    #[must_use]
    pub fn attachment(&self) -> Option<String> {
        let resource = self.resource.as_object()?;
        if resource.get("resourceType")? != "Binary" || resource.contains_key("data") {
            return None;
        }
        super::transform::attachment::hash_of_id(resource.get("id")?.as_str()?).map(|hash| format!("sha256-{hash}"))
    }
}
