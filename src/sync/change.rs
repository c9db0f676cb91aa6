//! How an object changes: replaced, patched, called off, a reference moved to the right record, a value brought back that ours
//! had replaced. Gives the new body; what is wrong with it is judged like any other version.

use serde_json::{Value, json};

use super::{
    Change, Error,
    merge::{dotted, merge_patch, pointer, set},
    translator::Translator,
};
use crate::{
    error::Finding,
    ledger::{Fact, ObjectRow},
    mapping::ObjectType,
};

impl Translator {
    /// The new body, and whether the change is a cancellation.
    pub fn changed(
        &self,
        kind: &ObjectType,
        row: &ObjectRow,
        before: &Value,
        change: Change,
    ) -> Result<(Value, bool), Error> {
        match change {
            Change::Restore { seq, path } => Ok((self.restored(row, before, seq, &path)?, false)),
            Change::Relink { reference, to } => Ok((relinked(before, &reference, to.as_ref())?, false)),
            Change::Replace(body) => Ok((body, false)),
            Change::Merge(patch) => {
                let mut body = before.clone();
                merge_patch(&mut body, &patch);
                Ok((body, false))
            }
            Change::Cancel { reason } => {
                let transitions = kind.transitions().ok_or(Error::Transition)?;
                let cancel = transitions.cancel.as_ref().ok_or(Error::Transition)?;
                let mut body = before.clone();
                set(&mut body, &format!("/{}", transitions.field), Some(json!(cancel)));
                if let (Some(field), Some(reason)) = (&transitions.reason, reason) {
                    set(&mut body, &format!("/{field}"), Some(reason));
                }
                Ok((body, true))
            }
        }
    }

    /// The object with a value of theirs that ours replaced once.
    fn restored(&self, row: &ObjectRow, before: &Value, seq: u64, path: &str) -> Result<Value, Error> {
        let entry = self.ledger.entry(seq)?.map(|entry| entry.draft);
        let kept = entry
            .filter(|draft| draft.object.as_ref() == Some(&row.object) && draft.object_id.as_ref() == Some(&row.id));
        let Some(Fact::Overruled { detail }) = kept.map(|draft| draft.fact) else {
            return Err(wrong("/seq", "No value was overruled by this entry of this object's history."));
        };
        let name = dotted(path);
        let detail = self.read_body(&detail)?;
        let fields = detail["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(field) = fields.iter().find(|field| field["path"] == json!(name)) else {
            let known: Vec<&str> = fields.iter().filter_map(|field| field["path"].as_str()).collect();
            return Err(wrong("/path", &format!("That entry kept: {}.", known.join(", "))));
        };
        let plan = self.mappings.now().plan(row.object.as_str(), "generic").ok_or(Error::UnknownObject)?;
        let mut body = before.clone();
        let value = Some(field["theirs"].clone()).filter(|value| !value.is_null());
        plan.fields().set(&mut body, &pointer(&name), value);
        Ok(body)
    }
}

impl Change {
    /// What an idempotency key stands for.
    pub(super) fn shape(&self) -> Value {
        match self {
            Self::Replace(body) | Self::Merge(body) => body.clone(),
            Self::Cancel { reason } => json!({"cancel": reason}),
            Self::Restore { seq, path } => json!({"restore": seq, "path": path}),
            Self::Relink { reference, to } => json!({"relink": reference, "to": to}),
        }
    }
}

/// The object with a reference moved to somebody else; without `to` it is taken out, with the list's item that it stands in
/// where that says nothing else.
fn relinked(before: &Value, reference: &Value, to: Option<&Value>) -> Result<Value, Error> {
    let mut body = before.clone();
    let count = match reference {
        Value::String(path) => {
            let path = pointer(&dotted(path));
            let found = body.pointer(&path).is_some_and(is_reference);
            if found {
                replace_at(&mut body, &path, to);
            }
            usize::from(found)
        }
        Value::Object(_) => {
            let wanted = bare(reference);
            let means = |value: &Value| is_reference(value) && crate::fhir::canonically_equal(&bare(value), &wanted);
            replace_all(&mut body, &means, to)
        }
        _ => 0,
    };
    if count == 0 {
        let what = "Nothing of this object refers so: name the reference as it stands ({\"object\", \"id\"}) or its place (participants.0.who).";
        return Err(wrong("/reference", what));
    }
    Ok(body)
}

