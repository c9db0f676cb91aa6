//! `/api/v1/worklist`: what awaits a person, what they may do about it, and failures by cause.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Api, ApiError, Ask, Problem,
    reply::{self, Answered, Page},
};
use crate::{
    error::Finding,
    ledger::{ItemRow, WorkFilter},
    sync::{Action, Choice, GroupRetry},
};

/// The members by which items are found.
pub(super) const FILTERS: &[&str] =
    &["id", "group", "kind", "status", "code", "object", "object_id", "system", "sync_id", "owner", "due"];

/// `GET /api/v1/worklist`
pub(super) async fn list(ask: Ask) -> Answered {
    let mut page = Page::of(&ask, FILTERS)?;
    one_of(&page, "kind", &["rejected", "conflict", "unknown", "identity", "slot", "inbound"])?;
    one_of(&page, "status", &["open", "assigned", "resolved", "dismissed"])?;
    if !page.filters.iter().any(|(name, _)| name == "status") {
        page.filters.push(("status".to_owned(), "open,assigned".to_owned()));
    }
    let filter = WorkFilter { equal: page.filters.clone(), after: page.after.clone(), limit: page.limit + 1 };
    let rows = ask.api.ledger().items(&filter)?;
    page.answer(&ask, rows, |row| row.id.as_str(), |row| Ok(ask.api.engine().item_json(row)?))
}

fn one_of(page: &Page, name: &str, words: &[&str]) -> Result<(), Problem> {
    let given = page.filters.iter().find(|(filter, _)| filter == name);
    if given.is_some_and(|(_, given)| given.split(',').any(|word| !words.contains(&word))) {
        return Err(ApiError::Query(format!("{name} is one of {}", words.join(", "))).into());
    }
    Ok(())
}

fn item(api: &Api, id: &str) -> Result<ItemRow, Problem> {
    let row = api.ledger().item(id)?;
    Ok(row.ok_or(ApiError::NotFound("there is no worklist item with this id"))?)
}

/// `GET /api/v1/worklist/{id}`
pub(super) async fn read(ask: Ask) -> Answered {
    ask.query(&[])?;
    let row = item(&ask.api, ask.param("id"))?;
    Ok(reply::ok(&ask.api.engine().item_json(&row)?))
}

/// `POST /api/v1/worklist/{id}/{action}`
pub(super) async fn act(ask: Ask) -> Answered {
    ask.query(&[])?;
    let (api, by) = (ask.api.clone(), ask.who());
    let (id, verb) = (ask.param("id").to_owned(), ask.param("action").to_owned());
    if !["assign", "retry", "dismiss", "comment", "resolve"].contains(&verb.as_str()) {
        return Err(ApiError::NoRoute.into());
    }
    let before = item(&api, &id)?;
    let mut fields = Fields::of(ask.json_or_nothing().await?)?;
    let action = match verb.as_str() {
        "assign" => Action::Assign { to: fields.text("to")? },
        "dismiss" => Action::Dismiss { reason: fields.text("reason")?, send_without: send_without(&mut fields)? },
        "comment" => Action::Comment { text: fields.text("text")? },
        "resolve" => Action::Resolve { note: fields.text_or_nothing("note")?, fields: choices(fields.take("fields"))? },
        _ => Action::Retry,
    };
    fields.done()?;
    // What waits for it, as the person saw it: a decision wakes them.
    let dependants = api.ledger().item_json(&before)?["dependants"].take();
    api.engine().act(&id, action, by).await?;
    let mut after = api.engine().item_json(&item(&api, &id)?)?;
    if !dependants.as_array().is_none_or(Vec::is_empty) {
        after["dependants"] = dependants;
    }
    Ok(reply::ok(&after))
}

/// What becomes of those that wait for what is dismissed.
fn send_without(fields: &mut Fields) -> Result<bool, Problem> {
    match fields.take("dependants").as_ref().map(|word| word.as_str().unwrap_or_default()) {
        None | Some("park") => Ok(false),
        Some("send-without") => Ok(true),
        Some(_) => {
            Err(finding("/dependants", "\"park\" (each goes to a person) or \"send-without\" (each goes without it)"))
        }
    }
}

