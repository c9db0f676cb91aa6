//! `/api/v1/syncs`: where every object stands at every system.

use super::{
    ApiError, Ask,
    reply::{self, Answered, Page},
};
use crate::ledger::{SyncFilter, SyncId, SyncState};

/// The members by which syncs are found: all of them.
pub(super) const FILTERS: &[&str] = &[
    "id",
    "object",
    "object_id",
    "system",
    "version",
    "synced_version",
    "state",
    "remote",
    "remote_version",
    "attempts",
    "next_attempt_at",
    "code",
    "message",
    "worklist_id",
    "updated_at",
];

/// `GET /api/v1/syncs`
pub(super) async fn list(ask: Ask) -> Answered {
    let page = Page::of(&ask, FILTERS)?;
    let state = page.filters.iter().find(|(name, _)| name == "state");
    if state.is_some_and(|(_, words)| words.split(',').any(|word| SyncState::parse(word).is_none())) {
        let states = SyncState::ALL.map(SyncState::as_str).join(", ");
        return Err(ApiError::Query(format!("state is one of {states}")).into());
    }
    let after = page.after.as_deref().map(SyncId::given);
    let filter = SyncFilter { equal: page.filters.clone(), after, limit: page.limit + 1 };
    let rows = ask.api.ledger().syncs(&filter)?;
    page.answer(&ask, rows, |row| row.id.as_str(), |row| Ok(row.to_json()))
}

/// `GET /api/v1/syncs/{id}`
pub(super) async fn read(ask: Ask) -> Answered {
    ask.query(&[])?;
    let row = ask.api.ledger().sync(&SyncId::given(ask.param("id")))?;
    Ok(reply::ok(&row.ok_or(ApiError::NotFound("there is no sync with this id"))?.to_json()))
}

/// Syncs that are told at once.
const AT_ONCE: usize = 1000;

/// `POST /api/v1/syncs/query`: ids in, states out.
pub(super) async fn query(ask: Ask) -> Answered {
    ask.query(&[])?;
    let api = ask.api.clone();
    let mut fields = super::worklist::Fields::of(ask.json(super::ask::JSON).await?)?;
    let ids = fields.take("ids");
    fields.done()?;
    let wrong = || super::worklist::finding("/ids", "a list of up to 1000 ids of syncs");
    let ids =
        ids.as_ref().and_then(serde_json::Value::as_array).filter(|ids| ids.len() <= AT_ONCE).ok_or_else(wrong)?;
    let (mut items, mut unknown) = (Vec::new(), Vec::new());
    for id in ids {
        let id = id.as_str().ok_or_else(wrong)?;
        match api.ledger().sync(&SyncId::given(id))? {
            Some(row) => items.push(row.to_json()),
            None => unknown.push(id),
        }
    }
    Ok(reply::ok(&serde_json::json!({"items": items, "unknown": unknown})))
}
