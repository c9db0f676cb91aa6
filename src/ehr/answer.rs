//! Reading an EHR's answer into the outcome table of the design: done, retry at, conflict, rejected, unknown.
//! Pure. Statuses: <https://hl7.org/fhir/R4/http.html>; `Retry-After`: RFC 9110, 10.2.3.

use std::time::Duration;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::Value;

use super::{
    etag,
    failure::{Failure, Kind},
    transport::{Response, TransportError},
};
use crate::{
    fhir::{self, Reference, reference::is_id},
    mapping::Meaning,
};

/// What a request was meant to do: the same status means different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Reading or searching: an unreadable answer can simply be asked for again.
    Read,
    /// A create without a condition.
    Create,
    /// A create with `If-None-Exist`.
    ConditionalCreate,
    /// An update.
    Update,
}

/// A resource as the EHR holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Resource type.
    pub kind: String,
    /// Its id there.
    pub id: String,
    /// Its version there, as `If-Match` sends it back: the `ETag` exactly as it came, else `W/"…"` of
    /// `meta.versionId`. To be compared by [`super::same_version`] only.
    pub version: Option<String>,
    /// The resource, where the answer carried it.
    pub body: Option<Value>,
    /// Whether the answer says that it was created just now (201).
    pub created: bool,
}

impl Seen {
    /// `Type/id`.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{}/{}", self.kind, self.id)
    }

    /// Type and id of a resource, where it has both.
    #[must_use]
    pub fn name(resource: &Value) -> Option<(&str, &str)> {
        Some((fhir::resource_type(resource)?, resource.get("id")?.as_str().filter(|id| is_id(id))?))
    }

    /// From a resource out of a search or history.
    #[must_use]
    pub fn of(resource: Value) -> Option<Self> {
        let (kind, id) = Self::name(&resource)?;
        let (kind, id) = (kind.to_owned(), id.to_owned());
        let version = version_id(&resource).map(|id| etag::of_version_id(&id));
        Some(Self { kind, id, version, body: Some(resource), created: false })
    }
}

/// `meta.versionId`.
#[must_use]
pub fn version_id(resource: &Value) -> Option<String> {
    Some(resource.pointer("/meta/versionId")?.as_str()?.to_owned())
}

/// `meta.lastUpdated`. FHIR demands an offset; a time without one is taken to be the EHR's own.
#[must_use]
pub fn last_updated(resource: &Value, zone: &TimeZone) -> Option<Timestamp> {
    let text = resource.pointer("/meta/lastUpdated")?.as_str()?;
    text.parse().ok().or_else(|| Some(text.parse::<DateTime>().ok()?.to_zoned(zone.clone()).ok()?.timestamp()))
}

/// No answer came.
#[must_use]
pub fn unanswered(error: TransportError, intent: Intent) -> Failure {
    match (error, intent) {
        (TransportError::NotSent, _) => Failure::new(Kind::Unreachable, "No connection to the EHR could be made."),
        (TransportError::Lost, _) => Failure::new(Kind::Lost, "The EHR's answer did not arrive."),
        (TransportError::TooLarge, Intent::Read) => {
            let sentence =
                "The EHR's answer is larger than this gateway reads (max_response_bytes, max_document_bytes).";
            Failure::new(Kind::Refused, sentence)
        }
        (TransportError::TooLarge, _) => Failure::new(Kind::Lost, "The EHR's answer is too large to be read."),
        (TransportError::NotKept, _) => {
            Failure::new(Kind::Lost, "There is no room on this machine's disk for a document in the EHR's answer.")
        }
    }
}

