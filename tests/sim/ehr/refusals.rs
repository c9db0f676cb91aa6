//! What an EHR refuses, and how: the quirks that answer a request without carrying it out; tokens.

use std::time::Duration;

use liaison::{
    ehr::Response,
    rest::{self, Method},
};
use serde_json::json;

use super::{SimEhr, as_response};
use crate::quirk::Kind;

impl SimEhr {
    /// An answer without doing anything.
    pub(super) fn refused(&self, request: &rest::Request) -> Option<Response> {
        let metadata = request.path == "metadata";
        if metadata {
            self.strikes(Kind::NoMetadata).map(|_| ())?;
            return Some(self.status(404, None));
        }
        if self.strikes(Kind::Unauthorised).or_else(|| self.strikes(Kind::Expired)).is_some() {
            return Some(self.status(401, None));
        }
        for (kind, status, asks) in [
            (Kind::Busy, 429, true),
            (Kind::BusyBare, 429, false),
            (Kind::Unavailable, 503, true),
            (Kind::UnavailableBare, 503, false),
            (Kind::Broken, 500, false),
            (Kind::BadGateway, 502, false),
            (Kind::TimedOut, 408, false),
        ] {
            if let Some(vary) = self.strikes(kind) {
                return Some(self.status(status, asks.then_some(1 + vary % 40)));
            }
        }
        self.refused_record(request)
    }

    /// Refusals that concern one record, object or kind.
    pub(super) fn refused_record(&self, request: &rest::Request) -> Option<Response> {
        let named = |kind: Kind| {
            let quirk = self.active(kind)?;
            let (of, id) = self.books.nth(None, quirk.vary % 4)?;
            (request.path == format!("{of}/{id}")).then_some(())?;
            self.strikes(kind)
        };
        let reads = request.method == Method::Get;
        if named(Kind::ForbiddenRecord).is_some() {
            return Some(self.status(403, None));
        }
        if reads && let Some(vary) = named(Kind::UnreadableForEver) {
            return Some(self.status([400, 403, 404, 500][vary as usize / 4 % 4], None));
        }
        if let Some(vary) = named(Kind::Locked) {
            let now = self.time.elapsed();
            let since = *self.inner().locked.get_or_insert(now);
            if now < since + Duration::from_secs(300) {
                let left = (since + Duration::from_secs(300) - now).as_secs() + 1;
                return Some(self.status(423, (vary % 2 == 0).then_some(left)));
            }
        }
        if reads
            && !request.query.contains("identifier=")
            && let Some(quirk) = self.active(Kind::ListForbidden)
            && request.path == ["Patient", "Appointment"][quirk.vary as usize % 2]
            && self.strikes(Kind::ListForbidden).is_some()
        {
            return Some(self.status([400, 403, 500][quirk.vary as usize / 2 % 3], None));
        }
        if reads && request.query.contains("identifier=") && !request.path.contains('/') {
            if let Some(vary) = self.strikes(Kind::SearchForbidden) {
                return Some(self.status([400, 403, 500][vary as usize % 3], None));
            }
            let several = request
                .pairs()
                .iter()
                .any(|(name, value)| name == "identifier" && value.replace("\\,", "").contains(','));
            if several && self.strikes(Kind::NoOr).is_some() {
                return Some(self.status(400, None));
            }
        }
        if reads && request.path.contains("_history") && self.strikes(Kind::NoHistory).is_some() {
            return Some(self.status(501, None));
        }
        if reads && request.query.contains("_page=") && self.strikes(Kind::PageFails).is_some() {
            return Some(self.status(500, None));
        }
        if reads && request.query.contains("_lastUpdated") && self.strikes(Kind::NoLastUpdated).is_some() {
            return Some(self.status(400, None));
        }
        if request.method.writes() {
            let text = String::from_utf8_lossy(&request.body).into_owned();
            if let Some(quirk) = self.active(Kind::RefusesObject)
                && text.contains(&crate::plan::marker(quirk.vary as usize % 4))
                && self.strikes(Kind::RefusesObject).is_some()
            {
                return Some(self.status(422, None));
            }
            if let Some(quirk) = self.active(Kind::RefusesType)
                && request.path.starts_with(["Patient", "Appointment"][quirk.vary as usize % 2])
                && self.strikes(Kind::RefusesType).is_some()
            {
                return Some(self.status(422, None));
            }
        }
        None
    }

    /// A token that lives for some seconds, or less.
    pub(super) fn token(&self, vary: u64) -> Response {
        let lifetime = 4 + vary % 40;
        let mut inner = self.inner();
        let dies_early = inner.chance.u8(0..3) == 0;
        let lives = if dies_early { inner.chance.u64(0..lifetime * 1000) } else { lifetime * 1000 };
        let token = format!("token-{}", inner.tokens.len());
        let dies = self.time.elapsed() + Duration::from_millis(lives);
        inner.tokens.insert(token.clone(), dies);
        let body = json!({"access_token": token, "token_type": "Bearer", "expires_in": lifetime});
        let headers = vec![("content-type", "application/json".to_owned())];
        as_response(rest::Response { status: 200, headers, body: body.to_string().into_bytes() })
    }

    pub(super) fn status(&self, status: u16, retry_after: Option<u64>) -> Response {
        let code = match status {
            401 => "login",
            403 => "forbidden",
            404 => "not-found",
            409 => "transient",
            423 => "lock-error",
            429 => "throttled",
            400..=499 => "business-rule",
            _ => "transient",
        };
        let body = json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code}]});
        let mut headers = vec![("content-type", "application/fhir+json".to_owned())];
        headers.extend(retry_after.map(|seconds| ("retry-after", seconds.to_string())));
        as_response(rest::Response { status, headers, body: body.to_string().into_bytes() })
    }
}
