//! The folds' keys: a letter for the fold, then names with NUL between them (names hold none), numbers big-endian so
//! that they sort.

use super::{Hash, State, SyncId, SyncRow, SyncState};
use crate::domain::{ObjectId, ObjectName, SystemName};

fn key(fold: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![fold];
    for part in parts {
        key.push(0);
        key.extend_from_slice(part);
    }
    key
}

/// The same, ended by NUL: what begins with all these parts.
fn below(fold: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = key(fold, parts);
    key.push(0);
    key
}

pub(super) fn object(object: &ObjectName, id: &ObjectId) -> Vec<u8> {
    key(b'o', &[object.as_str().as_bytes(), id.as_str().as_bytes()])
}
pub(super) fn objects(object: &ObjectName) -> Vec<u8> {
    below(b'o', &[object.as_str().as_bytes()])
}
pub(super) fn sync(id: &SyncId) -> Vec<u8> {
    key(b's', &[id.as_str().as_bytes()])
}
pub(super) fn syncs() -> Vec<u8> {
    below(b's', &[])
}
pub(super) fn sync_of(object: &ObjectName, id: &ObjectId, sync: &SyncId) -> Vec<u8> {
    key(b'x', &[object.as_str().as_bytes(), id.as_str().as_bytes(), sync.as_str().as_bytes()])
}
pub(super) fn syncs_of(object: &ObjectName, id: &ObjectId) -> Vec<u8> {
    below(b'x', &[object.as_str().as_bytes(), id.as_str().as_bytes()])
}
/// Syncs in a state at a system, by id.
pub(super) fn in_state(state: SyncState, system: &SystemName) -> Vec<u8> {
    below(b't', &[state.as_str().as_bytes(), system.as_str().as_bytes()])
}
pub(super) fn ready(system: &SystemName) -> Vec<u8> {
    below(b'q', &[system.as_str().as_bytes()])
}
pub(super) fn waiting(system: &SystemName) -> Vec<u8> {
    below(b'z', &[system.as_str().as_bytes()])
}
/// Who waits for this one.
pub(super) fn waiting_on(blocker: &SyncId) -> Vec<u8> {
    below(b'v', &[blocker.as_str().as_bytes()])
}
pub(super) fn part(sync: &SyncId, part: &str) -> Vec<u8> {
    key(b'p', &[sync.as_str().as_bytes(), part.as_bytes()])
}
pub(super) fn parts(sync: &SyncId) -> Vec<u8> {
    below(b'p', &[sync.as_str().as_bytes()])
}
pub(super) fn linked(system: &SystemName, reference: &str, sync: &SyncId, part: &str) -> Vec<u8> {
    let parts = [system.as_str(), reference, sync.as_str(), part];
    key(b'r', &parts.map(str::as_bytes))
}
pub(super) fn linked_at(system: &SystemName, reference: &str) -> Vec<u8> {
    below(b'r', &[system.as_str().as_bytes(), reference.as_bytes()])
}
/// Links to resources of a type.
pub(super) fn linked_to(system: &SystemName, resource_type: &str) -> Vec<u8> {
    let mut prefix = below(b'r', &[system.as_str().as_bytes()]);
    prefix.extend_from_slice(resource_type.as_bytes());
    prefix.push(b'/');
    prefix
}
/// What a system showed and is to be read again.
pub(super) fn aside(system: &SystemName, reference: &str) -> Vec<u8> {
    key(b'd', &[system.as_str().as_bytes(), reference.as_bytes()])
}
pub(super) fn asides(system: &SystemName) -> Vec<u8> {
    below(b'd', &[system.as_str().as_bytes()])
}
/// All of a system rests, or a kind of object there.
pub(super) fn pause(system: &SystemName, object: Option<&ObjectName>) -> Vec<u8> {
    key(b'k', &[system.as_str().as_bytes(), object.map_or("", ObjectName::as_str).as_bytes()])
}
pub(super) fn pauses(system: &SystemName) -> Vec<u8> {
    below(b'k', &[system.as_str().as_bytes()])
}
pub(super) fn cursor(system: &SystemName, resource_type: &str) -> Vec<u8> {
    key(b'c', &[system.as_str().as_bytes(), resource_type.as_bytes()])
}
pub(super) fn remembered(scope: &Hash) -> Vec<u8> {
    key(b'i', &[scope.as_bytes()])
}
pub(super) fn attachment(id: &Hash) -> Vec<u8> {
    key(b'a', &[id.as_bytes()])
}
pub(super) fn body(hash: &Hash) -> Vec<u8> {
    key(b'b', &[hash.as_bytes()])
}
/// What was erased and has not come again.
pub(super) fn erasure(hash: &Hash) -> Vec<u8> {
    key(b'e', &[hash.as_bytes()])
}
pub(super) fn erasures() -> Vec<u8> {
    below(b'e', &[])
}
pub(super) fn item(seq: u64) -> Vec<u8> {
    key(b'w', &[&seq.to_be_bytes()])
}
/// All items by deadline, or those that are open.
pub(super) fn by_deadline(open: bool) -> Vec<u8> {
    below(if open { b'y' } else { b'Y' }, &[])
}
/// An item among those: its deadline in milliseconds, then its sequence.
pub(super) fn due(open: bool, due_ms: u64, seq: u64) -> Vec<u8> {
    [&by_deadline(open)[..], &due_ms.to_be_bytes(), &seq.to_be_bytes()].concat()
}
pub(super) fn open_about(subject: &str) -> Vec<u8> {
    key(b'u', &[subject.as_bytes()])
}
/// The newest item about a subject, whether or not it is open.
pub(super) fn last_about(subject: &str) -> Vec<u8> {
    key(b'l', &[subject.as_bytes()])
}
pub(super) fn grouped(group: &str, seq: u64) -> Vec<u8> {
    key(b'g', &[group.as_bytes(), &seq.to_be_bytes()])
}
pub(super) fn group(group: &str) -> Vec<u8> {
    below(b'g', &[group.as_bytes()])
}
pub(super) fn groups() -> Vec<u8> {
    below(b'g', &[])
}
pub(super) fn history(object: &ObjectName, id: &ObjectId, seq: u64) -> Vec<u8> {
    key(b'h', &[object.as_str().as_bytes(), id.as_str().as_bytes(), &seq.to_be_bytes()])
}
pub(super) fn history_of(object: &ObjectName, id: &ObjectId) -> Vec<u8> {
    below(b'h', &[object.as_str().as_bytes(), id.as_str().as_bytes()])
}
pub(super) fn count(system: &SystemName, state: SyncState) -> Vec<u8> {
    key(b'n', &[system.as_str().as_bytes(), state.as_str().as_bytes()])
}
pub(super) fn counts() -> Vec<u8> {
    below(b'n', &[])
}
/// How many syncs are pending in all.
pub(super) const PENDING: &[u8] = b"N";

