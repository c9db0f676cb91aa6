//! What an EHR's staff do.

use liaison::rest::Method;
use serde_json::{Value, json};

use super::{Edit, World};
use crate::{
    books::Who,
    plan::{Step, own_marker},
    quirk,
};

impl World {
    /// What an EHR's staff do.
    pub fn at_ehr(&mut self, step: &Step) {
        match step {
            Step::Edit { ehr, thing, field, number } => {
                let there = self.ehrs[*ehr].clone();
                there.work();
                let standing = there.books.standing();
                let found = standing
                    .iter()
                    .find(|version| version.resource.as_ref().is_some_and(|body| self.thing_of(body) == Some(*thing)));
                let Some(found) = found else { return };
                let mut body = found.resource.clone().unwrap_or_default();
                let value = field.value(*number);
                field.edit(&mut body, &value);
                self.staff(*ehr, Method::Put, &format!("{}/{}", found.kind, found.id), Some(&body));
                self.trace.say(|| format!("staff of {} set {field:?} of {thing} to {value}", there.name));
                let at = self.time.elapsed();
                self.edits.push(Edit { ehr: *ehr, thing: *thing, field: *field, value, at });
            }
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
                let there = self.ehrs[*ehr].clone();
                there.work();
                let standing = there.books.standing();
                let found = standing
                    .iter()
                    .find(|version| version.resource.as_ref().is_some_and(|body| self.thing_of(body) == Some(*thing)));
                if let Some(found) = found {
                    self.staff(*ehr, Method::Delete, &format!("{}/{}", found.kind, found.id), None);
                    self.trace.say(|| format!("staff of {} delete {}", there.name, found.kind));
                    quirk::count(quirk::Kind::Deletes);
                    self.deleted.push((*ehr, *thing));
                }
            }
            _ => {}
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
