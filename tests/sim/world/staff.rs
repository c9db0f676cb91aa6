//! What an EHR's staff do.

use std::sync::Arc;

use liaison::rest::{Method, Version};
use serde_json::{Value, json};

use super::{Edit, World};
use crate::{
    books::Who,
    coverage,
    ehr::SimEhr,
    plan::{Field, Step, own_marker, phone},
    quirk,
};

impl World {
    /// What an EHR's staff do.
    pub fn at_ehr(&mut self, step: &Step) {
        match step {
            Step::Edit { ehr, thing, field, number } => {
                let (there, found) = self.found(*ehr, *thing);
                let Some(found) = found else { return };
                let mut body = found.resource.clone().unwrap_or_default();
                let value = field.value(*number);
                field.edit(&mut body, &value);
                self.staff(*ehr, Method::Put, &format!("{}/{}", found.kind, found.id), Some(&body));
                self.trace.say(|| format!("staff of {} set {field:?} of {thing} to {value}", there.name));
                let at = self.time.elapsed();
                self.edits.push(Edit { ehr: *ehr, thing: *thing, field: *field, value, at });
            }
            Step::ByHand { ehr, thing, number } => self.by_hand(*ehr, *thing, *number),
            Step::Own { ehr, number, identified } => {
                let mark = own_marker(*number);
                let mut body = json!({"resourceType": "Patient", "name": [{"family": "Own", "given": [mark]}],
                    "telecom": [{"system": "email", "value": format!("{mark}@example.org")}]});
                if *identified {
                    body["identifier"] = json!([{"system": "https://mrn.example", "value": format!("m{number}")}]);
                }
                let answer = self.staff(*ehr, Method::Post, "Patient", Some(&body));
                let id = answer["id"].as_str().unwrap_or_default().to_owned();
                self.trace.say(|| format!("staff of {} create Patient/{id} ({mark})", self.ehrs[*ehr].name));
                quirk::count(if *identified { quirk::Kind::OwnIdentified } else { quirk::Kind::OwnRecords });
                self.own.push((*ehr, mark, id));
            }
            Step::Delete { ehr, thing } => {
                let (there, found) = self.found(*ehr, *thing);
                if let Some(found) = found {
                    self.staff(*ehr, Method::Delete, &format!("{}/{}", found.kind, found.id), None);
                    self.trace.say(|| format!("staff of {} delete {}", there.name, found.kind));
                    quirk::count(quirk::Kind::Deletes);
                    self.deleted.push((*ehr, *thing));
                    self.is_gone(*ehr, *thing, &format!("{}/{}", found.kind, found.id));
                }
            }
            Step::AddThere { ehr, thing, number } => {
                let number = phone(*number);
                let there = self.rewritten(*ehr, *thing, |body| {
                    let more = json!({"system": "phone", "value": number});
                    match body.get_mut("telecom").and_then(Value::as_array_mut) {
                        Some(list) => list.push(more),
                        None => body["telecom"] = json!([more]),
                    }
                });
                if there.is_some() {
                    quirk::count(quirk::Kind::BothAdd);
                    self.added.push((*thing, Some(*ehr), number));
                }
            }
            Step::MergeAway { ehr, thing } => {
                let Some(reference) = self.rewritten(*ehr, *thing, |body| {
                    body["active"] = json!(false);
                    body["link"] = json!([{"other": {"reference": "Patient/the-better-one"}, "type": "replaced-by"}]);
                }) else {
                    return;
                };
                quirk::count(quirk::Kind::MergedAway);
                self.is_gone(*ehr, *thing, &reference);
            }
            Step::Foreign { ehr, thing, number, own } => {
                let (there, found) = self.found(*ehr, *thing);
                let Some(found) = found else { return };
                let base = if *own { there.base() } else { "https://regional.example/fhir" };
                let mark = own_marker(*number);
                let visit = json!({"resourceType": "Appointment", "status": "booked", "description": mark,
                    "start": "2026-06-20T09:00:00Z", "end": "2026-06-20T09:30:00Z",
                    "participant": [{"actor": {"reference": format!("{base}/Patient/{}", found.id)}, "status": "accepted"}]});
                self.staff(*ehr, Method::Post, "Appointment", Some(&visit));
                self.trace
                    .say(|| format!("staff of {} make a visit ({mark}) of {base}/Patient/{}", there.name, found.id));
                quirk::count(quirk::Kind::Foreign);
                self.foreign.push((mark, own.then_some(*thing)));
            }
            _ => {}
        }
    }

    /// Staff type what a sync that has not arrived says, and beside it one value of their own.
    fn by_hand(&mut self, ehr: usize, thing: usize, number: u64) {
        let kind = self.plan.things[thing].object();
        let key = (kind.to_owned(), self.known[thing].id.clone().unwrap_or_default(), self.system(ehr));
        let waits = |sync: &Value| matches!(sync["state"].as_str(), Some("parked" | "retrying"));
        if !self.shown.syncs.get(&key).is_some_and(waits) {
            return;
        }
        let fields = Field::of(&self.plan.things[thing]);
        let own = fields[0];
        let ours: Vec<(Field, String)> = fields[1..]
            .iter()
            .filter(|field| **field != Field::Status)
            .filter_map(|field| Some((*field, self.shown.now.get(&(thing, *field))?.clone())))
            .collect();
        let value = own.value(number);
        let there = self.rewritten(ehr, thing, |body| {
            ours.iter().for_each(|(field, value)| field.edit(body, value));
            own.edit(body, &value);
        });
        if there.is_some() {
            coverage::count("staff enter by hand what was refused");
            self.edits.push(Edit { ehr, thing, field: own, value, at: self.time.elapsed() });
        }
    }

    /// An EHR, and its record of a thing where there is one.
    fn found(&self, ehr: usize, thing: usize) -> (Arc<SimEhr>, Option<Arc<Version>>) {
        let there = self.ehrs[ehr].clone();
        there.work();
        let is_it =
            |version: &Arc<Version>| version.resource.as_ref().is_some_and(|body| self.thing_of(body) == Some(thing));
        let found = there.books.standing().into_iter().find(is_it);
        (there, found)
    }

    /// Staff change a record; its reference, where it is there.
    fn rewritten(&self, ehr: usize, thing: usize, change: impl FnOnce(&mut Value)) -> Option<String> {
        let (there, found) = self.found(ehr, thing);
        let found = found?;
        let mut body = found.resource.clone()?;
        change(&mut body);
        let reference = format!("{}/{}", found.kind, found.id);
        self.staff(ehr, Method::Put, &reference, Some(&body));
        self.trace.say(|| format!("staff of {} rewrite {reference} ({thing})", there.name));
        Some(reference)
    }

    /// A record is not to be used any more; whether the gateway knew it.
    fn is_gone(&mut self, ehr: usize, thing: usize, reference: &str) {
        let kind = self.plan.things[thing].object();
        let system = self.system(ehr);
        let known = self.shown.syncs.iter().any(|((object, _, at), sync)| {
            object == kind && *at == system && sync["remote"].to_string().contains(reference)
        });
        if known {
            self.gone.push((ehr, thing));
        }
    }

    fn staff(&self, ehr: usize, method: Method, path: &str, body: Option<&Value>) -> Value {
        let mut request = liaison::rest::Request::new(method, path, "");
        request.headers = vec![("content-type".to_owned(), "application/fhir+json".to_owned())];
        request.body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let answer = self.ehrs[ehr].at_ehr(Who::Staff, &request);
        assert!((200..300).contains(&answer.status), "{path}: {}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
    }
}
