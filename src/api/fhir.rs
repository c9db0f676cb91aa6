//! `/fhir` of the gateway: FHIR R4's REST semantics (`rest`) over the ledger's objects, mapped as the generic dialect
//! says. Reads, searches, `metadata` and `$validate`; writes are refused with 501. An object's id is its `/fhir` id.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Request as HttpRequest, Response as HttpResponse, StatusCode},
};

use super::fhir_store::LedgerStore;
use crate::{
    clock::SharedClock,
    ehr,
    fhir::stored,
    ledger::Ledger,
    mapping::{Context, Mappings},
    profile::{Validator, check::Checked, search::Search},
    rest::{Method, Request, Response, Server, wants_bytes},
    sync::content,
};

/// The gateway's FHIR endpoint.
pub struct Fhir {
    server: Arc<Server>,
    store: LedgerStore,
    max_body: usize,
}

impl Fhir {
    /// An endpoint at the absolute URL `base` (`http://127.0.0.1:8080/fhir`). `max_body` in bytes.
    #[must_use]
    pub fn new(
        base: &str,
        ledger: Ledger,
        mappings: Arc<Mappings>,
        validator: Arc<Validator>,
        context: Context,
        clock: SharedClock,
        max_body: usize,
    ) -> Self {
        let model = Arc::new(Search::new(validator.definitions().clone()));
        let server = Server::new(base, "Liaison", model, clock.clone()).with_check(Arc::new(Checked(validator, clock)));
        let types: BTreeSet<String> = mappings.objects().map(|object| object.resource_type().to_owned()).collect();
        let server = server.read_only(types.into_iter().collect());
        let server = Arc::new(server);
        Self { store: LedgerStore::new(ledger, mappings, context, server.clone()), server, max_body }
    }

    /// Answers one request; blocks while it reads the ledger.
    #[must_use]
    pub fn handle(&self, request: &Request) -> Response {
        self.server.handle(&self.store, request)
    }

    /// Routes to be nested at `/fhir`.
    pub fn router(self: Arc<Self>) -> Router {
        Endpoint::new(self).router()
    }
}

/// The place where an endpoint is served; a reload of the mappings puts another one there.
#[derive(Clone)]
pub struct Endpoint(Arc<RwLock<Arc<Fhir>>>);

impl Endpoint {
    /// Serves this one.
    #[must_use]
    pub fn new(fhir: Arc<Fhir>) -> Self {
        Self(Arc::new(RwLock::new(fhir)))
    }

    /// Serves another one from now on; what is under way ends with the old one.
    pub fn replace(&self, fhir: Arc<Fhir>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fhir;
    }

    /// Routes to be nested at `/fhir`.
    pub fn router(self) -> Router {
        Router::new().fallback(answer).with_state(self)
    }
}

async fn answer(State(endpoint): State<Endpoint>, request: HttpRequest<Body>) -> HttpResponse<Body> {
    let fhir = Arc::clone(&endpoint.0.read().unwrap_or_else(PoisonError::into_inner));
    let (parts, body) = request.into_parts();
    let Some(method) = Method::parse(parts.method.as_str()) else { return status(StatusCode::METHOD_NOT_ALLOWED) };
    let Ok(body) = axum::body::to_bytes(body, fhir.max_body).await else {
        return status(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let headers = parts.headers.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    let request = Request {
        method,
        path: parts.uri.path().trim_start_matches('/').to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: body.to_vec(),
    };
    let ledger = fhir.store.ledger().clone();
    let handled = tokio::task::spawn_blocking(move || {
        let response = fhir.handle(&request);
        let streamed = response.status == 200 && request.path.starts_with("Binary/");
        let document = if streamed { document(&ledger, &request, &response.body) } else { None };
        (response, document)
    });
    let Ok((mut response, document)) = handled.await else { return status(StatusCode::INTERNAL_SERVER_ERROR) };
    let body = match document {
        Some((kind, body)) => {
            response.headers.retain(|(name, _)| kind.is_none() || !name.eq_ignore_ascii_case("content-type"));
            response.headers.extend(kind.map(|kind| ("content-type", kind)));
            Body::new(body.stream())
        }
        None => Body::from(response.body),
    };
    let mut built = HttpResponse::builder().status(response.status);
    for (name, value) in response.headers {
        built = built.header(name, value);
    }
    built.body(body).unwrap_or_else(|_| status(StatusCode::INTERNAL_SERVER_ERROR))
}

/// A large document, to be read from its file while it is sent: as JSON, or (with their content type) the bytes alone.
fn document(ledger: &Ledger, request: &Request, json: &[u8]) -> Option<(Option<String>, ehr::Body)> {
    let cut = stored::cut(json);
    let name = std::str::from_utf8(cut.get(1)?).ok()?;
    let binary = crate::fhir::read(json).ok()?;
    if wants_bytes(request) {
        let kind = binary.get("contentType")?.as_str()?.to_owned();
        return Some((Some(kind), ehr::Body::raw(content(ledger, name).ok()?)));
    }
    Some((None, ehr::Body::json(&binary, |name| content(ledger, name)).ok()?))
}

fn status(status: StatusCode) -> HttpResponse<Body> {
    let mut response = HttpResponse::new(Body::empty());
    *response.status_mut() = status;
    response
}
