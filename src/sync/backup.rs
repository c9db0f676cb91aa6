//! The ledger may be a restored backup: what it does not know to have sent may be at the EHR all the same. So what was
//! accepted before the start is looked for there before it is created, and what is found counts as newer than what is here.

use std::sync::atomic::Ordering;

use super::{
    Error, identity,
    inbound::Topic,
    merge::merge,
    prepare::{Held, Outgoing, Subject},
    push::{Step, Way},
    record,
    setup::{Inner, System},
};
use crate::{
    ehr::Seen,
    ledger::SyncRow,
    mapping::{MAIN, Owner},
};

/// So many that were waiting at the start are looked for before the EHR's own word is taken.
pub(super) const DOUBTS: usize = 8;

impl Inner {
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
        let name = system.context.system(object.as_str());
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
                self.take_later(system, row, subject, part, seen).await?;
                Ok(Some(Step::Recorded))
            }
            _ => self.several(row).await.map(Some),
        }
    }

    /// What is there was made from this version or a later one of ours, so that wherever it differs, it is newer.
    async fn take_later(
        &self,
        system: &System,
        row: &SyncRow,
        subject: &Subject,
        part: &Outgoing,
        seen: &Seen,
    ) -> Result<(), Error> {
        let (remote, bytes) = record::remote(&part.part, seen);
        let held = [Held {
            part: part.part.clone(),
            reference: seen.reference(),
            version: seen.version.clone(),
            body: seen.body.clone(),
        }];
        let theirs = self.read_back(&subject.plan, &held, system);
        let said = subject.plan.normalise(&subject.ours, &system.context);
        let merged = merge(Some(&said), &subject.ours, &said, &theirs, &|_| Owner::Ehr);
        if part.part == MAIN && seen.body.is_some() && merged.takes_theirs {
            let topic = Topic::of(row);
            return self.apply(&topic, subject.version, &merged.value, vec![(remote, bytes)], false).await;
        }
        self.acknowledge_with(row, subject, false, vec![remote], None, bytes).await
    }
}
