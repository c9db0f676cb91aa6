//! What both sides started from, where nobody saw it: what an attempt sent, made anew from the version that it sent. The
//! base of a merge is only ever what was sent or what was merged, never what was merely found: what staff changed there
//! meanwhile would be taken for what we agreed on, and written over.

use serde_json::Value;

use super::{
    Error,
    merge::{Occasion, compare, settled},
    prepare::{Held, Prepared, Subject},
    scene::Scene,
    setup::System,
    translator::Translator,
};
use crate::{
    ehr::Seen,
    fhir::canonical_bytes,
    ledger::{Fact, Hash, InFlight, SyncRow},
};

impl Translator {
    /// The object of a sync in one version.
    pub fn version_of(&self, row: &SyncRow, version: u64) -> Result<Option<Value>, Error> {
        let made = self.ledger.version(&row.object, &row.object_id, version)?;
        let hash = made.and_then(|entry| entry.draft.body);
        hash.map(|hash| self.read_body(&hash)).transpose()
    }

    /// The resource that an attempt sent; nothing where that cannot be made any more.
    pub fn resource_sent(
        &self,
        system: &System,
        row: &SyncRow,
        subject: &Subject,
        held: &[Held],
        flight: &InFlight,
    ) -> Result<Option<Value>, Error> {
        let Some(ours) = self.version_of(row, flight.version)? else { return Ok(None) };
        // A change was written into what was held; what was made was written into nothing.
        let into = |held: &&Held| held.part != flight.part || flight.interaction == "update";
        let held: Vec<Held> = held.iter().filter(into).cloned().collect();
        let then = Subject { ours, ..subject.clone() };
        let parts = match self.prepare(system, row, &then.plan, &self.to_write(system, &then, &held), &held) {
            Ok(Prepared::Ready(parts)) => parts,
            Ok(Prepared::Waiting(_)) | Err(Error::Invalid(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let part = parts.into_iter().find(|part| part.part == flight.part && !part.carries);
        Ok(part.map(|part| {
            let mut resource = part.resource;
            if let Some(members) = resource.as_object_mut().filter(|_| flight.interaction != "update") {
                members.shift_remove("id");
            }
            resource
        }))
    }

    /// What an attempt before the open one may have made there, where an EHR has one already: that which reads as the EHR's,
    /// else the newest.
    pub fn resource_sent_before(
        &self,
        system: &System,
        scene: &Scene,
        part: &str,
        seen: &Seen,
    ) -> Result<Option<Value>, Error> {
        let row = &scene.row;
        let history = self.ledger.history(&row.object, &row.object_id)?;
        let attempts = history.iter().rev().filter_map(|entry| match &entry.draft.fact {
            Fact::Attempted { interaction, part: sent, .. }
                if entry.draft.sync_id.as_ref() == Some(&row.id) && interaction == "create" && sent == part =>
            {
                let (interaction, part) = (interaction.clone(), part.to_owned());
                Some(InFlight { seq: entry.seq, version: entry.draft.version?, part, interaction })
            }
            _ => None,
        });
        let mut newest = None;
        // The first is the attempt that found it.
        for flight in attempts.skip(1) {
            let Some(sent) = self.resource_sent(system, row, &scene.subject, &scene.held, &flight)? else { continue };
            let read = |body: &Value| self.read_part(system, scene, part, body);
            if seen.body.as_ref().is_some_and(|body| crate::fhir::canonically_equal(&read(body), &read(&sent))) {
                return Ok(Some(sent));
            }
            newest = newest.or(Some(sent));
        }
        Ok(newest)
    }

    /// What is held says, with one part as it was found.
    pub fn read_part(&self, system: &System, scene: &Scene, part: &str, body: &Value) -> Value {
        self.read_back(&scene.subject.plan, &in_place_of(scene, part, body), system)
    }

    /// Whether a change that the EHR does not show as it was sent arrived all the same, and somebody changed something since:
    /// what it changed is there in part.
    pub fn landed(&self, system: &System, scene: &Scene, seen: &Seen) -> bool {
        let (Some(flight), Some(sent), Some(body)) = (scene.row.in_flight(), &scene.sent_then, &seen.body) else {
            return false;
        };
        let read = |body: &Value| self.read_part(system, scene, &flight.part, body);
        let before = self.read_back(&scene.subject.plan, &scene.held, system);
        arrived_in_part(Some(&before), Some(&read(sent)), Some(&read(body)))
    }

    /// Whether what the EHR holds is what the open attempt sent.
    pub fn shows(&self, system: &System, scene: &Scene, seen: &Seen) -> Result<bool, Error> {
        let (Some(flight), Some(body)) = (scene.row.in_flight(), &seen.body) else { return Ok(false) };
        let sent = self.ledger.entry(flight.seq)?.map(|entry| entry.draft.fact);
        if let Some(Fact::Attempted { output: Some(output), .. }) = sent
            && output == Hash::of(&canonical_bytes(&super::record::content(body)))
        {
            return Ok(true);
        }
        // The EHR may have added something of its own: then what counts is what the mapping reads.
        let Some(ours) = self.version_of(&scene.row, flight.version)? else { return Ok(false) };
        let said = scene.subject.plan.normalise(&ours, &system.context);
        let theirs = self.read_part(system, scene, &flight.part, body);
        let then = Subject { ours, ..scene.subject.clone() };
        let before = settled(&scene.held);
        Ok(compare(&then, Some(&said), &theirs, &before, Occasion::Answered).is_quiet())
    }
}

/// Whether there is a field that `sent` changed and that `theirs` has as it was sent.
fn arrived_in_part(before: Option<&Value>, sent: Option<&Value>, theirs: Option<&Value>) -> bool {
    if let (Some(Value::Object(sent)), Some(Value::Object(theirs))) = (sent, theirs) {
        let before = before.and_then(Value::as_object);
        let mut keys = before.into_iter().flat_map(|before| before.keys()).chain(sent.keys());
        return keys.any(|key| arrived_in_part(before.and_then(|b| b.get(key)), sent.get(key), theirs.get(key)));
    }
    !same_value(before, sent) && same_value(sent, theirs)
}

/// Whether two members are the same; both may be absent.
pub(super) fn same_value(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => crate::fhir::canonically_equal(a, b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// What is held, with a part as it was found.
pub(super) fn in_place_of(scene: &Scene, part: &str, body: &Value) -> Vec<Held> {
    let mut held = scene.held.clone();
    match held.iter_mut().find(|held| held.part == part) {
        Some(held) => held.body = Some(body.clone()),
        None => {
            held.push(Held::found(part, String::new(), None, Some(body.clone())));
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_arrived_where_anything_that_it_changed_is_there_as_sent() {
        let before = json!({"family": "A", "born": "1980", "phones": ["1"], "place": {"city": "X"}});
        let sent = json!({"family": "B", "born": "1980", "phones": ["1"], "place": {"city": "Y"}});
        let arrived = |theirs: &Value| arrived_in_part(Some(&before), Some(&sent), Some(theirs));
        assert!(
            arrived(&json!({"family": "B", "born": "1981", "phones": ["1"], "place": {"city": "Y"}})),
            "and edited since"
        );
        assert!(
            arrived(&json!({"family": "C", "born": "1980", "phones": ["1"], "place": {"city": "Y"}})),
            "in a field of ours"
        );
        assert!(!arrived(&before), "nothing of it");
        assert!(
            !arrived(&json!({"family": "A", "born": "1981", "phones": ["1", "2"], "place": {"city": "X"}})),
            "edited only"
        );
        assert!(!arrived(&json!({"family": "C", "born": "1980", "phones": ["1"], "place": {"city": "Z"}})));
        let removed = json!({"family": "A", "born": "1980", "place": {"city": "X"}});
        assert!(arrived_in_part(Some(&before), Some(&removed), Some(&removed)), "what was removed is gone");
    }
}
