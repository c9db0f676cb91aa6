//! An answer's body as it arrives: bounded in memory and on disk, in time, and by what it is before it was compressed.
//! Of a refusal only the beginning is read: its status says what counts. What is not whole leaves nothing behind.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    inflate::Inflate,
    skim::{Keep, Keeping, LONG, Skim, Stop},
    transport::{Response, TransportError},
};
use crate::fhir::{self, stored};

/// At least so many bytes a second, beside the time that any exchange may take.
pub(super) const SLOWEST: u64 = 256 * 1024;
/// So much of a refusal is read.
const REFUSAL: usize = 1 << 20;

/// How much of one answer is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// What stays in memory.
    pub text: usize,
    /// What goes elsewhere.
    pub documents: u64,
}

/// An answer whose body was not read yet.
pub(super) struct Incoming {
    answer: reqwest::Response,
    headers: HeaderMap,
    inflate: Inflate,
    until: Instant,
    bounds: Bounds,
    received: u64,
}

impl Incoming {
    pub(super) fn new(mut answer: reqwest::Response, until: Instant, bounds: Bounds) -> Self {
        let mut headers = std::mem::take(answer.headers_mut());
        let inflate = Inflate::by(&mut headers);
        Self { answer, headers, inflate, until, bounds, received: 0 }
    }

    /// All of it; long content goes to `keep`. `binary`: the id of the Binary that was read.
    pub(super) async fn read(
        self,
        keep: Option<&dyn Keep>,
        binary: Option<String>,
    ) -> Result<Response, TransportError> {
        let success = self.answer.status().is_success();
        match keep.filter(|_| success) {
            Some(keep) => self.skimmed(keep, binary).await,
            None => self.whole(success).await,
        }
    }

    /// The next bytes, as they were before they were compressed.
    async fn next(&mut self) -> Result<Option<Bytes>, TransportError> {
        let spoilt = |_| TransportError::Lost;
        loop {
            if let Some(piece) = self.inflate.take().map_err(spoilt)? {
                return Ok(Some(piece));
            }
            let until = self.until + Duration::from_secs(self.received / SLOWEST);
            let chunk = tokio::time::timeout_at(until, self.answer.chunk()).await;
            match chunk.map_err(|_| TransportError::Lost)?.map_err(|_| TransportError::Lost)? {
                Some(chunk) => {
                    self.received += chunk.len() as u64;
                    self.inflate.feed(chunk);
                }
                // An answer without any body has none to be cut off either.
                None if self.received == 0 => return Ok(None),
                None => return self.inflate.end().map_err(spoilt),
            }
        }
    }

    fn with(self, body: impl Into<Bytes>) -> Response {
        Response { status: self.answer.status().as_u16(), headers: self.headers, body: body.into() }
    }

    /// Whether the answer says of itself that it is longer than this.
    fn announces_more_than(&self, bound: u64) -> bool {
        self.inflate.is_plain() && self.answer.content_length().is_some_and(|length| length > bound)
    }

    /// All in memory, within the bound.
    async fn whole(mut self, success: bool) -> Result<Response, TransportError> {
        let bound = if success { self.bounds.text } else { self.bounds.text.min(REFUSAL) };
        if success && self.announces_more_than(bound as u64) {
            return Err(TransportError::TooLarge);
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = self.next().await? {
            if body.len() + chunk.len() > bound {
                if success {
                    return Err(TransportError::TooLarge);
                }
                body.extend_from_slice(&chunk[..bound - body.len()]);
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(self.with(body))
    }

    /// Long content goes elsewhere.
    async fn skimmed(mut self, keep: &dyn Keep, binary: Option<String>) -> Result<Response, TransportError> {
        // Base64 takes four characters for three bytes.
        if self.announces_more_than((self.bounds.text as u64).saturating_add(self.bounds.documents / 3 * 4 + 4)) {
            return Err(TransportError::TooLarge);
        }
        let kind = self.headers.get("content-type").and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        if let (Some(id), Some(kind)) = (binary, kind.filter(|kind| !kind.contains("json"))) {
            return self.bytes_of(keep, &id, &kind).await;
        }
        let mut skim = Skim::new(keep, self.bounds.documents);
        while let Some(chunk) = self.next().await? {
            skim.read(&chunk).map_err(|stop| match stop {
                Stop::TooMuch => TransportError::TooLarge,
                Stop::NotBase64 => TransportError::Lost,
                Stop::NotKept(_) => TransportError::NotKept,
            })?;
            if skim.length() > self.bounds.text {
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
                keeping.end(kind).await.map_err(|_| TransportError::NotKept)?;
            }
        }
        Ok(self.with(text))
    }

    /// A Binary's own bytes, as the JSON that they stand for.
    async fn bytes_of(mut self, keep: &dyn Keep, id: &str, kind: &str) -> Result<Response, TransportError> {
        let not_kept = |_| TransportError::NotKept;
        let mut short = BytesMut::new();
        let mut long: Option<Box<dyn Keeping>> = None;
        let mut size = 0_u64;
        while let Some(chunk) = self.next().await? {
            size += chunk.len() as u64;
            if size > self.bounds.documents {
                return Err(TransportError::TooLarge);
            }
            match &mut long {
                Some(long) => long.write(&chunk).map_err(not_kept)?,
                None => short.extend_from_slice(&chunk),
            }
            if long.is_none() && short.len() > LONG / 4 * 3 {
                let mut begun = keep.begin().map_err(not_kept)?;
                begun.write(&short).map_err(not_kept)?;
                long = Some(begun);
            }
        }
        let data = match long {
            None => STANDARD.encode(&short),
            Some(long) => {
                let name = long.name();
                long.end(kind.to_owned()).await.map_err(not_kept)?;
                name
            }
        };
        let resource = json!({ "resourceType": "Binary", "id": id, "contentType": kind, "data": data });
        Ok(self.with(resource.to_string()))
    }
}
