//! Requests and responses as plain values, free of any HTTP library: what came, what goes back, and what the
//! headers ask for (<https://hl7.org/fhir/R4/http.html>). Refuses nothing; `negotiate` does.

use serde_json::Value;

/// HTTP methods that FHIR's REST API uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Read, search, history.
    Get,
    /// As GET, without the body.
    Head,
    /// Create, search by form, batch, operations.
    Post,
    /// Update.
    Put,
    /// Patch.
    Patch,
    /// Delete.
    Delete,
}

impl Method {
    /// Reads the upper-case name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            _ => return None,
        })
    }

    /// The upper-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether the request may change something.
    #[must_use]
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Get | Self::Head)
    }
}

/// A request below the FHIR base.
#[derive(Clone, Debug)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Below the base, without a leading slash, still percent-encoded: `Patient/1`.
    pub path: String,
    /// What follows `?`, still percent-encoded; empty if nothing.
    pub query: String,
    /// Names in any case.
    pub headers: Vec<(String, String)>,
    /// As it came.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without headers and body.
    #[must_use]
    pub fn new(method: Method, path: &str, query: &str) -> Self {
        Self { method, path: path.to_owned(), query: query.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// The first header of this name, in any case, trimmed.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Forgets a header.
    pub fn remove_header(&mut self, name: &str) {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }

    /// The decoded pairs of the query.
    #[must_use]
    pub fn pairs(&self) -> Vec<(String, String)> {
        pairs(self.query.as_bytes())
    }

    /// A preference's value, as in `Prefer: return=minimal; handling=strict`.
    #[must_use]
    pub fn preference(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case("prefer"))
            .flat_map(|(_, value)| value.split([',', ';']))
            .find_map(|part| {
                let (key, value) = part.split_once('=')?;
                key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
            })
    }
}

/// Decodes `a=b&c=d` (`application/x-www-form-urlencoded`).
#[must_use]
pub fn pairs(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text).map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
}

/// What goes back.
#[derive(Clone, Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case; Content-Type among them where there is a body.
    pub headers: Vec<(&'static str, String)>,
    /// The bytes; empty for none.
    pub body: Vec<u8>,
}

impl Response {
    /// The header of this name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }
}

/// An answer before it is written out; entries of a batch are made from these too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub status: u16,
    pub etag: Option<String>,
    pub last_modified: Option<jiff::Timestamp>,
    pub location: Option<String>,
    pub body: Option<Value>,
    pub raw: Option<(String, Vec<u8>)>,
}

impl Answer {
    pub fn of(status: u16, body: Value) -> Self {
        Self { status, body: Some(body), ..Self::default() }
    }

    /// Written out; `pretty` for people.
    pub fn into_response(self, pretty: bool, head: bool) -> Response {
        let mut headers = Vec::new();
        if let Some(etag) = self.etag {
            headers.push(("etag", etag));
        }
        if let Some(at) = self.last_modified {
            headers.push(("last-modified", http_date(at)));
        }
        if let Some(location) = self.location {
            headers.push(("location", location));
        }
        let mut body = Vec::new();
        if let Some((kind, bytes)) = self.raw {
            headers.push(("content-type", kind));
            body = bytes;
        } else if let Some(value) = self.body {
            headers.push(("content-type", "application/fhir+json".to_owned()));
            body = if pretty { format!("{value:#}\n") } else { value.to_string() }.into_bytes();
        }
        if head {
            body.clear();
        }
        Response { status: self.status, headers, body }
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110).
pub(crate) fn http_date(at: jiff::Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_preferences() {
        let mut request = Request::new(Method::Get, "Patient", "name=a%20b&_id=1%2C2");
        request.headers = vec![("prefer".into(), "return=minimal; handling=\"strict\"".into())];
        assert_eq!(request.preference("handling"), Some("strict"));
        assert_eq!(request.preference("return"), Some("minimal"));
        assert_eq!(request.pairs()[0], ("name".into(), "a b".into()));
        assert_eq!(http_date("1994-11-06T08:49:37Z".parse().unwrap()), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
