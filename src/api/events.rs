//! `GET /api/v1/events`: server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>). A follower
//! of the ledger: the event's id is the entry's sequence, `Last-Event-ID` resumes behind it, nothing is queued. The data
//! is what the object, sync or item is now, so a reader that is late sees the newest state, perhaps more than once.

use std::{collections::VecDeque, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Response, header},
};
use futures_util::stream;
use serde_json::Value;
use tokio::sync::watch;

use super::{
    Api, ApiError, Ask, Problem, objects,
    reply::{Answered, with},
};
use crate::ledger::{Entry, Fact, SyncId, Target};

/// So that proxies and readers know that the line is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Entries read at once.
const BATCH: usize = 64;

struct Follower {
    api: Api,
    next: u64,
    head: watch::Receiver<u64>,
    ready: VecDeque<Bytes>,
}

/// `GET /api/v1/events`
pub(super) async fn follow(ask: Ask) -> Answered {
    ask.query(&[])?;
    let ledger = ask.api.ledger();
    let head = ledger.watch();
    let after = match ask.header("last-event-id").map(str::trim).filter(|text| !text.is_empty()) {
        None => ledger.head(),
        Some(text) => {
            let seq: Option<u64> = text.parse().ok();
            seq.ok_or_else(|| ApiError::Query("Last-Event-ID is the number of the last event".to_owned()))?
        }
    };
    let hello = Bytes::from_static(b": liaison\nretry: 2000\n\n");
    let follower = Follower { api: ask.api.clone(), next: after + 1, head, ready: VecDeque::from([hello]) };
    let body = Body::from_stream(stream::unfold(follower, |mut follower| async move {
        let chunk = follower.chunk().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), follower))
    }));
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(with(response, header::HeaderName::from_static("x-accel-buffering"), "no"))
}

impl Follower {
    /// The next bytes to send; nothing when the gateway stops.
    async fn chunk(&mut self) -> Option<Bytes> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            if self.next <= *self.head.borrow_and_update() {
                let entries = self.api.ledger().entries(self.next, BATCH).ok()?;
                for entry in &entries {
                    self.next = entry.seq + 1;
                    let events = events(&self.api, entry).ok()?;
                    self.ready.extend((!events.is_empty()).then(|| Bytes::from(events)));
                }
                continue;
            }
            let mut stopping = self.api.stopping();
            tokio::select! {
                moved = self.head.changed() => moved.ok()?,
                () = tokio::time::sleep(HEARTBEAT) => return Some(Bytes::from_static(b": alive\n\n")),
                _ = stopping.wait_for(|stop| *stop) => return None,
            }
        }
    }
}

/// The events of one entry, as text.
fn events(api: &Api, entry: &Entry) -> Result<String, Problem> {
    let (ledger, draft) = (api.ledger(), &entry.draft);
    let mut text = String::new();
    let mut tell = |event: &str, data: &Value| {
        // A JSON text has no line breaks, so one data line holds it.
        text.push_str(&format!("id: {}\nevent: {event}\ndata: {data}\n\n", entry.seq));
    };
    if let (Fact::Accepted { .. } | Fact::Applied { .. }, Some(object), Some(id)) =
        (&draft.fact, &draft.object, &draft.object_id)
        && let Some(row) = ledger.object(object, id)?
    {
        tell("object", &objects::shown(api, &row)?);
    }
    if let (Fact::Paused {} | Fact::Resumed {}, Some(system)) = (&draft.fact, &draft.system)
        && let Ok(status) = api.engine().system_status(system.as_str())
    {
        tell("system", &super::systems::shown(&status));
    }
    let mut items: Vec<String> = draft.fact.item().map(str::to_owned).into_iter().collect();
    let mut syncs: Vec<SyncId> = draft.sync_id.iter().chain(aimed_at(&draft.fact)).cloned().collect();
    if let Some(item) = items.first().map_or(Ok(None), |id| ledger.item(id))? {
        syncs.extend(item.sync_id);
    }
    syncs.sort();
    syncs.dedup();
    for id in syncs {
        if let Some(row) = ledger.sync(&id)? {
            tell("sync", &row.to_json());
            items.extend(row.last_item);
        }
    }
    items.push(format!("w-{}", entry.seq));
    items.sort();
    items.dedup();
    for id in items {
        // What another entry changed is told with that entry.
        let concerned = draft.fact.item() == Some(id.as_str());
        if let Some(item) = ledger.item(&id)?.filter(|item| concerned || item.seq == entry.seq) {
            tell("worklist", &api.engine().item_json(&item)?);
        }
    }
    Ok(text)
}

fn aimed_at(fact: &Fact) -> impl Iterator<Item = &SyncId> {
    let targets: &[Target] = match fact {
        Fact::Accepted { targets, .. } | Fact::Applied { targets, .. } => targets,
        _ => &[],
    };
    targets.iter().map(|target| &target.sync_id)
}
