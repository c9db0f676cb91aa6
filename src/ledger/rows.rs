//! The folds' rows: what the entries add up to, and the contract's JSON of them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Hash, InFlight, Settled, Standing, State};
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

/// Timestamps: RFC 3339 text where people read, seconds and nanoseconds in rows (jiff is built without serde).
pub(super) mod stamp {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.collect_str(at) } else { (at.as_second(), at.subsec_nanosecond()).serialize(to) }
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        if from.is_human_readable() {
            return String::deserialize(from)?.parse().map_err(D::Error::custom);
        }
        let (second, nanosecond) = <(i64, i32)>::deserialize(from)?;
        Timestamp::new(second, nanosecond).map_err(D::Error::custom)
    }
}

/// The same where there may be none; in rows only.
pub(super) mod maybe_stamp {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        at.map(|at| (at.as_second(), at.subsec_nanosecond())).serialize(to)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        let at = <Option<(i64, i32)>>::deserialize(from)?;
        at.map(|(second, nanosecond)| Timestamp::new(second, nanosecond).map_err(D::Error::custom)).transpose()
    }
}

/// What entries say, too, in rows: as there, because its form leaves out what says nothing. Seldom, and mostly empty.
pub(super) mod as_in_entries {
    use serde::{
        Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error as _, ser::Error as _,
    };

    pub fn serialize<T: Serialize + Default + PartialEq, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        let text = if *value == T::default() { Ok(String::new()) } else { serde_json::to_string(value) };
        text.map_err(S::Error::custom)?.serialize(to)
    }
    pub fn deserialize<'de, T: DeserializeOwned + Default, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        let text = <&str>::deserialize(from)?;
        if text.is_empty() { Ok(T::default()) } else { serde_json::from_str(text).map_err(D::Error::custom) }
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
    /// The version that should be there (`wanted`).
    pub version: u64,
    /// The version that the state speaks of.
    pub about: u64,
    /// The version that is there.
    pub synced_version: Option<u64>,
    /// Where it stands.
    pub standing: State,
    /// `Type/id` of its parts there, the main one first.
    pub remote: Vec<String>,
    /// The main part's version there.
    pub remote_version: Option<String>,
    /// Attempts since the version was accepted or retried.
    pub attempts: u32,
    /// What went wrong last.
    pub code: Option<String>,
    /// Its plain sentence.
    pub message: Option<String>,
    /// The open item about it.
    pub worklist_id: Option<String>,
    /// The open item about what it waits for.
    pub blocked_by: Option<String>,
    /// Parked because these did not come for too long: woken when they do.
    pub waits_for: Vec<SyncId>,
    /// The last item there was, open or closed.
    pub last_item: Option<String>,
    /// Version of the mapping that made what is there.
    pub mapping: Option<String>,
    /// Canonical hash of what we last sent and it acknowledged.
    pub output: Option<Hash>,
    /// It was there and is not any more: it is not made again unless a person says so.
    pub gone: bool,
    /// What both sides agreed on last, while it is gone: the base of the merge should it be found again.
    pub former: Option<Former>,
    /// A person gave it up for good: what refers to it goes without it.
    pub left_out: bool,
    /// Since which entry it waits to be sent: the outbox's order.
    pub since: u64,
    /// The entry that last changed this row.
    pub seq: u64,
    /// That entry's time.
    #[serde(with = "stamp")]
    pub updated_at: Timestamp,
}

impl SyncRow {
    /// The contract's word for where it stands.
    #[must_use]
    pub const fn state(&self) -> SyncState {
        match &self.standing {
            State::Ready { delay: Some(_) } => SyncState::Retrying,
            State::Ready { delay: None } | State::Waiting { .. } => SyncState::Accepted,
            State::Sending { .. } => SyncState::Sending,
            State::Unknown { .. } => SyncState::Unknown,
            State::Synced => SyncState::Synced,
            State::Conflict { .. } => SyncState::Conflict,
            State::Parked { .. } => SyncState::Parked,
            State::Resolved { .. } => SyncState::Resolved,
        }
    }

    /// What [`transition`](super::transition) changes.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing { wanted: self.version, about: self.about, attempts: self.attempts, state: self.standing.clone() }
    }

    /// Takes over what `transition` gave.
    pub(super) fn stand(&mut self, after: Standing) {
        let Standing { wanted, about, attempts, state } = after;
        (self.version, self.about, self.attempts, self.standing) = (wanted, about, attempts, state);
    }

    /// The attempt whose outcome is open.
    #[must_use]
    pub const fn in_flight(&self) -> Option<&InFlight> {
        self.standing.flight()
    }

    /// How long to wait from `now`, in milliseconds.
    #[must_use]
    pub fn wait_ms(&self, now: Timestamp) -> u64 {
        self.standing.delay().map_or(0, |delay| delay.left_ms(now))
    }

    /// When the next attempt is due.
    #[must_use]
    pub fn next_attempt_at(&self) -> Option<Timestamp> {
        if matches!(self.standing, State::Waiting { .. }) { None } else { self.standing.delay()?.until() }
    }

    /// The item that a person finds about it: its own, or that of what it waits for.
    #[must_use]
    pub fn shown_item(&self) -> Option<&String> {
        self.worklist_id.as_ref().or(self.blocked_by.as_ref())
    }

    /// The contract's JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id.as_str(), "object": self.object.as_str(), "object_id": self.object_id.as_str(),
            "system": self.system.as_str(), "version": self.version, "synced_version": self.synced_version,
            "state": self.state().as_str(), "remote": self.remote, "remote_version": self.remote_version,
            "attempts": self.attempts, "next_attempt_at": self.next_attempt_at().map(|at| at.to_string()),
            "code": self.code, "message": self.message, "worklist_id": self.shown_item(),
            "updated_at": self.updated_at.to_string(),
        })
    }
}

/// A time so many milliseconds later.
pub(super) fn plus(at: Timestamp, ms: u64) -> Option<Timestamp> {
    at.checked_add(SignedDuration::from_millis(i64::try_from(ms).ok()?)).ok()
}

/// What is kept of a main part that is not there any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// Its body there, as last agreed on.
    pub body: Hash,
    /// As in [`PartRow`].
    #[serde(with = "as_in_entries")]
    pub settled: BTreeMap<String, Settled>,
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
    pub version: Option<String>,
    /// Its body there, as last agreed on.
    pub body: Option<Hash>,
    /// By pointer into the internal object, what was left different on purpose.
    #[serde(with = "as_in_entries")]
    pub settled: BTreeMap<String, Settled>,
    /// The body is what was sent: what the system made of it is yet to be looked at.
    pub sent: bool,
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

/// A system that rests, or one kind of object there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The kind; none: all of it.
    pub object: Option<ObjectName>,
    /// Who said so.
    pub by: String,
    /// Why.
    pub why: String,
    /// Since when.
    #[serde(with = "stamp")]
    pub at: Timestamp,
    /// The entry.
    pub seq: u64,
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
    pub sha1: Option<String>,
    /// The entry.
    pub seq: u64,
}

/// Which syncs.
#[derive(Clone, Debug, Default)]
pub struct SyncFilter {
    /// Each member of the contract's JSON by its text, as in the query string, or several with commas between them:
    /// `("state", "parked,conflict")`.
    pub equal: Vec<(String, String)>,
    /// After this one.
    pub after: Option<SyncId>,
    /// At most so many.
    pub limit: usize,
}
