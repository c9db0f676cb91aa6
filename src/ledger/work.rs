//! The worklist's rows: what a person is asked, by subject and by cause.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Hash, ItemKind, SyncId,
    rows::{maybe_stamp, stamp},
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
    #[serde(skip_serializing_if = "Option::is_none")]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who_is_affected: Option<String>,
    /// Where the page is too general.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
    /// Which kind of object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectName>,
    /// Which object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_id: Option<ObjectId>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemName>,
    /// Which sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_id: Option<SyncId>,
    /// What it is about where there is no sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Who has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Deadline, from `created_at`, in milliseconds.
    pub due_ms: u64,
    /// The body that holds the fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Hash>,
    /// For a conflict: what the system holds.
    pub theirs: Vec<super::Remote>,
    /// In order.
    pub comments: Vec<Comment>,
    /// When it was closed.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_stamp")]
    pub closed_at: Option<Timestamp>,
    /// Who closed it: a person, or `liaison` where it was answered by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<String>,
    /// The entry that opened it.
    pub created_seq: u64,
    /// When.
    #[serde(with = "stamp")]
    pub created_at: Timestamp,
    /// The entry that last changed it.
    pub seq: u64,
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
    /// Each member of the contract's JSON by its text: `("status", "open")`.
    pub equal: Vec<(String, String)>,
    /// After this one.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}
