//! The `Transport` over reqwest (rustls with ring): no redirects, no proxies from the environment's surprise, no
//! automatic repetition, bounded answers, time limits on connection and answer.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    config::SystemConfig,
    skim::{Keep, Keeping, LONG, Skim},
    transport::{Request, Response, Sending, Transport, TransportError},
};
use crate::fhir::{self, stored};

/// HTTP/1.1 over TCP or TLS.
pub struct Http {
    client: reqwest::Client,
    timeout: Duration,
    max_response_bytes: usize,
    keep: Option<Arc<dyn Keep>>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Http {
    /// A client with the system's limits.
    ///
    /// # Errors
    /// The TLS set-up's sentence.
    pub fn new(config: &SystemConfig) -> Result<Self, String> {
        // A second installation is refused by rustls and means that it is done already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(config.connect_timeout.get())
            .pool_max_idle_per_host(config.max_concurrency)
            .tcp_nodelay(true)
            .user_agent(concat!("liaison/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client, timeout: config.timeout.get(), max_response_bytes: config.max_response_bytes, keep: None })
    }

    /// The same as a shared transport.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn shared(config: &SystemConfig) -> Result<Arc<dyn Transport>, String> {
        Ok(Arc::new(Self::new(config)?))
    }

    /// The same with a place for long content, which then never stays in an answer's body.
    #[must_use]
    pub fn keeping(mut self, keep: Arc<dyn Keep>) -> Self {
        self.keep = Some(keep);
        self
    }

    async fn exchange(&self, request: Request) -> Result<Response, TransportError> {
        let Request { method, url, headers, body, binary } = request;
        let mut outgoing = self.client.request(method, url).headers(headers);
        match body.in_memory() {
            Some(bytes) if bytes.is_empty() => {}
            Some(bytes) => outgoing = outgoing.body(bytes),
            None => outgoing = outgoing.body(reqwest::Body::wrap(body.stream())),
        }
        // What is long may take its time.
        let patience = self.timeout + Duration::from_secs(body.length() / SLOWEST);
        let begun = Instant::now();
        let answer = tokio::time::timeout_at(begun + patience, outgoing.send()).await;
        let answer = answer.map_err(|_| TransportError::Lost)?.map_err(|error| not_answered(&error))?;
        let incoming = Incoming { answer, until: begun + patience, limit: self.max_response_bytes, received: 0 };
        match &self.keep {
            Some(keep) if incoming.answer.status().is_success() => incoming.skimmed(&**keep, binary).await,
            _ => incoming.whole().await,
        }
    }
}

/// At least so many bytes a second, beside the time that any exchange may take.
const SLOWEST: u64 = 256 * 1024;

/// An answer whose body was not read yet.
struct Incoming {
    answer: reqwest::Response,
    until: Instant,
    limit: usize,
    received: u64,
}

impl Incoming {
    async fn chunk(&mut self) -> Result<Option<Bytes>, TransportError> {
        let until = self.until + Duration::from_secs(self.received / SLOWEST);
        let chunk = tokio::time::timeout_at(until, self.answer.chunk()).await;
        let chunk = chunk.map_err(|_| TransportError::Lost)?.map_err(|_| TransportError::Lost)?;
        self.received += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        Ok(chunk)
    }

    fn with(mut self, body: impl Into<Bytes>) -> Response {
        let (status, headers) = (self.answer.status().as_u16(), std::mem::take(self.answer.headers_mut()));
        Response { status, headers, body: body.into() }
    }

    /// All in memory, within the bound.
    async fn whole(mut self) -> Result<Response, TransportError> {
        if self.answer.content_length().is_some_and(|length| length > self.limit as u64) {
            return Err(TransportError::TooLarge);
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > self.limit {
                return Err(TransportError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(self.with(body))
    }

    /// Long content goes elsewhere; the bound is for what stays.
    async fn skimmed(mut self, keep: &dyn Keep, binary: Option<String>) -> Result<Response, TransportError> {
        let kind = self.answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        if let (Some(id), Some(kind)) = (binary, kind.filter(|kind| !kind.contains("json"))) {
            return self.bytes_of(keep, &id, &kind).await;
        }
        let mut skim = Skim::new(keep);
        while let Some(chunk) = self.chunk().await? {
            skim.read(&chunk).map_err(|_| TransportError::TooLarge)?;
            if skim.length() > self.limit {
                return Err(TransportError::TooLarge);
            }
        }
        let (text, kept) = skim.end();
        if !kept.is_empty() {
            let resource = fhir::read(&text).map_err(|_| TransportError::Lost)?;
            let mut types = std::collections::HashMap::new();
            stored::each(&resource, &mut |members, name| {
                types.insert(name.to_owned(), members.get("contentType").and_then(Value::as_str).map(str::to_owned));
            });
            for (name, keeping) in kept {
                let kind = types.remove(&name).flatten().unwrap_or_else(|| "application/octet-stream".to_owned());
                keeping.end(kind).await.map_err(|_| TransportError::Lost)?;
            }
        }
        Ok(self.with(text))
    }

    /// A Binary's own bytes, as the JSON that they stand for.
    async fn bytes_of(mut self, keep: &dyn Keep, id: &str, kind: &str) -> Result<Response, TransportError> {
        let lost = |_| TransportError::Lost;
        let mut short = BytesMut::new();
        let mut long: Option<Box<dyn Keeping>> = None;
        while let Some(chunk) = self.chunk().await? {
            match &mut long {
                Some(long) => long.write(&chunk).map_err(lost)?,
                None => short.extend_from_slice(&chunk),
            }
            if long.is_none() && short.len() > LONG / 4 * 3 {
                let mut begun = keep.begin().map_err(lost)?;
                begun.write(&short).map_err(lost)?;
                long = Some(begun);
            }
        }
        let data = match long {
            None => STANDARD.encode(&short),
            Some(long) => {
                let name = long.name();
                long.end(kind.to_owned()).await.map_err(lost)?;
                name
            }
        };
        let resource = json!({ "resourceType": "Binary", "id": id, "contentType": kind, "data": data });
        Ok(self.with(resource.to_string()))
    }
}

/// A failed connection sent nothing; anything later may have arrived.
fn not_answered(error: &reqwest::Error) -> TransportError {
    if error.is_connect() || error.is_builder() { TransportError::NotSent } else { TransportError::Lost }
}

impl Transport for Http {
    fn send(&self, request: Request) -> Sending<'_> {
        Box::pin(self.exchange(request))
    }
}
