//! Why the ledger refused or could not.

use std::path::PathBuf;

use crate::error::{Category, Explained};

/// Why the ledger refused or could not.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another process has the ledger open.
    #[error("the ledger in {0} is in use by another process; stop that one first, or name another folder")]
    InUse(PathBuf),
    /// The folder cannot be read or written.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The log is not what was written.
    #[error("entry {seq} is damaged, at byte {offset} of {file}: {why}; restore this file from a backup")]
    Damaged {
        /// The first entry that is not whole.
        seq: u64,
        /// Where its line begins.
        offset: u64,
        /// The segment.
        file: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A body is missing or is not what was written.
    #[error("the body {0} is missing or damaged")]
    Body(super::Hash),
    /// Not enough free space to write safely.
    #[error("the disk is full: {free} bytes are free and {needed} are needed; nothing was stored")]
    DiskFull {
        /// Free bytes.
        free: u64,
        /// Needed bytes.
        needed: u64,
    },
    /// The log could not be synced: the process must stop.
    #[error("the ledger stopped: {0}; restart when the disk is well, nothing that was confirmed is lost")]
    Stopped(String),
    /// The same key was used for another request.
    #[error("this Idempotency-Key was already used for a different request")]
    KeyReused,
    /// Somebody else wrote in between.
    #[error("the object is at version {current}, not at the version named")]
    Stale {
        /// Its version now.
        current: u64,
    },
    /// The id is taken by an object with another content.
    #[error("an object with this id exists and is different")]
    Exists,
    /// No such object.
    #[error("there is no such object")]
    NoObject,
    /// The sync changed since it was read.
    #[error("the sync changed since it was read; read it again")]
    SyncMoved,
    /// The fact cannot have happened where the sync stands now.
    #[error("what is {state} cannot be {fact}; read the sync again")]
    Impossible {
        /// Where the sync stands.
        state: &'static str,
        /// What was proposed.
        fact: &'static str,
    },
    /// The item is closed or does not exist.
    #[error("the worklist item is closed or does not exist")]
    ItemClosed,
    /// Too much waits to be sent.
    #[error("{pending} pushes wait to be sent; try again later")]
    Backlog {
        /// How many wait.
        pending: u64,
    },
    /// The folds cannot be read; they are replayed at the next start.
    #[error("the ledger's index cannot be used: {0}; it is made anew at the next start")]
    Folds(String),
}

impl LedgerError {
    /// Somebody was quicker: no error, but a reason to look again.
    #[must_use]
    pub const fn is_race(&self) -> bool {
        matches!(self, Self::SyncMoved | Self::Impossible { .. } | Self::Stale { .. } | Self::ItemClosed)
    }

    /// The same for a further caller (an I/O error's source is told by its kind).
    pub(super) fn again(&self) -> Self {
        match self {
            Self::DiskFull { free, needed } => Self::DiskFull { free: *free, needed: *needed },
            Self::Stopped(why) => Self::Stopped(why.clone()),
            Self::Io { what, path, source } => {
                Self::Io { what, path: path.clone(), source: std::io::Error::from(source.kind()) }
            }
            other => Self::Folds(other.to_string()),
        }
    }
}

impl From<super::Impossible> for LedgerError {
    fn from(super::Impossible { state, fact }: super::Impossible) -> Self {
        Self::Impossible { state, fact }
    }
}

impl Explained for LedgerError {
    fn code(&self) -> &'static str {
        match self {
            Self::InUse(_) => "LIA-LDG-001",
            Self::Io { .. } => "LIA-LDG-002",
            Self::Damaged { .. } => "LIA-LDG-003",
            Self::Body(_) => "LIA-LDG-004",
            Self::DiskFull { .. } => "LIA-LDG-005",
            Self::Stopped(_) => "LIA-LDG-006",
            Self::KeyReused => "LIA-LDG-007",
            Self::Stale { .. } => "LIA-LDG-008",
            Self::Exists => "LIA-LDG-009",
            Self::NoObject => "LIA-LDG-010",
            Self::SyncMoved | Self::Impossible { .. } => "LIA-LDG-011",
            Self::ItemClosed => "LIA-LDG-012",
            Self::Backlog { .. } => "LIA-LDG-013",
            Self::Folds(_) => "LIA-LDG-014",
        }
    }
    fn category(&self) -> Category {
        match self {
            Self::KeyReused => Category::Invalid,
            Self::Stale { .. } | Self::Exists | Self::SyncMoved | Self::Impossible { .. } | Self::ItemClosed => {
                Category::Conflict
            }
            Self::NoObject => Category::NotFound,
            Self::Backlog { .. } => Category::Retry,
            Self::InUse(_)
            | Self::Io { .. }
            | Self::Damaged { .. }
            | Self::Body(_)
            | Self::DiskFull { .. }
            | Self::Stopped(_)
            | Self::Folds(_) => Category::Internal,
        }
    }
}
