//! What a step came to, written down: the system has it, it is tried again, its outcome is open, or a person is asked.
//! The failure's category alone decides which.

use bytes::Bytes;
use jiff::Timestamp;

use super::{
    Error, identity,
    prepare::Subject,
    push::Step,
    record::{self, LIAISON},
    retry::{backoff, millis},
    setup::{Inner, System, Witness},
};
use crate::{
    ehr::{self, Failure, Seen},
    error::{Category, Explained as _},
    ledger::{Check, Draft, Fact, Hash, ItemKind, Proposal, SyncId, SyncRow},
};

impl Inner {
    /// Records that the system has a part, or all of it.
    pub async fn acknowledge(
        &self,
        row: &SyncRow,
        subject: &Subject,
        done: bool,
        remotes: Vec<crate::ledger::Remote>,
        output: Option<Hash>,
    ) -> Result<(), Error> {
        self.acknowledge_with(row, subject, done, remotes, output, None).await
    }

    pub async fn acknowledge_with(
        &self,
        row: &SyncRow,
        subject: &Subject,
        done: bool,
        remotes: Vec<crate::ledger::Remote>,
        output: Option<Hash>,
        body: Option<Bytes>,
    ) -> Result<(), Error> {
        let mapping = Some(subject.plan.version().to_owned());
        let fact = Fact::Acknowledged { done, remotes, mapping, output };
        let words = if done { "has it" } else { "has a part of it" };
        let draft = Draft::new(fact, LIAISON, format!("{} {words}.", row.system)).sync(row).about(
            &row.object,
            &row.object_id,
            subject.version,
        );
        self.ledger.commit(record::with(Proposal::of(draft), body)).await?;
        Ok(())
    }

    /// A read (or anything else that changes nothing) failed: wait, or ask a person.
    pub async fn not_done(&self, system: &System, row: &SyncRow, failure: &Failure) -> Result<Step, Error> {
        match failure.category() {
            Category::Rejected => self.park(row, &record::rejected(failure, &row.object, &row.system)).await?,
            _ => self.defer(system, row, row.attempts + 1, failure.code(), failure).await?,
        }
        Ok(Step::Recorded)
    }

    /// A write failed: by the outcome table.
    pub async fn failed(
        &self,
        system: &System,
        row: &SyncRow,
        subject: &Subject,
        failure: &Failure,
    ) -> Result<Step, Error> {
        let mut sent = row.clone();
        sent.version = subject.version;
        match failure.category() {
            // It was looked for by our identifier, was not there, and is refused once more: it is somebody else's record.
            Category::Unknown if failure.kind == ehr::Kind::Exists && row.attempts > 0 => {
                self.park(&sent, &record::rejected(failure, &row.object, &row.system)).await?;
            }
            Category::Unknown => {
                self.suspect(&sent.id, failure.status);
                let wait = backoff(row.attempts + 1, failure.retry_after, self.clock.chance());
                let delay_ms = if failure.retry_after.is_some() { millis(wait) } else { millis(wait) / 4 };
                self.unsettled(&sent, delay_ms, failure.code(), &failure.message).await?;
            }
            Category::Rejected => self.park(&sent, &record::rejected(failure, &row.object, &row.system)).await?,
            _ => self.defer(system, &sent, row.attempts + 1, failure.code(), failure).await?,
        }
        Ok(Step::Recorded)
    }

    /// Records that the outcome is not known, and when it is read back.
    pub async fn unsettled(&self, row: &SyncRow, delay_ms: u64, code: &str, sentence: &str) -> Result<(), Error> {
        let draft = Draft::new(Fact::Unsettled { delay_ms }, LIAISON, sentence).code(code).sync(row);
        self.ledger.commit(Proposal::of(draft)).await?;
        Ok(())
    }

    /// Records that it is tried again later; after the system's patience a person is asked.
    pub async fn defer(
        &self,
        system: &System,
        row: &SyncRow,
        attempt: u32,
        code: &str,
        failure: &Failure,
    ) -> Result<(), Error> {
        if self.waited(row)? > system.config.give_up_after.get() {
            let sentence = format!("Tried for too long. {}", failure.message);
            let trouble =
                record::Trouble::new(ItemKind::Rejected, "LIA-SYNC-017", sentence).cause(&[row.system.as_str(), code]);
            return self.park(row, &trouble).await;
        }
        // Somebody wrote in between: the newer version is read and merged at once.
        let merges = failure.kind == ehr::Kind::Changed && attempt <= 3;
        let wait = backoff(attempt, failure.retry_after, self.clock.chance());
        let delay_ms = if merges { 0 } else { millis(wait) };
        let draft = Draft::new(Fact::Deferred { delay_ms }, LIAISON, failure.message.clone()).code(code).sync(row);
        self.ledger.commit(Proposal::of(draft)).await?;
        Ok(())
    }

    /// Records that others must reach the system first; it is woken when they have, and given to a person when that takes
    /// longer than the system's patience.
    pub async fn wait_for(&self, system: &System, row: &SyncRow, on: Vec<SyncId>) -> Result<(), Error> {
        let (code, patience) = ("LIA-SYNC-018", system.config.give_up_after.get());
        let sentence = "It refers to something that has not reached the EHR yet; it follows as soon as that is there.";
        if self.waited(row)? > patience {
            let trouble = record::Trouble::new(ItemKind::Rejected, code, sentence)
                .cause(&[row.system.as_str(), row.object.as_str()]);
            return self.park(row, &trouble).await;
        }
        let fact = Fact::Waited { on, patience_ms: millis(patience) };
        let draft = Draft::new(fact, LIAISON, sentence).code(code).sync(row);
        self.ledger.commit(Proposal::of(draft).check(Check::SyncAt(row.id.clone(), row.seq))).await?;
        Ok(())
    }

    /// How long a sync has been waiting to be sent.
    pub fn waited(&self, row: &SyncRow) -> Result<std::time::Duration, Error> {
        Ok(self.ledger.entry(row.since)?.map(|entry| self.millis_since(entry.at)).unwrap_or_default())
    }

    /// Gives a sync to a person.
    pub async fn park(&self, row: &SyncRow, trouble: &record::Trouble) -> Result<(), Error> {
        let (draft, detail) = trouble.parked(LIAISON);
        self.ledger.commit(record::with(Proposal::of(draft.sync(row)), detail)).await?;
        Ok(())
    }

    /// The EHR holds it more than once: a person decides which one counts.
    pub async fn several(&self, row: &SyncRow) -> Result<Step, Error> {
        let failure = Failure::new(ehr::Kind::Several, "The EHR holds it more than once.");
        self.park(row, &record::rejected(&failure, &row.object, &row.system)).await?;
        Ok(Step::Recorded)
    }

    /// Remembers a created resource, and now and then how soon the EHR's search finds such a one.
    pub async fn witnessed(&self, system: &System, seen: &Seen, sent_at: Timestamp) {
        let Some((object, id)) = seen.body.as_ref().and_then(|body| identity::claimed(body, &self.instance)) else {
            return;
        };
        let (name, value) = (system.context.system(object.as_str()), id.to_string());
        system.remember(&seen.kind, Witness { system: name.clone(), value: value.clone(), sent_at });
        if !system.wants_lag(&seen.kind, sent_at) {
            return;
        }
        let asked_at = self.clock.now();
        let found = self.ask(system, system.client.by_identifier(&seen.kind, &name, &value)).await;
        if let Ok(found) = found {
            let lag = (!found.is_empty()).then(|| self.millis_since(sent_at));
            system.learn_lag(&seen.kind, asked_at, lag);
        }
    }
}
