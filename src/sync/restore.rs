//! Where an EHR ignores `If-Match`, a write may land on an edit that was made while it was under way. The versions tell:
//! ours must follow the one that was read. If not, what was in between is put back, and the next step merges it
//! like any other edit. Nothing of the EHR's is lost, and its history shows what happened.
//! And where the ledger itself may be a restored backup, what it does not know to have sent may be there all the same.

use std::sync::atomic::Ordering;

use super::{
    Error, identity,
    prepare::{Outgoing, Subject},
    push::{Step, Way},
    record::{self, LIAISON, Trouble, same_content},
    setup::{Inner, System},
};
use crate::{
    ehr::{self, Failure, Seen},
    ledger::{Draft, Fact, Hash, ItemKind, Proposal, SyncRow},
};

/// So many that were waiting at the start are looked for before the EHR's own word is taken.
pub(super) const DOUBTS: usize = 8;

impl Inner {
    /// Whether a write had landed on somebody's edit, which was then dealt with.
    pub async fn restored(
        &self,
        system: &System,
        row: &SyncRow,
        subject: &Subject,
        part: &Outgoing,
        way: &Way,
        seen: &Seen,
    ) -> Result<bool, Error> {
        let Way::Update { id, version: Some(read) } = way else { return Ok(false) };
        // Only versions that are counted tell that one is missing.
        let (Ok(read), Some(Ok(now))) = (read.parse::<u64>(), seen.version.as_deref().map(str::parse::<u64>)) else {
            return Ok(false);
        };
        if now <= read + 1 {
            return Ok(false);
        }
        let between = self.ask(system, system.client.vread(&part.kind, id, &(now - 1).to_string())).await;
        let lost = match between.map(|seen| seen.body) {
            Ok(Some(lost)) => lost,
            // Without old versions there is nothing to put back: somebody must look.
            _ => return self.tell_overwritten(row).await.map(|()| true),
        };
        let before = part.held.as_ref().and_then(|held| held.body.as_ref());
        if before.is_some_and(|before| same_content(before, &lost)) || same_content(&part.resource, &lost) {
            return Ok(false);
        }
        let fact = Fact::Attempted {
            attempt: row.attempts + 1,
            part: part.part.clone(),
            interaction: "update".to_owned(),
            mapping: None,
            output: Some(Hash::of(&crate::fhir::canonical_bytes(&record::content(&lost)))),
        };
        let sentence = format!("{} ignored our condition; the edit that was in between is put back.", row.system);
        let draft = Draft::new(fact, LIAISON, sentence.clone()).code("LIA-EHR-006").sync(row).about(
            &row.object,
            &row.object_id,
            subject.version,
        );
        self.ledger.commit(Proposal::of(draft)).await?;
        let body = self.outgoing(&lost)?;
        let written = self.ask(system, system.client.update(&part.kind, id, body, seen.version.as_deref())).await;
        if written.is_err() {
            return self.tell_overwritten(row).await.map(|()| true);
        }
        let draft = Draft::new(Fact::Deferred { delay_ms: 0 }, LIAISON, sentence).code("LIA-EHR-006").sync(row).about(
            &row.object,
            &row.object_id,
            subject.version,
        );
        self.ledger.commit(Proposal::of(draft)).await?;
        Ok(true)
    }

    /// Looks for what may be there although the ledger does not know it: something accepted before the start. Always where
    /// the EHR does not look by itself before it creates; where it says that it does, the oldest few, and as long as
    /// any is found (then the ledger is a backup). What is found is linked; the next step compares.
    pub async fn looked_for(
        &self,
        system: &System,
        row: &SyncRow,
        subject: &Subject,
        part: &Outgoing,
        way: &Way,
    ) -> Result<Option<Step>, Error> {
        let Way::Create { condition } = way else { return Ok(None) };
        let doubtful = condition.is_none() || self.doubts.load(Ordering::Relaxed) > 0;
        if row.since > self.began || row.attempts > 0 || !doubtful {
            return Ok(None);
        }
        let Some((object, id)) = identity::claimed(&part.resource, &self.instance) else { return Ok(None) };
        let name = format!("urn:liaison:{}:{object}", self.instance);
        let found = match self.ask(system, system.client.by_identifier(&part.kind, &name, id.as_str())).await {
            Ok(found) => found,
            Err(failure) => return self.not_done(system, row, &failure).await.map(Some),
        };
        match found.as_slice() {
            [] => {
                let _ = self.doubts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
                Ok(None)
            }
            [seen] => {
                self.doubts.store(DOUBTS, Ordering::Relaxed);
                let (remote, bytes) = record::remote(&part.part, seen);
                self.acknowledge_with(row, subject, false, vec![remote], None, bytes).await?;
                Ok(Some(Step::Recorded))
            }
            _ => {
                let failure = Failure::new(ehr::Kind::Several, "The EHR holds it more than once.");
                self.park(row, &record::rejected(&failure, &row.object, &row.system)).await?;
                Ok(Some(Step::Recorded))
            }
        }
    }

    async fn tell_overwritten(&self, row: &SyncRow) -> Result<(), Error> {
        let sentence =
            format!("{} ignored our condition, and an edit made there meanwhile was written over.", row.system);
        let trouble = Trouble::new(ItemKind::Conflict, "LIA-SYNC-012", sentence).cause(&[
            row.system.as_str(),
            row.object.as_str(),
            "overwritten",
        ]);
        self.park(row, &trouble).await
    }
}
