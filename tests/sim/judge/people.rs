//! What is judged where somebody acts: every open question can be decided by what it offers, none is asked twice, and a file that is
//! sent again as it was changes nothing.

use liaison::{
    ledger::{Fact, Ledger},
    sync::Error,
};
use serde_json::{Value, json};

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

/// What a question about an object asks: the same is the same matter.
fn matter(world: &World, item: &Value) -> Option<String> {
    let text = |name: &str| item[name].as_str().map(str::to_owned);
    let key = (text("object")?, text("object_id")?, text("system")?);
    let version = world.shown.syncs.get(&key).map(|sync| sync["version"].clone());
    Some(json!([item["code"], key.0, key.1, key.2, version, item["fields"]]).to_string())
}

/// A question turned up: a person has not answered just this before.
pub fn asked(world: &mut World, item: &Value) {
    let (Some(id), Some(matter)) = (item["id"].as_str(), matter(world, item)) else { return };
    let before = world.shown.asked.iter().filter(|(_, asked)| **asked == matter).map(|(id, _)| id.clone());
    let before: Vec<String> = before.collect();
    world.shown.asked.insert(id.to_owned(), matter);
    for earlier in before {
        let answered = |press: &&Press| press.closes() && press.item["id"] == *earlier;
        let Some(at) = world.presses.iter().filter(answered).map(|press| press.at).max() else { continue };
        // Somebody wanted it tried again, or decided something about the same object elsewhere.
        let reopened = world.presses.iter().any(|press| {
            press.taken
                && press.at >= at
                && press.item["id"] != *earlier
                && (press.item["object_id"] == item["object_id"]
                    || matches!(press.button, Button::Retry | Button::RetryGroup))
        });
        if !reopened {
            let about = format!(
                "{} about {} at {}: {earlier} was answered, and {id} asks again",
                item["code"], item["object_id"], item["system"]
            );
            world.wrong("asked twice", about);
        }
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
