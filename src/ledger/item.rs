//! What a person is asked, as an entry says it.

use serde::{Deserialize, Serialize};

use super::Hash;

/// Why a person is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemKind {
    /// Refused for good, by us or by the system.
    Rejected,
    /// Both sides changed the same field.
    Conflict,
    /// It cannot be told whether the system has it.
    Unknown,
    /// Who it is about is not certain.
    Identity,
    /// A slot is doubly booked or not released.
    Slot,
    /// Something received cannot be taken in.
    Inbound,
}

impl ItemKind {
    /// The contract's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Conflict => "conflict",
            Self::Unknown => "unknown",
            Self::Identity => "identity",
            Self::Slot => "slot",
            Self::Inbound => "inbound",
        }
    }
}

/// What a worklist item says besides its entry's code (which gives title and advice) and summary (what happened).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Why a person is asked.
    pub kind: ItemKind,
    /// Items of one cause share it; made with [`Item::group_of`].
    pub group: String,
    /// What the item is about where there is no sync, so that a second sighting does not open a second item:
    /// for example `general-hospital Appointment/7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Who should look first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Deadline, counted from the entry, in milliseconds.
    pub due_ms: u64,
    /// Who is affected, where the code's page says it too generally.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who_is_affected: Option<String>,
    /// The next step, where the code's page says it too generally.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
    /// A body `{"fields":[{"path","base","ours","theirs","owner"}]}`: what differs or is wrong, place by place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Hash>,
}

impl Item {
    /// The group of a cause: what makes two failures the same failure (for example code, system, object, rule).
    #[must_use]
    pub fn group_of(parts: &[&str]) -> String {
        Hash::of_parts(parts).hex()[..16].to_owned()
    }
}

impl Item {
    /// The bodies it names.
    pub(super) fn bodies(&self) -> impl Iterator<Item = Hash> + '_ {
        self.detail.iter().copied()
    }
}
