//! Questions to a person about what an EHR sent: broken records and nameless entries. Each is known by what it is about, not
//! by its bytes, and asked once; what was received stays in the ledger as evidence.

use std::{collections::BTreeMap, sync::PoisonError, time::Duration};

use bytes::Bytes;
use serde_json::Value;

use super::{
    Error,
    inbound::Taken,
    puller::Puller,
    record::{self, Trouble},
    retry::{LONGEST_REST, rest},
    setup::System,
};
use crate::{
    domain::SystemName,
    ehr::{Failure, Kind, Seen},
    error::Explained as _,
    fhir::canonical_bytes,
    ledger::{Hash, ItemKind},
    mapping::Plan,
};

/// So many times a record cannot be read before a person is asked, and `tell_after` at least.
const UNREADABLE: u32 = 3;

/// A record that could not be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unread {
    times: u32,
    since: Duration,
    rests_until: Duration,
}

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

    /// What breaks FHIR's rules in a received resource so that it cannot be taken in, as a question; else what was passed over.
    pub fn broken(
        &self,
        system: &System,
        seen: &Seen,
        body: &Value,
        plan: Option<&Plan>,
    ) -> Result<String, Box<Trouble>> {
        let blemishes = self.translator.breaks_base(body, plan, system);
        let findings = &blemishes.keep_out;
        let Some(first) = findings.first() else { return Ok(blemishes.remark()) };
        let sentence = format!(
            "{} from {} breaks FHIR's rules: {}",
            crate::domain::capital_a(&seen.kind),
            system.name(),
            first.detail
        );
        let cause = [system.name().as_str(), &seen.kind, &first.detail];
        let trouble = Trouble::new(ItemKind::Inbound, "LIA-SYNC-014", sentence).cause(&cause);
        let trouble = trouble.subject(format!("{} {}", system.name(), seen.reference()));
        Err(Box::new(trouble.fields(record::places(findings))))
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

    fn unread<T>(&self, how: impl FnOnce(&mut BTreeMap<String, Unread>) -> T) -> T {
        how(&mut self.unread.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a record that could not be read is left alone for now.
    pub fn rests(&self, system: &System, reference: &str) -> bool {
        let now = self.translator.clock.steady();
        self.unread(|all| all.get(&unread_of(system, reference)).is_some_and(|unread| now < unread.rests_until))
    }

    /// A record cannot be read: it is tried ever more rarely, and a person is asked after some time, or at once where only a
    /// person can mend it.
    pub async fn unreadable(&self, system: &System, reference: &str, failure: &Failure) -> Result<(), Error> {
        let (subject, now) = (unread_of(system, reference), self.translator.clock.steady());
        let every = system.config.pull.as_ref().map_or(LONGEST_REST, |pull| pull.every.get());
        let unread = self.unread(|all| {
            let unread = all.entry(subject.clone()).or_insert(Unread { times: 0, since: now, rests_until: now });
            unread.times = unread.times.saturating_add(1);
            let rest = rest(every, unread.times, LONGEST_REST);
            // A little less, so that the round after the next is not missed.
            unread.rests_until = now.saturating_add(rest.saturating_sub(every / 2));
            *unread
        });
        let for_long = unread.times >= UNREADABLE && now.saturating_sub(unread.since) >= system.config.tell_after.get();
        // A list may lag behind a deletion.
        let at_once = failure.needs_person() && failure.kind != Kind::Gone;
        if !for_long && !at_once {
            return Ok(());
        }
        let kind = reference.split_once('/').map_or(reference, |(kind, _)| kind);
        let sentence =
            format!("{} at {} cannot be read: {}", crate::domain::capital_a(kind), system.name(), failure.message);
        let trouble = Trouble::new(ItemKind::Inbound, failure.code(), sentence)
            .cause(&[system.name().as_str(), kind, "read"])
            .subject(subject);
        self.recorder.ask(system.name(), &trouble, None).await
    }

    /// A record was not there once more, in a later round.
    pub fn is_missed_again(&self, system: &System, reference: &str) -> bool {
        let (subject, now) = (unread_of(system, reference), self.translator.clock.steady());
        self.unread(|all| {
            let unread = all.entry(subject).or_insert(Unread { times: 0, since: now, rests_until: now });
            unread.times = unread.times.saturating_add(1);
            unread.times > 1
        })
    }

    /// How far those were looked at that lists do not show.
    pub fn looked_at<T>(&self, how: impl FnOnce(&mut BTreeMap<(SystemName, String), String>) -> T) -> T {
        how(&mut self.missed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A record can be read: the question about that closes.
    pub async fn readable(&self, system: &System, reference: &str) -> Result<(), Error> {
        let subject = unread_of(system, reference);
        self.unread(|all| all.remove(&subject));
        self.recorder.answered(&subject, "It could be read.").await
    }

    /// A person wants it looked at again.
    pub fn forget(&self, subject: &str) {
        self.unread(|all| all.remove(subject));
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(subject);
    }
}

/// What the question about a record that cannot be read is about.
fn unread_of(system: &System, reference: &str) -> String {
    format!("{} {reference} read", system.name())
}
