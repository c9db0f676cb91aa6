//! What surfaces showed, as people saw it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use liaison::{
    domain::ObjectId,
    ledger::{Ledger, SyncFilter, WorkFilter},
};
use serde_json::Value;

use super::{Press, World, name, object};
use crate::plan::{Field, Step};

/// What surfaces show.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Syncs by object, id and system.
    pub syncs: BTreeMap<(String, String, String), Value>,
    /// All items there ever were, as last shown, and when they were first.
    pub items: BTreeMap<String, (Duration, Value)>,
    /// Items as they were shown before a backup was restored: their ids are given again.
    pub past: Vec<Value>,
    /// When a value of a thing's field was first shown, and until when it was known that it had been.
    pub values: BTreeMap<(usize, Field, String), Vec<(Duration, Duration)>>,
    /// Values now.
    pub now: BTreeMap<(usize, Field), String>,
    /// In which version an item's object stood when it was asked about.
    pub asked: BTreeMap<String, Option<u64>>,
    /// Markers of staff's own records among the patients here.
    pub own: Vec<String>,
    /// Visits that staff made, by their mark.
    pub visits: BTreeMap<String, Value>,
    /// The contact details of patients.
    pub contacts: BTreeMap<usize, String>,
    /// At which entry a sync, an item or an object stood when it was looked at last: what did not move shows the same.
    stood: HashMap<String, u64>,
}

impl Shown {
    pub fn open(&self) -> Vec<&Value> {
        self.items.values().map(|(_, item)| item).filter(|item| is_open(item)).collect()
    }

    /// Whether something moved since it was looked at last.
    fn moved(&mut self, what: &str, seq: u64) -> bool {
        if self.stood.get(what) == Some(&seq) {
            return false;
        }
        self.stood.insert(what.to_owned(), seq);
        true
    }

    /// All that people were ever shown.
    pub fn ever(&self) -> impl Iterator<Item = &Value> {
        self.items.values().map(|(_, item)| item).chain(&self.past)
    }
}

pub fn is_open(item: &Value) -> bool {
    item["status"] == "open" || item["status"] == "assigned"
}

impl World {
    /// Looks at what surfaces show now, as a person would.
    pub fn look(&mut self, ledger: &Ledger) -> Result<(), String> {
        let failed = |error: liaison::ledger::LedgerError| error.to_string();
        let now = self.time.elapsed();
        let all = SyncFilter { limit: 10_000, ..SyncFilter::default() };
        for row in ledger.syncs(&all).map_err(failed)? {
            if !self.shown.moved(row.id.as_str(), row.seq) {
                continue;
            }
            let shown = row.to_json();
            let text = |name: &str| shown[name].as_str().unwrap_or_default().to_owned();
            let key = (text("object"), text("object_id"), text("system"));
            if self.shown.syncs.get(&key) != Some(&shown) {
                self.trace.say(|| {
                    format!(
                        "  sync {} {} at {}: {} v{} {}",
                        key.0,
                        key.1,
                        key.2,
                        text("state"),
                        shown["version"],
                        text("code")
                    )
                });
                self.shown.syncs.insert(key, shown);
            }
        }
        let restored = self.restored && self.shown.items.is_empty();
        let items = ledger.items(&WorkFilter { limit: 10_000, ..WorkFilter::default() }).map_err(failed)?;
        for row in items {
            if !self.shown.moved(&row.id, row.seq) {
                continue;
            }
            let shown = ledger.item_json(&row).map_err(failed)?;
            let before = self.shown.items.get(&row.id);
            if before.is_none_or(|(_, before)| before["status"] != shown["status"]) {
                self.trace.say(|| {
                    format!(
                        "  item {} {} {} {}: {} {} at {} — {}",
                        row.id,
                        shown["status"],
                        shown["kind"],
                        shown["code"],
                        shown["object"],
                        shown["object_id"],
                        shown["system"],
                        shown["what_happened"]
                    )
                });
            }
            let since = before.map_or(now, |(since, _)| *since);
            if before.is_none() {
                crate::judge::asked(self, &shown, restored);
            }
            self.shown.items.insert(row.id.clone(), (since, shown));
        }
        self.unanswered();
        for thing in 0..self.plan.things.len() {
            let Some(id) = self.known[thing].any_id() else { continue };
            let kind = self.plan.things[thing].object();
            let row = ledger.object(&name(kind), &ObjectId::new(&id).map_err(|_| "a bad id")?).map_err(failed)?;
            // A thing may be another's id before a backup was restored: by both.
            if !row.is_some_and(|row| self.shown.moved(&format!("{thing} {id}"), row.version)) {
                continue;
            }
            let Some(body) = object(ledger, kind, &id)? else { continue };
            for field in Field::of(&self.plan.things[thing]) {
                let value = body.pointer(field.internal()).and_then(Value::as_str).unwrap_or_default();
                self.shown.now.insert((thing, *field), value.to_owned());
                let known = self.shown.values.entry((thing, *field, value.to_owned())).or_default();
                if known.last().is_none_or(|(_, until)| *until < Duration::MAX) {
                    known.push((now, Duration::MAX));
                }
            }
        }
        Ok(())
    }

