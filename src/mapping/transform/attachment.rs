//! Attachments: `{data | id | url, content_type, language, title, size, created}` ⇄ Attachment. A stored one is named
//! upstream by its hash (`Binary/<sha-256>`), so that its bytes need never be held here: the sender streams them. The
//! content of a `Binary` that came along with the resource is joined back as `data`, or as `id` where it is long and stored
//! here (`fhir::stored`).
//! <https://hl7.org/fhir/R4/datatypes.html#Attachment>

use serde_json::Value;

use super::{Element, ElementRef, Env};
use crate::fhir::{Object, Reference, inner, member, stored};

/// The hash in a resource id or attachment id: 64 hexadecimal digits, with or without `sha256-`.
pub(crate) fn hash_of_id(id: &str) -> Option<&str> {
    let hash = id.strip_prefix("sha256-").unwrap_or(id);
    (hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))).then_some(hash)
}

/// Internal member, FHIR member; content has its own rules, `created` is a time.
const PLAIN: [(&str, &str); 4] =
    [("content_type", "contentType"), ("language", "language"), ("title", "title"), ("size", "size")];

pub(super) fn get(attachment: &Value, env: &Env<'_>) -> Option<Value> {
    let members = attachment.as_object()?;
    let mut internal = Object::new();
    let mut set = |name: &str, value: Value| {
        internal.insert(name.to_owned(), value);
    };
    for (own, theirs) in PLAIN {
        if let Some(value) = member(members, theirs) {
            set(own, value.clone());
        }
    }
    // What is long is stored here, and named.
    let content = |data: &Value| match data.as_str().and_then(stored::name) {
        Some(name) => ("id", name.into()),
        None => ("data", data.as_str().map_or_else(|| data.clone(), |text| super::without_space(text).into())),
    };
    if let Some(data) = member(members, "data") {
        let (name, value) = content(data);
        set(name, value);
    } else if let Some(url) = member(members, "url").and_then(Value::as_str) {
        if let Some(hash) = url.strip_prefix("Binary/").and_then(hash_of_id) {
            set("id", format!("sha256-{hash}").into());
        } else if let Some(data) = content_at(url, env) {
            let (name, value) = content(data);
            set(name, value);
        } else {
            set("url", url.into());
        }
    }
    let created = ElementRef { value: member(members, "creation"), beside: member(members, "_creation") };
    if let Some(created) = super::time::get(created, false, env.context) {
        set("created", created);
    }
    (!internal.is_empty()).then_some(Value::Object(internal))
}

/// The data of the `Binary` that a URL points to, if it came along.
fn content_at<'a>(url: &str, env: &Env<'a>) -> Option<&'a Value> {
    let Reference::Literal { kind: "Binary", id, .. } = Reference::parse(url) else { return None };
    let binary = env.resources.iter().find(|resource| {
        resource.get("resourceType").is_some_and(|kind| kind == "Binary")
            && resource.get("id").is_some_and(|own| own == id)
    })?;
    binary.get("data")
}

fn there<'a>(side: Option<&'a Value>, name: &str) -> Option<&'a Value> {
    side.and_then(|side| inner(side, name))
}

pub(super) fn put(new: Option<&Value>, old: Option<&Value>, element: &mut Element) {
    let mut members = match element.value.take() {
        Some(Value::Object(members)) => members,
        _ => Object::new(),
    };
    let of = |side: Option<&Value>, name: &str| there(side, name).cloned();
    let changed = |name: &str| there(new, name) != there(old, name);
    let mut set = |name: &str, value: Option<Value>| match value {
        Some(value) => {
            members.insert(name.to_owned(), value);
        }
        None => {
            members.shift_remove(name);
        }
    };
    for (own, theirs) in PLAIN {
        if changed(own) {
            set(theirs, of(new, own));
        }
    }
    if changed("data") || changed("id") || changed("url") {
        let id = of(new, "id");
        let hash = id.as_ref().and_then(Value::as_str).and_then(hash_of_id);
        set("data", of(new, "data"));
        set("url", hash.map(|hash| format!("Binary/{hash}").into()).or_else(|| of(new, "url")));
        // It was the hash of the content that went.
        set("hash", None);
    }
    if changed("created") {
        let mut created =
            Element { value: members.shift_remove("creation"), beside: members.shift_remove("_creation") };
        // A time that cannot be read was refused by the schema; here it is left out.
        if super::time::put(of(new, "created").as_ref(), &mut created).is_ok() {
            for (name, value) in [("creation", created.value), ("_creation", created.beside)] {
                if let Some(value) = value {
                    members.insert(name.to_owned(), value);
                }
            }
        }
    }
    element.value = (!members.is_empty()).then_some(Value::Object(members));
}

pub(super) fn normal(value: &Value) -> Option<Value> {
    let created = value.get("created")?;
    let normal = super::time::normal(created, false, &crate::mapping::Context::new(""))?;
    if normal == *created {
        return None;
    }
    let mut members = value.as_object()?.clone();
    members.insert("created".to_owned(), normal);
    Some(Value::Object(members))
}

/// Every `Binary/<id>` that an attachment in a resource points to, with its content type.
pub(crate) fn urls(value: &Value, found: &mut Vec<(String, Option<String>)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| urls(item, found)),
        Value::Object(members) => {
            if let Some(url) = member(members, "url").and_then(Value::as_str)
                && let Reference::Literal { kind: "Binary", id, .. } = Reference::parse(url)
            {
                let content_type = members.get("contentType").and_then(Value::as_str).map(str::to_owned);
                found.push((id.to_owned(), content_type));
            }
            members.values().for_each(|inner| urls(inner, found));
        }
        _ => {}
    }
}
