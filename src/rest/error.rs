//! Why a REST request is refused; each with a page in the one error table and an `OperationOutcome`
//! (<https://hl7.org/fhir/R4/http.html#Status-Codes>). Sentences name places, never values of a resource.

use serde_json::Value;

use super::{message::Answer, store::StoreError};
use crate::{
    error::{Category, Explained, page},
    fhir::{
        JsonError,
        outcome::{Issue, Severity, outcome},
    },
};

/// A refused request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such address below the base.
    #[error("there is nothing at this address: {0}")]
    NoRoute(String),
    /// No such resource, or no such version.
    #[error("{0} is not known here")]
    NotFound(String),
    /// There was one; it was deleted.
    #[error("{0} was deleted")]
    Gone(String),
    /// `If-Match` names another version than the current one.
    #[error("the resource has changed since the version that the request names; the current version is {0}")]
    Stale(String),
    /// Conditional request with several matches.
    #[error("the condition matches {0} resources, and it must match one at most")]
    SeveralMatches(usize),
    /// Body in a format that is not taken.
    #[error("{0}")]
    MediaType(String),
    /// The client accepts only formats that are not offered.
    #[error("only JSON is offered (application/fhir+json); XML and other formats are not available")]
    NotAcceptable,
    /// The body is not what this address takes.
    #[error("{0}")]
    BadBody(String),
    /// A search, a condition or a result parameter that cannot be understood.
    #[error("{0}")]
    BadQuery(String),
    /// A Bundle that cannot be processed as a whole.
    #[error("{text}")]
    BadBundle {
        /// What is wrong.
        text: String,
        /// FHIRPath of the entry.
        expression: String,
    },
    /// An entry of a transaction failed, so that nothing was done.
    #[error("nothing was done, because {expression} failed: {source}")]
    Entry {
        /// FHIRPath of the entry.
        expression: String,
        /// Why.
        source: Box<Error>,
    },
    /// Right address, wrong method.
    #[error("{0} is not allowed at this address")]
    Method(&'static str),
    /// The resource breaks rules.
    #[error("the resource is not valid")]
    Invalid(Vec<Issue>),
    /// The patch does not fit the resource.
    #[error("{0}")]
    Patch(String),
    /// The page of a search result is no longer held.
    #[error("this page is no longer held; start the search again")]
    PageExpired,
    /// Part of FHIR that is not offered.
    #[error("{0}")]
    NotAvailable(String),
    /// A search that would read too much.
    #[error("{0}")]
    TooCostly(String),
    /// Not JSON, or JSON beyond the limits.
    #[error("the body cannot be read: {0}")]
    Json(#[from] JsonError),
    /// The store broke.
    #[error("the request could not be carried out")]
    Store(#[source] StoreError),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotAvailable(what) => Self::NotAvailable(what),
            StoreError::TooCostly(what) => Self::TooCostly(what),
            failed @ StoreError::Failed(_) => Self::Store(failed),
        }
    }
}

impl Explained for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::NoRoute(_) => "LIA-REST-001",
            Self::NotFound(_) => "LIA-REST-002",
            Self::Gone(_) => "LIA-REST-003",
            Self::Stale(_) => "LIA-REST-004",
            Self::SeveralMatches(_) => "LIA-REST-005",
            Self::MediaType(_) => "LIA-REST-006",
            Self::NotAcceptable => "LIA-REST-007",
            Self::BadBody(_) => "LIA-REST-008",
            Self::BadQuery(_) => "LIA-REST-009",
            Self::BadBundle { .. } => "LIA-REST-010",
            Self::Method(_) => "LIA-REST-011",
            Self::Invalid(_) => "LIA-REST-012",
            Self::Patch(_) => "LIA-REST-013",
            Self::PageExpired => "LIA-REST-014",
            Self::NotAvailable(_) => "LIA-REST-015",
            Self::Store(_) => "LIA-REST-016",
            Self::TooCostly(_) => "LIA-REST-017",
            Self::Entry { source, .. } => source.code(),
            Self::Json(error) => error.code(),
        }
    }

    fn category(&self) -> Category {
        match self {
            Self::NoRoute(_) | Self::NotFound(_) | Self::Gone(_) | Self::PageExpired => Category::NotFound,
            Self::Stale(_) | Self::SeveralMatches(_) => Category::Conflict,
            Self::NotAvailable(_) => Category::NotAvailable,
            Self::Store(_) => Category::Internal,
            Self::Entry { source, .. } => source.category(),
            _ => Category::Invalid,
        }
    }
}

impl Error {
    /// FHIR's IssueType.
    const fn issue_type(&self) -> &'static str {
        match self {
            Self::NoRoute(_) | Self::NotFound(_) => "not-found",
            Self::Gone(_) => "deleted",
            Self::Stale(_) => "conflict",
            Self::SeveralMatches(_) => "multiple-matches",
            Self::MediaType(_) | Self::NotAcceptable | Self::Method(_) | Self::NotAvailable(_) => "not-supported",
            Self::BadBody(_) | Self::Json(_) => "structure",
            Self::BadQuery(_) | Self::BadBundle { .. } | Self::PageExpired => "invalid",
            Self::Patch(_) | Self::Invalid(_) => "processing",
            Self::Store(_) => "exception",
            Self::TooCostly(_) => "too-costly",
            Self::Entry { source, .. } => source.issue_type(),
        }
    }

    /// The HTTP status, from the one table.
    #[must_use]
    pub fn status(&self) -> u16 {
        page(self.code()).map_or(500, |page| page.status)
    }

    /// The `OperationOutcome`.
    #[must_use]
    pub fn outcome(&self) -> Value {
        outcome(&self.issues())
    }

    fn issues(&self) -> Vec<Issue> {
        let place = match self {
            Self::BadBundle { expression, .. } | Self::Entry { expression, .. } => expression.clone(),
            _ => String::new(),
        };
        match self {
            Self::Invalid(issues) => issues.clone(),
            Self::Entry { source, .. } if matches!(**source, Self::Invalid(_)) => {
                let mut issues = vec![self.issue(place)];
                issues.extend(source.issues());
                issues
            }
            _ => vec![self.issue(place)],
        }
    }

    fn issue(&self, expression: String) -> Issue {
        let severity = if matches!(self, Self::Store(_)) { Severity::Fatal } else { Severity::Error };
        let code = self.code();
        Issue {
            severity,
            code: self.issue_type(),
            text: self.to_string(),
            expression,
            diagnostics: Some(format!("{code}, /docs/errors/{code}")),
        }
    }

    pub(crate) fn answer(&self) -> Answer {
        Answer::of(self.status(), self.outcome())
    }
}
