//! create, update, patch and delete, plain and conditional (<https://hl7.org/fhir/R4/http.html#create>). Each is
//! first planned, then committed while the store is held, so that what a condition saw is still true.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Error, Method, Serving, Version, Write,
    message::{Answer, Request, pairs},
    negotiate, patch,
    read::names,
};
use crate::fhir::{self, outcome::Severity, reference::is_id};

/// What a writing request comes to.
pub(super) enum Plan {
    /// Write this; `created` if there is no current version.
    Write { write: Write, created: bool },
    /// Nothing is written: the conditional create found this one.
    Found(Arc<Version>),
    /// Nothing to delete.
    Nothing,
}

impl Serving<'_> {
    pub(super) fn create(self, kind: &str, request: &Request) -> Result<Answer, Error> {
        let body = negotiate::resource(request)?;
        of_type(&body, kind)?;
        self.valid(&body)?;
        let _held = self.store.writing();
        let plan = self.plan_create(kind, body, request.header("if-none-exist"))?;
        self.carry_out(plan)
    }

    pub(super) fn update(self, kind: &str, id: Option<&str>, request: &Request) -> Result<Answer, Error> {
        let body = negotiate::resource(request)?;
        of_type(&body, kind)?;
        self.valid(&body)?;
        let _held = self.store.writing();
        let conditions = Conditions::of(request);
        let plan = match id {
            Some(id) => self.plan_update(kind, id, body, &conditions)?,
            None => self.plan_conditional_update(kind, &request.query, body, &conditions)?,
        };
        self.carry_out(plan)
    }

    pub(super) fn patch(self, kind: &str, id: Option<&str>, request: &Request) -> Result<Answer, Error> {
        let patch = patch::Patch::read(&negotiate::content_type(request), &request.body)?;
        let _held = self.store.writing();
        let id = match id {
            Some(id) => id.to_owned(),
            None => self
                .only_match(kind, &request.query)?
                .ok_or_else(|| Error::NotFound(format!("{} that fits the condition", crate::domain::a(kind))))?,
        };
        let plan = self.plan_patch(kind, &id, &patch, &Conditions::of(request))?;
        self.carry_out(plan)
    }

    pub(super) fn delete(self, kind: &str, id: Option<&str>, request: &Request) -> Result<Answer, Error> {
        let _held = self.store.writing();
        let plan = match id {
            Some(id) => self.plan_delete(kind, id, &Conditions::of(request))?,
            None => match self.only_match(kind, &request.query)? {
                Some(id) => self.plan_delete(kind, &id, &Conditions::of(request))?,
                None => Plan::Nothing,
            },
        };
        self.carry_out(plan)
    }

    fn carry_out(self, plan: Plan) -> Result<Answer, Error> {
        let (write, created) = match plan {
            Plan::Found(found) => return Ok(self.written(&found, 200)),
            Plan::Nothing => return Ok(Answer { status: 204, ..Answer::default() }),
            Plan::Write { write, created } => (write, created),
        };
        if let (Method::Patch, Some(patched)) = (write.method, &write.resource) {
            self.valid(patched)?;
        }
        let committed = self.store.commit(vec![self.keyed(write)])?;
        let version = committed.first().ok_or_else(|| Error::NotFound("the committed version".to_owned()))?;
        if version.resource.is_none() {
            return Ok(Answer { status: 204, etag: Some(version.etag()), ..Answer::default() });
        }
        Ok(self.written(version, if created { 201 } else { 200 }))
    }

    pub(super) fn written(self, version: &Version, status: u16) -> Answer {
        let mut answer = version.answer(status);
        let location = format!("{}/{}/_history/{}", self.server.base, version.name(), version.version);
        answer.location = Some(location);
        answer
    }

    pub(super) fn plan_create(self, kind: &str, body: Value, if_none_exist: Option<&str>) -> Result<Plan, Error> {
        of_type(&body, kind)?;
        if let Some(query) = if_none_exist
            && let Some(id) = self.only_match(kind, query)?
            && let Some(found) = self.store.read(kind, &id)?
        {
            return Ok(Plan::Found(found));
        }
        let id = self.server.clock.new_id().to_string();
        Ok(plan_write(Method::Post, kind, &id, body, true))
    }

    pub(super) fn plan_update(self, kind: &str, id: &str, body: Value, conditions: &Conditions) -> Result<Plan, Error> {
        of_type(&body, kind)?;
        if !is_id(id) {
            return Err(Error::BadBody("the id in the path breaks FHIR's rule for ids".to_owned()));
        }
        match body.get("id").and_then(Value::as_str) {
            Some(own) if own == id => {}
            Some(_) => return Err(Error::BadBody("the id in the body is not the id in the path".to_owned())),
            None => {
                return Err(Error::BadBody("an update needs the id in the body, the same as in the path".to_owned()));
            }
        }
        let current = self.store.read(kind, id)?;
        let alive = current.as_ref().filter(|version| version.resource.is_some());
        conditions.hold(alive.map(AsRef::as_ref))?;
        if alive.is_none() && self.quirks.no_update_as_create {
            return Err(Error::Method("creating with an id of the client's choice (PUT)"));
        }
        Ok(plan_write(Method::Put, kind, id, body, alive.is_none()))
    }

    pub(super) fn plan_conditional_update(
        self,
        kind: &str,
        query: &str,
        mut body: Value,
        conditions: &Conditions,
    ) -> Result<Plan, Error> {
        of_type(&body, kind)?;
        let own = body.get("id").and_then(Value::as_str).map(str::to_owned);
        let id = match (self.only_match(kind, query)?, own) {
            (Some(found), Some(own)) if found != own => {
                return Err(Error::BadBody("the id in the body is not that of the resource that matches".to_owned()));
            }
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) => {
                {
                    let id = self.server.clock.new_id().to_string();
                    return Ok(plan_write(Method::Put, kind, &id, body, true));
                };
            }
        };
        body["id"] = Value::String(id.clone());
        self.plan_update(kind, &id, body, conditions)
    }

    pub(super) fn plan_patch(
        self,
        kind: &str,
        id: &str,
        patch: &patch::Patch,
        conditions: &Conditions,
    ) -> Result<Plan, Error> {
        let current = self.store.read(kind, id)?.ok_or_else(|| Error::NotFound(format!("{kind}/{id}")))?;
        let Some(resource) = &current.resource else { return Err(Error::Gone(current.name())) };
        conditions.hold(Some(&current))?;
        let patched = patch.apply(resource)?;
        if fhir::resource_type(&patched) != Some(kind) || patched.get("id").and_then(Value::as_str) != Some(id) {
            return Err(Error::Patch("a patch may not change resourceType or id".to_owned()));
        }
        Ok(plan_write(Method::Patch, kind, id, patched, false))
    }

    pub(super) fn plan_delete(self, kind: &str, id: &str, conditions: &Conditions) -> Result<Plan, Error> {
        let current = self.store.read(kind, id)?.ok_or_else(|| Error::NotFound(format!("{kind}/{id}")))?;
        if current.resource.is_none() {
            return Ok(Plan::Nothing);
        }
        conditions.hold(Some(&current))?;
        let (kind, id) = (kind.to_owned(), id.to_owned());
        let write = Write { method: Method::Delete, kind, id, resource: None, keys: Vec::new() };
        Ok(Plan::Write { write, created: false })
    }

    /// Refuses what breaks the rules. What does not depend on the store is asked before the store is held.
    pub(super) fn valid(self, resource: &Value) -> Result<(), Error> {
        let Some(check) = &self.server.check else { return Ok(()) };
        let issues = check.check(resource, &[]);
        if issues.iter().any(|issue| issue.severity <= Severity::Error) { Err(Error::Invalid(issues)) } else { Ok(()) }
    }

    /// With its search keys; the last step before the commit.
    pub(super) fn keyed(self, mut write: Write) -> Write {
        if let Some(resource) = &write.resource {
            write.keys = self.server.keys(resource);
        }
        write
    }

    /// The id of the one resource that fits; none if none does.
    pub(super) fn only_match(self, kind: &str, query: &str) -> Result<Option<String>, Error> {
        let query = query.trim().trim_start_matches('?');
        let query = query.strip_prefix(kind).and_then(|rest| rest.strip_prefix('?')).unwrap_or(query);
        let found = self.condition(kind, &pairs(query.as_bytes()))?;
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.id.clone())),
            several => Err(Error::SeveralMatches(several.len())),
        }
    }
}

