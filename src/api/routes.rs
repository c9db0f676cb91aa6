//! The one table of routes: the router is built from it and `/openapi.json` tells it, so that the two cannot differ.

use std::{future::Future, pin::Pin};

use super::{
    Ask, attachments, bulk, docs, events, health, objects, openapi, reply::Answered, syncs, systems, worklist,
};

/// What a handler is.
pub(super) type Handler = fn(Ask) -> Pin<Box<dyn Future<Output = Answered> + Send>>;

/// One route.
pub(super) struct Route {
    pub method: &'static str,
    pub path: &'static str,
    /// A plain sentence.
    pub summary: &'static str,
    pub handler: Handler,
    /// What the body is, where there is one.
    pub takes: Takes,
    /// What a good answer is.
    pub gives: (u16, Gives),
    /// What else it may answer.
    pub refuses: &'static [u16],
    /// Query parameters.
    pub query: &'static [&'static str],
    /// Request headers.
    pub headers: &'static [Header],
}

/// A request header.
pub(super) struct Header {
    pub name: &'static str,
    pub required: bool,
    pub about: &'static str,
}

/// Kinds of bodies taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Object,
    /// One object a line.
    Lines,
    MergePatch,
    Bytes,
    /// A JSON object with these members; those with `*` are required.
    Members(&'static [&'static str]),
}

/// Kinds of answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    Accepted,
    /// One answer a line.
    Lines,
    Object,
    Objects,
    History,
    Attachment,
    Sync,
    Syncs,
    Item,
    Items,
    Any,
    Bytes,
    Text,
}

const KEY: Header = Header {
    name: "Idempotency-Key",
    required: true,
    about: "a new one for each new request, the same one when repeating it; kept as long as the ledger",
};
const MAYBE_KEY: Header = Header { required: false, ..KEY };
const IF_MATCH: Header =
    Header { name: "If-Match", required: true, about: "ETag of the version that is changed, for example W/\"3\"" };
const PREFER: Header = Header {
    name: "Prefer",
    required: false,
    about: "handling=lenient: what is invalid for a system is parked for a person instead of refused; merge (PUT, without \
            If-Match): what others changed since you sent it last stays, what both changed is 409 with `fields`",
};
const LAST_EVENT: Header =
    Header { name: "Last-Event-ID", required: false, about: "go on behind this event; without it from now on" };

const WRITE: &[u16] = &[400, 404, 408, 409, 412, 413, 415, 422, 428, 429, 503, 507];
const CREATE: &[u16] = &[400, 404, 408, 409, 413, 415, 422, 429, 503, 507];
const READ: &[u16] = &[400, 404];
const ACT: &[u16] = &[400, 404, 408, 409, 413, 415, 422, 503, 507];

macro_rules! handler {
    ($handler:path) => {
        |ask| Box::pin($handler(ask))
    };
}

const fn get(path: &'static str, summary: &'static str, handler: Handler, gives: Gives) -> Route {
    Route {
        method: "GET",
        path,
        summary,
        handler,
        takes: Takes::Nothing,
        gives: (200, gives),
        refuses: READ,
        query: &[],
        headers: &[],
    }
}

const fn post(path: &'static str, summary: &'static str, handler: Handler, takes: Takes, gives: (u16, Gives)) -> Route {
    Route { method: "POST", takes, gives, refuses: ACT, ..get(path, summary, handler, gives.1) }
}

const fn change(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    handler: Handler,
    takes: Takes,
) -> Route {
    Route {
        method,
        refuses: WRITE,
        query: &["preview"],
        headers: &[IF_MATCH, MAYBE_KEY, PREFER],
        ..post(path, summary, handler, takes, (202, Gives::Accepted))
    }
}

