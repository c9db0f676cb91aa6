//! One request as handlers see it: parameters, headers, and the body, which is read only when asked for, within size
//! and time, so that a refusal by header costs no reading. Refuses compressed bodies and other media types.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header, request::Parts},
};
use futures_util::StreamExt as _;
use serde_json::Value;

use super::{Api, ApiError, Problem};
use crate::{domain::ObjectId, fhir};

/// The longest pause inside a body.
const PAUSE: Duration = Duration::from_secs(10);
/// The slowest that a whole body may be: this many bytes a second, after a minute's grace.
const SLOWEST: u64 = 16 * 1024;
const GRACE: Duration = Duration::from_secs(60);

/// One request.
pub struct Ask {
    /// What the surface works with.
    pub api: Api,
    /// Method, address, headers.
    pub parts: Parts,
    /// From the route's pattern.
    pub params: Vec<(String, String)>,
    /// Unread.
    pub body: Body,
}

impl Ask {
    /// A parameter of the route's pattern; the empty text where the pattern has none such.
    #[must_use]
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// A header's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The query's parameters, decoded; each may stand once and must be among `known`.
    ///
    /// # Errors
    /// [`ApiError::Query`].
    pub fn query(&self, known: &[&str]) -> Result<Vec<(String, String)>, Problem> {
        let mut found: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(self.parts.uri.query().unwrap_or_default().as_bytes()) {
            if !known.contains(&name.as_ref()) {
                let known = known.join(", ");
                let known = if known.is_empty() { "none".to_owned() } else { known };
                // An unknown name is not quoted back: it may be anything.
                return Err(ApiError::Query(format!("an unknown query parameter; known here: {known}")).into());
            }
            if found.iter().any(|(before, _)| *before == name) {
                return Err(ApiError::Query(format!("the query parameter {name} stands twice")).into());
            }
            found.push((name.into_owned(), value.into_owned()));
        }
        Ok(found)
    }