/// `If-Match` and `If-None-Match` of a write.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    pub if_match: Option<String>,
    pub if_none_match: Option<String>,
}

impl Conditions {
    fn of(request: &Request) -> Self {
        let header = |name| request.header(name).map(str::to_owned);
        Self { if_match: header("if-match"), if_none_match: header("if-none-match") }
    }

    fn hold(&self, current: Option<&Version>) -> Result<(), Error> {
        let version = current.map_or("none: there is no such resource", |current| current.version.as_str());
        let stale = || Error::Stale(version.to_owned());
        if let Some(tags) = &self.if_match
            && !current.is_some_and(|current| names(tags, &current.version))
        {
            return Err(stale());
        }
        if let Some(tags) = &self.if_none_match
            && current.is_some_and(|current| names(tags, &current.version))
        {
            return Err(stale());
        }
        Ok(())
    }
}

fn plan_write(method: Method, kind: &str, id: &str, body: Value, created: bool) -> Plan {
    let body = with_id(body, id);
    let write = Write { method, kind: kind.to_owned(), id: id.to_owned(), resource: Some(body), keys: Vec::new() };
    Plan::Write { write, created }
}

fn of_type(body: &Value, kind: &str) -> Result<(), Error> {
    if fhir::resource_type(body) == Some(kind) {
        Ok(())
    } else {
        Err(Error::BadBody(format!("the body is not {}, which this address takes", crate::domain::a(kind))))
    }
}

/// The body with this id, right after `resourceType` where it had none.
fn with_id(body: Value, id: &str) -> Value {
    match body {
        Value::Object(mut members) => {
            if let Some(own) = members.get_mut("id") {
                *own = Value::String(id.to_owned());
            } else {
                members.shift_insert(1.min(members.len()), "id".to_owned(), Value::String(id.to_owned()));
            }
            Value::Object(members)
        }
        other => other,
    }
}
