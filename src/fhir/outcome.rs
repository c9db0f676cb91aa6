//! `OperationOutcome` and its issues (<https://hl7.org/fhir/R4/operationoutcome.html>), written by fhir-sdk's typed models: nothing
//! here holds decimals, which they lose. They are R4B's; of an outcome's issues R4 and R4B say the same.

use fhir_sdk::r4b::{
    codes::{IssueSeverity, IssueType},
    resources::OperationOutcomeIssue,
    types::{CodeableConcept, CodeableConceptInner},
};
use serde_json::{Value, json};

/// How bad an issue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Processing could not go on.
    Fatal,
    /// Wrong.
    Error,
    /// Probably wrong.
    Warning,
    /// Worth knowing.
    Information,
}

impl Severity {
    /// FHIR's code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }

    const fn typed(self) -> IssueSeverity {
        match self {
            Self::Fatal => IssueSeverity::Fatal,
            Self::Error => IssueSeverity::Error,
            Self::Warning => IssueSeverity::Warning,
            Self::Information => IssueSeverity::Information,
        }
    }
}

/// One issue of an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// How bad.
    pub severity: Severity,
    /// A code of FHIR's IssueType, for example `structure`, `required`, `value`, `invariant`, `code-invalid`.
    pub code: &'static str,
    /// A plain sentence, for `details.text`.
    pub text: String,
    /// FHIRPath of the element with indexes, for `expression[0]`; empty where there is none.
    pub expression: String,
    /// For engineers: rule, profile, our error code.
    pub diagnostics: Option<String>,
}

impl Issue {
    /// The issue as a member of `OperationOutcome.issue`.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let known: Result<IssueType, _> = self.code.parse();
        debug_assert!(known.is_ok(), "{} is no IssueType", self.code);
        let expression = (!self.expression.is_empty()).then(|| Some(self.expression.clone()));
        written(OperationOutcomeIssue {
            diagnostics: self.diagnostics.clone(),
            expression: expression.into_iter().collect(),
            ..issue(self.severity.typed(), known.unwrap_or(IssueType::Processing), &self.text)
        })
    }
}

/// An issue with a sentence and nothing else.
fn issue(severity: IssueSeverity, code: IssueType, text: &str) -> OperationOutcomeIssue {
    OperationOutcomeIssue {
        id: None,
        extension: Vec::new(),
        modifier_extension: Vec::new(),
        severity,
        severity_ext: None,
        code,
        code_ext: None,
        details: Some(CodeableConcept::from(CodeableConceptInner {
            id: None,
            extension: Vec::new(),
            coding: Vec::new(),
            coding_ext: Vec::new(),
            text: Some(text.to_owned()),
            text_ext: None,
        })),
        details_ext: None,
        diagnostics: None,
        diagnostics_ext: None,
        location: Vec::new(),
        location_ext: Vec::new(),
        expression: Vec::new(),
        expression_ext: Vec::new(),
    }
}

/// What a typed model writes. Models of texts, codes and dates are always written: their keys are texts, and they hold no maps.
pub fn written(model: impl serde::Serialize) -> Value {
    serde_json::to_value(model).unwrap_or_default()
}

/// An `OperationOutcome` of these issues; says "all is well" (FHIR demands one issue) where there are none.
#[must_use]
pub fn outcome(issues: &[Issue]) -> Value {
    let list: Vec<Value> = if issues.is_empty() {
        vec![written(issue(IssueSeverity::Information, IssueType::Informational, "No issues found."))]
    } else {
        issues.iter().map(Issue::to_value).collect()
    };
    json!({"resourceType": "OperationOutcome", "issue": list})
}
