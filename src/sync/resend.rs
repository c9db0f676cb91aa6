//! A sender's file sent again (`Prefer: merge`): three ways, where the base is what this sender had accepted last, so that a
//! sender who repeats itself undoes nobody's work (PROMISES R27). What both changed is refused by field, and nothing is stored.

use bytes::Bytes;
use serde_json::Value;

use super::{
    Engine, Error, Resend,
    change::moves,
    engine::{Version, idempotency, with_id},
    merge::{Decision, Field, Occasion, dotted},
};
use crate::{
    error::Finding,
    fhir::{canonical_bytes, canonically_equal},
    ledger::{Answer, Draft, Expect, Fact, Hash, LedgerError, ObjectRow, Operation, Proposal},
    mapping::merge::{Settled, Sides, merge},
};

/// Somebody may write at the same time: judged again so often.
const AGAIN: u32 = 5;

impl Engine {
    /// Merges what a sender sent with what stands here. Gives the version that stands then, and what of the sender's did not.
    ///
    /// # Errors
    /// As [`Engine::update`]; [`Error::Differs`] where both changed a field.
    pub async fn resend(&self, request: Resend) -> Result<(Answer, Vec<Finding>), Error> {
        let key = request.key.as_ref().map(|key| idempotency(key, &request.body));
        if let Some(answer) = key.as_ref().map_or(Ok(None), |key| self.remembered(key))? {
            return Ok((answer, Vec::new()));
        }
        let mut tries = 0;
        loop {
            tries += 1;
            match self.resend_once(&request, key.clone()).await {
                Err(Error::Ledger(LedgerError::Stale { .. })) if tries < AGAIN => {}
                ended => return ended,
            }
        }
    }

    async fn resend_once(
        &self,
        request: &Resend,
        key: Option<crate::ledger::Idempotency>,
    ) -> Result<(Answer, Vec<Finding>), Error> {
        let (translator, kind) = (&self.parts.translator, self.kind(&request.object)?);
        let row = translator.ledger.object(&request.object, &request.id)?;
        let row = row.ok_or(Error::Ledger(LedgerError::NoObject))?;
        let (theirs, new) = (translator.object_body(&row)?, with_id(request.body.clone(), &request.id)?);
        let base = self.sent_last(&row, &request.by)?;
        let plan = translator.mappings.now().plan(request.object.as_str(), "generic").ok_or(Error::UnknownObject)?;
        let rules = plan.fields().open();
        let sides = Sides { base: base.as_ref(), ours: &new, said: &new, theirs: &theirs };
        let mut merged = merge(&sides, &Settled::new(), Occasion::Fetched, &rules);
        // What this sender does not name any more and others changed stays theirs.
        let (kept, mut both): (Vec<Field>, Vec<Field>) =
            merged.conflicts.iter().cloned().partition(|field| field.ours.is_none() && base.is_some());
        for field in &kept {
            merged.decide(&rules, &field.path, Decision::Theirs);
        }
        both.extend(merged.overruled.iter().cloned());
        if !both.is_empty() {
            let fields = both.iter().map(Field::to_json).collect();
            return Err(Error::Differs { fields });
        }
        let warnings = kept.iter().chain(&merged.yielded).map(stands).collect();
        let sent = Bytes::from(serde_json::to_vec(&new).unwrap_or_default());
        let value = with_id(merged.value, &request.id)?;
        if canonically_equal(&value, &theirs) {
            if base.is_none_or(|base| !canonically_equal(&base, &new)) {
                self.note_repeated(&row, sent, &request.by).await?;
            }
            let syncs = translator.ledger.syncs_of(&request.object, &request.id)?;
            return Ok((Answer { id: request.id.clone(), version: row.version, syncs }, warnings));
        }
        let cancels = moves(&kind, &theirs, &value)?;
        let content = Hash::of(&canonical_bytes(&value));
        let checked = self.check(&request.object, Some(&theirs), value, content, request.lenient)?;
        let operation = if cancels { Operation::Cancelled } else { Operation::Updated };
        let (object, id, by) = (&request.object, &request.id, request.by.as_str());
        let (version, expect) = (row.version + 1, Expect::Version(row.version));
        let version = Version { object, id, version, operation, expect, key, by, sent: Some(sent) };
        Ok((self.store(version, &checked).await?, warnings))
    }

    /// What this sender had accepted last.
    fn sent_last(&self, row: &ObjectRow, by: &str) -> Result<Option<Value>, Error> {
        let ledger = &self.parts.translator.ledger;
        let history = ledger.history(&row.object, &row.id)?;
        let last = history.iter().rev().map(|entry| &entry.draft).filter(|draft| draft.by == by);
        let last = last.filter_map(|draft| match &draft.fact {
            Fact::Accepted { sent, .. } => sent.or(draft.body),
            Fact::Repeated {} => draft.body,
            _ => None,
        });
        last.take(1).next().map(|hash| self.parts.translator.read_body(&hash)).transpose()
    }

    /// What needs no new version is the base of this sender's next merge all the same.
    async fn note_repeated(&self, row: &ObjectRow, sent: Bytes, by: &str) -> Result<(), Error> {
        let draft = Draft::new(Fact::Repeated {}, by, "Sent again; nothing new in it.");
        let draft = draft.about(&row.object, &row.id, row.version).body(Hash::of(&sent));
        self.parts.translator.ledger.commit(Proposal::of(draft).body(sent)).await?;
        Ok(())
    }
}

/// What stands although the sender sent something else.
fn stands(field: &Field) -> Finding {
    Finding {
        pointer: field.path.clone(),
        code: "LIA-SYNC-030".to_owned(),
        detail: format!("{} was changed by others since you sent it last; theirs stands.", dotted(&field.path)),
        remedy: "To change it all the same, read the object and send it with If-Match.".to_owned(),
    }
}
