//! The HTTP surface: the internal API under `/api/v1`, health, metrics, documentation; `/fhir` is nested beside it. Thin:
//! requests are read and answers written here, everything is decided below. Every refusal is a problem from the one
//! table of codes. Refuses what comes from another website, and says so where something is not built yet.

mod ask;
mod attachments;
mod bulk;
mod docs;
mod drain;
mod error;
mod events;
pub mod fhir;
mod fhir_index;
mod fhir_store;
mod health;
pub mod listen;
mod objects;
mod openapi;
mod reply;
mod routes;
mod syncs;
mod systems;
mod worklist;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, RawPathParams, Request, State, rejection::RawPathParamsRejection},
    http::{HeaderValue, Method, Response, header},
    middleware::{self, Next},
    routing::{MethodFilter, on},
};
use futures_util::FutureExt as _;
use tokio::sync::watch;

pub use ask::Ask;
pub use error::{ApiError, Problem};
pub use reply::Answered;

use crate::{ledger::Ledger, mapping::Mappings, sync::Engine};

/// What the surface works with; cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    engine: Engine,
    ledger: Ledger,
    max_body: u64,
    stopping: watch::Receiver<bool>,
    counters: health::Counters,
}

impl Api {
    /// `max_body` in bytes; `stopping` turns true when the gateway drains, which ends event streams.
    #[must_use]
    pub fn new(engine: Engine, ledger: Ledger, max_body: u64, stopping: watch::Receiver<bool>) -> Self {
        let counters = health::Counters::default();
        Self(Arc::new(Inner { engine, ledger, max_body, stopping, counters }))
    }

    /// Pushes, changes, decisions.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }
    /// What is so.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }
    /// Kinds of objects, as they are now.
    #[must_use]
    pub fn mappings(&self) -> Arc<Mappings> {
        self.0.engine.mappings().now()
    }
    /// The largest body, in bytes.
    #[must_use]
    pub fn max_body(&self) -> u64 {
        self.0.max_body
    }
    fn stopping(&self) -> watch::Receiver<bool> {
        self.0.stopping.clone()
    }
    fn counters(&self) -> &health::Counters {
        &self.0.counters
    }
}

/// All routes; `fhir` is served below `/fhir`.
pub fn router(api: Api, fhir: Router) -> Router {
    let mut router: Router<Api> = Router::new();
    for route in routes::ROUTES {
        let filter = MethodFilter::try_from(method(route.method)).unwrap_or(MethodFilter::GET);
        let handler = route.handler;
        let serve = move |State(api): State<Api>,
                          params: Result<RawPathParams, RawPathParamsRejection>,
                          request: Request| serve(api, handler, params, request);
        // Beside `{id}`, so that an object may have the id `bulk`.
        let path = route.path.replace("{objects}/bulk", "{objects}/{id}");
        router = router.route(&path, on(filter, serve));
    }
    router
        .route("/console", axum::routing::any(not_yet))
        .fallback(|request: Request| async move { Problem::from(ApiError::NoRoute).answer(request.uri().path()) })
        .method_not_allowed_fallback(|request: Request| async move {
            Problem::from(ApiError::NoMethod).answer(request.uri().path())
        })
        .with_state(api.clone())
        .nest("/fhir", fhir)
        .layer(middleware::from_fn_with_state(api, around))
}

async fn not_yet(request: Request) -> Response<Body> {
    Problem::from(ApiError::NotYet("the console")).answer(request.uri().path())
}

fn method(name: &str) -> Method {
    name.parse().unwrap_or(Method::GET)
}

async fn serve(
    api: Api,
    handler: routes::Handler,
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let Ok(params) = params else { return Problem::from(ApiError::NoRoute).answer(&path) };
    let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    match handler(Ask { api, parts, params, body }).await {
        Ok(response) => response,
        Err(problem) => problem.answer(&path),
    }
}

/// Around every route: refuses other websites, catches defects, counts, and sets the headers that protect browsers.
async fn around(State(api): State<Api>, request: Request, next: Next) -> Response<Body> {
    let begun = Instant::now();
    let request = request.map(drain::Drained::body);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    let mut response = if is_cross_site(&request) {
        Problem::from(ApiError::CrossSite).answer(&path)
    } else {
        AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(route, "a handler panicked");
            Problem::from(ApiError::Defect).answer(&path)
        })
    };
    let headers = response.headers_mut();
    let policy = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    let name = if is_known(&method) { method.as_str() } else { "other" };
    api.counters().count(name, &route, response.status().as_u16(), begun.elapsed());
    response
}

/// Method names are the caller's words: only known ones become labels.
fn is_known(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method)
}

/// A browser names the page that writes; programs do not. A page of another origin may not act in a person's name.
fn is_cross_site(request: &Request) -> bool {
    let text = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return false;
    }
    if text(header::HeaderName::from_static("sec-fetch-site")).is_some_and(|site| site == "cross-site") {
        return true;
    }
    let host = text(header::HOST).or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    request.headers().contains_key(header::ORIGIN)
        && text(header::ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host) != host
}
