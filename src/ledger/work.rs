//! The worklist's rows: what a person is asked, by subject and by cause.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Hash, ItemKind, SyncId,
    rows::{as_in_entries, maybe_stamp, stamp},
};
use crate::domain::{ObjectId, ObjectName, SystemName};

/// An item's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemStatus {
    /// Nobody has it.
    Open,
    /// Somebody has it.
    Assigned,
    /// Done.
    Resolved,
    /// Nothing needed doing.
    Dismissed,
}

impl ItemStatus {
    /// The contract's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Assigned => "assigned",
            Self::Resolved => "resolved",
            Self::Dismissed => "dismissed",
        }
    }
    /// A person may still act on it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Assigned)
    }
}

/// One comment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// When.
    #[serde(with = "stamp")]
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// The text's body.
    pub body: Option<Hash>,
}

/// One worklist item, without the texts that live in pages and bodies (`Ledger::item_json` joins them).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemRow {
    /// `w-` and the sequence of the entry that opened it.
    pub id: String,
    /// Items of one cause share it.
    pub group: String,
    /// Why a person is asked.
    pub kind: ItemKind,
    /// Its standing.
    pub status: ItemStatus,
    /// What went wrong.
    pub code: String,
    /// What happened, in a plain sentence.
    pub what_happened: String,
    /// Where the page is too general.
    pub who_is_affected: Option<String>,
    /// Where the page is too general.
    pub next_step: Option<String>,
    /// Which kind of object.
    pub object: Option<ObjectName>,
    /// Which object.
    pub object_id: Option<ObjectId>,
    /// Where.
    pub system: Option<SystemName>,
    /// Which sync.
    pub sync_id: Option<SyncId>,
    /// Which version of the object.
    pub version: Option<u64>,
    /// What it is about where there is no sync.
    pub subject: Option<String>,
    /// Who has it.
    pub owner: Option<String>,
    /// Deadline, from `created_at`, in milliseconds.
    pub due_ms: u64,
    /// The body that holds the fields.
    pub detail: Option<Hash>,
    /// For a conflict: what the system holds.
    #[serde(with = "as_in_entries")]
    pub theirs: Vec<super::Remote>,
    /// In order.
    pub comments: Vec<Comment>,
    /// When it was closed.
    #[serde(with = "maybe_stamp")]
    pub closed_at: Option<Timestamp>,
    /// Who closed it: a person, or `liaison` where it was answered by itself.
    pub closed_by: Option<String>,
    /// The entry that opened it.
    pub created_seq: u64,
    /// When.
    #[serde(with = "stamp")]
    pub created_at: Timestamp,
    /// The entry that last changed it.
    pub seq: u64,
}

impl ItemRow {
    /// When it is due.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        super::rows::plus(self.created_at, self.due_ms)
    }

    /// The deadline in milliseconds, for sorting.
    pub(super) fn due_at_ms(&self) -> u64 {
        u64::try_from(self.created_at.as_millisecond()).unwrap_or(0).saturating_add(self.due_ms)
    }

    /// Whether a member of the contract's JSON is one of these texts.
    pub(super) fn says(&self, name: &str, texts: &str) -> bool {
        let due;
        let text = match name {
            "id" => Some(self.id.as_str()),
            "group" => Some(self.group.as_str()),
            "kind" => Some(self.kind.as_str()),
            "status" => Some(self.status.as_str()),
            "code" => Some(self.code.as_str()),
            "object" => self.object.as_ref().map(ObjectName::as_str),
            "object_id" => self.object_id.as_ref().map(ObjectId::as_str),
            "system" => self.system.as_ref().map(SystemName::as_str),
            "sync_id" => self.sync_id.as_ref().map(SyncId::as_str),
            "owner" => self.owner.as_deref(),
            "due" => {
                due = self.due().map(|at| at.to_string());
                due.as_deref()
            }
            _ => None,
        };
        text.is_some_and(|text| one_of(text, texts))
    }
}

/// Whether a text is one of several, which have commas between them.
pub(super) fn one_of(text: &str, texts: &str) -> bool {
    text == texts || texts.split(',').any(|one| one == text)
}

/// Open items of one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// The group.
    pub group: String,
    /// The code they share.
    pub code: String,
    /// Why a person is asked.
    pub kind: ItemKind,
    /// The system, where it is one.
    pub system: Option<SystemName>,
    /// The kind of object, where it is one.
    pub object: Option<ObjectName>,
    /// What happened to the first.
    pub what_happened: String,
    /// How many are open.
    pub count: usize,
    /// The items' ids.
    pub items: Vec<String>,
}

impl GroupRow {
    /// The group of this item, still empty.
    pub(super) fn of(item: &ItemRow) -> Self {
        Self {
            group: item.group.clone(),
            code: item.code.clone(),
            kind: item.kind,
            system: item.system.clone(),
            object: item.object.clone(),
            what_happened: item.what_happened.clone(),
            count: 0,
            items: Vec::new(),
        }
    }

    /// One more item; what is not the same for all is left out.
    pub(super) fn add(&mut self, item: &ItemRow) {
        self.count += 1;
        self.items.push(item.id.clone());
        self.system = self.system.take().filter(|system| Some(system) == item.system.as_ref());
        self.object = self.object.take().filter(|object| Some(object) == item.object.as_ref());
    }

    /// JSON in the manner of the contract's items.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let title = crate::error::page(&self.code).map_or(self.code.as_str(), |page| page.title);
        json!({
            "group": self.group, "code": self.code, "kind": self.kind, "title": title,
            "what_happened": self.what_happened, "system": self.system.as_ref().map(SystemName::as_str),
            "object": self.object.as_ref().map(ObjectName::as_str), "count": self.count, "items": self.items,
        })
    }
}

/// Which items.
#[derive(Clone, Debug, Default)]
pub struct WorkFilter {
    /// Each member of the contract's JSON by its text, or several with commas between them: `("status", "open,assigned")`.
    pub equal: Vec<(String, String)>,
    /// After this one.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}
