//! What an EHR showed or answered in a turn, compared with what stands here: what is read before a write, what is found before a
//! create, what a write was answered with.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use serde_json::Value;

use super::{
    Error,
    merge::{Occasion, Outcome, compare, occasion, settled},
    prepare::{Held, Subject},
    record::same_content,
    scene::{Reading, Scene},
    sender::{DOUBTS, Sender},
    setup::System,
};
use crate::{
    ehr::{Failure, Seen},
    mapping::MAIN,
};

impl Sender {
    /// A part was read: what changed there since is merged, and what is to be sent is made anew.
    pub(super) fn take_reading(
        &self,
        system: &System,
        scene: &mut Scene,
        part: &str,
        seen: &Seen,
    ) -> Result<(), Error> {
        let Some(held) = scene.held.iter_mut().find(|held| held.part == part) else { return Ok(()) };
        scene.read.push((part.to_owned(), seen.clone()));
        let Some(theirs) = seen.body.clone() else { return Ok(()) };
        held.version.clone_from(&seen.version);
        held.body = Some(theirs);
        let was_read = |held: &&Held| scene.read.iter().any(|(part, _)| *part == held.part);
        let read_now = scene.held.iter().filter(was_read).filter_map(|held| held.body.as_ref());
        let bases: Vec<&Value> = scene.before.iter().filter(was_read).filter_map(|held| held.body.as_ref()).collect();
        // Without a base every difference may be theirs.
        let has_base = bases.len() == scene.read.len();
        if has_base && bases.iter().zip(read_now).all(|(base, now)| same_content(base, now)) {
            scene.reading = Reading::Unchanged;
            scene.prepared = self.prepared(system, &scene.row, &scene.subject, &scene.held)?;
        } else {
            let (occasion, before) = (occasion(&scene.before), has_base.then_some(scene.before.as_slice()));
            let mut outcome = self.translator.merged(system, &scene.subject, before, &scene.held, occasion);
            if scene.before_the_start {
                // The ledger may be a restored backup, and theirs our own newer value: nothing is written over unasked.
                outcome.doubt_overruled(scene.subject.plan.fields());
            }
            let written = &outcome.merged.outgoing;
            scene.prepared = self.prepared_as(system, &scene.row, &scene.subject, written, &scene.held)?;
            scene.reading = Reading::Compared { outcome: Box::new(outcome), occasion, seen: scene.read.clone() };
        }
        scene.not_permitted =
            self.translator.not_permitted(&scene.subject.plan, &scene.subject.ours, &scene.held, system);
        Ok(())
    }

    /// What was found before a create counts as newer than what is here.
    pub(super) fn compare_found(&self, system: &System, scene: &mut Scene, found: &Result<Vec<Seen>, Failure>) {
        let Some(found) = found.as_ref().ok().filter(|_| scene.held.is_empty()) else { return };
        if found.is_empty() {
            let one_less = |left: usize| left.checked_sub(1);
            let _ = self.doubts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
            return;
        }
        self.doubts.store(DOUBTS, Ordering::Relaxed);
        let [seen] = found.as_slice() else { return };
        let held = [Held::found(MAIN, seen.reference(), seen.version.clone(), seen.body.clone())];
        let theirs = self.translator.read_back(&scene.subject.plan, &held, system);
        let said = scene.subject.plan.normalise(&scene.subject.ours, &system.context);
        let settled = BTreeMap::new();
        let outcome =
            self.translator.compared(system, &scene.subject, Some(&said), &theirs, &settled, Occasion::Fetched);
        scene.newer = Some(Box::new(outcome));
    }

    /// What the EHR answered, compared with what was sent.
    pub(super) fn compare_answer(&self, system: &System, scene: &Scene, seen: &Seen) -> Option<Box<Outcome>> {
        let sent = scene.sent.as_deref().filter(|sent| !sent.part.carries)?;
        let (body, part) = (seen.body.as_ref()?, sent.part.part.as_str());
        let before = settled(&scene.held);
        if before.is_empty() && same_content(body, &sent.part.resource) {
            return None;
        }
        let read = |body: &Value| self.translator.read_part(system, scene, part, body);
        let base = read(&sent.part.resource);
        // Until all parts are there, an object says less than ours.
        let is_whole = sent.last && part == MAIN;
        let ours = if is_whole { scene.subject.ours.clone() } else { base.clone() };
        let then = Subject { ours, ..scene.subject.clone() };
        Some(Box::new(compare(&then, Some(&base), &read(body), &before, Occasion::Answered)))
    }
}
