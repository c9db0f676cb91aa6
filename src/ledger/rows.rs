//! The folds' rows: what the entries add up to, and the contract's JSON of them.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Hash;
use crate::domain::{ObjectId, ObjectName, SystemName};

/// A sync's id: one object at one system, the same for all versions; a UUIDv5 of the three names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SyncId(String);

impl SyncId {
    /// The id of this object at this system.
    #[must_use]
    pub fn of(object: &ObjectName, id: &ObjectId, system: &SystemName) -> Self {
        let name = format!("urn:liaison:sync:{object}:{id}:{system}");
        Self(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes()).to_string())
    }
    /// As a caller wrote it; whether there is such a sync only the ledger knows.
    #[must_use]
    pub fn given(text: &str) -> Self {
        Self(text.to_owned())
    }
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for SyncId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Timestamps as RFC 3339 text (jiff is built without serde).
pub(super) mod stamp {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(at)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// An internal object as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRow {
    /// Which kind.
    pub object: ObjectName,
    /// Its id.
    pub id: ObjectId,
    /// Its version, from 1.
    pub version: u64,
    /// It was called off.
    pub cancelled: bool,
    /// Its body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Hash>,
    /// Hash of its canonical bytes.
    pub content: Hash,
    /// The entry that made this version.
    pub seq: u64,
    /// When this version was made.
    #[serde(with = "stamp")]
    pub updated_at: Timestamp,
}

/// Where a sync stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncState {
    /// To be sent.
    Accepted,
    /// Being sent (or was, when the process stopped).
    Sending,
    /// Known not done; sent again after a delay.
    Retrying,
    /// Perhaps done; read back after a delay.
    Unknown,
    /// The system has the version.
    Synced,
    /// Both sides changed a field: a person decides.
    Conflict,
    /// Refused or undecidable: a person decides.
    Parked,
    /// A person decided that nothing needs sending.
    Resolved,
}

impl SyncState {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Accepted,
        Self::Sending,
        Self::Retrying,
        Self::Unknown,
        Self::Synced,
        Self::Conflict,
        Self::Parked,
        Self::Resolved,
    ];
    /// The contract's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Sending => "sending",
            Self::Retrying => "retrying",
            Self::Unknown => "unknown",
            Self::Synced => "synced",
            Self::Conflict => "conflict",
            Self::Parked => "parked",
            Self::Resolved => "resolved",
        }
    }
    /// From the contract's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
    /// Something is still to be sent or read back without a person.
    #[must_use]
    pub const fn is_pending(self) -> bool {
        matches!(self, Self::Accepted | Self::Sending | Self::Retrying | Self::Unknown)
    }
}

/// An attempt without an outcome yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// Its `Attempted` entry.
    pub seq: u64,
    /// The version being sent.
    pub version: u64,
    /// The part being sent.
    pub part: String,
    /// `create`, `update` …
    pub interaction: String,
}

/// One object at one system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRow {
    /// Stable across versions.
    pub id: SyncId,
    /// Which kind of object.
    pub object: ObjectName,
    /// Which object.
    pub object_id: ObjectId,
    /// Where.
    pub system: SystemName,
    /// The version that should be there.
    pub version: u64,
    /// The version that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synced_version: Option<u64>,
    /// Where it stands.
    pub state: SyncState,
    /// `Type/id` of its parts there, the main one first.
    pub remote: Vec<String>,
    /// The main part's version there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_version: Option<String>,
    /// Attempts since the version was accepted or retried.
    pub attempts: u32,
    /// Delay until the next attempt, from `updated_at`, in milliseconds; only while retrying or unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// The last attempt, while its outcome is open (sending or unknown).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<InFlight>,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Its plain sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The open item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worklist_id: Option<String>,
    /// The last item there was, open or closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_item: Option<String>,
    /// Version of the mapping that made what is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<String>,
    /// Canonical hash of what we last sent and it acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Hash>,
    /// Since which entry it waits to be sent: the outbox's order.
    pub since: u64,
    /// The entry that last changed this row.
    pub seq: u64,
    /// That entry's time.
    #[serde(with = "stamp")]
    pub updated_at: Timestamp,
}

impl SyncRow {
    /// How long to wait from `now`: never longer than the delay that was stored, even if the clock was set back.
    #[must_use]
    pub fn wait_ms(&self, now: Timestamp) -> u64 {
        let delay = self.delay_ms.unwrap_or(0);
        let passed = u64::try_from(now.duration_since(self.updated_at).as_millis()).unwrap_or(0);
        delay.saturating_sub(passed)
    }

    /// When the next attempt is due.
    #[must_use]
    pub fn next_attempt_at(&self) -> Option<Timestamp> {
        plus(self.updated_at, self.delay_ms?)
    }

    /// The contract's JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id.as_str(), "object": self.object.as_str(), "object_id": self.object_id.as_str(),
            "system": self.system.as_str(), "version": self.version, "synced_version": self.synced_version,
            "state": self.state.as_str(), "remote": self.remote, "remote_version": self.remote_version,
            "attempts": self.attempts, "next_attempt_at": self.next_attempt_at().map(|at| at.to_string()),
            "code": self.code, "message": self.message, "worklist_id": self.worklist_id,
            "updated_at": self.updated_at.to_string(),
        })
    }
}

/// A time so many milliseconds later.
pub(super) fn plus(at: Timestamp, ms: u64) -> Option<Timestamp> {
    at.checked_add(SignedDuration::from_millis(i64::try_from(ms).ok()?)).ok()
}

/// One part of an object at a system: the link, and the base of the next merge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRow {
    /// Which sync.
    pub sync_id: SyncId,
    /// The mapping's role; the main one's is `main`.
    pub part: String,
    /// Which kind of object.
    pub object: ObjectName,
    /// Which object.
    pub object_id: ObjectId,
    /// Where.
    pub system: SystemName,
    /// `Type/id` there.
    pub reference: String,
    /// Its version there, as last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its body there, as last agreed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Hash>,
    /// The entry that last moved it.
    pub seq: u64,
}

/// Where a pull stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Opaque to the ledger.
    pub cursor: String,
    /// The entry that moved it.
    pub seq: u64,
    /// When.
    #[serde(with = "stamp")]
    pub at: Timestamp,
}

/// Bytes that a caller left with us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Hash of the bytes.
    pub id: Hash,
    /// In bytes.
    pub size: u64,
    /// As sent.
    pub content_type: String,
    /// SHA-1 of the bytes in base64; older ones have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha1: Option<String>,
    /// The entry.
    pub seq: u64,
}

/// Which syncs.
#[derive(Clone, Debug, Default)]
pub struct SyncFilter {
    /// Each member of the contract's JSON by its text, as in the query string: `("state", "parked")`.
    pub equal: Vec<(String, String)>,
    /// After this one.
    pub after: Option<SyncId>,
    /// At most so many.
    pub limit: usize,
}
