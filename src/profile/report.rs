//! What a validation found: issues with severity, FHIR's IssueType, a plain sentence, the place as FHIRPath and as JSON
//! pointer, the rule, the profile that demanded it, and a suggested fix where it is certain. Sentences name places,
//! rules and URLs; they do not quote what a patient's record says.

use std::borrow::Cow;

use crate::fhir::{
    Value,
    json::Positions,
    outcome::{self, Severity},
};

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// How bad.
    pub severity: Severity,
    /// A code of FHIR's IssueType (`structure`, `required`, `value`, `invariant`, `code-invalid`, …).
    pub code: &'static str,
    /// A plain sentence.
    pub text: String,
    /// FHIRPath of the element with indexes (`Patient.name[0].given[1]`).
    pub expression: String,
    /// JSON pointer of the element (RFC 6901) from the root of what was validated.
    pub pointer: String,
    /// The rule: an invariant's key (`pat-1`) or one of ours (`unknown-element`, `cardinality`, `binding`, …).
    pub rule: Cow<'static, str>,
    /// Canonical of the profile that demanded it, with its version; none where JSON or FHIR's format itself does.
    pub profile: Option<String>,
    /// What to write instead, where that is certain.
    pub fix: Option<String>,
    /// Members of the element that it speaks of (a missing one, those that a rule compares); empty: all of the element.
    pub about: Vec<String>,
}

impl Issue {
    /// As an issue of an `OperationOutcome`; line and column are added where `positions` are at hand.
    #[must_use]
    pub fn to_outcome(&self, positions: Option<&Positions>) -> outcome::Issue {
        let mut diagnostics = format!("rule {}", self.rule);
        if let Some(profile) = &self.profile {
            diagnostics.push_str("; profile ");
            diagnostics.push_str(profile);
        }
        if let Some(fix) = &self.fix {
            diagnostics.push_str("; fix: ");
            diagnostics.push_str(fix);
        }
        if let Some((line, column)) = positions.map(|positions| positions.find(&self.pointer)) {
            diagnostics.push_str(&format!("; line {line}, column {column}"));
        }
        outcome::Issue {
            severity: self.severity,
            code: self.code,
            text: self.text.clone(),
            expression: self.expression.clone(),
            diagnostics: Some(diagnostics),
        }
    }
}

/// All findings about one resource, in document order, each once.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The findings.
    pub issues: Vec<Issue>,
}

impl Report {
    /// No fatal and no error.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.errors().next().is_none()
    }

    /// Fatal issues and errors.
    pub fn errors(&self) -> impl Iterator<Item = &Issue> {
        self.issues.iter().filter(|issue| matches!(issue.severity, Severity::Fatal | Severity::Error))
    }

    /// As an `OperationOutcome` resource.
    #[must_use]
    pub fn to_outcome(&self, positions: Option<&Positions>) -> Value {
        let issues: Vec<_> = self.issues.iter().map(|issue| issue.to_outcome(positions)).collect();
        outcome::outcome(&issues)
    }
}
