//! The worklist's fold: one open item a subject (a sync, or something received), closed by a person or by success.

use super::{
    super::{Comment, Entry, Item, ItemRow, ItemStatus, LedgerError, Remote, SyncRow, SyncState, keys, store::View},
    syncs,
};

/// The sequence in an item's id.
pub(in super::super) fn seq_of(id: &str) -> Option<u64> {
    id.strip_prefix("w-")?.parse().ok()
}

fn find(view: &View<'_>, id: &str) -> Result<Option<ItemRow>, LedgerError> {
    seq_of(id).map_or(Ok(None), |seq| view.row(&keys::item(seq)))
}

fn subject(row: &ItemRow) -> Option<String> {
    row.sync_id.as_ref().map(|id| id.as_str().to_owned()).or_else(|| row.subject.clone())
}

/// Keeps an item and its index keys in step.
fn put(view: &mut View<'_>, old: Option<&ItemRow>, new: &ItemRow) -> Result<(), LedgerError> {
    if let Some(old) = old {
        view.remove(keys::grouped(&old.group, old.created_seq));
    }
    let about = subject(new).map(|subject| keys::open_about(&subject));
    if new.status.is_open() {
        view.put(keys::grouped(&new.group, new.created_seq), Vec::new());
        if let Some(about) = about {
            view.put(about, new.created_seq.to_be_bytes().to_vec());
        }
    } else if let Some(about) = about {
        view.remove(about);
    }
    view.put_row(keys::item(new.created_seq), new)
}

/// Opens an item, or says more about the one that is open on the same subject.
pub(super) fn open(view: &mut View<'_>, entry: &Entry, item: &Item, theirs: &[Remote]) -> Result<(), LedgerError> {
    let draft = &entry.draft;
    let mut row = ItemRow {
        id: format!("w-{}", entry.seq),
        group: item.group.clone(),
        kind: item.kind,
        status: if item.owner.is_some() { ItemStatus::Assigned } else { ItemStatus::Open },
        code: draft.code.clone().unwrap_or_default(),
        what_happened: draft.summary.clone(),
        who_is_affected: item.who_is_affected.clone(),
        next_step: item.next_step.clone(),
        object: draft.object.clone(),
        object_id: draft.object_id.clone(),
        system: draft.system.clone(),
        sync_id: draft.sync_id.clone(),
        subject: item.subject.clone(),
        owner: item.owner.clone(),
        due_ms: item.due_ms,
        detail: item.detail,
        theirs: theirs.to_vec(),
        comments: Vec::new(),
        created_seq: entry.seq,
        created_at: entry.at,
        seq: entry.seq,
    };
    let known = match subject(&row) {
        Some(subject) => view.get(&keys::open_about(&subject))?.map(|seq| keys::number(&seq)),
        None => None,
    };
    let old: Option<ItemRow> = known.map_or(Ok(None), |seq| view.row(&keys::item(seq)))?;
    if let Some(old) = &old {
        row.id.clone_from(&old.id);
        row.status = old.status;
        row.owner.clone_from(&old.owner);
        row.due_ms = old.due_ms;
        row.comments.clone_from(&old.comments);
        row.created_seq = old.created_seq;
        row.created_at = old.created_at;
    }
    put(view, old.as_ref(), &row)?;
    let Some(before) = syncs::of_entry(view, entry)? else { return Ok(()) };
    let mut sync = before.clone();
    let conflict = matches!(draft.fact, super::super::Fact::Conflicted { .. });
    sync.state = if conflict { SyncState::Conflict } else { SyncState::Parked };
    sync.delay_ms = None;
    // An attempt whose outcome nobody could find out stays named, so that a retry reads back first.
    if item.kind != super::super::ItemKind::Unknown {
        sync.in_flight = None;
    }
    sync.last_item = Some(row.id.clone());
    sync.worklist_id = Some(row.id);
    syncs::explain(&mut sync, entry);
    syncs::touch(&mut sync, entry);
    syncs::put(view, Some(&before), &sync)
}

/// Changes an item.
fn change(
    view: &mut View<'_>,
    entry: &Entry,
    id: &str,
    how: impl FnOnce(&mut ItemRow),
) -> Result<Option<ItemRow>, LedgerError> {
    let Some(old) = find(view, id)? else { return Ok(None) };
    let mut new = old.clone();
    how(&mut new);
    new.seq = entry.seq;
    put(view, Some(&old), &new)?;
    Ok(Some(new))
}

/// Changes the sync of an item.
fn change_sync(
    view: &mut View<'_>,
    entry: &Entry,
    item: Option<ItemRow>,
    how: impl FnOnce(&mut SyncRow),
) -> Result<(), LedgerError> {
    let Some(sync_id) = item.and_then(|item| item.sync_id) else { return Ok(()) };
    let Some(old) = view.row::<SyncRow>(&keys::sync(&sync_id))? else { return Ok(()) };
    let mut new = old.clone();
    how(&mut new);
    syncs::touch(&mut new, entry);
    syncs::put(view, Some(&old), &new)
}

fn comment(entry: &Entry) -> Comment {
    Comment { at: entry.at, by: entry.draft.by.clone(), body: entry.draft.body }
}

pub(super) fn assigned(view: &mut View<'_>, entry: &Entry, id: &str, to: &str) -> Result<(), LedgerError> {
    change(view, entry, id, |item| {
        item.owner = Some(to.to_owned());
        item.status = ItemStatus::Assigned;
    })?;
    Ok(())
}

pub(super) fn commented(view: &mut View<'_>, entry: &Entry, id: &str) -> Result<(), LedgerError> {
    change(view, entry, id, |item| item.comments.push(comment(entry)))?;
    Ok(())
}

pub(super) fn retried(view: &mut View<'_>, entry: &Entry, id: &str, settle: bool) -> Result<(), LedgerError> {
    let item = change(view, entry, id, |_| {})?;
    change_sync(view, entry, item, |sync| {
        let in_flight = sync.in_flight.take();
        syncs::make_ready(sync, entry.seq);
        if settle {
            sync.state = SyncState::Unknown;
            sync.delay_ms = Some(0);
            sync.in_flight = in_flight;
        }
    })
}

pub(super) fn resolved(view: &mut View<'_>, entry: &Entry, id: &str, send: bool) -> Result<(), LedgerError> {
    let item = change(view, entry, id, |item| {
        item.status = ItemStatus::Resolved;
        if entry.draft.body.is_some() {
            item.comments.push(comment(entry));
        }
    })?;
    change_sync(view, entry, item, |sync| {
        sync.worklist_id = None;
        if send {
            syncs::make_ready(sync, entry.seq);
        } else if sync.state != SyncState::Synced {
            rest(sync);
        }
    })
}

pub(super) fn dismissed(view: &mut View<'_>, entry: &Entry, id: &str) -> Result<(), LedgerError> {
    let item = change(view, entry, id, |item| {
        item.status = ItemStatus::Dismissed;
        if entry.draft.body.is_some() {
            item.comments.push(comment(entry));
        }
    })?;
    change_sync(view, entry, item, rest)
}

/// Nothing needs sending any more.
fn rest(sync: &mut SyncRow) {
    sync.worklist_id = None;
    sync.state = SyncState::Resolved;
    sync.delay_ms = None;
    sync.in_flight = None;
}

/// The sync reached its system: whoever was asked need not answer.
pub(super) fn close_as_synced(view: &mut View<'_>, entry: &Entry, id: &str) -> Result<(), LedgerError> {
    change(view, entry, id, |item| item.status = ItemStatus::Resolved)?;
    Ok(())
}
