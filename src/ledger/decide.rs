//! Whether a proposal holds: idempotency key, the object's version or content, the sync's row, the item, the backlog.
//! Pure: reads a view, writes nothing.

use super::{
    Check, Expect, ItemRow, LedgerError, Outcome, Proposal, Receipt, SyncRow, fold, fold::Memory, keys, store::View,
};

/// `None`: write it. An outcome: it is settled without writing.
///
/// # Errors
/// What does not hold.
pub(super) fn decide(view: &View<'_>, proposal: &Proposal, max_backlog: u64) -> Result<Option<Outcome>, LedgerError> {
    if let Some(key) = &proposal.idempotency
        && let Some(memory) = view.row::<Memory>(&keys::remembered(&key.scope))?
    {
        return remembered(memory, key).map(|receipt| Some(Outcome::Replayed(receipt)));
    }
    for check in &proposal.checks {
        match check {
            Check::Object(object, id, expect) => {
                let row = fold::object(view, object, id)?;
                match (expect, row) {
                    (Expect::NewOrEqual(_), None) => {}
                    (Expect::NewOrEqual(content), Some(row)) if row.content == *content => {
                        let answer = Some(fold::standing(view, &row)?);
                        return Ok(Some(Outcome::Unchanged(Receipt { first: row.seq, last: row.seq, answer })));
                    }
                    (Expect::NewOrEqual(_), Some(_)) => return Err(LedgerError::Exists),
                    (Expect::Version(_), None) => return Err(LedgerError::NoObject),
                    (Expect::Version(version), Some(row)) if row.version == *version => {}
                    (Expect::Version(_), Some(row)) => return Err(LedgerError::Stale { current: row.version }),
                }
            }
            Check::SyncAt(id, seq) => {
                let now = view.row::<SyncRow>(&keys::sync(id))?.map_or(0, |row| row.seq);
                if now != *seq {
                    return Err(LedgerError::SyncMoved);
                }
            }
            Check::ItemOpen(id) => {
                let row = fold::item_seq(id).map_or(Ok(None), |seq| view.row::<ItemRow>(&keys::item(seq)))?;
                if !row.is_some_and(|row| row.status.is_open()) {
                    return Err(LedgerError::ItemClosed);
                }
            }
            Check::Backlog => {
                let pending = view.get(keys::PENDING)?.map_or(0, |bytes| keys::number(&bytes));
                if pending >= max_backlog {
                    return Err(LedgerError::Backlog { pending });
                }
            }
        }
    }
    Ok(None)
}

/// What is remembered under the key, if the request is the same; the answer is told by the entry ([`super::Ledger`] adds it).
pub(super) fn remembered(memory: Memory, key: &super::Idempotency) -> Result<Receipt, LedgerError> {
    if memory.request != key.request {
        return Err(LedgerError::KeyReused);
    }
    Ok(Receipt { first: memory.first, last: memory.last, answer: None })
}