/// Reads the answer to a write or read of one resource of type `kind`, of id `id` where it is known.
///
/// # Errors
/// The failure that the answer stands for.
pub fn one(response: &Response, intent: Intent, kind: &str, id: Option<&str>, now: Timestamp) -> Result<Seen, Failure> {
    if !(200..300).contains(&response.status) {
        return Err(failed(response, intent, now));
    }
    let unreadable = || Failure {
        status: Some(response.status),
        ..Failure::new(Kind::Lost, "The EHR's answer cannot be read, so it is not known what it did.")
    };
    let located = response.header("location").or_else(|| response.header("content-location")).and_then(location);
    let body = if response.body.iter().all(u8::is_ascii_whitespace) {
        None
    } else {
        Some(fhir::read(&response.body).map_err(|_| unreadable())?)
    };
    let body = body.filter(|body| fhir::resource_type(body) != Some("OperationOutcome") || kind == "OperationOutcome");
    if let Some(body) = body {
        let seen = Seen::of(body).ok_or_else(unreadable)?;
        let other = id.is_some_and(|id| id != seen.id)
            || located.as_ref().is_some_and(|(located_kind, located_id, _)| {
                intent != Intent::Read && (located_kind != kind || *located_id != seen.id)
            });
        if seen.kind != kind || other {
            return Err(unreadable());
        }
        let version = told(response).or(seen.version);
        return Ok(Seen { version, created: response.status == 201, ..seen });
    }
    let id_version = match (located, id) {
        (Some((located_kind, located_id, version)), wanted)
            if located_kind == kind && wanted.is_none_or(|wanted| wanted == located_id) =>
        {
            Some((located_id, version))
        }
        (None, Some(id)) if intent == Intent::Update => Some((id.to_owned(), None)),
        _ => None,
    };
    let (id, version) = id_version.ok_or_else(unreadable)?;
    let version = told(response).or_else(|| version.as_deref().map(etag::of_version_id));
    Ok(Seen { kind: kind.to_owned(), id, version, body: None, created: response.status == 201 })
}

/// Reads a searchset or history bundle.
///
/// # Errors
/// The failure that the answer stands for.
pub fn bundle(response: &Response, now: Timestamp) -> Result<super::page::Listed, Failure> {
    if !(200..300).contains(&response.status) {
        return Err(failed(response, Intent::Read, now));
    }
    let unreadable =
        || Failure { status: Some(response.status), ..Failure::new(Kind::Lost, "The EHR's list cannot be read.") };
    let mut listed = super::page::read(&response.body).ok_or_else(unreadable)?;
    listed.at = response.date();
    if fhir::resource_type(&listed.bundle) != Some("Bundle") {
        return Err(unreadable());
    }
    Ok(listed)
}

/// The failure that an error number of the EHR's own stands for.
#[must_use]
pub fn meant(meaning: Meaning, response: &Response) -> Failure {
    let (kind, sentence) = match meaning {
        Meaning::Merged => (Kind::Merged, "The record was merged into another one at the EHR."),
        Meaning::Restart => (Kind::Expired, "The EHR's list has expired; it must be begun anew."),
        Meaning::Narrow => (Kind::TooMany, "The EHR finds more than it gives at once."),
        Meaning::Never => (Kind::Forbidden, "The record is specially protected at the EHR."),
        Meaning::Tomorrow => (Kind::Later, "The EHR takes no more of this today."),
        Meaning::Duplicate => (Kind::Exists, "The EHR says that it holds this already."),
    };
    let mut failure = Failure::new(kind, sentence);
    failure.status = Some(response.status);
    failure.retry_after = (meaning == Meaning::Tomorrow).then_some(Duration::from_secs(DAY_S));
    if let Some(says) = super::outcome::sentence(&response.body) {
        failure.message.push(' ');
        failure.message.push_str(&says);
    }
    failure
}

const DAY_S: u64 = 86_400;

/// The version in an answer's headers.
fn told(response: &Response) -> Option<String> {
    response.headers.get(reqwest::header::ETAG).and_then(etag::received)
}

fn location(text: &str) -> Option<(String, String, Option<String>)> {
    match Reference::parse(text) {
        Reference::Literal { kind, id, version, .. } => {
            Some((kind.to_owned(), id.to_owned(), version.map(str::to_owned)))
        }
        _ => None,
    }
}

