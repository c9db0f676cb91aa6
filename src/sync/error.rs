//! Why the engine refuses or fails, each with its code, its category and findings that name places, never values.

use crate::error::{Category, Explained, Finding};

/// A refusal or failure of the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No mapping for an object of this name.
    #[error("no such kind of object is set up here")]
    UnknownObject,
    /// The input breaks its schema or the target's profile.
    #[error("{} finding(s) in what was sent", .0.len())]
    Invalid(Vec<Finding>),
    /// The id is taken by an object with other content.
    #[error("an object with this id exists already and differs")]
    Exists,
    /// The expected version is not the current one.
    #[error("the object has changed: it is at version {current} now")]
    Stale {
        /// The version it is at.
        current: u64,
    },
    /// No object of this id.
    #[error("no object of this id")]
    NotFound,
    /// The mapping knows no such transition from the state that the object is in.
    #[error("the object's present state does not allow this")]
    Transition,
    /// Too much waits for this system already.
    #[error("too much waits for {system} already")]
    Backlog {
        /// The system.
        system: String,
        /// When to try again, in seconds.
        retry_after_s: u64,
    },
    /// No worklist item (or group) of this id.
    #[error("no such item on the worklist")]
    NoItem,
    /// The item is closed.
    #[error("the item is closed already")]
    Closed,
    /// The configuration of a system cannot work.
    #[error("system {system}: {why}")]
    Setup {
        /// The system.
        system: String,
        /// What is wrong.
        why: String,
    },
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

impl Explained for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownObject => "LIA-SYNC-001",
            Self::Invalid(_) => "LIA-SYNC-002",
            Self::Exists => "LIA-SYNC-003",
            Self::Stale { .. } => "LIA-SYNC-004",
            Self::NotFound => "LIA-SYNC-005",
            Self::Transition => "LIA-SYNC-006",
            Self::Backlog { .. } => "LIA-SYNC-007",
            Self::NoItem => "LIA-SYNC-008",
            Self::Closed => "LIA-SYNC-009",
            Self::Setup { .. } => "LIA-SYNC-010",
        }
    }
    fn category(&self) -> Category {
        match self {
            Self::UnknownObject | Self::NotFound | Self::NoItem => Category::NotFound,
            Self::Invalid(_) | Self::Transition => Category::Invalid,
            Self::Exists | Self::Stale { .. } | Self::Closed => Category::Conflict,
            Self::Backlog { .. } => Category::Retry,
            Self::Setup { .. } => Category::Internal,
        }
    }
}
