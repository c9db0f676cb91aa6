//! The `Transport` over reqwest (rustls with ring): no redirects, no proxies from the environment's surprise, bounded
//! answers, time limits on connection and answer. Kept connections are trusted only as long as all goes well: after a
//! fault of the EHR's (5xx, 408) or of a connection, none that stood then is used again. What reads is repeated once on a fresh
//! connection where one died before it answered; what writes never is.

use std::{
    error::Error as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{
    Method,
    header::{ACCEPT_ENCODING, HeaderValue},
};
use tokio::time::Instant;

use super::{
    config::SystemConfig,
    incoming::{Bounds, Incoming, SLOWEST},
    skim::Keep,
    transport::{Request, Response, Sending, Transport, TransportError},
};

/// Servers close connections that are idle, many after 5 s: ours are given up before.
const IDLE: Duration = Duration::from_secs(4);

/// HTTP/1.1 over TCP or TLS.
pub struct Http {
    limits: Limits,
    pool: Mutex<Pool>,
    bounds: Bounds,
    keep: Option<Arc<dyn Keep>>,
}

struct Limits {
    timeout: Duration,
    connect_timeout: Duration,
    connections: usize,
}

/// The connections that are trusted, by the number of times that trust was lost.
struct Pool {
    client: reqwest::Client,
    losses: u64,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Limits {
    fn client(&self) -> Result<reqwest::Client, String> {
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(self.connect_timeout)
            .pool_max_idle_per_host(self.connections)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .user_agent(concat!("liaison/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error.to_string())
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
        let limits = Limits {
            timeout: config.timeout.get(),
            connect_timeout: config.connect_timeout.get(),
            connections: config.max_concurrency,
        };
        let bounds = Bounds { text: config.max_response_bytes, documents: config.documents_bound() };
        let pool = Mutex::new(Pool { client: limits.client()?, losses: 0 });
        Ok(Self { limits, pool, bounds, keep: None })
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

    fn trusted(&self) -> (reqwest::Client, u64) {
        let pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        (pool.client.clone(), pool.losses)
    }

    /// The connections that stood at `losses` are not used again; those that carry a request end with it.
    fn distrust(&self, losses: u64) {
        if self.trusted().1 != losses {
            return;
        }
        // Where no other can be made, the old ones must do.
        let Ok(client) = self.limits.client() else { return };
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.losses == losses {
            *pool = Pool { client, losses: losses + 1 };
        }
    }

    async fn exchange(&self, request: Request) -> Result<Response, TransportError> {
        // What is long may take its time.
        let patience = self.limits.timeout + Duration::from_secs(request.body.length() / SLOWEST);
        let until = Instant::now() + patience;
        let (mut client, mut losses) = self.trusted();
        let mut sent = send(&client, &request, until).await;
        if let Err(Unanswered::Died) = sent {
            self.distrust(losses);
            if request.method == Method::GET {
                (client, losses) = self.trusted();
                sent = send(&client, &request, until).await;
            }
        }
        let answer = match sent {
            Ok(answer) => answer,
            Err(Unanswered::NotSent) => return Err(TransportError::NotSent),
            Err(Unanswered::Died | Unanswered::Spoilt) => {
                self.distrust(losses);
                return Err(TransportError::Lost);
            }
        };
        let status = answer.status().as_u16();
        let faulty = status >= 500 || status == 408;
        let read = Incoming::new(answer, until, self.bounds).read(self.keep.as_deref(), request.binary).await;
        if faulty || read.is_err() {
            self.distrust(losses);
        }
        read
    }
}

/// Why there is no answer.
enum Unanswered {
    /// There was no connection: nothing left.
    NotSent,
    /// The connection ended before an answer began.
    Died,
    /// What came is no HTTP, or nothing came in time.
    Spoilt,
}

async fn send(client: &reqwest::Client, request: &Request, until: Instant) -> Result<reqwest::Response, Unanswered> {
    let mut outgoing = client.request(request.method.clone(), request.url.clone()).headers(request.headers.clone());
    outgoing = outgoing.header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    match request.body.in_memory() {
        Some(bytes) if bytes.is_empty() => {}
        Some(bytes) => outgoing = outgoing.body(bytes),
        None => outgoing = outgoing.body(reqwest::Body::wrap(request.body.stream())),
    }
    let sent = tokio::time::timeout_at(until, outgoing.send()).await;
    sent.map_err(|_| Unanswered::Spoilt)?.map_err(|error| why(&error))
}

/// A failed connection sent nothing; anything later may have arrived.
fn why(error: &reqwest::Error) -> Unanswered {
    if error.is_connect() || error.is_builder() {
        return Unanswered::NotSent;
    }
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.downcast_ref::<hyper::Error>().is_some_and(|error| error.is_parse() || error.is_user()) {
            return Unanswered::Spoilt;
        }
        cause = inner.source();
    }
    Unanswered::Died
}

impl Transport for Http {
    fn send(&self, request: Request) -> Sending<'_> {
        Box::pin(self.exchange(request))
    }
}
