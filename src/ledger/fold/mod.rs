//! What entries add up to: a pure function of the folds so far and the next entry, so that a replay gives the same
//! folds. Does no I/O of its own and reads no clock.

mod items;
mod objects;
mod syncs;

pub(super) use items::seq_of as item_seq;
pub(super) use objects::sort;

use serde::{Deserialize, Serialize};

use super::{
    Answer, Attachment, Cursor, Entry, Fact, Hash, LedgerError, ObjectRow, Pause, Receipt, Remembering, keys,
    store::View,
};
use crate::domain::{ObjectId, ObjectName};

/// What is remembered under an idempotency key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Memory {
    pub request: Hash,
    pub first: u64,
    pub last: u64,
}

/// Takes in entries one by one; between the entries of one proposal it remembers the first.
#[derive(Default)]
pub(super) struct Folding {
    open: Option<Open>,
}

/// A proposal of which entries are still to come.
struct Open {
    first: u64,
    remembering: Option<Remembering>,
    about: Option<(ObjectName, ObjectId, Vec<super::Target>)>,
}

impl Folding {
    /// Takes in the next entry; after the last one of a proposal gives its receipt.
    pub(super) fn take(&mut self, view: &mut View<'_>, entry: &Entry) -> Result<Option<Receipt>, LedgerError> {
        let draft = &entry.draft;
        if let (Some(object), Some(id)) = (&draft.object, &draft.object_id) {
            view.put(keys::history(object, id, entry.seq), Vec::new());
        }
        let open = self.open.get_or_insert_with(|| Open {
            first: entry.seq,
            remembering: entry.idempotency,
            about: match (&draft.fact, &draft.object, &draft.object_id) {
                (Fact::Accepted { targets, .. } | Fact::Applied { targets, .. }, Some(object), Some(id)) => {
                    Some((object.clone(), id.clone(), targets.clone()))
                }
                _ => None,
            },
        });
        let first = open.first;
        // What comes again after it was erased is kept again.
        for hash in entry.bodies() {
            if view.get(&keys::erasure(&hash))?.is_some() {
                view.remove(keys::erasure(&hash));
            }
        }
        apply(view, entry)?;
        if entry.more > 0 {
            return Ok(None);
        }
        let Some(open) = self.open.take() else { return Ok(None) };
        let answer = match open.about {
            Some((object, id, targets)) => objects::answer(view, &object, &id, &targets)?,
            None => None,
        };
        if let Some(remembering) = open.remembering {
            let memory = Memory { request: remembering.request, first, last: entry.seq };
            view.put_row(keys::remembered(&remembering.scope), &memory)?;
        }
        Ok(Some(Receipt { first, last: entry.seq, answer }))
    }
}

fn apply(view: &mut View<'_>, entry: &Entry) -> Result<(), LedgerError> {
    match &entry.draft.fact {
        Fact::Accepted { operation, content, targets, .. } => {
            objects::put(view, entry, *operation, *content)?;
            syncs::aim(view, entry, targets)
        }
        Fact::Applied { operation, content, remotes, targets } => {
            objects::put(view, entry, *operation, *content)?;
            syncs::settle_applied(view, entry, remotes, targets)?;
            syncs::aim(view, entry, targets)
        }
        Fact::Attempted { attempt, part, interaction, .. } => {
            syncs::attempted(view, entry, *attempt, part, interaction)
        }
        Fact::Acknowledged { done, remotes, mapping, output } => {
            syncs::acknowledged(view, entry, *done, remotes, mapping.as_ref(), *output)
        }
        Fact::Deferred { delay_ms } => syncs::deferred(view, entry, *delay_ms),
        Fact::Unsettled { delay_ms } => syncs::unsettled(view, entry, *delay_ms),
        Fact::Spared {} => syncs::spared(view, entry),
        Fact::SetAside { references } => {
            for reference in references {
                if let Some(system) = &entry.draft.system {
                    view.put(keys::aside(system, reference), entry.seq.to_be_bytes().to_vec());
                }
            }
            Ok(())
        }
        Fact::TakenUp { references } => {
            for reference in references {
                if let Some(system) = &entry.draft.system {
                    view.remove(keys::aside(system, reference));
                }
            }
            Ok(())
        }
        Fact::Waited { on, patience_ms } => syncs::waited(view, entry, on, *patience_ms),
        Fact::Conflicted { item, theirs } => items::open(view, entry, item, theirs),
        Fact::Parked { item } => items::open(view, entry, item, &[]),
        Fact::Observed { remotes } | Fact::Linked { remotes } => syncs::seen(view, entry, remotes),
        Fact::CursorMoved { resource_type, cursor } => {
            let Some(system) = &entry.draft.system else { return Ok(()) };
            let row = Cursor { cursor: cursor.clone(), seq: entry.seq, at: entry.at };
            view.put_row(keys::cursor(system, resource_type), &row)
        }
        Fact::AttachmentStored { size, content_type, sha1 } => {
            let Some(id) = entry.draft.body else { return Ok(()) };
            let row =
                Attachment { id, size: *size, content_type: content_type.clone(), sha1: sha1.clone(), seq: entry.seq };
            view.put_row(keys::attachment(&id), &row)
        }
        Fact::Assigned { item, to } => items::assigned(view, entry, item, to),
        Fact::Commented { item } => items::commented(view, entry, item),
        Fact::Retried { item } => items::retried(view, entry, item),
        Fact::Resolved { item, send, remotes } => {
            syncs::seen(view, entry, remotes)?;
            items::resolved(view, entry, item, *send)
        }
        Fact::Dismissed { item, send_without } => items::dismissed(view, entry, item, *send_without),
        Fact::Unlinked { parts } => syncs::unlinked(view, entry, parts),
        Fact::Paused {} => {
            let draft = &entry.draft;
            let Some(system) = &draft.system else { return Ok(()) };
            let (by, why, object) = (draft.by.clone(), draft.summary.clone(), draft.object.clone());
            let row = Pause { object, by, why, at: entry.at, seq: entry.seq };
            view.put_row(keys::pause(system, draft.object.as_ref()), &row)
        }
        Fact::Resumed {} => {
            if let Some(system) = &entry.draft.system {
                view.remove(keys::pause(system, entry.draft.object.as_ref()));
            }
            Ok(())
        }
        // History alone shows them.
        Fact::Repeated {} | Fact::Overruled { .. } => Ok(()),
        // The bodies' own store forgets the bytes; the chain and the folds keep the name.
        Fact::Erased { .. } => {
            if let Some(hash) = &entry.draft.body {
                view.put(keys::erasure(hash), Vec::new());
            }
            Ok(())
        }
    }
}

/// The object as it stands in this view.
pub(super) fn object(view: &View<'_>, object: &ObjectName, id: &ObjectId) -> Result<Option<ObjectRow>, LedgerError> {
    view.row(&keys::object(object, id))
}

/// The answer of an object that is not changed: as it and all its syncs stand.
pub(super) fn standing(view: &View<'_>, row: &ObjectRow) -> Result<Answer, LedgerError> {
    let mut syncs = Vec::new();
    for key in view.keys(&keys::syncs_of(&row.object, &row.id))? {
        syncs.extend(view.row(&keys::sync(&keys::sync_at_end(&key)))?);
    }
    objects::sort(&mut syncs);
    Ok(Answer { id: row.id.clone(), version: row.version, syncs })
}
