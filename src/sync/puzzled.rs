//! Questions to a person about what an EHR sent: broken records, nameless entries, lists that cannot be read. Each is asked
//! once; what is received stays in the ledger as evidence.

use bytes::Bytes;
use serde_json::Value;

use super::{
    Error,
    inbound::Taken,
    record::{self, LIAISON, Trouble},
    setup::{Inner, System},
};
use crate::{
    ehr::Seen,
    ledger::{Hash, ItemKind, Proposal},
};

impl Inner {
    /// Something in a list that has no name of its own, or that cannot be read: known by its bytes.
    pub async fn nameless(&self, system: &System, what: &str, body: Bytes) -> Result<Taken, Error> {
        let sentence = format!("{} sent something {what}.", system.name());
        let trouble = Trouble::new(ItemKind::Inbound, "LIA-SYNC-014", sentence)
            .cause(&[system.name().as_str(), what])
            .subject(format!("{} {what} {}", system.name(), Hash::of(&body)));
        self.puzzled(system, &trouble, Some(body)).await
    }

    /// A whole list that cannot be read: told once until it can be.
    pub async fn illegible(&self, system: &System, kind: &str) -> Result<Taken, Error> {
        let sentence = format!("The list of each {kind} from {} cannot be read.", system.name());
        let trouble = Trouble::new(ItemKind::Inbound, "LIA-SYNC-014", sentence)
            .cause(&[system.name().as_str(), kind, "list"])
            .subject(list_of(system, kind));
        self.puzzled(system, &trouble, None).await
    }

    /// What breaks FHIR's rules in a received resource, as a question.
    pub fn broken(&self, system: &System, seen: &Seen, body: &Value) -> Option<Trouble> {
        let findings = self.breaks_base(body);
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

    /// Gives something received to a person; a second sighting of the same is not told again.
    pub async fn puzzled(&self, system: &System, trouble: &Trouble, body: Option<Bytes>) -> Result<Taken, Error> {
        let mark = (trouble.subject.clone().unwrap_or_default(), body.as_deref().map(Hash::of));
        if self.is_told(&mark) {
            return Ok(Taken::Done);
        }
        let (draft, detail) = trouble.parked(LIAISON);
        let mut draft = draft.system(system.name());
        draft.body = body.as_deref().map(Hash::of);
        self.ledger.commit(record::with(record::with(Proposal::of(draft), detail), body)).await?;
        self.tell(mark);
        Ok(Taken::Done)
    }
}

/// What a question about a whole list is about.
pub(super) fn list_of(system: &System, kind: &str) -> String {
    format!("{} {kind} list", system.name())
}
