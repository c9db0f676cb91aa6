//! Deciding about open outcomes: pure. That something is there is easily believed; that it is not there only with proof,
//! because search indexes lag and conditions are ignored by some EHRs: a search that shows a younger resource of ours and not
//! this one, twice; or an EHR whose search was measured to be prompt since, looked at several times. Without proof a person
//! is asked, and nothing is sent.

use std::time::Duration;

use super::{
    decide::several,
    evidence::Doubt,
    record::Trouble,
    retry::{backoff, millis},
    scene::Scene,
    step::{Has, Note, Sight},
};
use crate::{
    ehr::{Failure, Seen},
    error::Explained as _,
    ledger::ItemKind,
};

/// What a request may still need at the EHR after we stopped waiting for its answer.
const GRACE: Duration = Duration::from_secs(1);
/// A search that is known to be behind is waited for at most so many times `settle_within`.
const LAGGING: u32 = 10;
/// Looked back for so often without an answer that helps, a person is asked.
const LOOKS: u32 = 5;
/// What reading back showed. That something is there is easily believed; that it is not there only with proof.
pub(super) fn looked_back(scene: &Scene, looked: Result<Sight, Failure>) -> Note {
    match looked {
        Ok(Sight::Found(seen)) => found(scene, *seen),
        Ok(Sight::Several) => Note::Asks(several(scene)),
        Ok(Sight::Nothing { .. }) => missing(scene),
        Ok(Sight::Nameless) => unclear(scene, "there is nothing by which it could be looked for"),
        Err(failure) => not_looked(scene, &failure),
    }
}

/// It is there: the link is recorded, and the next turn compares and updates where needed.
fn found(scene: &Scene, seen: Seen) -> Note {
    let Some(flight) = scene.row.in_flight() else { return sent_again("Nothing was under way.", scene) };
    if flight.interaction == "update" && !scene.shown && !scene.landed {
        // Untouched, or somebody else's: the next turn reads again and merges against what both started from.
        return sent_again("The EHR does not show the change; it is compared and sent again.", scene);
    }
    // Where it is not what was sent, the EHR or somebody there made something else of it: the base is what was sent.
    let as_sent = scene.sent_then.as_ref().filter(|_| !scene.shown).map(|_| 0);
    let seen = if scene.shown { seen } else { Seen { body: scene.sent_then.clone(), version: None, ..seen } };
    Note::Has(Has { as_sent, ..Has::found(seen, &flight.part, "was read back: it has it") })
}

/// Reading back failed. What only a person can mend asks a person; else it is tried again, ever more rarely.
fn not_looked(scene: &Scene, failure: &Failure) -> Note {
    let enough = scene.doubt.failures >= LOOKS || scene.open_for > scene.settle_within;
    if scene.waited > scene.patience || failure.needs_person() && !failure.needs_credentials() && enough {
        return unclear(scene, &format!("it could not be read back ({})", failure.message.trim_end_matches('.')));
    }
    // In proportion to how long it has been open: a few entries an hour at most.
    let wait = backoff(2, failure.retry_after, scene.chance).max((scene.open_for / 2).min(LONGEST_LOOK));
    Note::Open { wait_ms: millis(wait), code: failure.code(), sentence: failure.message.clone() }
}

/// An outcome is looked for at least this often as long as that is tried at all.
const LONGEST_LOOK: Duration = Duration::from_secs(600);

/// It was not found: proof, patience, or a person.
fn missing(scene: &Scene) -> Note {
    let Some(flight) = scene.row.in_flight() else { return sent_again("Nothing was under way.", scene) };
    // By id there is no index that could lag; the next turn reads what was to be changed, and finds out if it was deleted.
    if flight.interaction != "create" {
        if scene.open_for < GRACE {
            let sentence = "Not there yet; looked for again.".to_owned();
            return Note::Open { wait_ms: 250, code: "LIA-EHR-003", sentence };
        }
        return sent_again("Read back: the EHR does not have it; it is sent again.", scene);
    }
    let Doubt { misses, proofs, status, lag, .. } = scene.doubt;
    let prompt = lag.is_some_and(|lag| scene.sought_for > GRACE + lag) && misses >= 2;
    let refused = status == Some(503) && misses >= 2;
    if proofs >= 2 || prompt || refused || (scene.asked_to_retry && misses >= 2) {
        return sent_again("Read back: the EHR does not have it; it is sent again.", scene);
    }
    // Where the lag is known, the proof is only a matter of waiting it out, counted as the proof is: from the first look on.
    let longest = scene.settle_within * LAGGING;
    let patience = scene.settle_within.max(lag.map_or(Duration::ZERO, |lag| (GRACE * 5 + lag).min(longest)));
    if scene.waited > scene.patience || scene.sought_for > patience && misses >= LOOKS {
        return unclear(scene, "reading back did not show it");
    }
    // Ever more rarely; and before a known lag is over there is nothing to see. But no wait outlasts the patience.
    let often = backoff(misses.min(6), None, scene.chance).min(scene.settle_within / 4);
    let behind = lag.map_or(Duration::ZERO, |lag| (GRACE + lag).saturating_sub(scene.sought_for));
    let wait = often.max(behind.min(patience.saturating_sub(scene.sought_for)));
    Note::Open {
        wait_ms: millis(wait),
        code: "LIA-EHR-003",
        sentence: "Not found at the EHR yet; looked for again.".to_owned(),
    }
}

fn unclear(scene: &Scene, why: &str) -> Note {
    let sentence = format!("{} did not say whether it has this, and {why}.", scene.system());
    let cause = [scene.system(), scene.row.object.as_str()];
    Note::Asks(Trouble::new(ItemKind::Unknown, "LIA-SYNC-013", sentence).cause(&cause))
}

/// Certain that it is not there (or that sending is safe): sent again.
fn sent_again(sentence: &str, scene: &Scene) -> Note {
    let tries = scene.row.attempts;
    let wait_ms = if tries <= 2 { 0 } else { millis(backoff(tries - 2, None, scene.chance)) };
    Note::Later { wait_ms, code: None, sentence: sentence.to_owned() }
}
