//! What a fault bears on. One blemish must not keep a whole record out, so a fault counts only where it can change what is
//! read: at what it is about, not at where a validator reports it. Owns which kinds may never be passed over:
//! - what is no resource, or of which not all was checked: nothing of it can be trusted;
//! - `implicitRules`, and modifier extensions on what is read: they may turn the meaning of all that they stand on, and R4
//!   forbids to use that without knowing them, though not knowing one is no error of the record.
//!
//! What says nothing (empty lists, objects and texts, null) is read as absent and bears on nothing. Whether a place is read
//! is the caller's to say (`mapping::Plan::reads`).

use super::{Issue, Report};
use crate::fhir::{Value, outcome::Severity};

/// What a fault is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bearing {
    /// All of the resource: it can never be passed over.
    Whole,
    /// These places (JSON pointers; the last name may be that of a choice, `/onset`): it matters where one of them is read.
    At(Vec<String>),
}

impl Issue {
    /// What it bears on, in `resource`, which it was found in.
    #[must_use]
    pub fn bearing(&self, resource: &Value) -> Bearing {
        let pointer = self.pointer.as_str();
        let here = || Bearing::At(vec![pointer.to_owned()]);
        if let Some((owner, _)) = pointer.split_once("/modifierExtension") {
            return if owner.is_empty() { Bearing::Whole } else { Bearing::At(vec![owner.to_owned()]) };
        }
        match &*self.rule {
            "resource-type" | "json-type" | "depth" if pointer.is_empty() => Bearing::Whole,
            _ if pointer == "/implicitRules" => Bearing::Whole,
            "empty" | "ele-1" => Bearing::At(Vec::new()),
            // A name that is no absolute URI goes through as it is, and names nobody else.
            "identifier-system" | "identifier-value" | "coding-system" => Bearing::At(Vec::new()),
            "format" if says_nothing(resource.pointer(pointer)) => Bearing::At(Vec::new()),
            _ if self.about.is_empty() => here(),
            _ => Bearing::At(self.about.iter().map(|name| format!("{pointer}/{name}")).collect()),
        }
    }
}

fn says_nothing(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str).is_some_and(|text| text.trim().is_empty())
}

impl Report {
    /// Of the findings about `resource` those that nobody may pass over who reads the places of which `reads` says so: its
    /// errors that can change what is read, and modifier extensions that are not known.
    pub fn bearing<'r>(&'r self, resource: &Value, reads: &dyn Fn(&str) -> bool) -> Vec<&'r Issue> {
        let counts = |issue: &&Issue| {
            matches!(issue.severity, Severity::Fatal | Severity::Error)
                || (issue.rule == "unknown-extension" && is_modifier(&issue.pointer))
        };
        let matters = |issue: &&Issue| match issue.bearing(resource) {
            Bearing::Whole => true,
            Bearing::At(places) => places.iter().any(|place| reads(place)),
        };
        self.issues.iter().filter(counts).filter(matters).collect()
    }
}

/// Whether the place is a modifier extension itself, and not something within one.
fn is_modifier(pointer: &str) -> bool {
    pointer.rsplit_once("/modifierExtension/").is_some_and(|(_, rest)| !rest.contains('/'))
}