    /// What was pressed before the gateway died, and never answered: taken where the item is closed by that hand.
    fn unanswered(&mut self) {
        let started = self.started;
        let (before, now) =
            std::mem::take(&mut self.pressing).into_iter().partition(|press: &Press| press.at <= started);
        self.pressing = now;
        for press in before {
            let id = press.item["id"].as_str().unwrap_or_default();
            let closed = self.shown.items.get(id).is_some_and(|(_, item)| item["closed_by"] == "eve");
            self.presses.push(Press { taken: closed, ..press });
        }
    }

    /// Looks for staff's own records among the patients here.
    pub fn look_for_own(&mut self, ledger: &Ledger) -> Result<(), String> {
        let rows = ledger.objects(&name("patient"), None, 1000).map_err(|error| error.to_string())?;
        let mut own = Vec::new();
        for row in rows {
            let body = object(ledger, "patient", row.id.as_str())?.unwrap_or_default();
            let mark = body.pointer("/contact_details/0/value").and_then(Value::as_str).unwrap_or_default();
            own.extend(
                mark.split_once('@').filter(|(mark, _)| mark.starts_with("own-")).map(|(mark, _)| mark.to_owned()),
            );
        }
        self.shown.own = own;
        for row in ledger.objects(&name("appointment"), None, 1000).map_err(|error| error.to_string())? {
            let body = object(ledger, "appointment", row.id.as_str())?.unwrap_or_default();
            let mark = body["description"].as_str().unwrap_or_default().to_owned();
            self.shown.visits.insert(mark, body);
        }
        for (thing, known) in self.known.iter().enumerate() {
            let Some(id) = known.id.as_ref().filter(|_| self.plan.things[thing].of.is_none()) else { continue };
            let body = object(ledger, "patient", id)?.unwrap_or_default();
            self.shown.contacts.insert(thing, body["contact_details"].to_string());
        }
        Ok(())
    }

    /// The backup took the ledger's place: what was answered and shown since it was made is not known any more.
    pub fn restored(&mut self) {
        let (backed_up, now) = (self.backed_up.unwrap_or_default(), self.time.elapsed());
        self.restored = true;
        let known = |(since, item): &&(Duration, Value)| *since <= backed_up && item["code"] == "LIA-SYNC-029";
        self.known_to_drop = self
            .shown
            .items
            .values()
            .filter(known)
            .filter_map(|(_, item)| item["system"].as_str().map(str::to_owned))
            .collect();
        for thing in 0..self.known.len() {
            let known = &mut self.known[thing];
            known.acked.retain(|acked| acked.at <= backed_up);
            if !known.acked.is_empty() {
                continue;
            }
            known.was = known.id.take().or_else(|| known.was.take());
            let was_sent = known.was.is_some();
            known.ids.clear();
            if was_sent && self.plan.things[thing].named {
                // Its sender sends it again; without an id of its own that would be another object.
                let at = self.now_ms() + 1000 + thing as u64 * 7919;
                self.later(at, Step::Push { thing, twice: false }, 0);
            }
        }
        let Shown { items, mut past, mut values, .. } = std::mem::take(&mut self.shown);
        past.extend(items.into_values().map(|(_, item)| item));
        // What was shown before the backup was made is known still.
        for (since, until) in values.values_mut().flatten() {
            if *until == Duration::MAX && *since > backed_up {
                *until = now;
            }
        }
        self.shown = Shown { past, values, ..Shown::default() };
    }
}
