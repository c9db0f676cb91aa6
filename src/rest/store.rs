//! What the REST semantics ask of whoever keeps the resources. A store assigns versions and times, commits all
//! writes or none, and narrows searches by keys that it does not understand. It decides nothing about FHIR.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::message::Method;

/// One version of one resource.
#[derive(Clone, Debug)]
pub struct Version {
    /// Resource type.
    pub kind: String,
    /// Logical id.
    pub id: String,
    /// `meta.versionId`.
    pub version: String,
    /// When it was committed.
    pub at: Timestamp,
    /// By which method (`Post`, `Put`, `Patch`, `Delete`).
    pub method: Method,
    /// Order of commits over the whole store, from 1.
    pub sequence: u64,
    /// The body with `id`, `meta.versionId` and `meta.lastUpdated`; none if this version says "deleted".
    pub resource: Option<Value>,
}

impl Version {
    /// The weak ETag of this version.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("W/\"{}\"", self.version)
    }
}

/// One write of a commit.
#[derive(Clone, Debug)]
pub struct Write {
    /// As asked by the client.
    pub method: Method,
    /// Resource type.
    pub kind: String,
    /// Logical id.
    pub id: String,
    /// The new body; none deletes.
    pub resource: Option<Value>,
    /// Search keys under which a later `candidates` must find this version.
    pub keys: Vec<String>,
}

/// Why a store could not serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// This store does not take this yet; the text says what, in plain words.
    #[error("{0}")]
    NotAvailable(String),
    /// It would have to read too many records; the text says what would narrow the search.
    #[error("{0}")]
    TooCostly(String),
    /// It broke; the text names no patient data.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// What history is asked for, newest first.
#[derive(Clone, Debug, Default)]
pub struct HistoryQuery {
    /// Of one type only.
    pub kind: Option<String>,
    /// Committed at or after.
    pub since: Option<Timestamp>,
    /// Only sequences below this; for the next page.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// How a search may be narrowed before it is filtered exactly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Narrow<'a> {
    /// A match has one of these keys.
    pub any_of: Option<&'a [String]>,
    /// A match was committed at or after this instant.
    pub since: Option<Timestamp>,
}

/// Keeps resources with all their versions. Every method sees whole commits only.
pub trait Store: Send + Sync {
    /// The newest version, a deleted one too.
    ///
    /// # Errors
    /// [`StoreError`] if the store broke.
    fn read(&self, kind: &str, id: &str) -> Result<Option<Arc<Version>>, StoreError>;

    /// All versions, oldest first; empty if there never was one.
    ///
    /// # Errors
    /// [`StoreError`] if the store broke or keeps no history.
    fn versions(&self, kind: &str, id: &str) -> Result<Vec<Arc<Version>>, StoreError>;

    /// Versions over types and instances, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the store broke or keeps no history.
    fn history(&self, query: &HistoryQuery) -> Result<Vec<Arc<Version>>, StoreError>;

    /// Newest, not deleted versions of a type, ordered by id. The hints may narrow them; more than match may come
    /// back, fewer never.
    ///
    /// # Errors
    /// [`StoreError`] if the store broke, or would have to read too much.
    fn candidates(&self, kind: &str, narrow: Narrow) -> Result<Vec<Arc<Version>>, StoreError>;

    /// Held while a writing request is decided and committed, so that conditions stay true until the commit.
    fn writing(&self) -> Box<dyn Held + '_>;

    /// Commits all or none, in order; assigns version, time and sequence.
    ///
    /// # Errors
    /// [`StoreError`] if nothing was written.
    fn commit(&self, writes: Vec<Write>) -> Result<Vec<Arc<Version>>, StoreError>;
}

/// Something held until dropped.
pub trait Held {}
impl<T> Held for std::sync::MutexGuard<'_, T> {}
impl Held for () {}
