//! batch and transaction (<https://hl7.org/fhir/R4/http.html#transaction>). A transaction is planned entry by entry
//! in FHIR's order (DELETE, POST, PUT and PATCH, GET), its references are rewritten, and one commit writes all or
//! nothing. A batch is a list of separate requests.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::{
    Error, Method, Serving, Write,
    message::{Answer, Request},
    negotiate, patch,
    search::date,
    write::{Conditions, Plan},
};
use crate::fhir;

struct Entry<'b> {
    at: usize,
    full_url: Option<&'b str>,
    resource: Option<&'b Value>,
    method: Method,
    url: &'b str,
    request: &'b Value,
}

impl Serving<'_> {
    pub(super) fn bundle(self, request: &Request) -> Result<Answer, Error> {
        let bundle = negotiate::resource(request)?;
        if fhir::resource_type(&bundle) != Some("Bundle") {
            return Err(Error::BadBody("the base address takes a Bundle of type batch or transaction".to_owned()));
        }
        let listed = bundle.get("entry").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let responses = match bundle.get("type").and_then(Value::as_str) {
            Some("batch") => listed.iter().enumerate().map(|(at, entry)| self.batched(at, entry)).collect(),
            Some("transaction") => {
                let entries = listed.iter().enumerate().map(|(at, entry)| Entry::read(at, entry));
                self.transaction(&entries.collect::<Result<Vec<_>, _>>()?)?
            }
            _ => {
                let text = "the Bundle is neither a batch nor a transaction".to_owned();
                return Err(Error::BadBundle { text, expression: "Bundle.type".to_owned() });
            }
        };
        let kind = format!("{}-response", bundle["type"].as_str().unwrap_or_default());
        let mut answer = json!({"resourceType": "Bundle", "type": kind});
        if !listed.is_empty() {
            answer["entry"] = Value::Array(responses);
        }
        Ok(Answer::of(200, answer))
    }

    fn batched(self, at: usize, entry: &Value) -> Value {
        let answer = Entry::read(at, entry)
            .and_then(|entry| self.answer(&entry.as_request()))
            .unwrap_or_else(|error| error.answer());
        response(answer)
    }

    fn transaction(self, entries: &[Entry]) -> Result<Vec<Value>, Error> {
        let _held = self.store.writing();
        let mut names = HashMap::new();
        let mut plans: Vec<Option<Plan>> = entries.iter().map(|_| None).collect();
        let mut order: Vec<&Entry> = entries.iter().filter(|entry| entry.method.writes()).collect();
        order.sort_by_key(|entry| match entry.method {
            Method::Delete => 0,
            Method::Post => 1,
            _ => 2,
        });
        let mut touched = HashSet::new();
        for entry in &order {
            let plan = self.plan(entry).map_err(|error| entry.failed(error))?;
            let name = match &plan {
                Plan::Write { write, .. } => Some(format!("{}/{}", write.kind, write.id)),
                Plan::Found(found) => Some(found.name()),
                Plan::Nothing => None,
            };
            if let (Plan::Write { .. }, Some(name)) = (&plan, &name)
                && !touched.insert(name.clone())
            {
                return Err(entry.bad("the same resource is written twice in this transaction"));
            }
            if let (Some(full), Some(name)) = (entry.full_url, name)
                && names.insert(full.to_owned(), name).is_some()
            {
                return Err(entry.bad("two entries have the same fullUrl"));
            }
            plans[entry.at] = Some(plan);
        }
        self.commit_all(entries, &order, &mut plans, &names)
    }

    fn commit_all(
        self,
        entries: &[Entry],
        order: &[&Entry],
        plans: &mut [Option<Plan>],
        names: &HashMap<String, String>,
    ) -> Result<Vec<Value>, Error> {
        let mut writes: Vec<Write> = Vec::new();
        let mut places = HashMap::new();
        for entry in order {
            let Some(Plan::Write { write, .. }) = &mut plans[entry.at] else { continue };
            let mut write = write.clone();
            if let Some(resource) = &mut write.resource {
                self.rewrite(resource, names)
                    .and_then(|()| self.valid(resource))
                    .map_err(|error| entry.failed(error))?;
            }
            places.insert(entry.at, writes.len());
            writes.push(self.keyed(write));
        }
        let committed = self.store.commit(writes)?;
        let mut responses = Vec::with_capacity(entries.len());
        for entry in entries {
            let committed = places.get(&entry.at).and_then(|place| committed.get(*place));
            let answer = match (&plans[entry.at], committed) {
                (Some(Plan::Write { created, .. }), Some(version)) if version.resource.is_some() => {
                    self.written(version, if *created { 201 } else { 200 })
                }
                (Some(Plan::Found(found)), _) => self.written(found, 200),
                (Some(_), _) => Answer { status: 204, ..Answer::default() },
                (None, _) => self.answer(&entry.as_request()).unwrap_or_else(|error| error.answer()),
            };
            responses.push(response(answer));
        }
        Ok(responses)
    }

    fn plan(self, entry: &Entry) -> Result<Plan, Error> {
        let (path, query) = entry.url.split_once('?').unwrap_or((entry.url, ""));
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let kind = parts.first().copied().unwrap_or_default();
        if !self.server.model.is_type(kind) {
            return Err(entry.bad("request.url does not name a resource type"));
        }
        let body = || entry.resource.cloned().ok_or_else(|| entry.bad("the entry has no resource"));
        let conditions = Conditions {
            if_match: entry.text("ifMatch").map(str::to_owned),
            if_none_match: entry.text("ifNoneMatch").map(str::to_owned),
        };
        match (entry.method, parts.as_slice()) {
            (Method::Post, [kind]) => self.plan_create(kind, unnamed(body()?), entry.text("ifNoneExist")),
            (Method::Put, [kind]) => self.plan_conditional_update(kind, query, body()?, &conditions),
            (Method::Put, [kind, id]) => self.plan_update(kind, id, body()?, &conditions),
            (Method::Delete, [kind, id]) => self.plan_delete(kind, id, &conditions),
            (Method::Delete, [kind]) => match self.only_match(kind, query)? {
                Some(id) => self.plan_delete(kind, &id, &conditions),
                None => Ok(Plan::Nothing),
            },
            (Method::Patch, [kind, id]) => {
                let (content_type, bytes) = entry.patch()?;
                self.plan_patch(kind, id, &patch::Patch::read(&content_type, &bytes)?, &conditions)
            }
            _ => Err(Error::NotAvailable("this request is not available inside a transaction".to_owned())),
        }
    }
}

