//! Why the engine refuses or fails, each with its code, its category and findings that name places, never values.

use crate::{
    error::{Category, Explained, Finding},
    ledger::LedgerError,
    mapping::MappingError,
};

/// A refusal or failure of the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No mapping for an object of this name.
    #[error("no such kind of object is set up here")]
    UnknownObject,
    /// No `[[systems]]` has this name.
    #[error("there is no system with this name")]
    UnknownSystem,
    /// The input breaks its schema, names something unknown, or breaks a target's rules.
    #[error("{} finding(s) in what was sent", .0.len())]
    Invalid(Vec<Finding>),
    /// The mapping knows no such transition from the state that the object is in.
    #[error("the object's present state does not allow this")]
    Transition,
    /// Others changed the same fields since this sender sent them last; nothing was stored.
    #[error("{} field(s) were changed here by others since you sent them last", .fields.len())]
    Differs {
        /// `{"path","base","ours","theirs","owner"}`: ours is the sender's.
        fields: Vec<serde_json::Value>,
    },
    /// No worklist item (or group) of this id.
    #[error("no such item on the worklist")]
    NoItem,
    /// The item is closed.
    #[error("the item is closed already")]
    Closed,
    /// The decision about an item does not fit it.
    #[error("the decision does not fit the item: {0}")]
    Decision(String),
    /// The configuration of a system cannot work.
    #[error("system {system}: {why}")]
    Setup {
        /// The system.
        system: String,
        /// What is wrong.
        why: String,
    },
    /// The mapping refused or failed.
    #[error(transparent)]
    Mapping(MappingError),
    /// The ledger refused or failed: version, id, key, backlog, disk.
    #[error(transparent)]
    Ledger(LedgerError),
}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::ItemClosed => Self::Closed,
            other => Self::Ledger(other),
        }
    }
}

impl From<MappingError> for Error {
    fn from(error: MappingError) -> Self {
        match error {
            MappingError::Unsayable(findings) => Self::Invalid(findings),
            other => Self::Mapping(other),
        }
    }
}

impl Error {
    /// Findings by place, where there are any.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Invalid(findings) => findings,
            _ => &[],
        }
    }
}

impl Error {
    /// The ledger cannot be written for want of room, or at all.
    #[must_use]
    pub const fn is_disk(&self) -> bool {
        matches!(self, Self::Ledger(LedgerError::DiskFull { .. } | LedgerError::Stopped(_) | LedgerError::Io { .. }))
    }
}

impl Explained for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownObject => "LIA-SYNC-001",
            Self::UnknownSystem => "LIA-SYNC-035",
            Self::Invalid(_) => "LIA-SYNC-002",
            Self::Transition => "LIA-SYNC-006",
            Self::Differs { .. } => "LIA-SYNC-030",
            Self::NoItem => "LIA-SYNC-008",
            Self::Closed => "LIA-SYNC-009",
            Self::Decision(_) => "LIA-SYNC-019",
            Self::Setup { .. } => "LIA-SYNC-010",
            Self::Mapping(error) => error.code(),
            Self::Ledger(error) => error.code(),
        }
    }
    fn category(&self) -> Category {
        match self {
            Self::UnknownObject | Self::UnknownSystem | Self::NoItem => Category::NotFound,
            Self::Invalid(_) | Self::Transition | Self::Decision(_) => Category::Invalid,
            Self::Closed | Self::Differs { .. } => Category::Conflict,
            Self::Setup { .. } => Category::Internal,
            Self::Mapping(error) => error.category(),
            Self::Ledger(error) => error.category(),
        }
    }
}