/// All routes of this surface but `/fhir`, which describes itself in `/fhir/metadata`.
pub(super) const ROUTES: &[Route] = &[
    Route {
        refuses: CREATE,
        query: &["preview"],
        headers: &[KEY, PREFER],
        ..post(
            "/api/v1/{objects}",
            "Take on a new object and send it to its systems",
            handler!(objects::create),
            Takes::Object,
            (202, Gives::Accepted),
        )
    },
    Route {
        query: &["limit", "cursor"],
        ..get("/api/v1/{objects}", "Objects of one kind, by id", handler!(objects::list), Gives::Objects)
    },
    Route {
        refuses: CREATE,
        headers: &[KEY, PREFER],
        ..post(
            "/api/v1/{objects}/bulk",
            "Take on many objects, one a line, each answered in a line of its own; none stops the others",
            handler!(bulk::take),
            Takes::Lines,
            (200, Gives::Lines),
        )
    },
    Route {
        query: &["version"],
        ..get(
            "/api/v1/{objects}/{id}",
            "An object at its newest version, or at an older one",
            handler!(objects::read),
            Gives::Object,
        )
    },
    change("PUT", "/api/v1/{objects}/{id}", "Replace an object", handler!(objects::replace), Takes::Object),
    change("PATCH", "/api/v1/{objects}/{id}", "Change an object", handler!(objects::patch), Takes::MergePatch),
    change(
        "POST",
        "/api/v1/{objects}/{id}/cancel",
        "Call an object off",
        handler!(objects::cancel),
        Takes::Members(&["reason"]),
    ),
    change(
        "POST",
        "/api/v1/{objects}/{id}/restore",
        "Bring back a value of an EHR's that ours replaced: the entry that kept it, and the field",
        handler!(objects::restore),
        Takes::Members(&["seq", "path"]),
    ),
    change(
        "POST",
        "/api/v1/{objects}/{id}/relink",
        "Move a reference to the right record, or take it out",
        handler!(objects::relink),
        Takes::Members(&["reference", "to"]),
    ),
    Route {
        query: &["limit", "cursor"],
        ..get("/api/v1/{objects}/{id}/history", "All that happened to it", handler!(objects::history), Gives::History)
    },
    post(
        "/api/v1/attachments",
        "Leave a document; objects name it by its id",
        handler!(attachments::store),
        Takes::Bytes,
        (201, Gives::Attachment),
    ),
    get("/api/v1/attachments/{id}", "A document's bytes", handler!(attachments::read), Gives::Bytes),
    Route {
        query: syncs::FILTERS,
        ..get("/api/v1/syncs", "Where objects stand at systems", handler!(syncs::list), Gives::Syncs)
    },
    post(
        "/api/v1/syncs/query",
        "Where these stand, up to a thousand at once",
        handler!(syncs::query),
        Takes::Members(&["ids"]),
        (200, Gives::Any),
    ),
    get("/api/v1/syncs/{id}", "One object at one system", handler!(syncs::read), Gives::Sync),
    get("/api/v1/systems", "How each EHR is, since when and why", handler!(systems::list), Gives::Any),
    get("/api/v1/systems/{name}", "One EHR", handler!(systems::read), Gives::Any),
    post(
        "/api/v1/systems/{name}/{action}",
        "pause {reason, object} (all of it, or one kind of object), resume {object}, probe {}",
        handler!(systems::act),
        Takes::Members(&["reason", "object"]),
        (200, Gives::Any),
    ),
    Route {
        query: worklist::FILTERS,
        ..get("/api/v1/worklist", "What awaits a person", handler!(worklist::list), Gives::Items)
    },
    get("/api/v1/worklist/groups", "Open failures by cause", handler!(worklist::groups), Gives::Any),
    post(
        "/api/v1/worklist/groups/{group}/preview",
        "What a retry of the whole group would do",
        handler!(worklist::preview_group),
        Takes::Members(&[]),
        (200, Gives::Any),
    ),
    post(
        "/api/v1/worklist/groups/{group}/retry",
        "Try the whole group again, oldest version first",
        handler!(worklist::retry_group),
        Takes::Members(&[]),
        (200, Gives::Any),
    ),
    get("/api/v1/worklist/{id}", "One item", handler!(worklist::read), Gives::Item),
    post(
        "/api/v1/worklist/{id}/{action}",
        "Act on an item: assign {to}, retry {}, dismiss {reason, dependants}, comment {text}, resolve {note, fields}",
        handler!(worklist::act),
        Takes::Members(&["to", "reason", "dependants", "text", "note", "fields"]),
        (200, Gives::Item),
    ),
    Route {
        headers: &[LAST_EVENT],
        ..get(
            "/api/v1/events",
            "What happens, as server-sent events: sync, object, worklist",
            handler!(events::follow),
            Gives::Text,
        )
    },
    get("/livez", "The process answers", handler!(health::live), Gives::Any),
    Route { refuses: &[503, 507], ..get("/readyz", "Pushes can be taken on", handler!(health::ready), Gives::Any) },
    get("/metrics", "Figures for Prometheus", handler!(health::metrics), Gives::Text),
    get("/openapi.json", "This description", handler!(openapi::show), Gives::Any),
    Route { gives: (303, Gives::Text), ..get("/", "Leads to the pages for people", handler!(docs::home), Gives::Text) },
    get("/docs", "Pages for people", handler!(docs::index), Gives::Text),
    get("/docs/style.css", "Their style sheet", handler!(docs::style), Gives::Text),
    get("/docs/errors/{code}", "An error, in plain words", handler!(docs::error), Gives::Text),
];
