//! Conformance resources: what HL7's validator checks of definitions (structure definitions, code systems, value sets,
//! concept maps, search parameters, operations) beyond structure and invariants.

mod capability;
mod characteristics;
mod code_system;
mod concept_map;
mod constraints;
mod context;
mod differential;
pub mod ecl;
mod element;
mod filter;
mod found;
mod obligation;
mod operation;
mod search_parameter;
mod slicing;
mod snapshot;
mod structure;
mod types;
mod value_set;

use serde_json::{Map, Value};

use crate::fhir::{list, text};

/// A whole number that is not negative.
fn number(value: Option<&Value>) -> Option<u64> {
    value?.as_number()?.as_str().parse().ok()
}

/// `max`: none where it is absent or unreadable; `u64::MAX` for `*`.
fn most(value: Option<&Value>) -> Option<u64> {
    match value?.as_str()? {
        "*" => Some(u64::MAX),
        text => text.parse().ok(),
    }
}

/// The extensions of `value` with this URL.
fn extensions<'a>(value: &'a Value, url: &'a str) -> impl Iterator<Item = &'a Value> {
    list(value, "extension").iter().filter(move |it| text(it, "url") == Some(url))
}

/// The `value[x]` of an extension, as text.
fn extension_text<'a>(value: &'a Value, url: &'a str) -> Option<&'a str> {
    let members = extensions(value, url).next()?.as_object()?;
    members.iter().find_map(|(name, value)| name.starts_with("value").then(|| value.as_str())?)
}

/// The choice `prefix[x]` of an element definition: the property's suffix as a type name, and the value.
fn choice<'a>(members: &'a Map<String, Value>, prefix: &str) -> Option<(String, &'a Value)> {
    members.iter().find_map(|(name, value)| {
        let suffix = name.strip_prefix(prefix).filter(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))?;
        let mut small = suffix.to_owned();
        small.get_mut(..1).map(str::make_ascii_lowercase);
        let name = if super::Primitive::named(&small).is_some() { small } else { suffix.to_owned() };
        Some((name, value))
    })
}

#[cfg(test)]
mod tests;