    /// `?preview=true`, and nothing else in the query.
    ///
    /// # Errors
    /// [`ApiError::Query`].
    pub fn preview(&self) -> Result<bool, Problem> {
        match self.query(&["preview"])?.first().map(|(_, value)| value.as_str()) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ApiError::Query("preview is true or false".to_owned()).into()),
        }
    }

    /// The route's `id`, if it could be one.
    #[must_use]
    pub fn id(&self) -> Option<ObjectId> {
        ObjectId::new(self.param("id")).ok()
    }

    /// Who asks. Access control follows; until then the gateway listens on loopback and everybody is this one.
    #[must_use]
    pub const fn who(&self) -> &'static str {
        "anonymous"
    }

    /// The client's idempotency key.
    ///
    /// # Errors
    /// [`ApiError::NoKey`] where it is there but not usable.
    pub fn key(&self) -> Result<Option<&str>, Problem> {
        let Some(value) = self.parts.headers.get("idempotency-key") else { return Ok(None) };
        let text = value.to_str().ok().filter(|text| (1..=255).contains(&text.len()) && !text.trim().is_empty());
        text.map(Some).ok_or_else(|| ApiError::NoKey.into())
    }

    /// The version in `If-Match`; `None` for `*`, any version.
    ///
    /// # Errors
    /// [`ApiError::NoIfMatch`], [`ApiError::BadIfMatch`].
    pub fn if_match(&self) -> Result<Option<u64>, Problem> {
        let tag = self.parts.headers.get(header::IF_MATCH).ok_or(ApiError::NoIfMatch)?;
        let tag = tag.to_str().map_err(|_| ApiError::BadIfMatch)?.trim();
        if tag == "*" {
            return Ok(None);
        }
        let quoted = tag.strip_prefix("W/").unwrap_or(tag);
        let number = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map(str::parse);
        match number {
            Some(Ok(version)) => Ok(Some(version)),
            // An ETag, but none that we gave: it matches no version.
            Some(Err(_)) if !quoted.trim_matches('"').is_empty() => Ok(Some(0)),
            _ => Err(ApiError::BadIfMatch.into()),
        }
    }

    /// `Prefer: handling=lenient` (RFC 7240).
    #[must_use]
    pub fn is_lenient(&self) -> bool {
        let values = self.parts.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split([',', ';'])).any(|one| {
            one.split_once('=').is_some_and(|(name, value)| {
                name.trim().eq_ignore_ascii_case("handling")
                    && value.trim().trim_matches('"').eq_ignore_ascii_case("lenient")
            })
        })
    }

    /// `Prefer: merge`: what is sent is merged with what others changed since this sender sent it last.
    #[must_use]
    pub fn wants_merge(&self) -> bool {
        let values = self.parts.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split([',', ';'])).any(|one| one.trim().eq_ignore_ascii_case("merge"))
    }

    /// Reads the body as JSON of one of these media types.
    ///
    /// # Errors
    /// By content type, encoding, size, time, and the JSON reader's.
    pub async fn json(self, types: &[&str]) -> Result<Value, Problem> {
        is_of_type(&self.parts.headers, types)?;
        let bytes = self.bytes().await?;
        Ok(fhir::read(&bytes)?)
    }

    /// Reads the body as text of one of these media types.
    ///
    /// # Errors
    /// By content type, encoding, size, time.
    pub async fn text(self, types: &[&str]) -> Result<Bytes, Problem> {
        is_of_type(&self.parts.headers, types)?;
        self.bytes().await
    }

    /// As [`Self::json`], but an empty body is an empty object.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub async fn json_or_nothing(self) -> Result<Value, Problem> {
        let headers = self.parts.headers.clone();
        let bytes = self.bytes().await?;
        if bytes.is_empty() {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        is_of_type(&headers, JSON)?;
        Ok(fhir::read(&bytes)?)
    }

    /// The whole body.
    ///
    /// # Errors
    /// By encoding, size, time.
    pub async fn bytes(self) -> Result<Bytes, Problem> {
        let mut whole = Vec::new();
        self.pieces(|piece| {
            whole.extend_from_slice(piece);
            Ok(())
        })
        .await?;
        Ok(whole.into())
    }

    /// Tells `take` the body piece by piece.
    ///
    /// # Errors
    /// By encoding, size, time; those of `take`.
    pub async fn pieces(self, mut take: impl FnMut(&[u8]) -> Result<(), Problem>) -> Result<(), Problem> {
        let limit = self.api.max_body();
        may_be_read(&self.parts.headers, limit)?;
        let begun = tokio::time::Instant::now();
        let (mut stream, mut size) = (self.body.into_data_stream(), 0);
        loop {
            let piece = match tokio::time::timeout(PAUSE, stream.next()).await {
                Err(_) => return Err(ApiError::Slow.into()),
                Ok(None) => return Ok(()),
                Ok(Some(Err(_))) => return Err(ApiError::BrokenOff.into()),
                Ok(Some(Ok(piece))) => piece,
            };
            size += piece.len() as u64;
            if size > limit {
                return Err(ApiError::TooLarge(limit).into());
            }
            if begun.elapsed() > GRACE + Duration::from_secs(size / SLOWEST) {
                return Err(ApiError::Slow.into());
            }
            take(&piece)?;
        }
    }
}

/// What is taken as JSON.
pub(super) const JSON: &[&str] = &["application/json"];
/// What is taken as a merge patch.
pub(super) const PATCH: &[&str] = &["application/merge-patch+json", "application/json"];

/// The media type without its parameters, in lower case.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn is_of_type(headers: &HeaderMap, types: &[&str]) -> Result<(), Problem> {
    let why = match media_type(headers) {
        Some(given) if types.contains(&given.as_str()) => return Ok(()),
        Some(given) if given.contains("xml") => "XML is not taken: send JSON, with Content-Type: application/json",
        Some(_) => "this Content-Type is not taken here: send application/json",
        None => "the Content-Type is missing: send application/json",
    };
    Err(ApiError::ContentType(why).into())
}

fn may_be_read(headers: &HeaderMap, limit: u64) -> Result<(), Problem> {
    let encoded = |value: &axum::http::HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(header::CONTENT_ENCODING).iter().any(encoded) {
        return Err(ApiError::Encoded.into());
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(ApiError::TooLarge(limit).into());
    }
    Ok(())
}
