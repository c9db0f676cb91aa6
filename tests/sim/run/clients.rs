//! What clients send, what they are answered, and what they do then.

use std::time::Duration;

use liaison::{
    domain::ObjectId,
    error::Explained as _,
    ledger::{Answer, LedgerError},
    sync::{Accept, Change, Error, Key, Resend, Update},
};

use serde_json::{Value, json};

use super::{Done, Living};
use crate::{
    coverage, judge,
    plan::{Field, Step, marker, phone},
    world::{Acked, Press, name, object},
};

/// Who sends files, and who changes single fields: what a sender sent last is its own.
const SENDER: &str = "sim";
const CLIENT: &str = "desk";

impl Living<'_> {
    pub(super) fn opens(&mut self, step: Step, tries: u64) -> u64 {
        self.opened += 1;
        self.open.insert(self.opened, (step, tries));
        self.opened
    }

    pub(super) fn push(&mut self, thing: usize, twice: bool, tries: u64) {
        let step = Step::Push { thing, twice };
        let Some(body) = self.world.body(thing) else {
            // Its patient has no id yet.
            let at = self.world.now_ms() + 3000;
            if tries < 300 {
                self.world.later(at, step, tries + 1);
            }
            return;
        };
        for again in 0..=u64::from(twice) {
            let open = self.opens(Step::Push { thing, twice: false }, tries);
            let engine = self.engine.clone();
            let key = Key { scope: "sim".to_owned(), key: format!("push-{thing}") };
            let accept = Accept {
                object: name(self.world.plan.things[thing].object()),
                body: body.clone(),
                key,
                by: SENDER.to_owned(),
                lenient: false,
            };
            self.clients.spawn(async move {
                if again > 0 {
                    tokio::time::sleep(Duration::from_millis(thing as u64 % 3 * 40)).await;
                }
                let result = engine.accept(accept).await;
                Done::Pushed { thing, tries: open, result }
            });
        }
    }

    /// The id of a thing; where nobody knows it yet, the step is for later.
    fn known_id(&mut self, thing: usize, step: &Step, tries: u64) -> Option<String> {
        let id = self.world.known[thing].id.clone();
        if id.is_none() && tries < 100 {
            let at = self.world.now_ms() + 5000;
            self.world.later(at, step.clone(), tries + 1);
        }
        id
    }

    pub(super) fn change(&mut self, thing: usize, field: Field, number: u64, tries: u64) {
        let step = Step::Change { thing, field, number };
        let Some(id) = self.known_id(thing, &step, tries) else { return };
        let kind = self.world.plan.things[thing].object();
        let expected = match object(&self.ledger, kind, &id) {
            Ok(Some(body)) => body["version"].as_u64().unwrap_or_default(),
            // Answered 202 and not there.
            Ok(None) => return self.world.wrong("lost", format!("{kind} {id} was accepted and is not there")),
            Err(_) => return,
        };
        let open = self.opens(step, tries);
        let change = match field {
            Field::Status => Change::Cancel { reason: None },
            field => Change::Merge(field.patch(&field.value(number))),
        };
        // A client that got no answer repeats under its key; one that was told of a newer version reads first, and begins anew.
        let key = Key { scope: "sim".to_owned(), key: format!("change-{thing}-{number}-{expected}") };
        let id = ObjectId::new(&id).expect("an id");
        let update =
            Update { object: name(kind), id, expected, change, key: Some(key), by: CLIENT.to_owned(), lenient: false };
        let engine = self.engine.clone();
        self.clients.spawn(async move {
            let result = engine.update(update).await;
            Done::Changed { thing, field, number, tries: open, result }
        });
    }

    /// A client reads a patient, and adds a telephone number to those that it saw.
    pub(super) fn add(&mut self, thing: usize, number: u64, tries: u64) {
        let step = Step::AddHere { thing, number };
        let Some(id) = self.known_id(thing, &step, tries) else { return };
        let kind = self.world.plan.things[thing].object();
        let Ok(Some(body)) = object(&self.ledger, kind, &id) else { return };
        let (expected, phone) = (body["version"].as_u64().unwrap_or_default(), phone(number));
        let mut list = body["contact_details"].as_array().cloned().unwrap_or_default();
        list.push(json!({"kind": "phone", "value": phone}));
        let open = self.opens(step, tries);
        let key = Key { scope: "sim".to_owned(), key: format!("add-{thing}-{number}-{expected}") };
        let update = Update {
            object: name(kind),
            id: ObjectId::new(&id).expect("an id"),
            expected,
            change: Change::Merge(json!({"contact_details": list})),
            key: Some(key),
            by: CLIENT.to_owned(),
            lenient: false,
        };
        let engine = self.engine.clone();
        self.clients.spawn(async move {
            let result = engine.update(update).await;
            Done::Added { thing, phone, tries: open, result }
        });
    }

    /// A sender sends its file again, as it is now.
    pub(super) fn resend(&mut self, thing: usize, change: Option<(Field, u64)>, tries: u64) {
        let step = Step::Resend { thing, change };
        let Some(id) = self.known_id(thing, &step, tries) else { return };
        if let Some((field, number)) = change {
            self.world.files[thing].insert(field, field.value(number));
        }
        let Some(body) = self.world.file(thing) else { return };
        let kind = self.world.plan.things[thing].object();
        let before = object(&self.ledger, kind, &id).ok().flatten();
        let open = self.opens(step, tries);
        let request = Resend {
            object: name(kind),
            id: ObjectId::new(&id).expect("an id"),
            body,
            key: None,
            by: SENDER.to_owned(),
            lenient: false,
        };
        let engine = self.engine.clone();
        self.clients.spawn(async move {
            let result = engine.resend(request).await.map(|(answer, _)| answer);
            Done::Resent { thing, before, tries: open, result }
        });
    }

    /// What came of a file sent again.
    fn resent(&mut self, thing: usize, before: Option<Value>, step: Step, tries: u64, result: Result<Answer, Error>) {
        let Step::Resend { change, .. } = step else { return };
        let at = self.world.time.elapsed();
        let answer = match result {
            Ok(answer) => answer,
            // Both changed one field: the sender is told which, and nothing is stored.
            Err(Error::Differs { .. }) => return coverage::count("a file sent again is refused by field"),
            Err(Error::Ledger(LedgerError::NoObject)) if self.world.restored => return,
            Err(error) => return self.refused(step, tries, &error),
        };
        self.world.trace.say(|| format!("  202: the file of {thing} again, v{}", answer.version));
        let id = self.world.known[thing].any_id().unwrap_or_default();
        let kind = self.world.plan.things[thing].object();
        let after = object(&self.ledger, kind, &id).ok().flatten().unwrap_or_default();
        let text =
            |body: &Value, field: Field| body.pointer(field.internal()).and_then(Value::as_str).map(str::to_owned);
        if let Some((field, number)) = change {
            let value = field.value(number);
            // Repeated after a death, it may have been taken on before: then that counts.
            if text(&after, field).as_ref() == Some(&value) {
                coverage::count("a file sent again brings something new");
                let acked = Acked { version: answer.version, at, field: Some(field), value };
                self.world.known[thing].ever.push(acked.clone());
                self.world.known[thing].acked.push(acked);
            }
        } else {
            coverage::count("a file is sent again as it was");
        }
        let told = |(field, value): (&Field, &String)| {
            self.world.known[thing].acked.iter().any(|acked| acked.field == Some(*field) && acked.value == *value)
        };
        let Some(before) = before.filter(|_| change.is_none() && !self.world.restored) else { return };
        if before["version"].as_u64() < Some(answer.version) && self.world.files[thing].iter().all(told) {
            judge::repeated(self.world, &self.ledger, thing, answer.version);
        }
    }

    /// A client or a person is answered.
    pub(super) fn answered(&mut self, done: Done) {
        if self.life.is_dead() {
            return;
        }
        let at = self.world.time.elapsed();
        match done {
            Done::Pushed { thing, tries: open, result } => {
                let Some((step, tries)) = self.open.remove(&open) else { return };
                match result {
                    Ok(answer) => {
                        let id = answer.id.to_string();
                        self.world.trace.say(|| format!("  202: {thing} is {id} v{}", answer.version));
                        let patient = self.world.plan.things[thing].of.is_none();
                        let known = &mut self.world.known[thing];
                        if !known.ids.contains(&id) {
                            known.ids.push(id.clone());
                        }
                        let first = known.acked.is_empty();
                        known.id = Some(id);
                        if first {
                            let fields: &[Field] =
                                if patient { &[Field::Family, Field::Birth] } else { &[Field::Comment] };
                            let acked = fields.iter().map(|field| Acked {
                                version: answer.version,
                                at,
                                field: Some(*field),
                                value: field.value(thing as u64),
                            });
                            known.acked.extend(acked);
                            known.ever.extend(known.acked.clone());
                        }
                    }
                    // The EHR had it, and it was fetched from there after a backup was restored.
                    Err(Error::Ledger(LedgerError::Exists)) if self.world.restored => {
                        self.world.known[thing].id = Some(marker(thing));
                    }
                    Err(error) => self.refused(step, tries, &error),
                }
            }
            Done::Changed { thing, field, number, tries: open, result } => {
                let Some((step, tries)) = self.open.remove(&open) else { return };
                match result {
                    Ok(answer) => {
                        self.world.trace.say(|| format!("  202: {thing} changed, v{}", answer.version));
                        let acked =
                            Acked { version: answer.version, at, field: Some(field), value: field.value(number) };
                        self.world.known[thing].ever.push(acked.clone());
                        self.world.known[thing].acked.push(acked);
                    }
                    Err(error) => self.refused(step, tries, &error),
                }
            }
            Done::Added { thing, phone, tries: open, result } => {
                let Some((step, tries)) = self.open.remove(&open) else { return };
                match result {
                    Ok(_) => self.world.added.push((thing, None, phone)),
                    Err(error) => self.refused(step, tries, &error),
                }
            }
            Done::Resent { thing, before, tries: open, result } => {
                let Some((step, tries)) = self.open.remove(&open) else { return };
                self.resent(thing, before, step, tries, result);
            }
            Done::Pressed { mut press, result } => {
                // A sync that failed may have been kept all the same: then the decision stands after the restart.
                press.taken = matches!(&result, Ok(()) | Err(Error::Ledger(LedgerError::Stopped(_))));
                self.world.trace.say(|| {
                    let came = result.as_ref().map_or_else(ToString::to_string, |()| "taken".to_owned());
                    format!("  {:?} on {}: {came}", press.button, press.item["id"])
                });
                match &result {
                    Ok(()) | Err(Error::Closed | Error::Decision(_) | Error::Invalid(_) | Error::NoItem) => {}
                    Err(Error::Ledger(
                        LedgerError::Stale { .. } | LedgerError::SyncMoved | LedgerError::ItemClosed,
                    )) => {}
                    Err(error) if error.is_disk() && self.world.disk.is_full() => {}
                    Err(Error::Ledger(LedgerError::Stopped(_))) if self.world.disk.has_failed() => {}
                    Err(error) => {
                        self.world.wrong("refused", format!("a button is answered {}: {error}", error.code()))
                    }
                }
                judge::pressed(self.world, &self.ledger, &press, &result);
                let same = |other: &Press| other.at == press.at && other.item["id"] == press.item["id"];
                if let Some(at) = self.world.pressing.iter().position(same) {
                    self.world.pressing.remove(at);
                }
                self.world.presses.push(press);
            }
        }
    }

    /// A request of a client was refused.
    pub(super) fn refused(&mut self, step: Step, tries: u64, error: &Error) {
        self.world.trace.say(|| format!("  refused {step:?}: {} {error}", error.code()));
        if let (Error::Ledger(LedgerError::Stopped(_)), Step::Change { thing, .. }) = (error, &step) {
            self.world.kept.insert(*thing);
        }
        match error {
            // It reads again, and asks again.
            Error::Ledger(LedgerError::Stale { .. }) if tries < 20 => {
                let at = self.world.now_ms() + 700;
                self.world.later(at, step, tries + 1);
            }
            // 507, and 503 of a process that ends: repeated.
            _ if error.is_disk() && self.world.disk.is_full() || self.world.disk.has_failed() => {
                coverage::count("a request is refused for want of room");
                let at = self.world.now_ms() + 5000;
                self.world.later(at, step, tries + 1);
            }
            // A visit that was called off meanwhile.
            Error::Transition => {}
            Error::Invalid(findings) => {
                let places: Vec<String> =
                    findings.iter().map(|f| format!("{} {} {}", f.pointer, f.code, f.detail)).collect();
                self.world.wrong("refused", format!("{step:?}: {}", places.join("; ")));
            }
            _ => self.world.wrong("refused", format!("{step:?}: {} {error}", error.code())),
        }
    }
}