/// `GET /api/v1/worklist/groups`
pub(super) async fn groups(ask: Ask) -> Answered {
    ask.query(&[])?;
    let groups = ask.api.ledger().groups()?;
    let items: Vec<Value> = groups.iter().map(crate::ledger::GroupRow::to_json).collect();
    Ok(reply::ok(&json!({"items": items, "next": null})))
}

/// `POST /api/v1/worklist/groups/{group}/preview`
pub(super) async fn preview_group(ask: Ask) -> Answered {
    let (api, group) = known_group(ask).await?;
    Ok(reply::ok(&group_json(&group, &api.engine().preview_group(&group)?)))
}

/// `POST /api/v1/worklist/groups/{group}/retry`
pub(super) async fn retry_group(ask: Ask) -> Answered {
    let by = ask.who();
    let (api, group) = known_group(ask).await?;
    let done = api.engine().retry_group(&group, by).await?;
    Ok(reply::ok(&group_json(&group, &done)))
}

async fn known_group(ask: Ask) -> Result<(Api, String), Problem> {
    ask.query(&[])?;
    let (api, group) = (ask.api.clone(), ask.param("group").to_owned());
    Fields::of(ask.json_or_nothing().await?)?.done()?;
    if api.ledger().group(&group)?.is_empty() {
        return Err(ApiError::NotFound("there is no open group with this id").into());
    }
    Ok((api, group))
}

fn group_json(group: &str, retry: &GroupRetry) -> Value {
    json!({
        "group": group, "count": retry.items.len(), "items": retry.items, "superseded": retry.superseded,
        "findings": retry.findings,
    })
}

fn choices(fields: Option<Value>) -> Result<BTreeMap<String, Choice>, Problem> {
    let Some(fields) = fields else { return Ok(BTreeMap::new()) };
    let wrong = |path: &str| {
        let pointer = format!("/fields/{}", path.replace('~', "~0").replace('/', "~1"));
        finding(&pointer, "a choice is \"ours\", \"theirs\" or {\"value\": …}")
    };
    let Value::Object(fields) = fields else {
        return Err(finding("/fields", "an object is expected: field path to choice"));
    };
    fields
        .into_iter()
        .map(|(path, choice)| {
            let choice = match choice {
                Value::String(word) if word == "ours" => Choice::Ours,
                Value::String(word) if word == "theirs" => Choice::Theirs,
                Value::Object(mut value) if value.len() == 1 => {
                    Choice::Value(value.shift_remove("value").ok_or_else(|| wrong(&path))?)
                }
                _ => return Err(wrong(&path)),
            };
            Ok((path, choice))
        })
        .collect()
}

/// The members of an action's body; none may be left over.
pub(super) struct Fields(serde_json::Map<String, Value>);

impl Fields {
    pub(super) fn of(body: Value) -> Result<Self, Problem> {
        match body {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(finding("", "an object is expected: {…}")),
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.shift_remove(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &str) -> Result<String, Problem> {
        let text = self.text_or_nothing(name)?;
        if text.trim().is_empty() { Err(finding(&format!("/{name}"), "a text is required here")) } else { Ok(text) }
    }

    fn text_or_nothing(&mut self, name: &str) -> Result<String, Problem> {
        match self.take(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) if text.len() <= 10_000 => Ok(text),
            Some(_) => Err(finding(&format!("/{name}"), "a text of at most 10,000 characters is expected")),
        }
    }

    pub(super) fn done(self) -> Result<(), Problem> {
        if self.0.is_empty() {
            return Ok(());
        }
        // Unknown names are not quoted back: they may be anything.
        Err(finding("", "there are members that are not known here"))
    }
}

pub(super) fn finding(pointer: &str, detail: &str) -> Problem {
    ApiError::Action(vec![Finding {
        pointer: pointer.to_owned(),
        code: "LIA-API-013".to_owned(),
        detail: detail.to_owned(),
        remedy: "See /openapi.json for the shape of this action.".to_owned(),
    }])
    .into()
}
