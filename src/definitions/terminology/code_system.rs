//! A code system that is at hand: codes, displays, hierarchy, properties. <https://hl7.org/fhir/R4/codesystem.html>

use std::collections::HashMap;

/// One concept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concept {
    /// Its code, as defined.
    pub code: String,
    /// What it is called.
    pub display: Option<String>,
    /// Other names that are as good (designations), of any language.
    pub designations: Vec<String>,
    /// For grouping only: not to be used in instances (`notSelectable`).
    pub is_abstract: bool,
    /// Retired or inactive.
    pub is_inactive: bool,
    /// Indexes of the concepts directly above.
    pub parents: Vec<usize>,
    /// Properties as text.
    pub properties: Vec<(String, String)>,
}

/// A code system that is at hand.
#[derive(Clone, Debug, Default)]
pub struct CodeSystem {
    /// Canonical URL (`Coding.system`).
    pub url: String,
    /// Business version.
    pub version: Option<String>,
    /// Whether all its codes are here; if not, a code that is not found may still exist.
    pub is_complete: bool,
    /// Whether upper and lower case make different codes.
    pub is_case_sensitive: bool,
    /// All concepts, parents before children.
    pub concepts: Vec<Concept>,
    pub(super) by_code: HashMap<String, usize>,
}

impl CodeSystem {
    /// The concept with this code.
    #[must_use]
    pub fn concept(&self, code: &str) -> Option<&Concept> {
        let at = if self.is_case_sensitive { self.by_code.get(code) } else { self.by_code.get(&code.to_lowercase()) };
        self.concepts.get(*at?)
    }
}
