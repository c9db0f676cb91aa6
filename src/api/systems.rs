//! `/api/v1/systems`: how each EHR is, since when and why; pause, resume, probe.

use serde_json::{Value, json};

use super::{
    ApiError, Ask,
    reply::{self, Answered},
    worklist::{Fields, finding},
};
use crate::{
    domain::ObjectName,
    sync::{Condition, SystemStatus},
};

/// The contract's JSON.
pub(super) fn shown(status: &SystemStatus) -> Value {
    let next_step = match status.condition {
        Condition::Paused => Some("Resume it when it may be used again: what waits is sent then.".to_owned()),
        Condition::Down => status.code.and_then(crate::error::page).map(|page| page.section("What to do").to_owned()),
        Condition::Up | Condition::Learning => None,
    };
    let paused: Vec<Value> = status
        .pauses
        .iter()
        .map(|pause| {
            json!({
                "object": pause.object.as_ref().map(ObjectName::as_str), "since": pause.at.to_string(),
                "by": pause.by, "reason": pause.why,
            })
        })
        .collect();
    let failing: serde_json::Map<String, Value> = status
        .fetches
        .iter()
        .filter_map(|(kind, fetch)| {
            let since = fetch.failing_since?.to_string();
            Some((kind.clone(), json!({"since": since, "rounds": fetch.failed, "code": fetch.code})))
        })
        .collect();
    let last: serde_json::Map<String, Value> =
        status.last_success.iter().map(|(kind, at)| (kind.clone(), json!(at.to_string()))).collect();
    json!({
        "name": status.name.as_str(), "state": status.condition.as_str(),
        "since": status.since.map(|at| at.to_string()), "why": status.why, "code": status.code, "next_step": next_step,
        "backlog": status.backlog, "oldest_unsent": status.oldest_unsent.map(|at| at.to_string()),
        "last_success": last, "cannot_fetch": failing, "paused": paused,
        "limits": {"max_concurrency": status.max_concurrency}, "capability": status.capability,
    })
}

/// `GET /api/v1/systems`
pub(super) async fn list(ask: Ask) -> Answered {
    ask.query(&[])?;
    let items: Vec<Value> = ask.api.engine().systems()?.iter().map(shown).collect();
    Ok(reply::ok(&json!({"items": items, "next": null})))
}

/// `GET /api/v1/systems/{name}`
pub(super) async fn read(ask: Ask) -> Answered {
    ask.query(&[])?;
    Ok(reply::ok(&shown(&ask.api.engine().system_status(ask.param("name"))?)))
}

/// `POST /api/v1/systems/{name}/{action}`
pub(super) async fn act(ask: Ask) -> Answered {
    ask.query(&[])?;
    let (api, by) = (ask.api.clone(), ask.who());
    let (name, verb) = (ask.param("name").to_owned(), ask.param("action").to_owned());
    if !["pause", "resume", "probe"].contains(&verb.as_str()) {
        return Err(ApiError::NoRoute.into());
    }
    let mut fields = Fields::of(ask.json_or_nothing().await?)?;
    let object = match fields.take("object").filter(|object| !object.is_null() && verb != "probe") {
        None => None,
        Some(object) => {
            let named = object.as_str().and_then(|name| ObjectName::new(name).ok());
            Some(named.ok_or_else(|| finding("/object", "a kind of object, such as appointment"))?)
        }
    };
    let reason = if verb == "pause" { Some(fields.text("reason")?) } else { None };
    fields.done()?;
    let engine = api.engine();
    let status = match (verb.as_str(), reason) {
        ("pause", Some(reason)) => engine.pause(&name, object, &reason, by).await?,
        ("resume", _) => engine.resume(&name, object, by).await?,
        _ => engine.probe(&name).await?,
    };
    Ok(reply::ok(&shown(&status)))
}
