//! References. Ours are logical in what a mapping makes: type and our identifier; `sync` adds the literal reference of
//! each system. `display` is the one member that may change without the reference pointing elsewhere.

use serde_json::Value;

use super::{Element, Env, Unsayable};
use crate::{
    fhir::{self, Object, object},
    mapping::plan::Name,
};

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    fhir::inner(value, name).and_then(Value::as_str)
}

/// One of ours of a kind that cannot stand here is named by its FHIR type and our identifier, as the EHR wrote it.
pub(super) fn get(reference: &Value, to: &[Name], env: &Env<'_>) -> Option<Value> {
    let fits = |object: &str| to.is_empty() || to.iter().any(|own| **own == *object);
    let display = text(reference, "display");
    let mut internal = Object::with_capacity(2 + usize::from(display.is_some()));
    let mut set = |name: &str, value: &str| internal.insert(name.to_owned(), Value::String(value.to_owned()));
    let identifier = fhir::inner(reference, "identifier");
    let system = identifier.and_then(|identifier| text(identifier, "system"));
    let number = identifier.and_then(|identifier| text(identifier, "value"));
    let own = system.and_then(|system| env.context.object_of(system));
    let literal = text(reference, "reference").filter(|_| own.is_none());
    if let (Some(object), Some(id)) = (own.filter(|object| fits(object)), number) {
        set("object", object);
        set("id", id);
    } else if let Some(literal) = literal {
        set("reference", literal);
    } else if let (Some(system), Some(number)) = (system, number) {
        let ours = own.and_then(|own| env.objects.type_of.get(own)).map(|kind| &**kind);
        let kind = ours.or_else(|| text(reference, "type"));
        if let Some(kind) = kind {
            let mut objects = env.objects.of_type.get(kind).into_iter().flatten();
            match objects.find(|object| own.is_none() && fits(object)) {
                Some(object) => set("object", object),
                None => set("type", kind),
            };
        }
        internal.insert("identifier".to_owned(), object([("system", system.into()), ("value", number.into())]));
    } else if let Some(literal) = text(reference, "reference") {
        set("reference", literal);
    }
    if let Some(display) = display {
        internal.insert("display".to_owned(), display.into());
    }
    (!internal.is_empty()).then_some(Value::Object(internal))
}

pub(super) fn put(
    new: Option<&Value>,
    old: Option<&Value>,
    element: &mut Element,
    to: &[Name],
    env: &Env<'_>,
) -> Result<(), Unsayable> {
    let mut members = match element.value.take() {
        Some(Value::Object(members)) => members,
        _ => Object::with_capacity(new.and_then(Value::as_object).map_or(0, Object::len)),
    };
    let same = |name: &str| new.and_then(|new| fhir::inner(new, name)) == old.and_then(|old| fhir::inner(old, name));
    if new.is_none() || !["object", "id", "identifier", "reference", "type"].into_iter().all(same) {
        if !members.is_empty() {
            for name in ["reference", "type", "identifier"] {
                members.shift_remove(name);
            }
        }
        if let Some(new) = new {
            point(new, &mut members, to, env)?;
        }
    }
    match new.and_then(|new| fhir::inner(new, "display")) {
        Some(display) => {
            members.insert("display".to_owned(), display.clone());
        }
        None if members.is_empty() => {}
        None => {
            members.shift_remove("display");
        }
    }
    element.value = (!members.is_empty()).then_some(Value::Object(members));
    Ok(())
}

fn point(new: &Value, members: &mut Object, to: &[Name], env: &Env<'_>) -> Result<(), Unsayable> {
    if let Some(name) = text(new, "object") {
        let Some(kind) = env.objects.type_of.get(name) else {
            return Err(Unsayable::new("this reference names a kind of record that there is none of", known(to, env)));
        };
        if !to.is_empty() && !to.iter().any(|allowed| **allowed == *name) {
            return Err(Unsayable::new("a record of this kind cannot stand here", known(to, env)));
        }
        members.insert("type".to_owned(), kind.as_ref().into());
        if let Some(id) = text(new, "id") {
            let identifier = object([("system", env.context.system(name).into()), ("value", id.into())]);
            members.insert("identifier".to_owned(), identifier);
        }
    }
    if let Some(kind) = text(new, "type") {
        members.insert("type".to_owned(), kind.into());
    }
    if let Some(identifier) = fhir::inner(new, "identifier") {
        members.insert("identifier".to_owned(), identifier.clone());
    }
    if let Some(literal) = fhir::inner(new, "reference") {
        members.insert("reference".to_owned(), literal.clone());
    }
    Ok(())
}

fn known(to: &[Name], env: &Env<'_>) -> String {
    let names: Vec<&str> = if to.is_empty() {
        env.objects.type_of.keys().map(|name| &**name).collect()
    } else {
        to.iter().map(|name| &**name).collect()
    };
    format!("use one of: {}", names.join(", "))
}

/// An identifier that is ours is an id; of several objects of one type, the first is named.
pub(super) fn normal(value: &Value, to: &[Name], env: &Env<'_>) -> Option<Value> {
    // Ours by id, the most frequent one, is in that form.
    let plain =
        |(name, value): (&String, &Value)| matches!(name.as_str(), "object" | "id" | "display") && value.is_string();
    let members = value.as_object()?;
    if members.iter().all(plain) && fhir::member(members, "object").is_some() && fhir::member(members, "id").is_some() {
        return None;
    }
    let mut element = Element::default();
    put(Some(value), None, &mut element, to, env).ok()?;
    get(element.value.as_ref()?, to, env)
}
