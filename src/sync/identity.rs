//! Who is who: references between an EHR's ids and ours, and records matched by identifier. References are logical
//! inside (`identifier` = `urn:liaison:<instance>:<object>|<id>`) and literal at the EHR. A match counts only when
//! exactly one object shares an identifier and none contradicts; never by name.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::{
    domain::{ObjectId, ObjectName},
    fhir::OwnBase,
    ledger::LedgerError,
    mapping::{identifier_system, object_of},
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

/// Makes the references of a resource from an EHR logical where they are that EHR's own (`base`) and we know whom they mean.
pub(super) fn logical(
    resource: &Value,
    instance: &str,
    base: &OwnBase,
    known: &dyn Fn(&str) -> Option<Whose>,
) -> Value {
    let deeper = |value: &Value| logical(value, instance, base, known);
    match resource {
        Value::Object(members) => {
            let Some(text) = members.get("reference").and_then(Value::as_str) else {
                return Value::Object(members.iter().map(|(k, v)| (k.clone(), deeper(v))).collect());
            };
            let Some((kind, id)) = base.own(text) else { return resource.clone() };
            let Some((object, ours)) = known(&format!("{kind}/{id}")) else { return resource.clone() };
            let mut changed = Map::new();
            changed.insert("type".to_owned(), json!(kind));
            changed.insert(
                "identifier".to_owned(),
                json!({"system": identifier_system(instance, object.as_str()), "value": ours.as_str()}),
            );
            let others = members.iter().filter(|(key, _)| !matches!(key.as_str(), "reference" | "type" | "identifier"));
            changed.extend(others.map(|(key, value)| (key.clone(), value.clone())));
            Value::Object(changed)
        }
        Value::Array(items) => Value::Array(items.iter().map(deeper).collect()),
        other => other.clone(),
    }
}

/// What is known here of the objects that references name.
pub(super) trait Places {
    /// Where an object stands at the EHR.
    fn place(&self, whose: &Whose) -> Result<Place, LedgerError>;
    /// The one object whose resource is of this type and that carries this identifier; nothing where several do.
    fn named(&self, kind: &str, system: &str, value: &str) -> Result<Option<Whose>, LedgerError>;
}

/// Makes a resource's logical references literal for an EHR. `before` is the resource as the EHR holds it: a
/// reference that means the same keeps its form there. A reference by somebody's identifier becomes literal where that
/// means exactly one object of ours that the EHR has. Gives the objects that must arrive first.
pub(super) fn literal(
    resource: &mut Value,
    before: Option<&Value>,
    instance: &str,
    base: &OwnBase,
    places: &dyn Places,
) -> Result<Vec<Whose>, LedgerError> {
    let mut forms = HashMap::new();
    if let Some(before) = before {
        collect(before, base, &mut forms);
    }
    let mut rewriting = Rewriting { instance, base, forms, places, coming: Vec::new() };
    rewriting.replace(resource, before)?;
    Ok(rewriting.coming)
}

struct Rewriting<'a> {
    instance: &'a str,
    base: &'a OwnBase,
    /// References as the EHR holds them, by what they name.
    forms: HashMap<String, Value>,
    places: &'a dyn Places,
    coming: Vec<Whose>,
}