/// One reference to somebody: by id, by identifier, or as it was received.
fn is_reference(value: &Value) -> bool {
    value.get("object").is_some() || value.get("reference").is_some()
}

fn replace_at(body: &mut Value, path: &str, to: Option<&Value>) {
    if let (Some(to), Some(at)) = (to, body.pointer_mut(path)) {
        *at = to.clone();
        return;
    }
    let Some((parent, last)) = path.rsplit_once('/') else { return };
    match body.pointer_mut(parent) {
        Some(Value::Object(members)) => _ = members.shift_remove(last),
        Some(Value::Array(items)) => {
            if let Some(at) = last.parse::<usize>().ok().filter(|at| *at < items.len()) {
                items.remove(at);
            }
        }
        _ => {}
    }
}

/// Replaces every reference that means the one in question, or takes it out of where it stands; gives how many.
fn replace_all(node: &mut Value, means: &dyn Fn(&Value) -> bool, to: Option<&Value>) -> usize {
    if means(node) {
        *node = to.cloned().unwrap_or_default();
        return 1;
    }
    let out = |value: &Value| to.is_none() && means(value);
    match node {
        Value::Array(items) => {
            let before = items.len();
            items.retain(|item| !out(item));
            before - items.len() + items.iter_mut().map(|item| replace_all(item, means, to)).sum::<usize>()
        }
        Value::Object(members) => {
            let before = members.len();
            members.retain(|_, value| !out(value));
            before - members.len() + members.values_mut().map(|value| replace_all(value, means, to)).sum::<usize>()
        }
        _ => 0,
    }
}

/// A reference without its display, which is a label.
fn bare(reference: &Value) -> Value {
    let mut bare = reference.clone();
    if let Some(members) = bare.as_object_mut() {
        members.shift_remove("display");
    }
    bare
}

fn wrong(pointer: &str, detail: &str) -> Error {
    Error::Invalid(vec![Finding {
        pointer: pointer.to_owned(),
        code: "LIA-SYNC-002".to_owned(),
        detail: detail.to_owned(),
        remedy: "Look at the object and its history, and name what stands there.".to_owned(),
    }])
}

/// Whether the step from `before` to `after` calls the object off.
pub(super) fn moves(kind: &ObjectType, before: &Value, after: &Value) -> Result<bool, Error> {
    let Some(transitions) = kind.transitions() else { return Ok(false) };
    let state = |body: &Value| body.get(&transitions.field).and_then(Value::as_str).map(str::to_owned);
    let (Some(from), Some(to)) = (state(before), state(after)) else { return Ok(false) };
    if !transitions.allows(&from, &to) {
        return Err(Error::Transition);
    }
    Ok(transitions.cancel.as_ref() == Some(&to) && from != to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_moved_or_taken_out_wherever_it_stands() {
        let ada = json!({"object": "patient", "id": "ada"});
        let named = json!({"object": "patient", "id": "ada", "display": "Ada"});
        let bob = json!({"object": "patient", "id": "bob"});
        let visit =
            json!({"participants": [{"who": named, "reply": "accepted"}, {"who": bob}], "documents": [ada, bob]});
        let moved = relinked(&visit, &ada, Some(&bob)).unwrap();
        assert_eq!(
            moved,
            json!({"participants": [{"who": bob, "reply": "accepted"}, {"who": bob}], "documents": [bob, bob]})
        );
        let out = relinked(&visit, &ada, None).unwrap();
        assert_eq!(out, json!({"participants": [{"reply": "accepted"}, {"who": bob}], "documents": [bob]}));
        let at = relinked(&visit, &json!("participants.0.who"), Some(&bob)).unwrap();
        assert_eq!(at["participants"][0]["who"], bob);
        assert_eq!(at["documents"][0], ada, "only there");
        assert!(relinked(&visit, &json!({"object": "patient", "id": "eve"}), Some(&bob)).is_err());
        assert!(relinked(&visit, &json!("participants.0.reply"), Some(&bob)).is_err());
    }
}
