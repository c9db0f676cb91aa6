//! The syncs' fold: where each object stands at each system, its links and bases, and the outbox's order.

use super::{
    super::{
        Delay, Entry, Former, Hash, InFlight, LedgerError, PartRow, Remote, State, SyncId, SyncRow, Target, Told, keys,
        store::View, transition,
    },
    items,
};

/// The sync that the entry names.
pub(super) fn of_entry(view: &View<'_>, entry: &Entry) -> Result<Option<SyncRow>, LedgerError> {
    entry.draft.sync_id.as_ref().map_or(Ok(None), |id| view.row(&keys::sync(id)))
}

/// Keeps a sync, its index keys and the counts in step, and wakes or tells those that wait for it.
pub(super) fn put(view: &mut View<'_>, entry: &Entry, old: Option<&SyncRow>, new: &SyncRow) -> Result<(), LedgerError> {
    let kept = keys::of_sync(new);
    for key in old.map(keys::of_sync).unwrap_or_default() {
        if !kept.contains(&key) {
            view.remove(key);
        }
    }
    for key in kept {
        view.put(key, Vec::new());
    }
    if old.map(SyncRow::state) != Some(new.state()) {
        if let Some(old) = old {
            add(view, keys::count(&old.system, old.state()), -1)?;
        }
        add(view, keys::count(&new.system, new.state()), 1)?;
        let pending = |row: &SyncRow| i64::from(row.state().is_pending());
        add(view, keys::PENDING.to_vec(), pending(new) - old.map_or(0, pending))?;
    }
    view.put_row(keys::sync(&new.id), new)?;
    tell_those_waiting(view, entry, old, new)
}

/// It is at the system, or nobody will send it.
fn has_ended(row: &SyncRow) -> bool {
    !row.remote.is_empty() || matches!(row.standing, State::Resolved { .. })
}

/// Whoever waits for this sync is woken when it has arrived or never will, and shows the item that it waits for.
fn tell_those_waiting(
    view: &mut View<'_>,
    entry: &Entry,
    old: Option<&SyncRow>,
    new: &SyncRow,
) -> Result<(), LedgerError> {
    let wakes = has_ended(new) && !old.is_some_and(has_ended);
    if !wakes && old.and_then(SyncRow::shown_item) == new.shown_item() {
        return Ok(());
    }
    for key in view.keys(&keys::waiting_on(&new.id))? {
        let Some(before) = view.row::<SyncRow>(&keys::sync(&keys::sync_at_end(&key)))? else { continue };
        let mut after = before.clone();
        if wakes {
            // Whoever was asked because it did not come need not answer: it is tried again, and the question closes with it.
            let told = match (&before.standing, &before.worklist_id) {
                (State::Parked { .. }, Some(item)) => Told::Retried { item: item.clone() },
                _ => Told::Woken,
            };
            step(&mut after, entry, &told)?;
            after.waits_for.clear();
            (after.code, after.message) = (None, None);
        } else if matches!(before.standing, State::Waiting { .. }) {
            after.blocked_by = new.shown_item().cloned();
        }
        if after != before {
            touch(&mut after, entry);
            put(view, entry, Some(&before), &after)?;
        }
    }
    Ok(())
}

fn add(view: &mut View<'_>, key: Vec<u8>, by: i64) -> Result<(), LedgerError> {
    if by != 0 {
        let now = view.get(&key)?.map_or(0, |bytes| keys::number(&bytes));
        view.put(key, now.saturating_add_signed(by).to_be_bytes().to_vec());
    }
    Ok(())
}

/// What a fact tells of the entry's sync, if there is one; `how` changes what else the row says.
pub(super) fn tell(
    view: &mut View<'_>,
    entry: &Entry,
    told: &Told,
    how: impl FnOnce(&mut SyncRow),
) -> Result<(), LedgerError> {
    let Some(old) = of_entry(view, entry)? else { return Ok(()) };
    let mut new = old.clone();
    step(&mut new, entry, told)?;
    how(&mut new);
    put(view, entry, Some(&old), &new)
}