impl Rewriting<'_> {
    fn replace(&mut self, node: &mut Value, before: Option<&Value>) -> Result<(), LedgerError> {
        match node {
            Value::Object(members) => {
                let (whose, by_theirs) = match ours(members, self.instance) {
                    Some(whose) => (Some(whose), false),
                    None => (self.named(members)?, true),
                };
                if let Some(whose) = whose {
                    match self.places.place(&whose)? {
                        Place::At(reference) => {
                            let same = |form: &&Value| key_of(form, self.base).as_deref() == Some(reference.as_str());
                            let form = before.filter(same).or_else(|| self.forms.get(&reference));
                            let kept =
                                by_theirs.then(|| (members.get("type").cloned(), members.get("identifier").cloned()));
                            *members = written(members, form, &reference);
                            // The identifier is the sender's word: it stays beside the address.
                            if let (Some((kind, identifier)), None) = (kept, form) {
                                members.extend(kind.map(|kind| ("type".to_owned(), kind)));
                                members.extend(identifier.map(|identifier| ("identifier".to_owned(), identifier)));
                            }
                        }
                        Place::Coming => self.coming.push(whose),
                        Place::Elsewhere => {}
                    }
                    return Ok(());
                }
                for (key, value) in members.iter_mut() {
                    self.replace(value, before.and_then(|before| before.get(key)))?;
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    self.replace(item, before.and_then(|before| before.get(at)))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The object that a reference by somebody's identifier means, unless the EHR holds the reference in just this form.
    fn named(&self, members: &Map<String, Value>) -> Result<Option<Whose>, LedgerError> {
        match by_identifier(members) {
            Some((kind, system, value)) if !self.forms.contains_key(&name_of(kind, system, value)) => {
                self.places.named(kind, system, value)
            }
            _ => Ok(None),
        }
    }
}

/// Type, system and value of a reference that has only an identifier.
fn by_identifier(members: &Map<String, Value>) -> Option<(&str, &str, &str)> {
    let of_reference = |key: &str| matches!(key, "id" | "extension" | "type" | "identifier" | "display");
    fn text(value: Option<&Value>) -> Option<&str> {
        value.and_then(Value::as_str).filter(|text| !text.is_empty())
    }
    if !members.keys().all(|key| of_reference(key)) {
        return None;
    }
    let identifier = members.get("identifier")?;
    let (kind, system, value) = (members.get("type")?.as_str()?, identifier.get("system"), identifier.get("value"));
    Some((kind, text(system)?, text(value)?))
}

/// How a reference by identifier is remembered; no `Type/id` looks like it.
fn name_of(kind: &str, system: &str, value: &str) -> String {
    format!("{kind}?{system}|{value}")
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

fn collect(node: &Value, base: &OwnBase, forms: &mut HashMap<String, Value>) {
    match node {
        Value::Object(members) => {
            if let Some(key) = key_of(node, base) {
                forms.entry(key).or_insert_with(|| node.clone());
            }
            members.values().for_each(|value| collect(value, base, forms));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, base, forms)),
        _ => {}
    }
}

/// What a reference names there: `Type/id`, or type and identifier where it has no more; nothing where it names somebody else's.
fn key_of(node: &Value, base: &OwnBase) -> Option<String> {
    let Some(text) = node.get("reference") else {
        let (kind, system, value) = by_identifier(node.as_object()?)?;
        return Some(name_of(kind, system, value));
    };
    base.own(text.as_str()?).map(|(kind, id)| format!("{kind}/{id}"))
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
    let object = object_of(instance, system)?;
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

    fn base() -> OwnBase {
        OwnBase::new("https://ehr/fhir")
    }

    fn known(reference: &str) -> Option<Whose> {
        (reference == "Patient/7").then(|| (ObjectName::new("patient").unwrap(), ObjectId::new("p1").unwrap()))
    }

    struct Three;

    impl Places for Three {
        fn place(&self, whose: &Whose) -> Result<Place, LedgerError> {
            Ok(match whose.1.as_str() {
                "p1" => Place::At("Patient/7".into()),
                "p2" => Place::Coming,
                _ => Place::Elsewhere,
            })
        }
        fn named(&self, kind: &str, system: &str, value: &str) -> Result<Option<Whose>, LedgerError> {
            let known = kind == "Patient" && system == "urn:mrn";
            Ok(known.then(|| (ObjectName::new("patient").unwrap(), ObjectId::new(value).unwrap())))
        }
    }

    #[test]
    fn there_and_back_keeps_the_ehrs_form() {
        let held = json!({"participant": [
            {"actor": {"reference": "https://ehr/fhir/Patient/7", "identifier": {"value": "MRN1"}, "display": "A"}},
            {"actor": {"reference": "Patient/7", "type": "Patient"}},
            {"actor": {"reference": "Practitioner/3"}}]});
        let ours = logical(&held, "north", &base(), &known);
        assert_eq!(
            ours["participant"][0]["actor"],
            json!({
            "type": "Patient", "identifier": {"system": "urn:liaison:north:patient", "value": "p1"}, "display": "A"})
        );
        assert_eq!(ours["participant"][2], held["participant"][2]);
        let mut back = ours;
        assert!(literal(&mut back, Some(&held), "north", &base(), &Three).unwrap().is_empty());
        assert_eq!(back, held);
    }

    /// FAULTS P1 and P17b: the same id under another base is another patient, on the way in and out.
    #[test]
    fn a_reference_under_another_base_is_somebody_elses() {
        let held = json!({"participant": [{"actor": {"reference": "https://regional.example/fhir/Patient/7", "display": "B"}}]});
        assert_eq!(logical(&held, "north", &base(), &known), held);
        let p1 = json!({"type": "Patient", "identifier": {"system": "urn:liaison:north:patient", "value": "p1"}});
        let mut more = held.clone();
        more["participant"].as_array_mut().unwrap().push(json!({"actor": p1}));
        literal(&mut more, Some(&held), "north", &base(), &Three).unwrap();
        assert_eq!(more["participant"][0], held["participant"][0]);
        assert_eq!(more["participant"][1]["actor"], json!({"reference": "Patient/7"}));
    }

    #[test]
    fn new_references_become_literal_or_wait() {
        let whom = |id: &str| json!({"type": "Patient", "identifier": {"system": "urn:liaison:north:patient", "value": id}, "display": "D"});
        let mut resource = json!({"a": whom("p1"), "b": whom("p2"), "c": whom("p3"), "d": {"identifier": {"system": "urn:liaison:south:patient", "value": "p1"}}});
        let coming = literal(&mut resource, None, "north", &base(), &Three).unwrap();
        assert_eq!(resource["a"], json!({"reference": "Patient/7", "display": "D"}));
        assert_eq!(coming.len(), 1);
        assert_eq!(resource["c"], whom("p3"));
        assert_eq!(resource["d"]["identifier"]["system"], "urn:liaison:south:patient");
    }

    #[test]
    fn a_reference_by_identifier_becomes_literal_where_it_means_one_that_is_there() {
        let by = |kind: &str, system: &str, value: &str| json!({"type": kind, "identifier": {"system": system, "value": value}, "display": "D"});
        let made = json!({
            "subject": by("Patient", "urn:mrn", "p1"), "later": by("Patient", "urn:mrn", "p2"),
            "elsewhere": by("Patient", "urn:mrn", "p9"), "stranger": by("Patient", "urn:other", "p1"),
            "no reference": {"identifier": {"system": "urn:mrn", "value": "p1"}, "type": "Patient", "quantity": 1}});
        let mut resource = made.clone();
        let coming = literal(&mut resource, None, "north", &base(), &Three).unwrap();
        let mut expected = by("Patient", "urn:mrn", "p1");
        expected["reference"] = json!("Patient/7");
        assert_eq!(resource["subject"], expected);
        assert_eq!(coming.len(), 1, "one that is on its way is waited for");
        for name in ["later", "elsewhere", "stranger", "no reference"] {
            assert_eq!(resource[name], made[name]);
        }
        let mut held_so = made.clone();
        literal(&mut held_so, Some(&json!({"subject": by("Patient", "urn:mrn", "p1")})), "north", &base(), &Three)
            .unwrap();
        assert_eq!(held_so["subject"], made["subject"], "what the EHR holds in this form stays");
    }

    #[test]
    fn references_are_found_by_shape() {
        let internal = json!({"id": "a", "patient": {"object": "patient", "id": "p1"}, "who": [{"ref": {"object": "location", "id": "l"}}]});
        let found: Vec<String> = references(&internal).into_iter().map(|(pointer, _)| pointer).collect();
        assert_eq!(found, ["/patient", "/who/0/ref"]);
    }
}
