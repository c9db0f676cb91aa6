//! Deciding about what may have stood between what was read and what was written: pure. An EHR that ignores the condition under
//! which we write may have let us write over an edit; it is joined with ours, or told.

use super::{
    decide::acknowledged,
    record,
    rejoin::{Between, ROUNDS},
    scene::Scene,
    step::{Ask, Note, Step},
};
use crate::ehr::{self, Seen};

/// What may have stood between the version under which something was written and the one that this made.
pub(super) fn look_between(scene: &Scene, read: &str, written: &Seen) -> Option<Ask> {
    let (kind, id, now) = (written.kind.clone(), written.id.clone(), written.version.as_deref()?);
    match (ehr::version_number(read), ehr::version_number(now)) {
        (Some(read), Some(now)) if now > read + 1 => Some(Ask::Version { kind, id, version: (now - 1).to_string() }),
        (Some(_), Some(_)) => None,
        // What cannot be counted is looked up.
        _ if scene.capability.may_ignore_versions(&kind) => {
            Some(Ask::Before { kind, id, read: read.to_owned(), version: now.to_owned() })
        }
        _ => None,
    }
}

/// Nothing was in between, or what was is there again: as the EHR answered.
pub(super) fn as_answered(scene: &Scene) -> Note {
    match (&scene.sent, &scene.answered) {
        (Some(sent), Some(answered)) if scene.rejoin.rounds == 0 => acknowledged(scene, sent, answered.clone()),
        // The next turn reads it and merges it like any other edit.
        _ => Note::Later {
            wait_ms: 0,
            code: Some("LIA-EHR-006"),
            sentence: format!("{} ignored our condition; the edit in between was put back.", scene.system()),
        },
    }
}

pub(super) fn lost_between(scene: &Scene) -> Step {
    let (Some(sent), Some(answered)) = (&scene.sent, &scene.answered) else { return Step::Record(as_answered(scene)) };
    match &scene.between {
        Between::Nothing => Step::Record(as_answered(scene)),
        Between::Edit(joined) if scene.rejoin.rounds <= ROUNDS => {
            let sentence =
                format!("{} ignored our condition; the edit that was in between is put back.", scene.system());
            let (kind, id) = (sent.part.kind.clone(), answered.id.clone());
            let ask = Ask::Rejoin { kind, id, body: joined.clone(), version: answered.version.clone() };
            Step::Restore { ask, sentence }
        }
        // Without old versions there is nothing to put back: somebody must look.
        _ => Step::Record(overwritten(scene)),
    }
}

/// The edit and ours are there, joined; unless somebody was in between once more.
pub(super) fn rejoined(scene: &Scene, seen: &Seen) -> Step {
    let again = scene.rejoin.version.as_deref().and_then(|read| look_between(scene, read, seen));
    again.map_or_else(|| Step::Record(as_answered(scene)), Step::Ask)
}

/// An edit there is gone, and nobody can bring it back: told whatever becomes of ours.
pub(super) fn overwritten(scene: &Scene) -> Note {
    Note::Told(record::overwritten(scene), Box::new(as_answered(scene)))
}
