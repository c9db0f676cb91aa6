//! What one turn of one sync does next: pure. The shell ([`Sender`](super::sender::Sender)) loads a [`Scene`], hears
//! something (its turn, or the EHR's answer) and carries out the [`Step`]: a request to make, or facts to record, which end
//! the turn. Nothing else is looked up; time and chance stand in the scene. An object that the EHR holds already is read
//! first, merged, and written back under the version read; at most one write a turn, recorded before it leaves.

use super::{
    between::{as_answered, look_between, lost_between, overwritten, rejoined},
    identity,
    merge::{Occasion, Outcome},
    prepare::{Held, Outgoing, Prepared},
    record::{self, Trouble, same_content},
    retry::{backoff, millis},
    scene::{Reading, Scene},
    settle::looked_back,
    step::{Ask, Has, Heard, Note, Sent, Step, Way},
};
use crate::{
    ehr::{self, Failure, Seen},
    error::{Category, Explained as _, Finding},
    fhir::canonical_bytes,
    ledger::{Hash, ItemKind, State, SyncId},
    mapping::{MAIN, identifier_system},
};

/// An answer that differs is looked at again after this.
const LOOKED_AGAIN_MS: u64 = 2000;

/// Versions refused so often although nobody changed the record: the EHR's conditions cannot be met.
const REFUSED_VERSIONS: u32 = 3;

/// Decides.
pub(super) fn decide(scene: &Scene, heard: Heard) -> Step {
    match heard {
        Heard::Turn if matches!(scene.row.standing, State::Unknown { .. }) => Step::Ask(Ask::Look(scene.look())),
        Heard::Turn => turn(scene),
        Heard::Read(_, Ok(_)) => read(scene),
        Heard::Read(part, Err(failure)) if failure.kind == ehr::Kind::Gone => not_there(scene, &part, &failure),
        Heard::Read(_, Err(failure)) | Heard::Found(Err(failure)) => Step::Record(not_done(scene, &failure)),
        Heard::Found(Ok(found)) => found_before(scene, found),
        Heard::Written(Ok(seen)) => written(scene, seen),
        Heard::Written(Err(failure)) => Step::Record(failed(scene, &failure)),
        Heard::Confirmed(again) => confirmed(scene, again),
        Heard::Before(Ok(Some(_))) | Heard::Between(Ok(_)) => lost_between(scene),
        Heard::Before(_) => Step::Record(as_answered(scene)),
        Heard::Between(Err(_)) | Heard::Rejoined(Err(_)) => Step::Record(overwritten(scene)),
        Heard::Rejoined(Ok(seen)) => rejoined(scene, &seen),
        Heard::Looked(looked) => Step::Record(looked_back(scene, looked)),
    }
}

fn turn(scene: &Scene) -> Step {
    if scene.never_left() && scene.cancelled {
        return Step::Record(Note::Spared);
    }
    if scene.row.gone {
        return Step::Record(Note::Asks(record::gone(&scene.row.object, &scene.row.system)));
    }
    let parts = match &scene.prepared {
        Err(findings) => return Step::Record(Note::Asks(scene.invalid(findings))),
        Ok(Prepared::Waiting(on)) => return Step::Record(waits(scene, on)),
        Ok(Prepared::Ready(parts)) => parts,
    };
    let missing: Vec<&Outgoing> = parts.iter().filter(|part| !part.is_there()).collect();
    if let Some(ask) = next_read(scene) {
        return Step::Ask(ask);
    }
    let Some(next) = missing.first() else { return Step::Record(has_all(scene)) };
    send(scene, next, missing.len() == 1)
}

fn next_read(scene: &Scene) -> Option<Ask> {
    let held = scene.unread()?;
    let (kind, id) = held.reference.split_once('/')?;
    Some(Ask::Part { part: held.part.clone(), kind: kind.to_owned(), id: id.to_owned() })
}

/// Reading the record says that it is not there. One 404 alone may be a slip: what a search still shows is only not to be read.
fn not_there(scene: &Scene, part: &str, failure: &Failure) -> Step {
    let main = scene.held.iter().find(|held| held.part == part && part == MAIN);
    let claim = main.and_then(|main| identity::claimed(main.body.as_ref()?, &scene.instance));
    match (claim, main.and_then(|main| main.reference.split_once('/'))) {
        (Some((object, id)), Some((kind, _))) if failure.status != Some(410) && !scene.looked_for => {
            let system = identifier_system(&scene.instance, object.as_str());
            Step::Ask(Ask::Find { kind: kind.to_owned(), system, value: id.to_string() })
        }
        _ => Step::Record(gone(scene)),
    }
}

