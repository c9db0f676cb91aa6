//! The syncs' fold: where each object stands at each system, its links and bases, and the outbox's order.

use super::{
    super::{Entry, Hash, InFlight, LedgerError, PartRow, Remote, SyncRow, SyncState, Target, keys, store::View},
    items,
};

/// The sync that the entry names.
pub(super) fn of_entry(view: &View<'_>, entry: &Entry) -> Result<Option<SyncRow>, LedgerError> {
    entry.draft.sync_id.as_ref().map_or(Ok(None), |id| view.row(&keys::sync(id)))
}

/// Keeps a sync, its index keys and the counts in step.
pub(super) fn put(view: &mut View<'_>, old: Option<&SyncRow>, new: &SyncRow) -> Result<(), LedgerError> {
    let kept = keys::of_sync(new);
    for key in old.map(keys::of_sync).unwrap_or_default() {
        if !kept.contains(&key) {
            view.remove(key);
        }
    }
    for key in kept {
        view.put(key, Vec::new());
    }
    if old.map(|old| old.state) != Some(new.state) {
        if let Some(old) = old {
            add(view, keys::count(&old.system, old.state), -1)?;
        }
        add(view, keys::count(&new.system, new.state), 1)?;
        let pending = |row: &SyncRow| i64::from(row.state.is_pending());
        add(view, keys::PENDING.to_vec(), pending(new) - old.map_or(0, pending))?;
    }
    view.put_row(keys::sync(&new.id), new)
}

fn add(view: &mut View<'_>, key: Vec<u8>, by: i64) -> Result<(), LedgerError> {
    if by != 0 {
        let now = view.get(&key)?.map_or(0, |bytes| keys::number(&bytes));
        view.put(key, now.saturating_add_signed(by).to_be_bytes().to_vec());
    }
    Ok(())
}

/// Changes the entry's sync, if there is one.
fn change(view: &mut View<'_>, entry: &Entry, how: impl FnOnce(&mut SyncRow)) -> Result<(), LedgerError> {
    let Some(old) = of_entry(view, entry)? else { return Ok(()) };
    let mut new = old.clone();
    how(&mut new);
    touch(&mut new, entry);
    put(view, Some(&old), &new)
}

pub(super) fn touch(row: &mut SyncRow, entry: &Entry) {
    row.seq = entry.seq;
    row.updated_at = entry.at;
}

/// To be sent from the beginning; keeps its place in the outbox if it is in it.
pub(super) fn make_ready(row: &mut SyncRow, seq: u64) {
    if !row.state.is_pending() {
        row.since = seq;
    }
    row.state = SyncState::Accepted;
    row.attempts = 0;
    row.delay_ms = None;
    row.in_flight = None;
    row.code = None;
    row.message = None;
}

/// A version must go to these systems. What is being sent, or perhaps was, settles first.
pub(super) fn aim(view: &mut View<'_>, entry: &Entry, targets: &[Target]) -> Result<(), LedgerError> {
    let draft = &entry.draft;
    let (Some(object), Some(id), Some(version)) = (&draft.object, &draft.object_id, draft.version) else {
        return Ok(());
    };
    for target in targets {
        let old: Option<SyncRow> = view.row(&keys::sync(&target.sync_id))?;
        let mut row = old.clone().unwrap_or_else(|| fresh(entry, target, object, id));
        row.version = version;
        if !matches!(row.state, SyncState::Sending | SyncState::Unknown) {
            make_ready(&mut row, entry.seq);
        }
        touch_unless_waiting(&mut row, entry);
        put(view, old.as_ref(), &row)?;
    }
    Ok(())
}

/// A delay counts from `updated_at`, so a row that goes on waiting keeps it.
fn touch_unless_waiting(row: &mut SyncRow, entry: &Entry) {
    row.seq = entry.seq;
    if row.delay_ms.is_none() {
        row.updated_at = entry.at;
    }
}

fn fresh(entry: &Entry, target: &Target, object: &crate::domain::ObjectName, id: &crate::domain::ObjectId) -> SyncRow {
    SyncRow {
        id: target.sync_id.clone(),
        object: object.clone(),
        object_id: id.clone(),
        system: target.system.clone(),
        version: entry.draft.version.unwrap_or(1),
        synced_version: None,
        state: SyncState::Accepted,
        remote: Vec::new(),
        remote_version: None,
        attempts: 0,
        delay_ms: None,
        in_flight: None,
        code: None,
        message: None,
        worklist_id: None,
        last_item: None,
        mapping: None,
        output: None,
        since: entry.seq,
        seq: entry.seq,
        updated_at: entry.at,
    }
}

