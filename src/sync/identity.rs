//! Who is who: references between an EHR's ids and ours, and records matched by identifier. References are logical
//! inside (`identifier` = `urn:liaison:<instance>:<object>|<id>`) and literal at the EHR. A match counts only when
//! exactly one object shares an identifier and none contradicts; never by name.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::{
    domain::{ObjectId, ObjectName},
    fhir::{OwnBase, Reference},
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
    /// The absolute address of a relative reference that is another EHR's: the object came from there, and nobody here knows
    /// whom it means.
    fn elsewhere(&self, reference: &str) -> Result<Option<String>, LedgerError>;
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
                self.name_the_base(members)?;
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

    /// A relative reference that this EHR did not give us means nothing there, or somebody else: it goes out with its base.
    fn name_the_base(&self, members: &mut Map<String, Value>) -> Result<(), LedgerError> {
        let Some(text) = members.get("reference").and_then(Value::as_str) else { return Ok(()) };
        if let Reference::Literal { base: "", kind, id, .. } = Reference::parse(text)
            && !self.forms.contains_key(&format!("{kind}/{id}"))
            && let Some(absolute) = self.places.elsewhere(&format!("{kind}/{id}"))?
        {
            members.insert("reference".to_owned(), json!(absolute));
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

/// Whether a resource of an EHR has a reference to this one of the EHR's own.
pub(super) fn names(resource: &Value, base: &OwnBase, reference: &str) -> bool {
    let mut forms = HashMap::new();
    collect(resource, base, &mut forms);
    forms.contains_key(reference)
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
#[path = "identity_tests.rs"]
mod tests;