/// It was deleted there: a person decides, and nothing is made again by itself.
fn gone(scene: &Scene) -> Note {
    Note::Gone(record::gone(&scene.row.object, &scene.row.system))
}

/// What it refers to must be there first; what will never be there is a matter for a person.
fn waits(scene: &Scene, on: &[SyncId]) -> Note {
    let gone: Vec<&SyncId> = on.iter().filter(|id| scene.given_up.contains(id)).collect();
    if !gone.is_empty() {
        let sentence = "It refers to something that was dismissed and is not at the EHR.";
        return Note::Asks(
            Trouble::new(ItemKind::Rejected, "LIA-SYNC-023", sentence)
                .cause(&[scene.system(), scene.row.object.as_str(), gone[0].as_str()])
                .owner(scene.blockers_owner.clone()),
        );
    }
    if scene.waited > scene.patience && !scene.blockers_are_asked {
        let sentence = "What it refers to has not reached the EHR for too long.";
        return Note::Asks(
            Trouble::new(ItemKind::Rejected, "LIA-SYNC-018", sentence)
                .cause(&[scene.system(), scene.row.object.as_str()]),
        );
    }
    Note::Waits(on.to_vec())
}

fn has_all(scene: &Scene) -> Note {
    let parts = scene.held.iter().filter_map(|held| Some((held.part.clone(), held.seen()?))).collect();
    let settled = scene.compared().map(|outcome| outcome.settled.clone());
    Note::Has(Has { done: true, parts, output: None, as_sent: None, settled, sentence: "has it" })
}

fn send(scene: &Scene, next: &Outgoing, last: bool) -> Step {
    // The parts of an object that is only just being made belong to one creation.
    if next.part == MAIN || scene.row.synced_version.is_some() {
        let refused: &[Finding] = &scene.not_permitted;
        if !refused.is_empty() {
            return Step::Record(Note::Asks(scene.invalid(refused)));
        }
    }
    let way = match way(scene, next) {
        Ok(way) => way,
        Err(failure) => return Step::Record(not_done(scene, &failure)),
    };
    if let (Way::Create { condition }, Some((object, id))) = (&way, identity::claimed(&next.resource, &scene.instance))
        && scene.is_doubtful(condition.is_some())
    {
        let (system, value) = (identifier_system(&scene.instance, object.as_str()), id.to_string());
        return Step::Ask(Ask::Find { kind: next.kind.clone(), system, value });
    }
    let mut part = next.clone();
    if let (Way::Create { .. }, Some(members)) = (&way, part.resource.as_object_mut()) {
        members.shift_remove("id");
    }
    let output = Hash::of(&canonical_bytes(&record::content(&part.resource)));
    Step::Send(Box::new(Sent { part, way, last, output }))
}

/// How a part goes there.
fn way(scene: &Scene, part: &Outgoing) -> Result<Way, Failure> {
    let capability = &scene.capability;
    let refuse = |what: &str| {
        let message = format!("The EHR's own description does not offer to {what} {}.", crate::domain::a(&part.kind));
        Err(Failure::new(ehr::Kind::NotOffered, message))
    };
    if let Some(held) = &part.held {
        let id = held.reference.rsplit_once('/').map_or("", |(_, id)| id).to_owned();
        if !capability.offers(&part.kind, "update") {
            return refuse("change");
        }
        return Ok(Way::Update { id, version: held.version.clone() });
    }
    let claim = identity::claimed(&part.resource, &scene.instance);
    let offer = capability.types.get(&part.kind);
    if claim.is_none()
        && offer.is_some_and(|offer| offer.update_create && offer.interactions.contains("update"))
        && let Some(id) = part.resource.get("id").and_then(serde_json::Value::as_str)
    {
        return Ok(Way::PutCreate { id: id.to_owned() });
    }
    if !capability.offers(&part.kind, "create") {
        return refuse("take");
    }
    let condition = claim.filter(|_| capability.conditional_create(&part.kind)).map(|(object, id)| {
        format!("identifier={}", query_value(&format!("{}|{id}", identifier_system(&scene.instance, object.as_str()))))
    });
    Ok(Way::Create { condition })
}

/// After a part was read: what changed there is merged before anything is written over it.
fn read(scene: &Scene) -> Step {
    if let Some(ask) = next_read(scene) {
        return Step::Ask(ask);
    }
    let Reading::Compared { outcome, occasion, seen } = &scene.reading else { return turn(scene) };
    let merged = &outcome.merged;
    if !merged.conflicts.is_empty() {
        let trouble = record::conflict(outcome, *occasion, &scene.row.object, &scene.row.system);
        return Step::Record(Note::Conflict { trouble, theirs: seen.clone() });
    }
    if merged.takes_theirs {
        // What an EHR made of what was sent is not aimed back at it.
        let back = *occasion == Occasion::Fetched || merged.keeps_ours;
        return Step::Record(Note::Takes { outcome: outcome.clone(), seen: seen.clone(), back });
    }
    turn(scene)
}

