//! Good answers: JSON with its status, ETag, Location; lists with the address of the next page.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{ApiError, Ask, Problem};

/// What a handler gives.
pub type Answered = Result<Response<Body>, Problem>;

/// JSON with a status.
pub(super) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    with(response, header::CONTENT_TYPE, "application/json")
}

/// JSON, 200.
pub(super) fn ok(value: &Value) -> Response<Body> {
    json(StatusCode::OK, value)
}

/// One more header; a value that cannot be one is left out.
pub(super) fn with(mut response: Response<Body>, name: HeaderName, value: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// A page of a list: how many, and after which one.
pub(super) struct Page {
    pub limit: usize,
    pub after: Option<String>,
    /// The other parameters, for the next address.
    pub filters: Vec<(String, String)>,
}

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

impl Page {
    /// Reads `limit`, `cursor` and these filters from the query.
    pub(super) fn of(ask: &Ask, filters: &[&str]) -> Result<Self, Problem> {
        let known: Vec<&str> = ["limit", "cursor"].iter().chain(filters).copied().collect();
        let mut page = Self { limit: DEFAULT_LIMIT, after: None, filters: Vec::new() };
        for (name, value) in ask.query(&known)? {
            match name.as_str() {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    page.limit = limit.ok_or_else(|| bad("limit is a number from 1 to 500"))?;
                }
                "cursor" => {
                    let after = URL_SAFE_NO_PAD.decode(&value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                    page.after = Some(after.ok_or_else(|| bad("cursor is not one that `next` gave"))?);
                }
                _ => page.filters.push((name, value)),
            }
        }
        Ok(page)
    }

    /// `{"items","next"}` of rows, of which one more than the limit was asked for.
    pub(super) fn answer<T>(
        &self,
        ask: &Ask,
        mut rows: Vec<T>,
        id: impl Fn(&T) -> &str,
        show: impl FnMut(&T) -> Result<Value, Problem>,
    ) -> Answered {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = rows.last().filter(|_| more).map(|last| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("limit", &self.limit.to_string());
            query.append_pair("cursor", &URL_SAFE_NO_PAD.encode(id(last)));
            query.extend_pairs(&self.filters);
            format!("{}?{}", ask.parts.uri.path(), query.finish())
        });
        let items = rows.iter().map(show).collect::<Result<Vec<_>, _>>()?;
        Ok(ok(&json!({"items": items, "next": next})))
    }
}

fn bad(why: &str) -> Problem {
    ApiError::Query(why.to_owned()).into()
}
