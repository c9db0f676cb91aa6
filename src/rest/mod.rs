//! FHIR R4's REST semantics over a [`Store`]: read, history, search, paging, conditional writes, patch, batches and
//! transactions (<https://hl7.org/fhir/R4/http.html>). Knows no HTTP library and not who stores; serves the
//! sandbox and `/fhir` alike. Refuses XML, system-wide search and compartments, and says so.

mod bundle;
mod capability;
mod error;
mod history;
mod message;
mod model;
mod models;
mod negotiate;
mod patch;
mod read;
mod references;
pub mod search;
mod store;
mod write;

use std::sync::Arc;

pub use error::Error;
pub use message::{Method, Request, Response, pairs};
pub use model::{Bare, Check, Parameter, ParameterKind, SearchModel};
pub use negotiate::wants_bytes;
pub use store::{Held, HistoryQuery, Narrow, Store, StoreError, Version, Write};

use crate::clock::SharedClock;
use message::Answer;
use search::Pages;

/// Deviations from good behaviour, for an EHR to practise with; the default has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// PUT to an unknown id is refused.
    pub no_update_as_create: bool,
    /// Search results say no total.
    pub no_totals: bool,
    /// Each further page begins with the last entry of the page before.
    pub repeat_across_pages: bool,
}

/// One FHIR endpoint's behaviour.
pub struct Server {
    base: String,
    software: String,
    read_only: bool,
    offered: Option<Vec<String>>,
    model: Arc<dyn SearchModel>,
    check: Option<Arc<dyn Check>>,
    clock: SharedClock,
    pages: Pages,
}

impl Server {
    /// A server at the absolute URL `base` (no slash at the end), without validation of writes.
    #[must_use]
    pub fn new(base: &str, software: &str, model: Arc<dyn SearchModel>, clock: SharedClock) -> Self {
        Self {
            base: base.trim_end_matches('/').to_owned(),
            software: software.to_owned(),
            read_only: false,
            offered: None,
            model,
            check: None,
            clock,
            pages: Pages::default(),
        }
    }

    /// Validates writes, and serves `$validate`.
    #[must_use]
    pub fn with_check(mut self, check: Arc<dyn Check>) -> Self {
        self.check = Some(check);
        self
    }

    /// Refuses all writes with 501; `metadata` offers reading of these types only, and history of single resources.
    #[must_use]
    pub fn read_only(mut self, types: Vec<String>) -> Self {
        self.read_only = true;
        self.offered = Some(types);
        self
    }

    /// The absolute URL that links begin with.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Answers one request. Never fails: a failure is a response too.
    #[must_use]
    pub fn handle(&self, store: &dyn Store, request: &Request) -> Response {
        self.handle_with(store, request, Quirks::default())
    }

    /// [`Self::handle`] with bad manners.
    #[must_use]
    pub fn handle_with(&self, store: &dyn Store, request: &Request, quirks: Quirks) -> Response {
        let serving = Serving { server: self, store, quirks };
        let answer = serving.answer(request).unwrap_or_else(|error| error.answer());
        let wants = negotiate::Returning::of(request);
        let pretty = request.pairs().iter().any(|(key, value)| key == "_pretty" && value == "true");
        let answer = if request.method.writes() { wants.shape(answer) } else { answer };
        answer.into_response(pretty, request.method == Method::Head)
    }

    /// The search keys of a resource: what [`Write::keys`] holds and [`Store::candidates`] is asked by.
    #[must_use]
    pub fn keys(&self, resource: &serde_json::Value) -> Vec<String> {
        search::keys::keys(self.model.as_ref(), &self.base, resource)
    }
}

/// One request being served.
#[derive(Clone, Copy)]
pub(crate) struct Serving<'a> {
    server: &'a Server,
    store: &'a dyn Store,
    quirks: Quirks,
}

