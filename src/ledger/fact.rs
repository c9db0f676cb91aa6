//! What can happen: the kinds of entries, past participles all, each with what only it carries. No patient data
//! stands in a fact: texts that people write and values that differ live in bodies, named by hash.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Hash, Item, SyncId};
use crate::domain::SystemName;

/// What was done to an internal object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Its first version.
    Created,
    /// A further version.
    Updated,
    /// A further version, which calls it off.
    Cancelled,
}

/// One system that a version must reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The external system.
    pub system: SystemName,
    /// [`SyncId::of`] object, id and system.
    pub sync_id: SyncId,
}

/// A field that both sides were left with different values, on purpose: hashes of what each held then (`None`: nothing).
/// A side whose value still is that counts as unchanged, so that the same pair is neither asked about nor sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// What the object held here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ours: Option<String>,
    /// What the system held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theirs: Option<String>,
    /// What both started from, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// A person wants ours there: it is sent once more, and settled where the system answers the same again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insisted: bool,
}

impl Settled {
    /// Whether another is about the same two values.
    #[must_use]
    pub fn is_of(&self, other: &Self) -> bool {
        self.ours == other.ours && self.theirs == other.theirs
    }
}

/// One part of an object at a system, as last seen there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// The mapping's role of the part; the main resource's is `main`.
    pub part: String,
    /// `Type/id` there.
    pub reference: String,
    /// Its version there (`meta.versionId` or the ETag's), where the system has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The body as the system gave it: the base of the next merge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Hash>,
    /// By pointer into the internal object, what was left different; nothing: as it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<BTreeMap<String, Settled>>,
    /// The body is what was sent: what the system made of it is yet to be looked at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sent: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// A caller's version was taken on: the entry has object, version and body. Every target's sync becomes
    /// `accepted` (one that is being sent, or whose outcome is unknown, first settles).
    Accepted {
        /// What was done.
        operation: Operation,
        /// Hash of the canonical bytes, for "equal body".
        content: Hash,
        /// Where it must go.
        targets: Vec<Target>,
        /// What its sender sent, where it was merged with what stood here: the base of this sender's next merge.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent: Option<Hash>,
    },
    /// A sender sent what needs no new version (the entry's body): the base of this sender's next merge.
    Repeated {},
    /// A version made here from what a system holds (pull, or a conflict's resolution): the entry has object, new
    /// version and body. The base moves to `remotes`; the sync named by the entry is synced at this version
    /// unless it stands among the targets.
    Applied {
        /// What was done.
        operation: Operation,
        /// Hash of the canonical bytes.
        content: Hash,
        /// Parts seen there: link and base move.
        remotes: Vec<Remote>,
        /// Where the merged version must go.
        targets: Vec<Target>,
    },
    /// On disk before the first byte leaves: the entry's version of the sync is being sent.
    Attempted {
        /// Counts from 1 since the version was accepted or retried.
        attempt: u32,
        /// The part that is sent.
        part: String,
        /// `create`, `update`, `delete` …
        interaction: String,
        /// Version of the mapping that made it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mapping: Option<String>,
        /// Canonical hash of what is sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Hash>,
    },
    /// The system has it. Link and base move; with `done` the sync is synced at the entry's version, else further
    /// parts follow.
    Acknowledged {
        /// All parts are there.
        done: bool,
        /// Parts seen there.
        remotes: Vec<Remote>,
        /// Version of the mapping that made it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mapping: Option<String>,
        /// Canonical hash of what was sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Hash>,
    },
    /// Known not to have happened; to be sent again after a delay.
    Deferred {
        /// From the entry's time, in milliseconds.
        delay_ms: u64,
    },
    /// May have happened; to be read back after a delay, before anything is sent again.
    Unsettled {
        /// From the entry's time, in milliseconds.
        delay_ms: u64,
    },
    /// It never left and was called off: nothing needs sending.
    Spared {},
    /// Shown by a system while nothing could be made of them yet (a push of ours was under way): to be read again, so
    /// that the cursor may move on.
    SetAside {
        /// `Type/id` there.
        references: Vec<String>,
    },
    /// What was set aside has been looked at.
    TakenUp {
        /// `Type/id` there.
        references: Vec<String>,
    },
    /// What it refers to must reach the system first: woken by the facts that say so.
    Waited {
        /// Their syncs.
        on: Vec<SyncId>,
        /// From the entry's time, in milliseconds: then a person is asked.
        patience_ms: u64,
    },
    /// Both sides changed the same field: nothing is sent, the base stays.
    Conflicted {
        /// What the person is told.
        item: Item,
        /// What the system holds now.
        theirs: Vec<Remote>,
    },
    /// A person must decide: nothing is sent. Without a sync it is about something received.
    Parked {
        /// What the person is told.
        item: Item,
    },
    /// Seen at the system and nothing to do here: link and base move.
    Observed {
        /// Parts seen there.
        remotes: Vec<Remote>,
    },
    /// Our value replaced one of the system's that others had changed as well: theirs is kept, to be seen and brought back.
    Overruled {
        /// A body `{"fields":[{"path","base","ours","theirs","owner"}]}`.
        detail: Hash,
    },
    /// The system does not have these parts any more: links and bases go.
    Unlinked {
        /// The parts by name.
        parts: Vec<String>,
    },
    /// Where an object is at a system, known otherwise than by sending (a match by identifier).
    Linked {
        /// Parts there.
        remotes: Vec<Remote>,
    },
    /// Everything of this type before the cursor has been taken in.
    CursorMoved {
        /// Resource type.
        resource_type: String,
        /// Opaque to the ledger.
        cursor: String,
    },
    /// Bytes were received: the entry's body.
    AttachmentStored {
        /// In bytes.
        size: u64,
        /// As sent.
        content_type: String,
        /// SHA-1 of the bytes in base64 (FHIR's `Attachment.hash`); older entries have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha1: Option<String>,
    },
    /// An item got an owner.
    Assigned {
        /// Worklist item.
        item: String,
        /// The owner.
        to: String,
    },
    /// Somebody wrote something: the entry's body is the text.
    Commented {
        /// Worklist item.
        item: String,
    },
    /// To be tried again (read back first, where the outcome is open); the item closes when the sync is synced.
    Retried {
        /// Worklist item.
        item: String,
    },
    /// A person decided; the entry's body is the note. The base moves to `remotes`.
    Resolved {
        /// Worklist item.
        item: String,
        /// The sync must be sent (again).
        send: bool,
        /// Parts whose present state was taken note of.
        remotes: Vec<Remote>,
    },
    /// A person decided that nothing needs doing; the entry's body is the reason.
    Dismissed {
        /// Worklist item.
        item: String,
        /// What refers to the object goes without it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        send_without: bool,
    },
    /// A system rests, or one kind of object there (the entry's), until it is let go on; the entry's sentence says why.
    Paused {},
    /// It goes on.
    Resumed {},
    /// The entry's body was erased; the chain stays whole.
    Erased {
        /// Why, without patient data.
        reason: String,
    },
}

