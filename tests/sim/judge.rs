//! The judge: by the EHRs' true history, by what was answered 202, and by what people were shown. It never asks the gateway's
//! folds what they think.

mod people;

pub use people::{asked, pressed, repeated};

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use liaison::ledger::{Fact, Ledger};
use serde_json::Value;

use super::{
    books::{Commit, Who},
    plan::{Button, Field, marker},
    quirk::Kind,
    run::BOUND_S,
    world::{Edit, Press, World, is_open},
};

/// So many entries of one sync in ten minutes, and so many more for each thing that somebody did to it.
const ENTRIES: u64 = 70;

/// Safety, and the bounds in time, while it runs.
pub fn at_every_step(world: &mut World) {
    let now = world.time.elapsed().as_secs();
    let mut wrong: Vec<(&'static str, String)> = Vec::new();
    for (thing, known) in world.known.iter().enumerate() {
        if known.ids.len() > 1 {
            wrong.push(("doubled", format!("{} has two ids here: {:?}", marker(thing), known.ids)));
        }
        let Some(id) = known.id.clone() else { continue };
        let kind = world.plan.things[thing].object().to_owned();
        for ehr in 0..world.ehrs.len() {
            let key = (kind.clone(), id.clone(), world.system(ehr));
            let Some(sync) = world.shown.syncs.get(&key) else {
                wrong.push(("lost", format!("{kind} {id} was accepted and has no sync at {}", key.2)));
                continue;
            };
            let state = sync["state"].as_str().unwrap_or_default();
            let item = sync["worklist_id"].as_str().and_then(|id| world.shown.items.get(id)).map(|(_, item)| item);
            let with_person = item.is_some_and(is_open) || system_item(world, &key.2);
            if matches!(state, "parked" | "conflict") && !with_person {
                wrong.push(("silent", format!("{kind} {} at {} is {state} and no item is open", marker(thing), key.2)));
            }
            let pending = matches!(state, "accepted" | "sending" | "retrying" | "unknown");
            if !pending || with_person {
                continue;
            }
            // What waits for another is decided with that one, and all that waits for a system with the system.
            let blocker = world.plan.things[thing].of.and_then(|of| world.known[of].id.clone());
            let above = blocker.map(|patient| ("patient".to_owned(), patient, key.2.clone()));
            let concerns = |item: &Value| {
                about(item, &key) || is_general(item, &key.2) || above.as_ref().is_some_and(|above| about(item, above))
            };
            // What was decided about it at another system is a newer version for this one.
            let decided = |press: &Press| {
                matches!(press.button, Button::Resolve | Button::ResolveNothing)
                    && press.item["object"] == *kind
                    && press.item["object_id"] == *id
            };
            let pressed = world.presses.iter().filter(|press| press.taken && (concerns(&press.item) || decided(press)));
            let pressed = pressed.map(|press| press.at.as_secs());
            let since = known.acked.iter().map(|acked| acked.at.as_secs()).chain(pressed).max().unwrap_or(0);
            let edited = world.edits.iter().filter(|edit| edit.thing == thing).map(|edit| edit.at.as_secs()).max();
            if now > since.max(edited.unwrap_or(0)) + BOUND_S + world.late_by() {
                wrong.push((
                    "stuck",
                    format!("{kind} {} at {} is {state} {} since {BOUND_S} s", marker(thing), key.2, sync["code"]),
                ));
            }
        }
    }
    for (kind, about) in wrong {
        world.wrong(kind, about);
    }
}

fn about(item: &Value, (object, id, system): &(String, String, String)) -> bool {
    item["object"] == **object && item["object_id"] == **id && item["system"] == **system
}

/// An item about the system as a whole is open.
fn system_item(world: &World, system: &str) -> bool {
    world.shown.items.values().any(|(_, item)| {
        is_open(item) && item["system"] == *system && item["object_id"].is_null() && item["kind"] != "inbound"
    })
}

/// After all rounds of answering something is still open.
pub fn unended(world: &mut World) {
    let open: Vec<String> = world
        .shown
        .open()
        .iter()
        .map(|item| format!("{} {} {}", item["id"], item["code"], item["what_happened"]))
        .collect();
    let pending: Vec<String> = world
        .shown
        .syncs
        .iter()
        .filter(|(_, sync)| matches!(sync["state"].as_str(), Some("accepted" | "sending" | "retrying" | "unknown")))
        .map(|((object, id, system), sync)| format!("{object} {id} at {system} {} {}", sync["state"], sync["code"]))
        .collect();
    if !open.is_empty() {
        world.wrong("unended", format!("items stay open however they are answered: {}", open.join("; ")));
    }
    if !pending.is_empty() {
        world.wrong("stuck", format!("still to be sent: {}", pending.join("; ")));
    }
}

/// What it cost in entries.
pub fn cost(world: &mut World, ledger: &Ledger) {
    let mut windows: BTreeMap<(String, i64), u64> = BTreeMap::new();
    let mut acted: BTreeMap<(String, i64), u64> = BTreeMap::new();
    for entry in ledger.entries(1, 1_000_000).unwrap_or_default() {
        // A newer version is tried anew at once.
        if let Fact::Accepted { targets, .. } = &entry.draft.fact {
            for target in targets {
                let key = (target.sync_id.to_string(), entry.at.as_second().div_euclid(600));
                *acted.entry(key).or_default() += 1;
            }
        }
        let Some(sync) = &entry.draft.sync_id else { continue };
        let key = (sync.to_string(), entry.at.as_second().div_euclid(600));
        if entry.draft.fact.item().is_some() || entry.draft.fact.kind() == "applied" {
            *acted.entry(key.clone()).or_default() += 1;
        }
        *windows.entry(key).or_default() += 1;
    }
    let worst =
        windows.iter().map(|(key, count)| (count.saturating_sub(40 * acted.get(key).copied().unwrap_or(0)), key)).max();
    if let Some((count, (sync, _))) = worst.filter(|(count, _)| *count > ENTRIES) {
        let shown = world.shown.syncs.values().find(|shown| shown["id"] == **sync).cloned().unwrap_or_default();
        world
            .wrong("endless", format!("{count} entries in ten minutes for {} at {}", shown["object"], shown["system"]));
    }
}

/// Everything that is left to say when the world has ended.
pub fn at_the_end(world: &mut World) {
    if world.verdicts.iter().any(|verdict| matches!(verdict.kind, "broken" | "no-start")) {
        return;
    }
    for ehr in 0..world.ehrs.len() {
        world.ehrs[ehr].work();
        let log = world.ehrs[ehr].books.log();
        doubled(world, ehr, &log);
        regressed(world, ehr, &log);
        overwritten(world, ehr, &log);
        dangling(world, ehr, &log);
        delivered(world, ehr, &log);
    }
    own_records(world);
    gone(world);
    wrong_patient(world);
    added(world);
}

/// A person is told of each record that is not to be used any more.
fn gone(world: &mut World) {
    for (ehr, thing) in world.gone.clone() {
        let system = world.system(ehr);
        let Some(id) = world.known[thing].id.clone().filter(|_| !world.restored) else { continue };
        let key = (world.plan.things[thing].object().to_owned(), id, system.clone());
        if !world.shown.ever().any(|item| about(item, &key) || is_general(item, &system)) {
            world.wrong("silent", format!("{} is at {system} no more, and nobody was told", marker(thing)));
        }
    }
}

/// A visit is the patient's whom its reference names under the EHR's own base, and nobody's else.
fn wrong_patient(world: &mut World) {
    for (mark, whose) in world.foreign.clone() {
        let Some(visit) = world.shown.visits.get(&mark).cloned() else { continue };
        let patients: Vec<String> = visit["participants"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|participant| participant["who"]["object"] == "patient")
            .filter_map(|participant| participant["who"]["id"].as_str().map(str::to_owned))
            .collect();
        let right = whose.and_then(|thing| world.known[thing].any_id());
        if patients.iter().any(|id| Some(id) != right.as_ref()) {
            world.wrong("wrong patient", format!("the visit {mark} is {patients:?}'s here instead of {right:?}'s"));
        }
    }
}

/// What either side added to a list is there and here, or a person was asked.
fn added(world: &mut World) {
    for (thing, at, number) in world.added.clone() {
        let Some(id) = world.known[thing].id.clone().filter(|_| !world.restored) else { continue };
        for ehr in 0..world.ehrs.len() {
            let system = world.system(ehr);
            let standing = world.ehrs[ehr].books.standing();
            let mut bodies = standing.iter().filter_map(|version| version.resource.as_ref());
            let there = bodies.find(|body| world.thing_of(body) == Some(thing)).map(ToString::to_string);
            let here = world.shown.contacts.get(&thing).cloned().unwrap_or_default();
            let key = ("patient".to_owned(), id.clone(), system.clone());
            // Also where it was added: that EHR's lists may be refused.
            let from = at.map_or_else(|| system.clone(), |at| world.system(at));
            let origin = (key.0.clone(), id.clone(), from.clone());
            let told = world.shown.ever().any(|item| {
                about(item, &key) || is_general(item, &system) || about(item, &origin) || is_general(item, &from)
            });
            let is_there = there.is_none_or(|body| body.contains(&number));
            if !(told || is_there && here.contains(&number)) {
                let about = format!("{number}, added to {}, is there {is_there} and here: {here}", marker(thing));
                world.wrong("overwritten", about);
            }
        }
    }
}

/// At most one resource for each thing.
fn doubled(world: &mut World, ehr: usize, log: &[Commit]) {
    let system = world.system(ehr);
    let mut made: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for commit in log.iter().filter(|commit| commit.who == Who::Gateway && commit.before.is_none()) {
        if let Some(thing) = commit.version.resource.as_ref().and_then(|body| world.thing_of(body)) {
            made.entry(thing).or_default().insert(commit.version.id.clone());
        }
    }
    for (thing, ids) in made.into_iter().filter(|(_, ids)| ids.len() > 1) {
        // Somebody was told that it is not known whether it is there, and said: send.
        let id = world.known[thing].id.clone().unwrap_or_default();
        let told = world.presses.iter().any(|press| {
            press.taken
                && matches!(press.button, Button::Retry | Button::RetryGroup)
                && press.item["kind"] == "unknown"
                && (press.item["object_id"] == *id || press.button == Button::RetryGroup)
                && press.item["system"] == *system
        });
        // What staff deleted is made anew only where somebody who was told of it says so.
        let deleted = world.deleted.contains(&(ehr, thing));
        let known = world.gone.contains(&(ehr, thing)) && !world.restored;
        let asked = world.presses.iter().any(|press| {
            press.taken
                && matches!(press.button, Button::Retry | Button::RetryGroup)
                && press.item["system"] == *system
                && (press.item["object_id"] == *id || press.button == Button::RetryGroup)
        });
        if !told && (!deleted || known && !asked) {
            world.wrong("doubled", format!("{} was created {} times at {system}", marker(thing), ids.len()));
        }
    }
}

/// The values that clients wrote reach an EHR in their order.
fn regressed(world: &mut World, ehr: usize, log: &[Commit]) {
    for thing in (0..world.plan.things.len()).filter(|thing| !world.kept.contains(thing)).collect::<Vec<_>>() {
        for field in Field::of(&world.plan.things[thing]).iter().filter(|field| **field != Field::Status) {
            let order: Vec<String> =
                world.known[thing].ever.iter().filter(|a| a.field == Some(*field)).map(|a| a.value.clone()).collect();
            let mut newest = 0;
            for commit in log.iter().filter(|commit| commit.who == Who::Gateway) {
                let Some(body) = &commit.version.resource else { continue };
                if world.thing_of(body) != Some(thing) {
                    continue;
                }
                let value = text(body, field.fhir());
                let before = commit.before.as_ref().map(|before| text(before, field.fhir())).unwrap_or_default();
                let Some(at) = order.iter().position(|one| *one == value) else { continue };
                if at < newest && before != value && !is_chosen(world, thing) {
                    let about = format!("{} {field:?} at {} went back to {value}", marker(thing), world.system(ehr));
                    world.wrong("regressed", about);
                }
                newest = newest.max(at);
            }
        }
    }
}

/// A person chose between what stood here and what stood at an EHR.
fn is_chosen(world: &World, thing: usize) -> bool {
    let id = world.known[thing].any_id().unwrap_or_default();
    world.presses.iter().any(|press| {
        press.taken
            && press.button == Button::Resolve
            && press.item["kind"] == "conflict"
            && press.item["object_id"] == *id
    })
}

/// What staff wrote is overwritten only where somebody, or the gateway's own object, had it before.
fn overwritten(world: &mut World, ehr: usize, log: &[Commit]) {
    let system = world.system(ehr);
    for commit in log.iter().filter(|commit| commit.who == Who::Gateway) {
        let (Some(body), Some(before)) = (&commit.version.resource, &commit.before) else { continue };
        let Some(thing) = world.thing_of(body) else { continue };
        for field in Field::of(&world.plan.things[thing]) {
            let (old, new) = (text(before, field.fhir()), text(body, field.fhir()));
            let edit = world
                .edits
                .iter()
                .find(|edit| edit.thing == thing && edit.field == *field && edit.value == old && edit.ehr == ehr);
            let Some(edit) = edit.filter(|_| old != new) else { continue };
            if is_excused(world, edit, &system, commit.version.at) {
                continue;
            }
            let about =
                format!("{} {field:?} at {system}: {old}, which staff wrote, became {new} unseen", marker(thing));
            world.wrong("overwritten", about);
        }
    }
}

fn is_excused(world: &World, edit: &Edit, system: &str, at: Timestamp) -> bool {
    // Ours wins by the mapping's rule: what becomes of the other value is the matter of a later issue (FAULTS P2c).
    // Also where another EHR's staff were the ones who changed it here, and where a restore forgot that we did.
    let changed_here = world.known[edit.thing].ever.iter().any(|acked| acked.field == Some(edit.field))
        || world
            .edits
            .iter()
            .any(|other| (other.thing, other.field) == (edit.thing, edit.field) && other.ehr != edit.ehr);
    let ours = edit.field.is_ours() && changed_here;
    // An EHR that ignores If-Match: that the version jumped is noticed, and staff's value put back or a person asked. Where versions
    // have no order, and no history tells, nobody can notice.
    let unprotected = world.ehrs[edit.ehr].has(Kind::IgnoresIfMatch);
    let untold = [Kind::OpaqueEtag, Kind::NoHistory].iter().all(|kind| world.ehrs[edit.ehr].has(*kind));
    let unprotected = unprotected && (untold || is_put_back(world, edit, at));
    let shown = world.shown.values.get(&(edit.thing, edit.field, edit.value.clone()));
    let seen = shown.into_iter().flatten().any(|(since, until)| {
        at_second(world, *since) <= at && (*until == Duration::MAX || at <= at_second(world, *until))
    });
    let id = world.known[edit.thing].any_id().unwrap_or_default();
    let told = world.shown.ever().any(|item| {
        item["object_id"] == *id
            && item["system"] == *system
            && item["kind"] == "conflict"
            && item.to_string().contains(&edit.value)
    });
    ours || unprotected || seen || told
}

/// What staff wrote was written again by the gateway, or a person was asked about this object.
fn is_put_back(world: &World, edit: &Edit, at: Timestamp) -> bool {
    let again = world.ehrs[edit.ehr].books.log().iter().any(|commit| {
        let body = commit.version.resource.as_ref().filter(|_| commit.who == Who::Gateway && commit.version.at > at);
        body.is_some_and(|body| world.thing_of(body) == Some(edit.thing) && text(body, edit.field.fhir()) == edit.value)
    });
    let id = world.known[edit.thing].any_id().unwrap_or_default();
    let system = world.system(edit.ehr);
    let asked = world
        .shown
        .ever()
        .any(|item| item["kind"] == "conflict" && item["object_id"] == *id && item["system"] == *system);
    again || asked
}

fn at_second(world: &World, elapsed: Duration) -> Timestamp {
    let begin = world
        .time
        .now()
        .checked_sub(jiff::SignedDuration::try_from(world.time.elapsed()).unwrap_or_default())
        .unwrap_or(Timestamp::MIN);
    begin.checked_add(jiff::SignedDuration::try_from(elapsed).unwrap_or_default()).unwrap_or(Timestamp::MAX)
}

/// A visit names a patient who is there.
fn dangling(world: &mut World, ehr: usize, log: &[Commit]) {
    let mut there: BTreeSet<String> = BTreeSet::new();
    let others = (0..world.ehrs.len()).filter(|other| *other != ehr);
    // Whom another EHR knows is named with that one's base.
    let elsewhere: BTreeSet<String> = others
        .flat_map(|other| {
            let base = world.ehrs[other].base();
            let log = world.ehrs[other].books.log();
            log.into_iter().map(move |commit| format!("{base}/{}/{}", commit.version.kind, commit.version.id))
        })
        .collect();
    let mut wrong = Vec::new();
    for commit in log {
        there.insert(format!("{}/{}", commit.version.kind, commit.version.id));
        let Some(body) = commit.version.resource.as_ref().filter(|_| commit.who == Who::Gateway) else { continue };
        for participant in body["participant"].as_array().into_iter().flatten() {
            let actor = participant["actor"]["reference"].as_str().unwrap_or_default();
            let named_so = actor.starts_with("https://regional.example/fhir/");
            if !there.contains(actor) && !elsewhere.contains(actor) && !named_so {
                wrong.push(format!(
                    "{} at {} names {actor:?}, which is not there",
                    body["description"],
                    world.system(ehr)
                ));
            }
        }
    }
    for about in wrong {
        world.wrong("dangling", about);
    }
}

/// What was answered 202 is there, or a person decided otherwise; what stands there is what is shown here.
fn delivered(world: &mut World, ehr: usize, log: &[Commit]) {
    let system = world.system(ehr);
    for thing in 0..world.plan.things.len() {
        let Some(id) = world.known[thing].id.clone() else { continue };
        if world.deleted.contains(&(ehr, thing)) {
            continue;
        }
        let states: Vec<&Value> = log
            .iter()
            .filter_map(|commit| commit.version.resource.as_ref())
            .filter(|body| world.thing_of(body) == Some(thing))
            .collect();
        let key = (world.plan.things[thing].object().to_owned(), id.clone(), system.clone());
        // Called off before anything of it had left: then nothing is sent (issue 9, "A correction while it waits").
        let called_off = world.known[thing].acked.iter().any(|acked| acked.field == Some(Field::Status));
        if states.is_empty() && called_off {
            continue;
        }
        for field in Field::of(&world.plan.things[thing]) {
            let last = world.known[thing].acked.iter().rev().find(|acked| acked.field == Some(*field)).cloned();
            let here = world.shown.now.get(&(thing, *field)).cloned().unwrap_or_default();
            let there = states.last().map(|body| text(body, field.fhir())).unwrap_or_default();
            if let Some(last) = last {
                let arrived = states.iter().any(|body| text(body, field.fhir()) == last.value);
                // By staff, or by what was accepted and sent after the backup that the ledger was put back to.
                let superseded = there == here
                    && there != last.value
                    && (world.edits.iter().any(|edit| edit.thing == thing && edit.value == there)
                        || world.known[thing].ever.iter().any(|acked| acked.at > last.at && acked.value == there));
                // The EHR made something else of it: taken in, or asked about.
                let asked = world.shown.ever().any(|item| about(item, &key) && item["code"] == "LIA-SYNC-028");
                let moved = world.ehrs[ehr].has(Kind::Moves) && (asked || there == here);
                if !arrived && !superseded && !moved && !is_decided(world, thing, &key, last.version) {
                    world.wrong(
                        "lost",
                        format!(
                            "{} {field:?}={} (v{}) never came to {system}",
                            marker(thing),
                            last.value,
                            last.version
                        ),
                    );
                    continue;
                }
            }
            let told = world.shown.ever().any(|item| about(item, &key) || is_general(item, &system));
            emptied(world, thing, *field, ehr, log, &here);
            // By field: how FHIR and we say a status differs.
            if *field != Field::Status && here != there && !told && !is_decided(world, thing, &key, 0) {
                let about = format!(
                    "{} {field:?} is {here:?} here and {there:?} at {system}, and nobody was told",
                    marker(thing)
                );
                world.wrong("silent", about);
            }
        }
    }
}

/// Nobody here ever empties a field: where one is empty, something was taken for a removal.
fn emptied(world: &mut World, thing: usize, field: Field, ehr: usize, log: &[Commit], here: &str) {
    if world.is_dropping_unknown() {
        return;
    }
    let system = world.system(ehr);
    if here.is_empty() && world.known[thing].acked.iter().any(|acked| acked.field == Some(field)) {
        world.wrong("lost", format!("{} {field:?} is empty here, and nobody emptied it", marker(thing)));
    }
    let by_us = log.iter().filter(|commit| commit.who == Who::Gateway).any(|commit| {
        let (Some(body), Some(before)) = (&commit.version.resource, &commit.before) else { return false };
        let moved = world.ehrs[ehr].has(Kind::Moves);
        !moved
            && world.thing_of(body) == Some(thing)
            && text(body, field.fhir()).is_empty()
            && !text(before, field.fhir()).is_empty()
    });
    if by_us {
        world.wrong("lost", format!("{} {field:?} was emptied at {system}, and nobody emptied it", marker(thing)));
    }
}

fn is_general(item: &Value, system: &str) -> bool {
    item["system"] == *system && item["object_id"].is_null()
}

/// A person closed what was shown about this version (or about what it waits for) without delivery.
fn is_decided(world: &World, thing: usize, key: &(String, String, String), version: u64) -> bool {
    // On its way again, because somebody had it tried again: then the item is still about the version that it was asked about.
    let asked_about = |press: &Press| {
        let item = press.item["id"].as_str().unwrap_or_default();
        is_open(&press.item) && world.shown.asked.get(item).copied().flatten().is_none_or(|asked| asked >= version)
    };
    let own = world.presses.iter().any(|press| {
        press.closes()
            && about(&press.item, key)
            && press.sync.as_ref().is_none_or(|(shown, state)| {
                let stands = matches!(state.as_str(), "parked" | "conflict" | "resolved" | "synced");
                *shown >= version && (stands || asked_about(press))
            })
    });
    let general = world.presses.iter().any(|press| press.closes() && is_general(&press.item, &key.2));
    let blocker = world.plan.things[thing].of.and_then(|of| world.known[of].id.clone()).is_some_and(|patient| {
        let key = ("patient".to_owned(), patient, key.2.clone());
        world.presses.iter().any(|press| press.closes() && about(&press.item, &key))
    });
    own || general || blocker
}

/// Records that staff made are here, or with a person.
fn own_records(world: &mut World) {
    for (ehr, mark, id) in world.own.clone() {
        let system = world.system(ehr);
        let told = world
            .shown
            .ever()
            .any(|item| item["system"] == *system && (item.to_string().contains(&id) || is_general(item, &system)));
        if !world.shown.own.contains(&mark) && !told {
            world.wrong(
                "silent",
                format!("Patient/{id} ({mark}), which staff of {system} made, is not here, and nobody was told"),
            );
        }
    }
}

fn text(body: &Value, pointer: &str) -> String {
    body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
