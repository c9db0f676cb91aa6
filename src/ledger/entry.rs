//! One entry and its line. A line is one JSON object; its last member is `hash`, the SHA-256 of everything before
//! `,"hash":"…"}`; the member before that, `prev`, is the hash of the line before. So that a line can be checked with
//! `sha256sum` and `sed` alone (`examples/verify-ledger.sh`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Fact, Hash, SyncId};
use crate::domain::{ObjectId, ObjectName, SystemName};

/// What somebody wants to be an entry: all but sequence, time and hashes, which the commit thread gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// What happened.
    pub fact: Fact,
    /// The entry that led to this one.
    pub cause: Option<u64>,
    /// Which object.
    pub object: Option<ObjectName>,
    /// Which object.
    pub object_id: Option<ObjectId>,
    /// Which version of it.
    pub version: Option<u64>,
    /// Which system.
    pub system: Option<SystemName>,
    /// Which sync.
    pub sync_id: Option<SyncId>,
    /// Who did it: a client's or person's name, or `liaison`.
    pub by: String,
    /// A code with a page, where something went wrong.
    pub code: Option<String>,
    /// A plain sentence without patient data.
    pub summary: String,
    /// The body it is about.
    pub body: Option<Hash>,
}

impl Draft {
    /// A fact with a plain sentence that holds no patient data.
    #[must_use]
    pub fn new(fact: Fact, by: &str, summary: impl Into<String>) -> Self {
        Self {
            fact,
            cause: None,
            object: None,
            object_id: None,
            version: None,
            system: None,
            sync_id: None,
            by: by.to_owned(),
            code: None,
            summary: summary.into(),
            body: None,
        }
    }
    /// Which object, and which version of it.
    #[must_use]
    pub fn about(mut self, object: &ObjectName, id: &ObjectId, version: u64) -> Self {
        self.object = Some(object.clone());
        self.object_id = Some(id.clone());
        self.version = Some(version);
        self
    }
    /// Which system.
    #[must_use]
    pub fn system(mut self, system: &SystemName) -> Self {
        self.system = Some(system.clone());
        self
    }
    /// Object, system and id of a sync, and the version that its state speaks of.
    #[must_use]
    pub fn sync(mut self, sync: &super::SyncRow) -> Self {
        self.sync_id = Some(sync.id.clone());
        self.system(&sync.system.clone()).about(&sync.object.clone(), &sync.object_id.clone(), sync.about)
    }
    /// Which sync.
    #[must_use]
    pub fn sync_id(mut self, id: &SyncId) -> Self {
        self.sync_id = Some(id.clone());
        self
    }
    /// What went wrong.
    #[must_use]
    pub fn code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }
    /// The body it is about.
    #[must_use]
    pub const fn body(mut self, body: Hash) -> Self {
        self.body = Some(body);
        self
    }
    /// All bodies that it names.
    #[must_use]
    pub fn bodies(&self) -> Vec<Hash> {
        let mut bodies = self.fact.bodies();
        if !matches!(self.fact, Fact::Erased { .. }) {
            bodies.extend(self.body);
        }
        bodies
    }
    /// The entry that led to it.
    #[must_use]
    pub const fn cause(mut self, seq: u64) -> Self {
        self.cause = Some(seq);
        self
    }
}

/// An idempotency key's trace in an entry, as hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembering {
    /// Hash of client, route and key.
    pub scope: Hash,
    /// Hash of the request.
    pub request: Hash,
}

/// One fact in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts from 1 without gaps. Orders everything; the time does not.
    pub seq: u64,
    /// Wall clock, to the millisecond; may jump.
    pub at: Timestamp,
    /// The first entry of the group that was synced together: an entry of a later group proves that this one was synced.
    pub group: u64,
    /// How many entries of the same proposal follow: all or none of a proposal are kept.
    pub more: u64,
    /// What was proposed.
    pub draft: Draft,
    /// The key under which it was asked.
    pub idempotency: Option<Remembering>,
    /// Hash of the entry before; zero before the first.
    pub prev: Hash,
    /// Hash of this entry's line up to `,"hash"`.
    pub hash: Hash,
}

/// The line's shape, and the shape of history (which leaves out nothing).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    seq: u64,
    at: String,
    kind: String,
    group: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    more: u64,
    #[serde(default)]
    cause: Option<u64>,
    object: Option<ObjectName>,
    object_id: Option<ObjectId>,
    version: Option<u64>,
    system: Option<SystemName>,
    sync_id: Option<SyncId>,
    by: String,
    code: Option<String>,
    summary: String,
    body: Option<Hash>,
    data: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency: Option<Remembering>,
    prev: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The bytes between the hashed text and the digest.
const HASH_MEMBER: &[u8] = b",\"hash\":\"";

