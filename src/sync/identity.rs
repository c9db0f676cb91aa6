//! Who is who: references between an EHR's ids and ours, and records matched by identifier. References are logical
//! inside (`identifier` = `urn:liaison:<instance>:<object>|<id>`) and literal at the EHR. A match counts only when
//! exactly one object shares an identifier and none contradicts; never by name.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::{
    domain::{ObjectId, ObjectName},
    fhir::Reference,
    ledger::LedgerError,
};

/// An object of ours, as references name it.
pub(super) type Whose = (ObjectName, ObjectId);

/// What an EHR calls an object of ours.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// `Type/id` there.
    At(String),
    /// On its way there.
    Coming,
    /// Not known there and not going there: the reference stays logical.
    Elsewhere,
}

/// Makes the references of a resource from an EHR logical where we know whom they mean.
pub(super) fn logical(resource: &Value, instance: &str, known: &dyn Fn(&str) -> Option<Whose>) -> Value {
    match resource {
        Value::Object(members) => {
            let Some(text) = members.get("reference").and_then(Value::as_str) else {
                return Value::Object(members.iter().map(|(k, v)| (k.clone(), logical(v, instance, known))).collect());
            };
            let Reference::Literal { kind, id, .. } = Reference::parse(text) else { return resource.clone() };
            let Some((object, ours)) = known(&format!("{kind}/{id}")) else { return resource.clone() };
            let mut changed = Map::new();
            changed.insert("type".to_owned(), json!(kind));
            changed.insert(
                "identifier".to_owned(),
                json!({"system": format!("urn:liaison:{instance}:{object}"), "value": ours.as_str()}),
            );
            let others = members.iter().filter(|(key, _)| !matches!(key.as_str(), "reference" | "type" | "identifier"));
            changed.extend(others.map(|(key, value)| (key.clone(), value.clone())));
            Value::Object(changed)
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| logical(item, instance, known)).collect()),
        other => other.clone(),
    }
}

/// Makes a resource's logical references literal for an EHR. `before` is the resource as the EHR holds it: a
/// reference that means the same keeps its form there. Gives the objects that must arrive first.
pub(super) fn literal(
    resource: &mut Value,
    before: Option<&Value>,
    instance: &str,
    place: &mut dyn FnMut(&Whose) -> Result<Place, LedgerError>,
) -> Result<Vec<Whose>, LedgerError> {
    let mut forms = HashMap::new();
    if let Some(before) = before {
        collect(before, &mut forms);
    }
    let mut coming = Vec::new();
    replace(resource, before, instance, &forms, place, &mut coming)?;
    Ok(coming)
}

