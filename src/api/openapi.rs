//! `/openapi.json` (<https://spec.openapis.org/oas/v3.1.0>), made of the table of routes and the objects' schemas.
//! `{objects}` is spelled out: one path for each kind of object.

use serde_json::{Map, Value, json};

use super::{
    Ask,
    reply::{self, Answered},
    routes::{Gives, ROUTES, Route, Takes},
};
use crate::{error::page, mapping::Mappings};

/// `GET /openapi.json`
pub(super) async fn show(ask: Ask) -> Answered {
    Ok(reply::ok(&document(&ask.api.mappings())))
}

fn document(mappings: &Mappings) -> Value {
    let mut paths = Map::new();
    let mut schemas = common();
    for kind in mappings.objects() {
        schemas.insert(kind.name().to_owned(), kind.schema().clone());
    }
    for route in ROUTES {
        if !route.path.contains("{objects}") {
            add(&mut paths, route, route.path, None);
            continue;
        }
        for kind in mappings.objects() {
            add(&mut paths, route, &route.path.replace("{objects}", kind.plural()), Some(kind.name()));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Liaison", "version": env!("CARGO_PKG_VERSION"),
            "summary": "Internal objects to and from EHRs. /fhir describes itself in /fhir/metadata.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

fn add(paths: &mut Map<String, Value>, route: &Route, path: &str, object: Option<&str>) {
    let mut parameters: Vec<Value> = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| parameter(name, "path", true, ""))
        .collect();
    parameters.extend(route.query.iter().map(|name| parameter(name, "query", false, "")));
    if matches!(route.gives.1, Gives::Syncs | Gives::Items) {
        parameters.extend(["limit", "cursor"].map(|name| parameter(name, "query", false, "")));
    }
    parameters
        .extend(route.headers.iter().map(|header| parameter(header.name, "header", header.required, header.about)));
    let mut responses = Map::new();
    responses.insert(route.gives.0.to_string(), answer(route.gives.1, object));
    for status in route.refuses {
        responses.insert(status.to_string(), problem(*status));
    }
    let mut operation = json!({
        "summary": route.summary,
        "operationId": format!("{} {path}", route.method.to_ascii_lowercase()),
        "parameters": parameters, "responses": responses,
    });
    if let Some(body) = body(route.takes, object) {
        operation["requestBody"] = body;
    }
    let entry = paths.entry(path.to_owned()).or_insert_with(|| json!({}));
    entry[route.method.to_ascii_lowercase()] = operation;
}

fn parameter(name: &str, place: &str, required: bool, about: &str) -> Value {
    let mut parameter = json!({"name": name, "in": place, "required": required, "schema": {"type": "string"}});
    if !about.is_empty() {
        parameter["description"] = json!(about);
    }
    parameter
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn body(takes: Takes, object: Option<&str>) -> Option<Value> {
    let (kind, schema) = match takes {
        Takes::Nothing => return None,
        Takes::Object => ("application/json", reference(object.unwrap_or_default())),
        Takes::Lines => ("application/x-ndjson", json!({"type": "string"})),
        Takes::MergePatch => ("application/merge-patch+json", json!({"type": "object"})),
        Takes::Bytes => ("*/*", json!({})),
        Takes::Members(names) => {
            let members: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
            ("application/json", json!({"type": "object", "properties": members, "additionalProperties": false}))
        }
    };
    let required = !matches!(takes, Takes::Members(_));
    Some(json!({"required": required, "content": {kind: {"schema": schema}}}))
}

fn answer(gives: Gives, object: Option<&str>) -> Value {
    let list = |items: Value| {
        json!({
            "type": "object",
            "properties": {"items": {"type": "array", "items": items}, "next": {"type": ["string", "null"]}},
        })
    };
    let (kind, schema) = match gives {
        Gives::Accepted => ("application/json", reference("Accepted")),
        Gives::Lines => ("application/x-ndjson", json!({"type": "string"})),
        Gives::Object => ("application/json", reference(object.unwrap_or_default())),
        Gives::Objects => ("application/json", list(reference(object.unwrap_or_default()))),
        Gives::History => ("application/json", list(reference("Entry"))),
        Gives::Attachment => ("application/json", reference("Attachment")),
        Gives::Sync => ("application/json", reference("Sync")),
        Gives::Syncs => ("application/json", list(reference("Sync"))),
        Gives::Item => ("application/json", reference("WorklistItem")),
        Gives::Items => ("application/json", list(reference("WorklistItem"))),
        Gives::Any => ("application/json", json!({})),
        Gives::Bytes => ("*/*", json!({})),
        Gives::Text => ("text/*", json!({"type": "string"})),
    };
    json!({"description": "done", "content": {kind: {"schema": schema}}})
}

/// The codes of a status, as the pages say.
fn problem(status: u16) -> Value {
    let codes: Vec<&str> = crate::error::pages()
        .values()
        .filter(|page| page.status == status && ["LIA-API", "LIA-LDG", "LIA-SYN", "LIA-JSO"].contains(&&page.code[..7]))
        .map(|page| page.code)
        .collect();
    let about: Vec<String> = codes.iter().filter_map(|code| Some(format!("{code}: {}", page(code)?.title))).collect();
    json!({
        "description": if about.is_empty() { "refused".to_owned() } else { about.join("; ") },
        "content": {"application/problem+json": {"schema": reference("Problem")}},
    })
}

/// The contract's own shapes.
fn common() -> Map<String, Value> {
    let shape = |members: &[(&str, &str)]| {
        let properties: Map<String, Value> = members
            .iter()
            .map(|(name, kind)| {
                let schema = match *kind {
                    "" => json!({}),
                    "strings" => json!({"type": "array", "items": {"type": "string"}}),
                    "objects" => json!({"type": "array", "items": {"type": "object"}}),
                    "Syncs" => json!({"type": "array", "items": reference("Sync")}),
                    "text?" => json!({"type": ["string", "null"]}),
                    "number?" => json!({"type": ["integer", "null"]}),
                    other => json!({"type": other}),
                };
                ((*name).to_owned(), schema)
            })
            .collect();
        json!({"type": "object", "properties": properties})
    };
    let sync = [
        ("id", "string"),
        ("object", "string"),
        ("object_id", "string"),
        ("system", "string"),
        ("version", "integer"),
        ("synced_version", "number?"),
        ("state", "string"),
        ("remote", "strings"),
        ("remote_version", "text?"),
        ("attempts", "integer"),
        ("next_attempt_at", "text?"),
        ("code", "text?"),
        ("message", "text?"),
        ("worklist_id", "text?"),
        ("updated_at", "string"),
    ];
    let item = [
        ("id", "string"),
        ("group", "string"),
        ("kind", "string"),
        ("status", "string"),
        ("code", "string"),
        ("title", "string"),
        ("what_happened", "string"),
        ("who_is_affected", "text?"),
        ("next_step", "text?"),
        ("object", "text?"),
        ("object_id", "text?"),
        ("system", "text?"),
        ("sync_id", "text?"),
        ("owner", "text?"),
        ("due", "text?"),
        ("fields", "objects"),
        ("comments", "objects"),
        ("created_at", "string"),
    ];
    let entry = [
        ("seq", "integer"),
        ("at", "string"),
        ("kind", "string"),
        ("object", "text?"),
        ("object_id", "text?"),
        ("version", "number?"),
        ("system", "text?"),
        ("sync_id", "text?"),
        ("by", "string"),
        ("code", "text?"),
        ("summary", "string"),
        ("body", "text?"),
        ("data", "object"),
        ("prev", "string"),
        ("hash", "string"),
    ];
    let mut sync = shape(&sync);
    sync["properties"]["state"]["enum"] = json!(crate::ledger::SyncState::ALL.map(|state| state.as_str()));
    let mut accepted = shape(&[("id", "string"), ("version", "integer"), ("syncs", "Syncs")]);
    accepted["properties"]["warnings"] = json!({
        "type": "array", "items": { "type": "object" },
        "description": "What was taken on and is worth a look all the same; left out where there is nothing",
    });
    let all = [
        ("Sync", sync),
        ("WorklistItem", shape(&item)),
        ("Entry", shape(&entry)),
        ("Accepted", accepted),
        ("Attachment", shape(&[("id", "string"), ("size", "integer"), ("content_type", "string")])),
        (
            "Problem",
            shape(&[
                ("type", "string"),
                ("title", "string"),
                ("status", "integer"),
                ("code", "string"),
                ("detail", "string"),
                ("instance", "string"),
                ("errors", "objects"),
            ]),
        ),
    ];
    all.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}