/// The one way in which a row's state changes.
pub(super) fn step(row: &mut SyncRow, entry: &Entry, told: &Told) -> Result<(), LedgerError> {
    let waited = row.state().is_pending();
    let after = transition(&row.standing(), told, entry.at)?;
    let moved = after != row.standing();
    row.stand(after);
    if !waited && row.state().is_pending() {
        row.since = entry.seq;
    }
    if !matches!(row.standing, State::Waiting { .. }) {
        row.blocked_by = None;
    }
    if moved && matches!(row.standing, State::Ready { delay: None } | State::Synced) {
        (row.code, row.message) = (None, None);
    }
    touch(row, entry);
    Ok(())
}

pub(super) fn touch(row: &mut SyncRow, entry: &Entry) {
    row.seq = entry.seq;
    row.updated_at = entry.at;
}

/// A wait that begins with the entry.
pub(super) const fn delay(entry: &Entry, ms: u64) -> Delay {
    Delay { from: entry.at, ms }
}

fn version_of(entry: &Entry, row: &SyncRow) -> u64 {
    entry.draft.version.unwrap_or(row.about)
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
        if old.is_some() {
            step(&mut row, entry, &Told::Aimed { version })?;
            row.left_out = false;
        }
        put(view, entry, old.as_ref(), &row)?;
    }
    Ok(())
}

fn fresh(entry: &Entry, target: &Target, object: &crate::domain::ObjectName, id: &crate::domain::ObjectId) -> SyncRow {
    SyncRow {
        id: target.sync_id.clone(),
        object: object.clone(),
        object_id: id.clone(),
        system: target.system.clone(),
        version: entry.draft.version.unwrap_or(1),
        about: entry.draft.version.unwrap_or(1),
        synced_version: None,
        standing: State::NEW,
        remote: Vec::new(),
        remote_version: None,
        attempts: 0,
        code: None,
        message: None,
        worklist_id: None,
        blocked_by: None,
        last_item: None,
        mapping: None,
        output: None,
        gone: false,
        former: None,
        waits_for: Vec::new(),
        left_out: false,
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
        let version = draft.version.unwrap_or(row.version);
        step(&mut row, entry, &Told::Applied { version })?;
        synced(view, entry, &mut row)?;
        put(view, entry, old.as_ref(), &row)?;
    }
    seen(view, entry, remotes)
}

/// The system has the entry's version; what a person was asked about it is settled.
fn synced(view: &mut View<'_>, entry: &Entry, row: &mut SyncRow) -> Result<(), LedgerError> {
    row.synced_version = Some(entry.draft.version.unwrap_or(row.version));
    if row.standing == State::Synced
        && let Some(item) = row.worklist_id.take()
    {
        items::close_by_itself(view, entry, &item)?;
    }
    Ok(())
}

/// It never left and is called off: whoever was asked about it need not answer.
pub(super) fn spared(view: &mut View<'_>, entry: &Entry) -> Result<(), LedgerError> {
    let asked = of_entry(view, entry)?.and_then(|row| row.worklist_id);
    tell(view, entry, &Told::Spared, |row| row.worklist_id = None)?;
    asked.map_or(Ok(()), |item| items::close_by_itself(view, entry, &item))
}

pub(super) fn attempted(
    view: &mut View<'_>,
    entry: &Entry,
    attempt: u32,
    part: &str,
    interaction: &str,
) -> Result<(), LedgerError> {
    let Some(row) = of_entry(view, entry)? else { return Ok(()) };
    let flight = InFlight {
        seq: entry.seq,
        version: version_of(entry, &row),
        part: part.to_owned(),
        interaction: interaction.to_owned(),
    };
    tell(view, entry, &Told::Attempted { attempt, flight }, |_| {})
}

pub(super) fn acknowledged(
    view: &mut View<'_>,
    entry: &Entry,
    done: bool,
    remotes: &[Remote],
    mapping: Option<&String>,
    output: Option<Hash>,
) -> Result<(), LedgerError> {
    let Some(old) = of_entry(view, entry)? else { return seen(view, entry, remotes) };
    let mut row = old.clone();
    step(&mut row, entry, &Told::Acknowledged { version: version_of(entry, &old), done })?;
    if done {
        synced(view, entry, &mut row)?;
        row.mapping = mapping.cloned().or(row.mapping);
        row.output = output.or(row.output);
    }
    put(view, entry, Some(&old), &row)?;
    seen(view, entry, remotes)
}

pub(super) fn deferred(view: &mut View<'_>, entry: &Entry, delay_ms: u64) -> Result<(), LedgerError> {
    let Some(row) = of_entry(view, entry)? else { return Ok(()) };
    let told = Told::Deferred { version: version_of(entry, &row), delay: delay(entry, delay_ms) };
    tell(view, entry, &told, |row| {
        if row.standing.delay().is_some() {
            explain(row, entry);
        }
    })
}