fn replace(
    node: &mut Value,
    before: Option<&Value>,
    instance: &str,
    forms: &HashMap<String, Value>,
    place: &mut dyn FnMut(&Whose) -> Result<Place, LedgerError>,
    coming: &mut Vec<Whose>,
) -> Result<(), LedgerError> {
    match node {
        Value::Object(members) => {
            if let Some(whose) = ours(members, instance) {
                match place(&whose)? {
                    Place::At(reference) => {
                        let same = |form: &&Value| key_of(form).as_deref() == Some(reference.as_str());
                        let form = before.filter(same).or_else(|| forms.get(&reference));
                        *members = written(members, form, &reference);
                    }
                    Place::Coming => coming.push(whose),
                    Place::Elsewhere => {}
                }
                return Ok(());
            }
            for (key, value) in members.iter_mut() {
                replace(value, before.and_then(|before| before.get(key)), instance, forms, place, coming)?;
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                replace(item, before.and_then(|before| before.get(at)), instance, forms, place, coming)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// A literal reference, in the form that the EHR uses where it has one.
fn written(logical: &Map<String, Value>, form: Option<&Value>, reference: &str) -> Map<String, Value> {
    let technical = |key: &str| matches!(key, "reference" | "type" | "identifier");
    let mut out = Map::new();
    match form.and_then(Value::as_object) {
        Some(form) => {
            let kept = form.iter().filter(|(key, _)| technical(key) || logical.contains_key(*key));
            out.extend(kept.map(|(key, value)| {
                (key.clone(), logical.get(key).filter(|_| !technical(key)).unwrap_or(value).clone())
            }));
        }
        None => {
            out.insert("reference".to_owned(), json!(reference));
        }
    }
    for (key, value) in logical.iter().filter(|(key, _)| !technical(key)) {
        if !out.contains_key(key) {
            out.insert(key.clone(), value.clone());
        }
    }
    out
}

fn collect(node: &Value, forms: &mut HashMap<String, Value>) {
    match node {
        Value::Object(members) => {
            if let Some(key) = key_of(node) {
                forms.entry(key).or_insert_with(|| node.clone());
            }
            members.values().for_each(|value| collect(value, forms));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, forms)),
        _ => {}
    }
}

/// `Type/id` of a literal reference.
fn key_of(node: &Value) -> Option<String> {
    match Reference::parse(node.get("reference")?.as_str()?) {
        Reference::Literal { kind, id, .. } => Some(format!("{kind}/{id}")),
        _ => None,
    }
}

/// The object that a logical reference of ours names.
fn ours(members: &Map<String, Value>, instance: &str) -> Option<Whose> {
    if members.contains_key("reference") {
        return None;
    }
    whose(members.get("identifier")?, instance)
}

/// The object that an identifier of ours names.
fn whose(identifier: &Value, instance: &str) -> Option<Whose> {
    let system = identifier.get("system")?.as_str()?;
    let object = system.strip_prefix("urn:liaison:")?.strip_prefix(instance)?.strip_prefix(':')?;
    let id = identifier.get("value")?.as_str()?;
    Some((ObjectName::new(object).ok()?, ObjectId::new(id).ok()?))
}

/// The object that a resource claims to be by an identifier of ours.
pub(super) fn claimed(resource: &Value, instance: &str) -> Option<Whose> {
    let list = resource.get("identifier")?.as_array()?;
    list.iter().find_map(|identifier| whose(identifier, instance))
}

/// References by id inside an internal object, with their JSON pointers.
pub(super) fn references(internal: &Value) -> Vec<(String, Whose)> {
    fn walk(node: &Value, pointer: &str, found: &mut Vec<(String, Whose)>) {
        match node {
            Value::Object(members) => {
                let text = |key: &str| members.get(key).and_then(Value::as_str);
                if let (Some(object), Some(id)) = (text("object"), text("id")) {
                    if let (Ok(object), Ok(id)) = (ObjectName::new(object), ObjectId::new(id)) {
                        found.push((pointer.to_owned(), (object, id)));
                    }
                    return;
                }
                for (key, value) in members {
                    walk(value, &format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), found);
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    walk(item, &format!("{pointer}/{at}"), found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(internal, "", &mut found);
    found
}

/// Resource types whose records are the same person, place or organisation when they share an identifier. Others may
/// share one on purpose (the visits of a series).
#[must_use]
pub(super) fn is_registered(resource_type: &str) -> bool {
    matches!(resource_type, "Patient" | "Practitioner" | "Organization" | "Location")
}

pub(super) use super::index::{Held, Index, Match};

#[cfg(test)]
mod tests {
    use super::*;

    fn known(reference: &str) -> Option<Whose> {
        (reference == "Patient/7").then(|| (ObjectName::new("patient").unwrap(), ObjectId::new("p1").unwrap()))
    }

    fn at(whose: &Whose) -> Result<Place, LedgerError> {
        Ok(match whose.1.as_str() {
            "p1" => Place::At("Patient/7".into()),
            "p2" => Place::Coming,
            _ => Place::Elsewhere,
        })
    }

    #[test]
    fn there_and_back_keeps_the_ehrs_form() {
        let held = json!({"participant": [
            {"actor": {"reference": "https://ehr/fhir/Patient/7", "identifier": {"value": "MRN1"}, "display": "A"}},
            {"actor": {"reference": "Patient/7", "type": "Patient"}},
            {"actor": {"reference": "Practitioner/3"}}]});
        let ours = logical(&held, "north", &known);
        assert_eq!(
            ours["participant"][0]["actor"],
            json!({
            "type": "Patient", "identifier": {"system": "urn:liaison:north:patient", "value": "p1"}, "display": "A"})
        );
        assert_eq!(ours["participant"][2], held["participant"][2]);
        let mut back = ours;
        assert!(literal(&mut back, Some(&held), "north", &mut at).unwrap().is_empty());
        assert_eq!(back, held);
    }

    #[test]
    fn new_references_become_literal_or_wait() {
        let whom = |id: &str| json!({"type": "Patient", "identifier": {"system": "urn:liaison:north:patient", "value": id}, "display": "D"});
        let mut resource = json!({"a": whom("p1"), "b": whom("p2"), "c": whom("p3"), "d": {"identifier": {"system": "urn:liaison:south:patient", "value": "p1"}}});
        let coming = literal(&mut resource, None, "north", &mut at).unwrap();
        assert_eq!(resource["a"], json!({"reference": "Patient/7", "display": "D"}));
        assert_eq!(coming.len(), 1);
        assert_eq!(resource["c"], whom("p3"));
        assert_eq!(resource["d"]["identifier"]["system"], "urn:liaison:south:patient");
    }

    #[test]
    fn references_are_found_by_shape() {
        let internal = json!({"id": "a", "patient": {"object": "patient", "id": "p1"}, "who": [{"ref": {"object": "location", "id": "l"}}]});
        let found: Vec<String> = references(&internal).into_iter().map(|(pointer, _)| pointer).collect();
        assert_eq!(found, ["/patient", "/who/0/ref"]);
    }
}