impl Serving<'_> {
    fn answer(self, request: &Request) -> Result<Answer, Error> {
        negotiate::accept(request)?;
        let parts: Vec<&str> = request.path.split('/').filter(|part| !part.is_empty()).collect();
        if request.method.writes() && self.server.read_only && !reads_by_post(&parts) {
            return Err(Error::NotAvailable(
                "this endpoint can be read and searched; writing to it is not available yet".to_owned(),
            ));
        }
        match (request.method, parts.as_slice()) {
            (Method::Post, []) => self.bundle(request),
            (Method::Get | Method::Head, []) => self.base_page(request),
            (Method::Get | Method::Head, ["metadata"]) => Ok(self.metadata()),
            (Method::Get | Method::Head, ["_history"]) => self.history(None, request),
            (_, ["metadata" | "_history"]) => Err(Error::Method(request.method.name())),
            (_, ["_search"]) => Err(Error::NotAvailable("searching over all types is not available".to_owned())),
            (_, [operation]) if operation.starts_with('$') => self.operation(None, operation, request),
            (_, [kind, rest @ ..]) => {
                if !self.server.model.is_type(kind) {
                    return Err(Error::NoRoute(format!("{kind} is not a resource type of FHIR R4")));
                }
                self.typed(kind, rest, request)
            }
            _ => Err(Error::Method(request.method.name())),
        }
    }

    /// The base itself shows only further pages.
    fn base_page(self, request: &Request) -> Result<Answer, Error> {
        match request.pairs().iter().find(|(key, _)| key == "_page") {
            Some((_, cursor)) => self.further_page(cursor),
            None => Err(Error::NotAvailable("searching over all types is not available; see metadata".to_owned())),
        }
    }

    fn typed(self, kind: &str, rest: &[&str], request: &Request) -> Result<Answer, Error> {
        use Method::{Delete, Get, Head, Patch, Post, Put};
        match (request.method, rest) {
            (Get | Head, []) => self.search(kind, &request.pairs(), request),
            (Post, ["_search"]) => self.search_by_form(kind, request),
            (Post, []) => self.create(kind, request),
            (Put, []) => self.update(kind, None, request),
            (Patch, []) => self.patch(kind, None, request),
            (Delete, []) => self.delete(kind, None, request),
            (Get | Head, ["_history"]) => self.history(Some(kind), request),
            (_, [operation] | [_, operation]) if operation.starts_with('$') => {
                self.operation(Some(kind), operation, request)
            }
            (Get | Head, [id]) => self.read(kind, id, request),
            (Put, [id]) => self.update(kind, Some(id), request),
            (Patch, [id]) => self.patch(kind, Some(id), request),
            (Delete, [id]) => self.delete(kind, Some(id), request),
            (Get | Head, [id, "_history"]) => self.instance_history(kind, id, request),
            (Get | Head, [id, "_history", version]) => self.vread(kind, id, version),
            (Get | Head, [_, other]) if self.server.model.is_type(other) => {
                Err(Error::NotAvailable("compartment search is not available; search the type instead".to_owned()))
            }
            (_, [_] | [_, "_history"] | [_, "_history", _]) => Err(Error::Method(request.method.name())),
            _ => Err(Error::NoRoute("the path has too many parts".to_owned())),
        }
    }

    fn operation(self, kind: Option<&str>, name: &str, request: &Request) -> Result<Answer, Error> {
        match (name, &self.server.check) {
            ("$validate", Some(check)) if request.method == Method::Post => {
                self.validate(kind, check.as_ref(), request)
            }
            ("$validate", Some(_)) => Err(Error::NotAvailable("$validate takes the resource in a POST".to_owned())),
            _ => Err(Error::NotAvailable(format!("the operation {name} is not available"))),
        }
    }
}

fn reads_by_post(parts: &[&str]) -> bool {
    matches!(parts, [_, "_search"]) || parts.last().is_some_and(|last| last.starts_with('$'))
}
