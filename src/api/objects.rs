//! `/api/v1/{objects}`: taking on, changing, reading objects. Thin: what is decided is decided by `sync` and the ledger.

use axum::http::{StatusCode, header};
use serde_json::{Value, json};

use super::{
    Api, ApiError, Ask, Problem,
    ask::{JSON, PATCH},
    reply::{self, Answered, Page},
};
use crate::{
    domain::{ObjectId, ObjectName},
    error::Finding,
    ledger::{Answer, Entry, LedgerError, ObjectRow},
    sync::{Accept, Change, Key, Preview, Resend, Update},
};

/// The kind of object that the route names, and its plural.
pub(super) fn kind(ask: &Ask) -> Result<(ObjectName, String), Problem> {
    let plural = ask.param("objects");
    let known = ask.api.mappings().by_plural(plural).and_then(|kind| ObjectName::new(kind.name()).ok());
    known.map(|name| (name, plural.to_owned())).ok_or_else(|| ApiError::NoRoute.into())
}

fn existing(ask: &Ask, object: &ObjectName) -> Result<ObjectRow, Problem> {
    let row = ask.id().map_or(Ok(None), |id| ask.api.ledger().object(object, &id))?;
    row.ok_or_else(|| LedgerError::NoObject.into())
}

/// The object as callers see it: its body with `id` and `version` in front.
pub(super) fn shown(api: &Api, row: &ObjectRow) -> Result<Value, Problem> {
    let body = row.body.map_or(Ok(None), |hash| api.ledger().body(&hash))?;
    let mut whole = serde_json::Map::new();
    whole.insert("id".to_owned(), json!(row.id.as_str()));
    whole.insert("version".to_owned(), json!(row.version));
    if let Some(Value::Object(members)) = body.map(|bytes| crate::fhir::read(&bytes)).transpose()? {
        whole.extend(members.into_iter().filter(|(name, _)| name != "id" && name != "version"));
    }
    Ok(Value::Object(whole))
}

fn etag(version: u64) -> String {
    format!("W/\"{version}\"")
}

/// What was taken on, with what is worth a remark.
pub(super) fn accepted_json(answer: &Answer, warnings: &[Finding]) -> Value {
    let mut body = answer.to_json();
    if !warnings.is_empty() {
        body["warnings"] = json!(warnings);
    }
    body
}

/// 202. What was taken on and is worth a remark all the same stands under `warnings`, which is left out where it is empty.
fn accepted(plural: &str, answer: &Answer, warnings: &[Finding]) -> Answered {
    let response = reply::json(StatusCode::ACCEPTED, &accepted_json(answer, warnings));
    let response = reply::with(response, header::LOCATION, &format!("/api/v1/{plural}/{}", answer.id));
    Ok(reply::with(response, header::ETAG, &etag(answer.version)))
}

/// `POST /api/v1/{objects}`
pub(super) async fn create(ask: Ask) -> Answered {
    let (object, plural) = kind(&ask)?;
    let (api, by, lenient) = (ask.api.clone(), ask.who().to_owned(), ask.is_lenient());
    if ask.preview()? {
        let body = ask.json(JSON).await?;
        return previewed(&api, &object, &api.engine().preview(&object, body)?);
    }
    let key = ask.key()?.ok_or(ApiError::NoKey)?.to_owned();
    let key = Key { scope: format!("{by} POST {}", ask.parts.uri.path()), key };
    let body = ask.json(JSON).await?;
    let warnings = api.engine().warnings(&object, &body, true);
    let answer = api.engine().accept(Accept { object, body, key, by, lenient }).await?;
    accepted(&plural, &answer, &warnings)
}

fn previewed(api: &Api, object: &ObjectName, preview: &Preview) -> Answered {
    let warnings = api.engine().warnings(object, &preview.body, true);
    let targets: Vec<Value> = preview
        .targets
        .iter()
        .map(|target| {
            json!({
                "system": target.system.as_str(), "valid": target.findings.is_empty(),
                "resources": target.resources, "findings": target.findings,
            })
        })
        .collect();
    let mut shown = json!({"object": preview.body, "targets": targets});
    if !warnings.is_empty() {
        shown["warnings"] = json!(warnings);
    }
    Ok(reply::ok(&shown))
}

/// `PUT /api/v1/{objects}/{id}`
pub(super) async fn replace(ask: Ask) -> Answered {
    if ask.wants_merge() && ask.header("if-match").is_none() && !ask.preview()? {
        return resend(ask).await;
    }
    change(ask, Reads::Object).await
}

/// The same with `Prefer: merge`.
async fn resend(ask: Ask) -> Answered {
    let (object, plural) = kind(&ask)?;
    let row = existing(&ask, &object)?;
    let (api, by, lenient) = (ask.api.clone(), ask.who().to_owned(), ask.is_lenient());
    let scope = format!("{by} {} {}", ask.parts.method, ask.parts.uri.path());
    let key = ask.key()?.map(|key| Key { scope, key: key.to_owned() });
    let body = ask.json(JSON).await?;
    let mut warnings = api.engine().warnings(&object, &body, true);
    let (answer, stands) = api.engine().resend(Resend { object, id: row.id, body, key, by, lenient }).await?;
    warnings.extend(stands);
    accepted(&plural, &answer, &warnings)
}

/// `POST /api/v1/{objects}/{id}/restore`
pub(super) async fn restore(ask: Ask) -> Answered {
    change(ask, Reads::Restore).await
}

/// `POST /api/v1/{objects}/{id}/relink`
pub(super) async fn relink(ask: Ask) -> Answered {
    change(ask, Reads::Relink).await
}

/// `PATCH /api/v1/{objects}/{id}`
pub(super) async fn patch(ask: Ask) -> Answered {
    change(ask, Reads::Patch).await
}

