//! All that deciding looks at: where a sync stands, its object, what the EHR holds, what would be sent, what the EHR offers,
//! what is known about an open outcome, how long it took so far, and what this turn has found out. Loaded by the shell;
//! deciding looks nothing else up.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    evidence::Doubt,
    identity,
    merge::{Occasion, Outcome},
    prepare::{Held, Outgoing, Prepared, Subject, part_name},
    record::{self, Trouble},
    rejoin::{Between, Rejoin},
    step::{Has, Look, Note, Sent, Way},
};
use crate::{
    ehr::{Capability, Seen},
    error::Finding,
    fhir,
    ledger::{SyncId, SyncRow},
    mapping::{MAIN, identifier_system},
};

/// What reading the parts before a write showed.
#[derive(Clone, Debug)]
pub(super) enum Reading {
    /// Not read in this turn.
    NotYet,
    /// As it was seen last.
    Unchanged,
    /// Somebody changed it, or nobody knows what it was made from: this is what the merge came to, and the parts read, by name.
    Compared { outcome: Box<Outcome>, occasion: Occasion, seen: Vec<(String, Seen)> },
}

impl Reading {
    pub const fn is_unchanged(&self) -> bool {
        matches!(self, Self::Unchanged)
    }
}

/// One sync at its turn.
pub(super) struct Scene {
    /// `[server] instance`.
    pub instance: String,
    /// Where it stands.
    pub row: SyncRow,
    /// Its object and the plan that takes it there.
    pub subject: Subject,
    /// The object is called off.
    pub cancelled: bool,
    /// What the EHR was last seen to hold.
    pub held: Vec<Held>,
    /// The same as it stood before anything was read in this turn.
    pub before: Vec<Held>,
    /// The parts read in this turn.
    pub read: Vec<(String, Seen)>,
    /// What would be sent, or what is wrong with it.
    pub prepared: Result<Prepared, Vec<Finding>>,
    /// What the EHR's dialect does not let others write.
    pub not_permitted: Vec<Finding>,
    /// Of those that it waits for, those that nobody will send any more.
    pub given_up: BTreeSet<SyncId>,
    /// Whose the items about those are.
    pub blockers_owner: Option<String>,
    /// A person is asked about one of those that it waits for.
    pub blockers_are_asked: bool,
    /// What the EHR offers.
    pub capability: Arc<Capability>,
    /// Accepted before the start, so that it may be there although the ledger does not know it.
    pub before_the_start: bool,
    /// A person was asked because it was not there any more: perhaps it was only not shown.
    pub was_gone: bool,
    /// Such are looked for also where the EHR says that it looks itself.
    pub is_perhaps_restored: bool,
    /// The ledger does not know a record of ours that an EHR shows: whatever it would create may be there.
    pub is_behind: bool,
    /// What is known about the open outcome.
    pub doubt: Doubt,
    /// A person looked and said that it may be sent again.
    pub asked_to_retry: bool,
    /// Since it was accepted, or asked for again.
    pub waited: Duration,
    /// Since the open attempt began.
    pub open_for: Duration,
    /// Since it was first read back in this process, by the steady clock: what a proof of absence may hang on.
    pub sought_for: Duration,
    /// `give_up_after`.
    pub patience: Duration,
    /// `settle_within`.
    pub settle_within: Duration,
    /// In `0.0..1.0`.
    pub chance: f64,
    /// What this turn read.
    pub reading: Reading,
    /// It was looked for in this turn and is not there.
    pub looked_for: bool,
    /// What this turn sent.
    pub sent: Option<Box<Sent>>,
    /// What the EHR answered first.
    pub answered: Option<Seen>,
    /// What the EHR's answer came to, compared with what was sent.
    pub answer: Option<Box<Outcome>>,
    /// Whether what was read back is what the open attempt sent.
    pub shown: bool,
    /// It is not, but it arrived: somebody changed it since.
    pub landed: bool,
    /// What made the resource that was found there: the base of the next merge. Unknown where it cannot be made anew.
    pub sent_then: Option<Value>,
    /// What our writes of this turn went over.
    pub rejoin: Rejoin,
    /// What stood between what was read and what was written last.
    pub between: Between,
    /// What was found before a create, merged as newer than ours.
    pub newer: Option<Box<Outcome>>,
}

impl Scene {
    /// The system's name.
    pub fn system(&self) -> &str {
        self.row.system.as_str()
    }