/// Looked for before it is created, because the ledger may be a restored backup.
fn found_before(scene: &Scene, mut found: Vec<Seen>) -> Step {
    if !scene.held.is_empty() {
        // Looked for because reading it says that it is not there.
        let shown =
            Failure::new(ehr::Kind::Busy, "The EHR's lists show the record, and reading it says that it is not there.");
        let step = if found.is_empty() { gone(scene) } else { later(scene, scene.row.attempts + 1, &shown) };
        return Step::Record(step);
    }
    match (found.len(), found.pop()) {
        (0, _) => turn(scene),
        // Not deleted after all: merged in the next turn against what both agreed on last, or else asked about.
        (1, Some(seen)) if scene.was_gone => {
            let seen = Seen { body: None, version: None, ..seen };
            Step::Record(Note::Has(Has::found(seen, MAIN, "was looked at before sending: it has it")))
        }
        (1, Some(seen)) => Step::Record(scene.take_later(seen)),
        _ => Step::Record(Note::Asks(several(scene))),
    }
}

fn written(scene: &Scene, seen: Seen) -> Step {
    let Some(sent) = &scene.sent else { return turn(scene) };
    if fits(scene, sent, &seen) || sent.part.carries && seen.body.is_none() {
        return arrived(scene, sent, seen);
    }
    Step::Ask(Ask::Again { kind: seen.kind.clone(), id: seen.id.clone() })
}

/// Whether what the EHR shows is what was sent.
fn fits(scene: &Scene, sent: &Sent, seen: &Seen) -> bool {
    let claim = identity::claimed(&sent.part.resource, &scene.instance);
    seen.body.as_ref().is_some_and(|body| {
        claim.is_none() || identity::claimed(body, &scene.instance) == claim || similar(body, &sent.part.resource)
    })
}

/// An answer that shows another resource than the one sent is no answer: looked at again, else unknown.
fn confirmed(scene: &Scene, again: Result<Seen, Failure>) -> Step {
    let (Some(sent), Some(first)) = (&scene.sent, &scene.answered) else { return turn(scene) };
    match again {
        Ok(again) if fits(scene, sent, &again) => arrived(scene, sent, Seen { created: first.created, ..again }),
        // The EHR told where it is, and what it made of it comes with the next read.
        Err(_) if first.body.is_none() => {
            arrived(scene, sent, Seen { body: Some(sent.part.resource.clone()), ..first.clone() })
        }
        _ => {
            let sentence = "The EHR's answer shows something else than what was sent.";
            Step::Record(failed(scene, &Failure::new(ehr::Kind::Lost, sentence)))
        }
    }
}

/// The write is there. Where the version jumped, an edit was in between: it must not be lost.
fn arrived(scene: &Scene, sent: &Sent, seen: Seen) -> Step {
    // By the version that the write itself was answered with: what is read afterwards may be somebody's newer one.
    let written = scene.answered.as_ref().filter(|answered| answered.version.is_some()).unwrap_or(&seen);
    if let Way::Update { version: Some(read), .. } = &sent.way
        && let Some(ask) = look_between(scene, read, written)
    {
        return Step::Ask(ask);
    }
    Step::Record(acknowledged(scene, sent, seen))
}

pub(super) fn acknowledged(scene: &Scene, sent: &Sent, seen: Seen) -> Note {
    // A conditional create that found something wrote nothing: compare with what it was made from, then update.
    let matched = matches!(&sent.way, Way::Create { condition: Some(_) }) && !seen.created;
    let is_ours = || seen.body.as_ref().is_some_and(|body| same_content(body, &sent.part.resource));
    // An answer that shows something else than what was sent is looked at once more, because indexes and replies lag; what the
    // EHR only added is taken over at once.
    let differs = scene.answer.as_deref().filter(|outcome| !matched && !outcome.is_quiet());
    let (base, as_sent) = match differs {
        Some(Outcome { merged, .. }) => {
            let waits = !merged.conflicts.is_empty() || !merged.dropped.is_empty();
            (Some(Some(sent.part.resource.clone())), Some(if waits { LOOKED_AGAIN_MS } else { 0 }))
        }
        None if matched && !is_ours() => (Some(scene.sent_then.clone()), scene.sent_then.as_ref().map(|_| 0)),
        None => (None, None),
    };
    let seen = match base {
        Some(body) => Seen { body, version: None, ..seen },
        None => seen,
    };
    // The answer about a part sent before is looked at once all are there.
    let looked_at = scene.held.iter().all(|held| !held.sent || held.part == sent.part.part);
    let done = sent.last && !matched && as_sent.is_none() && looked_at;
    let settled = scene.answer.as_deref().filter(|_| done).map(|outcome| outcome.settled.clone());
    let parts = vec![(sent.part.part.clone(), seen)];
    let sentence = if done { "has it" } else { "has a part of it" };
    Note::Has(Has { done, parts, output: Some(sent.output), as_sent, settled, sentence })
}