/// `POST /api/v1/{objects}/{id}/cancel`
pub(super) async fn cancel(ask: Ask) -> Answered {
    change(ask, Reads::Cancel).await
}

/// How the body of a change is read.
enum Reads {
    Object,
    Patch,
    Cancel,
    Restore,
    Relink,
}

async fn change(ask: Ask, reads: Reads) -> Answered {
    let (object, plural) = kind(&ask)?;
    let preview = ask.preview()?;
    // A preview changes nothing, so it may go without a version; a stale one is told all the same.
    let expected = if preview && ask.header("if-match").is_none() { None } else { ask.if_match()? };
    let row = existing(&ask, &object)?;
    let (api, by, lenient) = (ask.api.clone(), ask.who().to_owned(), ask.is_lenient());
    let scope = format!("{by} {} {}", ask.parts.method, ask.parts.uri.path());
    let key = ask.key()?.map(|key| Key { scope, key: key.to_owned() });
    let change = match reads {
        Reads::Object => Change::Replace(ask.json(JSON).await?),
        Reads::Patch => Change::Merge(ask.json(PATCH).await?),
        Reads::Cancel => Change::Cancel { reason: reason(ask.json_or_nothing().await?)? },
        Reads::Restore => restored(ask.json(JSON).await?)?,
        Reads::Relink => relinked(ask.json(JSON).await?)?,
    };
    if preview {
        let preview = api.engine().preview_change(&object, &row.id, expected, change)?;
        return previewed(&api, &object, &preview);
    }
    let warnings = match &change {
        Change::Replace(body) => api.engine().warnings(&object, body, true),
        // What a patch leaves out is not missing.
        Change::Merge(body) => api.engine().warnings(&object, body, false),
        _ => api.engine().warnings(&object, &Value::Null, false),
    };
    let expected = expected.unwrap_or(row.version);
    let answer = api.engine().update(Update { object, id: row.id, expected, change, key, by, lenient }).await?;
    accepted(&plural, &answer, &warnings)
}

/// `{"seq", "path"}`
fn restored(body: Value) -> Result<Change, Problem> {
    let mut fields = super::worklist::Fields::of(body)?;
    let seq = fields.take("seq").and_then(|seq| seq.as_u64());
    let seq = seq.ok_or_else(|| super::worklist::finding("/seq", "the sequence of the entry that kept the value"))?;
    let path = fields.text("path")?;
    fields.done()?;
    Ok(Change::Restore { seq, path })
}

/// `{"reference", "to"}`
fn relinked(body: Value) -> Result<Change, Problem> {
    let mut fields = super::worklist::Fields::of(body)?;
    let (reference, to) = (fields.take("reference"), fields.take("to"));
    fields.done()?;
    let what = "the reference as it stands, or its place, such as participants.0.who";
    Ok(Change::Relink { reference: reference.ok_or_else(|| super::worklist::finding("/reference", what))?, to })
}

/// `{"reason": …}` or `{}`.
fn reason(body: Value) -> Result<Option<Value>, Problem> {
    let mut fields = super::worklist::Fields::of(body)?;
    let reason = fields.take("reason");
    fields.done()?;
    Ok(reason)
}

/// `GET /api/v1/{objects}/{id}`
pub(super) async fn read(ask: Ask) -> Answered {
    let (object, _) = kind(&ask)?;
    let query = ask.query(&["version"])?;
    let mut row = existing(&ask, &object)?;
    if let Some((_, version)) = query.first() {
        row = in_version(&ask.api, row, version)?;
    }
    let tag = etag(row.version);
    let response = if ask.header("if-none-match") == Some(tag.as_str()) {
        let mut response = axum::http::Response::new(axum::body::Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        reply::ok(&shown(&ask.api, &row)?)
    };
    Ok(reply::with(response, header::ETAG, &tag))
}

/// An object as it stood in an older version.
fn in_version(api: &Api, row: ObjectRow, version: &str) -> Result<ObjectRow, Problem> {
    let wanted: u64 = version.parse().map_err(|_| ApiError::Query("version is a number, from 1".to_owned()))?;
    if wanted == row.version {
        return Ok(row);
    }
    let made = api.ledger().version(&row.object, &row.id, wanted)?;
    let made = made.ok_or(ApiError::NotFound("this object has no such version"))?;
    Ok(ObjectRow { version: wanted, body: made.draft.body, seq: made.seq, updated_at: made.at, ..row })
}

/// `GET /api/v1/{objects}`
pub(super) async fn list(ask: Ask) -> Answered {
    let (object, _) = kind(&ask)?;
    let page = Page::of(&ask, &[])?;
    let after = page.after.as_deref().and_then(|id| ObjectId::new(id).ok());
    let rows = ask.api.ledger().objects(&object, after.as_ref(), page.limit + 1)?;
    page.answer(&ask, rows, |row| row.id.as_str(), |row| shown(&ask.api, row))
}

/// `GET /api/v1/{objects}/{id}/history`
pub(super) async fn history(ask: Ask) -> Answered {
    let (object, _) = kind(&ask)?;
    let page = Page::of(&ask, &[])?;
    let row = existing(&ask, &object)?;
    let after = page.after.as_deref().map_or(Ok(0), str::parse).map_err(|_| bad_cursor())?;
    let entries = ask.api.ledger().history_after(&object, &row.id, after, page.limit + 1)?;
    let entries: Vec<(String, Entry)> = entries.into_iter().map(|entry| (entry.seq.to_string(), entry)).collect();
    page.answer(&ask, entries, |(seq, _)| seq, |(_, entry)| Ok(entry.to_json()))
}

fn bad_cursor() -> Problem {
    ApiError::Query("cursor is not one that `next` gave".to_owned()).into()
}