/// The failure that a status outside 200..300 stands for.
#[must_use]
pub fn failed(response: &Response, intent: Intent, now: Timestamp) -> Failure {
    let status = response.status;
    let says = super::outcome::sentence(&response.body);
    let (kind, sentence) = match status {
        300..=399 => (Kind::Elsewhere, "The EHR points to another address; base_url must name the right one."),
        401 => (Kind::Unauthorised, "The EHR does not accept our credentials."),
        403 => (Kind::Forbidden, "The EHR forbids this."),
        404 | 410 if intent != Intent::Create && intent != Intent::ConditionalCreate => {
            (Kind::Gone, "It does not exist at the EHR.")
        }
        404 | 405 | 410 | 501 => (Kind::NotOffered, "The EHR does not offer this."),
        408 => (Kind::Lost, "The EHR says that the request took too long."),
        409 | 412 if intent == Intent::Update => (Kind::Changed, "It was changed at the EHR in between."),
        412 if intent == Intent::ConditionalCreate => (Kind::Several, "The EHR holds it more than once."),
        409 if super::outcome::is_transient(&response.body) => (Kind::Busy, "The EHR is working on it."),
        413 => (Kind::TooLarge, "It is too large for the EHR."),
        423 => (Kind::Busy, "The record is locked at the EHR."),
        424 => (Kind::Busy, "Something that it depends on is not ready at the EHR."),
        425 | 429 => (Kind::Busy, "The EHR is busy and asks us to wait."),
        400..=499 => (Kind::Refused, "The EHR refused it."),
        _ => (Kind::Lost, "The EHR had a fault of its own; what it did is not known."),
    };
    let mut message = sentence.to_owned();
    if let Some(says) = says {
        message.push(' ');
        message.push_str(&says);
    }
    let retry_after = asked_to_wait(response, now);
    Failure { kind, message, status: Some(status), retry_after }
}

/// How long the EHR asks to be left alone. A date is the EHR's own, so that it is compared with the EHR's clock.
#[must_use]
pub fn asked_to_wait(response: &Response, now: Timestamp) -> Option<Duration> {
    retry_after(response.header("retry-after")?, response.date().unwrap_or(now))
}

