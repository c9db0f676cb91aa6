//! What the surface itself refuses, and how every refusal becomes `application/problem+json` (RFC 9457,
//! <https://www.rfc-editor.org/rfc/rfc9457>). Status and title come from the one table of codes; no patient data.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use serde_json::json;

use crate::{
    error::{Category, Explained, Finding, page},
    fhir::JsonError,
    ledger::LedgerError,
    sync,
};

/// What the surface itself refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// No such route or kind of object.
    #[error("there is nothing at this address")]
    NoRoute,
    /// Known address, other methods.
    #[error("this address does not know this method")]
    NoMethod,
    /// `Idempotency-Key` absent or not usable.
    #[error("the header Idempotency-Key is required: 1 to 255 visible ASCII characters")]
    NoKey,
    /// `If-Match` absent.
    #[error("the header If-Match is required: the ETag of the version that is to be changed")]
    NoIfMatch,
    /// `If-Match` is no ETag.
    #[error("the header If-Match is not an ETag like W/\"3\"")]
    BadIfMatch,
    /// Not a media type that is taken here.
    #[error("{0}")]
    ContentType(&'static str),
    /// Compressed.
    #[error("bodies are taken only as they are, without Content-Encoding")]
    Encoded,
    /// Larger than the limit.
    #[error("the body is larger than the limit of {0} bytes")]
    TooLarge(u64),
    /// Did not arrive in time.
    #[error("the body did not arrive in time")]
    Slow,
    /// The connection ended.
    #[error("the body ended before it was complete")]
    BrokenOff,
    /// A query parameter.
    #[error("{0}")]
    Query(String),
    /// Nothing has this id.
    #[error("{0}")]
    NotFound(&'static str),
    /// In the contract, not built yet.
    #[error("{0} is not available yet")]
    NotYet(&'static str),
    /// The body of an action.
    #[error("the action cannot be understood")]
    Action(Vec<Finding>),
    /// Another website's doing.
    #[error("a request from another origin was refused")]
    CrossSite,
    /// A defect.
    #[error("the gateway made a mistake")]
    Defect,
}

impl Explained for ApiError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoRoute => "LIA-API-001",
            Self::NoMethod => "LIA-API-002",
            Self::NoKey => "LIA-API-003",
            Self::NoIfMatch => "LIA-API-004",
            Self::BadIfMatch => "LIA-API-005",
            Self::ContentType(_) => "LIA-API-006",
            Self::Encoded => "LIA-API-007",
            Self::TooLarge(_) => "LIA-API-008",
            Self::Slow => "LIA-API-009",
            Self::Query(_) => "LIA-API-010",
            Self::NotFound(_) => "LIA-API-011",
            Self::NotYet(_) => "LIA-API-012",
            Self::Action(_) => "LIA-API-013",
            Self::CrossSite => "LIA-API-014",
            Self::Defect => "LIA-API-015",
            Self::BrokenOff => "LIA-API-016",
        }
    }
    fn category(&self) -> Category {
        match self {
            Self::NoRoute | Self::NotFound(_) => Category::NotFound,
            Self::NotYet(_) => Category::NotAvailable,
            Self::CrossSite => Category::Forbidden,
            Self::Defect => Category::Internal,
            Self::Slow | Self::BrokenOff => Category::Retry,
            _ => Category::Invalid,
        }
    }
}

/// A refusal on its way to the caller.
#[derive(Clone, Debug)]
pub struct Problem {
    code: &'static str,
    detail: String,
    errors: Vec<Finding>,
    /// What both sides changed, field by field.
    fields: Vec<serde_json::Value>,
    retry_after_s: Option<u64>,
}

impl Problem {
    /// Any room's error, told in its own words.
    #[must_use]
    pub fn of(error: &dyn Explained) -> Self {
        Self {
            code: error.code(),
            detail: error.to_string(),
            errors: Vec::new(),
            fields: Vec::new(),
            retry_after_s: None,
        }
    }

    /// The status of its code's page.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        let status = page(self.code).and_then(|page| StatusCode::from_u16(page.status).ok());
        status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The contract's JSON; `instance` is the path that was asked for.
    pub(super) fn to_json(&self, instance: &str) -> serde_json::Value {
        let mut body = json!({
            "type": format!("/docs/errors/{}", self.code),
            "title": page(self.code).map_or(self.code, |page| page.title),
            "status": self.status().as_u16(), "code": self.code, "detail": self.detail, "instance": instance,
            "errors": self.errors,
        });
        if !self.fields.is_empty() {
            body["fields"] = json!(self.fields);
        }
        body
    }

    /// The answer.
    pub(super) fn answer(&self, instance: &str) -> Response<Body> {
        let mut response = Response::new(Body::from(self.to_json(instance).to_string()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        let mut problem = Self::of(&error);
        if let ApiError::Action(findings) = error {
            problem.errors = findings;
        }
        problem
    }
}

impl From<JsonError> for Problem {
    fn from(error: JsonError) -> Self {
        let finding = Finding {
            pointer: String::new(),
            code: error.code().to_owned(),
            detail: error.to_string(),
            remedy: "Mend the text at this line and column, and send it again.".to_owned(),
        };
        Self { errors: vec![finding], ..Self::of(&error) }
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        // A full disk is told by readiness and metrics, not by a line for every request that it refuses.
        if matches!(error.category(), Category::Internal) && !matches!(error, LedgerError::DiskFull { .. }) {
            tracing::error!(code = error.code(), %error, "the ledger could not");
        }
        let retry_after_s = match error {
            LedgerError::Backlog { .. } => Some(5),
            LedgerError::DiskFull { .. } => Some(60),
            _ => None,
        };
        // Paths of the server are for its log.
        let detail = match &error {
            LedgerError::Io { .. } | LedgerError::Damaged { .. } | LedgerError::InUse(_) | LedgerError::Folds(_) => {
                "the ledger could not be read or written; the server's log says why".to_owned()
            }
            other => other.to_string(),
        };
        Self { retry_after_s, detail, ..Self::of(&error) }
    }
}

impl From<sync::Error> for Problem {
    fn from(error: sync::Error) -> Self {
        match error {
            sync::Error::Ledger(error) => error.into(),
            sync::Error::Differs { ref fields, .. } => Self { fields: fields.clone(), ..Self::of(&error) },
            other => Self { errors: other.findings().to_vec(), ..Self::of(&other) },
        }
    }
}