impl Fact {
    /// Whether it makes a version of an object: taken on, or taken over from a system.
    #[must_use]
    pub const fn makes_version(&self) -> bool {
        matches!(self, Self::Accepted { .. } | Self::Applied { .. })
    }

    /// The kind's name, as in history.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Repeated {} => "repeated",
            Self::Overruled { .. } => "overruled",
            Self::Unlinked { .. } => "unlinked",
            Self::Applied { .. } => "applied",
            Self::Attempted { .. } => "attempted",
            Self::Acknowledged { .. } => "acknowledged",
            Self::Deferred { .. } => "deferred",
            Self::Unsettled { .. } => "unsettled",
            Self::Waited { .. } => "waited",
            Self::Spared {} => "spared",
            Self::SetAside { .. } => "set-aside",
            Self::TakenUp { .. } => "taken-up",
            Self::Conflicted { .. } => "conflicted",
            Self::Parked { .. } => "parked",
            Self::Observed { .. } => "observed",
            Self::Linked { .. } => "linked",
            Self::CursorMoved { .. } => "cursor-moved",
            Self::AttachmentStored { .. } => "attachment-stored",
            Self::Assigned { .. } => "assigned",
            Self::Commented { .. } => "commented",
            Self::Retried { .. } => "retried",
            Self::Resolved { .. } => "resolved",
            Self::Dismissed { .. } => "dismissed",
            Self::Paused {} => "paused",
            Self::Resumed {} => "resumed",
            Self::Erased { .. } => "erased",
        }
    }
}

impl Fact {
    /// The bodies that the fact names, which must be as durable as its entry.
    #[must_use]
    pub fn bodies(&self) -> Vec<Hash> {
        let of = |remotes: &[Remote]| remotes.iter().filter_map(|remote| remote.body).collect::<Vec<_>>();
        match self {
            Self::Applied { remotes, .. }
            | Self::Acknowledged { remotes, .. }
            | Self::Observed { remotes }
            | Self::Linked { remotes }
            | Self::Resolved { remotes, .. } => of(remotes),
            Self::Conflicted { item, theirs } => of(theirs).into_iter().chain(item.bodies()).collect(),
            Self::Parked { item } => item.bodies().collect(),
            Self::Overruled { detail } => vec![*detail],
            Self::Accepted { sent, .. } => sent.iter().copied().collect(),
            _ => Vec::new(),
        }
    }
}

impl Fact {
    /// Something is taken on, sent or received.
    pub(super) const fn begins(&self) -> bool {
        matches!(
            self,
            Self::Accepted { .. }
                | Self::Repeated {}
                | Self::Applied { .. }
                | Self::Attempted { .. }
                | Self::Observed { .. }
                | Self::Linked { .. }
                | Self::CursorMoved { .. }
                | Self::AttachmentStored { .. }
        )
    }

    /// The worklist item that a person acted on.
    #[must_use]
    pub fn item(&self) -> Option<&str> {
        match self {
            Self::Assigned { item, .. }
            | Self::Commented { item }
            | Self::Retried { item }
            | Self::Resolved { item, .. }
            | Self::Dismissed { item, .. } => Some(item),
            _ => None,
        }
    }
}
