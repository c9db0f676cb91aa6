//! The `Transport` over reqwest (rustls with ring): no redirects, no proxies from the environment's surprise, no
//! automatic repetition, bounded answers, time limits on connection and answer.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{
    config::SystemConfig,
    transport::{Request, Response, Sending, Transport, TransportError},
};

/// HTTP/1.1 over TCP or TLS.
#[derive(Debug)]
pub struct Http {
    client: reqwest::Client,
    max_response_bytes: usize,
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
            .timeout(config.timeout.get())
            .pool_max_idle_per_host(config.max_concurrency)
            .tcp_nodelay(true)
            .user_agent(concat!("liaison/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client, max_response_bytes: config.max_response_bytes })
    }

    /// The same as a shared transport.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn shared(config: &SystemConfig) -> Result<Arc<dyn Transport>, String> {
        Ok(Arc::new(Self::new(config)?))
    }

    async fn exchange(&self, request: Request) -> Result<Response, TransportError> {
        let Request { method, url, headers, body } = request;
        let mut outgoing = self.client.request(method, url).headers(headers);
        if !body.is_empty() {
            outgoing = outgoing.body(body);
        }
        let mut answer = outgoing.send().await.map_err(|error| not_answered(&error))?;
        let (status, headers) = (answer.status().as_u16(), std::mem::take(answer.headers_mut()));
        let limit = self.max_response_bytes;
        if headers.get("content-length").and_then(|v| v.to_str().ok()?.parse::<usize>().ok()).is_some_and(|n| n > limit)
        {
            return Err(TransportError::TooLarge);
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|_| TransportError::Lost)? {
            if body.len() + chunk.len() > limit {
                return Err(TransportError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status, headers, body: Bytes::from(body) })
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
