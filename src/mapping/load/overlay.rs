//! Overlays: what a dialect adds, replaces and forbids. They change the rules as written, before anything is compiled.

use std::collections::BTreeMap;

use serde_json::Value;

use super::yaml::{Mistakes, Node, nearest};
use crate::mapping::plan::Name;

/// The rules of a mapping after its overlays.
#[derive(Clone, Debug, Default)]
pub(super) struct Effective {
    pub(super) rules: Vec<Node>,
    /// Fields that are not sent, and why.
    pub(super) left_out: Vec<(String, String)>,
    /// Field → words that are refused, and why.
    pub(super) refused: BTreeMap<String, Vec<(Value, Name)>>,
    pub(super) transitions: Option<Node>,
}

/// What a rule is known by: its field, else its target.
fn identity(rule: &Node) -> Option<&str> {
    rule.get("internal").or_else(|| rule.get("target")).and_then(Node::text)
}

/// The overlays a dialect consists of, the most basic first.
pub(super) fn chain<'n>(
    dialect: &str,
    overlays: &'n BTreeMap<String, Node>,
    dialects: &super::Dialects,
    mistakes: &mut Mistakes,
) -> Vec<&'n Node> {
    let mut chain: Vec<(&str, &Node)> = Vec::new();
    let mut next = overlays.get_key_value(dialect);
    while let Some((name, overlay)) = next {
        if chain.iter().any(|(seen, _)| seen == name) {
            let way: Vec<&str> = chain.iter().map(|(seen, _)| *seen).collect();
            let at = overlay.get("extends").map_or(&overlay.at, |node| &node.at);
            mistakes.add(
                at,
                format!("the overlays run in a circle: {} → {name}", way.join(" → ")),
                "remove one `extends`",
            );
            break;
        }
        chain.push((name, overlay));
        next = match overlay.get("extends") {
            None => None,
            Some(node) => {
                let base = node.text().unwrap_or_default();
                let found = overlays.get_key_value(base);
                if found.is_none() && !dialects.contains_key(base) {
                    let hint = match nearest(base, overlays.keys().map(String::as_str)) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "name an overlay in the same folder, or a dialect of dialects.yaml".to_owned(),
                    };
                    mistakes.add(&node.at, format!("there is no overlay `{base}` here"), hint);
                }
                found
            }
        };
    }
    chain.into_iter().rev().map(|(_, overlay)| overlay).collect()
}

impl Effective {
    /// Applies one overlay.
    pub(super) fn apply(&mut self, overlay: &Node, mistakes: &mut Mistakes) {
        overlay.only(&["overlay", "extends", "why", "add", "replace", "forbid", "transitions"], mistakes);
        for rule in overlay.get("replace").and_then(Node::list).unwrap_or_default() {
            match self.position(rule, mistakes) {
                Some(at) => self.rules[at] = rule.clone(),
                None => self.nothing(rule, "replaces", mistakes),
            }
        }
        for item in overlay.get("forbid").and_then(Node::list).unwrap_or_default() {
            self.forbid(item, mistakes);
        }
        for rule in overlay.get("add").and_then(Node::list).unwrap_or_default() {
            self.rules.push(rule.clone());
        }
        if let Some(transitions) = overlay.get("transitions") {
            self.transitions = Some(transitions.clone());
        }
    }

    fn position(&self, rule: &Node, mistakes: &mut Mistakes) -> Option<usize> {
        let Some(wanted) = identity(rule) else {
            mistakes.add(&rule.at, "say which rule is meant: `internal`, or `target` for one without a field", "");
            return None;
        };
        self.rules.iter().position(|own| identity(own) == Some(wanted))
    }

    fn nothing(&self, rule: &Node, what: &str, mistakes: &mut Mistakes) {
        let Some(wanted) = identity(rule) else { return };
        let hint = match nearest(wanted, self.rules.iter().filter_map(identity)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "the mapping has no such rule; `add` is for new ones".to_owned(),
        };
        mistakes.add(&rule.at, format!("`{wanted}` {what} nothing"), hint);
    }

    fn forbid(&mut self, item: &Node, mistakes: &mut Mistakes) {
        item.only(&["internal", "target", "values", "why"], mistakes);
        let Some(why) = item.text_at("why", mistakes).map(str::to_owned) else {
            mistakes.add(&item.at, "what is forbidden must say why", "add `why: \"…\"`");
            return;
        };
        let Some(at) = self.position(item, mistakes) else {
            self.nothing(item, "forbids", mistakes);
            return;
        };
        match item.get("values") {
            None => {
                let rule = self.rules.remove(at);
                if let Some(field) = rule.get("internal").and_then(Node::text) {
                    self.left_out.push((field.to_owned(), why));
                }
            }
            Some(values) => {
                let values: Vec<Value> = match values.list() {
                    Some(values) => values.iter().map(Node::json).collect(),
                    None => vec![values.json()],
                };
                let field = item.get("internal").and_then(Node::text).unwrap_or_default();
                let refused = self.refused.entry(field.to_owned()).or_default();
                refused.extend(values.into_iter().map(|value| (value, Name::from(why.as_str()))));
            }
        }
    }
}
