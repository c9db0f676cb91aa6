//! Questions to a person about what an EHR sent: broken records and nameless entries. Each is known by what it is about, not
//! by its bytes, and asked once; what was received stays in the ledger as evidence.

use std::sync::PoisonError;

use bytes::Bytes;
use serde_json::Value;

use super::{
    Error,
    inbound::Taken,
    puller::Puller,
    record::{self, Trouble},
    setup::System,
};
use crate::{
    ehr::Seen,
    fhir::canonical_bytes,
    ledger::{Hash, ItemKind},
};

/// More than so many are not kept in mind: they are read again.
const MOST_KNOWN: usize = 10_000;

impl Puller {
    /// Something in a list of this type that has no name of its own, or that cannot be read.
    pub async fn nameless(&self, system: &System, kind: &str, what: &str, body: Bytes) -> Result<Taken, Error> {
        let sentence = format!("{} sent {} {what}.", system.name(), crate::domain::a(kind));
        let trouble = Trouble::new(ItemKind::Inbound, "LIA-SYNC-014", sentence)
            .cause(&[system.name().as_str(), kind, what])
            .subject(format!("{} {kind} {what}", system.name()));
        self.recorder.puzzled(system, &trouble, Some(body)).await
    }

    /// What breaks FHIR's rules in a received resource, as a question.
    pub fn broken(&self, system: &System, seen: &Seen, body: &Value) -> Option<Trouble> {
        let findings = self.translator.breaks_base(body);
        let first = findings.first()?;
        let sentence = format!(
            "{} from {} breaks FHIR's rules: {}",
            crate::domain::capital_a(&seen.kind),
            system.name(),
            first.detail
        );
        let cause = [system.name().as_str(), &seen.kind, &first.detail];
        let trouble = Trouble::new(ItemKind::Inbound, "LIA-SYNC-014", sentence).cause(&cause);
        Some(trouble.subject(format!("{} {}", system.name(), seen.reference())).fields(record::places(&findings)))
    }

    /// Whether a person was asked about a record when a list showed it just so.
    pub fn is_known(&self, subject: &str, shown: Option<&Value>) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        shown.is_some_and(|shown| known.get(subject) == Some(&Hash::of(&canonical_bytes(&record::content(shown)))))
    }

    pub fn now_known(&self, subject: &str, shown: Option<&Value>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        if let Some(shown) = shown {
            known.insert(subject.to_owned(), Hash::of(&canonical_bytes(&record::content(shown))));
        }
    }

    /// A person wants it looked at again.
    pub fn forget(&self, subject: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(subject);
    }
}
