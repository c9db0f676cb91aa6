//! The head of a mapping: names, transitions, what is read again, further parts.

use std::collections::BTreeMap;

use super::yaml::{Mistakes, Node};
use crate::mapping::{Reread, Transitions};

pub(super) const HEAD: &[&str] = &[
    "object",
    "plural",
    "title",
    "resource",
    "profile",
    "when",
    "owner",
    "transitions",
    "reread",
    "standing",
    "checks",
    "parts",
    "identifier",
    "rules",
    "why",
];

/// The status table; its words must be the schema's.
pub(super) fn transitions(
    node: &Node,
    base: Option<&Transitions>,
    words: &dyn Fn(&str) -> Option<Vec<String>>,
    mistakes: &mut Mistakes,
) -> Option<Transitions> {
    node.only(&["field", "from", "cancel", "reason", "new"], mistakes);
    let known = || base.map(|base| base.field.clone());
    let Some(field) = node.text_at("field", mistakes).map(str::to_owned).or_else(known) else {
        mistakes.add(&node.at, "`transitions` needs its `field`", "for instance `field: status`");
        return None;
    };
    let allowed = words(&field);
    let mut check = |word: &str, at: &super::yaml::Place| {
        if let Some(allowed) = allowed.as_ref().filter(|allowed| !allowed.iter().any(|other| other == word)) {
            let what = format!("the schema's `{field}` does not allow `{word}`");
            mistakes.add(at, what, format!("it allows: {}", allowed.join(", ")));
        }
    };
    let mut from = std::collections::BTreeMap::new();
    for (key, value) in node.get("from").map_or(&[][..], Node::members) {
        check(&key.text, &key.at);
        let next = value.texts().unwrap_or_default();
        for word in &next {
            check(word, &value.at);
        }
        from.insert(key.text.clone(), next);
    }
    let new = node.get("new").and_then(Node::texts).unwrap_or_default();
    for word in &new {
        check(word, &node.get("new").unwrap_or(node).at);
    }
    let cancel = node.get("cancel");
    if let Some((word, node)) = cancel.and_then(|node| Some((node.text()?, node))) {
        check(word, &node.at);
    }
    let text = |key: &str| node.get(key).and_then(Node::text).map(str::to_owned);
    let made = Transitions { field: field.clone(), from, cancel: text("cancel"), reason: text("reason"), new };
    Some(match base {
        // A table without steps says nothing about steps.
        Some(base) if made.from.is_empty() => base.clone().narrowed(Transitions { from: base.from.clone(), ..made }),
        Some(base) => base.clone().narrowed(made),
        None => made,
    })
}

fn released(node: &Node, mistakes: &mut Mistakes) -> BTreeMap<String, Vec<String>> {
    if node.members().is_empty() {
        mistakes.add(&node.at, "`released` names no field", "write, for example, `released: { status: [free] }`");
    }
    let mut all = BTreeMap::new();
    for (field, words) in node.members() {
        match words.texts() {
            Some(words) if !words.is_empty() => _ = all.insert(field.text.clone(), words),
            _ => mistakes.add(&words.at, "a field of `released` needs a list of words", "for example `[free]`"),
        }
    }
    all
}

pub(super) fn reread(node: &Node, mistakes: &mut Mistakes) -> Vec<Reread> {
    let mut all = Vec::new();
    for item in node.list().unwrap_or_default() {
        item.only(&["field", "why", "exclusive", "released"], mistakes);
        let exclusive = item.get("exclusive").is_some_and(|flag| flag.json() == serde_json::Value::Bool(true));
        match (item.text_at("field", mistakes), item.text_at("why", mistakes)) {
            (Some(field), Some(why)) => {
                let released = item.get("released").map(|node| released(node, mistakes)).unwrap_or_default();
                all.push(Reread { field: field.to_owned(), why: why.to_owned(), exclusive, released });
            }
            _ => mistakes.add(&item.at, "what is read again needs `field` and `why`", ""),
        }
    }
    all
}
