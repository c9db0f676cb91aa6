//! `OperationOutcome` and its issues (<https://hl7.org/fhir/R4/operationoutcome.html>).

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
        let mut issue = json!({
            "severity": self.severity.code(), "code": self.code, "details": {"text": self.text},
        });
        if let Some(diagnostics) = &self.diagnostics {
            issue["diagnostics"] = json!(diagnostics);
        }
        if !self.expression.is_empty() {
            issue["expression"] = json!([self.expression]);
        }
        issue
    }
}

/// An `OperationOutcome` of these issues; says "all is well" (FHIR demands one issue) where there are none.
#[must_use]
pub fn outcome(issues: &[Issue]) -> Value {
    let list: Vec<Value> = if issues.is_empty() {
        vec![json!({"severity": "information", "code": "informational", "details": {"text": "No issues found."}})]
    } else {
        issues.iter().map(Issue::to_value).collect()
    };
    json!({"resourceType": "OperationOutcome", "issue": list})
}
