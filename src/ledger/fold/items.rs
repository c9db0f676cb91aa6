//! The worklist's fold: one open item a subject (a sync, or something received), closed by a person or by success.

use super::{
    super::{Comment, Entry, Item, ItemRow, ItemStatus, LedgerError, Remote, State, SyncRow, Told, keys, store::View},
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
        view.remove(keys::due(true, old.due_at_ms(), old.created_seq));
        if old.due_at_ms() != new.due_at_ms() {
            view.remove(keys::due(false, old.due_at_ms(), old.created_seq));
        }
    }
    view.put(keys::due(false, new.due_at_ms(), new.created_seq), Vec::new());
    if let (Some(subject), None) = (&new.subject, old) {
        view.put(keys::last_about(subject), new.created_seq.to_be_bytes().to_vec());
    }
    let about = subject(new).map(|subject| keys::open_about(&subject));
    if new.status.is_open() {
        view.put(keys::grouped(&new.group, new.created_seq), Vec::new());
        view.put(keys::due(true, new.due_at_ms(), new.created_seq), Vec::new());
        if let Some(about) = about {
            view.put(about, new.created_seq.to_be_bytes().to_vec());
        }
    } else if let Some(about) = about {
        view.remove(about);
    }
    view.put_row(keys::item(new.created_seq), new)
}

/// Opens an item, or says more about the one that is open on the same subject. Not where it is about an older version
/// of an object whose newer one is to be judged by itself.
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
        version: draft.version,
        subject: item.subject.clone(),
        owner: item.owner.clone(),
        due_ms: item.due_ms,
        detail: item.detail,
        theirs: theirs.to_vec(),
        comments: Vec::new(),
        closed_at: None,
        closed_by: None,
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
    let Some(before) = syncs::of_entry(view, entry)? else { return put(view, old.as_ref(), &row) };
    // The question is about all that is wanted by now, whichever version it was found out with.
    row.version = Some(before.version);
    let mut sync = before.clone();
    sync.waits_for = match &before.standing {
        State::Waiting { on, .. } => on.clone(),
        _ => Vec::new(),
    };
    let told = Told::Asked {
        version: draft.version.unwrap_or(before.about),
        item: row.id.clone(),
        kind: item.kind,
        conflict: matches!(draft.fact, super::super::Fact::Conflicted { .. }),
    };
    syncs::step(&mut sync, entry, &told)?;
    if matches!(sync.standing, State::Conflict { .. } | State::Parked { .. }) {
        put(view, old.as_ref(), &row)?;
        sync.last_item = Some(row.id.clone());
        sync.worklist_id = Some(row.id);
        syncs::explain(&mut sync, entry);
    }
    syncs::put(view, entry, Some(&before), &sync)
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

/// What an item's fact tells of its sync.
fn tell_sync(
    view: &mut View<'_>,
    entry: &Entry,
    item: Option<&ItemRow>,
    told: &Told,
    closes: bool,
    how: impl FnOnce(&mut SyncRow),
) -> Result<(), LedgerError> {
    let Some(item) = item else { return Ok(()) };
    let Some(sync_id) = &item.sync_id else { return Ok(()) };
    let Some(old) = view.row::<SyncRow>(&keys::sync(sync_id))? else { return Ok(()) };
    let mut new = old.clone();
    syncs::step(&mut new, entry, told)?;
    how(&mut new);
    if closes {
        new.worklist_id = new.worklist_id.filter(|id| *id != item.id);
    }
    syncs::put(view, entry, Some(&old), &new)
}

/// A person has decided an item: what that means for its sync, where the item is still the sync's own.
fn decide(
    view: &mut View<'_>,
    entry: &Entry,
    item: Option<&ItemRow>,
    send: bool,
    how: impl FnOnce(&mut SyncRow),
) -> Result<(), LedgerError> {
    let Some((item, sync_id)) = item.and_then(|item| Some((item, item.sync_id.as_ref()?))) else { return Ok(()) };
    let row = view.row::<SyncRow>(&keys::sync(sync_id))?;
    let is_of = |row: &SyncRow| item.version.is_none_or(|version| version == row.version);
    let own = row.is_some_and(|row| row.worklist_id.as_ref() == Some(&item.id) && is_of(&row));
    tell_sync(view, entry, Some(item), &Told::Decided { item: item.id.clone(), own, send }, true, how)
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

pub(super) fn retried(view: &mut View<'_>, entry: &Entry, id: &str) -> Result<(), LedgerError> {
    let item = change(view, entry, id, |_| {})?;
    tell_sync(view, entry, item.as_ref(), &Told::Retried { item: id.to_owned() }, false, |row| {
        // What is gone is made again only where a person was asked just that.
        row.gone &= row.worklist_id.as_deref() != Some(id);
    })
}

/// Closes an item, whoever or whatever did.
fn close(view: &mut View<'_>, entry: &Entry, id: &str, status: ItemStatus) -> Result<Option<ItemRow>, LedgerError> {
    change(view, entry, id, |item| {
        item.status = status;
        item.closed_at = Some(entry.at);
        item.closed_by = Some(entry.draft.by.clone());
    })
}

pub(super) fn resolved(view: &mut View<'_>, entry: &Entry, id: &str, send: bool) -> Result<(), LedgerError> {
    remark(view, entry, id)?;
    let item = close(view, entry, id, ItemStatus::Resolved)?;
    decide(view, entry, item.as_ref(), send, |_| {})
}

pub(super) fn dismissed(view: &mut View<'_>, entry: &Entry, id: &str, send_without: bool) -> Result<(), LedgerError> {
    remark(view, entry, id)?;
    let item = close(view, entry, id, ItemStatus::Dismissed)?;
    decide(view, entry, item.as_ref(), false, |row| {
        row.left_out = send_without && matches!(row.standing, State::Resolved { .. }) && row.remote.is_empty();
    })
}

/// A decision's note stands among the comments.
fn remark(view: &mut View<'_>, entry: &Entry, id: &str) -> Result<(), LedgerError> {
    if entry.draft.body.is_some() {
        change(view, entry, id, |item| item.comments.push(comment(entry)))?;
    }
    Ok(())
}

/// The sync reached its system, or need not: whoever was asked need not answer.
pub(super) fn close_by_itself(view: &mut View<'_>, entry: &Entry, id: &str) -> Result<(), LedgerError> {
    close(view, entry, id, ItemStatus::Resolved)?;
    Ok(())
}
