//! What every failure has in common: a stable code, a category that alone decides retry, park or conflict, and a
//! page in plain words for each reader. One table (the pages' front matter) gives title and HTTP status to `/api`,
//! `/fhir` and the command line alike. Refuses: prose that quotes patient data.

mod page;
mod redact;

pub use page::{Page, page, pages};
pub use redact::without_secrets;

/// What may be done about a failure. The category alone decides what `sync` does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// The caller's input is wrong; nothing was stored; mend and send again.
    Invalid,
    /// The caller may not, or did not say who they are.
    Forbidden,
    /// No such thing.
    NotFound,
    /// Somebody else wrote in between, or the same key was used for something else.
    Conflict,
    /// Known not to have happened; may be tried again after a while.
    Retry,
    /// May or may not have happened; must be read back before anything is sent again.
    Unknown,
    /// The other side refused for good; a person must decide.
    Rejected,
    /// We could not: disk, configuration, a defect.
    Internal,
    /// In the contract, not built yet.
    NotAvailable,
}

/// What each room's error enum offers, so that surfaces can tell any failure alike.
pub trait Explained: std::error::Error {
    /// Stable code, `LIA-<ROOM>-<NNN>`; has a page in `src/error/pages/`.
    fn code(&self) -> &'static str;
    /// What may be done about it.
    fn category(&self) -> Category;
}

/// One finding about one place of an input, in the shape of the contract's `errors[]`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Finding {
    /// JSON pointer (RFC 6901) into the caller's input; empty for the whole.
    pub pointer: String,
    /// Stable code with a page.
    pub code: String,
    /// What is wrong, in a plain sentence that holds no patient data.
    pub detail: String,
    /// What to do about it.
    pub remedy: String,
}
