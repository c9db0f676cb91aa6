//! The objects' fold: each at its newest version.

use super::super::{Answer, Entry, Hash, LedgerError, ObjectRow, Operation, SyncRow, Target, keys, store::View};
use crate::domain::{ObjectId, ObjectName};

pub(super) fn put(view: &mut View<'_>, entry: &Entry, operation: Operation, content: Hash) -> Result<(), LedgerError> {
    let draft = &entry.draft;
    let (Some(object), Some(id), Some(version)) = (&draft.object, &draft.object_id, draft.version) else {
        return Ok(());
    };
    let row = ObjectRow {
        object: object.clone(),
        id: id.clone(),
        version,
        cancelled: operation == Operation::Cancelled,
        body: draft.body,
        content,
        seq: entry.seq,
        updated_at: entry.at,
    };
    view.put_row(keys::object(object, id), &row)
}

/// What the caller of a version is told: the object and the syncs it was aimed at.
pub(super) fn answer(
    view: &View<'_>,
    object: &ObjectName,
    id: &ObjectId,
    targets: &[Target],
) -> Result<Option<Answer>, LedgerError> {
    let Some(row) = view.row::<ObjectRow>(&keys::object(object, id))? else { return Ok(None) };
    let mut syncs = Vec::new();
    for target in targets {
        syncs.extend(view.row::<SyncRow>(&keys::sync(&target.sync_id))?);
    }
    sort(&mut syncs);
    Ok(Some(Answer { id: row.id, version: row.version, syncs }))
}

pub(in super::super) fn sort(syncs: &mut [SyncRow]) {
    syncs.sort_by(|a, b| a.system.cmp(&b.system));
}
