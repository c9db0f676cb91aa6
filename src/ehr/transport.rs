//! The seam to the network: a request goes out, a bounded answer comes back. Redirects are never followed here, bodies
//! are bounded, and an error says whether the request can have reached the other side.

use std::{fmt, future::Future, pin::Pin};

use bytes::Bytes;
use reqwest::{Method, Url, header::HeaderMap};

use super::body::Body;

/// One request. `Debug` shows neither headers nor body: they hold credentials and patient data.
#[derive(Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Absolute address.
    pub url: Url,
    /// Headers, credentials among them.
    pub headers: HeaderMap,
    /// Body; empty for none.
    pub body: Body,
    /// Id of a Binary that is read: the answer may be its bytes instead of JSON, and becomes that JSON.
    pub binary: Option<String>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {} bytes)", self.method, self.body.length())
    }
}

/// A whole answer, its body within the bound.
#[derive(Clone)]
pub struct Response {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({} {} bytes)", self.status, self.body.len())
    }
}

impl Response {
    /// A header's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
    /// What the EHR's own clock said, where it says so (`Date`).
    #[must_use]
    pub fn date(&self) -> Option<jiff::Timestamp> {
        jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(self.header("date")?).ok()
    }
}

/// No answer. The difference between the first and the others decides whether reading back is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection: nothing left.
    #[error("no connection")]
    NotSent,
    /// The request may have arrived; no whole answer came back.
    #[error("no answer")]
    Lost,
    /// The answer is larger than the bound; the request arrived.
    #[error("the answer is too large")]
    TooLarge,
    /// The answer came, and there was no room here for a document in it.
    #[error("no room for the answer")]
    NotKept,
}

/// The pending answer.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response, TransportError>> + Send + 'a>>;

/// Sends requests. Implementations must neither follow redirects nor repeat a write that may have left.
pub trait Transport: Send + Sync + 'static {
    /// Sends one request and reads the whole answer.
    fn send(&self, request: Request) -> Sending<'_>;
}
