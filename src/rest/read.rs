//! read, vread and `$validate` (<https://hl7.org/fhir/R4/http.html#read>).

use base64::Engine;
use serde_json::Value;

use super::{
    Check, Error, Serving, Version,
    message::{Answer, Request},
    negotiate,
    search::date,
};
use crate::fhir::{self, outcome::outcome};

impl Version {
    /// Its answer with the headers of a read.
    pub(super) fn answer(&self, status: u16) -> Answer {
        Answer {
            status,
            etag: Some(self.etag()),
            last_modified: Some(self.at),
            body: self.resource.clone(),
            ..Answer::default()
        }
    }

    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.kind, self.id)
    }
}

impl Serving<'_> {
    pub(super) fn read(self, kind: &str, id: &str, request: &Request) -> Result<Answer, Error> {
        let found = self.store.read(kind, id)?.ok_or_else(|| Error::NotFound(format!("{kind}/{id}")))?;
        let Some(resource) = &found.resource else { return Err(Error::Gone(found.name())) };
        if request.header("if-none-match").is_some_and(|tags| names(tags, &found.version)) || unchanged(request, &found)
        {
            return Ok(Answer { status: 304, etag: Some(found.etag()), ..Answer::default() });
        }
        let mut answer = found.answer(200);
        if kind == "Binary" && negotiate::wants_bytes(request) {
            answer.raw = bytes(resource);
        }
        Ok(answer)
    }

    pub(super) fn vread(self, kind: &str, id: &str, version: &str) -> Result<Answer, Error> {
        let versions = self.store.versions(kind, id)?;
        let found = versions.iter().find(|found| found.version == version);
        let found = found.ok_or_else(|| Error::NotFound(format!("{kind}/{id}/_history/{version}")))?;
        if found.resource.is_none() { Err(Error::Gone(found.name())) } else { Ok(found.answer(200)) }
    }

    pub(super) fn validate(self, kind: Option<&str>, check: &dyn Check, request: &Request) -> Result<Answer, Error> {
        let body = negotiate::resource(request)?;
        let mut profiles: Vec<String> =
            request.pairs().into_iter().filter(|(key, _)| key == "profile").map(|(_, value)| value).collect();
        let resource = if fhir::resource_type(&body) == Some("Parameters") && kind != Some("Parameters") {
            let named = |name: &'static str| {
                body["parameter"].as_array().into_iter().flatten().filter(move |part| part["name"] == name)
            };
            profiles.extend(
                named("profile")
                    .filter_map(|part| part.get("valueUri").or_else(|| part.get("valueCanonical"))?.as_str())
                    .map(str::to_owned),
            );
            let missing = || Error::BadBody("Parameters has no parameter 'resource' to validate".to_owned());
            named("resource").find_map(|part| part.get("resource")).ok_or_else(missing)?.clone()
        } else {
            body
        };
        if let Some(kind) = kind
            && fhir::resource_type(&resource) != Some(kind)
        {
            return Err(Error::BadBody(format!("the resource is not {}", crate::domain::a(kind))));
        }
        Ok(Answer::of(200, outcome(&check.check(&resource, &profiles))))
    }
}

fn unchanged(request: &Request, found: &Version) -> bool {
    let since = request.header("if-modified-since").and_then(date::parse_http);
    since.is_some_and(|since| found.at.as_second() <= since.as_second()) && request.header("if-none-match").is_none()
}

/// Whether a list of ETags (`W/"1", "2"`, `*`) names this version.
pub(super) fn names(tags: &str, version: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| {
        let tag = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
        tag == "*" || tag == version
    })
}

fn bytes(binary: &Value) -> Option<(String, Vec<u8>)> {
    let data = base64::engine::general_purpose::STANDARD.decode(binary.get("data")?.as_str()?).ok()?;
    Some((binary.get("contentType")?.as_str()?.to_owned(), data))
}