    /// Nothing of it is there, and nothing is under way.
    pub fn never_left(&self) -> bool {
        self.held.is_empty() && self.row.synced_version.is_none() && self.row.in_flight().is_none()
    }

    /// The part that is to be read next before anything is sent: the main one first; then those that change, or whose answer
    /// nobody looked at. Nothing is read where nothing is sent and all was looked at.
    pub fn unread(&self) -> Option<&Held> {
        let Ok(Prepared::Ready(parts)) = &self.prepared else { return None };
        let main = self.before.iter().find(|held| held.part == MAIN)?;
        // It was found again after it had been gone; nobody looked yet what became of it.
        let is_back = main.version.is_none() && self.row.synced_version.is_none();
        let sent = self.before.iter().any(|held| held.sent);
        if !sent && main.body.is_some() && !is_back && parts.iter().all(Outgoing::is_there) {
            return None;
        }
        let counts = |held: &&Held| {
            let out = parts.iter().find(|out| out.part == held.part && !out.carries);
            held.part == MAIN || out.is_some_and(|out| held.sent || !out.is_there())
        };
        let was_read = |held: &&Held| self.read.iter().any(|(part, _)| *part == held.part);
        self.held.iter().filter(counts).find(|held| !was_read(held))
    }

    /// What reading the parts in this turn came to.
    pub fn compared(&self) -> Option<&Outcome> {
        match &self.reading {
            Reading::Compared { outcome, .. } => Some(outcome),
            Reading::NotYet | Reading::Unchanged => None,
        }
    }

    /// Whether what was sent in this turn is a change of the main part.
    pub fn updates_main(&self) -> bool {
        let main = |sent: &Sent| sent.part.part == MAIN && matches!(sent.way, Way::Update { .. });
        self.sent.as_deref().is_some_and(main)
    }

    /// Whether it is looked for before it is created: always where the EHR does not look by itself; where it says that it
    /// does, as long as the ledger may be a restored backup.
    pub const fn is_doubtful(&self, conditional: bool) -> bool {
        let restored = self.before_the_start && (!conditional || self.is_perhaps_restored);
        self.row.attempts == 0 && !self.looked_for && (restored || self.was_gone || self.is_behind)
    }

    /// What it would break.
    pub fn invalid(&self, findings: &[Finding]) -> Trouble {
        record::invalid(findings, &self.row.object, &self.row.system)
    }

    /// The part that the open attempt sent, as the plan makes it.
    fn sent_part(&self) -> Option<Value> {
        let flight = self.row.in_flight()?;
        let parts = self.subject.plan.to_fhir(&self.subject.ours, &self.subject.context).ok()?;
        parts.into_iter().find(|part| part_name(part) == flight.part).map(|part| part.resource)
    }

    /// The type of the resource that the open attempt sent.
    pub fn sent_kind(&self) -> String {
        let part = self.sent_part();
        part.as_ref().and_then(fhir::resource_type).unwrap_or_default().to_owned()
    }

    /// How the open attempt is read back.
    pub fn look(&self) -> Look {
        let Some(flight) = self.row.in_flight() else { return Look::Nohow };
        let reference = self.held.iter().find(|held| held.part == flight.part).map(|held| held.reference.as_str());
        if let Some((kind, id)) = reference.and_then(|reference| reference.split_once('/')) {
            return Look::At { kind: kind.to_owned(), id: id.to_owned() };
        }
        let Some(part) = self.sent_part() else { return Look::Nohow };
        let kind = fhir::resource_type(&part).unwrap_or_default().to_owned();
        if let ("put-create", Some(id)) = (flight.interaction.as_str(), part.get("id").and_then(Value::as_str)) {
            return Look::At { kind, id: id.to_owned() };
        }
        match identity::claimed(&part, &self.instance) {
            Some((object, id)) => {
                let system = identifier_system(&self.instance, object.as_str());
                Look::By { kind, system, value: id.to_string() }
            }
            None => Look::Nohow,
        }
    }

    /// What is there was made from this version or a later one of ours, so that wherever it differs, it is newer.
    pub fn take_later(&self, seen: Seen) -> Note {
        match &self.newer {
            Some(outcome) if outcome.merged.takes_theirs && seen.body.is_some() => {
                let seen = vec![(MAIN.to_owned(), seen)];
                Note::Takes { outcome: outcome.clone(), seen, back: false }
            }
            _ => Note::Has(Has::found(seen, MAIN, "was looked at before sending: it has it")),
        }
    }
}
