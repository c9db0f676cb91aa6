//! What is asked of the commit thread: drafts that become entries together or not at all, the bodies they name,
//! and what must hold when it decides.

use super::{Draft, Fact, Hash, Received, SyncId, SyncRow};
use crate::domain::{ObjectId, ObjectName};

/// A caller's `Idempotency-Key` in its scope. Kept only as hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// Hash of client, route and key.
    pub scope: Hash,
    /// Hash of the request's body (canonical where it is JSON).
    pub request: Hash,
}

impl Idempotency {
    /// The key in its scope.
    #[must_use]
    pub fn new(client: &str, route: &str, key: &str, request: Hash) -> Self {
        Self { scope: Hash::of_parts(&[client, route, key]), request }
    }
}

/// What must be true of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It does not exist; or, with the same content, nothing is written ([`Outcome::Unchanged`]).
    NewOrEqual(Hash),
    /// It exists at this version (so the draft's version is one more).
    Version(u64),
}

/// What must hold when the proposal's turn comes; else nothing of it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// An object's state; the first draft is about it.
    Object(ObjectName, ObjectId, Expect),
    /// The sync's row has not changed since it was read (its `seq`; 0: there is none yet).
    SyncAt(SyncId, u64),
    /// The item is open or assigned.
    ItemOpen(String),
    /// The sync may be added to the backlog (see `Options::max_backlog`).
    Backlog,
}

/// Drafts with their bodies and conditions; all or nothing.
#[derive(Clone, Debug, Default)]
pub struct Proposal {
    /// Become entries in this order.
    pub drafts: Vec<Draft>,
    /// Bytes the drafts name by [`Hash::of`]; what the ledger already has is not stored twice.
    pub bodies: Vec<bytes::Bytes>,
    /// What must hold.
    pub checks: Vec<Check>,
    /// Remembered for ever once committed.
    pub idempotency: Option<Idempotency>,
}

impl Proposal {
    /// It begins something (takes on, sends, receives), other than telling how something ended or what a person
    /// decided: on a disk that is nearly full only the latter is still written.
    pub(super) fn begins(&self) -> bool {
        self.drafts.iter().any(|draft| draft.fact.begins())
    }

    /// One draft, no conditions.
    #[must_use]
    pub fn of(draft: Draft) -> Self {
        Self { drafts: vec![draft], ..Self::default() }
    }
    /// Bytes that were received.
    #[must_use]
    pub fn attachment(received: Received, content_type: &str, by: &str, sentence: &str) -> Self {
        let Received { hash, size, sha1, inline } = received;
        let fact = Fact::AttachmentStored { size, content_type: content_type.to_owned(), sha1: Some(sha1) };
        let mut proposal = Self::of(Draft::new(fact, by, sentence).body(hash));
        proposal.bodies.extend(inline);
        proposal
    }
    /// One more draft.
    #[must_use]
    pub fn and(mut self, draft: Draft) -> Self {
        self.drafts.push(draft);
        self
    }
    /// Bytes that drafts name; gives their hash by `Hash::of`.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<bytes::Bytes>) -> Self {
        self.bodies.push(bytes.into());
        self
    }
    /// One more condition.
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }
}

/// An accepted object's answer: `{"id","version","syncs":[Sync]}`, as it was at that moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The object's id.
    pub id: ObjectId,
    /// Its version.
    pub version: u64,
    /// Its syncs, by system's name.
    pub syncs: Vec<SyncRow>,
}

impl Answer {
    /// The contract's JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let syncs: Vec<_> = self.syncs.iter().map(SyncRow::to_json).collect();
        serde_json::json!({"id": self.id.as_str(), "version": self.version, "syncs": syncs})
    }
}

/// What stands in the ledger now.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// First entry's sequence (of the entry that was replayed, or last changed the object).
    pub first: u64,
    /// Last entry's sequence.
    pub last: u64,
    /// Where the first draft was `Accepted` or `Applied`.
    pub answer: Option<Answer>,
}

/// How a proposal ended, if not with an error.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// On disk.
    Committed(Receipt),
    /// The same key and request were committed earlier; its receipt.
    Replayed(Receipt),
    /// The object exists with equal content; nothing was written.
    Unchanged(Receipt),
}

impl Outcome {
    /// Whichever way it ended.
    #[must_use]
    pub const fn receipt(&self) -> &Receipt {
        match self {
            Self::Committed(receipt) | Self::Replayed(receipt) | Self::Unchanged(receipt) => receipt,
        }
    }
}
