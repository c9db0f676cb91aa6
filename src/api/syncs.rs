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
    if state.is_some_and(|(_, word)| SyncState::parse(word).is_none()) {
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
