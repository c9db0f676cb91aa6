//! What both sides started from, where nobody saw it: what an attempt sent, made anew from the version that it sent. The
//! base of a merge is only ever what was sent or what was merged, never what was merely found: what staff changed there
//! meanwhile would be taken for what we agreed on, and written over.

use serde_json::Value;

use super::{
    Error,
    merge::merge,
    prepare::{Held, Prepared, Subject},
    scene::Scene,
    setup::System,
    translator::Translator,
};
use crate::{
    ehr::Seen,
    fhir::canonical_bytes,
    ledger::{Fact, Hash, InFlight, SyncRow},
    mapping::Owner,
};

impl Translator {
    /// The object in the version that an attempt sent.
    fn version_sent(&self, row: &SyncRow, version: u64) -> Result<Option<Value>, Error> {
        let history = self.ledger.history(&row.object, &row.object_id)?;
        let made = history.iter().rev().find(|entry| {
            entry.draft.version == Some(version)
                && matches!(entry.draft.fact, Fact::Accepted { .. } | Fact::Applied { .. })
        });
        let hash = made.and_then(|entry| entry.draft.body);
        hash.map(|hash| self.read_body(&hash)).transpose()
    }

    /// The resource that an attempt to make a part sent; nothing where that cannot be made any more.
    pub fn resource_sent(
        &self,
        system: &System,
        row: &SyncRow,
        subject: &Subject,
        held: &[Held],
        flight: &InFlight,
    ) -> Result<Option<Value>, Error> {
        let Some(ours) = self.version_sent(row, flight.version)? else { return Ok(None) };
        let others: Vec<Held> = held.iter().filter(|held| held.part != flight.part).cloned().collect();
        let parts = match self.prepare(system, row, &subject.plan, &ours, &others) {
            Ok(Prepared::Ready(parts)) => parts,
            Ok(Prepared::Waiting(_)) | Err(Error::Invalid(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let part = parts.into_iter().find(|part| part.part == flight.part && !part.carries);
        Ok(part.map(|part| {
            let mut resource = part.resource;
            if let Some(members) = resource.as_object_mut() {
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
            if seen.body.as_ref().is_some_and(|body| self.reads_alike(system, scene, part, body, &sent)) {
                return Ok(Some(sent));
            }
            newest = newest.or(Some(sent));
        }
        Ok(newest)
    }

    fn reads_alike(&self, system: &System, scene: &Scene, part: &str, one: &Value, other: &Value) -> bool {
        let read = |body: &Value| self.read_back(&scene.subject.plan, &in_place_of(scene, part, body), system);
        crate::fhir::canonically_equal(&read(one), &read(other))
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
        let Some(ours) = self.version_sent(&scene.row, flight.version)? else { return Ok(false) };
        let plan = &scene.subject.plan;
        let said = plan.normalise(&ours, &system.context);
        let theirs = self.read_back(plan, &in_place_of(scene, &flight.part, body), system);
        let rest = merge(None, &ours, &said, &theirs, &|_| Owner::Internal);
        Ok(!rest.keeps_ours && !rest.takes_theirs)
    }
}

/// What is held, with a part as it was found.
fn in_place_of(scene: &Scene, part: &str, body: &Value) -> Vec<Held> {
    let mut held = scene.held.clone();
    match held.iter_mut().find(|held| held.part == part) {
        Some(held) => held.body = Some(body.clone()),
        None => {
            held.push(Held { part: part.to_owned(), reference: String::new(), version: None, body: Some(body.clone()) })
        }
    }
    held
}
