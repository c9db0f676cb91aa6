//! What people press.

use std::collections::BTreeMap;

use liaison::sync::{Action, Choice};
use serde_json::Value;

use super::{Done, Living};
use crate::{
    plan::Button,
    world::{Press, is_open},
};

impl Living<'_> {
    /// Somebody presses a button at some item.
    pub(super) fn press(&mut self, choice: u64, button: Button, twice: bool) {
        let items: Vec<Value> = self.world.shown.items.values().map(|(_, item)| item.clone()).collect();
        // Closed items are pressed too, more rarely.
        let open: Vec<Value> = items.iter().filter(|item| is_open(item)).cloned().collect();
        let list = if open.is_empty() || choice % 8 == 7 { items } else { open };
        let Some(item) = list.get((choice / 8) as usize % list.len().max(1)).cloned() else { return };
        for _ in 0..=u64::from(twice) {
            self.presses(&item, button);
        }
    }

    pub(super) fn presses(&mut self, item: &Value, button: Button) {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let key = (text("object"), text("object_id"), text("system"));
        let sync = self.world.shown.syncs.get(&key).map(|sync| {
            (sync["version"].as_u64().unwrap_or_default(), sync["state"].as_str().unwrap_or_default().to_owned())
        });
        let press = Press { button, item: item.clone(), sync, at: self.world.time.elapsed(), taken: false };
        self.world.pressing.push(press.clone());
        let mut fields = BTreeMap::new();
        // Only of a conflict fields are decided; others name them.
        let decides = button == Button::Resolve && item["kind"] == "conflict";
        for field in item["fields"].as_array().into_iter().flatten().filter(|_| decides) {
            let choice = match self.world.chance.u8(0..5) {
                0 | 1 => Choice::Ours,
                2 | 3 => Choice::Theirs,
                // What a person writes in the field; here one of both.
                _ => [&field["theirs"], &field["ours"]]
                    .into_iter()
                    .find(|value| !value.is_null())
                    .map_or(Choice::Ours, |value| Choice::Value(value.clone())),
            };
            fields.insert(field["path"].as_str().unwrap_or_default().to_owned(), choice);
        }
        self.world.trace.say(|| format!("somebody presses {button:?} on {} {fields:?}", text("id")));
        let (engine, id, group) = (self.engine.clone(), text("id"), text("group"));
        self.clients.spawn(async move {
            let by = "eve";
            let result = match button {
                Button::RetryGroup => engine.retry_group(&group, by).await.map(drop),
                Button::Retry => engine.act(&id, Action::Retry, by).await,
                Button::Dismiss => {
                    engine.act(&id, Action::Dismiss { reason: "not needed".to_owned(), send_without: false }, by).await
                }
                Button::Resolve | Button::ResolveNothing => {
                    engine.act(&id, Action::Resolve { note: "looked at".to_owned(), fields }, by).await
                }
                Button::Assign => engine.act(&id, Action::Assign { to: "adam".to_owned() }, by).await,
                Button::Comment => engine.act(&id, Action::Comment { text: "hm".to_owned() }, by).await,
            };
            Done::Pressed { press, result }
        });
    }

    /// People answer all that is open: first as the items ask, in the end by closing what does not go away.
    pub(super) fn answer_all(&mut self, round: u32) {
        let open: Vec<Value> = self.world.shown.open().into_iter().cloned().collect();
        for item in open {
            let button = match (item["kind"].as_str(), round) {
                (Some("conflict"), 0..=3) => Button::Resolve,
                (_, 0..=1) => Button::Retry,
                _ => Button::Dismiss,
            };
            self.presses(&item, button);
        }
    }
}