pub(super) fn several(scene: &Scene) -> Trouble {
    let failure = Failure::new(ehr::Kind::Several, "The EHR holds it more than once.");
    record::rejected(&failure, &scene.row.object, &scene.row.system)
}

/// Something that changes nothing failed: wait, or ask a person.
pub(super) fn not_done(scene: &Scene, failure: &Failure) -> Note {
    match failure.category() {
        Category::Rejected => Note::Asks(record::rejected(failure, &scene.row.object, &scene.row.system)),
        _ => later(scene, scene.row.attempts + 1, failure),
    }
}

/// A write failed: by the outcome table.
fn failed(scene: &Scene, failure: &Failure) -> Note {
    let row = &scene.row;
    match failure.category() {
        // It was looked for by our identifier, was not there, and is refused once more: it is somebody else's record.
        Category::Unknown if failure.kind == ehr::Kind::Exists && row.attempts > 1 => {
            Note::Asks(record::rejected(failure, &row.object, &row.system))
        }
        Category::Unknown => {
            let wait = backoff(row.attempts, failure.retry_after, scene.chance);
            let wait_ms = if failure.retry_after.is_some() { millis(wait) } else { millis(wait) / 4 };
            Note::Open { wait_ms, code: failure.code(), sentence: failure.message.clone() }
        }
        // Whether it was deleted shows when it is read.
        Category::Rejected if failure.kind == ehr::Kind::Gone && scene.updates_main() => {
            later(scene, row.attempts, failure)
        }
        Category::Rejected => Note::Asks(record::rejected(failure, &row.object, &row.system)),
        // The version that it has just given is refused, and nobody changed the record.
        Category::Conflict if scene.reading.is_unchanged() && row.attempts >= REFUSED_VERSIONS => {
            let sentence = "The EHR refuses the version that it gives itself, though nobody changed the record: its \
                            conditions cannot be met.";
            let cause = [scene.system(), row.object.as_str(), "versions"];
            Note::Asks(Trouble::new(ItemKind::Rejected, "LIA-SYNC-024", sentence).cause(&cause))
        }
        _ => later(scene, row.attempts, failure),
    }
}

/// Tried again later; after the system's patience a person is asked.
fn later(scene: &Scene, attempt: u32, failure: &Failure) -> Note {
    if scene.waited > scene.patience {
        let sentence = format!("Tried for too long. {}", failure.message);
        let cause = [scene.system(), failure.code()];
        return Note::Asks(Trouble::new(ItemKind::Rejected, "LIA-SYNC-017", sentence).cause(&cause));
    }
    // Somebody wrote in between: the newer version is read and merged at once.
    let merges = failure.kind == ehr::Kind::Changed && attempt <= 3 && !scene.reading.is_unchanged();
    let wait = backoff(attempt, failure.retry_after, scene.chance);
    let wait_ms = if merges { 0 } else { millis(wait) };
    Note::Later { wait_ms, code: Some(failure.code()), sentence: failure.message.clone() }
}

/// Whether an EHR's body says what was sent, whatever it added: each member that was sent is there.
fn similar(body: &serde_json::Value, sent: &serde_json::Value) -> bool {
    let members = |value: &serde_json::Value| value.as_object().map(|m| m.len()).unwrap_or_default();
    members(sent) > 0
        && sent.as_object().into_iter().flatten().all(|(key, value)| {
            matches!(key.as_str(), "id" | "meta" | "identifier" | "text")
                || body.get(key).is_some_and(|other| crate::fhir::canonically_equal(value, other))
        })
}

/// A search value as it stands in a header: what a query string cannot hold is escaped, the rest stays readable.
fn query_value(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~:/|".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

impl Held {
    /// As if it had been seen just now.
    fn seen(&self) -> Option<Seen> {
        let (kind, id) = self.reference.split_once('/')?;
        let (version, body) = (self.version.clone(), self.body.clone());
        Some(Seen { kind: kind.to_owned(), id: id.to_owned(), version, body, created: false })
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
