//! Where an EHR ignores `If-Match`, a write may land on an edit that was made while it was under way. The versions tell:
//! ours must follow the one that was read. If not, what was in between is put back, and the next step merges it
//! like any other edit. Nothing of the EHR's is lost, and its history shows what happened.

use super::{
    Error,
    prepare::{Outgoing, Subject},
    push::Way,
    record::{self, LIAISON, Trouble, same_content},
    setup::{Inner, System},
};
use crate::{
    ehr::{Seen, version_number},
    ledger::{Draft, Fact, Hash, ItemKind, Proposal, SyncRow},
};

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
        let Some((read, now)) = version_number(read).zip(seen.version.as_deref().and_then(version_number)) else {
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
        // Ours landed where it must not stay; putting back what was there is an attempt of its own.
        let undone = Draft::new(Fact::Deferred { delay_ms: 0 }, LIAISON, sentence.clone())
            .code("LIA-EHR-006")
            .sync(row)
            .about(&row.object, &row.object_id, subject.version);
        self.ledger.commit(Proposal::of(undone).and(draft)).await?;
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
