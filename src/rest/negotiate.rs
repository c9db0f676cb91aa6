//! Formats and preferences: `Accept`, `_format`, `Content-Type`, `Prefer` (<https://hl7.org/fhir/R4/http.html#mime-type>).
//! Only JSON is offered.

use serde_json::Value;

use super::{
    Error,
    message::{Answer, Method, Request},
};
use crate::fhir::{
    self,
    outcome::{Issue, Severity, outcome},
};

const JSON: [&str; 4] = ["application/fhir+json", "application/json", "text/json", "application/json+fhir"];

fn essence(text: &str) -> String {
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_json(essence: &str) -> bool {
    JSON.contains(&essence)
}

/// Refuses a request whose answer could not be given in JSON. `_format` wins over `Accept`.
pub(super) fn accept(request: &Request) -> Result<(), Error> {
    if let Some((_, format)) = request.pairs().iter().find(|(key, _)| key == "_format") {
        // A literal `+` in a query means a space.
        let format = essence(&format.replace(' ', "+"));
        return if format == "json" || is_json(&format) { Ok(()) } else { Err(Error::NotAcceptable) };
    }
    let Some(accept) = request.header("accept") else { return Ok(()) };
    let raw = request.path.starts_with("Binary/");
    let good = accept.split(',').any(|range| {
        let kind = essence(range);
        is_json(&kind) || kind.is_empty() || ["*/*", "application/*", "text/*"].contains(&kind.as_str()) || raw
    });
    if good { Ok(()) } else { Err(Error::NotAcceptable) }
}

/// Whether the client asks for the bytes of a Binary instead of the resource.
#[must_use]
pub fn wants_bytes(request: &Request) -> bool {
    let json = |accept: &str| accept.split(',').any(|range| is_json(&essence(range)) || essence(range) == "*/*");
    request.header("accept").is_some_and(|accept| !json(accept))
}

/// The resource in the body.
pub(super) fn resource(request: &Request) -> Result<Value, Error> {
    if let Some(kind) = request.header("content-type").map(essence)
        && !is_json(&kind)
    {
        let text = if kind.contains("xml") {
            "XML is not taken; send the resource as JSON (application/fhir+json)".to_owned()
        } else {
            "only JSON is taken (application/fhir+json)".to_owned()
        };
        return Err(Error::MediaType(text));
    }
    if request.body.is_empty() {
        return Err(Error::BadBody("the body is empty; a resource was expected".to_owned()));
    }
    let value = fhir::read(&request.body)?;
    if fhir::resource_type(&value).is_none() {
        return Err(Error::BadBody("the body is not a resource: it has no resourceType".to_owned()));
    }
    Ok(value)
}

/// The essence of the content type, empty where none is given.
pub(super) fn content_type(request: &Request) -> String {
    request.header("content-type").map(essence).unwrap_or_default()
}

/// What a write returns (`Prefer: return=…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Returning {
    Minimal,
    Representation,
    Outcome,
}

impl Returning {
    pub fn of(request: &Request) -> Self {
        match request.preference("return") {
            Some("minimal") => Self::Minimal,
            Some("OperationOutcome") => Self::Outcome,
            _ => Self::Representation,
        }
    }

    /// Only what a create, update or patch answered is shaped; bundles, searches and outcomes stay.
    pub fn shape(self, mut answer: Answer) -> Answer {
        if answer.etag.is_none() || answer.status >= 300 {
            return answer;
        }
        match self {
            Self::Representation => {}
            Self::Minimal => answer.body = None,
            Self::Outcome => {
                let text = if answer.status == 201 { "Created." } else { "Done." };
                answer.body = Some(outcome(&[Issue {
                    severity: Severity::Information,
                    code: "informational",
                    text: text.to_owned(),
                    expression: String::new(),
                    diagnostics: None,
                }]));
            }
        }
        answer
    }
}

/// Whether unknown search parameters are refused.
pub(super) fn strict(request: &Request) -> bool {
    request.preference("handling") == Some("strict") && !matches!(request.method, Method::Put | Method::Delete)
}