/// The last eight bytes of a key, as the number they are.
pub(super) fn number(key: &[u8]) -> u64 {
    key.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// The hash at the end of a key.
pub(super) fn hash_at_end(key: &[u8]) -> Option<Hash> {
    key.last_chunk::<32>().map(|bytes| Hash::from_bytes(*bytes))
}

/// The sync id at the end of an index key.
pub(super) fn sync_at_end(key: &[u8]) -> SyncId {
    SyncId::given(std::str::from_utf8(&key[key.len().saturating_sub(36)..]).unwrap_or_default())
}

/// The index keys of a sync, by where it stands: by state (but not for `synced`, which most are), ready in order
/// of waiting, waiting in order of due time.
pub(super) fn of_sync(row: &SyncRow) -> Vec<Vec<u8>> {
    let id = row.id.as_str().as_bytes();
    let mut keys = vec![sync_of(&row.object, &row.object_id, &row.id)];
    if row.state() != SyncState::Synced {
        keys.push([&in_state(row.state(), &row.system)[..], id].concat());
    }
    if let State::Waiting { on, .. } = &row.standing {
        keys.extend(on.iter().map(|blocker| [&waiting_on(blocker)[..], id].concat()));
    }
    if let State::Parked { .. } = &row.standing {
        keys.extend(row.waits_for.iter().map(|blocker| [&waiting_on(blocker)[..], id].concat()));
    }
    match (&row.standing, row.standing.delay()) {
        (State::Ready { delay: None }, _) => {
            keys.push([&ready(&row.system)[..], &row.since.to_be_bytes(), b"\0", id].concat());
        }
        (_, Some(delay)) => {
            let due = delay.until().map_or(0, |at| u64::try_from(at.as_millisecond()).unwrap_or(0));
            keys.push([&waiting(&row.system)[..], &due.to_be_bytes(), b"\0", id].concat());
        }
        _ => {}
    }
    keys
}
