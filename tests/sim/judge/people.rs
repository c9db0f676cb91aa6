//! What is judged where somebody acts: every open question can be decided by what it offers, none is asked twice, and a file that is
//! sent again as it was changes nothing.

use liaison::{
    ledger::{Fact, Ledger},
    sync::Error,
};
use serde_json::Value;

use crate::{
    plan::{Button, marker},
    world::{Press, World, is_open},
};

/// A button was pressed and answered: an item that is still open, and says what it said, lets itself be dismissed, and decided by field
/// where it has fields; what closes it closes it.
pub fn pressed(world: &mut World, ledger: &Ledger, press: &Press, result: &Result<(), Error>) {
    let id = press.item["id"].as_str().unwrap_or_default();
    let Ok(Some(row)) = ledger.item(id) else { return };
    let Ok(now) = ledger.item_json(&row) else { return };
    if !is_open(&now) || now["fields"] != press.item["fields"] {
        return;
    }
    let has_fields =
        press.item["kind"] == "conflict" && press.item["fields"].as_array().is_some_and(|all| !all.is_empty());
    let decides = match press.button {
        Button::Dismiss => true,
        Button::Resolve => has_fields || press.item["kind"] != "conflict",
        _ => false,
    };
    if !decides || !is_open(&press.item) {
        return;
    }
    let why = match result {
        Ok(()) => "it is open all the same".to_owned(),
        Err(error @ (Error::Decision(_) | Error::Invalid(_))) => error.to_string(),
        Err(_) => return,
    };
    let (what, about) = (&press.item["code"], &press.item["object_id"]);
    world.wrong("undecidable", format!("{:?} on {id} ({what} about {about}): {why}", press.button));
}

/// A question turned up: a person has not answered just this before. What stood on the worklist when a backup was restored was not
/// asked now.
pub fn asked(world: &mut World, item: &Value, restored: bool) {
    let text = |name: &str| item[name].as_str().map(str::to_owned);
    let (Some(id), Some(object), Some(about), Some(system)) =
        (text("id"), text("object"), text("object_id"), text("system"))
    else {
        return;
    };
    let key = (object, about, system);
    let version = world.shown.syncs.get(&key).filter(|_| !restored).and_then(|sync| sync["version"].as_u64());
    world.shown.asked.insert(id.clone(), version);
    if version.is_none() {
        return;
    }
    let same = |name: &str, other: &Value| other[name] == item[name];
    let answered = world.presses.iter().filter(|press| {
        let asked = press.item["id"].as_str().unwrap_or_default();
        let is_closed = world.shown.items.get(asked).is_some_and(|(_, now)| now["closed_by"] == "eve");
        // As it was when she answered it.
        let is_same = ["code", "object", "object_id", "system", "fields"].iter().all(|name| same(name, &press.item));
        press.closes() && is_same && is_closed && asked != id && world.shown.asked.get(asked) == Some(&version)
    });
    let Some(last) = answered.max_by_key(|press| press.at) else { return };
    // Somebody wanted it tried again since, or decided something about the same object elsewhere.
    let reopened = world.presses.iter().any(|press| {
        let again = matches!(press.button, Button::Retry | Button::RetryGroup);
        press.taken
            && press.at >= last.at
            && press.item["id"] != last.item["id"]
            && (same("object_id", &press.item) || again)
    });
    if !reopened {
        let about = format!("{} about {} at {}", item["code"], item["object_id"], item["system"]);
        let about = format!("{about}: {} was answered, and {id} asks again", last.item["id"]);
        world.wrong("asked twice", about);
    }
}

/// A file that is sent again as it was makes no version.
pub fn repeated(world: &mut World, ledger: &Ledger, thing: usize, version: u64) {
    let Some(sync) = world.known[thing].id.clone() else { return };
    let kind = crate::world::name(world.plan.things[thing].object());
    let Ok(id) = liaison::domain::ObjectId::new(&sync) else { return };
    let made = ledger.history(&kind, &id).unwrap_or_default().into_iter().any(|entry| {
        entry.draft.version == Some(version)
            && entry.draft.by == "sim"
            && matches!(entry.draft.fact, Fact::Accepted { .. })
    });
    if made && version > 1 {
        world.wrong("overwritten", format!("{}'s file sent again as it was made version {version}", marker(thing)));
    }
}
