//! `standing:`, checked against the object's schema: which fields say that a record is not in use any more.

use serde_json::Value;

use super::{
    limits::{allowed, at_path},
    schema::Cursor,
    yaml::{Mistakes, Node},
};
use crate::mapping::{
    plan::Name,
    standing::{Replaced, StandingRules},
};

pub(super) fn read(node: &Node, schema: Cursor<'_>, mistakes: &mut Mistakes) -> StandingRules {
    node.only(&["replaced", "inactive"], mistakes);
    if node.is_map() && node.members().is_empty() {
        mistakes.add(&node.at, "`standing` says nothing", "write `inactive: { field: active, values: [false] }`");
    }
    StandingRules {
        replaced: node.get("replaced").and_then(|node| replaced(node, schema, mistakes)),
        inactive: node.get("inactive").and_then(|node| inactive(node, schema, mistakes)),
    }
}

/// The field that `key` names, with its schema.
fn field<'s>(node: &Node, key: &str, schema: Cursor<'s>, mistakes: &mut Mistakes) -> Option<(Vec<String>, Cursor<'s>)> {
    let Some(named) = node.get(key) else {
        mistakes.add(&node.at, format!("say which field is meant: `{key}`"), "name a field of the object's schema");
        return None;
    };
    let text = node.text_at(key, mistakes)?;
    let path: Vec<Name> = text.split('.').map(Name::from).collect();
    let cursor = at_path(text, &path, schema, &named.at, mistakes)?;
    Some((path.iter().map(|name| name.to_string()).collect(), cursor))
}

fn replaced(node: &Node, schema: Cursor<'_>, mistakes: &mut Mistakes) -> Option<Replaced> {
    node.only(&["field", "where", "record"], mistakes);
    let (path, cursor) = field(node, "field", schema, mistakes)?;
    let Some(items) = cursor.items() else {
        let at = node.get("field").map_or(&node.at, |field| &field.at);
        mistakes.add(at, "`replaced` needs a list of links", "name a list of the object's schema");
        return None;
    };
    let mut link = Vec::new();
    for (name, value) in node.get("where").map_or(&[][..], Node::members) {
        let own = [Name::from(name.text.as_str())];
        if let Some(cursor) = at_path(&name.text, &own, items, &name.at, mistakes) {
            allowed(&name.text, &value.json(), cursor, &value.at, mistakes);
            link.push((name.text.clone(), value.json()));
        }
    }
    if link.is_empty() {
        mistakes.add(&node.at, "`replaced` does not say which link is meant", "write `where: { FIELD: WORD }`");
        return None;
    }
    let (record, _) = field(node, "record", items, mistakes)?;
    Some(Replaced { field: path, link, record: record.join(".") })
}

fn inactive(node: &Node, schema: Cursor<'_>, mistakes: &mut Mistakes) -> Option<(Vec<String>, Vec<Value>)> {
    node.only(&["field", "values"], mistakes);
    let (path, cursor) = field(node, "field", schema, mistakes)?;
    let values = node.get("values").and_then(Node::list).unwrap_or_default();
    if values.is_empty() {
        let at = node.get("values").map_or(&node.at, |values| &values.at);
        mistakes.add(at, "`values` is a list of what means that it is not in use", "for instance `[false]`");
        return None;
    }
    let name = path.join(".");
    let boolean = cursor.kind() == Some("boolean");
    for value in values {
        if boolean && !value.json().is_boolean() {
            mistakes.add(&value.at, format!("`{name}` is `true` or `false`"), "write it without quotes");
        }
        allowed(&name, &value.json(), cursor, &value.at, mistakes);
    }
    Some((path, values.iter().map(Node::json).collect()))
}