/// `Retry-After`: seconds or an HTTP date; at most a day, so that a wild value cannot park a system for ever.
#[must_use]
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds.min(DAY_S)));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let wait = at.duration_since(now);
    Some(Duration::try_from(wait).unwrap_or_default().min(Duration::from_secs(DAY_S)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    pub(crate) fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        Response { status, headers: map, body: body.to_owned().into() }
    }

    fn now() -> Timestamp {
        "2026-03-01T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn done_with_and_without_a_body() {
        let with = response(201, &[("etag", "W/\"7\"")], r#"{"resourceType":"Patient","id":"1"}"#);
        let seen = one(&with, Intent::Create, "Patient", None, now()).unwrap();
        assert_eq!((seen.id.as_str(), seen.version.as_deref(), seen.created), ("1", Some("W/\"7\""), true));
        let without = response(201, &[("location", "http://x/fhir/Patient/9/_history/2")], "");
        let seen = one(&without, Intent::Create, "Patient", None, now()).unwrap();
        assert_eq!((seen.id.as_str(), seen.version.as_deref()), ("9", Some("W/\"2\"")));
        let outcome = response(200, &[("location", "Patient/9")], r#"{"resourceType":"OperationOutcome"}"#);
        assert_eq!(one(&outcome, Intent::Update, "Patient", Some("9"), now()).unwrap().id, "9");
    }

    #[test]
    fn versions_stay_as_they_came() {
        let body = r#"{"resourceType":"Patient","id":"1","meta":{"versionId":"3"}}"#;
        for (etag, version) in [
            (Some("\"1\""), "\"1\""),
            (Some("1"), "1"),
            (Some("\"h1-258\""), "\"h1-258\""),
            (Some("W/\"a\\\"b\""), "W/\"a\\\"b\""),
            (Some("*"), "W/\"3\""),
            (None, "W/\"3\""),
        ] {
            let headers: Vec<_> = etag.into_iter().map(|etag| ("etag", etag)).collect();
            let seen = one(&response(200, &headers, body), Intent::Read, "Patient", Some("1"), now()).unwrap();
            assert_eq!(seen.version.as_deref(), Some(version));
        }
        assert_eq!(Seen::of(fhir::read(body.as_bytes()).unwrap()).unwrap().version.as_deref(), Some("W/\"3\""));
    }

    #[test]
    fn a_time_without_an_offset_is_the_ehrs() {
        let zone = TimeZone::get("Europe/London").unwrap();
        let read = |text: &str| last_updated(&serde_json::json!({"meta": {"lastUpdated": text}}), &zone);
        for (text, instant) in [
            ("2026-07-01T10:00:00+01:00", Some("2026-07-01T09:00:00Z")),
            ("2026-07-01T10:00:00.25Z", Some("2026-07-01T10:00:00.25Z")),
            ("2026-07-01T10:00:00", Some("2026-07-01T09:00:00Z")),
            ("2026-07-01", Some("2026-06-30T23:00:00Z")),
            ("yesterday", None),
        ] {
            assert_eq!(read(text), instant.map(|at| at.parse().unwrap()), "{text}");
        }
        assert_eq!(last_updated(&serde_json::json!({}), &zone), None);
    }

    #[test]
    fn unreadable_success_is_unknown() {
        for (body, id) in [
            ("<html>ok</html>", None),
            (r#"{"resourceType":"Patient","id":"#, None),
            ("", None),
            (r#"{"resourceType":"Observation","id":"1"}"#, None),
            (r#"{"resourceType":"Patient","id":"2"}"#, Some("1")),
            (r#"{"resourceType":"Patient"}"#, None),
        ] {
            let failure = one(&response(200, &[], body), Intent::Create, "Patient", id, now()).unwrap_err();
            assert_eq!(failure.kind, Kind::Lost, "{body}");
        }
    }

    #[test]
    fn the_outcome_table() {
        use Intent::{ConditionalCreate, Create, Read, Update};
        for (status, intent, kind) in [
            (302, Create, Kind::Elsewhere),
            (400, Create, Kind::Refused),
            (401, Create, Kind::Unauthorised),
            (403, Update, Kind::Forbidden),
            (404, Update, Kind::Gone),
            (404, Create, Kind::NotOffered),
            (410, Read, Kind::Gone),
            (408, Create, Kind::Lost),
            (409, Update, Kind::Changed),
            (412, Update, Kind::Changed),
            (412, ConditionalCreate, Kind::Several),
            (422, Create, Kind::Refused),
            (423, Update, Kind::Busy),
            (424, Create, Kind::Busy),
            (429, Create, Kind::Busy),
            (500, Create, Kind::Lost),
            (503, Update, Kind::Lost),
        ] {
            let failure = failed(&response(status, &[], "<h1>no</h1>"), intent, now());
            assert_eq!(failure.kind, kind, "{status} {intent:?}");
            assert_eq!(failure.status, Some(status));
        }
    }

    #[test]
    fn waits_by_seconds_or_date() {
        assert_eq!(retry_after("120", now()), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 01 Mar 2026 10:00:30 GMT", now()), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Sun, 01 Mar 2026 09:00:30 GMT", now()), Some(Duration::ZERO));
        assert_eq!(retry_after("99999999999", now()), Some(Duration::from_secs(86_400)));
        assert_eq!(retry_after("soon", now()), None);
    }

    #[test]
    fn messages_quote_no_patient() {
        let body = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"value",
            "details":{"text":"Zaphod is dead","coding":[{"code":"59141"}]},"diagnostics":"Zaphod",
            "expression":["Patient.name[0].family","Patient.name.where(family='Zaphod')"]}]}"#;
        let failure = failed(&response(422, &[], body), Intent::Create, now());
        assert!(!failure.message.contains("Zaphod"), "{}", failure.message);
        assert!(failure.message.contains("Patient.name[0].family") && failure.message.contains("59141"));
    }
}