impl Entry {
    /// Writes the line (with its newline) and sets the entry's hash from it.
    pub(super) fn seal(&mut self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        let start = out.len();
        serde_json::to_writer(&mut *out, &self.wire(None)?)?;
        out.pop();
        self.hash = Hash::of(&out[start..]);
        out.extend_from_slice(HASH_MEMBER);
        out.extend_from_slice(self.hash.hex().as_bytes());
        out.extend_from_slice(b"\"}\n");
        Ok(())
    }

    /// Reads one line (without its newline) and checks its own hash; the chain is the reader's to check.
    pub(super) fn read(line: &[u8]) -> Result<Self, &'static str> {
        let tail = HASH_MEMBER.len() + 64 + 2;
        let cut = line.len().checked_sub(tail).ok_or("the line is too short")?;
        let (text, member) = line.split_at(cut);
        if !member.starts_with(HASH_MEMBER) || !member.ends_with(b"\"}") {
            return Err("the line does not end with its hash");
        }
        let stated = std::str::from_utf8(&member[HASH_MEMBER.len()..tail - 2]).ok().and_then(Hash::parse);
        if stated != Some(Hash::of(text)) {
            return Err("the line's text does not match its hash");
        }
        let wire: Wire = serde_json::from_slice(line).map_err(|_| "the line is not an entry")?;
        Self::from_wire(wire).ok_or("the line is not an entry of a known kind")
    }

    fn wire(&self, hash: Option<String>) -> Result<Wire, serde_json::Error> {
        let draft = &self.draft;
        let data = match serde_json::to_value(&draft.fact)? {
            Value::Object(mut members) => members.shift_remove(draft.fact.kind()).unwrap_or_default(),
            other => other,
        };
        Ok(Wire {
            seq: self.seq,
            at: self.at.to_string(),
            kind: draft.fact.kind().to_owned(),
            group: self.group,
            more: self.more,
            cause: draft.cause,
            object: draft.object.clone(),
            object_id: draft.object_id.clone(),
            version: draft.version,
            system: draft.system.clone(),
            sync_id: draft.sync_id.clone(),
            by: draft.by.clone(),
            code: draft.code.clone(),
            summary: draft.summary.clone(),
            body: draft.body,
            data,
            idempotency: self.idempotency,
            prev: self.prev.hex(),
            hash,
        })
    }

    fn from_wire(wire: Wire) -> Option<Self> {
        let fact = Value::Object([(wire.kind, wire.data)].into_iter().collect());
        Some(Self {
            seq: wire.seq,
            at: wire.at.parse().ok()?,
            group: wire.group,
            more: wire.more,
            draft: Draft {
                fact: serde_json::from_value(fact).ok()?,
                cause: wire.cause,
                object: wire.object,
                object_id: wire.object_id,
                version: wire.version,
                system: wire.system,
                sync_id: wire.sync_id,
                by: wire.by,
                code: wire.code,
                summary: wire.summary,
                body: wire.body,
            },
            idempotency: wire.idempotency,
            prev: Hash::parse(&wire.prev)?,
            hash: Hash::parse(&wire.hash?)?,
        })
    }

    /// All bodies that it names; they are as durable as itself. Not the one that it says was erased.
    #[must_use]
    pub fn bodies(&self) -> Vec<Hash> {
        self.draft.bodies()
    }

    /// The contract's history JSON: the line itself.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let wire = self.wire(Some(self.hash.hex()));
        wire.and_then(serde_json::to_value).unwrap_or(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let fact = Fact::Deferred { delay_ms: 1500 };
        let draft = Draft::new(fact, "liaison", "The system was busy; \"later\".\n").code("LIA-LDG-001").cause(3);
        let id = ObjectId::new("a1").unwrap();
        let draft = draft.about(&ObjectName::new("appointment").unwrap(), &id, 2);
        let at = "2026-11-22T10:00:00.123Z".parse().unwrap();
        Entry { seq: 4, at, group: 4, more: 1, draft, idempotency: None, prev: Hash::of(b"x"), hash: Hash::ZERO }
    }

    #[test]
    fn a_line_round_trips_and_every_flip_shows() {
        let mut entry = entry();
        let mut line = Vec::new();
        entry.seal(&mut line).unwrap();
        assert_eq!(line.pop(), Some(b'\n'));
        assert_eq!(Entry::read(&line), Ok(entry.clone()));
        assert_eq!(serde_json::to_vec(&entry.to_json()).unwrap(), line, "history is the line itself");
        for at in 0..line.len() {
            for flip in [1, 0x20, 0xff] {
                let mut bad = line.clone();
                bad[at] ^= flip;
                assert!(Entry::read(&bad).is_err(), "byte {at} ^ {flip}");
            }
        }
    }
}
