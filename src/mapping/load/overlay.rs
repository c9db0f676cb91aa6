//! Overlays: what a dialect adds, replaces and forbids. They change the rules as written, before anything is compiled.

use std::collections::BTreeMap;

use super::{
    limits::TESTS,
    yaml::{Mistakes, Node, nearest},
};

/// The rules of a mapping after its overlays.
#[derive(Clone, Debug, Default)]
pub(super) struct Effective {
    pub(super) rules: Vec<Node>,
    /// Fields that are not sent, and why.
    pub(super) left_out: Vec<(String, String)>,
    /// Values that are refused, and why.
    pub(super) limits: Vec<(Node, String)>,
    /// What may be written, and why no more.
    pub(super) writes: Option<(Node, Option<String>)>,
    /// Status tables, each narrowing those before.
    pub(super) transitions: Vec<Node>,
    /// What its EHRs may answer, by field.
    pub(super) answers: Vec<Node>,
}

/// What a rule is known by: its field, else its target.
fn identity(rule: &Node) -> Option<&str> {
    rule.get("internal").or_else(|| rule.get("target")).and_then(Node::text)
}

/// A dialect and those it extends, the most particular first.
pub(super) fn line<'n>(dialect: &'n str, dialects: &'n super::Dialects) -> Vec<&'n str> {
    let mut line = vec![dialect];
    while let Some(base) = line.last().and_then(|last| dialects.get(*last)?.extends.as_deref()) {
        if line.contains(&base) {
            break;
        }
        line.push(base);
    }
    line
}

/// The overlays a dialect consists of, the most basic first: its own, and those of what it extends, by its own
/// `extends` or by dialects.yaml.
pub(super) fn chain<'n>(
    dialect: &str,
    overlays: &'n BTreeMap<String, Node>,
    dialects: &'n super::Dialects,
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
        let first = match overlay.get("extends") {
            None => dialects.get(name).and_then(|dialect| dialect.extends.as_deref()),
            Some(node) => {
                let base = node.text().unwrap_or_default();
                if !overlays.contains_key(base) && !dialects.contains_key(base) {
                    let hint = match nearest(base, overlays.keys().map(String::as_str)) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "name an overlay in the same folder, or a dialect of dialects.yaml".to_owned(),
                    };
                    mistakes.add(&node.at, format!("there is no overlay `{base}` here"), hint);
                }
                node.text()
            }
        };
        let bases = first.map(|first| line(first, dialects)).unwrap_or_default();
        next = bases.into_iter().find_map(|base| overlays.get_key_value(base));
    }
    chain.into_iter().rev().map(|(_, overlay)| overlay).collect()
}

impl Effective {
    /// Applies one overlay.
    pub(super) fn apply(&mut self, overlay: &Node, mistakes: &mut Mistakes) {
        overlay.only(
            &["overlay", "extends", "why", "add", "replace", "forbid", "transitions", "writes", "answers"],
            mistakes,
        );
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
        if let Some(writes) = overlay.get("writes") {
            self.writes = Some((writes.clone(), overlay.get("why").and_then(Node::text).map(str::to_owned)));
        }
        if let Some(transitions) = overlay.get("transitions") {
            self.transitions.push(transitions.clone());
        }
        self.answers.extend(overlay.get("answers").cloned());
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
        let mut known = vec!["internal", "target", "why"];
        known.extend(TESTS);
        item.only(&known, mistakes);
        let Some(why) = item.text_at("why", mistakes).map(str::to_owned) else {
            mistakes.add(&item.at, "what is forbidden must say why", "add `why: \"…\"`");
            return;
        };
        if TESTS.iter().any(|key| item.get(key).is_some()) {
            self.limits.push((item.clone(), why));
            return;
        }
        let Some(at) = self.position(item, mistakes) else {
            self.nothing(item, "forbids", mistakes);
            return;
        };
        let rule = self.rules.remove(at);
        if let Some(field) = rule.get("internal").and_then(Node::text) {
            self.left_out.push((field.to_owned(), why));
        }
    }
}