pub(super) fn unsettled(view: &mut View<'_>, entry: &Entry, delay_ms: u64) -> Result<(), LedgerError> {
    tell(view, entry, &Told::Unsettled { delay: delay(entry, delay_ms) }, |row| explain(row, entry))
}

pub(super) fn waited(view: &mut View<'_>, entry: &Entry, on: &[SyncId], patience_ms: u64) -> Result<(), LedgerError> {
    let Some(row) = of_entry(view, entry)? else { return Ok(()) };
    let (mut shown, mut left) = (None, Vec::new());
    for id in on {
        // What has arrived, or ended, while this was written down is not waited for.
        let Some(blocker) = view.row::<SyncRow>(&keys::sync(id))?.filter(|blocker| !has_ended(blocker)) else {
            continue;
        };
        left.push(id.clone());
        shown = shown.or_else(|| blocker.shown_item().cloned());
    }
    if left.is_empty() {
        return Ok(());
    }
    let (version, delay) = (version_of(entry, &row), delay(entry, patience_ms));
    tell(view, entry, &Told::Waited { version, on: left, delay }, |row| {
        row.blocked_by = shown;
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
    let mut former = of_entry(view, entry)?.and_then(|row| row.former);
    for remote in remotes {
        let key = keys::part(sync_id, &remote.part);
        let old: Option<PartRow> = view.row(&key)?;
        if let Some(old) = old.as_ref().filter(|old| old.reference != remote.reference) {
            view.remove(keys::linked(system, &old.reference, sync_id, &remote.part));
        }
        let before = match old {
            Some(old) => (old.body, old.settled),
            None => former.take_if(|_| remote.part == "main").map(|it| (Some(it.body), it.settled)).unwrap_or_default(),
        };
        let row = PartRow {
            sync_id: sync_id.clone(),
            part: remote.part.clone(),
            object: object.clone(),
            object_id: id.clone(),
            system: system.clone(),
            reference: remote.reference.clone(),
            version: remote.version.clone(),
            body: remote.body.or(before.0),
            sent: remote.sent,
            settled: remote.settled.clone().unwrap_or(before.1),
            seq: entry.seq,
        };
        view.put(keys::linked(system, &remote.reference, sync_id, &remote.part), Vec::new());
        view.put_row(key, &row)?;
    }
    if remotes.is_empty() {
        Ok(())
    } else {
        relink(view, entry, sync_id, |row| (row.gone, row.former) = (false, former))
    }
}

/// What the system does not have any more is linked no longer.
pub(super) fn unlinked(view: &mut View<'_>, entry: &Entry, parts: &[String]) -> Result<(), LedgerError> {
    let (Some(sync_id), Some(system)) = (&entry.draft.sync_id, &entry.draft.system) else { return Ok(()) };
    let mut former = None;
    for part in parts {
        let key = keys::part(sync_id, part);
        if let Some(old) = view.row::<PartRow>(&key)? {
            if let Some(body) = old.body.filter(|_| part == "main") {
                former = Some(Former { body, settled: old.settled.clone() });
            }
            view.remove(keys::linked(system, &old.reference, sync_id, part));
            view.remove(key);
        }
    }
    relink(view, entry, sync_id, |row| {
        if row.remote.is_empty() {
            (row.synced_version, row.output, row.gone) = (None, None, true);
            row.former = former.or(row.former.take());
        }
    })
}

/// The row names the parts that are linked now.
fn relink(
    view: &mut View<'_>,
    entry: &Entry,
    sync_id: &SyncId,
    how: impl FnOnce(&mut SyncRow),
) -> Result<(), LedgerError> {
    let Some(old) = of_entry(view, entry)? else { return Ok(()) };
    let mut row = old.clone();
    let mut parts = Vec::new();
    for key in view.keys(&keys::parts(sync_id))? {
        parts.extend(view.row::<PartRow>(&key)?);
    }
    parts.sort_by_key(|part| (part.part != "main", part.part.clone()));
    row.remote_version = parts.first().and_then(|part| part.version.clone());
    row.remote = parts.into_iter().map(|part| part.reference).collect();
    how(&mut row);
    touch(&mut row, entry);
    put(view, entry, Some(&old), &row)
}
