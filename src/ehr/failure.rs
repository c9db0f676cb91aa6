//! Why an exchange with an EHR did not do what was asked, as one table: kind → code, category. The sentence is made of
//! FHIR's issue codes, element paths and the EHR's own error numbers only: an EHR's free text may quote patients.

use std::time::Duration;

use crate::error::{Category, Explained};

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No connection.
    Unreachable,
    /// 429, 423, 424: not carried out, later perhaps.
    Busy,
    /// May have been carried out.
    Lost,
    /// Read and refused.
    Refused,
    /// 401.
    Unauthorised,
    /// 409 or 412 on a version.
    Changed,
    /// Several resources match.
    Several,
    /// 404 or 410.
    Gone,
    /// 403.
    Forbidden,
    /// A redirect or a link to another origin.
    Elsewhere,
    /// Our credentials cannot be made.
    Credentials,
    /// Not among what it offers.
    NotOffered,
    /// 413.
    TooLarge,
    /// No FHIR R4 server.
    NotAnEhr,
    /// Its number there now belongs to another record.
    Merged,
    /// The list's session there has ended.
    Expired,
    /// More results than it gives at once.
    TooMany,
    /// Not before tomorrow.
    Later,
    /// It says that it holds this already.
    Exists,
    /// It answers a search with what was not asked for.
    NotHonoured,
}

/// One failed exchange.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind.
    pub kind: Kind,
    /// A plain sentence without patient data.
    pub message: String,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    /// How long the EHR asked us to wait.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure with this sentence.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), status: None, retry_after: None }
    }
    /// Whether the fault is the system's as a whole (and its circuit should know), not this object's.
    #[must_use]
    pub fn concerns_all(&self) -> bool {
        match self.kind {
            Kind::Unreachable | Kind::Unauthorised | Kind::Credentials | Kind::Elsewhere => true,
            // A lock, or something that is not ready, is one record's trouble.
            Kind::Busy => !matches!(self.status, Some(409 | 423 | 424)),
            // One that answers 2xx is at work, even where the answer cannot be read.
            Kind::Lost => self.status.is_none_or(|status| !(200..300).contains(&status)),
            _ => false,
        }
    }
    /// Whether, as an answer about one record, it says nothing of others: some EHRs answer 500 to a record that they cannot
    /// show, and are well.
    #[must_use]
    pub fn may_be_one_records(&self) -> bool {
        !self.concerns_all() || self.kind == Kind::Lost && self.status == Some(500)
    }
    /// Whether it is about our credentials: whatever was asked, the answer says nothing about that.
    #[must_use]
    pub const fn needs_credentials(&self) -> bool {
        matches!(self.kind, Kind::Unauthorised | Kind::Credentials)
    }
    /// Whether only a person can mend it, so that one is asked at once: rejected credentials, a secret that cannot be
    /// used, a wrong address, something forbidden or refused. Asking the EHR again meanwhile does no good.
    #[must_use]
    pub fn needs_person(&self) -> bool {
        let asked_to_wait = self.retry_after.is_some();
        match self.kind {
            Kind::Unauthorised | Kind::Credentials | Kind::Elsewhere => true,
            // Some limit their callers so.
            Kind::Forbidden => !asked_to_wait,
            _ => self.category() == Category::Rejected,
        }
    }
}

impl Explained for Failure {
    fn code(&self) -> &'static str {
        match self.kind {
            Kind::Unreachable => "LIA-EHR-001",
            Kind::Busy => "LIA-EHR-002",
            Kind::Lost => "LIA-EHR-003",
            Kind::Refused => "LIA-EHR-004",
            Kind::Unauthorised => "LIA-EHR-005",
            Kind::Changed => "LIA-EHR-006",
            Kind::Several => "LIA-EHR-007",
            Kind::Gone => "LIA-EHR-008",
            Kind::Forbidden => "LIA-EHR-009",
            Kind::Elsewhere => "LIA-EHR-010",
            Kind::Credentials => "LIA-EHR-011",
            Kind::NotOffered => "LIA-EHR-012",
            Kind::TooLarge => "LIA-EHR-013",
            Kind::NotAnEhr => "LIA-EHR-014",
            Kind::Merged => "LIA-EHR-015",
            Kind::Expired => "LIA-EHR-016",
            Kind::TooMany => "LIA-EHR-017",
            Kind::Later => "LIA-EHR-018",
            Kind::Exists => "LIA-EHR-019",
            Kind::NotHonoured => "LIA-EHR-020",
        }
    }
    fn category(&self) -> Category {
        match self.kind {
            Kind::Unreachable
            | Kind::Busy
            | Kind::Unauthorised
            | Kind::Elsewhere
            | Kind::Credentials
            | Kind::Expired
            | Kind::Later => Category::Retry,
            Kind::Lost | Kind::Exists => Category::Unknown,
            Kind::Changed => Category::Conflict,
            Kind::Several
            | Kind::Gone
            | Kind::Refused
            | Kind::Forbidden
            | Kind::NotOffered
            | Kind::TooLarge
            | Kind::NotAnEhr
            | Kind::Merged
            | Kind::TooMany
            | Kind::NotHonoured => Category::Rejected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_record_does_not_stop_the_system() {
        let busy = |status| Failure { status: Some(status), ..Failure::new(Kind::Busy, "") };
        assert_eq!(
            [409, 423, 424, 425, 429].map(|status| busy(status).concerns_all()),
            [false, false, false, true, true]
        );
    }

    #[test]
    fn what_only_a_person_can_mend_is_told_apart() {
        use Kind::{
            Busy, Changed, Credentials, Elsewhere, Expired, Forbidden, Later, Lost, Refused, Unauthorised, Unreachable,
        };
        for kind in [Unauthorised, Credentials, Forbidden, Elsewhere, Refused] {
            assert!(Failure::new(kind, "").needs_person(), "{kind:?}");
        }
        for kind in [Unreachable, Busy, Lost, Changed, Expired, Later] {
            assert!(!Failure::new(kind, "").needs_person(), "{kind:?}");
        }
        let limited = Failure { retry_after: Some(Duration::from_secs(60)), ..Failure::new(Forbidden, "") };
        assert!(!limited.needs_person());
    }
}