/// A created resource's own id means nothing.
fn unnamed(mut resource: Value) -> Value {
    if let Some(members) = resource.as_object_mut() {
        members.shift_remove("id");
    }
    resource
}

impl<'b> Entry<'b> {
    fn read(at: usize, entry: &'b Value) -> Result<Self, Error> {
        let bad = |text: &str| Error::BadBundle { text: text.to_owned(), expression: format!("Bundle.entry[{at}]") };
        let request = entry.get("request").ok_or_else(|| bad("the entry has no request"))?;
        let method = request.get("method").and_then(Value::as_str).and_then(Method::parse);
        let method = method.ok_or_else(|| bad("the entry's request has no method that is known"))?;
        let url = request.get("url").and_then(Value::as_str).ok_or_else(|| bad("the entry's request has no url"))?;
        let full_url = entry.get("fullUrl").and_then(Value::as_str);
        Ok(Self { at, full_url, resource: entry.get("resource"), method, url, request })
    }

    fn text(&self, name: &str) -> Option<&'b str> {
        self.request.get(name)?.as_str()
    }

    fn expression(&self) -> String {
        format!("Bundle.entry[{}]", self.at)
    }

    fn bad(&self, text: &str) -> Error {
        Error::BadBundle { text: text.to_owned(), expression: self.expression() }
    }

    fn failed(&self, error: Error) -> Error {
        match error {
            Error::BadBundle { text, .. } => Error::BadBundle { text, expression: self.expression() },
            other => Error::Entry { expression: self.expression(), source: Box::new(other) },
        }
    }

    /// The entry as a request of its own.
    fn as_request(&self) -> Request {
        let (path, query) = self.url.split_once('?').unwrap_or((self.url, ""));
        let mut request = Request::new(self.method, path.trim_start_matches('/'), query);
        for (member, header) in [
            ("ifMatch", "if-match"),
            ("ifNoneMatch", "if-none-match"),
            ("ifModifiedSince", "if-modified-since"),
            ("ifNoneExist", "if-none-exist"),
        ] {
            request.headers.extend(self.text(member).map(|value| (header.to_owned(), value.to_owned())));
        }
        if self.method == Method::Patch
            && let Ok((content_type, bytes)) = self.patch()
        {
            request.headers.push(("content-type".to_owned(), content_type));
            request.body = bytes;
        } else if let Some(resource) = self.resource {
            request.body = resource.to_string().into_bytes();
        }
        request
    }

    /// A patch travels in a Binary.
    fn patch(&self) -> Result<(String, Vec<u8>), Error> {
        use base64::Engine;
        let bad = || self.bad("a PATCH entry needs a Binary with contentType and data");
        let binary = self.resource.filter(|resource| fhir::resource_type(resource) == Some("Binary"));
        let text = |name: &str| binary?.get(name)?.as_str();
        let data = base64::engine::general_purpose::STANDARD.decode(text("data").ok_or_else(bad)?);
        Ok((text("contentType").ok_or_else(bad)?.to_owned(), data.map_err(|_| bad())?))
    }
}

fn response(answer: Answer) -> Value {
    let mut response = json!({"status": status_line(answer.status)});
    if let Some(location) = answer.location {
        response["location"] = json!(location);
    }
    if let Some(etag) = answer.etag {
        response["etag"] = json!(etag);
    }
    if let Some(at) = answer.last_modified {
        response["lastModified"] = json!(date::instant(at));
    }
    let mut entry = json!({});
    match answer.body {
        Some(body) if fhir::resource_type(&body) == Some("OperationOutcome") => response["outcome"] = body,
        Some(body) => entry["resource"] = body,
        None => {}
    }
    entry["response"] = response;
    entry
}

fn status_line(status: u16) -> String {
    let reason = match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        410 => "Gone",
        412 => "Precondition Failed",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Entity",
        501 => "Not Implemented",
        _ => "",
    };
    format!("{status} {reason}").trim_end().to_owned()
}