/// A version that came from the entry's system: it is synced there, unless it must also be sent there.
pub(super) fn settle_applied(
    view: &mut View<'_>,
    entry: &Entry,
    remotes: &[Remote],
    targets: &[Target],
) -> Result<(), LedgerError> {
    let draft = &entry.draft;
    let (Some(sync_id), Some(system), Some(object), Some(id)) =
        (&draft.sync_id, &draft.system, &draft.object, &draft.object_id)
    else {
        return Ok(());
    };
    if !targets.iter().any(|target| target.sync_id == *sync_id) {
        let old: Option<SyncRow> = view.row(&keys::sync(sync_id))?;
        let target = Target { system: system.clone(), sync_id: sync_id.clone() };
        let mut row = old.clone().unwrap_or_else(|| fresh(entry, &target, object, id));
        row.version = draft.version.unwrap_or(row.version);
        if !matches!(row.state, SyncState::Sending | SyncState::Unknown) || old.is_none() {
            synced(view, entry, &mut row)?;
        }
        touch_unless_waiting(&mut row, entry);
        put(view, old.as_ref(), &row)?;
    }
    seen(view, entry, remotes)
}

/// The system has the entry's version; what a person was asked about it is settled.
fn synced(view: &mut View<'_>, entry: &Entry, row: &mut SyncRow) -> Result<(), LedgerError> {
    row.state = SyncState::Synced;
    row.synced_version = Some(entry.draft.version.unwrap_or(row.version));
    row.delay_ms = None;
    row.in_flight = None;
    row.code = None;
    row.message = None;
    if let Some(item) = row.worklist_id.take() {
        items::close_as_synced(view, entry, &item)?;
    }
    Ok(())
}

pub(super) fn attempted(
    view: &mut View<'_>,
    entry: &Entry,
    attempt: u32,
    part: &str,
    interaction: &str,
) -> Result<(), LedgerError> {
    change(view, entry, |row| {
        row.state = SyncState::Sending;
        row.attempts = attempt;
        row.delay_ms = None;
        row.in_flight = Some(InFlight {
            seq: entry.seq,
            version: entry.draft.version.unwrap_or(row.version),
            part: part.to_owned(),
            interaction: interaction.to_owned(),
        });
    })
}

pub(super) fn acknowledged(
    view: &mut View<'_>,
    entry: &Entry,
    done: bool,
    remotes: &[Remote],
    mapping: Option<&String>,
    output: Option<Hash>,
) -> Result<(), LedgerError> {
    seen(view, entry, remotes)?;
    let Some(old) = of_entry(view, entry)? else { return Ok(()) };
    let mut row = old.clone();
    if done {
        synced(view, entry, &mut row)?;
        row.mapping = mapping.cloned().or(row.mapping);
        row.output = output.or(row.output);
    }
    if !done || row.version > entry.draft.version.unwrap_or(row.version) {
        // Further parts, or a newer version that came while this one was under way.
        let attempts = row.attempts;
        make_ready(&mut row, entry.seq);
        if !done {
            row.attempts = attempts;
        }
    }
    touch(&mut row, entry);
    put(view, Some(&old), &row)
}

pub(super) fn deferred(view: &mut View<'_>, entry: &Entry, delay_ms: u64) -> Result<(), LedgerError> {
    change(view, entry, |row| {
        row.state = SyncState::Retrying;
        row.delay_ms = Some(delay_ms);
        row.in_flight = None;
        explain(row, entry);
    })
}

pub(super) fn unsettled(view: &mut View<'_>, entry: &Entry, delay_ms: u64) -> Result<(), LedgerError> {
    change(view, entry, |row| {
        row.state = SyncState::Unknown;
        row.delay_ms = Some(delay_ms);
        explain(row, entry);
    })
}

pub(super) fn explain(row: &mut SyncRow, entry: &Entry) {
    row.code.clone_from(&entry.draft.code);
    row.message = Some(entry.draft.summary.clone());
}

/// Link and base move to what was seen.
pub(super) fn seen(view: &mut View<'_>, entry: &Entry, remotes: &[Remote]) -> Result<(), LedgerError> {
    let draft = &entry.draft;
    let (Some(sync_id), Some(system), Some(object), Some(id)) =
        (&draft.sync_id, &draft.system, &draft.object, &draft.object_id)
    else {
        return Ok(());
    };
    for remote in remotes {
        let key = keys::part(sync_id, &remote.part);
        let old: Option<PartRow> = view.row(&key)?;
        if let Some(old) = old.as_ref().filter(|old| old.reference != remote.reference) {
            view.remove(keys::linked(system, &old.reference, sync_id, &remote.part));
        }
        let row = PartRow {
            sync_id: sync_id.clone(),
            part: remote.part.clone(),
            object: object.clone(),
            object_id: id.clone(),
            system: system.clone(),
            reference: remote.reference.clone(),
            version: remote.version.clone(),
            body: remote.body.or(old.and_then(|old| old.body)),
            seq: entry.seq,
        };
        view.put(keys::linked(system, &remote.reference, sync_id, &remote.part), Vec::new());
        view.put_row(key, &row)?;
    }
    if remotes.is_empty() {
        return Ok(());
    }
    let Some(old) = of_entry(view, entry)? else { return Ok(()) };
    let mut row = old.clone();
    let mut parts = Vec::new();
    for key in view.keys(&keys::parts(sync_id))? {
        parts.extend(view.row::<PartRow>(&key)?);
    }
    parts.sort_by_key(|part| (part.part != "main", part.part.clone()));
    row.remote_version = parts.first().and_then(|part| part.version.clone());
    row.remote = parts.into_iter().map(|part| part.reference).collect();
    touch_unless_waiting(&mut row, entry);
    put(view, Some(&old), &row)
}
